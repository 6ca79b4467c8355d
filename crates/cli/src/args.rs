//! The command line.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;
use core::str::FromStr;
use crore::AddressRange;
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

    /// Serve echo or HTTP on a network interface, beside the kernel
    #[command(subcommand)]
    Serve(ServeKind),

    /// Open many connections to a server, send requests on random ones, check every byte
    #[command(subcommand)]
    Load(LoadKind),

    /// Look after what XDP left on an interface
    #[command(subcommand)]
    Xdp(XdpKind),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServeKind {
    /// Send back what comes in
    Echo(ServeOptions),

    /// HTTP/1.1: files from a directory, and /plaintext and /echo for benchmarks
    Http {
        /// Serve the files below this directory [default: none, only /plaintext and /echo]
        #[arg(long, value_name = "DIRECTORY")]
        root: Option<PathBuf>,

        #[command(flatten)]
        options: ServeOptions,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LoadKind {
    /// Echo requests: the reply must be the request
    Echo {
        /// Bytes of a request
        #[arg(long, value_name = "BYTES", default_value_t = 64,
              value_parser = clap::value_parser!(u16).range(1..=16_384))]
        payload: u16,

        #[command(flatten)]
        options: LoadOptions,
    },

    /// HTTP GET requests: every reply must be 200 and the same as the first
    Http {
        /// What to ask for
        #[arg(long, value_name = "PATH", default_value = "/plaintext")]
        target: String,

        /// Requests sent at once on a connection
        #[arg(long, value_name = "DEPTH", default_value_t = 1,
              value_parser = clap::value_parser!(u8).range(1..=64))]
        pipeline: u8,

        #[command(flatten)]
        options: LoadOptions,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum XdpKind {
    /// Take the filter of a server that was killed off an interface
    ///
    /// Until then what was sent to the server's port is dropped, so that the kernel does not reset
    /// the connections before the server is started again.
    Detach {
        /// The interface
        #[arg(value_name = "IFACE")]
        interface: String,
    },
}

/// Serves until Ctrl-C, then says what was received, sent and dropped.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ServeOptions {
    /// Where frames come from: xdp:IFACE[:QUEUES] or tap:NAME
    ///
    /// xdp:IFACE takes what is for the server's port off the interface, before the kernel sees it, and
    /// leaves all else to the kernel (root). One core for each receive queue.
    /// tap:NAME makes an interface whose other end is the server; slow, and works everywhere.
    #[arg(long, value_name = "LINK", verbatim_doc_comment)]
    pub(crate) link: LinkArg,

    /// Our address on the link, with the bits of its network [default: those of the interface]
    #[arg(long, value_name = "ADDRESS/BITS")]
    pub(crate) address: Vec<AddressArg>,

    /// The port to serve on, with or without one of our addresses: 80, 10.0.0.1:80
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: ListenArg,

    /// How many connections there is to be room for [default: 1000000, or as many as fit]
    #[arg(long, value_name = "N", value_parser = count_1_to_1_billion)]
    pub(crate) connections: Option<u32>,

    /// A processor for each queue [default: the last ones]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) cpus: Option<Vec<usize>>,

    #[command(flatten)]
    pub(crate) memory: MemoryOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// Opens connections from our addresses, sends requests on random ones, checks every byte of every reply,
/// checks that all connections still stand, and closes them.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct LoadOptions {
    /// Where frames come from: xdp:IFACE or tap:NAME; see `crore serve echo --help`
    #[arg(long, value_name = "LINK")]
    pub(crate) link: LinkArg,

    /// Our addresses, each good for 64,511 connections [default: those of the interface]
    ///
    /// One address, or a first and a last one: 10.0.0.1-10.0.0.156/8. On xdp give addresses of their
    /// own: the kernel gets no more TCP segments for them on the ports used.
    #[arg(long, value_name = "ADDRESS[-LAST]/BITS", verbatim_doc_comment)]
    pub(crate) address: Vec<AddressArg>,

    /// Ports to connect from [default: 1024-65534; on the interface's own addresses 10000-29999]
    #[arg(long, value_name = "FIRST-LAST")]
    pub(crate) ports: Option<PortsArg>,

    /// The server
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) connect: SocketAddr,

    /// How many connections
    #[arg(long, value_name = "N", default_value = "1000", value_parser = count_1_to_1_billion)]
    pub(crate) connections: u32,

    /// Open so many connections a second [default: as fast as it goes]
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) open_rate: Option<f64>,

    /// How long to send requests
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) seconds: f64,

    /// Hold all connections open so long before the requests begin
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    pub(crate) hold: f64,

    /// Requests under way at any time, on as many random connections
    #[arg(long, value_name = "K", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) in_flight: u32,

    /// Send so many requests a second instead, whatever the replies do: shows the latency at that rate
    #[arg(long, value_name = "PER_SECOND", conflicts_with = "in_flight", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    #[command(flatten)]
    pub(crate) memory: MemoryOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
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
            Some(HugePagesChoice::None) => HugePages::None,
            Some(HugePagesChoice::Reserve) => HugePages::Reserve,
            None if crate::places::is_root() => HugePages::Reserve,
            Some(HugePagesChoice::Transparent) | None => HugePages::Transparent,
        }
    }
}

/// `xdp:IFACE[:QUEUES]` or `tap:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkArg {
    Xdp { interface: String, queues: Option<u32> },
    Tap { name: String },
}

/// `ADDRESS/BITS` or `FIRST-LAST/BITS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressArg(pub(crate) AddressRange);

/// `ADDRESS:PORT`, or a port on all our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenArg {
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
}

/// `FIRST-LAST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortsArg(pub(crate) RangeInclusive<u16>);

impl FromStr for LinkArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "xdp:IFACE, xdp:IFACE:QUEUES or tap:NAME, like xdp:eth0".to_owned();
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (name, queues) = match rest.rsplit_once(':') {
            Some((name, queues)) if kind == "xdp" => {
                let queues = queues.parse().ok().filter(|&queues: &u32| queues > 0);
                (name, Some(queues.ok_or("the number of queues is at least 1")?))
            }
            _ => (rest, None),
        };
        let name = name.to_owned();
        match kind {
            _ if name.is_empty() => Err(wrong()),
            "xdp" => Ok(Self::Xdp { interface: name, queues }),
            "tap" => Ok(Self::Tap { name }),
            _ => Err(wrong()),
        }
    }
}

impl FromStr for AddressArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "an address and the bits of its network, like 10.0.0.2/24".to_owned();
        let (addresses, bits) = text.split_once('/').ok_or_else(wrong)?;
        let (first, last) = addresses.split_once('-').unwrap_or((addresses, addresses));
        let parse = |text: &str| text.parse::<IpAddr>().map_err(|_| wrong());
        let (first, last) = (parse(first)?, parse(last)?);
        let prefix_len = bits.parse().map_err(|_| wrong())?;
        let (bits_max, distance) = match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (32, u128::from(b.to_bits()).checked_sub(u128::from(a.to_bits())))
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => (128, b.to_bits().checked_sub(a.to_bits())),
            _ => return Err("first and last must be of one family".to_owned()),
        };
        if prefix_len > bits_max {
            return Err(format!("a network of such addresses has at most {bits_max} bits"));
        }
        match distance {
            None => Err("the last address comes before the first".to_owned()),
            Some(distance) if distance >= ADDRESSES_MAX => Err(format!("{ADDRESSES_MAX} at most")),
            Some(distance) => {
                Ok(Self(AddressRange { first, count: distance as u32 + 1, prefix_len }))
            }
        }
    }
}

impl FromStr for ListenArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a port from 1 to 65535, or ADDRESS:PORT".to_owned();
        let (address, port) = match text.parse::<SocketAddr>() {
            Ok(end) => (Some(end.ip()), end.port()),
            Err(_) => (None, text.trim_start_matches(':').parse().map_err(|_| wrong())?),
        };
        if port == 0 { Err(wrong()) } else { Ok(Self { address, port }) }
    }
}

impl fmt::Display for ListenArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => SocketAddr::new(address, self.port).fmt(f),
            None => write!(f, "port {} of all our addresses", self.port),
        }
    }
}

impl FromStr for PortsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let two = text.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        match two {
            Some((first, last)) if 0 < first && first <= last => Ok(Self(first..=last)),
            _ => Err("two ports, like 10000-29999".to_owned()),
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

/// What one stack can have.
const ADDRESSES_MAX: u128 = 65_535;

const EXIT_CODES: &str = "Exit codes: 0 all well; 1 a check failed; 2 it could not be done, and \
                          the message says what would help.";

#[cfg(test)]
mod tests;
