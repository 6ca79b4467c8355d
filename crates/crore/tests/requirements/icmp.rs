//! ICMP errors (RFC 9293 3.9.2.2, RFC 5927, RFC 5461).

use crate::segments::{Heard, Peer, ack, frame_of};
use crore::Trouble;
use crore_wire::checksum::Sum;
use crore_wire::{Protocol, icmpv4, icmpv6};
use std::net::{IpAddr, Ipv6Addr};

/// An `ICMPv4` error of any type and code that quotes a packet.
fn v4_error(peer: &Peer, kind: u8, code: u8, mtu: u16, quoted: &[u8]) -> Vec<u8> {
    let [a, b] = mtu.to_be_bytes();
    let mut message = vec![kind, code, 0, 0, 0, 0, a, b];
    message.extend_from_slice(&quoted[..quoted.len().min(28)]);
    let sum = Sum::ZERO.add_bytes(&message).finish();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    assert!(icmpv4::Message::parse(&message).is_ok());
    frame_of(peer.here, peer.there, Protocol::ICMP, &message)
}

fn v6_error(peer: &Peer, kind: u8, code: u8, mtu: u32, quoted: &[u8]) -> Vec<u8> {
    let (IpAddr::V6(here), IpAddr::V6(there)) = (peer.here, peer.there) else { panic!("IPv6") };
    let mut message = vec![kind, code, 0, 0];
    message.extend_from_slice(&mtu.to_be_bytes());
    message.extend_from_slice(quoted);
    let sum = pseudo_v6(here, there, message.len()).add_bytes(&message).finish();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    assert!(icmpv6::Message::parse(here, there, &message).is_ok());
    frame_of(peer.here, peer.there, Protocol::ICMPV6, &message)
}

fn pseudo_v6(src: Ipv6Addr, dst: Ipv6Addr, len: usize) -> Sum {
    Sum::pseudo_v6(src, dst, Protocol::ICMPV6, len as u32)
}

/// A connection with a full segment in flight; and that segment.
fn with_flight(v6: bool) -> (Peer, Heard) {
    let mut peer = if v6 { Peer::v6(|_| {}) } else { Peer::new(|_| {}) };
    peer.open(crate::segments::syn());
    peer.app_sends_many(1440);
    let segment = peer.hear("a segment");
    (peer, segment)
}

/// RFC 9293 MUST-54: an error goes to the connection that the quoted segment is of.
/// RFC 7323-5.7: one of them makes its segments smaller.
#[test]
fn an_error_finds_its_connection() {
    let (mut peer, segment) = with_flight(false);
    let too_big = v4_error(&peer, 3, 4, 1000, &segment.packet);
    peer.inject(&[too_big]);
    let sizes: Vec<usize> = peer.hear_all().iter().map(|heard| heard.packet.len()).collect();
    assert_eq!(sizes, [1000, 520], "what was too large goes out smaller, all of it");
    peer.says(ack(1, 1441));
    peer.app_sends_many(3000);
    assert!(peer.hear_all().iter().all(|heard| heard.packet.len() <= 1000));

    let (mut peer, segment) = with_flight(true);
    let too_big = v6_error(&peer, 2, 0, 1300, &segment.packet);
    peer.inject(&[too_big]);
    assert_eq!(peer.hear("the segment, smaller").packet.len(), 1300);

    let mut peer = Peer::new(|_| {});
    peer.connect().unwrap();
    peer.turn();
    let syn = peer.hear("the SYN");
    let refused = v4_error(&peer, 3, 3, 0, &syn.packet);
    peer.inject(&[refused]);
    assert_eq!(peer.app().calls, ["closed Refused"]);
}

/// RFC 5927-4.1, RFC 8899-3.6: an error that quotes a number which is not in flight is not
/// believed.
#[test]
fn an_error_about_nothing_in_flight_is_not_believed() {
    let (mut peer, segment) = with_flight(false);
    for off in [0u32.wrapping_sub(1), 1440, 0x4000_0000] {
        let mut forged = segment.packet.clone();
        let seq = segment.header.seq.wrapping_add(off);
        forged[24..28].copy_from_slice(&seq.to_be_bytes());
        let error = v4_error(&peer, 3, 4, 600, &forged);
        peer.inject(&[error]);
        peer.hears(&[]);
    }
    let believed = peer.engine.stack().counters().icmp_errors_in;
    assert_eq!(believed, 0);
}

/// RFC 9293 MUST-55, RFC 5927-6.1: source quench is ignored.
#[test]
fn source_quench_is_ignored() {
    let (mut peer, segment) = with_flight(false);
    let quench = v4_error(&peer, 4, 0, 0, &segment.packet);
    peer.inject(&[quench]);
    peer.hears(&[]);
    peer.says(ack(1, 1441));
    peer.app_sends_many(9000);
    assert_eq!(peer.hear_all().len(), 7, "the window is as it was");
}

/// The types and codes that say nothing final.
const SOFT_V4: [(u8, u8); 6] = [(3, 0), (3, 1), (3, 5), (11, 0), (11, 1), (12, 0)];
const SOFT_V6: [(u8, u8); 7] = [(1, 0), (1, 3), (3, 0), (3, 1), (4, 0), (4, 1), (4, 2)];

/// RFC 9293 MUST-56: a soft error ends no connection, nor the opening of one.
/// RFC 9293 MUST-47, SHLD-25: but the application is told.
#[test]
fn soft_errors_end_nothing() {
    for (kind, code) in SOFT_V4 {
        let (mut peer, segment) = with_flight(false);
        let error = v4_error(&peer, kind, code, 0, &segment.packet);
        peer.inject(&[error]);
        peer.says(ack(1, 1441));
        assert_eq!(peer.app().calls, ["accepted"], "{kind} {code}");
        assert_eq!(peer.app().troubles.len(), 1, "{kind} {code}");

        let mut peer = Peer::new(|_| {});
        peer.connect().unwrap();
        peer.turn();
        let syn = peer.hear("the SYN");
        let error = v4_error(&peer, kind, code, 0, &syn.packet);
        peer.inject(&[error]);
        assert!(peer.app().calls.is_empty(), "{kind} {code}");
        assert_eq!(peer.app().troubles.len(), 1, "{kind} {code}");
        peer.says(crate::segments::syn().with(crore_wire::tcp::Flags::ACK).acking(1));
        assert_eq!(peer.app().calls, ["connected"]);
    }
    for (kind, code) in SOFT_V6 {
        let (mut peer, segment) = with_flight(true);
        let error = v6_error(&peer, kind, code, 0, &segment.packet);
        peer.inject(&[error]);
        assert_eq!(peer.app().calls, ["accepted"], "{kind} {code}");

        let mut peer = Peer::v6(|_| {});
        peer.connect().unwrap();
        peer.turn();
        let syn = peer.hear("the SYN");
        let error = v6_error(&peer, kind, code, 0, &syn.packet);
        peer.inject(&[error]);
        assert!(peer.app().calls.is_empty(), "{kind} {code}");
    }
}

/// RFC 5927-5.2: a hard error about an established connection is not believed to be final.
#[test]
fn hard_errors_do_not_end_an_established_connection() {
    for code in [2, 3] {
        let (mut peer, segment) = with_flight(false);
        let error = v4_error(&peer, 3, code, 0, &segment.packet);
        peer.inject(&[error]);
        peer.says(ack(1, 1441));
        assert_eq!(peer.app().calls, ["accepted"]);
        assert_eq!(peer.app().troubles, [Trouble::Unreachable]);
    }
}

/// RFC 9293 SHLD-26: a hard error ends an opening.
#[test]
fn hard_errors_end_an_opening() {
    let prohibited = "closed Unreachable";
    let refused = "closed Refused";
    let told = [(2, refused), (3, refused), (9, prohibited), (10, prohibited), (13, prohibited)];
    for (code, end) in told {
        let mut peer = Peer::new(|_| {});
        peer.connect().unwrap();
        peer.turn();
        let syn = peer.hear("the SYN");
        let error = v4_error(&peer, 3, code, 0, &syn.packet);
        peer.inject(&[error]);
        assert_eq!(peer.app().calls, [end]);
    }
    for (code, end) in [(1, prohibited), (4, refused)] {
        let mut peer = Peer::v6(|_| {});
        peer.connect().unwrap();
        peer.turn();
        let syn = peer.hear("the SYN");
        let error = v6_error(&peer, 1, code, 0, &syn.packet);
        peer.inject(&[error]);
        assert_eq!(peer.app().calls, [end]);
    }
}

/// RFC 8899-3.6b: what routers say never makes segments larger, nor smaller than what every path
/// takes: 576 octets over IPv4, 1,280 over IPv6 (small segments cost more than they carry).
#[test]
fn packet_too_big_goes_down_only_and_not_too_far() {
    for (v6, said, held) in [
        (false, 0, 576),
        (false, 68, 576),
        (false, 575, 576),
        (false, 577, 577),
        (false, 9000, 1480),
        (true, 0, 1280),
        (true, 576, 1280),
        (true, 1281, 1281),
        (true, 65_535, 1500),
    ] {
        let (mut peer, segment) = with_flight(v6);
        let before = segment.packet.len();
        let error = if v6 {
            v6_error(&peer, 2, 0, u32::from(said), &segment.packet)
        } else {
            v4_error(&peer, 3, 4, said, &segment.packet)
        };
        peer.inject(&[error]);
        peer.hear_all();
        peer.says(ack(1, 1441));
        peer.app_sends_many(6000);
        let largest = peer.hear_all().iter().map(|heard| heard.packet.len()).max();
        let held = if said > 1500 { before.max(largest.unwrap_or(0)) } else { held };
        assert_eq!(largest, Some(held), "{said}");
    }
}
