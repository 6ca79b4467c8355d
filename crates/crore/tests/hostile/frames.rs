//! Frames for the server, built from their headers, and their checksums made right.

use crore_wire::checksum::Sum;
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::{Protocol, arp, icmpv4, icmpv6, ipv4, ipv6, tcp, udp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::lan::{BAIT, SERVER, mac, v4, v6};

/// Where a frame's packet begins, and what it says it is.
struct Packet {
    start: usize,
    ether_type: u16,
}

fn packet(frame: &[u8]) -> Option<Packet> {
    let word = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    match word(12)? {
        0x8100 => Some(Packet { start: 18, ether_type: word(16)? }),
        ether_type => Some(Packet { start: 14, ether_type }),
    }
}

/// Where the segment begins in a frame that still looks like one with TCP.
pub(crate) fn tcp_start(frame: &[u8]) -> Option<usize> {
    let Packet { start, ether_type } = packet(frame)?;
    let (protocol, at) = match ether_type {
        0x0800 => (*frame.get(start + 9)?, start + usize::from(frame[start] & 15) * 4),
        0x86dd => (*frame.get(start + 6)?, start + 40),
        _ => return None,
    };
    (protocol == 6 && at + 20 <= frame.len()).then_some(at)
}

/// Makes the checksums of a frame right, as far as its lengths make sense.
pub(crate) fn fix_checksums(frame: &mut [u8]) {
    let Some(Packet { start, ether_type }) = packet(frame) else { return };
    if start > frame.len() {
        return;
    }
    let rest = &mut frame[start..];
    // Nothing is fixed in a frame whose lengths are wrong.
    let _ = match ether_type {
        0x0800 => fix_v4(rest),
        0x86dd => fix_v6(rest),
        _ => None,
    };
}

fn fix_v4(packet: &mut [u8]) -> Option<()> {
    let header_len = usize::from(packet.first()? & 15) * 4;
    if header_len < 20 || packet.len() < header_len {
        return None;
    }
    packet[10..12].fill(0);
    let sum = Sum::ZERO.add_bytes(&packet[..header_len]).finish();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let (src, dst) = (address_v4(&packet[12..16]), address_v4(&packet[16..20]));
    let protocol = packet[9];
    let payload = packet.get_mut(header_len..total)?;
    let pseudo = Sum::pseudo_v4(src, dst, Protocol(protocol), payload.len() as u16);
    fix_transport(protocol, if protocol == 1 { Sum::ZERO } else { pseudo }, payload)
}

fn fix_v6(packet: &mut [u8]) -> Option<()> {
    let header = packet.get(..40)?;
    let (src, dst) = (address_v6(&header[8..24]), address_v6(&header[24..40]));
    let (protocol, len) = (header[6], usize::from(u16::from_be_bytes([header[4], header[5]])));
    let payload = packet.get_mut(40..40 + len)?;
    fix_transport(protocol, Sum::pseudo_v6(src, dst, Protocol(protocol), len as u32), payload)
}

fn fix_transport(protocol: u8, pseudo: Sum, payload: &mut [u8]) -> Option<()> {
    let at = match protocol {
        6 => 16,
        17 => 6,
        1 | 58 => 2,
        _ => return None,
    };
    payload.get_mut(at..at + 2)?.fill(0);
    let sum = pseudo.add_bytes(payload).finish();
    payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

fn address_v4(bytes: &[u8]) -> Ipv4Addr {
    <[u8; 4]>::try_from(bytes).unwrap().into()
}

fn address_v6(bytes: &[u8]) -> Ipv6Addr {
    <[u8; 16]>::try_from(bytes).unwrap().into()
}

/// A frame for the server with this payload, from the bait's hardware address.
pub(crate) fn in_frame(ether_type: EtherType, vlan: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let (dst, src) = (MacAddr(mac(SERVER)), MacAddr(mac(BAIT)));
    let header = ethernet::Header { dst, src, vlan, ether_type };
    let mut frame = vec![0; header.header_len()];
    header.write(&mut frame);
    frame.extend(payload);
    frame
}

/// A frame for the server with an IP packet from `src`; the payload's checksum is made right.
pub(crate) fn in_packet(
    src: IpAddr,
    protocol: Protocol,
    vlan: Option<u16>,
    payload: &[u8],
) -> Vec<u8> {
    let payload_len = payload.len() as u16;
    let (mut packet, ether_type) = match src {
        IpAddr::V4(src) => {
            let header = ipv4::Header::atomic(src, v4(SERVER), protocol, payload_len);
            let mut packet = vec![0; ipv4::HEADER_LEN];
            header.write(&mut packet);
            (packet, EtherType::IPV4)
        }
        IpAddr::V6(src) => {
            let header = ipv6::Header {
                src,
                dst: v6(SERVER),
                next_header: protocol,
                hop_limit: 255,
                traffic_class: 0,
                flow_label: 0,
                payload_len,
            };
            let mut packet = vec![0; ipv6::HEADER_LEN];
            header.write(&mut packet);
            (packet, EtherType::IPV6)
        }
    };
    packet.extend(payload);
    let mut frame = in_frame(ether_type, vlan, &packet);
    fix_checksums(&mut frame);
    frame
}

/// A segment for the server.
pub(crate) fn in_segment(
    src: IpAddr,
    vlan: Option<u16>,
    header: &tcp::Header,
    text: &[u8],
) -> Vec<u8> {
    let mut segment = vec![0; header.header_len()];
    header.write(&mut segment, 0);
    segment.extend(text);
    in_packet(src, Protocol::TCP, vlan, &segment)
}

/// A plain segment's header.
pub(crate) fn header(ports: (u16, u16), seq: u32, ack: u32, flags: tcp::Flags) -> tcp::Header {
    tcp::Header {
        src_port: ports.0,
        dst_port: ports.1,
        seq,
        ack,
        flags,
        window: 4000,
        urgent: 0,
        options: tcp::Options::NONE,
    }
}

/// An ARP frame that `ip` at `from` sends about or to the server.
pub(crate) fn in_arp(
    operation: arp::Operation,
    from: [u8; 6],
    ip: Ipv4Addr,
    vlan: Option<u16>,
) -> Vec<u8> {
    let packet = arp::Packet {
        operation,
        sender_mac: MacAddr(from),
        sender_ip: ip,
        target_mac: MacAddr(mac(SERVER)),
        target_ip: v4(SERVER),
    };
    let mut bytes = vec![0; arp::LEN];
    packet.write(&mut bytes);
    in_frame(EtherType::ARP, vlan, &bytes)
}

/// An ICMP error of the bait about a frame that the server sent, quoting its packet.
pub(crate) fn error_about(answer: &[u8], mtu: u16, vlan: Option<u16>) -> Option<Vec<u8>> {
    let Packet { start, ether_type } = packet(answer)?;
    let rest = answer.get(start..)?;
    match ether_type {
        0x0800 => {
            let quoted = &rest[..rest.len().min(60)];
            let code = if mtu > 0 { icmpv4::UNREACHABLE_TOO_BIG } else { 1 };
            let message = icmpv4::Message::Unreachable { code, next_hop_mtu: mtu, quoted };
            Some(in_icmpv4(&message, vlan))
        }
        0x86dd => {
            let quoted = &rest[..rest.len().min(80)];
            let message = match mtu {
                0 => icmpv6::Message::Unreachable { code: 3, quoted },
                _ => icmpv6::Message::PacketTooBig { mtu: mtu.into(), quoted },
            };
            Some(in_icmpv6(&message, vlan))
        }
        _ => None,
    }
}

fn in_icmpv4(message: &icmpv4::Message<'_>, vlan: Option<u16>) -> Vec<u8> {
    let mut bytes = vec![0; message.len()];
    message.write(&mut bytes);
    in_packet(IpAddr::V4(v4(BAIT)), Protocol::ICMP, vlan, &bytes)
}

fn in_icmpv6(message: &icmpv6::Message<'_>, vlan: Option<u16>) -> Vec<u8> {
    let mut bytes = vec![0; message.len()];
    message.write(v6(BAIT), v6(SERVER), &mut bytes);
    in_packet(IpAddr::V6(v6(BAIT)), Protocol::ICMPV6, vlan, &bytes)
}

/// Frames of the kinds that the bait does not send by itself.
pub(crate) fn specimens(vlan: Option<u16>) -> Vec<Vec<u8>> {
    let (data, big) = ([3; 40], [4; 1400]);
    let target_mac = Some(MacAddr(mac(BAIT)));
    let advert = icmpv6::Message::NeighborAdvert {
        target: v6(BAIT),
        target_mac,
        router: false,
        solicited: true,
        override_: true,
    };
    let solicit = icmpv6::Message::NeighborSolicit { target: v6(SERVER), source_mac: target_mac };
    let mut datagram = vec![0; udp::HEADER_LEN];
    udp::Header { src_port: 53, dst_port: 53, payload_len: 0 }.write(&mut datagram, 0);
    let reset = header((40_000, 80), 1, 1, tcp::Flags::RST);
    vec![
        in_arp(arp::Operation::Request, mac(BAIT), v4(BAIT), vlan),
        in_arp(arp::Operation::Reply, mac(BAIT), v4(BAIT), vlan),
        in_icmpv4(&icmpv4::Message::EchoRequest { ident: 1, seq: 2, data: &data }, vlan),
        in_icmpv4(&icmpv4::Message::EchoRequest { ident: 1, seq: 2, data: &big }, vlan),
        in_icmpv4(&icmpv4::Message::EchoReply { ident: 1, seq: 2, data: &data }, vlan),
        in_icmpv4(&icmpv4::Message::TimeExceeded { code: 0, quoted: &data }, vlan),
        in_icmpv6(&icmpv6::Message::EchoRequest { ident: 1, seq: 2, data: &big }, vlan),
        in_icmpv6(&advert, vlan),
        in_icmpv6(&solicit, vlan),
        in_packet(IpAddr::V4(v4(BAIT)), Protocol::UDP, vlan, &datagram),
        in_packet(IpAddr::V6(v6(BAIT)), Protocol::UDP, vlan, &datagram),
        behind_extensions(vlan),
        behind_bad_extension(vlan),
        source_routed(vlan),
        in_part(IpAddr::V4(v4(BAIT)), vlan, 7, 0, true, &[1; 64]),
        in_part(IpAddr::V4(v4(BAIT)), vlan, 7, 64, false, &[2; 40]),
        in_part(IpAddr::V6(v6(BAIT)), vlan, 7, 0, true, &[1; 64]),
        in_part(IpAddr::V6(v6(BAIT)), vlan, 7, 64, false, &[2; 40]),
        in_segment(IpAddr::V4(v4(BAIT)), vlan, &reset, &[]),
        in_segment(IpAddr::V4(v4(BAIT)), Some(0x0064), &reset, &[]),
    ]
}

/// A SYN behind hop-by-hop options and an atomic fragment header.
fn behind_extensions(vlan: Option<u16>) -> Vec<u8> {
    let syn = header((40_001, 80), 1, 0, tcp::Flags::SYN);
    let whole = in_segment(IpAddr::V6(v6(BAIT)), None, &syn, &[]);
    let mut payload = vec![44, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 1];
    payload.extend(&whole[54..]);
    in_packet(IpAddr::V6(v6(BAIT)), Protocol::HOP_BY_HOP, vlan, &payload)
}

/// An option that is not known and wants an answer.
fn behind_bad_extension(vlan: Option<u16>) -> Vec<u8> {
    let payload = [6, 0, 0x9e, 4, 0, 0, 0, 0];
    in_packet(IpAddr::V6(v6(BAIT)), Protocol::DESTINATION_OPTIONS, vlan, &payload)
}

/// A reset with a loose source route.
fn source_routed(vlan: Option<u16>) -> Vec<u8> {
    let reset = header((40_000, 80), 1, 1, tcp::Flags::RST);
    let frame = in_segment(IpAddr::V4(v4(BAIT)), vlan, &reset, &[]);
    let start = if vlan.is_some() { 18 } else { 14 };
    let option = [1, 131, 7, 8, 10, 0, 0, 9];
    let mut routed = [&frame[..start + 20], &option, &frame[start + 20..]].concat();
    routed[start] = 0x47;
    let len = (routed.len() - start) as u16;
    routed[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
    fix_checksums(&mut routed);
    routed
}

/// A fragment of a segment for the server: `octets` from `offset` on, a header of TCP in front of
/// the first.
pub(crate) fn in_part(
    src: IpAddr,
    vlan: Option<u16>,
    ident: u32,
    offset: u16,
    more: bool,
    octets: &[u8],
) -> Vec<u8> {
    let mut payload = octets.to_vec();
    if offset == 0 {
        header((40_002, 80), 1, 1, tcp::Flags::ACK).write(&mut payload, 0);
    }
    let offset = offset / 8;
    if src.is_ipv6() {
        let mut extension = vec![0; ipv6::FRAGMENT_HEADER_LEN];
        ipv6::Fragment { offset, more, ident }.write(Protocol::TCP, &mut extension);
        extension.extend(payload);
        return in_packet(src, Protocol::FRAGMENT, vlan, &extension);
    }
    let mut frame = in_packet(src, Protocol::TCP, vlan, &payload);
    let start = if vlan.is_some() { 18 } else { 14 };
    frame[start + 4..start + 6].copy_from_slice(&(ident as u16).to_be_bytes());
    frame[start + 6..start + 8].copy_from_slice(&(u16::from(more) << 13 | offset).to_be_bytes());
    // The sum of the segment, which is not there as a whole, is nobody's business.
    frame[start + 10..start + 12].fill(0);
    let sum = Sum::ZERO.add_bytes(&frame[start..start + 20]).finish();
    frame[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
    frame
}
