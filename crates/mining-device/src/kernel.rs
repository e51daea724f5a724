//! Double SHA-256 over the nonces of one block header, in the way the CPU does it fastest.
//!
//! All kernels do the same: the first 64 bytes of the header are compressed once per [`Search`], and
//! of each double hash only the word that decides first is computed and compared. The few nonces it
//! lets through are hashed again, plainly and whole, before they are reported.
//!
//! This is the only module with `unsafe` code: CPU instructions that not every machine has.
//! [`Kernel::scan`] is safe because it asks the CPU before it enters them.

#![allow(
    unsafe_code,
    reason = "vector and SHA instructions; see each SAFETY comment"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod batch;
mod portable;
mod rounds;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

use std::fmt;
use std::str::FromStr;

use protocol::coinbase::sha256d;
use protocol::target::Target;

/// One block header but for its nonce, and the target to meet.
#[derive(Debug, Clone)]
pub struct Search {
    header: [u8; 80],
    target: Target,
    /// SHA-256's state after the first 64 bytes.
    midstate: [u32; 8],
    /// The words between those bytes and the nonce.
    tail: [u32; 3],
    /// The most significant 32 bits of the target.
    limit: u32,
}

impl Search {
    /// Prepares a search; the nonce in `header` does not matter.
    pub fn new(header: &[u8; 80], target: Target) -> Self {
        let word = |i: usize| {
            let bytes = header[4 * i..4 * i + 4].try_into();
            u32::from_be_bytes(bytes.expect("a slice of four"))
        };
        let start = std::array::from_fn(word);
        let top = target.to_le_bytes()[28..].try_into();
        Self {
            header: *header,
            target,
            midstate: rounds::compress(rounds::INITIAL, start),
            tail: [word(16), word(17), word(18)],
            limit: u32::from_le_bytes(top.expect("a slice of four")),
        }
    }

    /// The block hash with this nonce, in header order.
    pub fn hash(&self, nonce: u32) -> [u8; 32] {
        let mut header = self.header;
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        sha256d(&header)
    }

    /// Whether the hash with this nonce does not exceed the target. Rarely asked.
    #[cold]
    #[inline(never)]
    fn is_met_by(&self, nonce: u32) -> bool {
        Target::from_le_bytes(self.hash(nonce)) <= self.target
    }
}

/// What a scan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// The first nonce whose hash does not exceed the target; the scan ended with it.
    pub found: Option<u32>,
    /// How many nonces were tried, from the first one on and including the one found.
    pub hashed: u32,
}

/// A way to hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Sixteen nonces at once in 512-bit vectors.
    Avx512,
    /// The CPU's SHA-256 instructions, on several nonces in turn.
    ShaNi,
    /// Eight nonces at once in 256-bit vectors.
    Avx2,
    /// Plain arithmetic, on any machine.
    Portable,
}

impl Kernel {
    /// Fastest first: on each CPU tried that has several, they rank like this.
    const ALL: [Self; 4] = [Self::Avx512, Self::ShaNi, Self::Avx2, Self::Portable];

    /// The fastest one this CPU can run.
    pub fn best() -> Self {
        Self::ALL
            .into_iter()
            .find(|kernel| kernel.is_available())
            .unwrap_or(Self::Portable)
    }

    /// All this CPU can run, fastest first.
    pub fn available() -> Vec<Self> {
        let mut kernels = Self::ALL.to_vec();
        kernels.retain(|kernel| kernel.is_available());
        kernels
    }

    /// Its name in configuration and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::ShaNi => "sha-ni",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        match self {
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            Self::ShaNi => is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1"),
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            Self::Portable => true,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_available(self) -> bool {
        self == Self::Portable
    }

    /// Tries `count` nonces from `start` on, ascending, until one meets the target.
    ///
    /// It ends at the last nonce of all rather than wrapping around. A kernel that this CPU lacks
    /// is replaced by the portable one.
    pub fn scan(self, search: &Search, start: u32, count: u32) -> Scan {
        // One less than the nonces left, which may be 2^32.
        let count = match u32::MAX - start {
            left if left < count => left + 1,
            _ => count,
        };
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the CPU has what the function is compiled for.
            Self::Avx512 if self.is_available() => unsafe { avx512::scan(search, start, count) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::ShaNi if self.is_available() => unsafe { sha_ni::scan(search, start, count) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx2 if self.is_available() => unsafe { avx2::scan(search, start, count) },
            _ => portable::scan(search, start, count),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A kernel that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no hashing kernel `{name}` on this CPU; choose one of: {available}")]
pub struct UnknownKernel {
    /// What was asked for.
    pub name: String,
    /// The names of those there are.
    pub available: String,
}

impl FromStr for Kernel {
    type Err = UnknownKernel;

    fn from_str(name: &str) -> Result<Self, UnknownKernel> {
        let available = Self::available();
        let found = available.iter().find(|kernel| kernel.name() == name);
        found.copied().ok_or_else(|| UnknownKernel {
            name: name.to_owned(),
            available: available
                .iter()
                .map(|kernel| kernel.name())
                .collect::<Vec<_>>()
                .join(", "),
        })
    }
}

#[cfg(test)]
mod tests;
