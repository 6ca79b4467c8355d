//! The ports that one core of several may connect from.

use crate::hosts::{Host, PORT, STEP_US};
use crore::driver::pipe;
use crore::mem::Memory;
use crore::{ConnectError, Engine};
use std::net::{IpAddr, SocketAddr};

const REMOTE: [u8; 4] = [10, 0, 0, 2];
const LOCAL: [u8; 4] = [10, 0, 0, 1];
const FIRST_PORT: u16 = 65_000;

/// A host of four cores with few ports; what it sends goes nowhere.
fn host() -> (Host, pipe::Queue) {
    let (near, mut far) = pipe::queues(&mut Memory::heap(), (4, 1), 512, 1500).unwrap();
    let addresses = [IpAddr::from(LOCAL)];
    (Host::new(near, &addresses, |config| config.ephemeral_first = FIRST_PORT), far.remove(0))
}

/// The ports that come back to this core, worked out from the hash of a whole tuple.
fn own_ports(host: &Host, core: usize) -> Vec<u16> {
    let steering = host.cores[core].link().steering().unwrap();
    let queue_of = |port| {
        let (remote, local) = (u32::from_be_bytes(REMOTE), u32::from_be_bytes(LOCAL));
        steering.rss.queue_of(steering.rss.hash_v4(remote, local, PORT, port))
    };
    (FIRST_PORT..=65_535).filter(|&port| usize::from(queue_of(port)) == core).collect()
}

fn connect<S: crore::Service>(
    engine: &mut Engine<S>,
    local: Option<u16>,
) -> Result<u16, ConnectError> {
    let local = local.map(|port| SocketAddr::from((LOCAL, port)));
    engine.with_turn(|_, turn| {
        let id = turn.connect(SocketAddr::from((REMOTE, PORT)), local)?;
        Ok(turn.conn(id).unwrap().local().port())
    })
}

#[test]
fn each_core_opens_from_all_ports_that_come_back_to_it_and_from_no_other() {
    let (mut host, _far) = host();
    let mut all = 0;
    for core in 0..4 {
        let expected = own_ports(&host, core);
        let engine = host.cores[core].engine_mut();
        let mut ports: Vec<u16> =
            expected.iter().map_while(|_| connect(engine, None).ok()).collect();
        ports.sort_unstable();
        assert_eq!(ports, expected, "core {core}");
        all += ports.len();
    }
    assert_eq!(all, 65_536 - usize::from(FIRST_PORT));
}

#[test]
fn a_core_without_a_port_of_its_own_says_so_after_a_bounded_search() {
    let (mut host, _far) = host();
    let own = own_ports(&host, 2).len();
    let engine = host.cores[2].engine_mut();
    for _ in 0..own {
        assert!(connect(engine, None).is_ok());
    }
    assert_eq!(connect(engine, None), Err(ConnectError::NoPort));
    assert_eq!(engine.stack().counters().no_port, 1);
}

#[test]
fn a_port_of_the_callers_that_comes_back_elsewhere_is_refused() {
    let (mut host, _far) = host();
    let (own, other) = (own_ports(&host, 1)[0], own_ports(&host, 3)[0]);
    let engine = host.cores[1].engine_mut();
    assert_eq!(connect(engine, Some(other)), Err(ConnectError::OtherCore));
    assert_eq!(connect(engine, Some(own)), Ok(own));
    host.turn_at(STEP_US);
}
