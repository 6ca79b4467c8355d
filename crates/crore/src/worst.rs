//! The longest turns of a core: of all, and of the last second or two.

use crate::cycles::WorstTurn;

/// They are kept here, and noted only when one is longer than those before it.
#[derive(Debug, Default)]
pub(crate) struct Worst {
    ever: WorstTurn,
    window: WorstTurn,
    window_before: WorstTurn,
    window_from_us: u64,
    /// How often the system had set the thread aside when somebody looked last.
    set_aside: u64,
}

impl Worst {
    /// True when a turn of so many cycles is to be noted.
    #[inline]
    pub(crate) fn is_beaten(&self, cycles: u64) -> bool {
        cycles > self.window.cycles
    }

    #[cold]
    pub(crate) fn note(&mut self, turn: WorstTurn) {
        self.window = turn;
        if turn.cycles > self.ever.cycles {
            self.ever = turn;
        }
    }

    /// Of all turns.
    pub(crate) fn ever(&self) -> WorstTurn {
        self.ever
    }

    /// Of the last one or two seconds.
    pub(crate) fn lately(&self) -> WorstTurn {
        let (now, before) = (self.window, self.window_before);
        if now.cycles > before.cycles { now } else { before }
    }

    /// Begins a new second when one is over.
    pub(crate) fn pass_time(&mut self, now_us: u64) {
        if now_us.wrapping_sub(self.window_from_us) >= WINDOW_US {
            self.window_from_us = now_us;
            self.window_before = std::mem::take(&mut self.window);
        }
    }

    /// True when it is not known yet whether the system had a part in the last long turn.
    pub(crate) fn is_unexplained(&self, is_long: impl Fn(u64) -> bool) -> bool {
        self.window.set_aside == 0 && is_long(self.window.cycles)
    }

    /// So often the thread had been set aside by now.
    pub(crate) fn explain(&mut self, set_aside: u64) {
        let times = set_aside.saturating_sub(self.set_aside);
        self.set_aside = set_aside;
        for turn in [&mut self.ever, &mut self.window, &mut self.window_before] {
            if turn.cycles > 0 && turn.set_aside == 0 {
                turn.set_aside = times + 1;
            }
        }
    }
}

const WINDOW_US: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(cycles: u64) -> WorstTurn {
        WorstTurn { cycles, ..WorstTurn::default() }
    }

    #[test]
    fn the_worst_of_all_stays_and_that_of_late_passes() {
        let mut worst = Worst::default();
        assert!(worst.is_beaten(500));
        worst.note(turn(500));
        assert!(!worst.is_beaten(500));
        worst.pass_time(WINDOW_US);
        worst.note(turn(90));
        assert_eq!((worst.ever().cycles, worst.lately().cycles), (500, 500));
        worst.pass_time(2 * WINDOW_US);
        assert_eq!((worst.ever().cycles, worst.lately().cycles), (500, 90));
    }

    #[test]
    fn a_look_says_whether_the_system_had_a_part() {
        let mut worst = Worst::default();
        worst.explain(7);
        worst.note(turn(500));
        assert_eq!(worst.ever().was_set_aside(), None);
        assert!(worst.is_unexplained(|cycles| cycles > 400));
        worst.explain(7);
        assert_eq!(worst.ever().was_set_aside(), Some(false));
        worst.note(turn(600));
        worst.explain(9);
        assert_eq!(worst.ever().was_set_aside(), Some(true));
        assert!(!worst.is_unexplained(|cycles| cycles > 400));
    }
}
