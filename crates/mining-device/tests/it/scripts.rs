use std::time::{Duration, Instant};

use mining_device::Nominal;
use protocol::keys::AuthorityKey;
use protocol::message::common::{Protocol, ReconnectOwned};
use protocol::message::{CommonMessagesOwned, MiningOwned, mining, text};
use protocol::server::VERSION_ROLLING_MASK;
use protocol::setup::Offer;
use protocol::target::Target;

use crate::pool::{CHANNEL, Device, Link, MIN_NTIME, Pool, hash, success};
use crate::relay::Relay;

const VERSION: u32 = 0x2000_0000;
/// Slow enough that every share can be looked at, fast enough not to wait.
const SHARES_PER_SECOND: f64 = 500.0;

/// A pool with a device that has an open channel.
async fn playing() -> (Pool, Device, Link) {
    let mut pool = Pool::start(|_| 0).await;
    let device = Device::start(&pool, SHARES_PER_SECOND);
    let link = pool.opened().await;
    (pool, device, link)
}

async fn end(pool: Pool, device: Device) {
    device.stop().await;
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_asked_for_at_once() {
    // DEV-01, 03
    let mut pool = Pool::start(|_| 0).await;
    let device = Device::start(&pool, SHARES_PER_SECOND);
    // The first thing it says is the request.
    pool.opened().await;
    end(pool, device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_future_job_is_not_touched_until_its_tip_and_then_mined_at_once() {
    // DEV-09, 10, 11, 13, 14
    let (pool, device, mut link) = playing().await;
    link.job(7, VERSION, None).await;
    link.silence().await;
    link.tip(7, 1).await;
    for sequence_number in 0..50 {
        let share = link.share().await;
        assert_eq!((share.job_id, share.sequence_number), (7, sequence_number));
        assert_eq!(share.channel_id, CHANNEL);
        assert!(share.ntime >= MIN_NTIME && share.ntime <= MIN_NTIME + 60);
    }
    end(pool, device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_meet_the_target_of_their_job_and_a_new_target_waits_for_the_next() {
    // DEV-13, 17
    let mut pool = Pool::start(|_| 0).await;
    let device = Device::start(&pool, 100_000.0);
    let mut link = pool.connection().await;
    let (easy, hard) = (
        Target::one_in(50.0).unwrap(),
        Target::one_in(5000.0).unwrap(),
    );
    link.open(easy).await;
    link.job(7, VERSION, None).await;
    link.tip(7, 1).await;
    link.job(8, VERSION, None).await;
    let harder = mining::SetTargetOwned {
        channel_id: CHANNEL,
        maximum_target: hard.to_le_bytes().into(),
    };
    link.say(MiningOwned::SetTarget(harder)).await;
    let mut above_hard = 0;
    for _ in 0..100 {
        let share = link.share().await;
        let hash = hash(&share, 1);
        assert!(hash <= easy, "{share:?}");
        above_hard += u32::from(hash > hard);
    }
    assert!(above_hard > 50);
    link.tip(8, 2).await;
    let mut share = link.share().await;
    while share.job_id == 7 {
        share = link.share().await;
    }
    for _ in 0..10 {
        assert!(hash(&share, 2) <= hard, "{share:?}");
        share = link.share().await;
    }
    end(pool, device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_free_version_bits_change_and_none_on_a_pool_that_fixes_them() {
    // DEV-08, 15, CONN-11
    for version in [VERSION, 0x3fff_ffff] {
        let (pool, device, mut link) = playing().await;
        link.job(7, version, None).await;
        link.tip(7, 1).await;
        for _ in 0..20 {
            let share = link.share().await;
            assert_eq!((share.version ^ version) & !VERSION_ROLLING_MASK, 0);
        }
        end(pool, device).await;
    }
    let mut pool = Pool::start(|_| protocol::setup::REQUIRES_FIXED_VERSION).await;
    let device = Device::start(&pool, SHARES_PER_SECOND);
    let mut link = pool.opened().await;
    link.job(7, VERSION, None).await;
    link.tip(7, 1).await;
    for _ in 0..20 {
        assert_eq!(link.share().await.version, VERSION);
    }
    end(pool, device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_wants_extended_channels_is_not_asked_for_a_standard_one() {
    // DEV-08, CONN-11
    let mut pool = Pool::start(|_| protocol::setup::REQUIRES_EXTENDED_CHANNELS).await;
    let device = Device::start(&pool, SHARES_PER_SECOND);
    for _ in 0..2 {
        assert!(pool.connection().await.hear().await.is_none());
    }
    end(pool, device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_unknown_requests_and_errors_of_any_code_do_no_harm() {
    // DEV-05, 23, 24, 27, CONN-18, 20
    let mut pool = Pool::start(|_| 0).await;
    let device = Device::start(&pool, SHARES_PER_SECOND);
    let mut link = pool.connection().await;
    link.say(success(4711, Target::MAX)).await;
    link.open(Target::MAX).await;
    link.say_raw(0x4abc, 1, &[0; 20]).await;
    link.say_raw(0, 0x7f, &[0; 20]).await;
    // ChannelEndpointChanged: there is no state of extensions to be reset.
    link.say_raw(0, 0x03, &CHANNEL.to_le_bytes()).await;
    link.job(7, VERSION, None).await;
    link.tip(7, 1).await;
    for _ in 0..20 {
        let share = link.share().await;
        for error_code in ["stale-share", "zzz-unknown", ""] {
            let error = mining::SubmitSharesErrorOwned {
                channel_id: CHANNEL,
                sequence_number: share.sequence_number,
                error_code: text(error_code),
            };
            link.say(MiningOwned::SubmitSharesError(error)).await;
        }
    }
    link.say(MiningOwned::SubmitSharesSuccess(
        mining::SubmitSharesSuccess {
            channel_id: 99,
            last_sequence_number: u32::MAX,
            new_submits_accepted_count: u32::MAX,
            new_shares_sum: u64::MAX,
        },
    ))
    .await;
    link.share().await;
    end(pool, device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_device_tries_again_with_growing_pauses() {
    // DEV-06
    let mut pool = Pool::start(|_| 0).await;
    let device = Device::start(&pool, SHARES_PER_SECOND);
    let began = Instant::now();
    for error_code in ["unknown-user", "zzz", "unknown-user", "zzz", "unknown-user"] {
        let mut link = pool.connection().await;
        link.hear().await.unwrap();
        let refusal = mining::OpenMiningChannelErrorOwned {
            request_id: 0,
            error_code: text(error_code),
        };
        link.say(MiningOwned::OpenMiningChannelError(refusal)).await;
        assert!(link.is_over().await);
    }
    // 20, 40, 80, 160 ms at least lie between five tries.
    assert!(began.elapsed() > Duration::from_millis(300));
    end(pool, device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_whose_setup_is_refused_tries_again_with_growing_pauses() {
    // DEV-07
    let relay = Relay::start().await;
    let offer = Offer {
        protocol: Protocol::MiningProtocol,
        supported_flags: 0,
        success_flags: |_| 0,
    };
    let authority = AuthorityKey::generate(&mut rand::thread_rng());
    let pool = Pool::serving(offer, authority).await;
    relay.lead_to(&pool.address);
    let began = Instant::now();
    let device = Device::start_with(&pool, SHARES_PER_SECOND, |_, v2| {
        v2.upstream.address = relay.address.clone();
    });
    relay.carried(5).await;
    // 20, 40, 80, 160 ms at least lie between five tries.
    assert!(began.elapsed() > Duration::from_millis(300));
    end(pool, device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_said_can_be_read_on_the_way() {
    // NOISE-25
    const NAME: &str = "somebody-who-likes-it-private";
    const CODE: &str = "a-reason-for-the-two-of-us";
    let relay = Relay::start().await;
    let mut pool = Pool::start(|_| 0).await;
    relay.lead_to(&pool.address);
    let device = Device::start_with(&pool, SHARES_PER_SECOND, |_, v2| {
        v2.upstream.address = relay.address.clone();
        v2.request.user_identity = NAME.to_owned();
        v2.upstream.request.device_id = NAME.to_owned();
    });
    let mut link = pool.opened().await;
    link.job(7, VERSION, None).await;
    link.tip(7, 1).await;
    let error = mining::SubmitSharesErrorOwned {
        channel_id: CHANNEL,
        sequence_number: link.share().await.sequence_number,
        error_code: text(CODE),
    };
    link.say(MiningOwned::SubmitSharesError(error)).await;
    for _ in 0..20 {
        link.share().await;
    }
    end(pool, device).await;
    let seen = relay.seen();
    assert!(seen.len() > 64 + 234 + 22 * 74, "{}", seen.len());
    for secret in [NAME, CODE, "mining-device"] {
        let mut windows = seen.windows(secret.len());
        assert!(!windows.any(|bytes| bytes == secret.as_bytes()), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tip_for_an_unknown_job_ends_old_work_and_new_work_follows() {
    // DEV-28
    let (pool, device, mut link) = playing().await;
    link.job(7, VERSION, None).await;
    link.tip(7, 1).await;
    link.share().await;
    link.tip(999, 2).await;
    // What was on its way may still come; then the next job is the only one.
    link.job(8, VERSION, Some(MIN_NTIME)).await;
    let mut share = link.share().await;
    while share.job_id == 7 {
        share = link.share().await;
    }
    assert_eq!(share.job_id, 8);
    assert!(hash(&share, 2) <= Target::MAX);
    end(pool, device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_channel_sends_nothing_more_and_the_device_comes_back() {
    // DEV-22, 29
    let (mut pool, device, mut link) = playing().await;
    link.job(7, VERSION, None).await;
    link.tip(7, 1).await;
    link.share().await;
    let close = mining::CloseChannelOwned {
        channel_id: CHANNEL,
        reason_code: text("bye"),
    };
    link.say(MiningOwned::CloseChannel(close)).await;
    assert!(link.is_over().await);
    let mut again = pool.opened().await;
    again.job(9, VERSION, None).await;
    again.tip(9, 3).await;
    let share = again.share().await;
    // Nothing of the dead session is replayed, and numbers begin anew.
    assert_eq!((share.job_id, share.sequence_number), (9, 0));
    end(pool, device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reconnect_leads_to_the_other_address_but_never_to_another_authority() {
    // CONN-15, 16, DEV-25
    let (mut pool, device, mut link) = playing().await;
    let mut other = Pool::with_authority(pool.authority.clone(), |_| 0).await;
    link.say(reconnect_to(&other)).await;
    let mut moved = other.opened().await;

    let stranger = AuthorityKey::generate(&mut rand::thread_rng());
    let rogue = Pool::with_authority(stranger, |_| 0).await;
    moved.say(reconnect_to(&rogue)).await;
    // Refused there, it returns to the address it was configured with.
    let mut home = pool.opened().await;
    home.job(7, VERSION, None).await;
    home.tip(7, 1).await;
    home.share().await;

    home.say(CommonMessagesOwned::Reconnect(ReconnectOwned {
        new_host: text(""),
        new_port: 0,
    }))
    .await;
    pool.opened().await;
    end(pool, device).await;
    other.stop().await;
    rogue.stop().await;
}

fn reconnect_to(pool: &Pool) -> CommonMessagesOwned {
    CommonMessagesOwned::Reconnect(ReconnectOwned {
        new_host: text(&pool.address.host),
        new_port: pool.address.port,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_device_closes_its_channel_first() {
    // DEV-21
    let (pool, device, mut link) = playing().await;
    // A share proves that the device knows its channel.
    link.job(7, VERSION, None).await;
    link.tip(7, 1).await;
    link.share().await;
    let stopping = tokio::spawn(device.stop());
    let close = loop {
        match link.hear().await {
            Some(MiningOwned::SubmitSharesStandard(_)) => {}
            other => break other,
        }
    };
    match close {
        Some(MiningOwned::CloseChannel(close)) => assert_eq!(close.channel_id, CHANNEL),
        other => panic!("not a close: {other:?}"),
    }
    assert!(link.hear().await.is_none());
    stopping.await.unwrap();
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_ends_by_itself_when_enough_shares_are_accepted() {
    let mut pool = Pool::start(|_| 0).await;
    let device = Device::start_with(&pool, SHARES_PER_SECOND, |config, _| {
        config.until_shares = Some(3);
    });
    let mut link = pool.opened().await;
    link.job(7, VERSION, None).await;
    link.tip(7, 1).await;
    for (last_sequence_number, new_submits_accepted_count) in [(0, 1), (2, 2)] {
        while link.share().await.sequence_number < last_sequence_number {}
        let success = mining::SubmitSharesSuccess {
            channel_id: CHANNEL,
            last_sequence_number,
            new_submits_accepted_count,
            new_shares_sum: 0,
        };
        link.say(MiningOwned::SubmitSharesSuccess(success)).await;
    }
    device.ended().await;
    assert!(link.is_over().await);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_is_what_was_measured_times_the_factor_asked_for() {
    // DEV-04: the cap is what a device can do.
    let mut pool = Pool::start(|_| 0).await;
    for multiplier in [1.0, 1_000.0] {
        let device = Device::start_with(&pool, 500.0, |_, v2| {
            v2.nominal = Nominal::Measured { multiplier };
        });
        let mut link = pool.connection().await;
        match link.hear().await {
            Some(MiningOwned::OpenStandardMiningChannel(request)) => {
                assert_eq!(f64::from(request.nominal_hash_rate), 500.0 * multiplier);
            }
            other => panic!("not a request to open: {other:?}"),
        }
        device.stop().await;
    }
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_the_connection_and_not_the_device() {
    // FRAME-11, 14: for each message the device takes, one that is cut short.
    let mut pool = Pool::start(|_| 0).await;
    let device = Device::start(&pool, SHARES_PER_SECOND);
    for msg_type in [0x15, 0x1f, 0x20, 0x21] {
        let mut link = pool.opened().await;
        link.say_raw(0, msg_type, &[2, 0, 0, 0, 1]).await;
        assert!(link.is_over().await, "type 0x{msg_type:02x}");
    }
    let mut link = pool.opened().await;
    link.job(7, VERSION, None).await;
    link.tip(7, 1).await;
    link.share().await;
    end(pool, device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_cap_holds_over_every_second() {
    let (pool, device, mut link) = playing().await;
    let began = Instant::now();
    link.job(7, VERSION, None).await;
    link.tip(7, 1).await;
    // With the easiest target every hash is a share. They may arrive closer together than they were
    // found, but none arrives earlier.
    for number in 1..=1200 {
        link.share().await;
        let seconds = began.elapsed().as_secs() + 1;
        let most = seconds as f64 * SHARES_PER_SECOND;
        assert!(f64::from(number) <= most, "{number} shares in {seconds} s");
    }
    end(pool, device).await;
}
