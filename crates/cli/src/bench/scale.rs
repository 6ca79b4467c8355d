//! `scale`: one core to all of them, each with its own shard of the connections and its own
//! generator. What N cores do together over N times what one does is the efficiency.

use super::fleet::{Fleet, Remains, Stretch};
use super::machine::Machine;
use super::result::{Axis, Figure, Plot, ProfileResult, Series, Table, median};
use crate::args::BenchOptions;
use crate::huge_pages::Reserved;
use crate::pair::{self, ClientRemains, Demand};
use crate::report::CyclesPerPacket;
use crate::text::grouped;
use anyhow::Result;
use crore_echo::Echo as EchoServer;
use crore_load::{EchoLoad, Pace};

/// So many cores, and how their generators are spread.
struct Point {
    cores: u16,
    crosses: bool,
    stretches: Vec<Stretch>,
    remains: Remains,
}

pub(crate) fn run(options: &BenchOptions, machine: &Machine) -> Result<ProfileResult> {
    let mut found = ProfileResult::new("scale", MEASURED);
    let cpus = crore::pin::allowed_cpus();
    if cpus.len() == 1 {
        found.note("this machine has one processor for us: there is nothing to scale to");
    }
    let counts = core_counts(cpus.len());
    for connections in options.connections_or(&[100_000]) {
        let bytes_for = |count| bytes_of_all(count, &counts);
        if !machine.has_room_for(connections, bytes_for, &mut found) {
            continue;
        }
        let points = measure(connections, (&counts, &cpus), options, machine)?;
        for point in &points {
            point.check(connections, &mut found);
        }
        tell(connections, &points, &mut found);
    }
    Ok(found)
}

/// All counts of cores up to four, then twice as many each time, and all.
fn core_counts(cpus: usize) -> Vec<u16> {
    let cpus = cpus.min(CORES_MAX) as u16;
    let mut counts: Vec<u16> = (1..=cpus.min(4)).collect();
    counts.extend((3..).map(|power| 1 << power).take_while(|&count: &u16| count < cpus));
    if cpus > 4 {
        counts.push(cpus);
    }
    counts
}

/// For one fleet.
fn demand(connections: u32, cores: u16) -> Demand {
    let pace = Pace::Closed { in_flight: IN_FLIGHT.min(connections) };
    let mut demand = Demand::new(connections, PAYLOAD_BYTES, pace, None);
    // Of all local ends one in `cores` comes back to its own core, and one in `cores` of those
    // arrives at the server's core of the same number. The hash is not even to the last end.
    let wanted = u64::from(connections) * u64::from(cores).pow(2);
    demand.local_ends = u32::try_from(wanted + wanted / 4).unwrap_or(u32::MAX);
    demand
}

fn bytes_of_all(connections: u32, counts: &[u16]) -> Result<usize> {
    let of = |&cores: &u16| {
        let planned = pair::plan::<EchoServer, EchoLoad>(&demand(connections, cores))?;
        Ok(planned.total_bytes() * usize::from(cores))
    };
    counts.iter().map(of).sum()
}

fn huge_pages_of_all(connections: u32, counts: &[u16]) -> Result<usize> {
    let of = |&cores: &u16| {
        let planned = pair::plan::<EchoServer, EchoLoad>(&demand(connections, cores))?;
        // Frames and rings between them take less than one more for each core.
        Ok((planned.huge_pages() + 2) * usize::from(cores))
    };
    counts.iter().map(of).sum()
}

/// Fleets of all sizes, measured in turn: what disturbs the machine disturbs all of a round.
fn measure(
    connections: u32,
    (counts, cpus): (&[u16], &[usize]),
    options: &BenchOptions,
    machine: &Machine,
) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for crosses in [false, true] {
        // With one core nothing can cross.
        let counts: Vec<u16> =
            counts.iter().copied().filter(|&cores| !crosses || cores > 1).collect();
        let _reserved = Reserved::new(machine.pages, huge_pages_of_all(connections, &counts)?)?;
        let mut fleets = Vec::new();
        for &cores in &counts {
            let places = (&cpus[..usize::from(cores)], crosses);
            let demand = demand(connections, cores);
            fleets.push(Fleet::open(&demand, places, PAYLOAD_BYTES, machine)?);
        }
        let mut stretches: Vec<Vec<Stretch>> = fleets.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            for (fleet, stretches) in fleets.iter().zip(&mut stretches) {
                stretches.push(fleet.stretch(options.time() / ROUNDS)?);
            }
        }
        for (fleet, stretches) in fleets.into_iter().zip(stretches) {
            let cores = fleet.cores;
            points.push(Point { cores, crosses, stretches, remains: fleet.end()? });
        }
    }
    Ok(points)
}

impl Point {
    fn median(&self, of: impl Fn(&Stretch) -> f64) -> f64 {
        median(self.stretches.iter().map(of).collect())
    }

    /// Round by round, over as many times what one core did in the same round.
    fn efficiency(&self, one: &Point) -> f64 {
        let rounds = self.stretches.iter().zip(&one.stretches);
        let ratio = |(all, one): (&Stretch, &Stretch)| {
            all.packet_rate() / (f64::from(self.cores) * one.packet_rate())
        };
        median(rounds.map(ratio).collect())
    }

    fn check(&self, connections: u32, found: &mut ProfileResult) {
        let (cores, wanted) = (self.cores, u64::from(connections));
        for ClientRemains { numbers, .. } in &self.remains.clients {
            let right = numbers.opened == wanted
                && numbers.established == wanted
                && numbers.closed == wanted
                && numbers.replies == numbers.requests
                && numbers.bad_bytes == 0;
            found.check(right, || {
                format!("on {cores} cores a generator did not have all replies: {numbers:?}")
            });
        }
        let (servers, clients) = (&self.remains.servers, &self.remains.clients);
        let strays = servers.iter().map(|side| side.counters.strays).sum::<u64>()
            + clients.iter().map(|side| side.strays).sum::<u64>();
        found.check(strays == 0, || format!("{strays} segments came to a wrong core of {cores}"));
        let resets = servers.iter().map(|side| side.counters.resets_in).sum::<u64>()
            + clients.iter().map(|side| side.resets).sum::<u64>();
        found.check(resets == 0, || format!("{resets} connections of {cores} cores were reset"));
        if !self.crosses {
            let shards = servers.iter().all(|side| side.counters.accepted == wanted);
            found.check(shards, || format!("on {cores} cores some connections crossed"));
        }
    }
}

fn tell(connections: u32, points: &[Point], found: &mut ProfileResult) {
    let Some(one) = points.iter().find(|point| point.cores == 1) else { return };
    let mut table = Table::new(
        "cores",
        format!("{} connections on each core", grouped(connections.into())),
        &COLUMNS,
    );
    let mut series = vec![Series::new("own generator", Vec::new())];
    for point in points {
        let cycles = point.median(|stretch| {
            CyclesPerPacket::between(&stretch.before, &stretch.after).driver_and_stack()
        });
        let efficiency = point.efficiency(one);
        table.row([
            u64::from(point.cores).into(),
            if point.crosses { "cross" } else { "own" }.into(),
            point.median(Stretch::packet_rate).into(),
            point.median(|stretch| least(&stretch.packet_rates())).into(),
            cycles.into(),
            (efficiency * 100.0).into(),
        ]);
        if !point.crosses {
            let rate = point.median(Stretch::packet_rate);
            series[0].points.push((f64::from(point.cores), rate));
        }
    }
    let ideal = points.iter().filter(|point| !point.crosses).map(|point| {
        (f64::from(point.cores), f64::from(point.cores) * one.median(Stretch::packet_rate))
    });
    series.push(Series::new("as many times one core", ideal.collect()));
    found.tables.push(table);
    found.plots.push(Plot {
        name: "packets",
        title: format!("Packets a second, {} connections a core", grouped(connections.into())),
        x: Axis::linear("cores"),
        y: Axis::linear("packets a second"),
        series,
        limits: Vec::new(),
    });
    for point in points.iter().filter(|point| point.cores > 1 && !point.crosses) {
        let times = point.efficiency(one) * f64::from(point.cores);
        let figure = Figure::of(format!("{} cores over one core", point.cores), "x", times);
        // 1.9 x with two cores.
        let asked = (0.95 * f64::from(point.cores) * 100.0).round() / 100.0;
        found.figures.push(figure.at_least(asked, "the project's aim"));
    }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

const MEASURED: &str = "Each core is a thread on a processor of its own, which turns a server core \
    and a generator one after the other; so one core and many do the same work in the same way. \
    They share one address and one port. Between the servers and the generators is a pipe with as \
    many queues a side, and every frame is steered by its Toeplitz hash, with one core as well. \
    With own generators all connections of a generator are of the shard of the server on its \
    processor, and nothing crosses between processors; else a generator's connections are spread \
    over all cores, and frames are read on another processor than they were written on. Requests \
    of 64 octets on random ones of the connections, 512 under way on each core, every octet \
    checked. Packets are those that the server cores received and sent. Efficiency is the median \
    over the rounds, each with all counts of cores in turn.";

const COLUMNS: [(&str, &str); 6] = [
    ("cores", ""),
    ("generators", ""),
    ("packets, all cores", "/s"),
    ("packets, slowest core", "/s"),
    ("driver and stack a packet", "cycles"),
    ("efficiency", "%"),
];

const PAYLOAD_BYTES: u16 = 64;
const IN_FLIGHT: u32 = 512;

/// Stretches at each point: the medians of so many are shown.
const ROUNDS: u32 = 5;

/// A side of a pipe has as many queues at most.
const CORES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_counts_are_measured_up_to_four_and_then_some() {
        assert_eq!(core_counts(1), [1]);
        assert_eq!(core_counts(2), [1, 2]);
        assert_eq!(core_counts(4), [1, 2, 3, 4]);
        assert_eq!(core_counts(6), [1, 2, 3, 4, 6]);
        assert_eq!(core_counts(16), [1, 2, 3, 4, 8, 16]);
        assert_eq!(core_counts(200).last(), Some(&128));
    }
}
