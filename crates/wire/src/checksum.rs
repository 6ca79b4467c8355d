//! The Internet checksum (RFC 1071): the one's complement sum of 16-bit words.
//!
//! A [`Sum`] is not folded until the end. It is kept in the byte order of the machine, because the
//! sum does not care (RFC 1071 2.B): each addition is then a plain load, and only
//! [`Sum::finish`] swaps. Addition is on 64 bits with the carry brought round to bit 0; as
//! 2^16 - 1 divides 2^64 - 1 the result folds to the same 16 bits, and it cannot overflow.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::Protocol;

/// A partial sum, to which more can be added.
///
/// All parts are taken to begin at an even offset of what is being summed, except with
/// [`Sum::add_sum_at_odd`]. An odd number of bytes counts as if a zero byte followed, so only the
/// last part may be odd.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// The pseudo-header of TCP and UDP over IPv4 (RFC 9293 3.1); `len` is header and payload.
    #[inline]
    pub const fn pseudo_v4(src: Ipv4Addr, dst: Ipv4Addr, protocol: Protocol, len: u16) -> Self {
        let addresses = src.to_bits().to_be() as u64 + dst.to_bits().to_be() as u64;
        let rest = ((protocol.0 as u32) << 16) | len as u32;
        Self(addresses + rest.to_be() as u64)
    }

    /// The pseudo-header of IPv6 (RFC 8200 8.1); `len` is upper-layer header and payload.
    #[inline]
    pub const fn pseudo_v6(src: Ipv6Addr, dst: Ipv6Addr, protocol: Protocol, len: u32) -> Self {
        let (src, dst) = (src.to_bits(), dst.to_bits());
        Self::ZERO
            .add_u64((src >> 64) as u64)
            .add_u64(src as u64)
            .add_u64((dst >> 64) as u64)
            .add_u64(dst as u64)
            .add_u32(len)
            .add_u32(protocol.0 as u32)
    }

    /// Adds bytes as they lie in the packet.
    #[inline]
    pub fn add_bytes(self, bytes: &[u8]) -> Self {
        if bytes.len() >= LONG { self.add_long(bytes) } else { self.add_short(bytes) }
    }

    #[inline(never)]
    fn add_long(self, bytes: &[u8]) -> Self {
        let (blocks, rest) = bytes.as_chunks::<BLOCK_LEN>();
        self.add_sum(sum_blocks(blocks)).add_short(rest)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a handful of instructions for small payloads")]
    fn add_short(self, bytes: &[u8]) -> Self {
        let (chains, tail) = bytes.as_chunks::<CHAIN_LEN>();
        let mut sum = self;
        for chain in chains {
            sum = sum.add_chain(chain);
        }
        if tail.is_empty() { sum } else { sum.add_tail(tail) }
    }

    /// Adds whole words.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "an instruction for each word")]
    pub fn add_chain<const LEN: usize>(self, bytes: &[u8; LEN]) -> Self {
        const { assert!(LEN.is_multiple_of(8), "whole words") };
        let words = bytes.as_chunks::<8>().0;
        self.add_words(words.iter().map(|word| u64::from_ne_bytes(*word)))
    }

    /// Adds words as they lie in the packet, the carry of each going into the next one.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "an instruction for each word")]
    pub(crate) fn add_words(self, words: impl Iterator<Item = u64>) -> Self {
        let (mut sum, mut carry) = (self.0, false);
        for word in words {
            (sum, carry) = sum.carrying_add(word, carry);
        }
        // One that carried is at most 2^64 - 2, so neither here nor in the chain is a carry lost.
        Self(sum.wrapping_add(u64::from(carry)))
    }

    /// Adds bytes, and copies them to `to`, reading each once.
    ///
    /// # Panics
    /// When `to` is not as long.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a handful of instructions for small payloads")]
    pub fn add_copied(self, bytes: &[u8], to: &mut [u8]) -> Self {
        assert!(bytes.len() == to.len());
        if bytes.len() >= LONG {
            self.add_copied_long(bytes, to)
        } else {
            self.add_copied_short(bytes, to)
        }
    }

    #[inline(never)]
    fn add_copied_long(self, bytes: &[u8], to: &mut [u8]) -> Self {
        let (to, to_rest) = to.as_chunks_mut::<BLOCK_LEN>();
        let (blocks, rest) = bytes.as_chunks::<BLOCK_LEN>();
        self.add_sum(copy_and_sum_blocks(to, blocks)).add_copied_short(rest, to_rest)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a handful of instructions for small payloads")]
    fn add_copied_short(self, bytes: &[u8], to: &mut [u8]) -> Self {
        let (to, to_tail) = to.as_chunks_mut::<CHAIN_LEN>();
        let (chains, tail) = bytes.as_chunks::<CHAIN_LEN>();
        let mut sum = self;
        for (to, chain) in to.iter_mut().zip(chains) {
            sum = sum.add_chain(chain);
            *to = *chain;
        }
        if tail.is_empty() { sum } else { sum.add_copied_tail(tail, to_tail) }
    }

    #[inline(never)]
    fn add_copied_tail(self, bytes: &[u8], to: &mut [u8]) -> Self {
        to.copy_from_slice(bytes);
        self.add_tail(bytes)
    }

    /// Adds a 16-bit field.
    #[inline]
    pub const fn add_u16(self, word: u16) -> Self {
        self.add_raw(word.to_be() as u64)
    }

    /// Adds a 32-bit field.
    #[inline]
    pub const fn add_u32(self, word: u32) -> Self {
        self.add_raw(word.to_be() as u64)
    }

    /// Adds eight bytes, given as the big-endian number they are in the packet.
    #[inline]
    pub const fn add_u64(self, word: u64) -> Self {
        self.add_raw(word.to_be())
    }

    /// Adds the sum of a part that begins at an even offset.
    #[inline]
    pub const fn add_sum(self, other: Self) -> Self {
        self.add_raw(other.0)
    }

    /// Adds the sum of a part that begins at an odd offset: its bytes trade places in their words
    /// (RFC 1071 2.B). The part before it must have been odd in length.
    #[inline]
    pub const fn add_sum_at_odd(self, other: Self) -> Self {
        self.add_raw(other.0.rotate_left(8))
    }

    /// The checksum to store: the complement of the folded sum.
    #[inline]
    pub const fn finish(self) -> u16 {
        !u16::from_be(self.fold())
    }

    /// The checksum to store where zero means "none" (RFC 768): zero becomes its twin 0xffff.
    #[inline]
    pub const fn finish_nonzero(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            checksum => checksum,
        }
    }

    /// The folded sum, not complemented: what a device with checksum offload wants in the field.
    #[inline]
    pub const fn partial(self) -> u16 {
        u16::from_be(self.fold())
    }

    #[inline]
    const fn add_raw(self, native: u64) -> Self {
        let (sum, carry) = self.0.overflowing_add(native);
        // A sum that carried is at most 2^64 - 2, so the carry cannot overflow it again.
        Self(sum.wrapping_add(carry as u64))
    }

    /// Adds what is left after whole chains.
    #[inline]
    fn add_tail(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut sum = self;
        for word in words {
            sum = sum.add_raw(u64::from_ne_bytes(*word));
        }
        if rest.is_empty() { sum } else { sum.add_rest(rest) }
    }

    /// Adds less than a word.
    #[inline(never)]
    fn add_rest(self, bytes: &[u8]) -> Self {
        let (mut sum, mut rest) = (self, bytes);
        if let Some((word, after)) = rest.split_first_chunk::<4>() {
            sum = sum.add_raw(u64::from(u32::from_ne_bytes(*word)));
            rest = after;
        }
        match *rest {
            [a] => sum.add_raw(u64::from(u16::from_ne_bytes([a, 0]))),
            [a, b] => sum.add_raw(u64::from(u16::from_ne_bytes([a, b]))),
            [a, b, c] => sum.add_raw(u64::from(u32::from_ne_bytes([a, b, c, 0]))),
            _ => sum,
        }
    }

    /// Folds to 16 bits in machine order. Adding a number to its own rotation leaves in the upper
    /// half the sum of both halves with its carry brought round.
    #[inline]
    const fn fold(self) -> u16 {
        fold(self.0)
    }
}

/// Folds a sum of 16-bit words, or of wider numbers made of such, to 16 bits.
#[inline]
pub(crate) const fn fold(sum: u64) -> u16 {
    let half = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    (half.wrapping_add(half.rotate_left(16)) >> 16) as u16
}

/// True when a sum over bytes *and* their checksum field says that they are intact: when it folds
/// to all ones, that is when it is a multiple of 2^16 - 1, and not zero.
///
/// Those multiples are the numbers that a product with the inverse of 2^16 - 1 makes small: it is
/// a division, which goes up to `MULTIPLES` where there is no remainder. The inverse is the
/// negative of the same number, so the product here is near the other end.
#[inline]
#[must_use]
pub const fn verify(sum: Sum) -> bool {
    sum.0.wrapping_mul(MULTIPLES) >= MULTIPLES.wrapping_neg()
}

/// How many multiples of 2^16 - 1 there are below 2^64, zero not counted.
const MULTIPLES: u64 = u64::MAX / 0xffff;

/// Copies `src` to the front of `dst` and sums it, reading each byte once.
///
/// # Panics
/// When `dst` is shorter than `src`.
#[inline]
pub fn copy_and_sum(dst: &mut [u8], src: &[u8]) -> Sum {
    Sum::ZERO.add_copied(src, &mut dst[..src.len()])
}

/// The checksum after one 16-bit word of the data changed (RFC 1624 equation 3).
#[inline]
#[must_use]
pub const fn update(old_checksum: u16, old_word: u16, new_word: u16) -> u16 {
    Sum::ZERO.add_u16(!old_checksum).add_u16(!old_word).add_u16(new_word).finish()
}

/// Independent accumulators for one block, so that its additions need not wait for each other.
///
/// Each is twice as wide as a word: the upper half counts the carries, and that is one instruction
/// beside the addition. On x86-64 without AVX2 this is faster than vectors, which have no carry.
#[derive(Clone, Copy)]
struct Lanes([u128; LANES]);

impl Lanes {
    const ZERO: Self = Self([0; LANES]);

    #[inline]
    fn add(&mut self, block: &[u8; BLOCK_LEN]) {
        let (words, _) = block.as_chunks::<8>();
        for (place, word) in words.iter().enumerate() {
            self.0[place % LANES] += u128::from(u64::from_ne_bytes(*word));
        }
    }

    #[inline]
    fn sum(&self) -> Sum {
        self.0
            .iter()
            .fold(Sum::ZERO, |sum, lane| sum.add_raw(*lane as u64).add_raw((*lane >> 64) as u64))
    }
}

fn copy_and_sum_blocks(dst: &mut [[u8; BLOCK_LEN]], src: &[[u8; BLOCK_LEN]]) -> Sum {
    let mut lanes = Lanes::ZERO;
    for (to, from) in dst.iter_mut().zip(src) {
        lanes.add(from);
        *to = *from;
    }
    lanes.sum()
}

fn sum_blocks(blocks: &[[u8; BLOCK_LEN]]) -> Sum {
    let mut lanes = Lanes::ZERO;
    for block in blocks {
        lanes.add(block);
    }
    lanes.sum()
}

const LANES: usize = 2;
const BLOCK_LEN: usize = 64;
/// Bytes added in one go where there are few.
const CHAIN_LEN: usize = 32;
/// From so many bytes on two lanes are faster than one chain (docs/internals/performance.md).
const LONG: usize = 192;

#[cfg(test)]
mod tests;
