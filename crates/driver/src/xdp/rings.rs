//! The rings that a socket shares with the kernel: one side writes entries and publishes an index,
//! the other reads them and publishes another.
//!
//! ```text
//!   producer's index ───────────────┐
//!   consumer's index ──┐            │
//!   entries      ......|############|......       an index counts up for ever and wraps at 2^32;
//!                      free to write later        its place in the ring is its low bits
//! ```
//!
//! We produce in the fill and tx rings and consume in the rx and completion rings. What the kernel
//! writes, an index or an entry, is taken as a claim: an index is cut to what the ring can hold,
//! and an entry is returned by value for its owner to check.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// A ring that we fill. `T` is the kernel's entry type.
#[derive(Debug)]
pub(super) struct Producer<T> {
    ring: Ring<T>,
    /// Our index: the next entry to write. The shared one follows at each `publish`.
    next: u32,
    /// The kernel's index as last read.
    consumed: u32,
}

impl<T: Copy> Producer<T> {
    pub(super) fn new(ring: Ring<T>) -> Self {
        let next = ring.producer().load(Ordering::Relaxed);
        let consumed = ring.consumer().load(Ordering::Acquire);
        Self { ring, next, consumed }
    }

    /// Writes the next entry; false when the ring is full. The kernel sees nothing of it yet.
    #[inline]
    pub(super) fn push(&mut self, entry: T) -> bool {
        if self.pending_cached() >= self.ring.size && self.pending() >= self.ring.size {
            return false;
        }
        // SAFETY: the kernel's index was read with Acquire and is past this entry, so the kernel
        // has finished reading it and will not look again before `publish`.
        unsafe { self.ring.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Shows all entries written so far to the kernel.
    #[inline]
    pub(super) fn publish(&mut self) {
        // Release: the entries, and the frames they name, are written before the index is.
        self.ring.producer().store(self.next, Ordering::Release);
    }

    /// Entries that the kernel has not consumed, as of now.
    #[inline]
    pub(super) fn pending(&mut self) -> u32 {
        // Acquire: the kernel's reads of the entries come before our overwriting them.
        self.consumed = self.ring.consumer().load(Ordering::Acquire);
        self.pending_cached()
    }

    /// The kernel asks to be called when there is something in this ring.
    #[inline]
    pub(super) fn needs_wakeup(&self) -> bool {
        // Relaxed: the kernel sets the flag before it looks at the ring a last time, and the call
        // that we may leave out once is made at the next look.
        self.ring.flags().load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    #[inline]
    fn pending_cached(&self) -> u32 {
        // An index ahead of ours cannot be: it counts as a full ring, and nothing is overwritten.
        self.next.wrapping_sub(self.consumed).min(self.ring.size)
    }
}

/// A ring that the kernel fills.
#[derive(Debug)]
pub(super) struct Consumer<T> {
    ring: Ring<T>,
    /// Our index: the next entry to read. The shared one follows at each `release`.
    next: u32,
    /// The kernel's index as last read.
    produced: u32,
}

impl<T: Copy> Consumer<T> {
    pub(super) fn new(ring: Ring<T>) -> Self {
        let next = ring.consumer().load(Ordering::Relaxed);
        Self { ring, next, produced: next }
    }

    /// Reads the next entry, if there is one.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.next == self.produced {
            // Acquire: the entries, and the frames they name, are read after the index.
            let produced = self.ring.producer().load(Ordering::Acquire);
            let ahead = produced.wrapping_sub(self.next).min(self.ring.size);
            self.produced = self.next.wrapping_add(ahead);
            if ahead == 0 {
                return None;
            }
        }
        // SAFETY: the kernel's index was read with Acquire and is past this entry, so it is
        // written, and stays as it is until `release`. Any bits are a value of `T`.
        let entry = unsafe { self.ring.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// True when `pop` would find something.
    #[inline]
    pub(super) fn has_more(&self) -> bool {
        self.next != self.produced || self.ring.producer().load(Ordering::Acquire) != self.next
    }

    /// Gives the entries read so far back to the kernel to be filled again.
    #[inline]
    pub(super) fn release(&mut self) {
        // Release: our reads of the entries come before the kernel's overwriting them.
        self.ring.consumer().store(self.next, Ordering::Release);
    }
}

/// One ring as it lies in memory.
#[derive(Debug)]
pub(super) struct Ring<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    entries: NonNull<T>,
    size: u32,
    /// Holds the four places above.
    _mapping: Mapping,
}

// SAFETY: the pointers lead into the mapping, which belongs to this ring alone (in this process).
unsafe impl<T: Send> Send for Ring<T> {}

impl<T> Ring<T> {
    /// A ring of `size` entries in `mapping`, with its parts at the byte offsets stated.
    pub(super) fn new(mapping: Mapping, at: &libc::xdp_ring_offset, size: u32) -> io::Result<Self> {
        assert!(size.is_power_of_two());
        let place = |offset: u64, bytes: usize, align: usize| {
            let fits =
                offset.checked_add(bytes as u64).is_some_and(|end| end <= mapping.len as u64);
            let ok = fits && offset.is_multiple_of(align as u64);
            // SAFETY: the place and all its bytes are inside the mapping.
            ok.then(|| unsafe { mapping.start.add(offset as usize) })
        };
        let index = |offset| place(offset, 4, 4).map(NonNull::cast::<AtomicU32>);
        let parts = || {
            let entries = place(at.desc, size as usize * size_of::<T>(), align_of::<T>())?.cast();
            Some((index(at.producer)?, index(at.consumer)?, index(at.flags)?, entries))
        };
        let Some((producer, consumer, flags, entries)) = parts() else {
            return Err(io::Error::other(
                "the kernel describes a ring that does not fit its memory",
            ));
        };
        Ok(Self { producer, consumer, flags, entries, size, _mapping: mapping })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: checked at `new` to lie in the mapping, aligned; the mapping lives as long.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { self.consumer.as_ref() }
    }

    fn flags(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { self.flags.as_ref() }
    }

    /// The place of the entry with this index.
    fn entry(&self, index: u32) -> *mut T {
        // SAFETY: the low bits of an index are below `size`, and `new` checked `size` entries.
        unsafe { self.entries.add((index & (self.size - 1)) as usize) }.as_ptr()
    }
}

/// Memory shared with the kernel by mmap.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes of a socket, from one of the `XDP_*_PGOFF_*` offsets on.
    pub(super) fn of_socket(socket: BorrowedFd<'_>, len: usize, at: i64) -> io::Result<Self> {
        Self::new(len, libc::MAP_SHARED | libc::MAP_POPULATE, socket.as_raw_fd(), at)
    }

    /// Memory of the same kind, with nobody at the other end.
    #[cfg(test)]
    pub(super) fn anonymous(len: usize) -> io::Result<Self> {
        Self::new(len, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0)
    }

    fn new(len: usize, flags: libc::c_int, fd: libc::c_int, at: i64) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place that the kernel chooses.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, access, flags, fd, at) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("mmap gives no null here");
        Ok(Self { start, len })
    }

    /// The index or flags word at a byte offset, for a test that plays the kernel.
    #[cfg(test)]
    pub(super) fn word(&self, offset: usize) -> *const AtomicU32 {
        assert!(offset + 4 <= self.len);
        self.start.as_ptr().wrapping_add(offset).cast_const().cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped with this length at `new`, and nothing refers to it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests;
