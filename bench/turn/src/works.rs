//! The works: what a client has an engine do, and with which service.

use crate::bench::{Bench, Counted, settings};
use crate::client::{Client, interface};
use crore::mem::Memory;
use crore::{Conn, Engine, Service, StackConfig};

/// Sends back what arrives.
struct Echo;

impl Service for Echo {
    type State = ();
    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        conn.send(bytes)
    }
}

/// Takes what arrives.
struct Sink;

impl Service for Sink {
    type State = ();
    fn data(&mut self, _: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        bytes.len()
    }
}

/// Sends all the time.
struct Source;

impl Source {
    fn fill(conn: &mut Conn<'_, ()>) {
        while conn.send(&[9; 16 << 10]) == 16 << 10 {}
    }
}

impl Service for Source {
    type State = ();
    fn accepted(&mut self, conn: &mut Conn<'_, ()>) {
        Self::fill(conn);
    }
    fn data(&mut self, _: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        bytes.len()
    }
    fn writable(&mut self, conn: &mut Conn<'_, ()>) {
        Self::fill(conn);
    }
}

/// Has a timer run on each connection, over and over.
#[derive(Default)]
struct Alarm {
    rung: u64,
}

impl Service for Alarm {
    type State = ();
    fn accepted(&mut self, conn: &mut Conn<'_, ()>) {
        conn.set_timer_ms(Some(ALARM_MS));
    }
    fn data(&mut self, _: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        bytes.len()
    }
    fn timer(&mut self, conn: &mut Conn<'_, ()>) {
        self.rung += 1;
        conn.set_timer_ms(Some(ALARM_MS));
    }
}

/// Each burst is of requests on connections picked at random, each once.
pub(crate) fn echo(conns: u32, rounds: u32) -> Counted {
    let (mut bench, mut clients) = opened(conns, Echo);
    let mut luck = 0x9e37_79b9_7f4a_7c15u64;
    bench.count();
    for _ in 0..rounds / BURST as u32 {
        let now_ms = bench.now_ms();
        let mut picked = Vec::with_capacity(BURST);
        while picked.len() < BURST.min(clients.len()) {
            luck = luck.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let at = (luck >> 33) as usize % clients.len();
            if !picked.contains(&at) {
                picked.push(at);
            }
        }
        let requests: Vec<_> = picked.iter().map(|&at| clients[at].text(64, now_ms)).collect();
        let mut answers = 0;
        bench.turn(&requests, |frame| {
            clients[picked[answers]].take(frame);
            answers += 1;
        });
        assert_eq!(answers, picked.len(), "each request is answered, in order");
        let acks: Vec<_> = picked.iter().map(|&at| clients[at].ack(now_ms)).collect();
        bench.turn(&acks, |_| {});
    }
    bench.counted()
}

/// Each round is a whole life of a burst of connections.
pub(crate) fn churn(conns: u32, rounds: u32) -> Counted {
    let (mut bench, mut clients) = closed(conns, Echo);
    bench.count();
    for round in 0..rounds / BURST as u32 {
        let start = (round as usize * BURST) % (clients.len() / BURST).max(1) * BURST;
        let end = (start + BURST).min(clients.len());
        let clients = &mut clients[start..end];
        open(&mut bench, clients);
        let now_ms = bench.now_ms();
        let requests: Vec<_> = clients.iter_mut().map(|client| client.text(64, now_ms)).collect();
        let mut answers = 0;
        bench.turn(&requests, |frame| {
            clients[answers].take(frame);
            answers += 1;
        });
        // The peer closes first: our FIN goes with the acknowledgment of its own.
        let fins: Vec<_> = clients.iter_mut().map(|client| client.fin(now_ms)).collect();
        answers = 0;
        bench.turn(&fins, |frame| {
            clients[answers].take(frame);
            answers += 1;
        });
        assert_eq!(answers, clients.len(), "each FIN is answered with ours");
        let acks: Vec<_> = clients.iter().map(|client| client.ack(now_ms)).collect();
        bench.turn(&acks, |_| {});
        clients.iter_mut().for_each(Client::renew);
    }
    assert_eq!(bench.engine.stack().conns(), 0, "all have ended");
    bench.counted()
}

/// Each turn brings four full segments on each of up to eight connections.
pub(crate) fn receive(conns: u32, rounds: u32) -> Counted {
    let (mut bench, mut clients) = opened(conns.min(8), Sink);
    let in_turn = BURST / clients.len();
    // The service consumes at once, and the window has grown to what it will be.
    for turn in 0..WARM_UP + rounds / BURST as u32 {
        if turn == WARM_UP {
            bench.count();
        }
        let now_ms = bench.now_ms();
        let mut segments = Vec::with_capacity(BURST);
        for client in &mut clients {
            segments.extend((0..in_turn).map(|_| client.text(FULL, now_ms)));
        }
        let mut acks = 0;
        bench.turn(&segments, |frame| {
            Client::among(&mut clients, frame).take(frame);
            acks += 1;
        });
        assert_eq!(acks, clients.len(), "one acknowledgment a connection and turn");
    }
    bench.counted()
}

/// The service sends all that up to eight windows allow; two segments are acknowledged at a time.
pub(crate) fn send(conns: u32, rounds: u32) -> Counted {
    let (mut bench, mut clients) = opened(conns.min(8), Source);
    let (mut waiting, mut sent, mut turns) = (Vec::new(), 0, 0);
    let warm_up = WARM_UP * BURST as u32;
    let mut is_warm = false;
    while sent < warm_up + rounds {
        if sent >= warm_up && !is_warm {
            is_warm = true;
            bench.count();
        }
        turns += 1;
        assert!(turns < 1000 + warm_up + rounds, "the service sends on");
        let now_ms = bench.now_ms();
        let acks: Vec<_> = waiting.drain(..waiting.len().min(BURST)).collect();
        bench.turn(&acks, |frame| {
            let client = Client::among(&mut clients, frame);
            client.take(frame);
            sent += 1;
            if client.segments.is_multiple_of(2) {
                waiting.push(client.ack(now_ms));
            }
        });
    }
    bench.counted()
}

/// Nothing arrives and nothing is due.
pub(crate) fn idle(conns: u32, rounds: u32) -> Counted {
    let (mut bench, _) = opened(conns, Echo);
    // What the handshakes left to do is done.
    for _ in 0..WARM_UP {
        bench.now_us += 1000;
        bench.turn(&[], |_| {});
    }
    bench.count();
    for _ in 0..rounds {
        bench.turn(&[], |_| panic!("nothing is to be said"));
    }
    bench.counted_by("turn", u64::from(rounds))
}

/// So long goes by between turns that there always is a burst of timers that have run out.
pub(crate) fn timers(conns: u32, rounds: u32) -> Counted {
    let (mut bench, _) = opened(conns, Alarm::default());
    let step_us = u64::from(ALARM_MS) * 1000 * BURST as u64 / u64::from(conns.max(1));
    let turn = |bench: &mut Bench<Alarm>| {
        bench.now_us += step_us;
        bench.turn(&[], |_| panic!("nothing is to be said"));
    };
    while bench.engine.service().rung < u64::from(conns) {
        turn(&mut bench);
    }
    let before = bench.engine.service().rung;
    bench.count();
    while bench.engine.service().rung < before + u64::from(rounds) {
        turn(&mut bench);
    }
    let rung = bench.engine.service().rung - before;
    bench.counted_by("timer", rung)
}

/// Bytes of all regions that come with each further connection, buffers left out: what they are
/// is a setting.
pub(crate) fn idle_connection_bytes() -> f64 {
    let bytes = |conns: u32| {
        let mut memory = Memory::heap();
        let StackConfig { pool, time_wait_max, half_open_max, .. } = settings(1 << 10);
        let config = StackConfig { pool, time_wait_max, half_open_max, ..settings(conns) };
        let engine = Engine::new(config, &interface(), Echo, &mut memory, [7; 32]);
        drop(engine.expect("the settings fit"));
        memory.total_bytes() as f64
    };
    (bytes(1 << 18) - bytes(1 << 16)) / f64::from((1 << 18) - (1 << 16))
}

/// An engine, and clients without a connection.
fn closed<S: Service>(conns: u32, service: S) -> (Bench<S>, Vec<Client>) {
    (Bench::new(conns, service), (0..conns.max(1)).map(Client::new).collect())
}

/// An engine, and clients that each have a connection to it.
fn opened<S: Service>(conns: u32, service: S) -> (Bench<S>, Vec<Client>) {
    let (mut bench, mut clients) = closed(conns, service);
    for burst in clients.chunks_mut(BURST) {
        open(&mut bench, burst);
    }
    (bench, clients)
}

/// The handshakes of a burst of clients. What the service says at once is taken too.
fn open<S: Service>(bench: &mut Bench<S>, clients: &mut [Client]) {
    let now_ms = bench.now_ms();
    let syns: Vec<_> = clients.iter().map(|client| client.syn(now_ms)).collect();
    let mut answers = 0;
    bench.turn(&syns, |frame| {
        clients[answers].take(frame);
        answers += 1;
    });
    assert_eq!(answers, clients.len(), "each SYN is answered, in order");
    let acks: Vec<_> = clients.iter().map(|client| client.ack(now_ms)).collect();
    bench.turn(&acks, |frame| Client::among(clients, frame).take(frame));
}

/// Frames in a turn.
const BURST: usize = 32;

/// Turns before the counting begins.
const WARM_UP: u32 = 256;

/// Octets of a full segment, with timestamps.
const FULL: usize = 1448;

const ALARM_MS: u32 = 1024;
