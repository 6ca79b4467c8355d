//! The two threads of a pair, and what the main thread can ask of them.

use super::client::{Client, RunningClient};
use super::sides::Sides;
use crate::places::TwoPlaces;
use crate::running::Running;
use anyhow::Result;
use crore::{Core, CoreConfig, Engine, Service, State, Stop};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Server and client while they run.
pub(crate) struct Cores<S: Service, C: Client> {
    pub(crate) server: Running<S>,
    pub(crate) client: C::Running,
    census: Arc<Census>,
    stop: Stop,
}

/// A count of established connections that the server's core makes between its turns.
#[derive(Debug, Default)]
struct Census {
    wanted: AtomicBool,
    is_done: AtomicBool,
    established: AtomicU64,
}

impl<S: Service, C: Client> Cores<S, C>
where
    Core<S>: Send + 'static,
{
    /// Starts both. Nothing is opened before the client's first turn.
    pub(crate) fn start(sides: Sides<S, C>, places: TwoPlaces) -> Result<Self> {
        let stop = Stop::new();
        let census = Arc::new(Census::default());
        let (engine, link) = sides.server;
        let core = Core::new(engine, link, places.config(places.first));
        let mut count = Count::new(Arc::clone(&census));
        let server = Running::start("server", core, &stop, move |engine| count.go_on(engine))?;
        let (client, link) = sides.client;
        // The client is what measures: it is to be fast, and its own turns may be long.
        let config = CoreConfig { turn_max: None, ..places.config(places.second) };
        let client = C::start(client, link, config, &stop)?;
        Ok(Self { server, client, census, stop })
    }

    /// Ends the client's sleep; fails when a thread has ended that should not have.
    pub(crate) fn nudge(&self) -> Result<()> {
        self.client.wake();
        self.client.check_alive()?;
        self.server.check_alive()
    }

    /// Connections that are established at the server: all of them looked at, a part at a time.
    pub(crate) fn count_established(&self) -> Result<u64> {
        self.census.is_done.store(false, Ordering::Release);
        self.census.wanted.store(true, Ordering::Release);
        while !self.census.is_done.load(Ordering::Acquire) {
            self.server.check_alive()?;
            self.server.wake();
            thread::sleep(Duration::from_millis(1));
        }
        Ok(self.census.established.load(Ordering::Acquire))
    }

    /// Ends both: server, then client.
    pub(crate) fn stop(self) -> Result<(Core<S>, <C::Running as RunningClient>::Ended)> {
        self.stop.set();
        Ok((self.server.join()?, self.client.join()?))
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
    fn go_on<S: Service>(&mut self, engine: &Engine<S>) {
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
