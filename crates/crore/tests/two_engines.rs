//! Two engines joined by a wire in memory and virtual time: the life of a connection.

use crore::mem::Memory;
use crore::mem::frames::TX_BURST_MAX;
use crore::mem::frames::heap::HeapFrames;
use crore::{AddressRange, Closed, Conn, ConnId, Engine, Interface, Service, StackConfig, Turn};
use std::net::{IpAddr, SocketAddr};

/// Records all calls; sends back what it gets when told to.
#[derive(Default)]
struct Recorder {
    echo: bool,
    calls: Vec<String>,
    received: Vec<u8>,
    conn: Option<ConnId>,
}

impl Service for Recorder {
    type State = u64;
    fn accepted(&mut self, conn: &mut Conn<'_, u64>) {
        self.conn = Some(conn.id());
        self.calls.push("accepted".into());
    }
    fn connected(&mut self, conn: &mut Conn<'_, u64>) {
        self.conn = Some(conn.id());
        self.calls.push("connected".into());
    }
    fn data(&mut self, conn: &mut Conn<'_, u64>, bytes: &[u8]) -> usize {
        *conn.state() += bytes.len() as u64;
        let taken = if self.echo { conn.send(bytes) } else { bytes.len() };
        self.received.extend_from_slice(&bytes[..taken]);
        taken
    }
    fn peer_closed(&mut self, conn: &mut Conn<'_, u64>) {
        self.calls.push("peer_closed".into());
        conn.close();
    }
    fn closed(&mut self, _: &mut Conn<'_, u64>, why: Closed) {
        self.calls.push(format!("closed {why:?}"));
    }
    fn turn(&mut self, _: &mut Turn<'_, u64>) {}
}

struct Host {
    engine: Engine<Recorder>,
    inbox: Vec<Vec<u8>>,
    frames: HeapFrames,
}

impl Host {
    fn new(address: &str, mac: u8, echo: bool, tweak: impl Fn(&mut StackConfig)) -> Self {
        let mut config = StackConfig::for_connections(64);
        tweak(&mut config);
        let interface = Interface::new(
            [2, 0, 0, 0, 0, mac],
            1500,
            vec![
                AddressRange::one(address.parse().unwrap(), 24),
                AddressRange::one(IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(mac)]), 64),
            ],
        );
        let service = Recorder { echo, ..Recorder::default() };
        let mut memory = Memory::heap();
        let engine = Engine::new(config, &interface, service, &mut memory, [mac; 32]).unwrap();
        Self { engine, inbox: Vec::new(), frames: HeapFrames::new(TX_BURST_MAX, 1600) }
    }

    /// One turn at `now_us`; returns the frames sent.
    fn turn(&mut self, now_us: u64) -> Vec<Vec<u8>> {
        let count = self.inbox.len().min(32);
        let arrived: Vec<Vec<u8>> = self.inbox.drain(..count).collect();
        let sent = self.engine.turn_over(&mut self.frames, &arrived, now_us);
        self.engine.stack().check();
        sent
    }
}

struct Pair {
    client: Host,
    server: Host,
    now_us: u64,
}

impl Pair {
    fn new(tweak: impl Fn(&mut StackConfig) + Copy) -> Self {
        let client = Host::new("10.0.0.1", 1, false, tweak);
        let mut server = Host::new("10.0.0.2", 2, true, tweak);
        server.engine.listen(80);
        Self { client, server, now_us: 0 }
    }

    /// `turns` of a millisecond each; `lose` says which frames are lost.
    fn run(&mut self, turns: usize, mut lose: impl FnMut() -> bool) {
        for _ in 0..turns {
            self.now_us += 1000;
            let out = self.client.turn(self.now_us);
            self.server.inbox.extend(out.into_iter().filter(|_| !lose()));
            let out = self.server.turn(self.now_us);
            self.client.inbox.extend(out.into_iter().filter(|_| !lose()));
        }
    }

    fn connect(&mut self, remote: &str) -> ConnId {
        let remote: SocketAddr = remote.parse().unwrap();
        self.client.engine.with_turn(|_, turn| turn.connect(remote, None)).unwrap()
    }

    fn client_send(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        self.client.engine.with_turn(|_, turn| turn.conn(id).unwrap().send(bytes))
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

fn echo_and_close(mut pair: Pair, remote: &str) {
    let id = pair.connect(remote);
    pair.run(10, || false);
    assert_eq!(pair.client.engine.service().calls, ["connected"]);
    let message = pattern(100_000);
    assert_eq!(pair.client_send(id, &message), message.len());
    pair.run(400, || false);
    assert!(pair.client.engine.service().received == message);
    pair.client.engine.with_turn(|_, turn| turn.conn(id).unwrap().close());
    pair.run(200, || false);
    assert_eq!(pair.client.engine.service().calls, ["connected", "peer_closed", "closed Finished"]);
    assert_eq!(pair.server.engine.service().calls, ["accepted", "peer_closed", "closed Finished"]);
    for host in [&pair.client, &pair.server] {
        assert_eq!(host.engine.stack().conns(), 0);
        assert_eq!(host.engine.stack().blocks_in_use(), 0);
    }
    assert_eq!(pair.client.engine.stack().time_wait(), 1);
    assert_eq!(pair.client.engine.stack().counters().retransmits, 0);
    assert_eq!(pair.server.engine.stack().counters().retransmits, 0);
}

#[test]
fn a_connection_opens_echoes_and_closes_over_ipv4() {
    echo_and_close(Pair::new(|_| {}), "10.0.0.2:80");
}

#[test]
fn a_connection_opens_echoes_and_closes_over_ipv6() {
    echo_and_close(Pair::new(|_| {}), "[fd00::2]:80");
}

#[test]
fn a_cookie_opens_a_connection_as_well() {
    echo_and_close(Pair::new(|config| config.always_cookies = true), "10.0.0.2:80");
}

#[test]
fn without_timestamps_and_sack_it_works_too() {
    let plain = |config: &mut StackConfig| {
        config.timestamps = false;
        config.sack = false;
    };
    echo_and_close(Pair::new(plain), "10.0.0.2:80");
}

#[test]
fn a_closed_port_refuses() {
    let mut pair = Pair::new(|_| {});
    pair.connect("10.0.0.2:81");
    pair.run(10, || false);
    assert_eq!(pair.client.engine.service().calls, ["closed Refused"]);
    assert_eq!(pair.client.engine.stack().conns(), 0);
}

#[test]
fn nobody_at_the_address_is_found_out() {
    let mut pair = Pair::new(|_| {});
    pair.connect("10.0.0.77:80");
    pair.run(10_000, || false);
    assert_eq!(pair.client.engine.service().calls, ["closed Unreachable"]);
}

#[test]
fn every_tenth_frame_lost_and_all_bytes_arrive() {
    for sack in [false, true] {
        let mut pair = Pair::new(|config| config.sack = sack);
        let mut n = 0u32;
        let id = pair.connect("10.0.0.2:80");
        let message = pattern(200_000);
        let mut sent = 0;
        for _ in 0..4000 {
            if pair.client.engine.stack().conns() > 0 {
                sent += pair.client_send(id, &message[sent..]);
            }
            pair.run(5, || {
                n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                n >> 16 & 1023 < 102
            });
            if pair.client.engine.service().received.len() == message.len() {
                break;
            }
        }
        assert_eq!(pair.client.engine.service().received.len(), message.len(), "sack {sack}");
        assert!(pair.client.engine.service().received == message);
        pair.client.engine.with_turn(|_, turn| turn.conn(id).unwrap().close());
        pair.run(100_000, || false);
        assert_eq!(pair.client.engine.stack().conns(), 0);
        assert_eq!(pair.server.engine.stack().conns(), 0);
        assert_eq!(pair.server.engine.stack().blocks_in_use(), 0);
    }
}

#[test]
fn an_aborted_connection_resets_its_peer() {
    let mut pair = Pair::new(|_| {});
    let id = pair.connect("10.0.0.2:80");
    pair.run(10, || false);
    pair.client.engine.with_turn(|_, turn| turn.conn(id).unwrap().abort());
    pair.run(10, || false);
    assert_eq!(pair.client.engine.service().calls, ["connected", "closed Aborted"]);
    assert_eq!(pair.server.engine.service().calls, ["accepted", "closed Reset"]);
    assert_eq!(pair.server.engine.stack().flow_entries(), 0);
}

#[test]
fn octets_that_find_no_buffer_are_sent_again_and_no_connection_dies() {
    // Four small blocks for all: most of what the echo cannot send back cannot be kept either.
    let mut pair = Pair::new(|config| {
        for class in &mut config.pool {
            class.count = 4;
        }
    });
    let ids: Vec<_> = (0..20).map(|_| pair.connect("10.0.0.2:80")).collect();
    pair.run(60, || false);
    let message = pattern(50);
    let mut left = ids.clone();
    for _ in 0..400 {
        left.retain(|&id| pair.client_send(id, &message) == 0);
        pair.run(20, || false);
    }
    assert!(left.is_empty());
    pair.run(20_000, || false);
    let server = pair.server.engine.stack();
    assert!(server.counters().dropped(crore::Drop::PoolEmpty) > 0, "the pool was empty at times");
    assert_eq!(pair.client.engine.service().received.len(), ids.len() * message.len());
    assert_eq!(server.conns(), 20);
    assert_eq!(server.counters().resets_out, 0);
}
