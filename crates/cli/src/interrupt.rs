//! Ctrl-C and its relatives: the first one ends the work in order, the second one at once.

use crate::huge_pages;
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Begins to listen. Without the right to, Ctrl-C ends the process at once, as ever.
pub(crate) fn listen() {
    let _ = ctrlc::set_handler(|| {
        if COUNT.fetch_add(1, Ordering::Relaxed) > 0 {
            huge_pages::give_back();
            std::process::exit(INTERRUPTED);
        }
    });
}

/// True after the first Ctrl-C.
pub(crate) fn came() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// What a shell reports for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;
