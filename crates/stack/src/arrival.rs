//! The first look at a frame: checked headers in numbers, for the stages of a burst.
//!
//! A burst is parsed whole before any connection is looked up, so that the look-ups' cache misses
//! can wait for each other's company (DESIGN: stage by stage, never packet by packet).

use crate::counters::Drop;
use crate::fragments::is_put_together;
use crate::hash::FlowV4;
use crate::interface::mapped_v4;
use crate::stack::{GROUP, Stack};
use crate::wire_key::Endpoints;
use core::net::Ipv4Addr;
use crore_mem::frames::RX_BURST_MAX;
use crore_wire::checksum::{self, Sum};
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::{Malformed, Protocol, icmpv4, ipv4, ipv6, plain, tcp};

/// What a frame turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Kind {
    /// Dropped, and counted.
    #[default]
    Nothing,
    /// A TCP segment for one of our addresses.
    Tcp,
    /// ARP.
    Arp,
    /// ICMP for one of our addresses; the payload is the message.
    Icmpv4,
    /// A part of a packet for one of our addresses.
    Fragment,
    /// IPv6 for one of our addresses, with extension headers that cannot be accepted.
    Refused,
    /// `ICMPv6` for us or a multicast group; the payload is the message.
    Icmpv6,
}

/// One frame of a burst. What lies together in a header lies together here.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Arrival {
    pub(crate) remote: u128,
    pub(crate) hash: u64,
    pub(crate) ack: u32,
    pub(crate) seq: u32,
    pub(crate) ts_echo: u32,
    pub(crate) ts_value: u32,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) local_id: u16,
    pub(crate) window: u16,
    /// What the flow table had for the tuple's tag; to be verified.
    pub(crate) record: Option<u32>,
    /// Where the segment (or message) and its payload begin in the frame.
    pub(crate) start: u16,
    pub(crate) payload_start: u16,
    pub(crate) payload_len: u16,
    pub(crate) flags: tcp::Flags,
    /// DSCP (upper 6 bits) and ECN (lower 2 bits) of the IP header.
    pub(crate) traffic_class: u8,
    pub(crate) has_timestamps: bool,
    pub(crate) kind: Kind,
    /// There are options besides timestamps, to be read in the header, or an echo of congestion.
    pub(crate) has_options: bool,
    /// The packet is marked (CE), or its segment has ECE or CWR: ECN has something to do.
    pub(crate) has_ecn: bool,
    /// A segment of an established connection, most likely: ACK and perhaps PSH and FIN, no option
    /// but timestamps, nothing of congestion.
    pub(crate) is_plain: bool,
}

/// The frames of one burst, parsed.
#[derive(Debug)]
pub struct Burst {
    pub(crate) arrivals: [Arrival; RX_BURST_MAX],
    pub(crate) count: usize,
    /// Of the group that is being parsed.
    pub(crate) flows: [FlowV4; GROUP],
    pub(crate) hashes: [u64; GROUP],
}

impl Burst {
    /// An empty one; one is enough for a core's life.
    pub fn new() -> Self {
        Self {
            arrivals: [Arrival::default(); RX_BURST_MAX],
            count: 0,
            flows: [FlowV4::NONE; GROUP],
            hashes: [0; GROUP],
        }
    }
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}

impl Arrival {
    #[inline]
    pub(crate) fn endpoints(&self) -> Endpoints {
        Endpoints {
            remote: self.remote,
            remote_port: self.remote_port,
            local_port: self.local_port,
            local_id: self.local_id,
        }
    }

    /// True when a router marked the packet: CE (RFC 3168 5).
    #[inline]
    pub(crate) fn is_marked(&self) -> bool {
        self.traffic_class & ECN_CE == ECN_CE
    }

    /// It is a segment, with these bits and options; the traffic class is known.
    #[inline]
    fn set_segment(&mut self, flags: tcp::Flags, has_timestamps: bool, has_sack: bool) {
        self.kind = Kind::Tcp;
        self.flags = flags;
        self.has_timestamps = has_timestamps;
        let marked = self.is_marked();
        let text = flags.without(tcp::Flags::PSH.with(tcp::Flags::FIN));
        if text == tcp::Flags::ACK && !has_sack && !marked {
            (self.has_options, self.has_ecn, self.is_plain) = (false, false, true);
            return;
        }
        self.is_plain = false;
        self.has_options = has_sack || flags.intersects(tcp::Flags::SYN.with(tcp::Flags::ECE));
        self.has_ecn = marked || flags.intersects(tcp::Flags::ECE.with(tcp::Flags::CWR));
    }

    #[inline]
    fn set_timestamps(&mut self, timestamps: tcp::Timestamps) {
        self.ts_value = timestamps.value;
        self.ts_echo = timestamps.echo;
    }
}

impl Stack {
    /// The frame that nearly all are, in one go: untagged, IPv4 without options and whole, TCP
    /// with no option but timestamps or those of a SYN, for us, its sums right. False: it is not
    /// like that, or something is wrong with it, and [`Stack::parse_frame`] says what.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "one call, in the loop over a group")]
    pub(crate) fn parse_plain(
        &self,
        frame: &[u8],
        link_word: u64,
        arrival: &mut Arrival,
        flow: &mut FlowV4,
    ) -> bool {
        let Some(view) = plain::View::parse(frame) else { return false };
        let Some(id) = self.addresses.id_of_v4(view.dst()) else { return false };
        if !view.is_for(link_word) || is_bad_source_v4(view.src()) {
            return false;
        }
        let (ports, seq_ack) = (view.ports(), view.seq_ack());
        arrival.traffic_class = view.traffic_class();
        arrival.remote = mapped_v4(view.src());
        arrival.local_id = id;
        arrival.local_port = ports as u16;
        arrival.remote_port = (ports >> 16) as u16;
        arrival.ack = seq_ack as u32;
        arrival.seq = (seq_ack >> 32) as u32;
        arrival.window = view.window();
        arrival.set_timestamps(view.timestamps_or_zeros());
        arrival.set_segment(view.flags(), view.has_timestamps(), false);
        arrival.start = plain::SEGMENT_AT as u16;
        arrival.payload_start = view.payload_at() as u16;
        arrival.payload_len = view.payload_len() as u16;
        *flow = FlowV4::new(view.src().to_bits(), view.dst().to_bits(), ports);
        true
    }

    /// What plain frames for us have in front: those in a VLAN are not plain.
    #[inline]
    pub(crate) fn link_word(&self) -> u64 {
        let mac = self.link.vlan.is_none().then_some(MacAddr(self.link.mac));
        plain::View::link_word(mac)
    }

    /// Parses one frame into `arrival`; an error says why it is dropped.
    pub(crate) fn parse_frame(&self, frame: &[u8], arrival: &mut Arrival) -> Result<(), Drop> {
        (arrival.kind, arrival.is_plain) = (Kind::Nothing, false);
        let (header, packet) = ethernet::Header::parse(frame).map_err(|_| Drop::Malformed)?;
        if header.dst.0 != self.link.mac && !header.dst.is_multicast() {
            return Err(Drop::NotOurMac);
        }
        // IEEE 802.1Q 9.6: number 0 names no VLAN, the tag is there for the priority only.
        if header.vlan.map(|tci| tci & 0xfff).filter(|&id| id != 0) != self.link.vlan {
            return Err(Drop::NotOurVlan);
        }
        let to_many = header.dst.is_multicast();
        match header.ether_type {
            EtherType::IPV4 => self.parse_ipv4(frame, packet, arrival)?,
            EtherType::IPV6 => self.parse_ipv6(frame, packet, arrival)?,
            EtherType::ARP => {
                arrival.kind = Kind::Arp;
                arrival.start = offset_in(frame, packet);
            }
            _ => return Err(Drop::UnknownEtherType),
        }
        if to_many && matches!(arrival.kind, Kind::Tcp | Kind::Fragment | Kind::Refused) {
            // RFC 1122-3.3.6: what the link sent to everybody is not for one connection.
            arrival.kind = Kind::Nothing;
            return Err(Drop::NotOurAddress);
        }
        Ok(())
    }

    #[inline]
    fn parse_ipv4(&self, frame: &[u8], packet: &[u8], arrival: &mut Arrival) -> Result<(), Drop> {
        let (header, payload) = ipv4::Header::parse(packet).map_err(ip_drop)?;
        if offset_in(packet, payload) != ipv4::HEADER_LEN as u16 {
            self.check_options_v4(packet)?;
        }
        if is_bad_source_v4(header.src) {
            return Err(Drop::BadSource);
        }
        // RFC 9293 MUST-57: broadcast and multicast addresses are none of ours.
        let id = self.addresses.id_of(mapped_v4(header.dst)).ok_or(Drop::NotOurAddress)?;
        arrival.traffic_class = header.dscp_ecn;
        arrival.remote = mapped_v4(header.src);
        arrival.local_id = id;
        if header.is_fragment() {
            return self.note_fragment(header.protocol, arrival);
        }
        match header.protocol {
            Protocol::TCP => {
                let len = payload.len() as u16;
                let sum = Sum::pseudo_v4(header.src, header.dst, Protocol::TCP, len);
                self.parse_tcp(frame, payload, sum, arrival)
            }
            Protocol::ICMP => {
                arrival.kind = Kind::Icmpv4;
                set_payload(arrival, frame, payload, payload);
                icmpv4::Message::parse(payload).map(|_| ()).map_err(transport_drop)
            }
            _ => Err(Drop::UnknownProtocol),
        }
    }

    fn parse_ipv6(&self, frame: &[u8], packet: &[u8], arrival: &mut Arrival) -> Result<(), Drop> {
        let (header, payload) = ipv6::Header::parse(packet).map_err(ip_drop)?;
        let chain = ipv6::skip_extensions(header.next_header, payload);
        // RFC 4291 2.7: a multicast address is never a source; nor is IPv4's mapped form on the
        // wire, which stands for IPv4 everywhere here.
        if header.src.is_multicast() || header.src.to_ipv4_mapped().is_some() {
            return Err(Drop::BadSource);
        }
        if header.dst.to_ipv4_mapped().is_some() {
            return Err(Drop::NotOurAddress);
        }
        let id = self.addresses.id_of(header.dst.to_bits());
        arrival.traffic_class = header.traffic_class;
        arrival.remote = header.src.to_bits();
        arrival.local_id = id.unwrap_or(u16::MAX);
        let Ok((protocol, payload, fragment)) = chain else {
            id.ok_or(Drop::NotOurAddress)?;
            arrival.kind = Kind::Refused;
            return Ok(());
        };
        // RFC 6946-4: what is whole is no fragment.
        if fragment.is_some_and(|fragment| !fragment.is_atomic()) {
            id.ok_or(Drop::NotOurAddress)?;
            if header.src.is_unspecified() || header.src.is_loopback() {
                return Err(Drop::BadSource);
            }
            // Only the first fragment knows what it is (RFC 8200 4.5).
            return self.note_fragment(Protocol::TCP, arrival);
        }
        match protocol {
            Protocol::TCP => {
                id.ok_or(Drop::NotOurAddress)?;
                if header.src.is_unspecified() || header.src.is_loopback() {
                    return Err(Drop::BadSource);
                }
                let len = payload.len() as u32;
                let sum = Sum::pseudo_v6(header.src, header.dst, Protocol::TCP, len);
                self.parse_tcp(frame, payload, sum, arrival)
            }
            Protocol::ICMPV6 => {
                if id.is_none() && !self.addresses.is_our_group(header.dst) {
                    return Err(Drop::NotOurAddress);
                }
                arrival.kind = Kind::Icmpv6;
                // The hop limit is needed again: RFC 4861 7.1 wants 255, and RFC 6980-5 no fragment
                // header.
                let hop_limit = if fragment.is_none() { header.hop_limit } else { 0 };
                arrival.window = u16::from(hop_limit);
                set_payload(arrival, frame, payload, payload);
                Ok(())
            }
            _ => Err(Drop::UnknownProtocol),
        }
    }

    /// A fragment of something that is taken when it is whole.
    #[cold]
    fn note_fragment(&self, protocol: Protocol, arrival: &mut Arrival) -> Result<(), Drop> {
        if !is_put_together(protocol) {
            return Err(Drop::UnknownProtocol);
        }
        if self.reassembly.is_none() {
            return Err(Drop::Fragment);
        }
        arrival.kind = Kind::Fragment;
        Ok(())
    }

    /// Options are stepped over (RFC 1122-3.2.1.8), but who would route a packet himself must be
    /// let to (RFC 7126 4.3.5, 4.4.5).
    #[cold]
    fn check_options_v4(&self, packet: &[u8]) -> Result<(), Drop> {
        if !self.config.source_routes && ipv4::Header::has_source_route(packet) {
            return Err(Drop::SourceRoute);
        }
        Ok(())
    }

    #[inline]
    fn parse_tcp(
        &self,
        frame: &[u8],
        segment: &[u8],
        pseudo: Sum,
        arrival: &mut Arrival,
    ) -> Result<(), Drop> {
        let (header, payload) = tcp::Header::parse(segment).map_err(transport_drop)?;
        // RFC 9293 MUST-3.
        if !checksum::verify(pseudo.add_bytes(segment)) && !self.is_left_to_us(pseudo, segment) {
            return Err(Drop::Checksum);
        }
        arrival.remote_port = header.src_port;
        arrival.local_port = header.dst_port;
        arrival.seq = header.seq;
        arrival.ack = header.ack;
        arrival.window = header.window;
        let options = header.options;
        let timestamps = options.timestamps.unwrap_or(tcp::Timestamps { value: 0, echo: 0 });
        arrival.set_timestamps(timestamps);
        let has_sack = !options.sack.is_empty();
        arrival.set_segment(header.flags, options.timestamps.is_some(), has_sack);
        set_payload(arrival, frame, segment, payload);
        Ok(())
    }

    /// A peer on this very machine may leave the checksum to a device that is not there: the field
    /// then has the pseudo-header's sum only. Accepted where the link says that this happens.
    #[cold]
    fn is_left_to_us(&self, pseudo: Sum, segment: &[u8]) -> bool {
        let at = tcp::CHECKSUM_OFFSET;
        !self.verify_checksums && segment[at..at + 2] == pseudo.partial().to_be_bytes()
    }
}

/// The ECN field of a packet that a router marked (RFC 3168 5).
pub(crate) const ECN_CE: u8 = 3;

fn set_payload(arrival: &mut Arrival, frame: &[u8], segment: &[u8], payload: &[u8]) {
    arrival.start = offset_in(frame, segment);
    arrival.payload_start = offset_in(frame, payload);
    arrival.payload_len = payload.len() as u16;
}

/// Where `part`, a slice of `frame`, begins in it.
#[inline]
fn offset_in(frame: &[u8], part: &[u8]) -> u16 {
    (part.as_ptr().addr() - frame.as_ptr().addr()) as u16
}

/// RFC 1122-3.2.1.3, RFC 9293 MUST-63: addresses that no host may send from.
fn is_bad_source_v4(source: Ipv4Addr) -> bool {
    let [net, ..] = source.octets();
    matches!(net, 0 | 127 | 224..)
}

fn ip_drop(why: Malformed) -> Drop {
    match why {
        Malformed::Checksum => Drop::IpChecksum,
        Malformed::Option => Drop::BadOption,
        _ => Drop::Malformed,
    }
}

fn transport_drop(why: Malformed) -> Drop {
    match why {
        Malformed::Checksum => Drop::Checksum,
        Malformed::Option => Drop::BadOption,
        _ => Drop::Malformed,
    }
}
