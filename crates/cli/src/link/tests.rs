use super::*;

fn range(text: &str) -> AddressRange {
    text.parse::<AddressArg>().unwrap().0
}

fn surroundings(addresses: &[&str]) -> Surroundings {
    let addresses = addresses.iter().map(|text| range(text)).collect();
    Surroundings::without_kernel(1, addresses)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A server on this link, without an address.
fn of(link: &LinkArg) -> Result<Surroundings> {
    Surroundings::of(link, &[], memif::Role::Server, HugePages::None)
}

#[test]
fn a_memif_link_needs_an_address_of_ours() {
    let link = "memif:/run/crore.sock".parse().unwrap();
    let error = of(&link).unwrap_err().to_string();
    assert!(error.contains("--address"), "{error}");
}

#[test]
fn a_tap_needs_an_address_of_our_own() {
    let tap = LinkArg::Tap { name: "tap0".to_owned() };
    let error = of(&tap).unwrap_err().to_string();
    assert!(error.contains("--address"), "{error}");
}

#[test]
fn an_interface_that_is_not_there_is_named_with_those_that_are() {
    let link = "xdp:no-such-one".parse().unwrap();
    let error = of(&link).unwrap_err().to_string();
    assert!(error.contains("`no-such-one`") && error.contains("lo"), "{error}");
}

#[test]
fn listening_on_one_address_leaves_the_others_alone() {
    let all = surroundings(&["10.0.0.1-10.0.0.9/24", "fd00::1/64"]);
    let mut one = all.clone();
    one.only(ip("10.0.0.7")).unwrap();
    assert_eq!(one.each_address().collect::<Vec<_>>(), [ip("10.0.0.7")]);
    let mut any = all.clone();
    any.only(ip("0.0.0.0")).unwrap();
    assert_eq!(any.each_address().count(), 9);
    let error = all.clone().only(ip("10.0.0.10")).unwrap_err().to_string();
    assert!(error.contains("10.0.0.10 is none of our addresses"), "{error}");
}

#[test]
fn what_is_not_on_the_link_needs_a_gateway() {
    let here = surroundings(&["10.0.0.1/24"]);
    assert_eq!(here.next_hop(ip("10.0.0.200")).unwrap(), ip("10.0.0.200"));
    let error = here.next_hop(ip("192.0.2.1")).unwrap_err().to_string();
    assert!(error.contains("no way to 192.0.2.1"), "{error}");
}

#[test]
fn a_path_is_proven_with_hosts_and_not_with_groups_each_asked_once() {
    let known = ["10.0.0.9", "224.0.0.22", "10.0.0.1", "fe80::1", "10.0.0.9", "255.255.255.255"];
    let hosts = hosts_to_ask(known.iter().map(|text| ip(text)));
    assert_eq!(hosts, [Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(10, 0, 0, 1)]);
    let many = (1..=9).map(|number| IpAddr::from([10, 0, 0, number]));
    assert_eq!(hosts_to_ask(many).len(), PEERS_MAX);
}
