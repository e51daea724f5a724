//! SHA-256 (FIPS 180-4) on any number of lanes, written once for all kernels but SHA-NI.
//!
//! It is written plainly. Optimised, everything is inlined into one straight line per batch, and the
//! compiler then does what others do by hand: it drops the last rounds of the second hash, whose
//! results nobody reads, folds the padding into the constants, and moves what does not depend on the
//! nonce (the first three rounds, two words of the schedule) out of the loop.

use super::Search;
use super::batch::Batch;

/// The state that every SHA-256 starts from.
#[rustfmt::skip]
pub(super) const INITIAL: [u32; 8] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
];

/// The constants of the rounds.
#[rustfmt::skip]
pub(super) const ROUND: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// The bit that ends a message.
pub(super) const END: u32 = 0x8000_0000;
/// Bits of a block header.
pub(super) const HEADER_BITS: u32 = 80 * 8;
/// Bits of a SHA-256 digest.
pub(super) const DIGEST_BITS: u32 = 32 * 8;

/// Some 32-bit words that are computed with at once.
pub(super) trait Lanes: Copy {
    /// How many; at most 32.
    const COUNT: u32;

    /// The same word in each lane.
    fn splat(word: u32) -> Self;
    /// `first`, `first + 1` and so on.
    fn counting(first: u32) -> Self;
    fn add(self, other: Self) -> Self;
    fn xor3(self, b: Self, c: Self) -> Self;
    fn rotate_right<const BITS: i32>(self) -> Self;
    fn shift_right<const BITS: u32>(self) -> Self;
    /// Bits of `f` where `e` has ones, of `g` elsewhere.
    fn choose(e: Self, f: Self, g: Self) -> Self;
    /// Bits that two of the three have.
    fn majority(a: Self, b: Self, c: Self) -> Self;
    fn swap_bytes(self) -> Self;
    /// Sets bit `i` when lane `i` does not exceed `limit`.
    fn at_most(self, limit: u32) -> u32;
}

/// One round. The state stands still and its names move: what is `a` in this round is `b` in the next.
// Without optimisation each inlined copy keeps its own temporaries; all rounds together would take
// more than a megabyte of stack.
#[cfg_attr(debug_assertions, inline(never))]
#[cfg_attr(not(debug_assertions), inline(always))]
fn round<L: Lanes>(state: &mut [L; 8], words: &[L; 16], number: usize) {
    let [a, b, c, d, e, f, g, h] = std::array::from_fn(|name| (name + 64 - number) % 8);
    let sum0 = L::xor3(
        state[a].rotate_right::<2>(),
        state[a].rotate_right::<13>(),
        state[a].rotate_right::<22>(),
    );
    let sum1 = L::xor3(
        state[e].rotate_right::<6>(),
        state[e].rotate_right::<11>(),
        state[e].rotate_right::<25>(),
    );
    let word = words[number % 16].add(L::splat(ROUND[number]));
    let first = state[h]
        .add(word)
        .add(L::choose(state[e], state[f], state[g]))
        .add(sum1);
    let second = sum0.add(L::majority(state[a], state[b], state[c]));
    state[d] = state[d].add(first);
    state[h] = first.add(second);
}

/// Replaces the oldest of the last 16 words of the schedule by the next one.
#[cfg_attr(debug_assertions, inline(never))]
#[cfg_attr(not(debug_assertions), inline(always))]
fn extend<L: Lanes>(words: &mut [L; 16], number: usize) {
    let [early, late] = [words[(number + 1) % 16], words[(number + 14) % 16]];
    let sigma0 = L::xor3(
        early.rotate_right::<7>(),
        early.rotate_right::<18>(),
        early.shift_right::<3>(),
    );
    let sigma1 = L::xor3(
        late.rotate_right::<17>(),
        late.rotate_right::<19>(),
        late.shift_right::<10>(),
    );
    let oldest = words[number % 16];
    words[number % 16] = sigma1.add(words[(number + 9) % 16]).add(sigma0.add(oldest));
}

/// The compression function: the state after one more block of 16 words.
#[inline(always)]
pub(super) fn compress<L: Lanes>(before: [L; 8], mut words: [L; 16]) -> [L; 8] {
    let mut state = before;
    // A loop would not be unrolled, and registers cannot be indexed.
    macro_rules! rounds {
        ($($number:literal)*) => {$(
            if $number >= 16 {
                extend(&mut words, $number);
            }
            round(&mut state, &words, $number);
        )*};
    }
    rounds!( 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15);
    rounds!(16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
    rounds!(32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47);
    rounds!(48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
    std::array::from_fn(|i| state[i].add(before[i]))
}

impl<L: Lanes> Batch for L {
    const WIDTH: u32 = L::COUNT;

    #[inline(always)]
    fn candidates(search: &Search, first: u32) -> u32 {
        let [o, end] = [0, END].map(L::splat);
        let [a, b, c] = search.tail.map(L::splat);
        // SHA-256 reads big-endian what the header holds little-endian.
        let nonce = L::counting(first).swap_bytes();
        let bits = L::splat(HEADER_BITS);
        let block = [a, b, c, nonce, end, o, o, o, o, o, o, o, o, o, o, bits];
        let [a, b, c, d, e, f, g, h] = compress(search.midstate.map(L::splat), block);

        let bits = L::splat(DIGEST_BITS);
        let block = [a, b, c, d, e, f, g, h, end, o, o, o, o, o, o, bits];
        let [.., last] = compress(INITIAL.map(L::splat), block);
        // As a number the hash is little-endian, so its last word decides first.
        last.swap_bytes().at_most(search.limit)
    }
}
