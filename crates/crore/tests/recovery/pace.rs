//! How fast a sender becomes faster, and how much of it goes out at once.

use super::scenarios::{MSS, RTT_US, quiet_pair};
use super::wire::{Fate, Path, Seen, World};
use crore::StackConfig;

/// A sender without end over 100 Mbit/s and 20 ms, with a queue of 100 ms: its first 1.5 seconds.
fn bulk(hystart: bool) -> World {
    bulk_from(1_000_000, hystart)
}

/// The same, by the hosts' clocks from `start_us` on.
fn bulk_from(start_us: u64, hystart: bool) -> World {
    let path = Path { delay_us: RTT_US / 2, rate: 12_500_000, queue_us: 100_000 };
    let mut world = World::new(path, |_, config| {
        config.hystart = hystart;
        config.snd_buf_bytes = 4 << 20;
        config.rcv_buf_bytes = 4 << 20;
    });
    world.now_us = start_us;
    world.keeps_seen = false;
    world.service(1).endless = true;
    world.connect();
    world.run_for(1_500_000, |_| Fate::Arrives);
    world
}

/// RFC 9406-4.3d, RFC 9406-4.3e: the round trips tell of the queue before it overflows.
#[test]
fn slow_start_ends_when_round_trips_grow() {
    let (with, without) = (bulk(true), bulk(false));
    assert_eq!(with.counters(1).slow_starts_ended, 1);
    assert_eq!(without.counters(1).slow_starts_ended, 0);
    let (few, many) = (with.counters(1).retransmits, without.counters(1).retransmits);
    assert!(many > 500 && 10 * few < many, "{few} of {many} retransmits");
}

/// The pace counts with 32 bits of microseconds, which go round every 71 minutes: wherever they
/// stand, a transfer begins with a full allowance.
#[test]
fn a_transfer_begins_at_full_pace_whatever_the_clock_says() {
    let usual = bulk(true).service(0).received;
    assert!(usual > 5_000_000, "{usual}");
    for before_us in [2_000_000_000, 1_000_000_000, 100_000_000, 500_000] {
        let received = bulk_from((1 << 32) - before_us, true).service(0).received;
        assert!(received * 10 > usual * 9, "{received} octets, {before_us} us before the seam");
    }
}

/// Small requests and answers take no memory beyond what is in flight.
#[test]
fn a_dialogue_owns_nothing_between_its_messages() {
    let mut world = quiet_pair(|_| {});
    for _ in 0..50 {
        world.send(0, 3 * MSS);
        world.run_for(RTT_US + 45_000, |_| Fate::Arrives);
        assert_eq!(world.blocks_in_use(0), 0, "all is acknowledged");
    }
}

/// The most data segments that host 0 sent at one moment.
fn largest_burst(seen: &[Seen]) -> usize {
    let data = |seen: &&Seen| seen.from == 0 && seen.len > 0;
    let moments = seen.iter().filter(data);
    moments.map(|m| seen.iter().filter(data).filter(|s| s.at_us == m.at_us).count()).max().unwrap()
}

/// A bulk transfer of which all acknowledgments are lost for most of a round trip, so that the next
/// one lets a whole window out; what went from then on.
fn after_a_large_acknowledgment(rtt_us: u64, tweak: impl Fn(&mut StackConfig)) -> World {
    let path = Path { delay_us: rtt_us / 2, rate: 1_250_000_000, queue_us: 1_000_000 };
    let mut world = World::new(path, |_, config| {
        tweak(config);
        config.snd_buf_bytes = 4 << 20;
        config.rcv_buf_bytes = 4 << 20;
    });
    world.connect();
    world.send(0, 1500 * MSS);
    world.run_for(4 * rtt_us + rtt_us / 2, |_| Fate::Arrives);
    // The last of the next window's acknowledgments is the first to arrive.
    let highest = world.seen.iter().filter(|s| s.from == 0).map(|s| s.header.seq).max().unwrap();
    world.seen.clear();
    world.run_for(rtt_us + rtt_us / 2, |seen| {
        let early = (seen.header.ack.wrapping_sub(highest) as i32) < 0;
        if seen.from == 1 && early { Fate::Lost } else { Fate::Arrives }
    });
    world
}

#[test]
fn a_large_acknowledgment_lets_no_burst_out() {
    let paced = after_a_large_acknowledgment(100_000, |_| {});
    let burst = largest_burst(&paced.seen);
    assert!(burst <= 11, "{burst} segments at once");
    let unpaced = after_a_large_acknowledgment(100_000, |config| config.burst_segments = None);
    assert!(largest_burst(&unpaced.seen) > 30, "there was a window to let out");
    // And it was let out within the round trip all the same.
    let count = |world: &World| world.seen.iter().filter(|s| s.from == 0 && s.len > 0).count();
    assert!(10 * count(&paced) > 8 * count(&unpaced), "{} {}", count(&paced), count(&unpaced));
}

#[test]
fn a_short_path_is_not_paced() {
    let world = after_a_large_acknowledgment(1_000, |_| {});
    assert!(largest_burst(&world.seen) > 30);
}
