//! The demo's phases: open, use, check, close.

use crate::account::HardwareFigures;
use crate::lead::Leader;
use crate::pair::{Cores, Demand, EchoClient, MemoryOfSides};
use crate::resident::Resident;
use crate::view::{Sampler, View};
use anyhow::Result;
use crore::Snapshot;
use crore_echo::Echo as EchoServer;
use crore_load::{Control, Phase};
use std::time::{Duration, Instant};

/// What was seen on the way.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    /// The server before and after the traffic.
    pub(crate) traffic: [Snapshot; 2],
    pub(crate) established_server: u64,
    pub(crate) established_client: u64,
    /// This process, with all connections established.
    pub(crate) resident: Resident,
    /// Of the server, over all phases.
    pub(crate) hardware: HardwareFigures,
    /// Somebody pressed Ctrl-C.
    pub(crate) was_interrupted: bool,
}

/// Leads both cores through all phases.
pub(crate) fn tell(
    cores: &Cores<EchoServer, EchoClient>,
    control: &Control,
    demand: &Demand,
    memory: MemoryOfSides,
    view: &mut View,
) -> Result<Story> {
    let pages = vec![cores.server.page()];
    let sampler = Sampler::new(pages, memory.server_bytes + memory.client_bytes);
    let sizes = (demand.connections, demand.traffic_time);
    let nudge = || cores.nudge();
    let mut leader = Leader::new(control.clone(), sizes, sampler, view, &nudge);
    leader.through(Phase::Opening)?;
    let before = cores.server.snapshot_now();
    leader.through(Phase::Traffic)?;
    leader.through(Phase::Settling)?;
    let after = cores.server.snapshot_now();
    let established_client = leader.through(Phase::Checking)?.established;
    let established_server = cores.count_established()?;
    let resident = Resident::now();
    leader.through(Phase::Closing)?;
    wait_for_the_last(cores)?;
    let was_interrupted = leader.was_interrupted;
    Ok(Story {
        traffic: [before, after],
        established_server,
        established_client,
        resident,
        hardware: leader.sampler.hardware(),
        was_interrupted,
    })
}

/// The client has closed everything; the server's last acknowledgments may be on their way.
fn wait_for_the_last(cores: &Cores<EchoServer, EchoClient>) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < LAST_PATIENCE {
        cores.nudge()?;
        let server = cores.server.snapshot_now();
        if server.conns + server.half_open + server.blocks == 0 && cores.client.is_empty() {
            break;
        }
    }
    Ok(())
}

const LAST_PATIENCE: Duration = Duration::from_secs(10);
