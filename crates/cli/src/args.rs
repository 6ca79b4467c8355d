//! The command line.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use crore::mem::HugePages;
use std::path::PathBuf;

/// Ten million TCP connections in one process: packet handling, memory and scheduling live in the
/// application, on cores of its own; Linux keeps everything else.
///
/// Start with `crore demo`: it needs no network, no configuration and no root.
#[derive(Debug, Parser)]
#[command(name = "crore", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open, use and check ten million real TCP connections on this machine
    Demo(DemoOptions),
}

/// Opens as many TCP connections as asked for between a server on one processor and a client on another, sends
/// requests on random ones, checks every byte, checks that all connections still stand, closes
/// them, and reports what it cost.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct DemoOptions {
    /// How many connections [default: 10000000, or as many as the free memory holds]
    #[arg(long, value_name = "N", value_parser = count_1_to_1_billion)]
    pub(crate) connections: Option<u32>,

    /// How long to send requests
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) seconds: f64,

    /// Requests under way at any time, on as many random connections
    #[arg(long, value_name = "K", default_value_t = 512,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) in_flight: u32,

    /// Send so many requests a second instead, whatever the replies do: shows the latency at that rate
    #[arg(long, value_name = "PER_SECOND", conflicts_with = "in_flight", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// Bytes of a request
    #[arg(long, value_name = "BYTES", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(1..=16_384))]
    pub(crate) payload: u16,

    /// The processors of server and client [default: the first two that share no core]
    #[arg(long, value_name = "SERVER,CLIENT", value_parser = two_cpus)]
    pub(crate) cpus: Option<(usize, usize)>,

    #[command(flatten)]
    pub(crate) memory: MemoryOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct MemoryOptions {
    /// Pages for the connections' memory [default: reserve as root, else transparent]
    ///
    /// reserve: 2 MiB pages, set aside now and given back at the end (root).
    /// transparent: 2 MiB pages when the kernel finds some.
    /// none: 4 KiB pages, which cost about a cache miss more for each packet.
    #[arg(long, value_name = "KIND", verbatim_doc_comment)]
    pub(crate) huge_pages: Option<HugePagesChoice>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct OutputOptions {
    /// Write the figures to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Print a line a second instead of the live picture
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HugePagesChoice {
    Reserve,
    Transparent,
    None,
}

impl MemoryOptions {
    /// What was asked for; else what the user may have.
    pub(crate) fn huge_pages(&self) -> HugePages {
        match self.huge_pages {
            Some(HugePagesChoice::Reserve) => HugePages::Reserve,
            Some(HugePagesChoice::Transparent) => HugePages::Transparent,
            Some(HugePagesChoice::None) => HugePages::None,
            None if crate::places::is_root() => HugePages::Reserve,
            None => HugePages::Transparent,
        }
    }
}

/// A number of connections. Underscores and a final k or M are understood: `10_000`, `10M`.
fn count_1_to_1_billion(text: &str) -> Result<u32, String> {
    let digits: String = text.chars().filter(|&letter| letter != '_').collect();
    let (digits, factor) = match digits.strip_suffix(['k', 'K']) {
        Some(rest) => (rest, 1_000),
        None => match digits.strip_suffix(['m', 'M']) {
            Some(rest) => (rest, 1_000_000),
            None => (digits.as_str(), 1),
        },
    };
    let number = digits.parse::<u64>().map_err(|_| "not a number".to_owned())?;
    match number.checked_mul(factor) {
        Some(count @ 1..=1_000_000_000) => Ok(count as u32),
        _ => Err("from 1 to 1000000000 (or 1000M)".to_owned()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0 to 1000000".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=1e9).contains(&rate) => Ok(rate),
        _ => Err("a number a second, above 0".to_owned()),
    }
}

fn two_cpus(text: &str) -> Result<(usize, usize), String> {
    let two = text.split_once(',').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    two.ok_or_else(|| "two processor numbers, like 0,1".to_owned())
}

const EXIT_CODES: &str = "Exit codes: 0 all well; 1 a check failed; 2 it could not be done, and \
                          the message says what would help.";

#[cfg(test)]
mod tests;
