//! How a queue gets to know that a peer has come or gone.
//!
//! ```text
//!   control thread                       queue, at the start of a turn
//!     offer(session) ── generation + 1 ──> one load; when it differs: take the session over
//!     offer(none)    ── generation + 1 ──> let go of the old one
//! ```
//!
//! The queue keeps what it works with, so no turn ever touches memory that was unmapped, whatever
//! the control thread does meanwhile. The control thread keeps it as well until every queue has let
//! go, so that the unmapping is its own work and not a turn's.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::session::Session;
use crate::wakeup::Event;

/// Where sessions for one queue are put.
#[derive(Debug)]
pub(super) struct Seat {
    generation: AtomicU32,
    offered: Mutex<Option<Session>>,
    /// Ends the queue's sleep.
    pub(super) event: Arc<Event>,
    /// Ends the control thread's sleep.
    control: Arc<Event>,
}

impl Seat {
    pub(super) fn new(event: Arc<Event>, control: Arc<Event>) -> Self {
        let (generation, offered) = (AtomicU32::new(0), Mutex::new(None));
        Self { generation, offered, event, control }
    }

    /// The control's side: from now on the queue is to work with this, or with nothing.
    pub(super) fn offer(&self, session: Option<Session>) {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        // What was offered and not taken over is dropped here, after the lock.
        let _old = std::mem::replace(&mut *offered, session);
        self.generation.fetch_add(1, Ordering::Release);
        drop(offered);
        self.event.signal();
    }

    /// The queue's side: true when there is something else to work with than at `generation`.
    #[inline]
    pub(super) fn has_news(&self, generation: u32) -> bool {
        self.generation.load(Ordering::Relaxed) != generation
    }

    /// The queue's side: what to work with from now on, and its generation. `None` when the control
    /// thread has its hand on it: no turn waits for that; the next one comes again.
    pub(super) fn take(&self) -> Option<(Option<Session>, u32)> {
        let mut offered = match self.offered.try_lock() {
            Ok(offered) => offered,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return None,
        };
        Some((offered.take(), self.generation.load(Ordering::Relaxed)))
    }

    /// The queue's side: the control thread is to look, because the peer broke a rule.
    pub(super) fn call_control(&self) {
        self.control.signal();
    }
}
