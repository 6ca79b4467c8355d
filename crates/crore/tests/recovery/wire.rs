//! Two engines, a wire with a rate, a delay and a queue, virtual time from event to event.
//!
//! ```text
//!   host 0 ── frames ──> rule(frame)? ──> queue, rate ──> delay ──> host 1, and back
//! ```

use crore::mem::frames::TX_BURST_MAX;
use crore::mem::frames::heap::HeapFrames;
use crore::mem::{Memory, PoolClass};
use crore::{
    AddressRange, Conn, ConnId, Counters, Engine, Interface, Service, Stack, StackConfig, Turn,
};
use crore_wire::{ethernet, ipv4, tcp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write as _;
use std::net::IpAddr;

/// Sends without end when told to, and counts what comes.
#[derive(Default)]
pub(crate) struct Stream {
    pub(crate) endless: bool,
    /// It leaves what comes unread.
    pub(crate) pauses: bool,
    pub(crate) received: u64,
    /// Of each connection, by its slot.
    pub(crate) received_by: BTreeMap<u32, u64>,
    pub(crate) sent: u64,
    pub(crate) conn: Option<ConnId>,
    pub(crate) closed: Option<crore::Closed>,
}

impl Stream {
    pub(crate) fn fill(&mut self, conn: &mut Conn<'_, ()>) {
        let chunk = [0x5a; 16 << 10];
        while self.endless {
            let taken = conn.send(&chunk);
            self.sent += taken as u64;
            if taken < chunk.len() {
                return;
            }
        }
    }
}

impl Service for Stream {
    type State = ();
    fn accepted(&mut self, conn: &mut Conn<'_, ()>) {
        self.conn = Some(conn.id());
        self.fill(conn);
    }
    fn connected(&mut self, conn: &mut Conn<'_, ()>) {
        self.conn = Some(conn.id());
        self.fill(conn);
    }
    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        if self.pauses {
            return 0;
        }
        self.received += bytes.len() as u64;
        *self.received_by.entry(conn.id().index).or_default() += bytes.len() as u64;
        bytes.len()
    }
    fn writable(&mut self, conn: &mut Conn<'_, ()>) {
        self.fill(conn);
    }
    fn closed(&mut self, _: &mut Conn<'_, ()>, why: crore::Closed) {
        self.closed = Some(why);
    }
    fn turn(&mut self, _: &mut Turn<'_, ()>) {}
}

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Arrives,
    Lost,
    /// Held back by so many microseconds; others overtake it.
    Late(u64),
    Twice,
}

/// A frame that a host sent, in numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) at_us: u64,
    pub(crate) from: usize,
    pub(crate) header: tcp::Header,
    pub(crate) len: usize,
    pub(crate) fate: Fate,
}

/// One direction of the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub(crate) delay_us: u64,
    /// Octets a second.
    pub(crate) rate: u64,
    /// Longest wait in the queue.
    pub(crate) queue_us: u64,
}

struct Host {
    engine: Engine<Stream>,
    frames: HeapFrames,
    inbox: Vec<Vec<u8>>,
    wake_us: Option<u64>,
}

/// When it arrives, its number, to whom, and its octets.
type Flight = (u64, u64, usize, Vec<u8>);

pub(crate) struct World {
    hosts: [Host; 2],
    path: Path,
    free_at_us: [u64; 2],
    under_way: BinaryHeap<Reverse<Flight>>,
    number: u64,
    pub(crate) now_us: u64,
    pub(crate) seen: Vec<Seen>,
    pub(crate) keeps_seen: bool,
}

impl World {
    /// Host 0 (10.0.0.1) will connect to host 1 (10.0.0.2), port 80.
    pub(crate) fn new(path: Path, tweak: impl Fn(usize, &mut StackConfig)) -> Self {
        let hosts = [0, 1].map(|side| Host::new(side, &tweak));
        Self {
            hosts,
            path,
            free_at_us: [0; 2],
            under_way: BinaryHeap::new(),
            number: 0,
            now_us: 1_000_000,
            seen: Vec::new(),
            keeps_seen: true,
        }
    }

    pub(crate) fn service(&mut self, side: usize) -> &mut Stream {
        self.hosts[side].engine.service_mut()
    }

    pub(crate) fn counters(&self, side: usize) -> &Counters {
        self.hosts[side].engine.stack().counters()
    }

    pub(crate) fn blocks_in_use(&self, side: usize) -> u32 {
        self.stack(side).blocks_in_use()
    }

    pub(crate) fn stack(&self, side: usize) -> &Stack {
        self.hosts[side].engine.stack()
    }

    /// Opens the connection and waits until both sides know.
    pub(crate) fn connect(&mut self) -> ConnId {
        self.hosts[1].engine.listen(80);
        let remote = "10.0.0.2:80".parse().unwrap();
        let id = self.act(0, |_, turn| turn.connect(remote, None).unwrap());
        while self.hosts[1].engine.service().conn.is_none() {
            self.run_for(1000, |_| Fate::Arrives);
        }
        self.run_for(2 * self.path.delay_us, |_| Fate::Arrives);
        self.seen.clear();
        id
    }

    /// The application of a host acts.
    pub(crate) fn act<R>(
        &mut self,
        side: usize,
        f: impl FnOnce(&mut Stream, &mut Turn<'_, ()>) -> R,
    ) -> R {
        let result = self.hosts[side].engine.with_turn(f);
        self.hosts[side].wake_us = Some(self.now_us);
        result
    }

    pub(crate) fn send(&mut self, side: usize, octets: usize) {
        let id = self.service(side).conn.expect("a connection");
        let bytes = vec![7; octets];
        let sent = self.act(side, |_, turn| turn.conn(id).unwrap().send(&bytes));
        assert_eq!(sent, octets);
    }

    /// What went over the wire, for a failure's message.
    pub(crate) fn story(&self) -> String {
        let mut lines = String::new();
        let Some(start) = self.seen.first() else { return lines };
        let base = [start.header.seq, start.header.ack];
        for seen in &self.seen {
            let (ours, theirs) = (base[start.from ^ seen.from], base[1 - (start.from ^ seen.from)]);
            let sack: Vec<_> = (seen.header.options.sack.as_slice().iter())
                .map(|b| (b.0.wrapping_sub(theirs), b.1.wrapping_sub(theirs)))
                .collect();
            let _ = write!(
                lines,
                "\n{:9} {} {:?} seq {} len {} ack {} {sack:?} {:?}",
                seen.at_us - start.at_us,
                [">", "<"][seen.from],
                seen.header.flags,
                seen.header.seq.wrapping_sub(ours),
                seen.len,
                seen.header.ack.wrapping_sub(theirs),
                seen.fate
            );
        }
        lines
    }

    /// The congestion window, in octets.
    pub(crate) fn cwnd(&self, side: usize) -> u32 {
        let stack = self.hosts[side].engine.stack();
        stack.tcb(self.hosts[side].engine.service().conn.expect("a connection").index).cwnd
    }

    /// Virtual time passes; `rule` says what becomes of each segment.
    pub(crate) fn run_for(&mut self, us: u64, mut rule: impl FnMut(&Seen) -> Fate) {
        let end_us = self.now_us + us;
        loop {
            let wakes = self.hosts.iter().filter_map(|host| host.wake_us);
            let arrives = self.under_way.peek().map(|Reverse(flight)| flight.0);
            let Some(next_us) = wakes.chain(arrives).min().filter(|&at_us| at_us <= end_us) else {
                self.now_us = end_us;
                return;
            };
            self.now_us = self.now_us.max(next_us);
            self.step(&mut rule);
        }
    }

    fn step(&mut self, rule: &mut impl FnMut(&Seen) -> Fate) {
        while let Some(Reverse(flight)) = self.under_way.peek()
            && flight.0 <= self.now_us
        {
            let Some(Reverse((_, _, to, frame))) = self.under_way.pop() else { break };
            self.hosts[to].inbox.push(frame);
        }
        for side in 0..2 {
            let host = &mut self.hosts[side];
            if host.inbox.is_empty() && host.wake_us.is_none_or(|at_us| at_us > self.now_us) {
                continue;
            }
            for frame in host.turn(self.now_us) {
                self.carry(side, &frame, rule);
            }
        }
    }

    fn carry(&mut self, from: usize, frame: &[u8], rule: &mut impl FnMut(&Seen) -> Fate) {
        let mut fate = Fate::Arrives;
        if let Some(mut seen) = parse(self.now_us, from, frame) {
            fate = rule(&seen);
            let queued_us = self.free_at_us[from].saturating_sub(self.now_us);
            if queued_us > self.path.queue_us {
                fate = Fate::Lost;
            }
            seen.fate = fate;
            if self.keeps_seen {
                self.seen.push(seen);
            }
        }
        if fate == Fate::Lost {
            return;
        }
        let starts_us = self.free_at_us[from].max(self.now_us);
        self.free_at_us[from] = starts_us + (frame.len() as u64 + 24) * 1_000_000 / self.path.rate;
        let late_us = if let Fate::Late(us) = fate { us } else { 0 };
        let at_us = self.free_at_us[from] + self.path.delay_us + late_us;
        for _ in 0..if fate == Fate::Twice { 2 } else { 1 } {
            self.number += 1;
            self.under_way.push(Reverse((at_us, self.number, 1 - from, frame.to_vec())));
        }
    }
}

impl Host {
    fn new(side: usize, tweak: &impl Fn(usize, &mut StackConfig)) -> Self {
        let mut config = StackConfig::for_connections(4);
        config.pool = [(160, 1 << 11), (480, 1 << 10), (2016, 1 << 13)]
            .map(|(payload_bytes, count)| PoolClass { payload_bytes, count });
        tweak(side, &mut config);
        let interface = Interface::new(
            [2, 0, 0, 0, 0, side as u8 + 1],
            1500,
            vec![AddressRange::one(IpAddr::from([10, 0, 0, side as u8 + 1]), 24)],
        );
        let secret = [side as u8; 32];
        let service = Stream::default();
        let engine = Engine::new(config, &interface, service, &mut Memory::heap(), secret).unwrap();
        let frames = HeapFrames::new(TX_BURST_MAX, 1600);
        Self { engine, frames, inbox: Vec::new(), wake_us: None }
    }

    /// One turn; the frames it sends.
    fn turn(&mut self, now_us: u64) -> Vec<Vec<u8>> {
        let count = self.inbox.len().min(32);
        let arrived: Vec<Vec<u8>> = self.inbox.drain(..count).collect();
        let sent = self.engine.turn_over(&mut self.frames, &arrived, now_us);
        let stack = self.engine.stack();
        stack.check();
        let timer = stack.next_timer_ms().map(|ms| (now_us / 1000 + u64::from(ms)) * 1000);
        let more = stack.output_waiting() > 0 || !self.inbox.is_empty();
        self.wake_us = if more { Some(now_us) } else { timer };
        sent
    }
}

/// The TCP segment in a frame; `None` for anything else.
fn parse(at_us: u64, from: usize, frame: &[u8]) -> Option<Seen> {
    let (ethernet, packet) = ethernet::Header::parse(frame).ok()?;
    if ethernet.ether_type != ethernet::EtherType::IPV4 {
        return None;
    }
    let (_, segment) = ipv4::Header::parse(packet).ok()?;
    let (header, payload) = tcp::Header::parse(segment).ok()?;
    Some(Seen { at_us, from, header, len: payload.len(), fate: Fate::Arrives })
}
