use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::tests::{bytes, checksum_by_the_book};

fn written(message: &Message<'_>) -> Vec<u8> {
    let mut out = vec![0xee; message.len() + 1];
    assert_eq!(message.write(&mut out), message.len());
    assert_eq!(out.pop(), Some(0xee), "wrote behind its length");
    out
}

/// Sets the checksum to what it should be.
fn repair(message: &mut [u8]) {
    message[2..4].fill(0);
    let checksum = checksum_by_the_book(message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
}

#[test]
fn a_ping_and_its_answer() {
    let mut ping = *b"\x08\x00\x00\x00\x12\x34\x00\x07abc";
    repair(&mut ping);
    let request = Message::EchoRequest { ident: 0x1234, seq: 7, data: b"abc" };
    assert_eq!(Message::parse(&ping), Ok(request));
    assert_eq!(written(&request), ping);
    let reply = Message::EchoReply { ident: 0x1234, seq: 7, data: b"abc" };
    let mut answer = ping;
    answer[0] = 0;
    repair(&mut answer);
    assert_eq!(written(&reply), answer);
}

#[test]
fn a_packet_too_big_says_what_would_fit() {
    let quoted = [0x45; 28];
    let mut bytes = vec![3, 4, 0, 0, 0, 0, 0x05, 0x14];
    bytes.extend(quoted);
    repair(&mut bytes);
    let message =
        Message::Unreachable { code: UNREACHABLE_TOO_BIG, next_hop_mtu: 1_300, quoted: &quoted };
    assert_eq!(Message::parse(&bytes), Ok(message));
    assert_eq!(written(&message), bytes);
}

#[test]
fn other_errors_have_no_mtu() {
    let mut bytes = [3, UNREACHABLE_PORT, 0, 0, 0, 9, 9, 9, 0x45];
    repair(&mut bytes);
    let message = Message::Unreachable { code: UNREACHABLE_PORT, next_hop_mtu: 0, quoted: &[0x45] };
    assert_eq!(Message::parse(&bytes), Ok(message));
}

#[test]
fn what_is_not_for_us_is_other() {
    // A redirect, a source quench, a timestamp request, and an echo with a code.
    for (kind, code) in [(5, 1), (4, 0), (13, 0), (8, 1), (0, 9)] {
        let mut bytes = [kind, code, 0, 0, 1, 2, 3, 4, 5];
        repair(&mut bytes);
        assert_eq!(Message::parse(&bytes), Ok(Message::Other { kind, code }));
    }
}

#[test]
fn short_and_damaged_messages_are_refused() {
    let ping = written(&Message::EchoRequest { ident: 1, seq: 2, data: b"12345678" });
    for len in 0..HEADER_LEN {
        assert_eq!(Message::parse(&ping[..len]), Err(Malformed::Truncated), "{len} bytes");
    }
    let mut damaged = ping;
    for bit in 0..damaged.len() * 8 {
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Message::parse(&damaged), Err(Malformed::Checksum), "bit {bit}");
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        kind in 0..6, code: u8, ident: u16, seq: u16, pointer: u8, data in bytes(0..200),
    ) {
        let data = &data[..];
        let next_hop_mtu = if code == UNREACHABLE_TOO_BIG { seq } else { 0 };
        let message = match kind {
            0 => Message::EchoRequest { ident, seq, data },
            1 => Message::EchoReply { ident, seq, data },
            2 => Message::Unreachable { code, next_hop_mtu, quoted: data },
            3 => Message::TimeExceeded { code, quoted: data },
            4 => Message::ParameterProblem { code, pointer, quoted: data },
            _ => Message::Other { kind: 10, code },
        };
        let bytes = written(&message);
        prop_assert_eq!(checksum_by_the_book(&bytes), 0);
        prop_assert_eq!(Message::parse(&bytes), Ok(message));
    }

    #[test]
    fn any_intact_bytes_are_a_message(data in bytes(8..100), kind in 0u8..20) {
        let mut data = data;
        data[0] = kind;
        repair(&mut data);
        let message = Message::parse(&data).unwrap();
        let again = written(&message);
        prop_assert_eq!(Message::parse(&again), Ok(message));
    }
}
