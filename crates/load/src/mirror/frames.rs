//! What the mirror reads from frames and writes into them.

use super::tuples::Tuples;
use crate::pattern::Pattern;
use core::net::{Ipv4Addr, SocketAddrV4};
use crore::mem::frames::TxBurst;
use crore_wire::checksum::{self, Sum};
use crore_wire::ethernet::{EtherType, MacAddr};
use crore_wire::tcp::{Flags, Timestamps};
use crore_wire::{Protocol, arp, ethernet, ipv4, plain, tcp};

/// Both sides' addresses on the link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) mac: MacAddr,
    /// `None` until it has answered.
    pub(super) server_mac: Option<MacAddr>,
    pub(super) server: SocketAddrV4,
    /// Where octets are made.
    pub(super) payload: Box<[u8]>,
}

/// What a frame is to the mirror.
#[derive(Clone, Copy, Debug)]
pub(super) enum Frame {
    /// A segment of the server's on one of the connections.
    Segment(Segment),
    /// The server asks where an address of ours is.
    WhoHas(arp::Packet),
    /// The server says where it is.
    ServerIsAt(MacAddr),
    /// Damaged, or for nobody here.
    Unusable,
}

/// What a segment says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) index: u32,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: Flags,
    pub(super) window: u16,
    pub(super) mss: u16,
    pub(super) timestamps: Option<Timestamps>,
    /// Where its octets are in the frame.
    pub(super) start: usize,
    pub(super) len: usize,
}

/// A segment to be sent on one of the connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) index: u32,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: Flags,
    pub(super) options: plain::Options,
    /// What its octets are, and how many.
    pub(super) payload: Option<(Pattern, usize)>,
}

impl Segment {
    /// Its length in sequence numbers (RFC 9293 3.4).
    pub(super) fn seq_len(&self) -> u32 {
        let one = |flag| u32::from(self.flags.contains(flag));
        self.len as u32 + one(Flags::SYN) + one(Flags::FIN)
    }
}

impl Link {
    /// Reads a frame. Every checksum is verified.
    #[inline]
    pub(super) fn read(&self, frame: &[u8], tuples: &Tuples) -> Frame {
        if let Some(segment) = self.read_ipv4(frame, tuples) {
            return Frame::Segment(segment);
        }
        let Ok((header, packet)) = ethernet::Header::parse(frame) else { return Frame::Unusable };
        match header.ether_type {
            EtherType::IPV4 if header.dst == self.mac => self.read_any_ipv4(frame, packet, tuples),
            EtherType::ARP => self.read_arp(packet, tuples),
            _ => Frame::Unusable,
        }
    }

    #[inline]
    fn read_ipv4(&self, frame: &[u8], tuples: &Tuples) -> Option<Segment> {
        let view = plain::View::parse(frame)?;
        let (from, to) = ((view.ports() >> 16) as u16, view.ports() as u16);
        let is_ours =
            view.mac() == self.mac && view.src() == *self.server.ip() && from == self.server.port();
        let index = tuples.index_of(view.dst(), to).filter(|_| is_ours)?;
        let mss = match view.options() {
            plain::Options::Syn(syn) => syn.mss,
            plain::Options::None | plain::Options::Timestamps(_) => MSS_UNSAID,
        };
        Some(Segment {
            index,
            seq: (view.seq_ack() >> 32) as u32,
            ack: view.seq_ack() as u32,
            flags: view.flags(),
            window: view.window(),
            mss,
            timestamps: view.timestamps(),
            start: view.payload_at(),
            len: view.payload_len(),
        })
    }

    /// The same for a segment with options of other kinds.
    #[cold]
    fn read_any_ipv4(&self, frame: &[u8], packet: &[u8], tuples: &Tuples) -> Frame {
        let Ok((ip, segment)) = ipv4::Header::parse(packet) else { return Frame::Unusable };
        if ip.protocol != Protocol::TCP || ip.is_fragment() || ip.src != *self.server.ip() {
            return Frame::Unusable;
        }
        let pseudo = Sum::pseudo_v4(ip.src, ip.dst, Protocol::TCP, segment.len() as u16);
        if !checksum::verify(pseudo.add_bytes(segment)) {
            return Frame::Unusable;
        }
        let Ok((tcp, payload)) = tcp::Header::parse(segment) else { return Frame::Unusable };
        let index = tuples.index_of(ip.dst, tcp.dst_port);
        let Some(index) = index.filter(|_| tcp.src_port == self.server.port()) else {
            return Frame::Unusable;
        };
        // A part of the frame: how far from its front, whatever headers are before it.
        let start = payload.as_ptr().addr() - frame.as_ptr().addr();
        Frame::Segment(Segment {
            index,
            seq: tcp.seq,
            ack: tcp.ack,
            flags: tcp.flags,
            window: tcp.window,
            mss: tcp.options.mss.unwrap_or(MSS_UNSAID),
            timestamps: tcp.options.timestamps,
            start,
            len: payload.len(),
        })
    }

    fn read_arp(&self, packet: &[u8], tuples: &Tuples) -> Frame {
        let Ok(packet) = arp::Packet::parse(packet) else { return Frame::Unusable };
        match packet.operation {
            arp::Operation::Request if tuples.has_address(packet.target_ip) => {
                Frame::WhoHas(packet)
            }
            arp::Operation::Reply if packet.sender_ip == *self.server.ip() => {
                Frame::ServerIsAt(packet.sender_mac)
            }
            _ => Frame::Unusable,
        }
    }

    /// Writes a segment; false when there is no room for it.
    #[inline]
    pub(super) fn say(&mut self, said: &Said, tuples: &Tuples, tx: &mut TxBurst) -> bool {
        tx.prefetch(PREFETCH_AHEAD);
        let (Some(mac), Some(out)) = (self.server_mac, tx.frame()) else { return false };
        let (src, src_port) = tuples.of(said.index);
        let payload = match said.payload {
            Some((pattern, len)) => {
                pattern.fill(0, &mut self.payload[..len]);
                &self.payload[..len]
            }
            None => &[],
        };
        let frame = plain::Frame {
            to: plain::Receiver::new(mac),
            traffic_class: 0,
            src,
            dst: *self.server.ip(),
            src_port,
            dst_port: self.server.port(),
            seq: said.seq,
            ack: said.ack,
            flags: said.flags,
            window: window_field(said.flags),
            options: said.options,
        };
        let written = frame.write(plain::Sender::new(self.mac), TTL, payload, out);
        tx.commit(written);
        true
    }

    /// Asks where the server is, in the name of `address`.
    pub(super) fn ask_for_server(&self, address: Ipv4Addr, tx: &mut TxBurst) {
        let question = arp::Packet {
            operation: arp::Operation::Request,
            sender_mac: self.mac,
            sender_ip: address,
            target_mac: MacAddr([0; 6]),
            target_ip: *self.server.ip(),
        };
        self.write_arp(MacAddr::BROADCAST, &question, tx);
    }

    /// Answers that the address is here.
    pub(super) fn answer(&self, question: &arp::Packet, tx: &mut TxBurst) {
        let answer = arp::Packet {
            operation: arp::Operation::Reply,
            sender_mac: self.mac,
            sender_ip: question.target_ip,
            target_mac: question.sender_mac,
            target_ip: question.sender_ip,
        };
        self.write_arp(question.sender_mac, &answer, tx);
    }

    fn write_arp(&self, dst: MacAddr, packet: &arp::Packet, tx: &mut TxBurst) {
        let Some(frame) = tx.frame() else { return };
        let ethernet =
            ethernet::Header { dst, src: self.mac, vlan: None, ether_type: EtherType::ARP };
        let at = ethernet.write(frame);
        let len = at + packet.write(&mut frame[at..]);
        tx.commit(len);
    }
}

/// Replies are taken as they come, so the window never shrinks; in a SYN it is not shifted
/// (RFC 7323 2.2).
fn window_field(flags: Flags) -> u16 {
    if flags.contains(Flags::SYN) { u16::MAX } else { (WINDOW_BYTES >> WINDOW_SHIFT) as u16 }
}

const TTL: u8 = 64;

/// How many frames ahead of their writing their lines are asked for.
const PREFETCH_AHEAD: usize = 4;

/// The shift that the SYN offers.
pub(super) const WINDOW_SHIFT: u8 = 2;
const WINDOW_BYTES: u32 = 1 << 17;

/// The MSS of a peer that does not say one (RFC 9293 MUST-15).
const MSS_UNSAID: u16 = 536;
