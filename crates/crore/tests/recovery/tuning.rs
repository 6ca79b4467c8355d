//! Receive windows that grow with the path, and send queues with the congestion window. Host 1
//! sends, host 0 receives.

use super::wire::{Fate, Path, Seen, World};
use crore::StackConfig;

/// A world with the default settings, the pool's too.
fn defaults(path: Path) -> World {
    let mut world = World::new(path, |_, config| {
        config.pool = StackConfig::for_connections(config.conns_max).pool;
    });
    world.keeps_seen = false;
    world
}

/// The share of the path's rate that is payload which arrives, after a warm-up.
fn share_of(rate: u64, rtt_us: u64, warm_up_us: u64, us: u64) -> f64 {
    let path = Path { delay_us: rtt_us / 2, rate, queue_us: 10 * rtt_us };
    share_over(&mut defaults(path), path, warm_up_us, us)
}

fn share_over(world: &mut World, path: Path, warm_up_us: u64, us: u64) -> f64 {
    world.service(1).endless = true;
    world.connect();
    world.run_for(warm_up_us, |_| Fate::Arrives);
    let before = world.service(0).received;
    world.run_for(us, |_| Fate::Arrives);
    (world.service(0).received - before) as f64 * 1e6 / us as f64 / path.rate as f64
}

#[test]
fn a_long_path_of_200_mbit_is_filled_from_the_defaults() {
    let share = share_of(25_000_000, 100_000, 3_000_000, 2_000_000);
    assert!(share >= 0.9, "{share:.3} of the rate");
}

/// A queue of a round trip overflows at the end of slow start, by hundreds of segments in
/// thousands, and again when the window has grown. What lies deep in the queue is found, and
/// repaired in a few round trips, with bounded work and no timeout.
#[test]
fn a_long_path_with_a_queue_of_one_round_trip_stays_filled() {
    let path = Path { delay_us: 50_000, rate: 25_000_000, queue_us: 100_000 };
    let mut world = defaults(path);
    let share = share_over(&mut world, path, 2_000_000, 3_000_000);
    let counters = world.counters(1);
    assert!(share >= 0.8, "{share:.3} of the rate");
    assert!(counters.fast_retransmits >= 2, "{}", counters.fast_retransmits);
    assert_eq!(counters.timeouts, 0);
    let steps = counters.walked / counters.segments_in;
    assert!(steps < 100, "{steps} steps an acknowledgment");
}

/// `cargo test -p crore --release --test recovery -- --ignored --nocapture long_path`
#[test]
#[ignore = "a second of it is 80,000 segments: run it in release"]
fn a_long_path_of_1_gbit_is_filled_from_the_defaults() {
    let share = share_of(125_000_000, 100_000, 4_000_000, 4_000_000);
    println!("{share:.3} of 1 Gbit/s over 100 ms");
    assert!(share >= 0.9, "{share:.3} of the rate");
}

/// The right edges that host 0 advertises, as far as the scale can say them.
fn edges(world: &World) -> Vec<u32> {
    let scale = world.stack(0).config().rcv_scale();
    let acks = world.seen.iter().filter(|seen| seen.from == 0);
    acks.map(|s| s.header.ack.wrapping_add(u32::from(s.header.window) << scale)).collect()
}

fn largest_window(world: &World) -> u32 {
    let scale = world.stack(0).config().rcv_scale();
    let acks = world.seen.iter().filter(|seen| seen.from == 0);
    acks.map(|seen| u32::from(seen.header.window) << scale).max().unwrap_or(0)
}

/// After a bulk transfer nothing is owned, the window is the first one again, and no edge ever
/// moved back (RFC 9293 SHLD-14, RFC 7323 2.4), but for what the scale rounds off.
#[test]
fn an_idle_connection_owns_nothing_and_no_edge_moves_back() {
    let mut world = defaults(Path { delay_us: 20_000, rate: 12_500_000, queue_us: 100_000 });
    world.keeps_seen = true;
    world.service(1).endless = true;
    world.connect();
    world.run_for(1_500_000, |_| Fate::Arrives);
    assert!(world.stack(0).bytes_granted() > 64 << 10);
    assert!(world.counters(0).windows_grown > 0);
    assert!(largest_window(&world) > 500_000, "twice the path holds 1 MB");
    world.service(1).endless = false;
    world.run_for(1_500_000, |_| Fate::Arrives);
    for side in 0..2 {
        assert_eq!(world.blocks_in_use(side), 0, "host {side}");
    }
    assert_eq!(world.stack(0).bytes_granted(), 0);
    let (sent, received) = (world.service(1).sent, world.service(0).received);
    assert_eq!(sent, received);
    world.send(1, 60_000);
    world.run_for(500_000, |_| Fate::Arrives);
    let grain = 1 << world.stack(0).config().rcv_scale();
    let mut furthest = edges(&world)[0];
    for edge in edges(&world) {
        let back = furthest.wrapping_sub(edge) as i32;
        assert!(back < grain, "an edge moved back by {back}");
        furthest = if back < 0 { edge } else { furthest };
    }
}

/// Whoever does not fill the window has no use for a larger one.
#[test]
fn a_window_that_is_not_filled_does_not_grow() {
    let mut world = defaults(Path { delay_us: 10_000, rate: 125_000_000, queue_us: 100_000 });
    world.keeps_seen = true;
    world.connect();
    for _ in 0..100 {
        world.send(1, 10_000);
        world.run_for(40_000, |_| Fate::Arrives);
    }
    assert_eq!(world.service(0).received, 1_000_000);
    assert_eq!(world.counters(0).windows_grown, 0);
    assert!(largest_window(&world) <= 64 << 10, "{}", largest_window(&world));
}

/// Nor does an application that does not read get more.
#[test]
fn an_application_that_does_not_read_holds_the_first_window_at_most() {
    let mut world = defaults(Path { delay_us: 10_000, rate: 125_000_000, queue_us: 100_000 });
    world.service(1).endless = true;
    world.service(0).pauses = true;
    world.connect();
    world.run_for(5_000_000, |_| Fate::Arrives);
    let id = world.service(0).conn.unwrap();
    let unread = world.stack(0).unread(id.index);
    assert!((64_000..=64 << 10).contains(&unread), "{unread}, to the scale's grain");
    assert_eq!(world.counters(0).windows_grown, 0);
}

/// RFC 9293 3.8.6.2.2: when the application reads again the peer hears of it at once, not when it
/// probes.
#[test]
fn a_window_that_opens_is_announced_at_once() {
    let mut world = defaults(Path { delay_us: 10_000, rate: 125_000_000, queue_us: 100_000 });
    world.keeps_seen = true;
    world.service(1).endless = true;
    world.service(0).pauses = true;
    world.connect();
    world.run_for(5_000_000, |_| Fate::Arrives);
    let shut = world.seen.iter().rev().find(|seen| seen.from == 0).unwrap();
    assert!(shut.header.window <= 1);
    world.service(0).pauses = false;
    let id = world.service(0).conn.unwrap();
    world.seen.clear();
    let read_at_us = world.now_us;
    world.act(0, |_, turn| turn.conn(id).unwrap().resume());
    world.run_for(60_000, |_| Fate::Arrives);
    let first = |from: usize| world.seen.iter().find(|seen: &&Seen| seen.from == from).unwrap();
    assert_eq!(first(0).at_us, read_at_us);
    assert!(first(0).header.window > 0);
    let again = world.seen.iter().find(|seen| seen.from == 1 && seen.len > 0).unwrap();
    assert!(again.at_us <= read_at_us + 11_000, "{} us", again.at_us - read_at_us);
}

/// The send queue takes 256 KiB at first, and twice the congestion window later.
#[test]
fn the_send_queue_grows_with_the_congestion_window() {
    let mut world = defaults(Path { delay_us: 20_000, rate: 12_500_000, queue_us: 2_000_000 });
    world.connect();
    let id = world.service(1).conn.unwrap();
    assert_eq!(world.stack(1).send_room(id.index), 256 << 10);
    world.service(1).endless = true;
    world.send(1, 1000);
    let bytes = vec![0; 512 << 10];
    let taken = world.act(1, |_, turn| turn.conn(id).unwrap().send(&bytes));
    assert_eq!(taken, (256 << 10) - 1000);
    world.run_for(500_000, |_| Fate::Arrives);
    let cwnd = world.cwnd(1);
    assert!(cwnd > 400_000, "{cwnd}");
    let queued = world.stack(1).tcb(id.index).queued();
    assert!(queued > cwnd && queued <= 2 * cwnd, "{queued} queued, a window of {cwnd}");
}

/// How long host 1's answer of `octets` takes, from the SEND to its last octet, in microseconds.
fn answer_takes_us(nagle: crore::Nagle, octets: usize) -> u64 {
    let path = Path { delay_us: 5_000, rate: 125_000_000, queue_us: 100_000 };
    let mut world = World::new(path, |_, config| config.nagle = nagle);
    world.keeps_seen = false;
    world.connect();
    let (before, begin_us) = (world.service(0).received, world.now_us);
    world.send(1, octets);
    while world.service(0).received < before + octets as u64 {
        world.run_for(100, |_| Fate::Arrives);
    }
    world.now_us - begin_us
}

/// An answer that ends with a small segment, to a peer that delays acknowledgments: with Nagle's
/// algorithm as it was, an odd number of full segments costs the peer's delay (40 ms here), an even
/// one a round trip; as it is now neither.
#[test]
fn nagle_and_delayed_acknowledgments_do_not_wait_for_each_other() {
    for (segments, classic_us) in [(3, 50_000), (4, 15_000), (1, 50_000)] {
        let octets = 1448 * segments + 500;
        let (now, then) = (
            answer_takes_us(crore::Nagle::Minshall, octets),
            answer_takes_us(crore::Nagle::Classic, octets),
        );
        assert!(now <= 5_500, "{segments} segments: {now} us");
        assert!(then >= classic_us, "{segments} segments: {then} us");
    }
}

/// A segment lost on a long path: the receiver keeps the thousands that come behind it, and its
/// work for each of them does not grow with their number, nor does the sender's for their reports.
#[test]
fn what_comes_behind_a_loss_is_kept_on_a_long_path() {
    let mut world = defaults(Path { delay_us: 50_000, rate: 25_000_000, queue_us: 1_000_000 });
    world.service(1).endless = true;
    world.connect();
    world.run_for(1_300_000, |_| Fate::Arrives);
    let (walked, mut lost) = (world.counters(0).walked, false);
    let sender_walked = world.counters(1).walked;
    world.run_for(1_000_000, |seen| {
        let hit = seen.from == 1 && !std::mem::replace(&mut lost, true);
        if hit { Fate::Lost } else { Fate::Arrives }
    });
    let counters = world.counters(0);
    assert!(counters.out_of_order > 1000, "{}", counters.out_of_order);
    assert_eq!(counters.dropped(crore::Drop::OutOfOrderFull), 0);
    let steps = (counters.walked - walked) / counters.out_of_order;
    assert!(steps < 20, "{steps} steps a segment");
    let sender = world.counters(1);
    assert_eq!((sender.retransmits, sender.timeouts, sender.fast_retransmits), (1, 0, 1));
    let steps = (sender.walked - sender_walked) / counters.out_of_order;
    assert!(steps < 20, "{steps} steps a report");
}
