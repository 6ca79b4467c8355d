//! Limits of all and of each source, and what those hear that exceed them.

use crate::segments::{Peer, rst, syn};
use crore::{Drop, Refusal, StackConfig};
use crore_wire::tcp::Flags;

fn room(config: &mut StackConfig) {
    config.conns_max = 256;
}

/// One source holds as many connections as it may; others, and its own after a close, get in.
#[test]
fn a_source_has_as_many_connections_as_it_may_and_no_more() {
    let mut peer = Peer::new(|config| {
        room(config);
        config.sources.conns_max = Some(10);
    });
    let opened = (0..50).filter(|n| peer.gets_in("10.0.0.5", 1000 + n)).count();
    assert_eq!(opened, 10);
    assert_eq!(peer.dropped(Drop::SourceFull), 40);
    assert_eq!(peer.engine.stack().half_open(), 0, "they were stopped at the SYN");
    assert!(peer.gets_in("10.0.0.6", 1000));
    assert_eq!(peer.engine.stack().sources_counted(), 2);
    // One of the ten ends.
    peer.becomes("10.0.0.5", 1000);
    peer.engine.stack().survey(|_| {});
    peer.says(rst(1));
    assert!(peer.gets_in("10.0.0.5", 2000));
    assert!(!peer.gets_in("10.0.0.5", 2001));
}

/// IPv6: a /64 is one source, whatever it makes of its other bits.
#[test]
fn an_ipv6_prefix_is_one_source() {
    let mut peer = Peer::v6(|config| {
        room(config);
        config.sources.conns_max = Some(3);
    });
    let opened = (0..20).filter(|n| peer.gets_in(&format!("fd00::1:{n}"), 1000)).count();
    assert_eq!(opened, 3);
}

/// Behind a load balancer are millions.
#[test]
fn exempt_ranges_have_no_limit_of_their_own() {
    let mut peer = Peer::new(|config| {
        room(config);
        config.sources.conns_max = Some(3);
        config.sources.exempt = vec![("10.0.0.128".parse().unwrap(), 25)];
    });
    assert!((0..50).all(|n| peer.gets_in("10.0.0.200", 1000 + n)));
    assert_eq!((0..50).filter(|n| peer.gets_in("10.0.0.100", 1000 + n)).count(), 3);
}

/// Half-open connections above a source's share are answered by cookies: whoever forges somebody's
/// SYNs does not lock him out.
#[test]
fn forged_syns_do_not_lock_their_source_out() {
    let mut peer = Peer::new(|config| {
        room(config);
        config.sources.half_open_max = Some(4);
        config.sources.conns_max = Some(10);
        config.sources.accepts_per_second = Some(10);
    });
    for n in 0..500 {
        peer.becomes("10.0.0.5", 1000 + n);
        peer.says(syn());
    }
    assert_eq!(peer.engine.stack().half_open(), 4);
    assert_eq!(peer.counters().cookies_sent, 496);
    peer.hear_all();
    assert!(peer.gets_in("10.0.0.5", 9000), "the real one gets in");
    peer.becomes("10.0.0.6", 1);
    peer.says(syn());
    assert_eq!(peer.engine.stack().half_open(), 5, "others have records of their own");
    // Given up in the end: the counts go with them.
    peer.wait_in_steps(200_000, 64);
    assert_eq!(peer.engine.stack().half_open(), 0);
    assert_eq!(peer.engine.stack().sources_counted(), 1);
}

/// So many a second from one source, and so many in all.
#[test]
fn openings_are_limited_in_rate() {
    let mut peer = Peer::new(|config| {
        room(config);
        config.sources.accepts_per_second = Some(5);
        config.accepts_per_second = Some(20);
    });
    assert_eq!((0..20).filter(|n| peer.gets_in("10.0.0.5", 1000 + n)).count(), 5);
    assert_eq!(peer.dropped(Drop::SourceRate), 15);
    assert_eq!((0..20).filter(|n| peer.gets_in(&format!("10.0.0.{}", 10 + n), 1)).count(), 15);
    assert_eq!(peer.dropped(Drop::AcceptRate), 5);
    peer.now_us += 1_000_000;
    assert_eq!((0..20).filter(|n| peer.gets_in("10.0.0.5", 2000 + n)).count(), 5);
}

/// The backlog: silence or a reset, as the settings say; both are counted.
#[test]
fn above_the_backlog_peers_hear_what_the_settings_say() {
    for (refusal, hears) in [(Refusal::Silence, 0), (Refusal::Reset, 1)] {
        let mut peer = Peer::new(|config| {
            room(config);
            config.accepted_max = Some(7);
            config.refusal = refusal;
        });
        assert_eq!((0..7).filter(|n| peer.gets_in("10.0.0.5", 1000 + n)).count(), 7);
        peer.becomes("10.0.0.6", 1);
        let (heard, accepted) = peer.tries_to_open(syn());
        assert!(!accepted);
        assert_eq!(heard.len(), hears);
        assert!(heard.iter().all(|heard| heard.header.flags == Flags::RST | Flags::ACK));
        assert_eq!(peer.dropped(Drop::Backlog), 1);
        // Our own connections have room still.
        peer.becomes("10.0.0.9", 9);
        assert!(peer.connect().is_ok());
    }
}

/// The same when all control blocks are taken, also by those who had a SYN-ACK before that.
#[test]
fn without_a_control_block_peers_hear_what_the_settings_say() {
    for (refusal, resets) in [(Refusal::Silence, 0), (Refusal::Reset, 2)] {
        let mut peer = Peer::new(|config| {
            config.conns_max = 4;
            config.refusal = refusal;
        });
        peer.becomes("10.0.0.20", 1);
        peer.says(syn());
        peer.hears(&["SA 0 ack 1"]);
        let half_open = peer.isn_there;
        assert_eq!((0..4).filter(|n| peer.gets_in("10.0.0.5", 1000 + n)).count(), 4);
        peer.becomes("10.0.0.20", 1);
        peer.isn_there = half_open;
        peer.says(crate::segments::ack(1, 1));
        let late = peer.hear_all().len();
        peer.becomes("10.0.0.21", 1);
        peer.says(syn());
        assert_eq!(late + peer.hear_all().len(), resets);
        assert_eq!(peer.dropped(Drop::ConnTableFull), 2);
        assert_eq!(peer.engine.stack().half_open(), u32::from(refusal == Refusal::Silence));
    }
}

/// More sources than the table counts: nobody is refused for it, and it is counted.
#[test]
fn a_full_table_of_sources_refuses_nobody() {
    let mut peer = Peer::new(|config| {
        room(config);
        config.sources.conns_max = Some(1);
        config.sources.tracked_max = 16;
    });
    let opened = (0..100).filter(|n| peer.gets_in(&format!("10.0.0.{}", 10 + n), 1)).count();
    assert_eq!(opened, 100);
    assert_eq!(peer.engine.stack().sources_counted(), 16);
    assert_eq!(peer.counters().sources_uncounted, 84);
    assert!(peer.counters().walked <= 84 * 8);
}
