//! `crore plan`: what memory and how many cores so many connections take.

use crate::args::{HugePagesChoice, PlanOptions};
use crate::memory_plan::{Plan, room_of_core, spare_bytes};
use crate::{demo, report, text};
use anyhow::Result;
use core::net::{IpAddr, Ipv4Addr};
use crore::mem::{HUGE_PAGE_BYTES, HugePages};
use crore::{AddressRange, Interface, StackConfig};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Works it out and shows it. True when this machine has the memory.
pub(crate) fn run(options: &PlanOptions) -> Result<bool> {
    let cost = options.rate.map(|rate| Cost::of(options, rate)).transpose()?;
    let cores = cost.as_ref().map_or(1, |cost| cost.cores);
    let answer = Answer::of(options, cores, cost)?;
    println!("{}", answer.text());
    if let Some(path) = &options.json {
        report::write_json(path, &answer)?;
    }
    Ok(answer.fits)
}

/// All that is known of it. The names are part of the interface.
#[derive(Clone, Debug, Serialize)]
struct Answer {
    connections: u32,
    state_bytes: u32,
    /// Each core's, in bytes.
    regions: BTreeMap<&'static str, usize>,
    cores: u32,
    connections_of_core: u32,
    bytes: usize,
    bytes_per_connection: f64,
    /// Pages of 2 MiB; 0 when small ones were asked for.
    huge_pages: usize,
    /// For as many small pages as there are, when small ones were asked for.
    page_table_bytes: usize,
    spare_bytes: usize,
    fits: bool,
    cost: Option<Cost>,
    /// In the order in which they are made.
    #[serde(skip)]
    plan: Plan,
}

/// What a rate costs.
#[derive(Clone, Debug, Serialize)]
struct Cost {
    packets_per_second: f64,
    cycles_per_packet: f64,
    cycles_per_second: f64,
    cores_busy: f64,
    cores: u32,
    /// Where the cycles of a packet come from.
    source: String,
}

impl Answer {
    fn of(options: &PlanOptions, cores: u32, cost: Option<Cost>) -> Result<Self> {
        let wish = options.memory.huge_pages();
        let each = room_of_core(options.connections, cores);
        let config = StackConfig::for_connections(each);
        let plan = Plan::of_state(&config, &interface(), options.state)?;
        let bytes = plan.total_bytes() * cores as usize;
        let small = options.memory.huge_pages == Some(HugePagesChoice::None);
        let spare_bytes = spare_bytes(wish);
        let page_table_bytes = if small { bytes / SMALL_PAGES_PER_TABLE_BYTE } else { 0 };
        Ok(Self {
            connections: options.connections,
            state_bytes: options.state,
            regions: plan.regions.iter().copied().collect(),
            cores,
            connections_of_core: each,
            bytes,
            bytes_per_connection: report::rounded(bytes as f64 / f64::from(options.connections)),
            huge_pages: if small { 0 } else { plan.huge_pages() * cores as usize },
            page_table_bytes,
            spare_bytes,
            fits: bytes + page_table_bytes <= spare_bytes,
            cost,
            plan,
        })
    }

    fn text(&self) -> String {
        let mut out = format!(
            "{} connections, {} bytes of application state each\n\n",
            text::grouped(u64::from(self.connections)),
            self.state_bytes
        );
        if self.cores > 1 {
            let each = text::grouped(u64::from(self.connections_of_core));
            let _ = writeln!(out, "each of {} cores, with room for {each}:", self.cores);
        }
        let room = f64::from(self.connections_of_core);
        for &(name, bytes) in &self.plan.regions {
            let (size, each) = (text::bytes(bytes), bytes as f64 / room);
            let _ = writeln!(out, "  {name:<20}{size:>14}{each:>10.1} a connection");
        }
        let _ = writeln!(
            out,
            "  {:<20}{:>14}{:>10.1} a connection\n",
            if self.cores > 1 { "all cores" } else { "all" },
            text::bytes(self.bytes),
            self.bytes_per_connection
        );
        out += &self.pages_text();
        let (verdict, spare) =
            (if self.fits { "it fits" } else { "it does not fit" }, text::bytes(self.spare_bytes));
        let _ = write!(out, "\nthis machine can spare {spare} now: {verdict}");
        match &self.cost {
            Some(cost) => {
                let _ = write!(out, "\n{}", cost.text());
            }
            None => out += "\ncores: say how many packets a second with --rate",
        }
        out
    }

    fn pages_text(&self) -> String {
        if self.huge_pages == 0 {
            return format!(
                "4 KiB pages, and {} of page tables for them",
                text::bytes(self.page_table_bytes)
            );
        }
        format!(
            "huge pages: {} of {} MiB; started as root, crore sets them aside itself",
            text::grouped(self.huge_pages as u64),
            HUGE_PAGE_BYTES >> 20
        )
    }
}

impl Cost {
    fn of(options: &PlanOptions, packets_per_second: f64) -> Result<Self> {
        let cycles_per_second = crore::tsc_hz();
        let (cycles_per_packet, source) = match options.cycles {
            Some(cycles) => (cycles, "given".to_owned()),
            None => measured(options.connections)?,
        };
        let cores_busy = packets_per_second * cycles_per_packet / cycles_per_second;
        let cores = (cores_busy / BUSY_MAX).ceil().clamp(1.0, CORES_MAX) as u32;
        Ok(Self {
            packets_per_second,
            cycles_per_packet,
            cycles_per_second,
            cores_busy,
            cores,
            source,
        })
    }

    fn text(&self) -> String {
        format!(
            "cores: {} packets a second x {:.0} cycles ({}) at {:.2} GHz keep {:.2} cores busy; \
             with each at {:.0} % at most that is {}",
            text::grouped(self.packets_per_second as u64),
            self.cycles_per_packet,
            self.source,
            self.cycles_per_second / 1e9,
            self.cores_busy,
            BUSY_MAX * 100.0,
            self.cores
        )
    }
}

/// Cycles of a packet, from a short demo of as many connections as there would be, or a million.
fn measured(connections: u32) -> Result<(f64, String)> {
    let connections = connections.min(MEASURED_MAX);
    let cycles = demo::cycles_per_packet(connections, HugePages::Transparent)?;
    let many = text::grouped(u64::from(connections));
    Ok((
        cycles.total,
        format!("measured now: echo on {many} connections, the application included"),
    ))
}

/// An address of the smallest kind: how many there are hardly matters.
fn interface() -> Interface {
    let first = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    Interface::new([2, 0, 0, 0, 0, 1], 1500, vec![AddressRange::one(first, 8)])
}

/// A page of 4,096 bytes takes an entry of eight.
const SMALL_PAGES_PER_TABLE_BYTE: usize = 4096 / 8;

/// How busy a core may be: bursts need room, or latency grows without bound.
const BUSY_MAX: f64 = 0.8;

const CORES_MAX: f64 = 1024.0;

/// More would cost more to open than it would tell: nearly every packet is a miss already.
const MEASURED_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests;
