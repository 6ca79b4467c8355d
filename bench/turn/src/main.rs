//! What a packet costs in the stack alone: one engine with an echo service, no driver, no second
//! thread, and a client that only writes frames.
//!
//! Cycles are read around the engine's three stages and leave the client out. For instructions run
//! it under callgrind twice, with different numbers of rounds: what differs is the rounds'.
//!
//! ```text
//! cargo run --release -p crore-turn -- WORK CONNECTIONS ROUNDS      echo 10000 100000
//! valgrind --tool=callgrind target/release/crore-turn echo 10000 20000
//! ```
//!
//! `echo`: bursts of 64-octet requests on connections picked at random, each answered and the
//! answer acknowledged: three packets. `churn`: open, request, reply, close, over and over.

mod client;

use client::{Client, LOCAL_PORT, interface};
use crore::mem::Memory;
use crore::mem::frames::heap::HeapFrames;
use crore::{Conn, Cycles, Engine, Service, StackConfig, Stopwatch, tsc};

struct Echo;

impl Service for Echo {
    type State = ();
    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        conn.send(bytes)
    }
}

/// The engine, its frames, and what was counted.
struct Bench {
    engine: Engine<Echo>,
    frames: HeapFrames,
    now_us: u64,
    cycles: u64,
}

impl Bench {
    /// One turn; hands every frame that was sent to `sent`.
    fn turn(&mut self, arrived: &[Vec<u8>], mut sent: impl FnMut(&[u8])) {
        self.now_us += 20;
        let (engine, now_us, cycles) = (&mut self.engine, self.now_us, &mut self.cycles);
        self.frames.lend(
            arrived,
            |rx, tx| {
                let (mut watch, mut stages) = (Stopwatch::start(), Cycles::default());
                let start = tsc();
                engine.receive(rx, tx, now_us, &mut watch, &mut stages);
                engine.tick(tx, 32, &mut watch, &mut stages);
                engine.send(tx, 64, &mut watch, &mut stages);
                *cycles += tsc() - start;
            },
            |frame| sent(frame),
        );
    }

    fn packets(&self) -> u64 {
        let counters = self.engine.stack().counters();
        counters.rx_frames + counters.tx_frames
    }
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let number = |at: usize, default| args.get(at).map_or(Ok(default), |text| text.parse::<u32>());
    let work = args.first().map_or("echo", String::as_str);
    let (Ok(conns), Ok(rounds), true) =
        (number(1, 10_000), number(2, 100_000), matches!(work, "echo" | "churn"))
    else {
        eprintln!("usage: crore-turn [echo|churn] [CONNECTIONS] [ROUNDS]");
        std::process::exit(2);
    };
    let mut config = StackConfig::for_connections(conns.max(1) + 1024);
    config.time_wait_max = 1 << 10;
    // Next hops are learned from frames and not asked whether they are still there.
    config.answers_for_link = false;
    let engine = Engine::new(config, &interface(), Echo, &mut Memory::heap(), [7; 32]);
    let mut engine = engine.expect("the settings fit");
    engine.listen(LOCAL_PORT);
    let mut bench = Bench { engine, frames: HeapFrames::new(64, 1600), now_us: 1000, cycles: 0 };
    let mut clients: Vec<_> = (0..conns.max(1)).map(Client::new).collect();
    if work == "echo" {
        for burst in clients.chunks_mut(BURST) {
            open(&mut bench, burst);
        }
    }
    let (packets, cycles) = (bench.packets(), bench.cycles);
    match work {
        "echo" => echo(&mut bench, &mut clients, rounds),
        _ => churn(&mut bench, &mut clients, rounds),
    }
    let packets = bench.packets() - packets;
    println!(
        "work={work} connections={conns} rounds={rounds} packets={packets} \
         cycles_per_packet={:.1}",
        (bench.cycles - cycles) as f64 / packets as f64
    );
}

/// The handshakes of a burst of clients.
fn open(bench: &mut Bench, clients: &mut [Client]) {
    let now_ms = (bench.now_us / 1000) as u32;
    let syns: Vec<_> = clients.iter().map(|client| client.syn(now_ms)).collect();
    let mut answers = 0;
    bench.turn(&syns, |frame| {
        clients[answers].take(frame);
        answers += 1;
    });
    assert_eq!(answers, clients.len(), "each SYN is answered, in order");
    let acks: Vec<_> = clients.iter().map(|client| client.ack(now_ms)).collect();
    bench.turn(&acks, |_| {});
}

/// Each round is a burst of requests on neighbours of one picked at random, far from each other.
fn echo(bench: &mut Bench, clients: &mut [Client], rounds: u32) {
    let mut luck = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..rounds / BURST as u32 {
        let now_ms = (bench.now_us / 1000) as u32;
        let mut picked = Vec::with_capacity(BURST);
        while picked.len() < BURST.min(clients.len()) {
            luck = luck.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let at = (luck >> 33) as usize % clients.len();
            if !picked.contains(&at) {
                picked.push(at);
            }
        }
        let requests: Vec<_> = picked.iter().map(|&at| clients[at].request(now_ms)).collect();
        let mut answers = 0;
        bench.turn(&requests, |frame| {
            clients[picked[answers]].take(frame);
            answers += 1;
        });
        assert_eq!(answers, picked.len(), "each request is answered, in order");
        let acks: Vec<_> = picked.iter().map(|&at| clients[at].ack(now_ms)).collect();
        bench.turn(&acks, |_| {});
    }
}

/// Each round is a whole life of a burst of connections.
fn churn(bench: &mut Bench, clients: &mut [Client], rounds: u32) {
    for round in 0..rounds / BURST as u32 {
        let start = (round as usize * BURST) % (clients.len() / BURST).max(1) * BURST;
        let end = (start + BURST).min(clients.len());
        let clients = &mut clients[start..end];
        open(bench, clients);
        let now_ms = (bench.now_us / 1000) as u32;
        let requests: Vec<_> = clients.iter_mut().map(|client| client.request(now_ms)).collect();
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
}

/// Frames in a turn.
const BURST: usize = 32;
