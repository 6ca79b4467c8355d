use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::tests::{any_v4, bytes, checksum_by_the_book};

/// A UDP packet whose header checksum is well known: 192.168.0.1 to 192.168.0.199, 95 bytes.
const KNOWN: [u8; HEADER_LEN] = [
    0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01,
    0xc0, 0xa8, 0x00, 0xc7,
];

const KNOWN_HEADER: Header = Header {
    src: Ipv4Addr::new(192, 168, 0, 1),
    dst: Ipv4Addr::new(192, 168, 0, 199),
    protocol: Protocol::UDP,
    ttl: 64,
    dscp_ecn: 0,
    ident: 0,
    dont_fragment: true,
    more_fragments: false,
    fragment_offset: 0,
    payload_len: 95,
};

/// Sets the header checksum to what it should be.
fn repair(packet: &mut [u8]) {
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    packet[10..12].fill(0);
    let checksum = checksum_by_the_book(&packet[..header_len]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// A packet of one payload byte with these options.
fn with_options(options: &[u8]) -> Vec<u8> {
    let mut packet = KNOWN.to_vec();
    packet.extend(options);
    packet[0] = 0x40 | (packet.len() / 4) as u8;
    packet.push(0xaa);
    packet[3] = packet.len() as u8;
    repair(&mut packet);
    packet
}

fn any_header() -> impl Strategy<Value = Header> {
    let route = (any_v4(), any_v4(), any::<u8>(), any::<u8>(), any::<u8>());
    let fragment = (any::<u16>(), any::<bool>(), any::<bool>(), 0..0x2000u16);
    (route, fragment, 0..200u16).prop_map(|(route, fragment, payload_len)| Header {
        src: route.0,
        dst: route.1,
        protocol: Protocol(route.2),
        ttl: route.3,
        dscp_ecn: route.4,
        ident: fragment.0,
        dont_fragment: fragment.1,
        more_fragments: fragment.2,
        fragment_offset: fragment.3,
        payload_len,
    })
}

#[test]
fn a_known_header_both_ways() {
    let mut out = [0xff; HEADER_LEN];
    assert_eq!(KNOWN_HEADER.write(&mut out), HEADER_LEN);
    assert_eq!(out, KNOWN);
    let mut packet = KNOWN.to_vec();
    packet.extend([7; 95]);
    assert_eq!(Header::parse(&packet), Ok((KNOWN_HEADER, &[7; 95][..])));
}

#[test]
fn the_padding_of_a_short_frame_is_not_payload() {
    let mut packet = [0; 46];
    Header { payload_len: 3, ..KNOWN_HEADER }.write(&mut packet);
    packet[20..23].copy_from_slice(b"abc");
    let (header, payload) = Header::parse(&packet).unwrap();
    assert_eq!((header.payload_len, payload), (3, &b"abc"[..]));
}

#[test]
fn options_are_stepped_over() {
    for words in 1..=10 {
        let packet = with_options(&[1; 40][..words * 4]);
        let (header, payload) = Header::parse(&packet).unwrap();
        assert_eq!(header, Header { payload_len: 1, ..KNOWN_HEADER });
        assert_eq!(payload, [0xaa]);
    }
}

#[test]
fn damage_within_options_is_seen() {
    let mut packet = with_options(&[1; 8]);
    packet[25] ^= 0x40;
    assert_eq!(Header::parse(&packet), Err(Malformed::Checksum));
}

#[test]
fn each_lie_has_its_reason() {
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = with_options(&[]);
        change(&mut packet);
        repair(&mut packet);
        Header::parse(&packet).unwrap_err()
    };
    assert_eq!(refused(&|packet| packet[0] = 0x65), Malformed::Version);
    assert_eq!(refused(&|packet| packet[0] = 0x44), Malformed::HeaderLength);
    assert_eq!(refused(&|packet| packet[3] = 19), Malformed::TotalLength);
    assert_eq!(refused(&|packet| packet[3] = 22), Malformed::Truncated);
    assert_eq!(refused(&|packet| packet[2] = 0xff), Malformed::Truncated);
    let mut packet = with_options(&[1; 4]);
    packet[0] = 0x4f;
    assert_eq!(Header::parse(&packet), Err(Malformed::Truncated), "options beyond the frame");
    packet[0] = 0x46;
    packet[3] = 23;
    repair(&mut packet);
    assert_eq!(Header::parse(&packet), Err(Malformed::TotalLength), "ends in its options");
    packet[11] ^= 1;
    assert_eq!(Header::parse(&packet), Err(Malformed::Checksum));
    for len in 0..HEADER_LEN {
        assert_eq!(Header::parse(&KNOWN[..len]), Err(Malformed::Truncated), "{len} bytes");
    }
}

#[test]
fn fragments_are_told_apart() {
    assert!(!KNOWN_HEADER.is_fragment());
    assert!(Header { more_fragments: true, ..KNOWN_HEADER }.is_fragment());
    assert!(Header { fragment_offset: 185, ..KNOWN_HEADER }.is_fragment());
}

#[test]
fn a_quotation_may_be_cut_short_and_changed_on_the_way() {
    // A router quotes the header and eight bytes, after it has lowered the TTL.
    let mut quoted = KNOWN.to_vec();
    quoted[8] = 1;
    quoted.extend([1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(Header::parse(&quoted), Err(Malformed::Checksum));
    let (header, start) = Header::parse_quoted(&quoted).unwrap();
    assert_eq!(header, Header { ttl: 1, ..KNOWN_HEADER });
    assert_eq!(start, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_quotation_is_still_checked_for_its_lengths() {
    assert_eq!(Header::parse_quoted(&KNOWN[..19]), Err(Malformed::Truncated));
    let mut quoted = KNOWN;
    quoted[0] = 0x46;
    assert_eq!(Header::parse_quoted(&quoted), Err(Malformed::Truncated));
    quoted[0] = 0x43;
    assert_eq!(Header::parse_quoted(&quoted), Err(Malformed::HeaderLength));
    quoted[0] = 0x45;
    quoted[2..4].copy_from_slice(&[0, 5]);
    assert_eq!(Header::parse_quoted(&quoted), Err(Malformed::TotalLength));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(header in any_header(), fill: u8) {
        let mut packet = [fill; HEADER_LEN + 200];
        prop_assert_eq!(header.write(&mut packet), HEADER_LEN);
        prop_assert_eq!(checksum_by_the_book(&packet[..HEADER_LEN]), 0);
        let (read, payload) = Header::parse(&packet).unwrap();
        prop_assert_eq!(read, header);
        prop_assert_eq!(payload, &[fill; 200][..usize::from(header.payload_len)]);
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_refused(header in any_header()) {
        let mut packet = [0; HEADER_LEN + 200];
        header.write(&mut packet);
        for bit in 0..HEADER_LEN * 8 {
            packet[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Header::parse(&packet).is_err(), "bit {} passed", bit);
            packet[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(data in bytes(0..100), version_and_len in 0x40u8..0x50) {
        let mut data = data;
        if let Some(first) = data.first_mut() {
            *first = version_and_len;
        }
        if data.len() >= 60 {
            repair(&mut data);
        }
        if let Ok((header, payload)) = Header::parse(&data) {
            prop_assert_eq!(payload.len(), usize::from(header.payload_len));
        }
        if let Ok((header, payload)) = Header::parse_quoted(&data) {
            prop_assert!(payload.len() <= usize::from(header.payload_len));
        }
    }
}
