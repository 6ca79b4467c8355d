//! What goes wrong by schedule, as data.

use serde::{Deserialize, Serialize};

/// Something that is wrong for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// When it begins.
    pub at_us: u64,
    /// How long it lasts.
    pub for_us: u64,
    /// What it is.
    pub what: What,
}

/// The kinds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// A node's lanes bring nothing.
    Cut {
        /// Whose.
        node: usize,
        /// From it.
        up: bool,
        /// To it.
        down: bool,
    },
    /// Nothing gets from one node to another; the way back is another fault.
    Partition {
        /// Away from here.
        from: usize,
        /// To there.
        to: usize,
    },
    /// The link to a node takes smaller packets. A router says so, unless it is silent (a black
    /// hole, RFC 2923 2.1); a switch never does.
    PathMtu {
        /// Towards whom.
        node: usize,
        /// Octets.
        mtu: u16,
        /// No ICMP comes.
        is_silent: bool,
    },
    /// The link to a node has another rate.
    Rate {
        /// Towards whom.
        node: usize,
        /// Bytes a second.
        bytes_per_second: u64,
    },
    /// One of a node's addresses is somebody else's: nothing reaches it, nor comes from it.
    AddressGone {
        /// Whose.
        node: usize,
        /// Which of its addresses.
        number: u8,
    },
    /// A host is off, and comes back without any memory.
    Restart {
        /// Which.
        node: usize,
        /// It comes back with other addresses, and another network card.
        moves: bool,
    },
    /// The application holds all the pool's blocks.
    MemoryFull {
        /// Of which host.
        node: usize,
    },
    /// A host's clock leaps ahead, as that of a virtual machine that was suspended.
    ClockStep {
        /// Whose.
        node: usize,
        /// By how much.
        by_us: u64,
    },
    /// A host does not get its turns.
    Stall {
        /// Which.
        node: usize,
    },
    /// A host does not listen.
    Deaf {
        /// Which.
        node: usize,
    },
    /// Somebody sends segments and ICMP errors in the name of others, blindly.
    Forgery {
        /// To whom.
        node: usize,
        /// How often.
        every_us: u64,
    },
}

impl Fault {
    /// The highest number of a node that it names.
    pub(crate) fn node(&self) -> usize {
        match self.what {
            What::Partition { from, to } => from.max(to),
            What::Cut { node, .. }
            | What::PathMtu { node, .. }
            | What::Rate { node, .. }
            | What::AddressGone { node, .. }
            | What::Restart { node, .. }
            | What::MemoryFull { node }
            | What::ClockStep { node, .. }
            | What::Stall { node }
            | What::Deaf { node }
            | What::Forgery { node, .. } => node,
        }
    }

    /// When it is over.
    pub(crate) fn end_us(&self) -> u64 {
        self.at_us + self.for_us
    }
}
