//! XDP sockets: frames straight from a network interface, beside the kernel.
//!
//! ```text
//!   interface ── filter (program) ──> kernel            all that is not ours
//!                   └── queue n ──> socket n ──> core   TCP to our ports, errors about our flows
//! ```
//!
//! | file      | its idea                                                          |
//! |-----------|-------------------------------------------------------------------|
//! | `queue`   | one queue: bursts in and out                                      |
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
mod link;
mod netlink;
mod program;
mod queue;
mod rings;
mod socket;

use std::os::fd::AsFd;

use crore_mem::Memory;

pub use error::XdpError;
pub use filter::LocalPorts;
pub use link::{Attached, Attachment, Mode, ModeChoice, attached, detach};
pub use queue::{KernelCounters, Queue};

use crate::chunks::Chunks;
use crate::interface::Interface;
use crate::{Capabilities, RxChecksum};
use filter::Filter;
use socket::Socket;

/// How to use an interface.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interface's name.
    pub interface: String,
    /// How many of its receive queues to use: all of them, which is also what `None` means.
    pub queues: Option<u32>,
    /// Where the filter runs.
    pub mode: ModeChoice,
    /// Let the kernel copy frames even where the driver could do without.
    pub copy: bool,
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
            copy: false,
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

/// Opens an interface: a socket on each queue, then the filter, which takes effect at once.
///
/// A filter that a killed process left behind is replaced in one step. Another process that is
/// still alive is not disturbed: its queue is busy, and that is the error.
///
/// # Errors
/// See [`XdpError`]; nothing is left behind.
pub fn open(options: &Options, memory: &mut Memory) -> Result<Opened, XdpError> {
    let interface = link::find(&options.interface)?;
    check(&interface, options)?;
    let mut sockets = Vec::new();
    for queue in 0..u32::from(interface.rx_queues) {
        sockets.push(bound_socket(&interface, queue, options, memory)?);
    }
    let name = &interface.name;
    let load = |source| filter_refused(name, source);
    let mut filter = Filter::load(interface.rx_queues.into()).map_err(load)?;
    let refused = |source| XdpError::from_kernel(name, "fill the filter's maps", source);
    for ours in &options.ours {
        filter.add(ours).map_err(refused)?;
    }
    for (queue, (socket, _)) in sockets.iter().enumerate() {
        filter.set_socket(queue as u32, socket.as_fd()).map_err(refused)?;
    }
    let attachment = Attachment::new(filter, &interface, options.mode)?;
    let capabilities = capabilities(&interface, attachment.mode());
    let queue = |(number, (socket, chunks))| {
        Queue::new(socket, chunks, capabilities.clone(), number as u32)
            .map_err(|source| XdpError::from_kernel(name, "use its socket", source))
    };
    let queues = sockets.into_iter().enumerate().map(queue).collect::<Result<_, _>>()?;
    Ok(Opened { queues, attachment })
}

/// How many receive queues an interface uses: as many cores it feeds.
///
/// # Errors
/// When there is no such interface.
pub fn queue_count(interface: &str) -> Result<u32, XdpError> {
    link::find(interface).map(|interface| interface.rx_queues.into())
}

fn check(interface: &Interface, options: &Options) -> Result<(), XdpError> {
    let name = interface.name.clone();
    if !interface.up {
        return Err(XdpError::Down { name });
    }
    if interface.mtu > MTU_MAX {
        return Err(XdpError::MtuTooLarge { name, mtu: interface.mtu });
    }
    let existing = u32::from(interface.rx_queues);
    if let Some(asked) = options.queues.filter(|asked| *asked != existing) {
        return Err(XdpError::QueueCount { name, asked, existing });
    }
    let frames = options.frames;
    if !frames.is_power_of_two() || !(FRAMES_MIN..=FRAMES_MAX).contains(&frames) {
        return Err(XdpError::FrameCount { frames, min: FRAMES_MIN, max: FRAMES_MAX });
    }
    Ok(())
}

fn bound_socket(
    interface: &Interface,
    queue: u32,
    options: &Options,
    memory: &mut Memory,
) -> Result<(Socket, Chunks), XdpError> {
    let name = &interface.name;
    let chunks = Chunks::new(memory, "xdp frames", options.frames, interface.mtu)?;
    // SAFETY: the pair stays together, and a `Queue` drops its socket before its memory. So does
    // each way out of here by an error: locals go in the reverse order.
    let socket = unsafe { Socket::open(&chunks) };
    let socket = socket.map_err(|source| match source.raw_os_error() {
        Some(libc::ENOBUFS) => XdpError::LockedMemory { bytes: chunks.bytes() },
        _ => XdpError::from_kernel(name, "open an AF_XDP socket", source),
    })?;
    let bound = socket.bind(interface.index, queue, options.copy);
    bound.map_err(|source| match source.raw_os_error() {
        Some(libc::EBUSY) => XdpError::Busy { name: name.clone(), queue },
        _ => XdpError::from_kernel(name, "bind an AF_XDP socket", source),
    })?;
    Ok((socket, chunks))
}

/// The verifier's text is for us; a lack of rights is for the user.
fn filter_refused(name: &str, source: std::io::Error) -> XdpError {
    match source.raw_os_error() {
        Some(_) => XdpError::from_kernel(name, "load the filter", source),
        None => XdpError::FilterRefused { log: source.to_string() },
    }
}

fn capabilities(interface: &Interface, mode: Mode) -> Capabilities {
    let driver = interface.driver.as_str();
    // Native mode makes a virtual machine's interface ask its host for finished checksums.
    let local = interface.loopback
        || LOCAL_DRIVERS.contains(&driver)
        || (mode == Mode::Generic && driver == "virtio_net");
    Capabilities {
        // At most MTU_MAX, which was checked.
        mtu: interface.mtu as u16,
        mac: interface.mac,
        rx_checksum: if local { RxChecksum::TrustPartial } else { RxChecksum::Verify },
        kernel_neighbours: true,
        name: interface.name.clone(),
    }
}

/// The largest MTU for which veth takes a program in native mode, and its frames fit into 4 KiB.
pub const MTU_MAX: u32 = 3498;

/// Fewest and most frames of a queue and direction.
const FRAMES_MIN: u32 = 64;
const FRAMES_MAX: u32 = 65_536;

/// Drivers whose frames may come from this machine, without ever having been on a wire.
const LOCAL_DRIVERS: [&str; 6] = ["veth", "tun", "bridge", "dummy", "macvlan", "ipvlan"];

#[cfg(test)]
mod tests;
