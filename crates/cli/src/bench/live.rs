//! A server with N live connections, measured in windows: what most profiles have in common.
//!
//! Between windows no request is under way, so that something else can have the processors.

use super::machine::Machine;
use super::probe;
use crate::interrupt;
use crate::pair::{Client, ClientRemains, Cores, Demand, MemoryOfSides, RunningClient, Sides};
use crate::report::{CyclesPerPacket, packets_between};
use crate::text;
use anyhow::{Result, bail};
use crore::{Core, Service, Snapshot};
use crore_load::{Control, Load, Numbers, Phase, Protocol};
use std::thread;
use std::time::{Duration, Instant};

/// A server and a client that has opened all its connections.
pub(crate) struct Live<S: Service, C: Client> {
    pub(crate) cores: Cores<S, C>,
    pub(crate) control: Control,
    pub(crate) memory: MemoryOfSides,
}

/// What the server's core did in a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) before: Snapshot,
    pub(crate) after: Snapshot,
}

/// What is left in the end.
pub(crate) struct Ended<S: Service> {
    pub(crate) server: Core<S>,
    /// Its latency is from when requests were due to their replies, in all windows.
    pub(crate) client: ClientRemains,
}

impl<S: Service, P: Protocol> Live<S, Load<P>>
where
    Core<S>: Send + 'static,
    Core<Load<P>>: Send + 'static,
{
    /// Opens all connections. The memory for it must have been reserved.
    pub(crate) fn open(demand: &Demand, server: S, protocol: P, machine: &Machine) -> Result<Self> {
        Self::open_with(demand, server, |control| demand.load(protocol, control), machine)
    }
}

impl<S: Service, C: Client> Live<S, C>
where
    Core<S>: Send + 'static,
    <C::Running as RunningClient>::Ended: Into<ClientRemains>,
{
    /// The same with a client that obeys this control.
    pub(crate) fn open_with(
        demand: &Demand,
        server: S,
        client: impl FnOnce(Control) -> C,
        machine: &Machine,
    ) -> Result<Self> {
        let control = Control::new();
        control.pause(true);
        let client = client(control.clone());
        let sides = Sides::new(demand, server, client, machine.pages)?;
        let memory = sides.memory;
        let cores = Cores::start(sides, machine.places)?;
        let live = Self { cores, control, memory };
        let numbers = live.through(Phase::Opening)?;
        let a_second = text::rate(numbers.opened as f64 / numbers.open_seconds.max(1e-9));
        let (opened, took) = (text::grouped(numbers.opened), numbers.open_seconds);
        println!("{opened} connections opened in {took:.2} s: {a_second}/s");
        live.control.allow(Phase::Traffic);
        Ok(live)
    }

    /// Waits until the load has done with a phase.
    fn through(&self, phase: Phase) -> Result<Numbers> {
        self.control.allow(if phase == Phase::Closing { Phase::Done } else { phase });
        loop {
            self.step()?;
            let numbers = self.control.numbers();
            if numbers.is_through(phase) {
                return Ok(numbers);
            }
        }
    }

    /// Some milliseconds; fails when a core has ended, or somebody pressed Ctrl-C.
    fn step(&self) -> Result<()> {
        if interrupt::came() {
            bail!("interrupted");
        }
        self.cores.nudge()?;
        thread::sleep(STEP);
        Ok(())
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, time: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.step()?;
        }
        Ok(())
    }

    /// Traffic for so long, after a tenth of that in which it gets going; then none again.
    pub(crate) fn window(&self, time: Duration) -> Result<Window> {
        self.control.pause(false);
        self.wait(time / 10)?;
        let window = self.watch(time)?;
        self.rest()?;
        Ok(window)
    }

    /// No more traffic, and the replies to what was asked.
    pub(crate) fn rest(&self) -> Result<()> {
        self.control.pause(true);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            self.step()?;
            if self.control.numbers().is_answered() {
                break;
            }
        }
        Ok(())
    }

    /// Replies a second that the client had, in traffic of so long.
    pub(crate) fn reply_rate(&self, time: Duration) -> Result<f64> {
        self.control.pause(false);
        self.wait(time / 10)?;
        let (begun, before) = (Instant::now(), self.control.numbers().replies);
        self.wait(time)?;
        let replies = self.control.numbers().replies - before;
        let seconds = begun.elapsed().as_secs_f64();
        self.rest()?;
        Ok(replies as f64 / seconds)
    }

    /// What the server does for so long, whatever that is.
    pub(crate) fn watch(&self, time: Duration) -> Result<Window> {
        let before = self.cores.server.snapshot_now();
        self.wait(time)?;
        Ok(Window { before, after: self.cores.server.snapshot_now() })
    }

    /// The last replies, whether all connections stand, and their end.
    pub(crate) fn end(self) -> Result<Ended<S>> {
        self.control.hurry();
        self.through(Phase::Settling)?;
        self.through(Phase::Checking)?;
        self.through(Phase::Closing)?;
        let (server, client) = self.cores.stop()?;
        Ok(Ended { server, client: client.into() })
    }
}

impl Window {
    pub(crate) fn cycles(&self) -> CyclesPerPacket {
        CyclesPerPacket::between(&[self.before], &[self.after])
    }

    /// Received and sent.
    pub(crate) fn packets(&self) -> u64 {
        packets_between(&[self.before], &[self.after])
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.after.now_us.saturating_sub(self.before.now_us) as f64 / 1e6
    }

    /// A second.
    pub(crate) fn packet_rate(&self) -> f64 {
        self.packets() as f64 / self.seconds().max(1e-9)
    }

    /// The part of the time in which the server's core had something to do.
    pub(crate) fn busy_cycles(&self) -> u64 {
        self.after.cycles.since(&self.before.cycles).busy()
    }
}

impl<S: Service> Ended<S> {
    /// What is wrong with a run in which every request must have been answered and every
    /// connection must have stood until it was closed; a sentence each.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let numbers = &self.client.numbers;
        let server = self.server.snapshot().counters;
        let counts = [
            (numbers.bad_bytes, "octets of replies were wrong"),
            (numbers.requests - numbers.replies.min(numbers.requests), "requests had no reply"),
            (numbers.opened - numbers.established.min(numbers.opened), "connections were lost"),
            (numbers.opened - numbers.closed.min(numbers.opened), "did not close in order"),
            (server.resets_in + self.client.resets, "resets were received"),
        ];
        let wrong = counts.iter().filter(|(count, _)| *count > 0);
        wrong.map(|(count, what)| format!("{} {what}", text::grouped(*count))).collect()
    }
}

/// Runs something at the server's processor while the server has nothing to do.
pub(crate) fn at_the_servers<R: Send>(machine: &Machine, work: impl FnOnce() -> R + Send) -> R {
    probe::on(machine.places.first, work)
}

const STEP: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(5);
