//! One stack on a virtual clock and a link that carries bare IP packets.
//!
//! ```text
//!   netdev_send ──> + Ethernet ──> stack ──> - Ethernet ──> outgoing ──> netdev_receive
//!                                    ^ a step a millisecond
//! ```

use crate::flags::{Flags, LOCAL_V4, LOCAL_V6};
use crate::profile;
use crore_mem::Memory;
use crore_mem::frames::heap::HeapFrames;
use crore_mem::frames::{RxBurst, TxBurst};
use crore_stack::{AddressRange, Burst, Event, Events, Interface, Output, Stack, StackError, What};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A packet that the stack sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// From its IP header on.
    pub(crate) packet: Vec<u8>,
    /// When, on the virtual clock.
    pub(crate) time_us: u64,
    pub(crate) cause: Cause,
    /// How many packets had been received by then.
    pub(crate) received: u64,
}

/// What made the stack send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// A packet that came in.
    Reply,
    /// A call of the application.
    Call,
    /// The clock.
    Timer,
}

impl Cause {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Cause::Reply => "reply",
            Cause::Call => "call",
            Cause::Timer => "timer",
        }
    }
}

/// The stack, its clock and its link.
pub(crate) struct Host {
    pub(crate) stack: Stack,
    now_us: u64,
    pub(crate) outgoing: VecDeque<Outgoing>,
    frames: HeapFrames,
    burst: Burst,
    events: Events,
    received: u64,
}

impl Host {
    pub(crate) fn new(flags: &Flags) -> Result<Self, StackError> {
        let parse = |text: &str| text.parse().expect("a literal address");
        let addresses = match flags.local {
            Some(address) => vec![address],
            None => vec![parse(LOCAL_V4), parse(LOCAL_V6)],
        };
        // Every remote is on the link.
        let addresses = addresses.into_iter().map(|a| AddressRange::one(a, 0)).collect();
        let interface = Interface::new(OUR_MAC, flags.mtu, addresses);
        let config = profile::settings(flags.profile);
        let mut stack = Stack::new(config, &interface, &mut Memory::heap(), SEED)?;
        stack.begin_turn(START_US);
        Ok(Self {
            stack,
            now_us: START_US,
            outgoing: VecDeque::new(),
            frames: HeapFrames::new(FRAMES, PACKET_MAX + ETHERNET_BYTES + 64),
            burst: Burst::new(),
            events: Events::new(),
            received: 0,
        })
    }

    /// The virtual time.
    pub(crate) fn now_us(&self) -> u64 {
        self.now_us
    }

    /// A packet comes in; `tell` hears what it did to connections.
    pub(crate) fn receive(&mut self, packet: &[u8], mut tell: impl FnMut(&mut Stack, News<'_>)) {
        self.received += 1;
        let Some((ether_type, source)) = source_of(packet) else { return };
        self.know(source);
        let mut frame = Vec::with_capacity(ETHERNET_BYTES + packet.len());
        frame.extend_from_slice(&OUR_MAC);
        frame.extend_from_slice(&PEER_MAC);
        frame.extend_from_slice(&ether_type);
        frame.extend_from_slice(packet);
        let (stack, burst, events) = (&mut self.stack, &mut self.burst, &mut self.events);
        stack.begin_turn(self.now_us);
        let mut sent = Vec::new();
        let turn = |rx: &RxBurst, tx: &mut TxBurst| {
            stack.look_at(rx, burst, |_| {});
            stack.input(rx, burst, events, tx);
            drain(stack, events, rx, &mut tell);
        };
        self.frames.lend(&[frame], turn, |frame| sent.push(frame.to_vec()));
        self.queue(sent, Cause::Reply);
        self.send(Cause::Reply, tell);
    }

    /// Sends all that connections have to send.
    pub(crate) fn send(&mut self, cause: Cause, mut tell: impl FnMut(&mut Stack, News<'_>)) {
        loop {
            let (stack, events) = (&mut self.stack, &mut self.events);
            stack.begin_turn(self.now_us);
            let (mut sent, mut output) = (Vec::new(), Output::Done);
            let turn = |rx: &RxBurst, tx: &mut TxBurst| {
                output = stack.output(events, tx, FRAMES);
                drain(stack, events, rx, &mut tell);
            };
            self.frames.lend(NO_FRAME, turn, |frame| sent.push(frame.to_vec()));
            self.queue(sent, cause);
            if output == Output::Done && !self.stack.has_output() {
                return;
            }
        }
    }

    /// Moves the clock towards `us`, by a millisecond at most; what is due then sends, and `tell`
    /// hears of it.
    pub(crate) fn step_towards(&mut self, us: u64, mut tell: impl FnMut(&mut Stack, News<'_>)) {
        let next_ms = (self.now_us / 1000 + 1) * 1000;
        if next_ms > us {
            self.now_us = self.now_us.max(us);
            return;
        }
        self.now_us = next_ms;
        self.due(&mut tell);
    }

    /// What is due now.
    fn due(&mut self, tell: &mut impl FnMut(&mut Stack, News<'_>)) {
        loop {
            let (stack, events) = (&mut self.stack, &mut self.events);
            stack.begin_turn(self.now_us);
            let (mut sent, mut handled) = (Vec::new(), 0);
            let turn = |rx: &RxBurst, tx: &mut TxBurst| {
                handled = stack.timers(events, tx, FRAMES);
                drain(stack, events, rx, tell);
            };
            self.frames.lend(NO_FRAME, turn, |frame| sent.push(frame.to_vec()));
            self.queue(sent, Cause::Timer);
            if self.stack.has_output() {
                self.send(Cause::Timer, &mut *tell);
            }
            if handled < FRAMES {
                return;
            }
        }
    }

    /// The peer's hardware address, whatever its IP address: there is only one peer.
    pub(crate) fn know(&mut self, address: IpAddr) {
        self.stack.learn_neighbour(address, PEER_MAC);
    }

    fn queue(&mut self, frames: Vec<Vec<u8>>, cause: Cause) {
        let (time_us, received) = (self.now_us, self.received);
        for mut frame in frames {
            let mut packet = frame.split_off(ETHERNET_BYTES);
            packet.truncate(ip_len(&packet));
            self.outgoing.push_back(Outgoing { packet, time_us, cause, received });
        }
    }
}

/// What happened to a connection, and the octets that came with it.
pub(crate) struct News<'a> {
    pub(crate) event: Event,
    /// With [`What::DATA`]: the octets.
    pub(crate) octets: &'a [u8],
}

fn drain(
    stack: &mut Stack,
    events: &mut Events,
    rx: &RxBurst,
    tell: &mut impl FnMut(&mut Stack, News<'_>),
) {
    for i in 0..events.len() {
        let event = events.get(i);
        if !stack.is_live(event.index, event.generation) {
            continue;
        }
        let octets = if event.what.any(What::DATA) {
            let start = usize::from(event.start);
            &rx.frame(usize::from(event.frame))[start..start + usize::from(event.len)]
        } else {
            &[]
        };
        tell(stack, News { event, octets });
    }
    events.clear();
}

/// The Ethernet type and the source address of an IP packet.
fn source_of(packet: &[u8]) -> Option<([u8; 2], IpAddr)> {
    match packet.first()? >> 4 {
        4 => {
            let octets: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
            Some(([0x08, 0x00], Ipv4Addr::from(octets).into()))
        }
        6 => {
            let octets: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
            Some(([0x86, 0xdd], Ipv6Addr::from(octets).into()))
        }
        _ => None,
    }
}

/// Octets of an IP packet; short frames are longer than their packet.
fn ip_len(packet: &[u8]) -> usize {
    let field = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    match packet[0] >> 4 {
        4 => field(2),
        6 => 40 + field(4),
        _ => packet.len(),
    }
}

const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const ETHERNET_BYTES: usize = 14;

/// Scripts hand over several segments in one packet, as a receiver that gathers them does.
const PACKET_MAX: usize = 65_535;

/// Frames that one stage may send; what does not fit waits for the next.
const FRAMES: usize = 64;

/// Runs are the same each time: so is the secret.
const SEED: [u8; 32] = [0x5c; 32];

/// When the virtual clock starts.
const START_US: u64 = 1_000_000_000;

const NO_FRAME: &[Vec<u8>] = &[];
