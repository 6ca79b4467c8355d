//! `--against kernel`: the same service and the same clients on the kernel's sockets, measured in
//! turn with ours, on the same two processors: requests, short connections, memory.
//!
//! The kernel's side is `crore-kernel`; this is where both meet.

use super::live::Live;
use super::machine::Machine;
use super::result::{Cell, Figure, Pairs, ProfileResult, Table};
use super::{churn, echo};
use crate::args::BenchOptions;
use crate::huge_pages::Reserved;
use crate::pair::{Client, ClientRemains, Demand, RunningClient};
use crate::places::is_root;
use crate::text::grouped;
use anyhow::Result;
use crore::{Core, Service};
use crore_kernel::{Counted, Kernel, Path, Server, Setup};
use std::time::Duration;

/// What is held against the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Requests on random ones of the connections.
    Requests,
    /// Short connections, with the others standing beside.
    ShortLives,
}

/// One way of the kernel.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    server: Server,
    path: Path,
}

const WAYS: [Way; 3] = [
    Way { name: "epoll, loopback", server: Server::Epoll, path: Path::Loopback },
    Way { name: "io_uring, loopback", server: Server::Uring, path: Path::Loopback },
    Way { name: "epoll, veth", server: Server::Epoll, path: Path::Veth },
];

impl What {
    fn unit(self) -> &'static str {
        match self {
            Self::Requests => "requests/s",
            Self::ShortLives => "connections/s",
        }
    }

    /// Of the kernel, for so long.
    fn theirs(self, kernel: &Kernel, time: Duration) -> Result<Counted> {
        Ok(match self {
            Self::Requests => kernel.requests(time)?,
            Self::ShortLives => kernel.churn(time)?,
        })
    }

    /// Of ours, for so long.
    fn ours<S: Service, C: Client>(self, live: &Live<S, C>, time: Duration) -> Result<f64>
    where
        Core<S>: Send + 'static,
        <C::Running as RunningClient>::Ended: Into<ClientRemains>,
    {
        match self {
            Self::Requests => live.reply_rate(time),
            Self::ShortLives => {
                let window = live.window(time)?;
                let ended = window.after.counters.closed - window.before.counters.closed;
                Ok(ended as f64 / window.seconds().max(1e-9))
            }
        }
    }
}

/// The profile `echo` against the kernel.
pub(crate) fn echo(options: &BenchOptions, machine: &Machine) -> Result<ProfileResult> {
    let mut found = ProfileResult::new("echo", MEASURED);
    for connections in options.connections_or(&[1_000_000]) {
        let demand = echo::demand(connections);
        let planned = echo::plan_of(&demand, options.client)?.huge_pages();
        let open = || echo::open(&demand, options.client, machine);
        beside(What::Requests, (&demand, planned), open, options, machine, &mut found)?;
    }
    Ok(found)
}

/// The profile `churn` against the kernel. The client closes first on both sides.
pub(crate) fn churn(options: &BenchOptions, machine: &Machine) -> Result<ProfileResult> {
    let mut found = ProfileResult::new("churn", MEASURED);
    for connections in options.connections_or(&[1_000_000]) {
        let (kind, client) = (churn::KINDS[0], options.client);
        let time = options.time() * WAYS.len() as u32;
        let demand = churn::demand(connections, kind, (client, time));
        let planned = churn::plan_of(&demand, client)?.huge_pages();
        let open = || churn::open(&demand, kind, client, machine);
        beside(What::ShortLives, (&demand, planned), open, options, machine, &mut found)?;
    }
    Ok(found)
}

/// Ours stays open, idle, while the kernel's ways are opened and closed one after the other.
fn beside<S: Service, C: Client>(
    what: What,
    (demand, huge_pages): (&Demand, usize),
    open_ours: impl Fn() -> Result<Live<S, C>>,
    options: &BenchOptions,
    machine: &Machine,
    found: &mut ProfileResult,
) -> Result<()>
where
    Core<S>: Send + 'static,
    <C::Running as RunningClient>::Ended: Into<ClientRemains>,
{
    let connections = demand.connections;
    let bytes_for = |_| Ok(huge_pages * crore::mem::HUGE_PAGE_BYTES);
    if !machine.has_room_for(connections, bytes_for, found) {
        return Ok(());
    }
    let _reserved = Reserved::new(machine.pages, huge_pages)?;
    let live = open_ours()?;
    let ours_bytes = live.memory.server_bytes as f64 / f64::from(connections);
    let mut table = Table::new(
        "kernel",
        format!("The kernel's side, {} connections wanted", grouped(connections.into())),
        &COLUMNS,
    );
    for way in WAYS {
        if way.path == Path::Veth && !is_root() {
            found.note("veth between two network namespaces is left out: it needs root");
            continue;
        }
        let setup = setup(way, demand, machine);
        let Some(kernel) = open(way, &setup, found) else { continue };
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let ours = what.ours(&live, options.time() / ROUNDS)?;
            let counted = what.theirs(&kernel, options.time() / ROUNDS)?;
            found.check(counted.bad_bytes + counted.lost == 0, || {
                format!("{}: wrong or no replies: {counted:?}", way.name)
            });
            rounds.push((ours, counted.per_second()));
        }
        let bytes = (kernel.connections() >= MEMORY_CONNECTIONS_MIN)
            .then(|| kernel.bytes_per_connection() / 2.0);
        if bytes.is_none() {
            let few = grouped(MEMORY_CONNECTIONS_MIN.into());
            found.note(format!("{}: below {few} connections memory is not told apart", way.name));
        }
        table.row([
            way.name.into(),
            u64::from(kernel.connections()).into(),
            u64::from(kernel.threads()).into(),
            (f64::from(kernel.connections()) / kernel.opening_time().as_secs_f64()).into(),
            bytes.map_or(Cell::Nothing, Cell::Number),
        ]);
        judge(what, (way, kernel.connections()), (&rounds, ours_bytes, bytes), found);
        kernel.close()?;
    }
    found.tables.push(table);
    let ended = live.end()?;
    found.failures.extend(ended.complaints());
    Ok(())
}

/// The kernel's side with all its connections open; what it could not do is noted.
fn open(way: Way, setup: &Setup, found: &mut ProfileResult) -> Option<Kernel> {
    match Kernel::open(setup) {
        Ok(kernel) => {
            for note in kernel.notes() {
                found.note(format!("{}: {note}", way.name));
            }
            Some(kernel)
        }
        Err(why) => {
            found.note(format!("{} is left out: {why}", way.name));
            None
        }
    }
}

fn setup(way: Way, demand: &Demand, machine: &Machine) -> Setup {
    Setup {
        server: way.server,
        path: way.path,
        connections: demand.connections,
        in_flight: IN_FLIGHT.min(demand.connections),
        cpus: [machine.places.first, machine.places.second],
        memory_max: MEMORY_MAX,
        opening_max: OPENING_MAX,
    }
}

/// Pairs of this way, and what their ratios should be.
fn judge(
    what: What,
    (way, connections): (Way, u32),
    (rounds, ours_bytes, bytes): (&[(f64, f64)], f64, Option<f64>),
    found: &mut ProfileResult,
) {
    let live = format!("{} live, {}", grouped(connections.into()), way.name);
    let pairs = Pairs::of(format!("{}, {live}", what.unit()), what.unit(), "kernel", rounds);
    let name = format!("{} over the kernel's, {live}", what.unit());
    found
        .figures
        .push(Figure::of(name, "x", pairs.median_ratio).at_least(50.0, "the project's aim"));
    found.pairs.push(pairs);
    let Some(bytes) = bytes else { return };
    let name = format!("bytes a connection and side, {live}");
    let memory = Pairs::of(name, "bytes", "kernel", &[(ours_bytes, bytes)]);
    let name = format!("bytes a connection over the kernel's, {live}");
    let ratio = Figure::of(name, "x", memory.median_ratio);
    found.figures.push(ratio.at_most(1.0 / 16.0, "the project's aim"));
    found.pairs.push(memory);
}

const MEASURED: &str = "The same service and the same client logic on kernel sockets, in turn with \
    ours: requests of 64 octets on connections picked at random, or short connections with one \
    request each, 512 under way, every octet checked. One processor for the server, one for the \
    clients, on both sides. The kernel is tuned: SO_REUSEPORT, TCP_NODELAY, CUBIC, long backlogs, \
    a socket table of 2 million buckets, network namespaces of their own. Its bytes are those of \
    slabs and socket buffers for both ends of a connection, halved; ours are all memory of the \
    server over its connections. On loopback and veth the kernel saves what an interface would \
    cost it, and ours saves it on the pipe.";

const COLUMNS: [(&str, &str); 5] = [
    ("kernel", ""),
    ("connections", ""),
    ("threads a side", ""),
    ("opened", "/s"),
    ("a connection and side", "bytes"),
];

const IN_FLIGHT: u32 = 512;
const ROUNDS: u32 = 3;

/// With fewer, what the kernel takes for them is lost in what slabs take and give for others.
const MEMORY_CONNECTIONS_MIN: u32 = 10_000;

/// What the kernel may take, in bytes.
const MEMORY_MAX: u64 = 19 << 29;
const OPENING_MAX: Duration = Duration::from_mins(3);
