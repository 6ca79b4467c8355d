//! What a hostile peer can do to a memif link, in both roles: it is sent away with a reason, the
//! link stays, and the next peer is served.

mod memif_peer;

use crore_driver::memif::{Address, Control, Opened, Options, Queue, Role, Status, open_by_hand};
use crore_mem::Memory as OwnMemory;
use crore_mem::frames::{RX_BURST_MAX, RxBurst, TxBurst};
use memif_peer::{
    ACK, ADD_REGION, ADD_RING, CONNECT, CONNECTED, DISCONNECT, Descriptor, Ear, HELLO, INIT,
    Memory, Ring, VERSION, Wire, ack, add_region, add_ring, connect, connected, event, hello, init,
    kind, message, reason,
};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The link that is tried, with one queue.
struct Victim {
    name: String,
    control: Control,
    queue: Queue,
    status: Status,
    rx: RxBurst,
    tx: TxBurst,
}

impl Victim {
    fn new(role: Role, change: impl FnOnce(&mut Options)) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("crore-hostile-{}-{number}", std::process::id());
        let mut options = Options::new(Address::Abstract(name.clone()), role);
        options.ring_log2 = RING_LOG2;
        change(&mut options);
        let (control, opened) = open_by_hand(&options, &mut OwnMemory::heap()).unwrap();
        let Opened { mut queues, status } = opened;
        let (queue, rx, tx) = (queues.remove(0), RxBurst::new(), TxBurst::new());
        Self { name, control, queue, status, rx, tx }
    }

    fn step(&mut self) {
        for _ in 0..3 {
            self.control.step(Duration::from_millis(1));
        }
    }

    /// What the link has received, in turns as a core makes them.
    fn turns(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for _ in 0..4 {
            self.queue.tx_reserve(&mut self.tx, 32);
            self.queue.rx_burst(&mut self.rx, RX_BURST_MAX);
            frames.extend((0..self.rx.len()).map(|i| self.rx.frame(i).to_vec()));
            self.queue.rx_release(&mut self.rx);
        }
        frames
    }

    fn send(&mut self, frame: &[u8]) {
        self.queue.tx_reserve(&mut self.tx, 1);
        if let Some(place) = self.tx.frame() {
            place[..frame.len()].copy_from_slice(frame);
            self.tx.commit(frame.len());
        }
        self.queue.tx_burst(&mut self.tx);
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.queue.rx_release(&mut self.rx);
        self.queue.tx_cancel(&mut self.tx);
    }
}

const RING_LOG2: u8 = 5;
const RING: u16 = 1 << RING_LOG2;
const RING_BYTES: u64 = 128 + 16 * RING as u64;
const BUFFERS_AT: u32 = 4096;
const BUFFER_BYTES: u32 = 2048;
const REGION_BYTES: u64 = BUFFERS_AT as u64 + 2 * RING as u64 * BUFFER_BYTES as u64;

/// A client with one ring each way that does all as it should, up to a point.
struct Client {
    wire: Wire,
    memory: Memory,
    /// To the server.
    up: Ring,
    /// To the client.
    down: Ring,
    /// What its server signals.
    event: OwnedFd,
}

impl Client {
    fn new(victim: &mut Victim) -> Self {
        let wire = Wire::connect(&victim.name).unwrap();
        let memory = Memory::new(REGION_BYTES, true);
        let (up, down) = (Ring { at: 0 }, Ring { at: RING_BYTES });
        up.begin(&memory);
        down.begin(&memory);
        victim.step();
        assert_eq!(kind(&wire.hear().expect("HELLO, unasked").0), HELLO);
        Self { wire, memory, up, down, event: event() }
    }

    /// Says something and returns the answer.
    fn ask(&self, victim: &mut Victim, bytes: &[u8], fd: Option<&impl AsFd>) -> Vec<u8> {
        let fds: Vec<_> = fd.iter().map(|fd| fd.as_fd()).collect();
        self.wire.say(bytes, &fds).unwrap();
        victim.step();
        self.wire.hear().expect("an answer").0
    }

    fn connected(victim: &mut Victim) -> Self {
        let client = Self::new(victim);
        let none = None::<&std::fs::File>;
        assert_eq!(kind(&client.ask(victim, &init(VERSION, 0, 0, ""), none)), ACK);
        let region = add_region(0, REGION_BYTES);
        assert_eq!(kind(&client.ask(victim, &region, Some(&client.memory.0))), ACK);
        for (to_server, offset) in [(1, 0), (0, RING_BYTES as u32)] {
            let ring = add_ring(to_server, 0, 0, offset, RING_LOG2);
            let event = if to_server == 1 { &event() } else { &client.event };
            assert_eq!(kind(&client.ask(victim, &ring, Some(event))), ACK);
        }
        assert_eq!(kind(&client.ask(victim, &connect(), none)), CONNECTED);
        assert!(victim.status.is_up());
        client
    }

    /// Puts a frame of these pieces into the ring, from a place on.
    fn put(&self, place: u16, pieces: &[&[u8]]) {
        for (i, piece) in pieces.iter().enumerate() {
            let place = place.wrapping_add(i as u16) % RING;
            let offset = BUFFERS_AT + u32::from(place) * BUFFER_BYTES;
            self.memory.write(offset.into(), piece);
            let flags = u16::from(i + 1 < pieces.len());
            let descriptor = Descriptor { flags, region: 0, len: piece.len() as u32, offset };
            self.up.set_descriptor(&self.memory, place.into(), descriptor);
        }
    }

    /// Gives the server empty buffers to fill.
    fn give(&self, buffers: u16) {
        for place in 0..buffers {
            let offset = BUFFERS_AT + u32::from(RING + place) * BUFFER_BYTES;
            let empty = Descriptor { flags: 1, region: 0, len: BUFFER_BYTES, offset };
            self.down.set_descriptor(&self.memory, place.into(), empty);
        }
        self.down.set_head(&self.memory, buffers);
    }

    /// The reason for which we are sent away after some turns of the link's.
    fn sent_away(&self, victim: &mut Victim) -> String {
        victim.turns();
        victim.step();
        assert!(!victim.status.is_up());
        reason(&self.wire.hear().expect("DISCONNECT").0)
    }
}

/// What a peer writes into shared memory.
type Scribble<P> = Box<dyn Fn(&P)>;

/// The link is as good as new: another client is served.
fn is_as_new(victim: &mut Victim) {
    victim.step();
    victim.turns();
    let client = Client::connected(victim);
    client.put(0, &[&[7; 60]]);
    client.up.set_head(&client.memory, 1);
    assert_eq!(victim.turns(), [vec![7; 60]]);
    assert_eq!(client.up.tail(&client.memory), 1, "the buffer is given back");
}

#[test]
fn a_client_written_from_the_layout_alone_is_served_and_answered() {
    let mut victim = Victim::new(Role::Server, |_| {});
    let client = Client::connected(&mut victim);
    let (memory, up, down) = (&client.memory, client.up, client.down);
    assert_eq!(up.flags(memory), 1, "the server polls");
    client.put(0, &[&[1; 60]]);
    client.put(1, &[&[2; 1514]]);
    up.set_head(memory, 2);
    assert_eq!(victim.turns(), [vec![1; 60], vec![2; 1514]]);
    assert_eq!(up.tail(memory), 2);
    client.give(4);
    victim.send(&[9; 100]);
    assert_eq!(down.tail(memory), 1);
    let sent = down.descriptor(memory, 0);
    assert_eq!((sent.flags, sent.len), (0, 100), "a flag that was left there is gone");
    assert_eq!(memory.read(sent.offset.into(), 100), [9; 100]);
}

#[test]
fn who_sleeps_is_signalled_of_what_is_sent_last_too() {
    let mut victim = Victim::new(Role::Server, |_| {});
    let client = Client::connected(&mut victim);
    assert_eq!(client.down.flags(&client.memory), 0, "it wants to be signalled");
    client.give(4);
    victim.send(&[9; 100]);
    drop(victim);
    let mut signals = [0; 8];
    // SAFETY: eight writable bytes; the descriptor does not block.
    let len = unsafe {
        let fd = client.event.as_raw_fd();
        assert_eq!(libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK), 0);
        libc::read(fd, signals.as_mut_ptr().cast(), 8)
    };
    assert_eq!((len, u64::from_ne_bytes(signals)), (8, 1));
}

#[test]
fn whatever_a_client_may_not_ask_for_is_refused_with_a_reason() {
    let none = || None::<std::os::fd::OwnedFd>;
    let sealed = || Memory::new(REGION_BYTES, true).0;
    let file = |file: std::fs::File| Some(std::os::fd::OwnedFd::from(file));
    let begin = || vec![(init(VERSION, 0, 0, "open"), none())];
    let region = || {
        let mut said = begin();
        said.push((add_region(0, REGION_BYTES), file(sealed())));
        said
    };
    let after = |mut said: Vec<_>, last| {
        said.push(last);
        said
    };
    let ring =
        |index, region, offset, log2| (add_ring(1, index, region, offset, log2), Some(event()));
    let then_connect = |last| after(after(region(), last), (connect(), none()));
    let cases = [
        (vec![(connect(), none())], "the first message must be INIT, not CONNECT"),
        (vec![(init(0x0100, 0, 0, "open"), none())], "version 0x0100 is not 0x0200"),
        (vec![(init(VERSION, 9, 0, "open"), none())], "no interface with id 9"),
        (vec![(init(VERSION, 0, 1, "open"), none())], "mode 1 is not ethernet"),
        (vec![(init(VERSION, 0, 0, ""), none())], "a secret is required"),
        (vec![(init(VERSION, 0, 0, "sesame"), none())], "the secret is wrong"),
        (after(begin(), begin().remove(0)), "INIT is not expected here"),
        (after(begin(), (message(77, &[]), none())), "a message of type 77"),
        (after(begin(), (vec![0; 64], none())), "not a message of 128 bytes"),
        (after(begin(), (vec![0; 300], none())), "not a message of 128 bytes"),
        (after(begin(), (add_region(0, 4096), none())), "ADD_REGION without a file"),
        (after(begin(), (add_region(1, 4096), file(sealed()))), "region 1 where region 0"),
        (after(begin(), (add_region(0, 0), file(sealed()))), "a region of 0 bytes"),
        (after(begin(), (add_region(0, 1 << 30), file(sealed()))), "a region of 1073741824 bytes"),
        (after(begin(), (add_region(0, u64::MAX), file(sealed()))), "more than 256 GiB"),
        (after(begin(), (add_region(0, 4096), Some(event()))), "must be a file in memory"),
        (
            after(begin(), (add_region(0, 4096), file(Memory::new(4096, false).0))),
            "must have F_SEAL_SHRINK",
        ),
        (after(region(), (add_ring(1, 0, 0, 0, 5), none())), "ADD_RING without an eventfd"),
        (after(region(), (add_ring(1, 0, 0, 0, 5), file(sealed()))), "no eventfd"),
        (after(region(), ring(1, 0, 0, 5)), "ring 1 where there are 1 queue(s)"),
        (after(region(), ring(0, 0, 0, 15)), "a ring of 2^15 places"),
        (after(region(), ring(0, 0, 0, 200)), "a ring of 2^200 places"),
        (after(after(region(), ring(0, 0, 0, 5)), ring(0, 0, 0, 5)), "ring 0 a second time"),
        (then_connect(ring(0, 3, 0, 5)), "are not inside region 3"),
        (then_connect(ring(0, 0, u32::MAX - 7, 14)), "are not inside region 0"),
        (then_connect(ring(0, 0, 4, 5)), "is not a multiple of 8"),
        (then_connect(ring(0, 0, 64, 5)), "ring 0 has a wrong cookie"),
        (after(region(), (connect(), none())), "CONNECT without any ring"),
        (after(begin(), (ack(), none())), "ACK is not expected here"),
    ];
    let mut victim = Victim::new(Role::Server, |options| "open".clone_into(&mut options.secret));
    for (said, why) in cases {
        let client = Client::new(&mut victim);
        let mut last = Vec::new();
        for (bytes, fd) in &said {
            assert!(last.is_empty() || kind(&last) == ACK, "{why}: {}", reason(&last));
            last = client.ask(&mut victim, bytes, fd.as_ref());
        }
        assert_eq!(kind(&last), DISCONNECT, "{why}");
        assert!(reason(&last).contains(&why[..why.len().min(60)]), "{why}: {}", reason(&last));
        let news = victim.status.news();
        // The same line is not said twice in a row.
        let is_told = news.is_empty() || news.iter().any(|line| line.contains(why));
        assert!(is_told, "{why}: {news:?}");
        assert!(!victim.status.is_up());
    }
}

#[test]
fn a_second_client_of_an_interface_is_refused_and_the_first_stays() {
    let mut victim = Victim::new(Role::Server, |_| {});
    let first = Client::connected(&mut victim);
    let second = Client::new(&mut victim);
    let answer = second.ask(&mut victim, &init(VERSION, 0, 0, ""), None::<&std::fs::File>);
    assert!(reason(&answer).contains("has a client already"));
    first.put(0, &[&[3; 60]]);
    first.up.set_head(&first.memory, 1);
    assert_eq!(victim.turns().len(), 1);
}

#[test]
fn indices_and_descriptors_that_cannot_be_end_the_connection_and_nothing_else() {
    let mut victim = Victim::new(Role::Server, |_| {});
    let max = u32::MAX;
    let bad = |region, len, offset| Descriptor { flags: 0, region, len, offset };
    let cases: [(&str, Scribble<Client>); 7] = [
        ("index", Box::new(|client| client.up.set_head(&client.memory, RING + 1))),
        ("index", Box::new(|client| client.up.set_head(&client.memory, u16::MAX))),
        ("index", Box::new(|client| client.down.set_head(&client.memory, RING + 1))),
        ("region", Box::new(move |client| with_descriptor(client, bad(1, 60, 0)))),
        ("region", Box::new(move |client| with_descriptor(client, bad(u16::MAX, 60, 0)))),
        ("bytes outside", Box::new(move |client| with_descriptor(client, bad(0, max, max)))),
        (
            "bytes outside",
            Box::new(move |client| {
                with_descriptor(client, bad(0, 64, REGION_BYTES as u32 - 63));
            }),
        ),
    ];
    for (why, scribble) in cases {
        let client = Client::connected(&mut victim);
        scribble(&client);
        let reason = client.sent_away(&mut victim);
        assert!(reason.contains(why), "{why}: {reason}");
    }
    assert_eq!(victim.queue.counters().rx_bad, 7);
    is_as_new(&mut victim);
}

fn with_descriptor(client: &Client, descriptor: Descriptor) {
    client.up.set_descriptor(&client.memory, 0, descriptor);
    client.up.set_head(&client.memory, 1);
}

#[test]
fn a_head_that_is_taken_back_ends_the_connection() {
    let mut victim = Victim::new(Role::Server, |_| {});
    let client = Client::connected(&mut victim);
    (0..4).for_each(|place| client.put(place, &[&[1; 60]]));
    client.up.set_head(&client.memory, 4);
    // Two of four are taken, and then there never were more than one.
    victim.queue.rx_burst(&mut victim.rx, 2);
    victim.queue.rx_release(&mut victim.rx);
    client.up.set_head(&client.memory, 1);
    assert!(client.sent_away(&mut victim).contains("index"));
}

#[test]
fn frames_in_several_buffers_are_put_together_and_what_is_too_long_is_counted() {
    let mut victim = Victim::new(Role::Server, |_| {});
    let client = Client::connected(&mut victim);
    client.put(0, &[&[1; 700], &[2; 700], &[3; 100]]);
    client.put(3, &[&[4; 60]]);
    client.put(4, &[&[5; 2000], &[6; 2000]]);
    client.put(6, &[&[7; 60]]);
    client.put(7, &[&[]]);
    // The first frame comes in two parts.
    client.up.set_head(&client.memory, 2);
    assert!(victim.turns().is_empty());
    client.up.set_head(&client.memory, 8);
    let whole = [vec![1; 700], vec![2; 700], vec![3; 100]].concat();
    assert_eq!(victim.turns(), [whole, vec![4; 60], vec![7; 60]]);
    let counters = victim.queue.counters();
    assert_eq!((counters.rx_chained, counters.rx_too_long, counters.rx_bad), (2, 1, 1));
    assert_eq!(client.up.tail(&client.memory), 8);
    assert!(victim.status.is_up());
}

#[test]
fn a_frame_without_an_end_is_cut_off() {
    let mut victim = Victim::new(Role::Server, |_| {});
    let client = Client::connected(&mut victim);
    for place in 0..RING {
        client.put(place, &[&[1; 10]]);
        let offset = BUFFERS_AT + u32::from(place) * BUFFER_BYTES;
        let more = Descriptor { flags: 1, region: 0, len: 10, offset };
        client.up.set_descriptor(&client.memory, place.into(), more);
    }
    client.up.set_head(&client.memory, RING);
    assert!(victim.turns().is_empty());
    client.up.set_head(&client.memory, RING + 1);
    assert!(client.sent_away(&mut victim).contains("more buffers than its ring"));
    is_as_new(&mut victim);
}

#[test]
fn whoever_floods_the_control_socket_after_connecting_is_sent_away() {
    let mut victim = Victim::new(Role::Server, |_| {});
    let client = Client::connected(&mut victim);
    assert!(reason(&client.ask(&mut victim, &connect(), None::<&std::fs::File>)).contains("up"));
    is_as_new(&mut victim);
}

/// A server that does as it should, up to a point. `victim` is a client.
struct Server {
    wire: Wire,
    memory: Memory,
    /// To the server.
    up: Ring,
    /// To the client.
    down: Ring,
}

impl Server {
    /// Takes all messages up to CONNECT; says CONNECTED.
    fn connected(victim: &mut Victim, ear: &Ear) -> Self {
        let wire = Self::accept(victim, ear);
        wire.say(&hello(VERSION, 1), &[]).unwrap();
        let (mut memory, mut rings) = (None, Vec::new());
        loop {
            victim.step();
            let (bytes, mut fds) = wire.hear().expect("the next message of a handshake");
            match kind(&bytes) {
                INIT => {}
                ADD_REGION => memory = Some(Memory(fds.remove(0).into())),
                ADD_RING => {
                    assert_eq!(fds.len(), 1, "an eventfd with each ring");
                    let offset = u32::from_ne_bytes(bytes[8..12].try_into().unwrap());
                    rings.push(Ring { at: offset.into() });
                }
                CONNECT => break,
                other => panic!("message {other}"),
            }
            wire.say(&ack(), &[]).unwrap();
        }
        let memory = memory.expect("a region before CONNECT");
        wire.say(&connected(), &[]).unwrap();
        victim.step();
        assert!(victim.status.is_up());
        victim.turns();
        Self { wire, memory, up: rings[0], down: rings[1] }
    }

    fn accept(victim: &mut Victim, ear: &Ear) -> Wire {
        for _ in 0..2000 {
            victim.step();
            // The last connection's memory goes when no queue has it any more.
            victim.turns();
            if let Some(wire) = ear.accept() {
                return wire;
            }
        }
        panic!("the client did not connect: {:?}", victim.status.news());
    }

    fn sent_away(&self, victim: &mut Victim) -> String {
        victim.turns();
        victim.step();
        assert!(!victim.status.is_up());
        reason(&self.wire.hear().expect("DISCONNECT").0)
    }
}

/// A client and the place where its server is to listen.
fn client(zero_copy: bool) -> (Victim, Ear) {
    let victim = Victim::new(Role::Client, |options| options.zero_copy = zero_copy);
    let ear = Ear::listen(&victim.name).unwrap();
    (victim, ear)
}

#[test]
fn a_server_written_from_the_layout_alone_is_served_and_answered() {
    for zero_copy in [false, true] {
        let (mut victim, ear) = client(zero_copy);
        let server = Server::connected(&mut victim, &ear);
        let (memory, up, down) = (&server.memory, server.up, server.down);
        assert_eq!(down.head(memory), RING, "all buffers are given");
        let buffer = down.descriptor(memory, 0);
        assert_eq!(buffer.len, 2048);
        memory.write(buffer.offset.into(), &[5; 90]);
        down.set_descriptor(memory, 0, Descriptor { len: 90, ..buffer });
        down.set_tail(memory, 1);
        assert_eq!(victim.turns(), [vec![5; 90]]);
        assert_eq!(down.head(memory), RING + 1, "the buffer is given again");
        assert_eq!(down.descriptor(memory, 0), buffer);
        victim.send(&[8; 70]);
        assert_eq!(up.head(memory), 1);
        let sent = up.descriptor(memory, 0);
        assert_eq!(memory.read(sent.offset.into(), sent.len as usize), [8; 70]);
    }
}

#[test]
fn whatever_a_server_may_not_say_ends_the_connection_and_the_client_comes_again() {
    let cases = [
        (hello(0x0300, 1), "without 0x0200"),
        (ack(), "ACK is not expected here"),
        (connected(), "CONNECTED before CONNECT"),
        (init(VERSION, 0, 0, ""), "INIT is not expected here"),
        (message(99, &[]), "a message of type 99"),
        (vec![1; 10], "not a message of 128 bytes"),
    ];
    let (mut victim, ear) = client(false);
    for (said, why) in cases {
        let wire = Server::accept(&mut victim, &ear);
        wire.say(&said, &[]).unwrap();
        victim.step();
        let reason = reason(&wire.hear().expect("DISCONNECT").0);
        assert!(reason.contains(why), "{why}: {reason}");
    }
    Server::connected(&mut victim, &ear);
}

#[test]
fn a_server_that_refuses_is_quoted_and_asked_again() {
    let (mut victim, ear) = client(false);
    let wire = Server::accept(&mut victim, &ear);
    let text = b"the secret is wrong\n\0";
    wire.say(&message(DISCONNECT, &[&[0; 4], text]), &[]).unwrap();
    victim.step();
    let news = victim.status.news();
    // What a peer writes does not reach a terminal as it is.
    assert!(news.iter().any(|line| line.ends_with("the secret is wrong?")), "{news:?}");
    Server::connected(&mut victim, &ear);
}

#[test]
fn a_server_that_scribbles_is_left_and_another_is_found() {
    for zero_copy in [false, true] {
        let (mut victim, ear) = client(zero_copy);
        let cases: [(&str, Scribble<Server>); 4] = [
            ("index", Box::new(|server| server.down.set_tail(&server.memory, RING + 1))),
            ("index", Box::new(|server| server.down.set_tail(&server.memory, u16::MAX))),
            ("index", Box::new(|server| server.up.set_tail(&server.memory, RING + 5))),
            (
                "bytes outside",
                Box::new(|server| {
                    let long = Descriptor { flags: 0, region: 0, len: 2049, offset: 0 };
                    server.down.set_descriptor(&server.memory, 0, long);
                    server.down.set_tail(&server.memory, 1);
                }),
            ),
        ];
        for (why, scribble) in cases {
            let server = Server::connected(&mut victim, &ear);
            scribble(&server);
            victim.send(&[1; 60]);
            // Enough room is used up for the client to look at the index again.
            (0..RING).for_each(|_| victim.send(&[1; 60]));
            let reason = server.sent_away(&mut victim);
            assert!(reason.contains(why), "{why}: {reason}");
        }
        // Where descriptors point to is the client's own business: a server cannot move buffers.
        let server = Server::connected(&mut victim, &ear);
        let elsewhere = Descriptor { flags: 0, region: 9, len: 60, offset: u32::MAX };
        server.down.set_descriptor(&server.memory, 0, elsewhere);
        server.down.set_tail(&server.memory, 1);
        assert_eq!(victim.turns().len(), 1);
        assert!(victim.status.is_up());
    }
}

#[test]
fn a_tail_that_is_taken_back_while_frames_are_lent_ends_the_connection() {
    let (mut victim, ear) = client(true);
    let server = Server::connected(&mut victim, &ear);
    let (memory, down) = (&server.memory, server.down);
    for place in 0..4 {
        let frame = Descriptor { len: 60, ..down.descriptor(memory, place) };
        down.set_descriptor(memory, place, frame);
    }
    down.set_tail(memory, 4);
    assert_eq!(victim.queue.rx_burst(&mut victim.rx, 8), 4);
    down.set_tail(memory, 3);
    assert_eq!(victim.queue.rx_burst(&mut victim.rx, 8), 0, "there were never so many");
    victim.queue.rx_release(&mut victim.rx);
    assert!(server.sent_away(&mut victim).contains("index"));
}
