//! Eight lanes in a 256-bit vector.

use std::arch::x86_64::*;

use super::rounds::Lanes;
use super::{Scan, Search, batch};

/// Eight words.
///
/// Its operations are instructions of AVX2. So it must not leave this file: [`scan`] alone makes such
/// vectors, and whoever calls it vouches for the CPU. That is what SAFETY refers to below.
#[derive(Clone, Copy)]
struct Words(__m256i);

#[target_feature(enable = "avx2")]
pub(super) fn scan(search: &Search, start: u32, count: u32) -> Scan {
    batch::scan::<Words>(search, start, count)
}

impl Words {
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe { _mm256_and_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }
}

impl Lanes for Words {
    const COUNT: u32 = 8;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe { _mm256_set1_epi32(word.cast_signed()) })
    }

    #[inline(always)]
    fn counting(first: u32) -> Self {
        // SAFETY: see `Words`.
        let offsets = unsafe { _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7) };
        Self::splat(first).add(Self(offsets))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe { _mm256_add_epi32(self.0, other.0) })
    }

    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        self.xor(b).xor(c)
    }

    #[inline(always)]
    fn rotate_right<const BITS: i32>(self) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe {
            // The shifts by a constant cannot take `32 - BITS`; these become the same instructions.
            let right = _mm256_srl_epi32(self.0, _mm_cvtsi32_si128(BITS));
            let left = _mm256_sll_epi32(self.0, _mm_cvtsi32_si128(32 - BITS));
            _mm256_or_si256(right, left)
        })
    }

    #[inline(always)]
    fn shift_right<const BITS: u32>(self) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe { _mm256_srl_epi32(self.0, _mm_cvtsi32_si128(BITS.cast_signed())) })
    }

    #[inline(always)]
    fn choose(e: Self, f: Self, g: Self) -> Self {
        g.xor(e.and(f.xor(g)))
    }

    #[inline(always)]
    fn majority(a: Self, b: Self, c: Self) -> Self {
        // `b ^ c` is `a ^ b` of the round before, which is at hand.
        b.xor(a.xor(b).and(b.xor(c)))
    }

    #[inline(always)]
    fn swap_bytes(self) -> Self {
        // Rotated by 8 either way, every byte is where it belongs in one of the two.
        let (left, right) = (self.rotate_right::<24>(), self.rotate_right::<8>());
        Self::choose(Self::splat(0x00ff_00ff), left, right)
    }

    #[inline(always)]
    fn at_most(self, limit: u32) -> u32 {
        let limit = Self::splat(limit).0;
        // SAFETY: see `Words`.
        let lanes = unsafe {
            // There is no unsigned comparison, but a maximum.
            let met = _mm256_cmpeq_epi32(_mm256_max_epu32(self.0, limit), limit);
            _mm256_movemask_ps(_mm256_castsi256_ps(met))
        };
        lanes.cast_unsigned()
    }
}
