//! The core that runs a load, from its start to its end.

use super::Prepared;
use crate::account::HardwareFigures;
use crate::args::LoadOptions;
use crate::figures::CoreFigures;
use crate::lead::Leader;
use crate::link::Opened;
use crate::neighbours::{Learner, Neighbours};
use crate::places;
use crate::running::Running;
use crate::view::{Sampler, View};
use anyhow::Result;
use crore::driver::xdp::LocalPorts;
use crore::mem::Memory;
use crore::{Core, Engine, Snapshot, Stop};
use crore_load::{Clock, Control, Load, LoadConfig, Phase, Protocol};
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// A load that runs.
pub(super) struct Client<P: Protocol> {
    running: Running<Load<P>>,
    control: Control,
    stop: Stop,
    started: Instant,
    neighbours: RefCell<Option<Neighbours>>,
    memory_bytes: usize,
    hardware: HardwareFigures,
    /// Last, because its end gives the ports back to the kernel.
    opened: Opened,
}

/// What the core had counted at the borders of its phases.
pub(crate) struct Led {
    /// Ctrl-C came.
    pub(crate) was_interrupted: bool,
    /// All connections were open.
    pub(crate) opened: Snapshot,
    /// They had been held.
    pub(crate) held: Snapshot,
    /// The last request was sent.
    pub(crate) asked: Snapshot,
}

impl<P: Protocol + Send + 'static> Client<P> {
    /// Opens the link, takes the memory, and starts the core; it waits for [`Client::lead`].
    pub(super) fn start(options: &LoadOptions, prepared: &Prepared, protocol: P) -> Result<Self> {
        let (surroundings, ports) = (&prepared.surroundings, &prepared.ports);
        let ours = surroundings.each_address();
        let ours = ours.map(|address| LocalPorts { address, ports: ports.clone() }).collect();
        let mut frames = Memory::new(surroundings.frame_pages());
        let mut opened = surroundings.open(&options.link, ours, Some(prepared.hop), &mut frames)?;
        let mut neighbours = surroundings.info.as_ref().map(Neighbours::watch).transpose()?;
        if let Some(neighbours) = &mut neighbours {
            neighbours.resolve(prepared.hop)?;
        }
        let learner = neighbours.as_mut().map(Neighbours::learner).transpose()?;
        let control = Control::new();
        let config = config(options, prepared);
        let load = Load::new(config, protocol, Clock::measured(), control.clone());
        let mut memory = Memory::new(options.memory.huge_pages());
        let (settings, seed) = (prepared.settings.clone(), crore::random_seed());
        let mut engine = Engine::new(settings, &opened.interface, load, &mut memory, seed)?;
        Learner::learn_if(learner.as_ref(), &mut engine);
        let place =
            places::for_cores(1, prepared.cpu.as_ref().map(std::slice::from_ref))?.remove(0);
        let core = Core::new(engine, opened.links.remove(0), place);
        let (stop, started) = (Stop::new(), Instant::now());
        let between =
            move |engine: &mut Engine<Load<P>>| Learner::learn_if(learner.as_ref(), engine);
        let running = Running::start("load", core, &stop, between)?;
        let memory_bytes = frames.total_bytes() + memory.total_bytes();
        let neighbours = RefCell::new(neighbours);
        let hardware = HardwareFigures::default();
        Ok(Self { running, control, stop, started, neighbours, memory_bytes, hardware, opened })
    }

    /// Through all phases.
    pub(super) fn lead(&mut self, options: &LoadOptions) -> Result<Led> {
        for note in &self.opened.notes {
            println!("{note}");
        }
        self.opened.wait_for_peer()?;
        let nudge = || {
            self.running.wake();
            if let Some(neighbours) = self.neighbours.borrow_mut().as_mut() {
                neighbours.pass_on()?;
            }
            self.running.check_alive()
        };
        let mut view = View::open(options.output.plain);
        let sampler = Sampler::new(vec![self.running.page()], self.memory_bytes);
        let sizes = (options.connections, Some(Duration::from_secs_f64(options.seconds)));
        let mut leader = Leader::new(self.control.clone(), sizes, sampler, &mut view, &nudge);
        leader.through(Phase::Opening)?;
        let opened = self.running.snapshot_now();
        leader.hold(Duration::from_secs_f64(options.hold))?;
        let held = self.running.snapshot_now();
        leader.through(Phase::Traffic)?;
        let asked = self.running.snapshot_now();
        for phase in [Phase::Settling, Phase::Checking, Phase::Closing] {
            leader.through(phase)?;
        }
        let (was_interrupted, hardware) = (leader.was_interrupted, leader.sampler.hardware());
        self.hardware = hardware;
        Ok(Led { was_interrupted, opened, held, asked })
    }

    /// Ends the core; says what it counted.
    pub(super) fn stop(self) -> Result<(Core<Load<P>>, CoreFigures)> {
        self.stop.set();
        let core = self.running.join()?;
        if let Some(attachment) = self.opened.attachment {
            attachment.detach()?;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let mut figures = CoreFigures::of(&[core.snapshot()], seconds, self.memory_bytes);
        figures.account.hardware = self.hardware;
        figures.add_link(core.link());
        Ok((core, figures))
    }
}

fn config(options: &LoadOptions, prepared: &Prepared) -> LoadConfig {
    let seed = crore::random_seed();
    LoadConfig {
        remote: options.connect,
        locals: prepared.locals.clone(),
        home: None,
        connections: options.connections,
        opens_per_second: options.open_rate,
        handshakes_max: HANDSHAKES_MAX,
        pace: prepared.pace,
        beside: None,
        traffic_time: Some(Duration::from_secs_f64(options.seconds)),
        seed: u64::from_le_bytes(seed[..8].try_into().expect("eight bytes")),
    }
}

/// A listening socket of Linux has a queue of 4,096 at most, often of 128.
const HANDSHAKES_MAX: u32 = 256;
