//! A pool's core for one miner, with channels of both kinds and of several payouts.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{Amount, Transaction, TxOut};
use protocol::extension::{Extensions, WORKER_TRACKING};
use protocol::frame::{Frame, FrameHeader};
use protocol::message::mining::{
    CloseChannelOwned, OpenExtendedMiningChannelOwned, OpenStandardMiningChannelOwned,
    SetCustomMiningJobOwned, SubmitSharesExtendedOwned, SubmitSharesStandard, UpdateChannelOwned,
};
use protocol::message::{self, AnyMessage, Message, Mining, MiningOwned, Received, text};
use protocol::server::{
    Acknowledge, ExtranonceSpace, MiningServer, Policy, SUPPORTED_FLAGS, ServerEvent, ServerInput,
};
use protocol::token::{Commitment, CustomJob, Scope, Secret, Token};

use super::provider_client::{Templates, plan};
use crate::script::{Line, Script, frame, line, number, world};
use crate::stage::{Stage, Step, beginning};

// What happens around it.
const TIME: u8 = 0;
const FEES: u8 = 1;
const TIP: u8 = 2;
const FUTURE: u8 = 3;
const RECORDED: u8 = 4;
const SPACE: u8 = 5;
const SPENT: u8 = 6;
/// The miner sets the custom job in the payload, and has declared it before.
const DECLARED: u8 = 7;

/// Channels that a connection may have.
const MAX_CHANNELS: usize = 6;
/// A target that every hash meets.
const EASY: [u8; 32] = [0xff; 32];
/// An address of regtest.
const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

/// The part of the search space with that prefix.
pub(crate) fn space(prefix: u8) -> ExtranonceSpace {
    ExtranonceSpace::new(&[prefix; 4], 16).expect("22 bytes fit")
}

/// What the first byte of a script asks for.
fn policy(bits: u8) -> Policy {
    let has = |bit: u8| bits & 1 << bit != 0;
    Policy {
        share_batch_size: 2,
        max_channels: MAX_CHANNELS,
        max_jobs: 3,
        vardiff: has(3),
        acknowledge: match has(4) {
            true => Acknowledge::Recorded,
            false => Acknowledge::AtOnce,
        },
        extensions: Extensions {
            supported: vec![WORKER_TRACKING],
            required: if has(5) {
                vec![WORKER_TRACKING]
            } else {
                vec![]
            },
        },
        job_declaration: has(6).then(secret),
        ..Policy::default()
    }
}

fn secret() -> Secret {
    Secret::new(&[3; 32])
}

/// A SetCustomMiningJob, with a token that fits it: no mutation would ever find one.
fn declared(mut payload: Vec<u8>) -> Option<(FrameHeader, Vec<u8>)> {
    let header = FrameHeader {
        extension: 0,
        channel_msg: true,
        msg_type: 0x22,
        len: payload.len(),
    };
    let payload = &mut payload[..];
    let received = message::decode(Frame { header, payload }).ok()?;
    let Received::Message(AnyMessage::Mining(Mining::SetCustomMiningJob(job))) = received else {
        return None;
    };
    let path: Vec<_> = job
        .merkle_path
        .iter()
        .map(|node| *node.as_array())
        .collect();
    let commitment = Commitment::declared(&CustomJob {
        version: job.version,
        prev_hash: job.prev_hash.as_array(),
        coinbase_tx_version: job.coinbase_tx_version,
        coinbase_prefix: job.coinbase_prefix.as_bytes(),
        coinbase_tx_input_sequence: job.coinbase_tx_input_n_sequence,
        coinbase_tx_outputs: job.coinbase_tx_outputs.as_bytes(),
        coinbase_tx_locktime: job.coinbase_tx_locktime,
        merkle_path: &path,
    });
    let token = Token {
        scope: Scope::Declared,
        expires: u64::MAX,
        id: [8; 16],
    };
    let token = token.issue(&secret(), &commitment);
    let mut job = job.into_owned();
    job.token = token.try_into().expect("a token fits");
    match Script(&frame(MiningOwned::SetCustomMiningJob(job))).next()? {
        Line::Frame(header, payload) => Some((header, payload)),
        Line::World(..) => None,
    }
}

/// The first byte is the miner's flags and the pool's policy; what follows is a script.
pub(crate) fn run(bytes: &[u8]) {
    play(bytes, |_| {});
}

fn play(bytes: &[u8], mut on_event: impl FnMut(&ServerEvent)) {
    let mut script = Script(bytes);
    let first = script.byte();
    let now = beginning();
    let mut templates = Templates::default();
    let work = templates.tip();
    let flags = u32::from(first) & SUPPORTED_FLAGS;
    let mut core = MiningServer::new(Arc::new(policy(first)), flags, space(0), work);
    core.connected(now);
    let mut stage = Stage::new(core, now);
    let (mut open, mut accepted, mut shown) = (0, 0, None);
    for line in script {
        let (step, request) = match line {
            Line::Frame(header, payload) => {
                let request = Request::read(header, payload.clone());
                (stage.hear(header, payload), request)
            }
            Line::World(TIME, payload) => {
                let time = Duration::from_millis(number(&payload) % 10_000_000);
                (stage.pass(time), None)
            }
            Line::World(FEES, _) => (stage.tell(ServerInput::Work(templates.fees())), None),
            Line::World(TIP, _) => (stage.tell(ServerInput::Work(templates.tip())), None),
            Line::World(FUTURE, _) => (stage.tell(ServerInput::Work(templates.future())), None),
            Line::World(RECORDED, _) => (stage.tell(ServerInput::Recorded(accepted)), None),
            Line::World(SPACE, payload) => {
                let space = space(number(&payload) as u8);
                (stage.tell(ServerInput::Space(space)), None)
            }
            Line::World(DECLARED, payload) => match declared(payload) {
                Some((header, payload)) => (stage.hear(header, payload), None),
                None => continue,
            },
            Line::World(SPENT, payload) => match shown.take() {
                Some(id) => {
                    let is_first = payload.is_empty();
                    (stage.tell(ServerInput::TokenSpent { id, is_first }), None)
                }
                None => continue,
            },
            Line::World(..) => continue,
        };
        for event in &step.events {
            on_event(event);
            match event {
                ServerEvent::Opened { .. } => open += 1,
                ServerEvent::Closed { .. } => open -= 1,
                ServerEvent::Accepted { .. } => accepted += 1,
                ServerEvent::TokenShown { id, .. } => shown = Some(*id),
                ServerEvent::Block { solution, .. } => assert_transaction(&solution.coinbase),
                ServerEvent::CustomBlock { block, .. } => assert_transaction(&block.coinbase),
                _ => {}
            }
        }
        assert_eq!(stage.core.channels(), open);
        assert!(open <= MAX_CHANNELS);
        check(&step, request);
        if step.is_closed {
            return;
        }
    }
}

fn assert_transaction(bytes: &[u8]) {
    let parsed = deserialize::<Transaction>(bytes);
    assert!(parsed.is_ok(), "{parsed:?}");
}

/// A message that has exactly one answer (CONN-22).
#[derive(Debug, Clone, Copy, PartialEq)]
enum Request {
    Open(u32),
    Share,
}

impl Request {
    fn read(header: FrameHeader, mut payload: Vec<u8>) -> Option<Self> {
        let payload = &mut payload[..];
        let received = message::decode(Frame { header, payload }).ok()?;
        let Received::Message(AnyMessage::Mining(message)) = received else {
            return None;
        };
        match message {
            Mining::OpenStandardMiningChannel(open) => Some(Self::Open(open.request_id)),
            Mining::OpenExtendedMiningChannel(open) => Some(Self::Open(open.request_id)),
            Mining::SubmitSharesStandard(_) | Mining::SubmitSharesExtended(_) => Some(Self::Share),
            _ => None,
        }
    }
}

fn check(step: &Step<ServerEvent>, request: Option<Request>) {
    let mut opens = Vec::new();
    for said in &step.said {
        let Message::Mining(said) = said else {
            panic!("a pool does not say {said}");
        };
        match said {
            MiningOwned::OpenStandardMiningChannelSuccess(answer) => opens.push(answer.request_id),
            MiningOwned::OpenExtendedMiningChannelSuccess(answer) => opens.push(answer.request_id),
            MiningOwned::OpenMiningChannelError(answer) => opens.push(answer.request_id),
            MiningOwned::OpenStandardMiningChannel(_)
            | MiningOwned::OpenExtendedMiningChannel(_)
            | MiningOwned::UpdateChannel(_)
            | MiningOwned::SubmitSharesStandard(_)
            | MiningOwned::SubmitSharesExtended(_)
            | MiningOwned::SetCustomMiningJob(_) => panic!("a pool does not say {said}"),
            _ => {}
        }
    }
    let is_judged = |event: &&ServerEvent| {
        matches!(
            event,
            ServerEvent::Accepted { .. } | ServerEvent::Rejected { .. }
        )
    };
    let judged = step.events.iter().filter(is_judged).count();
    match request {
        Some(Request::Open(id)) if !step.is_closed => assert_eq!(opens, [id]),
        Some(Request::Share) if !step.is_closed => assert_eq!(judged, 1),
        Some(_) => {}
        None => assert_eq!((opens.len(), judged), (0, 0)),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let standard = frame(MiningOwned::OpenStandardMiningChannel(
        OpenStandardMiningChannelOwned {
            request_id: 8,
            user_identity: text("miner"),
            nominal_hash_rate: 0.01,
            max_target: EASY.into(),
        },
    ));
    let extended = |name: &str, nominal_hash_rate| {
        frame(MiningOwned::OpenExtendedMiningChannel(
            OpenExtendedMiningChannelOwned {
                request_id: 9,
                user_identity: text(name),
                nominal_hash_rate,
                max_target: EASY.into(),
                min_extranonce_size: 8,
            },
        ))
    };
    let opened = [
        standard.clone(),
        extended("miner", 0.01),
        extended(&format!("sri/solo/{ADDRESS}/rig"), 1e12),
    ]
    .concat();
    let second = Duration::from_secs(1).as_millis() as u16;
    let later = world(TIME, &second.to_le_bytes());
    let happenings = [FEES, FUTURE, TIP, FEES, RECORDED, SPACE, TIP].map(|what| world(what, &[7]));
    let scripts = [
        [
            opened.clone(),
            shares(2, 1),
            later.clone(),
            happenings.concat(),
        ]
        .concat(),
        [
            happenings.concat(),
            opened.clone(),
            shares(2, 1),
            later.clone(),
        ]
        .concat(),
        [opened.clone(), changes(), later.clone(), shares(3, 2)].concat(),
        [negotiation(), opened.clone(), named_share(), later.clone()].concat(),
        [
            extended("miner", 0.01),
            custom_job(),
            world(DECLARED, &custom_job()[6..]),
        ]
        .concat(),
        [
            extended("miner", 0.01),
            world(DECLARED, &custom_job()[6..]),
            world(SPENT, &[]),
            frame(extended_share(2, 1)),
            world(TIP, &[]),
            later.clone(),
        ]
        .concat(),
        [
            line(0, 0x7f, &[1; 9]),
            line(0x4abc, 0, &[]),
            line(0, 0x72, &[0; 8]),
        ]
        .concat(),
    ];
    // Every flag and every policy by itself, and none.
    let firsts = [0, 1, 4, 8, 16, 32, 64 | 2];
    let seed = |first: u8, script: &Vec<u8>| [&[first][..], script].concat();
    firsts
        .into_iter()
        .flat_map(|first| scripts.iter().map(move |script| seed(first, script)))
        .collect()
}

/// Shares of both kinds for that channel and job, and one of them twice.
fn shares(channel_id: u32, job_id: u32) -> Vec<u8> {
    let standard = |nonce| {
        frame(MiningOwned::SubmitSharesStandard(SubmitSharesStandard {
            channel_id,
            sequence_number: nonce,
            job_id,
            nonce,
            ntime: Templates::TIME,
            version: Templates::VERSION,
        }))
    };
    let mut shares: Vec<u8> = [1, 2, 3, 3].map(standard).concat();
    shares.extend(frame(extended_share(channel_id + 1, job_id + 1)));
    shares
}

fn extended_share(channel_id: u32, job_id: u32) -> MiningOwned {
    MiningOwned::SubmitSharesExtended(SubmitSharesExtendedOwned {
        channel_id,
        sequence_number: 0,
        job_id,
        nonce: 5,
        ntime: Templates::TIME + 1,
        version: Templates::VERSION,
        extranonce: vec![6; 16].try_into().expect("16 bytes fit"),
    })
}

/// With the name of its worker behind it.
fn named_share() -> Vec<u8> {
    let mut share = frame(extended_share(3, 2));
    share.extend([2, 0, 1, 4, 0]);
    share.extend(b"rig1");
    // The length of the payload, in the fourth byte of the frame.
    share[3] += 9;
    share
}

fn negotiation() -> Vec<u8> {
    line(1, 0, &[9, 0, 1, 0, 2, 0])
}

fn changes() -> Vec<u8> {
    let update = UpdateChannelOwned {
        channel_id: 2,
        nominal_hash_rate: 1e9,
        maximum_target: EASY.into(),
    };
    let close = CloseChannelOwned {
        channel_id: 1,
        reason_code: text("shutdown"),
    };
    [
        frame(MiningOwned::UpdateChannel(update)),
        frame(MiningOwned::CloseChannel(close)),
    ]
    .concat()
}

fn custom_job() -> Vec<u8> {
    let output = TxOut {
        value: Amount::from_sat(5_000_000_000),
        script_pubkey: plan().reward_script,
    };
    frame(MiningOwned::SetCustomMiningJob(SetCustomMiningJobOwned {
        channel_id: 2,
        request_id: 5,
        token: vec![1; 58].try_into().expect("58 bytes fit"),
        version: Templates::VERSION,
        prev_hash: [1; 32].into(),
        min_ntime: Templates::TIME,
        nbits: Templates::N_BITS,
        coinbase_tx_version: 2,
        coinbase_prefix: vec![1, 102].try_into().expect("2 bytes fit"),
        coinbase_tx_input_n_sequence: 0,
        coinbase_tx_outputs: serialize(&vec![output]).try_into().expect("one fits"),
        coinbase_tx_locktime: 0,
        merkle_path: vec![].try_into().expect("nothing fits"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_get_as_far_as_blocks() {
        let (mut accepted, mut blocks, mut named, mut custom) = (0, 0, 0, 0);
        for seed in seeds() {
            play(&seed, |event| match event {
                ServerEvent::Accepted { worker, .. } => {
                    accepted += 1;
                    named += usize::from(worker.is_some());
                }
                ServerEvent::Block { .. } => blocks += 1,
                ServerEvent::CustomJobSet { .. } => custom += 1,
                _ => {}
            });
        }
        assert!(accepted > 0 && blocks > 0 && named > 0 && custom > 0);
    }
}
