//! `crore serve`: echo or HTTP on an XDP or TAP link, one core for each queue.

use crate::account::HardwareFigures;
use crate::args::{LinkArg, ServeOptions};
use crate::figures::CoreFigures;
use crate::huge_pages::Reserved;
use crate::link::{Opened, Surroundings};
use crate::memory_plan::{self, Plan};
use crate::neighbours::{Learner, Neighbours};
use crate::places;
use crate::running::Running;
use crate::view::{Progress, Sampler, Unit, View};
use crate::{interrupt, report, text};
use anyhow::{Context, Result, bail};
use core::net::{IpAddr, SocketAddr};
use crore::driver::siblings;
use crore::driver::xdp::LocalPorts;
use crore::mem::{HugePages, Memory};
use crore::{Core, Engine, FastOpenKey, Service, Snapshot, StackConfig, Stop};
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

fn serve<S>(options: &ServeOptions, service: impl Fn() -> Result<S>) -> Result<bool>
where
    S: Service + 'static,
    Core<S>: Send,
{
    let mut surroundings = Surroundings::of(&options.link, &options.address)?;
    if let Some(address) = options.listen.address {
        surroundings.only(address)?;
    }
    if surroundings.shares_addresses {
        check_port_is_free(&surroundings, options.listen.port)?;
    }
    let pages = options.memory.huge_pages();
    let settings = settings::<S>(options, &surroundings, pages)?;
    let planned = Plan::of_engine::<S::State>(&settings, &surroundings.interface_for_planning())?;
    let cores = surroundings.queues as usize;
    let each = if cores > 1 { "each core: " } else { "" };
    println!("{each}{} connections", text::grouped(u64::from(settings.conns_max)));
    println!("{each}{}", planned.line());
    let _reserved = Reserved::new(pages, planned.huge_pages() * cores)?;
    let mut servers = Servers::start(options, &surroundings, &settings, service)?;
    let hardware = servers.watch(options)?;
    let mut figures = servers.stop()?;
    figures.account.hardware = hardware;
    println!("{}", figures.table());
    if let Some(path) = &options.output.json {
        report::write_json(path, &figures)?;
    }
    Ok(true)
}

/// The cores of a server.
struct Servers<S: Service> {
    cores: Vec<Running<S>>,
    stop: Stop,
    neighbours: Option<Neighbours>,
    started: Instant,
    memory_bytes: usize,
    /// Last, because its end gives the ports back to the kernel.
    opened: Opened,
}

impl<S> Servers<S>
where
    S: Service + 'static,
    Core<S>: Send,
{
    /// Opens the link, takes the memory of all cores, and only then starts them.
    fn start(
        options: &ServeOptions,
        surroundings: &Surroundings,
        settings: &StackConfig,
        service: impl Fn() -> Result<S>,
    ) -> Result<Self> {
        let port = options.listen.port;
        let ours = surroundings.each_address().map(|address| LocalPorts::one(address, port));
        // Frames do not come from the pages reserved for the connections.
        let mut frames = Memory::new(HugePages::Transparent);
        let mut opened = surroundings.open(&options.link, ours.collect(), &mut frames)?;
        let mut neighbours = surroundings.info.as_ref().map(Neighbours::watch).transpose()?;
        let links = std::mem::take(&mut opened.links);
        let joined = siblings(&mut frames, &links)?;
        let mut memory_bytes = frames.total_bytes();
        let places = places::for_cores(links.len(), options.cpus.as_deref())?;
        let mut ready = Vec::new();
        for ((link, place), siblings) in links.into_iter().zip(places).zip(joined) {
            let mut memory = Memory::new(options.memory.huge_pages());
            let (interface, seed) = (&opened.interface, crore::random_seed());
            let mut engine =
                Engine::new(settings.clone(), interface, service()?, &mut memory, seed)?;
            engine.listen(port);
            engine.stack_mut().set_fast_open(port, options.fast_open);
            memory_bytes += memory.total_bytes();
            let learner = neighbours.as_mut().map(Neighbours::learner).transpose()?;
            let core = Core::new(engine, link, place);
            let core = if siblings.count() > 1 { core.with_siblings(siblings) } else { core };
            ready.push((core, learner));
        }
        let (stop, started) = (Stop::new(), Instant::now());
        let cores = ready.into_iter().enumerate().map(|(number, (core, learner))| {
            let between = move |engine: &mut Engine<S>| Learner::learn_if(learner.as_ref(), engine);
            Running::start(&format!("core {number}"), core, &stop, between)
        });
        let cores = cores.collect::<Result<_>>()?;
        Ok(Self { cores, stop, neighbours, started, memory_bytes, opened })
    }

    /// Shows what goes on, until Ctrl-C. Returns what the processor's counters said.
    fn watch(&mut self, options: &ServeOptions) -> Result<HardwareFigures> {
        for note in &self.opened.notes {
            println!("{note}");
        }
        println!("serving on {}; Ctrl-C ends it", options.listen);
        let pages = self.cores.iter().map(Running::page).collect();
        let mut sampler = Sampler::new(pages, self.memory_bytes);
        let mut view = View::open(options.output.plain);
        let mut shown_at = Instant::now();
        while !interrupt::came() {
            thread::sleep(STEP);
            for core in &self.cores {
                core.check_alive()?;
            }
            if let Some(neighbours) = &mut self.neighbours {
                neighbours.pass_on()?;
            }
            if shown_at.elapsed() >= view.pace() {
                shown_at = Instant::now();
                let done = self.started.elapsed().as_millis() as u64;
                let unit = Unit::Milliseconds;
                let progress = Progress { doing: "serving", done, unit, ..Progress::default() };
                view.show(&sampler.look(progress));
            }
        }
        Ok(sampler.hardware())
    }

    fn stop(self) -> Result<CoreFigures> {
        let seconds = self.started.elapsed().as_secs_f64();
        self.stop.set();
        let cores = self.cores.into_iter().map(Running::join).collect::<Result<Vec<_>>>()?;
        let snapshots: Vec<Snapshot> = cores.iter().map(Core::snapshot).collect();
        if let Some(attachment) = self.opened.attachment {
            attachment.detach()?;
        }
        let mut figures = CoreFigures::of(&snapshots, seconds, self.memory_bytes);
        for core in &cores {
            figures.add_missed(core.link());
        }
        Ok(figures)
    }
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

/// Settings of each core's stack.
fn settings<S: Service>(
    options: &ServeOptions,
    surroundings: &Surroundings,
    pages: HugePages,
) -> Result<StackConfig> {
    let interface = surroundings.interface_for_planning();
    let of = |connections: u32| {
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
        settings.answers_for_link = matches!(options.link, LinkArg::Tap { .. });
        settings
    };
    let bytes_for = |connections: u32| {
        let plan = Plan::of_engine::<S::State>(&of(connections), &interface)?;
        Ok(plan.total_bytes() * surroundings.queues as usize)
    };
    let connections = match options.connections {
        Some(wanted) => {
            memory_plan::check_fit(wanted, pages, bytes_for)?;
            wanted
        }
        None => memory_plan::most_that_fit(CONNECTIONS, memory_plan::spare_bytes(pages), bytes_for)
            .context("while looking for how many connections fit")?
            .max(1),
    };
    Ok(of(connections))
}

/// Unless asked for otherwise.
const CONNECTIONS: u32 = 1_000_000;

const STEP: Duration = Duration::from_millis(20);
