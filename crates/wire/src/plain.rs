//! The frame that nearly all are, read in one look: Ethernet without a tag, IPv4 without options
//! and whole, TCP with no option or with timestamps alone.
//!
//! ```text
//!   0    6    12   14 15  16  18 20 22  23 24  26  30  34        46 48 50 52 54
//!   | to | by |type|45|tos|len|id|DF|ttl|6|sum|src|dst|ports seq ack|..|win|sum|urg| timestamps |
//! ```
//!
//! It says what the parsers of the three protocols say together, or nothing: then they say why. On
//! a server's common path one check of the length and six compares stand in for some fifty.

use core::net::Ipv4Addr;

use crate::checksum::{self, Sum};
use crate::ethernet::{EtherType, MacAddr};
use crate::tcp::{Flags, Timestamps};
use crate::{Protocol, tcp};

/// What a plain frame says.
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
    /// The timestamps option.
    pub timestamps: Option<Timestamps>,
    /// Where the payload begins in the frame.
    pub payload_start: u16,
    /// Its length; what follows is padding.
    pub payload_len: u16,
}

impl Frame {
    /// Reads a frame and verifies both checksums. `None`: it is of another kind, or damaged.
    #[inline]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let h = frame.first_chunk::<HEADERS_LEN>()?;
        let total_len = usize::from(be16(h, PACKET_AT + 2));
        let whole = be16(h, PACKET_AT + 6) & 0x3fff == 0;
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
        let timestamps = match header_len {
            tcp::MIN_HEADER_LEN => None,
            WITH_TIMESTAMPS_LEN => Some(tcp::timestamps_alone(segment)?),
            _ => return None,
        };
        if !checksum::verify(ip_sum(h)) || !checksum::verify(segment_sum(h, segment)) {
            return None;
        }
        Some(Self {
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
            timestamps,
            payload_start: (SEGMENT_AT + header_len) as u16,
            payload_len: (segment_len - header_len) as u16,
        })
    }
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
/// A TCP header with timestamps and nothing else.
const WITH_TIMESTAMPS_LEN: usize = 32;
/// Version 4, five words.
const VERSION_AND_LEN: u8 = 0x45;

#[cfg(test)]
mod tests;
