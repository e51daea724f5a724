//! What a line costs: a share is read and answered thousands of times a second, a job is written
//! once for all miners.

use divan::Bencher;
use sv1::{Answer, Id, Lines, Notice, Notify, from_miner, from_server};

fn main() {
    divan::main();
}

const SUBMIT: &[u8] = br#"{"id": 4, "method": "mining.submit", "params": ["account.worker", "5f", "01000000", "65000001", "1b5f3c00", "00006000"]}"#;

/// With the sizes of a full block.
fn job() -> Notice<'static> {
    Notice::Notify(Notify {
        job_id: "5f".to_owned(),
        prev_hash: [7; 32],
        coinb1: vec![1; 70],
        coinb2: vec![2; 90],
        merkle_path: vec![[3; 32]; 12],
        version: 0x2000_0000,
        n_bits: 0x1702_3a04,
        ntime: 0x6500_0000,
        clean_jobs: true,
    })
}

#[divan::bench]
fn share_off_the_wire(bencher: Bencher<'_, '_>) {
    let bytes = [SUBMIT, b"\n"].concat();
    let mut lines = Lines::new(16 * 1024);
    bencher.bench_local(|| {
        lines.push(divan::black_box(&bytes));
        let line = lines.next_line().unwrap_or_default().unwrap_or_default();
        from_miner(line).is_ok()
    });
}

#[divan::bench]
fn share_answered(bencher: Bencher<'_, '_>) {
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        Answer::True.write(divan::black_box(&Id::Number(4)), &mut out);
    });
}

#[divan::bench]
fn job_written(bencher: Bencher<'_, '_>) {
    let job = job();
    bencher.bench_local(|| divan::black_box(&job).line());
}

#[divan::bench]
fn job_read(bencher: Bencher<'_, '_>) {
    let line = job().line();
    bencher.bench_local(|| from_server(divan::black_box(&line)).is_ok());
}

#[divan::bench]
fn header_of_a_share(bencher: Bencher<'_, '_>) {
    let Notice::Notify(job) = job() else { return };
    bencher.bench_local(|| {
        let extranonce: [&[u8]; 2] = [&[0; 8], &[1; 4]];
        divan::black_box(&job).header(&extranonce, 0x2000_6000, 0x6500_0001, 7)
    });
}

#[divan::bench(args = [1e-9, 512.0, 1e14])]
fn target_of_a_difficulty(difficulty: f64) -> Option<protocol::target::Target> {
    sv1::difficulty::target(divan::black_box(difficulty))
}
