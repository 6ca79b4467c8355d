//! The frame that nearly all are, read in one look and written in one go: Ethernet without a tag,
//! IPv4 without options and whole, TCP with no option, with timestamps alone, or with the four
//! options that nearly every SYN and its answer have.
//!
//! ```text
//!   0    6    12   14 15  16  18 20 22  23 24  26  30  34        46 48 50 52 54
//!   | to | by |type|45|tos|len|id|DF|ttl|6|sum|src|dst|ports seq ack|..|win|sum|urg| timestamps |
//! ```
//!
//! It says what the parsers of the three protocols say together, or nothing: then they say why.
//! One check of the length lets the rest read fields at fixed places.

use core::net::Ipv4Addr;

use crate::checksum::{self, Sum};
use crate::ethernet::{EtherType, MacAddr};
use crate::tcp::{Flags, Timestamps, UsualSyn};
use crate::{Protocol, tcp};

/// What a plain frame says, but for its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whom it is for on the link.
    pub mac: MacAddr,
    /// DSCP (upper 6 bits) and ECN (lower 2 bits).
    pub traffic_class: u8,
    /// Who sent the packet.
    pub src: Ipv4Addr,
    /// Whom it is for.
    pub dst: Ipv4Addr,
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgment number; valid with ACK.
    pub ack: u32,
    /// The control bits.
    pub flags: Flags,
    /// The window as it stands in the header.
    pub window: u16,
    /// The options.
    pub options: Options,
}

/// The options of a plain frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Options {
    /// None.
    None,
    /// Timestamps, behind two NOPs.
    Timestamps(Timestamps),
    /// All that a SYN has, in the order of Linux.
    Syn(UsualSyn),
}

impl Options {
    /// The same, for options that are one of these kinds.
    #[inline]
    pub fn of(options: &tcp::Options) -> Option<Self> {
        if options.is_empty_but_timestamps() {
            return Some(options.timestamps.map_or(Self::None, Self::Timestamps));
        }
        UsualSyn::of(options).map(Self::Syn)
    }

    /// The timestamps option.
    #[inline]
    pub fn timestamps(&self) -> Option<Timestamps> {
        match *self {
            Self::None => None,
            Self::Timestamps(timestamps) | Self::Syn(UsualSyn { timestamps, .. }) => {
                Some(timestamps)
            }
        }
    }

    /// Of a segment whose header is so long.
    #[inline]
    fn parse(segment: &[u8], header_len: usize) -> Option<Self> {
        match header_len {
            tcp::MIN_HEADER_LEN => Some(Self::None),
            WITH_TIMESTAMPS_LEN => tcp::timestamps_alone(segment).map(Self::Timestamps),
            OF_SYN_LEN => {
                UsualSyn::parse(segment.get(tcp::MIN_HEADER_LEN..OF_SYN_LEN)?).map(Self::Syn)
            }
            _ => None,
        }
    }

    #[inline]
    fn header_len(&self) -> usize {
        match self {
            Self::None => tcp::MIN_HEADER_LEN,
            Self::Timestamps(_) => WITH_TIMESTAMPS_LEN,
            Self::Syn(_) => OF_SYN_LEN,
        }
    }
}

impl Frame {
    /// Reads a frame and verifies both checksums; what follows the payload is padding. `None`: it
    /// is of another kind, or damaged.
    #[inline]
    pub fn parse(frame: &[u8]) -> Option<(Self, &[u8])> {
        let h = frame.first_chunk::<HEADERS_LEN>()?;
        let total_len = usize::from(be16(h, PACKET_AT + 2));
        let whole = be16(h, PACKET_AT + 6) & FRAGMENT == 0;
        let is_plain = be16(h, 12) == EtherType::IPV4.0
            && h[PACKET_AT] == VERSION_AND_LEN
            && whole
            && h[PACKET_AT + 9] == Protocol::TCP.0;
        let header_len = usize::from(h[SEGMENT_AT + 12] >> 4) * 4;
        let segment_len = total_len.checked_sub(SEGMENT_AT - PACKET_AT)?;
        if !is_plain || segment_len < header_len {
            return None;
        }
        let segment = frame.get(SEGMENT_AT..SEGMENT_AT + segment_len)?;
        let options = Options::parse(segment, header_len)?;
        if !checksum::verify(ip_sum(h)) || !checksum::verify(segment_sum(h, segment)) {
            return None;
        }
        let this = Self {
            mac: MacAddr([h[0], h[1], h[2], h[3], h[4], h[5]]),
            traffic_class: h[PACKET_AT + 1],
            src: Ipv4Addr::from_bits(be32(h, PACKET_AT + 12)),
            dst: Ipv4Addr::from_bits(be32(h, PACKET_AT + 16)),
            src_port: be16(h, SEGMENT_AT),
            dst_port: be16(h, SEGMENT_AT + 2),
            seq: be32(h, SEGMENT_AT + 4),
            ack: be32(h, SEGMENT_AT + 8),
            flags: Flags(h[SEGMENT_AT + 13]),
            window: be16(h, SEGMENT_AT + 14),
            options,
        };
        Some((this, &segment[header_len..]))
    }

    /// Writes the frame around `payload` to the front of `out`, with both sums, and says how long
    /// it is. It is sent `by` that address.
    ///
    /// All is put together in registers and stored in whole words; the payload is read once, for
    /// its copy and its sum together.
    ///
    /// # Panics
    /// When `out` is shorter than the frame, or than its longest header.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "every field is at hand where it is called")]
    pub fn write(&self, by: MacAddr, ttl: u8, payload: &[u8], out: &mut [u8]) -> usize {
        let header_len = self.options.header_len();
        let (start, segment_len) = (SEGMENT_AT + header_len, header_len + payload.len());
        let sum = checksum::copy_and_sum(&mut out[start..start + payload.len()], payload);
        let Some((h, _)) = out.split_first_chunk_mut::<HEADERS_MAX>() else {
            panic!("no room for the headers of a frame");
        };
        let (mac, by) = (as_u64(self.mac), as_u64(by));
        put64(h, 0, mac << 16 | by >> 32);
        let first = u64::from(VERSION_AND_LEN) << 8 | u64::from(self.traffic_class);
        put64(h, 8, by << 32 | u64::from(EtherType::IPV4.0) << 16 | first);
        let total_len = (SEGMENT_AT - PACKET_AT + segment_len) as u64;
        let life = u64::from(ttl) << 8 | u64::from(Protocol::TCP.0);
        put64(h, 16, total_len << 48 | DONT_FRAGMENT << 16 | life);
        let (src, dst) = (u64::from(self.src.to_bits()), u64::from(self.dst.to_bits()));
        let ip_sum = !checksum::fold(first + total_len + DONT_FRAGMENT + life + src + dst);
        put64(h, 24, u64::from(ip_sum) << 48 | src << 16 | dst >> 16);
        let ports = u64::from(self.src_port) << 16 | u64::from(self.dst_port);
        let (seq, ack) = (u64::from(self.seq), u64::from(self.ack));
        put64(h, 32, dst << 48 | ports << 16 | seq >> 16);
        let control = (header_len as u64 / 4) << 12 | u64::from(self.flags.0);
        put64(h, 40, seq << 48 | ack << 16 | control);
        let window = u64::from(self.window);
        let pseudo = src + dst + u64::from(Protocol::TCP.0) + segment_len as u64;
        let mut sum = pseudo + ports + seq + ack + control + window + u64::from(sum.partial());
        match self.options {
            Options::None => {
                let sum = u64::from(!checksum::fold(sum));
                h[48..52].copy_from_slice(&((window << 16 | sum) as u32).to_be_bytes());
                h[52..54].fill(0);
            }
            Options::Timestamps(Timestamps { value, echo }) => {
                let (value, echo) = (u64::from(value), u64::from(echo));
                let prefix = u64::from(tcp::TIMESTAMPS_PREFIX);
                sum += prefix + value + echo;
                put64(h, 56, prefix << 48 | value << 16 | echo >> 16);
                h[64..66].copy_from_slice(&(echo as u16).to_be_bytes());
                let sum = u64::from(!checksum::fold(sum));
                put64(h, 48, window << 48 | sum << 32 | prefix >> 16);
            }
            Options::Syn(usual) => {
                let [mss, prefix, value, echo, scale] = usual.words().map(u64::from);
                sum += mss + prefix + value + echo + scale;
                put64(h, 56, mss << 48 | prefix << 16 | value >> 16);
                put64(h, 64, value << 48 | echo << 16 | scale >> 16);
                h[72..74].copy_from_slice(&(scale as u16).to_be_bytes());
                let sum = u64::from(!checksum::fold(sum));
                put64(h, 48, window << 48 | sum << 32 | mss >> 16);
            }
        }
        start + payload.len()
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "one instruction")]
fn put64(h: &mut [u8; HEADERS_MAX], at: usize, word: u64) {
    h[at..at + 8].copy_from_slice(&word.to_be_bytes());
}

#[inline]
fn as_u64(MacAddr(m): MacAddr) -> u64 {
    let low = u16::from_be_bytes([m[4], m[5]]);
    u64::from(u32::from_be_bytes([m[0], m[1], m[2], m[3]])) << 16 | u64::from(low)
}

#[inline]
fn be16(h: &[u8; HEADERS_LEN], at: usize) -> u16 {
    u16::from_be_bytes([h[at], h[at + 1]])
}

#[inline]
fn be32(h: &[u8; HEADERS_LEN], at: usize) -> u32 {
    u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]])
}

#[inline]
fn be64(h: &[u8; HEADERS_LEN], at: usize) -> u64 {
    u64::from(be32(h, at)) << 32 | u64::from(be32(h, at + 4))
}

/// Of the IPv4 header.
#[inline]
fn ip_sum(h: &[u8; HEADERS_LEN]) -> Sum {
    let (first, second) = (be64(h, PACKET_AT), be64(h, PACKET_AT + 8));
    Sum::ZERO.add_u64(first).add_u64(second).add_u32(be32(h, PACKET_AT + 16))
}

/// Of pseudo-header and segment.
#[inline]
fn segment_sum(h: &[u8; HEADERS_LEN], segment: &[u8]) -> Sum {
    let rest = u32::from(Protocol::TCP.0) << 16 | segment.len() as u32;
    Sum::ZERO.add_u64(be64(h, PACKET_AT + 12)).add_u32(rest).add_bytes(segment)
}

/// Where the packet begins in the frame.
const PACKET_AT: usize = 14;
/// Where the segment begins in the frame.
pub const SEGMENT_AT: usize = PACKET_AT + 20;
const HEADERS_LEN: usize = SEGMENT_AT + tcp::MIN_HEADER_LEN;
/// Bytes of headers in front of a payload, at most.
const HEADERS_MAX: usize = SEGMENT_AT + OF_SYN_LEN;
/// More fragments, or an offset: a part of a packet.
const FRAGMENT: u16 = 0x3fff;
/// A packet that may not be fragmented, with no identification (RFC 6864 4.1).
const DONT_FRAGMENT: u64 = 1 << 14;
/// A TCP header with a SYN's options.
const OF_SYN_LEN: usize = tcp::MIN_HEADER_LEN + UsualSyn::LEN;
/// A TCP header with timestamps and nothing else.
const WITH_TIMESTAMPS_LEN: usize = 32;
/// Version 4, five words.
const VERSION_AND_LEN: u8 = 0x45;

#[cfg(test)]
mod tests;
