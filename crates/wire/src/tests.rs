//! What the tests of all modules share: a checksum done by the book, and strategies for fields.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use crate::Malformed;
use crate::ethernet::MacAddr;

/// RFC 1071 as its text says it: 16-bit words, one after the other, each carry brought round.
pub(crate) fn checksum_by_the_book(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The pseudo-header of IPv6 as bytes (RFC 8200 8.1).
pub(crate) fn pseudo_v6_bytes(src: Ipv6Addr, dst: Ipv6Addr, protocol: u8, len: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(src.octets());
    bytes.extend(dst.octets());
    bytes.extend(len.to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}

pub(crate) fn any_v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from_bits)
}

pub(crate) fn any_v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from_bits)
}

pub(crate) fn any_mac() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(MacAddr)
}

pub(crate) fn bytes(len: core::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), len)
}

#[test]
fn each_reason_has_words_of_its_own() {
    let reasons = [
        Malformed::Truncated,
        Malformed::Version,
        Malformed::HeaderLength,
        Malformed::TotalLength,
        Malformed::Checksum,
        Malformed::Option,
        Malformed::Extension,
        Malformed::AddressFormat,
        Malformed::Operation,
        Malformed::NeighborDiscovery,
    ];
    for (place, reason) in reasons.iter().enumerate() {
        for other in &reasons[place + 1..] {
            assert_ne!(reason.to_string(), other.to_string());
        }
    }
}
