//! The figures of a server: of all cores, and by link.

use super::host::Ended;
use super::presence::LinkState;
use crate::account::HardwareFigures;
use crate::figures::{CoreFigures, dropped_line};
use crate::text::{bytes, grouped};
use crore::{AddressRange, Core, Service, Snapshot};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What a server did. The names are part of the interface.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    #[serde(flatten)]
    core: CoreFigures,
    links: Vec<LinkFigures>,
}

/// One link's part in it.
#[derive(Clone, Debug, Serialize)]
struct LinkFigures {
    link: String,
    /// At the end.
    state: LinkState,
    /// How often it went away.
    losses: u64,
    addresses: Vec<String>,
    cores: usize,
    busy_percent: f64,
    connections: u64,
    accepted: u64,
    closed: u64,
    retransmits: u64,
    rx_frames: u64,
    tx_frames: u64,
    rx_bytes: u64,
    tx_bytes: u64,
    dropped: BTreeMap<&'static str, u64>,
}

impl Figures {
    pub(super) fn of<S: Service>(
        ended: &[Ended<S>],
        seconds: f64,
        hardware: HardwareFigures,
    ) -> Self {
        let cores = || ended.iter().flat_map(|host| &host.cores);
        let snapshots: Vec<Snapshot> = cores().map(Core::snapshot).collect();
        let memory_bytes = ended.iter().map(|host| host.memory_bytes).sum();
        let mut core = CoreFigures::of(&snapshots, seconds, memory_bytes);
        for one in cores() {
            core.add_link(one.link());
        }
        core.account.hardware = hardware;
        let links = ended.iter().map(|host| LinkFigures::of(host, seconds)).collect();
        Self { core, links }
    }

    /// The figures for people.
    pub(super) fn table(&self) -> String {
        let mut table = self.core.table();
        for link in self.links.iter().filter(|link| self.links.len() > 1 || link.losses > 0) {
            table.push('\n');
            table += &link.line();
        }
        table
    }
}

impl LinkFigures {
    fn of<S: Service>(host: &Ended<S>, seconds: f64) -> Self {
        let snapshots: Vec<Snapshot> = host.cores.iter().map(Core::snapshot).collect();
        let mut all = CoreFigures::of(&snapshots, seconds, host.memory_bytes);
        for core in &host.cores {
            all.add_link(core.link());
        }
        Self {
            link: host.name.clone(),
            state: host.state,
            losses: host.losses,
            addresses: host.addresses.iter().map(address).collect(),
            cores: all.cores,
            busy_percent: all.busy_percent,
            connections: all.connections,
            accepted: all.accepted,
            closed: all.closed,
            retransmits: all.retransmits,
            rx_frames: all.rx_frames,
            tx_frames: all.tx_frames,
            rx_bytes: all.rx_bytes,
            tx_bytes: all.tx_bytes,
            dropped: all.dropped,
        }
    }

    fn line(&self) -> String {
        let mut line = format!("{} ({})", self.link, self.state.name());
        match self.losses {
            0 => {}
            1 => line += ", went away once",
            times => {
                let _ = write!(line, ", went away {times} times");
            }
        }
        let _ = write!(
            line,
            ": {} connections accepted, {} open now; received {} frames, {}; sent {} frames, {}; \
             busy {} %; {}",
            grouped(self.accepted),
            grouped(self.connections),
            grouped(self.rx_frames),
            bytes(self.rx_bytes as usize),
            grouped(self.tx_frames),
            bytes(self.tx_bytes as usize),
            self.busy_percent,
            dropped_line(&self.dropped)
        );
        line
    }
}

/// `10.0.0.2/24`, or a first and how many.
fn address(range: &AddressRange) -> String {
    let AddressRange { first, count, prefix_len } = range;
    if *count == 1 {
        format!("{first}/{prefix_len}")
    } else {
        format!("{first}/{prefix_len} and {} more", count - 1)
    }
}
