//! Sources come, are counted, and go.

use super::{Reached, SourceLimits, Sources, Tokens};
use crate::config::StackConfig;
use alloc::vec;
use core::net::IpAddr;
use crore_mem::Memory;

fn sources(limits: &SourceLimits) -> Sources {
    let config = StackConfig { sources: limits.clone(), ..StackConfig::for_connections(16) };
    Sources::new(&mut Memory::heap(), &config, [1, 2]).unwrap()
}

fn at(text: &str) -> u128 {
    crate::interface::mapped(text.parse::<IpAddr>().unwrap())
}

#[test]
fn a_source_is_an_ipv4_address_or_an_ipv6_prefix() {
    let limits = SourceLimits { conns_max: Some(1), ..SourceLimits::default() };
    let mut sources = sources(&limits);
    for remote in ["192.0.2.1", "2001:db8:0:1::1"] {
        assert!(sources.opened(&limits, at(remote), 0, &mut 0));
        assert_eq!(sources.may_open(&limits, at(remote), 0), Err(Reached::Conns));
    }
    assert_eq!(sources.may_open(&limits, at("2001:db8:0:1:ffff::2"), 0), Err(Reached::Conns));
    assert_eq!(sources.may_open(&limits, at("2001:db8:0:2::1"), 0), Ok(()));
    assert_eq!(sources.may_open(&limits, at("192.0.2.2"), 0), Ok(()));
}

#[test]
fn a_source_that_holds_nothing_is_forgotten() {
    let limits = SourceLimits {
        conns_max: Some(9),
        half_open_max: Some(9),
        accepts_per_second: Some(10),
        ..SourceLimits::default()
    };
    let mut sources = sources(&limits);
    sources.half_opened(&limits, at("192.0.2.1"), 0, &mut 0);
    sources.opened(&limits, at("192.0.2.1"), 0, &mut 0);
    sources.half_open_gone(&limits, at("192.0.2.1"), 0);
    assert_eq!(sources.len(), 1);
    sources.closed(&limits, at("192.0.2.1"), 100);
    assert_eq!(sources.len(), 0);
}

#[test]
fn exempt_ranges_are_not_counted() {
    let exempt = vec![("10.0.0.0".parse().unwrap(), 8), ("fd00::".parse().unwrap(), 16)];
    let limits = SourceLimits { conns_max: Some(0), exempt, ..SourceLimits::default() };
    assert_eq!(limits.check(), Ok(()));
    let mut sources = sources(&limits);
    for remote in ["10.1.2.3", "fd00:1::1"] {
        assert!(sources.opened(&limits, at(remote), 0, &mut 0));
        assert_eq!(sources.may_open(&limits, at(remote), 0), Ok(()));
    }
    assert_eq!(sources.len(), 0);
    sources.opened(&limits, at("11.0.0.1"), 0, &mut 0);
    assert_eq!(sources.may_open(&limits, at("11.0.0.1"), 0), Err(Reached::Conns));
}

/// A full table costs a few looks and refuses nobody.
#[test]
fn a_full_table_forgets_who_holds_nothing_and_else_lets_the_new_one_in() {
    let limits = SourceLimits { conns_max: Some(1), tracked_max: 64, ..SourceLimits::default() };
    let mut sources = sources(&limits);
    let (mut steps, mut uncounted) = (0, 0);
    for n in 0..1000 {
        let remote = at("192.0.2.0") + n;
        assert_eq!(sources.may_open(&limits, remote, 0), Ok(()));
        uncounted += u32::from(!sources.opened(&limits, remote, 0, &mut steps));
    }
    assert_eq!((sources.len(), uncounted), (64, 936));
    assert!(steps <= 8 * 936, "{steps}");
    sources.closed(&limits, at("192.0.2.5"), 0);
    assert!(sources.opened(&limits, at("198.51.100.1"), 0, &mut steps));
}

#[test]
fn tokens_come_back_at_their_rate_and_no_more_than_a_seconds_worth() {
    let mut tokens = Tokens::default();
    let mut taken = |tick: u32| {
        let mut count = 0;
        while tokens.has_one(100, tick) {
            tokens.take(100, tick);
            count += 1;
        }
        count
    };
    assert_eq!(taken(0), 100);
    assert_eq!(taken(5), 0);
    assert_eq!(taken(10), 1);
    assert_eq!(taken(510), 50);
    assert_eq!(taken(100_000), 100);
}
