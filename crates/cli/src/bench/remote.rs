//! `--connect`: the client's side of some profiles, over a link, of an echo server that is another
//! process or another machine.
//!
//! What the server spends is the server's to say: `crore serve` ends with its own cycles. Here are
//! those of the client, its figures, and what it checked.

use super::machine::Machine;
use super::result::{Figure, ProfileResult, Table};
use crate::args::{BenchOptions, LoadOptions, OutputOptions};
use crate::load::{self, Found};
use crate::report::{CyclesPerPacket, busy, packets_between};
use crate::text::grouped;
use anyhow::{Context, Result, bail};
use core::net::SocketAddr;
use crore::Snapshot;
use crore_load::{Churn, Pace};

/// A load on the server of another process.
struct Remote<'a> {
    options: &'a BenchOptions,
    server: SocketAddr,
    cpu: usize,
}

/// True for a profile that can be measured from the client's side.
pub(super) fn has(profile: &str) -> bool {
    PROFILES.contains(&profile)
}

pub(super) fn run(
    profile: &'static str,
    server: SocketAddr,
    options: &BenchOptions,
    machine: &Machine,
) -> Result<ProfileResult> {
    let remote = Remote { options, server, cpu: machine.places.second };
    let mut found = ProfileResult::new(profile, MEASURED);
    match profile {
        "echo" => remote.echo(&mut found)?,
        "churn" => remote.churn(&mut found)?,
        "hold" => remote.hold(&mut found)?,
        "latency" => remote.latency(&mut found)?,
        _ => bail!("{profile} needs the server in this process; with --connect there are {}", {
            PROFILES.join(", ")
        }),
    }
    found.note("the server's own cycles are in its report: end `crore serve` with Ctrl-C");
    Ok(found)
}

impl Remote<'_> {
    /// As many requests as the server answers.
    fn echo(&self, found: &mut ProfileResult) -> Result<()> {
        let title = "The client's core while it asks";
        let words = |live: &str| format!("requests a second, {live}");
        self.rates(found, title, (10_000, FULL), words, reply_rate)
    }

    /// Connections of one request.
    fn churn(&self, found: &mut ProfileResult) -> Result<()> {
        let title = "The client's core, by whole lives";
        let churn = Churn { at_once: LIVES, server_closes: false, local_ends: LOCAL_ENDS };
        let words = |live: &str| format!("complete connections a second, {live} beside");
        self.rates(found, title, (1_000, Pace::Churn(churn)), words, life_rate)
    }

    /// What is done at this pace, a second, beside so many connections unless told otherwise.
    fn rates(
        &self,
        found: &mut ProfileResult,
        title: &str,
        (connections, pace): (u32, Pace),
        words: fn(&str) -> String,
        rate: fn(&Found) -> f64,
    ) -> Result<()> {
        let mut table = Table::new("client", title, &CLIENT);
        for connections in self.options.connections_or(&[connections]) {
            let load = self.load(connections, pace, (0.0, self.options.seconds), found)?;
            let rate = rate(&load);
            table.row(client_row(connections, &load, rate));
            found.check(load.numbers.lives_failed == 0, || {
                format!("{} lives were not whole", grouped(load.numbers.lives_failed))
            });
            found.figures.push(Figure::of(words(&live(connections)), "/s", rate));
        }
        found.tables.push(table);
        Ok(())
    }

    /// Connections that say nothing.
    fn hold(&self, found: &mut ProfileResult) -> Result<()> {
        let mut table = Table::new("held", "Connections that are only held", &HELD);
        for connections in self.options.connections_or(&[100_000]) {
            let load = self.load(connections, FULL, (self.options.seconds, 0.0), found)?;
            let (opened, held) = ([load.led.opened], [load.led.held]);
            let (_, percent) = busy(&opened, &held);
            table.row([
                u64::from(connections).into(),
                load.numbers.open_seconds.into(),
                (load.memory_bytes as f64 / f64::from(connections)).into(),
                seconds_between(&load.led.opened, &load.led.held).into(),
                packets_between(&opened, &held).into(),
                percent.into(),
                load.numbers.established.into(),
                load.numbers.closed.into(),
            ]);
        }
        found.tables.push(table);
        Ok(())
    }

    /// How long replies take at parts of the full rate.
    fn latency(&self, found: &mut ProfileResult) -> Result<()> {
        let mut table = Table::new("round trips", "From when a request was due", &LATENCY);
        for connections in self.options.connections_or(&[10_000]) {
            let window = (0.0, self.options.seconds);
            let full = reply_rate(&self.load(connections, FULL, window, found)?);
            for percent in LOADS {
                let per_second = (full * f64::from(percent) / 100.0).max(1.0);
                let load = self.load(connections, Pace::Open { per_second }, window, found)?;
                let us = |part: f64| load.latency.quantile_ns(part) as f64 / 1e3;
                let (_, busy_percent) = busy(&[load.led.held], &[load.led.asked]);
                table.row([
                    u64::from(connections).into(),
                    u64::from(percent).into(),
                    per_second.into(),
                    us(0.5).into(),
                    us(0.99).into(),
                    us(0.999).into(),
                    us(1.0).into(),
                    busy_percent.into(),
                    load.numbers.replies.into(),
                    load.numbers.missed.into(),
                ]);
            }
        }
        found.tables.push(table);
        Ok(())
    }

    /// Opens, holds, asks, checks and closes; what was wrong is a failure of the profile.
    fn load(
        &self,
        connections: u32,
        pace: Pace,
        (hold, seconds): (f64, f64),
        found: &mut ProfileResult,
    ) -> Result<Found> {
        let options = LoadOptions {
            link: self.options.link.clone().context("--link says where the server is")?,
            address: self.options.address.clone(),
            ports: None,
            connect: self.server,
            connections,
            open_rate: None,
            seconds,
            hold,
            in_flight: 0,
            rate: None,
            memory: self.options.memory.clone(),
            output: OutputOptions { json: None, plain: true },
        };
        let load = load::measured(&options, pace, self.cpu)?;
        for complaint in &load.complaints {
            found.failures.push(format!("with {}: {complaint}", live(connections)));
        }
        Ok(load)
    }
}

fn reply_rate(load: &Found) -> f64 {
    load.numbers.replies as f64 / load.numbers.traffic_seconds.max(1e-9)
}

fn life_rate(load: &Found) -> f64 {
    load.numbers.lives as f64 / load.numbers.traffic_seconds.max(1e-9)
}

fn seconds_between(earlier: &Snapshot, later: &Snapshot) -> f64 {
    later.now_us.saturating_sub(earlier.now_us) as f64 / 1e6
}

/// The client's core in the time of the requests.
fn client_row(connections: u32, load: &Found, rate: f64) -> [super::result::Cell; 11] {
    let (before, after) = ([load.led.held], [load.led.asked]);
    let cycles = CyclesPerPacket::between(&before, &after);
    let (_, busy_percent) = busy(&before, &after);
    let seconds = seconds_between(&load.led.held, &load.led.asked).max(1e-9);
    [
        u64::from(connections).into(),
        rate.into(),
        (packets_between(&before, &after) as f64 / seconds).into(),
        cycles.driver_rx.into(),
        cycles.stack_in.into(),
        cycles.service.into(),
        cycles.stack_out.into(),
        cycles.driver_tx.into(),
        busy_percent.into(),
        load.numbers.bad_bytes.into(),
        load.numbers.closed.into(),
    ]
}

fn live(connections: u32) -> String {
    format!("{} live", grouped(connections.into()))
}

const MEASURED: &str = "Only the client is in this process: an echo server is at the other end of \
    the link, with a processor of its own. Requests are of 64 octets, on connections picked at \
    random among those that are live, 512 under way at any time, and every octet of the replies is \
    checked. Busy is the part of the time in which the client's core had something to do: polling \
    in vain and sleep are the rest.";

const PROFILES: [&str; 4] = ["echo", "churn", "hold", "latency"];

const CLIENT: [(&str, &str); 11] = [
    ("connections", ""),
    ("done", "/s"),
    ("packets", "/s"),
    ("driver rx", "cycles"),
    ("stack in", "cycles"),
    ("service", "cycles"),
    ("stack out", "cycles"),
    ("driver tx", "cycles"),
    ("busy", "%"),
    ("bad bytes", ""),
    ("closed", ""),
];

const HELD: [(&str, &str); 8] = [
    ("connections", ""),
    ("opened in", "s"),
    ("our memory of each", "bytes"),
    ("held", "s"),
    ("packets meanwhile", ""),
    ("busy meanwhile", "%"),
    ("stood", ""),
    ("closed", ""),
];

const LATENCY: [(&str, &str); 10] = [
    ("connections", ""),
    ("load", "%"),
    ("rate", "/s"),
    ("p50", "us"),
    ("p99", "us"),
    ("p99.9", "us"),
    ("max", "us"),
    ("busy", "%"),
    ("replies", ""),
    ("missed", ""),
];

const LOADS: [u32; 4] = [20, 50, 80, 95];
const FULL: Pace = Pace::Closed { in_flight: 512 };

/// Short lives at the same time, and the local ends that they use.
const LIVES: u32 = 64;
const LOCAL_ENDS: u32 = 1 << 15;
