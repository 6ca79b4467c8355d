//! `memif`: the same echo over memif and over a pipe, in turn: what a wire between two processes
//! costs that do not trust each other.
//!
//! Server and client of both are threads of this process, so that nothing but the wire differs.

use super::echo;
use super::live::{Live, Window};
use super::machine::Machine;
use super::result::{Figure, Pairs, ProfileResult, Table, median};
use crate::args::BenchOptions;
use crate::huge_pages::Reserved;
use crate::pair::{Demand, EchoClient, Wire};
use crate::report::CyclesPerPacket;
use crate::text::grouped;
use anyhow::Result;
use crore_echo::Echo as EchoServer;

type Pair = Live<EchoServer, EchoClient>;

pub(crate) fn run(options: &BenchOptions, machine: &Machine) -> Result<ProfileResult> {
    let mut found = ProfileResult::new("memif", MEASURED);
    let mut table = Table::new("wires", "The server's cycles a packet, and its packets", &COLUMNS);
    for connections in options.connections_or(&[1_000_000]) {
        let bytes_for = |count| {
            let plan =
                |wire| Ok(echo::plan_of(&demand(count, wire), options.client)?.total_bytes());
            WIRES.iter().map(|(wire, _)| plan(*wire)).sum::<Result<usize>>()
        };
        if machine.has_room_for(connections, bytes_for, &mut found) {
            measure(connections, options, machine, (&mut found, &mut table))?;
        }
    }
    found.tables.push(table);
    Ok(found)
}

fn demand(connections: u32, wire: Wire) -> Demand {
    let mut demand = echo::demand(connections);
    demand.wire = wire;
    demand
}

/// Windows on each wire in turn.
fn measure(
    connections: u32,
    options: &BenchOptions,
    machine: &Machine,
    (found, table): (&mut ProfileResult, &mut Table),
) -> Result<()> {
    let demands = WIRES.map(|(wire, _)| demand(connections, wire));
    let plan = |demand| echo::plan_of(demand, options.client);
    let pages = demands.iter().map(|demand| Ok(plan(demand)?.huge_pages()));
    let _reserved = Reserved::new(machine.pages, pages.sum::<Result<usize>>()?)?;
    let open = |demand| echo::open(demand, options.client, machine);
    let pairs: Vec<Pair> = demands.iter().map(open).collect::<Result<_>>()?;
    let mut windows: Vec<Vec<Window>> = vec![Vec::new(); pairs.len()];
    for _ in 0..ROUNDS {
        for (pair, windows) in pairs.iter().zip(&mut windows) {
            windows.push(pair.window(options.time() / ROUNDS)?);
        }
    }
    for (pair, (_, name)) in pairs.into_iter().zip(WIRES) {
        for complaint in pair.end()?.complaints() {
            found.failures.push(format!("over {name}: {complaint}"));
        }
    }
    let label = format!("{} connections", grouped(connections.into()));
    for ((_, name), windows) in WIRES.iter().zip(&windows) {
        table.row(row(connections, name, windows));
    }
    let [pipe, others @ ..] = windows.as_slice() else { return Ok(()) };
    for ((_, name), ours) in WIRES[1..].iter().zip(others) {
        let rates = ours.iter().map(Window::packet_rate).zip(pipe.iter().map(Window::packet_rate));
        let rounds: Vec<_> = rates.collect();
        let pairs = Pairs::of(format!("{name}, {label}"), "packets/s", "pipe", &rounds);
        let name = format!("packets/s over {name} over those of a pipe, {label}");
        found.figures.push(Figure::of(name, "x", pairs.median_ratio).at_least(0.85, AIM));
        found.pairs.push(pairs);
    }
    Ok(())
}

fn row(connections: u32, name: &str, windows: &[Window]) -> [super::result::Cell; 9] {
    let of = |part: fn(&CyclesPerPacket) -> f64| {
        median(windows.iter().map(|window| part(&window.cycles())).collect())
    };
    [
        u64::from(connections).into(),
        name.into(),
        of(|cycles| cycles.driver_rx).into(),
        of(|cycles| cycles.stack_in).into(),
        of(|cycles| cycles.service).into(),
        of(|cycles| cycles.stack_out).into(),
        of(|cycles| cycles.driver_tx).into(),
        of(CyclesPerPacket::driver_and_stack).into(),
        median(windows.iter().map(Window::packet_rate).collect()).into(),
    ]
}

/// The pipe first: the others are held against it.
const WIRES: [(Wire, &str); 3] = [
    (Wire::Pipe, "pipe"),
    (Wire::Memif { zero_copy: false }, "memif"),
    (Wire::Memif { zero_copy: true }, "memif with a client without copies"),
];

const MEASURED: &str = "The echo profile's traffic, requests of 64 octets on random ones of N live \
    connections, over a pipe and over memif, window by window in turn, with a server and a client \
    each on its own processor. Counted are the packets of the server's core, both ways, and \
    its cycles for each. The server always copies; the client once does and once does not.";

const COLUMNS: [(&str, &str); 9] = [
    ("connections", ""),
    ("wire", ""),
    ("driver rx", "cycles"),
    ("stack in", "cycles"),
    ("service", "cycles"),
    ("stack out", "cycles"),
    ("driver tx", "cycles"),
    ("driver and stack", "cycles"),
    ("packets", "/s"),
];

const AIM: &str = "the project's aim";

const ROUNDS: u32 = 5;
