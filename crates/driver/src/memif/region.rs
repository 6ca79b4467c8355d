//! The memory of one connection, which the peer writes to whenever it likes.
//!
//! ```text
//!   region 0    | ring | ring | ...  | buffers ...            files in memory, each mapped whole;
//!   region 1    | buffers ...                                 a place is a region and an offset
//! ```
//!
//! Nothing in it is a Rust reference but atomics: bytes are only copied in and out, through raw
//! pointers and by volatile accesses (`copy.rs`). What a place is, a peer says; [`Shared::find`]
//! makes sure that it lies inside its region.
//!
//! A file that its owner makes shorter kills whoever reads behind its new end (`SIGBUS`). So a
//! region's file must be sealed against that (`F_SEAL_SHRINK`). Files of huge pages usually come
//! without seals, and holes can be punched into sealed ones; `guard.rs` makes both harmless.

use std::fs::File;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, OnceLock};

use crore_mem::Region;

use super::guard::{Guard, Watched};
use crate::wakeup::Event;

/// All regions of one connection. It is unmapped when nobody uses it any more.
#[derive(Debug)]
pub(super) struct Shared {
    regions: Box<[Mapped]>,
    /// What the peer did that it must not, as the first queue saw it.
    fault: OnceLock<Fault>,
}

/// What a peer did to a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It says that there are more frames or buffers than the ring has places, or took some back.
    Index,
    /// A descriptor names a region that there is not.
    Region,
    /// A descriptor names bytes outside of its region, or more than its buffer has.
    Bounds,
    /// A frame goes on for more buffers than the ring has.
    Chain,
    /// The file behind a region was made shorter, or its pages are not to be had.
    Gone,
}

impl Fault {
    /// For the peer and for the log.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Index => "a ring's index is not possible",
            Self::Region => "a descriptor names a region that there is not",
            Self::Bounds => "a descriptor names bytes outside of its region or buffer",
            Self::Chain => "a frame has more buffers than its ring has places",
            Self::Gone => "the memory of a region is gone: its file was made shorter",
        }
    }
}

/// One region.
#[derive(Debug)]
pub(super) struct Mapped {
    start: *mut u8,
    bytes: u64,
    /// Before `owner`: the addresses are not watched any more when they are given back.
    watched: Watched,
    _owner: Owner,
}

// SAFETY: a mapping is memory without a tie to a thread; all access to it is by copies through raw
// pointers, and by atomics.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

#[derive(Debug)]
enum Owner {
    /// Mapped from a peer's file.
    Peers(#[expect(dead_code, reason = "kept to be unmapped")] Mapping),
    /// Made by us.
    Ours(#[expect(dead_code, reason = "kept to be given back")] Region),
}

/// A mapping of a peer's file.
#[derive(Debug)]
struct Mapping {
    start: *mut u8,
    bytes: usize,
}

impl Mapped {
    /// Maps a region that a peer sent; the event is signalled when its memory is found to be gone.
    /// The error is for the peer and for the log.
    pub(super) fn of_peer(fd: OwnedFd, bytes: u64, event: &Arc<Event>) -> Result<Self, String> {
        let file = File::from(fd);
        let found = file.metadata().map_err(|error| format!("region: {error}"))?;
        if !found.is_file() {
            return Err("a region must be a file in memory (memfd)".to_owned());
        }
        if bytes == 0 || found.size() < bytes {
            let size = found.size();
            return Err(format!("a region of {bytes} bytes in a file of {size} bytes"));
        }
        let huge_page_bytes = huge_page_bytes(&file);
        if huge_page_bytes.is_none() && !is_sealed(&file) {
            return Err("a region's file must have F_SEAL_SHRINK, and has not".to_owned());
        }
        let whole = bytes.checked_next_multiple_of(huge_page_bytes.unwrap_or(SMALL_PAGE_BYTES));
        let whole = whole.and_then(|whole| usize::try_from(whole).ok());
        let Some(whole) = whole else { return Err(format!("a region of {bytes} bytes")) };
        let mapping = Mapping::new(&file, whole)
            .map_err(|error| format!("a region of {bytes} bytes could not be mapped: {error}"))?;
        mapping.bring_in().map_err(|error| format!("no memory for a region: {error}"))?;
        let watched = Guard::watch(mapping.start, whole, event);
        Ok(Self { start: mapping.start, bytes, watched, _owner: Owner::Peers(mapping) })
    }

    /// A region of our own; its places count from the start of its mapping.
    pub(super) fn of_ours(region: Region, event: &Arc<Event>) -> Self {
        let bytes = region.total_bytes();
        let start = region.mapping().as_ptr();
        let watched = Guard::watch(start, bytes, event);
        Self { start, bytes: bytes as u64, watched, _owner: Owner::Ours(region) }
    }

    /// Bytes that places can be in.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where this place is, if `len` bytes from it on lie inside.
    #[inline]
    pub(super) fn find(&self, offset: u32, len: u32) -> Option<*mut u8> {
        let end = u64::from(offset) + u64::from(len);
        (end <= self.bytes).then(|| self.start.wrapping_add(offset as usize))
    }
}

impl Shared {
    pub(super) fn new(regions: Vec<Mapped>) -> Self {
        Self { regions: regions.into(), fault: OnceLock::new() }
    }

    /// Where a place is, if `len` bytes from it on lie inside its region.
    #[inline]
    pub(super) fn find(&self, region: u16, offset: u32, len: u32) -> Result<*mut u8, Fault> {
        let region = self.regions.get(usize::from(region)).ok_or(Fault::Region)?;
        region.find(offset, len).ok_or(Fault::Bounds)
    }

    /// The connection is to end for this. The first fault stays.
    #[cold]
    pub(super) fn blame(&self, fault: Fault) {
        let _ = self.fault.set(fault);
    }

    /// What the connection is to end for.
    pub(super) fn fault(&self) -> Option<Fault> {
        let gone = || self.regions.iter().any(|region| region.watched.is_gone());
        self.fault.get().copied().or_else(|| gone().then_some(Fault::Gone))
    }

    /// Bytes of all regions.
    pub(super) fn total_bytes(&self) -> u64 {
        self.regions.iter().map(|region| region.bytes).sum()
    }
}

impl Mapping {
    fn new(file: &File, bytes: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (fd, none) = (file.as_raw_fd(), std::ptr::null_mut());
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
        let start = unsafe { libc::mmap(none, bytes, protection, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: start.cast(), bytes })
    }

    /// Brings the pages of a region of a usual size in, so that no turn waits for one. Those of
    /// larger ones come when they are used: nobody knows how much of them will be.
    fn bring_in(&self) -> io::Result<()> {
        if self.bytes > BROUGHT_IN_BYTES_MAX {
            return Ok(());
        }
        // SAFETY: our own mapping; contents stay. A file that was made shorter is an error here.
        let status =
            unsafe { libc::madvise(self.start.cast(), self.bytes, libc::MADV_POPULATE_WRITE) };
        let error = io::Error::last_os_error();
        // Kernels before 5.14 do not know how.
        let is_done = status == 0 || error.raw_os_error() == Some(libc::EINVAL);
        if is_done { Ok(()) } else { Err(error) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our own mapping, to which nothing refers any more.
        let status = unsafe { libc::munmap(self.start.cast(), self.bytes) };
        debug_assert_eq!(status, 0);
    }
}

/// True when the file can only be as long as it is, or longer.
fn is_sealed(file: &File) -> bool {
    // SAFETY: numbers only.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & libc::F_SEAL_SHRINK != 0
}

/// What the pages of a file of huge pages have.
fn huge_page_bytes(file: &File) -> Option<u64> {
    // SAFETY: a plain C structure of numbers, for which all zeroes is a value.
    let mut found: libc::statfs = unsafe { zeroed() };
    // SAFETY: a whole statfs to write to.
    let status = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut found) };
    let is_huge = status == 0 && found.f_type as u32 == HUGETLBFS_MAGIC;
    is_huge.then_some(found.f_bsize as u64)
}

/// Regions of a connection, at most.
pub(super) const REGIONS_MAX: usize = 256;

const SMALL_PAGE_BYTES: u64 = crore_mem::SMALL_PAGE_BYTES as u64;

/// `linux/magic.h`
const HUGETLBFS_MAGIC: u32 = 0x9584_58f6;

const BROUGHT_IN_BYTES_MAX: usize = 256 << 20;
