//! Peers that hold what others need: a shut window, a slow reader, half a close.

use crate::segments::{Peer, Segment, ack, syn};
use crate::{held, steps};
use crore::StackConfig;
use crore::mem::PoolClass;
use crore_wire::tcp::Options;

/// Few blocks: 64 connections that queue 32 KiB each take most of them.
fn scarce(config: &mut StackConfig) {
    config.conns_max = 256;
    config.window_scaling = false;
    config.pool = [
        PoolClass { payload_bytes: 160, count: 64 },
        PoolClass { payload_bytes: 480, count: 64 },
        PoolClass { payload_bytes: 2016, count: 1600 },
    ];
}

fn small_window() -> Segment {
    syn().window(2000).options(Options { mss: Some(1460), ..Options::NONE })
}

/// Opens a connection from `port` on which the application queues `octets`.
fn open_with_queue(peer: &mut Peer, port: u16, octets: usize) -> u32 {
    peer.becomes("10.0.0.5", port);
    let accepted = peer.tries_to_open(small_window()).1;
    assert!(accepted);
    let id = peer.conn();
    peer.act(|turn| turn.conn(id).unwrap().send(&vec![1; octets]));
    peer.turn();
    peer.hear_all();
    peer.isn_there
}

/// Sixty-four peers shut their windows on 32 KiB each and hold them shut; one goes on reading.
#[test]
fn when_memory_is_short_those_who_hold_it_and_take_nothing_go_first() {
    let mut peer = Peer::new(scarce);
    let reader = open_with_queue(&mut peer, 100, 200_000);
    let isns: Vec<u32> = (0..56).map(|n| open_with_queue(&mut peer, 1000 + n, 32 << 10)).collect();
    let blocks = peer.engine.stack().blocks_in_use();
    assert!(peer.engine.stack().pressure() > crore::Pressure::None, "{blocks} blocks");
    let (mut acked, mut worst) = (1_u32, 0);
    for ms in 0..8000_u32 {
        peer.now_us += 1000;
        worst = worst.max(steps(&mut peer, Peer::turn));
        if ms % 500 == 0 {
            // All others answer probes: their windows are shut.
            for (n, &isn) in isns.iter().enumerate() {
                peer.becomes("10.0.0.5", 1000 + n as u16);
                peer.isn_there = isn;
                peer.says(ack(1, 1).window(0));
            }
        }
        if ms % 20 == 0 {
            peer.becomes("10.0.0.5", 100);
            peer.isn_there = reader;
            acked += 1460.min(200_001 - acked);
            peer.says(ack(1, acked).window(4000));
        }
        peer.hear_all();
    }
    let counters = peer.counters();
    assert!(counters.evicted >= 1, "{counters:?}");
    assert!(counters.evicted < 56, "no more go than it takes: {}", counters.evicted);
    assert!(worst <= 1024, "{worst} steps in a tick");
    let stack = peer.engine.stack();
    assert!(stack.blocks_in_use() < blocks * 9 / 10, "memory came back");
    assert!(acked > 100_000, "{acked}");
    let ends = peer.app().calls.iter().filter(|call| *call == "closed Evicted").count();
    assert_eq!(ends as u64, counters.evicted);
    let mut reader_lives = false;
    stack.survey(|one| reader_lives |= one.remote.port() == 100 && one.state == "ESTABLISHED");
    assert!(reader_lives, "who reads is left alone");
}

/// With memory to spare a shut window is waited for without end (RFC 9293 MUST-37).
#[test]
fn with_memory_to_spare_a_shut_window_is_no_reason_to_end() {
    let mut peer = Peer::new(|config| config.conns_max = 256);
    open_with_queue(&mut peer, 100, 100_000);
    for _ in 0..600 {
        peer.wait_in_steps(1000, 100);
        peer.says(ack(1, 1).window(0));
        peer.hear_all();
    }
    assert_eq!(peer.counters().evicted, 0);
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// Connections that were accepted and never say a word hold a control block and nothing else.
#[test]
fn silent_connections_hold_no_buffers() {
    let mut peer = Peer::new(|config| config.conns_max = 256);
    assert_eq!((0..200).filter(|n| peer.gets_in("10.0.0.5", 1000 + n)).count(), 200);
    peer.wait_in_steps(600_000, 1000);
    assert_eq!(held(&peer.engine), [200, 0, 0, 200, 0]);
}

/// A peer that never closes after we closed both ways is forgotten after `fin_wait_2_ms`.
#[test]
fn fin_wait_2_is_left_in_time() {
    let mut peer = Peer::new(|config| config.conns_max = 256);
    for n in 0..100 {
        assert!(peer.gets_in("10.0.0.5", 1000 + n));
        let id = peer.conn();
        peer.act(|turn| turn.conn(id).unwrap().close_both());
        peer.turn();
        peer.says(ack(1, 2));
    }
    peer.hear_all();
    peer.wait_in_steps(30_000, 100);
    assert_eq!(peer.engine.stack().conns(), 100);
    peer.wait_in_steps(31_000, 100);
    assert_eq!(held(&peer.engine), [0; 5]);
}

/// Octets out of order with a hole that is never filled: under pressure they are given back, the
/// connection stays.
#[test]
fn octets_behind_a_hole_are_given_back_when_memory_is_short() {
    let mut peer = Peer::new(|config| {
        scarce(config);
        config.pool_marks.low_percent = 1;
        config.pool_marks.pressure_percent = 2;
    });
    assert!(peer.gets_in("10.0.0.5", 1000));
    for n in 0..250 {
        peer.says(crate::segments::data(3 + 200 * n, 1, &[7; 100]));
    }
    assert!(peer.engine.stack().blocks_in_use() > 200);
    peer.wait_in_steps(6_000, 1);
    assert_eq!(held(&peer.engine), [1, 0, 0, 1, 0]);
    assert!(peer.counters().reneged > 200);
    peer.says(crate::segments::data(1, 1, b"on we go"));
    assert_eq!(peer.app().received, b"on we go");
}
