use std::format;
use std::vec;

use core::net::Ipv4Addr;
use proptest::prelude::*;

use super::*;
use crate::tests::{bytes, checksum_by_the_book};
use crate::{Protocol, checksum};

const SEGMENT: [u8; 24] = [
    0x9c, 0x40, 0x00, 0x50, // ports
    0x01, 0x02, 0x03, 0x04, // sequence number
    0x0a, 0x0b, 0x0c, 0x0d, // acknowledgment
    0x50, 0x18, 0xff, 0x00, // data offset, flags, window
    0xab, 0xcd, 0x00, 0x07, // checksum, urgent pointer
    b'd', b'a', b't', b'a',
];

const HEADER: Header = Header {
    src_port: 40_000,
    dst_port: 80,
    seq: 0x0102_0304,
    ack: 0x0a0b_0c0d,
    flags: Flags::PSH.with(Flags::ACK),
    window: 0xff00,
    urgent: 7,
    options: Options::NONE,
};

fn any_fast_open() -> impl Strategy<Value = FastOpen> {
    (any::<bool>(), prop::collection::vec(any::<[u8; 2]>(), 0..=FAST_OPEN_COOKIE_MAX / 2)).prop_map(
        |(experimental, words)| {
            let cookie = FastOpenCookie::new(&words.concat()).unwrap_or(FastOpenCookie::EMPTY);
            FastOpen { cookie, experimental }
        },
    )
}

/// Options of which all are written: no more blocks than fit.
pub(super) fn any_options() -> impl Strategy<Value = Options> {
    (
        prop::option::weighted(0.2, any_fast_open()),
        any::<Option<u16>>(),
        prop::option::of(0..=WINDOW_SCALE_MAX),
        any::<bool>(),
        any::<Option<(u32, u32)>>(),
        prop::collection::vec(any::<(u32, u32)>(), 0..=SACK_BLOCKS_MAX),
    )
        .prop_map(|(fast_open, mss, window_scale, sack_permitted, timestamps, blocks)| {
            let timestamps = timestamps.map(|(value, echo)| Timestamps { value, echo });
            let sack = SackBlocks::EMPTY;
            let mut options =
                Options { mss, window_scale, sack_permitted, timestamps, sack, ..Options::NONE };
            options.fast_open = fast_open;
            for (left, right) in blocks {
                let mut more = options;
                more.sack.push(left, right);
                if more.written_len() > options.written_len() {
                    options = more;
                }
            }
            options
        })
}

fn any_header() -> impl Strategy<Value = Header> {
    (any::<(u16, u16, u32, u32)>(), any::<(u8, u16, u16)>(), any_options()).prop_map(
        |((src_port, dst_port, seq, ack), (flags, window, urgent), options)| {
            let flags = Flags(flags);
            Header { src_port, dst_port, seq, ack, flags, window, urgent, options }
        },
    )
}

#[test]
fn a_plain_segment_both_ways() {
    assert_eq!(Header::parse(&SEGMENT), Ok((HEADER, &b"data"[..])));
    let mut out = [0xff; 20];
    assert_eq!(HEADER.write(&mut out, 0xabcd), 20);
    assert_eq!(out, SEGMENT[..20]);
}

#[test]
fn a_segment_with_timestamps_both_ways() {
    let mut segment = vec![0; 32];
    let timestamps = Some(Timestamps { value: 1, echo: 2 });
    let header = Header { options: Options { timestamps, ..Options::NONE }, ..HEADER };
    assert_eq!(header.write(&mut segment, 0), 32);
    assert_eq!(segment[12], 0x80);
    assert_eq!(segment[20..], [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    segment.extend(b"x");
    assert_eq!(Header::parse(&segment), Ok((header, &b"x"[..])));
}

#[test]
fn each_lie_has_its_reason() {
    for len in 0..20 {
        assert_eq!(Header::parse(&SEGMENT[..len]), Err(Malformed::Truncated), "{len} bytes");
    }
    let with_offset = |words: u8| {
        let mut segment = SEGMENT;
        segment[12] = words << 4;
        Header::parse(&segment).map(|(_, payload)| payload.len())
    };
    for words in 0..5 {
        assert_eq!(with_offset(words), Err(Malformed::HeaderLength), "{words} words");
    }
    for words in 7..16 {
        assert_eq!(with_offset(words), Err(Malformed::Truncated), "{words} words");
    }
    // Six words: "data" would be an option of 97 bytes.
    assert_eq!(with_offset(6), Err(Malformed::Option));
}

#[test]
fn the_reserved_bits_are_ignored() {
    let mut segment = SEGMENT;
    segment[12] |= 0x0f;
    assert_eq!(Header::parse(&segment), Ok((HEADER, &b"data"[..])));
}

#[test]
fn flags_are_a_set() {
    let syn_ack = Flags::SYN | Flags::ACK;
    assert!(syn_ack.contains(Flags::SYN) && syn_ack.contains(syn_ack));
    assert!(!syn_ack.contains(Flags::SYN | Flags::RST));
    assert!(syn_ack.intersects(Flags::SYN | Flags::RST));
    assert_eq!(syn_ack.without(Flags::SYN | Flags::FIN), Flags::ACK);
    assert_eq!(format!("{syn_ack:?} {:?}", Flags::NONE), "SYN|ACK -");
    assert_eq!(format!("{:?}", Flags(0xff)), "FIN|SYN|RST|PSH|ACK|URG|ECE|CWR");
}

#[test]
fn a_quoted_segment_gives_ports_and_sequence() {
    let quoted = Quoted::parse(&SEGMENT[..8]);
    assert_eq!(quoted, Ok(Quoted { src_port: 40_000, dst_port: 80, seq: 0x0102_0304 }));
    assert_eq!(Quoted::parse(&SEGMENT[..7]), Err(Malformed::Truncated));
}

/// The way a sender makes a checksum, and the way a receiver verifies it.
fn seal(header: &Header, payload: &[u8], src: Ipv4Addr, dst: Ipv4Addr) -> vec::Vec<u8> {
    let mut segment = vec![0; header.header_len() + payload.len()];
    let pseudo = Sum::pseudo_v4(src, dst, Protocol::TCP, segment.len() as u16);
    let data = checksum::copy_and_sum(&mut segment[header.header_len()..], payload);
    let checksum = pseudo.add_sum(header.sum()).add_sum(data).finish();
    header.write(&mut segment, checksum);
    segment
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        header in any_header(), checksum: u16, payload in bytes(0..100),
    ) {
        let mut segment = vec![0; header.header_len()];
        prop_assert_eq!(header.write(&mut segment, checksum), segment.len());
        let stored = [segment[CHECKSUM_OFFSET], segment[CHECKSUM_OFFSET + 1]];
        prop_assert_eq!(u16::from_be_bytes(stored), checksum);
        segment.extend(&payload);
        prop_assert_eq!(Header::parse(&segment), Ok((header, &payload[..])));
    }

    #[test]
    fn the_sum_of_the_fields_is_the_sum_of_the_bytes(header in any_header()) {
        let mut segment = vec![0; header.header_len()];
        header.write(&mut segment, 0);
        prop_assert_eq!(header.sum().finish(), checksum_by_the_book(&segment));
    }

    #[test]
    fn a_header_with_its_checksum_is_the_header_and_its_checksum(
        header in any_header(), payload in bytes(0..40), src: u32, dst: u32,
    ) {
        let (src, dst) = (Ipv4Addr::from_bits(src), Ipv4Addr::from_bits(dst));
        let wanted = seal(&header, &payload, src, dst);
        let pseudo = Sum::pseudo_v4(src, dst, Protocol::TCP, wanted.len() as u16);
        let mut segment = vec![0; header.header_len()];
        let len = header.write_summed(&mut segment, pseudo.add_bytes(&payload));
        prop_assert_eq!(len, segment.len());
        prop_assert_eq!(&segment[..], &wanted[..len]);
    }

    #[test]
    fn every_flipped_bit_of_a_sealed_segment_is_seen(
        header in any_header(), payload in bytes(0..40), src: u32, dst: u32,
    ) {
        let (src, dst) = (Ipv4Addr::from_bits(src), Ipv4Addr::from_bits(dst));
        let mut segment = seal(&header, &payload, src, dst);
        let pseudo = Sum::pseudo_v4(src, dst, Protocol::TCP, segment.len() as u16);
        prop_assert!(checksum::verify(pseudo.add_bytes(&segment)));
        for bit in 0..segment.len() * 8 {
            segment[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!checksum::verify(pseudo.add_bytes(&segment)), "bit {} passed", bit);
            segment[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(data in bytes(0..100)) {
        if let Ok((header, payload)) = Header::parse(&data) {
            prop_assert!(data.ends_with(payload));
            prop_assert!(data.len() - payload.len() >= MIN_HEADER_LEN);
            prop_assert!(header.header_len() <= MAX_HEADER_LEN);
        }
    }
}
