//! `crore load`: clients for a server on a link.
//!
//! ```text
//!   client    the core that runs the load, from its start to its end
//!   figures   the report, and its JSON
//! ```

mod client;
mod figures;

use crate::args::LoadOptions;
use crate::huge_pages::Reserved;
use crate::link::Surroundings;
use crate::memory_plan::{self, Plan};
use crate::report;
use crate::text::grouped;
use anyhow::{Context, Result, bail};
use client::Client;
pub(crate) use client::Led;
use core::net::IpAddr;
use core::ops::RangeInclusive;
use crore::StackConfig;
use crore::driver::memif;
use crore_load::{Asked, Echo, Http, Latency, LocalAddresses, Numbers, PORTS, Pace, Protocol};
use figures::Figures;

/// Echo requests.
pub(crate) fn echo(options: &LoadOptions, payload: u16) -> Result<bool> {
    run(options, Echo::new(payload))
}

/// HTTP requests.
pub(crate) fn http(options: &LoadOptions, target: &str, pipeline: u8) -> Result<bool> {
    let requests = Http::new(&options.connect.to_string(), target, pipeline);
    run(options, requests.context("requests of 64 KiB at most")?)
}

/// What is settled before anything is opened or taken.
struct Prepared {
    surroundings: Surroundings,
    locals: LocalAddresses,
    ports: RangeInclusive<u16>,
    settings: StackConfig,
    planned: Plan,
    /// Where packets for the server go first.
    hop: IpAddr,
    pace: Pace,
    /// The processor to run on, if that was chosen.
    cpu: Option<usize>,
}

/// What a load found that was led for its figures.
pub(crate) struct Found {
    pub(crate) led: Led,
    pub(crate) numbers: Numbers,
    pub(crate) latency: Latency,
    pub(crate) memory_bytes: usize,
    /// What was not as it must be, a sentence each.
    pub(crate) complaints: Vec<String>,
}

/// Echo requests of 64 octets at any pace, for `crore bench`: nothing is printed but progress.
pub(crate) fn measured(options: &LoadOptions, pace: Pace, cpu: usize) -> Result<Found> {
    let prepared = Prepared { cpu: Some(cpu), ..prepare(options, pace)? };
    let pages = options.memory.huge_pages();
    let _reserved = Reserved::new(pages, prepared.planned.huge_pages())?;
    let mut client = Client::start(options, &prepared, Echo::new(64))?;
    let led = client.lead(options)?;
    let (core, core_figures) = client.stop()?;
    let (load, memory_bytes) = (core.engine().service(), core_figures.memory_bytes);
    let figures = Figures::of(options, load, core_figures, led.was_interrupted);
    let mut complaints = figures.complaints();
    complaints.extend(why_not_all(options, load.numbers()));
    let (numbers, latency) = (*load.numbers(), load.latency().clone());
    Ok(Found { led, numbers, latency, memory_bytes, complaints })
}

fn run<P: Protocol + Send + 'static>(options: &LoadOptions, protocol: P) -> Result<bool> {
    let pace = match options.rate {
        Some(per_second) => Pace::Open { per_second },
        None => Pace::Closed { in_flight: options.in_flight },
    };
    let prepared = prepare(options, pace)?;
    let connections = grouped(u64::from(options.connections));
    println!("{connections} connections: {}", prepared.planned.line());
    let pages = options.memory.huge_pages();
    let _reserved = Reserved::new(pages, prepared.planned.huge_pages())?;
    let mut client = Client::start(options, &prepared, protocol)?;
    let was_interrupted = client.lead(options)?.was_interrupted;
    let (core, core_figures) = client.stop()?;
    let load = core.engine().service();
    let figures = Figures::of(options, load, core_figures, was_interrupted);
    let why_not_all = why_not_all(options, load.numbers());
    drop(core);
    println!("{}", figures.table());
    if let Some(path) = &options.output.json {
        report::write_json(path, &figures)?;
    }
    if let Some(why) = why_not_all {
        println!("{why}");
    }
    let complaints = figures.complaints();
    for complaint in &complaints {
        println!("CHECK FAILED: {complaint}");
    }
    Ok(complaints.is_empty())
}

fn prepare(options: &LoadOptions, pace: Pace) -> Result<Prepared> {
    let (role, pages) = (memif::Role::Client, options.memory.huge_pages());
    let surroundings = Surroundings::of(&options.link, &options.address, role, pages)?;
    if surroundings.queues > 1 {
        bail!(
            "the load runs on one core, and this interface spreads replies over {} queues; give it \
             one with `ethtool -L IFACE combined 1` (veth: `rx 1`; memif: `queues=1`)",
            surroundings.queues
        );
    }
    let hop = surroundings.next_hop(options.connect.ip())?;
    let ports = ports(options, &surroundings);
    let locals = LocalAddresses::for_remote(&surroundings.addresses, options.connect.ip());
    let locals = locals.with_ports(ports.clone());
    let more = if let Pace::Churn(churn) = pace { churn.local_ends } else { 0 };
    check_ports(options, more, &locals, &ports)?;
    let interface = surroundings.interface_for_planning();
    let plan_for = |connections: u32| {
        let options = LoadOptions { connections, ..options.clone() };
        Plan::of_engine::<Asked>(&settings(&options, pace), &interface)
    };
    let bytes_for = |connections: u32| Ok(plan_for(connections)?.total_bytes());
    memory_plan::check_fit(options.connections, options.memory.huge_pages(), bytes_for)?;
    let mut planned = plan_for(options.connections)?;
    planned.regions.append(&mut surroundings.plan().regions);
    let settings = settings(options, pace);
    Ok(Prepared { surroundings, locals, ports, settings, planned, hop, pace, cpu: None })
}

/// Ports to connect from.
fn ports(options: &LoadOptions, surroundings: &Surroundings) -> RangeInclusive<u16> {
    match &options.ports {
        Some(ports) => ports.0.clone(),
        None if surroundings.shares_addresses => PORTS_BESIDE_THE_KERNEL,
        None => PORTS,
    }
}

/// `more` are for lives that come and go beside the connections.
fn check_ports(
    options: &LoadOptions,
    more: u32,
    locals: &LocalAddresses,
    ports: &RangeInclusive<u16>,
) -> Result<()> {
    let (wanted, capacity) = (u64::from(options.connections + more), locals.capacity());
    if wanted > capacity {
        let needed = wanted.div_ceil(ports.len() as u64);
        bail!(
            "{} connections to {} need {needed} address(es) of ours with {} ports each, and there \
             is room for {}; give more with --address FIRST-LAST/BITS, or more --ports",
            grouped(wanted),
            options.connect,
            grouped(ports.len() as u64),
            grouped(capacity)
        );
    }
    Ok(())
}

fn settings(options: &LoadOptions, pace: Pace) -> StackConfig {
    let churn = if let Pace::Churn(churn) = pace { Some(churn) } else { None };
    let at_once = churn.map_or(0, |churn| churn.at_once);
    let mut settings = StackConfig::for_connections(options.connections + 2 * at_once);
    if let Some(churn) = churn {
        // An end is not used again as long as there is a record of it.
        settings.time_wait_max = churn.local_ends / 4;
    }
    settings.nodelay = true;
    settings.answers_for_link = options.link.has_no_kernel();
    settings.snd_buf_bytes = 128 << 10;
    settings
}

/// Why fewer connections than asked for were opened, in a sentence.
fn why_not_all(options: &LoadOptions, numbers: &Numbers) -> Option<String> {
    let remote = options.connect;
    if numbers.opened > 0 && numbers.connect_errors == 0 && numbers.stopped_by.is_none() {
        return None;
    }
    if let Some(error) = numbers.stopped_by {
        return Some(format!("opening stopped: {error}"));
    }
    if numbers.refused > 0 {
        let refused = grouped(numbers.refused);
        return Some(format!(
            "{remote} refused {refused} connections; is a server listening there?"
        ));
    }
    let unanswered = grouped(numbers.unanswered);
    (numbers.unanswered > 0).then(|| {
        format!("{remote} did not answer {unanswered} times; is it up, and is nothing filtered?")
    })
}

/// On an address that the kernel uses as well: below the ports that it chooses from.
const PORTS_BESIDE_THE_KERNEL: RangeInclusive<u16> = 10_000..=29_999;
