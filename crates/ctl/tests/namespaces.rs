//! Against a real kernel: a veth pair between two network namespaces of this test's own.
//!
//! Needs root. Without it the test says that it was skipped.

use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crore_ctl::{Event, Reach, Watch, interface, keep_resolved, neighbours, resolve};

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
        for (namespace, link, address) in [(near, "v0", 1), (far, "v1", 2)] {
            ip(&format!("-n {namespace} addr add 10.77.0.{address}/24 dev {link}"));
            ip(&format!("-n {namespace} addr add 2001:db8:77::{address}/64 dev {link} nodad"));
            ip(&format!("-n {namespace} link set {link} up"));
        }
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

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("`ip` is installed");
    assert!(status.success(), "ip {arguments}");
}

/// Runs in a thread of its own, which alone enters the namespace.
fn inside<R: Send + 'static>(namespace: &str, work: impl FnOnce() -> R + Send + 'static) -> R {
    let path = format!("/run/netns/{namespace}");
    let entered = move || {
        let file = std::fs::File::open(path).unwrap();
        // SAFETY: a descriptor of a network namespace; only this thread moves there.
        let answer = unsafe {
            use std::os::fd::AsRawFd as _;
            libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET)
        };
        assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
        work()
    };
    std::thread::spawn(entered).join().unwrap()
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

#[test]
fn a_veth_interface_is_described_and_its_neighbours_are_resolved_and_watched() {
    // SAFETY: no arguments, no failure.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("SKIPPED: network namespaces need root");
        return;
    }
    let namespaces = Namespaces::new();
    let far_mac = inside(&namespaces.far, || interface("v1").unwrap().mac);
    let far = namespaces.far.clone();
    inside(&namespaces.near, move || {
        let v0 = interface("v0").unwrap();
        assert!(v0.up && v0.carrier && v0.is_veth(), "{v0:?}");
        assert_eq!(v0.mtu, 1500);
        let addresses: Vec<_> =
            v0.addresses.iter().map(|p| format!("{}/{}", p.address, p.len)).collect();
        assert!(addresses.contains(&"10.77.0.1/24".to_owned()), "{addresses:?}");
        assert!(addresses.contains(&"2001:db8:77::1/64".to_owned()), "{addresses:?}");
        let gateway: IpAddr = "10.77.0.2".parse().unwrap();
        assert_eq!(v0.gateways, [gateway]);
        assert_eq!(v0.gateway_for("9.9.9.9".parse().unwrap()), Some(gateway));
        assert_eq!(v0.gateway_for("2600::1".parse().unwrap()), None);

        // Nobody has sent a packet: asking for the gateway makes Linux resolve it, and tell.
        let mut watch = Watch::open().unwrap();
        resolve(v0.index, gateway).unwrap();
        let resolved = |address: IpAddr| {
            move |event: &Event| match event {
                Event::Neighbour(neighbour) if neighbour.address == address => neighbour.mac,
                _ => None,
            }
        };
        assert_eq!(wait_for(&mut watch, resolved(gateway)), far_mac);
        let listed = neighbours(v0.index).unwrap();
        assert!(
            listed.iter().any(|n| n.address == gateway && n.mac == Some(far_mac)),
            "{listed:?}"
        );

        // A managed neighbour over IPv6.
        let far_v6: IpAddr = "2001:db8:77::2".parse().unwrap();
        assert!(keep_resolved(v0.index, far_v6).unwrap(), "this kernel has managed neighbours");
        assert_eq!(wait_for(&mut watch, resolved(far_v6)), far_mac);
        // Once more, with the entry there already: it stays known.
        assert!(keep_resolved(v0.index, far_v6).unwrap());
        let listed = neighbours(v0.index).unwrap();
        assert!(listed.iter().any(|n| n.address == far_v6 && n.mac == Some(far_mac)), "{listed:?}");

        // Nobody has this address.
        let nobody: IpAddr = "10.77.0.99".parse().unwrap();
        resolve(v0.index, nobody).unwrap();
        wait_for(&mut watch, |event| match event {
            Event::Neighbour(n) if n.address == nobody && n.reach == Reach::Failed => Some(()),
            _ => None,
        });

        // The other end goes down and takes the carrier with it; then an address is added.
        ip(&format!("-n {far} link set v1 down"));
        wait_for(&mut watch, |event| match event {
            Event::Link { interface, ready: false, .. } if *interface == v0.index => Some(()),
            _ => None,
        });
        assert!(!interface("v0").unwrap().carrier);
    });
    let near = namespaces.near.clone();
    inside(&namespaces.near, move || {
        let mut watch = Watch::open().unwrap();
        for (verb, expected) in [("add", true), ("del", false)] {
            ip(&format!("-n {near} addr {verb} 10.78.0.1/16 dev v0"));
            let prefix = wait_for(&mut watch, |event| match event {
                Event::Address { prefix, present, .. } if *present == expected => Some(*prefix),
                _ => None,
            });
            assert_eq!((prefix.address.to_string(), prefix.len), ("10.78.0.1".to_owned(), 16));
        }
    });
}
