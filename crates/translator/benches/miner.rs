//! What one miner costs: from a submitted line to the verdict, and from a job to the lines of ten
//! thousand miners.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::sync::Arc;
use std::time::Instant;

use daemon::stream::StreamCore;
use divan::{Bencher, black_box};
use protocol::client::{Assignment, MerkleSource};
use protocol::core::{Now, Outbox};
use protocol::target::Target;
use sv1::Extranonce;
use translator::miner::{Miner, MinerEvent, MinerInput};
use translator::policy::Policy;
use translator::work::{Origin, Work};

const NTIME: u32 = 1_800_000_000;

fn main() {
    divan::main();
}

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: u64::from(NTIME),
    }
}

/// A job with a coinbase and a merkle path as on mainnet.
fn work(id: u32) -> Arc<Work> {
    let assignment = Assignment {
        channel_id: 1,
        job_id: id,
        prev_hash: [id as u8; 32],
        n_bits: 0x1700_ffff,
        min_ntime: NTIME,
        version: 0x2000_0000,
        version_mask: 0x1fff_ffe0,
        merkle: MerkleSource::Coinbase {
            prefix: vec![0x11; 110],
            suffix: vec![0x22; 150],
            path: vec![[7; 32]; 12],
            extranonce_size: 8,
        },
        target: Target::MAX,
        received: now(),
    };
    let origin = Origin {
        upstream: 0,
        session: 1,
        channel_id: 1,
        job_id: id,
    };
    Arc::new(Work::new(id, origin, &assignment, 4, true).unwrap())
}

/// A miner that has subscribed and authorized a worker.
fn miner(policy: &Arc<Policy>, number: u32, out: &mut Outbox<MinerEvent>) -> Miner {
    let mut miner = Miner::new(Arc::clone(policy));
    let calls = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"bench/1\"]}\n\
        {\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"farm.rig\",\"x\"]}\n";
    miner.received(now(), calls, out);
    let extranonce1 = Extranonce::new(&number.to_be_bytes()).unwrap();
    miner.input(now(), MinerInput::Seated(extranonce1), out);
    emptied(out);
    miner
}

/// As the edge does after each step.
fn emptied(out: &mut Outbox<MinerEvent>) -> usize {
    let said = out.frames().len();
    *out.frames() = Vec::new();
    out.take_events().for_each(drop);
    said
}

#[divan::bench]
fn submit_to_verdict(bencher: Bencher<'_, '_>) {
    let policy = Arc::new(Policy {
        // Whatever comes of it, no new job is to.
        vardiff: false,
        ..Policy::default()
    });
    let mut out = Outbox::default();
    let mut miner = miner(&policy, 1, &mut out);
    miner.input(now(), MinerInput::Work(Some(work(1))), &mut out);
    emptied(&mut out);
    let mut nonce = 0u32;
    bencher
        .with_inputs(|| {
            nonce += 1;
            let submit = format!(
                "{{\"id\":{nonce},\"method\":\"mining.submit\",\"params\":[\"farm.rig\",\"1\",\"00000001\",\"{NTIME:08x}\",\"{nonce:08x}\"]}}\n"
            );
            (submit, now())
        })
        .bench_local_values(|(submit, now)| {
            miner.received(now, submit.as_bytes(), &mut out);
            emptied(&mut out)
        });
}

#[divan::bench(sample_count = 20)]
fn a_job_for_ten_thousand_miners(bencher: Bencher<'_, '_>) {
    let policy = Arc::new(Policy::default());
    let mut out = Outbox::default();
    let mut miners: Vec<Miner> = (0..10_000)
        .map(|number| miner(&policy, number, &mut out))
        .collect();
    let mut id = 0;
    bencher
        .with_inputs(|| {
            id += 1;
            (work(id), now())
        })
        .bench_local_values(|(work, now)| {
            for miner in &mut miners {
                miner.input(now, MinerInput::Work(Some(Arc::clone(&work))), &mut out);
                black_box(emptied(&mut out));
            }
        });
}
