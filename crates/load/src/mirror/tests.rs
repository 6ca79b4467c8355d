//! A whole server, a mirror, and a link between them that a test may tamper with, all on one
//! thread and in virtual time.

use super::*;
use crate::control::Phase;
use core::net::IpAddr;
use crore::mem::frames::heap::HeapFrames;
use crore::mem::frames::{RX_BURST_MAX, TX_BURST_MAX};
use crore::{AddressRange, Conn, Engine, Interface, Service, StackConfig, State};
use crore_wire::checksum::Sum;
use crore_wire::{Protocol, ethernet, ipv4, tcp};

struct Echo;

impl Service for Echo {
    type State = ();

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        conn.send(bytes)
    }
}

/// Where a frame comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Server,
    Client,
}

/// What becomes of a frame on its way.
enum Fate {
    Arrives,
    Lost,
    Twice,
    Becomes(Vec<u8>),
}

struct World<T> {
    server: Engine<Echo>,
    mirror: Mirror,
    frames: [HeapFrames; 2],
    to_server: Vec<Vec<u8>>,
    now_us: u64,
    control: Control,
    tamper: T,
}

impl<T: FnMut(From, &[u8]) -> Fate> World<T> {
    fn new(connections: u32, payload_bytes: u16, tamper: T) -> Self {
        Self::with_lives(connections, payload_bytes, None, tamper)
    }

    fn with_lives(
        connections: u32,
        payload_bytes: u16,
        lives: Option<MirrorLives>,
        tamper: T,
    ) -> Self {
        let mut memory = Memory::heap();
        let interface =
            Interface::new(SERVER_MAC, 1500, vec![AddressRange::one(IpAddr::V4(*SERVER.ip()), 8)]);
        let settings = StackConfig::for_connections(connections + 1_000);
        let mut server = Engine::new(settings, &interface, Echo, &mut memory, [7; 32]).unwrap();
        server.listen(SERVER.port());
        let control = Control::new();
        let config = MirrorConfig {
            server: SERVER,
            mac: [2, 0, 0, 0, 0, 1],
            first_address: Ipv4Addr::new(10, 0, 0, 1),
            connections,
            payload_bytes,
            lives,
            handshakes_max: 128,
            in_flight: if lives.is_some() { 0 } else { 128 },
            requests_per_second: None,
            traffic_time: Duration::ZERO,
            seed: 11,
        };
        let mirror = Mirror::new(config, &mut memory, control.clone()).unwrap();
        let frames = [(); 2].map(|()| HeapFrames::new(TX_BURST_MAX, 1600));
        Self { server, mirror, frames, to_server: Vec::new(), now_us: 1, control, tamper }
    }

    /// Both have a turn. Returns whether a frame was sent.
    fn turn(&mut self) -> bool {
        self.now_us += 50;
        let arrived = self.arrivals(From::Client);
        let mut sent = Vec::new();
        for some in chunks(&arrived) {
            sent.extend(self.server.turn_over(&mut self.frames[0], some, self.now_us));
        }
        self.to_server = Vec::new();
        let any = !sent.is_empty();
        let arrived = self.tampered(From::Server, sent);
        let mirror = &mut self.mirror;
        for some in chunks(&arrived) {
            self.frames[1].lend(
                some,
                |rx, tx| mirror.turn(rx, tx, self.now_us * 1000),
                |frame| self.to_server.push(frame.to_vec()),
            );
        }
        any || !self.to_server.is_empty()
    }

    fn turns(&mut self, count: u32) {
        for _ in 0..count {
            self.turn();
        }
    }

    fn arrivals(&mut self, from: From) -> Vec<Vec<u8>> {
        let sent = core::mem::take(&mut self.to_server);
        self.tampered(from, sent)
    }

    fn tampered(&mut self, from: From, sent: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut arrives = Vec::with_capacity(sent.len());
        for frame in sent {
            match (self.tamper)(from, &frame) {
                Fate::Arrives => arrives.push(frame),
                Fate::Lost => {}
                Fate::Twice => arrives.extend([frame.clone(), frame]),
                Fate::Becomes(other) => arrives.push(other),
            }
        }
        arrives
    }

    /// Turns until the mirror is through with a phase.
    fn through(&mut self, phase: Phase) {
        self.control.allow(phase);
        let give_up_us = self.now_us + 400_000_000;
        while !self.mirror.numbers.is_through(phase) {
            if !self.turn() {
                // Nothing is on its way: something waits for its time.
                self.now_us += 10_000;
            }
            assert!(self.now_us < give_up_us, "{phase:?} does not end: {:?}", self.mirror.numbers);
        }
    }

    /// Lets time pass.
    fn pass_ms(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now_us += 1_000;
            self.turn();
        }
    }

    /// Established connections at the server, counted in its control blocks.
    fn census(&self) -> u32 {
        let stack = self.server.stack();
        let slots = 0..stack.config().conns_max;
        let stands = |&slot: &u32| {
            stack.generation_at(slot).is_some() && stack.tcb(slot).state() == State::Established
        };
        slots.filter(stands).count() as u32
    }

    /// Opens all, asks all, counts all.
    fn use_all(&mut self) {
        for phase in [Phase::Opening, Phase::Traffic, Phase::Settling, Phase::Checking] {
            self.through(phase);
        }
    }

    /// Closes all, and waits for the last words.
    fn close_all(&mut self) {
        self.control.allow(Phase::Done);
        self.through(Phase::Closing);
        self.pass_ms(5_000);
    }

    /// Nothing is left at either side.
    fn assert_nothing_left(&self) {
        let stack = self.server.stack();
        assert_eq!((stack.conns(), stack.half_open(), stack.blocks_in_use()), (0, 0, 0));
        assert_eq!(stack.flow_entries(), stack.time_wait());
        assert_eq!(self.mirror.left_over(), 0);
    }
}

/// No more at once than a burst holds, and one turn at least.
fn chunks(frames: &[Vec<u8>]) -> Vec<&[Vec<u8>]> {
    if frames.is_empty() { vec![&[]] } else { frames.chunks(RX_BURST_MAX / 2).collect() }
}

fn untouched(_: From, _: &[u8]) -> Fate {
    Fate::Arrives
}

/// The TCP header of a frame and its octets; `None` for another frame.
fn segment_of(frame: &[u8]) -> Option<(tcp::Header, &[u8])> {
    let (_, packet) = ethernet::Header::parse(frame).ok()?;
    let (_, segment) = ipv4::Header::parse(packet).ok()?;
    tcp::Header::parse(segment).ok()
}

/// The frame of a segment with another header and payload; its checksum is right.
fn rewritten(frame: &[u8], header: &tcp::Header, payload: &[u8]) -> Vec<u8> {
    let (ethernet, packet) = ethernet::Header::parse(frame).unwrap();
    let (ip, _) = ipv4::Header::parse(packet).unwrap();
    let segment_len = header.header_len() + payload.len();
    let ip = ipv4::Header { payload_len: segment_len as u16, ..ip };
    let mut out = vec![0; frame.len() + 100];
    let packet_at = ethernet.write(&mut out);
    let segment_at = packet_at + ip.write(&mut out[packet_at..]);
    let sum = Sum::pseudo_v4(ip.src, ip.dst, Protocol::TCP, segment_len as u16);
    header.write_summed(&mut out[segment_at..], sum.add_bytes(payload));
    let payload_at = segment_at + header.header_len();
    out[payload_at..payload_at + payload.len()].copy_from_slice(payload);
    out.truncate(payload_at + payload.len());
    out
}

/// Does something to the reply with this number, counted from 0.
fn at_reply(number: u32, act: impl Fn(&[u8]) -> Fate) -> impl FnMut(From, &[u8]) -> Fate {
    let mut replies = 0;
    move |from, frame| {
        let has_octets = segment_of(frame).is_some_and(|(_, payload)| !payload.is_empty());
        if from == From::Server && has_octets {
            replies += 1;
            if replies == number + 1 {
                return act(frame);
            }
        }
        Fate::Arrives
    }
}

/// The path of a hundred million, with a thousandth of them.
#[test]
fn a_hundred_thousand_are_opened_used_checked_counted_and_closed() {
    let mut world = World::new(100_000, 64, untouched);
    world.use_all();
    assert_eq!(world.census(), 100_000);
    let numbers = world.mirror.numbers;
    assert_eq!((numbers.opened, numbers.established), (100_000, 100_000));
    assert!(numbers.requests >= 100_000, "{} requests", numbers.requests);
    assert_eq!(numbers.replies, numbers.requests);
    assert_eq!(world.mirror.latency.count(), numbers.replies);
    assert_eq!((numbers.bad_bytes, numbers.resets, numbers.lost), (0, 0, 0));
    world.close_all();
    assert_eq!(world.mirror.numbers.closed, 100_000);
    assert_eq!(world.server.stack().time_wait(), 0, "it is the mirror that closes first");
    world.assert_nothing_left();
    let counters = world.server.stack().counters();
    assert_eq!((counters.retransmits, counters.dropped_by_name().count()), (0, 0));
    let MirrorCounts { resent, repeated, beyond, unusable, unfit, never_asked, .. } =
        world.mirror.counts;
    assert_eq!([resent, repeated, beyond, unusable, unfit, never_asked], [0; 6]);
}

#[test]
fn rounds_of_requests_go_on_as_long_as_they_are_to_and_the_longest_payload_fits() {
    let mut world = World::new(50, MirrorConfig::PAYLOAD_MAX, untouched);
    world.mirror.config.traffic_time = Duration::from_millis(200);
    world.use_all();
    let numbers = world.mirror.numbers;
    assert!(numbers.requests > 1_000, "{} requests in 200 ms", numbers.requests);
    assert_eq!((numbers.replies, numbers.bad_bytes), (numbers.requests, 0));
    world.close_all();
    assert_eq!(world.mirror.numbers.closed, 50);
    world.assert_nothing_left();
}

#[test]
fn requests_at_a_rate_are_as_many_as_were_due() {
    let mut world = World::new(300, 64, untouched);
    world.mirror.config.requests_per_second = Some(2_000.0);
    world.mirror.config.traffic_time = Duration::from_secs(1);
    world.use_all();
    assert_eq!((world.mirror.numbers.requests, world.mirror.numbers.missed), (2_000, 0));
    world.close_all();
    assert_eq!(world.mirror.numbers.closed, 300);
}

#[test]
fn its_syn_offers_what_a_complete_tcp_offers() {
    let mut seen = Vec::new();
    let mut world = World::new(1, 64, |from, frame: &[u8]| {
        if from == From::Client {
            seen.extend(segment_of(frame).map(|(header, _)| header));
        }
        Fate::Arrives
    });
    world.use_all();
    world.close_all();
    drop(world);
    let syn = seen[0];
    assert_eq!(syn.flags, Flags::SYN);
    assert_eq!((syn.options.mss, syn.options.window_scale), (Some(1460), Some(2)));
    assert!(syn.options.sack_permitted && syn.options.timestamps.is_some());
    assert!(seen.iter().all(|header| header.options.timestamps.is_some()));
    let said: Vec<Flags> = seen.iter().map(|header| header.flags).collect();
    let ask = Flags::ACK | Flags::PSH;
    // Handshake, request and acknowledgment of the reply; FIN, and acknowledgment of the other one.
    assert_eq!(said[..5], [Flags::SYN, Flags::ACK, ask, Flags::ACK, Flags::ACK | Flags::FIN]);
    assert_eq!(said.last(), Some(&Flags::ACK));
}

/// 5,000 short lives, 64 at a time, with ten connections beside, that nobody asks anything.
fn short_lives(tamper: impl FnMut(From, &[u8]) -> Fate) -> World<impl FnMut(From, &[u8]) -> Fate> {
    let lives = MirrorLives { at_once: 64, count: 5_000 };
    let mut world = World::with_lives(10, 64, Some(lives), tamper);
    world.through(Phase::Opening);
    world.control.allow(Phase::Traffic);
    let give_up_us = world.now_us + 400_000_000;
    while world.mirror.numbers.lives + world.mirror.numbers.lives_failed < 5_000 {
        if !world.turn() {
            world.now_us += 10_000;
        }
        assert!(world.now_us < give_up_us, "lives do not end: {:?}", world.mirror.numbers);
    }
    world
}

#[test]
fn short_lives_are_opened_asked_answered_and_closed_beside_others_that_stand() {
    let mut segments = 0;
    let mut world = short_lives(|_, frame| {
        segments += u32::from(segment_of(frame).is_some());
        Fate::Arrives
    });
    world.pass_ms(100);
    let numbers = world.mirror.numbers;
    assert_eq!((numbers.lives, numbers.lives_failed), (5_000, 0));
    assert_eq!((numbers.requests, numbers.replies, numbers.bad_bytes), (5_000, 5_000, 0));
    assert!(numbers.out_of_ports, "each life has ends of its own, and there are no more");
    assert_eq!((world.census(), world.server.stack().conns()), (10, 10));
    assert_eq!(world.server.stack().time_wait(), 0, "it is the mirror that closes first");
    assert_eq!(world.server.stack().counters().accepted, 5_010);
    world.control.hurry();
    world.use_all();
    assert_eq!((world.mirror.numbers.opened, world.mirror.numbers.established), (10, 10));
    world.close_all();
    assert_eq!((world.mirror.numbers.closed, world.mirror.numbers.lives), (10, 5_000));
    world.assert_nothing_left();
    assert_eq!(world.server.stack().counters().retransmits, 0);
    drop(world);
    // SYN and its answer; request, reply; FIN, FIN, and the last acknowledgment.
    assert_eq!(segments, 7 * 5_000 + 10 * (3 + 3));
}

#[test]
fn short_lives_come_through_loss_and_doubling_or_are_counted_as_failed() {
    let mut number = 0u64;
    let mut world = short_lives(|_, _| {
        number += 1;
        match mixed(number) % 50 {
            0 => Fate::Lost,
            1 => Fate::Twice,
            _ => Fate::Arrives,
        }
    });
    let numbers = world.mirror.numbers;
    assert_eq!((numbers.lives, numbers.lives_failed, numbers.bad_bytes), (5_000, 0, 0));
    assert!(world.mirror.counts.resent > 50, "{:?}", world.mirror.counts);
    world.control.hurry();
    world.use_all();
    world.close_all();
    world.pass_ms(60_000);
    world.assert_nothing_left();
}

#[test]
fn a_pause_keeps_requests_and_lives_from_beginning_and_lets_those_under_way_end() {
    let lives = MirrorLives { at_once: 64, count: 1_000_000 };
    let mut world = World::with_lives(10, 64, Some(lives), untouched);
    world.through(Phase::Opening);
    world.control.allow(Phase::Traffic);
    world.turns(100);
    world.control.pause(true);
    world.turns(20);
    let before = world.mirror.numbers;
    assert!(before.lives > 100 && before.is_answered(), "{before:?}");
    world.turns(20);
    assert_eq!(world.mirror.numbers.lives, before.lives);
    world.control.pause(false);
    world.turns(20);
    assert!(world.mirror.numbers.lives > before.lives);
}

#[test]
fn a_wrong_byte_in_a_reply_is_told() {
    let mut world = World::new(
        1_000,
        64,
        at_reply(500, |frame| {
            let (header, payload) = segment_of(frame).unwrap();
            let mut payload = payload.to_vec();
            payload[33] ^= 1;
            Fate::Becomes(rewritten(frame, &header, &payload))
        }),
    );
    world.use_all();
    assert_eq!(world.mirror.numbers.bad_bytes, 1);
    assert_eq!(world.mirror.numbers.replies, world.mirror.numbers.requests);
}

#[test]
fn a_reply_that_belongs_to_another_request_is_wrong_in_nearly_every_byte() {
    let mut other = None;
    let mut world = World::new(1_000, 64, |from, frame: &[u8]| {
        let Some((header, payload)) = segment_of(frame) else { return Fate::Arrives };
        if from == From::Client || payload.is_empty() {
            return Fate::Arrives;
        }
        let before = other.replace(payload.to_vec());
        match before {
            Some(before) if header.ack % 64 == 0 => {
                Fate::Becomes(rewritten(frame, &header, &before))
            }
            _ => Fate::Arrives,
        }
    });
    world.use_all();
    let swapped = world.mirror.numbers.bad_bytes.div_ceil(64);
    assert!(swapped > 3 && world.mirror.numbers.bad_bytes > swapped * 60);
}

#[test]
fn a_reply_that_is_longer_than_its_request_is_told() {
    let mut world = World::new(
        10,
        64,
        at_reply(5, |frame| {
            let (header, payload) = segment_of(frame).unwrap();
            Fate::Becomes(rewritten(frame, &header, &[payload, b"more"].concat()))
        }),
    );
    world.use_all();
    assert_eq!(world.mirror.numbers.bad_bytes, 4);
}

#[test]
fn a_damaged_frame_is_not_taken_and_comes_again() {
    let mut world = World::new(
        100,
        64,
        at_reply(50, |frame| {
            let mut frame = frame.to_vec();
            *frame.last_mut().unwrap() ^= 0x10;
            Fate::Becomes(frame)
        }),
    );
    world.use_all();
    assert_eq!(world.mirror.counts.unusable, 1);
    assert_eq!(world.mirror.numbers.bad_bytes, 0);
    assert!(world.server.stack().counters().retransmits > 0);
    assert_eq!(world.mirror.numbers.replies, world.mirror.numbers.requests);
}

#[test]
fn what_a_lossy_link_swallows_is_sent_again_by_either_side() {
    let mut frames = 0;
    let mut world = World::new(3_000, 64, |_, _: &[u8]| {
        frames += 1;
        if frames % 13 == 0 { Fate::Lost } else { Fate::Arrives }
    });
    world.use_all();
    assert_eq!((world.census(), world.mirror.numbers.established), (3_000, 3_000));
    world.close_all();
    let numbers = world.mirror.numbers;
    assert_eq!((numbers.bad_bytes, numbers.resets, numbers.timeouts), (0, 0, 0));
    assert_eq!((numbers.replies, numbers.closed), (numbers.requests, 3_000));
    world.pass_ms(60_000);
    world.assert_nothing_left();
    assert!(world.mirror.counts.resent > 100, "{:?}", world.mirror.counts);
    assert!(world.mirror.counts.repeated > 100, "{:?}", world.mirror.counts);
}

#[test]
fn what_comes_twice_counts_once() {
    let mut world =
        World::new(
            500,
            64,
            |_, frame: &[u8]| {
                if segment_of(frame).is_some() { Fate::Twice } else { Fate::Arrives }
            },
        );
    world.use_all();
    world.close_all();
    let numbers = world.mirror.numbers;
    assert_eq!((numbers.opened, numbers.closed, numbers.bad_bytes), (500, 500, 0));
    assert_eq!(numbers.replies, numbers.requests);
    assert!(world.mirror.counts.repeated > 500);
    world.assert_nothing_left();
}

#[test]
fn a_reset_is_told_and_its_request_counts_as_lost() {
    let mut world = World::new(
        100,
        64,
        at_reply(50, |frame| {
            let (header, _) = segment_of(frame).unwrap();
            let reset = tcp::Header { flags: Flags::RST | Flags::ACK, ..header };
            Fate::Becomes(rewritten(frame, &reset, &[]))
        }),
    );
    world.use_all();
    let numbers = world.mirror.numbers;
    assert_eq!((numbers.resets, numbers.lost, numbers.established), (1, 1, 99));
    assert_eq!(numbers.replies, numbers.requests - 1);
}

#[test]
fn a_reset_that_is_not_where_it_should_be_is_no_reset() {
    let mut world = World::new(
        100,
        64,
        at_reply(50, |frame| {
            let (header, _) = segment_of(frame).unwrap();
            let seq = header.seq.wrapping_add(1);
            let reset = tcp::Header { flags: Flags::RST | Flags::ACK, seq, ..header };
            Fate::Becomes(rewritten(frame, &reset, &[]))
        }),
    );
    world.use_all();
    assert_eq!((world.mirror.numbers.resets, world.mirror.counts.unfit), (0, 1));
    assert_eq!(world.mirror.numbers.established, 100);
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let mut replies = 0;
    let mut world = World::new(40, 64, |from, frame: &[u8]| {
        let has_octets = segment_of(frame).is_some_and(|(_, payload)| !payload.is_empty());
        replies += u32::from(from == From::Server && has_octets);
        if replies > 20 { Fate::Lost } else { Fate::Arrives }
    });
    world.use_all();
    let numbers = world.mirror.numbers;
    assert_eq!((numbers.replies, numbers.established), (20, 20));
    assert_eq!((numbers.timeouts, numbers.lost), (20, 20));
}

#[test]
fn a_port_that_nobody_listens_on_refuses() {
    let mut world = World::new(1_000, 64, untouched);
    world.mirror.link.server.set_port(8);
    world.through(Phase::Opening);
    let numbers = world.mirror.numbers;
    assert_eq!((numbers.opened, numbers.refused), (0, numbers.connect_errors));
    assert!(numbers.attempts < 1_000, "it sees that it is in vain");
}

#[test]
fn a_fin_that_comes_again_is_acknowledged_from_time_wait() {
    let mut fin_seen = false;
    let mut lost = false;
    let mut world = World::new(1, 64, |from, frame: &[u8]| {
        let Some((header, _)) = segment_of(frame) else { return Fate::Arrives };
        let is_fin = header.flags.contains(Flags::FIN);
        fin_seen |= from == From::Server && is_fin;
        if from == From::Client && fin_seen && !is_fin && !lost {
            lost = true;
            return Fate::Lost;
        }
        Fate::Arrives
    });
    world.use_all();
    world.close_all();
    assert_eq!(world.mirror.numbers.closed, 1);
    assert_eq!(world.mirror.counts.repeated, 1);
    world.assert_nothing_left();
}

#[test]
fn eight_bytes_a_connection_are_all_it_takes() {
    let mut memory = Memory::heap();
    let world = World::new(1, 64, untouched);
    let config = MirrorConfig { connections: 100_000, ..world.mirror.config.clone() };
    Mirror::new(config, &mut memory, Control::new()).unwrap();
    assert!(memory.total_bytes() <= 100_000 * 8 + 4096, "{} bytes", memory.total_bytes());
}

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 255, 0, 1), 7);
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
