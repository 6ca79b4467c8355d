//! Acknowledgments, PSH and Nagle (RFC 9293 3.7.4, 3.8.6.3, 3.9.1.2, 3.10.7.4, RFC 5681 4.2).

use crate::segments::{Peer, ack, data, fin};

/// RFC 9293 SHLD-18: an acknowledgment waits for company. RFC 9293 MUST-40, RFC 5681-4.2a: less
/// than half a second.
#[test]
fn a_lone_segment_is_acknowledged_within_half_a_second() {
    let mut peer = Peer::accepted(|_| {});
    peer.says(data(1, 1, b"hello"));
    peer.hears(&[]);
    peer.wait_ms(499);
    peer.hears(&["A 1 ack 6"]);
    // No setting allows more.
    let mut config = crore::StackConfig::for_connections(1);
    config.ack_delay_ms = 500;
    assert!(config.check().is_err());
}

/// RFC 9293 SHLD-19, RFC 5681-4.2b: every second full segment is acknowledged at once.
#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    let mut peer = Peer::accepted(|_| {});
    peer.says(data(1, 1, &[1; 1460]));
    peer.hears(&[]);
    peer.says(data(1461, 1, &[2; 1460]));
    peer.hears(&["A 1 ack 2921"]);
}

/// RFC 9293 MUST-58, MUST-59: segments that are there together are all taken in before one
/// acknowledgment answers them.
#[test]
fn a_burst_gets_one_acknowledgment() {
    let mut peer = Peer::accepted(|_| {});
    let burst: Vec<_> = (0..8).map(|i| data(1 + 1000 * i, 1, &[i as u8; 1000])).collect();
    peer.says_all(&burst);
    peer.hears(&["A 1 ack 8001"]);
    assert_eq!(peer.app().received.len(), 8000);
}

/// RFC 9293 SHLD-31: octets beyond a hole are kept. RFC 9293 MAY-13, RFC 5681-4.2c: and answered
/// at once. RFC 5681-4.2d: as are those that fill the hole.
#[test]
fn octets_out_of_order_are_kept_and_answered_at_once() {
    let mut peer = Peer::accepted(|_| {});
    peer.says(data(6, 1, b"world"));
    peer.hears(&["A 1 ack 1"]);
    peer.says(fin(11, 1));
    peer.hears(&["A 1 ack 1"]);
    assert!(peer.app().received.is_empty());
    peer.says(data(1, 1, b"hello"));
    peer.hears(&["A 1 ack 12"]);
    assert_eq!(peer.app().received, b"helloworld");
    assert_eq!(peer.app().calls, ["accepted", "peer_closed"]);
}

/// RFC 5681-4.2e: no segment is answered by more than one acknowledgment.
#[test]
fn one_segment_gets_one_acknowledgment_at_most() {
    let mut peer = Peer::accepted(|_| {});
    let mut answers = 0;
    for i in [0, 2, 1, 5, 4, 3, 3, 6] {
        peer.says(data(1 + 1460 * i, 1, &[0; 1460]));
        let heard = peer.hear_all().len();
        assert!(heard <= 1);
        answers += heard;
    }
    peer.wait_ms(600);
    answers += peer.hear_all().len();
    assert!(answers <= 8);
}

/// RFC 9293 MUST-60: octets are not held back for ever. RFC 9293 MUST-61: the last segment that
/// is queued has PSH, and only that.
#[test]
fn what_is_sent_goes_out_and_its_end_is_pushed() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends(b"x");
    peer.hears(&["PA 1+1 ack 1"]);
    // Nagle holds the next small ones until the first is acknowledged.
    peer.app_sends(b"y");
    peer.app_sends(b"z");
    peer.hears(&[]);
    peer.says(ack(1, 2));
    peer.hears(&["PA 2+2 ack 1"]);
    peer.says(ack(1, 4));
    peer.app_sends_many(3000);
    peer.hears(&["A 4+1460 ack 1", "A 1464+1460 ack 1", "PA 2924+80 ack 1"]);
}

/// RFC 9293 SHLD-7: a small last segment waits for a small one in flight. By default it does not
/// wait for full ones: the end of a long message would be as late as its acknowledgment.
#[test]
fn the_end_of_a_long_message_does_not_wait() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends(&[1; 2 * 1460 + 100]);
    peer.hears(&["A 1+1460 ack 1", "A 1461+1460 ack 1", "PA 2921+100 ack 1"]);
    // Now a small one is in flight.
    peer.app_sends(&[2; 50]);
    peer.hears(&[]);
    peer.says(ack(1, 2921));
    peer.hears(&[]);
    // A message with a full segment: that goes, and its end waits.
    peer.app_sends(&[3; 1500]);
    peer.hears(&["A 3021+1460 ack 1"]);
    peer.says(ack(1, 3021));
    peer.hears(&["PA 4481+90 ack 1"]);
    peer.says(ack(1, 4571));
    // Two SENDs in one go are one segment.
    let id = peer.conn();
    peer.act(|turn| {
        let mut conn = turn.conn(id).unwrap();
        conn.send(&[4; 30]) + conn.send(&[5; 40])
    });
    peer.turn();
    peer.hears(&["PA 4571+70 ack 1"]);
}

/// The same with Nagle's algorithm as it was (RFC 896).
#[test]
fn with_classic_nagle_the_end_of_a_message_waits_for_all_of_it() {
    let mut peer = Peer::accepted(|config| config.nagle = crore::Nagle::Classic);
    peer.app_sends(&[1; 2 * 1460 + 100]);
    peer.hears(&["A 1+1460 ack 1", "A 1461+1460 ack 1"]);
    peer.says(ack(1, 1461));
    peer.hears(&[]);
    peer.says(ack(1, 2921));
    peer.hears(&["PA 2921+100 ack 1"]);
}

/// RFC 9293 SHLD-7: small segments wait while something is in flight. RFC 9293 MUST-17: unless the
/// application says otherwise.
#[test]
fn nagle_can_be_switched_off() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends(b"a");
    peer.app_sends(b"b");
    peer.hears(&["PA 1+1 ack 1"]);
    let id = peer.conn();
    peer.act(|turn| turn.conn(id).unwrap().set_nodelay(true));
    peer.app_sends(b"c");
    peer.hears(&["PA 2+2 ack 1"]);
    peer.app_sends(b"d");
    peer.hears(&["PA 4+1 ack 1"]);
}

/// RFC 9293 SHLD-27, SHLD-28, MAY-16: small sends are gathered into the largest segments.
#[test]
fn small_sends_make_large_segments() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends(b"-");
    for _ in 0..400 {
        peer.app_sends(b"0123456789");
    }
    let sizes: Vec<usize> = peer.hear_all().iter().map(|heard| heard.payload.len()).collect();
    assert_eq!(sizes, [1, 1460, 1460]);
    peer.says(ack(1, 2922));
    let octets = peer.hear("the rest").payload;
    assert_eq!(octets.len(), 1080);
    assert!(octets.iter().enumerate().all(|(i, &octet)| octet == b"0123456789"[i % 10]));
}
