use std::net::IpAddr;

use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteNextHop,
};

use super::{Prefix, default_routes_in, interface, interfaces};
use crate::CtlError;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn prefix(address: &str, len: u8) -> Prefix {
    Prefix { address: ip(address), len }
}

#[test]
fn a_prefix_covers_its_network_and_nothing_else() {
    let home = prefix("192.168.7.5", 22);
    assert!(home.covers(ip("192.168.4.1")) && home.covers(ip("192.168.7.255")));
    assert!(!home.covers(ip("192.168.8.1")) && !home.covers(ip("fe80::1")));
    assert!(prefix("10.0.0.1", 32).covers(ip("10.0.0.1")));
    assert!(!prefix("10.0.0.1", 32).covers(ip("10.0.0.0")));
    // No bits: everything of its family, and no overflow.
    assert!(prefix("0.0.0.0", 0).covers(ip("255.1.2.3")));
    assert!(prefix("::", 0).covers(ip("ff02::1")) && !prefix("::", 0).covers(ip("1.2.3.4")));
    assert!(prefix("2001:db8:1::1", 48).covers(ip("2001:db8:1:ffff::9")));
    assert!(!prefix("2001:db8:1::1", 48).covers(ip("2001:db8:2::1")));
}

#[test]
fn loopback_is_found_with_its_address() {
    let lo = interface("lo").unwrap();
    assert_eq!((lo.mac, lo.kind.as_deref(), lo.is_veth()), ([0; 6], None, false));
    if lo.up {
        assert!(lo.addresses.contains(&prefix("127.0.0.1", 8)), "{lo:?}");
    }
    assert!(
        interfaces().unwrap().iter().any(|found| found.name == "lo" && found.index == lo.index)
    );
}

#[test]
fn a_wrong_name_is_answered_with_the_right_ones() {
    let error = interface("eth-not-there").unwrap_err();
    let CtlError::NoSuchInterface { name, existing } = &error else { panic!("{error}") };
    assert_eq!(name, "eth-not-there");
    assert!(existing.contains(&"lo".to_owned()));
    assert!(error.to_string().contains("there are: "), "{error}");
}

fn default_route(attributes: Vec<RouteAttribute>) -> RouteMessage {
    let mut route = RouteMessage::default();
    route.header.table = RouteHeader::RT_TABLE_MAIN;
    route.attributes = attributes;
    route
}

fn via(address: &str) -> RouteAttribute {
    RouteAttribute::Gateway(RouteAddress::from(ip(address)))
}

#[test]
fn default_routes_give_their_next_hops() {
    let found = |route: &RouteMessage| -> Vec<_> {
        default_routes_in(route).iter().map(|hop| (hop.index, hop.gateway, hop.metric)).collect()
    };
    let plain = [RouteAttribute::Oif(3), via("10.0.0.254"), RouteAttribute::Priority(100)];
    let plain = default_route(plain.to_vec());
    assert_eq!(found(&plain), [(3, ip("10.0.0.254"), 100)]);

    let hop = |index, address| {
        let mut hop = RouteNextHop::default();
        hop.interface_index = index;
        hop.attributes = vec![via(address)];
        hop
    };
    let several = vec![hop(3, "fe80::1"), hop(4, "fe80::2")];
    let several = default_route(vec![RouteAttribute::MultiPath(several)]);
    assert_eq!(found(&several), [(3, ip("fe80::1"), 0), (4, ip("fe80::2"), 0)]);

    // Of another table, to a network, or straight onto the link: no gateway.
    let mut other = plain.clone();
    other.header.table = 7;
    assert_eq!(found(&other), []);
    let mut network = plain;
    network.header.destination_prefix_length = 8;
    assert_eq!(found(&network), []);
    assert_eq!(found(&default_route(vec![RouteAttribute::Oif(3)])), []);
}
