//! Attackers beside a client: their frames go into its end of the link, between its turns.

use crate::pair::{Client, PORT, SERVER};
use crate::running::Running;
use anyhow::Result;
use crore::driver::Link;
use crore::mem::{HugePages, Memory};
use crore::{Core, CoreConfig, Engine, Interface, Service, StackConfig, Stop, tsc};
use crore_load::{EchoLoad, Random, Schedule};
use crore_wire::checksum::Sum;
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::{Protocol, ipv4, tcp};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What attackers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// From a stranger each, with the options that all systems send.
    Syn,
    /// Random octets, wrong checksums, segments of no connection, in turn.
    Junk,
}

/// What attackers are told to do, and what they did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Frames a second, and in the highest bit what kind.
    order: AtomicU64,
    injected: AtomicU64,
}

impl Attack {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Syn => "SYNs",
            Self::Junk => "junk frames",
        }
    }
}

impl Orders {
    /// To attack at a rate, or at 0 not to.
    pub(crate) fn give(&self, attack: Attack, per_second: f64) {
        let kind = u64::from(attack == Attack::Junk) << 63;
        self.0.order.store(kind | per_second as u64, Ordering::Relaxed);
    }

    /// Frames injected so far.
    pub(crate) fn injected(&self) -> u64 {
        self.0.injected.load(Ordering::Relaxed)
    }
}

/// A load with attackers beside it.
pub(crate) struct Besieged {
    pub(crate) load: EchoLoad,
    pub(crate) orders: Orders,
    pub(crate) tsc_hz: f64,
}

impl Client for Besieged {
    type Made = (Engine<EchoLoad>, Orders, f64);
    type Running = Running<EchoLoad>;

    fn make(
        self,
        settings: &StackConfig,
        interface: &Interface,
        pages: HugePages,
    ) -> Result<(Self::Made, Memory)> {
        let (engine, memory) = self.load.make(settings, interface, pages)?;
        Ok(((engine, self.orders, self.tsc_hz), memory))
    }

    fn start(
        (engine, orders, tsc_hz): Self::Made,
        link: Link,
        config: CoreConfig,
        stop: &Stop,
    ) -> Result<Running<EchoLoad>> {
        let cpu = config.pin_to;
        let core = Core::new(engine, link, config);
        Running::start_led("client", core, stop, move |core, stop| {
            // Being elsewhere only costs speed.
            let _ = cpu.map(crore::pin::pin_to);
            let mut attackers = Attackers::new(core.link().capabilities().mac);
            while !stop.is_set() {
                core.turn();
                attackers.attack(core, &orders.0, tsc_hz);
            }
        })
    }
}

struct Attackers {
    mac: [u8; 6],
    luck: Random,
    order: u64,
    schedule: Option<Schedule>,
    number: u64,
}

impl Attackers {
    fn new(mac: [u8; 6]) -> Self {
        Self { mac, luck: Random::new(1), order: 0, schedule: None, number: 0 }
    }

    /// Injects what is due, as far as there is room. What finds none is late, but not for long:
    /// attackers do not wait for anybody.
    fn attack<S: Service>(&mut self, core: &mut Core<S>, shared: &Shared, tsc_hz: f64) {
        let order = shared.order.load(Ordering::Relaxed);
        let now = tsc();
        let per_second = order << 1 >> 1;
        let late_max = (tsc_hz * LATE_MAX_SECONDS) as u64;
        let is_late = |schedule: &Schedule| now.saturating_sub(schedule.next_at()) > late_max;
        if order != self.order || self.schedule.as_ref().is_some_and(is_late) {
            self.order = order;
            let ticks = tsc_hz / per_second as f64;
            self.schedule = (per_second > 0).then(|| Schedule::new(now, ticks));
        }
        let attack = if order >> 63 == 1 { Attack::Junk } else { Attack::Syn };
        let Some(mut schedule) = self.schedule else { return };
        if schedule.due(now).is_none() {
            return;
        }
        let mut left = AT_ONCE;
        let injected = core.inject(|frame| {
            left = usize::checked_sub(left, 1)?;
            schedule.due(now)?;
            schedule.take();
            Some(self.write(frame, attack))
        });
        self.schedule = Some(schedule);
        shared.injected.fetch_add(injected as u64, Ordering::Relaxed);
    }

    /// Writes the next frame; says how long it is.
    fn write(&mut self, frame: &mut [u8], attack: Attack) -> usize {
        self.number += 1;
        match (attack, self.number % 3) {
            (Attack::Syn, _) => self.segment(frame, tcp::Flags::SYN, true),
            (Attack::Junk, 0) => {
                let len = 64.min(frame.len());
                for place in frame[..len].chunks_mut(8) {
                    place.copy_from_slice(&self.luck.word().to_le_bytes()[..place.len()]);
                }
                // For the server, and as IPv4, so that it is looked at.
                frame[..6].copy_from_slice(&SERVERS_MAC);
                frame[12..14].copy_from_slice(&[8, 0]);
                len
            }
            (Attack::Junk, 1) => self.segment(frame, tcp::Flags::ACK, false),
            (Attack::Junk, _) => self.segment(frame, tcp::Flags::ACK, true),
        }
    }

    /// A segment without text from a stranger; its checksum is right, or one off.
    fn segment(&mut self, frame: &mut [u8], flags: tcp::Flags, is_right: bool) -> usize {
        let (luck, more) = (self.luck.word(), self.luck.word());
        let is_syn = flags.contains(tcp::Flags::SYN);
        let timestamps = Some(tcp::Timestamps { value: more as u32, echo: 0 });
        let options = tcp::Options {
            mss: is_syn.then_some(1460),
            window_scale: is_syn.then_some(7),
            sack_permitted: is_syn,
            timestamps,
            ..tcp::Options::NONE
        };
        let header = tcp::Header {
            src_port: 1024 + (luck >> 32) as u16 % 60_000,
            dst_port: PORT,
            seq: (more >> 32) as u32,
            ack: if is_syn { 0 } else { luck as u32 },
            flags,
            window: 64_240,
            urgent: 0,
            options,
        };
        // 198.18.0.0/15 is for benchmarks (RFC 2544), and reached through the gateway.
        let stranger = Ipv4Addr::from(0xc612_0000 | luck as u32 & 0x1_ffff);
        let segment_len = header.header_len();
        let ip = ipv4::Header::atomic(stranger, SERVER, Protocol::TCP, segment_len as u16);
        let link = ethernet::Header {
            dst: MacAddr(SERVERS_MAC),
            src: MacAddr(self.mac),
            vlan: None,
            ether_type: EtherType::IPV4,
        };
        let at = link.write(frame);
        let at = at + ip.write(&mut frame[at..]);
        let pseudo = Sum::pseudo_v4(stranger, SERVER, Protocol::TCP, segment_len as u16);
        let sum = pseudo.add_sum(header.sum()).finish();
        at + header.write(&mut frame[at..], if is_right { sum } else { sum ^ 1 })
    }
}

/// Of the pipe's first end.
const SERVERS_MAC: [u8; 6] = [0x02, b'c', b'r', b'o', b'r', b'a'];

/// Frames after each of the client's turns, at most.
const AT_ONCE: usize = 32;

const LATE_MAX_SECONDS: f64 = 0.01;
