//! The demo's phases: open, use, check, close; each shown as it goes.

use super::cores::Cores;
use super::sides::{Demand, MemoryOfSides};
use crate::interrupt;
use crate::view::{Progress, Sampler, View};
use anyhow::Result;
use crore::Snapshot;
use crore_load::{Numbers, Phase};
use std::thread;
use std::time::{Duration, Instant};

/// What was seen on the way.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    /// The server before and after the traffic.
    pub(crate) traffic: [Snapshot; 2],
    pub(crate) established_server: u64,
    pub(crate) established_client: u64,
    /// Somebody pressed Ctrl-C.
    pub(crate) was_interrupted: bool,
}

/// Leads both cores through all phases.
pub(crate) fn tell(
    cores: &mut Cores,
    demand: &Demand,
    memory: MemoryOfSides,
    view: &mut View,
) -> Result<Story> {
    let sampler =
        Sampler::new(vec![cores.server.page.clone()], memory.server_bytes + memory.client_bytes);
    let mut teller = Teller { cores, demand, sampler, view, was_interrupted: false };
    teller.wait_for(Phase::Opening)?;
    let before = teller.cores.server.snapshot_now();
    teller.wait_for(Phase::Traffic)?;
    teller.wait_for(Phase::Settling)?;
    let after = teller.cores.server.snapshot_now();
    teller.wait_for(Phase::Checking)?;
    let established_server = teller.cores.count_established()?;
    let established_client = teller.cores.control.numbers().established;
    teller.wait_for(Phase::Closing)?;
    teller.wait_for_the_server()?;
    let was_interrupted = teller.was_interrupted;
    Ok(Story { traffic: [before, after], established_server, established_client, was_interrupted })
}

struct Teller<'a> {
    cores: &'a mut Cores,
    demand: &'a Demand,
    sampler: Sampler,
    view: &'a mut View,
    was_interrupted: bool,
}

impl Teller<'_> {
    /// Lets the client begin a phase, and waits until it is through. Closing is through when nothing
    /// is left to do.
    fn wait_for(&mut self, phase: Phase) -> Result<()> {
        self.cores.allow(if phase == Phase::Closing { Phase::Done } else { phase });
        let mut shown_at = Instant::now();
        loop {
            thread::sleep(STEP);
            self.cores.check_alive()?;
            self.heed_interrupts();
            let numbers = self.cores.control.numbers();
            let through = numbers.phase == phase && numbers.waits;
            if through || numbers.phase > phase {
                return Ok(());
            }
            if shown_at.elapsed() >= self.view.pace() {
                shown_at = Instant::now();
                self.show(&numbers);
            }
        }
    }

    /// Everything is closed at the client; the server's last acknowledgments may be on their way.
    fn wait_for_the_server(&self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < LAST_PATIENCE {
            self.cores.check_alive()?;
            let server = self.cores.server.snapshot_now();
            let client = self.cores.client.snapshot_now();
            let left = [server, client].map(|one| one.conns + one.half_open + one.blocks);
            if left == [0, 0] {
                break;
            }
        }
        Ok(())
    }

    fn heed_interrupts(&mut self) {
        if interrupt::came() && !self.was_interrupted {
            self.was_interrupted = true;
            self.cores.control.hurry();
            self.view.note("interrupted: checking and closing; once more ends it at once");
        }
    }

    fn show(&mut self, numbers: &Numbers) {
        let all = u64::from(self.demand.connections);
        let traffic_ms = self.demand.traffic_time.as_millis() as u64;
        let (doing, done, of) = match numbers.phase {
            Phase::Opening => ("opening", numbers.opened, all),
            Phase::Traffic => ("requests", numbers.replies, 0),
            Phase::Settling => ("last replies", numbers.replies, numbers.requests),
            Phase::Checking => ("checking", numbers.established, all),
            Phase::Closing | Phase::Done => ("closing", numbers.closed, numbers.opened),
        };
        let _ = traffic_ms;
        let progress =
            Progress { doing, done, of, replies: Some(numbers.replies), latency: numbers.latency };
        let sample = self.sampler.look(progress);
        self.view.show(&sample);
    }
}

const STEP: Duration = Duration::from_millis(10);
const LAST_PATIENCE: Duration = Duration::from_secs(10);
