//! Two links in one process, server and client, led by hand: who sends what, and what arrives.

use super::*;
use crore_mem::frames::{RX_BURST_MAX, RxBurst, TxBurst};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// An address that no other test has.
pub(super) fn address() -> Address {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Address::Abstract(format!("crore-test-{}-{number}", std::process::id()))
}

/// One end of a link, with the bursts it serves.
pub(super) struct End {
    pub(super) control: Control,
    pub(super) queues: Vec<Queue>,
    pub(super) status: Status,
    rx: RxBurst,
    tx: TxBurst,
}

impl End {
    pub(super) fn open(options: &Options) -> Self {
        let (control, opened) = open_by_hand(options, &mut Memory::heap()).unwrap();
        let Opened { queues, status } = opened;
        Self { control, queues, status, rx: RxBurst::new(), tx: TxBurst::new() }
    }

    pub(super) fn step(&mut self) {
        self.control.step(Duration::from_millis(1));
    }

    /// Sends these frames on the first queue, as many as go at once. Returns how many went.
    pub(super) fn send(&mut self, frames: &[Vec<u8>]) -> usize {
        let queue = &mut self.queues[0];
        queue.tx_reserve(&mut self.tx, frames.len());
        for frame in frames {
            let Some(place) = self.tx.frame() else { break };
            place[..frame.len()].copy_from_slice(frame);
            self.tx.commit(frame.len());
        }
        queue.tx_burst(&mut self.tx)
    }

    /// All frames that are there for the first queue.
    pub(super) fn receive(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let queue = &mut self.queues[0];
        queue.tx_reserve(&mut self.tx, 0);
        while queue.rx_burst(&mut self.rx, RX_BURST_MAX) > 0 {
            frames.extend((0..self.rx.len()).map(|i| self.rx.frame(i).to_vec()));
            queue.rx_release(&mut self.rx);
        }
        frames
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.queues[0].rx_release(&mut self.rx);
        self.queues[0].tx_cancel(&mut self.tx);
    }
}

/// A server and a client of one address; `change` has a word about both.
pub(super) fn options(change: impl Fn(&mut Options)) -> [Options; 2] {
    let address = address();
    [Role::Server, Role::Client].map(|role| {
        let mut options = Options::new(address.clone(), role);
        change(&mut options);
        options
    })
}

/// The same, opened.
pub(super) fn ends(change: impl Fn(&mut Options)) -> (End, End) {
    let [server, client] = options(change);
    (End::open(&server), End::open(&client))
}

/// Leads both until they are connected.
pub(super) fn connect(server: &mut End, client: &mut End) {
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
    let (server, client) = (server.queues[0].counters(), client.queues[0].counters());
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

fn full_ring(zero_copy: bool) {
    let (mut server, mut client) = ends(|options| {
        options.zero_copy = zero_copy;
        options.ring_log2 = 6;
    });
    connect(&mut server, &mut client);
    let sent = frames(100);
    assert_eq!(client.send(&sent), 64, "as many as the ring has places");
    assert_eq!(client.send(&sent), 0);
    assert_eq!(client.queues[0].counters().tx_busy, 1);
    assert_eq!(server.receive(), sent[..64]);
    assert_eq!(client.send(&sent[..10]), 10, "there is room again");
    assert_eq!(server.receive(), sent[..10]);
    assert_eq!(server.send(&sent), 64);
    assert_eq!(server.send(&sent), 0);
    assert_eq!(client.receive(), sent[..64]);
    assert_eq!(client.queues[0].counters().tx_errors, 0);
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
    assert_eq!(server.queues[0].counters().tx_errors, 5);
    assert_eq!(client.queues[0].counters().tx_errors, 5);
    assert_eq!(client.queues[0].counters().tx_frames, 0);
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
