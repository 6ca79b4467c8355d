//! What is answered and asked below TCP: ARP (RFC 826), neighbour discovery (RFC 4861), ping, and
//! errors about our flows (RFC 1122 4.2.3.9, RFC 5927).

use crate::arrival::Arrival;
use crate::counters::Drop;
use crate::event::{Closed, Event, Events, Trouble, What};
use crate::interface::mapped_v4;
use crate::neighbour::{Neighbour, Resolution};
use crate::path::Link;
use crate::record::Record;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::State;
use crate::wire_key::Endpoints;
use core::net::{Ipv4Addr, Ipv6Addr};
use crore_mem::frames::TxBurst;
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::{Protocol, arp, icmpv4, icmpv6, ipv4, ipv6, tcp};

/// What an ICMP error says of a flow (RFC 9293 3.9.2.2).
#[derive(Clone, Copy)]
enum Says {
    /// The next hop takes packets of this size at most, if it said so.
    TooBig(u16),
    /// A hard error: there is nobody, and nothing will change that soon.
    Nobody,
    /// A hard error: somebody on the way forbids it.
    Prohibited,
    /// A soft error: it may pass.
    Soft(Trouble),
}

/// RFC 9293 3.9.2.2: codes 2 and 3 are hard errors; so are prohibitions, as in IPv6. All others may
/// pass.
fn unreachable_v4(code: u8, next_hop_mtu: u16) -> Says {
    match code {
        icmpv4::UNREACHABLE_TOO_BIG => Says::TooBig(next_hop_mtu),
        icmpv4::UNREACHABLE_PROTOCOL | icmpv4::UNREACHABLE_PORT => Says::Nobody,
        icmpv4::UNREACHABLE_NET_PROHIBITED
        | icmpv4::UNREACHABLE_HOST_PROHIBITED
        | icmpv4::UNREACHABLE_PROHIBITED => Says::Prohibited,
        _ => Says::Soft(Trouble::Unreachable),
    }
}

/// RFC 9293 3.9.2.2: codes 0 and 3 may pass. RFC 4443 3.1: a port without a listener; the others
/// are prohibitions and an address that is none.
fn unreachable_v6(code: u8) -> Says {
    match code {
        icmpv6::UNREACHABLE_PORT => Says::Nobody,
        icmpv6::UNREACHABLE_ROUTE | icmpv6::UNREACHABLE_ADDRESS => Says::Soft(Trouble::Unreachable),
        _ => Says::Prohibited,
    }
}

impl Stack {
    pub(crate) fn arp_arrives(&mut self, arrival: &Arrival, frame: &[u8], tx: &mut TxBurst) {
        let Ok(packet) = arp::Packet::parse(&frame[usize::from(arrival.start)..]) else {
            return self.counters.drop(Drop::Malformed);
        };
        let (sender, target) = (mapped_v4(packet.sender_ip), mapped_v4(packet.target_ip));
        let for_us = self.addresses.id_of(target).is_some();
        // An address of ours in a stranger's mouth, or a probe (RFC 5227), teaches nothing.
        let teaches = !packet.sender_ip.is_unspecified()
            && self.addresses.id_of(sender).is_none()
            && self.addresses.next_hop(sender) == Some(sender);
        let (mac, tick) = (packet.sender_mac.0, self.now.tick);
        let learned = match (teaches, for_us) {
            (true, true) => self.neighbours.learn(sender, mac, tick).is_some(),
            (true, false) => self.neighbours.refresh(sender, mac, tick).is_some(),
            (false, _) => false,
        };
        let asks = packet.operation == arp::Operation::Request && for_us;
        let answers = asks && self.config.answers_for_link && !self.was_passed_on();
        if for_us {
            self.pass_on_to_all();
        }
        if !learned && !answers {
            return self.counters.drop(Drop::NeighbourIgnored);
        }
        self.counters.neighbours_in += 1;
        if !answers {
            return;
        }
        let reply = arp::Packet {
            operation: arp::Operation::Reply,
            sender_mac: MacAddr(self.link.mac),
            sender_ip: packet.target_ip,
            target_mac: packet.sender_mac,
            target_ip: packet.sender_ip,
        };
        self.write_arp(packet.sender_mac, &reply, tx);
    }

    fn write_arp(&mut self, to: MacAddr, packet: &arp::Packet, tx: &mut TxBurst) {
        let (mac, vlan) = (MacAddr(self.link.mac), self.link.vlan);
        let Some(frame) = tx.frame() else { return self.counters.drop(Drop::TxFull) };
        let header = ethernet::Header { dst: to, src: mac, vlan, ether_type: EtherType::ARP };
        let at = header.write(frame);
        let len = at + packet.write(&mut frame[at..]);
        self.commit_padded(len, tx);
    }

    /// Short frames are filled up with zeros (IEEE 802.3: 60 octets without the check sequence).
    fn commit_padded(&mut self, len: usize, tx: &mut TxBurst) {
        let padded = len.max(60);
        if let Some(frame) = tx.frame() {
            frame[len..padded].fill(0);
        }
        tx.commit(padded);
        self.counters.tx_frames += 1;
        self.counters.tx_bytes += padded as u64;
    }

    /// Asks for the hardware address of `hop`, by broadcast or multicast.
    pub(crate) fn ask_for(&mut self, hop: u128, tx: &mut TxBurst) {
        self.ask(hop, None, tx);
    }

    fn ask(&mut self, hop: u128, known: Option<[u8; 6]>, tx: &mut TxBurst) {
        let Some(source) = self.addresses.source_for(hop) else { return };
        if hop >> 32 == 0xffff {
            let request = arp::Packet {
                operation: arp::Operation::Request,
                sender_mac: MacAddr(self.link.mac),
                sender_ip: Ipv4Addr::from_bits(source as u32),
                target_mac: MacAddr([0; 6]),
                target_ip: Ipv4Addr::from_bits(hop as u32),
            };
            let to = known.map_or(MacAddr::BROADCAST, MacAddr);
            return self.write_arp(to, &request, tx);
        }
        let target = Ipv6Addr::from_bits(hop);
        let group = icmpv6::solicited_node(target);
        let (to, dst) = match known {
            Some(mac) => (MacAddr(mac), target),
            None => (MacAddr::multicast_v6(group), group),
        };
        let source_mac = Some(MacAddr(self.link.mac));
        let message = icmpv6::Message::NeighborSolicit { target, source_mac };
        self.write_icmpv6(to, Ipv6Addr::from_bits(source), dst, &message, tx);
    }

    /// Questions that are due again, with bounded work.
    pub(crate) fn neighbour_timers(&mut self, tx: &mut TxBurst) {
        let mut asks = [(0, None); ASKS_MAX];
        let mut count = 0;
        let room = tx.room().min(ASKS_MAX);
        self.neighbours.due(self.now.tick, room as u32, |_, neighbour: &Neighbour| {
            if count < room {
                asks[count] = (neighbour.address(), neighbour.mac());
                count += 1;
            }
        });
        for &(hop, known) in &asks[..count] {
            self.ask(hop, known, tx);
        }
    }

    /// True when a connection's next hop was asked for in vain.
    pub(crate) fn next_hop_failed(&mut self, index: u32) -> bool {
        let hop = self.next_hop_or_sender(self.tcbs[index].remote);
        matches!(self.neighbours.resolve(hop, self.now.tick), Resolution::Unreachable(_))
    }

    /// The interface was replaced by another one, with this hardware address.
    pub fn set_hardware_address(&mut self, mac: [u8; 6]) {
        self.link = Link::new(mac, self.link.vlan);
    }

    /// A next hop that the control plane knows for sure.
    pub fn learn_neighbour(&mut self, address: core::net::IpAddr, mac: [u8; 6]) {
        let address = crate::interface::mapped(address);
        self.neighbours.learn_permanent(address, mac, self.now.tick);
    }

    pub(crate) fn icmpv4_arrives(
        &mut self,
        arrival: &Arrival,
        frame: &[u8],
        events: &mut Events,
        tx: &mut TxBurst,
    ) {
        let start = usize::from(arrival.payload_start);
        let message = &frame[start..start + usize::from(arrival.payload_len)];
        match icmpv4::Message::parse(message) {
            Ok(icmpv4::Message::EchoRequest { ident, seq, data }) => {
                let reply = icmpv4::Message::EchoReply { ident, seq, data };
                self.pong_v4(arrival, frame, &reply, tx);
            }
            Ok(icmpv4::Message::Unreachable { code, next_hop_mtu, quoted }) => {
                self.trouble_v4(quoted, unreachable_v4(code, next_hop_mtu), events);
            }
            Ok(icmpv4::Message::TimeExceeded { quoted, .. }) => {
                self.trouble_v4(quoted, Says::Soft(Trouble::Expired), events);
            }
            Ok(icmpv4::Message::ParameterProblem { quoted, .. }) => {
                self.trouble_v4(quoted, Says::Soft(Trouble::NotUnderstood), events);
            }
            // RFC 9293 MUST-55, RFC 5927-6.1: source quench among them.
            Ok(_) => self.counters.drop(Drop::IcmpIgnored),
            Err(_) => self.counters.drop(Drop::Malformed),
        }
    }

    fn pong_v4(
        &mut self,
        arrival: &Arrival,
        frame: &[u8],
        reply: &icmpv4::Message<'_>,
        tx: &mut TxBurst,
    ) {
        let fits = ipv4::HEADER_LEN + reply.len() <= usize::from(self.mtu);
        if !self.config.answers_for_link || !fits || !self.may_reply_to_stranger() {
            return self.counters.drop(Drop::IcmpIgnored);
        }
        let Ok((from, _)) = ethernet::Header::parse(frame) else {
            return self.counters.drop(Drop::Malformed);
        };
        self.counters.pings += 1;
        let src = Ipv4Addr::from_bits(self.addresses.address(arrival.local_id) as u32);
        let dst = Ipv4Addr::from_bits(arrival.remote as u32);
        self.write_icmpv4(from.src, src, dst, reply, tx);
    }

    pub(crate) fn write_icmpv4(
        &mut self,
        to: MacAddr,
        src: Ipv4Addr,
        dst: Ipv4Addr,
        message: &icmpv4::Message<'_>,
        tx: &mut TxBurst,
    ) {
        let (mac, vlan) = (MacAddr(self.link.mac), self.link.vlan);
        let Some(out) = tx.frame() else { return self.counters.drop(Drop::TxFull) };
        let header = ethernet::Header { dst: to, src: mac, vlan, ether_type: EtherType::IPV4 };
        let at = header.write(out);
        let ip = ipv4::Header::atomic(src, dst, Protocol::ICMP, message.len() as u16);
        let at = at + ip.write(&mut out[at..]);
        let len = at + message.write(&mut out[at..]);
        self.commit_padded(len, tx);
    }

    pub(crate) fn icmpv6_arrives(
        &mut self,
        arrival: &Arrival,
        frame: &[u8],
        events: &mut Events,
        tx: &mut TxBurst,
    ) {
        let start = usize::from(arrival.payload_start);
        let bytes = &frame[start..start + usize::from(arrival.payload_len)];
        let Some((src, dst)) = addresses_v6(frame) else {
            return self.counters.drop(Drop::Malformed);
        };
        let message = match icmpv6::Message::parse(src, dst, bytes) {
            Ok(message) => message,
            Err(crore_wire::Malformed::Checksum) => return self.counters.drop(Drop::Checksum),
            Err(_) => return self.counters.drop(Drop::Malformed),
        };
        // RFC 4861 7.1: neighbour messages come from the link itself.
        let from_link = arrival.window == u16::from(icmpv6::NEIGHBOR_HOP_LIMIT);
        match message {
            icmpv6::Message::NeighborSolicit { target, source_mac } if from_link => {
                self.solicited(src, target, source_mac, frame, tx);
            }
            icmpv6::Message::NeighborAdvert { target, target_mac: Some(mac), .. } if from_link => {
                self.pass_on_to_all();
                let learned = self.neighbours.refresh(target.to_bits(), mac.0, self.now.tick);
                match learned {
                    Some(_) => self.counters.neighbours_in += 1,
                    None => self.counters.drop(Drop::NeighbourIgnored),
                }
            }
            icmpv6::Message::EchoRequest { ident, seq, data } if arrival.local_id != u16::MAX => {
                let reply = icmpv6::Message::EchoReply { ident, seq, data };
                self.pong_v6(src, dst, frame, &reply, tx);
            }
            icmpv6::Message::PacketTooBig { mtu, quoted } => {
                self.trouble_v6(quoted, Says::TooBig(mtu.min(65_535) as u16), events);
            }
            icmpv6::Message::Unreachable { code, quoted } => {
                self.trouble_v6(quoted, unreachable_v6(code), events);
            }
            icmpv6::Message::TimeExceeded { quoted, .. } => {
                self.trouble_v6(quoted, Says::Soft(Trouble::Expired), events);
            }
            icmpv6::Message::ParameterProblem { quoted, .. } => {
                self.trouble_v6(quoted, Says::Soft(Trouble::NotUnderstood), events);
            }
            _ => self.counters.drop(Drop::IcmpIgnored),
        }
    }

    fn pong_v6(
        &mut self,
        asker: Ipv6Addr,
        target: Ipv6Addr,
        frame: &[u8],
        reply: &icmpv6::Message<'_>,
        tx: &mut TxBurst,
    ) {
        let fits = ipv6::HEADER_LEN + reply.len() <= usize::from(self.mtu);
        let asked_by_host = !asker.is_unspecified() && !asker.is_loopback();
        let answers = self.config.answers_for_link && asked_by_host && fits;
        if !answers || !self.may_reply_to_stranger() {
            return self.counters.drop(Drop::IcmpIgnored);
        }
        let Ok((from, _)) = ethernet::Header::parse(frame) else {
            return self.counters.drop(Drop::Malformed);
        };
        self.counters.pings += 1;
        self.write_icmpv6(from.src, target, asker, reply, tx);
    }

    /// A neighbour asks for one of our addresses (RFC 4861 7.2.3, 7.2.4).
    fn solicited(
        &mut self,
        asker: Ipv6Addr,
        target: Ipv6Addr,
        source_mac: Option<MacAddr>,
        frame: &[u8],
        tx: &mut TxBurst,
    ) {
        if self.addresses.id_of(target.to_bits()).is_none() || !self.config.answers_for_link {
            return self.counters.drop(Drop::NeighbourIgnored);
        }
        let Ok((from, _)) = ethernet::Header::parse(frame) else {
            return self.counters.drop(Drop::Malformed);
        };
        self.counters.neighbours_in += 1;
        let is_probe = asker.is_unspecified();
        if let Some(mac) = source_mac
            && !is_probe
        {
            self.neighbours.learn(asker.to_bits(), mac.0, self.now.tick);
        }
        self.pass_on_to_all();
        if self.was_passed_on() {
            return;
        }
        let (to, dst) = if is_probe {
            let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
            (MacAddr::multicast_v6(all_nodes), all_nodes)
        } else {
            (source_mac.unwrap_or(from.src), asker)
        };
        let message = icmpv6::Message::NeighborAdvert {
            target,
            target_mac: Some(MacAddr(self.link.mac)),
            router: false,
            solicited: !is_probe,
            override_: true,
        };
        self.write_icmpv6(to, target, dst, &message, tx);
    }

    pub(crate) fn write_icmpv6(
        &mut self,
        to: MacAddr,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        message: &icmpv6::Message<'_>,
        tx: &mut TxBurst,
    ) {
        let (mac, vlan) = (MacAddr(self.link.mac), self.link.vlan);
        let Some(out) = tx.frame() else { return self.counters.drop(Drop::TxFull) };
        let header = ethernet::Header { dst: to, src: mac, vlan, ether_type: EtherType::IPV6 };
        let at = header.write(out);
        let ip = ipv6::Header {
            src,
            dst,
            next_header: Protocol::ICMPV6,
            hop_limit: icmpv6::NEIGHBOR_HOP_LIMIT,
            traffic_class: 0,
            flow_label: 0,
            payload_len: message.len() as u16,
        };
        let at = at + ip.write(&mut out[at..]);
        let len = at + message.write(src, dst, &mut out[at..]);
        self.commit_padded(len, tx);
    }

    fn trouble_v4(&mut self, quoted: &[u8], says: Says, events: &mut Events) {
        let Ok((ip, rest)) = ipv4::Header::parse_quoted(quoted) else {
            return self.counters.drop(Drop::Malformed);
        };
        if ip.protocol != Protocol::TCP {
            return self.counters.drop(Drop::IcmpIgnored);
        }
        self.trouble(mapped_v4(ip.src), mapped_v4(ip.dst), rest, says, events);
    }

    fn trouble_v6(&mut self, quoted: &[u8], says: Says, events: &mut Events) {
        let Ok((ip, rest)) = ipv6::Header::parse_quoted(quoted) else {
            return self.counters.drop(Drop::Malformed);
        };
        if ip.next_header != Protocol::TCP {
            return self.counters.drop(Drop::IcmpIgnored);
        }
        self.trouble(ip.src.to_bits(), ip.dst.to_bits(), rest, says, events);
    }

    /// An ICMP error about a segment of ours: it goes to the connection (RFC 9293 MUST-54), and is
    /// believed only when it quotes a sequence number that is in flight (RFC 5927 4.1,
    /// RFC 8899-3.6).
    fn trouble(
        &mut self,
        local: u128,
        remote: u128,
        quoted: &[u8],
        says: Says,
        events: &mut Events,
    ) {
        let Ok(segment) = tcp::Quoted::parse(quoted) else {
            return self.counters.drop(Drop::Malformed);
        };
        let Some(local_id) = self.addresses.id_of(local) else {
            return self.counters.drop(Drop::IcmpIgnored);
        };
        let endpoints = Endpoints {
            remote,
            remote_port: segment.dst_port,
            local_port: segment.src_port,
            local_id,
        };
        let hash = self.hash_of(&endpoints);
        let id = self.flows.find(hash, |id| self.is_record_of(id, &endpoints));
        let Some(Record::Conn(index)) = id.map(Record::of) else {
            if self.is_astray(&endpoints) {
                return self.pass_on_to_owner(&endpoints);
            }
            return self.counters.drop(Drop::IcmpIgnored);
        };
        let tcb = &self.tcbs[index];
        let seq = Seq(segment.seq);
        // SND.UNA is beyond a SYN-ACK whose handshake is not over (see `tcp::fast_open`).
        let passive = tcb.state() == State::FastOpened;
        if seq.lt(tcb.snd_una.back(u32::from(passive))) || seq.ge(tcb.snd_nxt) {
            return self.counters.drop(Drop::IcmpIgnored);
        }
        self.counters.icmp_errors_in += 1;
        let mut event = Event { index, generation: tcb.generation, ..Event::default() };
        match says {
            Says::TooBig(_) if tcb.state() == State::SynSent => self.syn_is_too_big(index),
            Says::TooBig(mtu) => self.lower_mss(index, mtu),
            // RFC 9293 SHLD-26: a hard error ends an opening.
            Says::Nobody if tcb.state() == State::SynSent => {
                self.finish(index, Closed::Refused, &mut event);
            }
            Says::Prohibited if tcb.state() == State::SynSent => {
                self.finish(index, Closed::Unreachable, &mut event);
            }
            // RFC 9293 MUST-56, SHLD-25: a soft error ends nothing, but the application learns of
            // it. RFC 5927 5.2: once the connection stands, a hard error says no more than that.
            Says::Nobody | Says::Prohibited => {
                event.what.set(What::TROUBLE);
                event.trouble = Trouble::Unreachable;
            }
            Says::Soft(trouble) => {
                event.what.set(What::TROUBLE);
                event.trouble = trouble;
            }
        }
        if event.what != What::default() {
            events.push(event);
        }
    }
}

/// Source and destination of an IPv6 frame that was parsed before.
fn addresses_v6(frame: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr)> {
    let (_, packet) = ethernet::Header::parse(frame).ok()?;
    let (header, _) = ipv6::Header::parse(packet).ok()?;
    Some((header.src, header.dst))
}

/// Questions asked in one round of the timers.
const ASKS_MAX: usize = 16;
