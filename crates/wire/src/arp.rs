//! ARP (RFC 826) for Ethernet and IPv4, the only pair there is.

use core::net::Ipv4Addr;

use crate::Malformed;
use crate::ethernet::MacAddr;

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Question or answer.
    pub operation: Operation,
    /// The sender's Ethernet address.
    pub sender_mac: MacAddr,
    /// The sender's IPv4 address; unspecified in a probe (RFC 5227 2.1.1).
    pub sender_ip: Ipv4Addr,
    /// The target's Ethernet address; of no meaning in a request.
    pub target_mac: MacAddr,
    /// The IPv4 address asked for, or whom the answer is for.
    pub target_ip: Ipv4Addr,
}

impl Packet {
    /// Reads an ARP packet from a frame's payload; padding after it is ignored.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let Some(p) = payload.first_chunk::<LEN>() else {
            return Err(Malformed::Truncated);
        };
        let (formats, fields) = p.split_at(6);
        if formats != FORMATS {
            return Err(Malformed::AddressFormat);
        }
        let operation = match fields {
            [0, 1, ..] => Operation::Request,
            [0, 2, ..] => Operation::Reply,
            _ => return Err(Malformed::Operation),
        };
        Ok(Self {
            operation,
            sender_mac: MacAddr([p[8], p[9], p[10], p[11], p[12], p[13]]),
            sender_ip: Ipv4Addr::new(p[14], p[15], p[16], p[17]),
            target_mac: MacAddr([p[18], p[19], p[20], p[21], p[22], p[23]]),
            target_ip: Ipv4Addr::new(p[24], p[25], p[26], p[27]),
        })
    }

    /// Writes the packet to the front of `out` and returns [`LEN`].
    ///
    /// # Panics
    /// When `out` is shorter than [`LEN`].
    pub fn write(&self, out: &mut [u8]) -> usize {
        let out = &mut out[..LEN];
        out[..6].copy_from_slice(&FORMATS);
        out[6..8].copy_from_slice(&(self.operation as u16).to_be_bytes());
        out[8..14].copy_from_slice(&self.sender_mac.0);
        out[14..18].copy_from_slice(&self.sender_ip.octets());
        out[18..24].copy_from_slice(&self.target_mac.0);
        out[24..28].copy_from_slice(&self.target_ip.octets());
        LEN
    }
}

/// What an ARP packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Operation {
    /// Who has the target address?
    Request = 1,
    /// The sender has it.
    Reply = 2,
}

/// Bytes of an ARP packet.
pub const LEN: usize = 28;

/// Hardware type 1 (Ethernet), protocol type 0x0800 (IPv4), address lengths 6 and 4.
const FORMATS: [u8; 6] = [0, 1, 8, 0, 6, 4];

#[cfg(test)]
mod tests;
