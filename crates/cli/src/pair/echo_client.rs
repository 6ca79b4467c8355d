//! The client of a server of echo, of either kind: a whole stack with a load on it, or a mirror
//! that keeps eight bytes a connection.

use super::client::{Client, RunningClient};
use super::sides::{self, Demand, Plans};
use crate::args::ClientChoice;
use crate::memory_plan::Plan;
use crate::running::{Running, stopped};
use anyhow::Result;
use crore::driver::{Link, Siblings, Waker};
use crore::mem::{HugePages, Memory};
use crore::{Core, CoreConfig, Engine, Interface, Service, Snapshot, StackConfig, Stop};
use crore_load::{
    Control, Echo, EchoLoad, Latency, Load, Mirror, MirrorConfig, MirrorHost, Numbers, Protocol,
};
use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};

/// A client that has no memory yet.
pub(crate) enum EchoClient {
    Full(Box<EchoLoad>),
    Mirror(Box<MirrorConfig>, Control),
}

/// A client that has not begun.
pub(crate) enum MadeEchoClient {
    Full(Box<Engine<EchoLoad>>),
    Mirror(Box<Mirror>),
}

/// A client on its thread.
pub(crate) enum RunningEchoClient {
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
    /// Segments that came to another core than that of their connection.
    pub(crate) strays: u64,
    /// Frames and segments not processed further, by reason.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
}

impl EchoClient {
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

/// What a pair of a server of echo and such a client will take.
pub(crate) fn plan_echo<S: Service>(demand: &Demand, kind: ClientChoice) -> Result<Plans> {
    match kind {
        ClientChoice::Full => sides::plan::<S, EchoLoad>(demand),
        ClientChoice::Mirror => {
            let mirror = Plan::of(|memory| {
                Mirror::new(demand.mirror(1), memory, Control::new())?;
                Ok(())
            })?;
            sides::plan_beside::<S>(demand, mirror)
        }
    }
}

/// Such a client with a link, for who gives it its turns.
pub(crate) enum EchoHost {
    Full(Box<Core<EchoLoad>>),
    Mirror(Box<MirrorHost>),
}

impl EchoHost {
    /// Puts a client that is made on a link.
    pub(crate) fn new(made: MadeEchoClient, link: Link, config: CoreConfig) -> Self {
        match made {
            MadeEchoClient::Full(engine) => Self::Full(Box::new(Core::new(*engine, link, config))),
            MadeEchoClient::Mirror(mirror) => {
                Self::Mirror(Box::new(MirrorHost::new(*mirror, link, config)))
            }
        }
    }

    /// Joins it with the others of its host. A mirror has none: all that arrives is its own.
    #[must_use]
    pub(crate) fn with_siblings(self, siblings: Siblings) -> Self {
        match self {
            Self::Full(core) => Self::Full(Box::new(core.with_siblings(siblings))),
            Self::Mirror(_) => self,
        }
    }

    pub(crate) fn turn(&mut self) {
        match self {
            Self::Full(core) => core.turn(),
            Self::Mirror(host) => host.turn(),
        };
    }

    pub(crate) fn remains(&self) -> ClientRemains {
        match self {
            Self::Full(core) => (&**core).into(),
            Self::Mirror(host) => host.mirror().into(),
        }
    }
}

impl Client for EchoClient {
    type Made = MadeEchoClient;
    type Running = RunningEchoClient;

    fn make(
        self,
        settings: &StackConfig,
        interface: &Interface,
        pages: HugePages,
    ) -> Result<(MadeEchoClient, Memory)> {
        match self {
            Self::Full(load) => {
                let (engine, memory) = load.make(settings, interface, pages)?;
                Ok((MadeEchoClient::Full(Box::new(engine)), memory))
            }
            Self::Mirror(config, control) => {
                let mut memory = Memory::new(pages);
                let config = MirrorConfig { mac: interface.mac, ..*config };
                let mirror = Mirror::new(config, &mut memory, control)?;
                Ok((MadeEchoClient::Mirror(Box::new(mirror)), memory))
            }
        }
    }

    fn start(
        made: MadeEchoClient,
        link: Link,
        config: CoreConfig,
        stop: &Stop,
    ) -> Result<RunningEchoClient> {
        match made {
            MadeEchoClient::Full(engine) => {
                Ok(RunningEchoClient::Full(EchoLoad::start(*engine, link, config, stop)?))
            }
            MadeEchoClient::Mirror(mirror) => {
                let mut host = MirrorHost::new(*mirror, link, config);
                let (waker, stop) = (host.waker(), stop.clone());
                let thread = thread::Builder::new().name("client".to_owned()).spawn(move || {
                    host.run(&stop);
                    host
                })?;
                Ok(RunningEchoClient::Mirror { thread, waker })
            }
        }
    }
}

impl RunningEchoClient {
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

impl RunningClient for RunningEchoClient {
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
            Self::Full(running) => Ok(running.join()?.into()),
            Self::Mirror { thread, .. } => {
                Ok(thread.join().map_err(|_| stopped())?.mirror().into())
            }
        }
    }
}

impl<P: Protocol> From<&Core<Load<P>>> for ClientRemains {
    fn from(core: &Core<Load<P>>) -> Self {
        let (load, snapshot) = (core.engine().service(), core.snapshot());
        Self {
            numbers: *load.numbers(),
            latency: load.latency().clone(),
            resets: snapshot.counters.resets_in,
            retransmits: snapshot.counters.retransmits,
            leaked: leaked(&snapshot),
            never_asked: None,
            strays: snapshot.counters.strays,
            dropped: snapshot.counters.dropped_by_name().collect(),
        }
    }
}

impl<P: Protocol> From<Core<Load<P>>> for ClientRemains {
    fn from(core: Core<Load<P>>) -> Self {
        (&core).into()
    }
}

impl From<&Mirror> for ClientRemains {
    fn from(mirror: &Mirror) -> Self {
        let (numbers, counts) = (mirror.numbers(), mirror.counts());
        let dropped = [
            ("repeated", counts.repeated),
            ("beyond", counts.beyond),
            ("unusable", counts.unusable),
            ("unfit", counts.unfit),
        ];
        Self {
            numbers: *numbers,
            latency: mirror.latency().clone(),
            resets: numbers.resets,
            retransmits: counts.resent,
            leaked: mirror.left_over(),
            never_asked: Some(counts.never_asked),
            strays: 0,
            dropped: dropped.into_iter().filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// What should be gone: connections, half-open ones, flows other than in TIME-WAIT, buffers, and
/// timers of connections. An entry of the wheel whose connection is gone is none: it fades.
pub(crate) fn leaked(side: &Snapshot) -> u64 {
    let flows = side.flow_entries.saturating_sub(side.time_wait);
    let timers = side.timer_entries.min(side.conns);
    side.conns + side.half_open + flows + side.blocks + timers
}
