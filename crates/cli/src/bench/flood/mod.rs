//! `flood`: what is left of `echo` while attackers send beside it: SYNs of strangers that nobody
//! will ever answer for, and junk.
//!
//! The attackers' frames are injected into the client's end of the pipe, between the client's
//! turns, and so take some of what its core and the link can do: a floor of what the server
//! bears, not a ceiling.

mod attackers;

use super::live::{Live, Window};
use super::machine::Machine;
use super::result::{Axis, Figure, Plot, ProfileResult, Series, Table, median};
use crate::args::BenchOptions;
use crate::huge_pages::Reserved;
use crate::pair::{self, Demand};
use crate::text::{grouped, rate};
use anyhow::Result;
use attackers::{Attack, Besieged, Orders};
use crore_echo::Echo as EchoServer;
use crore_load::{Echo, EchoLoad, Pace};
use std::time::Duration;

/// A server, its clients, and attackers beside them.
type Siege = Live<EchoServer, Besieged>;

/// One attack at one rate.
struct Point {
    attack: Attack,
    wanted: f64,
    windows: Vec<Seen>,
}

/// A window, and what went on in it.
struct Seen {
    window: Window,
    /// Of the client, a second.
    replies: f64,
    /// Of the attackers, a second.
    injected: f64,
}

pub(crate) fn run(options: &BenchOptions, machine: &Machine) -> Result<ProfileResult> {
    let mut found = ProfileResult::new("flood", MEASURED);
    for connections in options.connections_or(&[1_000_000]) {
        let bytes_for = |count| Ok(plan_of(&demand(count))?.total_bytes());
        if !machine.has_room_for(connections, bytes_for, &mut found) {
            continue;
        }
        measure(connections, options, machine, &mut found)?;
    }
    Ok(found)
}

fn demand(connections: u32) -> Demand {
    let pace = Pace::Closed { in_flight: IN_FLIGHT.min(connections) };
    let mut demand = Demand::new(connections, PAYLOAD_BYTES, pace, None);
    // A server with room: one whose table is full does not answer strangers at all.
    demand.server.conns_max += ROOM;
    demand
}

fn plan_of(demand: &Demand) -> Result<pair::Plans> {
    pair::plan::<EchoServer, EchoLoad>(demand)
}

fn measure(
    connections: u32,
    options: &BenchOptions,
    machine: &Machine,
    found: &mut ProfileResult,
) -> Result<()> {
    let demand = demand(connections);
    let _reserved = Reserved::new(machine.pages, plan_of(&demand)?.huge_pages())?;
    let orders = Orders::default();
    let tsc_hz = machine.tsc_mhz * 1e6;
    let besieged = |control| {
        let load = demand.load(Echo::new(PAYLOAD_BYTES), control);
        Besieged { load, orders: orders.clone(), tsc_hz }
    };
    let live = Live::open_with(&demand, EchoServer, besieged, machine)?;
    let time = options.time() / ROUNDS;
    let mut points = Vec::new();
    for (attack, wanted) in attacks() {
        orders.give(attack, wanted);
        let windows: Result<Vec<_>> = (0..ROUNDS).map(|_| watch(&live, &orders, time)).collect();
        points.push(Point { attack, wanted, windows: windows? });
        orders.give(attack, 0.0);
    }
    let ended = live.end()?;
    for complaint in ended.complaints() {
        let all = grouped(connections.into());
        found.failures.push(format!("with {all} connections: {complaint}"));
    }
    let counters = ended.server.snapshot().counters;
    found.note(format!(
        "with {} connections the server answered {} SYNs with cookies, accepted {} of them back, \
         and {}",
        grouped(connections.into()),
        grouped(counters.cookies_sent),
        grouped(counters.cookies_accepted),
        crate::figures::dropped_line(&counters.dropped_by_name().collect())
    ));
    tell(found, connections, &points);
    Ok(())
}

/// None first: it is what the others are held against.
fn attacks() -> Vec<(Attack, f64)> {
    let kinds = [Attack::Syn, Attack::Junk];
    let all = kinds.into_iter().flat_map(|kind| RATES.map(|rate| (kind, rate)));
    [(Attack::Syn, 0.0)].into_iter().chain(all).collect()
}

fn watch(live: &Siege, orders: &Orders, time: Duration) -> Result<Seen> {
    live.control.pause(false);
    live.wait(time / 10)?;
    let before = (live.control.numbers().replies, orders.injected());
    let window = live.watch(time)?;
    let seconds = window.seconds().max(1e-9);
    let replies = (live.control.numbers().replies - before.0) as f64 / seconds;
    let injected = (orders.injected() - before.1) as f64 / seconds;
    live.rest()?;
    Ok(Seen { window, replies, injected })
}

impl Point {
    fn median(&self, of: impl Fn(&Seen) -> f64) -> f64 {
        median(self.windows.iter().map(of).collect())
    }

    fn replies(&self) -> f64 {
        self.median(|seen| seen.replies)
    }

    fn is_quiet(&self) -> bool {
        self.wanted == 0.0
    }
}

fn tell(found: &mut ProfileResult, connections: u32, points: &[Point]) {
    let all = grouped(connections.into());
    let title = format!("Echo on {all} live connections beside attackers");
    let mut table = Table::new("attacks", title.clone(), &COLUMNS);
    let quiet = points.iter().find(|point| point.is_quiet()).map_or(0.0, Point::replies);
    for point in points {
        let left = point.replies() / quiet.max(1e-9) * 100.0;
        table.row([
            u64::from(connections).into(),
            if point.is_quiet() { "none" } else { point.attack.name() }.into(),
            point.wanted.into(),
            point.median(|seen| seen.injected).into(),
            point.replies().into(),
            left.into(),
            point.median(|seen| seen.window.cycles().driver_and_stack()).into(),
        ]);
        if point.wanted >= RATES[RATES.len() - 1] {
            let (what, each) = (point.attack.name(), rate(point.wanted));
            let name = format!("goodput left of {all} connections beside {each} {what}/s");
            found.figures.push(Figure::of(name, "%", left));
        }
    }
    found.tables.push(table);
    let series = [Attack::Syn, Attack::Junk].map(|kind| {
        let mine = points.iter().filter(|point| point.is_quiet() || point.attack == kind);
        let points = mine.map(|point| (point.median(|seen| seen.injected), point.replies()));
        Series::new(kind.name(), points.collect())
    });
    found.plots.push(Plot {
        name: "goodput",
        title,
        x: Axis::linear("attackers' frames a second"),
        y: Axis::linear("replies a second"),
        series: series.into(),
        limits: Vec::new(),
    });
}

const MEASURED: &str = "Requests of 64 octets on random ones of N live connections, as in echo, \
    while attackers send beside them: SYNs from addresses picked at random, which never come \
    back, so that the server's room for half-open connections is full all the time and it answers \
    with cookies; and junk: random octets, wrong checksums, segments of no connection. Replies \
    that arrive, every octet of them checked, are the goodput.";

const COLUMNS: [(&str, &str); 7] = [
    ("connections", ""),
    ("attackers", ""),
    ("ordered", "frames/s"),
    ("came", "frames/s"),
    ("replies", "/s"),
    ("of the quiet", "%"),
    ("driver and stack a packet", "cycles"),
];

/// Frames of attackers a second.
const RATES: [f64; 3] = [100_000.0, 300_000.0, 1_000_000.0];

const PAYLOAD_BYTES: u16 = 64;
const IN_FLIGHT: u32 = 256;

/// Connections that the server could have beside those that stand.
const ROOM: u32 = 1 << 14;

/// Windows of each attack: the medians of so many are shown.
const ROUNDS: u32 = 3;
