//! Receivers that acknowledge what they should not, or in pieces, to make us send faster.

use crate::segments::{Peer, ack};
use crore::Drop;

/// What the engine sends after a window's acknowledgment in `pieces`.
fn sent_after_pieces(pieces: u32) -> usize {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends_many(200_000);
    let first: u32 = peer.hear_all().iter().map(|heard| heard.payload.len() as u32).sum();
    assert_eq!(first, 14_600);
    for n in 1..=pieces {
        peer.says(ack(1, 1 + first * n / pieces));
    }
    peer.hear_all().iter().map(|heard| heard.payload.len()).sum()
}

/// RFC 3465 2.1: octets count, not acknowledgments.
#[test]
fn an_acknowledgment_in_a_thousand_pieces_opens_the_window_no_further() {
    assert_eq!(sent_after_pieces(1000), sent_after_pieces(10));
    // All at once counts eight segments: less than the pieces together, never more.
    assert!(sent_after_pieces(1) <= sent_after_pieces(10));
}

/// RFC 5961 5: what was not sent cannot be acknowledged.
#[test]
fn acknowledgments_of_what_was_never_sent_open_nothing() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends_many(200_000);
    let first: u32 = peer.hear_all().iter().map(|heard| heard.payload.len() as u32).sum();
    for n in 1..1000 {
        peer.says(ack(1, 1 + first + n * 1460));
    }
    let heard = peer.hear_all();
    assert!(heard.len() <= 2, "{} answers", heard.len());
    assert!(heard.iter().all(|heard| heard.payload.is_empty()));
    assert_eq!(peer.dropped(Drop::AckOutsideWindow), 999);
}

/// An optimistic receiver is no faster than the window that it says it has, and what it did not
/// get is not sent again: it cheats itself.
#[test]
fn an_optimistic_receiver_gets_no_more_than_its_window() {
    let mut peer = Peer::accepted(|config| config.snd_buf_bytes = 1 << 20);
    peer.app_sends_many(1 << 20);
    let mut acked = 1;
    for _ in 0..12 {
        // Everything in flight is acknowledged in the instant it was sent.
        let heard = peer.hear_all();
        let sent: u32 = heard.iter().map(|heard| heard.payload.len() as u32).sum();
        assert!(sent <= 65_535, "{sent} octets at once");
        acked += sent;
        peer.says(ack(1, acked));
    }
    assert_eq!(peer.counters().retransmits, 0);
}

/// Duplicate acknowledgments: no more of them count than segments are in flight.
#[test]
fn duplicates_without_end_inflate_nothing() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends_many(100_000);
    peer.hear_all();
    for _ in 0..1000 {
        peer.says(ack(1, 1));
    }
    let sent: usize = peer.hear_all().iter().map(|heard| heard.payload.len()).sum();
    assert!(sent <= 14_600, "{sent} octets for a thousand duplicates");
}
