use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::tests::{any_mac, any_v6, bytes, checksum_by_the_book, pseudo_v6_bytes};

const SRC: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const DST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x12, 0x3456);
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

fn written(src: Ipv6Addr, dst: Ipv6Addr, message: &Message<'_>) -> Vec<u8> {
    let mut out = vec![0xee; message.len() + 1];
    assert_eq!(message.write(src, dst, &mut out), message.len());
    assert_eq!(out.pop(), Some(0xee), "wrote behind its length");
    out
}

fn checksum(src: Ipv6Addr, dst: Ipv6Addr, message: &[u8]) -> u16 {
    let mut all = pseudo_v6_bytes(src, dst, 58, message.len() as u32);
    all.extend(message);
    checksum_by_the_book(&all)
}

/// Sets the checksum to what it should be.
fn repaired(src: Ipv6Addr, dst: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message[2..4].fill(0);
    let checksum = checksum(src, dst, &message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

/// A neighbour message from these parts: type and code, flags, target, options.
fn neighbor(kind: u8, code: u8, flags: u8, target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, flags, 0, 0, 0];
    message.extend(target.octets());
    message.extend(options);
    message
}

#[test]
fn a_ping_and_its_answer() {
    let ping = repaired(SRC, DST, b"\x80\x00\x00\x00\x12\x34\x00\x07abc");
    let request = Message::EchoRequest { ident: 0x1234, seq: 7, data: b"abc" };
    assert_eq!(Message::parse(SRC, DST, &ping), Ok(request));
    assert_eq!(written(SRC, DST, &request), ping);
    let reply = Message::EchoReply { ident: 0x1234, seq: 7, data: b"abc" };
    let answer = repaired(DST, SRC, b"\x81\x00\x00\x00\x12\x34\x00\x07abc");
    assert_eq!(written(DST, SRC, &reply), answer);
}

#[test]
fn a_packet_too_big_says_what_would_fit() {
    let bytes = repaired(SRC, DST, b"\x02\x00\x00\x00\x00\x00\x05\x14quoted");
    let message = Message::PacketTooBig { mtu: 1_300, quoted: b"quoted" };
    assert_eq!(Message::parse(SRC, DST, &bytes), Ok(message));
    assert_eq!(written(SRC, DST, &message), bytes);
}

#[test]
fn a_message_to_somebody_else_fails_its_checksum() {
    let ping = written(SRC, DST, &Message::EchoRequest { ident: 1, seq: 2, data: b"" });
    assert_eq!(Message::parse(SRC, SRC, &ping), Err(Malformed::Checksum));
    assert_eq!(Message::parse(SRC, DST, &ping[..7]), Err(Malformed::Truncated));
}

#[test]
fn the_solicited_node_group_is_named_by_the_last_24_bits() {
    assert_eq!(solicited_node(DST), "ff02::1:ff12:3456".parse::<Ipv6Addr>().unwrap());
}

#[test]
fn a_solicitation_both_ways() {
    let group = solicited_node(DST);
    let option = [1, 1, 2, 0, 0, 0, 0, 9];
    let bytes = repaired(SRC, group, &neighbor(135, 0, 0, DST, &option));
    let message = Message::NeighborSolicit { target: DST, source_mac: Some(MAC) };
    assert_eq!(Message::parse(SRC, group, &bytes), Ok(message));
    assert_eq!(written(SRC, group, &message), bytes);
}

#[test]
fn an_advertisement_both_ways() {
    let option = [2, 1, 2, 0, 0, 0, 0, 9];
    for (flags, router, solicited, override_) in
        [(0x80, true, false, false), (0x40, false, true, false), (0x20, false, false, true)]
    {
        let bytes = repaired(DST, SRC, &neighbor(136, 0, flags, DST, &option));
        let target_mac = Some(MAC);
        let message =
            Message::NeighborAdvert { target: DST, target_mac, router, solicited, override_ };
        assert_eq!(Message::parse(DST, SRC, &bytes), Ok(message));
        assert_eq!(written(DST, SRC, &message), bytes);
    }
}

#[test]
fn options_not_looked_for_are_stepped_over() {
    // A nonce (RFC 3971), a target address where a source address belongs, then the right one.
    let options = [[14, 1, 1, 2, 3, 4, 5, 6], [2, 1, 7, 7, 7, 7, 7, 7], [1, 1, 2, 0, 0, 0, 0, 9]];
    let bytes = repaired(SRC, DST, &neighbor(135, 0, 0, DST, &options.concat()));
    let message = Message::NeighborSolicit { target: DST, source_mac: Some(MAC) };
    assert_eq!(Message::parse(SRC, DST, &bytes), Ok(message));
}

#[test]
fn bad_options_are_refused() {
    let zero = [1, 0, 2, 0, 0, 0, 0, 9];
    let too_long = [1, 2, 2, 0, 0, 0, 0, 9];
    for options in [&zero[..], &too_long[..], &[1], &[1, 1, 2]] {
        let bytes = repaired(SRC, DST, &neighbor(135, 0, 0, DST, options));
        let parsed = Message::parse(SRC, DST, &bytes);
        assert_eq!(parsed, Err(Malformed::Option), "{options:?}");
    }
}

#[test]
fn the_rules_of_neighbour_discovery_hold() {
    let nobody = Ipv6Addr::UNSPECIFIED;
    let group = solicited_node(DST);
    let option = [1, 1, 2, 0, 0, 0, 0, 9];
    let parse = |src, dst, message: &[u8]| {
        Message::parse(src, dst, &repaired(src, dst, message)).map(|_| ())
    };
    let broken = Err(Malformed::NeighborDiscovery);
    let probe = neighbor(135, 0, 0, DST, &[]);
    assert_eq!(parse(nobody, group, &probe), Ok(()));
    assert_eq!(parse(nobody, DST, &probe), broken, "a probe goes to the group");
    let telling = neighbor(135, 0, 0, DST, &option);
    assert_eq!(parse(nobody, group, &telling), broken, "a probe has no address to tell");
    assert_eq!(parse(SRC, DST, &neighbor(135, 0, 0, group, &[])), broken, "a group as target");
    assert_eq!(parse(SRC, DST, &neighbor(135, 1, 0, DST, &[])), broken, "a code");
    assert_eq!(parse(SRC, group, &neighbor(136, 0, 0x40, SRC, &[])), broken, "all solicited it");
    assert_eq!(parse(SRC, group, &neighbor(136, 0, 0x20, SRC, &[])), Ok(()));
    let short = &neighbor(135, 0, 0, DST, &[])[..23];
    assert_eq!(parse(SRC, DST, short), Err(Malformed::Truncated));
}

#[test]
fn what_is_not_for_us_is_other() {
    // Router solicitation and advertisement, redirect, a listener report, and an echo with a code.
    for (kind, code) in [(133, 0), (134, 0), (137, 0), (143, 0), (128, 1)] {
        let bytes = repaired(SRC, DST, &[kind, code, 0, 0, 1, 2, 3, 4, 5]);
        assert_eq!(Message::parse(SRC, DST, &bytes), Ok(Message::Other { kind, code }));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        kind in 0..9,
        addresses in (any_v6(), any_v6(), any_v6()),
        code: u8,
        word: u32,
        mac in prop::option::of(any_mac()),
        flags: (bool, bool, bool),
        data in bytes(0..200),
    ) {
        let (src, dst, target) = addresses;
        // Addresses that the rules of neighbour discovery allow in every message.
        let unicast = |address: Ipv6Addr| Ipv6Addr::from_bits(address.to_bits() >> 1 | 1);
        let (src, dst, target) = (unicast(src), unicast(dst), unicast(target));
        let (ident, seq, data) = (word as u16, (word >> 16) as u16, &data[..]);
        let (router, solicited, override_) = flags;
        let message = match kind {
            0 => Message::EchoRequest { ident, seq, data },
            1 => Message::EchoReply { ident, seq, data },
            2 => Message::Unreachable { code, quoted: data },
            3 => Message::PacketTooBig { mtu: word, quoted: data },
            4 => Message::TimeExceeded { code, quoted: data },
            5 => Message::ParameterProblem { code, pointer: word, quoted: data },
            6 => Message::NeighborSolicit { target, source_mac: mac },
            7 => Message::NeighborAdvert { target, target_mac: mac, router, solicited, override_ },
            _ => Message::Other { kind: 134, code },
        };
        let bytes = written(src, dst, &message);
        prop_assert_eq!(checksum(src, dst, &bytes), 0);
        prop_assert_eq!(Message::parse(src, dst, &bytes), Ok(message));
    }

    #[test]
    fn no_neighbour_message_makes_it_panic(
        kind in 135u8..=136, src in any_v6(), dst in any_v6(), data in bytes(8..100),
    ) {
        let mut data = data;
        data[0] = kind;
        data[1] = 0;
        if let Ok(message) = Message::parse(src, dst, &repaired(src, dst, &data)) {
            let bytes = written(src, dst, &message);
            prop_assert_eq!(Message::parse(src, dst, &bytes), Ok(message));
        }
    }
}
