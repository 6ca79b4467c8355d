//! `bulk`: a few connections with large windows, as many octets as go: to the server, from it, and
//! both ways at once, with frames of 1,500 and of 9,000 octets.

use super::machine::Machine;
use super::result::{Figure, ProfileResult, Table, median};
use crate::args::BenchOptions;
use crate::huge_pages::Reserved;
use crate::interrupt;
use crate::pair::{self, Cores, Demand, Sides};
use anyhow::{Result, bail};
use crore::Snapshot;
use crore_load::{Control, Pace, Stream, StreamNumbers};
use std::thread;
use std::time::{Duration, Instant};

/// Who sends, with which frames.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    mtu: u16,
    client_sends: bool,
    server_sends: bool,
}

/// The server's core, before and after each window, and what both sides counted in the end.
struct Point {
    kind: Kind,
    windows: Vec<[Snapshot; 2]>,
    server: StreamNumbers,
    client: StreamNumbers,
    retransmits: u64,
}

pub(crate) fn run(options: &BenchOptions, machine: &Machine) -> Result<ProfileResult> {
    let mut found = ProfileResult::new("bulk", MEASURED);
    let mut points = Vec::new();
    for mtu in [1500, 9000] {
        for (name, client_sends, server_sends) in
            [("receives", true, false), ("sends", false, true), ("both", true, true)]
        {
            let kind = Kind { name, mtu, client_sends, server_sends };
            points.push(measure(kind, options, machine)?);
        }
    }
    tell(&mut found, &points, machine.tsc_mhz);
    Ok(found)
}

/// Windows and send queues of a mebibyte, and blocks for all of them.
fn demand(kind: Kind) -> Demand {
    let pace = Pace::Closed { in_flight: 1 };
    let mut demand = Demand::new(CONNECTIONS, 1, pace, None);
    demand.mtu = kind.mtu;
    for settings in [&mut demand.server, &mut demand.client] {
        settings.snd_buf_bytes = BUFFER_BYTES;
        settings.snd_buf_max_bytes = BUFFER_BYTES;
        settings.rcv_buf_bytes = BUFFER_BYTES;
        settings.rcv_buf_max_bytes = BUFFER_BYTES;
        // Twice, because marks of the pool keep some of it back.
        settings.pool[2].count =
            2 * 2 * CONNECTIONS * BUFFER_BYTES / settings.pool[2].payload_bytes;
        settings.ack_delay_ms = 1;
    }
    demand
}

fn measure(kind: Kind, options: &BenchOptions, machine: &Machine) -> Result<Point> {
    let demand = demand(kind);
    let pages = pair::plan::<Stream, Stream>(&demand)?.huge_pages();
    let _reserved = Reserved::new(machine.pages, pages)?;
    let control = Control::new();
    let client = Stream::client(demand.streams(control.clone()), kind.client_sends);
    let server = Stream::server(kind.server_sends);
    let sides = Sides::new(&demand, server, client, machine.pages)?;
    let cores = Cores::start(sides, machine.places)?;
    let time = options.time() / ROUNDS;
    wait(&cores, time)?;
    let mut windows = Vec::new();
    for _ in 0..ROUNDS {
        let before = cores.server.snapshot_now();
        wait(&cores, time)?;
        windows.push([before, cores.server.snapshot_now()]);
    }
    control.hurry();
    let begun = Instant::now();
    while cores.server.snapshot_now().conns > 0 && begun.elapsed() < PATIENCE {
        cores.nudge()?;
    }
    let (server, client) = cores.stop()?;
    let counters = [server.snapshot().counters, client.snapshot().counters];
    Ok(Point {
        kind,
        windows,
        server: *server.engine().service().numbers(),
        client: *client.engine().service().numbers(),
        retransmits: counters.iter().map(|side| side.retransmits).sum(),
    })
}

fn wait(cores: &Cores<Stream, Stream>, time: Duration) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < time {
        if interrupt::came() {
            bail!("interrupted");
        }
        cores.nudge()?;
        thread::sleep(Duration::from_millis(5).min(time));
    }
    Ok(())
}

impl Point {
    fn median(&self, of: impl Fn(&[Snapshot; 2]) -> f64) -> f64 {
        median(self.windows.iter().map(of).collect())
    }

    /// Payload octets received and sent, for each cycle in which the server's core was busy.
    fn cycles_per_octet(&self) -> f64 {
        self.median(|window| busy(window) / octets(window).max(1.0))
    }

    fn gbit(&self) -> f64 {
        self.median(|window| octets(window) * 8.0 / seconds(window) / 1e9)
    }

    /// What is not as it must be.
    fn complaints(&self) -> Vec<String> {
        let (server, client) = (&self.server, &self.client);
        let all = u64::from(CONNECTIONS);
        let rules = [
            (server.bad_bytes + client.bad_bytes == 0, "octets were wrong"),
            (client.sent == server.received, "the server did not get all that the client sent"),
            (server.sent == client.received, "the client did not get all that the server sent"),
            (server.closed == all && client.closed == all, "not all connections closed in order"),
        ];
        let broken = rules.iter().filter(|(holds, _)| !holds);
        broken
            .map(|(_, what)| format!("MTU {}, {}: {what}", self.kind.mtu, self.kind.name))
            .collect()
    }
}

fn octets([before, after]: &[Snapshot; 2]) -> f64 {
    let octets = |side: &Snapshot| side.counters.octets_in + side.counters.octets_out;
    (octets(after) - octets(before)) as f64
}

fn seconds([before, after]: &[Snapshot; 2]) -> f64 {
    (after.now_us - before.now_us).max(1) as f64 / 1e6
}

fn busy([before, after]: &[Snapshot; 2]) -> f64 {
    after.cycles.since(&before.cycles).busy() as f64
}

fn service([before, after]: &[Snapshot; 2]) -> f64 {
    after.cycles.since(&before.cycles).of(crore::Stage::Service) as f64
}

fn tell(found: &mut ProfileResult, points: &[Point], tsc_mhz: f64) {
    let mut table = Table::new("throughput", "Payload through the server's core", &COLUMNS);
    let mut counts = Table::new("counts", "What was done and checked", &COUNTS);
    for point in points {
        let per_octet = point.cycles_per_octet();
        let of_a_core = tsc_mhz * 8e-3 / per_octet.max(1e-9);
        let (mtu, name) = (u64::from(point.kind.mtu), point.kind.name);
        table.row([
            mtu.into(),
            name.into(),
            point.gbit().into(),
            per_octet.into(),
            point.median(|window| service(window) / octets(window).max(1.0)).into(),
            of_a_core.into(),
        ]);
        counts.row([
            mtu.into(),
            name.into(),
            point.server.received.into(),
            point.client.received.into(),
            (point.server.bad_bytes + point.client.bad_bytes).into(),
            point.retransmits.into(),
        ]);
        found.failures.extend(point.complaints());
        let figure = Figure::of(
            format!("bulk, MTU {mtu}, server {name}: measured, one server core"),
            "Gbit/s",
            point.gbit(),
        );
        found.figures.push(figure.at_least(20.0, "the project's aim"));
    }
    found.tables.extend([table, counts]);
}

const MEASURED: &str = "Eight connections with windows of a mebibyte carry as many octets as go, \
    to the server, from it, and both ways at once. Each octet that arrives is compared with what \
    it must be, and in the end each side must have got what the other one sent. Gbit/s are of \
    payload, through the server's core, both directions added; the slower of the two cores \
    decides. Cycles an octet are those of the server's core while it was busy, its service (which \
    compares or hands over the octets) included; at that cost a core that never waits would carry \
    what the last column says.";

const COLUMNS: [(&str, &str); 6] = [
    ("MTU", ""),
    ("the server", ""),
    ("measured", "Gbit/s"),
    ("busy an octet", "cycles"),
    ("of that, service", "cycles"),
    ("a core that never waits", "Gbit/s"),
];

const COUNTS: [(&str, &str); 6] = [
    ("MTU", ""),
    ("the server", ""),
    ("octets to the server", ""),
    ("octets to the client", ""),
    ("bad bytes", ""),
    ("retransmits", ""),
];

const CONNECTIONS: u32 = 8;
const BUFFER_BYTES: u32 = 1 << 20;

/// Windows of each kind: the medians of so many are shown.
const ROUNDS: u32 = 3;

const PATIENCE: Duration = Duration::from_secs(20);
