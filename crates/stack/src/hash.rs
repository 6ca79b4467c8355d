//! The keyed hash of a 4-tuple: `SipHash-1-3`, written out straight for the two lengths we have.
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
//! at once. [`FlowHasher::hash_burst`] gives it four.

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
}

/// An IPv4 flow in the form that is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowV4([u64; 2]);

impl FlowV4 {
    /// No flow.
    pub const NONE: Self = Self([0; 2]);

    /// The flow of these addresses and ports.
    #[inline]
    pub const fn new(remote: u32, local: u32, remote_port: u16, local_port: u16) -> Self {
        let addresses = (remote as u64) << 32 | local as u64;
        Self([addresses, last_word(V4_MESSAGE_LEN, remote_port, local_port)])
    }

    /// The flow of a key whose addresses are IPv4 ones.
    #[inline]
    pub const fn of(key: &FlowKey) -> Option<Self> {
        if !key.is_v4() {
            return None;
        }
        let (remote, local) = (key.remote as u32, key.local as u32);
        Some(Self::new(remote, local, key.remote_port, key.local_port))
    }
}

/// Hashes flow keys under one secret key.
#[derive(Clone, Copy)]
pub struct FlowHasher {
    initial: [u64; 4],
}

impl FlowHasher {
    /// A hasher under `key`, which must be drawn at random at start and kept secret.
    pub const fn new(key: [u64; 2]) -> Self {
        Self {
            initial: [
                key[0] ^ 0x736f_6d65_7073_6575,
                key[1] ^ 0x646f_7261_6e64_6f6d,
                key[0] ^ 0x6c79_6765_6e65_7261,
                key[1] ^ 0x7465_6462_7974_6573,
            ],
        }
    }

    /// The hash of one key; all 64 bits are good.
    #[inline]
    pub fn hash(&self, key: &FlowKey) -> u64 {
        match FlowV4::of(key) {
            Some(flow) => self.hash_v4(flow),
            None => self.sip_1_3(key.v6_words().map(|word| [word]))[0],
        }
    }

    #[inline]
    fn hash_v4(&self, FlowV4([first, last]): FlowV4) -> u64 {
        self.sip_1_3([[first], [last]])[0]
    }

    /// The hashes of a burst of IPv4 flows, side by side: `hashes[i]` becomes that of `flows[i]`.
    ///
    /// # Panics
    /// When the slices have different lengths.
    #[inline]
    pub fn hash_burst(&self, flows: &[FlowV4], hashes: &mut [u64]) {
        assert_eq!(flows.len(), hashes.len());
        let (flows4, flows_rest) = flows.as_chunks::<4>();
        let (hashes4, hashes_rest) = hashes.as_chunks_mut::<4>();
        for ([a, b, c, d], out) in flows4.iter().zip(hashes4) {
            *out =
                self.sip_1_3([[a.0[0], b.0[0], c.0[0], d.0[0]], [a.0[1], b.0[1], c.0[1], d.0[1]]]);
        }
        for (flow, out) in flows_rest.iter().zip(hashes_rest) {
            *out = self.hash_v4(*flow);
        }
    }

    /// `SipHash-1-3` of `LANES` messages of `WORDS` words each, the last one with the length.
    #[inline]
    fn sip_1_3<const LANES: usize, const WORDS: usize>(
        &self,
        words: [[u64; LANES]; WORDS],
    ) -> [u64; LANES] {
        let mut v = self.initial.map(|word| [word; LANES]);
        for word in words {
            xor(&mut v[3], word);
            round(&mut v);
            xor(&mut v[0], word);
        }
        xor(&mut v[2], [0xff; LANES]);
        round(&mut v);
        round(&mut v);
        round(&mut v);
        core::array::from_fn(|lane| v[0][lane] ^ v[1][lane] ^ v[2][lane] ^ v[3][lane])
    }
}

impl core::fmt::Debug for FlowHasher {
    /// Says nothing of the key: a log must not give it away.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FlowHasher")
    }
}

#[inline]
fn round<const LANES: usize>(v: &mut [[u64; LANES]; 4]) {
    let [v0, v1, v2, v3] = v;
    for lane in 0..LANES {
        v0[lane] = v0[lane].wrapping_add(v1[lane]);
        v2[lane] = v2[lane].wrapping_add(v3[lane]);
        v1[lane] = v1[lane].rotate_left(13) ^ v0[lane];
        v3[lane] = v3[lane].rotate_left(16) ^ v2[lane];
        v0[lane] = v0[lane].rotate_left(32);
        v2[lane] = v2[lane].wrapping_add(v1[lane]);
        v0[lane] = v0[lane].wrapping_add(v3[lane]);
        v1[lane] = v1[lane].rotate_left(17) ^ v2[lane];
        v3[lane] = v3[lane].rotate_left(21) ^ v0[lane];
        v2[lane] = v2[lane].rotate_left(32);
    }
}

#[inline]
fn xor<const LANES: usize>(v: &mut [u64; LANES], word: [u64; LANES]) {
    for lane in 0..LANES {
        v[lane] ^= word[lane];
    }
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
