use proptest::prelude::*;

use super::*;
use crate::tests::{any_v6, bytes};

const HEADER: Header = Header {
    src: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    dst: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
    next_header: Protocol::TCP,
    hop_limit: 64,
    traffic_class: 0xb9,
    flow_label: 0x000a_bcde,
    payload_len: 4,
};

const BYTES: [u8; 44] = [
    0x6b, 0x9a, 0xbc, 0xde, 0, 4, 6, 64, // version, class, label; length, next header, hops
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // source
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // destination
    b'd', b'a', b't', b'a',
];

#[test]
fn a_header_as_it_stands_on_the_wire() {
    let mut out = [0xff; HEADER_LEN];
    assert_eq!(HEADER.write(&mut out), HEADER_LEN);
    assert_eq!(out, BYTES[..HEADER_LEN]);
    assert_eq!(Header::parse(&BYTES), Ok((HEADER, &b"data"[..])));
}

#[test]
fn the_padding_of_a_short_frame_is_not_payload() {
    let mut padded = [0; 46];
    padded[..44].copy_from_slice(&BYTES);
    assert_eq!(Header::parse(&padded), Ok((HEADER, &b"data"[..])));
}

#[test]
fn each_lie_has_its_reason() {
    for len in 0..44 {
        assert_eq!(Header::parse(&BYTES[..len]), Err(Malformed::Truncated), "{len} bytes");
    }
    let mut packet = BYTES;
    packet[0] = 0x45;
    assert_eq!(Header::parse(&packet), Err(Malformed::Version));
}

#[test]
fn a_quotation_may_be_cut_short() {
    let (header, start) = Header::parse_quoted(&BYTES[..42]).unwrap();
    assert_eq!((header, start), (HEADER, &b"da"[..]));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        src in any_v6(),
        dst in any_v6(),
        next_header: u8,
        hop_limit: u8,
        traffic_class: u8,
        flow_label in 0..=FLOW_LABEL_MASK,
        payload in bytes(0..100),
    ) {
        let header = Header {
            src,
            dst,
            next_header: Protocol(next_header),
            hop_limit,
            traffic_class,
            flow_label,
            payload_len: payload.len() as u16,
        };
        let mut packet = std::vec![0; HEADER_LEN];
        header.write(&mut packet);
        packet.extend(&payload);
        prop_assert_eq!(Header::parse(&packet), Ok((header, &payload[..])));
    }
}
