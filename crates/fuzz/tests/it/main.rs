//! Every target over its seeds, its corpus and some thousand mutations of both.
//!
//! The mutations are the same on every run; `FUZZ_SEED=n` makes others. What a target fails on is
//! printed, to be put into a file of its corpus.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fuzz::Target;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// Mutations of each target's inputs.
const MUTATIONS: usize = 2000;
/// Bytes of an input at most, as libFuzzer has it by default.
const MAX_LEN: usize = 4096;

fn inputs(target: &Target) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut inputs = (target.seeds)();
    assert!(!inputs.is_empty(), "{} has no seeds", target.name);
    let files = std::fs::read_dir(directory.join(target.name));
    let mut paths: Vec<_> = files
        .into_iter()
        .flatten()
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    inputs.extend(paths.iter().map(|path| std::fs::read(path).unwrap()));
    inputs
}

/// What libFuzzer does as well, without looking at what it leads to.
fn mutated(inputs: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = inputs.choose(rng).unwrap().clone();
    for _ in 0..rng.gen_range(1..4) {
        let at = rng.gen_range(0..=bytes.len());
        let end = rng.gen_range(at..=bytes.len().min(at + 40));
        match rng.gen_range(0..7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 => {
                let other = inputs.choose(rng).unwrap();
                bytes.truncate(at);
                bytes.extend_from_slice(&other[at.min(other.len())..]);
            }
            4 => bytes.insert(at, rng.r#gen()),
            5 if at < bytes.len() => bytes[at] ^= 1 << rng.gen_range(0..8),
            _ => {
                let extreme = *[0, 1, 0x7f, 0x80, 0xff].choose(rng).unwrap();
                bytes[at..end].fill(extreme);
            }
        }
    }
    bytes.truncate(MAX_LEN);
    bytes
}

fn check(target: &Target) {
    let inputs = inputs(target);
    let seed = std::env::var("FUZZ_SEED").map_or(0, |seed| seed.parse().unwrap());
    let rng = &mut StdRng::seed_from_u64(seed);
    let mutations: Vec<_> = (0..MUTATIONS).map(|_| mutated(&inputs, rng)).collect();
    for input in inputs.iter().chain(&mutations) {
        let run = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(run.is_ok(), "{} fails on {hex}", target.name);
    }
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                check(Target::named(stringify!($name)).unwrap());
            }
        )*

        #[test]
        fn every_target_and_every_corpus_is_run() {
            let tests = [$(stringify!($name)),*];
            assert_eq!(tests, Target::ALL.map(|target| target.name));
            let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
            for directory in std::fs::read_dir(corpus).into_iter().flatten() {
                let name = directory.unwrap().file_name().into_string().unwrap();
                assert!(tests.contains(&name.as_str()), "corpus/{name} belongs to no target");
            }
        }
    };
}

tests![
    coinbase,
    custom_work_client,
    declaration_client,
    declaration_server,
    extension,
    frame,
    message,
    mining_client,
    mining_server,
    node,
    noise,
    provider_client,
    setup,
    stratum_v1,
    template_server,
    text,
    token,
    translator,
];
