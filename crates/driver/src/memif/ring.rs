//! A ring in shared memory: its header, and its descriptors.
//!
//! ```text
//!   0    cookie u32 | flags u16 | head u16        written by the client: head
//!   64   tail u16                                 written by the server: tail
//!   128  descriptor | descriptor | ...            16 bytes each, a power of two of them
//!
//!   descriptor:  flags u16 | region u16 | length u32 | offset u32 | 0 u32
//! ```
//!
//! The client writes `head` and the server `tail`, in both directions. Indices count on for ever;
//! the place is the index modulo the size. Every word is read once, as an atomic.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

/// One side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Has the listening socket; formerly "master".
    Server,
    /// Connects, and brings all the memory; formerly "slave".
    Client,
}

/// Where a ring is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    header: NonNull<Header>,
    log2: u8,
}

// SAFETY: the ring is atomics in memory that whoever has the ring keeps mapped.
unsafe impl Send for Ring {}

/// Atomics to its end: a peer writes where it likes, and a reference to anything else would promise
/// that it does not.
#[derive(Debug)]
#[repr(C)]
struct Header {
    cookie: AtomicU32,
    flags: AtomicU16,
    head: AtomicU16,
    _first: [AtomicU16; 28],
    tail: AtomicU16,
    _second: [AtomicU16; 31],
}

/// What a descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// The frame goes on in the next one.
    pub(super) more: bool,
    pub(super) region: u16,
    pub(super) len: u32,
    pub(super) offset: u32,
}

impl Ring {
    /// A ring at this place, in memory that the peer sees.
    ///
    /// # Safety
    /// From `start` on, [`ring_bytes`] of `log2` bytes stay mapped as long as this or a copy of it
    /// is used, and `start` is a multiple of [`RING_ALIGN`].
    pub(super) unsafe fn at(start: *mut u8, log2: u8) -> Self {
        debug_assert!(start.addr().is_multiple_of(RING_ALIGN) && log2 <= LOG2_MAX);
        let header = NonNull::new(start.cast::<libc::c_void>().cast::<Header>())
            .expect("a mapping is not at zero");
        Self { header, log2 }
    }

    /// Places for descriptors.
    #[inline]
    pub(super) fn size(&self) -> u16 {
        1 << self.log2
    }

    /// Makes a new ring of zeroed memory.
    pub(super) fn begin(&self) {
        self.header().cookie.store(COOKIE, Ordering::Relaxed);
    }

    /// True when its owner made it.
    pub(super) fn has_cookie(&self) -> bool {
        self.header().cookie.load(Ordering::Relaxed) == COOKIE
    }

    /// An empty ring whose receiver polls.
    pub(super) fn reset(&self) {
        self.header().head.store(0, Ordering::Relaxed);
        self.header().tail.store(0, Ordering::Release);
    }

    /// The index that the other side writes. Acquire: what it says is there, is there.
    #[inline]
    pub(super) fn theirs(&self, own: Role) -> u16 {
        match own {
            Role::Server => self.header().head.load(Ordering::Acquire),
            Role::Client => self.header().tail.load(Ordering::Acquire),
        }
    }

    /// Writes our index. Release: what was written or read before comes first.
    #[inline]
    pub(super) fn publish(&self, own: Role, index: u16) {
        match own {
            Role::Server => self.header().tail.store(index, Ordering::Release),
            Role::Client => self.header().head.store(index, Ordering::Release),
        }
    }

    /// The receiver's side: whether it wants to be signalled.
    pub(super) fn set_polling(&self, polls: bool) {
        let flags = if polls { INTERRUPTS_MASKED } else { 0 };
        self.header().flags.store(flags, Ordering::Relaxed);
    }

    /// The sender's side: true when the receiver polls.
    #[inline]
    pub(super) fn is_polled(&self) -> bool {
        self.header().flags.load(Ordering::Relaxed) & INTERRUPTS_MASKED != 0
    }

    /// What stands at an index, each word read once.
    #[inline]
    pub(super) fn read(&self, index: u16) -> Descriptor {
        let [low, high] = self.descriptor(index);
        let (low, high) = (low.load(Ordering::Relaxed), high.load(Ordering::Relaxed));
        let [f0, f1, r0, r1, l0, l1, l2, l3] = low.to_ne_bytes();
        let [o0, o1, o2, o3, ..] = high.to_ne_bytes();
        Descriptor {
            more: u16::from_ne_bytes([f0, f1]) & NEXT != 0,
            region: u16::from_ne_bytes([r0, r1]),
            len: u32::from_ne_bytes([l0, l1, l2, l3]),
            offset: u32::from_ne_bytes([o0, o1, o2, o3]),
        }
    }

    /// Writes what is to stand at an index.
    #[inline]
    pub(super) fn write(&self, index: u16, descriptor: Descriptor) {
        let [low, high] = self.descriptor(index);
        let [f0, f1] = (if descriptor.more { NEXT } else { 0 }).to_ne_bytes();
        let [r0, r1] = descriptor.region.to_ne_bytes();
        let [l0, l1, l2, l3] = descriptor.len.to_ne_bytes();
        let [o0, o1, o2, o3] = descriptor.offset.to_ne_bytes();
        low.store(u64::from_ne_bytes([f0, f1, r0, r1, l0, l1, l2, l3]), Ordering::Relaxed);
        high.store(u64::from_ne_bytes([o0, o1, o2, o3, 0, 0, 0, 0]), Ordering::Relaxed);
    }

    /// Asks for the line that an index's descriptor lies in.
    #[inline]
    pub(super) fn prefetch(&self, index: u16) {
        crore_mem::prefetch(self.descriptor(index));
    }

    /// The same, to write it.
    #[inline]
    pub(super) fn prefetch_to_write(&self, index: u16) {
        crore_mem::prefetch_to_write(self.descriptor(index));
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: mapped and aligned, as the caller of `at` promised; only atomics are looked at.
        unsafe { self.header.as_ref() }
    }

    #[inline]
    fn descriptor(&self, index: u16) -> &[AtomicU64; 2] {
        let place = usize::from(index & (self.size() - 1));
        // SAFETY: the descriptors follow the header, inside what the caller of `at` promised; only
        // atomics are looked at.
        unsafe { self.header.add(1).cast::<[AtomicU64; 2]>().add(place).as_ref() }
    }
}

/// Bytes of a ring.
pub(super) fn ring_bytes(log2: u8) -> u32 {
    HEADER_BYTES + (DESCRIPTOR_BYTES << log2)
}

/// What an address must be a multiple of. Rings that follow each other are.
pub(super) const RING_ALIGN: usize = align_of::<AtomicU64>();

/// The largest ring: 16,384 descriptors.
pub(super) const LOG2_MAX: u8 = 14;

const COOKIE: u32 = 0x03e3_1f20;
const INTERRUPTS_MASKED: u16 = 1;
const NEXT: u16 = 1;
const HEADER_BYTES: u32 = size_of::<Header>() as u32;
const DESCRIPTOR_BYTES: u32 = 16;

const _: () = assert!(size_of::<Header>() == 128 && align_of::<Header>() <= RING_ALIGN);
const _: () = assert!(std::mem::offset_of!(Header, head) == 6);
const _: () = assert!(std::mem::offset_of!(Header, tail) == 64);
