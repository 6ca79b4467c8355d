use super::*;
use crate::ethernet::MacAddr;
use core::net::{Ipv4Addr, Ipv6Addr};
use std::vec;
use std::vec::Vec;

const RSS: Rss = Rss::new(&MICROSOFT_KEY, 8);

fn v4(text: &str) -> u32 {
    text.parse::<Ipv4Addr>().unwrap().to_bits()
}

fn v6(text: &str) -> u128 {
    text.parse::<Ipv6Addr>().unwrap().to_bits()
}

/// "Verifying the RSS Hash Calculation", IPv4: destination, source, the hash of the addresses, and
/// with the ports.
#[test]
fn microsofts_examples_over_ipv4() {
    for (dst, dst_port, src, src_port, addresses, tcp) in [
        ("161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e_8fc2, 0x51cc_c178),
        ("65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718_262a, 0xc626_b0ea),
        ("12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0_a5de, 0x5c2b_394a),
        ("209.142.163.6", 2217, "38.27.205.30", 48228, 0x8298_9176, 0xafc7_327f),
        ("202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d18_09c5, 0x10e8_28a2),
    ] {
        let (src, dst) = (v4(src), v4(dst));
        assert_eq!(RSS.base_v4(src, dst), addresses);
        assert_eq!(RSS.hash_v4(src, dst, src_port, dst_port), tcp);
    }
}

/// The same over IPv6.
#[test]
fn microsofts_examples_over_ipv6() {
    for (dst, dst_port, src, src_port, addresses, tcp) in [
        ("3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2cc1_8cd5, 0x4020_7d3d),
        ("ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0f0c_461c, 0xdde5_1bbf),
        (
            "fe80::200:f8ff:fe21:67cf",
            38024,
            "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
            44251,
            0x4b61_e985,
            0x02d1_feef,
        ),
    ] {
        let (src, dst) = (v6(src), v6(dst));
        assert_eq!(RSS.base_v6(src, dst), addresses);
        assert_eq!(RSS.hash_v6(src, dst, src_port, dst_port), tcp);
    }
}

fn ethernet(ether_type: EtherType, vlan: Option<u16>) -> Vec<u8> {
    let (dst, src) = (MacAddr([2; 6]), MacAddr([4; 6]));
    let mut frame = vec![0; 18];
    let len = ethernet::Header { dst, src, vlan, ether_type }.write(&mut frame);
    frame.truncate(len);
    frame
}

fn frame_v4(vlan: Option<u16>, protocol: Protocol, more_fragments: bool) -> Vec<u8> {
    let mut frame = ethernet(EtherType::IPV4, vlan);
    let ip = ipv4::Header {
        src: Ipv4Addr::from_bits(v4("66.9.149.187")),
        dst: Ipv4Addr::from_bits(v4("161.142.100.80")),
        protocol,
        ttl: 64,
        dscp_ecn: 0,
        ident: 7,
        dont_fragment: false,
        more_fragments,
        fragment_offset: 0,
        payload_len: 20,
    };
    let at = frame.len();
    frame.resize(at + ipv4::HEADER_LEN, 0);
    ip.write(&mut frame[at..]);
    frame.extend(2794u16.to_be_bytes());
    frame.extend(1766u16.to_be_bytes());
    frame.extend([0; 16]);
    frame
}

fn frame_v6(next_header: Protocol) -> Vec<u8> {
    let mut frame = ethernet(EtherType::IPV6, None);
    let ip = ipv6::Header {
        src: Ipv6Addr::from_bits(v6("3ffe:2501:200:1fff::7")),
        dst: Ipv6Addr::from_bits(v6("3ffe:2501:200:3::1")),
        next_header,
        hop_limit: 64,
        traffic_class: 0,
        flow_label: 0,
        payload_len: 20,
    };
    let at = frame.len();
    frame.resize(at + ipv6::HEADER_LEN, 0);
    ip.write(&mut frame[at..]);
    frame.extend(2794u16.to_be_bytes());
    frame.extend(1766u16.to_be_bytes());
    frame.extend([0; 16]);
    frame
}

#[test]
fn segments_go_by_their_four_tuple_with_a_vlan_tag_or_without() {
    for vlan in [None, Some(7)] {
        let frame = frame_v4(vlan, Protocol::TCP, false);
        assert_eq!(RSS.hash_frame(&frame), Some(0x51cc_c178));
    }
    assert_eq!(RSS.hash_frame(&frame_v6(Protocol::TCP)), Some(0x4020_7d3d));
    // Seven bits of the hash, and eight queues in turn.
    assert_eq!(RSS.queue_of_frame(&frame_v4(None, Protocol::TCP, false)), 0x78 % 8);
}

#[test]
fn fragments_and_other_protocols_go_by_their_addresses() {
    for frame in [frame_v4(None, Protocol::TCP, true), frame_v4(None, Protocol::ICMP, false)] {
        assert_eq!(RSS.hash_frame(&frame), Some(0x323e_8fc2));
    }
    let mut later = frame_v4(None, Protocol::TCP, false);
    // Fragment offset 256: its low octet is 0.
    later[14 + 6] = 0x01;
    assert_eq!(RSS.hash_frame(&later), Some(0x323e_8fc2));
    // A fragment header, or ICMPv6.
    for next in [Protocol(44), Protocol::ICMPV6] {
        assert_eq!(RSS.hash_frame(&frame_v6(next)), Some(0x2cc1_8cd5));
    }
}

#[test]
fn what_is_no_ip_or_cut_off_goes_to_queue_0() {
    assert_eq!(RSS.queue_of_frame(&ethernet(EtherType::ARP, None)), 0);
    for whole in [frame_v4(None, Protocol::TCP, false), frame_v6(Protocol::TCP)] {
        let ports = whole.len() - 20;
        for len in 0..ports + 4 {
            assert_eq!(RSS.hash_frame(&whole[..len]), None, "{len}");
        }
        assert!(RSS.hash_frame(&whole[..ports + 4]).is_some());
    }
}

#[test]
fn a_tuple_is_steered_as_its_frame_is() {
    let steering = Steering { rss: Rss::new(&MICROSOFT_KEY, 5), queue: 3 };
    let (remote, local) = (v4("66.9.149.187"), v4("161.142.100.80"));
    let mapped = |address: u32| 0xffff_0000_0000 | u128::from(address);
    let ports = steering.ports(mapped(remote), mapped(local), 2794);
    let queue = ports.queue_of(1766);
    assert_eq!(queue, steering.rss.queue_of_frame(&frame_v4(None, Protocol::TCP, false)));
    assert_eq!(ports.has(1766), queue == 3);
    assert!((0..100).any(|port| ports.has(port)) && (0..100).any(|port| !ports.has(port)));
    let (remote, local) = (v6("3ffe:2501:200:1fff::7"), v6("3ffe:2501:200:3::1"));
    let queue = steering.ports(remote, local, 2794).queue_of(1766);
    assert_eq!(queue, steering.rss.queue_of_frame(&frame_v6(Protocol::TCP)));
}

#[test]
fn another_indirection_table_steers_elsewhere() {
    let rss = Rss::new(&MICROSOFT_KEY, 8).with_indirection([5; INDIRECTION_LEN]);
    assert_eq!(rss.queue_of_frame(&frame_v4(None, Protocol::TCP, false)), 5);
    let wrong = std::panic::catch_unwind(|| RSS.with_indirection([8; INDIRECTION_LEN]));
    assert!(wrong.is_err());
}
