//! A TAP device: an interface that the kernel believes in, with us at the other end of its wire.
//!
//! Slow and simple: one system call a frame, and a copy. Any Linux and any virtual machine has it.
//! The device goes when we close it, unless it was there before. The kernel is the peer here, so
//! the stack answers ARP and ping itself, with an address of its own next to the one that `ip
//! address add` gives to the kernel's side.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use crore_mem::frames::{RX_BURST_MAX, RxBurst, TxBurst};
use crore_mem::{Memory, MemoryError};

use crate::chunks::Chunks;
use crate::interface::{Interface, request_for};
use crate::wakeup::{Event, Waker};
use crate::{Capabilities, Counters, RxChecksum};

/// Why a TAP device could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// The process may not make devices.
    #[error(
        "not permitted to use the TAP device `{name}`: run as root, give the program \
         CAP_NET_ADMIN, or have root prepare the device with \
         `ip tuntap add {name} mode tap user $USER`"
    )]
    NotPermitted {
        /// The device.
        name: String,
    },
    /// The kernel has no TAP devices.
    #[error("there is no {DEVICE}: load it with `modprobe tun`")]
    NoDriver,
    /// Another process is at the other end of the wire.
    #[error("the TAP device `{name}` is in use by another process")]
    Busy {
        /// The device.
        name: String,
    },
    /// The name is taken by an interface of another kind.
    #[error(
        "`{name}` cannot be a TAP device with {queues} queue(s): either an interface of another \
         kind has this name, or it was made with another number of queues; `ip -d link show {name}`"
    )]
    OtherKind {
        /// The name asked for.
        name: String,
        /// The queues asked for.
        queues: u32,
    },
    /// No interface can have this name.
    #[error("{0}")]
    Name(io::Error),
    /// There is no memory for the frames.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// Anything else that the kernel refused.
    #[error("TAP device `{name}`: could not {doing}: {source}")]
    System {
        /// The device.
        name: String,
        /// What was tried.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Opens a TAP device with one queue a core, makes it if it is not there, and sets it up.
///
/// # Errors
/// See [`TapError`].
pub fn open(name: &str, queues: u32, memory: &mut Memory) -> Result<Vec<Tap>, TapError> {
    let files = (0..queues).map(|_| attach(name, queues)).collect::<Result<Vec<_>, _>>()?;
    let refused = |doing| move |source| TapError::System { name: name.to_owned(), doing, source };
    Interface::set_up(name).map_err(refused("set it up"))?;
    let interface = Interface::named(name).map_err(refused("ask for its MTU"))?;
    let mut taps = Vec::new();
    for file in files {
        let chunks = Chunks::new(memory, "tap frames", FRAMES, interface.mtu)?;
        let waiting = (0..chunks.frames()).map(|chunk| chunks.address_of(chunk)).collect();
        let event = Arc::new(Event::new().map_err(refused("get a descriptor to sleep on"))?);
        let capabilities = capabilities(&interface);
        let counters = Counters::default();
        taps.push(Tap { file, chunks, waiting, event, capabilities, counters });
    }
    Ok(taps)
}

/// One queue of a TAP device. One core owns it.
#[derive(Debug)]
pub struct Tap {
    file: File,
    chunks: Chunks,
    /// Chunks to read frames into.
    waiting: Vec<u64>,
    event: Arc<Event>,
    capabilities: Capabilities,
    counters: Counters,
}

impl Tap {
    /// Adds up to `max` received frames to the burst; returns how many.
    pub fn rx_burst(&mut self, burst: &mut RxBurst, max: usize) -> usize {
        let max = max.min(RX_BURST_MAX - burst.len());
        let mut count = 0;
        while count < max {
            let Some(address) = self.waiting.pop() else { break };
            self.counters.system_calls += 1;
            let read = self.file.read(self.chunks.waiting_bytes(address));
            // Nothing there, interrupted, or the device is gone: the engine comes again.
            let place = match read {
                Ok(len) if len > 0 => self.chunks.receive(address, len as u32),
                _ => None,
            };
            let Some(place) = place else {
                self.waiting.push(address);
                break;
            };
            // SAFETY: `receive` lent the chunk, which was filled up to `len`; it is in no list, so
            // nobody writes it until `rx_release`. The burst is not full.
            unsafe { burst.push(place) };
            count += 1;
        }
        self.counters.rx_frames += count as u64;
        count
    }

    /// Takes the frames of a burst back, to read into them again.
    pub fn rx_release(&mut self, burst: &mut RxBurst) {
        for place in burst.places() {
            self.waiting.push(self.chunks.release(place));
        }
        burst.clear();
    }

    /// Tops the burst's room up to `want` frames, or as near as there are free ones.
    pub fn tx_reserve(&mut self, burst: &mut TxBurst, want: usize) {
        let more = want.saturating_sub(burst.room()).min(burst.unreserved());
        for _ in 0..more {
            let Some(place) = self.chunks.lend() else { break };
            // SAFETY: the chunk was free and is now lent to this burst alone; regions begin zeroed,
            // so its bytes are initialised; `unreserved` bounded the count.
            unsafe { burst.reserve(place) };
        }
    }

    /// Writes committed frames until the device has no room; returns how many.
    pub fn tx_burst(&mut self, burst: &mut TxBurst) -> usize {
        let mut sent = 0;
        while sent < burst.len() {
            self.counters.system_calls += 1;
            match self.file.write(burst.committed(sent)) {
                Ok(_) => self.counters.tx_frames += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.counters.tx_busy += 1;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // A frame that the kernel does not take is lost, as on a wire that is cut.
                Err(_) => self.counters.tx_errors += 1,
            }
            sent += 1;
        }
        for place in &burst.places()[..sent] {
            self.chunks.take_back(place);
        }
        burst.take_back(sent);
        sent
    }

    /// Takes all room of a burst back, unsent: for the end of its life.
    pub fn tx_cancel(&mut self, burst: &mut TxBurst) {
        while burst.frame().is_some() {
            burst.commit(0);
        }
        for place in burst.places() {
            self.chunks.take_back(place);
        }
        burst.take_back(burst.len());
    }

    /// Sleeps until a frame may have come, the waker was used, or the timeout has passed.
    pub fn wait(&mut self, timeout: Duration) {
        self.counters.system_calls += 1;
        self.event.wait(Some(self.file.as_fd()), timeout);
    }

    /// Ends a wait from another thread.
    pub fn waker(&self) -> Waker {
        Waker::new(&self.event)
    }

    /// The file at our end of the wire: a frame a read, a frame a write. For programs that have no
    /// use for bursts.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// What the device is and can do.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

/// A new file at the other end of the device's wire.
fn attach(name: &str, queues: u32) -> Result<File, TapError> {
    let refused = |source: io::Error| match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => TapError::NotPermitted { name: name.to_owned() },
        Some(libc::EBUSY) => TapError::Busy { name: name.to_owned() },
        Some(libc::EINVAL | libc::E2BIG) => TapError::OtherKind { name: name.to_owned(), queues },
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TapError::NoDriver,
        _ => TapError::System { name: name.to_owned(), doing: "attach to it", source },
    };
    let mut request = request_for(name).map_err(TapError::Name)?;
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DEVICE);
    let file = file.map_err(refused)?;
    let multi_queue = if queues > 1 { libc::IFF_MULTI_QUEUE } else { 0 };
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | multi_queue;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if answer < 0 { Err(refused(io::Error::last_os_error())) } else { Ok(file) }
}

fn capabilities(interface: &Interface) -> Capabilities {
    // Ours, not the kernel's: the same each time, so that the kernel's neighbour table stays true
    // over a restart. FNV-1a; the first byte says "locally administered, one station".
    let hash = interface.name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut mac = [0x02; 6];
    mac[1..].copy_from_slice(&hash.to_be_bytes()[..5]);
    Capabilities {
        mtu: interface.mtu.min(u16::MAX.into()) as u16,
        mac,
        // Without an offload agreed on, the kernel finishes checksums before we read a frame.
        rx_checksum: RxChecksum::Verify,
        kernel_neighbours: false,
        name: interface.name.clone(),
    }
}

const DEVICE: &str = "/dev/net/tun";

/// Frames to read into, and as many to write from, a queue. The device itself queues 500.
const FRAMES: u32 = 512;

#[cfg(test)]
mod tests;
