//! A job declarator client's core for its pool.

use std::sync::Arc;
use std::time::Duration;

use protocol::custom_work::{
    CustomChannel, CustomJob, CustomShare, CustomWorkClient, CustomWorkEvent, CustomWorkInput, Seat,
};
use protocol::message::mining::{
    CloseChannelOwned, OpenExtendedMiningChannelSuccessOwned, SetCustomMiningJobErrorOwned,
    SetCustomMiningJobSuccess, SetExtranoncePrefixOwned, SetTargetOwned, SubmitSharesErrorOwned,
    SubmitSharesSuccess,
};
use protocol::message::{MiningOwned, text};

use crate::script::{Line, Script, frame, number, world};
use crate::stage::{Stage, beginning};

// What happens around it.
const TIME: u8 = 0;
const JOB: u8 = 1;
const SHARE: u8 = 2;
const RATE: u8 = 3;
const LEAVE: u8 = 4;

/// A script.
pub(crate) fn run(bytes: &[u8]) {
    play(bytes, |_| {});
}

fn play(bytes: &[u8], mut on_event: impl FnMut(&CustomWorkEvent)) {
    let now = beginning();
    let mut client = CustomWorkClient::new(CustomChannel {
        user_identity: "miner".to_owned(),
        nominal_hash_rate: 1e6,
        min_extranonce_size: 8,
    });
    client.connected(now);
    let mut stage = Stage::new(client, now);
    let (mut seat, mut job_id, mut unanswered) = (None, 0, 0);
    for line in Script(bytes) {
        let step = match line {
            Line::Frame(header, payload) => stage.hear(header, payload),
            Line::World(TIME, payload) => {
                stage.pass(Duration::from_millis(number(&payload) % 10_000))
            }
            Line::World(JOB, payload) => match &seat {
                Some(seat) => stage.tell(CustomWorkInput::SetJob(job(seat, payload))),
                None => continue,
            },
            Line::World(SHARE, payload) => {
                unanswered += 1;
                stage.tell(CustomWorkInput::Share(share(job_id, payload)))
            }
            Line::World(RATE, payload) => {
                stage.tell(CustomWorkInput::HashRate(number(&payload) as f32))
            }
            Line::World(LEAVE, _) => stage.tell(CustomWorkInput::Leave),
            Line::World(..) => continue,
        };
        for event in step.events {
            on_event(&event);
            match event {
                CustomWorkEvent::Seated(new) => {
                    assert!(new.extranonce_len() <= 32, "{new:?}");
                    seat = Some(new);
                }
                CustomWorkEvent::JobSet { job_id: id, .. } => job_id = id,
                CustomWorkEvent::Accepted { shares, .. } => unanswered -= shares.len(),
                CustomWorkEvent::Rejected { .. } | CustomWorkEvent::GivenUp(_) => unanswered -= 1,
                _ => {}
            }
        }
        if step.is_closed {
            break;
        }
    }
    // Every share is answered once, or not at all.
    assert_eq!(stage.core.into_unanswered().len(), unanswered);
}

fn job(seat: &Arc<Seat>, outputs: Vec<u8>) -> CustomJob {
    CustomJob {
        job: 1,
        seat: Arc::clone(seat),
        token: vec![7; 58],
        version: 0x2000_0000,
        prev_hash: [1; 32],
        min_ntime: 1_800_000_000,
        n_bits: 0x207f_ffff,
        coinbase_tx_version: 2,
        coinbase_prefix: vec![1, 102],
        coinbase_tx_input_sequence: 0,
        coinbase_tx_outputs: outputs,
        coinbase_tx_locktime: 0,
        merkle_path: vec![[2; 32]],
    }
}

fn share(job_id: u32, extranonce: Vec<u8>) -> CustomShare {
    CustomShare {
        job: 1,
        job_id,
        nonce: 2,
        ntime: 3,
        version: 4,
        extranonce,
        hash: [0; 32],
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let opened = frame(MiningOwned::OpenExtendedMiningChannelSuccess(
        OpenExtendedMiningChannelSuccessOwned {
            request_id: 0,
            channel_id: 2,
            target: [0xff; 32].into(),
            extranonce_size: 16,
            extranonce_prefix: vec![1; 6].try_into().expect("6 bytes fit"),
            group_channel_id: 1,
        },
    ));
    let set = frame(MiningOwned::SetCustomMiningJobSuccess(
        SetCustomMiningJobSuccess {
            channel_id: 2,
            request_id: 1,
            job_id: 5,
        },
    ));
    let refused = frame(MiningOwned::SetCustomMiningJobError(
        SetCustomMiningJobErrorOwned {
            channel_id: 2,
            request_id: 2,
            error_code: text("stale-chain-tip"),
        },
    ));
    let jobs = [world(JOB, &[0]), set, world(JOB, &[0]), refused].concat();
    let shares = [world(SHARE, &[9; 16]), world(SHARE, &[8; 16]), answers()].concat();
    vec![
        [
            opened.clone(),
            jobs.clone(),
            shares.clone(),
            world(LEAVE, &[]),
        ]
        .concat(),
        [opened.clone(), changes(), jobs.clone(), shares].concat(),
        [
            opened.clone(),
            world(RATE, &[1, 2]),
            world(JOB, &[]),
            world(TIME, &[0, 0x20]),
        ]
        .concat(),
        [jobs, opened].concat(),
    ]
}

fn answers() -> Vec<u8> {
    let accepted = SubmitSharesSuccess {
        channel_id: 2,
        last_sequence_number: 1,
        new_submits_accepted_count: 1,
        new_shares_sum: 1,
    };
    let rejected = SubmitSharesErrorOwned {
        channel_id: 2,
        sequence_number: 0,
        error_code: text("stale-share"),
    };
    [
        frame(MiningOwned::SubmitSharesError(rejected)),
        frame(MiningOwned::SubmitSharesSuccess(accepted)),
    ]
    .concat()
}

fn changes() -> Vec<u8> {
    let target = SetTargetOwned {
        channel_id: 1,
        maximum_target: [0x7f; 32].into(),
    };
    let prefix = SetExtranoncePrefixOwned {
        channel_id: 2,
        extranonce_prefix: vec![9; 6].try_into().expect("6 bytes fit"),
    };
    let close = CloseChannelOwned {
        channel_id: 7,
        reason_code: text("bye"),
    };
    [
        frame(MiningOwned::SetTarget(target)),
        frame(MiningOwned::SetExtranoncePrefix(prefix)),
        frame(MiningOwned::CloseChannel(close)),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_get_as_far_as_shares() {
        let (mut set, mut accepted) = (0, 0);
        for seed in seeds() {
            play(&seed, |event| match event {
                CustomWorkEvent::JobSet { .. } => set += 1,
                CustomWorkEvent::Accepted { shares, .. } => accepted += shares.len(),
                _ => {}
            });
        }
        assert!(set > 0 && accepted > 0);
    }
}
