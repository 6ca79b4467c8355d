//! SACK as a weapon (CVE-2019-11477, -11478), and segments too small to be worth it (-11479).

use crate::segments::{Peer, Segment, ack, syn};
use crate::steps;
use crore::StackConfig;
use crore_wire::tcp::{Options, SackBlocks};

fn syn_with(mss: u16) -> Segment {
    let options = Options { mss: Some(mss), window_scale: Some(7), ..Options::NONE };
    syn().options(Options { sack_permitted: true, ..options })
}

fn with_sack(config: &mut StackConfig) {
    config.sack = true;
    config.window_scaling = true;
    config.nodelay = true;
    config.initial_window_segments = 4000;
}

/// An acknowledgment that reports these ranges, numbers counted from the engine's SYN.
fn report(peer: &Peer, to: u32, ranges: &[(u32, u32)]) -> Segment {
    let mut sack = SackBlocks::EMPTY;
    for &(left, right) in ranges {
        sack.push(peer.isn_there.wrapping_add(left), peer.isn_there.wrapping_add(right));
    }
    let mut segment = ack(1, to);
    segment.options.sack = sack;
    segment
}

/// The scoreboard in as many pieces as there are segments: each report costs a bounded look.
#[test]
fn a_fragmented_scoreboard_costs_bounded_work_for_each_report() {
    let mut peer = Peer::accepted_after(with_sack, syn_with(88));
    let id = peer.conn();
    // Three thousand segments of an octet each.
    for _ in 0..3000 {
        peer.act(|turn| turn.conn(id).unwrap().send(b"x"));
        peer.turn();
    }
    assert_eq!(peer.hear_all().len(), 3000);
    let mut worst = 0;
    for n in 0..1490 {
        let reports = report(&peer, 1, &[(3 + 2 * n, 4 + 2 * n)]);
        worst = worst.max(steps(&mut peer, |peer| peer.says(reports)));
        peer.hear_all();
    }
    assert!(worst <= 4 * 1024, "{worst} steps for one acknowledgment");
    // All of it acknowledged: nothing is left.
    peer.says(ack(1, 3001));
    peer.wait_in_steps(4000, 100);
    assert_eq!(peer.engine.stack().blocks_in_use(), 0);
}

/// Reports of what was never sent, backwards ranges, ranges around the whole number space.
#[test]
fn reports_that_cannot_be_true_are_ignored() {
    let mut peer = Peer::accepted_after(with_sack, syn_with(1460));
    peer.app_sends_many(14_600);
    peer.hear_all();
    let lies: [&[(u32, u32)]; 7] = [
        // Half of the circle away, as long as all that is in flight.
        &[(0x8000_0001, 0x8000_0001 + 14_600)],
        &[(14_601, 14_602)],
        &[(1461, 14_602)],
        &[(2921, 1461)],
        &[(1461, 1461)],
        &[(1461, 0x8000_1461)],
        &[(0xffff_0000, 1)],
    ];
    for _ in 0..100 {
        for ranges in lies {
            let lie = report(&peer, 1, ranges);
            peer.says(lie);
        }
    }
    assert_eq!(peer.counters().retransmits, 0, "nothing is taken to be lost");
    peer.says(ack(1, 14_601));
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// RFC 2018 8: what was reported and then thrown away is sent again.
#[test]
fn a_peer_that_takes_its_reports_back_gets_everything_again() {
    let mut peer = Peer::accepted_after(with_sack, syn_with(1460));
    peer.app_sends_many(14_600);
    peer.hear_all();
    let all_but_first = report(&peer, 1, &[(1461, 14_601)]);
    peer.says(all_but_first);
    assert!(peer.engine.stack().blocks_in_use() >= 10, "reported is not acknowledged");
    peer.wait_ms(50);
    peer.hear_all();
    // It got the first segment, and has forgotten the others.
    peer.says(ack(1, 1461));
    let mut next = 1461;
    for _ in 0..400 {
        peer.wait_ms(50);
        for heard in peer.hear_all() {
            let seq = heard.header.seq.wrapping_sub(peer.isn_there);
            if seq == next {
                next += heard.payload.len() as u32;
            }
        }
        peer.says(ack(1, next));
    }
    assert_eq!(next, 14_601);
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// CVE-2019-11479: whoever asks for segments of an octet gets the floor.
#[test]
fn an_mss_below_the_floor_counts_as_the_floor() {
    for (floor, mss) in [(88_u16, 88_u16), (536, 536), (48, 48)] {
        for cookies in [false, true] {
            let tweak = |config: &mut StackConfig| {
                with_sack(config);
                config.mss_min = floor;
                config.always_cookies = cookies;
            };
            let mut peer = Peer::accepted_after(tweak, syn_with(1));
            peer.app_sends_many(1000);
            // A cookie has classes of MSS, the least of them 64.
            let mss = if cookies { mss.max(64) } else { mss };
            assert_eq!(peer.hear("a segment").payload.len(), usize::from(mss));
        }
    }
    let config = StackConfig { mss_min: 47, ..StackConfig::for_connections(16) };
    assert!(config.check().is_err());
}
