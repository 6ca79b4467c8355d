//! Floods of segments that belong to nothing, or not to the connection that they name.

use crate::segments::{Peer, Segment, ack, data, segment, syn};
use crate::{held, steps};
use crore::Drop;
use crore_wire::tcp::{Flags, Options, Timestamps};

/// A SYN as most hosts send it.
fn rich_syn(clock: u32) -> Segment {
    let timestamps = Some(Timestamps { value: clock, echo: 0 });
    let scale = Some(7);
    let options = Options { mss: Some(1460), window_scale: scale, timestamps, ..Options::NONE };
    syn().options(Options { sack_permitted: true, ..options })
}

fn with_options(config: &mut crore::StackConfig) {
    config.timestamps = true;
    config.sack = true;
    config.window_scaling = true;
    config.half_open_max = 8;
    config.conns_max = 64;
}

/// Random sources: one answer a SYN, no memory beyond the records, a step or none. An established
/// connection and a new honest one go on, and the new one has all its options.
#[test]
fn a_syn_flood_takes_no_memory_and_keeps_nobody_out() {
    let mut peer = Peer::accepted_after(with_options, rich_syn(1));
    let (address, port, isn) = (peer.here, peer.port_here, peer.isn_there);
    let sent = peer.counters().segments_out;
    let work = steps(&mut peer, |peer| {
        for n in 0..20_000_u32 {
            peer.becomes(&format!("10.0.0.{}", 5 + n % 200), 1024 + (n / 200) as u16);
            peer.says(rich_syn(n));
        }
    });
    peer.hear_all();
    assert_eq!(held(&peer.engine), [1, 8, 0, 9, 0]);
    assert!(peer.counters().segments_out - sent <= 20_000, "one answer a SYN at most");
    assert!(work <= 20_000, "{work} steps");
    assert!(peer.counters().cookies_sent >= 19_000);

    // The honest newcomer, by cookie: window scale, SACK and timestamps came back with it.
    peer.becomes("10.0.0.4", 7000);
    let (heard, accepted) = peer.tries_to_open(rich_syn(9));
    assert!(accepted, "{heard:?} {:?}", peer.counters());
    let id = peer.conn();
    let tcb = *peer.engine.stack().tcb(id.index);
    assert_eq!(tcb.snd_scale(), 7);
    assert!(tcb.flags.any(crore_stack::Flags::SACK));
    assert!(tcb.flags.any(crore_stack::Flags::TIMESTAMPS));

    // The one that stood before.
    (peer.here, peer.port_here, peer.isn_there) = (address, port, isn);
    peer.says(data(1, 1, b"still here").clock(9, 0));
    assert_eq!(peer.app().received, b"still here");
}

/// ACK, RST, FIN, Christmas trees and nothing at all: to an open port and to a closed one.
#[test]
fn segments_of_no_connection_cost_a_reset_at_most() {
    let all = Flags(0xff);
    let kinds = [Flags::ACK, Flags::RST, Flags::FIN | Flags::ACK, Flags::FIN, all, Flags(0)];
    for port in [80, 81] {
        let mut peer = Peer::new(|_| {});
        peer.port_there = port;
        let work = steps(&mut peer, |peer| {
            for n in 0..12_000_u32 {
                peer.becomes("10.0.0.9", n as u16 | 1);
                let stray = segment(kinds[n as usize % kinds.len()], n.wrapping_mul(77_777));
                peer.says(stray.acking(n.wrapping_mul(99_999)));
            }
        });
        assert_eq!(held(&peer.engine), [0; 5]);
        assert_eq!(work, 0);
        let (heard, counters) = (peer.hear_all(), peer.counters());
        assert!(heard.iter().all(|heard| heard.header.flags.contains(Flags::RST)));
        // The clock stands still: all of it within one tick.
        assert!(heard.len() <= 1000, "{} resets in a millisecond", heard.len());
        assert!(counters.dropped(Drop::RateLimited) > 1000);
        assert!(counters.dropped(Drop::ResetForNobody) >= 2000);
    }
}

/// The addresses and ports of a connection, numbers guessed: two answers a second, whatever comes.
#[test]
fn guesses_at_a_connection_are_answered_twice_a_second() {
    let mut peer = Peer::accepted(|_| {});
    let kinds = [Flags::ACK, Flags::RST, Flags::FIN | Flags::ACK, Flags::SYN];
    let mut heard = 0;
    for second in 0..10_u32 {
        for n in 0..2000_u32 {
            let guess = (second * 2000 + n).wrapping_mul(0x9e37_79b9) | 1 << 20;
            peer.says(segment(kinds[n as usize % 4], guess).acking(1));
        }
        heard += peer.hear_all().len();
        peer.wait_in_steps(1024, 128);
    }
    assert!(heard <= 22, "{heard} answers to 20,000 guesses in ten seconds");
    assert!(peer.dropped(Drop::RateLimited) > 9_000);
    peer.says(data(1, 1, b"fine"));
    assert_eq!(peer.app().received, b"fine");
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// With cookies in use the first octets may overtake the segment that opens the connection.
#[test]
fn data_that_overtakes_the_segment_with_the_cookie_is_not_reset() {
    let mut peer = Peer::new(|config| config.always_cookies = true);
    peer.says(syn());
    peer.hears(&["SA 0 ack 1"]);
    peer.says(data(1001, 1, b"second"));
    peer.hears(&[]);
    assert_eq!(peer.dropped(Drop::BeforeCookie), 1);
    peer.says(ack(1, 1));
    assert_eq!(peer.app().calls, ["accepted"]);
    peer.says(data(1, 1, &[b'a'; 1000]));
    peer.says(data(1001, 1, b"second"));
    assert!(peer.app().received.ends_with(b"asecond"));
    // An acknowledgment that no cookie is in is reset as before.
    peer.becomes("10.0.0.8", 999);
    peer.says(data(1001, 77, b"stray"));
    assert!(peer.hear("the reset").header.flags.contains(Flags::RST));
}
