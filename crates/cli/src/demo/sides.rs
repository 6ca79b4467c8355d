//! Settings, memory and addresses of the demo's server and client.

use crate::args::DemoOptions;
use crate::plan::Plan;
use anyhow::Result;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use crore::driver::pipe;
use crore::driver::{Capabilities, Link};
use crore::mem::{HugePages, Memory, Pages, PoolClass, region_bytes};
use crore::{AddressRange, Engine, Interface, StackConfig};
use crore_echo::Echo as EchoServer;
use crore_load::{Asked, Clock, Control, Echo, EchoLoad, Load, LoadConfig, LocalAddresses, Pace};
use std::time::Duration;

/// What is asked of the demo.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pub(crate) connections: u32,
    pub(crate) payload_bytes: u16,
    pub(crate) pace: Pace,
    pub(crate) traffic_time: Duration,
}

impl Demand {
    pub(crate) fn of(options: &DemoOptions, connections: u32) -> Self {
        let pace = match options.rate {
            Some(per_second) => Pace::Open { per_second },
            None => Pace::Closed { in_flight: options.in_flight.min(connections) },
        };
        let traffic_time = Duration::from_secs_f64(options.seconds);
        Self { connections, payload_bytes: options.payload, pace, traffic_time }
    }

    /// Requests that can be under way at the same time.
    fn in_flight_max(&self) -> u32 {
        match self.pace {
            Pace::Closed { in_flight } => in_flight,
            // A server that keeps up has far fewer; one that does not shows it in the latency.
            Pace::Open { .. } => self.connections.min(1 << 16),
        }
    }
}

/// Both ends, ready to run.
pub(crate) struct Sides {
    pub(crate) server: (Engine<EchoServer>, Link),
    pub(crate) client: (Engine<EchoLoad>, Link),
    pub(crate) control: Control,
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
    pipe_bytes: usize,
}

impl Plans {
    pub(crate) fn total_bytes(&self) -> usize {
        self.server.total_bytes() + self.client.total_bytes() + self.pipe_bytes
    }

    pub(crate) fn huge_pages(&self) -> usize {
        let pipe = Plan { regions: vec![("pipe", self.pipe_bytes / 2); 2] };
        self.server.huge_pages() + self.client.huge_pages() + pipe.huge_pages()
    }
}

/// What the demo will take, before anything is taken.
pub(crate) fn plan(demand: &Demand) -> Result<Plans> {
    let (mac, mtu) = ([2; 6], MTU);
    let server = interface(mac, mtu, SERVER, 1);
    let client = interface(mac, mtu, FIRST_CLIENT, clients(demand));
    let mut memory = Memory::heap();
    pipe::pair(&mut memory, SLOTS, MTU)?;
    let pipe = memory.accounts().iter().map(|account| region_bytes(account.bytes));
    Ok(Plans {
        server: Plan::of_engine::<()>(&server_settings(demand), &server)?,
        client: Plan::of_engine::<Asked>(&client_settings(demand), &client)?,
        pipe_bytes: pipe.sum(),
    })
}

impl Sides {
    /// Takes all the memory.
    pub(crate) fn new(demand: &Demand, pages: HugePages) -> Result<Self> {
        let mut pipe_memory = Memory::new(pages);
        let (server_end, client_end) = pipe::pair(&mut pipe_memory, SLOTS, MTU)?;
        let (server_link, client_link) = (Link::Pipe(server_end), Link::Pipe(client_end));
        let mut server_memory = Memory::new(pages);
        let server = server(demand, &server_link.capabilities(), &mut server_memory)?;
        let mut client_memory = Memory::new(pages);
        let control = Control::new();
        let client =
            client(demand, &client_link.capabilities(), control.clone(), &mut client_memory)?;
        Ok(Self {
            pages: server_memory.main_pages(),
            server: (server, server_link),
            client: (client, client_link),
            control,
            memory: MemoryOfSides {
                server_bytes: server_memory.total_bytes() + pipe_memory.total_bytes() / 2,
                client_bytes: client_memory.total_bytes() + pipe_memory.total_bytes() / 2,
            },
        })
    }
}

fn server(demand: &Demand, link: &Capabilities, memory: &mut Memory) -> Result<Engine<EchoServer>> {
    let interface = interface(link.mac, link.mtu, SERVER, 1);
    let settings = server_settings(demand);
    let mut engine = Engine::new(settings, &interface, EchoServer, memory, crore::random_seed())?;
    engine.listen(PORT);
    Ok(engine)
}

fn client(
    demand: &Demand,
    link: &Capabilities,
    control: Control,
    memory: &mut Memory,
) -> Result<Engine<EchoLoad>> {
    let interface = interface(link.mac, link.mtu, FIRST_CLIENT, clients(demand));
    let remote = SocketAddr::new(IpAddr::V4(SERVER), PORT);
    let seed = crore::random_seed();
    let config = LoadConfig {
        remote,
        locals: LocalAddresses::for_remote(&interface.addresses, remote.ip()),
        connections: demand.connections,
        opens_per_second: None,
        handshakes_max: HANDSHAKES_MAX,
        pace: demand.pace,
        traffic_time: Some(demand.traffic_time),
        seed: u64::from_le_bytes(seed[..8].try_into().expect("eight bytes")),
    };
    let load = Load::new(config, Echo::new(demand.payload_bytes), Clock::measured(), control);
    Ok(Engine::new(client_settings(demand), &interface, load, memory, crore::random_seed())?)
}

fn server_settings(demand: &Demand) -> StackConfig {
    let mut settings = settings(demand);
    // The client closes first, so TIME-WAIT is there.
    settings.time_wait_max = 1 << 10;
    settings.half_open_max = 4 * HANDSHAKES_MAX;
    settings
}

fn client_settings(demand: &Demand) -> StackConfig {
    let mut settings = settings(demand);
    settings.ack_delay_ms = 0;
    settings.half_open_max = 1 << 6;
    settings.time_wait_max = demand.connections.clamp(1 << 10, 1 << 17);
    settings
}

/// What both sides have in common: small buffers, because a request is small, and a pool for what
/// can be under way, because an idle connection has no buffer at all.
fn settings(demand: &Demand) -> StackConfig {
    let mut settings = StackConfig::for_connections(demand.connections);
    settings.nodelay = true;
    settings.snd_buf_bytes = 64 << 10;
    settings.snd_buf_max_bytes = 64 << 10;
    settings.rcv_buf_bytes = 64 << 10;
    settings.rcv_buf_max_bytes = 64 << 10;
    settings.neighbours_max = 1 << 12;
    settings.pool = pool(demand.in_flight_max(), u32::from(demand.payload_bytes));
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

fn interface(mac: [u8; 6], mtu: u16, first: Ipv4Addr, count: u32) -> Interface {
    Interface {
        mac,
        mtu,
        vlan: None,
        addresses: vec![AddressRange { first: IpAddr::V4(first), count, prefix_len: 8 }],
        gateway_v4: None,
        gateway_v6: None,
        verify_checksums: true,
    }
}

fn clients(demand: &Demand) -> u32 {
    LocalAddresses::needed_for(demand.connections)
}

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);
const FIRST_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PORT: u16 = 7;
const MTU: u16 = 1500;

/// Frames on their way in one direction: enough for some bursts, few enough to stay in the cache.
const SLOTS: u32 = 512;

/// Connections being opened at the same time, or closed: a full ring loses answers to strangers.
const HANDSHAKES_MAX: u32 = 384;

const _: () = assert!(HANDSHAKES_MAX < SLOTS);
