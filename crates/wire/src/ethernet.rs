//! Ethernet frames: addresses, one optional 802.1Q tag, and the type of what follows.
//!
//! The frame check sequence is the network card's business and is not in the slice. A frame of two
//! tags, or with an 802.3 length in place of a type, parses to that type and is nobody's.

use core::fmt;
use core::net::Ipv6Addr;

use crate::Malformed;

/// The header of an Ethernet frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whom the frame is for.
    pub dst: MacAddr,
    /// Who sent it.
    pub src: MacAddr,
    /// The tag control information of an 802.1Q tag: priority (3 bits), DEI, VLAN id (12 bits).
    pub vlan: Option<u16>,
    /// What the payload is, behind the tag if there is one.
    pub ether_type: EtherType,
}

impl Header {
    /// Splits a frame into header and payload; the payload may end with padding.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let Some((h, rest)) = frame.split_first_chunk::<HEADER_LEN>() else {
            return Err(Malformed::Truncated);
        };
        let mut header = Self {
            dst: MacAddr([h[0], h[1], h[2], h[3], h[4], h[5]]),
            src: MacAddr([h[6], h[7], h[8], h[9], h[10], h[11]]),
            vlan: None,
            ether_type: EtherType(u16::from_be_bytes([h[12], h[13]])),
        };
        if header.ether_type != EtherType::VLAN {
            return Ok((header, rest));
        }
        let Some((tag, rest)) = rest.split_first_chunk::<TAG_LEN>() else {
            return Err(Malformed::Truncated);
        };
        header.vlan = Some(u16::from_be_bytes([tag[0], tag[1]]));
        header.ether_type = EtherType(u16::from_be_bytes([tag[2], tag[3]]));
        Ok((header, rest))
    }

    /// Bytes that [`Header::write`] writes: 14, or 18 with a tag.
    #[inline]
    pub const fn header_len(&self) -> usize {
        if self.vlan.is_some() { HEADER_LEN + TAG_LEN } else { HEADER_LEN }
    }

    /// Writes the header to the front of `out` and returns its length.
    ///
    /// # Panics
    /// When `out` is shorter than [`Header::header_len`].
    #[inline]
    pub fn write(&self, out: &mut [u8]) -> usize {
        let out = &mut out[..self.header_len()];
        out[..6].copy_from_slice(&self.dst.0);
        out[6..12].copy_from_slice(&self.src.0);
        if let Some(tci) = self.vlan {
            out[12..14].copy_from_slice(&EtherType::VLAN.0.to_be_bytes());
            out[14..16].copy_from_slice(&tci.to_be_bytes());
            out[16..18].copy_from_slice(&self.ether_type.0.to_be_bytes());
        } else {
            out[12..14].copy_from_slice(&self.ether_type.0.to_be_bytes());
        }
        out.len()
    }
}

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// All stations of the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The address that an IPv6 multicast group maps to (RFC 2464 7).
    #[inline]
    pub const fn multicast_v6(group: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }

    /// True for a group address, and so for broadcast.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// True for an address that one station can have: not a group, not all zeros.
    #[inline]
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self.0 != [0; 6]
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = self.0;
        write!(f, "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", m[0], m[1], m[2], m[3], m[4], m[5])
    }
}

/// What an Ethernet frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// An 802.1Q tag.
    pub const VLAN: Self = Self(0x8100);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
}

/// Bytes of a header without a tag.
pub const HEADER_LEN: usize = 14;
/// Bytes that an 802.1Q tag adds.
pub const TAG_LEN: usize = 4;

#[cfg(test)]
mod tests;
