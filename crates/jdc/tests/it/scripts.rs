use daemon::dial::DialError;
use nix::sys::signal::Signal;
use protocol::coinbase::{Header, merkle_root, sha256d};
use protocol::message::common::{Protocol, ReconnectOwned};
use protocol::message::declaration::ProvideMissingTransactionsOwned;
use protocol::message::mining::{
    OpenStandardMiningChannelOwned, SetCustomMiningJobOwned, SubmitSharesExtendedOwned,
};
use protocol::message::{CommonMessagesOwned, JobDeclarationOwned, MiningOwned, text};
use protocol::setup::{REQUIRES_STANDARD_JOBS, REQUIRES_WORK_SELECTION};

use crate::miner::Miner;
use crate::site::{
    CHANNEL, N_BITS, NTIME, PREFIX, Site, accept_declaration, accept_job, give_template,
    give_token, give_transactions, hear_declaration, hear_job,
};
use regtest::{Fake, Line, want};

/// The next share; changes of the hash rate before it are passed over.
async fn hear_share(pool: &mut Line) -> SubmitSharesExtendedOwned {
    loop {
        match pool.hear().await {
            protocol::message::Message::Mining(MiningOwned::UpdateChannel(_)) => {}
            other => return want!(other, Mining::SubmitSharesExtended),
        }
    }
}

/// The block hash of a share as the pool computes it: from what the custom job said.
fn hash_at_pool(job: &SetCustomMiningJobOwned, share: &SubmitSharesExtendedOwned) -> [u8; 32] {
    let extranonce = [&PREFIX[..], share.extranonce.as_bytes()].concat();
    let script_sig = [job.coinbase_prefix.as_bytes(), &extranonce].concat();
    let mut coinbase = job.coinbase_tx_version.to_le_bytes().to_vec();
    coinbase.push(1);
    coinbase.extend([0; 32]);
    coinbase.extend([0xff; 4]);
    coinbase.push(script_sig.len() as u8);
    coinbase.extend(script_sig);
    coinbase.extend(job.coinbase_tx_input_n_sequence.to_le_bytes());
    coinbase.extend(job.coinbase_tx_outputs.as_bytes());
    coinbase.extend(job.coinbase_tx_locktime.to_le_bytes());
    let path: Vec<[u8; 32]> = job
        .merkle_path
        .iter()
        .map(|node| *node.as_array())
        .collect();
    Header {
        version: share.version,
        prev_hash: job.prev_hash.as_array(),
        merkle_root: &merkle_root(sha256d(&coinbase), &path),
        ntime: share.ntime,
        n_bits: job.nbits,
        nonce: share.nonce,
    }
    .hash()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_dialled_with_the_right_flags_and_in_the_right_order() {
    // JDC-01 to 05, TPC-01
    let mut site = Site::start("full-template").await;
    let (_pool, pool_flags) = site.open_channel().await;
    let (mut jds, jds_flags) = site.jds.connection().await;
    assert!(
        site.provider.is_alone().await,
        "not before a payout is known"
    );
    give_token(&mut jds, 1).await;
    let (mut provider, provider_flags) = site.provider.connection().await;
    assert_eq!([pool_flags, jds_flags, provider_flags], [0b110, 1, 0]);
    let constraints = want!(
        provider.hear().await,
        TemplateDistribution::CoinbaseOutputConstraints
    );
    assert!(constraints.coinbase_output_max_additional_size >= 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_becomes_a_declared_job_with_shares() {
    // JDC-07, 08, 09, 11, 12, 14, 19, 24; the figures of SV2 6.3.2
    let mut site = Site::start("full-template").await;
    let mut lines = site.working().await;
    let mut miner = Miner::connect(&site.program).await;
    let hash = miner.share(1, 1).await;

    give_transactions(&mut lines.provider).await;
    let declared = hear_declaration(&mut lines.jds).await;
    assert_eq!(declared.mining_job_token.as_bytes(), [1; 8]);
    assert_eq!(declared.excess_data.as_bytes(), [5; 5]);
    assert_eq!(
        *declared.wtxid_list.iter().nth(2).unwrap().as_array(),
        sha256d(&[2; 70])
    );
    give_token(&mut lines.jds, 3).await;
    lines
        .jds
        .say(JobDeclarationOwned::ProvideMissingTransactions(
            ProvideMissingTransactionsOwned {
                request_id: declared.request_id,
                unknown_tx_position_list: vec![2, 0].try_into().unwrap(),
            },
        ))
        .await;
    let provided = want!(
        lines.jds.hear().await,
        JobDeclaration::ProvideMissingTransactionsSuccess
    );
    let provided = provided.transaction_list.into_inner();
    assert_eq!(provided[0].as_bytes(), [2; 70]);
    assert_eq!(provided[1].as_bytes(), [0; 70]);
    accept_declaration(&mut lines.jds, declared.request_id).await;

    let job = hear_job(&mut lines.pool).await;
    assert_eq!(job.token.as_bytes(), [0xdd; 8]);
    accept_job(&mut lines.pool, job.request_id, 40).await;
    let share = hear_share(&mut lines.pool).await;
    assert_eq!((share.channel_id, share.job_id), (CHANNEL, 40));
    assert_eq!(hash_at_pool(&job, &share), hash);
    let hash = miner.share(2, 1).await;
    let share = hear_share(&mut lines.pool).await;
    assert_eq!(hash_at_pool(&job, &share), hash);

    site.program.wait_for_health(0);
    site.program
        .wait_for_metric("sv2_client_shares_accepted_total 2");
    for fact in [
        "\"state\":\"set\"",
        "\"job_id\":40",
        "\"relayed\":2",
        "\"provided\":2",
    ] {
        site.wait_for("/api/v1/declared-jobs", fact).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coinbase_only_reveals_nothing() {
    // JDC-02, 13, 14
    let mut site = Site::start("coinbase-only").await;
    let mut lines = site.working().await;
    assert_eq!(lines.flags, [0b110, 0, 0]);
    let job = hear_job(&mut lines.pool).await;
    assert_eq!(job.token.as_bytes(), [1; 8], "the allocated token");
    accept_job(&mut lines.pool, job.request_id, 40).await;
    let mut miner = Miner::connect(&site.program).await;
    let hash = miner.share(1, 1).await;
    let share = hear_share(&mut lines.pool).await;
    assert_eq!(hash_at_pool(&job, &share), hash);
    // The next thing each of the others hears is what it says here.
    give_token(&mut lines.jds, 3).await;
    give_template(&mut lines.provider, 2, 2).await;
    let job = hear_job(&mut lines.pool).await;
    assert_eq!(job.token.as_bytes(), [2; 8]);
    give_token(&mut lines.jds, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_stays_through_every_loss() {
    // JDC-30
    let mut site = Site::start("full-template").await;
    let mut lines = site.working().await;
    let mut miner = Miner::connect(&site.program).await;
    miner.share(1, 1).await;
    let of_pool = |miner: &Miner| {
        let job = miner.job.as_ref().unwrap();
        job.coinbase_tx_prefix
            .as_bytes()
            .windows(3)
            .any(|bytes| bytes == PREFIX)
    };
    assert!(of_pool(&miner));

    // The pool goes, and comes back.
    drop(lines.pool);
    site.pool = site.pool.restart().await;
    miner.next_job().await;
    assert!(!of_pool(&miner), "solo work");
    miner.share(2, 1).await;
    site.program.wait_for_health(1);
    let (mut pool, _) = site.open_channel().await;
    give_transactions(&mut lines.provider).await;
    let declared = hear_declaration(&mut lines.jds).await;
    accept_declaration(&mut lines.jds, declared.request_id).await;
    let job = hear_job(&mut pool).await;
    accept_job(&mut pool, job.request_id, 41).await;
    miner.next_job().await;
    assert!(of_pool(&miner));
    miner.share(3, 1).await;
    site.program.wait_for_health(0);

    // Then the template provider.
    drop(lines.provider);
    miner.share(4, 1).await;
    let (mut provider, _) = site.provider.connection().await;
    provider.hear().await;
    give_template(&mut provider, 1, 2).await;
    miner.next_job().await;
    miner.share(5, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_may_send_us_elsewhere() {
    // JDC-32, CONN-15
    let mut site = Site::start("full-template").await;
    let mut lines = site.working().await;
    let mut other = Fake::start(Protocol::MiningProtocol).await;
    let reconnect = ReconnectOwned {
        new_host: text(""),
        new_port: other.address.port,
    };
    lines
        .pool
        .say(CommonMessagesOwned::Reconnect(reconnect))
        .await;
    // CONN-16: not to somebody with another key; then it is back where it was told to be.
    assert!(other.is_alone().await);
    site.pool.connection().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn miners_that_select_their_own_work_are_refused() {
    // POOL-03, CONN-06
    let mut site = Site::start("full-template").await;
    let _lines = site.working().await;
    let mut upstream = site.program.upstream(Protocol::MiningProtocol);
    upstream.request.flags = REQUIRES_WORK_SELECTION;
    let Err(DialError::Refused { source, .. }) = site.program.connect(&upstream).await else {
        panic!("not refused");
    };
    assert!(source.to_string().contains("0x2"), "{source}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_that_requires_standard_jobs_is_served_as_by_a_pool() {
    // JDC-22, TPC-07, POOL-21, 23, 27
    let mut site = Site::start("full-template").await;
    let mut lines = site.working().await;
    let (mut miner, flags) = Line::dial(&site.program, REQUIRES_STANDARD_JOBS).await;
    assert_eq!(flags, 0, "no echo");
    let open = OpenStandardMiningChannelOwned {
        request_id: 5,
        user_identity: text("rig"),
        nominal_hash_rate: 1.0,
        max_target: [0xff; 32].into(),
    };
    miner
        .say(MiningOwned::OpenStandardMiningChannel(open))
        .await;
    let opened = want!(miner.hear().await, Mining::OpenStandardMiningChannelSuccess);
    assert_eq!(opened.request_id, 5);
    for (template, tip) in [(1, 1), (2, 2)] {
        if tip > 1 {
            give_template(&mut lines.provider, template, tip).await;
        }
        let job = want!(miner.hear().await, Mining::NewMiningJob);
        assert!(job.min_ntime.as_ref().is_none());
        let prev_hash = want!(miner.hear().await, Mining::SetNewPrevHash);
        assert_eq!(prev_hash.channel_id, opened.channel_id);
        assert_eq!(prev_hash.job_id, job.job_id);
        assert_eq!(*prev_hash.prev_hash.as_array(), [tip; 32]);
        assert_eq!((prev_hash.min_ntime, prev_hash.nbits), (NTIME, N_BITS));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_channel_is_closed_when_the_role_stops() {
    let mut site = Site::start("full-template").await;
    let mut lines = site.working().await;
    site.program.signal(Signal::SIGTERM);
    want!(lines.pool.hear().await, Mining::CloseChannel);
    assert!(lines.pool.try_hear().await.is_none());
    let (status, log) = site.program.end();
    assert!(status.success(), "{log}");
}
