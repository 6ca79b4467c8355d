//! One link of a server: an interface, its addresses and its cores.
//!
//! When the interface goes away its cores rest, with all their connections, and every second it is
//! tried to open it anew, beside the other links, since a driver may take long over it. A peer that
//! is still there then finds its connections as they were, as after a cable that was out; what was
//! under way is sent again by the timers.

use super::Prepared;
use super::attempt::Attempt;
use super::presence::{LinkState, Presence};
use crate::args::{ServeOptions, ServedLink};
use crate::link::{Opened, Paths, Surroundings};
use crate::neighbours::{Learner, Neighbours};
use crate::running::Running;
use crate::view::LinkProgress;
use anyhow::{Result, bail, ensure};
use core::net::IpAddr;
use core::ops::Range;
use crore::driver::siblings;
use crore::driver::xdp::{Attachment, LocalPorts};
use crore::mem::{HugePages, Memory};
use crore::{AddressRange, Core, CoreConfig, Engine, Service, StatsPage, Stop};
use std::time::{Duration, Instant};

/// A link with its cores.
pub(super) struct Host<S: Service> {
    asked: ServedLink,
    port: u16,
    surroundings: Surroundings,
    /// The numbers of its cores among all.
    numbers: Range<usize>,
    /// While the link is there.
    running: Vec<Running<S>>,
    /// While it is not.
    resting: Vec<Core<S>>,
    pages: Vec<StatsPage>,
    stop: Stop,
    state: LinkState,
    losses: u64,
    tried_at: Instant,
    /// To open it anew.
    attempt: Option<Attempt<Result<Reopened>>>,
    /// Why it could not be opened anew the last time.
    refusal: String,
    presence: Presence,
    neighbours: Option<Neighbours>,
    notes: Vec<String>,
    paths: Paths,
    mtu: u16,
    memory_bytes: usize,
    /// Last, because its end gives the ports back to the kernel.
    attachment: Option<Attachment>,
}

/// A link that came back, and what is known of it now.
type Reopened = (Surroundings, Opened);

/// What is left of it at the end.
pub(super) struct Ended<S: Service> {
    pub(super) name: String,
    pub(super) state: LinkState,
    pub(super) losses: u64,
    pub(super) addresses: Vec<AddressRange>,
    pub(super) cores: Vec<Core<S>>,
    pub(super) memory_bytes: usize,
}

impl<S> Host<S>
where
    S: Service + 'static,
    Core<S>: Send,
{
    /// Opens the link and takes the memory of its cores, which wait for [`Host::start`].
    pub(super) fn open(
        options: &ServeOptions,
        prepared: Prepared,
        (numbers, places): (Range<usize>, Vec<CoreConfig>),
        service: impl Fn() -> Result<S>,
    ) -> Result<Self> {
        let Prepared { asked, surroundings, settings, .. } = prepared;
        let port = options.listen.port;
        let (opened, mut memory_bytes) = open(&asked, &surroundings, port)?;
        let Opened { links, interface, attachment, paths, notes, peer } = opened;
        let mut cores = Vec::new();
        let siblings = joined(&links, &mut memory_bytes)?;
        for ((link, place), siblings) in links.into_iter().zip(places).zip(siblings) {
            let mut memory = Memory::new(options.memory.huge_pages());
            let (settings, seed) = (settings.clone(), crore::random_seed());
            let mut engine = Engine::new(settings, &interface, service()?, &mut memory, seed)?;
            engine.listen(port);
            engine.stack_mut().set_fast_open(port, options.fast_open);
            memory_bytes += memory.total_bytes();
            let core = Core::new(engine, link, place);
            cores.push(if siblings.count() > 1 { core.with_siblings(siblings) } else { core });
        }
        let presence = Presence::of(&asked.link, peer)?;
        Ok(Self {
            state: presence.state(),
            presence,
            neighbours: surroundings.info.as_ref().map(Neighbours::watch).transpose()?,
            asked,
            port,
            surroundings,
            numbers,
            running: Vec::new(),
            pages: cores.iter().map(Core::stats).collect(),
            resting: cores,
            stop: Stop::new(),
            losses: 0,
            tried_at: Instant::now(),
            attempt: None,
            refusal: String::new(),
            notes,
            paths,
            mtu: interface.mtu,
            memory_bytes,
            attachment,
        })
    }

    /// Starts the cores, each on a thread of its own.
    pub(super) fn start(&mut self) -> Result<()> {
        self.stop = Stop::new();
        for (number, core) in self.numbers.clone().zip(std::mem::take(&mut self.resting)) {
            let learner = self.neighbours.as_mut().map(Neighbours::learner).transpose()?;
            let between = move |engine: &mut Engine<S>| Learner::learn_if(learner.as_ref(), engine);
            let running = Running::start(&format!("core {number}"), core, &self.stop, between)?;
            self.running.push(running);
        }
        Ok(())
    }

    /// Passes the kernel's news on, and looks whether the link is there. Returns what people
    /// should know.
    pub(super) fn look_after(&mut self) -> Result<Vec<String>> {
        for core in &self.running {
            core.check_alive()?;
        }
        let mut news = self.look_at_link()?.into_iter().collect::<Vec<_>>();
        news.extend(self.paths.news());
        news.extend(self.presence.news());
        Ok(news)
    }

    fn look_at_link(&mut self) -> Result<Option<String>> {
        if self.state == LinkState::Gone {
            return self.try_again();
        }
        if let Some(neighbours) = &mut self.neighbours {
            neighbours.pass_on()?;
        }
        let state = self.presence.look()?;
        if std::mem::replace(&mut self.state, state) == state || self.presence.has_own_words() {
            return Ok(None);
        }
        let name = &self.asked.name;
        let news = match state {
            LinkState::Up => format!("{name} is up again"),
            LinkState::Down => format!("{name} is down"),
            LinkState::Gone => {
                let news = format!("{name} is gone; its connections wait for it to come back");
                self.rest()?;
                news
            }
        };
        Ok(Some(news))
    }

    /// Takes the cores from their threads: there is nothing to turn for.
    fn rest(&mut self) -> Result<()> {
        self.losses += 1;
        self.stop.set();
        let running = std::mem::take(&mut self.running).into_iter();
        self.resting = running.map(Running::join).collect::<Result<_>>()?;
        // With the interface went the filter.
        self.attachment = None;
        self.neighbours = None;
        Ok(())
    }

    /// Opens the link anew, if it is time and it can be done. Why it cannot be is said once.
    fn try_again(&mut self) -> Result<Option<String>> {
        let Some(attempt) = self.attempt.take_if(|attempt| attempt.is_over()) else {
            if self.attempt.is_none() && self.tried_at.elapsed() >= RETRY_EVERY {
                self.tried_at = Instant::now();
                let (asked, before) = (self.asked.clone(), self.surroundings.clone());
                let (name, port) = (format!("open {}", self.asked.name), self.port);
                let work = move || reopen(&asked, &before, port);
                self.attempt = Some(Attempt::start(&name, work)?);
            }
            return Ok(None);
        };
        if let Err(error) = attempt.outcome()?.and_then(|reopened| self.take_up(reopened)) {
            let why = format!("{error:#}");
            let is_news = why != self.refusal;
            let news = format!("{} cannot be opened anew: {why}", self.asked.name);
            self.refusal = why;
            return Ok(is_news.then_some(news));
        }
        self.refusal.clear();
        self.start()?;
        self.state = LinkState::Up;
        Ok(Some(format!("{} is back", self.asked.name)))
    }

    /// Puts the cores on the link that was opened.
    fn take_up(&mut self, (surroundings, opened): Reopened) -> Result<()> {
        let (mtu, now) = (self.mtu, opened.interface.mtu);
        ensure!(now >= mtu, "it had an MTU of {mtu}, and now has {now}");
        let presence = Presence::of(&self.asked.link, opened.peer)?;
        let neighbours = surroundings.info.as_ref().map(Neighbours::watch).transpose()?;
        // In the place of as many: the account of memory stays what it was.
        let siblings = joined(&opened.links, &mut 0)?;
        let cores = std::mem::take(&mut self.resting).into_iter();
        for ((mut core, link), siblings) in cores.zip(opened.links).zip(siblings) {
            core.replace_link(link);
            let core = if siblings.count() > 1 { core.with_siblings(siblings) } else { core };
            self.resting.push(core);
        }
        (self.presence, self.neighbours) = (presence, neighbours);
        self.attachment = opened.attachment;
        self.paths = opened.paths.unsaid();
        Ok(())
    }

    /// Ends the cores.
    pub(super) fn stop(self) -> Result<Ended<S>> {
        self.stop.set();
        let mut cores = self.resting;
        for running in self.running {
            cores.push(running.join()?);
        }
        if let Some(attachment) = self.attachment {
            attachment.detach()?;
        }
        Ok(Ended {
            name: self.asked.name,
            state: self.state,
            losses: self.losses,
            addresses: self.surroundings.addresses,
            cores,
            memory_bytes: self.memory_bytes,
        })
    }
}

impl<S: Service> Host<S> {
    /// What the user should know of the link.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The pages of its cores' numbers; they stay the same when the link comes back.
    pub(super) fn pages(&self) -> Vec<StatsPage> {
        self.pages.clone()
    }

    /// Memory of connections and frames.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    pub(super) fn is_up(&self) -> bool {
        self.state == LinkState::Up
    }

    /// For the view.
    pub(super) fn progress(&self) -> LinkProgress {
        let (name, state) = (self.asked.name.clone(), self.state.name());
        LinkProgress { name, state, cores: self.numbers.clone() }
    }
}

/// Opens the link, whose frames do not come from the pages reserved for the connections. Returns
/// what they take as well.
fn open(asked: &ServedLink, surroundings: &Surroundings, port: u16) -> Result<(Opened, usize)> {
    let ours = surroundings.each_address().map(|address| LocalPorts::one(address, port));
    let mut frames = Memory::new(surroundings.frame_pages());
    let opened = surroundings.open(&asked.link, ours.collect(), None, &mut frames)?;
    Ok((opened, frames.total_bytes()))
}

/// Opens a link that went away, if it is what it was before.
fn reopen(asked: &ServedLink, before: &Surroundings, port: u16) -> Result<Reopened> {
    let found = before.again(asked)?;
    let missing = before.addresses.iter().find(|one| {
        // Link-local ones follow the hardware address, and nobody is told of them.
        !is_link_local(one.first) && !found.addresses.contains(one)
    });
    if let Some(missing) = missing {
        bail!("the address {} is not there", missing.first);
    }
    let (queues, now) = (before.queues, found.queues);
    ensure!(now == queues, "it had {queues} queue(s), and now has {now}");
    // The addresses stay what they were: one of several may have been asked for.
    let surroundings = Surroundings { addresses: before.addresses.clone(), ..found };
    let (opened, _) = open(asked, &surroundings, port)?;
    Ok((surroundings, opened))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Joins the cores of the link's queues.
fn joined(
    links: &[crore::driver::Link],
    memory_bytes: &mut usize,
) -> Result<Vec<crore::driver::Siblings>> {
    let mut rings = Memory::new(HugePages::Transparent);
    let joined = siblings(&mut rings, links)?;
    *memory_bytes += rings.total_bytes();
    Ok(joined)
}

/// How often it is tried to open a link that went away.
const RETRY_EVERY: Duration = Duration::from_secs(1);
