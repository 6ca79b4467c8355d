//! How frames cross between an interface and our memory, and how it is known that they do.
//!
//! A driver that grants zero-copy proves nothing by that: some grant it and then never receive, or
//! hand over long frames cut short as if they were whole. So it counts as proven only when a frame
//! of full size has come through whole, and until then what arrives is looked at (`watch`).

use std::sync::{Arc, Mutex, PoisonError};

/// The way of one queue's frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The interface reads and writes our frames itself; else the kernel copies each one.
    pub zero_copy: bool,
    /// Frames of full size went out and came in whole. The kernel's copies need no proof.
    pub proven: bool,
    /// Why it is copies, or what proves that it works without, or what is missing for a proof.
    pub why: String,
}

impl Path {
    /// By copies of the kernel's.
    pub(super) fn copy(why: impl Into<String>) -> Self {
        Self { zero_copy: false, proven: true, why: why.into() }
    }

    /// Granted, and not proven yet.
    pub(super) fn unproven(why: impl Into<String>) -> Self {
        Self { zero_copy: true, proven: false, why: why.into() }
    }

    /// Granted and proven.
    pub(super) fn proven(why: impl Into<String>) -> Self {
        Self { zero_copy: true, proven: true, why: why.into() }
    }
}

/// What a queue's path is now, for another thread to look at: traffic may prove it, or show that it
/// does not work, while the queue is in use.
#[derive(Clone, Debug)]
pub struct PathView(Arc<Mutex<Path>>);

impl PathView {
    pub(super) fn new(path: Path) -> Self {
        Self(Arc::new(Mutex::new(path)))
    }

    /// What it is now.
    pub fn path(&self) -> Path {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, path: Path) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = path;
    }
}
