//! Difficulty, Stratum V1's word for a target.
//!
//! A share meets difficulty `d` when its hash is at most `0xffff * 2^208 / d`. Between the two words
//! nothing may get easier: a share that meets what a miner was told must meet what the upstream
//! asked for, or it is worth nothing. So both ways round towards the harder, and by no more than the
//! last digit of a float: the target of a difficulty is exact but for the fraction.

use protocol::target::Target;

/// The difficulty at and below which every hash is a share.
pub const EASIEST: f64 = 65_535.0 / 281_474_976_710_656.0;

/// Bits of a float's whole mantissa.
const MANTISSA_BITS: i32 = 52;
/// The target of difficulty 1 is `0xffff` times this power of two.
const DIFFICULTY_1_SHIFT: i32 = 208;

/// The easiest target that is not easier than `difficulty`; `None` unless it is above zero and
/// finite.
pub fn target(difficulty: f64) -> Option<Target> {
    if !(difficulty.is_finite() && difficulty > 0.0) {
        return None;
    }
    if difficulty <= EASIEST {
        return Some(Target::MAX);
    }
    // difficulty = mantissa * 2^exponent, exactly.
    let bits = difficulty.to_bits();
    let mantissa = bits & ((1 << MANTISSA_BITS) - 1) | 1 << MANTISSA_BITS;
    let exponent = (bits >> MANTISSA_BITS) as i32 - 1023 - MANTISSA_BITS;
    let Ok(shift) = usize::try_from(DIFFICULTY_1_SHIFT - exponent) else {
        return Some(hardest());
    };
    // 0xffff * 2^shift, least significant word first. The shift is below 294 here.
    let mut numerator = [0u64; 6];
    let first = 0xffff_u128 << (shift % 64);
    numerator[shift / 64] = first as u64;
    numerator[shift / 64 + 1] = (first >> 64) as u64;
    let mut bytes = [0; 32];
    let mut rest = 0;
    for (i, word) in numerator.into_iter().enumerate().rev() {
        let part = rest << 64 | u128::from(word);
        rest = part % u128::from(mantissa);
        let quotient = (part / u128::from(mantissa)) as u64;
        if let Some(bytes) = bytes.get_mut(8 * i..8 * i + 8) {
            bytes.copy_from_slice(&quotient.to_le_bytes());
        }
    }
    let target = Target::from_le_bytes(bytes);
    Some(if target.is_zero() { hardest() } else { target })
}

/// The difficulty to tell a miner so that its shares meet `target`: [`target()`] of it is not
/// easier, and that of any difficulty noticeably lower would be.
pub fn of(target: Target) -> f64 {
    if target.is_zero() {
        return f64::MAX;
    }
    // The floating-point division is off by a few units of the last digit at most.
    let mut difficulty = target.difficulty().max(EASIEST);
    for _ in 0..8 {
        let lower = difficulty.next_down();
        if lower < EASIEST || self::target(lower).is_none_or(|easier| easier > target) {
            break;
        }
        difficulty = lower;
    }
    while self::target(difficulty).is_some_and(|easier| easier > target) {
        difficulty = difficulty.next_up();
    }
    difficulty
}

/// The target no hash is likely ever to meet.
fn hardest() -> Target {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    Target::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests;
