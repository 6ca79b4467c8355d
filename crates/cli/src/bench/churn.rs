//! `churn`: connections that live for one request, with N others that stand beside them, idle.
//!
//! Who closes first has TIME-WAIT. When the client does, the server has none of it; when the server
//! does, each life leaves a record there, and with few records the oldest ones give way all the
//! time, with many the client comes back to ends that are still in TIME-WAIT (RFC 6191).

use super::kernel;
use super::live::{Live, Window};
use super::machine::Machine;
use super::result::{Axis, Figure, Limit, Plot, ProfileResult, Series, Table, median};
use crate::args::{Against, BenchOptions, ClientChoice};
use crate::huge_pages::Reserved;
use crate::pair::{Demand, EchoClient, Plans, plan_echo};
use crate::text::grouped;
use anyhow::Result;
use crore::{Conn, Service};
use crore_load::{Churn, Pace};
use std::time::Duration;

/// One N, and who closes.
struct Point {
    connections: u32,
    kind: Kind,
    windows: Vec<Window>,
    /// The client's: whole ones, others, wrong octets.
    lives: [u64; 3],
}

/// Who closes first, and what the server may keep of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    name: &'static str,
    server_closes: bool,
    time_wait_max: u32,
}

pub(super) const KINDS: [Kind; 3] = [
    Kind { name: "client closes", server_closes: false, time_wait_max: 1 << 10 },
    Kind { name: "server closes, 1 k records", server_closes: true, time_wait_max: 1 << 10 },
    Kind { name: "server closes, 1 M records", server_closes: true, time_wait_max: 1 << 20 },
];

pub(crate) fn run(options: &BenchOptions, machine: &Machine) -> Result<ProfileResult> {
    if options.against == Some(Against::Kernel) {
        return kernel::churn(options, machine);
    }
    let mut found = ProfileResult::new("churn", MEASURED);
    let mut points = Vec::new();
    for connections in options.connections_or(&[1_000, 1_000_000]) {
        for kind in KINDS {
            let client = kind.client(options.client);
            let bytes_for = |count| {
                let demand = demand(count, kind, (client, options.time()));
                Ok(plan_of(&demand, client)?.total_bytes())
            };
            if !machine.has_room_for(connections, bytes_for, &mut found) {
                continue;
            }
            points.push(measure((connections, kind), options, machine, &mut found)?);
        }
    }
    tell(&mut found, &points);
    Ok(found)
}

impl Kind {
    /// A mirror never comes back to an end, so it cannot show what becomes of the server's records.
    pub(super) fn client(self, asked: ClientChoice) -> ClientChoice {
        if self.server_closes { ClientChoice::Full } else { asked }
    }
}

/// For lives of such a client in so much time.
pub(super) fn demand(
    connections: u32,
    kind: Kind,
    (client, time): (ClientChoice, Duration),
) -> Demand {
    let local_ends = match client {
        ClientChoice::Full => LOCAL_ENDS,
        ClientChoice::Mirror => (time.as_secs_f64() * f64::from(LIVES_A_SECOND_MAX)) as u32,
    };
    let churn = Churn { at_once: AT_ONCE, server_closes: kind.server_closes, local_ends };
    let mut demand = Demand::new(connections, PAYLOAD_BYTES, Pace::Churn(churn), None);
    demand.server.time_wait_max = kind.time_wait_max;
    demand.client.time_wait_max = LOCAL_ENDS / 4;
    demand
}

pub(super) fn plan_of(demand: &Demand, client: ClientChoice) -> Result<Plans> {
    plan_echo::<EchoOnce>(demand, client)
}

/// All connections that stand beside open, with a client of this kind.
pub(super) fn open(
    demand: &Demand,
    kind: Kind,
    client: ClientChoice,
    machine: &Machine,
) -> Result<Live<EchoOnce, EchoClient>> {
    let server = EchoOnce { closes: kind.server_closes };
    let client = |control| EchoClient::of(demand, client, PAYLOAD_BYTES, control);
    Live::open_with(demand, server, client, machine)
}

fn measure(
    (connections, kind): (u32, Kind),
    options: &BenchOptions,
    machine: &Machine,
    found: &mut ProfileResult,
) -> Result<Point> {
    let client = kind.client(options.client);
    let demand = demand(connections, kind, (client, options.time()));
    let _reserved = Reserved::new(machine.pages, plan_of(&demand, client)?.huge_pages())?;
    let live = open(&demand, kind, client, machine)?;
    let mut windows = Vec::new();
    for _ in 0..ROUNDS {
        windows.push(live.window(options.time() / ROUNDS)?);
    }
    let ended = live.end()?;
    let numbers = &ended.client.numbers;
    let mut complaints = ended.complaints();
    if numbers.lives_failed > 0 {
        complaints.push(format!("{} lives were not whole", numbers.lives_failed));
    }
    if numbers.out_of_ports {
        complaints.push("lives ended faster than they had ends for".to_owned());
    }
    for complaint in complaints {
        let with = grouped(connections.into());
        found.failures.push(format!("{} with {with} beside: {complaint}", kind.name));
    }
    let lives = [numbers.lives, numbers.lives_failed, numbers.bad_bytes];
    Ok(Point { connections, kind, windows, lives })
}

impl Point {
    fn median(&self, of: impl Fn(&Window) -> f64) -> f64 {
        median(self.windows.iter().map(of).collect())
    }

    /// Connections whose end the server has seen, a second.
    fn rate(&self) -> f64 {
        self.median(|window| ended(window) / window.seconds())
    }

    /// What one more life costs the server, driver and service included.
    fn cycles_per_life(&self) -> f64 {
        self.median(|window| window.busy_cycles() as f64 / ended(window).max(1.0))
    }

    fn cycles_per_packet(&self) -> f64 {
        self.median(|window| window.cycles().driver_and_stack())
    }
}

fn ended(window: &Window) -> f64 {
    (window.after.counters.closed - window.before.counters.closed) as f64
}

fn tell(found: &mut ProfileResult, points: &[Point]) {
    let mut table = Table::new("lives", "Whole lives of connections at the server", &COLUMNS);
    let mut counts = Table::new("counts", "What was done and checked", &COUNTS);
    for point in points {
        let connections = u64::from(point.connections);
        let evicted = point.windows.iter().map(|window| {
            let evicted = |side: &crore::Snapshot| side.counters.time_wait_evicted;
            evicted(&window.after) - evicted(&window.before)
        });
        table.row([
            connections.into(),
            point.kind.name.into(),
            point.rate().into(),
            point.cycles_per_life().into(),
            point.median(|window| window.packets() as f64 / ended(window).max(1.0)).into(),
            point.cycles_per_packet().into(),
            point.median(|window| window.cycles().timers).into(),
            evicted.sum::<u64>().into(),
        ]);
        let [whole, failed, bad_bytes] = point.lives;
        counts.row([
            connections.into(),
            point.kind.name.into(),
            whole.into(),
            failed.into(),
            bad_bytes.into(),
        ]);
    }
    found.tables.extend([table, counts]);
    found.plots.push(curve(points));
    if let Some(last) = points.iter().rfind(|point| point.kind == KINDS[0]) {
        let with = grouped(last.connections.into());
        let rate = Figure::of(
            format!("complete connections a second, one server core, {with} live beside"),
            "connections/s",
            last.rate(),
        );
        found.figures.push(rate.at_least(1e6, "the C10M talk"));
        let cycles = Figure::of(
            format!("cycles a packet, driver and stack, {with} live beside"),
            "cycles",
            last.cycles_per_packet(),
        );
        found.figures.push(cycles.at_most(200.0, "the C10M talk"));
    }
}

fn curve(points: &[Point]) -> Plot {
    let series = KINDS.map(|kind| {
        let mine = points.iter().filter(|point| point.kind == kind);
        Series::new(
            kind.name,
            mine.map(|point| (f64::from(point.connections), point.rate())).collect(),
        )
    });
    Plot {
        name: "rate",
        title: "Complete connections a second over the number that stand beside".to_owned(),
        x: Axis::log("live connections beside"),
        y: Axis::linear("connections a second"),
        series: series.into(),
        limits: vec![Limit::new("the C10M talk: 1 million", 1e6)],
    }
}

/// Echo that is asked once on a connection; it may close when it has answered.
pub(super) struct EchoOnce {
    pub(super) closes: bool,
}

impl Service for EchoOnce {
    /// Octets answered.
    type State = u32;

    fn data(&mut self, conn: &mut Conn<'_, u32>, bytes: &[u8]) -> usize {
        let taken = conn.send(bytes);
        *conn.state() += taken as u32;
        if self.closes && *conn.state() >= u32::from(PAYLOAD_BYTES) {
            conn.close();
        }
        taken
    }
}

const MEASURED: &str = "A client opens a connection, sends one request of 64 octets, checks every \
    octet of the reply, and both close in order; 256 such lives are under way at any time, while N \
    other connections stand idle. Where the client closes first it is a mirror, unless --client \
    full is asked for. Counted are the connections whose end the server's core has \
    seen, and its cycles. When the server closes first, each life leaves a TIME-WAIT record there: \
    with 1 k records the oldest give way all the time, with 1 M the client comes back to ends \
    that are still in TIME-WAIT.";

const COLUMNS: [(&str, &str); 8] = [
    ("live beside", ""),
    ("who closes", ""),
    ("connections", "/s"),
    ("a connection", "cycles"),
    ("packets a connection", ""),
    ("driver and stack a packet", "cycles"),
    ("timers a packet", "cycles"),
    ("TIME-WAIT cut short", ""),
];

const COUNTS: [(&str, &str); 5] = [
    ("live beside", ""),
    ("who closes", ""),
    ("whole lives", ""),
    ("others", ""),
    ("bad bytes", ""),
];

const PAYLOAD_BYTES: u16 = 64;
const AT_ONCE: u32 = 256;

/// Four times as many as the client has records of TIME-WAIT.
const LOCAL_ENDS: u32 = 1 << 18;

/// A mirror has ends for so many.
const LIVES_A_SECOND_MAX: u32 = 3_000_000;

/// Windows at each point: the medians of so many are shown.
const ROUNDS: u32 = 5;
