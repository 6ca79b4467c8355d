//! `ICMPv6` (RFC 4443): echo and errors; neighbour discovery (RFC 4861) is in `neighbor`.
//!
//! Router discovery, redirects and multicast listener messages are [`Message::Other`]: known to be
//! intact, and ignored.

use core::net::Ipv6Addr;

use crate::checksum::{self, Sum};
use crate::ethernet::MacAddr;
use crate::{Malformed, Protocol};

mod neighbor;

pub use neighbor::{NEIGHBOR_HOP_LIMIT, solicited_node};

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Asks for the same data back.
    EchoRequest {
        /// Tells one asker's questions from another's.
        ident: u16,
        /// Tells one question from the next.
        seq: u16,
        /// What is to come back.
        data: &'a [u8],
    },
    /// Answers an echo request.
    EchoReply {
        /// As in the request.
        ident: u16,
        /// As in the request.
        seq: u16,
        /// As in the request.
        data: &'a [u8],
    },
    /// The quoted packet was not delivered.
    Unreachable {
        /// Why: one of the `UNREACHABLE_` constants, or another.
        code: u8,
        /// The packet from its IPv6 header on, usually cut short.
        quoted: &'a [u8],
    },
    /// The quoted packet does not fit the next hop.
    PacketTooBig {
        /// The MTU that it met, in bytes.
        mtu: u32,
        /// The packet from its IPv6 header on, usually cut short.
        quoted: &'a [u8],
    },
    /// The quoted packet ran out of hops (code 0), or a fragment of time (code 1).
    TimeExceeded {
        /// Which of both.
        code: u8,
        /// The packet from its IPv6 header on, usually cut short.
        quoted: &'a [u8],
    },
    /// The quoted packet was not understood.
    ParameterProblem {
        /// Why.
        code: u8,
        /// The byte of the quoted packet that is to blame.
        pointer: u32,
        /// The packet from its IPv6 header on, usually cut short.
        quoted: &'a [u8],
    },
    /// Who has the target address? (RFC 4861 4.3)
    NeighborSolicit {
        /// The address asked for; never multicast.
        target: Ipv6Addr,
        /// The asker's Ethernet address; none while it probes for duplicates.
        source_mac: Option<MacAddr>,
    },
    /// The sender has the target address (RFC 4861 4.4).
    NeighborAdvert {
        /// The address told about; never multicast.
        target: Ipv6Addr,
        /// Its Ethernet address.
        target_mac: Option<MacAddr>,
        /// The sender is a router.
        router: bool,
        /// It answers a solicitation.
        solicited: bool,
        /// It replaces what a cache may hold.
        override_: bool,
    },
    /// Any other message.
    Other {
        /// The type field.
        kind: u8,
        /// The code field.
        code: u8,
    },
}

impl<'a> Message<'a> {
    /// Reads a message, the whole payload of an IPv6 packet from `src` to `dst`, and verifies its
    /// checksum.
    ///
    /// Of the rules for neighbour discovery (RFC 4861 7.1) one is left to the caller, who has the
    /// IPv6 header: its hop limit must be [`NEIGHBOR_HOP_LIMIT`].
    pub fn parse(src: Ipv6Addr, dst: Ipv6Addr, message: &'a [u8]) -> Result<Self, Malformed> {
        let Some((h, rest)) = message.split_first_chunk::<HEADER_LEN>() else {
            return Err(Malformed::Truncated);
        };
        let pseudo = Sum::pseudo_v6(src, dst, Protocol::ICMPV6, message.len() as u32);
        if !checksum::verify(pseudo.add_bytes(message)) {
            return Err(Malformed::Checksum);
        }
        let (kind, code) = (h[0], h[1]);
        let word = u32::from_be_bytes([h[4], h[5], h[6], h[7]]);
        let (ident, seq) = ((word >> 16) as u16, word as u16);
        Ok(match (kind, code) {
            (ECHO_REQUEST, 0) => Self::EchoRequest { ident, seq, data: rest },
            (ECHO_REPLY, 0) => Self::EchoReply { ident, seq, data: rest },
            (UNREACHABLE, _) => Self::Unreachable { code, quoted: rest },
            // RFC 4443 3.2: the receiver ignores the code.
            (PACKET_TOO_BIG, _) => Self::PacketTooBig { mtu: word, quoted: rest },
            (TIME_EXCEEDED, _) => Self::TimeExceeded { code, quoted: rest },
            (PARAMETER_PROBLEM, _) => Self::ParameterProblem { code, pointer: word, quoted: rest },
            (NEIGHBOR_SOLICIT, _) => neighbor::parse_solicit(src, dst, code, rest)?,
            (NEIGHBOR_ADVERT, _) => neighbor::parse_advert(dst, code, word, rest)?,
            _ => Self::Other { kind, code },
        })
    }

    /// Bytes that [`Message::write`] writes.
    pub const fn len(&self) -> usize {
        HEADER_LEN
            + match self {
                Self::NeighborSolicit { source_mac: mac, .. }
                | Self::NeighborAdvert { target_mac: mac, .. } => neighbor::body_len(*mac),
                _ => self.data().len(),
            }
    }

    /// False: a message has at least a header.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the message, with its checksum for a packet from `src` to `dst`, to the front of
    /// `out` and returns its length.
    ///
    /// How much of a packet to quote is the caller's choice (RFC 4443 2.4: as much as fits 1,280
    /// bytes in all).
    ///
    /// # Panics
    /// When `out` is shorter than [`Message::len`].
    pub fn write(&self, src: Ipv6Addr, dst: Ipv6Addr, out: &mut [u8]) -> usize {
        let (kind, code, word) = self.head();
        let head = (u64::from(kind) << 56) | (u64::from(code) << 48) | u64::from(word);
        let out = &mut out[..self.len()];
        let pseudo = Sum::pseudo_v6(src, dst, Protocol::ICMPV6, out.len() as u32);
        let (header, body) = out.split_at_mut(HEADER_LEN);
        let body = match *self {
            Self::NeighborSolicit { target, source_mac } => {
                neighbor::write_body(body, target, neighbor::SOURCE_MAC, source_mac)
            }
            Self::NeighborAdvert { target, target_mac, .. } => {
                neighbor::write_body(body, target, neighbor::TARGET_MAC, target_mac)
            }
            _ => checksum::copy_and_sum(body, self.data()),
        };
        let sum = pseudo.add_u64(head).add_sum(body);
        let head = head | (u64::from(sum.finish()) << 32);
        header.copy_from_slice(&head.to_be_bytes());
        out.len()
    }

    /// Type, code, and the word behind the checksum.
    const fn head(&self) -> (u8, u8, u32) {
        match *self {
            Self::EchoRequest { ident, seq, .. } => (ECHO_REQUEST, 0, pair(ident, seq)),
            Self::EchoReply { ident, seq, .. } => (ECHO_REPLY, 0, pair(ident, seq)),
            Self::Unreachable { code, .. } => (UNREACHABLE, code, 0),
            Self::PacketTooBig { mtu, .. } => (PACKET_TOO_BIG, 0, mtu),
            Self::TimeExceeded { code, .. } => (TIME_EXCEEDED, code, 0),
            Self::ParameterProblem { code, pointer, .. } => (PARAMETER_PROBLEM, code, pointer),
            Self::NeighborSolicit { .. } => (NEIGHBOR_SOLICIT, 0, 0),
            Self::NeighborAdvert { router, solicited, override_, .. } => {
                (NEIGHBOR_ADVERT, 0, neighbor::advert_flags(router, solicited, override_))
            }
            Self::Other { kind, code } => (kind, code, 0),
        }
    }

    /// What follows the header as it is; neighbour discovery makes its own.
    const fn data(&self) -> &'a [u8] {
        match *self {
            Self::EchoRequest { data, .. } | Self::EchoReply { data, .. } => data,
            Self::Unreachable { quoted, .. }
            | Self::PacketTooBig { quoted, .. }
            | Self::TimeExceeded { quoted, .. }
            | Self::ParameterProblem { quoted, .. } => quoted,
            Self::NeighborSolicit { .. } | Self::NeighborAdvert { .. } | Self::Other { .. } => &[],
        }
    }
}

const fn pair(upper: u16, lower: u16) -> u32 {
    ((upper as u32) << 16) | lower as u32
}

/// Bytes before the data or the quoted packet.
pub const HEADER_LEN: usize = 8;

/// The most of a packet that an error quotes: it fits the least MTU then (RFC 4443-2.4c).
pub const QUOTED_MAX: usize = 1280 - 40 - HEADER_LEN;

/// Nobody routes there.
pub const UNREACHABLE_ROUTE: u8 = 0;
/// The host does not answer.
pub const UNREACHABLE_ADDRESS: u8 = 3;
/// Nobody listens on that port.
pub const UNREACHABLE_PORT: u8 = 4;
/// `ParameterProblem`: a next header that is not known (RFC 4443 3.4).
pub const PROBLEM_NEXT_HEADER: u8 = 1;

const UNREACHABLE: u8 = 1;
const PACKET_TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
const NEIGHBOR_SOLICIT: u8 = 135;
const NEIGHBOR_ADVERT: u8 = 136;

#[cfg(test)]
mod tests;
