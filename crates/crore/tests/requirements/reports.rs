//! Selective acknowledgments (RFC 2018) and recovery (RFC 5681 3.2, RFC 6582).

use crate::segments::{Peer, ack, data, syn};
use crore::StackConfig;
use crore_wire::tcp::{Options, SackBlocks};

fn permitted() -> Options {
    Options { mss: Some(1460), sack_permitted: true, ..Options::NONE }
}

fn on(config: &mut StackConfig) {
    config.sack = true;
}

/// The blocks of the next acknowledgment, counted from the peer's SYN.
fn blocks(peer: &mut Peer) -> Vec<(u32, u32)> {
    let here = peer.isn_here;
    let heard = peer.hear("an acknowledgment");
    let sack = heard.header.options.sack;
    sack.as_slice().iter().map(|&(l, r)| (l.wrapping_sub(here), r.wrapping_sub(here))).collect()
}

/// RFC 2018-2: SACK-permitted is on SYNs only. RFC 2018-4a: no report to who did not permit it.
#[test]
fn reports_go_to_who_permits_them() {
    let mut peer = Peer::new(on);
    peer.says(syn());
    assert!(!peer.hear("the SYN-ACK").header.options.sack_permitted);
    peer.says(ack(1, 1));
    peer.says(data(101, 1, &[0; 100]));
    let heard = peer.hear("an acknowledgment");
    assert!(heard.raw_options.is_empty());
}

/// RFC 2018-4b, RFC 2018-4d: every gap is reported. RFC 2018-4c: the block of the segment that
/// caused the acknowledgment first. RFC 2018-3: three of them beside timestamps.
#[test]
fn the_newest_block_comes_first() {
    let timed = |config: &mut StackConfig| (config.sack, config.timestamps) = (true, true);
    let mut peer = Peer::accepted_after(timed, syn().options(permitted()).clock(1, 0));
    let mut early = |seq: u32| {
        peer.says(data(seq, 1, &[0; 100]).clock(2, 0));
        blocks(&mut peer)
    };
    assert_eq!(early(201), [(201, 301)]);
    assert_eq!(early(601), [(601, 701), (201, 301)]);
    assert_eq!(early(401), [(401, 501), (601, 701), (201, 301)]);
    let four = early(801);
    assert_eq!((four[0], four.len()), ((801, 901), 3));
    assert_eq!(early(301)[0], (201, 401 + 100), "it joins two");
    // What was filled is not reported any more.
    peer.says(data(1, 1, &[0; 200]).clock(2, 0));
    assert_eq!(blocks(&mut peer), [(801, 901), (601, 701)]);
    peer.says(data(501, 1, &[0; 100]).clock(2, 0));
    peer.wait_ms(50);
    assert_eq!(blocks(&mut peer), [(801, 901)]);
}

/// RFC 2018-4e: after the newest block those that were reported first lately, a merged one by its
/// newest part.
#[test]
fn the_blocks_reported_lately_are_repeated() {
    let mut peer = Peer::accepted_after(on, syn().options(permitted()));
    let mut early = |seq: u32, len: usize| {
        peer.says(data(seq, 1, &vec![0; len]));
        blocks(&mut peer)
    };
    assert_eq!(early(801, 100), [(801, 901)]);
    assert_eq!(early(201, 100), [(201, 301), (801, 901)]);
    assert_eq!(early(601, 100), [(601, 701), (201, 301), (801, 901)]);
    // Without timestamps a fourth fits.
    assert_eq!(early(401, 100), [(401, 501), (601, 701), (201, 301), (801, 901)]);
    assert_eq!(early(301, 100), [(201, 501), (601, 701), (801, 901)]);
    assert_eq!(early(901, 50), [(801, 951), (201, 501), (601, 701)]);
    // RFC 2883-4b: the octets that came again, then the block that they are in.
    assert_eq!(early(851, 150), [(851, 951), (801, 1001), (201, 501), (601, 701)]);
}

/// RFC 2883 4.2: a segment that begins before RCV.NXT, or ends in what had come too early, brings
/// something new, and its first octets that came again are reported.
#[test]
fn octets_that_came_again_with_new_ones_are_reported() {
    let mut peer = Peer::accepted_after(on, syn().options(permitted()));
    peer.says(data(1, 1, &[0; 100]));
    peer.wait_ms(50);
    assert_eq!(blocks(&mut peer), []);
    peer.says(data(51, 1, &[0; 100]));
    assert_eq!(blocks(&mut peer), [(51, 101)]);
    peer.says(data(201, 1, &[0; 100]));
    assert_eq!(blocks(&mut peer), [(201, 301)]);
    peer.says(data(151, 1, &[0; 100]));
    assert_eq!(blocks(&mut peer), [(201, 251)]);
    peer.says(data(301, 1, &[0; 100]));
    peer.wait_ms(50);
    assert_eq!(blocks(&mut peer), [], "each is reported once");
}

/// RFC 2018-8b: octets that gave way are not reported any more.
#[test]
fn what_was_thrown_away_is_not_reported() {
    let mut peer = Peer::accepted_after(on, syn().options(permitted()));
    peer.says(data(201, 1, &[0; 100]));
    assert_eq!(blocks(&mut peer), [(201, 301)]);
    peer.says(data(1, 1, &[0; 200]));
    peer.wait_ms(50);
    assert_eq!(blocks(&mut peer), []);
}

/// RFC 2018-5a, RFC 2018-8c, RFC 6675-5.1a: what is reported is not sent again, but kept: RFC
/// 2018-5c: after a timeout the first segment goes out, reported or not.
#[test]
fn reports_are_noted_and_not_trusted_for_ever() {
    let mut peer = Peer::new(on);
    peer.says(syn().options(permitted()));
    peer.hears(&["SA 0 ack 1"]);
    peer.wait_ms(50);
    peer.says(ack(1, 1));
    peer.app_sends_many(7300);
    assert_eq!(peer.hear_all().len(), 5);
    peer.wait_ms(50);
    let reports = |peer: &Peer, left: u32, right: u32| {
        let mut sack = SackBlocks::EMPTY;
        sack.push(peer.isn_there + left, peer.isn_there + right);
        ack(1, 1).options(Options { sack, ..Options::NONE })
    };
    // All but the first: only that one is missing.
    for i in 1..5u32 {
        let segment = reports(&peer, 1461, 1461 + 1460 * i);
        peer.says(segment);
    }
    peer.hears(&["A 1+1460 ack 1"]);
    let queued = peer.act(|turn| turn.conn_at(0).unwrap().send_queued());
    assert_eq!(queued, 7300, "nothing is given up before it is acknowledged");
    // The peer throws all away: everything goes again, from the first on.
    let segment = reports(&peer, 1, 1461);
    peer.says(segment);
    peer.wait_ms(1000);
    let again = peer.hear_all();
    assert_eq!(peer.told(&again[0]), "A 1+1460 ack 1");
}
