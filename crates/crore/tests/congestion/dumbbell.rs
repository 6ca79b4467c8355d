//! Pairs of engines whose data share one bottleneck.
//!
//! ```text
//!   sender 0 ──┐    random loss, then a queue   ┌── delay ──> receiver 0
//!   sender 1 ──┴──> of so many octets, a rate ──┴── delay ──> receiver 1
//!      ^ acknowledgments: delay only ─────────────────────────────┘
//! ```

use crore::mem::frames::TX_BURST_MAX;
use crore::mem::frames::heap::HeapFrames;
use crore::mem::{Memory, PoolClass};
use crore::{
    AddressRange, Congestion, Conn, Counters, Ecn, Engine, Interface, Service, StackConfig, Turn,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;

/// The shared link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bottleneck {
    /// Octets a second, 24 of them for each frame besides its own.
    pub(crate) rate: u64,
    /// What does not fit is dropped.
    pub(crate) queue_bytes: u64,
    /// ECN-capable packets that come to a longer queue are marked.
    pub(crate) mark_bytes: u64,
    /// Packets lost at random, of a million.
    pub(crate) loss_per_million: u64,
}

/// One sender and its receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) rtt_us: u64,
    pub(crate) congestion: Congestion,
    pub(crate) ecn: bool,
    /// When it opens its connection.
    pub(crate) starts_us: u64,
}

impl Flow {
    pub(crate) fn new(congestion: Congestion, rtt_us: u64) -> Self {
        Self { rtt_us, congestion, ecn: false, starts_us: 0 }
    }
}

/// Sends without end, or counts what comes.
#[derive(Default)]
struct Bulk {
    received: u64,
}

impl Bulk {
    fn fill(conn: &mut Conn<'_, ()>) {
        let chunk = [0x5a; 16 << 10];
        while conn.send(&chunk) == chunk.len() {}
    }
}

impl Service for Bulk {
    type State = ();
    fn connected(&mut self, conn: &mut Conn<'_, ()>) {
        Self::fill(conn);
    }
    fn data(&mut self, _: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        self.received += bytes.len() as u64;
        bytes.len()
    }
    fn writable(&mut self, conn: &mut Conn<'_, ()>) {
        Self::fill(conn);
    }
    fn turn(&mut self, _: &mut Turn<'_, ()>) {}
}

struct Host {
    engine: Engine<Bulk>,
    frames: HeapFrames,
    inbox: Vec<Vec<u8>>,
    wake_us: Option<u64>,
}

/// When it arrives, its number, to whom, and its octets.
type Flight = (u64, u64, usize, Vec<u8>);

pub(crate) struct Dumbbell {
    link: Bottleneck,
    flows: Vec<Flow>,
    /// The sender of flow `n` is host `2 n`, its receiver the next one.
    hosts: Vec<Host>,
    free_at_us: u64,
    under_way: BinaryHeap<Reverse<Flight>>,
    number: u64,
    luck: u64,
    pub(crate) now_us: u64,
    /// Packets that found no room in the queue.
    pub(crate) dropped: u64,
}

impl Dumbbell {
    pub(crate) fn new(link: Bottleneck, flows: &[Flow], seed: u64) -> Self {
        let side = |flow: usize, side: usize| Host::new(flow, side, flows[flow]);
        let hosts = (0..2 * flows.len()).map(|n| side(n / 2, n % 2)).collect();
        let (flows, luck) = (flows.to_vec(), seed.wrapping_mul(2).wrapping_add(1));
        let under_way = BinaryHeap::new();
        let (free_at_us, number, now_us, dropped) = (0, 0, START_US, 0);
        Self { link, flows, hosts, free_at_us, under_way, number, luck, now_us, dropped }
    }

    /// Octets that arrived, of a flow.
    pub(crate) fn received(&self, flow: usize) -> u64 {
        self.hosts[2 * flow + 1].engine.service().received
    }

    /// The sender's counters.
    pub(crate) fn counters(&self, flow: usize) -> &Counters {
        self.hosts[2 * flow].engine.stack().counters()
    }

    /// Mean megabits a second of each flow over the next `us`.
    pub(crate) fn goodputs(&mut self, us: u64) -> Vec<f64> {
        let before: Vec<u64> = (0..self.flows.len()).map(|flow| self.received(flow)).collect();
        self.run_for(us);
        let octets = before.iter().enumerate().map(|(flow, octets)| self.received(flow) - octets);
        octets.map(|octets| octets as f64 * 8.0 / us as f64).collect()
    }

    pub(crate) fn run_for(&mut self, us: u64) {
        let end_us = self.now_us + us;
        self.open_due();
        loop {
            let wakes = self.hosts.iter().filter_map(|host| host.wake_us);
            let arrives = self.under_way.peek().map(|Reverse(flight)| flight.0);
            let starts = self.flows.iter().map(|flow| START_US + flow.starts_us);
            let starts = starts.filter(|&at_us| at_us > self.now_us);
            let next = wakes.chain(arrives).chain(starts).min();
            let Some(next_us) = next.filter(|&at_us| at_us <= end_us) else {
                self.now_us = end_us;
                return;
            };
            if next_us > self.now_us {
                self.now_us = next_us;
                self.open_due();
            }
            self.step();
        }
    }

    /// Opens the connections whose time has come.
    fn open_due(&mut self) {
        for (flow, settings) in self.flows.iter().enumerate() {
            let sender = &mut self.hosts[2 * flow];
            let opened = sender.wake_us.is_some() || sender.engine.stack().conns() > 0;
            if START_US + settings.starts_us == self.now_us && !opened {
                let remote = format!("10.{flow}.0.2:80").parse().unwrap();
                sender.engine.with_turn(|_, turn| turn.connect(remote, None)).unwrap();
                sender.wake_us = Some(self.now_us);
            }
        }
    }

    fn step(&mut self) {
        while let Some(Reverse(flight)) = self.under_way.peek()
            && flight.0 <= self.now_us
        {
            let Some(Reverse((_, _, to, frame))) = self.under_way.pop() else { break };
            self.hosts[to].inbox.push(frame);
        }
        for side in 0..self.hosts.len() {
            let host = &mut self.hosts[side];
            if host.inbox.is_empty() && host.wake_us.is_none_or(|at_us| at_us > self.now_us) {
                continue;
            }
            for frame in host.turn(self.now_us) {
                self.carry(side, frame);
            }
        }
    }

    fn carry(&mut self, from: usize, mut frame: Vec<u8>) {
        let delay_us = self.flows[from / 2].rtt_us / 2;
        let at_us = if from.is_multiple_of(2) {
            if self.is_unlucky() {
                return;
            }
            let waits_us = self.free_at_us.saturating_sub(self.now_us);
            let queued = waits_us * self.link.rate / 1_000_000;
            if queued > self.link.queue_bytes {
                self.dropped += 1;
                return;
            }
            if queued > self.link.mark_bytes {
                mark(&mut frame);
            }
            let takes_us = (frame.len() as u64 + 24) * 1_000_000 / self.link.rate;
            self.free_at_us = self.free_at_us.max(self.now_us) + takes_us;
            self.free_at_us + delay_us
        } else {
            self.now_us + delay_us
        };
        self.number += 1;
        self.under_way.push(Reverse((at_us, self.number, from ^ 1, frame)));
    }

    fn is_unlucky(&mut self) -> bool {
        self.luck = self.luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.luck >> 33) % 1_000_000 < self.link.loss_per_million
    }
}

impl Host {
    fn new(flow: usize, side: usize, settings: Flow) -> Self {
        let mut config = StackConfig::for_connections(4);
        config.congestion = settings.congestion;
        config.ecn = if settings.ecn { Ecn::Offer } else { Ecn::Off };
        config.snd_buf_bytes = 4 << 20;
        config.rcv_buf_bytes = 4 << 20;
        config.pool = [(160, 1 << 11), (480, 1 << 10), (2016, 1 << 13)]
            .map(|(payload_bytes, count)| PoolClass { payload_bytes, count });
        let ours = IpAddr::from([10, flow as u8, 0, side as u8 + 1]);
        let interface = Interface::new(
            [2, 0, 0, 0, flow as u8, side as u8 + 1],
            1500,
            vec![AddressRange::one(ours, 24)],
        );
        let secret = [(2 * flow + side) as u8; 32];
        let engine =
            Engine::new(config, &interface, Bulk::default(), &mut Memory::heap(), secret).unwrap();
        let frames = HeapFrames::new(TX_BURST_MAX, 1600);
        let mut host = Self { engine, frames, inbox: Vec::new(), wake_us: None };
        host.engine.listen(80);
        host
    }

    /// One turn; the frames it sends.
    fn turn(&mut self, now_us: u64) -> Vec<Vec<u8>> {
        let count = self.inbox.len().min(32);
        let arrived: Vec<Vec<u8>> = self.inbox.drain(..count).collect();
        let sent = self.engine.turn_over(&mut self.frames, &arrived, now_us);
        let stack = self.engine.stack();
        let timer = stack.next_timer_ms().map(|ms| (now_us / 1000 + u64::from(ms)) * 1000);
        let more = stack.output_waiting() > 0 || !self.inbox.is_empty();
        self.wake_us = if more { Some(now_us) } else { timer };
        sent
    }
}

/// Sets CE in an ECN-capable IPv4 packet, and its header's checksum (RFC 3168 5, RFC 1624).
fn mark(frame: &mut [u8]) {
    let ip = &mut frame[14..];
    if ip[0] != 0x45 || ip[1].trailing_zeros() >= 2 {
        return;
    }
    ip[1] |= 3;
    ip[10..12].fill(0);
    let words = ip[..20].chunks_exact(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
    let sum: u32 = words.sum();
    let folded = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&folded.to_be_bytes());
}

const START_US: u64 = 1_000_000;
