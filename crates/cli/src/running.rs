//! A core on its thread, as the main thread sees it.

use anyhow::{Result, anyhow};
use crore::driver::Waker;
use crore::{Core, Engine, Service, Snapshot, StatsPage, Stop};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A core that runs.
pub(crate) struct Running<S: Service> {
    page: StatsPage,
    waker: Waker,
    thread: JoinHandle<Core<S>>,
}

impl<S: Service> Running<S>
where
    Core<S>: Send + 'static,
{
    /// Starts a core; `between` is called about every 10 ms, on its thread.
    pub(crate) fn start(
        name: &str,
        core: Core<S>,
        stop: &Stop,
        between: impl FnMut(&mut Engine<S>) + Send + 'static,
    ) -> Result<Self> {
        Self::start_led(name, core, stop, move |core, stop| core.run(stop, between))
    }

    /// Starts a core whose turns `lead` makes until the switch is set.
    pub(crate) fn start_led(
        name: &str,
        mut core: Core<S>,
        stop: &Stop,
        lead: impl FnOnce(&mut Core<S>, &Stop) + Send + 'static,
    ) -> Result<Self> {
        let (page, waker, stop) = (core.stats(), core.waker(), stop.clone());
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            lead(&mut core, &stop);
            core
        })?;
        Ok(Self { page, waker, thread })
    }

    /// The page of its numbers.
    pub(crate) fn page(&self) -> StatsPage {
        self.page.clone()
    }

    /// Ends its sleep: there is news.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Fails when the thread has ended before it should.
    pub(crate) fn check_alive(&self) -> Result<()> {
        if self.thread.is_finished() { Err(stopped()) } else { Ok(()) }
    }

    /// The core's numbers, no older than this call.
    pub(crate) fn snapshot_now(&self) -> Snapshot {
        let (asked, before) = (Instant::now(), self.page.read().now_us);
        loop {
            self.wake();
            thread::sleep(Duration::from_millis(5));
            let seen = self.page.read();
            // The page may just have been written when we asked; the one after is new for sure.
            let is_new = seen.now_us > before + NEWER_US;
            if is_new || asked.elapsed() > PATIENCE {
                return seen;
            }
        }
    }

    /// Waits for the core's end, after its `Stop`.
    pub(crate) fn join(self) -> Result<Core<S>> {
        self.wake();
        self.thread.join().map_err(|_| stopped())
    }
}

/// Why a thread's end before its time is an error.
pub(crate) fn stopped() -> anyhow::Error {
    anyhow!("a core has stopped by a fault of this program; its message is above")
}

/// A busy core writes its page every 20 ms.
const NEWER_US: u64 = 25_000;

const PATIENCE: Duration = Duration::from_secs(2);
