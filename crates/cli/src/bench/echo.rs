//! `echo`: requests of 64 octets on connections picked at random among N that are live, for some N.
//! The cost of a packet must not depend on N; how near that can be, the yardstick knows.

use super::fleet::Fleet;
use super::kernel;
use super::live::{Live, Window, at_the_servers};
use super::machine::Machine;
use super::result::{Axis, Figure, Limit, Pairs, Plot, ProfileResult, Series, Table, median};
use crate::account::Account;
use crate::args::{Against, BenchOptions, ClientChoice};
use crate::huge_pages::Reserved;
use crate::pair::{ClientRemains, Demand, EchoClient, Plans, plan_echo};
use crate::report::CyclesPerPacket;
use crate::text::grouped;
use anyhow::Result;
use crore::mem::HUGE_PAGE_BYTES;
use crore_echo::Echo as EchoServer;
use crore_limit::{Limit as Yardstick, Round};
use crore_load::{Numbers, Pace};

/// One N.
struct Point {
    connections: u32,
    windows: Vec<Window>,
    /// The yardstick's cycles a packet after each window, if it was asked for.
    yardstick: Vec<f64>,
    numbers: Numbers,
    in_turn: InTurn,
}

/// Server and client on one thread, as the yardstick is: nothing else has a part in the core.
struct InTurn {
    cycles: Vec<CyclesPerPacket>,
    yardstick: Vec<f64>,
}

pub(crate) fn run(options: &BenchOptions, machine: &Machine) -> Result<ProfileResult> {
    if options.against == Some(Against::Kernel) {
        return kernel::echo(options, machine);
    }
    let mut found = ProfileResult::new("echo", MEASURED);
    let beside_limit = options.against == Some(Against::Limit);
    let mut points = Vec::new();
    for connections in options.connections_or(&[10_000, 100_000, 1_000_000, 10_000_000]) {
        let bytes_for = |count| {
            let more: usize = yardstick_regions(beside_limit, count).iter().sum();
            Ok(plan_of(&demand(count), options.client)?.total_bytes() + more)
        };
        if !machine.has_room_for(connections, bytes_for, &mut found) {
            continue;
        }
        points.push(measure(connections, options, machine, &mut found)?);
    }
    found.tables.push(stages(&points));
    found.tables.push(stages_in_turn(&points));
    found.tables.push(turns(&points));
    found.tables.push(counts(&points));
    found.plots.push(curve(&points));
    judge(&mut found, &points);
    Ok(found)
}

pub(super) fn demand(connections: u32) -> Demand {
    let pace = Pace::Closed { in_flight: IN_FLIGHT.min(connections) };
    Demand::new(connections, PAYLOAD_BYTES, pace, None)
}

pub(super) fn plan_of(demand: &Demand, client: ClientChoice) -> Result<Plans> {
    plan_echo::<EchoServer>(demand, client)
}

/// All connections open, with a client of this kind.
pub(super) fn open(
    demand: &Demand,
    client: ClientChoice,
    machine: &Machine,
) -> Result<Live<EchoServer, EchoClient>> {
    let client = |control| EchoClient::of(demand, client, PAYLOAD_BYTES, control);
    Live::open_with(demand, EchoServer, client, machine)
}

fn yardstick_regions(wanted: bool, connections: u32) -> Vec<usize> {
    if wanted { Yardstick::region_bytes(connections).to_vec() } else { Vec::new() }
}

/// Windows of traffic, each followed by the yardstick, if that is wanted.
fn measure(
    connections: u32,
    options: &BenchOptions,
    machine: &Machine,
    found: &mut ProfileResult,
) -> Result<Point> {
    let demand = demand(connections);
    let more = yardstick_regions(options.against == Some(Against::Limit), connections);
    let more_pages: usize = more.iter().map(|bytes| bytes / HUGE_PAGE_BYTES).sum();
    let _reserved =
        Reserved::new(machine.pages, plan_of(&demand, options.client)?.huge_pages() + more_pages)?;
    let make = || Yardstick::new(connections, BURST, machine.pages);
    let is_wanted = !more.is_empty();
    let mut yardstick = is_wanted.then(|| at_the_servers(machine, make)).transpose()?;
    let live = open(&demand, options.client, machine)?;
    let (mut windows, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        windows.push(live.window(options.time() / ROUNDS)?);
        theirs.extend(yardstick_after(&mut yardstick, machine, found));
    }
    let ended = live.end()?;
    let in_turn = measure_in_turn(&demand, options, machine, &mut yardstick, found)?;
    for complaint in ended.complaints() {
        found
            .failures
            .push(format!("with {} connections: {complaint}", grouped(connections.into())));
    }
    Ok(Point { connections, windows, yardstick: theirs, numbers: ended.client.numbers, in_turn })
}

/// The yardstick's cycles a packet now, if it is wanted.
fn yardstick_after(
    yardstick: &mut Option<Yardstick>,
    machine: &Machine,
    found: &mut ProfileResult,
) -> Option<f64> {
    let yardstick = yardstick.as_mut()?;
    let work = || (0..YARDSTICK_ROUNDS).map(|_| yardstick.round()).sum::<Round>();
    let round = at_the_servers(machine, work);
    found.check(round.answered == round.requests, || {
        format!("the yardstick left {} requests", round.requests - round.answered)
    });
    Some(round.cycles_per_packet())
}

/// The same traffic with server and client in turn on the server's processor.
fn measure_in_turn(
    demand: &Demand,
    options: &BenchOptions,
    machine: &Machine,
    yardstick: &mut Option<Yardstick>,
    found: &mut ProfileResult,
) -> Result<InTurn> {
    let cpu = machine.places.first;
    let fleet = Fleet::open_one(demand, options.client, cpu, PAYLOAD_BYTES, machine)?;
    let mut in_turn = InTurn { cycles: Vec::new(), yardstick: Vec::new() };
    for _ in 0..ROUNDS {
        let stretch = fleet.stretch(options.time() / ROUNDS)?;
        in_turn.cycles.push(CyclesPerPacket::between(&stretch.before, &stretch.after));
        in_turn.yardstick.extend(yardstick_after(yardstick, machine, found));
    }
    for ClientRemains { numbers, .. } in fleet.end()?.clients {
        let right = numbers.replies == numbers.requests && numbers.bad_bytes == 0;
        found.check(right, || format!("in turn the client did not have all replies: {numbers:?}"));
    }
    Ok(in_turn)
}

impl InTurn {
    fn median(&self, of: impl Fn(&CyclesPerPacket) -> f64) -> f64 {
        median(self.cycles.iter().map(of).collect())
    }
}

impl Point {
    fn median(&self, of: impl Fn(&CyclesPerPacket) -> f64) -> f64 {
        median(self.windows.iter().map(|window| of(&window.cycles())).collect())
    }

    fn driver_and_stack(&self) -> f64 {
        self.median(CyclesPerPacket::driver_and_stack)
    }

    fn packet_rate(&self) -> f64 {
        median(self.windows.iter().map(Window::packet_rate).collect())
    }

    fn label(&self) -> String {
        format!("{} live", grouped(self.connections.into()))
    }
}

/// The stack alone: neither driver nor service.
fn stack(cycles: &CyclesPerPacket) -> f64 {
    cycles.stack_in + cycles.stack_out + cycles.timers
}

/// Medians of the windows, stage by stage.
fn stages(points: &[Point]) -> Table {
    let mut table =
        Table::new("stages", "Cycles a packet of the server's core, stage by stage", &STAGES);
    for point in points {
        table.row([
            u64::from(point.connections).into(),
            point.median(|cycles| cycles.driver_rx).into(),
            point.median(|cycles| cycles.stack_in).into(),
            point.median(|cycles| cycles.service).into(),
            point.median(|cycles| cycles.stack_out).into(),
            point.median(|cycles| cycles.driver_tx).into(),
            point.median(|cycles| cycles.timers).into(),
            point.driver_and_stack().into(),
            point.packet_rate().into(),
        ]);
    }
    table
}

/// The same for server and client in turn.
fn stages_in_turn(points: &[Point]) -> Table {
    let title = "The same with server and client in turn on one processor";
    let mut table = Table::new("stages in turn", title, &STAGES[..8]);
    for Point { connections, in_turn, .. } in points {
        table.row([
            u64::from(*connections).into(),
            in_turn.median(|cycles| cycles.driver_rx).into(),
            in_turn.median(|cycles| cycles.stack_in).into(),
            in_turn.median(|cycles| cycles.service).into(),
            in_turn.median(|cycles| cycles.stack_out).into(),
            in_turn.median(|cycles| cycles.driver_tx).into(),
            in_turn.median(|cycles| cycles.timers).into(),
            in_turn.median(CyclesPerPacket::driver_and_stack).into(),
        ]);
    }
    table
}

/// The service's calls and the server's turns, over all windows.
fn turns(points: &[Point]) -> Table {
    let mut table = Table::new("turns", "The service's calls, and the server's turns", &TURNS);
    for point in points {
        let (Some(first), Some(last)) = (point.windows.first(), point.windows.last()) else {
            continue;
        };
        let Account { service, turns, .. } = Account::between(&[first.before], &[last.after]);
        let worst = turns.worst.unwrap_or_default();
        table.row([
            u64::from(point.connections).into(),
            service.p50_cycles.into(),
            service.p99_cycles.into(),
            service.over_budget_percent.into(),
            turns.p50_us.into(),
            turns.p999_us.into(),
            worst.us.into(),
            worst.main_stage.into(),
            worst.was_set_aside.map_or("not known", |was| if was { "yes" } else { "no" }).into(),
        ]);
    }
    table
}

fn counts(points: &[Point]) -> Table {
    let mut table = Table::new("counts", "What was done and checked", &COUNTS);
    for point in points {
        let numbers = &point.numbers;
        table.row([
            u64::from(point.connections).into(),
            numbers.open_seconds.into(),
            numbers.requests.into(),
            numbers.replies.into(),
            numbers.bad_bytes.into(),
            numbers.established.into(),
            numbers.closed.into(),
        ]);
    }
    table
}

fn curve(points: &[Point]) -> Plot {
    let along = |of: &dyn Fn(&Point) -> f64| {
        points.iter().map(|point| (f64::from(point.connections), of(point))).collect()
    };
    let mut series = vec![
        Series::new("driver and stack", along(&Point::driver_and_stack)),
        Series::new("stack", along(&|point| point.median(stack))),
        Series::new(
            "driver and stack, in turn",
            along(&|point| point.in_turn.median(CyclesPerPacket::driver_and_stack)),
        ),
    ];
    if points.iter().any(|point| !point.yardstick.is_empty()) {
        let yardstick = along(&|point| median(point.yardstick.clone()));
        series.push(Series::new("yardstick", yardstick));
    }
    Plot {
        name: "cycles",
        title: "Cycles a packet over the number of live connections".to_owned(),
        x: Axis::log("live connections, picked at random"),
        y: Axis::linear("cycles a packet"),
        series,
        limits: vec![Limit::new("the C10M talk: 200", 200.0)],
    }
}

/// The figures that were asked for, and the pairs.
fn judge(found: &mut ProfileResult, points: &[Point]) {
    let Some(last) = points.last() else { return };
    let name = format!("cycles a packet, driver and stack, {}", last.label());
    found.figures.push(Figure::of(name, "cycles", last.driver_and_stack()).at_most(200.0, TALK));
    let name = format!("packets a second, one server core, {}", last.label());
    let rate = Figure::of(name, "packets/s", last.packet_rate());
    found.figures.push(rate.at_least(10e6, TALK));
    let name = format!("the same in turn on one processor, {}", last.label());
    let in_turn = last.in_turn.median(CyclesPerPacket::driver_and_stack);
    found.figures.push(Figure::of(name, "cycles", in_turn).at_most(200.0, TALK));
    for point in points.iter().filter(|point| !point.yardstick.is_empty()) {
        pair_up(found, point);
    }
    if let Some(pairs) = found.pairs.iter().rev().nth(1) {
        let name = format!("the stack's cycles over the yardstick's, in turn, {}", last.label());
        found.figures.push(Figure::of(name, "x", pairs.median_ratio).at_most(1.5, AIM));
    }
    judge_flatness(found, points);
}

/// A number of connections beside the yardstick, window by window.
fn pair_up(found: &mut ProfileResult, point: &Point) {
    let apart: Vec<_> = point.windows.iter().map(Window::cycles).collect();
    let driver_and_stack = CyclesPerPacket::driver_and_stack;
    let kinds: [(&str, &[CyclesPerPacket], &[f64]); 2] = [
        ("", &apart, &point.yardstick),
        (", in turn", &point.in_turn.cycles, &point.in_turn.yardstick),
    ];
    for (kind, ours, theirs) in kinds {
        for (what, of) in
            [("the stack", stack as fn(&_) -> f64), ("driver and stack", driver_and_stack)]
        {
            let rounds: Vec<_> = ours.iter().map(of).zip(theirs.iter().copied()).collect();
            let name = format!("cycles a packet, {what}{kind}, {}", point.label());
            found.pairs.push(Pairs::of(name, "cycles", "limit", &rounds));
        }
    }
}

/// What the most connections cost over what the fewest cost.
fn judge_flatness(found: &mut ProfileResult, points: &[Point]) {
    let [first, .., last] = points else {
        return found.note("flatness takes two numbers of connections at least");
    };
    let ours = last.driver_and_stack() / first.driver_and_stack();
    let name = format!("flatness: cost of a packet, {} over {}", last.label(), first.label());
    found.figures.push(Figure::of(name, "x", ours).at_most(1.5, AIM));
    if last.yardstick.is_empty() {
        return found.note("flatness beside the yardstick's own takes --against limit");
    }
    let theirs = median(last.yardstick.clone()) / median(first.yardstick.clone());
    found.figures.push(Figure::of("flatness of the yardstick", "x", theirs));
    let ratio = Figure::of("flatness over the yardstick's", "x", ours / theirs);
    found.figures.push(ratio.at_most(1.3, AIM));
}

const MEASURED: &str = "A client sends requests of 64 octets on connections picked at random among \
    N that are live, 512 under way at any time; the reply is the request, and every octet of it is \
    checked. Counted are the cycles of the server's core for each packet, those received and those \
    sent. All connections are established, used, asked whether they stand, and closed in order. \
    Then the same once more with server and client in turn on one thread, as the yardstick is: no \
    second core writes the frames, and the server is never short of them.";

const STAGES: [(&str, &str); 9] = [
    ("connections", ""),
    ("driver rx", "cycles"),
    ("stack in", "cycles"),
    ("service", "cycles"),
    ("stack out", "cycles"),
    ("driver tx", "cycles"),
    ("timers", "cycles"),
    ("driver and stack", "cycles"),
    ("packets", "/s"),
];

const TURNS: [(&str, &str); 9] = [
    ("connections", ""),
    ("service p50", "cycles"),
    ("service p99", "cycles"),
    ("over 1,400", "%"),
    ("turn p50", "us"),
    ("turn p99.9", "us"),
    ("longest since the start", "us"),
    ("most of it", ""),
    ("thread set aside", ""),
];

const COUNTS: [(&str, &str); 7] = [
    ("connections", ""),
    ("opened in", "s"),
    ("requests", ""),
    ("replies", ""),
    ("bad bytes", ""),
    ("stood", ""),
    ("closed", ""),
];

const TALK: &str = "the C10M talk";
const AIM: &str = "the project's aim";

pub(super) const PAYLOAD_BYTES: u16 = 64;
const IN_FLIGHT: u32 = 512;

/// Windows at each point: the medians of so many are shown.
const ROUNDS: u32 = 5;

/// Frames of a burst of the yardstick: as many as the stack takes.
const BURST: usize = 32;

/// Some tenths of a second of the yardstick for each window.
const YARDSTICK_ROUNDS: usize = 8;
