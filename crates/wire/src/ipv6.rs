//! IPv6 headers (RFC 8200). What stands between the header and the transport is in
//! [`skip_extensions`].
//!
//! Jumbograms (RFC 2675) are not understood: a payload length of zero is an empty payload.

use core::net::Ipv6Addr;

use crate::Malformed;
pub use crate::Protocol;

mod extensions;

pub use extensions::{
    EXTENSIONS_MAX, FRAGMENT_HEADER_LEN, Fragment, Problem, may_be_error, problem_of,
    skip_extensions,
};

/// The header of an IPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who sent the packet.
    pub src: Ipv6Addr,
    /// Whom it is for.
    pub dst: Ipv6Addr,
    /// What follows: an extension header or the transport.
    pub next_header: Protocol,
    /// Hops that it may still take.
    pub hop_limit: u8,
    /// DSCP (upper 6 bits) and ECN (lower 2 bits, RFC 3168).
    pub traffic_class: u8,
    /// The flow label (RFC 6437); 20 bits.
    pub flow_label: u32,
    /// Bytes after the header, extension headers included.
    pub payload_len: u16,
}

impl Header {
    /// Splits a packet into header and payload; padding of the frame is cut off.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let (header, rest) = Self::parse_quoted(packet)?;
        if rest.len() < usize::from(header.payload_len) {
            return Err(Malformed::Truncated);
        }
        Ok((header, rest))
    }

    /// Reads the start of a packet that an ICMP error quotes: it may be cut short (RFC 4443 2.4).
    #[inline]
    pub fn parse_quoted(quoted: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let Some((h, rest)) = quoted.split_first_chunk::<HEADER_LEN>() else {
            return Err(Malformed::Truncated);
        };
        let first = u32::from_be_bytes([h[0], h[1], h[2], h[3]]);
        if first >> 28 != 6 {
            return Err(Malformed::Version);
        }
        let payload_len = u16::from_be_bytes([h[4], h[5]]);
        let header = Self {
            src: address(h, 8),
            dst: address(h, 24),
            next_header: Protocol(h[6]),
            hop_limit: h[7],
            traffic_class: (first >> 20) as u8,
            flow_label: first & FLOW_LABEL_MASK,
            payload_len,
        };
        Ok((header, &rest[..rest.len().min(usize::from(payload_len))]))
    }

    /// Bytes that [`Header::write`] writes.
    #[inline]
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the 40 bytes of the header and returns 40.
    ///
    /// # Panics
    /// When `out` is shorter than [`HEADER_LEN`].
    #[inline]
    pub fn write(&self, out: &mut [u8]) -> usize {
        let Some(out) = out.first_chunk_mut::<HEADER_LEN>() else {
            panic!("no room for an IPv6 header");
        };
        let first =
            (6 << 28) | (u32::from(self.traffic_class) << 20) | (self.flow_label & FLOW_LABEL_MASK);
        let second = (u32::from(self.payload_len) << 16)
            | (u32::from(self.next_header.0) << 8)
            | u32::from(self.hop_limit);
        out[..4].copy_from_slice(&first.to_be_bytes());
        out[4..8].copy_from_slice(&second.to_be_bytes());
        out[8..24].copy_from_slice(&self.src.octets());
        out[24..].copy_from_slice(&self.dst.octets());
        HEADER_LEN
    }
}

#[inline]
fn address(header: &[u8; HEADER_LEN], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&header[at..at + 16]);
    Ipv6Addr::from(octets)
}

/// Bytes of the header.
pub const HEADER_LEN: usize = 40;

const FLOW_LABEL_MASK: u32 = 0x000f_ffff;

#[cfg(test)]
mod tests;
