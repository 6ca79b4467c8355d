//! What the threads of a run tell each other.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// What the clients are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Phase {
    /// Open all connections, then wait.
    Open,
    /// Ask on connections picked at random.
    Ask,
    /// Open, ask once, close, over and over.
    Churn,
    /// Close all and end.
    Close,
}

/// Orders to all threads, and what went wrong.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    phase: AtomicU32,
    /// Held while the phase changes, and told to all who wait for that.
    changing: Mutex<()>,
    changed: Condvar,
    /// No more connections: the memory is full.
    stop_opening: AtomicBool,
    stop_server: AtomicBool,
    /// Why clients opened fewer connections than they should.
    stopped_by: Mutex<Option<String>>,
    fault: Mutex<Option<String>>,
}

/// What one client thread did. Nobody else writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Done {
    pub(crate) opened: AtomicU64,
    pub(crate) replies: AtomicU64,
    /// Short connections that were opened, used and closed.
    pub(crate) churned: AtomicU64,
    pub(crate) bad_bytes: AtomicU64,
    /// Requests without a reply.
    pub(crate) lost: AtomicU64,
    /// Idle, in the phase of this number plus one; 0 while at work.
    pub(crate) idle_in: AtomicU32,
}

impl Orders {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Open,
            1 => Phase::Ask,
            2 => Phase::Churn,
            _ => Phase::Close,
        }
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.phase.store(phase as u32, Ordering::Relaxed);
        drop(changing);
        self.changed.notify_all();
    }

    /// Sleeps while there are orders to wait: who looked again each millisecond would disturb what
    /// is measured in turn on the same processor.
    pub(crate) fn wait_while_open(&self) {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let open = self.changed.wait_while(changing, |()| self.phase() == Phase::Open);
        drop(open);
    }

    pub(crate) fn stop_opening(&self) {
        self.stop_opening.store(true, Ordering::Relaxed);
    }

    /// A client cannot open any more.
    pub(crate) fn cannot_open(&self, why: impl std::fmt::Display) {
        self.stop_opening();
        if let Ok(mut stopped_by) = self.stopped_by.lock() {
            stopped_by.get_or_insert_with(|| why.to_string());
        }
    }

    pub(crate) fn why_stopped(&self) -> Option<String> {
        self.stopped_by.lock().ok()?.clone()
    }

    pub(crate) fn may_open(&self) -> bool {
        !self.stop_opening.load(Ordering::Relaxed) && self.phase() != Phase::Close
    }

    pub(crate) fn stop_server(&self) {
        self.stop_server.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_server_stopped(&self) -> bool {
        self.stop_server.load(Ordering::Relaxed)
    }

    /// Notes what went wrong, the first time.
    pub(crate) fn fail(&self, why: impl std::fmt::Display) {
        if let Ok(mut fault) = self.fault.lock() {
            fault.get_or_insert_with(|| why.to_string());
        }
    }

    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.lock().ok()?.clone()
    }
}

/// Adds to a number that this thread alone writes.
pub(crate) fn add(number: &AtomicU64, count: u64) {
    number.store(number.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}
