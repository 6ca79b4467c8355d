//! A peer that speaks raw segments to one engine, in virtual time.
//!
//! ```text
//!   Peer::says(segment) ──> frame ──> engine under test ──> frame ──> Peer::hears(["A 1 ack 6"])
//! ```
//!
//! Sequence numbers are counted from each side's SYN, so that the first octet is number 1. What
//! the engine sends is kept until the test takes it; every frame's checksums are verified.

use crore::mem::Memory;
use crore::mem::frames::TX_BURST_MAX;
use crore::mem::frames::heap::HeapFrames;
use crore::{AddressRange, ConnId, ConnectError, Engine, Interface, StackConfig, Turn};
use crore_wire::checksum::{self, Sum};
use crore_wire::tcp::{self, Flags, Options, Timestamps};
use crore_wire::{Protocol, ethernet, ethernet::MacAddr, ipv4, ipv6};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::app::App;

/// A segment of the peer, to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) flags: Flags,
    /// Counted from the peer's SYN.
    pub(crate) seq: u32,
    /// Counted from the engine's SYN.
    pub(crate) ack: u32,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) options: Options,
    /// Options as they stand, in place of `options`; a multiple of four bytes.
    pub(crate) raw_options: Option<Vec<u8>>,
    pub(crate) payload: Vec<u8>,
    pub(crate) src_port: Option<u16>,
    /// DSCP and ECN of the IP header.
    pub(crate) traffic_class: u8,
    /// Added to the right checksum.
    pub(crate) checksum_error: u16,
}

/// A segment with these control bits and sequence number.
pub(crate) fn segment(flags: Flags, seq: u32) -> Segment {
    Segment {
        flags,
        seq,
        ack: 0,
        window: 65_535,
        urgent: 0,
        options: Options::NONE,
        raw_options: None,
        payload: Vec::new(),
        src_port: None,
        traffic_class: 0,
        checksum_error: 0,
    }
}

/// The peer's SYN, with an MSS.
pub(crate) fn syn() -> Segment {
    segment(Flags::SYN, 0).options(Options { mss: Some(1460), ..Options::NONE })
}

/// An acknowledgment.
pub(crate) fn ack(seq: u32, ack: u32) -> Segment {
    segment(Flags::ACK, seq).acking(ack)
}

/// An acknowledgment with octets.
pub(crate) fn data(seq: u32, ack: u32, payload: &[u8]) -> Segment {
    segment(Flags::ACK | Flags::PSH, seq).acking(ack).payload(payload)
}

/// FIN and ACK.
pub(crate) fn fin(seq: u32, ack: u32) -> Segment {
    segment(Flags::FIN | Flags::ACK, seq).acking(ack)
}

/// RST without ACK.
pub(crate) fn rst(seq: u32) -> Segment {
    segment(Flags::RST, seq)
}

impl Segment {
    pub(crate) fn acking(mut self, ack: u32) -> Self {
        self.ack = ack;
        self
    }
    pub(crate) fn window(mut self, window: u16) -> Self {
        self.window = window;
        self
    }
    pub(crate) fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }
    pub(crate) fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }
    pub(crate) fn raw_options(mut self, bytes: &[u8]) -> Self {
        self.raw_options = Some(bytes.to_vec());
        self
    }
    pub(crate) fn clock(mut self, value: u32, echo: u32) -> Self {
        self.options.timestamps = Some(Timestamps { value, echo });
        self
    }
    pub(crate) fn port(mut self, port: u16) -> Self {
        self.src_port = Some(port);
        self
    }
    /// A router has marked it: CE.
    pub(crate) fn marked(mut self) -> Self {
        self.traffic_class = 3;
        self
    }
    pub(crate) fn with(mut self, flags: Flags) -> Self {
        self.flags = self.flags | flags;
        self
    }
}

/// A segment of the engine, as the peer got it.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) header: tcp::Header,
    pub(crate) raw_options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    /// IPv4's time to live or IPv6's hop limit.
    pub(crate) ttl: u8,
    pub(crate) from: IpAddr,
    pub(crate) at_us: u64,
    /// The packet, from the IP header on: what an ICMP error quotes.
    pub(crate) packet: Vec<u8>,
}

impl Heard {
    /// The ECN bits of the IP header.
    pub(crate) fn ecn(&self) -> u8 {
        match self.packet[0] >> 4 {
            4 => self.packet[1] & 3,
            _ => self.packet[1] >> 4 & 3,
        }
    }
}

/// The peer, and the engine that is tested.
pub(crate) struct Peer {
    pub(crate) engine: Box<Engine<App>>,
    frames: HeapFrames,
    pub(crate) now_us: u64,
    heard: VecDeque<Heard>,
    /// Frames that are not TCP for us.
    pub(crate) others: Vec<Vec<u8>>,
    pub(crate) here: IpAddr,
    pub(crate) there: IpAddr,
    pub(crate) port_here: u16,
    pub(crate) port_there: u16,
    /// Sequence numbers of the two SYNs.
    pub(crate) isn_here: u32,
    pub(crate) isn_there: u32,
    isn_known: bool,
}

pub(crate) const MAC_HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const MAC_THERE: [u8; 6] = [2, 0, 0, 0, 0, 2];

impl Peer {
    /// A peer of an engine at 10.0.0.2 that listens on port 80.
    pub(crate) fn new(tweak: impl Fn(&mut StackConfig)) -> Self {
        Self::at("10.0.0.1", "10.0.0.2", tweak)
    }

    /// The same over IPv6.
    pub(crate) fn v6(tweak: impl Fn(&mut StackConfig)) -> Self {
        Self::at("fd00::1", "fd00::2", tweak)
    }

    fn at(here: &str, there: &str, tweak: impl Fn(&mut StackConfig)) -> Self {
        let mut config = StackConfig::for_connections(16);
        config.timestamps = false;
        config.window_scaling = false;
        config.sack = false;
        tweak(&mut config);
        let interface = Interface {
            gateway_v4: Some(Ipv4Addr::new(10, 0, 0, 1)),
            ..Interface::new(
                MAC_THERE,
                1500,
                vec![
                    AddressRange { first: "10.0.0.2".parse().unwrap(), count: 2, prefix_len: 24 },
                    AddressRange::one("fd00::2".parse().unwrap(), 64),
                ],
            )
        };
        let mut memory = Memory::heap();
        let app = App::default();
        let engine = Engine::new(config, &interface, app, &mut memory, [7; 32]).unwrap();
        let mut engine = Box::new(engine);
        let here = here.parse().unwrap();
        engine.listen(80);
        engine.stack_mut().learn_neighbour(here, MAC_HERE);
        engine.stack_mut().learn_neighbour("10.0.0.1".parse().unwrap(), MAC_HERE);
        Self {
            engine,
            frames: HeapFrames::new(TX_BURST_MAX, 1600),
            now_us: 10_000_000,
            heard: VecDeque::new(),
            others: Vec::new(),
            here,
            there: there.parse().unwrap(),
            port_here: 5000,
            port_there: 80,
            isn_here: 0x1000_0000,
            isn_there: 0,
            isn_known: false,
        }
    }

    /// The peer has opened a connection to the engine; nothing is heard yet.
    pub(crate) fn accepted(tweak: impl Fn(&mut StackConfig)) -> Self {
        Self::accepted_after(tweak, syn())
    }

    /// The same, with a SYN of the test's own; windows of its options apply.
    pub(crate) fn accepted_after(tweak: impl Fn(&mut StackConfig), syn: Segment) -> Self {
        let mut peer = Self::new(tweak);
        peer.open(syn);
        peer
    }

    /// Opens a connection to the engine's port 80.
    pub(crate) fn open(&mut self, syn: Segment) {
        let clock = syn.options.timestamps;
        self.says(syn);
        let answer = self.hear("the SYN-ACK");
        assert_eq!(self.told(&answer), "SA 0 ack 1");
        let mut third = ack(1, 1);
        if let (Some(ours), Some(theirs)) = (clock, answer.header.options.timestamps) {
            third = third.clock(ours.value, theirs.value);
        }
        self.says(third);
        self.hears(&[]);
        assert_eq!(self.app().calls.last().map(String::as_str), Some("accepted"));
    }

    /// The engine's application opens a connection to the peer; the SYN is not heard yet.
    pub(crate) fn connect(&mut self) -> Result<ConnId, ConnectError> {
        let remote = SocketAddr::new(self.here, self.port_here);
        let id = self.act(|turn| turn.connect(remote, None))?;
        self.port_there = self.act(|turn| turn.conn(id).unwrap().local().port());
        Ok(id)
    }

    /// The engine's application acts; what it causes goes out with the next turn.
    pub(crate) fn act<R>(&mut self, f: impl FnOnce(&mut Turn<'_, ()>) -> R) -> R {
        self.engine.with_turn(|_, turn| f(turn))
    }

    /// The connection that the application heard of last.
    pub(crate) fn conn(&self) -> ConnId {
        self.app().conn.expect("a connection")
    }

    pub(crate) fn app(&self) -> &App {
        self.engine.service()
    }

    /// The engine's application sends.
    pub(crate) fn app_sends(&mut self, bytes: &[u8]) {
        let id = self.conn();
        let taken = self.act(|turn| turn.conn(id).unwrap().send(bytes));
        assert_eq!(taken, bytes.len(), "room to send");
        self.turn();
    }

    /// The engine's application sends so many octets, all the same.
    pub(crate) fn app_sends_many(&mut self, octets: usize) {
        self.app_sends(&vec![7; octets]);
    }

    pub(crate) fn app_closes(&mut self) {
        let id = self.conn();
        self.act(|turn| turn.conn(id).unwrap().close());
        self.turn();
    }

    /// Sends a segment; the engine takes a turn.
    pub(crate) fn says(&mut self, segment: Segment) {
        self.says_all(&[segment]);
    }

    /// Sends segments that arrive in one burst.
    pub(crate) fn says_all(&mut self, segments: &[Segment]) {
        let frames: Vec<Vec<u8>> = segments.iter().map(|s| self.frame(s)).collect();
        self.inject(&frames);
    }

    /// Gives frames as they are to the engine, in one burst.
    pub(crate) fn inject(&mut self, frames: &[Vec<u8>]) {
        let sent = self.engine.turn_over(&mut self.frames, frames, self.now_us);
        self.engine.stack().check();
        for frame in sent {
            self.take(frame);
        }
    }

    /// The link has room for so many frames of the engine in a turn, from now on.
    pub(crate) fn leaves_room_for(&mut self, frames: usize) {
        self.frames = HeapFrames::new(frames, 1600);
    }

    /// A turn without frames.
    pub(crate) fn turn(&mut self) {
        self.inject(&[]);
    }

    /// Lets time pass, a turn each millisecond.
    pub(crate) fn wait_ms(&mut self, ms: u64) {
        self.wait_in_steps(ms, 1);
    }

    /// Lets much time pass, in coarse steps.
    pub(crate) fn wait_in_steps(&mut self, ms: u64, step_ms: u64) {
        for _ in 0..ms / step_ms {
            self.now_us += step_ms * 1000;
            self.turn();
        }
    }

    /// A frame of the engine: its segment is kept.
    fn take(&mut self, frame: Vec<u8>) {
        let Some(heard) = parse(&frame, self.now_us) else { return self.others.push(frame) };
        if !self.isn_known && heard.header.flags.contains(Flags::SYN) {
            self.isn_there = heard.header.seq;
            self.isn_known = true;
        }
        self.heard.push_back(heard);
    }

    /// Takes the next segment that the engine sent.
    pub(crate) fn hear(&mut self, what: &str) -> Heard {
        self.heard.pop_front().unwrap_or_else(|| panic!("{what} was not sent"))
    }

    /// Takes all segments that the engine sent so far.
    pub(crate) fn hear_all(&mut self) -> Vec<Heard> {
        self.heard.drain(..).collect()
    }

    /// Takes all segments that the engine sent so far; they must be these.
    #[track_caller]
    pub(crate) fn hears(&mut self, expected: &[&str]) {
        let heard: Vec<String> = self.hear_all().iter().map(|heard| self.told(heard)).collect();
        assert_eq!(heard, expected);
    }

    /// A segment in words: control bits, sequence number, octets, acknowledgment.
    pub(crate) fn told(&self, heard: &Heard) -> String {
        let header = &heard.header;
        let has = |flag, letter| if header.flags.contains(flag) { letter } else { "" };
        let mut text = [
            has(Flags::SYN, "S"),
            has(Flags::FIN, "F"),
            has(Flags::RST, "R"),
            has(Flags::PSH, "P"),
            has(Flags::URG, "U"),
            has(Flags::ECE, "E"),
            has(Flags::CWR, "W"),
            has(Flags::ACK, "A"),
        ]
        .concat();
        let seq = header.seq.wrapping_sub(self.isn_there);
        text += " ";
        text += &seq.to_string();
        if !heard.payload.is_empty() {
            text += "+";
            text += &heard.payload.len().to_string();
        }
        if header.flags.contains(Flags::ACK) {
            text += " ack ";
            text += &header.ack.wrapping_sub(self.isn_here).to_string();
        }
        text
    }

    /// Starts to count the engine's sequence numbers anew, from the next SYN that it sends.
    pub(crate) fn forget_isn(&mut self) {
        self.isn_known = false;
    }

    /// The frame of a segment.
    pub(crate) fn frame(&self, segment: &Segment) -> Vec<u8> {
        let tcp = self.tcp_bytes(segment);
        let mut frame = frame_of(self.here, self.there, Protocol::TCP, &tcp);
        set_traffic_class(&mut frame, segment.traffic_class);
        frame
    }

    fn tcp_bytes(&self, segment: &Segment) -> Vec<u8> {
        let mut header = tcp::Header {
            src_port: segment.src_port.unwrap_or(self.port_here),
            dst_port: self.port_there,
            seq: self.isn_here.wrapping_add(segment.seq),
            ack: 0,
            flags: segment.flags,
            window: segment.window,
            urgent: segment.urgent,
            options: segment.options,
        };
        if segment.flags.contains(Flags::ACK) {
            header.ack = self.isn_there.wrapping_add(segment.ack);
        }
        let mut bytes = vec![0; header.header_len()];
        header.write(&mut bytes, 0);
        if let Some(raw) = &segment.raw_options {
            bytes.truncate(tcp::MIN_HEADER_LEN);
            bytes.extend_from_slice(raw);
            bytes[12] = (bytes.len() as u8 / 4) << 4;
        }
        bytes.extend_from_slice(&segment.payload);
        let sum = pseudo(self.here, self.there, bytes.len()).add_bytes(&bytes).finish();
        let wrong = sum.wrapping_add(segment.checksum_error);
        bytes[tcp::CHECKSUM_OFFSET..][..2].copy_from_slice(&wrong.to_be_bytes());
        bytes
    }
}

/// An IP packet in an Ethernet frame for the engine.
pub(crate) fn frame_of(src: IpAddr, dst: IpAddr, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 14 + 40 + payload.len()];
    let ether_type =
        if src.is_ipv4() { ethernet::EtherType::IPV4 } else { ethernet::EtherType::IPV6 };
    let mut at = ethernet::Header {
        dst: MacAddr(MAC_THERE),
        src: MacAddr(MAC_HERE),
        vlan: None,
        ether_type,
    }
    .write(&mut frame);
    at += match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            ipv4_header(src, dst, protocol, payload.len()).write(&mut frame[at..])
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            ipv6_header(src, dst, protocol, payload.len()).write(&mut frame[at..])
        }
        _ => panic!("two families in one packet"),
    };
    frame.truncate(at);
    frame.extend_from_slice(payload);
    frame
}

/// Writes DSCP and ECN into the IP header of a frame.
fn set_traffic_class(frame: &mut [u8], class: u8) {
    let packet = &mut frame[14..];
    if packet[0] >> 4 == 4 {
        let (mut header, _) = ipv4::Header::parse(packet).expect("IPv4");
        header.dscp_ecn = class;
        header.write(packet);
    } else {
        let (mut header, _) = ipv6::Header::parse(packet).expect("IPv6");
        header.traffic_class = class;
        header.write(packet);
    }
}

fn ipv4_header(src: Ipv4Addr, dst: Ipv4Addr, protocol: Protocol, len: usize) -> ipv4::Header {
    ipv4::Header::atomic(src, dst, protocol, len as u16)
}

fn ipv6_header(src: Ipv6Addr, dst: Ipv6Addr, protocol: Protocol, len: usize) -> ipv6::Header {
    ipv6::Header {
        src,
        dst,
        next_header: protocol,
        hop_limit: 64,
        traffic_class: 0,
        flow_label: 0,
        payload_len: len as u16,
    }
}

fn pseudo(src: IpAddr, dst: IpAddr, len: usize) -> Sum {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Sum::pseudo_v4(src, dst, Protocol::TCP, len as u16),
        (IpAddr::V6(src), IpAddr::V6(dst)) => Sum::pseudo_v6(src, dst, Protocol::TCP, len as u32),
        _ => panic!("two families in one packet"),
    }
}

/// The segment in a frame of the engine, its checksums verified; `None` when it is not TCP.
fn parse(frame: &[u8], at_us: u64) -> Option<Heard> {
    let (link, packet) = ethernet::Header::parse(frame).expect("Ethernet");
    let (from, to, ttl, bytes) = match link.ether_type {
        ethernet::EtherType::IPV4 => {
            let (ip, bytes) = ipv4::Header::parse(packet).expect("IPv4 with a right checksum");
            if ip.protocol != Protocol::TCP {
                return None;
            }
            (IpAddr::V4(ip.src), IpAddr::V4(ip.dst), ip.ttl, bytes)
        }
        ethernet::EtherType::IPV6 => {
            let (ip, bytes) = ipv6::Header::parse(packet).expect("IPv6");
            if ip.next_header != Protocol::TCP {
                return None;
            }
            (IpAddr::V6(ip.src), IpAddr::V6(ip.dst), ip.hop_limit, bytes)
        }
        _ => return None,
    };
    let sum = pseudo(from, to, bytes.len()).add_bytes(bytes);
    assert!(checksum::verify(sum), "every segment of the engine has a right checksum");
    let (header, payload) = tcp::Header::parse(bytes).expect("TCP");
    let raw_options = bytes[tcp::MIN_HEADER_LEN..bytes.len() - payload.len()].to_vec();
    let payload = payload.to_vec();
    let packet = packet.to_vec();
    Some(Heard { header, raw_options, payload, ttl, from, at_us, packet })
}
