//! Why bytes were not what they claimed to be: one enum for all headers, so that a drop can be
//! counted under its reason without knowing the protocol.

use core::fmt;

/// Why a header or message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// The bytes end before the header, or before the length that the header states.
    Truncated,
    /// The IP version is not the one expected here.
    Version,
    /// The header length field is smaller than the fixed header.
    HeaderLength,
    /// The total or datagram length field is smaller than the header it counts.
    TotalLength,
    /// The checksum does not match the bytes.
    Checksum,
    /// An option has a length that is impossible, or demands that the packet is dropped.
    Option,
    /// IPv6 extension headers are out of place, too many, or of a kind that must be dropped.
    Extension,
    /// ARP for addresses other than Ethernet and IPv4.
    AddressFormat,
    /// An ARP operation other than request and reply.
    Operation,
    /// A field breaks a rule of neighbour discovery (RFC 4861 7.1).
    NeighborDiscovery,
}

impl Malformed {
    /// What was wrong, in a few words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "shorter than it states",
            Self::Version => "wrong IP version",
            Self::HeaderLength => "impossible header length",
            Self::TotalLength => "impossible total length",
            Self::Checksum => "wrong checksum",
            Self::Option => "bad option",
            Self::Extension => "bad IPv6 extension header",
            Self::AddressFormat => "ARP for unknown address formats",
            Self::Operation => "unknown ARP operation",
            Self::NeighborDiscovery => "against the rules of neighbour discovery",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for Malformed {}
