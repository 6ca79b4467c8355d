use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::tests::bytes;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
const TCP: u8 = 6;

/// Eight bytes of options that ask for nothing: next header, length, `PadN` of four.
fn padding(next: u8) -> [u8; 8] {
    [next, 0, 1, 4, 0, 0, 0, 0]
}

fn chain(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn a_packet_without_extensions_is_as_it_was() {
    assert_eq!(skip_extensions(Protocol::TCP, b"abc"), Ok((Protocol::TCP, &b"abc"[..], None)));
    let none = Protocol::NO_NEXT_HEADER;
    assert_eq!(skip_extensions(none, b""), Ok((none, &b""[..], None)));
}

#[test]
fn a_chain_of_all_kinds_ends_at_the_transport() {
    let atomic = [DESTINATION, 0, 0, 0, 1, 2, 3, 4];
    let long = [vec![TCP, 1, 1, 12], vec![0; 12]].concat();
    let routing_done = [FRAGMENT, 0, 4, 0, 0, 0, 0, 0];
    let packet = chain(&[&padding(ROUTING), &routing_done, &atomic, &long, b"tcp"]);
    let (protocol, rest, fragment) = skip_extensions(Protocol(HOP_BY_HOP), &packet).unwrap();
    assert_eq!((protocol, rest), (Protocol::TCP, &b"tcp"[..]));
    let fragment = fragment.unwrap();
    assert_eq!(fragment, Fragment { offset: 0, more: false, ident: 0x0102_0304 });
    assert!(fragment.is_atomic());
}

#[test]
fn the_walk_ends_at_a_real_fragment() {
    // Offset 185 (1,480 bytes), more to come; what follows is data that looks like options.
    let [high, low] = (185u16 << 3 | 1).to_be_bytes();
    let packet = chain(&[&[DESTINATION, 0, high, low, 0, 0, 0, 9], &[0xff; 8]]);
    let (protocol, rest, fragment) = skip_extensions(Protocol(FRAGMENT), &packet).unwrap();
    assert_eq!((protocol, rest), (Protocol::DESTINATION_OPTIONS, &[0xff; 8][..]));
    let fragment = fragment.unwrap();
    assert_eq!(fragment, Fragment { offset: 185, more: true, ident: 9 });
    assert!(!fragment.is_atomic());
}

#[test]
fn hop_by_hop_options_stand_first_or_not_at_all() {
    let packet = chain(&[&padding(HOP_BY_HOP), &padding(TCP)]);
    let walked = skip_extensions(Protocol(DESTINATION), &packet);
    assert_eq!(walked, Err(Malformed::Extension));
}

#[test]
fn a_source_route_with_hops_left_is_refused() {
    let packet = [TCP, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(skip_extensions(Protocol(ROUTING), &packet), Err(Malformed::Extension));
}

#[test]
fn two_fragment_headers_are_refused() {
    let packet = chain(&[&[FRAGMENT, 0, 0, 0, 0, 0, 0, 1], &[TCP, 0, 0, 0, 0, 0, 0, 1]]);
    assert_eq!(skip_extensions(Protocol(FRAGMENT), &packet), Err(Malformed::Extension));
}

#[test]
fn unknown_options_say_themselves_whether_to_go_on() {
    for (kind, expected) in
        [(0x05, true), (0x3e, true), (0x45, false), (0x80, false), (0xc2, false)]
    {
        let packet = chain(&[&[TCP, 0, kind, 2, 0, 0, 0, 0], b"tcp"]);
        let walked = skip_extensions(Protocol(DESTINATION), &packet);
        if expected {
            assert_eq!(walked, Ok((Protocol::TCP, &b"tcp"[..], None)), "kind {kind:#x}");
        } else {
            assert_eq!(walked, Err(Malformed::Option), "kind {kind:#x}");
        }
    }
}

#[test]
fn an_option_may_not_reach_out_of_its_header() {
    for options in [[1, 5, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], [1, 2, 0, 0, 1, 255]] {
        let packet = chain(&[&[TCP, 0], &options, &[0; 255]]);
        let walked = skip_extensions(Protocol(DESTINATION), &packet);
        assert_eq!(walked, Err(Malformed::Option), "{options:?}");
    }
}

#[test]
fn a_header_may_not_reach_out_of_the_packet() {
    let whole = padding(TCP);
    for first in [HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION] {
        for len in 0..8 {
            let walked = skip_extensions(Protocol(first), &whole[..len]);
            assert_eq!(walked, Err(Malformed::Truncated), "{first}, {len} bytes");
        }
    }
    let packet = chain(&[&[TCP, 1, 1, 12], &[0; 11]]);
    assert_eq!(skip_extensions(Protocol(DESTINATION), &packet), Err(Malformed::Truncated));
}

#[test]
fn a_chain_is_bounded() {
    let walk = |headers: usize| {
        let mut packet = padding(DESTINATION).repeat(headers - 1);
        packet.extend(padding(TCP));
        skip_extensions(Protocol(DESTINATION), &packet).map(|(protocol, ..)| protocol)
    };
    assert_eq!(walk(EXTENSIONS_MAX), Ok(Protocol::TCP));
    assert_eq!(walk(EXTENSIONS_MAX + 1), Err(Malformed::Extension));
}

proptest! {
    #[test]
    fn no_chain_makes_it_panic(
        first in prop::sample::select(vec![HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION]),
        parts in prop::collection::vec(
            (prop::sample::select(vec![TCP, ROUTING, FRAGMENT, DESTINATION]), 0u8..3, bytes(6..30)),
            0..10,
        ),
    ) {
        let mut packet = Vec::new();
        for (next, len, body) in parts {
            packet.extend([next, len]);
            packet.extend(body);
        }
        if let Ok((_, rest, _)) = skip_extensions(Protocol(first), &packet) {
            prop_assert!(packet.ends_with(rest));
            prop_assert!((packet.len() - rest.len()).is_multiple_of(8));
        }
    }
}

#[test]
fn what_is_wrong_is_told_where_it_is_asked_for() {
    let packet = |next: u8, rest: &[u8]| {
        let mut packet = std::vec![0x60, 0, 0, 0, 0, rest.len() as u8, next, 64];
        packet.resize(crate::ipv6::HEADER_LEN, 1);
        packet.extend_from_slice(rest);
        packet
    };
    let told = |code, pointer| Some(Problem { code, pointer });
    // A kind that asks for silence, one that asks for an answer; behind others as well.
    assert_eq!(problem_of(&packet(60, &[6, 0, 0x40, 4, 0, 0, 0, 0])), None);
    assert_eq!(problem_of(&packet(60, &[6, 0, 1, 0, 0x80, 2, 0, 0])), told(2, 44));
    let second = [60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0xc0, 4, 0, 0, 0, 0];
    assert_eq!(problem_of(&packet(0, &second)), told(2, 50));
    // A route that goes on; hop-by-hop options that are not in front.
    assert_eq!(problem_of(&packet(43, &[6, 0, 0, 1, 0, 0, 0, 0])), told(0, 42));
    assert_eq!(problem_of(&packet(60, &[0, 0, 1, 4, 0, 0, 0, 0])), told(1, 40));
    // Nothing is wrong, and what is cut short is nobody's fault that could be told.
    assert_eq!(problem_of(&packet(6, &[0; 20])), None);
    for len in 0..8 {
        assert_eq!(problem_of(&packet(60, &[6, 0, 1, 4, 0, 0, 0, 0][..len])), None, "{len}");
    }
}

#[test]
fn errors_are_found_behind_extension_headers() {
    let icmp = Protocol::ICMPV6;
    assert!(may_be_error(icmp, &[1, 0, 0, 0]));
    assert!(!may_be_error(icmp, &[128, 0, 0, 0]));
    assert!(!may_be_error(Protocol::TCP, &[1, 0, 0, 0]));
    let behind = [58, 0, 1, 4, 0, 0, 0, 0, 3, 0];
    assert!(may_be_error(Protocol::DESTINATION_OPTIONS, &behind));
    assert!(may_be_error(Protocol::DESTINATION_OPTIONS, &behind[..6]), "cut short: maybe");
}

#[test]
fn fragment_headers_are_written_as_they_are_read() {
    let fragment = Fragment { offset: 0x1abc, more: true, ident: 0x0102_0304 };
    let mut bytes = [0; FRAGMENT_HEADER_LEN];
    fragment.write(Protocol::TCP, &mut bytes);
    let read = skip_extensions(Protocol::FRAGMENT, &bytes);
    assert_eq!(read, Ok((Protocol::TCP, &[][..], Some(fragment))));
}
