//! `crore serve`: echo or HTTP on links, each with addresses, cores and connections of its own.
//!
//! ```text
//!   host      one link: its cores, and what becomes of them when it goes away and comes back
//!   attempt   to open it anew, while the others go on
//!   presence  whether the interface under a link is there, or the peer at its other end
//!   figures   the report, and its JSON
//! ```
//!
//! Links share nothing but the port and the service's settings: what happens on one is not seen on
//! another.

mod attempt;
mod figures;
mod host;
mod presence;

use crate::account::HardwareFigures;
use crate::args::{LinkArg, ServeOptions, ServedLink};
use crate::huge_pages::Reserved;
use crate::link::Surroundings;
use crate::memory_plan::{self, Plan};
use crate::view::{Progress, Sampler, Unit, View};
use crate::{interrupt, places, report, text};
use anyhow::{Context, Result, bail};
use core::net::{IpAddr, SocketAddr};
use crore::driver::memif;
use crore::mem::HugePages;
use crore::{Core, FastOpenKey, Service, StackConfig};
use figures::Figures;
use host::Host;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Serves echo until Ctrl-C.
pub(crate) fn echo(options: &ServeOptions) -> Result<bool> {
    serve(options, || Ok(crore_echo::Echo))
}

/// Serves files and the benchmark routes until Ctrl-C.
pub(crate) fn http(options: &ServeOptions, root: Option<&Path>) -> Result<bool> {
    serve(options, || {
        let root = root.map(Path::to_path_buf);
        let config = crore_http::HttpConfig { root, ..crore_http::HttpConfig::default() };
        Ok(crore_http::Http::new(config)?)
    })
}

/// What is settled of a link before anything is opened or taken.
struct Prepared {
    asked: ServedLink,
    surroundings: Surroundings,
    settings: StackConfig,
    planned: Plan,
}

fn serve<S>(options: &ServeOptions, service: impl Fn() -> Result<S>) -> Result<bool>
where
    S: Service + 'static,
    Core<S>: Send,
{
    let prepared = prepare::<S>(options)?;
    for one in &prepared {
        one.announce(prepared.len() > 1);
    }
    let pages = options.memory.huge_pages();
    let _reserved = Reserved::new(pages, prepared.iter().map(Prepared::huge_pages).sum())?;
    let mut servers = Servers::start(options, prepared, service)?;
    let hardware = servers.watch(options)?;
    let figures = servers.stop(hardware)?;
    println!("{}", figures.table());
    if let Some(path) = &options.output.json {
        report::write_json(path, &figures)?;
    }
    Ok(true)
}

impl Prepared {
    fn cores(&self) -> usize {
        self.surroundings.queues as usize
    }

    fn huge_pages(&self) -> usize {
        self.planned.huge_pages() * self.cores() + self.surroundings.plan().huge_pages()
    }

    /// Says what its cores will take.
    fn announce(&self, by_name: bool) {
        let of = if by_name { format!("{}: ", self.asked.name) } else { String::new() };
        let each = if self.cores() > 1 { "each core: " } else { "" };
        println!("{of}{each}{} connections", text::grouped(u64::from(self.settings.conns_max)));
        println!("{of}{each}{}", self.planned.line());
        let shared = self.surroundings.plan();
        if shared.total_bytes() > 0 {
            println!("{of}shared with the peer: {}", shared.line());
        }
    }
}

/// The links, each with its cores.
struct Servers<S: Service> {
    hosts: Vec<Host<S>>,
    started: Instant,
}

impl<S> Servers<S>
where
    S: Service + 'static,
    Core<S>: Send,
{
    /// Opens all links, takes the memory of all cores, and only then starts them.
    fn start(
        options: &ServeOptions,
        prepared: Vec<Prepared>,
        service: impl Fn() -> Result<S>,
    ) -> Result<Self> {
        let cores = prepared.iter().map(Prepared::cores).sum();
        let mut places = places::for_cores(cores, options.cpus.as_deref())?.into_iter();
        let mut hosts = Vec::new();
        let mut first = 0;
        for one in prepared {
            let name = one.asked.name.clone();
            let places: Vec<_> = places.by_ref().take(one.cores()).collect();
            let range = first..first + places.len();
            first = range.end;
            let host = Host::open(options, one, (range, places), &service);
            hosts.push(host.with_context(|| format!("--link {name}"))?);
        }
        let started = Instant::now();
        for host in &mut hosts {
            host.start()?;
        }
        Ok(Self { hosts, started })
    }

    /// Shows what goes on, until Ctrl-C. Returns what the processor's counters said.
    fn watch(&mut self, options: &ServeOptions) -> Result<HardwareFigures> {
        for note in self.hosts.iter().flat_map(Host::notes) {
            println!("{note}");
        }
        println!("serving on {}; Ctrl-C ends it", options.listen);
        let pages = self.hosts.iter().flat_map(Host::pages).collect();
        let memory_bytes = self.hosts.iter().map(Host::memory_bytes).sum();
        let mut sampler = Sampler::new(pages, memory_bytes);
        let mut view = View::open(options.output.plain);
        let mut shown_at = Instant::now();
        while !interrupt::came() {
            thread::sleep(STEP);
            for host in &mut self.hosts {
                for news in host.look_after()? {
                    view.note(&news);
                }
            }
            if shown_at.elapsed() >= view.pace() {
                shown_at = Instant::now();
                view.show(&sampler.look(self.progress()));
            }
        }
        Ok(sampler.hardware())
    }

    fn progress(&self) -> Progress {
        let done = self.started.elapsed().as_millis() as u64;
        // One link that is as it should be is not worth a line.
        let is_plain = self.hosts.len() == 1 && self.hosts.iter().all(Host::is_up);
        let links = self.hosts.iter().filter(|_| !is_plain).map(Host::progress).collect();
        let unit = Unit::Milliseconds;
        Progress { doing: "serving", done, unit, links, ..Progress::default() }
    }

    fn stop(self, hardware: HardwareFigures) -> Result<Figures> {
        let seconds = self.started.elapsed().as_secs_f64();
        let ended = self.hosts.into_iter().map(Host::stop).collect::<Result<Vec<_>>>()?;
        Ok(Figures::of(&ended, seconds, hardware))
    }
}

/// Settles which addresses are ours, and how many connections fit.
fn prepare<S: Service>(options: &ServeOptions) -> Result<Vec<Prepared>> {
    let mut links = Vec::new();
    for asked in options.links()? {
        let found = surroundings(&asked, options);
        links.push((found.with_context(|| format!("--link {}", asked.name))?, asked));
    }
    let connections = connections::<S>(options, &links)?;
    let prepared = links.into_iter().map(|(surroundings, asked)| {
        let settings = settings(options, &asked.link, &surroundings, connections);
        let interface = surroundings.interface_for_planning();
        let planned = Plan::of_engine::<S::State>(&settings, &interface)?;
        Ok(Prepared { asked, surroundings, settings, planned })
    });
    prepared.collect()
}

fn surroundings(asked: &ServedLink, options: &ServeOptions) -> Result<Surroundings> {
    let pages = options.memory.huge_pages();
    let mut surroundings =
        Surroundings::of(&asked.link, &asked.addresses, memif::Role::Server, pages)?;
    if let Some(address) = options.listen.address {
        surroundings.only(address)?;
    }
    if surroundings.shares_addresses {
        check_port_is_free(&surroundings, options.listen.port)?;
    }
    Ok(surroundings)
}

/// Segments to our port will not reach the kernel: nobody there must be waiting for them.
fn check_port_is_free(surroundings: &Surroundings, port: u16) -> Result<()> {
    for address in surroundings.each_address() {
        let end = SocketAddr::new(address, port);
        // Link-local addresses cannot be bound without saying on which link.
        let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if is_link_local {
            continue;
        }
        if let Err(error) = TcpListener::bind(end)
            && error.kind() == ErrorKind::AddrInUse
        {
            bail!(
                "a program of this machine listens on {end} already (`ss -ltnp` shows which), and \
                 would get no more connections; stop it, or choose another port"
            );
        }
    }
    Ok(())
}

/// A key for the life of the process.
fn fast_open_key() -> FastOpenKey {
    let mut key = [0; 16];
    key.copy_from_slice(&crore::random_seed()[..16]);
    FastOpenKey(key)
}

/// Settings of the stack of each core of a link that has room for so many connections.
fn settings(
    options: &ServeOptions,
    link: &LinkArg,
    surroundings: &Surroundings,
    connections: u32,
) -> StackConfig {
    let each = memory_plan::room_of_core(connections, surroundings.queues);
    let mut settings = StackConfig::for_connections(each);
    settings.nodelay = true;
    settings.sources.conns_max = options.per_source;
    let trusted = options.trust.iter().map(|range| (range.0.first, range.0.prefix_len));
    settings.sources.exempt = trusted.collect();
    settings.congestion = options.congestion.algorithm();
    if options.fast_open {
        // A client's next connection may be another core's: all need the same key.
        settings.fast_open.keys = [Some(fast_open_key()), None];
    }
    settings.cores = surroundings.queues as u16;
    settings.answers_for_link = link.has_no_kernel();
    settings
}

/// How many connections each link has room for.
fn connections<S: Service>(
    options: &ServeOptions,
    links: &[(Surroundings, ServedLink)],
) -> Result<u32> {
    let pages: HugePages = options.memory.huge_pages();
    let bytes_for = |connections: u32| {
        let of = |(surroundings, asked): &(Surroundings, ServedLink)| {
            let settings = settings(options, &asked.link, surroundings, connections);
            let interface = surroundings.interface_for_planning();
            let plan = Plan::of_engine::<S::State>(&settings, &interface)?;
            Ok(plan.total_bytes() * surroundings.queues as usize)
        };
        links.iter().map(of).sum::<Result<usize>>()
    };
    if let Some(wanted) = options.connections {
        memory_plan::check_fit(wanted, pages, bytes_for)?;
        return Ok(wanted);
    }
    let spare = memory_plan::spare_bytes(pages);
    let most = memory_plan::most_that_fit(CONNECTIONS, spare, bytes_for);
    Ok(most.context("while looking for how many connections fit")?.max(1))
}

/// Unless asked for otherwise.
const CONNECTIONS: u32 = 1_000_000;

const STEP: Duration = Duration::from_millis(20);
