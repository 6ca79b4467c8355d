//! UDP datagrams (RFC 768).

use crate::Malformed;
use crate::checksum::{self, Sum};

/// The header of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// Bytes after the header, at most [`PAYLOAD_LEN_MAX`].
    pub payload_len: u16,
}

impl Header {
    /// Splits a datagram into header and payload. The checksum is looked at by [`intact`].
    #[inline]
    pub fn parse(datagram: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let Some(h) = datagram.first_chunk::<HEADER_LEN>() else {
            return Err(Malformed::Truncated);
        };
        let len = usize::from(u16::from_be_bytes([h[4], h[5]]));
        if len < HEADER_LEN {
            return Err(Malformed::TotalLength);
        }
        let Some(payload) = datagram.get(HEADER_LEN..len) else {
            return Err(Malformed::Truncated);
        };
        let header = Self {
            src_port: u16::from_be_bytes([h[0], h[1]]),
            dst_port: u16::from_be_bytes([h[2], h[3]]),
            payload_len: payload.len() as u16,
        };
        Ok((header, payload))
    }

    /// Bytes that [`Header::write`] writes.
    #[inline]
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// The checksum to write: `pseudo` is the pseudo-header's sum over header and payload.
    #[inline]
    pub fn checksum(&self, pseudo: Sum, payload: Sum) -> u16 {
        let header = Sum::ZERO.add_u64(self.word());
        pseudo.add_sum(header).add_sum(payload).finish_nonzero()
    }

    /// Writes the header to the front of `out` and returns 8. A checksum of zero means none, which
    /// only IPv4 allows (RFC 8200 8.1).
    ///
    /// # Panics
    /// When `out` is shorter than [`HEADER_LEN`].
    #[inline]
    pub fn write(&self, out: &mut [u8], checksum: u16) -> usize {
        let word = self.word() | u64::from(checksum);
        out[..HEADER_LEN].copy_from_slice(&word.to_be_bytes());
        HEADER_LEN
    }

    /// The header with a checksum of zero, as one big-endian number.
    #[inline]
    fn word(self) -> u64 {
        debug_assert!(self.payload_len <= PAYLOAD_LEN_MAX);
        (u64::from(self.src_port) << 48)
            | (u64::from(self.dst_port) << 32)
            | (u64::from(self.payload_len.wrapping_add(HEADER_LEN as u16)) << 16)
    }
}

/// True when a datagram that [`Header::parse`] accepted was not damaged on its way; `pseudo` is
/// the pseudo-header's sum over header and payload.
///
/// A datagram without a checksum is not intact here: with IPv4 the caller asks
/// [`has_checksum`] first, with IPv6 it must be dropped (RFC 8200 8.1).
#[inline]
pub fn intact(datagram: &[u8], pseudo: Sum) -> bool {
    let Ok((header, _)) = Header::parse(datagram) else {
        return false;
    };
    let len = HEADER_LEN + usize::from(header.payload_len);
    has_checksum(datagram) && checksum::verify(pseudo.add_bytes(&datagram[..len]))
}

/// True when the sender made a checksum.
#[inline]
pub fn has_checksum(datagram: &[u8]) -> bool {
    datagram.get(CHECKSUM_OFFSET..HEADER_LEN).is_some_and(|field| field != [0, 0])
}

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;
/// Where the checksum stands in the header.
pub const CHECKSUM_OFFSET: usize = 6;
/// The largest payload that the length field can state.
pub const PAYLOAD_LEN_MAX: u16 = u16::MAX - HEADER_LEN as u16;

#[cfg(test)]
mod tests;
