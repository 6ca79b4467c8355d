//! `hold`: connections that nobody uses: what they take of memory, and what it costs to ask each of
//! them every 30 seconds whether it is there, by keepalive or by the application's own ping.

use super::live::{Live, Window};
use super::machine::Machine;
use super::result::{Cell, Figure, ProfileResult, Table};
use crate::args::BenchOptions;
use crate::huge_pages::Reserved;
use crate::pair::{self, Demand, MemoryOfSides};
use crate::resident::Resident;
use crate::text::grouped;
use anyhow::Result;
use crore::zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
use crore::{Conn, ConnId, Service};
use crore_load::{Answering, Load, Pace, Pattern};
use std::time::Duration;

/// What is done with connections that are held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Idle,
    Keepalive,
    Ping,
}

/// One N, held in one way.
struct Point {
    connections: u32,
    kind: Kind,
    window: Window,
    memory: MemoryOfSides,
    /// What the process grew by, both sides together.
    process_bytes: usize,
    pings: PingNumbers,
}

pub(crate) fn run(options: &BenchOptions, machine: &Machine) -> Result<ProfileResult> {
    let mut found = ProfileResult::new("hold", MEASURED);
    let period = period(options);
    let mut points = Vec::new();
    for connections in options.connections_or(&[1_000_000]) {
        for kind in [Kind::Idle, Kind::Keepalive, Kind::Ping] {
            let bytes_for = |count| Ok(plan_of(&demand(count, kind, period))?.total_bytes());
            if !machine.has_room_for(connections, bytes_for, &mut found) {
                continue;
            }
            points.push(measure((connections, kind), period, machine, &mut found)?);
        }
    }
    if period < PERIOD {
        found.note(format!(
            "each connection was asked every {} s, so that the run is short; per connection the \
             table says what every 30 s cost",
            period.as_secs_f64()
        ));
    }
    tell(&mut found, &points, machine.tsc_mhz);
    Ok(found)
}

/// 30 s, and less only when less than the usual time is to be spent.
fn period(options: &BenchOptions) -> Duration {
    PERIOD.mul_f64((options.seconds / 5.0).clamp(1.0 / 30.0, 1.0))
}

fn demand(connections: u32, kind: Kind, period: Duration) -> Demand {
    let pace = Pace::Closed { in_flight: 1 << 12 };
    let mut demand = Demand::new(connections, PING_BYTES as u16, pace, None);
    if kind == Kind::Keepalive {
        demand.server.keepalive_idle_ms = Some(period.as_millis() as u32);
    }
    demand
}

fn plan_of(demand: &Demand) -> Result<pair::Plans> {
    pair::plan::<Pinger, Load<Answering>>(demand)
}

fn measure(
    (connections, kind): (u32, Kind),
    period: Duration,
    machine: &Machine,
    found: &mut ProfileResult,
) -> Result<Point> {
    let demand = demand(connections, kind, period);
    let _reserved = Reserved::new(machine.pages, plan_of(&demand)?.huge_pages())?;
    let before = Resident::now().pages_bytes;
    let every_ms = (kind == Kind::Ping).then_some(period.as_millis() as u32);
    let live = Live::open(&demand, Pinger::new(every_ms), Answering, machine)?;
    let process_bytes = Resident::now().pages_bytes.saturating_sub(before);
    let memory = live.memory;
    // A little more than a period: nobody is missed who was opened last.
    let window = live.watch(period.mul_f64(1.05))?;
    let ended = live.end()?;
    let pings = ended.server.engine().service().numbers;
    let mut complaints = ended.complaints();
    let asked = window.after.counters.probes - window.before.counters.probes;
    let wrong = [
        (pings.bad_bytes > 0, "octets of pings came back wrong"),
        (pings.unanswered > 0, "pings had no answer when the next was due"),
        (kind == Kind::Ping && pings.answered < u64::from(connections), "not all were pinged"),
        (kind == Kind::Keepalive && asked < u64::from(connections), "not all were probed"),
    ];
    complaints.extend(wrong.iter().filter(|(is, _)| *is).map(|(_, what)| (*what).to_owned()));
    for complaint in complaints {
        let all = grouped(connections.into());
        found.failures.push(format!("{} with {all} connections: {complaint}", kind.name()));
    }
    Ok(Point { connections, kind, window, memory, process_bytes, pings })
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Keepalive => "keepalive",
            Self::Ping => "ping of 64 octets",
        }
    }
}

impl Point {
    /// Bytes of so many a connection.
    fn each(&self, bytes: f64) -> f64 {
        bytes / f64::from(self.connections)
    }

    /// How often the server asked in the window.
    fn asked(&self) -> f64 {
        let probes = |of: fn(&crore::Snapshot) -> u64| {
            (of(&self.window.after) - of(&self.window.before)) as f64
        };
        match self.kind {
            Kind::Idle => 0.0,
            Kind::Keepalive => probes(|side| side.counters.probes),
            // A segment with text for each.
            Kind::Ping => probes(|side| side.counters.octets_out) / PING_BYTES as f64,
        }
    }

    /// A row, with what asking costs, if anybody is asked.
    fn row(&self, tsc_mhz: f64) -> Vec<Cell> {
        let of_asking = |value: f64| match self.kind {
            Kind::Idle => Cell::Nothing,
            _ => value.into(),
        };
        let busy = self.window.busy_cycles() as f64;
        let per_ask = busy / self.asked().max(1.0);
        let a_second = per_ask / PERIOD.as_secs_f64();
        vec![
            u64::from(self.connections).into(),
            self.kind.name().into(),
            self.each(self.memory.server_bytes as f64).into(),
            self.each(self.process_bytes as f64).into(),
            of_asking(self.asked()),
            of_asking(per_ask),
            of_asking(self.window.packets() as f64 / self.asked().max(1.0)),
            of_asking(a_second),
            of_asking(a_second * 1e6 / (tsc_mhz * 1e6) * 100.0),
            (busy / self.window.seconds() / (tsc_mhz * 1e6) * 100.0).into(),
        ]
    }
}

fn tell(found: &mut ProfileResult, points: &[Point], tsc_mhz: f64) {
    let mut table = Table::new("held", "What connections cost that are only held", &COLUMNS);
    for point in points {
        table.row(point.row(tsc_mhz));
    }
    let mut counts = Table::new("counts", "The application's pings", &COUNTS);
    for point in points.iter().filter(|point| point.kind == Kind::Ping) {
        let PingNumbers { sent, answered, unanswered, bad_bytes } = point.pings;
        let connections = u64::from(point.connections);
        counts.row([connections, sent, answered, unanswered, bad_bytes].map(Cell::from));
    }
    found.tables.extend([table, counts]);
    if let Some(point) = points.iter().rfind(|point| point.kind == Kind::Idle) {
        let name = format!("memory an idle connection, {} held", grouped(point.connections.into()));
        let bytes = point.each(point.memory.server_bytes as f64);
        found.figures.push(Figure::of(name, "bytes", bytes).at_most(256.0, "the project's aim"));
    }
}

/// A server that asks each connection from time to time whether it is there.
struct Pinger {
    every_ms: Option<u32>,
    numbers: PingNumbers,
}

#[derive(Clone, Copy, Debug, Default)]
struct PingNumbers {
    sent: u64,
    answered: u64,
    unanswered: u64,
    bad_bytes: u64,
}

/// The last ping of a connection.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[zerocopy(crate = "crore::zerocopy")]
#[repr(C)]
struct Pinged {
    number: u32,
    /// Octets of it that have not come back.
    awaited: u32,
}

impl Pinger {
    fn new(every_ms: Option<u32>) -> Self {
        Self { every_ms, numbers: PingNumbers::default() }
    }
}

impl Service for Pinger {
    type State = Pinged;

    /// The first ping comes after some part of the period, so that they do not come all at once.
    fn accepted(&mut self, conn: &mut Conn<'_, Pinged>) {
        if let Some(every_ms) = self.every_ms {
            let part = conn.id().index.wrapping_mul(0x9e37_79b9);
            let first = (u64::from(every_ms) * u64::from(part)) >> 32;
            conn.set_timer_ms(Some((first as u32).max(1)));
        }
    }

    fn timer(&mut self, conn: &mut Conn<'_, Pinged>) {
        let id = conn.id();
        let pinged = conn.state();
        if pinged.awaited > 0 {
            self.numbers.unanswered += 1;
        } else {
            pinged.number += 1;
            pinged.awaited = PING_BYTES as u32;
            let mut ping = [0; PING_BYTES];
            pattern(id, pinged.number).fill(0, &mut ping);
            conn.send(&ping);
            self.numbers.sent += 1;
        }
        conn.set_timer_ms(self.every_ms);
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, Pinged>) {
        conn.set_timer_ms(None);
        conn.close();
    }

    fn data(&mut self, conn: &mut Conn<'_, Pinged>, bytes: &[u8]) -> usize {
        let id = conn.id();
        let pinged = conn.state();
        let (awaited, surplus) = bytes.split_at(bytes.len().min(pinged.awaited as usize));
        let from = PING_BYTES - pinged.awaited as usize;
        let bad = pattern(id, pinged.number).mismatches(from, awaited) + surplus.len();
        self.numbers.bad_bytes += bad as u64;
        pinged.awaited -= awaited.len() as u32;
        self.numbers.answered += u64::from(pinged.awaited == 0 && !awaited.is_empty());
        bytes.len()
    }
}

fn pattern(id: ConnId, number: u32) -> Pattern {
    Pattern::new(id.index, id.generation, number)
}

const MEASURED: &str = "N connections are opened and then only held: idle; with TCP's keepalive \
    every 30 s; with a ping of 64 octets every 30 s that the server's application sends by a timer \
    of each connection, and whose answer it checks octet by octet. Memory is all that the server \
    takes, its half of the pipe included, for each connection; beside it what the whole process \
    grew by, server and client together. Cycles are those of the server's core while it was busy.";

const COLUMNS: [(&str, &str); 10] = [
    ("connections", ""),
    ("held", ""),
    ("server's memory each", "bytes"),
    ("process, both sides, each", "bytes"),
    ("asked", ""),
    ("an asking", "cycles"),
    ("packets an asking", ""),
    ("each, every 30 s", "cycles/s"),
    ("a million, every 30 s", "% of a core"),
    ("here", "% of a core"),
];

const COUNTS: [(&str, &str); 5] =
    [("connections", ""), ("pings", ""), ("answered", ""), ("unanswered", ""), ("bad bytes", "")];

const PING_BYTES: usize = 64;
const PERIOD: Duration = Duration::from_secs(30);
