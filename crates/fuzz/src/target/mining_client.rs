//! A miner's core for its pool, and what the device makes of its assignments.

use std::time::Duration;

use mining_device::work::Headers;
use protocol::client::{ChannelRequest, ClientEvent, ClientInput, FoundShare, MiningClient};
use protocol::message::common::ReconnectOwned;
use protocol::message::mining::{
    CloseChannelOwned, NewExtendedMiningJobOwned, NewMiningJobOwned,
    OpenExtendedMiningChannelSuccessOwned, OpenMiningChannelErrorOwned,
    OpenStandardMiningChannelSuccessOwned, SetExtranoncePrefixOwned, SetGroupChannelOwned,
    SetNewPrevHashOwned, SetTargetOwned, SubmitSharesErrorOwned, SubmitSharesSuccess,
};
use protocol::message::{CommonMessagesOwned, Message, MiningOwned, option, text};
use protocol::target::Target;

use crate::script::{Line, Script, frame, number, world};
use crate::stage::{Stage, beginning};

// What happens around it.
const TIME: u8 = 0;
const SHARE: u8 = 1;
const LEAVE: u8 = 2;

/// Headers that the device looks at of each assignment.
const HEADERS: usize = 3;

fn requests() -> Vec<ChannelRequest> {
    let request = |min_extranonce_size| ChannelRequest {
        user_identity: "miner".to_owned(),
        nominal_hash_rate: 1e6,
        max_target: Target::MAX,
        min_extranonce_size,
    };
    vec![request(None), request(Some(8)), request(None)]
}

/// The first byte is the pool's flags; what follows is a script.
pub(crate) fn run(bytes: &[u8]) {
    play(bytes, |_| {});
}

fn play(bytes: &[u8], mut on_event: impl FnMut(&ClientEvent)) {
    let mut script = Script(bytes);
    let flags = u32::from(script.byte());
    let client = MiningClient::new(requests(), flags);
    if client.connected().is_err() {
        return;
    }
    let mut stage = Stage::new(client, beginning());
    let mut found: Option<FoundShare> = None;
    let mut opened = 0;
    for line in script {
        let step = match line {
            Line::Frame(header, payload) => stage.hear(header, payload),
            Line::World(TIME, payload) => {
                stage.pass(Duration::from_millis(number(&payload) % 10_000_000))
            }
            Line::World(SHARE, _) => match found.clone() {
                Some(share) => stage.tell(ClientInput::Share(share)),
                None => continue,
            },
            Line::World(LEAVE, _) => stage.tell(ClientInput::Leave),
            Line::World(..) => continue,
        };
        let mut submitted = 0;
        for event in &step.events {
            on_event(event);
            match event {
                ClientEvent::Opened { .. } => opened += 1,
                ClientEvent::Submitted { .. } => submitted += 1,
                ClientEvent::Mine(assignment) => {
                    let mut headers = Headers::new(assignment.clone());
                    let mut candidates = (0..HEADERS).map_while(|_| headers.next(stage.now));
                    let first = candidates.next().expect("a job has a header");
                    found = Some(first.share(assignment, 7));
                    candidates.for_each(drop);
                }
                _ => {}
            }
        }
        assert!(
            opened <= requests().len(),
            "more channels than were asked for"
        );
        let is_share = |said: &&Message| {
            matches!(
                said,
                Message::Mining(
                    MiningOwned::SubmitSharesStandard(_) | MiningOwned::SubmitSharesExtended(_)
                )
            )
        };
        assert_eq!(step.said.iter().filter(is_share).count(), submitted);
        if step.is_closed {
            return;
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let opened = [standard(0, 2), extended(1, 3)].concat();
    let work = [
        frame(job(2, 1, None)),
        frame(extended_job(3, 2, None)),
        tip(2, 1, 1),
        tip(3, 2, 1),
        world(SHARE, &[]),
    ];
    let more = [
        frame(job(2, 3, Some(1_800_000_005))),
        frame(extended_job(1, 4, Some(1_800_000_005))),
        world(SHARE, &[]),
        tip(1, 9, 2),
        world(LEAVE, &[]),
    ];
    let scripts = [
        [opened.clone(), work.concat(), more.concat()].concat(),
        [opened.clone(), work.concat(), answers(), changes()].concat(),
        [refusal(0), refusal(1), refusal(2)].concat(),
        [opened, reconnect()].concat(),
    ];
    let seed = |first: u8, script: &Vec<u8>| [&[first][..], script].concat();
    [0, 1]
        .into_iter()
        .flat_map(|first| scripts.iter().map(move |script| seed(first, script)))
        .collect()
}

fn standard(request_id: u32, channel_id: u32) -> Vec<u8> {
    let success = OpenStandardMiningChannelSuccessOwned {
        request_id,
        channel_id,
        target: [0xff; 32].into(),
        extranonce_prefix: vec![1; 22].try_into().expect("22 bytes fit"),
        group_channel_id: 1,
    };
    frame(MiningOwned::OpenStandardMiningChannelSuccess(success))
}

fn extended(request_id: u32, channel_id: u32) -> Vec<u8> {
    let success = OpenExtendedMiningChannelSuccessOwned {
        request_id,
        channel_id,
        target: [0xff; 32].into(),
        extranonce_size: 16,
        extranonce_prefix: vec![1; 6].try_into().expect("6 bytes fit"),
        group_channel_id: 1,
    };
    frame(MiningOwned::OpenExtendedMiningChannelSuccess(success))
}

fn job(channel_id: u32, job_id: u32, min_ntime: Option<u32>) -> MiningOwned {
    MiningOwned::NewMiningJob(NewMiningJobOwned {
        channel_id,
        job_id,
        min_ntime: option(min_ntime),
        version: 0x2000_0000,
        merkle_root: [5; 32].into(),
    })
}

fn extended_job(channel_id: u32, job_id: u32, min_ntime: Option<u32>) -> MiningOwned {
    MiningOwned::NewExtendedMiningJob(NewExtendedMiningJobOwned {
        channel_id,
        job_id,
        min_ntime: option(min_ntime),
        version: 0x2000_0000,
        version_rolling_allowed: true,
        merkle_path: vec![[6; 32].into()].try_into().expect("one fits"),
        coinbase_tx_prefix: vec![2; 50].try_into().expect("50 bytes fit"),
        coinbase_tx_suffix: vec![3; 40].try_into().expect("40 bytes fit"),
    })
}

fn tip(channel_id: u32, job_id: u32, tip: u8) -> Vec<u8> {
    frame(MiningOwned::SetNewPrevHash(SetNewPrevHashOwned {
        channel_id,
        job_id,
        prev_hash: [tip; 32].into(),
        min_ntime: 1_800_000_000,
        nbits: 0x207f_ffff,
    }))
}

fn answers() -> Vec<u8> {
    let accepted = SubmitSharesSuccess {
        channel_id: 2,
        last_sequence_number: 0,
        new_submits_accepted_count: 1,
        new_shares_sum: 1,
    };
    let rejected = SubmitSharesErrorOwned {
        channel_id: 3,
        sequence_number: 0,
        error_code: text("stale-share"),
    };
    [
        frame(MiningOwned::SubmitSharesSuccess(accepted)),
        frame(MiningOwned::SubmitSharesError(rejected)),
    ]
    .concat()
}

fn changes() -> Vec<u8> {
    let target = SetTargetOwned {
        channel_id: 1,
        maximum_target: [0x7f; 32].into(),
    };
    let prefix = SetExtranoncePrefixOwned {
        channel_id: 3,
        extranonce_prefix: vec![9; 6].try_into().expect("6 bytes fit"),
    };
    let group = SetGroupChannelOwned {
        group_channel_id: 8,
        channel_ids: vec![2, 3].try_into().expect("two fit"),
    };
    let close = CloseChannelOwned {
        channel_id: 8,
        reason_code: text("bye"),
    };
    [
        frame(MiningOwned::SetTarget(target)),
        frame(MiningOwned::SetExtranoncePrefix(prefix)),
        frame(MiningOwned::SetGroupChannel(group)),
        frame(MiningOwned::CloseChannel(close)),
    ]
    .concat()
}

fn refusal(request_id: u32) -> Vec<u8> {
    frame(MiningOwned::OpenMiningChannelError(
        OpenMiningChannelErrorOwned {
            request_id,
            error_code: text("invalid-user-identity"),
        },
    ))
}

fn reconnect() -> Vec<u8> {
    frame(CommonMessagesOwned::Reconnect(ReconnectOwned {
        new_host: text("elsewhere"),
        new_port: 1,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_get_as_far_as_shares() {
        let (mut submitted, mut accepted) = (0, 0);
        for seed in seeds() {
            play(&seed, |event| match event {
                ClientEvent::Submitted { .. } => submitted += 1,
                ClientEvent::Accepted { .. } => accepted += 1,
                _ => {}
            });
        }
        assert!(submitted > 0 && accepted > 0);
    }
}
