//! One miner of a translator, whose bytes come in pieces of any size while jobs come and go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::stream::StreamCore;
use protocol::client::{Assignment, MerkleSource};
use protocol::core::{Now, Outbox};
use protocol::target::Target;
use sv1::dialogue::{Dialogue, Turn};
use sv1::{Extranonce, FromServer};
use translator::miner::{Miner, MinerEvent, MinerInput};
use translator::policy::Policy;
use translator::work::{CurrentWork, Origin, Work};

/// A byte that is no text ends a piece, and says what happens before the next one.
const EVENTS: u8 = 0xf8;

/// What miners say, with something happening between any two lines.
pub(crate) fn run(bytes: &[u8]) {
    let mut now = Now {
        instant: Instant::now(),
        unix: 1_800_000_000,
    };
    let mut miner = Miner::new(Arc::new(Policy::default()));
    let mut out = Outbox::default();
    let mut id = 0;
    miner.input(now, MinerInput::Work(work(1)), &mut out);
    for piece in bytes.split_inclusive(|byte| *byte >= EVENTS) {
        let (said, event) = match piece.split_last() {
            Some((event, said)) if *event >= EVENTS => (said, Some(*event)),
            _ => (piece, None),
        };
        miner.received(now, said, &mut out);
        match event.map(|event| event & 7) {
            Some(0) => miner.input(now, MinerInput::Work(None), &mut out),
            Some(1..=3) => {
                id += 1;
                miner.input(now, MinerInput::Work(work(id)), &mut out);
            }
            Some(_) => {
                now.instant += Duration::from_secs(61);
                now.unix += 61;
                miner.wake(now, &mut out);
            }
            None => {}
        }
        for event in out.take_events().collect::<Vec<_>>() {
            if let MinerEvent::Subscribe(_) = event {
                let seat = Extranonce::new(&[0, 0, 0, 7]).expect("four bytes fit");
                miner.input(now, MinerInput::Seated(seat), &mut out);
            }
        }
        check(out.frames());
        if out.take_close().is_some() {
            return;
        }
    }
}

/// Whatever is said is a line that a miner can read.
fn check(said: &mut Vec<u8>) {
    for line in std::mem::take(said).split(|byte| *byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        match sv1::from_server(line) {
            Ok(FromServer::Reply(..) | FromServer::Notice(..)) => {}
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(line)),
        }
    }
}

fn work(id: u32) -> CurrentWork {
    let assignment = Assignment {
        channel_id: 1,
        job_id: id,
        prev_hash: [(id / 2) as u8; 32],
        n_bits: 0x1700_ffff,
        min_ntime: 1_800_000_000,
        version: 0x2000_0000,
        version_mask: if id.is_multiple_of(3) { 0 } else { 0x1fff_ffe0 },
        merkle: MerkleSource::Coinbase {
            prefix: vec![1; 40],
            suffix: vec![2; 40],
            path: vec![[3; 32]],
            extranonce_size: 9,
        },
        target: Target::one_in(2.0)?,
        received: Now {
            instant: Instant::now(),
            unix: 1_800_000_000,
        },
    };
    let origin = Origin {
        upstream: 0,
        session: 1,
        channel_id: 1,
        job_id: id,
    };
    Work::new(id, origin, &assignment, 4, id.is_multiple_of(2)).map(Arc::new)
}

/// What common firmware says.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let miner = |turn: &Turn| match turn {
        Turn::Miner(line) => Some([line.as_bytes(), b"\n\xf9"].concat()),
        Turn::Server(_) => None,
    };
    let all = Dialogue::all().into_iter();
    all.map(|dialogue| dialogue.turns.iter().filter_map(miner).flatten().collect())
        .collect()
}
