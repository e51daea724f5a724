//! One lane of plain arithmetic.

use super::rounds::Lanes;
use super::{Scan, Search, batch};

pub(super) fn scan(search: &Search, start: u32, count: u32) -> Scan {
    batch::scan::<u32>(search, start, count)
}

impl Lanes for u32 {
    const COUNT: u32 = 1;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        word
    }

    #[inline(always)]
    fn counting(first: u32) -> Self {
        first
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        self ^ b ^ c
    }

    #[inline(always)]
    fn rotate_right<const BITS: i32>(self) -> Self {
        u32::rotate_right(self, BITS as u32)
    }

    #[inline(always)]
    fn shift_right<const BITS: u32>(self) -> Self {
        self >> BITS
    }

    #[inline(always)]
    fn choose(e: Self, f: Self, g: Self) -> Self {
        g ^ (e & (f ^ g))
    }

    #[inline(always)]
    fn majority(a: Self, b: Self, c: Self) -> Self {
        // `b ^ c` is `a ^ b` of the round before, which is at hand.
        b ^ ((a ^ b) & (b ^ c))
    }

    #[inline(always)]
    fn swap_bytes(self) -> Self {
        u32::swap_bytes(self)
    }

    #[inline(always)]
    fn at_most(self, limit: u32) -> u32 {
        u32::from(self <= limit)
    }
}
