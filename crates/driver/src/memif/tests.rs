//! Two links in one process, server and client, led by hand: who sends what, and what arrives.

use super::*;
use crate::Counters;
use crore_mem::frames::{RX_BURST_MAX, RxBurst, TxBurst};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// An address that no other test has.
fn address() -> Address {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Address::Abstract(format!("crore-test-{}-{number}", std::process::id()))
}

/// One end of a link.
struct End {
    control: Control,
    lanes: Vec<Lane>,
    status: Status,
}

/// A queue of it, with the bursts that it serves.
struct Lane {
    queue: Queue,
    rx: RxBurst,
    tx: TxBurst,
}

impl End {
    fn open(options: &Options) -> Self {
        let (control, opened) = open_by_hand(options, &mut Memory::heap()).unwrap();
        let Opened { queues, status } = opened;
        let lane = |queue| Lane { queue, rx: RxBurst::new(), tx: TxBurst::new() };
        Self { control, lanes: queues.into_iter().map(lane).collect(), status }
    }

    fn step(&mut self) {
        self.control.step(Duration::from_millis(1));
    }

    /// As [`Lane::send`], on the first queue.
    fn send(&mut self, frames: &[Vec<u8>]) -> usize {
        self.lanes[0].send(frames)
    }

    /// As [`Lane::receive`], on the first queue.
    fn receive(&mut self) -> Vec<Vec<u8>> {
        self.lanes[0].receive()
    }

    fn counters(&self) -> Counters {
        self.lanes[0].queue.counters()
    }
}

impl Lane {
    /// Sends these frames, as many as go at once. Returns how many went.
    fn send(&mut self, frames: &[Vec<u8>]) -> usize {
        self.queue.tx_reserve(&mut self.tx, frames.len());
        for frame in frames {
            let Some(place) = self.tx.frame() else { break };
            place[..frame.len()].copy_from_slice(frame);
            self.tx.commit(frame.len());
        }
        self.queue.tx_burst(&mut self.tx)
    }

    /// All frames that are there.
    fn receive(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        self.queue.tx_reserve(&mut self.tx, 0);
        while self.queue.rx_burst(&mut self.rx, RX_BURST_MAX) > 0 {
            frames.extend((0..self.rx.len()).map(|i| self.rx.frame(i).to_vec()));
            self.queue.rx_release(&mut self.rx);
        }
        frames
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.queue.rx_release(&mut self.rx);
        self.queue.tx_cancel(&mut self.tx);
    }
}

/// A server and a client of one address; `change` has a word about both.
fn options(change: impl Fn(&mut Options)) -> [Options; 2] {
    let address = address();
    [Role::Server, Role::Client].map(|role| {
        let mut options = Options::new(address.clone(), role);
        change(&mut options);
        options
    })
}

/// The same, opened.
fn ends(change: impl Fn(&mut Options)) -> (End, End) {
    let [server, client] = options(change);
    (End::open(&server), End::open(&client))
}

/// Leads both until they are connected.
fn connect(server: &mut End, client: &mut End) {
    for _ in 0..1000 {
        client.step();
        server.step();
        if server.status.is_up() && client.status.is_up() {
            return;
        }
    }
    panic!("not connected: {:?} {:?}", server.status.news(), client.status.news());
}

/// Frames that are told apart, of all lengths.
fn frames(count: usize) -> Vec<Vec<u8>> {
    let frame = |i: usize| (0..14 + (i * 37) % 1500).map(|at| (at + i) as u8).collect();
    (0..count).map(frame).collect()
}

fn both_ways(zero_copy: bool) {
    let (mut server, mut client) = ends(|options| options.zero_copy = zero_copy);
    connect(&mut server, &mut client);
    // More than the ring has places, so that it goes round.
    for round in 0..50 {
        let sent = frames(64 + round);
        assert_eq!(client.send(&sent), sent.len());
        assert_eq!(server.receive(), sent);
        assert_eq!(server.send(&sent), sent.len());
        assert_eq!(client.receive(), sent);
    }
    let (server, client) = (server.counters(), client.counters());
    assert_eq!(server.rx_frames, client.tx_frames);
    assert_eq!(client.rx_frames, server.tx_frames);
    let system_calls = server.system_calls + client.system_calls;
    assert_eq!(system_calls, 0, "two that poll signal nobody");
}

#[test]
fn frames_arrive_whole_and_in_order_both_ways_by_copies() {
    both_ways(false);
}

#[test]
fn frames_arrive_whole_and_in_order_both_ways_with_a_client_that_lends_its_buffers() {
    both_ways(true);
}

/// Each queue of one end sends frames of its own, and the queue of that number gets them.
fn cross(from: &mut End, to: &mut End, all: &[Vec<u8>], in_use: usize) {
    let of = |number: usize| &all[40 * number..][..20 + number];
    for (number, lane) in from.lanes[..in_use].iter_mut().enumerate() {
        assert_eq!(lane.send(of(number)), 20 + number);
    }
    // The last one first: none waits for another.
    for (number, lane) in to.lanes.iter_mut().enumerate().rev() {
        let expected = if number < in_use { of(number) } else { &[] };
        assert_eq!(lane.receive(), expected, "queue {number}");
    }
}

/// So many queues of the server's and of the client's.
fn several_queues(queues: [u16; 2], zero_copy: bool) {
    let [mut server, mut client] = options(|options| options.zero_copy = zero_copy);
    [server.queues, client.queues] = queues;
    let (mut server, mut client) = (End::open(&server), End::open(&client));
    connect(&mut server, &mut client);
    let (all, in_use) = (frames(200), usize::from(queues[0].min(queues[1])));
    // More than the rings have places, so that each goes round.
    for _ in 0..60 {
        cross(&mut client, &mut server, &all[..100], in_use);
        cross(&mut server, &mut client, &all[100..], in_use);
    }
    for lane in server.lanes[in_use..].iter_mut().chain(&mut client.lanes[in_use..]) {
        assert_eq!(lane.send(&all[..3]), 3, "nobody is at the other end of this queue");
        assert_eq!(lane.queue.counters().tx_errors, 3);
    }
}

#[test]
fn what_is_sent_on_a_queue_arrives_on_the_queue_of_that_number_both_ways() {
    several_queues([2, 2], false);
    several_queues([2, 2], true);
}

#[test]
fn the_end_with_fewer_queues_says_how_many_are_in_use() {
    several_queues([2, 1], false);
    several_queues([1, 2], false);
}

#[test]
fn queues_end_and_begin_together() {
    let [server, client] = options(|options| options.queues = 2);
    let mut server = End::open(&server);
    for round in 1..=3 {
        let mut client = End::open(&client);
        connect(&mut server, &mut client);
        assert_eq!(server.status.ups(), round);
        for (number, lane) in client.lanes.iter_mut().enumerate() {
            assert_eq!(lane.send(&frames(5 + number)), 5 + number);
        }
        assert_eq!(server.lanes[1].receive(), frames(6), "round {round}");
        // The first queue has not been looked at when the client goes.
        drop(client);
        while server.status.is_up() {
            server.step();
        }
        assert!(server.lanes.iter_mut().all(|lane| lane.receive().is_empty()));
    }
}

fn full_ring(zero_copy: bool) {
    let (mut server, mut client) = ends(|options| {
        options.zero_copy = zero_copy;
        options.ring_log2 = 6;
    });
    connect(&mut server, &mut client);
    let sent = frames(100);
    assert_eq!(client.send(&sent), 64, "as many as the ring has places");
    assert_eq!(client.send(&sent), 0);
    assert_eq!(client.counters().tx_busy, 1);
    assert_eq!(server.receive(), sent[..64]);
    assert_eq!(client.send(&sent[..10]), 10, "there is room again");
    assert_eq!(server.receive(), sent[..10]);
    assert_eq!(server.send(&sent), 64);
    assert_eq!(server.send(&sent), 0);
    assert_eq!(client.receive(), sent[..64]);
    assert_eq!(client.counters().tx_errors, 0);
}

#[test]
fn a_full_ring_holds_its_sender_back_and_loses_nothing() {
    full_ring(false);
    full_ring(true);
}

#[test]
fn without_a_peer_frames_are_lost_and_counted_as_on_a_wire_that_is_cut() {
    let (mut server, mut client) = ends(|_| {});
    let sent = frames(5);
    assert_eq!(server.send(&sent), 5);
    assert_eq!(client.send(&sent), 5);
    assert_eq!(server.counters().tx_errors, 5);
    assert_eq!(client.counters().tx_errors, 5);
    assert_eq!(client.counters().tx_frames, 0);
    assert!(server.receive().is_empty());
}

#[test]
fn a_client_that_comes_again_finds_the_link_and_what_was_under_way_is_gone() {
    let [server, client] = options(|options| options.zero_copy = true);
    let mut server = End::open(&server);
    for round in 0..30 {
        let mut client = End::open(&client);
        connect(&mut server, &mut client);
        let sent = frames(40);
        assert_eq!(client.send(&sent), 40);
        // Every second time nobody takes them before the client goes.
        if round % 2 == 0 {
            assert_eq!(server.receive(), sent);
        }
        assert_eq!(server.send(&sent[..20]), 20);
        drop(client);
        while server.status.is_up() {
            server.step();
        }
        assert!(server.receive().is_empty());
    }
    assert_eq!(server.status.ups(), 30);
}
