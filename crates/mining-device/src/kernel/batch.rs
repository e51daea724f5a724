//! The loop around every kernel.

use super::{Scan, Search};

/// Hashes a few nonces at once.
pub(super) trait Batch {
    /// How many; at most 32.
    const WIDTH: u32;

    /// Hashes the nonces from `first` on and sets bit `i` when nonce `first + i` may meet the target.
    /// Nonces wrap around, which [`scan`] never lets matter.
    fn candidates(search: &Search, first: u32) -> u32;
}

/// Tries `count` nonces from `start` on; there must be as many.
#[inline(always)]
pub(super) fn scan<B: Batch>(search: &Search, start: u32, count: u32) -> Scan {
    let mut hashed = 0;
    while hashed < count {
        let first = start + hashed;
        let wanted = (count - hashed).min(B::WIDTH);
        let mut candidates = B::candidates(search, first);
        while candidates != 0 {
            let lane = candidates.trailing_zeros();
            if lane < wanted && search.is_met_by(first + lane) {
                return Scan {
                    found: Some(first + lane),
                    hashed: hashed + lane + 1,
                };
            }
            // Clears the lowest bit that is set.
            candidates &= candidates - 1;
        }
        hashed += wanted;
    }
    Scan {
        found: None,
        hashed,
    }
}
