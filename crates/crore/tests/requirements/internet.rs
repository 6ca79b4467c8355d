//! Checksums and what TCP says to IP (RFC 9293 3.1, 3.9.2).

use crate::segments::{Peer, ack, data, syn};
use crore::StackConfig;
use crore_wire::checksum::Sum;

/// RFC 9293 MUST-2: every segment has a right checksum; the peer verifies each one it gets.
#[test]
fn all_segments_have_right_checksums() {
    for mut peer in [Peer::new(|_| {}), Peer::v6(|_| {})] {
        peer.open(syn());
        for len in [1, 2, 3, 999, 1000, 1440] {
            let octets: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let id = peer.conn();
            let seq = 1;
            peer.app_sends(&octets);
            let heard = peer.hear("the octets");
            assert_eq!(heard.payload, octets);
            let end = heard.header.seq.wrapping_sub(peer.isn_there) + len as u32;
            peer.says(ack(seq, end));
            assert_eq!(peer.act(|turn| turn.conn(id).unwrap().send_queued()), 0);
        }
    }
}

/// RFC 9293 MUST-3: a segment with a wrong checksum is not there.
#[test]
fn a_wrong_checksum_is_refused() {
    for error in [1, 0x100, 0x8000, 0xfffe] {
        let mut peer = Peer::accepted(|_| {});
        let mut damaged = data(1, 1, b"hello");
        damaged.checksum_error = error;
        peer.says(damaged);
        peer.wait_ms(500);
        peer.hears(&[]);
        assert!(peer.app().received.is_empty());
        let mut damaged = syn().port(6000);
        damaged.checksum_error = error;
        peer.says(damaged);
        peer.hears(&[]);
        assert_eq!(peer.engine.stack().counters().dropped(crore::Drop::Checksum), 2);
    }
}

/// RFC 9293 MUST-49: the time to live of what is sent can be set, RFC 1122-3.2.1.7: but not to
/// zero.
#[test]
fn the_time_to_live_is_a_setting() {
    assert!(StackConfig { ttl: 0, ..StackConfig::for_connections(1) }.check().is_err());
    for ttl in [64, 3, 255] {
        for mut peer in [Peer::new(|config| config.ttl = ttl), Peer::v6(|config| config.ttl = ttl)]
        {
            peer.open(syn());
            peer.app_sends(b"hello");
            assert_eq!(peer.hear("octets").ttl, ttl);
        }
    }
}

/// RFC 9293 MUST-50, RFC 1122-3.2.1.8: IP options that nobody here understands are ignored.
#[test]
fn ip_options_are_ignored() {
    let options: [&[u8]; 4] = [
        &[1, 1, 1, 0],
        // Record route, timestamp, router alert, and one that is unknown.
        &[7, 7, 4, 0, 0, 0, 0, 0],
        &[68, 8, 5, 0, 0, 0, 0, 0],
        &[0x9e, 4, 0, 0],
    ];
    for bytes in options {
        let mut peer = Peer::accepted(|_| {});
        let frame = peer.frame(&data(1, 1, b"hello"));
        let (head, rest) = frame.split_at(34);
        let mut with_options = [head, bytes, rest].concat();
        with_options[14] = 0x40 | (5 + bytes.len() as u8 / 4);
        let len = (with_options.len() - 14) as u16;
        with_options[16..18].copy_from_slice(&len.to_be_bytes());
        with_options[24..26].fill(0);
        let sum = Sum::ZERO.add_bytes(&with_options[14..34 + bytes.len()]).finish();
        with_options[24..26].copy_from_slice(&sum.to_be_bytes());
        peer.inject(&[with_options]);
        assert_eq!(peer.app().received, b"hello", "{bytes:?}");
    }
}
