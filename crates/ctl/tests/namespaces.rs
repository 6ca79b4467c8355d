//! Against a real kernel: a veth pair between two network namespaces of this test's own.
//!
//! What is asked inside a namespace is asked by this test binary, run again there.
//! Needs root. Without it the test says that it was skipped.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crore_ctl::{
    Event, InterfaceInfo, Reach, Watch, interface, keep_resolved, neighbours, resolve,
};

/// Two namespaces that go away with this, whatever happens.
struct Namespaces {
    near: String,
    far: String,
}

impl Namespaces {
    /// Near has `v0` with 10.77.0.1/24 and a default route, far has `v1` with 10.77.0.2/24.
    fn new() -> Self {
        let pid = std::process::id();
        let pair = Self { near: format!("ctl-near-{pid}"), far: format!("ctl-far-{pid}") };
        let (near, far) = (&pair.near, &pair.far);
        ip(&format!("netns add {near}"));
        ip(&format!("netns add {far}"));
        ip(&format!("-n {near} link add v0 type veth peer name v1 netns {far}"));
        for (namespace, link, host) in [(near, "v0", 1), (far, "v1", 2)] {
            ip(&format!("-n {namespace} addr add 10.77.0.{host}/24 dev {link}"));
            ip(&format!("-n {namespace} addr add 2001:db8:77::{host}/64 dev {link} nodad"));
            ip(&format!("-n {namespace} link set {link} up"));
        }
        ip(&format!("-n {far} link set v1 address {FAR_MAC_TEXT}"));
        ip(&format!("-n {near} route add default via 10.77.0.2"));
        pair
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x77];
const FAR_MAC_TEXT: &str = "02:00:00:00:00:77";

/// The far namespace's name, for the process in the near one.
const FAR_VARIABLE: &str = "CRORE_CTL_TEST_FAR";

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("`ip` is installed");
    assert!(status.success(), "ip {arguments}");
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_veth_interface_is_described_and_its_neighbours_are_resolved_and_watched() {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("SKIPPED: network namespaces need root");
        return;
    }
    let namespaces = Namespaces::new();
    let status = Command::new("ip")
        .args(["netns", "exec", &namespaces.near])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "inside_the_near_namespace", "--ignored", "--nocapture"])
        .env(FAR_VARIABLE, &namespaces.far)
        .status()
        .unwrap();
    assert!(status.success());
}

/// Not a test of its own: what the test above does inside its namespace.
#[test]
#[ignore = "run by the other test"]
fn inside_the_near_namespace() {
    let Ok(far) = std::env::var(FAR_VARIABLE) else { return };
    let v0 = described();
    let mut watch = Watch::open().unwrap();
    gateway_is_resolved(&v0, &mut watch);
    managed_neighbour_is_resolved_and_kept(&v0, &mut watch);
    nobody_is_not_resolved(&v0, &mut watch);
    addresses_come_and_go(&mut watch);
    carrier_is_lost(&v0, &far, &mut watch);
}

fn described() -> InterfaceInfo {
    let v0 = interface("v0").unwrap();
    assert!(v0.up && v0.carrier && v0.is_veth(), "{v0:?}");
    assert_eq!(v0.mtu, 1500);
    let prefixes: Vec<_> =
        v0.addresses.iter().map(|prefix| format!("{}/{}", prefix.address, prefix.len)).collect();
    assert!(prefixes.contains(&"10.77.0.1/24".to_owned()), "{prefixes:?}");
    assert!(prefixes.contains(&"2001:db8:77::1/64".to_owned()), "{prefixes:?}");
    assert_eq!(v0.gateways, [address("10.77.0.2")]);
    assert_eq!(v0.gateway_for(address("9.9.9.9")), Some(address("10.77.0.2")));
    assert_eq!(v0.gateway_for(address("2600::1")), None);
    v0
}

/// Nobody has sent a packet: asking for the gateway makes Linux resolve it, and tell.
fn gateway_is_resolved(v0: &InterfaceInfo, watch: &mut Watch) {
    let gateway = address("10.77.0.2");
    resolve(v0.index, gateway).unwrap();
    assert_eq!(wait_for_mac(watch, gateway), FAR_MAC);
    let listed = neighbours(v0.index).unwrap();
    assert!(listed.iter().any(|n| n.address == gateway && n.mac == Some(FAR_MAC)), "{listed:?}");
}

fn managed_neighbour_is_resolved_and_kept(v0: &InterfaceInfo, watch: &mut Watch) {
    let far = address("2001:db8:77::2");
    assert!(keep_resolved(v0.index, far).unwrap(), "this kernel has managed neighbours");
    assert_eq!(wait_for_mac(watch, far), FAR_MAC);
    // Once more, with the entry there already: it stays known.
    assert!(keep_resolved(v0.index, far).unwrap());
    let listed = neighbours(v0.index).unwrap();
    assert!(listed.iter().any(|n| n.address == far && n.mac == Some(FAR_MAC)), "{listed:?}");
}

fn nobody_is_not_resolved(v0: &InterfaceInfo, watch: &mut Watch) {
    let nobody = address("10.77.0.99");
    resolve(v0.index, nobody).unwrap();
    wait_for(watch, |event| match event {
        Event::Neighbour(n) if n.address == nobody && n.reach == Reach::Failed => Some(()),
        _ => None,
    });
}

fn addresses_come_and_go(watch: &mut Watch) {
    for (verb, expected) in [("add", true), ("del", false)] {
        ip(&format!("addr {verb} 10.78.0.1/16 dev v0"));
        let prefix = wait_for(watch, |event| match event {
            Event::Address { prefix, present, .. } if *present == expected => Some(*prefix),
            _ => None,
        });
        assert_eq!((prefix.address, prefix.len), (address("10.78.0.1"), 16));
    }
}

/// The other end goes down and takes the carrier with it.
fn carrier_is_lost(v0: &InterfaceInfo, far: &str, watch: &mut Watch) {
    ip(&format!("-n {far} link set v1 down"));
    wait_for(watch, |event| match event {
        Event::Link { interface, ready: false, .. } if *interface == v0.index => Some(()),
        _ => None,
    });
    assert!(!interface("v0").unwrap().carrier);
}

fn wait_for_mac(watch: &mut Watch, address: IpAddr) -> [u8; 6] {
    wait_for(watch, |event| match event {
        Event::Neighbour(neighbour) if neighbour.address == address => neighbour.mac,
        _ => None,
    })
}

/// Waits for an event that `wanted` picks.
fn wait_for<T>(watch: &mut Watch, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(10);
    let mut seen = Vec::new();
    loop {
        let mut found = None;
        watch
            .poll(|event| {
                found = found.take().or_else(|| wanted(&event));
                seen.push(event);
            })
            .unwrap();
        if let Some(found) = found {
            return found;
        }
        assert!(Instant::now() < end, "the event did not come; seen: {seen:#?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
