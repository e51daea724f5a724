//! Hashes a second of one thread, by kernel, beside a loop over the `sha2` crate.
//!
//! `cargo bench -p mining-device` prints them in the column of items per second. Measured, in millions
//! for each second of processor time of one thread:
//!
//! | kernel | AMD EPYC (Zen 5) | Intel with AVX-512 |
//! |---|---|---|
//! | `avx512` | 43 | 31 |
//! | `sha-ni` | 30 | 14 |
//! | `avx2` | 15 | 11 |
//! | `portable` | 2.8 | 2.6 |
//! | plain `sha2` | 6 | 6 |
//!
//! Of the 128 rounds of a double hash six are left out: the first three do not depend on the nonce,
//! and what is compared does not depend on the last three. Two AVX-512 batches side by side gain
//! nothing (40): their states and schedules need more registers than there are.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use mining_device::kernel::{Kernel, Search};
use protocol::target::Target;
use sha2::{Digest, Sha256};

const NONCES: u32 = 1 << 18;

fn main() {
    divan::main();
}

fn names() -> Vec<&'static str> {
    Kernel::available().into_iter().map(Kernel::name).collect()
}

#[divan::bench(args = names())]
fn kernel(bencher: Bencher, name: &str) {
    let kernel: Kernel = name.parse().expect("it is available");
    // No hash meets it, so each scan does all nonces.
    let search = Search::new(&[7; 80], Target::from_le_bytes([0; 32]));
    bencher
        .counter(ItemsCount::new(NONCES))
        .bench(|| kernel.scan(black_box(&search), 0, NONCES));
}

#[divan::bench]
fn plain_sha2(bencher: Bencher) {
    let nonces = NONCES / 16;
    bencher.counter(ItemsCount::new(nonces)).bench(|| {
        let mut header = black_box([7; 80]);
        (0..nonces).fold(0, |seen, nonce| {
            header[76..].copy_from_slice(&nonce.to_le_bytes());
            seen ^ Sha256::digest(Sha256::digest(header))[31]
        })
    });
}
