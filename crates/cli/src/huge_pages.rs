//! Huge pages reserved for the time of a run, given back however it ends.
//!
//! The reservation is kept in one place of the process, because a panic that aborts, or a second
//! Ctrl-C, drops nothing. Only a kill leaves pages reserved; the next run finds and uses them.

use anyhow::{Context, Result};
use crore::mem::{HUGE_PAGE_BYTES, HugePageReservation, HugePages};
use std::sync::{Mutex, PoisonError};

static RESERVATION: Mutex<Option<HugePageReservation>> = Mutex::new(None);

/// Pages reserved for as long as this lives.
#[derive(Debug)]
pub(crate) struct Reserved {
    pages: usize,
}

impl Reserved {
    /// Sees to it that `pages` are free, if such pages are wanted. Says what was done.
    pub(crate) fn new(wish: HugePages, pages: usize) -> Result<Self> {
        if wish != HugePages::Reserve {
            return Ok(Self { pages: 0 });
        }
        let reservation = HugePageReservation::new(pages)
            .context("--huge-pages reserve is not possible here; try --huge-pages transparent")?;
        println!("{}", reservation.message());
        let pages = reservation.added_pages();
        *RESERVATION.lock().unwrap_or_else(PoisonError::into_inner) = Some(reservation);
        Ok(Self { pages })
    }
}

/// The memory on these pages must be free by then.
impl Drop for Reserved {
    fn drop(&mut self) {
        give_back();
        if self.pages > 0 {
            let mebibytes = self.pages * (HUGE_PAGE_BYTES >> 20);
            println!("huge pages: {} ({mebibytes} MiB) given back", self.pages);
        }
    }
}

/// Gives back what was reserved, if anything. Pages in use go when the process does.
pub(crate) fn give_back() {
    // A panic while the lock was held leaves a reservation that is as good as any.
    let reservation = RESERVATION.lock().unwrap_or_else(PoisonError::into_inner).take();
    drop(reservation);
}

/// Release builds abort on a panic: what must be done goes here.
pub(crate) fn give_back_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        give_back();
    }));
}

/// Bytes of reserved pages that are free now: they are not part of the memory that is available.
pub(crate) fn free_bytes() -> usize {
    let path = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().parse::<usize>().unwrap_or(0) * HUGE_PAGE_BYTES
}
