//! Vectors of the processor, chosen when the program runs.
//!
//! The binary is built for any x86-64. Work that gains from wider vectors is written once, over
//! [`Words`], and compiled for each [`Level`]; it is done at the best one that the processor has.
//! All levels give the same, so a test can hold them against each other.

#[cfg(target_arch = "x86_64")]
use core::arch::x86_64 as x86;

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Vectors);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vectors {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Something to be done with four words at a time.
pub trait Work {
    /// What it gives.
    type Output;

    /// Does it. It and all that it calls must be `#[inline(always)]`: what is not inlined has no
    /// vectors.
    fn run<W: Words>(self) -> Self::Output;
}

/// Words of 64 bits side by side.
pub trait Lanes: Copy {
    /// The same word in all of them.
    fn splat(word: u64) -> Self;
    /// Each plus its like, modulo 2^64.
    #[must_use]
    fn add(self, other: Self) -> Self;
    /// Each with its like, exclusive or.
    #[must_use]
    fn xor(self, other: Self) -> Self;
    /// Each rotated by `LEFT` bits; `RIGHT` is what is left of 64.
    #[must_use]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self;
}

/// Four of them.
pub trait Words: Lanes {
    /// These four.
    fn new(words: [u64; 4]) -> Self;
    /// The four.
    fn words(self) -> [u64; 4];
}

/// One word, for code that is written over lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub u64);

#[expect(clippy::inline_always, reason = "an instruction each")]
impl Lanes for Word {
    #[inline(always)]
    fn splat(word: u64) -> Self {
        Self(word)
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }

    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        Self(self.0.rotate_left(LEFT as u32))
    }
}

impl Level {
    /// What every processor has.
    pub const PORTABLE: Self = Self(Vectors::Portable);

    /// The best of this processor.
    pub fn best() -> Self {
        Self::all().last().unwrap_or(Self::PORTABLE)
    }

    /// All of this processor, the best last.
    pub fn all() -> impl Iterator<Item = Self> {
        let levels = [
            (Vectors::Portable, true),
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            (Vectors::Avx2, std::is_x86_feature_detected!("avx2")),
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            (Vectors::Avx512, has_avx512()),
        ];
        levels.into_iter().filter(|(_, has)| *has).map(|(vectors, _)| Self(vectors))
    }

    /// Does `work` with these vectors.
    #[inline]
    pub fn run<K: Work>(self, work: K) -> K::Output {
        match self.0 {
            Vectors::Portable => work.run::<Portable>(),
            // SAFETY: only `all` makes this level, where the processor has AVX2.
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx2 => unsafe { run_avx2(work) },
            // SAFETY: the same for AVX-512.
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx512 => unsafe { run_avx512(work) },
        }
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn has_avx512() -> bool {
    std::is_x86_feature_detected!("avx2")
        && std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512vl")
}

/// # Safety
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn run_avx2<K: Work>(work: K) -> K::Output {
    work.run::<Avx2>()
}

/// # Safety
/// The processor has AVX2, and AVX-512 with vectors of all lengths.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512vl")]
unsafe fn run_avx512<K: Work>(work: K) -> K::Output {
    work.run::<Avx512>()
}

#[derive(Clone, Copy)]
struct Portable([Word; 4]);

#[expect(clippy::inline_always, reason = "some instructions")]
impl Words for Portable {
    #[inline(always)]
    fn new(words: [u64; 4]) -> Self {
        Self(words.map(Word))
    }

    #[inline(always)]
    fn words(self) -> [u64; 4] {
        self.0.map(|Word(word)| word)
    }
}

#[expect(clippy::inline_always, reason = "some instructions")]
impl Lanes for Portable {
    #[inline(always)]
    fn splat(word: u64) -> Self {
        Self([Word(word); 4])
    }

    #[inline(always)]
    fn add(self, Self(other): Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i].add(other[i])))
    }

    #[inline(always)]
    fn xor(self, Self(other): Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i].xor(other[i])))
    }

    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        Self(self.0.map(Word::rotate::<LEFT, RIGHT>))
    }
}

/// With AVX2. Only [`run_avx2`] makes work use it.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Avx2(x86::__m256i);

#[cfg(target_arch = "x86_64")]
#[expect(clippy::inline_always, reason = "some instructions")]
impl Words for Avx2 {
    #[inline(always)]
    fn new(words: [u64; 4]) -> Self {
        // SAFETY: of all methods here: the processor has AVX2, see `run_avx2`; an unaligned load of
        // 32 bytes.
        Self(unsafe { x86::_mm256_loadu_si256(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn words(self) -> [u64; 4] {
        let mut words = [0; 4];
        // SAFETY: as in `new`; an unaligned store of 32 bytes.
        unsafe { x86::_mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) };
        words
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(clippy::inline_always, reason = "some instructions")]
impl Lanes for Avx2 {
    #[inline(always)]
    fn splat(word: u64) -> Self {
        Self::new([word; 4])
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: as in `new`.
        Self(unsafe { x86::_mm256_add_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: as in `new`.
        Self(unsafe { x86::_mm256_xor_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        const { assert!(LEFT + RIGHT == 64) };
        // SAFETY: as in `new`.
        Self(unsafe {
            let left = x86::_mm256_slli_epi64::<LEFT>(self.0);
            x86::_mm256_or_si256(left, x86::_mm256_srli_epi64::<RIGHT>(self.0))
        })
    }
}

/// With AVX-512, which rotates. Only [`run_avx512`] makes work use it.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Avx512(Avx2);

#[cfg(target_arch = "x86_64")]
#[expect(clippy::inline_always, reason = "some instructions")]
impl Words for Avx512 {
    #[inline(always)]
    fn new(words: [u64; 4]) -> Self {
        Self(Avx2::new(words))
    }

    #[inline(always)]
    fn words(self) -> [u64; 4] {
        self.0.words()
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(clippy::inline_always, reason = "some instructions")]
impl Lanes for Avx512 {
    #[inline(always)]
    fn splat(word: u64) -> Self {
        Self::new([word; 4])
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.0.add(other.0))
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self(self.0.xor(other.0))
    }

    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        // SAFETY: the processor has AVX-512 and its shorter vectors, see `run_avx512`.
        Self(Avx2(unsafe { x86::_mm256_rol_epi64::<LEFT>(self.0.0) }))
    }
}

/// A byte for each word, in order from the lowest: 0xff where it is `word`, else 0.
///
/// With what all x86-64 processors have; the compiler does not find these six instructions.
#[inline]
pub fn equal_words(words: &[u16; 8], word: u16) -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: SSE2 is part of x86-64, and the load is of the sixteen bytes of `words`.
    unsafe {
        let words = x86::_mm_loadu_si128(words.as_ptr().cast());
        let equal = x86::_mm_cmpeq_epi16(words, x86::_mm_set1_epi16(word as i16));
        x86::_mm_cvtsi128_si64(x86::_mm_packs_epi16(equal, equal)) as u64
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    equal_words_anywhere(words, word)
}

/// The same on any processor.
#[cfg(any(test, miri, not(target_arch = "x86_64")))]
fn equal_words_anywhere(words: &[u16; 8], word: u16) -> u64 {
    u64::from_le_bytes(words.map(|one| if one == word { 0xff } else { 0 }))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Every operation, once.
    struct Mixed([u64; 4], [u64; 4]);

    impl Work for Mixed {
        type Output = [u64; 4];

        #[inline(always)]
        #[expect(clippy::inline_always, reason = "it has vectors where it is inlined")]
        fn run<W: Words>(self) -> [u64; 4] {
            let (a, b) = (W::new(self.0), W::new(self.1));
            a.rotate::<13, 51>().add(b).xor(W::splat(7)).rotate::<32, 32>().words()
        }
    }

    proptest::proptest! {
        #![proptest_config(crate::test_runs())]
        #[test]
        fn every_level_of_this_processor_gives_the_same(a: [u64; 4], b: [u64; 4]) {
            let expected: [u64; 4] = core::array::from_fn(|i| {
                (a[i].rotate_left(13).wrapping_add(b[i]) ^ 7).rotate_left(32)
            });
            proptest::prop_assert_eq!(Level::all().next(), Some(Level::PORTABLE));
            for level in Level::all() {
                proptest::prop_assert_eq!(level.run(Mixed(a, b)), expected, "{:?}", level);
            }
        }

        #[test]
        fn equal_words_are_found_the_same_way_everywhere(few: [bool; 8], wild: [u16; 8]) {
            let words = few.map(u16::from);
            for (words, word) in [(words, 0), (words, 1), (wild, wild[3]), (wild, 0xffff)] {
                let expected = equal_words_anywhere(&words, word);
                proptest::prop_assert_eq!(equal_words(&words, word), expected);
            }
        }
    }
}
