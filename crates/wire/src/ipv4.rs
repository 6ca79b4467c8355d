//! IPv4 headers (RFC 791).
//!
//! Options are stepped over and never written. Fragments are told apart, not put together here.

use core::net::Ipv4Addr;

use crate::Malformed;
pub use crate::Protocol;
use crate::checksum::{self, Sum};

/// The header of an IPv4 packet, without its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who sent the packet.
    pub src: Ipv4Addr,
    /// Whom it is for.
    pub dst: Ipv4Addr,
    /// What it carries.
    pub protocol: Protocol,
    /// Hops that it may still take.
    pub ttl: u8,
    /// DSCP (upper 6 bits) and ECN (lower 2 bits, RFC 3168).
    pub dscp_ecn: u8,
    /// The identification that the fragments of one packet share.
    pub ident: u16,
    /// Routers must not fragment it.
    pub dont_fragment: bool,
    /// It is a fragment, and not the last one.
    pub more_fragments: bool,
    /// Where the fragment belongs, in units of 8 bytes; 13 bits.
    pub fragment_offset: u16,
    /// Bytes after the header and its options.
    pub payload_len: u16,
}

impl Header {
    /// Of a whole packet that nobody may cut, so that it needs no identification (RFC 6864 4.1):
    /// unmarked, for 64 hops.
    #[inline]
    pub const fn atomic(
        src: Ipv4Addr,
        dst: Ipv4Addr,
        protocol: Protocol,
        payload_len: u16,
    ) -> Self {
        Self {
            src,
            dst,
            protocol,
            ttl: 64,
            dscp_ecn: 0,
            ident: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            payload_len,
        }
    }

    /// Splits a packet into header and payload, and verifies the header's checksum.
    ///
    /// The payload ends where the total length says, so padding of the frame is cut off. Options
    /// are stepped over (RFC 9293 MUST-50).
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let Some(fixed) = packet.first_chunk::<HEADER_LEN>() else {
            return Err(Malformed::Truncated);
        };
        let mut header_len = HEADER_LEN;
        if fixed[0] == VERSION_AND_MIN_LEN {
            if !checksum::verify(sum_fixed(fixed)) {
                return Err(Malformed::Checksum);
            }
        } else {
            header_len = check_unusual(packet, fixed)?;
        }
        let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if total_len < header_len {
            return Err(Malformed::TotalLength);
        }
        let Some(payload) = packet.get(header_len..total_len) else {
            return Err(Malformed::Truncated);
        };
        Ok((Self::from_fixed(fixed, payload.len() as u16), payload))
    }

    /// True when the options of a packet that was parsed have a source route (RFC 791 3.1).
    #[cold]
    pub fn has_source_route(packet: &[u8]) -> bool {
        let header_len = packet.first().map_or(0, |&byte| usize::from(byte & 15) * 4);
        let mut options = packet.get(HEADER_LEN..header_len).unwrap_or(&[]);
        loop {
            match *options {
                [] | [END_OF_OPTIONS, ..] => return false,
                [NO_OPERATION, ref rest @ ..] => options = rest,
                [LOOSE_ROUTE | STRICT_ROUTE, ..] => return true,
                [_, len, ..] if len >= 2 => {
                    options = options.get(usize::from(len)..).unwrap_or(&[]);
                }
                _ => return false,
            }
        }
    }

    /// Reads the start of a packet that an ICMP error quotes (RFC 792).
    ///
    /// The quotation is usually cut short, and routers have changed the header, so neither the
    /// total length nor the checksum is held against it. `payload_len` is what the original had.
    pub fn parse_quoted(quoted: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let Some(fixed) = quoted.first_chunk::<HEADER_LEN>() else {
            return Err(Malformed::Truncated);
        };
        let header_len = stated_header_len(fixed)?;
        let total_len = u16::from_be_bytes([fixed[2], fixed[3]]);
        let Some(payload_len) = total_len.checked_sub(header_len as u16) else {
            return Err(Malformed::TotalLength);
        };
        let Some(payload) = quoted.get(header_len..) else {
            return Err(Malformed::Truncated);
        };
        let payload = &payload[..payload.len().min(usize::from(payload_len))];
        Ok((Self::from_fixed(fixed, payload_len), payload))
    }

    /// Bytes that [`Header::write`] writes.
    #[inline]
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the 20 bytes of the header, checksum included, and returns 20.
    ///
    /// A payload that does not fit the total length (above 65,515 bytes) is the caller's mistake.
    ///
    /// # Panics
    /// When `out` is shorter than [`HEADER_LEN`].
    #[inline]
    pub fn write(&self, out: &mut [u8]) -> usize {
        let Some(out) = out.first_chunk_mut::<HEADER_LEN>() else {
            panic!("no room for an IPv4 header");
        };
        debug_assert!(self.payload_len <= PAYLOAD_LEN_MAX);
        let total_len = self.payload_len.wrapping_add(HEADER_LEN as u16);
        let fragment = (u16::from(self.dont_fragment) << 14)
            | (u16::from(self.more_fragments) << 13)
            | (self.fragment_offset & FRAGMENT_OFFSET_MASK);
        // Whole words: the checksum is then taken from registers, not read back from the frame.
        let first = (u64::from(VERSION_AND_MIN_LEN) << 56)
            | (u64::from(self.dscp_ecn) << 48)
            | (u64::from(total_len) << 32)
            | (u64::from(self.ident) << 16)
            | u64::from(fragment);
        let second = (u64::from(self.ttl) << 56)
            | (u64::from(self.protocol.0) << 48)
            | u64::from(self.src.to_bits());
        let third = self.dst.to_bits();
        let sum = Sum::ZERO.add_u64(first).add_u64(second).add_u32(third);
        let second = second | (u64::from(sum.finish()) << 32);
        out[..8].copy_from_slice(&first.to_be_bytes());
        out[8..16].copy_from_slice(&second.to_be_bytes());
        out[16..].copy_from_slice(&third.to_be_bytes());
        HEADER_LEN
    }

    /// True for any part of a packet that was fragmented.
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    #[inline]
    fn from_fixed(h: &[u8; HEADER_LEN], payload_len: u16) -> Self {
        let fragment = u16::from_be_bytes([h[6], h[7]]);
        Self {
            src: Ipv4Addr::new(h[12], h[13], h[14], h[15]),
            dst: Ipv4Addr::new(h[16], h[17], h[18], h[19]),
            protocol: Protocol(h[9]),
            ttl: h[8],
            dscp_ecn: h[1],
            ident: u16::from_be_bytes([h[4], h[5]]),
            dont_fragment: fragment & (1 << 14) != 0,
            more_fragments: fragment & (1 << 13) != 0,
            fragment_offset: fragment & FRAGMENT_OFFSET_MASK,
            payload_len,
        }
    }
}

/// A header with options, or of a wrong version: returns its length when it is intact.
#[cold]
fn check_unusual(packet: &[u8], fixed: &[u8; HEADER_LEN]) -> Result<usize, Malformed> {
    let header_len = stated_header_len(fixed)?;
    let Some(header) = packet.get(..header_len) else {
        return Err(Malformed::Truncated);
    };
    if checksum::verify(Sum::ZERO.add_bytes(header)) {
        Ok(header_len)
    } else {
        Err(Malformed::Checksum)
    }
}

fn stated_header_len(fixed: &[u8; HEADER_LEN]) -> Result<usize, Malformed> {
    if fixed[0] >> 4 != 4 {
        return Err(Malformed::Version);
    }
    let header_len = usize::from(fixed[0] & 0x0f) * 4;
    if header_len < HEADER_LEN { Err(Malformed::HeaderLength) } else { Ok(header_len) }
}

#[inline]
fn sum_fixed(h: &[u8; HEADER_LEN]) -> Sum {
    let first = u64::from_be_bytes([h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]]);
    let second = u64::from_be_bytes([h[8], h[9], h[10], h[11], h[12], h[13], h[14], h[15]]);
    let third = u32::from_be_bytes([h[16], h[17], h[18], h[19]]);
    Sum::ZERO.add_u64(first).add_u64(second).add_u32(third)
}

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// The largest payload of one packet.
pub const PAYLOAD_LEN_MAX: u16 = u16::MAX - HEADER_LEN as u16;

/// Version 4, and a header of five 32-bit words: what nearly every packet begins with.
const VERSION_AND_MIN_LEN: u8 = 0x45;
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;
const FRAGMENT_OFFSET_MASK: u16 = 0x1fff;

#[cfg(test)]
mod tests;
