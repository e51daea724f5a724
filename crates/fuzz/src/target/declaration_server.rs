//! A job declarator server's core for one client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::consensus::deserialize;
use bitcoin::hex::FromHex;
use bitcoin::{Block, Network, ScriptBuf};
use jds::core::{DeclarationServer, Event, Input, Judgement, NodeView, Policy, Tip};
use jds::transaction::Transaction;
use protocol::frame::{Frame, FrameHeader};
use protocol::message::declaration::{
    AllocateMiningJobTokenOwned, DeclareMiningJobOwned, ProvideMissingTransactionsSuccessOwned,
    PushSolutionOwned,
};
use protocol::message::{
    self, AnyMessage, JobDeclaration, JobDeclarationOwned, Message, Received, text,
};
use protocol::setup::DECLARE_TX_DATA;
use protocol::token::Secret;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::coinbase;
use crate::script::{Line, Script, frame, number, world};
use crate::stage::{Stage, beginning};

// What happens around it.
const TIME: u8 = 0;
const NODE: u8 = 1;
const FOUND: u8 = 2;
const JUDGED: u8 = 3;
const MINED: u8 = 5;
/// The client declares the job in the payload with a token that it was given.
const DECLARE: u8 = 4;

const N_BITS: u32 = 0x207f_ffff;
const VERSION: u32 = 0x2000_0000;
/// Of the block that jobs are for.
const HEIGHT: u8 = 102;
/// Pays anybody.
const SCRIPT: [u8; 1] = [0x51];

fn policy() -> Policy {
    Policy {
        secret: Secret::new(&[3; 32]),
        payout: ScriptBuf::from_bytes(SCRIPT.to_vec()),
        network: Network::Regtest,
        token_lifetime: Duration::from_secs(3600),
        tokens_per_minute: 20,
        max_declarations: 3,
        missing_timeout: Duration::from_secs(30),
        idle: Duration::from_secs(300),
    }
}

/// Builds on the block with that name.
fn tip(name: u8, height: u32) -> NodeView {
    NodeView::At(Tip {
        hash: [name; 32],
        height,
        n_bits: N_BITS,
        median_time: 1_700_000_000,
    })
}

/// The transaction that everybody knows.
fn transaction() -> Transaction {
    let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
    let bytes = bitcoin::consensus::serialize(&genesis.txdata[0]);
    Transaction::parse(bytes).expect("just serialised")
}

/// The first byte is the client's flags; what follows is a script.
pub(crate) fn run(bytes: &[u8]) {
    play(bytes, |_| {});
}

fn play(bytes: &[u8], mut on_event: impl FnMut(&Event)) {
    let mut script = Script(bytes);
    let flags = u32::from(script.byte());
    let now = beginning();
    let node = tip(1, u32::from(HEIGHT) - 1);
    let ids = StdRng::seed_from_u64(1);
    let core = DeclarationServer::new(Arc::new(policy()), flags, node, ids, now);
    let mut stage = Stage::new(core, now);
    let (mut lookups, mut proposals) = (VecDeque::new(), VecDeque::new());
    let mut overtaken = VecDeque::new();
    let (mut tokens, mut open) = (VecDeque::new(), 0usize);
    for line in script {
        let step = match line {
            Line::Frame(header, payload) => {
                open += usize::from(read(header, payload.clone()).is_some());
                stage.hear(header, payload)
            }
            Line::World(DECLARE, payload) => match declared(payload, &mut tokens) {
                Some((header, payload)) => {
                    open += 1;
                    stage.hear(header, payload)
                }
                None => continue,
            },
            Line::World(TIME, payload) => {
                stage.pass(Duration::from_millis(number(&payload) % 1_000_000))
            }
            Line::World(NODE, payload) => stage.tell(Input::Node(view(&payload))),
            Line::World(FOUND, payload) => match lookups.pop_front() {
                Some(lookup) => stage.tell(found(lookup, !payload.is_empty())),
                None => continue,
            },
            Line::World(JUDGED, payload) => match proposals.pop_front() {
                Some(number) => stage.tell(Input::Judged {
                    number,
                    judgement: judgement(&payload),
                }),
                None => continue,
            },
            Line::World(MINED, payload) => match overtaken.pop_front() {
                Some(number) => stage.tell(Input::Mined {
                    number,
                    block: deserialize::<Block>(&payload).ok().map(Arc::new),
                }),
                None => continue,
            },
            Line::World(..) => continue,
        };
        for said in step.said {
            tokens.extend(token(said));
        }
        for event in step.events {
            on_event(&event);
            match event {
                Event::Lookup { number, wtxids } => lookups.push_back((number, wtxids)),
                Event::Propose { number, block } => {
                    assert_block(&block);
                    proposals.push_back(number);
                }
                Event::Overtaken { number, .. } => overtaken.push_back(number),
                Event::Solved { block, .. } => assert_block(&block),
                Event::Decided(report) => {
                    assert!(open > 0, "an answer to nothing: {report:?}");
                    open -= 1;
                }
                _ => {}
            }
        }
        if step.is_closed {
            return;
        }
    }
}

/// A token that was handed out; what a server does not say is found out here.
fn token(said: Message) -> Option<Vec<u8>> {
    use JobDeclarationOwned as Of;
    match said {
        Message::JobDeclaration(Of::AllocateMiningJobTokenSuccess(success)) => {
            Some(success.mining_job_token.as_bytes().to_vec())
        }
        Message::JobDeclaration(
            Of::DeclareMiningJobSuccess(_)
            | Of::DeclareMiningJobError(_)
            | Of::ProvideMissingTransactions(_),
        ) => None,
        other => panic!("a server does not say {other}"),
    }
}

fn read(header: FrameHeader, mut payload: Vec<u8>) -> Option<DeclareMiningJobOwned> {
    let payload = &mut payload[..];
    match message::decode(Frame { header, payload }).ok()? {
        Received::Message(AnyMessage::JobDeclaration(JobDeclaration::DeclareMiningJob(job))) => {
            Some(job.into_owned())
        }
        _ => None,
    }
}

fn declared(payload: Vec<u8>, tokens: &mut VecDeque<Vec<u8>>) -> Option<(FrameHeader, Vec<u8>)> {
    let header = FrameHeader {
        extension: 0,
        channel_msg: false,
        msg_type: 0x57,
        len: payload.len(),
    };
    let mut job = read(header, payload)?;
    job.mining_job_token = tokens.pop_front()?.try_into().expect("a token fits");
    match Script(&frame(JobDeclarationOwned::DeclareMiningJob(job))).next()? {
        Line::Frame(header, payload) => Some((header, payload)),
        Line::World(..) => None,
    }
}

fn view(payload: &[u8]) -> NodeView {
    match payload {
        [] => NodeView::Syncing,
        [0, ..] => NodeView::Away {
            reason: "killed".to_owned(),
        },
        [name, height @ ..] => tip(*name, number(height) as u32),
    }
}

fn found((number, wtxids): (u64, Arc<[[u8; 32]]>), is_known: bool) -> Input {
    let known = Arc::new(transaction());
    let find = |wtxid: &[u8; 32]| (is_known && *wtxid == known.wtxid()).then(|| Arc::clone(&known));
    Input::Found {
        number,
        transactions: wtxids.iter().map(find).collect(),
    }
}

fn judgement(payload: &[u8]) -> Judgement {
    match payload.first() {
        None => Judgement::Valid,
        Some(0) => Judgement::NotBest,
        Some(1) => Judgement::Invalid("bad-txns".to_owned()),
        Some(_) => Judgement::Unavailable("killed".to_owned()),
    }
}

/// What the node is given is a block.
fn assert_block(block: &jds::block::Block) {
    let bytes = Vec::<u8>::from_hex(&block.to_hex()).expect("hexadecimal digits");
    let parsed = deserialize::<Block>(&bytes);
    assert!(
        parsed.as_ref().is_ok_and(Block::check_merkle_root),
        "{parsed:?}"
    );
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let allocate = frame(JobDeclarationOwned::AllocateMiningJobToken(
        AllocateMiningJobTokenOwned {
            user_identifier: text("miner"),
            request_id: 1,
        },
    ));
    let declare = |transactions| {
        let declare = JobDeclarationOwned::DeclareMiningJob(job(transactions));
        world(DECLARE, &frame(declare)[protocol::frame::HEADER_LEN..])
    };
    let started = |transactions| [allocate.clone(), declare(transactions)].concat();
    let (known, unknown) = (world(FOUND, &[1]), world(FOUND, &[]));
    let (valid, moved) = (world(JUDGED, &[]), world(JUDGED, &[0]));
    let next = world(NODE, &[2, HEIGHT]);
    let later = world(TIME, &40_000u32.to_le_bytes());
    let scripts = [
        [started(0), valid.clone(), solutions()].concat(),
        [
            started(1),
            known.clone(),
            valid.clone(),
            solutions(),
            next.clone(),
        ]
        .concat(),
        [
            started(1),
            unknown.clone(),
            provide(),
            valid.clone(),
            started(1),
            known,
        ]
        .concat(),
        [
            started(0),
            next.clone(),
            world(MINED, &mined()),
            solutions(),
        ]
        .concat(),
        [started(0), next.clone(), world(MINED, &[])].concat(),
        [started(1), unknown, later, started(0), moved, next, valid].concat(),
        [
            world(NODE, &[0]),
            started(0),
            world(NODE, &[]),
            world(NODE, &[9, HEIGHT - 1]),
        ]
        .concat(),
        [
            allocate.repeat(25),
            frame(JobDeclarationOwned::DeclareMiningJob(job(0))),
        ]
        .concat(),
    ];
    let seed = |first: u8, script: &Vec<u8>| [&[first][..], script].concat();
    [0, DECLARE_TX_DATA as u8]
        .into_iter()
        .flat_map(|first| scripts.iter().map(move |script| seed(first, script)))
        .collect()
}

fn job(transactions: usize) -> DeclareMiningJobOwned {
    let (prefix, suffix) = coinbase::parts(true, HEIGHT, &SCRIPT);
    let wtxids = vec![transaction().wtxid().into(); transactions];
    DeclareMiningJobOwned {
        request_id: 5,
        mining_job_token: vec![].try_into().expect("nothing fits"),
        version: VERSION,
        coinbase_tx_prefix: prefix.try_into().expect("a coinbase fits"),
        coinbase_tx_suffix: suffix.try_into().expect("a coinbase fits"),
        wtxid_list: wtxids.try_into().expect("few fit"),
        excess_data: vec![].try_into().expect("nothing fits"),
    }
}

/// A block of the job without transactions.
fn mined() -> Vec<u8> {
    let (prefix, suffix) = coinbase::parts(true, HEIGHT, &SCRIPT);
    let (version, bits) = (VERSION.to_le_bytes(), N_BITS.to_le_bytes());
    let (hashes, time, nonce, count) = ([[1; 32]; 2], [0; 4], [0; 4], [1]);
    let header = [&version[..], hashes.as_flattened(), &time, &bits, &nonce].concat();
    [&header[..], &count, &prefix, &[7; 8], &suffix].concat()
}

fn provide() -> Vec<u8> {
    let list = vec![transaction().bytes().to_vec().try_into().expect("one fits")];
    frame(JobDeclarationOwned::ProvideMissingTransactionsSuccess(
        ProvideMissingTransactionsSuccessOwned {
            request_id: 5,
            transaction_list: list.try_into().expect("one fits"),
        },
    ))
}

/// Half of all hashes are blocks.
fn solutions() -> Vec<u8> {
    let solution = |nonce| {
        frame(JobDeclarationOwned::PushSolution(PushSolutionOwned {
            extranonce: vec![7; 8].try_into().expect("8 bytes fit"),
            prev_hash: [1; 32].into(),
            nonce,
            ntime: 1_800_000_001,
            nbits: N_BITS,
            version: VERSION,
        }))
    };
    (0..6).flat_map(solution).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_get_as_far_as_blocks() {
        let (mut declared, mut refused, mut solved) = (0, 0, 0);
        for seed in seeds() {
            play(&seed, |event| match event {
                Event::Decided(report) if report.refusal.is_none() => declared += 1,
                Event::Decided(_) => refused += 1,
                Event::Solved { .. } => solved += 1,
                _ => {}
            });
        }
        assert!(declared > 3 && refused > 0 && solved > 0);
    }
}
