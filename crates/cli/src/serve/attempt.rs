//! Something that may take long, tried on a thread of its own, so that nobody else waits for it.

use crate::running::stopped;
use anyhow::Result;
use std::thread::{self, JoinHandle};

/// What is being tried. Dropping this waits for the end, so that nothing is left half done.
pub(super) struct Attempt<T>(Option<JoinHandle<T>>);

impl<T: Send + 'static> Attempt<T> {
    /// Begins.
    pub(super) fn start(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<Self> {
        Ok(Self(Some(thread::Builder::new().name(name.to_owned()).spawn(work)?)))
    }

    /// It has come to an end.
    pub(super) fn is_over(&self) -> bool {
        self.0.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What came of it; waits for that.
    pub(super) fn outcome(mut self) -> Result<T> {
        let thread = self.0.take().ok_or_else(stopped)?;
        thread.join().map_err(|_| stopped())
    }
}

impl<T> Drop for Attempt<T> {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // Its panic has been printed, and nobody asks any more.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
