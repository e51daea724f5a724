use proptest::prelude::*;
use protocol::coinbase::sha256d;
use sha2::{Digest, Sha256};

use super::*;

/// What every kernel must do, without any of our own arithmetic.
fn plain_scan(header: &[u8; 80], target: Target, start: u32, count: u32) -> Scan {
    let mut hashed = 0;
    for nonce in (start..=u32::MAX).take(count as usize) {
        let mut header = *header;
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        let hash: [u8; 32] = Sha256::digest(Sha256::digest(header)).into();
        hashed += 1;
        if hash.iter().rev().le(target.to_le_bytes().iter().rev()) {
            let found = Some(nonce);
            return Scan { found, hashed };
        }
    }
    let found = None;
    Scan { found, hashed }
}

#[track_caller]
fn check(header: &[u8; 80], target: Target, start: u32, count: u32) {
    let search = Search::new(header, target);
    let expected = plain_scan(header, target, start, count);
    for kernel in Kernel::available() {
        let scan = kernel.scan(&search, start, count);
        assert_eq!(scan, expected, "{kernel} from {start} on, {count} nonces");
    }
}

/// Bytes without a pattern.
fn header(seed: u8) -> [u8; 80] {
    let mut bytes = [0; 80];
    for (block, chunk) in bytes.chunks_mut(32).enumerate() {
        chunk.copy_from_slice(&sha256d(&[seed, block as u8])[..chunk.len()]);
    }
    bytes
}

/// One in `hashes` hashes meets it.
fn one_in(hashes: f64) -> Target {
    Target::one_in(hashes).unwrap()
}

const NEVER: [u8; 32] = [0; 32];

#[test]
fn genesis_block_is_found() {
    let mut header = [0; 80];
    header[0] = 1;
    let root = "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a";
    for (byte, digits) in header[36..68].iter_mut().zip(root.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
    }
    header[68..72].copy_from_slice(&1_231_006_505u32.to_le_bytes());
    header[72..76].copy_from_slice(&0x1d00_ffffu32.to_le_bytes());
    let nonce = 2_083_236_893;
    let mut target = [0; 32];
    target[26..28].copy_from_slice(&[0xff, 0xff]);

    let search = Search::new(&header, Target::from_le_bytes(target));
    for kernel in Kernel::available() {
        let scan = kernel.scan(&search, nonce - 1000, 5000);
        let expected = Scan {
            found: Some(nonce),
            hashed: 1001,
        };
        assert_eq!(scan, expected, "{kernel}");
    }
}

#[test]
fn regtest_target_takes_the_lowest_nonce() {
    for seed in 0..50 {
        check(&header(seed), one_in(2.0), u32::from(seed) * 7, 100);
    }
}

#[test]
fn every_nonce_is_tried_once() {
    // Targets that let many first words through and few whole hashes, and the other way round.
    for seed in 0..4 {
        let (header, target) = (header(seed), one_in(40.0));
        let mut start = 0;
        while start < 1000 {
            check(&header, target, start, 1000 - start);
            let hashed = plain_scan(&header, target, start, 1000 - start).hashed;
            start += hashed;
        }
    }
}

#[test]
fn ranges_need_not_fill_the_lanes() {
    for count in 0..40 {
        check(&header(1), one_in(16.0), 5, count);
        check(&header(2), Target::from_le_bytes(NEVER), 5, count);
    }
}

#[test]
fn ranges_end_at_the_last_nonce() {
    for left in [0, 1, 3, 4, 7, 8, 15, 16, 17, 40] {
        for count in [left, left + 1, left + 2, 1000, u32::MAX] {
            check(
                &header(3),
                Target::from_le_bytes(NEVER),
                u32::MAX - left,
                count,
            );
            check(&header(4), one_in(30.0), u32::MAX - left, count);
        }
    }
}

#[test]
fn nonce_at_either_end_is_found() {
    for nonce in [0, 1, u32::MAX - 1, u32::MAX] {
        let header = header(5);
        let hash = Search::new(&header, Target::MAX).hash(nonce);
        check(&header, Target::from_le_bytes(hash), nonce, 1);
        check(&header, Target::from_le_bytes(hash), nonce, 1000);
    }
}

#[test]
fn hash_that_equals_the_target_is_found_and_one_above_is_not() {
    let header = header(6);
    for nonce in 0..20 {
        let mut target = Search::new(&header, Target::MAX).hash(nonce);
        let scan = |target| Kernel::best().scan(&Search::new(&header, target), nonce, 1);
        assert_eq!(scan(Target::from_le_bytes(target)).found, Some(nonce));
        // One less, in a number that does not end in zero.
        assert_ne!(target[0], 0, "choose another nonce");
        target[0] -= 1;
        assert_eq!(scan(Target::from_le_bytes(target)).found, None);
        check(&header, Target::from_le_bytes(target), nonce, 40);
    }
}

#[test]
fn every_hash_meets_the_greatest_target() {
    check(&header(7), Target::MAX, 99, 10);
}

#[test]
fn names_are_read_back() {
    for kernel in Kernel::available() {
        assert_eq!(kernel.name().parse(), Ok(kernel));
    }
}

#[test]
fn unknown_name_is_answered_with_the_known_ones() {
    let error = "abacus".parse::<Kernel>().unwrap_err().to_string();
    assert!(error.contains("`abacus`"), "{error}");
    assert!(error.ends_with("portable"), "{error}");
}

#[test]
fn best_is_the_first_available() {
    assert_eq!(Kernel::available().first(), Some(&Kernel::best()));
    assert_eq!(Kernel::available().last(), Some(&Kernel::Portable));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_scan_is_the_plain_one(
        fields in prop::collection::vec(any::<u8>(), 80),
        hashes in 1.0f64..200.0,
        start: u32,
        count in 0u32..100,
    ) {
        check(&fields.try_into().unwrap(), one_in(hashes), start, count);
    }
}
