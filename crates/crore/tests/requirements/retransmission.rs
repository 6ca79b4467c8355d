//! Retransmission and congestion (RFC 9293 3.8.1 to 3.8.3, RFC 6298, RFC 5681).

use crate::segments::{Peer, ack, syn};
use crore::{Congestion, StackConfig, Trouble};
use crore_wire::tcp::{Flags, Options};

/// A connection of the engine's whose SYN took `rtt_ms` to be answered.
fn with_rtt(rtt_ms: u64, tweak: impl Fn(&mut StackConfig)) -> Peer {
    let mut peer = Peer::new(tweak);
    peer.connect().unwrap();
    peer.turn();
    peer.wait_ms(rtt_ms);
    peer.says(syn().with(Flags::ACK).acking(1));
    peer.hear_all();
    peer
}

/// When, in milliseconds from now, what is in flight goes out again.
fn next_again_ms(peer: &mut Peer, limit_ms: u64) -> u64 {
    let begin = peer.now_us;
    for _ in 0..limit_ms {
        peer.wait_ms(1);
        if let Some(heard) = peer.hear_all().first() {
            return (heard.at_us - begin) / 1000;
        }
    }
    panic!("nothing was sent again within {limit_ms} ms");
}

/// RFC 9293 MUST-18, RFC 6298-2.2: RTO = SRTT + 4 RTTVAR, with RTTVAR half of the first sample.
/// RFC 6298-5.5: doubled at each timeout.
#[test]
fn the_timeout_follows_the_round_trip_time() {
    let mut peer = with_rtt(400, |_| {});
    peer.app_sends(b"hello");
    peer.hear_all();
    let first = next_again_ms(&mut peer, 5000);
    assert!((1200..1215).contains(&first), "400 + 4 * 200, not {first}");
    let second = next_again_ms(&mut peer, 5000);
    assert!((2 * first - 10..2 * first + 10).contains(&second), "{first} then {second}");
}

/// RFC 6298-2.1: one second before there is a sample.
#[test]
fn without_a_sample_the_timeout_is_one_second() {
    let mut peer = Peer::new(|_| {});
    peer.connect().unwrap();
    peer.turn();
    peer.hear_all();
    assert!((1000..1005).contains(&next_again_ms(&mut peer, 2000)));
}

/// RFC 6298-3a: what was sent twice is no sample (Karn).
#[test]
fn an_ambiguous_acknowledgment_is_no_sample() {
    let mut peer = with_rtt(400, |_| {});
    peer.app_sends(b"hello");
    peer.hear_all();
    next_again_ms(&mut peer, 5000);
    // At once: were it a sample, the timeout would shrink.
    peer.says(ack(1, 6));
    peer.app_sends(b"again");
    peer.hear_all();
    let timeout = next_again_ms(&mut peer, 5000);
    assert!((1200..1215).contains(&timeout), "{timeout}");
}

/// RFC 6298-5.7: after a SYN that timed out, three seconds until there is a sample.
/// RFC 5681-3.1c: and an initial window of one segment.
#[test]
fn after_a_lost_syn_the_start_is_careful() {
    let mut peer = Peer::new(|_| {});
    peer.connect().unwrap();
    peer.turn();
    peer.wait_ms(3100);
    peer.hears(&["S 0", "S 0", "S 0"]);
    peer.says(syn().with(Flags::ACK).acking(1));
    peer.hears(&["A 1 ack 1"]);
    peer.app_sends_many(5000);
    peer.hears(&["A 1+1460 ack 1"]);
    assert!((3000..3010).contains(&next_again_ms(&mut peer, 5000)));
    // The same on the listening side.
    let mut peer = Peer::new(|_| {});
    peer.says(syn());
    peer.wait_ms(3300);
    assert!(peer.hear_all().len() >= 3);
    peer.says(ack(1, 1));
    peer.app_sends_many(5000);
    peer.hears(&["A 1+1460 ack 1"]);
    assert!((3000..3010).contains(&next_again_ms(&mut peer, 5000)));
}

/// RFC 9293 MUST-19: slow start, one more segment for each that is acknowledged.
/// RFC 5681-3.1e: after a timeout from one segment on. RFC 5681-3.1a: above the threshold by one
/// segment a round trip.
#[test]
fn slow_start_and_congestion_avoidance() {
    // This peer acknowledges what it says is lost, as if it had only been late.
    let mut peer = Peer::accepted(|config| {
        config.frto = false;
        config.snd_buf_bytes = 1 << 20;
    });
    peer.app_sends_many(400_000);
    let mut acked = 1;
    let mut flight = peer.hear_all().len() as u32;
    assert_eq!(flight, 10);
    // Every segment acknowledged: twice as many.
    for _ in 0..flight {
        acked += 1460;
        peer.says(ack(1, acked));
    }
    flight = peer.hear_all().len() as u32;
    assert_eq!(flight, 20);
    // All lost: one segment, then slow start to half of what was in flight, then one a round.
    peer.wait_ms(250);
    assert_eq!(peer.hear_all().len(), 1, "the loss window is one segment");
    let mut rounds = Vec::new();
    let mut last = 1;
    for _ in 0..8 {
        for _ in 0..last {
            acked += 1460;
            peer.says(ack(1, acked));
        }
        last = peer.hear_all().len() as u32;
        rounds.push(last);
    }
    assert_eq!(rounds[..3], [2, 4, 8], "slow start: {rounds:?}");
    for pair in rounds[4..].windows(2) {
        assert!(pair[1] <= pair[0] + 1, "congestion avoidance: {rounds:?}");
    }
}

/// RFC 9293 MUST-20: the same segment is not sent for ever. RFC 9293 SHLD-11: but for a hundred
/// seconds at least. RFC 9293 SHLD-9, SHLD-10: after three attempts the application is told.
#[test]
fn a_silent_peer_is_given_up_after_a_hundred_seconds() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends(b"hello");
    peer.wait_in_steps(100_000, 10);
    assert_eq!(peer.app().calls, ["accepted"]);
    assert_eq!(peer.app().troubles, [Trouble::Unanswered]);
    peer.wait_in_steps(2_000_000, 50);
    assert_eq!(peer.app().calls, ["accepted", "closed TimedOut"]);
    let heard = peer.hear_all();
    assert!(heard.len() >= 8);
    assert!(heard[..heard.len() - 1].iter().all(|heard| heard.payload == b"hello"));
}

/// RFC 9293 MUST-21: an application that decides by itself sets the second threshold to when it
/// likes: here, to twice what the settings say.
#[test]
fn the_application_decides_when_to_give_up() {
    let mut peer = Peer::accepted(|config| config.data_retries = 5);
    let id = peer.conn();
    peer.act(|turn| turn.conn(id).unwrap().set_patient(true));
    peer.app_sends(b"hello");
    peer.wait_in_steps(60_000, 10);
    assert_eq!(peer.app().calls, ["accepted"]);
    assert_eq!(peer.app().troubles, [Trouble::Unanswered]);
    let late = peer.hear_all();
    assert!(late.len() >= 8 && late.iter().all(|heard| heard.payload == b"hello"));
    peer.act(|turn| turn.conn(id).unwrap().abort());
    peer.turn();
    assert_eq!(peer.app().calls, ["accepted", "closed Aborted"]);

    let mut other = Peer::accepted(|config| config.data_retries = 5);
    other.app_sends(b"hello");
    other.wait_in_steps(60_000, 10);
    assert_eq!(other.app().calls, ["accepted", "closed TimedOut"]);
}

/// RFC 6298-5.4, RFC 6298-5: nothing is sent again before its timeout, and the earliest octets
/// first.
#[test]
fn the_earliest_octets_are_sent_again_first() {
    let mut peer = with_rtt(100, |_| {});
    peer.app_sends_many(4380);
    assert_eq!(peer.hear_all().len(), 3);
    peer.wait_ms(250);
    peer.hears(&[]);
    peer.wait_ms(200);
    peer.hears(&["A 1+1460 ack 1"]);
}

/// RFC 6298-5.3: an acknowledgment of something new starts the timer anew. RFC 6298-5.2: of
/// everything stops it.
#[test]
fn progress_restarts_the_timer() {
    let mut peer = with_rtt(100, |_| {});
    peer.app_sends_many(2920);
    peer.hear_all();
    peer.wait_ms(290);
    peer.says(ack(1, 1461));
    peer.wait_ms(200);
    peer.hears(&[]);
    peer.says(ack(1, 2921));
    peer.wait_ms(5000);
    peer.hears(&[]);
}

/// RFC 5681-3.2c: the third duplicate acknowledgment sends the lost segment at once.
/// RFC 5681-3.2b, RFC 5681-3.2d: half of the flight is the new window, in the end.
#[test]
fn three_duplicates_prove_a_loss() {
    let mut peer = Peer::accepted(|config| config.congestion = Congestion::NewReno);
    peer.app_sends_many(14_600);
    assert_eq!(peer.hear_all().len(), 10);
    peer.says(ack(1, 1));
    peer.says(ack(1, 1));
    peer.hears(&[]);
    peer.says(ack(1, 1));
    peer.hears(&["A 1+1460 ack 1"]);
    peer.says(ack(1, 14_601));
    peer.app_sends_many(60_000);
    assert_eq!(peer.hear_all().len(), 2, "no burst of what the duplicates held back");
    let segments = peer.engine.stack().tcb(0).ssthresh_segments;
    assert_eq!(segments, 5);
}

/// RFC 6298-2.3, RFC 6298-3b: each acknowledgment of something new is a sample. They agree, so the
/// variance falls by a fourth each time.
#[test]
fn each_acknowledgment_is_a_sample() {
    let mut peer = with_rtt(400, |_| {});
    for i in 0..3 {
        peer.app_sends(b"hello");
        peer.hear_all();
        peer.wait_ms(400);
        peer.says(ack(1, 6 + 5 * i));
    }
    peer.app_sends(b"hello");
    peer.hear_all();
    let timeout = next_again_ms(&mut peer, 5000);
    // 400 + 4 * 200 * (3/4)^3.
    assert!((737..745).contains(&timeout), "{timeout}");
}

/// RFC 6298-4: a variance of nothing counts as the clock's granularity.
#[test]
fn a_steady_path_still_has_some_variance() {
    let mut peer = with_rtt(100, |config| config.rto_min_ms = 1);
    for i in 0..60 {
        peer.app_sends(b"hello");
        peer.hear_all();
        peer.wait_ms(100);
        peer.says(ack(1, 6 + 5 * i));
    }
    peer.app_sends(b"hello");
    peer.hear_all();
    let timeout = next_again_ms(&mut peer, 5000);
    assert!((101..106).contains(&timeout), "{timeout}");
}

/// RFC 9293 MUST-16, RFC 6691 2: what was queued before the peer said what it takes goes again in
/// segments that it takes, each of them once.
#[test]
fn octets_queued_in_syn_sent_go_again_in_smaller_segments() {
    let mut peer = Peer::new(|config| {
        config.tail_loss_probes = false;
        config.nodelay = true;
    });
    let id = peer.connect().unwrap();
    let sent = peer.act(|turn| turn.conn(id).unwrap().send(&[7; 1400]));
    assert_eq!(sent, 1400);
    peer.turn();
    peer.hears(&["S 0"]);
    let mut answer = syn().with(Flags::ACK).acking(1);
    answer.options.mss = Some(600);
    peer.says(answer);
    peer.hears(&["A 1+600 ack 1", "A 601+600 ack 1", "PA 1201+200 ack 1"]);
    peer.wait_ms(300);
    peer.hears(&["A 1+600 ack 1"]);
    peer.says(ack(1, 601));
    peer.wait_ms(10);
    peer.hears(&["A 601+600 ack 1", "PA 1201+200 ack 1"]);
    peer.says(ack(1, 1401));
    peer.wait_ms(1000);
    assert_eq!(peer.engine.stack().blocks_in_use(), 0);
}

/// RFC 6675-5.1b, RFC 6582-3.2e: duplicates of what was in flight at a timeout begin no recovery.
#[test]
fn after_a_timeout_duplicates_are_old_news() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends_many(10 * 1460);
    assert_eq!(peer.hear_all().len(), 10);
    peer.wait_ms(300);
    assert_eq!(peer.hear_all().len(), 1, "the first again");
    peer.says(ack(1, 1 + 2 * 1460));
    for _ in 0..5 {
        peer.says(ack(1, 1 + 2 * 1460));
    }
    let counters = peer.engine.stack().counters();
    assert_eq!((counters.timeouts, counters.fast_retransmits), (1, 0));
}

/// RFC 3042-2c: where SACK is agreed on, duplicates that report nothing let nothing go.
#[test]
fn bare_duplicates_beside_sack_are_ignored() {
    let options = Options { mss: Some(1460), sack_permitted: true, ..Options::NONE };
    let mut peer = Peer::accepted_after(|config| config.sack = true, syn().options(options));
    peer.app_sends_many(30 * 1460);
    assert_eq!(peer.hear_all().len(), 10);
    for _ in 0..5 {
        peer.says(ack(1, 1));
    }
    peer.hears(&[]);
    assert_eq!(peer.engine.stack().counters().fast_retransmits, 0);
}

/// RFC 5682-2.1b: after a timeout the first acknowledgment that advances lets new segments go. RFC
/// 5682-2.1d: a duplicate then says that the timeout was right: what was lost goes at once.
#[test]
fn a_duplicate_after_new_segments_says_that_the_timeout_was_right() {
    let mut peer = Peer::accepted(|config| config.tail_loss_probes = false);
    peer.says(ack(1, 1));
    peer.app_sends_many(6 * 1460);
    assert_eq!(peer.hear_all().len(), 6);
    next_again_ms(&mut peer, 5000);
    peer.app_sends_many(4 * 1460);
    peer.says(ack(1, 1461));
    let new: Vec<String> = peer.hear_all().iter().map(|heard| peer.told(heard)).collect();
    assert_eq!(new, ["A 8761+1460 ack 1", "A 10221+1460 ack 1"]);
    peer.says(ack(1, 1461));
    peer.hears(&["A 1461+1460 ack 1"]);
}

/// RFC 8985-7.2b: two segments that find room in the link one turn after the other are a flight
/// like any, of which the last is probed for after two round trips and not after a timeout.
#[test]
fn a_flight_that_goes_turn_by_turn_is_probed_for() {
    let options = Options { mss: Some(1460), sack_permitted: true, ..Options::NONE };
    let tweak = |config: &mut StackConfig| (config.sack, config.nodelay) = (true, true);
    for room in [1, 8] {
        let mut peer = Peer::accepted_after(tweak, syn().options(options));
        peer.app_sends(b"hello");
        peer.hear_all();
        peer.wait_ms(5);
        peer.says(ack(1, 6));
        peer.leaves_room_for(room);
        peer.app_sends_many(2 * 1460);
        peer.turn();
        assert_eq!(peer.hear_all().len(), 2);
        let probe_ms = next_again_ms(&mut peer, 1000);
        assert!((2..30).contains(&probe_ms), "{probe_ms} ms, with room for {room}");
        assert_eq!(peer.engine.stack().counters().tail_probes, 1);
    }
}
