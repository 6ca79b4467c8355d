//! Hardware addresses of neighbours, from the kernel's table to the cores' stacks.
//!
//! The main thread listens to the kernel; each core takes the news between its turns, so no core
//! ever waits for a system call here.

use anyhow::{Result, bail};
use core::net::IpAddr;
use crore::{Engine, Service};
use crore_ctl::{Event, InterfaceInfo, Neighbour, Reach, Watch};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

type News = (IpAddr, [u8; 6]);

/// The kernel's table of one interface, watched.
pub(crate) struct Neighbours {
    interface: u32,
    watch: Watch,
    cores: Vec<Sender<News>>,
}

/// A core's end.
pub(crate) struct Learner(Receiver<News>);

impl Neighbours {
    /// Begins to watch. Gateways are kept resolved.
    pub(crate) fn watch(info: &InterfaceInfo) -> Result<Self> {
        let watch = Watch::open()?;
        for &gateway in &info.gateways {
            // Without the right to: frames tell the gateway's hardware address as well.
            let _ = crore_ctl::keep_resolved(info.index, gateway);
        }
        Ok(Self { interface: info.index, watch, cores: Vec::new() })
    }

    /// A core that wants to know. It is told first what is known now.
    pub(crate) fn learner(&mut self) -> Result<Learner> {
        let (sender, receiver) = channel();
        for neighbour in crore_ctl::neighbours(self.interface)? {
            if let Some(news) = news(&neighbour) {
                let _ = sender.send(news);
            }
        }
        self.cores.push(sender);
        Ok(Learner(receiver))
    }

    /// Passes on what has changed since the last time.
    pub(crate) fn pass_on(&mut self) -> Result<()> {
        let mut missed = false;
        let (interface, cores) = (self.interface, &self.cores);
        let tell = |neighbour: &Neighbour| {
            if let Some(news) = news(neighbour).filter(|_| neighbour.interface == interface) {
                for core in cores {
                    // A core that has ended needs no news.
                    let _ = core.send(news);
                }
            }
        };
        self.watch.poll(|event| match event {
            Event::Neighbour(neighbour) => tell(&neighbour),
            Event::Missed => missed = true,
            Event::Address { .. } | Event::Link { .. } => {}
        })?;
        if missed {
            crore_ctl::neighbours(self.interface)?.iter().for_each(tell);
        }
        Ok(())
    }

    /// Waits until the kernel knows the hardware address of `hop`, which it is asked for.
    pub(crate) fn resolve(&mut self, hop: IpAddr) -> Result<()> {
        let asked = Instant::now();
        crore_ctl::keep_resolved(self.interface, hop)?;
        while asked.elapsed() < RESOLVE_PATIENCE {
            let known = crore_ctl::neighbours(self.interface)?;
            if known.iter().any(|one| one.address == hop && news(one).is_some()) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("{hop} does not answer on this link: nobody there has that address, or it is down")
    }
}

impl Learner {
    /// Learns what is new, on a link where the kernel knows.
    pub(crate) fn learn_if<S: Service>(learner: Option<&Self>, engine: &mut Engine<S>) {
        if let Some(learner) = learner {
            learner.learn(engine);
        }
    }

    fn learn<S: Service>(&self, engine: &mut Engine<S>) {
        // The rest next time: packets wait meanwhile.
        for (address, mac) in self.0.try_iter().take(NEWS_AT_ONCE) {
            engine.stack_mut().learn_neighbour(address, mac);
        }
    }
}

/// What can be used of an entry.
fn news(neighbour: &Neighbour) -> Option<News> {
    let usable = matches!(neighbour.reach, Reach::Reachable | Reach::Stale);
    neighbour.mac.filter(|_| usable).map(|mac| (neighbour.address, mac))
}

/// What a core learns in one go.
const NEWS_AT_ONCE: usize = 64;

const RESOLVE_PATIENCE: Duration = Duration::from_secs(3);
