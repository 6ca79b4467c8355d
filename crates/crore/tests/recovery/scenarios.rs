//! What is lost, late or doubled, and what must answer. Host 0 sends, over a round trip of 20 ms.

use super::wire::{Fate, Path, Seen, World};
use crore::StackConfig;

pub(crate) const RTT_US: u64 = 20_000;
pub(crate) const MSS: usize = 1448;

/// A connection with a measured round-trip time, over which nothing is in flight.
pub(crate) fn quiet_pair(tweak: impl Fn(&mut StackConfig)) -> World {
    let path = Path { delay_us: RTT_US / 2, rate: 1_250_000_000, queue_us: 1_000_000 };
    let mut world = World::new(path, |_, config| tweak(config));
    world.connect();
    world.send(0, 100);
    world.run_for(5 * RTT_US, |_| Fate::Arrives);
    world.seen.clear();
    world
}

/// Loses the data segments of host 0 that are named by their number, counted from 1.
fn lose(numbers: &'static [u32]) -> impl FnMut(&Seen) -> Fate {
    let mut count = 0;
    move |seen| {
        count += u32::from(seen.from == 0 && seen.len > 0);
        let hit = seen.from == 0 && seen.len > 0 && numbers.contains(&count);
        if hit { Fate::Lost } else { Fate::Arrives }
    }
}

fn assert_arrived(world: &mut World, octets: usize) {
    let received = world.service(1).received;
    assert_eq!(received, octets as u64, "{}", world.story());
}

/// RFC 8985-5.2a, RFC 6675-5b.
#[test]
fn a_lost_segment_is_sent_again_after_one_round_trip() {
    for timestamps in [true, false] {
        let mut world = quiet_pair(|config| config.timestamps = timestamps);
        world.send(0, 10 * MSS);
        world.run_for(3 * RTT_US, lose(&[4]));
        assert_arrived(&mut world, 100 + 10 * MSS);
        let counters = world.counters(0);
        assert_eq!((counters.fast_retransmits, counters.retransmits, counters.timeouts), (1, 1, 0));
    }
}

/// RFC 8985-5.2b, RFC 8985-9.2: times tell of it, which counts of duplicates cannot.
#[test]
fn a_lost_retransmission_is_found_out_without_a_timeout() {
    let mut world = quiet_pair(|_| {});
    world.send(0, 60 * MSS);
    let (mut first, mut times) = (None, 0);
    world.run_for(10 * RTT_US, |seen| {
        let data = seen.from == 0 && seen.len > 0;
        let base = *first.get_or_insert(seen.header.seq);
        let third = data && seen.header.seq.wrapping_sub(base) as usize == 2 * MSS;
        times += u32::from(third);
        if third && times <= 2 { Fate::Lost } else { Fate::Arrives }
    });
    assert_arrived(&mut world, 100 + 60 * MSS);
    assert_eq!(world.counters(0).retransmits, 2);
    assert_eq!(world.counters(0).timeouts, 0);
}

/// RFC 8985-7.3a, RFC 8985-7.3c, RFC 8985-7.3d: one probe, and what its acknowledgment reports
/// shows the losses before it.
#[test]
fn the_tail_of_a_flight_is_probed_for() {
    let mut world = quiet_pair(|_| {});
    world.send(0, 10 * MSS);
    world.run_for(10 * RTT_US, lose(&[8, 9, 10]));
    assert_arrived(&mut world, 100 + 10 * MSS);
    assert_eq!(world.counters(0).tail_probes, 1);
    assert_eq!(world.counters(0).timeouts, 0);
}

/// A flight whose acknowledgments are all lost, with more to send and no room in the window: a
/// repeat of the last segment is answered at once, a new segment only after the peer's delay.
#[test]
fn the_answer_to_a_probe_does_not_wait_for_a_second_segment() {
    for repeats in [true, false] {
        let mut world = quiet_pair(|config| config.habits.probes_repeat = repeats);
        world.send(0, 30 * MSS);
        let quiet_until_us = world.now_us + 3 * RTT_US / 2;
        world.run_for(10 * RTT_US, |seen| {
            let is_lost = seen.from == 1 && seen.at_us < quiet_until_us;
            if is_lost { Fate::Lost } else { Fate::Arrives }
        });
        assert_arrived(&mut world, 100 + 30 * MSS);
        let counters = world.counters(0);
        assert_eq!((counters.tail_probes, counters.timeouts), (1, 0));
        assert_eq!(counters.retransmits, u64::from(repeats));
        let sent = world.seen.iter().find(|s| s.from == 0 && s.at_us > quiet_until_us).unwrap();
        let answer = world.seen.iter().find(|s| s.from == 1 && s.at_us > sent.at_us).unwrap();
        let is_prompt = answer.at_us - sent.at_us < RTT_US;
        assert_eq!(is_prompt, repeats, "{}", world.story());
    }
}

/// A retransmission that nothing follows is lost, or the acknowledgment that it brings.
#[test]
fn a_recovery_that_hears_nothing_is_probed() {
    for answer_is_lost in [false, true] {
        let mut world = quiet_pair(|_| {});
        world.send(0, 10 * MSS);
        let (mut sent, mut repeats) = (0, 0);
        world.run_for(6 * RTT_US, |seen| {
            let data = seen.from == 0 && seen.len > 0;
            sent += u32::from(data);
            repeats += u32::from(data && sent > 10);
            let first_time = data && sent == 3;
            let retransmission = data && repeats == 1 && !answer_is_lost;
            let answer = seen.from == 1 && repeats == 1 && answer_is_lost;
            if first_time || retransmission || answer { Fate::Lost } else { Fate::Arrives }
        });
        assert_arrived(&mut world, 100 + 10 * MSS);
        let counters = world.counters(0);
        assert_eq!((counters.tail_probes, counters.timeouts), (1, 0), "{}", world.story());
        assert_eq!(counters.retransmits, 2);
    }
}

/// The last octets and the FIN behind them.
#[test]
fn the_tail_before_a_fin_is_probed_for() {
    let mut world = quiet_pair(|_| {});
    world.send(0, 10 * MSS);
    world.act(0, |service, turn| turn.conn(service.conn.unwrap()).unwrap().close());
    world.run_for(10 * RTT_US, lose(&[9, 10]));
    assert_arrived(&mut world, 100 + 10 * MSS);
    assert_eq!((world.counters(0).tail_probes, world.counters(0).timeouts), (1, 0));
}

/// RFC 8985-7.3e: the retransmission timer is behind the probe.
#[test]
fn a_lost_probe_is_followed_by_the_timeout() {
    let mut world = quiet_pair(|_| {});
    world.send(0, 10 * MSS);
    world.run_for(60 * RTT_US, lose(&[9, 10, 11]));
    assert_arrived(&mut world, 100 + 10 * MSS);
    assert_eq!((world.counters(0).tail_probes, world.counters(0).timeouts), (1, 1));
}

/// RFC 8985-7.4a, RFC 8985-7.4b: a probe that repaired the only loss takes its share of the window;
/// one that the peer reports as a duplicate takes nothing.
#[test]
fn a_loss_that_a_probe_repairs_is_one() {
    for lost in [true, false] {
        let mut world = quiet_pair(|_| {});
        world.send(0, 10 * MSS);
        // All acknowledgments are lost, and with them the last segment, or no segment.
        let (mut lose, quiet_until_us) = (lose(&[10]), world.now_us + 3 * RTT_US / 2);
        world.run_for(8 * RTT_US, |seen| match lose(seen) {
            Fate::Lost if lost => Fate::Lost,
            _ if seen.from == 1 && seen.at_us < quiet_until_us => Fate::Lost,
            _ => Fate::Arrives,
        });
        let before = world.cwnd(0);
        world.send(0, MSS);
        world.run_for(8 * RTT_US, |_| Fate::Arrives);
        assert_eq!(world.counters(0).tail_probes, 1);
        assert_eq!(world.counters(0).timeouts, 0);
        assert_eq!(world.cwnd(0) < before, lost, "{before} {} {}", world.cwnd(0), world.story());
    }
}

/// RFC 8985-9.3a, RFC 6937-3a: what is found to be lost goes again as acknowledgments come in.
#[test]
fn losses_are_repaired_at_the_pace_of_acknowledgments() {
    let mut world = quiet_pair(|_| {});
    world.send(0, 60 * MSS);
    world.run_for(10 * RTT_US, lose(&[12, 13, 14, 15, 16, 17, 18, 19]));
    assert_arrived(&mut world, 100 + 60 * MSS);
    assert_eq!(world.counters(0).timeouts, 0);
    let data: Vec<&Seen> = world.seen.iter().filter(|s| s.from == 0 && s.len > 0).collect();
    let again = |n: usize| data[..n].iter().any(|s| s.header.seq == data[n].header.seq);
    let repeats: Vec<u64> = (0..data.len()).filter(|&n| again(n)).map(|n| data[n].at_us).collect();
    assert_eq!(repeats.len(), 8);
    let most = repeats.iter().map(|at| repeats.iter().filter(|other| *other == at).count()).max();
    assert!(most <= Some(2), "{most:?} at once");
}

#[test]
fn a_segment_that_is_overtaken_is_not_sent_again() {
    let mut world = quiet_pair(|_| {});
    world.send(0, 3 * MSS);
    let mut count = 0;
    world.run_for(4 * RTT_US, |seen| {
        count += u32::from(seen.from == 0 && seen.len > 0);
        if seen.from == 0 && seen.len > 0 && count == 1 { Fate::Late(3_000) } else { Fate::Arrives }
    });
    assert_arrived(&mut world, 100 + 3 * MSS);
    assert_eq!(world.counters(0).retransmits, 0);
}

/// RFC 5682-2.1b, RFC 5682-2.1c, RFC 9438-4.9.1.
#[test]
fn a_timeout_that_came_too_early_is_undone() {
    // With timestamps by their echo, without them because what was not sent again arrives.
    for (timestamps, sack) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = quiet_pair(|config| {
            config.timestamps = timestamps;
            config.sack = sack;
            config.tail_loss_probes = false;
        });
        let before = world.cwnd(0);
        world.send(0, 24 * MSS);
        let start_us = world.now_us;
        // The path stands still for 300 ms.
        world.run_for(2_000_000, |seen| {
            let left_us = (start_us + 300_000).saturating_sub(seen.at_us);
            if seen.from == 0 && left_us > 0 { Fate::Late(left_us) } else { Fate::Arrives }
        });
        assert_arrived(&mut world, 100 + 24 * MSS);
        let counters = world.counters(0);
        assert!(counters.timeouts >= 1, "timestamps {timestamps} sack {sack}");
        assert_eq!(counters.undone, 1, "timestamps {timestamps} sack {sack} {}", world.story());
        assert!(counters.retransmits <= 3, "{} sent again", counters.retransmits);
        assert!(world.cwnd(0) >= before.min(10 * MSS as u32));
    }
}

#[test]
fn duplicates_without_sack_let_new_segments_go_and_then_the_lost_one() {
    let mut world = quiet_pair(|config| config.sack = false);
    world.send(0, 30 * MSS);
    world.run_for(10 * RTT_US, lose(&[1]));
    assert_arrived(&mut world, 100 + 30 * MSS);
    let counters = world.counters(0);
    assert_eq!((counters.fast_retransmits, counters.retransmits, counters.timeouts), (1, 1, 0));
    // RFC 3042-2a, RFC 3042-2b: two new segments before the retransmission.
    let sent: Vec<u32> =
        world.seen.iter().filter(|s| s.from == 0 && s.len > 0).map(|s| s.header.seq).collect();
    let first = sent[0];
    let again = sent[1..].iter().position(|&seq| seq == first).unwrap() + 1;
    assert_eq!(again, 12, "ten, two of limited transmit, then the first again");
}

/// RFC 2883-4a.
#[test]
fn a_segment_that_arrives_twice_is_reported() {
    let mut world = quiet_pair(|_| {});
    world.send(0, MSS);
    world.run_for(3 * RTT_US, |seen| {
        if seen.from == 0 && seen.len > 0 { Fate::Twice } else { Fate::Arrives }
    });
    let report = world.seen.iter().find_map(|seen| {
        let block = seen.header.options.sack.as_slice().first().copied();
        block.filter(|_| seen.from == 1).map(|block| (block, seen.header.ack))
    });
    let ((left, right), ack) = report.expect("RFC 2883: a block for the duplicate");
    assert_eq!((right.wrapping_sub(left) as usize, right), (MSS, ack));
}

/// RFC 6928-2a, RFC 6928-2c.
#[test]
fn after_idleness_the_window_is_the_initial_one_and_nothing_is_owned() {
    let mut world = quiet_pair(|_| {});
    world.send(0, 100 * MSS);
    world.run_for(6 * RTT_US, lose(&[30]));
    assert_arrived(&mut world, 100 + 100 * MSS);
    assert!(world.cwnd(0) > 12 * MSS as u32, "{}", world.cwnd(0));
    world.run_for(1_000_000, |_| Fate::Arrives);
    assert_eq!(world.blocks_in_use(0), 0, "an idle connection owns no block");
    world.seen.clear();
    world.send(0, 50 * MSS);
    world.run_for(RTT_US / 2, |_| Fate::Arrives);
    assert_eq!(world.seen.iter().filter(|seen| seen.from == 0 && seen.len > 0).count(), 10);
}

#[test]
fn without_a_free_block_a_timeout_and_slow_start_recover() {
    let mut world = quiet_pair(|config| {
        // All blocks are taken by what is in flight.
        config.pool[0].count = 4;
        config.pool[1].count = 4;
        config.pool[2].count = 2;
        config.rcv_buf_bytes = 64 << 10;
    });
    let id = world.service(0).conn.unwrap();
    let sent = world.act(0, |_, turn| turn.conn(id).unwrap().send(&[7; 10 * MSS]));
    assert!((2 * MSS..5 * MSS).contains(&sent));
    world.run_for(2_000_000, lose(&[1]));
    assert_arrived(&mut world, 100 + sent);
    assert_eq!(world.counters(0).fast_retransmits, 0);
    assert!(world.counters(0).timeouts >= 1);
}
