//! Segments that no honest host sends.

use crate::held;
use crate::segments::{Peer, ack, data, segment, syn};
use crore::Drop;
use crore_wire::tcp::Flags;

const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);

/// LAND: from our own address and port to itself.
#[test]
fn a_segment_from_ourselves_to_ourselves_is_dropped() {
    let mut peer = Peer::new(|_| {});
    (peer.here, peer.port_here) = (peer.there, peer.port_there);
    for flags in [Flags::SYN, Flags::ACK, Flags::SYN | Flags::ACK, Flags::FIN | Flags::ACK] {
        peer.says(segment(flags, 0));
    }
    peer.hears(&[]);
    assert_eq!(peer.dropped(Drop::BadSource), 4);
    assert_eq!(held(&peer.engine), [0; 5]);
}

/// All 256 combinations of control bits, to a listening port and within a connection.
#[test]
fn no_combination_of_control_bits_does_harm() {
    let mut peer = Peer::new(|_| {});
    for bits in 0..=255_u8 {
        peer.becomes("10.0.0.4", 1000 + u16::from(bits));
        peer.says(segment(Flags(bits), 0).acking(77));
        let opens = bits & 0x17 == Flags::SYN.0;
        let opened = |heard: &crate::segments::Heard| heard.header.flags.contains(SYN_ACK);
        assert_eq!(peer.hear_all().first().is_some_and(opened), opens, "{bits:#x}");
    }
    assert!(peer.dropped(Drop::BadFlags) >= 16, "SYN and FIN at once");

    let mut peer = Peer::accepted(|_| {});
    for bits in 0..=255_u8 {
        let ends = bits & (Flags::RST.0 | Flags::FIN.0) != 0;
        // Those that may end a connection come with a number outside the window.
        let seq = if ends { 1 << 20 } else { 1 };
        peer.says(segment(Flags(bits), seq).acking(1));
    }
    assert_eq!(peer.app().calls, ["accepted"]);
    peer.says(data(1, 1, b"fine"));
    assert_eq!(peer.app().received, b"fine");
}

/// Urgent pointers before, within and far behind the octets: the stream is what was sent.
#[test]
fn urgent_pointers_change_no_octet_of_the_stream() {
    let mut peer = Peer::accepted(|_| {});
    for (n, urgent) in [0, 1, 3, 4, 5, 1000, 65_535].into_iter().enumerate() {
        let mut segment = data(1 + 4 * n as u32, 1, b"abcd").with(Flags::URG);
        segment.urgent = urgent;
        peer.says(segment);
    }
    assert_eq!(peer.app().received, b"abcd".repeat(7));
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// A server that answers a SYN with a SYN of its own: the connection is still the one that we
/// opened, and it opens once.
#[test]
fn a_split_handshake_opens_the_connection_that_we_asked_for() {
    let mut peer = Peer::new(|_| {});
    peer.connect().unwrap();
    peer.turn();
    peer.hears(&["S 0"]);
    // Five steps: an ACK first, which says nothing; then a SYN.
    peer.says(ack(0, 1));
    peer.says(syn());
    assert_eq!(peer.hear("a SYN-ACK").header.flags, Flags::SYN | Flags::ACK);
    peer.says(ack(1, 1));
    assert_eq!(peer.app().calls, ["connected"]);
    assert_eq!(peer.counters().accepted, 0, "no limit of accepted ones is touched");
    peer.says(data(1, 1, b"hello"));
    assert_eq!(peer.app().received, b"hello");
}

/// Half of the circle of numbers away from what our SYN asks for is neither before it nor behind
/// it, and no acknowledgment of it.
#[test]
fn an_acknowledgment_of_our_syn_from_half_a_circle_away_is_refused() {
    let mut peer = Peer::new(|_| {});
    peer.connect().unwrap();
    peer.turn();
    peer.hears(&["S 0"]);
    peer.says(syn().with(Flags::ACK).acking(0x8000_0001));
    peer.hears(&["R 2147483649"]);
    assert!(peer.app().calls.is_empty());
    peer.says(syn().with(Flags::ACK).acking(1));
    assert_eq!(peer.app().calls, ["connected"]);
}
