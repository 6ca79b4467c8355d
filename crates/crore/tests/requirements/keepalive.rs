//! Keepalive (RFC 9293 3.8.4).

use crate::segments::{Peer, ack, data};

/// RFC 9293 MUST-25: nobody is asked unless the application wants it.
#[test]
fn an_idle_connection_is_left_alone() {
    let mut peer = Peer::accepted(|_| {});
    peer.wait_in_steps(24 * 3_600_000, 1000);
    peer.hears(&[]);
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// RFC 9293 MAY-5, MUST-24: the application switches it on and off for each connection.
/// RFC 9293 MUST-28: then after two hours of silence, not before. RFC 9293 SHLD-12: without octets.
#[test]
fn keepalive_is_switched_on_for_a_connection() {
    let mut peer = Peer::accepted(|_| {});
    let id = peer.conn();
    peer.act(|turn| turn.conn(id).unwrap().set_keepalive(true));
    peer.wait_in_steps(7_190_000, 500);
    peer.hears(&[]);
    peer.wait_in_steps(20_000, 500);
    peer.hears(&["A 0 ack 1"]);
    peer.says(ack(1, 1));
    peer.act(|turn| turn.conn(id).unwrap().set_keepalive(false));
    peer.wait_in_steps(10_000_000, 1000);
    peer.hears(&[]);
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// RFC 9293 MUST-27: the interval is a setting. RFC 9293 MUST-26: any segment of the peer, and
/// octets in flight, put it off.
#[test]
fn keepalive_asks_only_who_was_silent_for_the_interval() {
    let mut peer = Peer::accepted(|config| config.keepalive_idle_ms = Some(10_240));
    for i in 0..5 {
        peer.wait_in_steps(9_000, 10);
        peer.says(data(1 + i, 1, b"x"));
        peer.wait_ms(100);
        assert_eq!(peer.hear_all().len(), 1, "the acknowledgment only");
    }
    peer.wait_in_steps(12_000, 10);
    peer.hears(&["A 0 ack 6"]);
    peer.says(ack(6, 1));
    // With octets in flight the retransmission timer asks.
    peer.app_sends(b"hello");
    peer.wait_in_steps(20_000, 10);
    assert!(peer.hear_all().iter().all(|heard| heard.payload == b"hello"));
}

/// RFC 9293 MUST-29: no single probe that goes unanswered ends a connection.
#[test]
fn keepalive_asks_more_than_once() {
    let mut peer = Peer::accepted(|config| {
        config.keepalive_idle_ms = Some(10_240);
        config.keepalive_interval_ms = 5_120;
    });
    let mut asked = 0;
    for _ in 0..200 {
        peer.wait_in_steps(1000, 20);
        asked += peer.hear_all().len();
        if asked == 8 {
            peer.says(ack(1, 1));
            break;
        }
    }
    assert_eq!((asked, peer.app().calls.len()), (8, 1), "eight were lost, and it lives");
    // A peer that is gone is found out in the end.
    peer.wait_in_steps(100_000, 20);
    assert_eq!(peer.app().calls, ["accepted", "closed TimedOut"]);
}
