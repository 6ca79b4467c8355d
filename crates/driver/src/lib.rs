//! Where frames come from and where they go: one shape for all, a burst at a time.
//!
//! ```text
//!   pipe   two ends in one process, frames handed over in place; no NIC, no root, no system call;
//!          or two sides of several queues each, steered as a NIC steers
//!   memif  shared memory with another process: VPP, DPDK, or one of our own
//!   xdp    a queue of a network interface, beside the kernel        AF_XDP; root
//!   tap    an interface of this machine's own, the kernel as peer   a system call a frame
//! ```
//!
//! A driver lends its frames: `rx_burst` lends what arrived until `rx_release`, and `tx_reserve`
//! lends room that `tx_burst` sends. It changes no frame, and reads them only to find out whether a
//! path works (`xdp`'s `watch`) and what goes as one (`xdp`'s `run`); checksums, addresses and
//! resolution are the stack's. All configuration of interfaces beyond what a driver
//! itself needs (addresses, routes, neighbours) is `crore-ctl`'s.
//!
//! Linux only. `pipe` and `memif` run as any user; `xdp` and `tap` need privileges, and say so in
//! their errors.

mod chunks;
mod interface;
pub mod memif;
mod mesh;
pub mod pipe;
mod siblings;
mod slots;
pub mod tap;
mod tokens;
mod wakeup;
pub mod xdp;

use std::time::Duration;

use crore_mem::frames::{RxBurst, TxBurst};
use crore_wire::rss::Steering;

pub use crore_wire::rss;
pub use interface::Interface;
pub use siblings::{Siblings, siblings};
pub use wakeup::Waker;

/// A link of one core.
#[derive(Debug)]
pub enum Link {
    /// One end of a pipe.
    Pipe(pipe::End),
    /// One end of a pipe, and how long the other has what it is sent.
    Watched(pipe::Watch),
    /// One queue of a side of a pipe that has several.
    PipeQueue(pipe::Queue),
    /// One queue of a wire of shared memory.
    Memif(memif::Queue),
    /// One queue of an interface.
    Xdp(xdp::Queue),
    /// One queue of a TAP device.
    Tap(tap::Tap),
}

impl Link {
    /// Adds up to `max` received frames to the burst; returns how many.
    #[inline]
    pub fn rx_burst(&mut self, burst: &mut RxBurst, max: usize) -> usize {
        match self {
            Self::Pipe(end) => end.rx_burst(burst, max),
            Self::Watched(watch) => watch.rx_burst(burst, max),
            Self::PipeQueue(queue) => queue.rx_burst(burst, max),
            Self::Memif(queue) => queue.rx_burst(burst, max),
            Self::Xdp(queue) => queue.rx_burst(burst, max),
            Self::Tap(tap) => tap.rx_burst(burst, max),
        }
    }

    /// Takes back the frames that [`Link::rx_burst`] lent, and empties the burst.
    ///
    /// # Panics
    /// When the burst is of another link.
    #[inline]
    pub fn rx_release(&mut self, burst: &mut RxBurst) {
        match self {
            Self::Pipe(end) => end.rx_release(burst),
            Self::Watched(watch) => watch.rx_release(burst),
            Self::PipeQueue(queue) => queue.rx_release(burst),
            Self::Memif(queue) => queue.rx_release(burst),
            Self::Xdp(queue) => queue.rx_release(burst),
            Self::Tap(tap) => tap.rx_release(burst),
        }
    }

    /// Tops the burst's room up to `want` frames, or as near as there are free ones.
    ///
    /// A link is served by one transmit burst for all its life.
    #[inline]
    pub fn tx_reserve(&mut self, burst: &mut TxBurst, want: usize) {
        match self {
            Self::Pipe(end) => end.tx_reserve(burst, want),
            Self::Watched(watch) => watch.tx_reserve(burst, want),
            Self::PipeQueue(queue) => queue.tx_reserve(burst, want),
            Self::Memif(queue) => queue.tx_reserve(burst, want),
            Self::Xdp(queue) => queue.tx_reserve(burst, want),
            Self::Tap(tap) => tap.tx_reserve(burst, want),
        }
    }

    /// Sends the committed frames that it can and takes them back; returns how many.
    ///
    /// # Panics
    /// When the burst is of another link.
    #[inline]
    pub fn tx_burst(&mut self, burst: &mut TxBurst) -> usize {
        match self {
            Self::Pipe(end) => end.tx_burst(burst),
            Self::Watched(watch) => watch.tx_burst(burst),
            Self::PipeQueue(queue) => queue.tx_burst(burst),
            Self::Memif(queue) => queue.tx_burst(burst),
            Self::Xdp(queue) => queue.tx_burst(burst),
            Self::Tap(tap) => tap.tx_burst(burst),
        }
    }

    /// Takes all room of a burst back, unsent. Call it before the link is dropped: memory that is
    /// still lent then is never given back to the system, so that it stays valid.
    ///
    /// # Panics
    /// When the burst is of another link.
    pub fn tx_cancel(&mut self, burst: &mut TxBurst) {
        match self {
            Self::Pipe(end) => end.tx_cancel(burst),
            Self::Watched(watch) => watch.tx_cancel(burst),
            Self::PipeQueue(queue) => queue.tx_cancel(burst),
            Self::Memif(queue) => queue.tx_cancel(burst),
            Self::Xdp(queue) => queue.tx_cancel(burst),
            Self::Tap(tap) => tap.tx_cancel(burst),
        }
    }

    /// Sleeps until a frame may have come, the waker was used, or the timeout has passed.
    ///
    /// It may return early. It does not wait for room to send.
    pub fn wait(&mut self, timeout: Duration) {
        match self {
            Self::Pipe(end) => end.wait(timeout),
            Self::Watched(watch) => watch.wait(timeout),
            Self::PipeQueue(queue) => queue.wait(timeout),
            Self::Memif(queue) => queue.wait(timeout),
            Self::Xdp(queue) => queue.wait(timeout),
            Self::Tap(tap) => tap.wait(timeout),
        }
    }

    /// Ends a wait from another thread.
    pub fn waker(&self) -> Waker {
        match self {
            Self::Pipe(end) => end.waker(),
            Self::Watched(watch) => watch.waker(),
            Self::PipeQueue(queue) => queue.waker(),
            Self::Memif(queue) => queue.waker(),
            Self::Xdp(queue) => queue.waker(),
            Self::Tap(tap) => tap.waker(),
        }
    }

    /// What the link is and can do.
    pub fn capabilities(&self) -> Capabilities {
        match self {
            Self::Pipe(end) => end.capabilities(),
            Self::Watched(watch) => watch.capabilities(),
            Self::PipeQueue(queue) => queue.capabilities(),
            Self::Memif(queue) => queue.capabilities(),
            Self::Xdp(queue) => queue.capabilities(),
            Self::Tap(tap) => tap.capabilities(),
        }
    }

    /// How frames are steered to this queue and its siblings; `None` when there is one queue only,
    /// or it is not known.
    pub fn steering(&self) -> Option<Steering> {
        match self {
            Self::PipeQueue(queue) => Some(queue.steering()),
            Self::Pipe(_) | Self::Watched(_) | Self::Memif(_) | Self::Xdp(_) | Self::Tap(_) => None,
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        match self {
            Self::Pipe(end) => end.counters(),
            Self::Watched(watch) => watch.counters(),
            Self::PipeQueue(queue) => queue.counters(),
            Self::Memif(queue) => queue.counters(),
            Self::Xdp(queue) => queue.counters(),
            Self::Tap(tap) => tap.counters(),
        }
    }
}

/// What a link is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Largest IP packet, in bytes; a frame is 14 bytes longer, or 18 with a VLAN tag.
    pub mtu: u16,
    /// Our hardware address on it.
    pub mac: [u8; 6],
    /// What to do about TCP checksums of received packets.
    pub rx_checksum: RxChecksum,
    /// The kernel answers and sends ARP and neighbour discovery here, and keeps the table.
    pub kernel_neighbours: bool,
    /// For messages: the interface, or which end of a pipe.
    pub name: String,
}

/// What is known about the checksums of received packets. IPv4's own is always complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxChecksum {
    /// All are complete: verify them.
    Verify,
    /// Packets from this machine itself may hold only the sum over the pseudo-header, neither
    /// inverted nor covering the rest, because the part that would finish it was left out. Accept
    /// that as well.
    TrustPartial,
}

/// What happened on a link since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames received.
    pub rx_frames: u64,
    /// Frames handed over to be sent.
    pub tx_frames: u64,
    /// Entries of the other side's ring, or frames read, that cannot be; ignored.
    pub rx_bad: u64,
    /// Frames longer than any of the link's may be; ignored.
    pub rx_too_long: u64,
    /// Frames that came in several buffers and were put together.
    pub rx_chained: u64,
    /// Entries of the kernel's completion ring that cannot be; ignored.
    pub tx_bad: u64,
    /// Times when the other side had no room for a frame. None was lost; it is tried again.
    pub tx_busy: u64,
    /// Sends that failed for another reason: the interface is down or gone.
    pub tx_errors: u64,
    /// System calls made.
    pub system_calls: u64,
}
