use std::vec;

use core::net::Ipv4Addr;
use proptest::prelude::*;

use super::*;
use crate::Protocol;
use crate::tests::bytes;

const DATAGRAM: [u8; 11] = [0x13, 0x88, 0x00, 0x35, 0, 11, 0xab, 0xcd, b'a', b'b', b'c'];
const HEADER: Header = Header { src_port: 5_000, dst_port: 53, payload_len: 3 };

fn pseudo(len: usize) -> Sum {
    let (src, dst) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    Sum::pseudo_v4(src, dst, Protocol::UDP, len as u16)
}

fn sealed(header: Header, payload: &[u8]) -> vec::Vec<u8> {
    let mut datagram = vec![0; HEADER_LEN];
    datagram.extend(payload);
    let checksum = header.checksum(pseudo(datagram.len()), Sum::ZERO.add_bytes(payload));
    header.write(&mut datagram, checksum);
    datagram
}

#[test]
fn a_datagram_both_ways() {
    assert_eq!(Header::parse(&DATAGRAM), Ok((HEADER, &b"abc"[..])));
    let mut out = [0xff; HEADER_LEN];
    assert_eq!(HEADER.write(&mut out, 0xabcd), HEADER_LEN);
    assert_eq!(out, DATAGRAM[..HEADER_LEN]);
}

#[test]
fn what_lies_behind_the_stated_length_is_cut_off() {
    let mut padded = [0xee; 46];
    padded[..11].copy_from_slice(&DATAGRAM);
    assert_eq!(Header::parse(&padded), Ok((HEADER, &b"abc"[..])));
}

#[test]
fn each_lie_has_its_reason() {
    for len in 0..11 {
        assert_eq!(Header::parse(&DATAGRAM[..len]), Err(Malformed::Truncated), "{len} bytes");
    }
    for len in 0..8 {
        let mut datagram = DATAGRAM;
        datagram[5] = len;
        assert_eq!(Header::parse(&datagram), Err(Malformed::TotalLength), "states {len}");
    }
}

#[test]
fn no_checksum_is_told_from_a_wrong_one() {
    let mut datagram = sealed(HEADER, b"abc");
    assert!(has_checksum(&datagram) && intact(&datagram, pseudo(11)));
    datagram[8] ^= 1;
    assert!(has_checksum(&datagram) && !intact(&datagram, pseudo(11)));
    datagram[6..8].fill(0);
    assert!(!has_checksum(&datagram) && !intact(&datagram, pseudo(11)));
    assert!(!has_checksum(&datagram[..7]) && !intact(&datagram[..7], pseudo(11)));
}

#[test]
fn padding_does_not_count_into_the_checksum() {
    let mut datagram = sealed(HEADER, b"abc");
    datagram.extend([0x5a; 20]);
    assert!(intact(&datagram, pseudo(11)));
}

#[test]
fn a_sum_of_ones_is_sealed_as_ones_not_as_none() {
    // The payload is the word that brings the whole sum to 0xffff.
    let header = Header { payload_len: 2, ..HEADER };
    let missing = header.checksum(pseudo(10), Sum::ZERO);
    let datagram = sealed(header, &missing.to_be_bytes());
    assert_eq!(datagram[6..8], [0xff, 0xff]);
    assert!(intact(&datagram, pseudo(10)));
}

proptest! {
    #[test]
    fn what_is_sealed_is_intact_and_read_back(
        src_port: u16, dst_port: u16, payload in bytes(0..100),
    ) {
        let header = Header { src_port, dst_port, payload_len: payload.len() as u16 };
        let mut datagram = sealed(header, &payload);
        prop_assert_eq!(Header::parse(&datagram), Ok((header, &payload[..])));
        let pseudo = pseudo(datagram.len());
        prop_assert!(intact(&datagram, pseudo));
        for bit in 0..datagram.len() * 8 {
            datagram[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!intact(&datagram, pseudo), "bit {} passed", bit);
            datagram[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
