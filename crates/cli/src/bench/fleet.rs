//! Servers on several cores, each with a generator on the same core: one thread turns both, one
//! after the other. So a machine with N processors shows 1 to N server cores, and all of them in
//! the same way: a core more is a processor more, with all that it is asked to do.
//!
//! ```text
//!   thread 0, processor 0:   server core 0, generator 0, server core 0, ...
//!   thread 1, processor 1:   server core 1, generator 1, ...
//!                            a pipe with N queues a side between servers and generators
//! ```
//!
//! Every frame is steered by its hash, as an interface would. A generator whose connections are all
//! of *its own* core's shard sends nothing to another processor: as with a network, whose frames
//! cost no other core anything. Else its frames *cross*: they are written on one processor and
//! read on another, which a network spares its hosts.

use super::machine::Machine;
use crate::args::ClientChoice;
use crate::interrupt;
use crate::pair::{ClientRemains, Demand, EchoClient, EchoHost, SLOTS};
use anyhow::{Result, anyhow, bail};
use crore::driver::{Link, Siblings, pipe, siblings};
use crore::mem::Memory;
use crore::{Core, CoreConfig, Snapshot, StatsPage};
use crore_echo::Echo as EchoServer;
use crore_load::{Control, Phase};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The cores of a server and its generators, with all connections open.
pub(crate) struct Fleet {
    pub(crate) cores: u16,
    members: Vec<Member>,
    orders: Arc<Orders>,
}

/// One thread.
struct Member {
    control: Control,
    server: StatsPage,
    thread: JoinHandle<Both>,
}

/// What one thread turns.
struct Both {
    server: Core<EchoServer>,
    client: EchoHost,
}

/// What the threads are to do.
#[derive(Debug, Default)]
struct Orders(AtomicU32);

const TURN: u32 = 0;
const REST: u32 = 1;
const STOP: u32 = 2;

/// What the server's cores did in a time.
pub(crate) struct Stretch {
    pub(crate) before: Vec<Snapshot>,
    pub(crate) after: Vec<Snapshot>,
}

/// The links of servers and generators, and where there are several what joins each pair with the
/// others.
type Links = (Vec<Link>, Vec<Link>, Vec<Option<(Siblings, Siblings)>>);

/// What is left of a fleet.
pub(crate) struct Remains {
    pub(crate) servers: Vec<Snapshot>,
    pub(crate) clients: Vec<ClientRemains>,
}

impl Fleet {
    /// Opens `demand.connections` on each of so many cores.
    pub(crate) fn open(
        demand: &Demand,
        (cpus, crosses): (&[usize], bool),
        payload_bytes: u16,
        machine: &Machine,
    ) -> Result<Self> {
        let cores = cpus.len() as u16;
        let mut frames = Memory::new(machine.pages);
        let (near, far) = pipe::queues(&mut frames, (cores, cores), SLOTS, demand.mtu)?;
        let near: Vec<Link> = near.into_iter().map(Link::PipeQueue).collect();
        let far: Vec<Link> = far.into_iter().map(Link::PipeQueue).collect();
        let joined = siblings(&mut frames, &near)?.into_iter().zip(siblings(&mut frames, &far)?);
        let joined: Vec<_> = joined.map(Some).collect();
        let links = (near, far, joined);
        Self::over(links, (demand, ClientChoice::Full), (cpus, crosses), payload_bytes, machine)
    }

    /// Opens them on one core, over a pipe without steering, by a generator of this kind.
    pub(crate) fn open_one(
        demand: &Demand,
        kind: ClientChoice,
        cpu: usize,
        payload_bytes: u16,
        machine: &Machine,
    ) -> Result<Self> {
        let (near, far) = pipe::pair(&mut Memory::new(machine.pages), SLOTS, demand.mtu)?;
        let links = (vec![Link::Pipe(near)], vec![Link::Pipe(far)], vec![None]);
        Self::over(links, (demand, kind), (&[cpu], true), payload_bytes, machine)
    }

    fn over(
        (near, far, joined): Links,
        (demand, kind): (&Demand, ClientChoice),
        (cpus, crosses): (&[usize], bool),
        payload_bytes: u16,
        machine: &Machine,
    ) -> Result<Self> {
        let cores = cpus.len() as u16;
        let orders = Arc::new(Orders::default());
        let mut members = Vec::new();
        for (((server_link, client_link), joined), &cpu) in
            near.into_iter().zip(far).zip(joined).zip(cpus)
        {
            let mut demand = demand.clone();
            demand.home = if crosses { None } else { server_link.steering().map(Box::new) };
            let control = Control::new();
            control.pause(true);
            let client = EchoClient::of(&demand, kind, payload_bytes, control.clone());
            let (server, _) = demand.server_engine(&server_link, EchoServer, machine.pages)?;
            let (client, _) = demand.client_on(&client_link, client, machine.pages)?;
            let config = CoreConfig { spin_before_sleep: None, ..CoreConfig::default() };
            let mut server = Core::new(server, server_link, config.clone());
            let mut client = EchoHost::new(client, client_link, config);
            if let Some((of_server, of_client)) = joined {
                server = server.with_siblings(of_server);
                client = client.with_siblings(of_client);
            }
            let page = server.stats();
            let orders = Arc::clone(&orders);
            let both = Both { server, client };
            let thread = thread::Builder::new().name(format!("core {cpu}"));
            let thread = thread.spawn(move || both.run(cpu, &orders))?;
            members.push(Member { control, server: page, thread });
        }
        let fleet = Self { cores, members, orders };
        fleet.through(Phase::Opening)?;
        fleet.members.iter().for_each(|member| member.control.allow(Phase::Traffic));
        fleet.rest();
        Ok(fleet)
    }

    /// Traffic for so long, after a tenth of that in which it gets going; then rest, with no
    /// request under way.
    pub(crate) fn stretch(&self, time: Duration) -> Result<Stretch> {
        self.orders.0.store(TURN, Ordering::Release);
        self.members.iter().for_each(|member| member.control.pause(false));
        self.wait(time / 10)?;
        let before = self.snapshots();
        self.wait(time)?;
        let after = self.snapshots();
        self.members.iter().for_each(|member| member.control.pause(true));
        let begun = Instant::now();
        let is_quiet = |member: &Member| member.control.numbers().is_answered();
        while !self.members.iter().all(is_quiet) && begun.elapsed() < PATIENCE {
            self.wait(STEP)?;
        }
        // Acknowledgments may still be on their way.
        self.wait(QUIET)?;
        self.rest();
        Ok(Stretch { before, after })
    }

    /// The last replies, whether all connections stand, and their end.
    pub(crate) fn end(mut self) -> Result<Remains> {
        self.orders.0.store(TURN, Ordering::Release);
        self.members.iter().for_each(|member| member.control.hurry());
        for phase in [Phase::Settling, Phase::Checking, Phase::Closing] {
            self.through(phase)?;
        }
        self.wait(QUIET)?;
        self.orders.0.store(STOP, Ordering::Release);
        let mut remains = Remains { servers: Vec::new(), clients: Vec::new() };
        for member in self.members.drain(..) {
            let both = member.thread.join().map_err(|_| anyhow!("a core has stopped"))?;
            remains.servers.push(both.server.snapshot());
            remains.clients.push(both.client.remains());
        }
        Ok(remains)
    }

    /// Waits until all loads have done with a phase.
    fn through(&self, phase: Phase) -> Result<()> {
        let allowed = if phase == Phase::Closing { Phase::Done } else { phase };
        self.members.iter().for_each(|member| member.control.allow(allowed));
        let is_done = |member: &Member| member.control.numbers().is_through(phase);
        while !self.members.iter().all(is_done) {
            self.wait(STEP)?;
        }
        Ok(())
    }

    fn rest(&self) {
        self.orders.0.store(REST, Ordering::Release);
    }

    fn wait(&self, time: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            if interrupt::came() {
                bail!("interrupted");
            }
            if self.members.iter().any(|member| member.thread.is_finished()) {
                bail!("a core has stopped by a fault of this program; its message is above");
            }
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(STEP));
        }
    }

    /// As the cores last wrote them, which a busy one does every 20 ms, with the time.
    fn snapshots(&self) -> Vec<Snapshot> {
        self.members.iter().map(|member| member.server.read()).collect()
    }
}

impl Stretch {
    /// Packets a second that each server core received and sent.
    pub(crate) fn packet_rates(&self) -> Vec<f64> {
        let packets = |of: &Snapshot| of.counters.rx_frames + of.counters.tx_frames;
        let rate = |(before, after): (&Snapshot, &Snapshot)| {
            let us = after.now_us.saturating_sub(before.now_us).max(1);
            packets(after).saturating_sub(packets(before)) as f64 * 1e6 / us as f64
        };
        self.before.iter().zip(&self.after).map(rate).collect()
    }

    /// All of them.
    pub(crate) fn packet_rate(&self) -> f64 {
        self.packet_rates().iter().sum()
    }
}

impl Both {
    fn run(mut self, cpu: usize, orders: &Orders) -> Self {
        // Being elsewhere only costs speed.
        let _ = crore::pin::pin_to(cpu);
        loop {
            match orders.0.load(Ordering::Acquire) {
                STOP => return self,
                REST => thread::sleep(STEP),
                _ => {
                    for _ in 0..TURNS {
                        self.server.turn();
                        self.client.turn();
                    }
                }
            }
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.orders.0.store(STOP, Ordering::Release);
    }
}

/// Turns of both between two looks at the orders.
const TURNS: usize = 64;
const STEP: Duration = Duration::from_millis(2);

/// Longer than an acknowledgment is delayed.
const QUIET: Duration = Duration::from_millis(60);
const PATIENCE: Duration = Duration::from_secs(5);
