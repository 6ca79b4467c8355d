//! The command line.

mod values;

pub(crate) use values::{AddressArg, LinkArg, ListenArg, PortsArg, ServedLink, XdpArg};

use anyhow::{Result, bail};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use core::net::SocketAddr;
use crore::mem::HugePages;
use std::path::PathBuf;
use std::time::Duration;
use values::{count_1_to_1_billion, cycles, rate, seconds, state_bytes, two_cpus};

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
    ///
    /// A server runs on one processor and a client on another, each with a TCP/IP stack of its own,
    /// and frames pass between them in memory. The client opens all connections, sends requests on
    /// random ones, checks every byte, checks that all still stand on both sides, closes them, and
    /// reports what it cost.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoOptions),

    /// Measure: cycles a packet, connections a second, memory, by profiles
    ///
    /// Each profile runs a server and what loads it in this process and checks every byte. Beside
    /// the figures it shows the state of the machine that they depend on.
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchOptions),

    /// Say what so many connections take: regions, huge pages, memory and cores
    ///
    /// The stacks that would serve them are laid out at addresses that nothing is written to, by
    /// the code of a real start: what it says is what a server then takes. How many cores a rate
    /// needs follows from what a packet costs on this machine, measured in a second, or given.
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanOptions),

    /// Serve echo or HTTP on a network interface, beside the kernel
    ///
    /// Serves until Ctrl-C, then says what was received, sent, and dropped for what reason.
    #[command(subcommand, after_help = SERVE_EXAMPLES)]
    Serve(ServeKind),

    /// Open many connections to a server, send requests on random ones, check every byte
    ///
    /// The phases: open all connections, hold them, send requests, check that all still stand,
    /// close them. Ctrl-C goes on to the checks and closes; a second Ctrl-C ends at once.
    #[command(subcommand, after_help = LOAD_EXAMPLES)]
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

/// `crore serve`, whatever it serves.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ServeOptions {
    /// Where frames come from: xdp:IFACE[:QUEUES][,OPTION=VALUE...], memif:PATH[,OPTION=VALUE...]
    /// or tap:NAME; again for each further link
    ///
    /// xdp:IFACE takes what is for the server's port off the interface, before the kernel sees
    /// it, and leaves all else to the kernel (root). One core for each receive queue.
    ///   zero-copy=yes|no   without copies or not at all; or with copies [default: without,
    ///                      where the driver grants it and frames are seen to cross whole]
    ///   busy-poll=FRAMES   the interface's work is done inside the core's own calls, up to so
    ///                      many frames in each, and not by interrupts
    ///   frame-room=BYTES   memory for a frame, for trials of drivers: 2048 or 4096
    /// memif:PATH shares memory with another process: VPP, a DPDK program, or one of our own.
    /// @NAME in place of PATH is an abstract socket, as DPDK uses by default. One core a queue.
    ///   id=N               several links may share a socket
    ///   role=server|client who listens [default: a server serves, a load is a client]
    ///   secret=TEXT        the same at both ends
    ///   queues=N, mtu=BYTES
    ///   ring=LOG2, buffer=BYTES   as client, who brings the memory
    ///   zero-copy=yes|no   as client: frames are read and written where the server sees them,
    ///                      who must be trusted then [default: no]
    /// tap:NAME makes an interface whose other end is the server; slow, and works everywhere.
    /// Several links have nothing in common but the port: each has its own cores, connections and
    /// addresses, which are said with it: --link tap:tap0,address=10.9.0.2/24. One that goes away
    /// leaves the others alone, and comes back by itself.
    #[arg(long, value_name = "LINK[,address=ADDRESS/BITS]", required = true, verbatim_doc_comment)]
    pub(crate) link: Vec<ServedLink>,

    /// Our address on a single link, with the bits of its network [default: those of the interface]
    #[arg(long, value_name = "ADDRESS/BITS")]
    pub(crate) address: Vec<AddressArg>,

    /// The port to serve on, with or without one of our addresses: 80, 10.0.0.1:80
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: ListenArg,

    /// How many connections there is to be room for on each link
    /// [default: 1000000, or as many as fit]
    #[arg(long, value_name = "N", value_parser = count_1_to_1_billion)]
    pub(crate) connections: Option<u32>,

    /// Connections that one source, an IPv4 address or an IPv6 /64, may have on each core
    /// [default: no limit]
    #[arg(long, value_name = "N", value_parser = count_1_to_1_billion)]
    pub(crate) per_source: Option<u32>,

    /// Sources without that limit, such as load balancers
    #[arg(long, value_name = "ADDRESS/BITS", requires = "per_source")]
    pub(crate) trust: Vec<AddressArg>,

    /// Take requests on the SYN of clients that were here before (TCP Fast Open, RFC 7413); one of
    /// them may then be served twice
    #[arg(long)]
    pub(crate) fast_open: bool,

    /// A processor for each queue, link by link [default: the last ones]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) cpus: Option<Vec<usize>>,

    /// The algorithm of congestion avoidance
    #[arg(long, value_name = "NAME", value_enum, default_value_t = CongestionChoice::Cubic)]
    pub(crate) congestion: CongestionChoice,

    #[command(flatten)]
    pub(crate) memory: MemoryOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

impl ServeOptions {
    /// The links, each with its addresses.
    pub(crate) fn links(&self) -> Result<Vec<ServedLink>> {
        let mut links = self.link.clone();
        match (&mut links[..], &self.address[..]) {
            ([one], more) => one.addresses.extend(more),
            (_, []) => {}
            ([first, ..], [_, ..]) => bail!(
                "--address does not say on which of the links; with several of them say it with \
                 the link: --link {},address=ADDRESS/BITS",
                first.name
            ),
            ([], _) => bail!("--link says where frames come from"),
        }
        Ok(links)
    }
}

/// `crore load`, whatever it asks for.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct LoadOptions {
    /// Where frames come from: xdp:IFACE[,OPTION=VALUE...], memif:PATH[,OPTION=VALUE...] or
    /// tap:NAME; see `crore serve echo --help`
    #[arg(long, value_name = "LINK")]
    pub(crate) link: LinkArg,

    /// Our addresses, each good for 64,511 connections [default: those of the interface]
    ///
    /// One address, or a first and a last one: 10.0.0.1-10.0.0.156/8. On xdp give addresses that
    /// nothing else needs: the kernel gets no more TCP segments for them on the ports used.
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

    /// Send so many requests a second instead, whatever the replies do: shows the latency then
    #[arg(long, value_name = "PER_SECOND", conflicts_with = "in_flight", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    #[command(flatten)]
    pub(crate) memory: MemoryOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// `crore demo`.
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

    /// Send so many requests a second instead, whatever the replies do: shows the latency then
    #[arg(long, value_name = "PER_SECOND", conflicts_with = "in_flight", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// Bytes of a request
    #[arg(long, value_name = "BYTES", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(1..=16_384))]
    pub(crate) payload: u16,

    /// What the client is [default: full, or mirror where only that fits]
    ///
    /// full: a stack like the server's, for requests on random connections.
    /// mirror: eight bytes a connection, the rest is in the frames; every connection is asked at
    /// least once, in a random order. Requests of up to 1,448 bytes.
    #[arg(long, value_name = "KIND", value_enum, verbatim_doc_comment)]
    pub(crate) client: Option<ClientChoice>,

    /// The processors of server and client [default: the first two that share no core]
    #[arg(long, value_name = "SERVER,CLIENT", value_parser = two_cpus)]
    pub(crate) cpus: Option<(usize, usize)>,

    #[command(flatten)]
    pub(crate) memory: MemoryOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// `crore bench`.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct BenchOptions {
    /// The profiles to run [default: all]
    #[arg(value_name = "PROFILE")]
    pub(crate) profiles: Vec<String>,

    /// Say which profiles there are
    #[arg(long)]
    pub(crate) list: bool,

    /// Write all that was found to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write a report to read, with plots: one HTML file that needs no other
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// How long to measure at each point
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) seconds: f64,

    /// How many connections are live, a point each [default: the profile's own]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = count_1_to_1_billion)]
    pub(crate) connections: Vec<u32>,

    /// Measure something else in turn with it
    #[arg(long, value_name = "OTHER", value_enum)]
    pub(crate) against: Option<Against>,

    /// What asks in echo and memif, and in churn where the client closes first
    ///
    /// mirror: eight bytes a connection, so that the server is what is measured.
    /// full: a stack like the server's, as in all other profiles.
    #[arg(long, value_name = "KIND", value_enum, default_value_t = ClientChoice::Mirror,
          verbatim_doc_comment)]
    pub(crate) client: ClientChoice,

    /// The processors of server and client [default: the first two that share no core]
    #[arg(long, value_name = "SERVER,CLIENT", value_parser = two_cpus)]
    pub(crate) cpus: Option<(usize, usize)>,

    /// Be the client only, of an echo server in another process or on another machine
    #[arg(long, value_name = "ADDRESS:PORT", requires = "link", conflicts_with = "against")]
    pub(crate) connect: Option<SocketAddr>,

    /// The link to it; see `crore load echo --help`
    #[arg(long, value_name = "LINK", requires = "connect")]
    pub(crate) link: Option<LinkArg>,

    /// Our addresses on the link, each good for 64,511 connections
    #[arg(long, value_name = "ADDRESS[-LAST]/BITS", requires = "connect")]
    pub(crate) address: Vec<AddressArg>,

    #[command(flatten)]
    pub(crate) memory: MemoryOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Against {
    /// The yardstick: the least work that any such stack can do
    Limit,
    /// The same service and clients on the kernel's sockets
    Kernel,
}

impl BenchOptions {
    /// The numbers of connections asked for, or these.
    pub(crate) fn connections_or(&self, default: &[u32]) -> Vec<u32> {
        if self.connections.is_empty() { default.to_vec() } else { self.connections.clone() }
    }

    /// How long to measure at each point.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// `crore plan`.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct PlanOptions {
    /// How many connections, like 10M or 250k
    #[arg(long, value_name = "N", value_parser = count_1_to_1_billion)]
    pub(crate) connections: u32,

    /// Bytes that the application keeps of each connection
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = state_bytes)]
    pub(crate) state: u32,

    /// Packets a second, received and sent: says how many cores they take
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// What a packet costs, the application's part included [default: measured here, with echo]
    #[arg(long, value_name = "CYCLES", value_parser = cycles, requires = "rate")]
    pub(crate) cycles: Option<f64>,

    #[command(flatten)]
    pub(crate) memory: MemoryOptions,

    /// Write the plan to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
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

/// What the client of a server of echo is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientChoice {
    Full,
    Mirror,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CongestionChoice {
    /// RFC 9438: what most of the internet's senders use
    Cubic,
    /// RFC 5681 and RFC 6582
    Newreno,
}

impl CongestionChoice {
    /// The stack's name for it.
    pub(crate) fn algorithm(self) -> crore::Congestion {
        match self {
            Self::Cubic => crore::Congestion::Cubic,
            Self::Newreno => crore::Congestion::NewReno,
        }
    }
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

const DEMO_EXAMPLES: &str = "Examples:
  crore demo                                   ten million, or what fits
  crore demo --connections 10k --seconds 2     a first look
  crore demo --connections 1M --rate 100000    latency at half load
  crore demo --connections 100M                a hundred million: 16 GiB
  crore demo --json figures.json               the figures for a program

Exit codes: 0 all well; 1 a check failed; 2 it could not be done.";

const BENCH_EXAMPLES: &str = "Examples:
  crore bench --list                                   the profiles
  crore bench echo --connections 10k,100k --seconds 2  a first look
  crore bench --html report.html --json report.json    all of them
  crore bench echo latency --link memif:/run/memif.sock \\
      --address 10.9.0.1-10.9.0.9/24 --connect 10.9.0.100:7
      against `crore serve echo --link memif:/run/memif.sock --address 10.9.0.100/24 \\
      --listen 7 --cpus 0`

Exit codes: 0 all well; 1 a check failed; 2 it could not be done.";

const PLAN_EXAMPLES: &str = "Examples:
  crore plan --connections 10M                           echo: no state
  crore plan --connections 10M --state 64 --rate 5M      and how many cores 5 million packets take
  crore plan --connections 1G --rate 20M --cycles 900    for another machine

Exit codes: 0 it fits here; 1 it does not; 2 it could not be worked out.";

const SERVE_EXAMPLES: &str = "Examples:
  crore serve http --root . --link xdp:eth0 --listen 80
  crore serve echo --link xdp:eth0 --listen 10.0.0.1:7
  crore serve echo --link memif:/run/crore.sock --address 10.9.0.1/24 --listen 7
  crore serve http --link tap:tap0 --address 10.9.0.2/24 --listen 80
      and, for the kernel's side: ip address add 10.9.0.1/24 dev tap0
  crore serve echo --link xdp:eth0 --link tap:tap0,address=10.9.0.2/24 --listen 7";

const LOAD_EXAMPLES: &str = "Examples:
  crore load echo --link xdp:eth0 --connect 10.0.0.1:7
  crore load echo --link memif:/run/crore.sock --address 10.9.0.2/24 --connect 10.9.0.1:7
  crore load http --link xdp:eth0 --connect 10.0.0.1:80 --target / --rate 10000
  crore load echo --link xdp:eth0 --connect 10.0.0.1:7 --connections 1M \\
      --address 10.1.0.1-10.1.0.16/8";

const EXIT_CODES: &str = "Exit codes: 0 all well; 1 a check failed; 2 it could not be done, and \
                          the message says what would help.";

#[cfg(test)]
mod tests;
