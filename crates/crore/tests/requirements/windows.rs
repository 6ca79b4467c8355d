//! Windows (RFC 9293 3.1, 3.4, 3.8.6): large, shut, shrinking, and silly ones.

use crate::segments::{Peer, Segment, ack, data, rst, syn};
use crore::{Congestion, StackConfig};

const MSS: u32 = 1460;

fn cwnd(peer: &Peer) -> u32 {
    peer.engine.stack().tcb(peer.conn().index).cwnd
}
use crore_wire::tcp::{Flags, Options};

/// A connection to a peer with this window, and nothing said yet.
fn with_window(window: u16) -> Peer {
    let mut peer = Peer::accepted(|_| {});
    peer.says(ack(1, 1).window(window));
    peer
}

fn octets(peer: &mut Peer) -> usize {
    peer.hear_all().iter().map(|heard| heard.payload.len()).sum()
}

/// RFC 9293 MUST-1, REC-1: a window above 2^15, and one above 2^31 >> 14 once scaled, is as large
/// as it says.
#[test]
fn windows_are_unsigned() {
    let many = |config: &mut StackConfig| {
        config.initial_window_segments = 60;
        config.nodelay = true;
    };
    let mut peer = Peer::accepted_after(many, syn().window(0xffff));
    peer.app_sends_many(65_535);
    assert_eq!(octets(&mut peer), 65_535);

    let scaled = |config: &mut StackConfig| {
        config.window_scaling = true;
        config.initial_window_segments = 60;
        config.nodelay = true;
    };
    let options = Options { mss: Some(1460), window_scale: Some(14), ..Options::NONE };
    let mut peer = Peer::accepted_after(scaled, syn().options(options));
    peer.says(ack(1, 1).window(0xffff));
    peer.app_sends_many(80_000);
    assert_eq!(octets(&mut peer), 80_000);
}

/// RFC 9293 MUST-34: a window that shrinks below what is in flight is survived.
/// RFC 9293 SHLD-15, RFC 5681-2, RFC 7323-2.4c: nothing new is sent. RFC 9293 SHLD-16: the old is
/// sent again as usual.
#[test]
fn a_shrinking_window_stops_new_octets_only() {
    let mut peer = with_window(8000);
    peer.app_sends_many(20_000);
    assert_eq!(octets(&mut peer), 7300);
    peer.says(ack(1, 1).window(2000));
    assert_eq!(octets(&mut peer), 0);
    peer.wait_ms(1500);
    let again = peer.hear_all();
    assert!(!again.is_empty(), "the timer of what is in flight goes on");
    for heard in &again {
        let end = heard.header.seq.wrapping_sub(peer.isn_there) + heard.payload.len() as u32;
        assert!(end <= 7301, "nothing new: {}", peer.told(heard));
    }
    // The window opens: all goes on.
    peer.says(ack(1, 7301).window(20_000));
    assert!(octets(&mut peer) > 0);
}

/// RFC 9293 MUST-35, SHLD-17: a peer that shrinks its window to nothing while octets are in
/// flight, and says so, keeps the connection open for as long as it likes.
#[test]
fn a_window_shrunk_to_nothing_is_probed_without_end() {
    let mut peer = with_window(8000);
    peer.app_sends_many(20_000);
    assert_eq!(octets(&mut peer), 7300);
    peer.says(ack(1, 1).window(0));
    let mut probes = 0;
    for _ in 0..3600 {
        peer.wait_in_steps(1000, 50);
        if !peer.hear_all().is_empty() {
            probes += 1;
            peer.says(ack(1, 1).window(0));
        }
    }
    assert_eq!(peer.app().calls, ["accepted"], "an hour later it is still open");
    assert!(probes >= 30, "{probes} probes");
    peer.says(ack(1, 1).window(8000));
    peer.wait_in_steps(120_000, 50);
    assert!(octets(&mut peer) > 0);
}

/// RFC 9293 MUST-36: a window of zero is probed. RFC 9293 SHLD-29: first after a retransmission
/// timeout. RFC 9293 SHLD-30: then at growing intervals.
/// RFC 9293 MUST-37: for as long as the peer answers.
#[test]
fn a_shut_window_is_probed_at_growing_intervals() {
    let mut peer = with_window(0);
    let begin = peer.now_us;
    peer.app_sends(b"hello");
    peer.hears(&[]);
    let mut at_ms = Vec::new();
    for _ in 0..200_000 {
        peer.wait_in_steps(20, 20);
        for heard in peer.hear_all() {
            assert_eq!(peer.told(&heard), "A 1+1 ack 1");
            at_ms.push((heard.at_us - begin) / 1000);
            peer.says(ack(1, 1).window(0));
        }
    }
    assert_eq!(peer.app().calls, ["accepted"], "an hour later it is still open");
    let rto_ms = u64::from(peer.engine.stack().config().rto_min_ms);
    assert!((rto_ms..rto_ms + 40).contains(&at_ms[0]), "{at_ms:?}");
    let gaps: Vec<u64> = at_ms.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[1] > gaps[0] * 3 / 2 && gaps[2] > gaps[1] * 3 / 2, "{gaps:?}");
    assert!(gaps.iter().all(|&gap| gap <= 61_000), "{gaps:?}");
    // It opens: the octet of the last probe goes again at once, and the rest with it.
    peer.says(ack(1, 1).window(5000));
    peer.hears(&["PA 1+5 ack 1"]);
    peer.says(ack(1, 6).window(5000));
    let end = peer.act(|turn| turn.conn_at(0).unwrap().send_queued());
    assert_eq!(end, 0);
}

/// A peer that does not answer probes at all is given up like one that acknowledges nothing: after
/// as many timeouts (RFC 9293 MUST-20), having told the application of it (SHLD-9). RFC 9293
/// MUST-21: unless that wants no end but its own.
#[test]
fn a_shut_window_that_nobody_speaks_for_is_given_up() {
    let shut = |patient: bool| {
        let mut peer = Peer::accepted(|config| config.data_retries = 8);
        peer.says(ack(1, 1).window(0));
        let id = peer.conn();
        peer.act(|turn| turn.conn(id).unwrap().set_patient(patient));
        // It had been quiet for long before.
        peer.wait_in_steps(3_600_000, 1000);
        peer.app_sends(b"hello");
        peer
    };
    let mut peer = shut(false);
    let begin_us = peer.now_us;
    let mut end = Vec::new();
    while peer.app().calls.len() < 2 && peer.now_us < begin_us + 3_600_000_000 {
        peer.wait_in_steps(50, 50);
        end.extend(peer.hear_all());
    }
    assert_eq!(peer.app().calls, ["accepted", "closed TimedOut"]);
    assert_eq!(peer.app().troubles.len(), 1);
    let rto_ms = u64::from(peer.engine.stack().config().rto_min_ms);
    let all_ms: u64 = (0..=8).map(|n| (rto_ms << n).min(60_000)).sum();
    let took_ms = (peer.now_us - begin_us) / 1000;
    assert!((all_ms..all_ms + 3000).contains(&took_ms), "{took_ms} ms, not {all_ms}");
    assert_eq!(end.len(), 9, "eight probes, and a reset");
    assert!(end.last().unwrap().header.flags.contains(Flags::RST));

    let mut peer = shut(true);
    peer.wait_in_steps(7_200_000, 1000);
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// RFC 5482-3a: the user timeout ends that as well, at its own time; but not a connection whose
/// peer answers (RFC 9293 MUST-37).
#[test]
fn the_user_timeout_counts_for_shut_windows() {
    for answers in [false, true] {
        let mut peer = Peer::accepted(|config| config.user_timeout_ms = Some(20_000));
        peer.says(ack(1, 1).window(0));
        peer.app_sends(b"hello");
        let begin_us = peer.now_us;
        while peer.app().calls.len() < 2 && peer.now_us < begin_us + 600_000_000 {
            peer.wait_in_steps(50, 50);
            if !peer.hear_all().is_empty() && answers {
                peer.says(ack(1, 1).window(0));
            }
        }
        let took_ms = (peer.now_us - begin_us) / 1000;
        if answers {
            assert_eq!(peer.app().calls, ["accepted"]);
        } else {
            assert_eq!(peer.app().calls, ["accepted", "closed TimedOut"]);
            assert!((20_000..23_000).contains(&took_ms), "{took_ms} ms");
        }
    }
}

/// RFC 5482-3a: what is in flight is given up at the user timeout. RFC 5482-3b: not before the
/// first retransmission timeout, however short it is.
#[test]
fn the_user_timeout_ends_what_nobody_acknowledges() {
    for (timeout_ms, least_ms) in [(5_000, 5_000), (1, 200)] {
        let mut peer = Peer::accepted(|config| config.user_timeout_ms = Some(timeout_ms));
        peer.says(ack(1, 1));
        peer.app_sends(b"hello");
        let begin_us = peer.now_us;
        while peer.app().calls.len() < 2 && peer.now_us < begin_us + 60_000_000 {
            peer.wait_ms(10);
        }
        assert_eq!(peer.app().calls, ["accepted", "closed TimedOut"]);
        let took_ms = (peer.now_us - begin_us) / 1000;
        assert!((least_ms..least_ms + 1200).contains(&took_ms), "{took_ms} ms");
    }
}

/// RFC 5482-3c: the peer's user timeout option is ignored. RFC 5482-3.1a: it changes nothing.
#[test]
fn the_user_timeout_option_changes_nothing() {
    let one_second = [28, 4, 0, 1];
    let mut peer = Peer::accepted_after(|_| {}, syn().raw_options(&one_second));
    peer.says(data(1, 1, b"x").raw_options(&one_second));
    assert_eq!(peer.app().received, b"x");
    peer.app_sends(b"hello");
    peer.wait_in_steps(10_000, 10);
    assert_eq!(peer.app().calls, ["accepted"], "ten seconds later it is still open");
    peer.hear_all();
    peer.says(ack(2, 6).raw_options(&one_second));
    assert_eq!(peer.act(|turn| turn.conn_at(0).unwrap().send_queued()), 0);
}

/// RFC 9293 MUST-38: a window of a few octets is not filled at once (3.8.6.2.1).
#[test]
fn a_silly_window_is_not_used() {
    let mut peer = with_window(8000);
    peer.app_sends_many(20_000);
    assert_eq!(octets(&mut peer), 7300);
    peer.says(ack(1, 7301).window(500));
    peer.hears(&[]);
    // Three silly windows later it is worth a segment.
    peer.says(ack(1, 7301).window(1459));
    peer.hears(&[]);
    peer.says(ack(1, 7301).window(1460));
    peer.hears(&["A 7301+1460 ack 1"]);
    // A window that stays silly is used when the override timer says so: all of it.
    peer.says(ack(1, 8761).window(500));
    peer.hears(&[]);
    peer.wait_ms(300);
    peer.hears(&["A 8761+500 ack 1"]);
}

/// RFC 9293 MUST-39: a larger window is announced when it is larger by a worthwhile step.
#[test]
fn the_window_opens_in_worthwhile_steps_only() {
    let mut peer = Peer::accepted(|config| config.rcv_buf_bytes = 8192);
    peer.engine.service_mut().reads = false;
    for i in 0..5 {
        peer.says(data(1 + 1460 * i, 1, &[1; 1460]));
    }
    peer.wait_ms(100);
    let before = peer.hear_all().last().unwrap().header.window;
    assert_eq!(before, 8192 - 7300);
    // The application reads ten octets: nothing is said, and the edge stays.
    let edge = |window: u16, ack: u32| u32::from(window) + ack;
    peer.engine.service_mut().reads = true;
    peer.engine.service_mut().most = Some(10);
    peer.says(data(7301, 1, &[3; 100]));
    peer.wait_ms(100);
    let heard = peer.hear_all();
    let last = heard.last().unwrap();
    assert_eq!(edge(last.header.window, 7401), 8193, "the edge did not move");
    // It reads all: worth a word.
    peer.engine.service_mut().most = None;
    let id = peer.conn();
    peer.act(|turn| turn.conn(id).unwrap().resume());
    peer.wait_ms(100);
    assert_eq!(peer.hear("a window update").header.window, 8192);
}

/// RFC 9293 SHLD-14: the right edge of the window never moves to the left.
/// RFC 9293 MAY-8: but it may stay where it is for ever.
#[test]
fn the_window_closes_as_octets_arrive_and_never_shrinks() {
    let mut peer = Peer::accepted(|config| config.rcv_buf_bytes = 8192);
    peer.engine.service_mut().reads = false;
    let (mut seq, mut edge) = (1, 8193);
    for len in [1, 700, 1460, 33, 1460, 1460, 1460, 1460, 158] {
        peer.says(data(seq, 1, &vec![9; len]));
        seq += len as u32;
        peer.wait_ms(50);
        for heard in peer.hear_all() {
            let ack = heard.header.ack.wrapping_sub(peer.isn_here);
            assert!(ack + u32::from(heard.header.window) >= edge);
            edge = ack + u32::from(heard.header.window);
        }
    }
    assert_eq!((seq, edge), (8193, 8193));
    // Shut: what comes is not taken, but answered.
    peer.wait_in_steps(3_600_000, 1000);
    peer.says(data(8193, 1, b"x"));
    let heard = peer.hear("an answer to the probe");
    assert_eq!((peer.told(&heard), heard.header.window), ("A 1 ack 8193".into(), 0));
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// RFC 9293 MUST-66: with our window shut, acknowledgments, resets and the URG bit still count.
#[test]
fn a_shut_window_lets_resets_and_acknowledgments_in() {
    let shut = || {
        let mut peer = Peer::accepted(|config| config.rcv_buf_bytes = 4096);
        peer.engine.service_mut().reads = false;
        for i in 0..4 {
            peer.says(data(1 + 1024 * i, 1, &[9; 1024]));
        }
        peer.wait_ms(50);
        assert_eq!(peer.hear_all().last().unwrap().header.window, 0);
        peer
    };
    let mut peer = shut();
    peer.app_sends(b"hello");
    peer.hears(&["PA 1+5 ack 4097"]);
    peer.says(ack(4097, 6));
    let queued = peer.act(|turn| turn.conn_at(0).unwrap().send_queued());
    assert_eq!(queued, 0);
    peer.says(rst(4097));
    assert_eq!(peer.app().calls, ["accepted", "closed Reset"]);

    let mut peer = shut();
    peer.app_sends(b"hello");
    peer.hear_all();
    // An urgent octet that does not fit: its acknowledgment counts.
    let mut urgent = data(4097, 6, b"!").with(Flags::URG);
    urgent.urgent = 1;
    peer.says(urgent);
    peer.hears(&["A 6 ack 4097"]);
}

/// RFC 9438-5.8, RFC 7661 4.3: a window of which half was in flight was used, and all that was sent
/// in it opens it further, whatever is left of that flight when the last of its acknowledgments is
/// looked at: by a segment a round trip, and CUBIC by 9/17 of one below its plateau. Less than half
/// of it counts for nothing.
#[test]
fn all_acknowledgments_of_a_full_flight_open_the_window() {
    for (congestion, percent) in [(Congestion::NewReno, 90), (Congestion::Cubic, 45)] {
        let grown = |full: bool, in_one_burst: bool| {
            let (mut peer, mut acked) = avoiding_congestion(congestion);
            let before = cwnd(&peer);
            let segments = if full { before / MSS } else { before / MSS / 2 - 1 };
            fly(&mut peer, &mut acked, segments, in_one_burst);
            cwnd(&peer) - before
        };
        for in_one_burst in [true, false] {
            let octets = grown(true, in_one_burst);
            assert!(octets >= MSS * percent / 100, "{congestion:?}: {octets} octets");
            assert_eq!(grown(false, in_one_burst), 0, "{congestion:?}");
        }
    }
}

/// RFC 5681-3.2b, RFC 9438-4.6: a loss takes its share of the window that was in use, not of the
/// little that is still in flight when a burst of acknowledgments comes to the one that tells it.
#[test]
fn a_loss_at_the_end_of_a_burst_takes_no_more_than_its_share() {
    for (congestion, percent) in [(Congestion::NewReno, 50), (Congestion::Cubic, 70)] {
        for in_one_burst in [true, false] {
            let (mut peer, acked) = avoiding_congestion(congestion);
            let before = cwnd(&peer) / MSS;
            peer.act(|turn| turn.conn_at(0).unwrap().send(&vec![5; (before * MSS) as usize]));
            peer.turn();
            let last = before - 4;
            let numbers = (1..=last).chain([last; 3]);
            let acks = numbers.map(|n| ack(1, acked + n * MSS).window(0xffff));
            let acks: Vec<Segment> = acks.collect();
            for some in acks.chunks(if in_one_burst { acks.len() } else { 1 }) {
                peer.says_all(some);
            }
            assert_eq!(peer.engine.stack().counters().fast_retransmits, 2);
            // Without SACK the window is the threshold.
            let after = cwnd(&peer) / MSS;
            let share = before * percent / 100;
            assert!((share..=share + 1).contains(&after), "{congestion:?}: {before} then {after}");
        }
    }
}

/// A path without a round trip to speak of is not paced, and one acknowledgment that the peer
/// delayed does not make it a long one.
#[test]
fn a_delayed_acknowledgment_does_not_slow_a_short_path_down() {
    let (mut peer, mut acked) = avoiding_congestion(Congestion::Cubic);
    peer.act(|turn| turn.conn_at(0).unwrap().send(&[5; 100]));
    peer.turn();
    assert_eq!(octets(&mut peer), 100);
    peer.wait_ms(40);
    acked += 100;
    peer.says(ack(1, acked).window(0xffff));
    // More than a burst, at once.
    let segments = cwnd(&peer) / MSS;
    assert!(segments > 4);
    fly(&mut peer, &mut acked, segments, true);
}

/// A connection that is past slow start, and what was acknowledged on it: all.
fn avoiding_congestion(congestion: Congestion) -> (Peer, u32) {
    let mut peer = Peer::accepted(|config| {
        (config.congestion, config.nodelay) = (congestion, true);
        (config.initial_window_segments, config.burst_segments) = (20, Some(2));
    });
    peer.says(ack(1, 1).window(0xffff));
    peer.act(|turn| turn.conn_at(0).unwrap().send(&vec![5; 20 * MSS as usize]));
    peer.turn();
    for _ in 0..3 {
        peer.says(ack(1, 1).window(0xffff));
    }
    let mut acked = 1 + 20 * MSS;
    peer.says(ack(1, acked).window(0xffff));
    peer.hear_all();
    while cwnd(&peer) < 11 * MSS {
        let segments = cwnd(&peer) / MSS;
        fly(&mut peer, &mut acked, segments, false);
    }
    (peer, acked)
}

/// So many segments go, and each one is acknowledged.
fn fly(peer: &mut Peer, acked: &mut u32, segments: u32, in_one_burst: bool) {
    let bytes = vec![5; (segments * MSS) as usize];
    assert_eq!(peer.act(|turn| turn.conn_at(0).unwrap().send(&bytes)), bytes.len());
    peer.turn();
    assert_eq!(octets(peer), bytes.len());
    let acks = (1..=segments).map(|n| ack(1, *acked + n * MSS).window(0xffff));
    let acks: Vec<Segment> = acks.collect();
    for some in acks.chunks(if in_one_burst { acks.len() } else { 1 }) {
        peer.says_all(some);
    }
    *acked += segments * MSS;
}
