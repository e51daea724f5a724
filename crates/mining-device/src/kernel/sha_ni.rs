//! The CPU's SHA-256 instructions.
//!
//! They do two rounds, or four words of the schedule, of one message. Each waits for the one before,
//! so several messages take turns. A state is kept in the two vectors that the instructions want: the
//! one named `abef` holds those words, `a` on top, and so does `cdgh`.

use std::arch::x86_64::*;

use super::batch::Batch;
use super::rounds::{DIGEST_BITS, END, HEADER_BITS, INITIAL, ROUND};
use super::{Scan, Search, batch};

/// Messages that take turns. Two fill the pipelines of some CPUs, others gain from four.
const STREAMS: usize = 4;

#[target_feature(enable = "sha,sse4.1")]
pub(super) fn scan(search: &Search, start: u32, count: u32) -> Scan {
    batch::scan::<Streams>(search, start, count)
}

/// Must not leave this file: [`scan`] alone uses it, and whoever calls it vouches for the CPU. That is
/// what SAFETY refers to below.
struct Streams;

/// One vector of each message.
type Vectors = [__m128i; STREAMS];

impl Batch for Streams {
    const WIDTH: u32 = STREAMS as u32;

    #[inline(always)]
    fn candidates(search: &Search, first: u32) -> u32 {
        let [w0, w1, w2] = search.tail;
        let headers = std::array::from_fn(|stream| {
            // SHA-256 reads big-endian what the header holds little-endian.
            let nonce = first.wrapping_add(stream as u32).swap_bytes();
            vector([w0, w1, w2, nonce])
        });
        let end = [vector([END, 0, 0, 0]); STREAMS];
        let mut block = [
            headers,
            end,
            [vector([0; 4]); STREAMS],
            [vector([0, 0, 0, HEADER_BITS]); STREAMS],
        ];
        let before = State::new(search.midstate);
        let mut state = before;
        state.sixteen_rounds(&block);
        for group in 4..16 {
            extend(&mut block, group);
            state.four_rounds(&block, group);
        }

        let [low, high] = state.add(&before).words();
        let mut block = [low, high, end, [vector([0, 0, 0, DIGEST_BITS]); STREAMS]];
        let mut state = State::new(INITIAL);
        state.sixteen_rounds(&block);
        for group in 4..15 {
            extend(&mut block, group);
            state.four_rounds(&block, group);
        }
        extend(&mut block, 15);
        state.last_words(&block, search.limit)
    }
}

/// The states of all messages.
#[derive(Clone, Copy)]
struct State {
    abef: Vectors,
    cdgh: Vectors,
}

impl State {
    #[inline(always)]
    fn new([a, b, c, d, e, f, g, h]: [u32; 8]) -> Self {
        Self {
            abef: [vector([f, e, b, a]); STREAMS],
            cdgh: [vector([h, g, d, c]); STREAMS],
        }
    }

    #[inline(always)]
    fn sixteen_rounds(&mut self, block: &[Vectors; 4]) {
        for group in 0..4 {
            self.four_rounds(block, group);
        }
    }

    #[inline(always)]
    fn four_rounds(&mut self, block: &[Vectors; 4], group: usize) {
        let mut words = with_constants(block, group);
        self.two_rounds(&words);
        for words in &mut words {
            // SAFETY: see `Streams`.
            *words = unsafe { _mm_shuffle_epi32::<0b11_10_11_10>(*words) };
        }
        self.two_rounds(&words);
    }

    /// Takes the lower half of `words`.
    #[inline(always)]
    fn two_rounds(&mut self, words: &Vectors) {
        for ((abef, cdgh), words) in self.abef.iter_mut().zip(&mut self.cdgh).zip(words) {
            // SAFETY: see `Streams`.
            let next = unsafe { _mm_sha256rnds2_epu32(*cdgh, *abef, *words) };
            // Two rounds on, what were `a`, `b`, `e`, `f` are `c`, `d`, `g`, `h`.
            (*abef, *cdgh) = (next, *abef);
        }
    }

    #[inline(always)]
    fn add(mut self, other: &Self) -> Self {
        for i in 0..STREAMS {
            self.abef[i] = add(self.abef[i], other.abef[i]);
            self.cdgh[i] = add(self.cdgh[i], other.cdgh[i]);
        }
        self
    }

    /// The states in the order of a message: `a` to `d`, `e` to `h`.
    #[inline(always)]
    fn words(self) -> [Vectors; 2] {
        let [mut low, mut high] = [self.abef, self.cdgh];
        for (low, high) in low.iter_mut().zip(&mut high) {
            // SAFETY: see `Streams`.
            (*low, *high) = unsafe {
                let feba = _mm_shuffle_epi32::<0b00_01_10_11>(*low);
                let dchg = _mm_shuffle_epi32::<0b10_11_00_01>(*high);
                (
                    _mm_blend_epi16::<0b1111_0000>(feba, dchg),
                    _mm_alignr_epi8::<8>(dchg, feba),
                )
            };
        }
        [low, high]
    }

    /// Ends the second hash; sets bit `i` when its last word does not exceed `limit` in message `i`.
    #[inline(always)]
    fn last_words(mut self, block: &[Vectors; 4], limit: u32) -> u32 {
        // The last `h` is `f` two rounds before, and `a` to `d` are not asked for.
        self.two_rounds(&with_constants(block, 15));
        let mut met = 0;
        for (stream, abef) in self.abef.into_iter().enumerate() {
            // SAFETY: see `Streams`.
            let f = unsafe { _mm_cvtsi128_si32(abef) }.cast_unsigned();
            // As a number the hash is little-endian, so its last word decides first.
            let last = f.wrapping_add(INITIAL[7]).swap_bytes();
            met |= u32::from(last <= limit) << stream;
        }
        met
    }
}

#[inline(always)]
fn vector([a, b, c, d]: [u32; 4]) -> __m128i {
    let [a, b, c, d] = [a, b, c, d].map(u32::cast_signed);
    // SAFETY: see `Streams`.
    unsafe { _mm_setr_epi32(a, b, c, d) }
}

#[inline(always)]
fn add(a: __m128i, b: __m128i) -> __m128i {
    // SAFETY: see `Streams`.
    unsafe { _mm_add_epi32(a, b) }
}

/// The words of four rounds and those rounds' constants, added up.
#[inline(always)]
fn with_constants(block: &[Vectors; 4], group: usize) -> Vectors {
    let constants = [0, 1, 2, 3].map(|i| ROUND[4 * group + i]);
    let mut words = block[group % 4];
    for words in &mut words {
        *words = add(*words, vector(constants));
    }
    words
}

/// Replaces the oldest four of the last 16 words of the schedule by the next four.
#[inline(always)]
fn extend(block: &mut [Vectors; 4], group: usize) {
    let [fourth, third, second, last] = [0, 1, 2, 3].map(|i| block[(group + i) % 4]);
    for (stream, next) in block[group % 4].iter_mut().enumerate() {
        // SAFETY: see `Streams`.
        *next = unsafe {
            let seventh = _mm_alignr_epi8::<4>(last[stream], second[stream]);
            let partial = _mm_sha256msg1_epu32(fourth[stream], third[stream]);
            _mm_sha256msg2_epu32(add(partial, seventh), last[stream])
        };
    }
}
