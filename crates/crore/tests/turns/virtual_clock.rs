//! A clock that goes on only when it is told to, and by a little whenever it is read.

use crore::Clock;
use std::cell::Cell;
use std::rc::Rc;

/// A thousand cycles are a microsecond. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct VirtualClock(Rc<Hands>);

#[derive(Debug, Default)]
struct Hands {
    cycles: Cell<u64>,
    step: Cell<u64>,
}

impl VirtualClock {
    /// So many cycles go by.
    pub(crate) fn pass(&self, cycles: u64) {
        self.0.cycles.set(self.0.cycles.get() + cycles);
    }

    /// From now on each reading finds so many cycles more than the one before: that much every
    /// stage of a turn takes, whatever it does.
    pub(crate) fn set_step(&self, cycles: u64) {
        self.0.step.set(cycles);
    }

    /// What it shows, without a step.
    pub(crate) fn shows(&self) -> u64 {
        self.0.cycles.get()
    }
}

impl Clock for VirtualClock {
    fn cycles(&self) -> u64 {
        self.pass(self.0.step.get());
        self.shows()
    }

    fn now_us(&self) -> u64 {
        self.shows() / 1000
    }
}
