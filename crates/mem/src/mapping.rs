//! Memory from the system: on the best pages there are, present before the first use.
//!
//! ```text
//!   range (kept inaccessible)
//!   |  slack  |  start .................. start + bytes  |  guard  |
//! ```
//!
//! The range makes the start 2 MiB-aligned. What is left of it is a guard, and keeps the kernel
//! from merging two mappings, so that the kernel's report on one is about that one alone.

use core::ptr::{self, NonNull};
use std::{
    ffi::CString,
    fs::{self, File},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd},
    thread,
};

use libc::c_int;

use crate::{HUGE_PAGE_BYTES, HugePages, MemoryError, Pages, SMALL_PAGE_BYTES, available_bytes};

/// One mapping, unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    range: AddressRange,
    bytes: usize,
    file: Option<File>,
    pages: Pages,
}

/// Addresses that nothing else in the process uses.
#[derive(Debug)]
struct AddressRange {
    first: NonNull<u8>,
    bytes: usize,
    start: NonNull<u8>,
}

/// A system call that failed.
struct Failure {
    call: &'static str,
    source: io::Error,
}

impl Mapping {
    /// Maps `bytes`, zero-filled and present. Big ones go down the list of [`HugePages`].
    pub(crate) fn create(
        name: &'static str,
        bytes: usize,
        wish: HugePages,
    ) -> Result<Self, MemoryError> {
        Self::best(name, bytes, wish, Self::transparent)
    }

    /// The same, and always with a file, which another process can map.
    pub(crate) fn shareable(
        name: &'static str,
        bytes: usize,
        wish: HugePages,
    ) -> Result<Self, MemoryError> {
        Self::best(name, bytes, wish, Self::transparent_file)
    }

    fn best(
        name: &'static str,
        bytes: usize,
        wish: HugePages,
        transparent: fn(&str, usize) -> Option<Self>,
    ) -> Result<Self, MemoryError> {
        let big = bytes >= HUGE_PAGE_BYTES;
        // Reserved pages are not part of what is available: they were set aside before.
        if big
            && wish == HugePages::Reserve
            && let Ok(mapping) = Self::reserved(name, bytes)
        {
            return Ok(mapping);
        }
        // The kernel would kill a process for touching more than there is, so this must come first.
        let available_bytes = available_bytes();
        if bytes > available_bytes {
            return Err(MemoryError::NotEnough { name, asked_bytes: bytes, available_bytes });
        }
        if big
            && wish != HugePages::None
            && let Some(mapping) = transparent(name, bytes)
        {
            return Ok(mapping);
        }
        Self::small(name, bytes).map_err(|failure| failure.of(name, bytes))
    }

    /// Addresses for `bytes`, zero-filled, none of them present: for plans.
    pub(crate) fn absent(name: &'static str, bytes: usize) -> Result<Self, MemoryError> {
        let range = AddressRange::reserve(bytes, SMALL_PAGE_BYTES)
            .and_then(|range| range.open_private(bytes).map(|()| range))
            .map_err(|failure| failure.of(name, bytes))?;
        Ok(Self { range, bytes, file: None, pages: Pages::Small })
    }

    /// A memfd on reserved pages. It fails when too few are free.
    fn reserved(name: &str, bytes: usize) -> Result<Self, Failure> {
        let file = memory_file(name, bytes, libc::MFD_HUGETLB | libc::MFD_HUGE_2MB)?;
        let range = AddressRange::reserve(bytes, HUGE_PAGE_BYTES)?;
        range.map_file(&file, bytes)?;
        range.populate(bytes)?;
        Ok(Self { range, bytes, file: Some(file), pages: Pages::Reserved })
    }

    /// Transparent pages: with a file where the system allows that, else private. `None` when the
    /// system has them switched off.
    fn transparent(name: &str, bytes: usize) -> Option<Self> {
        let with_file = Self::transparent_file(name, bytes);
        if let Some(mapping) = with_file.filter(|mapping| mapping.pages == Pages::Transparent) {
            return Some(mapping);
        }
        if !setting_allows("/sys/kernel/mm/transparent_hugepage/enabled") {
            return None;
        }
        Self::transparent_private(bytes).ok()
    }

    /// A file on transparent pages, or what the kernel makes of that wish. `None` when the system
    /// has them switched off for files in memory.
    fn transparent_file(name: &str, bytes: usize) -> Option<Self> {
        if !setting_allows("/sys/kernel/mm/transparent_hugepage/shmem_enabled") {
            return None;
        }
        let map = || {
            let file = memory_file(name, bytes, 0)?;
            let range = AddressRange::reserve(bytes, HUGE_PAGE_BYTES)?;
            range.map_file(&file, bytes)?;
            range.advise(bytes, libc::MADV_HUGEPAGE)?;
            range.populate(bytes)?;
            let pages = range.pages_got(bytes);
            Ok::<_, Failure>(Self { range, bytes, file: Some(file), pages })
        };
        map().ok()
    }

    fn transparent_private(bytes: usize) -> Result<Self, Failure> {
        let range = AddressRange::reserve(bytes, HUGE_PAGE_BYTES)?;
        range.open_private(bytes)?;
        range.advise(bytes, libc::MADV_HUGEPAGE)?;
        range.populate(bytes)?;
        let pages = range.pages_got(bytes);
        Ok(Self { range, bytes, file: None, pages })
    }

    fn small(name: &str, bytes: usize) -> Result<Self, Failure> {
        let file = memory_file(name, bytes, 0)?;
        let range = AddressRange::reserve(bytes, SMALL_PAGE_BYTES)?;
        range.map_file(&file, bytes)?;
        range.populate(bytes)?;
        Ok(Self { range, bytes, file: Some(file), pages: Pages::Small })
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.range.start
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn pages(&self) -> Pages {
        self.pages
    }

    pub(crate) fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(File::as_fd)
    }
}

impl AddressRange {
    /// Takes addresses for `bytes` from a multiple of `align` on, with a guard behind.
    fn reserve(bytes: usize, align: usize) -> Result<Self, Failure> {
        let all = bytes + align;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
        let first = unsafe { libc::mmap(ptr::null_mut(), all, libc::PROT_NONE, flags, -1, 0) };
        if first == libc::MAP_FAILED {
            return Err(Failure::last("mmap"));
        }
        let first = NonNull::new(first.cast::<u8>()).expect("mmap gives no null");
        let slack = first.align_offset(align);
        // The range is page-aligned, so the slack is below `align`, and a guard page remains.
        assert!(slack < align);
        // SAFETY: slack and bytes together are below the size of the range.
        let start = unsafe { first.add(slack) };
        Ok(Self { first, bytes: all, start })
    }

    /// Puts the file at the start.
    fn map_file(&self, file: &File, bytes: usize) -> Result<(), Failure> {
        let (place, protection) = (self.start.as_ptr().cast(), libc::PROT_READ | libc::PROT_WRITE);
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        // SAFETY: it replaces a part of our own inaccessible range, to which nothing refers.
        let at = unsafe { libc::mmap(place, bytes, protection, flags, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED { Err(Failure::last("mmap")) } else { Ok(()) }
    }

    /// Makes the start private memory.
    fn open_private(&self, bytes: usize) -> Result<(), Failure> {
        let (place, protection) = (self.start.as_ptr().cast(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: it is a part of our own range, to which nothing refers.
        check("mprotect", unsafe { libc::mprotect(place, bytes, protection) })
    }

    fn advise(&self, bytes: usize, advice: c_int) -> Result<(), Failure> {
        advise(self.start.as_ptr().expose_provenance(), bytes, advice)
    }

    /// Brings all pages in, so that no packet ever waits for one. The kernel clears each of them,
    /// which is nearly all the time of a start: every processor that we may use does a part.
    fn populate(&self, bytes: usize) -> Result<(), Failure> {
        let start = self.start.as_ptr().expose_provenance();
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let part_bytes = bytes.div_ceil(threads).next_multiple_of(HUGE_PAGE_BYTES);
        let parts = (0..bytes).step_by(part_bytes);
        let outcomes: Vec<_> = thread::scope(|scope| {
            let bring_in = |at: usize| {
                let part_bytes = part_bytes.min(bytes - at);
                scope.spawn(move || bring_in(start + at, part_bytes))
            };
            let helpers: Vec<_> = parts.map(bring_in).collect();
            helpers.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        let mut knows_advice = true;
        for outcome in outcomes {
            knows_advice &= outcome.expect("a system call does not panic")?;
        }
        if knows_advice {
            return Ok(());
        }
        for offset in (0..bytes).step_by(SMALL_PAGE_BYTES) {
            // SAFETY: inside our own mapping, which is writable and zero.
            unsafe { self.start.add(offset).write_volatile(0) };
        }
        Ok(())
    }

    /// What the kernel made of the wish for transparent pages.
    fn pages_got(&self, bytes: usize) -> Pages {
        let report = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        let huge = huge_bytes(&report, self.start.as_ptr().addr());
        if huge * 2 >= bytes { Pages::Transparent } else { Pages::Small }
    }
}

impl Drop for AddressRange {
    fn drop(&mut self) {
        // SAFETY: the range is ours, and its owner, the region, is gone.
        let status = unsafe { libc::munmap(self.first.as_ptr().cast(), self.bytes) };
        debug_assert_eq!(status, 0);
    }
}

impl Failure {
    fn last(call: &'static str) -> Self {
        Self { call, source: io::Error::last_os_error() }
    }

    fn of(self, name: &'static str, asked_bytes: usize) -> MemoryError {
        let Self { call, source } = self;
        MemoryError::System { name, asked_bytes, call, source }
    }
}

/// Brings the pages of a part in. False when the kernel cannot: before 5.14 it did not know how.
fn bring_in(start: usize, bytes: usize) -> Result<bool, Failure> {
    loop {
        let Err(failure) = advise(start, bytes, libc::MADV_POPULATE_WRITE) else { return Ok(true) };
        match failure.source.raw_os_error() {
            Some(libc::EINTR | libc::EAGAIN) => {}
            Some(libc::EINVAL) => return Ok(false),
            _ => return Err(failure),
        }
    }
}

fn advise(start: usize, bytes: usize, advice: c_int) -> Result<(), Failure> {
    let start = ptr::with_exposed_provenance_mut(start);
    // SAFETY: only `MADV_HUGEPAGE` and `MADV_POPULATE_WRITE` are given: contents stay. Where there
    // is no mapping, the call fails.
    check("madvise", unsafe { libc::madvise(start, bytes, advice) })
}

/// A file in memory whose size is fixed: a peer that shrank it would kill whoever reads it.
fn memory_file(name: &str, bytes: usize, flags: libc::c_uint) -> Result<File, Failure> {
    let name = CString::new(format!("crore-{name}"))
        .map_err(|error| Failure { call: "memfd_create", source: error.into() })?;
    let flags = flags | libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string that outlives the call.
    let descriptor = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    if descriptor < 0 {
        return Err(Failure::last("memfd_create"));
    }
    // SAFETY: the descriptor is new, and nobody else has it.
    let file = unsafe { File::from_raw_fd(descriptor) };
    file.set_len(bytes as u64).map_err(|source| Failure { call: "ftruncate", source })?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: a call on our own descriptor, without any memory.
    check("fcntl", unsafe { libc::fcntl(descriptor, libc::F_ADD_SEALS, seals) })?;
    Ok(file)
}

/// Whether a setting like `always [madvise] never` gives huge pages to who asks.
fn setting_allows(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| allows(&text))
}

fn allows(text: &str) -> bool {
    let chosen = text.split_whitespace().find(|word| word.starts_with('['));
    chosen.is_some_and(|word| !matches!(word, "[never]" | "[deny]"))
}

/// The bytes on 2 MiB pages of the mapping that begins at `start`, from the text of `smaps`.
fn huge_bytes(report: &str, start: usize) -> usize {
    let head = format!("{start:x}-");
    report
        .lines()
        .skip_while(|line| !line.starts_with(&head))
        .skip(1)
        // The next mapping's line begins with an address, all others with a word.
        .take_while(|line| line.starts_with(|letter: char| letter.is_ascii_uppercase()))
        .filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            let huge = matches!(key, "AnonHugePages" | "ShmemPmdMapped" | "FilePmdMapped");
            let kibibytes: usize = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
            huge.then_some(kibibytes * 1024)
        })
        .sum()
}

fn check(call: &'static str, status: c_int) -> Result<(), Failure> {
    if status < 0 { Err(Failure::last(call)) } else { Ok(()) }
}

#[cfg(all(test, not(loom)))]
mod tests;
