//! Settings, memory and addresses of a server and a client that a pipe joins.

use super::client::Client;
use crate::memory_plan::Plan;
use anyhow::{Result, ensure};
use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use crore::driver::{Capabilities, Link, memif, pipe};
use crore::mem::{HugePages, Memory, Pages, PoolClass};
use crore::{AddressRange, Engine, Interface, Service, StackConfig, Steering};
use crore_load::{
    Churn, Clock, Control, Latency, Load, LoadConfig, LocalAddresses, MirrorConfig, MirrorLives,
    Pace, Protocol, StreamClient,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What joins a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Pipe,
    /// As between two processes; `zero_copy` is the client's.
    Memif {
        zero_copy: bool,
    },
}

/// What is asked of a pair.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pub(crate) connections: u32,
    /// Addresses and ports that the client has, at least.
    pub(crate) local_ends: u32,
    /// The server's queue that all connections are to arrive at; `None`: any.
    pub(crate) home: Option<Box<Steering>>,
    pub(crate) pace: Pace,
    /// Short lives beside.
    beside: Option<Churn>,
    /// Requests under way at a time, at most.
    in_flight: u32,
    /// `None`: until the load is told to hurry.
    pub(crate) traffic_time: Option<Duration>,
    pub(crate) mtu: u16,
    pub(crate) wire: Wire,
    /// Takes how long each request is with the server; see [`pipe::Watch`].
    pub(crate) residence: Option<Arc<Mutex<Latency>>>,
    /// Settings of both stacks; they decide how much memory a pair takes.
    pub(crate) server: StackConfig,
    pub(crate) client: StackConfig,
}

impl Demand {
    /// So many connections, with requests of so many octets on them, and settings for that.
    pub(crate) fn new(
        connections: u32,
        payload_bytes: u16,
        pace: Pace,
        traffic_time: Option<Duration>,
    ) -> Self {
        Self::with_lives(connections, payload_bytes, (pace, None), traffic_time)
    }

    /// The same with short lives beside the requests.
    pub(crate) fn with_lives(
        connections: u32,
        payload_bytes: u16,
        (pace, beside): (Pace, Option<Churn>),
        traffic_time: Option<Duration>,
    ) -> Self {
        let in_flight = match pace {
            Pace::Closed { in_flight } => in_flight,
            // A server that keeps up has far fewer; one that does not shows it in the latency.
            Pace::Open { .. } => connections.min(1 << 16),
            Pace::Churn(churn) => churn.at_once,
        };
        let churn = match pace {
            Pace::Churn(churn) => Some(churn),
            Pace::Closed { .. } | Pace::Open { .. } => beside,
        };
        // Some are over for their peer and not yet for us.
        let short = churn.map_or(0, |churn| 2 * churn.at_once);
        let local_ends = churn.map_or(0, |churn| churn.local_ends);
        let pool = pool(in_flight + short, u32::from(payload_bytes));
        let settings = settings(connections + short, pool);
        Self {
            connections,
            local_ends: connections + local_ends,
            home: None,
            pace,
            beside,
            residence: None,
            in_flight,
            traffic_time,
            mtu: MTU,
            wire: Wire::Pipe,
            server: server_settings(settings.clone()),
            client: client_settings(settings),
        }
    }

    /// The client's service: opens the connections and asks as `protocol` says.
    pub(crate) fn load<P: Protocol>(&self, protocol: P, control: Control) -> Load<P> {
        let (remote, locals) = self.ends();
        let config = LoadConfig {
            remote,
            locals,
            home: self.home.clone(),
            connections: self.connections,
            opens_per_second: None,
            handshakes_max: HANDSHAKES_MAX,
            pace: self.pace,
            beside: self.beside,
            traffic_time: self.traffic_time,
            seed: seed(),
        };
        Load::new(config, protocol, Clock::measured(), control)
    }

    /// A client that keeps hardly anything of a connection, with requests of so many octets. It
    /// closes its short lives before the server does.
    pub(crate) fn mirror(&self, payload_bytes: u16) -> MirrorConfig {
        let (requests_per_second, in_flight, lives) = match self.pace {
            Pace::Open { per_second } => (Some(per_second), self.in_flight, None),
            Pace::Closed { .. } => (None, self.in_flight, None),
            Pace::Churn(Churn { at_once, local_ends, .. }) => {
                (None, 0, Some(MirrorLives { at_once, count: local_ends }))
            }
        };
        MirrorConfig {
            server: SocketAddrV4::new(SERVER, PORT),
            mac: [2; 6],
            first_address: FIRST_CLIENT,
            connections: self.connections,
            payload_bytes,
            lives,
            handshakes_max: HANDSHAKES_MAX,
            in_flight,
            requests_per_second,
            traffic_time: self.traffic_time.unwrap_or(Duration::MAX),
            seed: seed(),
        }
    }

    /// The same for streams.
    pub(crate) fn streams(&self, control: Control) -> StreamClient {
        let (remote, locals) = self.ends();
        StreamClient { remote, locals, connections: self.connections, control }
    }

    /// The server's end, and those of the client.
    fn ends(&self) -> (SocketAddr, LocalAddresses) {
        let remote = SocketAddr::new(IpAddr::V4(SERVER), PORT);
        let locals = client_interface(self, [2; 6], self.mtu).addresses;
        (remote, LocalAddresses::for_remote(&locals, remote.ip()))
    }

    /// The server's engine for a link: it listens.
    pub(crate) fn server_engine<S: Service>(
        &self,
        link: &Link,
        service: S,
        pages: HugePages,
    ) -> Result<(Engine<S>, Memory)> {
        let Capabilities { mac, mtu, .. } = link.capabilities();
        let interface = server_interface(mac, mtu);
        let settings = steered(&self.server, link);
        let (mut engine, memory) = engine(&settings, &interface, service, pages)?;
        engine.listen(PORT);
        Ok((engine, memory))
    }

    /// The client with its memory, for a link.
    pub(crate) fn client_on<C: Client>(
        &self,
        link: &Link,
        client: C,
        pages: HugePages,
    ) -> Result<(C::Made, Memory)> {
        let Capabilities { mac, mtu, .. } = link.capabilities();
        let interface = client_interface(self, mac, mtu);
        client.make(&steered(&self.client, link), &interface, pages)
    }
}

/// Both ends, ready to run.
pub(crate) struct Sides<S: Service, C: Client> {
    pub(crate) server: (Engine<S>, Link),
    pub(crate) client: (C::Made, Link),
    pub(crate) memory: MemoryOfSides,
    /// What most of the memory is on.
    pub(crate) pages: Option<Pages>,
}

/// All memory of each side, half of the pipe included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MemoryOfSides {
    pub(crate) server_bytes: usize,
    pub(crate) client_bytes: usize,
}

/// What both sides will take.
pub(crate) struct Plans {
    pub(crate) server: Plan,
    pub(crate) client: Plan,
    pipe: Plan,
}

impl Plans {
    pub(crate) fn total_bytes(&self) -> usize {
        self.server.total_bytes() + self.client.total_bytes() + self.pipe.total_bytes()
    }

    pub(crate) fn huge_pages(&self) -> usize {
        self.server.huge_pages() + self.client.huge_pages() + self.pipe.huge_pages()
    }
}

/// What a pair with these services will take, before anything is taken.
pub(crate) fn plan<S: Service, C: Service>(demand: &Demand) -> Result<Plans> {
    let interface = client_interface(demand, [2; 6], demand.mtu);
    plan_beside::<S>(demand, Plan::of_engine::<C::State>(&demand.client, &interface)?)
}

/// The same with a client that will take what `client` says.
pub(crate) fn plan_beside<S: Service>(demand: &Demand, client: Plan) -> Result<Plans> {
    let (mac, mtu) = ([2; 6], demand.mtu);
    let pipe = Plan::of(|memory| {
        pipe::pair(memory, SLOTS, mtu)?;
        Ok(())
    })?;
    Ok(Plans {
        server: Plan::of_engine::<S::State>(&demand.server, &server_interface(mac, mtu))?,
        client,
        pipe,
    })
}

impl<S: Service, C: Client> Sides<S, C> {
    /// Takes all the memory.
    pub(crate) fn new(demand: &Demand, server: S, client: C, pages: HugePages) -> Result<Self> {
        let mut pipe_memory = Memory::new(pages);
        let (server_link, client_link) = links(demand, &mut pipe_memory)?;
        let (server, server_memory) = demand.server_engine(&server_link, server, pages)?;
        let (client, client_memory) = demand.client_on(&client_link, client, pages)?;
        Ok(Self {
            pages: server_memory.main_pages(),
            server: (server, server_link),
            client: (client, client_link),
            memory: MemoryOfSides {
                server_bytes: server_memory.total_bytes() + pipe_memory.total_bytes() / 2,
                client_bytes: client_memory.total_bytes() + pipe_memory.total_bytes() / 2,
            },
        })
    }
}

/// The wire; a pipe's client end is watched when somebody wants to know how long the server takes.
fn links(demand: &Demand, memory: &mut Memory) -> Result<(Link, Link)> {
    if let Wire::Memif { zero_copy } = demand.wire {
        return memif_links(demand.mtu, zero_copy, memory);
    }
    let Some(residence) = demand.residence.clone() else {
        let (server, client) = pipe::pair(memory, SLOTS, demand.mtu)?;
        return Ok((Link::Pipe(server), Link::Pipe(client)));
    };
    let (server, client) = pipe::pair_stamped(memory, SLOTS, demand.mtu, crore::tsc)?;
    let clock = Clock::measured();
    let told = move |ticks| {
        let mut residence = residence.lock().unwrap_or_else(PoisonError::into_inner);
        residence.record_ns(clock.ns(ticks), 1);
    };
    Ok((Link::Pipe(server), Link::Watched(pipe::Watch::new(client, Box::new(told)))))
}

/// Both ends of a memif link at a socket that nobody else knows.
fn memif_links(mtu: u16, zero_copy: bool, memory: &mut Memory) -> Result<(Link, Link)> {
    let options = |role| {
        let name = format!("crore-pair-{}-{zero_copy}", std::process::id());
        let mut options = memif::Options::new(memif::Address::Abstract(name), role);
        (options.mtu, options.zero_copy) = (mtu, zero_copy);
        options.ring_log2 = SLOTS.ilog2() as u8;
        options
    };
    let mut server = memif::open(&options(memif::Role::Server), memory)?;
    let mut client = memif::open(&options(memif::Role::Client), memory)?;
    let begun = Instant::now();
    while !(server.status.is_up() && client.status.is_up()) {
        ensure!(begun.elapsed() < MEMIF_PATIENCE, "the two ends of a memif link did not meet");
        thread::sleep(Duration::from_millis(1));
    }
    let first = |opened: &mut memif::Opened| Link::Memif(opened.queues.remove(0));
    Ok((first(&mut server), first(&mut client)))
}

/// An engine on its memory.
pub(super) fn engine<S: Service>(
    settings: &StackConfig,
    interface: &Interface,
    service: S,
    pages: HugePages,
) -> Result<(Engine<S>, Memory)> {
    let mut memory = Memory::new(pages);
    let settings = settings.clone();
    let engine = Engine::new(settings, interface, service, &mut memory, crore::random_seed())?;
    Ok((engine, memory))
}

/// Settings of one core of several, if the link has several queues.
fn steered(settings: &StackConfig, link: &Link) -> StackConfig {
    let steering = link.steering().map(Box::new);
    let cores = steering.as_ref().map_or(1, |steering| steering.rss.queues());
    StackConfig { cores, steering, ..settings.clone() }
}

fn seed() -> u64 {
    let random = crore::random_seed();
    random[..8].iter().fold(0, |seed, &byte| seed << 8 | u64::from(byte))
}

fn server_settings(mut settings: StackConfig) -> StackConfig {
    // The client closes first, so TIME-WAIT is there.
    settings.time_wait_max = 1 << 10;
    settings.half_open_max = 4 * HANDSHAKES_MAX;
    settings
}

fn client_settings(mut settings: StackConfig) -> StackConfig {
    settings.ack_delay_ms = 0;
    settings.half_open_max = 1 << 6;
    settings.time_wait_max = settings.conns_max.clamp(1 << 10, 1 << 17);
    settings
}

/// What both sides have in common: small buffers, because a request is small, and a pool for what
/// can be under way, because an idle connection has no buffer at all.
fn settings(connections: u32, pool: [PoolClass; 3]) -> StackConfig {
    let mut settings = StackConfig::for_connections(connections);
    settings.nodelay = true;
    settings.snd_buf_bytes = 64 << 10;
    settings.snd_buf_max_bytes = 64 << 10;
    settings.rcv_buf_bytes = 64 << 10;
    settings.rcv_buf_max_bytes = 64 << 10;
    settings.neighbours_max = 1 << 12;
    settings.pool = pool;
    settings
}

/// Blocks for so many payloads, twice: one may wait for its acknowledgment while the next is sent.
fn pool(in_flight: u32, payload_bytes: u32) -> [PoolClass; 3] {
    let mut classes = [
        PoolClass { payload_bytes: 160, count: 1 << 10 },
        PoolClass { payload_bytes: 480, count: 1 << 9 },
        PoolClass { payload_bytes: 2016, count: 1 << 9 },
    ];
    let fitting = classes.iter().position(|class| payload_bytes <= class.payload_bytes);
    let class = &mut classes[fitting.unwrap_or(2)];
    class.count += 2 * in_flight * payload_bytes.div_ceil(class.payload_bytes);
    classes
}

/// The client is also the way to everywhere else: strangers can be answered.
fn server_interface(mac: [u8; 6], mtu: u16) -> Interface {
    let gateway_v4 = Some(FIRST_CLIENT);
    Interface { gateway_v4, ..interface(mac, mtu, SERVER, 1) }
}

fn client_interface(demand: &Demand, mac: [u8; 6], mtu: u16) -> Interface {
    let addresses = LocalAddresses::needed_for(demand.local_ends);
    interface(mac, mtu, FIRST_CLIENT, addresses)
}

fn interface(mac: [u8; 6], mtu: u16, first: Ipv4Addr, count: u32) -> Interface {
    Interface::new(mac, mtu, vec![AddressRange { first: IpAddr::V4(first), count, prefix_len: 8 }])
}

pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);
const FIRST_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const PORT: u16 = 7;
const MTU: u16 = 1500;

/// Frames on their way in one direction: enough for some bursts, few enough to stay in the cache.
pub(crate) const SLOTS: u32 = 512;

/// Connections being opened at the same time, or closed: a full ring loses answers to strangers.
const HANDSHAKES_MAX: u32 = 384;

/// Two threads of one process have nothing to wait for.
const MEMIF_PATIENCE: Duration = Duration::from_secs(5);

const _: () = assert!(HANDSHAKES_MAX < SLOTS);
