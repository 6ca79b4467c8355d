//! A run: server and clients on their threads, and what the caller can ask of them.

use crate::client::{self, Share};
use crate::memory::KernelMemory;
use crate::place::{Path, Place};
use crate::shared::{Done, Orders, Phase};
use crate::tables::{self, Tables};
use crate::{KernelError, epoll, sockets, tried, uring};
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How the server is told what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// epoll, edge-triggered.
    Epoll,
    /// `io_uring`, multishot.
    Uring,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The server.
    pub server: Server,
    /// The way between server and clients.
    pub path: Path,
    /// Connections to hold open.
    pub connections: u32,
    /// Requests under way at any time; short connections as well.
    pub in_flight: u32,
    /// The processors of server and clients.
    pub cpus: [usize; 2],
    /// What the kernel may take for all connections, in bytes; then no more are opened.
    pub memory_max: u64,
    /// How long opening may take; then no more are opened.
    pub opening_max: Duration,
}

/// Server and clients while they run, with all connections open.
#[derive(Debug)]
pub struct Kernel {
    orders: Arc<Orders>,
    done: Arc<[Done]>,
    servers: Vec<JoinHandle<()>>,
    clients: Vec<JoinHandle<()>>,
    tables: Tables,
    connections: u32,
    opening_time: Duration,
    bytes: u64,
    notes: Vec<String>,
    /// Last: the namespaces go when nobody is in them.
    place: Arc<Place>,
}

/// What was counted in some time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    /// Requests that were answered, or short connections that were closed.
    pub count: u64,
    /// In this time.
    pub seconds: f64,
    /// Bytes of replies that were wrong.
    pub bad_bytes: u64,
    /// Requests that had no reply.
    pub lost: u64,
}

impl Counted {
    /// How many a second.
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds
    }
}

impl Kernel {
    /// Starts the server and opens the connections, or as many as there is room for.
    pub fn open(setup: &Setup) -> Result<Self, KernelError> {
        let before = KernelMemory::now();
        let place = Arc::new(Place::new(setup.path, setup.cpus)?);
        let tables = Tables::for_connections(setup.connections);
        let wanted = setup.connections.min(tables.capacity());
        let done: Arc<[Done]> = (0..tables.threads).map(|_| Done::default()).collect();
        let mut kernel = Self {
            orders: Arc::new(Orders::default()),
            done,
            servers: Vec::new(),
            clients: Vec::new(),
            tables,
            connections: 0,
            opening_time: Duration::ZERO,
            bytes: 0,
            notes: place.notes.clone(),
            place,
        };
        if wanted < setup.connections {
            kernel.notes.push(format!(
                "{wanted} connections instead of {}: each of {} threads may have {} files open",
                setup.connections, tables.threads, tables.each
            ));
        }
        kernel.start_server(setup)?;
        let begun = Instant::now();
        kernel.start_clients(setup, wanted)?;
        kernel.wait_for_opening(setup, before)?;
        kernel.opening_time = begun.elapsed();
        kernel.connections = kernel.sum(|done| &done.opened) as u32;
        thread::sleep(SETTLING);
        kernel.bytes = KernelMemory::now().since(before);
        Ok(kernel)
    }

    /// Connections that are open.
    pub fn connections(&self) -> u32 {
        self.connections
    }

    /// How long it took to open them.
    pub fn opening_time(&self) -> Duration {
        self.opening_time
    }

    /// Bytes of kernel memory for a connection, both of its ends, by the account of slabs and of
    /// sockets' buffers.
    pub fn bytes_per_connection(&self) -> f64 {
        self.bytes as f64 / f64::from(self.connections.max(1))
    }

    /// Threads of the server, and as many of the clients, all on one processor each: more than one
    /// where the limit of open files is too low.
    pub fn threads(&self) -> u32 {
        self.tables.threads
    }

    /// What could not be done as it should, in sentences.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Requests on connections picked at random, for so long.
    pub fn requests(&self, time: Duration) -> Result<Counted, KernelError> {
        self.count(Phase::Ask, |done| &done.replies, time)
    }

    /// Short connections, one after the other: open, a request, its reply, close.
    pub fn churn(&self, time: Duration) -> Result<Counted, KernelError> {
        self.count(Phase::Churn, |done| &done.churned, time)
    }

    /// Closes all and waits for the end of all threads.
    pub fn close(mut self) -> Result<(), KernelError> {
        self.end();
        self.check()
    }

    fn count(
        &self,
        phase: Phase,
        what: impl Fn(&Done) -> &AtomicU64,
        time: Duration,
    ) -> Result<Counted, KernelError> {
        let [bad_before, lost_before] = [self.sum(|d| &d.bad_bytes), self.sum(|d| &d.lost)];
        self.orders.set_phase(phase);
        thread::sleep(WARMING_UP);
        let (begun, before) = (Instant::now(), self.sum(&what));
        while begun.elapsed() < time {
            thread::sleep(STEP.min(time.saturating_sub(begun.elapsed())));
            self.check()?;
        }
        let (count, seconds) = (self.sum(&what) - before, begun.elapsed().as_secs_f64());
        self.orders.set_phase(Phase::Open);
        self.wait_until("the last replies", || self.are_idle())?;
        let bad_bytes = self.sum(|done| &done.bad_bytes) - bad_before;
        Ok(Counted { count, seconds, bad_bytes, lost: self.sum(|done| &done.lost) - lost_before })
    }

    fn start_server(&mut self, setup: &Setup) -> Result<(), KernelError> {
        let ready = Arc::new(AtomicU32::new(0));
        let address = SocketAddrV4::new(self.place.server, PORT);
        for number in 0..self.tables.threads {
            let (orders, place) = (Arc::clone(&self.orders), Arc::clone(&self.place));
            let (ready, several, setup) =
                (Arc::clone(&ready), self.tables.threads > 1, setup.clone());
            let serve = move || {
                place.enter_server()?;
                prepare(several, setup.cpus[0])?;
                let listener = sockets::listener(address)?;
                ready.fetch_add(1, Ordering::Release);
                match setup.server {
                    Server::Epoll => epoll::serve(&listener, &orders),
                    Server::Uring => uring::serve(&listener, &orders),
                }
            };
            self.servers.push(self.spawn("server", number, serve)?);
        }
        self.wait_until("the server", || ready.load(Ordering::Acquire) == self.tables.threads)
    }

    fn start_clients(&mut self, setup: &Setup, wanted: u32) -> Result<(), KernelError> {
        let threads = self.tables.threads;
        let share = |of: u32, number: u32| of / threads + u32::from(number < of % threads);
        for number in 0..threads {
            let (orders, place) = (Arc::clone(&self.orders), Arc::clone(&self.place));
            let (done, cpu) = (Arc::clone(&self.done), setup.cpus[1]);
            let share = Share {
                number,
                connections: share(wanted, number),
                in_flight: share(setup.in_flight.max(threads), number),
                server: SocketAddrV4::new(self.place.server, PORT),
                first_address: self.place.first_client,
            };
            let ask = move || {
                place.enter_clients()?;
                prepare(threads > 1, cpu)?;
                client::run(share, &orders, &done[number as usize])
            };
            self.clients.push(self.spawn("client", number, ask)?);
        }
        Ok(())
    }

    fn spawn(
        &self,
        name: &str,
        number: u32,
        work: impl FnOnce() -> Result<(), KernelError> + Send + 'static,
    ) -> Result<JoinHandle<()>, KernelError> {
        let orders = Arc::clone(&self.orders);
        let name = format!("{name} {number}");
        let thread = thread::Builder::new().name(name.clone()).stack_size(STACK_BYTES);
        let spawned = thread.spawn(move || {
            if let Err(error) = work() {
                orders.fail(format!("{name}: {error}"));
            }
        });
        tried("a thread", spawned)
    }

    /// Waits until all is open, or there is a reason to open no more.
    fn wait_for_opening(&mut self, setup: &Setup, before: KernelMemory) -> Result<(), KernelError> {
        let begun = Instant::now();
        let mut full = None;
        while !self.are_idle() {
            thread::sleep(STEP);
            self.check()?;
            if full.is_none() {
                full = why_full(setup, before, begun.elapsed());
                if full.is_some() {
                    self.orders.stop_opening();
                }
            }
        }
        let reason = full.or_else(|| self.orders.why_stopped());
        if let Some(reason) = reason {
            let opened = self.sum(|done| &done.opened);
            self.notes.push(format!(
                "the kernel's side stopped at {opened} connections of {}: {reason}",
                setup.connections
            ));
        }
        Ok(())
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) -> Result<(), KernelError> {
        let begun = Instant::now();
        while !is_so() {
            self.check()?;
            if begun.elapsed() > PATIENCE {
                return Err(KernelError::Ended(format!("waited in vain for {what}")));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn are_idle(&self) -> bool {
        let idle = Phase::Open as u32 + 1;
        self.done.iter().all(|done| done.idle_in.load(Ordering::Acquire) == idle)
    }

    fn sum(&self, what: impl Fn(&Done) -> &AtomicU64) -> u64 {
        self.done.iter().map(|done| what(done).load(Ordering::Relaxed)).sum()
    }

    fn check(&self) -> Result<(), KernelError> {
        self.orders.fault().map_or(Ok(()), |why| Err(KernelError::Ended(why)))
    }

    /// Ends all threads: first the clients, which close their connections.
    fn end(&mut self) {
        self.orders.set_phase(Phase::Close);
        self.clients.drain(..).for_each(|thread| drop(thread.join()));
        self.orders.stop_server();
        self.servers.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.end();
    }
}

/// Puts the calling thread where it belongs.
fn prepare(several: bool, cpu: usize) -> Result<(), KernelError> {
    if several {
        tables::own_table()?;
    }
    tried("a thread's processor", crore::pin::pin_to(cpu))
}

/// Why no more connections are to be opened, if so.
fn why_full(setup: &Setup, before: KernelMemory, elapsed: Duration) -> Option<String> {
    let now = KernelMemory::now();
    let taken = now.since(before);
    let mib = |bytes: u64| bytes >> 20;
    if taken > setup.memory_max {
        let (taken, max) = (mib(taken), mib(setup.memory_max));
        return Some(format!("the kernel has taken {taken} MiB, and {max} MiB are allowed"));
    }
    if now.free < FREE_MIN {
        return Some(format!("{} MiB of memory are left", mib(now.free)));
    }
    (elapsed > setup.opening_max).then(|| format!("it took {} s", elapsed.as_secs()))
}

const PORT: u16 = 7;
const STACK_BYTES: usize = 256 << 10;

/// Memory that is left to others.
const FREE_MIN: u64 = 3 << 29;

const STEP: Duration = Duration::from_millis(20);
const WARMING_UP: Duration = Duration::from_millis(200);

/// For what the kernel frees later than at once.
const SETTLING: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(30);
