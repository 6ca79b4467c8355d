//! The demo's client, of either kind: a whole stack with a load on it, or a mirror that keeps eight
//! bytes a connection.

use crate::args::ClientChoice;
use crate::pair::{Client, Demand, RunningClient};
use crate::running::{Running, stopped};
use anyhow::Result;
use crore::driver::{Link, Waker};
use crore::mem::{HugePages, Memory};
use crore::{Core, CoreConfig, Engine, Interface, Snapshot, StackConfig, Stop};
use crore_load::{Control, Echo, EchoLoad, Latency, Mirror, MirrorConfig, MirrorHost, Numbers};
use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};

/// A client that has no memory yet.
pub(crate) enum DemoClient {
    Full(Box<EchoLoad>),
    Mirror(Box<MirrorConfig>, Control),
}

/// A client that has not begun.
pub(crate) enum MadeClient {
    Full(Box<Engine<EchoLoad>>),
    Mirror(Box<Mirror>),
}

/// A client on its thread.
pub(crate) enum RunningDemoClient {
    Full(Running<EchoLoad>),
    Mirror { thread: JoinHandle<MirrorHost>, waker: Waker },
}

/// What is left of a client in the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientRemains {
    pub(crate) numbers: Numbers,
    pub(crate) latency: Latency,
    pub(crate) resets: u64,
    pub(crate) retransmits: u64,
    /// Whatever should be gone and is not.
    pub(crate) leaked: u64,
    /// Connections that were never asked anything; only a mirror knows.
    pub(crate) never_asked: Option<u64>,
    /// Frames and segments not processed further, by reason.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
}

impl DemoClient {
    /// A client of this kind, with requests of so many octets.
    pub(crate) fn of(
        demand: &Demand,
        kind: ClientChoice,
        payload_bytes: u16,
        control: Control,
    ) -> Self {
        match kind {
            ClientChoice::Full => {
                Self::Full(Box::new(demand.load(Echo::new(payload_bytes), control)))
            }
            ClientChoice::Mirror => Self::Mirror(Box::new(demand.mirror(payload_bytes)), control),
        }
    }
}

impl Client for DemoClient {
    type Made = MadeClient;
    type Running = RunningDemoClient;

    fn make(
        self,
        settings: &StackConfig,
        interface: &Interface,
        pages: HugePages,
    ) -> Result<(MadeClient, Memory)> {
        match self {
            Self::Full(load) => {
                let (engine, memory) = load.make(settings, interface, pages)?;
                Ok((MadeClient::Full(Box::new(engine)), memory))
            }
            Self::Mirror(config, control) => {
                let mut memory = Memory::new(pages);
                let config = MirrorConfig { mac: interface.mac, ..*config };
                let mirror = Mirror::new(config, &mut memory, control)?;
                Ok((MadeClient::Mirror(Box::new(mirror)), memory))
            }
        }
    }

    fn start(
        made: MadeClient,
        link: Link,
        config: CoreConfig,
        stop: &Stop,
    ) -> Result<RunningDemoClient> {
        match made {
            MadeClient::Full(engine) => {
                Ok(RunningDemoClient::Full(EchoLoad::start(*engine, link, config, stop)?))
            }
            MadeClient::Mirror(mirror) => {
                let mut host = MirrorHost::new(*mirror, link, config);
                let (waker, stop) = (host.waker(), stop.clone());
                let thread = thread::Builder::new().name("client".to_owned()).spawn(move || {
                    host.run(&stop);
                    host
                })?;
                Ok(RunningDemoClient::Mirror { thread, waker })
            }
        }
    }
}

impl RunningDemoClient {
    /// True when it has no connection any more. A mirror is through with its phases only then.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Full(running) => {
                let now = running.snapshot_now();
                now.conns + now.half_open + now.blocks == 0
            }
            Self::Mirror { .. } => true,
        }
    }
}

impl RunningClient for RunningDemoClient {
    type Ended = ClientRemains;

    fn wake(&self) {
        match self {
            Self::Full(running) => running.wake(),
            Self::Mirror { waker, .. } => waker.wake(),
        }
    }

    fn check_alive(&self) -> Result<()> {
        match self {
            Self::Full(running) => running.check_alive(),
            Self::Mirror { thread, .. } if thread.is_finished() => Err(stopped()),
            Self::Mirror { .. } => Ok(()),
        }
    }

    fn join(self) -> Result<ClientRemains> {
        self.wake();
        match self {
            Self::Full(running) => Ok(of_load(&running.join()?)),
            Self::Mirror { thread, .. } => {
                Ok(of_mirror(thread.join().map_err(|_| stopped())?.mirror()))
            }
        }
    }
}

fn of_load(core: &Core<EchoLoad>) -> ClientRemains {
    let (load, snapshot) = (core.engine().service(), core.snapshot());
    ClientRemains {
        numbers: *load.numbers(),
        latency: load.latency().clone(),
        resets: snapshot.counters.resets_in,
        retransmits: snapshot.counters.retransmits,
        leaked: leaked(&snapshot),
        never_asked: None,
        dropped: snapshot.counters.dropped_by_name().collect(),
    }
}

fn of_mirror(mirror: &Mirror) -> ClientRemains {
    let (numbers, counts) = (mirror.numbers(), mirror.counts());
    let dropped = [
        ("repeated", counts.repeated),
        ("beyond", counts.beyond),
        ("unusable", counts.unusable),
        ("unfit", counts.unfit),
    ];
    ClientRemains {
        numbers: *numbers,
        latency: mirror.latency().clone(),
        resets: numbers.resets,
        retransmits: counts.resent,
        leaked: mirror.left_over(),
        never_asked: Some(counts.never_asked),
        dropped: dropped.into_iter().filter(|(_, count)| *count > 0).collect(),
    }
}

/// What should be gone: connections, half-open ones, flows other than in TIME-WAIT, buffers, and
/// timers of connections. An entry of the wheel whose connection is gone is none: it fades.
pub(crate) fn leaked(side: &Snapshot) -> u64 {
    let flows = side.flow_entries.saturating_sub(side.time_wait);
    let timers = side.timer_entries.min(side.conns);
    side.conns + side.half_open + flows + side.blocks + timers
}
