//! ICMP for IPv4 (RFC 792): echo, and the errors that a host gets and sends.
//!
//! Redirects, source quench (RFC 6633) and the old queries are [`Message::Other`]: known to be
//! intact, and ignored.

use crate::Malformed;
use crate::checksum::{self, Sum};

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
        /// With [`UNREACHABLE_TOO_BIG`] the MTU that the packet met, zero from a router older than
        /// RFC 1191; otherwise zero.
        next_hop_mtu: u16,
        /// The packet from its IP header on, usually cut short.
        quoted: &'a [u8],
    },
    /// The quoted packet ran out of hops (code 0), or a fragment of time (code 1).
    TimeExceeded {
        /// Which of both.
        code: u8,
        /// The packet from its IP header on, usually cut short.
        quoted: &'a [u8],
    },
    /// The quoted packet was not understood.
    ParameterProblem {
        /// Why.
        code: u8,
        /// The byte of the quoted packet that is to blame (code 0).
        pointer: u8,
        /// The packet from its IP header on, usually cut short.
        quoted: &'a [u8],
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
    /// Reads a message, the whole payload of an IPv4 packet, and verifies its checksum.
    pub fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let Some((h, rest)) = message.split_first_chunk::<HEADER_LEN>() else {
            return Err(Malformed::Truncated);
        };
        if !checksum::verify(Sum::ZERO.add_bytes(message)) {
            return Err(Malformed::Checksum);
        }
        let (kind, code) = (h[0], h[1]);
        let word = u32::from_be_bytes([h[4], h[5], h[6], h[7]]);
        let (ident, seq) = ((word >> 16) as u16, word as u16);
        Ok(match (kind, code) {
            (ECHO_REQUEST, 0) => Self::EchoRequest { ident, seq, data: rest },
            (ECHO_REPLY, 0) => Self::EchoReply { ident, seq, data: rest },
            (UNREACHABLE, _) => {
                // RFC 1191 4: the MTU stands in the lower half of a word that was unused before.
                let next_hop_mtu = if code == UNREACHABLE_TOO_BIG { seq } else { 0 };
                Self::Unreachable { code, next_hop_mtu, quoted: rest }
            }
            (TIME_EXCEEDED, _) => Self::TimeExceeded { code, quoted: rest },
            (PARAMETER_PROBLEM, _) => Self::ParameterProblem { code, pointer: h[4], quoted: rest },
            _ => Self::Other { kind, code },
        })
    }

    /// Bytes that [`Message::write`] writes.
    pub const fn len(&self) -> usize {
        HEADER_LEN + self.data().len()
    }

    /// False: a message has at least a header.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the message with its checksum to the front of `out` and returns its length.
    ///
    /// How much of a packet to quote is the caller's choice (RFC 1812 4.3.2.3: up to 576 bytes in
    /// all).
    ///
    /// # Panics
    /// When `out` is shorter than [`Message::len`].
    pub fn write(&self, out: &mut [u8]) -> usize {
        let (kind, code, word) = self.head();
        let head = (u64::from(kind) << 56) | (u64::from(code) << 48) | u64::from(word);
        let out = &mut out[..self.len()];
        let (header, data) = out.split_at_mut(HEADER_LEN);
        let sum = checksum::copy_and_sum(data, self.data()).add_u64(head);
        let head = head | (u64::from(sum.finish()) << 32);
        header.copy_from_slice(&head.to_be_bytes());
        out.len()
    }

    /// Type, code, and the word behind the checksum.
    const fn head(&self) -> (u8, u8, u32) {
        match *self {
            Self::EchoRequest { ident, seq, .. } => (ECHO_REQUEST, 0, pair(ident, seq)),
            Self::EchoReply { ident, seq, .. } => (ECHO_REPLY, 0, pair(ident, seq)),
            Self::Unreachable { code: UNREACHABLE_TOO_BIG, next_hop_mtu, .. } => {
                (UNREACHABLE, UNREACHABLE_TOO_BIG, pair(0, next_hop_mtu))
            }
            Self::Unreachable { code, .. } => (UNREACHABLE, code, 0),
            Self::TimeExceeded { code, .. } => (TIME_EXCEEDED, code, 0),
            Self::ParameterProblem { code, pointer, .. } => {
                (PARAMETER_PROBLEM, code, (pointer as u32) << 24)
            }
            Self::Other { kind, code } => (kind, code, 0),
        }
    }

    const fn data(&self) -> &'a [u8] {
        match *self {
            Self::EchoRequest { data, .. } | Self::EchoReply { data, .. } => data,
            Self::Unreachable { quoted, .. }
            | Self::TimeExceeded { quoted, .. }
            | Self::ParameterProblem { quoted, .. } => quoted,
            Self::Other { .. } => &[],
        }
    }
}

const fn pair(upper: u16, lower: u16) -> u32 {
    ((upper as u32) << 16) | lower as u32
}

/// Bytes before the data or the quoted packet.
pub const HEADER_LEN: usize = 8;

/// Nobody routes to that network.
pub const UNREACHABLE_NET: u8 = 0;
/// The host does not answer.
pub const UNREACHABLE_HOST: u8 = 1;
/// The host does not speak that protocol.
pub const UNREACHABLE_PROTOCOL: u8 = 2;
/// Nobody listens on that port.
pub const UNREACHABLE_PORT: u8 = 3;
/// The packet does not fit the next hop, and must not be fragmented (RFC 1191).
pub const UNREACHABLE_TOO_BIG: u8 = 4;
/// The network is administratively prohibited (RFC 1122 3.2.2.1).
pub const UNREACHABLE_NET_PROHIBITED: u8 = 9;
/// The host is (RFC 1122 3.2.2.1).
pub const UNREACHABLE_HOST_PROHIBITED: u8 = 10;
/// A filter prohibits the communication (RFC 1812 5.2.7.1).
pub const UNREACHABLE_PROHIBITED: u8 = 13;

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

#[cfg(test)]
mod tests;
