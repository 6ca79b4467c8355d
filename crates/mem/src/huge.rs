//! Reserving 2 MiB pages for the time of a run.

use core::fmt;
use std::{
    error::Error,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{HUGE_PAGE_BYTES, region_bytes};

/// Huge pages that were added to the system's reserve, and are taken out again on drop.
///
/// It adds to what is there and gives back exactly what it added, so what others reserved, before
/// or meanwhile, stays. Pages still in use at the drop are given back by the kernel when they
/// become free. A process that is killed leaves its pages reserved: the next one finds them free
/// and adds only what is missing.
#[derive(Debug)]
pub struct HugePageReservation {
    reserve: Reserve,
    wanted_pages: usize,
    free_before: usize,
    added_pages: usize,
}

/// Why no page could be reserved.
#[derive(Debug)]
pub enum ReservationError {
    /// The system's number may not be changed: it takes root.
    NotAllowed(io::Error),
    /// The system has no 2 MiB pages, or does not show them.
    NotThere(io::Error),
}

/// The files of the kernel's reserve.
#[derive(Clone, Debug)]
struct Reserve {
    directory: PathBuf,
    compact: PathBuf,
}

impl HugePageReservation {
    /// Sees to it that `pages` huge pages are free, as far as the system has memory for them.
    ///
    /// Fewer than asked for is no error: [`HugePageReservation::message`] says so, and regions fall
    /// back to other pages. Fails when the number may not be read or changed.
    pub fn new(pages: usize) -> Result<Self, ReservationError> {
        Self::within(Reserve { directory: RESERVE.into(), compact: COMPACT.into() }, pages)
    }

    fn within(reserve: Reserve, wanted_pages: usize) -> Result<Self, ReservationError> {
        let _turn = reserve.lock();
        let free_before = reserve.free_pages().map_err(ReservationError::NotThere)?;
        let mut reservation = Self { reserve, wanted_pages, free_before, added_pages: 0 };
        reservation.add_missing().map_err(ReservationError::NotAllowed)?;
        for _ in 0..MORE_TRIES_MAX {
            if reservation.missing() == 0 {
                break;
            }
            // Memory in small pieces, or in caches: ask the kernel to move it together, then try
            // once more. Each try frees some of the caches, so go on for as long as it helps.
            let before = reservation.added_pages;
            let _ = fs::write(&reservation.reserve.compact, "1");
            reservation.add_missing().map_err(ReservationError::NotAllowed)?;
            if reservation.added_pages == before {
                break;
            }
        }
        Ok(reservation)
    }

    fn add_missing(&mut self) -> io::Result<()> {
        let missing = self.missing();
        if missing == 0 {
            return Ok(());
        }
        let before = self.reserve.pages()?;
        self.reserve.set_pages(before + missing)?;
        self.added_pages += self.reserve.pages()?.saturating_sub(before);
        Ok(())
    }

    fn missing(&self) -> usize {
        self.wanted_pages.saturating_sub(self.free_before + self.added_pages)
    }

    /// Pages that were added to the system's reserve.
    pub fn added_pages(&self) -> usize {
        self.added_pages
    }

    /// True when as many pages are free as were asked for.
    pub fn is_complete(&self) -> bool {
        self.missing() == 0
    }

    /// What was done, in one line for the operator.
    pub fn message(&self) -> String {
        let Self { wanted_pages, added_pages, free_before, .. } = *self;
        let wanted = Amount(wanted_pages);
        if added_pages == 0 && self.is_complete() {
            return format!("huge pages: {wanted} needed, {free_before} were free");
        }
        let added = Amount(added_pages);
        let done = format!("huge pages: {added} reserved, given back at the end");
        if self.is_complete() {
            return done;
        }
        let missing = Amount(self.missing());
        format!(
            "{done}; {missing} of the {wanted} needed could not be had: memory is full or in pieces"
        )
    }
}

impl Drop for HugePageReservation {
    fn drop(&mut self) {
        if self.added_pages == 0 {
            return;
        }
        let _turn = self.reserve.lock();
        // Nobody is left to hear of an error; the number then stays as an operator would see it.
        if let Ok(pages) = self.reserve.pages() {
            let _ = self.reserve.set_pages(pages.saturating_sub(self.added_pages));
        }
    }
}

impl Reserve {
    /// Keeps others of our kind from changing the number between our reading and writing it. Where
    /// the file cannot be locked, we go on without.
    fn lock(&self) -> Option<File> {
        let file = File::open(self.directory.join("nr_hugepages")).ok()?;
        file.lock().ok()?;
        Some(file)
    }

    fn pages(&self) -> io::Result<usize> {
        number(&self.directory.join("nr_hugepages"))
    }

    /// Pages that nobody uses and nobody was promised.
    fn free_pages(&self) -> io::Result<usize> {
        let free = number(&self.directory.join("free_hugepages"))?;
        let promised = number(&self.directory.join("resv_hugepages"))?;
        Ok(free.saturating_sub(promised))
    }

    fn set_pages(&self, pages: usize) -> io::Result<()> {
        fs::write(self.directory.join("nr_hugepages"), pages.to_string())
    }
}

impl fmt::Display for ReservationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed(source) => write!(
                f,
                "huge pages cannot be reserved ({source}); run as root, or let root set \
                 `sysctl vm.nr_hugepages`"
            ),
            Self::NotThere(source) => write!(f, "the system has no 2 MiB pages ({source})"),
        }
    }
}

impl Error for ReservationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotAllowed(source) | Self::NotThere(source) => Some(source),
        }
    }
}

/// Huge pages that one region with `content_bytes` of slots takes, header included; 0 when it is so
/// small that it stays on small pages. For several regions add up the answers.
pub const fn huge_pages_needed(content_bytes: usize) -> usize {
    let bytes = region_bytes(content_bytes);
    if bytes < HUGE_PAGE_BYTES { 0 } else { bytes / HUGE_PAGE_BYTES }
}

/// A number of huge pages, shown with their size.
struct Amount(usize);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} MiB)", self.0, self.0 * (HUGE_PAGE_BYTES >> 20))
    }
}

fn number(path: &Path) -> io::Result<usize> {
    fs::read_to_string(path)?.trim().parse().map_err(io::Error::other)
}

const RESERVE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";
/// More would only keep an operator waiting who has too little memory.
const MORE_TRIES_MAX: usize = 16;
const COMPACT: &str = "/proc/sys/vm/compact_memory";

#[cfg(all(test, not(loom)))]
mod tests;
