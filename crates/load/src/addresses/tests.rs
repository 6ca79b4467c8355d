use super::*;
use std::collections::HashSet;

fn range(first: &str, count: u32) -> AddressRange {
    let first: IpAddr = first.parse().unwrap();
    AddressRange { first, count, prefix_len: if first.is_ipv4() { 8 } else { 64 } }
}

fn ends(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn ten_million_connections_take_156_addresses() {
    assert_eq!(LocalAddresses::needed_for(10_000_000), 156);
    assert_eq!(LocalAddresses::needed_for(64_511), 1);
    assert_eq!(LocalAddresses::needed_for(64_512), 2);
}

#[test]
fn every_local_end_is_another_one_until_none_is_left() {
    let ranges = [range("10.0.0.255", 2), range("10.7.0.1", 1)];
    let locals = LocalAddresses::for_remote(&ranges, "10.255.0.1".parse().unwrap());
    assert_eq!(locals.nth(0), Some(ends("10.0.0.255:1024")));
    assert_eq!(locals.nth(64_510), Some(ends("10.0.0.255:65534")));
    assert_eq!(locals.nth(64_511), Some(ends("10.0.1.0:1024")));
    assert_eq!(locals.nth(2 * 64_511), Some(ends("10.7.0.1:1024")));
    let all: HashSet<_> = (0..locals.capacity()).map(|n| locals.nth(n).unwrap()).collect();
    assert_eq!(all.len() as u64, locals.capacity());
    assert_eq!(locals.nth(locals.capacity()), None);
}

#[test]
fn the_ports_can_be_few_or_none() {
    let locals = LocalAddresses::for_remote(&[range("10.0.0.1", 2)], "10.255.0.1".parse().unwrap());
    let two = locals.clone().with_ports(8_000..=8_001);
    let all: Vec<_> = (0..5).filter_map(|n| two.nth(n)).collect();
    let wanted = ["10.0.0.1:8000", "10.0.0.1:8001", "10.0.0.2:8000", "10.0.0.2:8001"];
    assert_eq!(all, wanted.map(ends));
    assert_eq!(two.capacity(), 4);
    #[expect(clippy::reversed_empty_ranges, reason = "an empty range is meant")]
    let none = locals.with_ports(9..=8);
    assert_eq!((none.nth(0), none.capacity()), (None, 0));
}

#[test]
fn only_addresses_that_reach_the_remote_are_used() {
    let ranges = [range("10.0.0.1", 1), range("fe80::1", 1), range("fd00::1", 1)];
    let from = |remote: &str| {
        LocalAddresses::for_remote(&ranges, remote.parse().unwrap()).nth(0).map(|end| end.ip())
    };
    assert_eq!(from("192.0.2.1"), Some("10.0.0.1".parse().unwrap()));
    assert_eq!(from("2001:db8::1"), Some("fd00::1".parse().unwrap()));
    assert_eq!(from("fe80::99"), Some("fe80::1".parse().unwrap()));
}
