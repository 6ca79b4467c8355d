//! The keyed hash of a 4-tuple: `SipHash`, written out straight for the two lengths we have. The
//! flow table has it with one and three rounds, what an outsider may see with two and four.
//!
//! The flow table places connections by this hash, so whoever can choose addresses and ports must
//! not be able to choose buckets: the key is drawn at start and never leaves the process. The
//! message that is hashed:
//!
//! ```text
//!   IPv4   12 bytes   local address, remote address, local port, remote port
//!   IPv6   36 bytes   the same with 16-byte addresses, remote first
//! ```
//!
//! each number in little-endian order. The lengths differ and `SipHash` covers the length, so an
//! IPv4 flow and an IPv6 flow are never the same message.
//!
//! One hash is a chain of about 60 dependent instructions, and a core can run several such chains
//! at once. [`FlowHasher::hash_burst`] gives it four, in the lanes of vectors where there are such.

use crore_mem::vectors::{Lanes, Level, Word, Words, Work};

/// The two ends of a flow, as the receiver of its frames sees them.
///
/// IPv4 addresses are in their IPv6-mapped form, `::ffff:a.b.c.d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The peer's address.
    pub remote: u128,
    /// Our address.
    pub local: u128,
    /// The peer's port.
    pub remote_port: u16,
    /// Our port.
    pub local_port: u16,
}

impl FlowKey {
    /// True when both addresses are IPv4 ones.
    #[inline]
    pub const fn is_v4(&self) -> bool {
        self.remote >> 32 == V4_MAPPED && self.local >> 32 == V4_MAPPED
    }

    #[inline]
    fn v6_words(&self) -> [u64; 5] {
        [
            self.remote as u64,
            (self.remote >> 64) as u64,
            self.local as u64,
            (self.local >> 64) as u64,
            last_word(V6_MESSAGE_LEN, self.remote_port, self.local_port),
        ]
    }

    /// `SipHash-2-4` of the flow under `key`.
    pub(crate) fn sip_2_4(&self, key: [u64; 2]) -> u64 {
        let state = initial(key);
        match FlowV4::of(self) {
            Some(FlowV4(words)) => sip::<Word, 2, 2, 4>(state, words.map(Word)).0,
            None => sip::<Word, 5, 2, 4>(state, self.v6_words().map(Word)).0,
        }
    }

    /// The same of the flow with eight more bytes before the ports.
    pub(crate) fn sip_2_4_with(&self, key: [u64; 2], more: u64) -> u64 {
        let (state, longer) = (initial(key), 8 << 56);
        if let Some(FlowV4([addresses, last])) = FlowV4::of(self) {
            let words = [addresses, more, last + longer];
            return sip::<Word, 3, 2, 4>(state, words.map(Word)).0;
        }
        let [a, b, c, d, last] = self.v6_words();
        sip::<Word, 6, 2, 4>(state, [a, b, c, d, more, last + longer].map(Word)).0
    }
}

/// An IPv4 flow in the form that is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowV4([u64; 2]);

impl FlowV4 {
    /// No flow.
    pub const NONE: Self = Self([0; 2]);

    /// The flow of these addresses and ports, the remote one above the local one.
    #[inline]
    pub const fn new(remote: u32, local: u32, ports: u32) -> Self {
        let addresses = (remote as u64) << 32 | local as u64;
        Self([addresses, V4_MESSAGE_LEN << 56 | ports as u64])
    }

    /// The flow of a key whose addresses are IPv4 ones.
    #[inline]
    pub const fn of(key: &FlowKey) -> Option<Self> {
        if !key.is_v4() {
            return None;
        }
        let (remote, local) = (key.remote as u32, key.local as u32);
        let ports = (key.remote_port as u32) << 16 | key.local_port as u32;
        Some(Self::new(remote, local, ports))
    }
}

/// Hashes flow keys under one secret key.
#[derive(Clone, Copy)]
pub struct FlowHasher {
    initial: [u64; 4],
    /// The vectors that bursts are hashed with.
    level: Level,
}

/// A burst of flows to be hashed.
struct Burst<'a> {
    hasher: &'a FlowHasher,
    flows: &'a [FlowV4],
    hashes: &'a mut [u64],
}

impl Work for Burst<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "it has vectors where it is inlined")]
    fn run<W: Words>(self) {
        assert_eq!(self.flows.len(), self.hashes.len());
        let (flows4, flows_rest) = self.flows.as_chunks::<4>();
        let (hashes4, hashes_rest) = self.hashes.as_chunks_mut::<4>();
        for (four, out) in flows4.iter().zip(hashes4) {
            let words = [0, 1].map(|at| W::new(four.map(|FlowV4(words)| words[at])));
            *out = sip::<W, 2, 1, 3>(self.hasher.initial, words).words();
        }
        for (flow, out) in flows_rest.iter().zip(hashes_rest) {
            *out = self.hasher.hash_v4(*flow);
        }
    }
}

impl FlowHasher {
    /// A hasher under `key`, which must be drawn at random at start and kept secret.
    pub fn new(key: [u64; 2]) -> Self {
        Self { level: Level::best(), initial: initial(key) }
    }

    /// The hash of one key; all 64 bits are good.
    #[inline]
    pub fn hash(&self, key: &FlowKey) -> u64 {
        match FlowV4::of(key) {
            Some(flow) => self.hash_v4(flow),
            None => sip::<Word, 5, 1, 3>(self.initial, key.v6_words().map(Word)).0,
        }
    }

    #[inline]
    fn hash_v4(&self, FlowV4(words): FlowV4) -> u64 {
        sip::<Word, 2, 1, 3>(self.initial, words.map(Word)).0
    }

    /// The hashes of a burst of IPv4 flows, side by side: `hashes[i]` becomes that of `flows[i]`.
    ///
    /// # Panics
    /// When the slices have different lengths.
    #[inline]
    pub fn hash_burst(&self, flows: &[FlowV4], hashes: &mut [u64]) {
        self.level.run(Burst { hasher: self, flows, hashes });
    }
}

impl core::fmt::Debug for FlowHasher {
    /// Says nothing of the key: a log must not give it away.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FlowHasher")
    }
}

/// The state that a key begins with.
const fn initial(key: [u64; 2]) -> [u64; 4] {
    [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ]
}

/// `SipHash-C-D` of messages of `WORDS` words each, the last one with the length.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it has vectors where it is inlined")]
fn sip<W: Lanes, const WORDS: usize, const C: usize, const D: usize>(
    initial: [u64; 4],
    words: [W; WORDS],
) -> W {
    let mut v = initial.map(W::splat);
    for word in words {
        v[3] = v[3].xor(word);
        (0..C).for_each(|_| round(&mut v));
        v[0] = v[0].xor(word);
    }
    v[2] = v[2].xor(W::splat(0xff));
    (0..D).for_each(|_| round(&mut v));
    v[0].xor(v[1]).xor(v[2].xor(v[3]))
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "it has vectors where it is inlined")]
fn round<W: Lanes>([v0, v1, v2, v3]: &mut [W; 4]) {
    *v0 = v0.add(*v1);
    *v2 = v2.add(*v3);
    *v1 = v1.rotate::<13, 51>().xor(*v0);
    *v3 = v3.rotate::<16, 48>().xor(*v2);
    *v0 = v0.rotate::<32, 32>();
    *v2 = v2.add(*v1);
    *v0 = v0.add(*v3);
    *v1 = v1.rotate::<17, 47>().xor(*v2);
    *v3 = v3.rotate::<21, 43>().xor(*v0);
    *v2 = v2.rotate::<32, 32>();
}

/// `SipHash` ends each message with a word of its last bytes and, on top, its length.
#[inline]
const fn last_word(message_len: u64, remote_port: u16, local_port: u16) -> u64 {
    message_len << 56 | (remote_port as u64) << 16 | local_port as u64
}

/// The upper 96 bits of each IPv4-mapped address (RFC 4291 2.5.5.2).
const V4_MAPPED: u128 = 0xffff;
const V4_MESSAGE_LEN: u64 = 12;
const V6_MESSAGE_LEN: u64 = 36;

#[cfg(test)]
mod tests;
