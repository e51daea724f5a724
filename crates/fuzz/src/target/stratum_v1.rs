//! Stratum V1: lines off a stream, and what either side makes of them.

use protocol::client::{FoundShare, MerkleSource};
use protocol::core::Outbox;
use sv1::client::{Event, Identity, Miner};
use sv1::dialogue::{Dialogue, Turn};
use sv1::{Configured, FromMiner, FromServer, Id, Lines, Subscribed, from_miner, from_server};

use crate::script::Script;
use crate::stage::beginning;

/// Short enough that mutations reach it.
const LIMIT: usize = 4096;

/// The first byte is how many bytes arrive at once, then come they.
pub(crate) fn run(bytes: &[u8]) {
    let mut script = Script(bytes);
    let step = usize::from(script.byte()).max(1);
    let mut lines = Lines::new(LIMIT);
    let mut miner = miner();
    let mut out = Outbox::default();
    miner.connected(beginning(), &mut out);
    for arrived in script.0.chunks(step) {
        lines.push(arrived);
        loop {
            match lines.next_line() {
                Ok(Some(line)) => {
                    hear(line);
                    miner.received(beginning(), line, &mut out);
                    mine(&mut miner, &mut out);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

fn miner() -> Miner {
    let identity = Identity {
        user: "account.worker".to_owned(),
        password: "x".to_owned(),
        agent: "fuzz/1".to_owned(),
        wanted_difficulty: Some(1e-9),
    };
    Miner::new(identity, "127.0.0.1", 0)
}

/// Finds a share of every job; all that is said must be lines that a server understands.
fn mine(miner: &mut Miner, out: &mut Outbox<Event>) {
    let events: Vec<Event> = out.take_events().collect();
    for event in events {
        let Event::Mine(assignment) = event else {
            continue;
        };
        let MerkleSource::Coinbase {
            extranonce_size, ..
        } = assignment.merkle
        else {
            panic!("without a coinbase");
        };
        let share = FoundShare {
            channel_id: assignment.channel_id,
            job_id: assignment.job_id,
            nonce: 7,
            ntime: assignment.min_ntime,
            version: assignment.version,
            extranonce: vec![0; extranonce_size],
            hash: [0; 32],
            worker: None,
            origin: 0,
        };
        miner.found(beginning(), share, out);
        let answer = out.take_events().next();
        assert!(matches!(answer, Some(Event::Submitted(_))), "{answer:?}");
    }
    for line in std::mem::take(out.frames()).split_inclusive(|byte| *byte == b'\n') {
        from_miner(line_of(line)).expect("understood");
    }
    out.take_close();
}

/// What is understood must mean the same when it is said again.
fn hear(line: &[u8]) {
    assert!(!line.is_empty() && line.len() <= LIMIT);
    let mut again = Vec::new();
    if let Ok(FromMiner::Call(_, call)) = from_miner(line) {
        call.write(&Id::Null, &mut again);
        assert_eq!(
            from_miner(line_of(&again)),
            Ok(FromMiner::Call(Id::Null, call))
        );
        again.clear();
    }
    match from_server(line) {
        Ok(FromServer::Notice(_, notice)) => {
            notice.write(&Id::Null, &mut again);
            let expected = FromServer::Notice(Id::Null, notice);
            assert_eq!(from_server(line_of(&again)), Ok(expected));
        }
        Ok(FromServer::Reply(_, Ok(result))) => {
            let _ = Configured::read(result.clone());
            let _ = Subscribed::read(result);
        }
        Ok(FromServer::Reply(_, Err(_))) | Err(_) => {}
    }
}

/// One line, and no more than one.
fn line_of(written: &[u8]) -> &[u8] {
    let line = written.strip_suffix(b"\n").expect("a whole line");
    assert!(!line.contains(&b'\n'));
    line
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let seed = |dialogue: Dialogue| {
        let mut seed = vec![7];
        // What lets a miner in, whatever comes then.
        seed.extend_from_slice(b"{\"id\":2,\"result\":[[],\"aabb\",4]}\n");
        seed.extend_from_slice(b"{\"id\":4,\"result\":true}\n");
        for turn in dialogue.turns {
            let (Turn::Miner(line) | Turn::Server(line)) = turn;
            seed.extend_from_slice(line.as_bytes());
            seed.extend_from_slice(b"\r\n");
        }
        seed
    };
    Dialogue::all().into_iter().map(seed).collect()
}
