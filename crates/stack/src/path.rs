//! The way out: next hop, and the frame around a segment.

use crate::arrival::Arrival;
use crate::counters::Drop;
use crate::interface::{Addresses, mapped_v4};
use crate::neighbour::{Neighbours, Resolution};
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::Tcb;
use crate::tcp::send_queue;
use crate::wire_key::Endpoints;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::ops::Range;
use crore_mem::BlockId;
use crore_mem::frames::TxBurst;
use crore_wire::checksum::{self, Sum};
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::{Protocol, ipv4, ipv6, plain, tcp};

/// Where a connection's frames go, for one stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathTo {
    mac: [u8; 6],
    local: u128,
    remote: u128,
    /// Differentiated services field in the upper six bits.
    class: u8,
}

/// What a frame to a neighbour of IPv4 needs besides its connection.
#[derive(Clone, Copy)]
pub(crate) struct PlainPath {
    pub(crate) to: plain::Receiver,
    pub(crate) local: Ipv4Addr,
}

impl PlainPath {
    /// The way of a connection to a neighbour of IPv4 that is known; `None`: look closer.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "on the way of every plain frame")]
    pub(crate) fn of(
        link: &Link,
        addresses: &Addresses,
        neighbours: &mut Neighbours,
        tcb: &Tcb,
    ) -> Option<Self> {
        if link.vlan.is_some() {
            return None;
        }
        let remote = Ipv4Addr::from_bits(tcb.remote as u32);
        // One of our addresses of IPv4 is an end of connections of IPv4 only.
        let (local, hop) = addresses.hop_v4(tcb.local_id, remote)?;
        debug_assert!(!tcb.is_v6(), "both ends are of one family");
        let mac = neighbours.mac_for(u32::from(tcb.neighbour), mapped_v4(hop))?;
        Some(Self { to: plain::Receiver::new(MacAddr(mac)), local })
    }
}

/// Our end of the link: what all frames have alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) mac: [u8; 6],
    /// The VLAN that we are in.
    pub(crate) vlan: Option<u16>,
    /// The same address in front of a plain frame.
    pub(crate) sender: plain::Sender,
}

impl Link {
    pub(crate) fn new(mac: [u8; 6], vlan: Option<u16>) -> Self {
        Self { mac, vlan, sender: plain::Sender::new(MacAddr(mac)) }
    }
}

impl PathTo {
    /// The way to `endpoints` over a neighbour that was looked up before; `None` when it is gone.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "passed in registers, on every segment sent")]
    pub(crate) fn of(stack: &mut Stack, endpoints: &Endpoints, neighbour: u16) -> Option<Self> {
        let hop = stack.next_hop_or_sender(endpoints.remote);
        let mac = stack.neighbours.mac_for(u32::from(neighbour), hop)?;
        // RFC 9293 MUST-45: the address of the connection, on all its segments.
        let local = stack.addresses.address(endpoints.local_id);
        Some(Self { mac, local, remote: endpoints.remote, class: 0 })
    }

    /// The same with this differentiated services code point (RFC 9293 SHLD-22: unchanged).
    #[inline]
    pub(crate) fn with_dscp(self, dscp: u8) -> Self {
        Self { class: dscp << 2, ..self }
    }

    /// The way back to who sent us a frame from the hardware address `mac`.
    pub(crate) fn to_sender(stack: &Stack, endpoints: &Endpoints, mac: [u8; 6]) -> Self {
        let local = stack.addresses.address(endpoints.local_id);
        Self { mac, local, remote: endpoints.remote, class: 0 }
    }

    fn is_v4(&self) -> bool {
        self.remote >> 32 == 0xffff
    }
}

impl Stack {
    /// The next hop for `remote`. A remote that is off the link, without a gateway configured, is
    /// reached through whoever forwarded its frames to us: its own entry has that one's address.
    #[inline]
    pub(crate) fn next_hop_or_sender(&self, remote: u128) -> u128 {
        self.addresses.next_hop(remote).unwrap_or(remote)
    }

    /// The way of a connection. Asks for the next hop's hardware address when it is not known.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "passed in registers, on every segment sent")]
    pub(crate) fn path_of(&mut self, index: u32, tx: &mut TxBurst) -> Option<PathTo> {
        let tcb = &self.tcbs[index];
        let (endpoints, neighbour, dscp) = (tcb.endpoints(), tcb.neighbour, tcb.dscp());
        let path = match PathTo::of(self, &endpoints, neighbour) {
            Some(path) => path,
            None => self.find_path(index, &endpoints, tx)?,
        };
        Some(path.with_dscp(dscp))
    }

    #[cold]
    fn find_path(&mut self, index: u32, endpoints: &Endpoints, tx: &mut TxBurst) -> Option<PathTo> {
        let hop = self.next_hop_or_sender(endpoints.remote);
        match self.neighbours.resolve(hop, self.now.tick) {
            Resolution::Known(neighbour) => {
                self.tcbs[index].neighbour = neighbour as u16;
                PathTo::of(self, endpoints, neighbour as u16)
            }
            Resolution::AskNow(neighbour) => {
                self.tcbs[index].neighbour = neighbour as u16;
                self.ask_for(hop, tx);
                None
            }
            Resolution::Wait(_) | Resolution::Unreachable(_) => None,
            Resolution::Full => {
                self.counters.drop(Drop::NoNextHop);
                None
            }
        }
    }

    /// The neighbour to answer an arrival through: its next hop, learned from the frame itself
    /// when it is not known yet.
    pub(crate) fn neighbour_of_arrival(&mut self, arrival: &Arrival, frame: &[u8]) -> Option<u16> {
        let hop = self.next_hop_or_sender(arrival.remote);
        if let Some(neighbour) = self.neighbours.recall(hop)
            && self.neighbours.mac_for(neighbour, hop).is_some()
        {
            return Some(neighbour as u16);
        }
        let (header, _) = ethernet::Header::parse(frame).ok()?;
        self.neighbours.learn(hop, header.src.0, self.now.tick).map(|index| index as u16)
    }

    /// Writes a segment without payload, or with a short one; false when there is no frame.
    pub(crate) fn write_segment(
        &mut self,
        path: &PathTo,
        header: &tcp::Header,
        payload: &[u8],
        tx: &mut TxBurst,
    ) -> bool {
        let Some(frame) = tx.frame() else {
            self.counters.drop(Drop::TxFull);
            return false;
        };
        // RFC 3168-6.1.4, RFC 3168-6.1.1g: no octets of the queue, no ECT.
        let written = write_frame(&self.link, self.config.ttl, path, header, 0, payload, frame);
        self.commit(written, tx);
        true
    }

    /// Writes a segment with these octets of a send queue's block; `ecn`: its two bits of the IP
    /// header.
    #[inline]
    pub(crate) fn write_block(
        &mut self,
        path: &PathTo,
        header: &tcp::Header,
        ecn: u8,
        id: BlockId,
        octets: Range<usize>,
        tx: &mut TxBurst,
    ) -> bool {
        let len = octets.len();
        let Some(frame) = tx.frame() else {
            self.counters.drop(Drop::TxFull);
            return false;
        };
        let payload = send_queue::octets(&self.pool, id, octets.start, len);
        let written = write_frame(&self.link, self.config.ttl, path, header, ecn, payload, frame);
        self.commit(written, tx);
        true
    }

    #[inline]
    pub(crate) fn commit(&mut self, len: usize, tx: &mut TxBurst) {
        tx.commit(len);
        self.counters.segments_out += 1;
        self.counters.tx_frames += 1;
        self.counters.tx_bytes += len as u64;
    }

    /// Answers a segment that belongs to no connection with a reset (RFC 9293 3.10.7.1).
    pub(crate) fn reset_stranger(&mut self, arrival: &Arrival, frame: &[u8], tx: &mut TxBurst) {
        if !self.may_reply_to_stranger() {
            return;
        }
        let has_ack = arrival.flags.contains(tcp::Flags::ACK);
        let len = u32::from(arrival.payload_len)
            + u32::from(arrival.flags.contains(tcp::Flags::SYN))
            + u32::from(arrival.flags.contains(tcp::Flags::FIN));
        let (seq, ack, flags) = if has_ack {
            (arrival.ack, 0, tcp::Flags::RST)
        } else {
            let ack = (Seq(arrival.seq) + len).0;
            (0, ack, tcp::Flags::RST | tcp::Flags::ACK)
        };
        if self.reply(arrival, frame, seq, ack, flags, tcp::Options::NONE, tx) {
            self.counters.resets_out += 1;
        }
    }

    /// The acknowledgment that a TIME-WAIT record gives.
    pub(crate) fn reply_from_time_wait(
        &mut self,
        arrival: &Arrival,
        frame: &[u8],
        (seq, rcv_nxt): (Seq, Seq),
        ts_recent: u32,
        tx: &mut TxBurst,
    ) {
        let mut options = tcp::Options::NONE;
        if ts_recent != 0 {
            let value = self.ts_now();
            options.timestamps = Some(tcp::Timestamps { value, echo: ts_recent });
        }
        self.reply(arrival, frame, seq.0, rcv_nxt.0, tcp::Flags::ACK, options, tx);
    }

    /// A segment without payload back to where an arrival came from, hardware address included.
    #[expect(clippy::too_many_arguments, reason = "the fields of a segment")]
    fn reply(
        &mut self,
        arrival: &Arrival,
        frame: &[u8],
        seq: u32,
        ack: u32,
        flags: tcp::Flags,
        options: tcp::Options,
        tx: &mut TxBurst,
    ) -> bool {
        let Ok((ethernet, _)) = ethernet::Header::parse(frame) else { return false };
        let path = PathTo::to_sender(self, &arrival.endpoints(), ethernet.src.0);
        let is_reset = flags.contains(tcp::Flags::RST);
        // TIME-WAIT remembers no window; a shut one would look like a receiver that is stuck.
        let window = if is_reset { 0 } else { self.config.rcv_buf_bytes.min(65_535) as u16 };
        let header = tcp::Header {
            src_port: arrival.local_port,
            dst_port: arrival.remote_port,
            seq,
            ack,
            flags,
            window,
            urgent: 0,
            options,
        };
        self.write_segment(&path, &header, &[], tx)
    }
}

/// Writes a whole frame around a payload; says how long it is. The payload is read once, for its
/// copy and its checksum together.
#[inline(always)]
#[expect(clippy::inline_always, reason = "what a segment has not should cost it nothing")]
fn write_frame(
    link: &Link,
    ttl: u8,
    path: &PathTo,
    header: &tcp::Header,
    ecn: u8,
    payload: &[u8],
    frame: &mut [u8],
) -> usize {
    if path.is_v4()
        && link.vlan.is_none()
        && header.urgent == 0
        && let Some(options) = plain::Options::of(&header.options)
    {
        let plain = plain::Frame {
            to: plain::Receiver::new(MacAddr(path.mac)),
            traffic_class: path.class | ecn,
            src: Ipv4Addr::from_bits(path.local as u32),
            dst: Ipv4Addr::from_bits(path.remote as u32),
            src_port: header.src_port,
            dst_port: header.dst_port,
            seq: header.seq,
            ack: header.ack,
            flags: header.flags,
            window: header.window,
            options,
        };
        return plain.write(link.sender, ttl, payload, frame);
    }
    write_any_frame(link, ttl, path, header, ecn, payload, frame)
}

/// The same for a frame with more to it.
fn write_any_frame(
    link: &Link,
    ttl: u8,
    path: &PathTo,
    header: &tcp::Header,
    ecn: u8,
    payload: &[u8],
    frame: &mut [u8],
) -> usize {
    let header_len = header.header_len();
    let start = write_ip(link, ttl, path, ecn, header_len + payload.len(), frame);
    let at = start + header_len;
    let sum = checksum::copy_and_sum(&mut frame[at..at + payload.len()], payload);
    finish(path, header, header_len + payload.len(), sum, &mut frame[start..]);
    at + payload.len()
}

/// Writes the Ethernet and IP headers for `len` octets of segment; says where the segment begins.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the headers of every segment sent")]
fn write_ip(link: &Link, ttl: u8, path: &PathTo, ecn: u8, len: usize, frame: &mut [u8]) -> usize {
    let Link { mac, vlan, .. } = *link;
    let is_v4 = path.is_v4();
    let ether_type = if is_v4 { EtherType::IPV4 } else { EtherType::IPV6 };
    let ethernet = ethernet::Header { dst: MacAddr(path.mac), src: MacAddr(mac), vlan, ether_type };
    let at = ethernet.write(frame);
    if is_v4 {
        let (src, dst) = (path.local as u32, path.remote as u32);
        let (src, dst) = (Ipv4Addr::from_bits(src), Ipv4Addr::from_bits(dst));
        // RFC 6864 4.1: an atomic packet needs no identification; RFC 9293 MAY-4. RFC 8899-3.2b,
        // RFC 7323-5.7: routers say what does not fit.
        let header = ipv4::Header::atomic(src, dst, Protocol::TCP, len as u16);
        let header = ipv4::Header { ttl, dscp_ecn: path.class | ecn, ..header };
        at + header.write(&mut frame[at..])
    } else {
        let header = ipv6::Header {
            src: Ipv6Addr::from_bits(path.local),
            dst: Ipv6Addr::from_bits(path.remote),
            next_header: Protocol::TCP,
            hop_limit: ttl,
            traffic_class: path.class | ecn,
            flow_label: 0,
            payload_len: len as u16,
        };
        at + header.write(&mut frame[at..])
    }
}

/// Writes the TCP header, its checksum too (RFC 9293 MUST-2), in front of a payload whose sum is
/// known.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the headers of every segment sent")]
fn finish(path: &PathTo, header: &tcp::Header, total: usize, sum: Sum, segment: &mut [u8]) {
    let pseudo = if path.is_v4() {
        let (src, dst) = (path.local as u32, path.remote as u32);
        let (src, dst) = (Ipv4Addr::from_bits(src), Ipv4Addr::from_bits(dst));
        Sum::pseudo_v4(src, dst, Protocol::TCP, total as u16)
    } else {
        let (src, dst) = (Ipv6Addr::from_bits(path.local), Ipv6Addr::from_bits(path.remote));
        Sum::pseudo_v6(src, dst, Protocol::TCP, total as u32)
    };
    header.write_summed(segment, pseudo.add_sum(sum));
}
