//! `crore demo`: a server and a client, ten million connections between them, and what it cost.
//!
//! ```text
//!   story     the phases: open, use, check, close
//!   figures   the report, and its JSON
//! ```
//!
//! Server and client are a [`crate::pair`].

mod figures;
mod story;

use crate::args::DemoOptions;
use crate::huge_pages::Reserved;
use crate::pair::{self, Cores, Demand, Plans, Sides};
use crate::places::TwoPlaces;
use crate::view::View;
use crate::{plan, report, text};
use anyhow::Result;
use crore::mem::{HugePages, Pages};
use crore_echo::Echo as EchoServer;
use crore_load::{Control, Echo, EchoLoad, Pace};
use std::time::Duration;

/// Runs the demo. True when everything it checked was right.
pub(crate) fn run(options: &DemoOptions) -> Result<bool> {
    let places = TwoPlaces::choose(options.cpus)?;
    let pages = options.memory.huge_pages();
    let demand = demand(options, connections(options, pages)?);
    let planned = plan(&demand)?;
    println!("{} connections", text::grouped(u64::from(demand.connections)));
    println!("server: {}", planned.server.line());
    println!("client: {}", planned.client.line());
    println!("both and the pipe: {}", text::bytes(planned.total_bytes()));
    let _reserved = Reserved::new(pages, planned.huge_pages())?;
    measure(options, &demand, places, pages)
}

/// From the memory taken to the figures shown; all memory is free again after it.
fn measure(
    options: &DemoOptions,
    demand: &Demand,
    places: TwoPlaces,
    pages: HugePages,
) -> Result<bool> {
    let control = Control::new();
    let load = demand.load(Echo::new(options.payload), control.clone());
    let sides = Sides::new(demand, EchoServer, load, pages)?;
    if let Some(got) = sides.pages.filter(|got| *got != Pages::Reserved) {
        println!("memory: {}", got.advice());
    }
    if places.is_shared() {
        println!("one processor for both sides: figures will be half of what two would give");
    }
    let memory = sides.memory;
    let cores = Cores::start(sides, places)?;
    let mut view = View::open(options.output.plain);
    let story = story::tell(&cores, &control, demand, memory, &mut view)?;
    drop(view);
    let figures = figures::Figures::of(demand, memory, &story, &cores.stop()?);
    println!("{}", figures.table());
    if let Some(path) = &options.output.json {
        report::write_json(path, &figures)?;
    }
    let complaints = figures.complaints();
    for complaint in &complaints {
        println!("CHECK FAILED: {complaint}");
    }
    Ok(complaints.is_empty())
}

fn demand(options: &DemoOptions, connections: u32) -> Demand {
    let pace = match options.rate {
        Some(per_second) => Pace::Open { per_second },
        None => Pace::Closed { in_flight: options.in_flight.min(connections) },
    };
    let traffic_time = Duration::from_secs_f64(options.seconds);
    Demand::new(connections, options.payload, pace, Some(traffic_time))
}

fn plan(demand: &Demand) -> Result<Plans> {
    pair::plan::<EchoServer, EchoLoad>(demand)
}

/// As many as were asked for, if they fit; else ten million, or as many as do.
fn connections(options: &DemoOptions, pages: HugePages) -> Result<u32> {
    let bytes_for = |count: u32| Ok(plan(&demand(options, count))?.total_bytes());
    if let Some(wanted) = options.connections {
        plan::check_fit(wanted, pages, bytes_for)?;
        return Ok(wanted);
    }
    let spare = plan::spare_bytes(pages);
    let fits = plan::most_that_fit(TEN_MILLION, spare, bytes_for)?.max(1);
    if fits < TEN_MILLION {
        println!(
            "10,000,000 connections take {}, and {} can be spared: {} it is",
            text::bytes(bytes_for(TEN_MILLION)?),
            text::bytes(spare),
            text::grouped(u64::from(fits))
        );
    }
    Ok(fits)
}

const TEN_MILLION: u32 = 10_000_000;

#[cfg(test)]
mod tests;
