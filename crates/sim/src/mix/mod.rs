//! What a run is made of, as data: hosts, liars, the network between them, the sessions, and the
//! faults by schedule.
//!
//! A seed draws a mix (`draw`); from there on the mix alone decides the run, to the frame. So a mix
//! can be written down, made smaller ([`crate::shrink`]) and played again from a file.

mod draw;
mod features;
mod host;
mod lane;

pub use self::host::HostMix;
pub use self::lane::LaneMix;

use crate::fault::Fault;
use crate::liar::LiarMix;
use crate::luck::Luck;
use crate::script::{self, Script};
use serde::{Deserialize, Serialize};

/// Everything that is decided before a run. Times are microseconds after its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mix {
    /// Where the run's own luck comes from: the fate of frames, pauses, secrets.
    pub seed: u64,
    /// What joins the hosts.
    pub middle: Middle,
    /// The VLAN of all of them.
    pub vlan: Option<u16>,
    /// Questions for neighbours and their answers meet no faults.
    pub spares_neighbours: bool,
    /// From here on no lane loses anything but what its queue has no room for.
    pub faults_us: u64,
    /// Hosts with our stack; a node's number is its place here.
    pub hosts: Vec<HostMix>,
    /// Peers that break the rules; their numbers follow the hosts'.
    pub liars: Vec<LiarMix>,
    /// What applications do.
    pub sessions: Vec<Script>,
    /// What happens when.
    pub faults: Vec<Fault>,
}

/// What joins the hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Middle {
    /// One link for all: frames go by hardware address.
    Switch,
    /// A subnet for each node, packets go by IP address. It answers for itself, counts hops, and
    /// sends ICMP errors.
    Router,
}

impl Mix {
    /// The mix of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut mix = draw::mix(seed, &mut Luck::new(seed, crate::luck::Purpose::Mix));
        features::add(&mut mix);
        mix
    }

    /// Hosts and liars.
    pub(crate) fn nodes(&self) -> usize {
        self.hosts.len() + self.liars.len()
    }

    /// True when node `n` is a liar.
    pub(crate) fn is_liar(&self, n: usize) -> bool {
        n >= self.hosts.len()
    }

    /// The lanes of node `n`: to the middle and from it.
    pub(crate) fn lanes(&self, n: usize) -> (&LaneMix, &LaneMix) {
        if let Some(host) = self.hosts.get(n) {
            return (&host.up, &host.down);
        }
        let liar = &self.liars[n - self.hosts.len()];
        (&liar.up, &liar.down)
    }

    /// As JSON, to be kept in a file.
    ///
    /// # Panics
    /// Never: all of it can be written.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a mix has no maps with odd keys")
    }

    /// From JSON; an error says what is wrong and where.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let mix: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        mix.check()?;
        Ok(mix)
    }

    /// Refuses what cannot be played: names of nodes that are not there.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.hosts.is_empty() || self.nodes() > NODES_MAX {
            return Err(format!("a mix has 1 to {NODES_MAX} nodes, one host at least"));
        }
        for (n, session) in self.sessions.iter().enumerate() {
            let [opener, other] = session.hosts;
            if opener == other || opener >= self.hosts.len() || other >= self.hosts.len() {
                return Err(format!("session {n} is between hosts {opener} and {other}"));
            }
            script::check_terminates(&session.sides)
                .map_err(|error| format!("session {n}: {error}"))?;
        }
        match self.faults.iter().find(|fault| fault.node() >= self.nodes()) {
            Some(fault) => Err(format!("a fault at a node that is not there: {fault:?}")),
            None => Ok(()),
        }
    }
}

/// Addresses are made for so many nodes.
pub(crate) const NODES_MAX: usize = 24;
