//! `echo`: requests of 64 octets on connections picked at random among N that are live, for some N.
//! The cost of a packet must not depend on N.

use super::machine::Machine;
use super::result::{Axis, Figure, Plot, ProfileResult, Series, Table};
use crate::args::BenchOptions;
use crate::huge_pages::Reserved;
use crate::lead::Leader;
use crate::pair::{self, Cores, Demand, Sides};
use crate::plan;
use crate::report::{CyclesPerPacket, packets_between};
use crate::view::{Sampler, View};
use anyhow::Result;
use crore::Snapshot;
use crore_echo::Echo as EchoServer;
use crore_load::{Control, Echo, EchoLoad, Numbers, Pace, Phase};

/// One N.
struct Point {
    connections: u32,
    numbers: Numbers,
    traffic: [Snapshot; 2],
}

pub(crate) fn run(options: &BenchOptions, machine: &Machine) -> Result<ProfileResult> {
    let mut found = ProfileResult::new("echo", MEASURED);
    if options.against.is_some() {
        found.note("echo cannot be held against anything yet");
    }
    let mut points = Vec::new();
    for connections in options.connections_or(&[10_000, 100_000, 1_000_000, 10_000_000]) {
        let demand = demand(options, connections);
        let bytes_for = |count| Ok(plan_of(&self::demand(options, count))?.total_bytes());
        if let Err(why) = plan::check_fit(connections, machine.pages, bytes_for) {
            found.note(format!("left out: {why}"));
            continue;
        }
        points.push(measure(&demand, machine)?);
    }
    tell(&mut found, &points);
    Ok(found)
}

fn demand(options: &BenchOptions, connections: u32) -> Demand {
    let pace = Pace::Closed { in_flight: IN_FLIGHT.min(connections) };
    Demand::new(connections, PAYLOAD_BYTES, pace, Some(options.time()))
}

fn plan_of(demand: &Demand) -> Result<pair::Plans> {
    pair::plan::<EchoServer, EchoLoad>(demand)
}

fn measure(demand: &Demand, machine: &Machine) -> Result<Point> {
    let _reserved = Reserved::new(machine.pages, plan_of(demand)?.huge_pages())?;
    let control = Control::new();
    let load = demand.load(Echo::new(PAYLOAD_BYTES), control.clone());
    let sides = Sides::new(demand, EchoServer, load, machine.pages)?;
    let bytes = sides.memory.server_bytes + sides.memory.client_bytes;
    let cores = Cores::start(sides, machine.places)?;
    let nudge = || cores.nudge();
    let mut view = View::open(true);
    let sampler = Sampler::new(vec![cores.server.page()], bytes);
    let sizes = (demand.connections, demand.traffic_time);
    let mut leader = Leader::new(control, sizes, sampler, &mut view, &nudge);
    leader.through(Phase::Opening)?;
    let before = cores.server.snapshot_now();
    leader.through(Phase::Traffic)?;
    leader.through(Phase::Settling)?;
    let after = cores.server.snapshot_now();
    leader.through(Phase::Checking)?;
    leader.through(Phase::Closing)?;
    let (_, client) = cores.stop()?;
    let numbers = *client.engine().service().numbers();
    Ok(Point { connections: demand.connections, numbers, traffic: [before, after] })
}

fn tell(found: &mut ProfileResult, points: &[Point]) {
    let mut table = Table::new("points", "Cycles of the server's core a packet", &COLUMNS);
    let mut curve = Series { name: "driver and stack".to_owned(), points: Vec::new() };
    for point in points {
        let [before, after] = point.traffic.map(|side| [side]);
        let cycles = CyclesPerPacket::between(&before, &after);
        let numbers = &point.numbers;
        let packets = packets_between(&before, &after) as f64 / numbers.traffic_seconds;
        curve.points.push((f64::from(point.connections), cycles.driver_and_stack()));
        table.row([
            u64::from(point.connections).into(),
            cycles.driver_and_stack().into(),
            cycles.service.into(),
            packets.into(),
            numbers.replies.into(),
            numbers.bad_bytes.into(),
        ]);
        let connections = point.connections;
        found.check(numbers.bad_bytes == 0 && numbers.replies == numbers.requests, || {
            format!("at {connections} connections {} bytes were wrong", numbers.bad_bytes)
        });
        let name = format!("cycles a packet, driver and stack, {connections} live");
        let figure = Figure::of(name, "cycles", cycles.driver_and_stack());
        found.figures.push(figure.at_most(200.0, "C10M talk"));
    }
    found.tables.push(table);
    found.plots.push(Plot {
        name: "cycles",
        title: "Cycles a packet over live connections".to_owned(),
        x: Axis::log("live connections"),
        y: Axis::linear("cycles a packet"),
        series: vec![curve],
        limits: vec![("C10M talk: 200".to_owned(), 200.0)],
    });
}

const MEASURED: &str = "Requests of 64 octets on connections picked at random among N that are \
    live; the reply is the request, and every octet of it is checked. Cycles are those of the \
    server's core; frames received and sent both count as packets.";

const COLUMNS: [(&str, &str); 6] = [
    ("connections", ""),
    ("driver and stack", "cycles"),
    ("service", "cycles"),
    ("packets", "/s"),
    ("replies", ""),
    ("bad bytes", ""),
];

const PAYLOAD_BYTES: u16 = 64;
const IN_FLIGHT: u32 = 512;
