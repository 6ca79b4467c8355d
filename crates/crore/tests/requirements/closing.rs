//! Closing, resets and TIME-WAIT (RFC 9293 3.5.3, 3.6, RFC 6191, RFC 5961).

use crate::segments::{Peer, Segment, ack, data, fin, rst, syn};
use crore::StackConfig;
use crore_wire::tcp::Flags;

/// RFC 9293 MUST-12: the application learns whether the peer closed or aborted.
#[test]
fn a_close_and_an_abort_are_told_apart() {
    let mut closed = Peer::accepted(|_| {});
    closed.engine.service_mut().closes_with_peer = true;
    closed.says(fin(1, 1));
    closed.hears(&["FA 1 ack 2"]);
    closed.says(ack(2, 2));
    assert_eq!(closed.app().calls, ["accepted", "peer_closed", "closed Finished"]);

    let mut aborted = Peer::accepted(|_| {});
    aborted.says(rst(1));
    assert_eq!(aborted.app().calls, ["accepted", "closed Reset"]);
}

/// RFC 9293 SHLD-2: a reset may have octets; they say nothing to us.
#[test]
fn a_reset_with_octets_is_a_reset() {
    let mut peer = Peer::accepted(|_| {});
    peer.says(rst(1).payload(b"because"));
    peer.hears(&[]);
    assert_eq!(peer.app().calls, ["accepted", "closed Reset"]);
    assert!(peer.app().received.is_empty());
}

/// A connection that the engine closed first, in TIME-WAIT; both FINs have number 1.
fn in_time_wait(tweak: impl Fn(&mut StackConfig), syn: Segment) -> Peer {
    let clock = syn.options.timestamps;
    let mut peer = Peer::accepted_after(tweak, syn);
    let timed = |segment: Segment| match clock {
        Some(clock) => segment.clock(clock.value, 0),
        None => segment,
    };
    peer.app_closes();
    peer.hears(&["FA 1 ack 1"]);
    peer.says(timed(ack(1, 2)));
    peer.says(timed(fin(1, 2)));
    peer.hears(&["A 2 ack 2"]);
    assert_eq!(peer.engine.stack().time_wait(), 1);
    peer
}

/// RFC 9293 MUST-13: who closed first remembers the connection for 2 MSL, and answers a FIN that
/// comes again.
#[test]
fn time_wait_lasts_two_segment_lifetimes() {
    let mut peer = in_time_wait(|_| {}, syn());
    let time_wait_ms = u64::from(peer.engine.stack().config().time_wait_ms);
    assert!(time_wait_ms >= 60_000);
    peer.wait_in_steps(time_wait_ms - 1000, 10);
    peer.says(fin(1, 2));
    peer.hears(&["A 2 ack 2"]);
    let remote = std::net::SocketAddr::new(peer.here, peer.port_here);
    let local = std::net::SocketAddr::new(peer.there, 80);
    assert!(peer.act(|turn| turn.connect(remote, Some(local))).is_err(), "the tuple is taken");
    peer.wait_in_steps(2000, 10);
    assert_eq!(peer.engine.stack().time_wait(), 0);
    peer.says(fin(1, 2));
    peer.hears(&["R 2"]);
}

/// RFC 9293 SHLD-4, RFC 6191-2: a SYN reopens a connection in TIME-WAIT when its timestamp, or
/// else its sequence number, is newer.
#[test]
fn a_newer_syn_reopens_from_time_wait() {
    let timed = |config: &mut StackConfig| config.timestamps = true;
    // Offset of the SYN's number from the FIN's (which is 1), its clock (the last one was 1000),
    // and whether it is honoured, for a connection that had timestamps.
    let cases: [(i32, Option<u32>, bool); 8] = [
        (-5000, Some(1001), true),
        (5000, Some(1001), true),
        (5000, Some(1000), true),
        (-5000, Some(1000), false),
        (5000, Some(999), false),
        (-5000, Some(999), false),
        // What we sent last is not known.
        (5000, None, false),
        (-5000, None, false),
    ];
    for (offset, clock, honoured) in cases {
        let mut peer = in_time_wait(timed, syn().clock(1000, 0));
        assert_eq!(reopens(&mut peer, offset, clock), honoured, "{offset} {clock:?}");
    }
    // The same for one that had none.
    let cases =
        [(5000, None, true), (-5000, None, false), (5000, Some(7), true), (-5000, Some(7), true)];
    for (offset, clock, honoured) in cases {
        let mut peer = in_time_wait(timed, syn());
        peer.wait_ms(1);
        assert_eq!(reopens(&mut peer, offset, clock), honoured, "{offset} {clock:?}");
    }
}

/// RFC 9293 3.10.7.4, seventh step: nothing follows a FIN. Its acknowledgment may have to wait for
/// room on the link, and the connection with it in FIN-WAIT-2: octets that a peer sends beyond its
/// FIN meanwhile are nobody's.
#[test]
fn octets_beyond_the_fin_are_not_read_while_its_acknowledgment_waits() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_closes();
    peer.hears(&["FA 1 ack 1"]);
    peer.says(ack(1, 2));
    peer.leaves_room_for(0);
    peer.says(fin(1, 2));
    peer.says(data(2, 2, b"beyond"));
    peer.hears(&[]);
    let counters = peer.engine.stack().counters();
    assert_eq!(counters.dropped(crore::Drop::DataAfterClose), 1);
    assert!(peer.app().received.is_empty());
    assert_eq!(peer.app().calls, ["accepted", "peer_closed"]);
    peer.leaves_room_for(1);
    peer.turn();
    peer.hears(&["A 2 ack 2"]);
    assert_eq!(peer.engine.stack().time_wait(), 1);
}

/// RFC 9293 3.10.7.4, RFC 5961-4.2a: a SYN that may not reopen the connection is challenged, and
/// whoever means it learns that somebody is there. The reset with which it refuses the challenge
/// ends nothing (RFC 1337): it would come as well after a copy of an old SYN. When 2 MSL are over
/// its next SYN opens.
#[test]
fn a_syn_that_may_not_reopen_is_challenged() {
    let mut peer = in_time_wait(|_| {}, syn());
    let time_wait_ms = u64::from(peer.engine.stack().config().time_wait_ms);
    let mut again = syn();
    again.seq = 1u32.wrapping_sub(5000);
    for _ in 0..3 {
        peer.says(again.clone());
        peer.hears(&["A 2 ack 2"]);
        peer.says(rst(2));
        peer.hears(&[]);
        assert_eq!(peer.engine.stack().time_wait(), 1);
        peer.wait_ms(1000);
    }
    peer.wait_in_steps(time_wait_ms, 10);
    assert_eq!(peer.engine.stack().time_wait(), 0);
    peer.forget_isn();
    peer.says(again.clone());
    peer.hears(&["SA 0 ack 4294962298"]);
    // Of a connection with timestamps our number is not known any more (RFC 6191-2: silence).
    let mut timed = in_time_wait(|config| config.timestamps = true, syn().clock(1000, 0));
    timed.says(again.clock(999, 0));
    timed.hears(&[]);
}

/// RFC 9293 MAY-2: without timestamps a tuple is used again only when our numbers can be above the
/// last ones. Those of a connection that sent faster than their clock counts, an octet in 4 us, are
/// not, and cookies are anywhere.
#[test]
fn a_tuple_whose_numbers_outran_the_clock_is_not_reopened() {
    let sent = |octets: usize| {
        let mut peer = Peer::accepted(|_| {});
        peer.app_sends(&vec![7; octets]);
        for n in 1..=octets.div_ceil(1000) {
            peer.says(ack(1, 1 + (n * 1000).min(octets) as u32));
        }
        let end = 1 + octets as u32;
        peer.app_closes();
        peer.says(fin(1, end + 1));
        peer.hear_all();
        assert_eq!(peer.engine.stack().time_wait(), 1);
        peer
    };
    let mut slow = sent(0);
    slow.wait_ms(10);
    assert!(reopens(&mut slow, 5000, None));
    let mut fast = sent(20_000);
    assert!(!reopens(&mut fast, 5000, None), "20,000 octets at once");
    let mut cookies = in_time_wait(|config| config.always_cookies = true, syn());
    assert!(!reopens(&mut cookies, 5000, None));
}

fn reopens(peer: &mut Peer, offset: i32, clock: Option<u32>) -> bool {
    let mut again = syn();
    again.seq = 1u32.wrapping_add_signed(offset);
    if let Some(value) = clock {
        again = again.clock(value, 0);
    }
    peer.says(again);
    let heard = peer.hear_all();
    let honoured = heard.iter().any(|heard| heard.header.flags == Flags::SYN | Flags::ACK);
    assert_eq!(peer.engine.stack().time_wait(), u32::from(!honoured));
    assert_eq!(peer.engine.stack().half_open(), u32::from(honoured));
    honoured
}

/// A connection that the application closed on its own side goes on receiving, however long the
/// peer takes between its octets, and ends with the peer's FIN.
#[test]
fn a_half_closed_connection_receives_for_as_long_as_the_peer_sends() {
    let mut peer = Peer::accepted(|config| config.fin_wait_2_ms = 1000);
    peer.app_closes();
    peer.hears(&["FA 1 ack 1"]);
    peer.says(ack(1, 2));
    for n in 0..5 {
        peer.wait_in_steps(100_000, 100);
        peer.says(data(1 + n, 2, b"x"));
        peer.wait_ms(50);
        peer.hears(&[&format!("A 2 ack {}", 2 + n)]);
    }
    assert_eq!(peer.app().received, b"xxxxx");
    peer.says(fin(6, 2));
    peer.hears(&["A 2 ack 7"]);
    assert_eq!(peer.app().calls, ["accepted", "peer_closed", "closed Finished"]);
}

/// RFC 9293 MAY-1: CLOSE of both directions. A peer that does not close its side is not waited for
/// without end.
#[test]
fn a_connection_closed_both_ways_ends_by_itself() {
    let mut peer = Peer::accepted(|config| config.fin_wait_2_ms = 1000);
    app_closes_both(&mut peer);
    peer.hears(&["FA 1 ack 1"]);
    peer.says(ack(1, 2));
    peer.wait_ms(900);
    assert_eq!(peer.app().calls, ["accepted"]);
    peer.wait_ms(200);
    assert_eq!(peer.app().calls, ["accepted", "closed TimedOut"]);
    assert_eq!(peer.engine.stack().conns(), 0);

    // One that closed its own way before, and then has enough.
    let mut peer = Peer::accepted(|config| config.fin_wait_2_ms = 1000);
    peer.app_closes();
    peer.says(ack(1, 2));
    peer.wait_ms(5000);
    app_closes_both(&mut peer);
    peer.wait_ms(1100);
    assert_eq!(peer.app().calls, ["accepted", "closed TimedOut"]);
}

/// RFC 9293 SHLD-3: a reset shows that octets were lost: those that came and were not read, and
/// those that come later.
#[test]
fn octets_for_an_application_that_closed_both_ways_are_answered_with_a_reset() {
    let mut peer = Peer::accepted(|_| {});
    app_closes_both(&mut peer);
    peer.hears(&["FA 1 ack 1"]);
    peer.says(data(1, 1, b"too late"));
    // With the number that the peer expects: our FIN may have got lost.
    peer.hears(&["R 1"]);
    assert_eq!(peer.app().calls, ["accepted", "closed Aborted"]);
    assert!(peer.app().received.is_empty());

    let mut peer = Peer::accepted(|_| {});
    peer.engine.service_mut().reads = false;
    peer.says(data(1, 1, b"unread"));
    app_closes_both(&mut peer);
    peer.hears(&["RA 1 ack 7"]);
    assert_eq!(peer.app().calls, ["accepted", "closed Aborted"]);

    // A FIN alone loses nothing.
    let mut peer = Peer::accepted(|_| {});
    app_closes_both(&mut peer);
    peer.says(fin(1, 2));
    peer.hears(&["FA 1 ack 1", "A 2 ack 2"]);
    assert_eq!(peer.app().calls, ["accepted", "peer_closed", "closed Finished"]);
}

fn app_closes_both(peer: &mut Peer) {
    let id = peer.conn();
    peer.act(|turn| turn.conn(id).unwrap().close_both());
    peer.turn();
}

/// RFC 5961-3.2a: only the very next number resets. RFC 5961-3.2b: others within the window are
/// asked back. RFC 5961-3.2c: those outside are dropped without a word.
#[test]
fn a_blind_reset_is_challenged() {
    let mut peer = Peer::accepted(|_| {});
    peer.says(rst(0));
    peer.says(rst(70_000));
    peer.says(rst(0xffff_0000));
    peer.hears(&[]);
    peer.says(rst(2));
    peer.hears(&["A 1 ack 1"]);
    peer.says(data(1, 1, b"on"));
    assert_eq!(peer.app().received, b"on");
    peer.says(rst(3));
    assert_eq!(peer.app().calls, ["accepted", "closed Reset"]);
}

/// RFC 5961-3.2d: in SYN-SENT a reset counts when it acknowledges the SYN.
#[test]
fn a_reset_of_an_opening_must_know_the_syn() {
    let mut peer = Peer::new(|_| {});
    peer.connect().unwrap();
    peer.turn();
    peer.hears(&["S 0"]);
    peer.says(rst(0));
    peer.says(rst(0).with(Flags::ACK).acking(0));
    peer.says(rst(0).with(Flags::ACK).acking(2));
    peer.hears(&[]);
    assert!(peer.app().calls.is_empty());
    peer.says(rst(0).with(Flags::ACK).acking(1));
    assert_eq!(peer.app().calls, ["closed Refused"]);
}

/// RFC 5961-4.2a: a SYN within a connection is asked back, wherever it is, and changes nothing.
#[test]
fn a_blind_syn_is_challenged() {
    for seq in [0, 1, 100, 0x7000_0000] {
        let mut peer = Peer::accepted(|_| {});
        let mut stray = syn();
        stray.seq = seq;
        peer.says(stray);
        peer.hears(&["A 1 ack 1"]);
        peer.says(data(1, 1, b"on"));
        assert_eq!(peer.app().received, b"on");
    }
}

/// RFC 9293 MAY-12, RFC 5961-5.2: octets whose acknowledgment cannot be are dropped and answered.
#[test]
fn blindly_injected_octets_are_refused() {
    for bad_ack in [2, 0x7000_0000, 1u32.wrapping_sub(70_000)] {
        let mut peer = Peer::accepted(|_| {});
        peer.says(data(1, bad_ack, b"forged"));
        peer.hears(&["A 1 ack 1"]);
        assert!(peer.app().received.is_empty(), "{bad_ack:#x}");
    }
    // An old acknowledgment within the largest window of the peer is fine.
    let mut peer = Peer::accepted(|_| {});
    peer.says(data(1, 1u32.wrapping_sub(60_000), b"old"));
    assert_eq!(peer.app().received, b"old");
}
