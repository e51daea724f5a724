//! Targets: what a hash must not exceed.

use std::cmp::Ordering;
use std::fmt;

/// The target of difficulty 1 is `0xffff` times this power of two.
const DIFFICULTY_1_SHIFT: i32 = 208;

/// Hashes it takes on average to find one that meets the target of difficulty 1.
pub const HASHES_PER_DIFFICULTY: f64 = 4_295_032_833.0;

/// A 256-bit number in the order of the wire: little-endian (SV2 3.1). Hashes compare with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// Least significant word first.
    words: [u64; 4],
}

impl Target {
    /// Every hash meets it.
    pub const MAX: Self = Self {
        words: [u64::MAX; 4],
    };

    /// Reads the wire form; block hashes in header order have the same one.
    pub fn from_le_bytes(bytes: [u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        }
        Self { words }
    }

    /// The wire form.
    pub fn to_le_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The target that one in `hashes` hashes meets.
    ///
    /// `None` when `hashes` is not a number, negative or infinite.
    pub fn one_in(hashes: f64) -> Option<Self> {
        if !hashes.is_finite() || hashes < 0.0 {
            return None;
        }
        if hashes <= 1.0 {
            return Some(Self::MAX);
        }
        // 2^256 / (mantissa * 2^exponent), with the mantissa's reciprocal in 64 bits.
        let exponent = hashes.log2().floor();
        let reciprocal = (2f64.powi(64) / (hashes / exponent.exp2())).round();
        let shift = 192 - exponent as i32;
        Some(Self::shifted(reciprocal as u128, shift))
    }

    /// The target a header's `nBits` stands for; zero where consensus allows none.
    pub fn from_compact(n_bits: u32) -> Self {
        let (exponent, mantissa) = (n_bits >> 24, n_bits & 0x007f_ffff);
        if mantissa == 0 || n_bits & 0x0080_0000 != 0 {
            return Self { words: [0; 4] };
        }
        Self::shifted(u128::from(mantissa), 8 * (exponent as i32 - 3))
    }

    /// `value * 2^shift`, at most [`Target::MAX`], at least 1.
    fn shifted(value: u128, shift: i32) -> Self {
        if shift < 0 {
            let value = value.checked_shr(shift.unsigned_abs()).unwrap_or(0).max(1);
            return Self {
                words: [value as u64, (value >> 64) as u64, 0, 0],
            };
        }
        let (word, bit) = (shift as usize / 64, shift as u32 % 64);
        let (low, high) = (value as u64, (value >> 64) as u64);
        let parts = [u128::from(low) << bit, u128::from(high) << bit];
        let mut words = [0u64; 4];
        for (i, part) in parts.into_iter().enumerate() {
            for (j, piece) in [part as u64, (part >> 64) as u64].into_iter().enumerate() {
                match words.get_mut(word + i + j) {
                    Some(slot) => *slot |= piece,
                    None if piece == 0 => {}
                    None => return Self::MAX,
                }
            }
        }
        Self { words }
    }

    /// How much harder than difficulty 1; below 1 on regtest.
    pub fn difficulty(self) -> f64 {
        f64::from(0xffff_u32) * f64::from(DIFFICULTY_1_SHIFT).exp2() / self.as_f64().max(1.0)
    }

    /// How many hashes it takes on average to meet it.
    pub fn hashes(self) -> f64 {
        256f64.exp2() / (self.as_f64() + 1.0)
    }

    /// Whether no hash can meet it.
    pub fn is_zero(self) -> bool {
        self.words == [0; 4]
    }

    fn as_f64(self) -> f64 {
        self.words
            .iter()
            .rev()
            .fold(0.0, |sum, word| sum * 64f64.exp2() + *word as f64)
    }
}

impl Ord for Target {
    fn cmp(&self, other: &Self) -> Ordering {
        self.words.iter().rev().cmp(other.words.iter().rev())
    }
}

impl PartialOrd for Target {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Most significant digit first, as people read numbers.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for word in self.words.iter().rev() {
            write!(f, "{word:016x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn regtest() -> Target {
        let mut bytes = [0; 32];
        bytes[29..].copy_from_slice(&[0xff, 0xff, 0x7f]);
        Target::from_le_bytes(bytes)
    }

    #[test]
    fn byte_31_is_the_most_significant() {
        // FRAME-09, T-08
        let (mut small, mut large) = ([0xff; 32], [0; 32]);
        small[31] = 0x0f;
        large[31] = 0x10;
        assert!(Target::from_le_bytes(small) < Target::from_le_bytes(large));
        assert_eq!(Target::from_le_bytes(small).to_le_bytes(), small);
        assert!(format!("{:?}", regtest()).starts_with("7fffff00"));
    }

    #[test]
    fn compact_targets_are_expanded() {
        assert_eq!(Target::from_compact(0x207f_ffff), regtest());
        let mainnet = Target::from_compact(0x1d00_ffff);
        assert!((mainnet.difficulty() - 1.0).abs() < 1e-12);
        assert!(Target::from_compact(0x1d80_ffff).is_zero());
        assert!(Target::from_compact(0x0300_0000).is_zero());
        assert_eq!(Target::from_compact(0xff7f_ffff), Target::MAX);
    }

    #[test]
    fn regtest_has_the_difficulty_everyone_knows() {
        assert!((regtest().difficulty() / 4.656_542_373_906_925e-10 - 1.0).abs() < 1e-9);
        assert!((regtest().hashes() - 2.0).abs() < 1e-6);
    }

    #[test]
    fn difficulty_one_takes_two_to_the_32_hashes() {
        let target = Target::one_in(4_295_032_833.0).unwrap();
        assert!((target.difficulty() - 1.0).abs() < 1e-6, "{target:?}");
    }

    #[test]
    fn a_hash_rate_that_is_no_number_has_no_target() {
        // FRAME-13
        for hashes in [f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(Target::one_in(hashes), None);
        }
        assert_eq!(Target::one_in(0.0), Some(Target::MAX));
        assert_eq!(Target::one_in(1.0), Some(Target::MAX));
    }

    #[test]
    fn absurd_hash_rates_give_the_hardest_target_that_can_be_met() {
        let hardest = Target::one_in(f64::MAX).unwrap();
        assert!(!hardest.is_zero());
        assert!(hardest < Target::one_in(1e60).unwrap());
    }

    proptest! {
        #[test]
        fn one_in_n_takes_n_hashes(exponent in 1.0f64..200.0) {
            let hashes = exponent.exp2();
            let target = Target::one_in(hashes).unwrap();
            prop_assert!((target.hashes() / hashes - 1.0).abs() < 1e-6);
        }

        #[test]
        fn order_is_that_of_the_numbers(a: [u8; 32], b: [u8; 32]) {
            let (mut big_a, mut big_b) = (a, b);
            big_a.reverse();
            big_b.reverse();
            prop_assert_eq!(
                Target::from_le_bytes(a).cmp(&Target::from_le_bytes(b)),
                big_a.cmp(&big_b)
            );
        }
    }
}
