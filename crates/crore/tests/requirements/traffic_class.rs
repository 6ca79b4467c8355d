//! The differentiated services field (RFC 9293 3.9.1.9, RFC 2474).

use crate::segments::{Heard, Peer, ack, syn};
use crore_wire::tcp::Flags;

/// The code point and the two bits of ECN of a segment's packet.
fn class_of(heard: &Heard) -> (u8, u8) {
    let class = if heard.from.is_ipv4() {
        heard.packet[1]
    } else {
        heard.packet[0] << 4 | heard.packet[1] >> 4
    };
    (class >> 2, class & 3)
}

/// A frame of the peer with this code point.
fn with_dscp(mut frame: Vec<u8>, dscp: u8) -> Vec<u8> {
    if frame[14] >> 4 == 6 {
        frame[14] = 0x60 | dscp >> 2;
        frame[15] = dscp << 6;
        return frame;
    }
    frame[15] = dscp << 2;
    frame[24..26].fill(0);
    let sum = crore_wire::checksum::Sum::ZERO.add_bytes(&frame[14..34]).finish();
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// RFC 1122-3.2.1.6, RFC 9293 MUST-48: the application sets the field of a connection, SHLD-21: in
/// mid-connection too, SHLD-22: and that is what IP sends.
#[test]
fn the_field_is_the_applications() {
    for v6 in [false, true] {
        for dscp in [46, 1, 63, 0, 34] {
            let mut peer = if v6 { Peer::v6(|_| {}) } else { Peer::new(|_| {}) };
            peer.open(syn());
            peer.app_sends(b"as it was");
            assert_eq!(class_of(&peer.hear("octets")), (0, 0));
            let id = peer.conn();
            peer.act(|turn| turn.conn(id).unwrap().set_dscp(dscp));
            peer.says(ack(1, 10));
            peer.app_sends(b"as it is now");
            assert_eq!(class_of(&peer.hear("octets")), (dscp, 0));
            peer.wait_ms(500);
            assert!(peer.hear_all().iter().all(|heard| class_of(heard) == (dscp, 0)));
            assert_eq!(peer.act(|turn| turn.conn(id).unwrap().dscp()), dscp);
        }
    }
}

/// RFC 9293 MUST-48: for connections that it opens from the SYN on, and for those that peers open
/// with the answer to it.
#[test]
fn the_field_of_an_opening_is_a_setting() {
    let mut peer = Peer::new(|config| config.dscp = 10);
    peer.connect().unwrap();
    peer.turn();
    assert_eq!(class_of(&peer.hear("the SYN")), (10, 0));

    let mut peer = Peer::new(|config| config.dscp = 10);
    let id = peer.connect().unwrap();
    peer.act(|turn| turn.conn(id).unwrap().set_dscp(12));
    peer.turn();
    assert_eq!(class_of(&peer.hear("the SYN")), (12, 0));

    for cookies in [false, true] {
        let settings = |config: &mut crore::StackConfig| {
            (config.dscp, config.always_cookies) = (10, cookies);
        };
        let mut peer = Peer::new(settings);
        peer.says(syn());
        assert_eq!(class_of(&peer.hear("the SYN-ACK")), (10, 0));
        peer.engine.stack_mut().set_listener_dscp(80, Some(46));
        peer.says(syn().port(6000));
        assert_eq!(class_of(&peer.hear("the SYN-ACK")), (46, 0));
        peer.engine.stack_mut().set_listener_dscp(80, None);
        peer.says(ack(1, 1));
        peer.app_sends(b"hello");
        assert_eq!(class_of(&peer.hear("octets")), (10, 0), "as its SYN-ACK");
    }
}

/// RFC 9293 MAY-9: the field that a connection was opened with can be learned, and used.
#[test]
fn the_field_of_the_peer_is_reflected() {
    for (v6, cookies) in [(false, false), (false, true), (true, false), (true, true)] {
        let settings = |config: &mut crore::StackConfig| {
            (config.reflect_dscp, config.always_cookies) = (true, cookies);
        };
        let mut peer = if v6 { Peer::v6(settings) } else { Peer::new(settings) };
        let opening = with_dscp(peer.frame(&syn()), 46);
        peer.inject(&[opening]);
        let answer = peer.hear("the SYN-ACK");
        assert_eq!(answer.header.flags, Flags::SYN | Flags::ACK);
        assert_eq!(class_of(&answer), (46, 0));
        let third = with_dscp(peer.frame(&ack(1, 1)), 46);
        peer.inject(&[third]);
        let id = peer.conn();
        assert_eq!(peer.act(|turn| turn.conn(id).unwrap().dscp()), 46);
        peer.app_sends(b"hello");
        assert_eq!(class_of(&peer.hear("octets")), (46, 0));
    }
}
