//! Frames made by hand: for the router, for liars and for those who forge.

use super::segment::Segment;
use crate::luck::Luck;
use crore_wire::checksum::{self, Sum};
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::{Protocol, arp, icmpv4, icmpv6, ipv4, ipv6, tcp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where a frame goes on its link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) src: MacAddr,
    pub(crate) dst: MacAddr,
    pub(crate) vlan: Option<u16>,
}

impl Link {
    fn begin(self, ether_type: EtherType, len: usize) -> (Vec<u8>, usize) {
        let header = ethernet::Header { dst: self.dst, src: self.src, vlan: self.vlan, ether_type };
        let mut frame = vec![0; header.header_len() + len];
        let at = header.write(&mut frame);
        (frame, at)
    }

    /// A TCP segment.
    pub(crate) fn segment(
        self,
        from: SocketAddr,
        to: SocketAddr,
        header: &tcp::Header,
        payload: &[u8],
    ) -> Box<[u8]> {
        let mut header = *header;
        (header.src_port, header.dst_port) = (from.port(), to.port());
        let len = header.header_len() + payload.len();
        let mut bytes = vec![0; len];
        let pseudo = pseudo(from.ip(), to.ip(), Protocol::TCP, len);
        let checksum = pseudo.add_sum(header.sum()).add_bytes(payload).finish();
        let at = header.write(&mut bytes, checksum);
        bytes[at..].copy_from_slice(payload);
        self.packet(from.ip(), to.ip(), Protocol::TCP, 64, &bytes)
    }

    /// An IP packet around `payload`.
    pub(crate) fn packet(
        self,
        from: IpAddr,
        to: IpAddr,
        protocol: Protocol,
        ttl: u8,
        payload: &[u8],
    ) -> Box<[u8]> {
        let frame = match (from, to) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let (mut frame, at) = self.begin(EtherType::IPV4, ipv4::HEADER_LEN + payload.len());
                let at = at + ip_v4(src, dst, protocol, ttl, payload.len()).write(&mut frame[at..]);
                frame[at..].copy_from_slice(payload);
                frame
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let (mut frame, at) = self.begin(EtherType::IPV6, ipv6::HEADER_LEN + payload.len());
                let at = at + ip_v6(src, dst, protocol, ttl, payload.len()).write(&mut frame[at..]);
                frame[at..].copy_from_slice(payload);
                frame
            }
            _ => unreachable!("both ends of a packet are of one family"),
        };
        frame.into_boxed_slice()
    }

    /// An ICMP error about `packet`, which it quotes.
    pub(crate) fn error(self, from: IpAddr, to: IpAddr, says: Says, packet: &[u8]) -> Box<[u8]> {
        let quoted = &packet[..packet.len().min(QUOTE_MAX)];
        match (from, to) {
            (IpAddr::V4(_), _) => {
                let message = says.v4(quoted);
                let mut bytes = vec![0; message.len()];
                message.write(&mut bytes);
                self.packet(from, to, Protocol::ICMP, 64, &bytes)
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let message = says.v6(quoted);
                let mut bytes = vec![0; message.len()];
                message.write(src, dst, &mut bytes);
                self.packet(from, to, Protocol::ICMPV6, 64, &bytes)
            }
            _ => unreachable!("both ends of a packet are of one family"),
        }
    }

    /// An answer to who asks for `target`, by ARP or neighbour discovery.
    pub(crate) fn neighbour(self, target: IpAddr, asker: IpAddr) -> Box<[u8]> {
        match (target, asker) {
            (IpAddr::V4(target), IpAddr::V4(asker)) => {
                let (mut frame, at) = self.begin(EtherType::ARP, arp::LEN);
                let reply = arp::Packet {
                    operation: arp::Operation::Reply,
                    sender_mac: self.src,
                    sender_ip: target,
                    target_mac: self.dst,
                    target_ip: asker,
                };
                reply.write(&mut frame[at..]);
                frame.into_boxed_slice()
            }
            (IpAddr::V6(target), IpAddr::V6(asker)) => {
                let message = icmpv6::Message::NeighborAdvert {
                    target,
                    target_mac: Some(self.src),
                    router: false,
                    solicited: true,
                    override_: true,
                };
                let mut bytes = vec![0; message.len()];
                message.write(target, asker, &mut bytes);
                let (from, to) = (IpAddr::V6(target), IpAddr::V6(asker));
                let hops = icmpv6::NEIGHBOR_HOP_LIMIT;
                self.packet(from, to, Protocol::ICMPV6, hops, &bytes)
            }
            _ => unreachable!("both ends of a packet are of one family"),
        }
    }
}

/// What an ICMP error says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Says {
    /// The next link takes packets of this size at most.
    TooBig(u16),
    /// There is no way to the host now.
    NoHost,
    /// Nobody listens there.
    NoPort,
    /// It took too many hops.
    Expired,
}

impl Says {
    fn v4(self, quoted: &[u8]) -> icmpv4::Message<'_> {
        let unreachable =
            |code, next_hop_mtu| icmpv4::Message::Unreachable { code, next_hop_mtu, quoted };
        match self {
            Says::TooBig(mtu) => unreachable(icmpv4::UNREACHABLE_TOO_BIG, mtu),
            Says::NoHost => unreachable(icmpv4::UNREACHABLE_HOST, 0),
            Says::NoPort => unreachable(icmpv4::UNREACHABLE_PORT, 0),
            Says::Expired => icmpv4::Message::TimeExceeded { code: 0, quoted },
        }
    }

    fn v6(self, quoted: &[u8]) -> icmpv6::Message<'_> {
        match self {
            Says::TooBig(mtu) => icmpv6::Message::PacketTooBig { mtu: u32::from(mtu), quoted },
            Says::NoHost => {
                icmpv6::Message::Unreachable { code: icmpv6::UNREACHABLE_ADDRESS, quoted }
            }
            Says::NoPort => icmpv6::Message::Unreachable { code: icmpv6::UNREACHABLE_PORT, quoted },
            Says::Expired => icmpv6::Message::TimeExceeded { code: 0, quoted },
        }
    }
}

/// Who asks for whom, when a frame is such a question.
pub(crate) fn question(frame: &[u8]) -> Option<Question> {
    let (ethernet, packet) = ethernet::Header::parse(frame).ok()?;
    match ethernet.ether_type {
        EtherType::ARP => {
            let packet = arp::Packet::parse(packet).ok()?;
            let asks = packet.operation == arp::Operation::Request;
            asks.then_some(Question {
                asker: packet.sender_ip.into(),
                mac: packet.sender_mac,
                target: packet.target_ip.into(),
            })
        }
        EtherType::IPV6 => {
            let (ip, payload) = ipv6::Header::parse(packet).ok()?;
            if ip.next_header != Protocol::ICMPV6 {
                return None;
            }
            let message = icmpv6::Message::parse(ip.src, ip.dst, payload).ok()?;
            let icmpv6::Message::NeighborSolicit { target, source_mac: Some(mac) } = message else {
                return None;
            };
            Some(Question { asker: ip.src.into(), mac, target: target.into() })
        }
        _ => None,
    }
}

/// A question for a neighbour's hardware address.
pub(crate) struct Question {
    pub(crate) asker: IpAddr,
    pub(crate) mac: MacAddr,
    pub(crate) target: IpAddr,
}

/// Marks a packet whose sender understands it: congestion was experienced (RFC 3168 5).
pub(crate) fn mark_congestion(frame: &mut [u8]) {
    let Ok((ethernet, packet)) = ethernet::Header::parse(frame) else { return };
    let start = ethernet.header_len();
    match ethernet.ether_type {
        EtherType::IPV4 if ipv4::Header::parse(packet).is_ok() => {
            let at = |n: usize| u16::from_be_bytes([packet[n], packet[n + 1]]);
            let (before, sum) = (at(0), at(10));
            if before & ECN == 0 {
                return;
            }
            let sum = checksum::update(sum, before, before | ECN);
            frame[start..start + 2].copy_from_slice(&(before | ECN).to_be_bytes());
            frame[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
        }
        // The lower two bits of the traffic class.
        EtherType::IPV6 if packet.len() >= ipv6::HEADER_LEN && packet[1] & 0x30 != 0 => {
            frame[start + 1] |= 0x30;
        }
        _ => {}
    }
}

/// The packet of a TCP segment as two fragments, in any order (RFC 791 3.2, RFC 8200 4.5): what a
/// tunnel makes of one that is too large for it. `None`: it is too short, or is one already.
pub(super) fn fragments(luck: &mut Luck, frame: &[u8]) -> Option<[Box<[u8]>; 2]> {
    Segment::parse(frame)?;
    let (ethernet, packet) = ethernet::Header::parse(frame).ok()?;
    let is_v4 = ethernet.ether_type == EtherType::IPV4;
    let payload = if is_v4 {
        ipv4::Header::parse(packet).ok()?.1
    } else {
        ipv6::Header::parse(packet).ok()?.1
    };
    // The first one has TCP's header whole (RFC 1858 4).
    let units = (payload.len() as u64).div_ceil(8).checked_sub(1).filter(|&most| most >= 8)?;
    let cut = luck.between(8, units) as usize * 8;
    let ident = luck.below(1 << 32) as u32;
    let part = |offset: usize, bytes: &[u8], more: bool| -> Option<Box<[u8]>> {
        let mut out = vec![0; frame.len() + FRAGMENT_HEADER_LEN];
        let mut at = ethernet.write(&mut out);
        if is_v4 {
            let (mut ip, _) = ipv4::Header::parse(packet).ok()?;
            ip.dont_fragment = false;
            ip.more_fragments = more;
            ip.fragment_offset = (offset / 8) as u16;
            ip.ident = ident as u16;
            ip.payload_len = bytes.len() as u16;
            at += ip.write(&mut out[at..]);
        } else {
            let (mut ip, _) = ipv6::Header::parse(packet).ok()?;
            let next = ip.next_header;
            ip.next_header = Protocol(44);
            ip.payload_len = (FRAGMENT_HEADER_LEN + bytes.len()) as u16;
            at += ip.write(&mut out[at..]);
            let place = offset as u16 | u16::from(more);
            out[at] = next.0;
            out[at + 2..at + 4].copy_from_slice(&place.to_be_bytes());
            out[at + 4..at + 8].copy_from_slice(&ident.to_be_bytes());
            at += FRAGMENT_HEADER_LEN;
        }
        out[at..at + bytes.len()].copy_from_slice(bytes);
        out.truncate(at + bytes.len());
        Some(out.into_boxed_slice())
    };
    let parts = [part(0, &payload[..cut], true)?, part(cut, &payload[cut..], false)?];
    let [first, second] = parts;
    Some(if luck.chance(500) { [first, second] } else { [second, first] })
}

/// Of the header that IPv6 has for it (RFC 8200 4.5).
const FRAGMENT_HEADER_LEN: usize = 8;

/// Source and destination of an IP packet, and where it begins in the frame.
pub(crate) fn addresses(frame: &[u8]) -> Option<(IpAddr, IpAddr, usize)> {
    let (ethernet, packet) = ethernet::Header::parse(frame).ok()?;
    let start = ethernet.header_len();
    match ethernet.ether_type {
        EtherType::IPV4 => {
            let (ip, _) = ipv4::Header::parse_quoted(packet).ok()?;
            Some((ip.src.into(), ip.dst.into(), start))
        }
        EtherType::IPV6 => {
            let (ip, _) = ipv6::Header::parse_quoted(packet).ok()?;
            Some((ip.src.into(), ip.dst.into(), start))
        }
        _ => None,
    }
}

fn pseudo(from: IpAddr, to: IpAddr, protocol: Protocol, len: usize) -> Sum {
    match (from, to) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Sum::pseudo_v4(src, dst, protocol, len as u16),
        (IpAddr::V6(src), IpAddr::V6(dst)) => Sum::pseudo_v6(src, dst, protocol, len as u32),
        _ => unreachable!("both ends of a packet are of one family"),
    }
}

fn ip_v4(src: Ipv4Addr, dst: Ipv4Addr, protocol: Protocol, ttl: u8, len: usize) -> ipv4::Header {
    ipv4::Header { ttl, ..ipv4::Header::atomic(src, dst, protocol, len as u16) }
}

fn ip_v6(
    src: Ipv6Addr,
    dst: Ipv6Addr,
    next_header: Protocol,
    hop_limit: u8,
    len: usize,
) -> ipv6::Header {
    ipv6::Header {
        src,
        dst,
        next_header,
        hop_limit,
        traffic_class: 0,
        flow_label: 0,
        payload_len: len as u16,
    }
}

/// RFC 1812 4.3.2.3: as much as fits 576 octets, IP and ICMP headers taken off.
const QUOTE_MAX: usize = 576 - 28;

/// The lower two bits of the first two octets of an IPv4 packet (RFC 3168 5).
const ECN: u16 = 3;
