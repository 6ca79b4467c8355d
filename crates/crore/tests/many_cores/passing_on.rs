//! What the interface cannot steer to the right core gets there all the same: the other side of the
//! link is played by hand.

use crate::hosts::{Host, PORT};
use crore::driver::pipe;
use crore::mem::Memory;
use crore::mem::frames::{RxBurst, TxBurst};
use crore::{Closed, Counters, Drop, StackConfig};
use crore_wire::checksum::Sum;
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::icmpv6::NEIGHBOR_HOP_LIMIT;
use crore_wire::{Protocol, arp, icmpv4, icmpv6, ipv4, ipv6, tcp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const REMOTE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
const CORES: u16 = 4;

/// A connection looks every 4 ms whether its next hop is known.
const TURN_US: u64 = 2000;

/// A host of four cores, and the link's other side.
struct Scene {
    host: Host,
    far: pipe::Queue,
    now_us: u64,
}

impl Scene {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(tweak: impl Fn(&mut StackConfig)) -> Self {
        let (near, mut far) = pipe::queues(&mut Memory::heap(), (CORES, 1), 256, 1500).unwrap();
        let addresses = [IpAddr::V4(LOCAL), IpAddr::V6(LOCAL_V6)];
        Self { host: Host::new(near, &addresses, tweak), far: far.remove(0), now_us: 0 }
    }

    /// Turns until nothing more comes of it; returns the frames that the host sent.
    fn turns(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        for _ in 0..8 {
            self.now_us += TURN_US;
            self.host.turn_at(self.now_us);
            let mut rx = RxBurst::new();
            self.far.rx_burst(&mut rx, 64);
            sent.extend((0..rx.len()).map(|i| rx.frame(i).to_vec()));
            self.far.rx_release(&mut rx);
        }
        self.host.check();
        sent
    }

    fn send(&mut self, frame: &[u8]) {
        let mut tx = TxBurst::new();
        self.far.tx_reserve(&mut tx, 1);
        tx.frame().unwrap()[..frame.len()].copy_from_slice(frame);
        tx.commit(frame.len());
        assert_eq!(self.far.tx_burst(&mut tx), 1);
    }

    /// Lets a core open a connection, with the question for the neighbour answered; its SYN.
    fn syn_of(&mut self, core: usize, remote: IpAddr) -> Vec<u8> {
        self.host.service(core).to_open.push_back((SocketAddr::new(remote, PORT), None));
        let questions = self.turns();
        assert_eq!(questions.len(), 1);
        let answer = match remote {
            IpAddr::V4(_) => arp_reply(),
            IpAddr::V6(_) => advertisement(),
        };
        self.send(&answer);
        let mut sent = self.turns();
        assert_eq!(sent.len(), 1, "the core learned of the answer, although another one got it");
        sent.remove(0)
    }

    /// The queue that the host's interface steers a frame to.
    fn queue_of(&self, frame: &[u8]) -> usize {
        let steering = self.host.cores[0].link().steering().unwrap();
        usize::from(steering.rss.queue_of_frame(frame))
    }

    fn counters(&self, core: usize) -> &Counters {
        self.host.counters().nth(core).unwrap()
    }
}

const OUR_MAC: MacAddr = MacAddr([0x02, b'c', b'r', b'o', b'r', b'a']);
const THEIR_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 9]);

fn frame(ether_type: EtherType, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_LEN];
    ethernet::Header { dst: OUR_MAC, src: THEIR_MAC, vlan: None, ether_type }.write(&mut frame);
    frame.extend(packet);
    frame
}

fn arp_reply() -> Vec<u8> {
    let packet = arp::Packet {
        operation: arp::Operation::Reply,
        sender_mac: THEIR_MAC,
        sender_ip: REMOTE,
        target_mac: OUR_MAC,
        target_ip: LOCAL,
    };
    let mut bytes = [0; 46];
    packet.write(&mut bytes);
    frame(EtherType::ARP, &bytes)
}

fn advertisement() -> Vec<u8> {
    let message = icmpv6::Message::NeighborAdvert {
        target: REMOTE_V6,
        target_mac: Some(THEIR_MAC),
        router: false,
        solicited: true,
        override_: true,
    };
    icmp_v6(REMOTE_V6, &message)
}

fn icmp_v6(src: Ipv6Addr, message: &icmpv6::Message<'_>) -> Vec<u8> {
    let header = ipv6::Header {
        src,
        dst: LOCAL_V6,
        next_header: Protocol::ICMPV6,
        hop_limit: NEIGHBOR_HOP_LIMIT,
        traffic_class: 0,
        flow_label: 0,
        payload_len: message.len() as u16,
    };
    let mut packet = vec![0; ipv6::HEADER_LEN + message.len()];
    header.write(&mut packet);
    message.write(src, LOCAL_V6, &mut packet[ipv6::HEADER_LEN..]);
    frame(EtherType::IPV6, &packet)
}

fn packet_v4(src: Ipv4Addr, protocol: Protocol, part: (u16, bool), payload: &[u8]) -> Vec<u8> {
    let header = ipv4::Header {
        src,
        dst: LOCAL,
        protocol,
        ttl: 64,
        dscp_ecn: 0,
        ident: 77,
        dont_fragment: false,
        more_fragments: part.1,
        fragment_offset: part.0,
        payload_len: payload.len() as u16,
    };
    let mut packet = vec![0; ipv4::HEADER_LEN];
    header.write(&mut packet);
    packet.extend(payload);
    frame(EtherType::IPV4, &packet)
}

/// A router says that nobody listens where this SYN went.
fn port_unreachable(router: Ipv4Addr, syn: &[u8]) -> Vec<u8> {
    let quoted = &syn[ethernet::HEADER_LEN..ethernet::HEADER_LEN + 28];
    let code = icmpv4::UNREACHABLE_PORT;
    let message = icmpv4::Message::Unreachable { code, next_hop_mtu: 0, quoted };
    let mut bytes = vec![0; message.len()];
    message.write(&mut bytes);
    packet_v4(router, Protocol::ICMP, (0, false), &bytes)
}

#[test]
fn an_icmp_error_reaches_the_connection_that_it_quotes() {
    for core in 0..usize::from(CORES) {
        let mut scene = Scene::new();
        let syn = scene.syn_of(core, IpAddr::V4(REMOTE));
        let routers = (1..=255).map(|last| Ipv4Addr::new(192, 0, 2, last));
        let mut errors = routers.map(|router| port_unreachable(router, &syn));
        let error = errors.find(|error| scene.queue_of(error) == (core + 1) % 4).unwrap();
        scene.send(&error);
        scene.turns();
        assert_eq!(scene.host.service(core).ends, [Closed::Refused], "core {core}");
        assert_eq!(scene.counters((core + 1) % 4).strays, 1);
        assert_eq!(scene.counters(core).icmp_errors_in, 1);
    }
}

#[test]
fn an_icmp_error_over_ipv6_reaches_it_too() {
    let mut scene = Scene::new();
    let syn = scene.syn_of(2, IpAddr::V6(REMOTE_V6));
    let quoted = &syn[ethernet::HEADER_LEN..];
    let errors = (1..1000).map(|last| {
        let router = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        let code = icmpv6::UNREACHABLE_PORT;
        icmp_v6(router, &icmpv6::Message::Unreachable { code, quoted })
    });
    let error = errors.into_iter().find(|error| scene.queue_of(error) == 0).unwrap();
    scene.send(&error);
    scene.turns();
    assert_eq!(scene.host.service(2).ends, [Closed::Refused]);
    assert_eq!(scene.counters(0).strays, 1);
}

/// As on interfaces that do not say how they steer: all cores are asked.
#[test]
fn an_icmp_error_reaches_its_connection_where_nobody_knows_the_steering() {
    let mut scene = Scene::with(|config| config.steering = None);
    let syn = scene.syn_of(2, IpAddr::V4(REMOTE));
    let routers = (1..=255).map(|last| Ipv4Addr::new(192, 0, 2, last));
    let mut errors = routers.map(|router| port_unreachable(router, &syn));
    let error = errors.find(|error| scene.queue_of(error) == 0).unwrap();
    scene.send(&error);
    scene.turns();
    assert_eq!(scene.host.service(2).ends, [Closed::Refused]);
    let ignored: Vec<_> = scene.host.counters().map(|c| c.dropped(Drop::IcmpIgnored)).collect();
    assert_eq!(ignored, [0, 1, 0, 1], "the others had nothing to do with it");
}

/// An error about a connection that nobody has goes to the core that would have it, and no
/// further.
#[test]
fn an_icmp_error_about_no_connection_ends_at_the_core_that_would_have_it() {
    let mut scene = Scene::new();
    let mut syn = scene.syn_of(1, IpAddr::V4(REMOTE));
    // Another port of theirs.
    syn[ethernet::HEADER_LEN + 22..][..2].copy_from_slice(&99u16.to_be_bytes());
    let routers = (1..=255).map(|last| Ipv4Addr::new(192, 0, 2, last));
    for router in routers {
        scene.send(&port_unreachable(router, &syn));
        scene.turns();
    }
    let ignored: u64 = scene.host.counters().map(|c| c.dropped(Drop::IcmpIgnored)).sum();
    assert_eq!(ignored, 255);
    let owner = scene.host.counters().filter(|c| c.dropped(Drop::IcmpIgnored) > 0);
    assert_eq!(owner.count(), 1);
    assert_eq!(scene.host.counters().map(|c| c.icmp_errors_in).sum::<u64>(), 0);
}

/// A SYN to our port whose TCP header is in two fragments.
fn syn_in_pieces(src_port: u16) -> (Vec<u8>, [Vec<u8>; 2]) {
    let mut options = tcp::Options::NONE;
    options.mss = Some(1000);
    let header = tcp::Header {
        src_port,
        dst_port: PORT,
        seq: 1000,
        ack: 0,
        flags: tcp::Flags::SYN,
        window: 1000,
        urgent: 0,
        options,
    };
    // Octets on a SYN are not taken; here they make it long enough to be cut.
    let mut segment = vec![0; header.header_len() + 64];
    let sum = Sum::pseudo_v4(REMOTE, LOCAL, Protocol::TCP, segment.len() as u16);
    header.write_summed(&mut segment, sum);
    let (first, second) = segment.split_at(64);
    let whole = packet_v4(REMOTE, Protocol::TCP, (0, false), &segment);
    let pieces = [
        packet_v4(REMOTE, Protocol::TCP, (0, true), first),
        packet_v4(REMOTE, Protocol::TCP, (8, false), second),
    ];
    (whole, pieces)
}

#[test]
fn a_datagram_in_pieces_takes_effect_at_the_core_of_its_connection() {
    let mut scene = Scene::new();
    for src_port in 2000..2020 {
        let (whole, pieces) = syn_in_pieces(src_port);
        let (owner, put_together_by) = (scene.queue_of(&whole), scene.queue_of(&pieces[0]));
        assert_eq!(put_together_by, scene.queue_of(&pieces[1]));
        let before = *scene.counters(put_together_by);
        let half_open = scene.host.cores[owner].engine().stack().half_open();
        for piece in &pieces {
            scene.send(piece);
        }
        let answers = scene.turns();
        assert_eq!(answers.len(), 1, "a SYN-ACK");
        let after = scene.counters(put_together_by);
        assert_eq!(after.reassembled - before.reassembled, 1);
        assert_eq!(after.strays - before.strays, u64::from(owner != put_together_by));
        assert_eq!(scene.host.cores[owner].engine().stack().half_open(), half_open + 1);
    }
}

/// One question is answered once, and all cores learn who asked.
#[test]
fn a_question_for_our_hardware_address_is_answered_by_one_core_and_teaches_all() {
    let mut scene = Scene::new();
    let request = arp::Packet {
        operation: arp::Operation::Request,
        sender_mac: THEIR_MAC,
        sender_ip: REMOTE,
        target_mac: MacAddr([0; 6]),
        target_ip: LOCAL,
    };
    let mut bytes = [0; 46];
    request.write(&mut bytes);
    scene.send(&frame(EtherType::ARP, &bytes));
    assert_eq!(scene.turns().len(), 1, "one answer");
    for core in 0..usize::from(CORES) {
        let remote = SocketAddr::new(IpAddr::V4(REMOTE), PORT);
        scene.host.service(core).to_open.push_back((remote, None));
        let sent = scene.turns();
        assert_eq!(sent[0][12..14], [0x08, 0x00], "core {core} asks nobody");
    }
}

/// The ring to a core that does not turn fills up: the rest is lost, and counted.
#[test]
fn what_finds_no_room_on_the_way_to_another_core_is_counted() {
    let mut scene = Scene::new();
    let syn = scene.syn_of(3, IpAddr::V4(REMOTE));
    let routers = (1..=255).map(|last| Ipv4Addr::new(192, 0, 2, last));
    let mut sent = 0;
    for router in routers {
        let error = port_unreachable(router, &syn);
        if scene.queue_of(&error) == 1 {
            scene.send(&error);
            sent += 1;
            scene.now_us += TURN_US;
            scene.host.cores[1].turn_at(scene.now_us);
        }
    }
    let counters = scene.counters(1);
    assert_eq!(counters.strays, sent);
    assert_eq!(counters.dropped(Drop::NotPassedOn), sent - 32);
    scene.turns();
    assert_eq!(scene.host.service(3).ends, [Closed::Refused]);
}
