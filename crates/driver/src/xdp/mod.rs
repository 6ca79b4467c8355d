//! XDP sockets: frames straight from a network interface, beside the kernel.
//!
//! ```text
//!   interface ── filter (program) ──> kernel            all that is not ours
//!                   └── queue n ──> socket n ──> core   TCP to our ports, errors about our flows
//! ```
//!
//! | file      | its idea                                                          |
//! |-----------|-------------------------------------------------------------------|
//! | `open`    | an interface brought into use: bound, proven, or by copies        |
//! | `queue`   | one queue: bursts in and out                                      |
//! | `run`     | segments that follow one another, as one packet                   |
//! | `joined`  | sends them so, where the kernel copies                            |
//! | `path`    | whether frames are copied, and how that is known                  |
//! | `peer`    | a host that answers pings                                         |
//! | `probe`   | proves a path with a ping of full size                            |
//! | `watch`   | looks at what arrives where nothing could be proven               |
//! | `socket`  | the socket: its memory, its rings, its binding                    |
//! | `rings`   | the four rings shared with the kernel                             |
//! | `link`    | the filter on an interface: attach, replace, detach               |
//! | `filter`  | the loaded filter and its maps                                    |
//! | `program` | what the filter does                                              |
//! | `asm`     | eBPF instructions                                                 |
//! | `bpf`     | the system call for programs and maps                             |
//! | `netlink` | the request that attaches a program                               |
//! | `error`   | what can go wrong, and what to do then                            |
//!
//! **Checksums.** A packet that never leaves the machine (from the other end of a veth pair)
//! arrives with an unfinished TCP checksum, and nothing that XDP shows tells which ones do (the
//! kernel's receive metadata are time stamp, hash and VLAN tag; seen up to Linux 6.18). So on
//! interfaces with such neighbours [`RxChecksum::TrustPartial`](crate::RxChecksum) is reported.
//!
//! **VLAN.** A tag that the interface takes off before XDP is not seen here: switch that off with
//! `ethtool -K IFACE rxvlan off` (for veth `txvlan off` on the peer).
//!
//! **Generic mode** hands over the large packets that a local peer's segmentation offload makes,
//! and those do not fit: switch it off at the peer (`ethtool -K PEER tso off gso off`). Native mode
//! on veth does that by itself.

mod asm;
mod bpf;
mod error;
mod filter;
mod joined;
mod link;
mod netlink;
mod open;
mod path;
mod peer;
mod probe;
mod program;
mod queue;
mod rings;
mod run;
mod socket;
mod watch;

use std::net::Ipv4Addr;

pub use error::XdpError;
pub use filter::LocalPorts;
pub use link::{Attached, Attachment, Mode, ModeChoice, attached, detach};
pub use open::{open, queue_count};
pub use path::{Path, PathView};
pub use queue::{KernelCounters, Queue};

/// Whether frames may be copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroCopy {
    /// Not where the driver can do without and it is seen to work; else the kernel copies.
    #[default]
    Best,
    /// Without copies, or it is an error.
    Only,
    /// The kernel copies each frame.
    Never,
}

/// How to use an interface.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interface's name.
    pub interface: String,
    /// How many of its receive queues to use: all of them, which is also what `None` means.
    pub queues: Option<u32>,
    /// Where the filter runs.
    pub mode: ModeChoice,
    /// Whether the kernel may or must copy each frame.
    pub zero_copy: ZeroCopy,
    /// Hosts on the link that may answer pings: with the first that does, a path without copies is
    /// proven.
    pub peers: Vec<Ipv4Addr>,
    /// Have the interface's work done inside our own calls, up to so many frames in each.
    pub busy_poll: Option<u16>,
    /// Bytes of memory for a frame, the kernel's 256 in front included: a power of two. `None` is
    /// what the MTU and the path need; less is for tests of drivers.
    pub frame_room: Option<u32>,
    /// Frames to receive into, a queue, and as many to send from: a power of two.
    pub frames: u32,
    /// What is ours from the first frame on. More can be added later.
    pub ours: Vec<LocalPorts>,
}

impl Options {
    /// All queues of this interface in the best mode, 2048 frames a queue and direction.
    pub fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            queues: None,
            mode: ModeChoice::Best,
            zero_copy: ZeroCopy::Best,
            peers: Vec::new(),
            busy_poll: None,
            frame_room: None,
            frames: 2048,
            ours: Vec::new(),
        }
    }
}

/// An interface in use: one queue a core, and the filter that feeds them.
#[derive(Debug)]
pub struct Opened {
    /// One for each receive queue of the interface, in its order.
    pub queues: Vec<Queue>,
    /// The filter. Keep it: it is taken away when this is dropped.
    pub attachment: Attachment,
}

/// The largest MTU for which veth takes a program in native mode, and its frames fit into 4 KiB.
pub const MTU_MAX: u32 = 3498;

#[cfg(test)]
mod tests;
