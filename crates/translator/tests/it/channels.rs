//! What an upstream sees.

use protocol::coinbase::{Header, merkle_root, sha256d};
use protocol::message::MiningOwned;
use protocol::message::mining::{
    CloseChannelOwned, OpenMiningChannelErrorOwned, SetExtranoncePrefixOwned, SetGroupChannelOwned,
    SetTargetOwned, SubmitSharesExtendedOwned,
};
use protocol::message::text;
use protocol::target::Target;
use regtest::Sv1Miner;

use crate::site::{
    CHANNEL, GROUP, N_BITS, PREFIX, SIZE, SUFFIX, Site, Upstream, coinbase_prefix, easy,
};

/// The hash of a share as the upstream computes it.
fn hash(share: &SubmitSharesExtendedOwned, prefix: &[u8], tip: u8) -> [u8; 32] {
    assert_eq!(share.extranonce.as_bytes().len(), usize::from(SIZE));
    let coinbase = [
        &coinbase_prefix(share.job_id)[..],
        prefix,
        share.extranonce.as_bytes(),
        &SUFFIX,
    ]
    .concat();
    Header {
        version: share.version,
        prev_hash: &[tip; 32],
        merkle_root: &merkle_root(sha256d(&coinbase), &[[8; 32], [9; 32]]),
        ntime: share.ntime,
        n_bits: N_BITS,
        nonce: share.nonce,
    }
    .hash()
}

#[tokio::test]
async fn shares_of_all_miners_arrive_on_one_channel_as_the_upstream_computes_them() {
    // PROXY-01, 02, 03, 11, 12, 15, 20, 21, 27, EXT-03, 16
    let mut site = Site::start(1, "").await;
    let mut pool = site.connected(0).await;
    assert_eq!(pool.flags & 1, 0, "extended jobs are wanted");
    let open = pool.open_next(CHANNEL).await;
    assert_eq!(open.user_identity.as_utf8_or_hex(), "farm0");
    assert_eq!((open.nominal_hash_rate, open.min_extranonce_size), (0.0, 8));
    // Ten hashes a second, six shares a minute: not every hash is one.
    let least = Target::one_in(100.0).unwrap();
    assert_eq!(*open.max_target.as_array(), least.to_le_bytes());
    pool.job(CHANNEL, 1).await;
    pool.tip(CHANNEL, 1, 1).await;
    let mut miners = Vec::new();
    for number in 0..3 {
        let mut miner = site.miner(&format!("farm.rig{number}")).await;
        miner.some_job().await;
        miners.push(miner);
    }
    let mut extranonces: Vec<String> = miners.iter().map(Sv1Miner::extranonce1).collect();
    extranonces.sort();
    extranonces.dedup();
    assert_eq!(extranonces.len(), 3, "each has its own");
    let mut sequence = Vec::new();
    for (number, bits) in [(0, None), (1, Some(0x6000)), (2, None), (1, None)] {
        // Some are too easy for the upstream; this is not one of them.
        let share = miners[number].find_for(easy(), 2, bits);
        miners[number].submit(&share).await.unwrap();
        let seen = pool.share().await;
        assert_eq!(hash(&seen, &PREFIX, 1), share.hash);
        assert_eq!((seen.channel_id, seen.job_id), (CHANNEL, 1));
        sequence.push(seen.sequence_number);
        pool.accept(&seen).await;
    }
    assert_eq!(sequence, [0, 1, 2, 3]);
    assert!(site.pools[0].is_alone().await, "one connection for all");
    // PROXY-29: what became of them can be seen, for each miner.
    site.wait_for("/metrics", "sv2_server_shares_accepted_total{upstream=")
        .await;
    site.wait_for(
        "/api/v1/sv1/clients",
        "\"authorized_worker_name\":\"farm.rig2\"",
    )
    .await;
}

#[tokio::test]
async fn a_worker_s_name_hangs_on_each_share() {
    // PROXY-27, EXT-16
    let mut site = Site::start(1, "").await;
    let mut pool = site.working(0).await;
    let mut miner = site.miner("farm.rig").await;
    miner.some_job().await;
    let share = miner.find_for(easy(), 0, None);
    miner.submit(&share).await.unwrap();
    let payload = loop {
        let (extension, msg_type, payload) = pool.line.hear_frame().await;
        if (extension, msg_type) == (0, 0x1b) {
            break payload;
        }
    };
    assert!(
        payload.ends_with(b"\x02\x00\x01\x08\x00farm.rig"),
        "{payload:x?}"
    );
}

#[tokio::test]
async fn a_future_job_waits_for_its_tip_and_a_better_one_does_not() {
    // PROXY-16, 30
    let mut site = Site::start(1, "").await;
    let mut pool = site.working(0).await;
    let mut miner = site.miner("farm.rig").await;
    let first = miner.some_job().await;
    pool.better_job(CHANNEL, 2).await;
    let better = miner.next_job().await;
    assert!(!better.clean_jobs);
    pool.job(CHANNEL, 3).await;
    pool.tip(CHANNEL, 3, 2).await;
    let next = miner.next_job().await;
    assert!(next.clean_jobs);
    assert_eq!(next.prev_hash, [2; 32]);
    assert_ne!(
        (&first.job_id, &better.job_id),
        (&better.job_id, &next.job_id)
    );
    // A miner that comes in late has it at once, and so has one while a job waits for its tip.
    pool.job(CHANNEL, 4).await;
    let mut late = site.miner("farm.late").await;
    assert_eq!(late.some_job().await.prev_hash, [2; 32]);
}

#[tokio::test]
async fn jobs_for_a_group_reach_every_channel_in_it() {
    let mut site = Site::start(1, "").await;
    let mut pool = site.working(0).await;
    let mut miner = site.miner("farm.rig").await;
    miner.some_job().await;
    pool.job(GROUP, 2).await;
    pool.tip(GROUP, 2, 2).await;
    assert_eq!(miner.next_job().await.prev_hash, [2; 32]);
    // Moved to another group.
    let group = SetGroupChannelOwned {
        group_channel_id: 99,
        channel_ids: vec![CHANNEL].try_into().unwrap(),
    };
    pool.say(MiningOwned::SetGroupChannel(group)).await;
    pool.job(GROUP, 3).await;
    pool.tip(GROUP, 3, 3).await;
    pool.job(99, 4).await;
    pool.tip(99, 4, 4).await;
    assert_eq!(miner.next_job().await.prev_hash, [4; 32]);
}

#[tokio::test]
async fn a_new_prefix_is_in_the_next_job_and_miners_need_not_know() {
    // PROXY-25
    let mut site = Site::start(1, "").await;
    let mut pool = site.working(0).await;
    let mut miner = site.miner("farm.rig").await;
    miner.some_job().await;
    let before = miner.extranonce1();
    let prefix = [1, 2, 3];
    let message = SetExtranoncePrefixOwned {
        channel_id: CHANNEL,
        extranonce_prefix: prefix.to_vec().try_into().unwrap(),
    };
    pool.say(MiningOwned::SetExtranoncePrefix(message)).await;
    let old = miner.find_for(easy(), 0, None);
    pool.better_job(CHANNEL, 2).await;
    miner.next_job().await;
    let new = miner.find_for(easy(), 0, None);
    for (share, prefix) in [(old, PREFIX), (new, prefix)] {
        miner.submit(&share).await.unwrap();
        assert_eq!(hash(&pool.share().await, &prefix, 1), share.hash);
    }
    assert_eq!(miner.extranonce1(), before);
}

#[tokio::test]
async fn a_new_target_is_told_in_front_of_the_first_job_that_has_it() {
    // PROXY-18, 28
    let mut site = Site::start(1, "").await;
    let mut pool = site.working(0).await;
    let mut miner = site.miner("farm.rig").await;
    miner.authorize("farm.rig", "d=1000").await.unwrap();
    miner.some_job().await;
    let mut follower = site.miner("farm.follower").await;
    follower.some_job().await;
    let told = follower.difficulty;
    let harder = Target::one_in(2.0).unwrap();
    let message = SetTargetOwned {
        channel_id: CHANNEL,
        maximum_target: harder.to_le_bytes().into(),
    };
    pool.say(MiningOwned::SetTarget(message)).await;
    follower.notices.clear();
    pool.better_job(CHANNEL, 2).await;
    follower.next_job().await;
    assert_eq!(follower.notices, ["mining.set_difficulty", "mining.notify"]);
    assert!(follower.difficulty < told, "no more than is paid for");
}

#[tokio::test]
async fn shares_too_easy_for_the_upstream_stay_here() {
    // PROXY-22
    let mut site = Site::start(1, "").await;
    let mut pool = site.connected(0).await;
    pool.open_next(CHANNEL).await;
    let hard = SetTargetOwned {
        channel_id: CHANNEL,
        maximum_target: Target::one_in(2000.0).unwrap().to_le_bytes().into(),
    };
    pool.say(MiningOwned::SetTarget(hard)).await;
    pool.job(CHANNEL, 1).await;
    pool.tip(CHANNEL, 1, 1).await;
    let mut miner = site.miner("farm.rig").await;
    miner.some_job().await;
    let mut wanted = Vec::new();
    for _ in 0..40 {
        let share = miner.find(0, None);
        miner.submit(&share).await.unwrap();
        if Target::from_le_bytes(share.hash) <= Target::one_in(2000.0).unwrap() {
            wanted.push(share.hash);
        }
    }
    let last = miner.find_for(Target::one_in(2000.0).unwrap(), 0, None);
    miner.submit(&last).await.unwrap();
    wanted.push(last.hash);
    for expected in wanted {
        assert_eq!(hash(&pool.share().await, &PREFIX, 1), expected);
    }
}

#[tokio::test]
async fn the_upstream_hears_of_miners_that_come_and_go() {
    // PROXY-04, 06, 29
    let mut site = Site::start(1, "").await;
    let mut pool = site.working(0).await;
    let first = site.miner("farm.a").await;
    let rate = |message| match message {
        MiningOwned::UpdateChannel(update) => update.nominal_hash_rate,
        other => panic!("{other:?}"),
    };
    let one = rate(pool.hear().await);
    assert!(one > 0.0);
    let second = site.miner("farm.b").await;
    assert_eq!(rate(pool.hear().await), 2.0 * one);
    drop(first);
    assert_eq!(rate(pool.hear().await), one);
    drop(second);
    assert_eq!(rate(pool.hear().await), 0.0);
}

#[tokio::test]
async fn answers_of_the_upstream_never_end_a_miner_and_are_counted_for_it() {
    // PROXY-24
    let mut site = Site::start(1, "").await;
    let mut pool = site.working(0).await;
    let mut miner = site.miner("farm.rig").await;
    miner.some_job().await;
    for number in 0..7 {
        let share = miner.find_for(easy(), 0, None);
        miner.submit(&share).await.unwrap();
        let seen = pool.share().await;
        if number % 2 == 0 {
            pool.reject(&seen, "zzz-nobody-knows").await;
        } else {
            pool.accept(&seen).await;
        }
    }
    site.wait_for(
        "/api/v1/sv1/clients/1",
        r#""upstream":{"shares_submitted":7,"shares_accepted":3,"shares_rejected":4,"shares_lost":0,"last_rejection":"zzz-nobody-knows"}"#,
    )
    .await;
    let share = miner.find(0, None);
    miner.submit(&share).await.unwrap();
}

#[tokio::test]
async fn each_miner_may_have_a_channel_of_its_own() {
    // PROXY-05, 29
    let mut site = Site::start(1, "aggregate_channels = false").await;
    let mut pool = site.connected(0).await;
    site.wait_for("/healthz", "\"ready\":true").await;
    let mut miners = Vec::new();
    for number in 0..2u8 {
        let miner = site.miner(&format!("acct.rig{number}")).await;
        let open = pool.request().await;
        assert_eq!(
            open.user_identity.as_utf8_or_hex(),
            format!("farm0.rig{number}")
        );
        let channel = 10 + u32::from(number);
        pool.open(open.request_id, channel, &[number; 3]).await;
        pool.job(channel, 1).await;
        pool.tip(channel, 1, 1).await;
        miners.push(miner);
    }
    for (number, miner) in (0u8..).zip(&mut miners) {
        miner.some_job().await;
        let share = miner.find_for(easy(), 0, None);
        miner.submit(&share).await.unwrap();
        let seen = pool.share().await;
        assert_eq!(seen.channel_id, 10 + u32::from(number));
        assert_eq!(seen.sequence_number, 0);
        assert_eq!(hash(&seen, &[number; 3], 1), share.hash);
    }
    // A job for the group is one for each of them, with its own prefix.
    pool.job(GROUP, 2).await;
    pool.tip(GROUP, 2, 2).await;
    let (left, right) = miners.split_at_mut(1);
    let (a, b) = (left[0].next_job().await, right[0].next_job().await);
    assert_eq!((a.prev_hash, b.prev_hash), ([2; 32], [2; 32]));
    assert_ne!(a.coinb1, b.coinb1);
    // One leaves: its channel is closed, and no other.
    drop(miners.remove(0));
    loop {
        if let MiningOwned::CloseChannel(close) = pool.hear().await {
            assert_eq!(close.channel_id, 10);
            break;
        }
    }
    // The upstream closes the other's: it gets another one, and stays connected.
    let close = CloseChannelOwned {
        channel_id: 11,
        reason_code: text("enough"),
    };
    pool.say(MiningOwned::CloseChannel(close)).await;
    let open = pool.request().await;
    pool.open(open.request_id, 12, &[9; 3]).await;
    pool.job(12, 3).await;
    pool.tip(12, 3, 3).await;
    assert_eq!(miners[0].next_job().await.prev_hash, [3; 32]);
}

#[tokio::test]
async fn a_refusal_or_the_end_of_the_shared_channel_leads_to_the_next_upstream() {
    // PROXY-26
    let mut site = Site::start(2, "").await;
    let mut first = site.connected(0).await;
    let open = first.request().await;
    let refused = OpenMiningChannelErrorOwned {
        request_id: open.request_id,
        error_code: text("unknown-user"),
    };
    first
        .say(MiningOwned::OpenMiningChannelError(refused))
        .await;
    let mut second = site.working(1).await;
    let mut miner = site.miner("farm.rig").await;
    miner.some_job().await;
    // It is asked again after a rest, gives work, and gets the miners.
    first.open_next(CHANNEL).await;
    first.job(CHANNEL, 1).await;
    first.tip(CHANNEL, 1, 5).await;
    assert_eq!(miner.next_job().await.prev_hash, [5; 32]);
    let close = CloseChannelOwned {
        channel_id: CHANNEL,
        reason_code: text("enough"),
    };
    first.say(MiningOwned::CloseChannel(close)).await;
    assert_eq!(miner.next_job().await.prev_hash, [1; 32]);
    check_share(&mut miner, &mut second, 1).await;
}

/// A share of the miner's job arrives.
pub(crate) async fn check_share(miner: &mut Sv1Miner, pool: &mut Upstream, tip: u8) {
    let share = miner.find_for(easy(), 0, None);
    miner.submit(&share).await.unwrap();
    assert_eq!(hash(&pool.share().await, &PREFIX, tip), share.hash);
}

#[tokio::test]
async fn an_upstream_whose_jobs_pay_somebody_else_is_left_for_one_that_may() {
    let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let mut site = Site::with(&[address, "farm"], "verify_payout = true").await;
    let mut first = site.connected(0).await;
    let mut second = site.working(1).await;
    let mut miner = site.miner("farm.rig").await;
    miner.some_job().await;
    first.open_next(CHANNEL).await;
    first.job(CHANNEL, 1).await;
    first.tip(CHANNEL, 1, 9).await;
    loop {
        if let MiningOwned::CloseChannel(close) = first.hear().await {
            assert_eq!(close.channel_id, CHANNEL);
            break;
        }
    }
    site.wait_for("/api/v1/upstreams", "a job pays 0 of 100 satoshis")
        .await;
    check_share(&mut miner, &mut second, 1).await;
}
