//! In the steady state a core allocates nothing and asks the system for nothing: two cores on a
//! pipe, 10,000 connections, 100,000 requests, connections opened and closed all the while.

#![cfg(target_os = "linux")]

mod allocations;
mod silence;

use crore::driver::{Link, pipe};
use crore::mem::Memory;
use crore::{AddressRange, Closed, Conn, Core, CoreConfig, Engine, Interface, Service};
use crore::{StackConfig, Turn};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// After the warm-up, 100,000 requests cost no allocation.
#[test]
fn a_hundred_thousand_requests_allocate_nothing() {
    let mut pair = Pair::warm();
    let before = allocations::so_far();
    let done = pair.serve(REQUESTS);
    let allocations = allocations::so_far() - before;
    assert!(done.is_good(), "{done:?}");
    assert_eq!(allocations, 0);
    // The counter counts.
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(allocations::so_far() - before, 1);
}

/// The same in a process that dies of any system call but its end.
#[test]
fn a_hundred_thousand_requests_need_no_system_call() {
    let clock_is_silent = silence::allows(false, || {
        std::hint::black_box(Instant::now());
    });
    if !clock_is_silent {
        eprintln!(
            "the clock of this machine cannot be read without a system call \
             (see current_clocksource in /sys); clock_gettime is let through"
        );
    }
    assert!(!silence::allows(true, || drop(std::fs::metadata("/"))), "a call is noticed");
    let mut pair = Pair::warm();
    let served = silence::allows(!clock_is_silent, || {
        let done = pair.serve(REQUESTS);
        assert!(done.is_good());
    });
    assert!(served, "a system call, or a request that failed");
}

/// Two cores and the pipe between them, turned by one thread.
struct Pair {
    client: Core<Asker>,
    server: Core<Echo>,
}

/// What a run of requests did.
#[derive(Debug, PartialEq)]
struct Done {
    requests: u64,
    opened: u64,
    closed: u64,
    timers: u64,
    bad_octets: u64,
    resets: u64,
    retransmits: u64,
}

impl Done {
    fn is_good(&self) -> bool {
        let busy = self.requests >= REQUESTS && self.opened > 1000 && self.closed > 1000;
        busy && self.timers > 100 && self.bad_octets + self.resets == 0
    }
}

impl Pair {
    /// All connections open, and every one used and some replaced, so that tables and rings have
    /// been touched.
    fn warm() -> Self {
        let mut memory = Memory::heap();
        let (near, far) = pipe::pair(&mut memory, 1024, 1500).unwrap();
        let asker = Asker::default();
        let mut server = engine(2, Echo, &mut memory);
        server.listen(7);
        let client = engine(1, asker, &mut memory);
        let config = CoreConfig { spin_before_sleep: None, ..CoreConfig::default() };
        let mut pair = Self {
            client: Core::new(client, Link::Pipe(near), config.clone()),
            server: Core::new(server, Link::Pipe(far), config),
        };
        let end = Instant::now() + Duration::from_mins(1);
        while pair.asker().open < CONNS {
            pair.turn();
            assert!(Instant::now() < end, "{} are open", pair.asker().open);
        }
        let done = pair.serve(2 * u64::from(CONNS));
        let counters = [pair.client.snapshot().counters, pair.server.snapshot().counters];
        assert_eq!((done.bad_octets, done.resets), (0, 0), "{counters:?}");
        pair
    }

    fn asker(&self) -> &Asker {
        self.client.engine().service()
    }

    fn turn(&mut self) {
        self.client.turn();
        self.server.turn();
    }

    /// Turns until so many more requests were answered and timers of every kind ran out: half a
    /// second at least, 60 seconds at most.
    fn serve(&mut self, requests: u64) -> Done {
        let before = self.numbers();
        let start = Instant::now();
        let enough = before.requests + requests;
        while self.asker().answered < enough || start.elapsed() < Duration::from_millis(500) {
            if start.elapsed() > Duration::from_mins(1) {
                break;
            }
            self.turn();
        }
        let after = self.numbers();
        Done {
            requests: after.requests - before.requests,
            opened: after.opened - before.opened,
            closed: after.closed - before.closed,
            timers: after.timers - before.timers,
            bad_octets: after.bad_octets - before.bad_octets,
            resets: after.resets - before.resets,
            retransmits: after.retransmits - before.retransmits,
        }
    }

    fn numbers(&self) -> Done {
        let (client, server) = (self.client.snapshot(), self.server.snapshot());
        let asker = self.asker();
        Done {
            requests: asker.answered,
            opened: client.counters.connected,
            closed: client.counters.closed,
            timers: asker.timers,
            bad_octets: asker.bad_octets,
            resets: client.counters.resets_in + server.counters.resets_in,
            retransmits: client.counters.retransmits + server.counters.retransmits,
        }
    }
}

fn engine<S: Service>(host: u8, service: S, memory: &mut Memory) -> Engine<S> {
    let interface = Interface::new(
        [2, 0, 0, 0, 0, host],
        1500,
        vec![AddressRange::one(IpAddr::from([10, 0, 0, host]), 24)],
    );
    let mut config = StackConfig::for_connections(2 * CONNS);
    // An answer keeps its block until it is acknowledged, which may take the delay of 40 ms.
    config.pool[0].count = 1 << 16;
    config.time_wait_ms = 100;
    Engine::new(config, &interface, service, memory, [host; 32]).unwrap()
}

struct Echo;

impl Service for Echo {
    type State = u32;
    fn accepted(&mut self, conn: &mut Conn<'_, u32>) {
        conn.set_timer_ms(Some(64));
    }
    fn data(&mut self, conn: &mut Conn<'_, u32>, bytes: &[u8]) -> usize {
        *conn.state() += 1;
        conn.send(bytes)
    }
    fn timer(&mut self, conn: &mut Conn<'_, u32>) {
        conn.set_timer_ms(Some(128));
    }
}

/// Sends requests on all its connections, one after the other; ends a connection after some, and
/// opens another for it.
#[derive(Default)]
struct Asker {
    open: u32,
    opening: u32,
    answered: u64,
    bad_octets: u64,
    timers: u64,
    /// Whose turn it is.
    next: u32,
    asked: u64,
}

/// Requests sent, and octets of the answer that are still to come.
type Asked = [u32; 2];

impl Service for Asker {
    type State = Asked;

    fn connected(&mut self, conn: &mut Conn<'_, Asked>) {
        self.opening -= 1;
        self.open += 1;
        conn.set_timer_ms(Some(64));
    }

    fn data(&mut self, conn: &mut Conn<'_, Asked>, bytes: &[u8]) -> usize {
        let number = conn.state()[0] as u8;
        self.bad_octets += bytes.iter().filter(|&&byte| byte != number).count() as u64;
        conn.state()[1] -= bytes.len() as u32;
        if conn.state()[1] == 0 {
            self.answered += 1;
            if conn.state()[0] >= REQUESTS_PER_CONN {
                conn.close();
            }
        }
        bytes.len()
    }

    fn closed(&mut self, _: &mut Conn<'_, Asked>, _: Closed) {
        self.open -= 1;
    }

    fn timer(&mut self, conn: &mut Conn<'_, Asked>) {
        self.timers += 1;
        conn.set_timer_ms(Some(640));
    }

    fn turn(&mut self, turn: &mut Turn<'_, Asked>) {
        let server = SocketAddr::from(([10, 0, 0, 2], 7));
        for _ in 0..8 {
            if self.open + self.opening < CONNS && turn.connect(server, None).is_ok() {
                self.opening += 1;
            }
        }
        // So every request that is answered was sent with half of the connections open at least.
        if self.open < CONNS / 2 {
            return;
        }
        for _ in 0..16 {
            self.next = (self.next + 1) % (2 * CONNS);
            let Some(mut conn) = turn.conn_at(self.next) else { continue };
            let [asked, open] = *conn.state();
            if open == 0 && asked < REQUESTS_PER_CONN && conn.is_established() {
                let len = conn.send(&[asked as u8 + 1; REQUEST_BYTES]);
                *conn.state() = [asked + 1, len as u32];
                self.asked += 1;
            }
        }
    }
}

const CONNS: u32 = 10_000;
const REQUESTS: u64 = 100_000;
const REQUESTS_PER_CONN: u32 = 8;
const REQUEST_BYTES: usize = 64;
