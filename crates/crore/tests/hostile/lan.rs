//! Three hosts on one Ethernet, in virtual time: a server, an honest client, and a bait whose
//! connections the attacker sees and forges frames for.

use crore::mem::Memory;
use crore::mem::frames::TX_BURST_MAX;
use crore::mem::frames::heap::HeapFrames;
use crore::{AddressRange, Counters, Engine, Interface, StackConfig};
use crore::{ConnId, Service};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::honest::Honest;
use crate::luck::Luck;
use crate::plays::{Bait, Echo};

pub(crate) const SERVER: u8 = 2;
/// Far from the others in bits: a flipped one does not make a forgery the honest client's.
pub(crate) const HONEST: u8 = 0xd6;
pub(crate) const BAIT: u8 = 1;
pub(crate) const NOBODY: u8 = 77;

pub(crate) fn mac(host: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, host]
}

pub(crate) fn v4(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, host)
}

pub(crate) fn v6(host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(host))
}

/// One engine on the wire.
pub(crate) struct Host<S: Service> {
    pub(crate) engine: Engine<S>,
    pub(crate) inbox: VecDeque<Vec<u8>>,
    pub(crate) memory: Memory,
    frames: HeapFrames,
    /// Frames that the engine was given.
    pub(crate) given: u64,
}

impl<S: Service> Host<S> {
    pub(crate) fn new(host: u8, vlan: Option<u16>, config: StackConfig, service: S) -> Self {
        let interface = Interface {
            vlan,
            ..Interface::new(
                mac(host),
                1500,
                vec![
                    AddressRange::one(IpAddr::V4(v4(host)), 8),
                    AddressRange::one(IpAddr::V6(v6(host)), 64),
                ],
            )
        };
        let mut memory = Memory::heap();
        let engine = Engine::new(config, &interface, service, &mut memory, [host; 32]).unwrap();
        let frames = HeapFrames::new(TX_BURST_MAX, 1600);
        Self { engine, inbox: VecDeque::new(), memory, frames, given: 0 }
    }

    /// One turn: takes up to a burst of the inbox; returns the frames sent.
    pub(crate) fn turn(&mut self, now_us: u64) -> Vec<Vec<u8>> {
        let count = self.inbox.len().min(64);
        let arrived: Vec<Vec<u8>> = self.inbox.drain(..count).collect();
        self.given += count as u64;
        self.engine.turn_over(&mut self.frames, &arrived, now_us)
    }

    /// All live connections.
    pub(crate) fn conns(&self) -> Vec<ConnId> {
        let max = self.engine.stack().config().conns_max;
        (0..max).filter_map(|index| self.engine.conn_id(index)).collect()
    }

    pub(crate) fn counters(&self) -> Counters {
        *self.engine.stack().counters()
    }
}

/// All three, and the time.
pub(crate) struct Lan {
    pub(crate) server: Host<Echo>,
    pub(crate) honest: Host<Honest>,
    pub(crate) bait: Host<Bait>,
    pub(crate) now_us: u64,
    pub(crate) luck: Luck,
    /// Frames that the bait sent lately, for the attacker.
    pub(crate) seen: Vec<Vec<u8>>,
    /// Frames that the server sent to the bait lately: what ICMP errors quote.
    pub(crate) answers: Vec<Vec<u8>>,
    /// Broadcasts of the server that ask for the honest client's IPv4 address.
    pub(crate) asked_for_honest: u32,
    last_of_honest: Vec<u8>,
    turns: u32,
}

impl Lan {
    pub(crate) fn new(seed: u64, vlan: Option<u16>) -> Self {
        let mut server = Host::new(SERVER, vlan, server_config(), Echo::new(seed));
        server.engine.listen(80);
        server.engine.listen(81);
        let honest = Host::new(HONEST, vlan, StackConfig::for_connections(64), Honest::default());
        let mut bait = Host::new(BAIT, vlan, bait_config(), Bait::new(seed));
        bait.engine.listen(90);
        Self {
            server,
            honest,
            bait,
            now_us: 1_000_000,
            luck: Luck(seed),
            seen: Vec::new(),
            answers: Vec::new(),
            asked_for_honest: 0,
            last_of_honest: Vec::new(),
            turns: 0,
        }
    }

    /// One turn of everybody, half a millisecond after the last; the attacker adds `forged`.
    pub(crate) fn turn(&mut self, forged: impl IntoIterator<Item = Vec<u8>>) {
        self.now_us += 500;
        for frame in self.honest.turn(self.now_us) {
            self.last_of_honest.clone_from(&frame);
            self.server.inbox.push_back(frame);
        }
        for frame in self.bait.turn(self.now_us) {
            if frame[..6] == mac(HONEST) || frame[0] & 1 == 1 {
                self.honest.inbox.push_back(frame.clone());
            }
            remember(&mut self.seen, &frame, &mut self.luck);
            if self.luck.below(8) > 0 {
                self.server.inbox.push_back(frame);
            }
        }
        self.server.inbox.extend(forged);
        for frame in self.server.turn(self.now_us) {
            self.deliver(frame);
        }
        self.turns += 1;
        if self.turns.is_multiple_of(16) {
            self.server.engine.stack().check();
        }
    }

    /// Hands a frame of the server to whom it is for; the bait does not get all.
    fn deliver(&mut self, frame: Vec<u8>) {
        let everybody = frame[0] & 1 == 1;
        if frame[..6] == [0xff; 6]
            && frame[12..14] == [8, 6]
            && frame[38..42] == v4(HONEST).octets()
        {
            self.asked_for_honest += 1;
        }
        if everybody || frame[..6] == mac(BAIT) {
            remember(&mut self.answers, &frame, &mut self.luck);
            if self.luck.below(8) > 0 {
                self.bait.inbox.push_back(frame.clone());
            }
        }
        if everybody || frame[..6] == mac(HONEST) {
            self.honest.inbox.push_back(frame);
        }
    }

    /// Turns so far.
    pub(crate) fn turns_so_far(&self) -> u32 {
        self.turns
    }

    /// Server and honest client send what they have before they hear of each other.
    pub(crate) fn both_send_at_once(&mut self) {
        let from_server = self.server.turn(self.now_us);
        let from_honest = self.honest.turn(self.now_us);
        self.server.inbox.extend(from_honest);
        for frame in from_server {
            self.deliver(frame);
        }
    }

    /// The honest client's last frame arrives once more. Says how many frames the server sends in
    /// the next 50 ms.
    pub(crate) fn repeat_last_of_honest(&mut self) -> u64 {
        let last = self.last_of_honest.clone();
        let before = self.server.counters().tx_frames;
        self.turn([last]);
        self.wait(50, |_| false);
        self.server.counters().tx_frames - before
    }

    /// Quiet turns for `ms` milliseconds, or until `done`; says whether it was.
    pub(crate) fn wait(&mut self, ms: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now_us + ms * 1000;
        while self.now_us < end {
            if done(self) {
                return true;
            }
            self.turn([]);
        }
        done(self)
    }

    /// Opens honest connections, half of them over IPv6.
    pub(crate) fn open_honest(&mut self, count: u32) {
        self.honest.engine.with_turn(|honest, turn| {
            for i in 0..count {
                let to = if i % 2 == 0 { IpAddr::V4(v4(SERVER)) } else { IpAddr::V6(v6(SERVER)) };
                turn.connect((to, 80).into(), None).unwrap();
                honest.opening += 1;
            }
        });
        assert!(self.wait(10_000, |lan| lan.honest.engine.service().opening == 0), "all open");
    }

    /// Every honest connection sends `octets` more, and gets them all back in order.
    pub(crate) fn echo_honest(&mut self, octets: u32, ms: u64) {
        self.honest.engine.service_mut().more(octets);
        let done = self.wait(ms, |lan| lan.honest.engine.service().is_done());
        let honest = self.honest.engine.service();
        assert!(done, "{honest:?}, server {:?}", self.server.counters());
        assert_eq!(honest.bad_octets, 0);
        assert_eq!(honest.lost, 0);
    }

    /// Everybody ends all connections; when the timers have run out, nothing is left.
    pub(crate) fn nothing_is_left(&mut self) {
        self.bait.engine.service_mut().quiet = true;
        self.server.engine.service_mut().quiet = true;
        let honest = self.honest.conns();
        self.honest.engine.with_turn(|_, turn| {
            for id in honest {
                turn.conn(id).unwrap().close();
            }
        });
        assert!(self.wait(10_000, |lan| lan.honest.engine.stack().conns() == 0), "honest ends");
        let rest = self.server.conns();
        self.server.engine.with_turn(|_, turn| {
            for id in rest {
                turn.conn(id).unwrap().abort();
            }
        });
        let is_empty = |lan: &Self| {
            let stack = lan.server.engine.stack();
            stack.conns() + stack.half_open() + stack.time_wait() + stack.flow_entries() == 0
                && stack.timer_entries() == 0
        };
        // The last SYN-ACK of a half-open connection waits longest; the client's keep-alive.
        self.wait(60_000, is_empty);
        let stack = self.server.engine.stack();
        stack.check();
        let left = self.server.conns();
        let left: Vec<_> = left.iter().map(|id| stack.tcb(id.index)).collect();
        assert!(left.is_empty(), "connections: {left:?}");
        assert_eq!(stack.half_open(), 0, "half-open connections");
        assert_eq!(stack.time_wait(), 0, "TIME-WAIT records");
        assert_eq!(stack.flow_entries(), 0, "flow entries");
        assert_eq!(stack.blocks_in_use(), 0, "blocks");
        assert_eq!(stack.output_waiting(), 0, "waiting for output");
        assert_eq!(stack.timer_entries(), 0, "timer entries");
        assert_eq!(self.server.engine.service().live, 0, "each was told of its end");
    }

    /// Each frame that the server was given has one fate, and is counted under it.
    pub(crate) fn every_frame_is_accounted_for(&self) {
        let counters = self.server.counters();
        assert_eq!(counters.rx_frames, self.server.given);
        assert_eq!(counters.rx_frames, counters.frames_taken() + counters.frames_dropped());
    }
}

/// Keeps a frame among the last few hundred.
fn remember(frames: &mut Vec<Vec<u8>>, frame: &[u8], luck: &mut Luck) {
    if frames.len() < 256 {
        frames.push(frame.to_vec());
    } else {
        frames[luck.below(256)] = frame.to_vec();
    }
}

/// Short times, so that a run of seconds sees every timer run out.
fn server_config() -> StackConfig {
    StackConfig {
        half_open_max: 1024,
        rto_initial_ms: 200,
        time_wait_ms: 2000,
        fin_wait_2_ms: 2000,
        data_retries: 4,
        keepalive_idle_ms: Some(4096),
        keepalive_interval_ms: 1024,
        keepalive_probes: 3,
        ..StackConfig::for_connections(256)
    }
}

fn bait_config() -> StackConfig {
    StackConfig {
        rto_initial_ms: 200,
        time_wait_ms: 200,
        fin_wait_2_ms: 1000,
        data_retries: 3,
        syn_retries: 2,
        ..StackConfig::for_connections(128)
    }
}
