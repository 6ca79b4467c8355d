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

use crate::args::{ClientChoice, DemoOptions};
use crate::huge_pages::Reserved;
use crate::pair::{Cores, Demand, EchoClient, Sides, plan_echo};
use crate::places::TwoPlaces;
use crate::report::CyclesPerPacket;
use crate::view::View;
use crate::{memory_plan, report, text};
use anyhow::{Result, bail};
use crore::mem::{HugePages, Pages};
use crore_echo::Echo as EchoServer;
use crore_load::{Control, MirrorConfig, Pace};
use figures::Figures;
use std::time::Duration;

/// Runs the demo. True when everything it checked was right.
pub(crate) fn run(options: &DemoOptions) -> Result<bool> {
    let places = TwoPlaces::choose(options.cpus)?;
    let pages = options.memory.huge_pages();
    if options.client == Some(ClientChoice::Mirror) && options.payload > MirrorConfig::PAYLOAD_MAX {
        bail!("a mirror's requests fit into one segment: --payload {}", MirrorConfig::PAYLOAD_MAX);
    }
    let (connections, client) = choose(options, pages)?;
    let demand = demand(options, connections);
    let planned = plan_echo::<EchoServer>(&demand, client)?;
    println!("{} connections", text::grouped(u64::from(connections)));
    println!("server: {}", planned.server.line());
    let kind = match client {
        ClientChoice::Full => "",
        ClientChoice::Mirror => " a mirror,",
    };
    println!("client:{kind} {}", planned.client.line());
    println!("both and the pipe: {}", text::bytes(planned.total_bytes()));
    let _reserved = Reserved::new(pages, planned.huge_pages())?;
    measure(options, &demand, client, places)
}

/// From the memory taken to the figures shown; all memory is free again after it.
fn measure(
    options: &DemoOptions,
    demand: &Demand,
    client: ClientChoice,
    places: TwoPlaces,
) -> Result<bool> {
    let control = Control::new();
    let client = EchoClient::of(demand, client, options.payload, control.clone());
    let sides = Sides::new(demand, EchoServer, client, options.memory.huge_pages())?;
    if let Some(got) = sides.pages.filter(|got| *got != Pages::Reserved) {
        println!("memory: {}", got.advice());
    }
    if places.is_shared() {
        println!("one processor for both sides: figures will be half of what two would give");
    }
    let figures = play(demand, sides, &control, places, View::open(options.output.plain))?;
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

/// The whole story.
fn play(
    demand: &Demand,
    sides: Sides<EchoServer, EchoClient>,
    control: &Control,
    places: TwoPlaces,
    mut view: View,
) -> Result<Figures> {
    let memory = sides.memory;
    let cores = Cores::start(sides, places)?;
    let story = story::tell(&cores, control, demand, memory, &mut view)?;
    drop(view);
    Ok(Figures::of(demand, memory, &story, &cores.stop()?))
}

/// What a packet costs a server of echo with so many connections, seen for a second.
pub(crate) fn cycles_per_packet(connections: u32, pages: HugePages) -> Result<CyclesPerPacket> {
    let pace = Pace::Closed { in_flight: connections.min(512) };
    let demand = Demand::new(connections, 64, pace, Some(Duration::from_secs(1)));
    let control = Control::new();
    let client = EchoClient::of(&demand, ClientChoice::Mirror, 64, control.clone());
    let sides = Sides::new(&demand, EchoServer, client, pages)?;
    let figures = play(&demand, sides, &control, TwoPlaces::choose(None)?, View::Nowhere)?;
    if let Some(complaint) = figures.complaints().first() {
        bail!("the measurement failed: {complaint}; say what a packet costs with --cycles");
    }
    Ok(figures.cycles_per_packet)
}

fn demand(options: &DemoOptions, connections: u32) -> Demand {
    let pace = match options.rate {
        Some(per_second) => Pace::Open { per_second },
        None => Pace::Closed { in_flight: options.in_flight.min(connections) },
    };
    let traffic_time = Duration::from_secs_f64(options.seconds);
    Demand::new(connections, options.payload, pace, Some(traffic_time))
}

/// As many as were asked for, if they fit; else ten million, or as many as do. And their client.
fn choose(options: &DemoOptions, pages: HugePages) -> Result<(u32, ClientChoice)> {
    let spare = memory_plan::spare_bytes(pages);
    let bytes_for = |count: u32, client| {
        Ok(plan_echo::<EchoServer>(&demand(options, count), client)?.total_bytes())
    };
    if let Some(wanted) = options.connections {
        let client = match options.client {
            Some(client) => client,
            None if bytes_for(wanted, ClientChoice::Full)? <= spare => ClientChoice::Full,
            // It takes requests of one segment.
            None if options.payload > MirrorConfig::PAYLOAD_MAX => ClientChoice::Full,
            None => ClientChoice::Mirror,
        };
        memory_plan::check_fit(wanted, pages, |count| bytes_for(count, client))?;
        return Ok((wanted, client));
    }
    let client = options.client.unwrap_or(ClientChoice::Full);
    let fits =
        memory_plan::most_that_fit(TEN_MILLION, spare, |count| bytes_for(count, client))?.max(1);
    if fits < TEN_MILLION {
        println!(
            "10,000,000 connections take {}, and {} can be spared: {} it is",
            text::bytes(bytes_for(TEN_MILLION, client)?),
            text::bytes(spare),
            text::grouped(u64::from(fits))
        );
    }
    Ok((fits, client))
}

const TEN_MILLION: u32 = 10_000_000;

#[cfg(test)]
mod tests;
