//! `latency`: how long a request is with the server, and how long its reply takes to come, at some
//! loads; alone, and with connections opened and closed, and timers running out, beside.
//!
//! ```text
//!         due ─> generator sends ─> [rx ring]  server's core  [tx ring] ─> generator reads
//!   residence                       |<─────────────────────────────>|
//!   round trip |<─────────────────────────────────────────────────────────────────>|
//! ```
//!
//! Requests are due at a steady rate whatever the replies do, and each counts from when it was due:
//! a generator that was held up does not hide it (no coordinated omission). Residence is the
//! server's own part, from its receive ring to its transmit ring: what the generator's core was
//! held up by is not in it.

use super::live::Live;
use super::machine::Machine;
use super::probe::{self, Stalls};
use super::result::{Axis, Figure, Limit, Plot, ProfileResult, Series, Table};
use crate::args::BenchOptions;
use crate::huge_pages::Reserved;
use crate::pair::{self, Demand};
use crate::report::rounded;
use crate::text::{grouped, rate};
use anyhow::Result;
use crore::{Conn, Service};
use crore_load::{Churn, Echo, EchoLoad, Latency, Numbers, Pace};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One load, alone or in company.
struct Point {
    connections: u32,
    company: Company,
    /// Of what the server can do in this company.
    load_percent: u32,
    per_second: f64,
    residence: Latency,
    round_trip: Latency,
    numbers: Numbers,
    /// Timers that ran out beside.
    timers: u64,
    /// Just before, at the server's processor.
    stalls: Stalls,
}

/// What goes on beside the requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    Alone,
    ChurnAndTimers,
}

pub(crate) fn run(options: &BenchOptions, machine: &Machine) -> Result<ProfileResult> {
    let mut found = ProfileResult::new("latency", MEASURED);
    let mut points = Vec::new();
    for connections in options.connections_or(&[1_000_000]) {
        let bytes_for = |count| {
            let demand = demand(count, FULL, Company::ChurnAndTimers);
            Ok(pair::plan::<EchoTimed, EchoLoad>(&demand)?.total_bytes())
        };
        if !machine.has_room_for(connections, bytes_for, &mut found) {
            continue;
        }
        for company in [Company::Alone, Company::ChurnAndTimers] {
            measure(connections, company, options, machine, (&mut found, &mut points))?;
        }
    }
    if machine.places.is_shared() {
        found.note("one processor for both sides: each waits for the other's time slice");
    }
    tell(&mut found, &points);
    Ok(found)
}

/// What the server can do in this company, and then a part of it after the other.
fn measure(
    connections: u32,
    company: Company,
    options: &BenchOptions,
    machine: &Machine,
    (found, points): (&mut ProfileResult, &mut Vec<Point>),
) -> Result<()> {
    let time = options.time() / (LOADS.len() as u32 + 1);
    let full = play(&demand(connections, FULL, company), company, time, machine, found)?;
    let most = full.answered as f64 / full.seconds.max(1e-9);
    let in_company = company.words();
    found.note(format!(
        "{} live, {in_company}: the full rate is {} requests/s",
        grouped(connections.into()),
        rate(most)
    ));
    for load_percent in LOADS {
        let tsc_hz = machine.tsc_mhz * 1e6;
        let stalls = probe::stalls(machine.places.first, time.min(STALLS_TIME), tsc_hz);
        let per_second = (most * f64::from(load_percent) / 100.0).max(1.0);
        let residence = Arc::new(Mutex::new(Latency::new()));
        let mut demand = demand(connections, Pace::Open { per_second }, company);
        demand.residence = Some(Arc::clone(&residence));
        let played = play(&demand, company, time, machine, found)?;
        let residence = residence.lock().unwrap_or_else(PoisonError::into_inner).clone();
        points.push(Point {
            connections,
            company,
            load_percent,
            per_second,
            residence,
            round_trip: played.round_trip,
            numbers: played.numbers,
            timers: played.timers,
            stalls,
        });
    }
    Ok(())
}

/// What one run gave.
struct Played {
    answered: u64,
    seconds: f64,
    round_trip: Latency,
    numbers: Numbers,
    timers: u64,
}

/// Opens, has one window of traffic, and closes; what is wrong is noted.
fn play(
    demand: &Demand,
    company: Company,
    time: Duration,
    machine: &Machine,
    found: &mut ProfileResult,
) -> Result<Played> {
    let planned = pair::plan::<EchoTimed, EchoLoad>(demand)?;
    let _reserved = Reserved::new(machine.pages, planned.huge_pages())?;
    let timer_ms = (company != Company::Alone)
        .then(|| (u64::from(demand.connections) * 1000 / TIMERS_A_SECOND).max(64) as u32);
    let server = EchoTimed { timer_ms, rung: 0 };
    let live = Live::open(demand, server, Echo::new(PAYLOAD_BYTES), machine)?;
    let answered = |live: &Live<_, _>| live.control.numbers().replies;
    live.control.pause(false);
    live.wait(time / 10)?;
    let before = answered(&live);
    let window = live.watch(time)?;
    let answered = answered(&live) - before;
    let ended = live.end()?;
    let mut complaints = ended.complaints();
    if ended.client.numbers.lives_failed > 0 {
        complaints
            .push(format!("{} short lives were not whole", ended.client.numbers.lives_failed));
    }
    for complaint in complaints {
        found.failures.push(format!("{}: {complaint}", company.words()));
    }
    Ok(Played {
        answered,
        seconds: window.seconds(),
        round_trip: ended.client.latency,
        numbers: ended.client.numbers,
        timers: ended.server.engine().service().rung,
    })
}

fn demand(connections: u32, pace: Pace, company: Company) -> Demand {
    let beside = match company {
        Company::Alone => None,
        Company::ChurnAndTimers => {
            Some(Churn { at_once: LIVES, server_closes: false, local_ends: LOCAL_ENDS })
        }
    };
    let mut demand = Demand::with_lives(connections, PAYLOAD_BYTES, (pace, beside), None);
    demand.client.time_wait_max = LOCAL_ENDS / 4;
    demand
}

fn tell(found: &mut ProfileResult, points: &[Point]) {
    let mut table = Table::new("latency", "At each load, alone and in company", &COLUMNS);
    for point in points {
        let us = |latency: &Latency, part| rounded(latency.quantile_ns(part) as f64 / 1e3);
        let numbers = &point.numbers;
        let mut cells = vec![
            u64::from(point.connections).into(),
            point.company.words().into(),
            u64::from(point.load_percent).into(),
            point.per_second.round().into(),
        ];
        for latency in [&point.residence, &point.round_trip] {
            cells.extend([0.5, 0.99, 0.999, 1.0].map(|part| us(latency, part).into()));
        }
        cells.extend([
            rounded(point.stalls.over_10_us_per_second).into(),
            rounded(point.stalls.longest_us).into(),
            numbers.replies.into(),
            numbers.missed.into(),
            numbers.bad_bytes.into(),
            numbers.lives.into(),
            point.timers.into(),
        ]);
        table.row(cells);
    }
    found.tables.push(table);
    for company in [Company::Alone, Company::ChurnAndTimers] {
        let of = |point: &&Point| point.company == company;
        let mine: Vec<_> = points.iter().filter(of).collect();
        found.plots.push(curves(&mine, company, "residence", |point| &point.residence));
        found.plots.push(curves(&mine, company, "round trip", |point| &point.round_trip));
    }
    let asked =
        |point: &&Point| point.company == Company::ChurnAndTimers && point.load_percent == 50;
    if let Some(point) = points.iter().rev().find(asked) {
        let live = grouped(point.connections.into());
        let name = format!("residence p99.9 at 50 % load, {live} live, churn and timers beside");
        let us = point.residence.quantile_ns(0.999) as f64 / 1e3;
        found.figures.push(Figure::of(name, "us", rounded(us)).at_most(10.0, "the C10M talk"));
        let machine = rounded(point.stalls.wait_p999_us);
        found.figures.push(Figure::of("p99.9 of the machine alone", "us", machine));
        let stalls = rounded(point.stalls.over_10_us_per_second);
        found.note(format!(
            "in the moments before that, a spin loop at the server's processor was held up for \
             more than 10 us {stalls} times a second, {} us at the longest. What comes at any \
             moment waits up to {machine} us for its end, but for one in a thousand: no program \
             there could do better",
            rounded(point.stalls.longest_us)
        ));
    }
}

/// A curve for each load: how long all but one in so many took.
fn curves(
    points: &[&Point],
    company: Company,
    what: &'static str,
    of: impl Fn(&Point) -> &Latency,
) -> Plot {
    let curve = |point: &&Point| {
        let at = |&one_in: &f64| (one_in, of(point).quantile_ns(1.0 - 1.0 / one_in) as f64 / 1e3);
        let live = grouped(point.connections.into());
        let name = format!("{} %, {live} live", point.load_percent);
        Series::new(name, ONE_IN.iter().map(at).collect())
    };
    Plot {
        name: match (company, what) {
            (Company::Alone, "residence") => "residence_alone",
            (Company::Alone, _) => "round_trip_alone",
            (Company::ChurnAndTimers, "residence") => "residence_in_company",
            (Company::ChurnAndTimers, _) => "round_trip_in_company",
        },
        title: format!("{what}, {}: all but one in so many took no longer", company.words()),
        x: Axis::log("all but one in (10: p90, 1000: p99.9)"),
        y: Axis::log("us"),
        series: points.iter().map(curve).collect(),
        limits: vec![Limit::new("the C10M talk: 10 us", 10.0)],
    }
}

impl Company {
    fn words(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::ChurnAndTimers => "with churn and timers",
        }
    }
}

/// Echo; each connection may have a timer that runs out again and again.
struct EchoTimed {
    timer_ms: Option<u32>,
    rung: u64,
}

impl Service for EchoTimed {
    type State = ();

    fn accepted(&mut self, conn: &mut Conn<'_, ()>) {
        if let Some(period_ms) = self.timer_ms {
            // Spread over the period, or all would run out as fast as they were opened.
            let spread = conn.id().index.wrapping_mul(0x9e37_79b9) % period_ms;
            conn.set_timer_ms(Some(1 + spread));
        }
    }

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        conn.send(bytes)
    }

    fn timer(&mut self, conn: &mut Conn<'_, ()>) {
        self.rung += 1;
        conn.set_timer_ms(self.timer_ms);
    }
}

const MEASURED: &str = "Requests of 64 octets, due at a steady rate on connections picked at \
    random among N that are live, at 20, 50, 80 and 95 % of the full rate, which is what 512 \
    requests under way at any time give in the same company. Residence is from the moment at which \
    a request is in the server's receive ring to that at which its reply is in the transmit ring, \
    by stamps that both ends of the pipe write into its slots. Round trip is from when the request \
    was due until the reply was checked, the generator's own delays included. In company means: \
    two short connections (open, one request, close) under way at any time beside, and timers on \
    the live connections of which about 100,000 a second run out. The stalls are those of a loop \
    that only reads the time-stamp counter, at the server's processor, just before.";

const COLUMNS: [(&str, &str); 19] = [
    ("live", ""),
    ("company", ""),
    ("load", "%"),
    ("rate", "/s"),
    ("residence p50", "us"),
    ("residence p99", "us"),
    ("residence p99.9", "us"),
    ("residence max", "us"),
    ("round trip p50", "us"),
    ("round trip p99", "us"),
    ("round trip p99.9", "us"),
    ("round trip max", "us"),
    ("stalls over 10 us", "/s"),
    ("longest stall", "us"),
    ("answered", ""),
    ("missed", ""),
    ("bad bytes", ""),
    ("lives beside", ""),
    ("timers beside", ""),
];

const LOADS: [u32; 4] = [20, 50, 80, 95];
const ONE_IN: [f64; 13] = [1.2, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 300.0, 1e3, 3e3, 1e4, 1e5, 1e6];

const PAYLOAD_BYTES: u16 = 64;
const FULL: Pace = Pace::Closed { in_flight: 512 };
const LIVES: u32 = 2;
const LOCAL_ENDS: u32 = 1 << 18;
const TIMERS_A_SECOND: u64 = 100_000;
const STALLS_TIME: Duration = Duration::from_millis(500);
