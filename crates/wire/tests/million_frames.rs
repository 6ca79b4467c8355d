//! A million frames, random and mutated, through every parser: none panics, what is accepted keeps
//! its promises, and enough is accepted for that to mean something.

mod every_parser;

use std::net::{Ipv4Addr, Ipv6Addr};

use crore_wire::checksum::Sum;
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::tcp::{Flags, Options, SackBlocks, Timestamps};
use crore_wire::{Protocol, arp, icmpv4, icmpv6, ipv4, ipv6, tcp, udp};
use every_parser::Accepted;

#[test]
fn a_million_random_and_mutated_frames() {
    let mut luck = Luck(0x0123_4567_89ab_cdef);
    let mut accepted = Accepted::default();
    let valid = valid_frames();
    for frame in &valid {
        accepted.check(frame);
    }
    let mut frame = Vec::new();
    for round in 0..FRAMES {
        frame.clear();
        if round % 4 == 0 {
            let len = luck.below(120);
            frame.extend((0..len).map(|_| luck.next() as u8));
        } else {
            frame.extend_from_slice(&valid[luck.below(valid.len())]);
            for _ in 0..=luck.below(4) {
                mutate(&mut frame, &valid, &mut luck);
            }
        }
        accepted.check(&frame);
    }
    enough_was_accepted(&accepted);
}

#[test]
fn the_valid_frames_reach_every_parser() {
    let mut accepted = Accepted::default();
    for frame in valid_frames() {
        accepted.check(&frame);
    }
    assert_eq!(accepted.ethernet, 14);
    assert_eq!(accepted.tagged, 1);
    assert_eq!(accepted.arp, 2);
    assert_eq!(accepted.extensions, 1);
    assert_eq!(accepted.neighbor, 2);
    assert!(accepted.tcp >= 5 && accepted.tcp_options >= 4, "{accepted:?}");
    assert!(accepted.icmpv4 >= 2 && accepted.icmpv6 >= 4 && accepted.udp >= 2, "{accepted:?}");
}

/// Most parsers must see some percent of the frames as good, or the test looks at refusals only.
fn enough_was_accepted(accepted: &Accepted) {
    let Accepted { ethernet, ipv4, ipv6, icmpv4, icmpv6, tcp, udp, .. } = *accepted;
    let Accepted { tagged, arp, extensions, neighbor, tcp_options, .. } = *accepted;
    for count in [ethernet, ipv4, ipv6, icmpv4, icmpv6, tcp, udp] {
        assert!(count > FRAMES / 50, "{accepted:?}");
    }
    for count in [tagged, arp, extensions, neighbor, tcp_options] {
        assert!(count > FRAMES / 200, "{accepted:?}");
    }
}

/// Changes a frame in one of the ways that find bugs in parsers.
fn mutate(frame: &mut Vec<u8>, valid: &[Vec<u8>], luck: &mut Luck) {
    if frame.is_empty() {
        return;
    }
    let place = luck.below(frame.len());
    match luck.below(7) {
        0 | 1 => frame[place] ^= 1 << luck.below(8),
        2 => frame[place] = INTERESTING[luck.below(INTERESTING.len())],
        3 => frame[place] = luck.next() as u8,
        4 => frame.truncate(place),
        5 => {
            let from = &valid[luck.below(valid.len())];
            frame.truncate(place);
            frame.extend_from_slice(from.get(place..).unwrap_or(&[]));
        }
        _ => frame.extend((0..luck.below(8)).map(|_| INTERESTING[luck.below(INTERESTING.len())])),
    }
}

/// One frame of each kind.
fn valid_frames() -> Vec<Vec<u8>> {
    let mut frames = vec![in_frame(EtherType::ARP, None, &arp_bytes(arp::Operation::Request))];
    frames.push(in_frame(EtherType::ARP, None, &arp_bytes(arp::Operation::Reply)));
    for options in tcp_options() {
        frames.push(in_frame(EtherType::IPV4, None, &in_v4(Protocol::TCP, &segment(options))));
    }
    let [_, timestamps, ..] = tcp_options();
    let v6 = in_v6(Protocol::TCP, &segment(timestamps));
    frames.push(in_frame(EtherType::IPV6, Some(0x2064), &v6));
    frames.push(in_frame(EtherType::IPV4, None, &in_v4(Protocol::UDP, &datagram())));
    frames.push(in_frame(EtherType::IPV6, None, &behind_extensions(&datagram())));
    for message in icmpv4_messages() {
        let mut bytes = vec![0; message.len()];
        message.write(&mut bytes);
        frames.push(in_frame(EtherType::IPV4, None, &in_v4(Protocol::ICMP, &bytes)));
    }
    for message in icmpv6_messages() {
        let mut bytes = vec![0; message.len()];
        message.write(V6, V6, &mut bytes);
        frames.push(in_frame(EtherType::IPV6, None, &in_v6(Protocol::ICMPV6, &bytes)));
    }
    frames
}

fn in_frame(ether_type: EtherType, vlan: Option<u16>, packet: &[u8]) -> Vec<u8> {
    let header = ethernet::Header { dst: MacAddr::BROADCAST, src: MAC, vlan, ether_type };
    let mut frame = vec![0; header.header_len()];
    header.write(&mut frame);
    frame.extend(packet);
    frame
}

fn arp_bytes(operation: arp::Operation) -> Vec<u8> {
    let (sender_ip, target_ip) = (V4, Ipv4Addr::BROADCAST);
    let packet = arp::Packet { operation, sender_mac: MAC, sender_ip, target_mac: MAC, target_ip };
    let mut bytes = vec![0; arp::LEN];
    packet.write(&mut bytes);
    bytes
}

fn in_v4(protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let header =
        ipv4::Header { ident: 1, ..ipv4::Header::atomic(V4, V4, protocol, payload.len() as u16) };
    let mut packet = vec![0; ipv4::HEADER_LEN];
    header.write(&mut packet);
    packet.extend(payload);
    packet
}

fn in_v6(next_header: Protocol, payload: &[u8]) -> Vec<u8> {
    let header = ipv6::Header {
        src: V6,
        dst: V6,
        next_header,
        hop_limit: 255,
        traffic_class: 0,
        flow_label: 7,
        payload_len: payload.len() as u16,
    };
    let mut packet = vec![0; ipv6::HEADER_LEN];
    header.write(&mut packet);
    packet.extend(payload);
    packet
}

/// Hop-by-hop and destination options of padding, and an atomic fragment header.
fn behind_extensions(datagram: &[u8]) -> Vec<u8> {
    let mut payload = vec![44, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 1];
    payload.extend([17, 0, 1, 4, 0, 0, 0, 0]);
    payload.extend(datagram);
    in_v6(Protocol::HOP_BY_HOP, &payload)
}

fn tcp_options() -> [Options; 4] {
    let mut sack = SackBlocks::EMPTY;
    sack.push(1_000, 2_000);
    sack.push(3_000, 4_000);
    let timestamps = Some(Timestamps { value: 1, echo: 2 });
    let stamped = Options { timestamps, ..Options::NONE };
    let syn = Options { mss: Some(1_460), window_scale: Some(7), sack_permitted: true, ..stamped };
    [Options::NONE, stamped, syn, Options { sack, ..stamped }]
}

fn segment(options: Options) -> Vec<u8> {
    let header = tcp::Header {
        src_port: 40_000,
        dst_port: 80,
        seq: 1,
        ack: 2,
        flags: Flags::ACK,
        window: 512,
        urgent: 0,
        options,
    };
    let mut bytes = vec![0; header.header_len()];
    header.write(&mut bytes, 0);
    bytes.extend(b"data");
    bytes
}

fn datagram() -> Vec<u8> {
    let header = udp::Header { src_port: 53, dst_port: 53, payload_len: 4 };
    let mut bytes = vec![0; udp::HEADER_LEN];
    header.write(&mut bytes, header.checksum(Sum::ZERO, Sum::ZERO));
    bytes.extend(b"data");
    bytes
}

fn icmpv4_messages() -> [icmpv4::Message<'static>; 2] {
    let quoted = &[0x45; 28];
    let code = icmpv4::UNREACHABLE_TOO_BIG;
    [
        icmpv4::Message::EchoRequest { ident: 1, seq: 2, data: b"ping" },
        icmpv4::Message::Unreachable { code, next_hop_mtu: 1_300, quoted },
    ]
}

fn icmpv6_messages() -> [icmpv6::Message<'static>; 3] {
    let (target, mac) = (V6, Some(MAC));
    let (router, solicited, override_) = (false, true, true);
    [
        icmpv6::Message::EchoRequest { ident: 1, seq: 2, data: b"ping" },
        icmpv6::Message::NeighborSolicit { target, source_mac: mac },
        icmpv6::Message::NeighborAdvert { target, target_mac: mac, router, solicited, override_ },
    ]
}

/// xorshift64: the same luck on every machine.
struct Luck(u64);

impl Luck {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The low bits of a plain xorshift are weak.
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

const FRAMES: u32 = 1_000_000;

/// Lengths, kinds and versions at which parsers take another way.
const INTERESTING: [u8; 16] =
    [0, 1, 2, 4, 5, 8, 10, 0x44, 0x45, 0x4f, 0x50, 0x60, 0x7f, 0x80, 0xf0, 0xff];

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
