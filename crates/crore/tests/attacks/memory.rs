//! Attacks on memory, and on the work of chains that a peer makes long.

use crate::segments::{Peer, data, syn};
use crore_wire::tcp::Options;

/// A SYN that permits SACK.
fn syn_with_sack() -> crate::segments::Segment {
    syn().options(Options { mss: Some(1460), sack_permitted: true, ..Options::NONE })
}

/// Steps and pool blocks that `play` took.
fn cost(peer: &mut Peer, play: impl FnOnce(&mut Peer)) -> (u64, u32) {
    let walked = peer.engine.stack().counters().walked;
    let blocks = peer.engine.stack().blocks_in_use();
    play(peer);
    let stack = peer.engine.stack();
    (stack.counters().walked - walked, stack.blocks_in_use() - blocks)
}

/// CVE-2018-5390: single octets with holes between them.
#[test]
fn tiny_segments_out_of_order_cost_bounded_work_and_memory() {
    let mut peer = Peer::accepted_after(|config| config.sack = true, syn_with_sack());
    let limit = u64::from(peer.engine.stack().config().out_of_order_runs_max);
    let (_, blocks) = cost(&mut peer, |peer| {
        for n in 0..4000 {
            peer.says(data(3 + 2 * n, 1, b"x"));
        }
    });
    assert!(u64::from(blocks) <= limit, "{blocks} blocks");
    // Full: the worst that each more can do is to have the chain looked at a few times.
    let (steps, more) = cost(&mut peer, |peer| {
        for n in 4000..5000 {
            peer.says(data(3 + 2 * n, 1, b"x"));
        }
    });
    assert_eq!(more, 0);
    assert!(steps <= 1000 * 4 * limit, "{} steps a segment", steps / 1000);
    assert!(peer.engine.stack().counters().dropped(crore::Drop::OutOfOrderFull) >= 1000);
    // The stream itself goes on.
    peer.says(data(1, 1, b"ab"));
    assert!(peer.app().received.starts_with(b"abx"));
}

/// Single octets, each before the one that came last, and then every other one with the gaps filled
/// later: neighbours share blocks, so no order of theirs takes a block for each.
#[test]
fn tiny_segments_share_blocks_in_whatever_order_they_come() {
    let mut peer = Peer::accepted_after(|config| config.sack = true, syn_with_sack());
    let (steps, blocks) = cost(&mut peer, |peer| {
        for n in 0..4000 {
            peer.says(data(5000 - n, 1, b"x"));
        }
    });
    assert!(u64::from(blocks) * 192 < 2 * 4000, "{blocks} blocks for 4000 octets");
    assert!(steps <= 8 * 4000, "{steps} steps");
    let limit = peer.engine.stack().config().out_of_order_runs_max;
    let (_, more) = cost(&mut peer, |peer| {
        for first in [6000, 6001] {
            for n in 0..limit - 2 {
                peer.says(data(first + 2 * n, 1, b"x"));
            }
        }
    });
    assert!(u64::from(more) * 192 < 3 * 2 * u64::from(limit), "{more} blocks for {limit} gaps");
}

/// A window of segments behind a lost one is kept whole, and each costs a few steps.
#[test]
fn a_window_of_segments_behind_a_hole_is_kept_and_not_walked_over() {
    let mut peer = Peer::accepted_after(|config| config.sack = true, syn_with_sack());
    let text = [7; 100];
    let (steps, _) = cost(&mut peer, |peer| {
        for n in 1..641 {
            peer.says(data(1 + 100 * n, 1, &text));
        }
    });
    assert!(steps <= 12 * 640, "{steps} steps for 640 segments");
    assert_eq!(peer.engine.stack().counters().dropped(crore::Drop::OutOfOrderFull), 0);
    peer.says(data(1, 1, &text));
    peer.wait_ms(5);
    assert_eq!(peer.app().received.len(), 64_100);
    assert_eq!(peer.engine.stack().blocks_in_use(), 0);
}

/// The same in order, to an application that does not read: octets share blocks, and none of them
/// makes us walk over those before it.
#[test]
fn tiny_segments_that_nobody_reads_share_blocks_and_are_not_walked_over() {
    let mut peer = Peer::accepted(|_| {});
    peer.engine.service_mut().reads = false;
    let (steps, blocks) = cost(&mut peer, |peer| {
        for n in 0..20_000 {
            peer.says(data(1 + n, 1, b"x"));
        }
    });
    let bytes = u64::from(blocks) * 192;
    assert!(bytes < 2 * 20_000, "{bytes} bytes of memory for 20,000 octets");
    assert!(steps <= 8 * 20_000, "{steps} steps for 20,000 segments");
    // Nothing was lost or doubled on the way.
    peer.engine.service_mut().reads = true;
    let id = peer.conn();
    peer.act(|turn| turn.conn(id).unwrap().resume());
    peer.wait_ms(5);
    assert_eq!(peer.app().received, vec![b'x'; 20_000]);
    assert_eq!(peer.engine.stack().blocks_in_use(), 0);
}
