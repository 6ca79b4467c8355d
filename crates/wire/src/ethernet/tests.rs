use std::format;
use std::string::ToString;

use proptest::prelude::*;

use super::*;
use crate::tests::{any_mac, bytes};

const DST: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x01]);
const SRC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x02]);

#[test]
fn a_plain_frame() {
    let frame = [0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02, 0x08, 0x00, 0x45, 0x00];
    let (header, payload) = Header::parse(&frame).unwrap();
    let expected = Header { dst: DST, src: SRC, vlan: None, ether_type: EtherType::IPV4 };
    assert_eq!(header, expected);
    assert_eq!(payload, [0x45, 0x00]);
    let mut out = [0; 14];
    assert_eq!(header.write(&mut out), 14);
    assert_eq!(out, frame[..14]);
}

#[test]
fn a_tagged_frame_keeps_priority_and_vlan() {
    let frame =
        [0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02, 0x81, 0x00, 0x60, 0x64, 0x86, 0xdd, 0x60];
    let (header, payload) = Header::parse(&frame).unwrap();
    let expected = Header { dst: DST, src: SRC, vlan: Some(0x6064), ether_type: EtherType::IPV6 };
    assert_eq!(header, expected);
    assert_eq!(payload, [0x60]);
    let mut out = [0; 18];
    assert_eq!(header.write(&mut out), 18);
    assert_eq!(out, frame[..18]);
}

#[test]
fn a_frame_that_ends_in_its_header_is_refused() {
    let mut frame = [0; 18];
    let header = Header { dst: DST, src: SRC, vlan: Some(1), ether_type: EtherType::IPV4 };
    header.write(&mut frame);
    for len in 0..18 {
        assert_eq!(Header::parse(&frame[..len]), Err(Malformed::Truncated), "{len} bytes");
    }
    assert_eq!(Header::parse(&frame), Ok((header, &[][..])));
}

#[test]
fn group_addresses_are_told_from_stations() {
    assert!(MacAddr::BROADCAST.is_multicast() && !MacAddr::BROADCAST.is_unicast());
    assert!(!DST.is_multicast() && DST.is_unicast());
    assert!(!MacAddr::default().is_multicast() && !MacAddr::default().is_unicast());
}

#[test]
fn an_ipv6_group_maps_to_its_ethernet_group() {
    let group = "ff02::1:ff12:3456".parse().unwrap();
    let mac = MacAddr::multicast_v6(group);
    assert_eq!(mac, MacAddr([0x33, 0x33, 0xff, 0x12, 0x34, 0x56]));
    assert!(mac.is_multicast());
    assert_eq!(mac.to_string(), "33:33:ff:12:34:56");
    assert_eq!(format!("{}", MacAddr([0, 1, 2, 3, 4, 0xab])), "00:01:02:03:04:ab");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        dst in any_mac(),
        src in any_mac(),
        vlan: Option<u16>,
        ether_type in any::<u16>().prop_filter("a tag in a tag", |kind| *kind != 0x8100),
        payload in bytes(0..100),
    ) {
        let header = Header { dst, src, vlan, ether_type: EtherType(ether_type) };
        let mut frame = std::vec![0; header.header_len()];
        prop_assert_eq!(header.write(&mut frame), frame.len());
        frame.extend(&payload);
        prop_assert_eq!(Header::parse(&frame), Ok((header, &payload[..])));
    }
}
