//! What scripts show through packetdrill, without it: a peer of hand-made segments.

use super::*;
use crate::errno::Stop;
use crore_wire::checksum::Sum;
use crore_wire::{Protocol, ipv4, tcp};
use std::net::Ipv4Addr;

const SYN: tcp::Flags = tcp::Flags::SYN;
const ACK: tcp::Flags = tcp::Flags::ACK;
const FIN: tcp::Flags = tcp::Flags::FIN;
const RST: tcp::Flags = tcp::Flags::RST;
const PSH: tcp::Flags = tcp::Flags::PSH;

const US: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A world with one listener, and its peer.
struct Peer {
    world: World,
    listener: i32,
    /// Our side's first sequence number, when it is known.
    iss: u32,
}

/// What left: when, flags, sequence number from `iss` on, acknowledgment, payload.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    after_ms: u64,
    flags: tcp::Flags,
    seq: u32,
    ack: u32,
    len: usize,
}

impl Peer {
    fn new(flags: &str) -> Self {
        let mut world = World::new(Flags::parse(flags).unwrap()).unwrap();
        let listener = world.socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
        world.bind(listener, SocketAddr::new(US.into(), 8080)).unwrap();
        world.listen(listener).unwrap();
        Self { world, listener, iss: 0 }
    }

    /// A listener with one connection, accepted: its descriptor.
    fn connected(flags: &str) -> (Self, i32) {
        let mut peer = Self::new(flags);
        peer.say(SYN, 0, 0, 0);
        let answer = peer.next_header();
        assert_eq!((answer.flags, answer.ack), (SYN | ACK, 1));
        peer.iss = answer.seq;
        assert_eq!(peer.world.accept(peer.listener), Err(Stop::Wait));
        peer.say(ACK, 1, 1, 0);
        let (fd, remote) = peer.world.accept(peer.listener).unwrap();
        assert_eq!(remote, SocketAddr::new(PEER.into(), 40_000));
        (peer, fd)
    }

    /// A segment to us.
    fn say(&mut self, flags: tcp::Flags, seq: u32, ack: u32, len: usize) {
        let mss = flags.contains(SYN).then_some(1000);
        let options = tcp::Options { mss, ..tcp::Options::NONE };
        let header = tcp::Header {
            src_port: 40_000,
            dst_port: 8080,
            seq,
            ack: self.iss.wrapping_add(ack),
            flags,
            window: 20_000,
            urgent: 0,
            options,
        };
        let total = header.header_len() + len;
        let ip = ipv4::Header::atomic(PEER, US, Protocol::TCP, total as u16);
        let mut packet = vec![0; 20 + total];
        let at = ip.write(&mut packet);
        // The payload is all zeros: it adds nothing to the sum.
        let sum = Sum::pseudo_v4(PEER, US, Protocol::TCP, total as u16).add_sum(header.sum());
        header.write(&mut packet[at..], sum.finish());
        self.world.receive(&packet);
    }

    fn next_header(&mut self) -> tcp::Header {
        let out = self.world.host.outgoing.pop_front().expect("a packet left");
        let (_, segment) = ipv4::Header::parse(&out.packet).unwrap();
        tcp::Header::parse(segment).unwrap().0
    }

    /// All that left since `start_us`, which is forgotten.
    fn sent(&mut self, start_us: u64) -> Vec<Sent> {
        let outgoing = std::mem::take(&mut self.world.host.outgoing);
        let one = |out: crate::host::Outgoing| {
            let (_, segment) = ipv4::Header::parse(&out.packet).unwrap();
            let (header, payload) = tcp::Header::parse(segment).unwrap();
            Sent {
                after_ms: (out.time_us - start_us) / 1000,
                flags: header.flags,
                seq: header.seq.wrapping_sub(self.iss),
                ack: header.ack,
                len: payload.len(),
            }
        };
        outgoing.into_iter().map(one).collect()
    }

    fn wait_ms(&mut self, ms: u64) {
        let until_us = self.world.host.now_us() + ms * 1000;
        while self.world.host.now_us() < until_us {
            self.world.step_towards(until_us);
        }
    }

    fn now_us(&self) -> u64 {
        self.world.host.now_us()
    }
}

fn segment(after_ms: u64, flags: tcp::Flags, seq: u32, ack: u32, len: usize) -> Sent {
    Sent { after_ms, flags, seq, ack, len }
}

#[test]
fn each_timeout_is_twice_the_last_on_the_millisecond() {
    let (mut peer, fd) = Peer::connected("");
    let start_us = peer.now_us();
    assert_eq!(peer.world.send(fd, &[7; 500], 0), Ok(500));
    peer.wait_ms(1500);
    // The handshake took no time, so the timeout is Linux's least variance and a tick.
    let times: Vec<_> = peer.sent(start_us).iter().map(|sent| sent.after_ms).collect();
    assert_eq!(times, [0, 201, 201 + 402, 201 + 402 + 804]);
}

#[test]
fn the_end_goes_with_the_last_octets_and_every_state_is_told() {
    let (mut peer, fd) = Peer::connected("");
    let start_us = peer.now_us();
    peer.world.sockets.socket_mut(fd).unwrap().nonblocking = true;
    // Descriptors are the process's, and other tests have some: no order among them.
    assert!(peer.world.table().contains(" ESTABLISHED\n"), "{}", peer.world.table());
    // More than the first window: the rest waits, and our FIN behind it.
    assert_eq!(peer.world.send(fd, &[7; 10_500], 0), Ok(10_500));
    peer.world.close(fd).unwrap();
    assert!(peer.world.table().contains("? tcp4 192.168.0.2:8080 192.0.2.1:40000 FIN_WAIT_1"));
    assert_eq!(peer.sent(start_us).len(), 10);
    peer.say(ACK, 1, 10_001, 0);
    assert_eq!(peer.sent(start_us), [segment(0, FIN | PSH | ACK, 10_001, 1, 500)]);
    peer.say(ACK, 1, 10_502, 0);
    assert!(peer.world.table().contains("FIN_WAIT_2"), "{}", peer.world.table());
    peer.say(FIN | ACK, 1, 10_502, 0);
    assert_eq!(peer.sent(start_us), [segment(0, ACK, 10_502, 2, 0)]);
    assert!(peer.world.table().contains("TIME_WAIT"), "{}", peer.world.table());
    peer.wait_ms(61_000);
    assert!(!peer.world.table().contains("TIME_WAIT"), "{}", peer.world.table());
}

#[test]
fn a_closed_listener_forgets_who_was_half_way() {
    let mut peer = Peer::new("");
    peer.say(SYN, 0, 0, 0);
    let answer = peer.next_header();
    peer.iss = answer.seq;
    assert!(peer.world.table().contains("SYN_RCVD"));
    peer.world.close(peer.listener).unwrap();
    assert_eq!(peer.world.table(), "");
    let start_us = peer.now_us();
    peer.say(ACK, 1, 1, 0);
    assert_eq!(peer.sent(start_us), [segment(0, RST, 1, 0, 0)]);
}

#[test]
fn what_more_is_to_come_for_waits_for_it() {
    let (mut peer, fd) = Peer::connected("");
    let start_us = peer.now_us();
    assert_eq!(peer.world.send(fd, &[7; 1100], libc::MSG_MORE), Ok(1100));
    assert_eq!(peer.sent(start_us), [segment(0, ACK, 1, 1, 1000)]);
    peer.say(ACK, 1, 1001, 0);
    assert_eq!(peer.sent(start_us), [segment(0, ACK, 1001, 1, 100)]);
    peer.say(ACK, 1, 1101, 0);
    assert_eq!(peer.world.send(fd, &[7; 10], libc::MSG_MORE), Ok(10));
    assert_eq!(peer.world.send(fd, &[7; 10], 0), Ok(10));
    assert_eq!(peer.sent(start_us), [segment(0, PSH | ACK, 1101, 1, 20)]);
}

#[test]
fn a_start_is_acknowledged_at_once_and_a_dialogue_later() {
    let (mut peer, fd) = Peer::connected("");
    let start_us = peer.now_us();
    peer.say(PSH | ACK, 1, 1, 100);
    assert_eq!(peer.sent(start_us), [segment(0, ACK, 1, 101, 0)]);
    peer.wait_ms(10);
    assert_eq!(peer.world.send(fd, &[7; 10], 0), Ok(10));
    assert_eq!(peer.sent(start_us), [segment(10, PSH | ACK, 1, 101, 10)]);
    peer.say(PSH | ACK, 101, 11, 100);
    peer.wait_ms(60);
    assert_eq!(peer.sent(start_us), [segment(50, ACK, 11, 201, 0)]);
    let mut octets = [0; 300];
    assert_eq!(peer.world.recv(fd, &mut octets, 0), Ok(200));
}

#[test]
fn unread_octets_turn_close_into_a_reset() {
    let (mut peer, fd) = Peer::connected("profile=freebsd");
    peer.say(PSH | ACK, 1, 1, 100);
    peer.wait_ms(100);
    let start_us = peer.now_us();
    peer.sent(0);
    peer.world.close(fd).unwrap();
    assert_eq!(peer.sent(start_us), [segment(0, RST | ACK, 1, 101, 0)]);
    assert_eq!(peer.world.close(fd), Err(libc::EBADF));
}

#[test]
fn the_user_timeout_ends_what_is_not_acknowledged() {
    let (mut peer, fd) = Peer::connected("");
    let ms = 700i32.to_ne_bytes();
    peer.world.setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, &ms).unwrap();
    assert_eq!(peer.world.send(fd, &[7; 10], 0), Ok(10));
    peer.wait_ms(1000);
    let mut octets = [0; 10];
    assert_eq!(peer.world.recv(fd, &mut octets, 0), Err(Stop::Failed(libc::ETIMEDOUT)));
    assert_eq!(peer.world.recv(fd, &mut octets, 0), Ok(0));
    assert_eq!(peer.world.send(fd, &[7; 10], 0), Err(Stop::Failed(libc::EPIPE)));
}
