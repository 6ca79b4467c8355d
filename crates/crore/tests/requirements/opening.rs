//! Opening connections (RFC 9293 3.4.1, 3.5, 3.8.3, 3.9.1.1, 3.9.2.3).

use crate::segments::{Peer, ack, data, frame_of, rst, syn};
use crore::ConnectError;
use crore_wire::Protocol;
use crore_wire::tcp::Flags;
use std::net::{IpAddr, SocketAddr};

/// RFC 9293 MUST-10: both sides send their SYNs before they get the other's.
#[test]
fn two_opens_that_cross_make_one_connection() {
    let mut peer = Peer::new(|_| {});
    peer.connect().unwrap();
    peer.turn();
    peer.hears(&["S 0"]);
    peer.says(syn());
    peer.hears(&["SA 0 ack 1"]);
    // The peer's SYN-ACK repeats its SYN: RFC 9293 3.5, figure 7.
    peer.says(syn().with(Flags::ACK).acking(1));
    peer.hears(&["A 1 ack 1"]);
    peer.says(ack(1, 1));
    assert_eq!(peer.app().calls, ["connected"]);
    peer.app_sends(b"hello");
    peer.hears(&["PA 1+5 ack 1"]);
    peer.says(data(1, 6, b"hi"));
    assert_eq!(peer.app().received, b"hi");
}

/// RFC 9293 MUST-11: a reset in SYN-RECEIVED is a refusal to who opened actively, and nothing to
/// who listens.
#[test]
fn a_reset_before_the_handshake_is_over_goes_to_who_opened() {
    let mut passive = Peer::new(|_| {});
    passive.says(syn());
    passive.hears(&["SA 0 ack 1"]);
    passive.says(rst(1));
    passive.hears(&[]);
    assert_eq!(passive.engine.stack().half_open(), 0);
    assert!(passive.app().calls.is_empty());
    passive.forget_isn();
    passive.open(syn());

    let mut active = Peer::new(|_| {});
    active.connect().unwrap();
    active.turn();
    active.says(syn());
    active.hears(&["S 0", "SA 0 ack 1"]);
    active.says(rst(1));
    active.hears(&[]);
    assert_eq!(active.app().calls, ["closed Refused"]);
}

/// RFC 5961-3.2b in SYN-RECEIVED: a reset near the next number is challenged, once for each
/// SYN-ACK, and the handshake goes on; RFC 5961-3.2c: one that is not near is dropped.
#[test]
fn a_handshake_is_only_reset_by_the_very_next_number() {
    let mut peer = Peer::new(|_| {});
    peer.says(syn());
    peer.hears(&["SA 0 ack 1"]);
    peer.says(rst(200_000));
    peer.hears(&[]);
    peer.says(rst(1000));
    peer.hears(&["A 1 ack 1"]);
    peer.says(rst(1001));
    peer.hears(&[]);
    peer.wait_ms(1001);
    peer.hears(&["SA 0 ack 1"]);
    peer.says(rst(1001));
    peer.hears(&["A 1 ack 1"]);
    peer.says(ack(1, 1));
    peer.says(data(1, 1, b"abc"));
    assert_eq!(peer.app().received, b"abc");
}

/// RFC 4987 3.6: a cookie is in the segments at the stream's start alone. When those are lost, data
/// that comes after them is not answered with a reset: the peer sends them again.
#[test]
fn data_that_overtakes_a_cookie_waits_for_it() {
    let mut peer = Peer::new(|config| config.half_open_max = 1);
    peer.says(syn().port(5999));
    peer.hears(&["SA 0 ack 1"]);
    assert_eq!(peer.engine.stack().half_open(), 1);
    peer.forget_isn();
    peer.says(syn());
    peer.hears(&["SA 0 ack 1"]);
    peer.says(data(4, 1, b"def"));
    peer.hears(&[]);
    assert!(peer.app().calls.is_empty());
    peer.says(data(1, 1, b"abc"));
    peer.says(data(4, 1, b"def"));
    assert_eq!(peer.app().calls, ["accepted"]);
    assert_eq!(peer.app().received, b"abcdef");

    // Data of a connection that nobody knows, and no flood: RFC 9293 3.5.2, a reset.
    let mut nobodys = Peer::new(|_| {});
    nobodys.says(data(4, 1, b"def"));
    nobodys.hears(&["R 1"]);
}

/// RFC 9293 MUST-41: to listen again changes nothing for the connections that are there.
#[test]
fn listening_leaves_open_connections_alone() {
    let mut peer = Peer::accepted(|_| {});
    peer.engine.listen(80);
    peer.engine.listen(81);
    peer.says(data(1, 1, b"abc"));
    assert_eq!(peer.app().received, b"abc");
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// RFC 9293 MUST-42: a port can be listened on while connections of the same port are opening.
#[test]
fn a_port_listens_while_it_opens_connections() {
    let mut peer = Peer::new(|_| {});
    // One in SYN-SENT from port 80, one in SYN-RECEIVED to it.
    let (remote, local) = (SocketAddr::new(peer.here, 7000), SocketAddr::new(peer.there, 80));
    peer.act(|turn| turn.connect(remote, Some(local))).unwrap();
    peer.turn();
    peer.says(syn().port(7001));
    assert_eq!(peer.hear_all().len(), 2);
    peer.engine.listen(80);
    peer.forget_isn();
    peer.open(syn());
    peer.says(data(1, 1, b"x"));
    assert_eq!(peer.app().received, b"x");
}

/// RFC 9293 MUST-43, MUST-45: the application names the local address, and all segments have it.
/// RFC 9293 MUST-44: else the stack chooses one that suits the remote.
#[test]
fn the_local_address_is_the_callers_or_a_fitting_one() {
    let mut peer = Peer::new(|_| {});
    let remote = SocketAddr::new(peer.here, 5000);
    let local: SocketAddr = "10.0.0.3:0".parse().unwrap();
    let id = peer.act(|turn| turn.connect(remote, Some(local))).unwrap();
    peer.there = local.ip();
    peer.port_there = peer.act(|turn| turn.conn(id).unwrap().local().port());
    peer.turn();
    peer.says(syn().with(Flags::ACK).acking(1));
    peer.app_sends(b"hello");
    let heard = peer.hear_all();
    assert_eq!(heard.len(), 3);
    assert!(heard.iter().all(|segment| segment.from == local.ip()));

    let mut chosen = Peer::v6(|_| {});
    chosen.connect().unwrap();
    chosen.turn();
    assert_eq!(chosen.hear("the SYN").from, chosen.there);
}

/// RFC 9293 MUST-46: a broadcast or multicast address cannot be opened.
#[test]
fn opening_to_nobody_or_to_many_is_refused() {
    let mut peer = Peer::new(|_| {});
    let hopeless = [
        "224.0.0.1:80",
        "239.255.255.255:80",
        "255.255.255.255:80",
        "10.0.0.255:80",
        "10.0.0.0:80",
        "0.0.0.0:80",
        "240.0.0.1:80",
        "[ff02::1]:80",
        "[::]:80",
        "[::ffff:10.0.0.1]:80",
    ];
    for remote in hopeless {
        let got = peer.act(|turn| turn.connect(remote.parse().unwrap(), None));
        assert_eq!(got, Err(ConnectError::BadRemote), "{remote}");
    }
    peer.turn();
    peer.hears(&[]);
}

/// RFC 9293 MUST-57, RFC 1122-3.3.6: a SYN to a broadcast or multicast address is dropped without a
/// word.
#[test]
fn a_syn_to_many_is_not_answered() {
    let peer = Peer::new(|_| {});
    let tcp = peer.frame(&syn())[34..].to_vec();
    for to in ["255.255.255.255", "10.0.0.255", "224.0.0.1"] {
        let mut peer = Peer::new(|_| {});
        let frame = frame_of(peer.here, to.parse().unwrap(), Protocol::TCP, &tcp);
        peer.inject(&[frame]);
        peer.hears(&[]);
        assert_eq!(peer.engine.stack().half_open(), 0, "{to}");
    }
    // To our address, but in a frame for everybody (RFC 1122 3.3.6).
    for mac in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
        let mut peer = Peer::new(|_| {});
        let mut frame = peer.frame(&syn());
        frame[..6].copy_from_slice(&mac);
        peer.inject(&[frame]);
        peer.hears(&[]);
        assert_eq!(peer.engine.stack().half_open(), 0, "{mac:?}");
    }
}

/// RFC 9293 MUST-63, RFC 1122-3.2.1.3: a SYN from an address that nobody can have is ignored.
#[test]
fn a_syn_from_an_impossible_address_is_ignored() {
    let v4 = [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "10.0.0.255",
        "10.0.0.2",
    ];
    for from in v4 {
        let mut peer = Peer::new(|_| {});
        peer.here = from.parse().unwrap();
        peer.says(syn());
        peer.hears(&[]);
        assert_eq!(peer.engine.stack().half_open(), 0, "{from}");
    }
    for from in ["::", "::1", "ff02::1", "fd00::2", "::ffff:10.0.0.1"] {
        let mut peer = Peer::v6(|_| {});
        peer.here = from.parse().unwrap();
        peer.says(syn());
        peer.hears(&[]);
        assert_eq!(peer.engine.stack().half_open(), 0, "{from}");
    }
    // An IPv6 packet to the mapped form of our IPv4 address (RFC 4291 2.5.5.2).
    let mut peer = Peer::v6(|_| {});
    peer.there = IpAddr::V6("::ffff:10.0.0.2".parse().unwrap());
    peer.says(syn());
    peer.hears(&[]);
    assert_eq!(peer.engine.stack().half_open(), 0);
}

/// RFC 9293 MUST-8: the sequence number that a connection starts with follows a clock of 4 us.
/// RFC 9293 SHLD-1: on top of a number of the connection's own.
#[test]
fn initial_sequence_numbers_follow_the_clock() {
    let mut peer = Peer::new(|_| {});
    let mut isn_at = |port: u16, now_us: u64| {
        peer.now_us = now_us;
        peer.says(syn().port(port));
        let isn = peer.hear("the SYN-ACK").header.seq;
        peer.says(rst(1).port(port));
        isn
    };
    let first = isn_at(5000, 10_000_000);
    let other = isn_at(5001, 10_000_000);
    assert_eq!(isn_at(5000, 11_000_000).wrapping_sub(first), 250_000);
    assert_eq!(isn_at(5001, 11_000_000).wrapping_sub(other), 250_000);
    assert!(first.abs_diff(other) > 1_000_000);
}

/// RFC 9293 MUST-22, MUST-23: a SYN is sent again for at least three minutes, then the
/// application is told.
#[test]
fn a_syn_is_sent_again_for_three_minutes() {
    let mut peer = Peer::new(|_| {});
    peer.connect().unwrap();
    peer.turn();
    let begin = peer.now_us;
    peer.wait_in_steps(180_000, 20);
    assert!(peer.app().calls.is_empty(), "three minutes are not over");
    peer.wait_in_steps(300_000, 20);
    assert_eq!(peer.app().calls, ["closed TimedOut"]);
    let heard = peer.hear_all();
    assert!(heard.iter().all(|segment| peer.told(segment) == "S 0"));
    let at_s: Vec<u64> = heard.iter().map(|segment| (segment.at_us - begin) / 1_000_000).collect();
    assert_eq!(at_s[..7], [0, 1, 3, 7, 15, 31, 63]);
    assert!(*at_s.last().unwrap() >= 120);
}

/// RFC 5482-3a, RFC 9293 3.10.8: the user timeout ends an opening as well, at its own time.
#[test]
fn the_user_timeout_ends_an_opening() {
    let mut peer = Peer::new(|config| config.user_timeout_ms = Some(2000));
    peer.connect().unwrap();
    peer.turn();
    peer.wait_in_steps(1990, 10);
    peer.hears(&["S 0", "S 0"]);
    assert!(peer.app().calls.is_empty(), "two seconds are not over");
    peer.wait_in_steps(30, 10);
    assert_eq!(peer.app().calls, ["closed TimedOut"]);
    peer.hears(&[]);
}
