//! Two hosts of several cores, each of which opens connections to the other host.

use crate::hosts::{Host, PORT, STEP_US};
use crore::Drop;
use crore::driver::pipe;
use crore::mem::Memory;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

const EACH: u32 = 400;

struct Pair {
    near: Host,
    far: Host,
    now_us: u64,
}

impl Pair {
    /// Hosts with so many cores; every core is to open connections to the other host.
    fn new((near, far): (u16, u16), addresses: [&str; 2]) -> Self {
        let [near_ip, far_ip] = addresses.map(|text| text.parse::<IpAddr>().unwrap());
        let (near, far) = pipe::queues(&mut Memory::heap(), (near, far), 512, 1500).unwrap();
        let mut near = Host::new(near, &[near_ip], |_| {});
        let mut far = Host::new(far, &[far_ip], |_| {});
        for (host, remote) in [(&mut near, far_ip), (&mut far, near_ip)] {
            for core in 0..host.cores.len() {
                let opening = (SocketAddr::new(remote, PORT), None);
                host.service(core).to_open.extend((0..EACH).map(|_| opening));
            }
        }
        Self { near, far, now_us: 0 }
    }

    fn hosts(&self) -> [&Host; 2] {
        [&self.near, &self.far]
    }

    /// Turns until this is so of every core.
    fn run_until(&mut self, what: &str, is_so: impl Fn(&Host) -> bool) {
        for _ in 0..20_000 {
            self.now_us += STEP_US;
            self.near.turn_at(self.now_us);
            self.far.turn_at(self.now_us);
            if self.hosts().into_iter().all(&is_so) {
                return;
            }
        }
        panic!("not {what}: {:?}", self.near.counters().collect::<Vec<_>>());
    }

    /// All open at the same time, all used, all closed; nothing strays.
    fn play(&mut self) {
        let total = EACH * (self.near.cores.len() + self.far.cores.len()) as u32;
        self.run_until("all used", |host| host.talkers().all(|talker| talker.words == EACH));
        let accepted: u32 =
            self.hosts().iter().flat_map(|host| host.talkers()).map(|t| t.accepted).sum();
        assert_eq!(accepted, total);
        for host in self.hosts() {
            host.check();
            assert!(host.talkers().all(|talker| talker.accepted > 0), "every core has some");
            assert!(host.talkers().all(|talker| talker.opened == EACH));
            // Cores of one host share addresses and ports, and never a tuple.
            let locals = host.talkers().flat_map(|talker| &talker.locals);
            assert_eq!(locals.collect::<HashSet<_>>().len(), host.cores.len() * EACH as usize);
            for counters in host.counters() {
                assert_eq!((counters.strays, counters.no_port, counters.retransmits), (0, 0, 0));
                assert_eq!(counters.dropped(Drop::NoConnection), 0);
                assert_eq!(counters.resets_out, 0);
            }
        }
        self.hang_up();
        for counters in self.hosts().into_iter().flat_map(Host::counters) {
            assert_eq!((counters.strays, counters.resets_out), (0, 0));
            assert_eq!(counters.dropped(Drop::NoConnection), 0);
        }
    }

    fn hang_up(&mut self) {
        for host in [&mut self.near, &mut self.far] {
            for core in &mut host.cores {
                core.engine_mut().with_turn(|_, turn| {
                    for index in 0..4096 {
                        let Some(mut conn) = turn.conn_at(index) else { continue };
                        if *conn.state() == 1 {
                            conn.close();
                        }
                    }
                });
            }
        }
        let is_over = |host: &Host| host.cores.iter().all(|c| c.engine().stack().conns() == 0);
        self.run_until("over", is_over);
        self.hosts().into_iter().for_each(Host::check);
    }
}

#[test]
fn every_segment_over_ipv4_arrives_at_its_own_core() {
    Pair::new((3, 4), ["10.0.0.1", "10.0.0.2"]).play();
}

#[test]
fn every_segment_over_ipv6_arrives_at_its_own_core() {
    Pair::new((4, 3), ["fd00::1", "fd00::2"]).play();
}

#[test]
fn one_core_talks_to_many() {
    Pair::new((1, 8), ["10.0.0.1", "10.0.0.2"]).play();
}
