//! Extended channels and groups: what the device sends must rebuild to the header it hashed.

use protocol::coinbase::Header;
use protocol::message::{MiningOwned, mining, option};
use protocol::target::Target;
use sha2::{Digest, Sha256};

use crate::pool::{Device, Link, MIN_NTIME, N_BITS, Pool};

const VERSION: u32 = 0x2000_0000;
const SHARES_PER_SECOND: f64 = 500.0;
const GROUP: u32 = 1;
const CHANNELS: [u32; 2] = [2, 3];
const COINBASE_PREFIX: [u8; 41] = [0xaa; 41];
const COINBASE_SUFFIX: [u8; 60] = [0xbb; 60];
const EXTRANONCE_SIZE: u16 = 5;

/// A pool with a device that has two extended channels in one group.
async fn playing() -> (Pool, Device, Link) {
    let mut pool = Pool::start(|_| 0).await;
    let device = Device::start_with(&pool, SHARES_PER_SECOND, |config, v2| {
        v2.upstream.request.flags = 0;
        v2.request.min_extranonce_size = Some(4);
        config.channels = CHANNELS.len();
    });
    let mut link = pool.connection().await;
    for channel_id in CHANNELS {
        let Some(MiningOwned::OpenExtendedMiningChannel(request)) = link.hear().await else {
            panic!("not a request to open an extended channel");
        };
        assert!(request.min_extranonce_size <= EXTRANONCE_SIZE);
        let success = mining::OpenExtendedMiningChannelSuccessOwned {
            request_id: request.request_id,
            channel_id,
            target: Target::MAX.to_le_bytes().into(),
            extranonce_size: EXTRANONCE_SIZE,
            extranonce_prefix: first_prefix(channel_id).try_into().unwrap(),
            group_channel_id: GROUP,
        };
        link.say(MiningOwned::OpenExtendedMiningChannelSuccess(success))
            .await;
    }
    (pool, device, link)
}

fn first_prefix(channel_id: u32) -> Vec<u8> {
    vec![channel_id as u8; 3]
}

/// A job for the whole group.
async fn job(link: &mut Link, job_id: u32, min_ntime: Option<u32>, path: &[[u8; 32]]) {
    let job = mining::NewExtendedMiningJobOwned {
        channel_id: GROUP,
        job_id,
        min_ntime: option(min_ntime),
        version: VERSION,
        version_rolling_allowed: false,
        merkle_path: path
            .iter()
            .map(Into::into)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap(),
        coinbase_tx_prefix: COINBASE_PREFIX.to_vec().try_into().unwrap(),
        coinbase_tx_suffix: COINBASE_SUFFIX.to_vec().try_into().unwrap(),
    };
    link.say(MiningOwned::NewExtendedMiningJob(job)).await;
}

async fn tip(link: &mut Link, job_id: u32, tip: u8) {
    let tip = mining::SetNewPrevHashOwned {
        channel_id: GROUP,
        job_id,
        prev_hash: [tip; 32].into(),
        min_ntime: MIN_NTIME,
        nbits: N_BITS,
    };
    link.say(MiningOwned::SetNewPrevHash(tip)).await;
}

async fn share(link: &mut Link) -> mining::SubmitSharesExtendedOwned {
    match link.hear().await {
        Some(MiningOwned::SubmitSharesExtended(share)) => share,
        other => panic!("not a share of an extended channel: {other:?}"),
    }
}

/// The next share of a job; those before may be of the last one.
async fn share_of(link: &mut Link, job_id: u32) -> mining::SubmitSharesExtendedOwned {
    loop {
        let share = share(link).await;
        if share.job_id == job_id {
            return share;
        }
    }
}

fn sha256d(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// The hash of a share, from what both sides know (SV2 5.3.16).
fn hash(
    share: &mining::SubmitSharesExtendedOwned,
    extranonce_prefix: &[u8],
    path: &[[u8; 32]],
    tip: u8,
) -> Target {
    let extranonce = share.extranonce.as_bytes();
    let coinbase = [
        &COINBASE_PREFIX,
        extranonce_prefix,
        extranonce,
        &COINBASE_SUFFIX,
    ]
    .concat();
    let root = path.iter().fold(sha256d(&coinbase), |left, right| {
        sha256d(&[left, *right].concat())
    });
    let header = Header {
        version: share.version,
        prev_hash: &[tip; 32],
        merkle_root: &root,
        ntime: share.ntime,
        n_bits: N_BITS,
        nonce: share.nonce,
    };
    Target::from_le_bytes(sha256d(&header.to_bytes()))
}

async fn set_target(link: &mut Link, target: Target) {
    let message = mining::SetTargetOwned {
        channel_id: GROUP,
        maximum_target: target.to_le_bytes().into(),
    };
    link.say(MiningOwned::SetTarget(message)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_of_a_group_s_jobs_rebuild_to_headers_that_meet_the_target() {
    // DEV-13, 14, 16, 18, 20, 30
    let (pool, device, mut link) = playing().await;
    let target = Target::one_in(16.0).unwrap();
    set_target(&mut link, target).await;
    let mut next = [0; 2];
    for (depth, tip_number) in [(0, 1), (1, 2), (3, 3)] {
        let path: Vec<[u8; 32]> = (0..depth).map(|level| [level; 32]).collect();
        let job_id = u32::from(tip_number);
        job(&mut link, job_id, None, &path).await;
        tip(&mut link, job_id, tip_number).await;
        let mut seen = [0; 2];
        while seen.iter().any(|count| *count < 5) {
            let share = share(&mut link).await;
            let channel = CHANNELS.iter().position(|id| *id == share.channel_id);
            let channel = channel.expect("one of the two");
            assert_eq!(share.sequence_number, next[channel]);
            next[channel] += 1;
            if share.job_id != job_id {
                continue;
            }
            seen[channel] += 1;
            assert_eq!(share.version, VERSION);
            assert_eq!(
                share.extranonce.as_bytes().len(),
                usize::from(EXTRANONCE_SIZE)
            );
            let prefix = first_prefix(share.channel_id);
            assert!(hash(&share, &prefix, &path, tip_number) <= target);
        }
    }
    device.stop().await;
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_extranonce_prefix_is_for_jobs_that_come_after_it() {
    // DEV-19
    let (pool, device, mut link) = playing().await;
    // Hard enough that a wrong prefix would show.
    let target = Target::one_in(16.0).unwrap();
    set_target(&mut link, target).await;
    job(&mut link, 7, None, &[]).await;
    let [changed, other] = CHANNELS;
    let message = mining::SetExtranoncePrefixOwned {
        channel_id: changed,
        extranonce_prefix: vec![0x77; 3].try_into().unwrap(),
    };
    link.say(MiningOwned::SetExtranoncePrefix(message)).await;
    tip(&mut link, 7, 1).await;
    for _ in 0..10 {
        let share = share_of(&mut link, 7).await;
        let prefix = first_prefix(share.channel_id);
        assert!(hash(&share, &prefix, &[], 1) <= target);
    }
    job(&mut link, 8, Some(MIN_NTIME), &[]).await;
    for _ in 0..10 {
        let share = share_of(&mut link, 8).await;
        let prefix = match share.channel_id {
            id if id == changed => vec![0x77; 3],
            id => {
                assert_eq!(id, other);
                first_prefix(other)
            }
        };
        assert!(hash(&share, &prefix, &[], 1) <= target);
    }
    device.stop().await;
    pool.stop().await;
}
