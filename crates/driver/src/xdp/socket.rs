//! One `AF_XDP` socket: made, given its memory and rings, and bound to a queue of an interface.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::rings::{Consumer, Mapping, Producer, Ring};
use crate::chunks::Chunks;

/// Who moves the frames between the interface and our memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bind {
    /// The interface itself.
    ZeroCopy,
    /// The kernel, by a copy of each.
    Copy,
}

/// A socket with its four rings.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) fill: Producer<u64>,
    pub(super) completion: Consumer<u64>,
    pub(super) rx: Consumer<libc::xdp_desc>,
    pub(super) tx: Producer<libc::xdp_desc>,
    fd: OwnedFd,
}

impl Socket {
    /// A socket over this memory, not bound yet. Its fill ring has all chunks that wait to be
    /// received into: some drivers look there once, while the socket is bound, and not again.
    ///
    /// # Safety
    /// From now on the kernel may write into the memory that `chunks` says the kernel has; it must
    /// outlive the socket.
    pub(super) unsafe fn open(chunks: &Chunks) -> io::Result<Self> {
        // SAFETY: no pointers; a descriptor returned is new and ours.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        register(fd.as_fd(), chunks)?;
        let size = chunks.frames();
        for ring in [
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_COMPLETION_RING,
            libc::XDP_RX_RING,
            libc::XDP_TX_RING,
        ] {
            set_option(fd.as_fd(), libc::SOL_XDP, ring, &size)?;
        }
        let at = ring_offsets(fd.as_fd())?;
        let fill_at = libc::XDP_UMEM_PGOFF_FILL_RING as i64;
        let completion_at = libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64;
        let mut fill = Producer::new(map_ring(fd.as_fd(), &at.fr, size, fill_at)?);
        for address in chunks.waiting() {
            let taken = fill.push(address);
            assert!(taken, "the fill ring has room for each frame that is received into");
        }
        fill.publish();
        Ok(Self {
            fill,
            completion: Consumer::new(map_ring(fd.as_fd(), &at.cr, size, completion_at)?),
            rx: Consumer::new(map_ring(fd.as_fd(), &at.rx, size, libc::XDP_PGOFF_RX_RING)?),
            tx: Producer::new(map_ring(fd.as_fd(), &at.tx, size, libc::XDP_PGOFF_TX_RING)?),
            fd,
        })
    }

    /// Binds to one queue of an interface. A queue whose last socket was closed a moment ago stays
    /// busy for up to 100 ms, so this tries again for a second.
    pub(super) fn bind(&self, interface: u32, queue: u32, bind: Bind) -> io::Result<()> {
        // With neither the kernel would choose, and not say why.
        let how = match bind {
            Bind::ZeroCopy => libc::XDP_ZEROCOPY,
            Bind::Copy => libc::XDP_COPY,
        };
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: libc::XDP_USE_NEED_WAKEUP | how,
            sxdp_ifindex: interface,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        };
        let end = Instant::now() + BIND_PATIENCE;
        loop {
            // SAFETY: a whole sockaddr_xdp and its size.
            let answer = unsafe {
                let size = size_of_val(&address) as libc::socklen_t;
                libc::bind(self.fd.as_raw_fd(), (&raw const address).cast(), size)
            };
            if answer == 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EBUSY) || Instant::now() > end {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The interface's work for this queue is done inside our own calls, up to `budget` frames in
    /// each, instead of by interrupts (Linux 5.11).
    pub(super) fn busy_poll(&self, budget: u16) -> io::Result<()> {
        for (option, value) in [
            (SO_PREFER_BUSY_POLL, 1),
            (SO_BUSY_POLL, BUSY_POLL_US),
            (SO_BUSY_POLL_BUDGET, libc::c_int::from(budget)),
        ] {
            set_option(self.fd.as_fd(), libc::SOL_SOCKET, option, &value)?;
        }
        Ok(())
    }

    /// The kernel's own counters of this socket.
    pub(super) fn statistics(&self) -> io::Result<libc::xdp_statistics> {
        // SAFETY: a plain C structure of numbers, for which all zeroes is a value.
        let mut statistics: libc::xdp_statistics = unsafe { std::mem::zeroed() };
        get_option(self.fd.as_fd(), libc::XDP_STATISTICS, &mut statistics)?;
        Ok(statistics)
    }

    /// Makes the kernel send what is in the tx ring; in copy mode it does so within the call.
    pub(super) fn kick_tx(&self) -> io::Result<()> {
        // SAFETY: nothing is passed but the descriptor.
        let answer = unsafe {
            let fd = self.fd.as_raw_fd();
            libc::sendto(fd, std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0)
        };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Makes the kernel look at the fill ring.
    pub(super) fn kick_rx(&self) {
        let none = std::ptr::null_mut();
        // SAFETY: nothing is passed but the descriptor. A failure shows in what is received.
        unsafe {
            let fd = self.fd.as_raw_fd();
            libc::recvfrom(fd, none, 0, libc::MSG_DONTWAIT, none.cast(), none.cast());
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn register(socket: BorrowedFd<'_>, chunks: &Chunks) -> io::Result<()> {
    let registration = libc::xdp_umem_reg {
        addr: chunks.start() as u64,
        len: chunks.bytes() as u64,
        chunk_size: chunks.chunk_bytes(),
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    set_option(socket, libc::SOL_XDP, libc::XDP_UMEM_REG, &registration)
}

fn ring_offsets(socket: BorrowedFd<'_>) -> io::Result<libc::xdp_mmap_offsets> {
    // SAFETY: a plain C structure of numbers, for which all zeroes is a value.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
    let got = get_option(socket, libc::XDP_MMAP_OFFSETS, &mut offsets)?;
    // Kernels before 5.4 answer with a shorter structure, without the flags.
    if got == size_of_val(&offsets) {
        Ok(offsets)
    } else {
        Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
    }
}

fn map_ring<T>(
    socket: BorrowedFd<'_>,
    at: &libc::xdp_ring_offset,
    size: u32,
    page_offset: i64,
) -> io::Result<Ring<T>> {
    let len = at.desc as usize + size as usize * size_of::<T>();
    Ring::new(Mapping::of_socket(socket, len, page_offset)?, at, size)
}

fn set_option<T>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: `value` is readable for the size stated.
    let answer = unsafe {
        let size = size_of::<T>() as libc::socklen_t;
        let value = std::ptr::from_ref(value).cast();
        libc::setsockopt(socket.as_raw_fd(), level, option, value, size)
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns how many bytes of `value` the kernel filled. `T` is a plain structure of numbers.
fn get_option<T>(socket: BorrowedFd<'_>, option: libc::c_int, value: &mut T) -> io::Result<usize> {
    let mut size = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is writable for the size stated.
    let answer = unsafe {
        let value = std::ptr::from_mut(value).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_XDP, option, value, &raw mut size)
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(size as usize) }
}

/// How long a call may look for frames when none is there: the least, since the core comes again
/// at once.
const BUSY_POLL_US: libc::c_int = 1;

/// `asm-generic/socket.h`
const SO_BUSY_POLL: libc::c_int = 46;
const SO_PREFER_BUSY_POLL: libc::c_int = 69;
const SO_BUSY_POLL_BUDGET: libc::c_int = 70;

/// How long to wait for a queue whose last owner has just gone.
const BIND_PATIENCE: Duration = Duration::from_secs(1);
