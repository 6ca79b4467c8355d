//! The filter, run by the kernel itself on hand-made frames (`BPF_PROG_TEST_RUN`).
//!
//! Needs root. Without it these tests say that they were skipped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, FromRawFd as _, OwnedFd};

use super::{XDP_DROP, XDP_PASS};
use crate::xdp::bpf;
use crate::xdp::filter::{Filter, LocalPorts};

/// What the filter says when a queue has a socket.
const XDP_REDIRECT: u32 = 4;

/// Ours: 10.0.0.1 port 80 and ports 40000 to 40999; `2001:db8::1` port 443; port 7 of any address.
fn filter() -> Option<Filter> {
    let mut filter = match Filter::load(4) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            eprintln!("SKIPPED: loading an XDP program needs root");
            return None;
        }
        result => result.expect("the verifier takes the filter"),
    };
    for ours in [
        LocalPorts::one(OUR_V4.into(), 80),
        LocalPorts { address: OUR_V4.into(), ports: 40_000..=40_999 },
        LocalPorts::one(OUR_V6.into(), 443),
        LocalPorts::one(Ipv4Addr::UNSPECIFIED.into(), 7),
        LocalPorts::one(Ipv6Addr::UNSPECIFIED.into(), 7),
    ] {
        filter.add(&ours).unwrap();
    }
    Some(filter)
}

const OUR_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OUR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const PEER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

const TCP: u8 = 6;
const UDP: u8 = 17;

fn ethernet(ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend_from_slice(&ether_type.to_be_bytes());
    frame.extend_from_slice(packet);
    frame
}

fn tagged(ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let inner = [&[0, 42], ether_type.to_be_bytes().as_slice(), packet].concat();
    ethernet(0x8100, &inner)
}

/// A header of `options` words more than five.
fn ipv4(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, options: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45 + options, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend_from_slice(&src.octets());
    packet.extend_from_slice(&dst.octets());
    packet.extend(std::iter::repeat_n(1, 4 * usize::from(options)));
    packet.extend_from_slice(payload);
    packet
}

fn ipv6(src: Ipv6Addr, dst: Ipv6Addr, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next_header, 64];
    packet.extend_from_slice(&src.octets());
    packet.extend_from_slice(&dst.octets());
    packet.extend_from_slice(payload);
    packet
}

/// The first bytes of a TCP or UDP header, and some more.
fn ports(src: u16, dst: u16) -> Vec<u8> {
    let mut segment = [src.to_be_bytes(), dst.to_be_bytes()].concat();
    segment.extend_from_slice(&[0; 16]);
    segment
}

fn icmp(kind: u8, quoted: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0, 0, 0, 0], quoted].concat()
}

/// TCP to our web port over IPv4.
fn ours_v4() -> Vec<u8> {
    ipv4(PEER_V4, OUR_V4, TCP, 0, &ports(50_000, 80))
}

/// TCP to our web port over IPv6.
fn ours_v6() -> Vec<u8> {
    ipv6(PEER_V6, OUR_V6, TCP, &ports(50_000, 443))
}

#[track_caller]
fn check(filter: &Filter, verdict: i32, what: &str, frame: &[u8]) {
    let got = bpf::program_run(filter.program(), frame).unwrap();
    assert_eq!(got, verdict as u32, "{what}");
}

#[test]
fn tcp_to_our_ports_is_ours_and_dropped_without_a_socket() {
    let Some(filter) = filter() else { return };
    let ours = |what: &str, frame: &[u8]| check(&filter, XDP_DROP, what, frame);
    ours("IPv4", &ethernet(0x0800, &ours_v4()));
    ours("IPv4 with a VLAN tag", &tagged(0x0800, &ours_v4()));
    for words in [1, 10] {
        let packet = ipv4(PEER_V4, OUR_V4, TCP, words, &ports(50_000, 80));
        ours("IPv4 with options", &ethernet(0x0800, &packet));
    }
    for port in [40_000, 40_007, 40_999] {
        let packet = ipv4(PEER_V4, OUR_V4, TCP, 0, &ports(80, port));
        ours("a port of the range", &ethernet(0x0800, &packet));
    }
    ours("IPv6", &ethernet(0x86dd, &ours_v6()));
    ours("IPv6 with a VLAN tag", &tagged(0x86dd, &ours_v6()));
    let to_any = ipv4(PEER_V4, Ipv4Addr::new(192, 0, 2, 9), TCP, 0, &ports(1, 7));
    ours("any IPv4 address", &ethernet(0x0800, &to_any));
    ours("any address beside other ports of ours", &{
        ethernet(0x0800, &ipv4(PEER_V4, OUR_V4, TCP, 0, &ports(1, 7)))
    });
    let to_any = ipv6(PEER_V6, PEER_V6, TCP, &ports(1, 7));
    ours("any IPv6 address", &ethernet(0x86dd, &to_any));
}

#[test]
fn everything_else_is_the_kernels() {
    let Some(filter) = filter() else { return };
    let passes = |what: &str, frame: &[u8]| check(&filter, XDP_PASS, what, frame);
    passes("ARP", &ethernet(0x0806, &[0; 28]));
    passes("two VLAN tags", &tagged(0x8100, &[&[0, 1, 8, 0], ours_v4().as_slice()].concat()));
    for port in [22, 79, 81, 443, 39_999, 41_000] {
        let packet = ipv4(PEER_V4, OUR_V4, TCP, 0, &ports(80, port));
        passes("another port", &ethernet(0x0800, &packet));
    }
    let other = ipv4(PEER_V4, PEER_V4, TCP, 0, &ports(50_000, 80));
    passes("our port of another address", &ethernet(0x0800, &other));
    let other = ipv6(PEER_V6, OUR_V6, TCP, &ports(50_000, 80));
    passes("our IPv4 port over IPv6", &ethernet(0x86dd, &other));
    let udp = ipv4(PEER_V4, OUR_V4, UDP, 0, &ports(50_000, 80));
    passes("UDP", &ethernet(0x0800, &udp));
    passes("ping", &ethernet(0x0800, &ipv4(PEER_V4, OUR_V4, 1, 0, &icmp(8, &[0; 56]))));
    passes("ping over IPv6", &ethernet(0x86dd, &ipv6(PEER_V6, OUR_V6, 58, &icmp(128, &[0; 56]))));
    let solicit = ipv6(PEER_V6, OUR_V6, 58, &icmp(135, &[0; 60]));
    passes("neighbour solicitation", &ethernet(0x86dd, &solicit));
    let mut wrong = ours_v4();
    wrong[0] = 0x65;
    passes("version 6 in an IPv4 frame", &ethernet(0x0800, &wrong));
    wrong[0] = 0x44;
    passes("an IPv4 header of 16 bytes", &ethernet(0x0800, &wrong));
}

/// The kernel must never read past a frame; and a header that is cut is not ours.
#[test]
fn frames_cut_short_anywhere_pass() {
    let Some(filter) = filter() else { return };
    let whole = [
        (ethernet(0x0800, &ours_v4()), 14 + 20 + 4),
        (tagged(0x86dd, &ours_v6()), 18 + 40 + 4),
        (ethernet(0x0800, &ipv4(PEER_V4, OUR_V4, 1, 0, &icmp(3, &quoted_v4()))), 14 + 28 + 24),
    ];
    for (frame, needed) in whole {
        // The kernel runs the filter on no less than an Ethernet header.
        for len in 14..needed {
            check(&filter, XDP_PASS, &format!("{len} bytes"), &frame[..len]);
        }
        check(&filter, XDP_DROP, "just enough", &frame[..needed]);
    }
}

/// A fragment of a packet with an identification; TCP's ports are in the first one.
fn fragment_v4(to_port: u16, ident: u16, flags_offset: u16) -> Vec<u8> {
    // Without the three flags.
    let first = flags_offset << 3 == 0;
    let payload = if first { ports(50_000, to_port) } else { vec![0; 20] };
    let mut packet = ipv4(PEER_V4, OUR_V4, TCP, 0, &payload);
    packet[4..6].copy_from_slice(&ident.to_be_bytes());
    packet[6..8].copy_from_slice(&flags_offset.to_be_bytes());
    ethernet(0x0800, &packet)
}

fn fragment_v6(to_port: u16, ident: u32, offset_flags: u16) -> Vec<u8> {
    let payload = if offset_flags & 0xfff8 == 0 { ports(50_000, to_port) } else { vec![0; 20] };
    let header = [&[TCP, 0], offset_flags.to_be_bytes().as_slice()].concat();
    let packet = [header.as_slice(), &ident.to_be_bytes(), &payload].concat();
    ethernet(0x86dd, &ipv6(PEER_V6, OUR_V6, 44, &packet))
}

#[test]
fn fragments_go_where_the_first_one_went() {
    let Some(filter) = filter() else { return };
    check(&filter, XDP_DROP, "don't fragment", &fragment_v4(80, 1, 0x4000));
    check(&filter, XDP_PASS, "one that overtakes the first", &fragment_v4(80, 9, 0x20b9));
    check(&filter, XDP_DROP, "the first of several", &fragment_v4(80, 9, 0x2000));
    check(&filter, XDP_DROP, "a middle one", &fragment_v4(80, 9, 0x20b9));
    check(&filter, XDP_DROP, "the last one", &fragment_v4(80, 9, 0x00b9));
    check(&filter, XDP_PASS, "of another packet", &fragment_v4(80, 10, 0x00b9));
    check(&filter, XDP_PASS, "the first one to the kernel's port", &fragment_v4(81, 11, 0x2000));
    check(&filter, XDP_PASS, "and its next", &fragment_v4(81, 11, 0x00b9));
    check(&filter, XDP_PASS, "an identification comes again", &fragment_v4(81, 9, 0x2000));
    check(&filter, XDP_PASS, "and is the kernel's now", &fragment_v4(81, 9, 0x00b9));
    let mut other = ipv4(PEER_V4, OUR_V4, UDP, 0, &[0; 20]);
    other[5] = 12;
    other[7] = 9;
    check(&filter, XDP_DROP, "the first of TCP's", &fragment_v4(80, 12, 0x2000));
    check(&filter, XDP_PASS, "another protocol's", &ethernet(0x0800, &other));

    check(&filter, XDP_DROP, "IPv6: whole, with a fragment header", &fragment_v6(443, 1, 0));
    check(&filter, XDP_PASS, "IPv6: one that overtakes the first", &fragment_v6(443, 9, 8));
    check(&filter, XDP_DROP, "IPv6: the first of several", &fragment_v6(443, 9, 1));
    check(&filter, XDP_DROP, "IPv6: a later one", &fragment_v6(443, 9, 8));
    check(&filter, XDP_PASS, "IPv6: of another packet", &fragment_v6(443, 10, 8));
    check(&filter, XDP_PASS, "IPv6: the first one to the kernel's port", &fragment_v6(444, 9, 1));
    check(&filter, XDP_PASS, "IPv6: and its next", &fragment_v6(444, 9, 8));
}

#[test]
fn tcp_is_found_behind_ipv6_extension_headers() {
    let Some(filter) = filter() else { return };
    let tcp = ports(50_000, 443);
    // Hop-by-hop of 8 bytes, destination options of 24, then TCP.
    let hop_by_hop = [60, 0, 0, 0, 0, 0, 0, 0];
    let mut destination = [0; 24];
    (destination[0], destination[1]) = (TCP, 2);
    let chain = [hop_by_hop.as_slice(), &destination, &tcp].concat();
    let chain = ethernet(0x86dd, &ipv6(PEER_V6, OUR_V6, 0, &chain));
    check(&filter, XDP_DROP, "two extension headers", &chain);

    let many = |count: usize| {
        let mut chain = [60, 0, 0, 0, 0, 0, 0, 0].repeat(count);
        chain[8 * (count - 1)] = TCP;
        chain.extend_from_slice(&tcp);
        ethernet(0x86dd, &ipv6(PEER_V6, OUR_V6, 60, &chain))
    };
    check(&filter, XDP_DROP, "as many as are walked", &many(4));
    check(&filter, XDP_PASS, "more than are walked", &many(5));
    let mut long = [0; 8];
    (long[0], long[1]) = (TCP, 255);
    let long = [long.as_slice(), &tcp].concat();
    let long = ethernet(0x86dd, &ipv6(PEER_V6, OUR_V6, 43, &long));
    check(&filter, XDP_PASS, "an extension header longer than the frame", &long);
    let esp = ethernet(0x86dd, &ipv6(PEER_V6, OUR_V6, 50, &tcp));
    check(&filter, XDP_PASS, "encrypted", &esp);
}

/// A segment that we sent from our web port, as a router quotes it: header and 8 bytes.
fn quoted_v4() -> Vec<u8> {
    let mut quoted = ipv4(OUR_V4, PEER_V4, TCP, 0, &ports(80, 50_000));
    quoted.truncate(28);
    quoted
}

#[test]
fn icmp_errors_about_our_segments_are_ours() {
    let Some(filter) = filter() else { return };
    let router = Ipv4Addr::new(10, 9, 9, 9);
    let error =
        |kind, quoted: &[u8]| ethernet(0x0800, &ipv4(router, OUR_V4, 1, 0, &icmp(kind, quoted)));
    for kind in [3, 11, 12] {
        check(&filter, XDP_DROP, "an error", &error(kind, &quoted_v4()));
    }
    check(&filter, XDP_PASS, "a redirect", &error(5, &quoted_v4()));
    let with_options = ipv4(OUR_V4, PEER_V4, TCP, 3, &ports(40_500, 80));
    check(&filter, XDP_DROP, "quoted options", &error(3, &with_options));
    let to_us = ipv4(PEER_V4, OUR_V4, TCP, 0, &ports(50_000, 80));
    check(&filter, XDP_PASS, "about a segment to us", &error(3, &to_us));
    let from_kernel = ipv4(OUR_V4, PEER_V4, TCP, 0, &ports(22, 50_000));
    check(&filter, XDP_PASS, "about the kernel's segment", &error(3, &from_kernel));
    let udp = ipv4(OUR_V4, PEER_V4, UDP, 0, &ports(80, 50_000));
    check(&filter, XDP_PASS, "about UDP", &error(3, &udp));
    let mut later = quoted_v4();
    later[7] = 9;
    check(&filter, XDP_PASS, "about a later fragment, which has no ports", &error(3, &later));
    let ours_to_any = ipv4(Ipv4Addr::new(192, 0, 2, 9), PEER_V4, TCP, 0, &ports(7, 1));
    check(&filter, XDP_DROP, "from any address of ours", &error(3, &ours_to_any));
}

#[test]
fn icmpv6_errors_about_our_segments_are_ours() {
    let Some(filter) = filter() else { return };
    let router = "2001:db8:9::9".parse().unwrap();
    let error =
        |kind, quoted: &[u8]| ethernet(0x86dd, &ipv6(router, OUR_V6, 58, &icmp(kind, quoted)));
    let quoted = ipv6(OUR_V6, PEER_V6, TCP, &ports(443, 50_000));
    for kind in 1..=4 {
        check(&filter, XDP_DROP, "an error", &error(kind, &quoted));
    }
    check(&filter, XDP_PASS, "an error type that does not exist", &error(5, &quoted));
    let to_us = ipv6(PEER_V6, OUR_V6, TCP, &ports(50_000, 443));
    check(&filter, XDP_PASS, "about a segment to us", &error(2, &to_us));
    let udp = ipv6(OUR_V6, PEER_V6, UDP, &ports(443, 50_000));
    check(&filter, XDP_PASS, "about UDP", &error(2, &udp));
}

#[test]
fn what_is_ours_goes_to_the_socket_of_its_queue() {
    let Some(filter) = filter() else { return };
    // SAFETY: no pointers; a descriptor returned is new and ours.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    };
    let frame = ethernet(0x0800, &ours_v4());
    // A test run arrives on queue 0.
    filter.queues().set_socket(1, socket.as_fd()).unwrap();
    check(&filter, XDP_DROP, "another queue's socket", &frame);
    filter.queues().set_socket(0, socket.as_fd()).unwrap();
    check(&filter, XDP_REDIRECT as i32, "the queue's socket", &frame);
    drop(socket);
    check(&filter, XDP_DROP, "the socket was closed", &frame);
    assert!(
        filter.queues().set_socket(4, socket_of_nobody().as_fd()).is_err(),
        "there are four queues"
    );
}

fn socket_of_nobody() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

#[test]
fn ports_can_be_added_while_it_runs() {
    let Some(mut filter) = filter() else { return };
    let packet = ipv4(PEER_V4, OUR_V4, TCP, 0, &ports(1, 8080));
    let frame = ethernet(0x0800, &packet);
    check(&filter, XDP_PASS, "not ours yet", &frame);
    filter.add(&LocalPorts::one(IpAddr::V4(OUR_V4), 8080)).unwrap();
    check(&filter, XDP_DROP, "ours", &frame);
    check(&filter, XDP_DROP, "and what was ours still is", &ethernet(0x0800, &ours_v4()));
    filter.add(&LocalPorts { address: IpAddr::V4(OUR_V4), ports: 0..=u16::MAX }).unwrap();
    for port in [0, 1, 65_535] {
        let packet = ipv4(PEER_V4, OUR_V4, TCP, 0, &ports(1, port));
        check(&filter, XDP_DROP, "every port", &ethernet(0x0800, &packet));
    }
}

#[test]
fn answers_to_our_pings_are_ours_while_the_path_is_proven() {
    let Some(filter) = filter() else { return };
    let reply = |ident: u16| {
        let mut message = icmp(0, &[0x5a; 64]);
        message[4..6].copy_from_slice(&ident.to_be_bytes());
        ethernet(0x0800, &ipv4(PEER_V4, OUR_V4, 1, 0, &message))
    };
    check(&filter, XDP_PASS, "before", &reply(4321));
    filter.set_probe(4321, true).unwrap();
    check(&filter, XDP_DROP, "ours", &reply(4321));
    check(&filter, XDP_PASS, "somebody else's", &reply(4320));
    check(&filter, XDP_PASS, "an identifier like our port of any address", &reply(7));
    check(&filter, XDP_PASS, "an identifier like our port", &reply(80));
    filter.set_probe(4321, false).unwrap();
    check(&filter, XDP_PASS, "after", &reply(4321));
}

#[test]
fn what_is_ours_is_counted_whether_or_not_there_is_a_socket() {
    let Some(filter) = filter() else { return };
    for _ in 0..3 {
        check(&filter, XDP_DROP, "ours", &ethernet(0x0800, &ours_v4()));
    }
    check(&filter, XDP_PASS, "ARP", &ethernet(0x0806, &[0; 28]));
    // The kernel's trial runs are on queue 0.
    let counts: Vec<u64> = (0..4).map(|queue| filter.queues().ours(queue).unwrap()).collect();
    assert_eq!(counts, [3, 0, 0, 0]);
    assert!(filter.queues().ours(4).is_err(), "there are four queues");
}
