//! Sixteen lanes in a 512-bit vector, with its rotations and three-operand logic.

use std::arch::x86_64::*;

use super::rounds::Lanes;
use super::{Scan, Search, batch};

/// Sixteen words.
///
/// Its operations are instructions of AVX-512F. So it must not leave this file: [`scan`] alone makes
/// such vectors, and whoever calls it vouches for the CPU. That is what SAFETY refers to below.
#[derive(Clone, Copy)]
struct Words(__m512i);

/// The truth table of a three-operand instruction is its result for these operands.
const A: i32 = 0xf0;
const B: i32 = 0xcc;
const C: i32 = 0xaa;
const XOR: i32 = A ^ B ^ C;
const CHOOSE: i32 = (A & B) | (!A & C) & 0xff;
const MAJORITY: i32 = (A & B) | (B & C) | (A & C);

#[target_feature(enable = "avx512f")]
pub(super) fn scan(search: &Search, start: u32, count: u32) -> Scan {
    batch::scan::<Words>(search, start, count)
}

impl Lanes for Words {
    const COUNT: u32 = 16;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe { _mm512_set1_epi32(word.cast_signed()) })
    }

    #[inline(always)]
    fn counting(first: u32) -> Self {
        // SAFETY: see `Words`.
        let offsets =
            unsafe { _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) };
        Self::splat(first).add(Self(offsets))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe { _mm512_add_epi32(self.0, other.0) })
    }

    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe { _mm512_ternarylogic_epi32::<XOR>(self.0, b.0, c.0) })
    }

    #[inline(always)]
    fn rotate_right<const BITS: i32>(self) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe { _mm512_ror_epi32::<BITS>(self.0) })
    }

    #[inline(always)]
    fn shift_right<const BITS: u32>(self) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe { _mm512_srli_epi32::<BITS>(self.0) })
    }

    #[inline(always)]
    fn choose(e: Self, f: Self, g: Self) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe { _mm512_ternarylogic_epi32::<CHOOSE>(e.0, f.0, g.0) })
    }

    #[inline(always)]
    fn majority(a: Self, b: Self, c: Self) -> Self {
        // SAFETY: see `Words`.
        Self(unsafe { _mm512_ternarylogic_epi32::<MAJORITY>(a.0, b.0, c.0) })
    }

    #[inline(always)]
    fn swap_bytes(self) -> Self {
        // Rotated by 8 either way, every byte is where it belongs in one of the two.
        let (left, right) = (self.rotate_right::<24>(), self.rotate_right::<8>());
        Self::choose(Self::splat(0x00ff_00ff), left, right)
    }

    #[inline(always)]
    fn at_most(self, limit: u32) -> u32 {
        // SAFETY: see `Words`.
        u32::from(unsafe { _mm512_cmple_epu32_mask(self.0, Self::splat(limit).0) })
    }
}
