//! The demo's two threads, and what the main thread can ask of them.

use super::sides::Sides;
use crate::places::TwoPlaces;
use anyhow::{Result, anyhow};
use crore::driver::Waker;
use crore::{Core, Engine, Service, Snapshot, State, StatsPage, Stop};
use crore_echo::Echo as EchoServer;
use crore_load::{Control, EchoLoad, Latency, Numbers, Phase};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Server and client while they run.
pub(crate) struct Cores {
    pub(crate) server: Running<EchoServer>,
    pub(crate) client: Running<EchoLoad>,
    pub(crate) control: Control,
    census: Arc<Census>,
    stop: Stop,
}

/// A core on its thread.
pub(crate) struct Running<S: Service> {
    pub(crate) page: StatsPage,
    waker: Waker,
    thread: JoinHandle<Core<S>>,
}

/// What is left of the cores in the end.
pub(crate) struct Remains {
    pub(crate) server: Snapshot,
    pub(crate) client: Snapshot,
    pub(crate) numbers: Numbers,
    pub(crate) latency: Latency,
}

/// A count of established connections that the server's core makes between its turns.
#[derive(Debug, Default)]
struct Census {
    wanted: AtomicBool,
    is_done: AtomicBool,
    established: AtomicU64,
}

impl Cores {
    /// Starts both. Nothing is opened before the client's first turn.
    pub(crate) fn start(sides: Sides, places: TwoPlaces) -> Result<Self> {
        let stop = Stop::new();
        let census = Arc::new(Census::default());
        let (engine, link) = sides.server;
        let core = Core::new(engine, link, places.config(places.first));
        let mut count = Count::new(Arc::clone(&census));
        let server = Running::start("server", core, &stop, move |engine| count.go_on(engine))?;
        let (engine, link) = sides.client;
        let core = Core::new(engine, link, places.config(places.second));
        let client = Running::start("client", core, &stop, |_| {})?;
        Ok(Self { server, client, control: sides.control, census, stop })
    }

    /// Lets the load go on, at once.
    pub(crate) fn allow(&self, phase: Phase) {
        self.control.allow(phase);
        self.client.waker.wake();
    }

    /// Fails when a thread has ended that should not have.
    pub(crate) fn check_alive(&self) -> Result<()> {
        let dead = self.server.thread.is_finished() || self.client.thread.is_finished();
        if dead { Err(anyhow!("a core has stopped; its message is above")) } else { Ok(()) }
    }

    /// Connections that are established at the server: all of them looked at, a part at a time.
    pub(crate) fn count_established(&self) -> Result<u64> {
        self.census.is_done.store(false, Ordering::Release);
        self.census.wanted.store(true, Ordering::Release);
        while !self.census.is_done.load(Ordering::Acquire) {
            self.check_alive()?;
            self.server.waker.wake();
            thread::sleep(Duration::from_millis(1));
        }
        Ok(self.census.established.load(Ordering::Acquire))
    }

    /// Ends both, and says what is left.
    pub(crate) fn stop(self) -> Result<Remains> {
        self.stop.set();
        let server = self.server.join()?;
        let client = self.client.join()?;
        let load = client.engine().service();
        Ok(Remains {
            server: server.snapshot(),
            client: client.snapshot(),
            numbers: *load.numbers(),
            latency: load.latency().clone(),
        })
    }
}

impl<S: Service + Send + 'static> Running<S> {
    fn start(
        name: &str,
        mut core: Core<S>,
        stop: &Stop,
        between: impl FnMut(&mut Engine<S>) + Send + 'static,
    ) -> Result<Self>
    where
        Core<S>: Send,
    {
        let (page, waker, stop) = (core.stats(), core.waker(), stop.clone());
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            core.run(&stop, between);
            core
        })?;
        Ok(Self { page, waker, thread })
    }

    /// The core's numbers, no older than this call.
    pub(crate) fn snapshot_now(&self) -> Snapshot {
        let (asked, before) = (Instant::now(), self.page.read().now_us);
        loop {
            self.waker.wake();
            thread::sleep(Duration::from_millis(5));
            let seen = self.page.read();
            // The page may just have been written when we asked; the one after is new for sure.
            let is_new = seen.now_us > before + NEWER_US;
            if is_new || asked.elapsed() > SNAPSHOT_PATIENCE {
                return seen;
            }
        }
    }

    fn join(self) -> Result<Core<S>> {
        self.waker.wake();
        self.thread.join().map_err(|_| anyhow!("a core has stopped; its message is above"))
    }
}

/// The server's side of the census.
struct Count {
    census: Arc<Census>,
    next: u32,
    established: u64,
}

impl Count {
    fn new(census: Arc<Census>) -> Self {
        Self { census, next: 0, established: 0 }
    }

    /// Looks at the next slots, if somebody wants to know. Bounded, because packets wait meanwhile.
    fn go_on(&mut self, engine: &Engine<EchoServer>) {
        if !self.census.wanted.load(Ordering::Acquire) {
            return;
        }
        let stack = engine.stack();
        let all = stack.config().conns_max;
        let end = all.min(self.next + SLOTS_AT_ONCE);
        for slot in self.next..end {
            let stands = stack.generation_at(slot).is_some()
                && stack.tcb(slot).state() == State::Established;
            self.established += u64::from(stands);
        }
        self.next = end;
        if end == all {
            self.census.established.store(self.established, Ordering::Release);
            self.census.wanted.store(false, Ordering::Release);
            self.census.is_done.store(true, Ordering::Release);
            (self.next, self.established) = (0, 0);
        }
    }
}

const SLOTS_AT_ONCE: u32 = 1 << 18;

/// A busy core writes its page every 20 ms.
const NEWER_US: u64 = 25_000;

const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(2);
