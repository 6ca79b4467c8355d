//! Receive-side scaling: which queue of an interface a frame goes to, by the Toeplitz hash of its
//! addresses and ports.
//!
//! ```text
//!   frame ─> addresses, ports ─ Toeplitz ─> 32 bits ─ low 7 bits ─> indirection table ─> queue
//! ```
//!
//! This is what network interfaces do in hardware, and what Microsoft's "RSS hashing functions"
//! describes. TCP segments are steered by their 4-tuple; fragments, and packets of other protocols,
//! by their addresses; what is not IP goes to queue 0.
//!
//! The hash is linear: each bit of the input that is set adds a window of 32 bits of the key. So it
//! is made from a table for each four bits of the input, small enough to stay in the first cache.
//!
//! It is not a secret, and no hash for tables: whoever can choose ports can choose the queue.

use core::fmt;

use crate::ethernet::{self, EtherType};
use crate::{Protocol, ipv4, ipv6};

/// How an interface steers what it receives.
#[derive(Clone, PartialEq, Eq)]
pub struct Rss {
    /// For each four bits of the input, from the first on, and each value: what it adds.
    parts: [[u32; 16]; NIBBLES],
    indirection: [u16; INDIRECTION_LEN],
    queues: u16,
}

/// How the frames of one host are steered, and which of its queues is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steering {
    /// How they are steered.
    pub rss: Rss,
    /// Our queue.
    pub queue: u16,
}

impl Rss {
    /// Steering under a key, over an indirection table that gives all queues alike, as Linux sets
    /// it up.
    ///
    /// # Panics
    /// Without a queue.
    pub const fn new(key: &[u8; KEY_BYTES], queues: u16) -> Self {
        assert!(queues > 0, "a host receives on one queue at least");
        let mut indirection = [0; INDIRECTION_LEN];
        let mut i = 0;
        while i < INDIRECTION_LEN {
            indirection[i] = i as u16 % queues;
            i += 1;
        }
        Self { parts: parts_of(key), indirection, queues }
    }

    /// The same with another indirection table: all of its entries are below the count of queues.
    ///
    /// # Panics
    /// When one is not.
    #[must_use]
    pub fn with_indirection(mut self, indirection: [u16; INDIRECTION_LEN]) -> Self {
        assert!(indirection.iter().all(|&queue| queue < self.queues), "a queue that is not");
        self.indirection = indirection;
        self
    }

    /// Number of queues.
    #[inline]
    pub const fn queues(&self) -> u16 {
        self.queues
    }

    /// The queue for a hash.
    #[inline]
    pub const fn queue_of(&self, hash: u32) -> u16 {
        self.indirection[hash as usize % INDIRECTION_LEN]
    }

    /// The queue for a frame, from its Ethernet header on, whatever is in it.
    #[inline]
    pub fn queue_of_frame(&self, frame: &[u8]) -> u16 {
        self.hash_frame(frame).map_or(0, |hash| self.queue_of(hash))
    }

    /// The hash of a frame; `None` when it is not IP, or too short to tell.
    #[inline]
    pub fn hash_frame(&self, frame: &[u8]) -> Option<u32> {
        let mut at = ethernet::HEADER_LEN;
        let mut ether_type = u16_at(frame, at - 2)?;
        if ether_type == EtherType::VLAN.0 {
            at += ethernet::TAG_LEN;
            ether_type = u16_at(frame, at - 2)?;
        }
        let packet = frame.get(at..)?;
        match EtherType(ether_type) {
            EtherType::IPV4 => self.hash_packet_v4(packet),
            EtherType::IPV6 => self.hash_packet_v6(packet),
            _ => None,
        }
    }

    #[inline]
    fn hash_packet_v4(&self, packet: &[u8]) -> Option<u32> {
        let header = packet.first_chunk::<{ ipv4::HEADER_LEN }>()?;
        let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| header[at + i]));
        let (src, dst) = (word(12), word(16));
        // MF and the offset.
        let is_fragment = (header[6] & 0x3f) | header[7] != 0;
        if header[9] != Protocol::TCP.0 || is_fragment {
            return Some(self.base_v4(src, dst));
        }
        let ports = u32_at(packet, usize::from(header[0] & 0x0f) * 4)?;
        Some(self.hash_v4(src, dst, (ports >> 16) as u16, ports as u16))
    }

    /// Extension headers are not walked through: what has any goes by its addresses.
    #[inline]
    fn hash_packet_v6(&self, packet: &[u8]) -> Option<u32> {
        let header = packet.first_chunk::<{ ipv6::HEADER_LEN }>()?;
        let address = |at: usize| u128::from_be_bytes(core::array::from_fn(|i| header[at + i]));
        let (src, dst) = (address(8), address(24));
        if header[6] != Protocol::TCP.0 {
            return Some(self.base_v6(src, dst));
        }
        let ports = u32_at(packet, ipv6::HEADER_LEN)?;
        Some(self.hash_v6(src, dst, (ports >> 16) as u16, ports as u16))
    }

    /// The hash of an IPv4 4-tuple, as the receiver of the segment sees it.
    #[inline]
    pub const fn hash_v4(&self, src: u32, dst: u32, src_port: u16, dst_port: u16) -> u32 {
        self.base_v4(src, dst)
            ^ self.part(8, src_port as u128, 2)
            ^ self.part(V4_DST_PORT_AT, dst_port as u128, 2)
    }

    /// The hash of an IPv6 4-tuple, as the receiver of the segment sees it.
    #[inline]
    pub const fn hash_v6(&self, src: u128, dst: u128, src_port: u16, dst_port: u16) -> u32 {
        self.base_v6(src, dst)
            ^ self.part(32, src_port as u128, 2)
            ^ self.part(V6_DST_PORT_AT, dst_port as u128, 2)
    }

    /// The hash of two IPv4 addresses: that of a fragment, or of another protocol; and of a segment
    /// without its ports.
    #[inline]
    pub const fn base_v4(&self, src: u32, dst: u32) -> u32 {
        self.part(0, src as u128, 4) ^ self.part(4, dst as u128, 4)
    }

    /// The hash of two IPv6 addresses.
    #[inline]
    pub const fn base_v6(&self, src: u128, dst: u128) -> u32 {
        self.part(0, src, 16) ^ self.part(16, dst, 16)
    }

    /// What `bytes` octets of `value` add, the first of them at octet `at` of the input.
    #[inline]
    const fn part(&self, at: usize, value: u128, bytes: usize) -> u32 {
        let mut hash = 0;
        let mut i = 0;
        while i < 2 * bytes {
            let nibble = value >> (4 * (2 * bytes - 1 - i)) & 0xf;
            hash ^= self.parts[2 * at + i][nibble as usize];
            i += 1;
        }
        hash
    }
}

impl Steering {
    /// Where segments from a remote end to each of the ports of a local address arrive. Addresses
    /// are IPv6 ones, or IPv4 ones in their mapped form.
    #[inline]
    pub const fn ports(&self, remote: u128, local: u128, remote_port: u16) -> Ports<'_> {
        let rss = &self.rss;
        if remote >> 32 == V4_MAPPED {
            let rest = rss.hash_v4(remote as u32, local as u32, remote_port, 0);
            Ports { steering: self, rest, at: V4_DST_PORT_AT }
        } else {
            Ports {
                steering: self,
                rest: rss.hash_v6(remote, local, remote_port, 0),
                at: V6_DST_PORT_AT,
            }
        }
    }
}

/// The ports of a local address, by where segments from one remote end to them arrive. The hash is
/// linear, so a port costs four look-ups: who searches for one tries many for little.
#[derive(Clone, Copy, Debug)]
pub struct Ports<'a> {
    steering: &'a Steering,
    /// The hash without the port.
    rest: u32,
    at: usize,
}

impl Ports<'_> {
    /// The queue that segments to this port arrive at.
    #[inline]
    pub const fn queue_of(&self, local_port: u16) -> u16 {
        let rss = &self.steering.rss;
        rss.queue_of(self.rest ^ rss.part(self.at, local_port as u128, 2))
    }

    /// True when segments to this port arrive at our queue.
    #[inline]
    pub const fn has(&self, local_port: u16) -> bool {
        self.queue_of(local_port) == self.steering.queue
    }
}

impl fmt::Debug for Rss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rss").field("queues", &self.queues).finish_non_exhaustive()
    }
}

/// The tables of a key: bit `n` of the input, counted from the first octet's highest, adds the 32
/// bits of the key from its bit `n` on.
const fn parts_of(key: &[u8; KEY_BYTES]) -> [[u32; 16]; NIBBLES] {
    let mut parts = [[0; 16]; NIBBLES];
    let mut position = 0;
    while position < NIBBLES {
        let mut value = 0;
        while value < 16 {
            let mut bit = 0;
            while bit < 4 {
                if value & (8 >> bit) != 0 {
                    parts[position][value] ^= window(key, 4 * position + bit);
                }
                bit += 1;
            }
            value += 1;
        }
        position += 1;
    }
    parts
}

/// 32 bits of the key from this bit on.
const fn window(key: &[u8; KEY_BYTES], bit: usize) -> u32 {
    let mut bits = 0u64;
    let mut i = 0;
    while i < 5 {
        let at = bit / 8 + i;
        bits = bits << 8 | if at < KEY_BYTES { key[at] as u64 } else { 0 };
        i += 1;
    }
    (bits >> (8 - bit % 8)) as u32
}

#[inline]
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]))
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

/// Bytes of a key.
pub const KEY_BYTES: usize = 40;

/// The key of Microsoft's examples, which many drivers have as their default.
pub const MICROSOFT_KEY: [u8; KEY_BYTES] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// Entries of the indirection table.
pub const INDIRECTION_LEN: usize = 128;

/// The longest input: two IPv6 addresses and two ports, four bits at a time.
const NIBBLES: usize = 72;

/// Where the receiver's port begins in the input, in octets.
const V4_DST_PORT_AT: usize = 10;
const V6_DST_PORT_AT: usize = 34;

/// The upper 96 bits of each IPv4-mapped address (RFC 4291 2.5.5.2).
const V4_MAPPED: u128 = 0xffff;

#[cfg(test)]
mod tests;
