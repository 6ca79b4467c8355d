//! The cap on a turn: how much it may take on, so that it ends in time.
//!
//! Nobody reads the clock per packet. Each part of a turn has a share of the time and a limit of
//! what it takes on; the stopwatch, which is read at the stages' borders anyway, says how long it
//! took, and the limit of the next turn follows:
//!
//! ```text
//!   share of the turn          1/2: frames, with the service's calls   1/8: timers
//!                              output: what these leave of 7/8, so 2/8 at least
//!   took longer than that      limit = what would have fitted, 1 at least
//!   took less, at the limit    limit grows: by a half while less than half of the share is used
//! ```
//!
//! A limit shrinks at once and comes back within a few turns. A thread that was set aside for a
//! while loses little by it. Output goes on in rounds as long as there is time for one more; it
//! may have nearly all of a turn that has nothing else to do, because what sending costs may be one
//! call's price whatever the call takes along.

use std::time::Duration;

/// The limits of one core's turns.
#[derive(Debug)]
pub(crate) struct Cap {
    turn_max: Option<Duration>,
    /// The same in cycles; as good as none when there is none.
    cycles: u64,
    frames: Limit,
    timers: Limit,
    sends: Limit,
}

/// How many of a kind one turn takes on.
#[derive(Debug)]
struct Limit {
    now: usize,
    max: usize,
}

impl Cap {
    /// Nothing is limited below `frames`, `timers` and `sends` before something took too long.
    pub(crate) fn new(
        turn_max: Option<Duration>,
        frames: usize,
        timers: usize,
        sends: usize,
    ) -> Self {
        let limit = |max: usize| Limit { now: max.max(1), max: max.max(1) };
        let (frames, timers, sends) = (limit(frames), limit(timers), limit(sends));
        let mut cap = Self { turn_max, cycles: 0, frames, timers, sends };
        cap.calibrate(CYCLES_A_US_AT_FIRST);
        cap
    }

    /// The counter is so fast.
    pub(crate) fn calibrate(&mut self, cycles_a_us: u64) {
        let cycles = |max: Duration| (max.as_nanos() as u64 * cycles_a_us / 1000).max(8);
        self.cycles = self.turn_max.map_or(NO_CAP, cycles);
    }

    /// Frames that may be received.
    #[inline]
    pub(crate) fn frames(&self) -> usize {
        self.frames.now
    }

    /// Timer entries that may be handled.
    #[inline]
    pub(crate) fn timers(&self) -> usize {
        self.timers.now
    }

    /// Frames that may be sent in one round of a turn that has taken so long.
    #[inline]
    pub(crate) fn sends(&self, taken: u64) -> usize {
        let (share, left) = self.for_output(taken);
        self.sends.part(left, share)
    }

    /// What output may take of a turn that does nothing else, and what is left of that.
    #[inline]
    fn for_output(&self, taken: u64) -> (u64, u64) {
        let share = self.cycles / 8 * 7;
        (share, share.saturating_sub(taken))
    }

    /// So many frames were received, and took so many cycles with all that followed at once.
    #[inline]
    pub(crate) fn received(&mut self, count: usize, took: u64) {
        self.frames.learn(count, took, self.cycles / 2);
    }

    /// The same for timers.
    #[inline]
    pub(crate) fn handled(&mut self, count: usize, took: u64) {
        self.timers.learn(count, took, self.cycles / 8);
    }

    /// The same for a round of output, in a turn that had taken so long before it.
    #[inline]
    pub(crate) fn sent(&mut self, count: usize, taken: u64, took: u64) {
        let (share, left) = self.for_output(taken);
        // That one frame does not fit into what is left says nothing about several in a whole turn.
        if took > left && count > 1 || took > share {
            self.sends.shrink(count, took, share);
        } else if took <= left && self.sends.is_low() && count >= self.sends(taken) {
            self.sends.grow(took, left);
        }
    }

    /// True when a turn that has taken so long has time for one more round of output.
    #[inline]
    pub(crate) fn has_time(&self, taken: u64) -> bool {
        taken < self.cycles / 8 * 5
    }

    /// True when a turn was too long.
    #[inline]
    pub(crate) fn is_broken(&self, took: u64) -> bool {
        took > self.cycles
    }
}

impl Limit {
    #[inline]
    fn learn(&mut self, count: usize, took: u64, share: u64) {
        if took > share {
            self.shrink(count, took, share);
        } else if self.is_low() && count >= self.now {
            self.grow(took, share);
        }
    }

    #[inline]
    fn is_low(&self) -> bool {
        self.now < self.max
    }

    /// How many fit into what is left of the share, one at least.
    #[inline]
    fn part(&self, left: u64, share: u64) -> usize {
        // Without a cap the share is 2^60 cycles.
        let (left, share) = ((left >> 4) as usize, (share >> 4) as usize);
        (left * self.now / share.max(1)).max(1)
    }

    #[cold]
    fn shrink(&mut self, count: usize, took: u64, share: u64) {
        let fits = u128::from(share) * count as u128 / u128::from(took);
        // Far too long says that the thread was set aside, and nothing of what a frame costs. Small
        // bursts cost more for each, so that must not be where they begin.
        let least = if took / SET_ASIDE > share { self.now / 2 } else { 1 };
        self.now = (fits as usize).max(least).clamp(1, self.now);
    }

    #[cold]
    fn grow(&mut self, took: u64, share: u64) {
        let more = if took < share / 2 { self.now / 2 } else { 0 };
        self.now = (self.now + more.max(1)).min(self.max);
    }
}

/// Until the core has measured it.
const CYCLES_A_US_AT_FIRST: u64 = 2_500;

/// So many times its share a part takes only when the thread was set aside.
const SET_ASIDE: u64 = 64;

const NO_CAP: u64 = u64::MAX >> 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn cap() -> Cap {
        let mut cap = Cap::new(Some(Duration::from_micros(10)), 32, 32, 64);
        cap.calibrate(1_000);
        cap
    }

    #[test]
    fn what_takes_too_long_is_taken_on_less_of_next_time() {
        let mut cap = cap();
        cap.received(32, 5_000);
        assert_eq!(cap.frames(), 32, "half of 10,000 cycles is theirs");
        cap.received(32, 20_000);
        assert_eq!(cap.frames(), 8);
        cap.received(8, 1_000_000);
        assert_eq!(cap.frames(), 4, "the thread was set aside");
        cap.received(4, 50_000);
        assert_eq!(cap.frames(), 1, "never none");
        assert_eq!((cap.timers(), cap.sends(0)), (32, 64), "the others keep theirs");
    }

    #[test]
    fn a_limit_comes_back_when_it_is_reached_in_time() {
        let mut cap = cap();
        for _ in 0..10 {
            cap.handled(32, 1_000_000);
        }
        assert_eq!(cap.timers(), 1);
        cap.handled(0, 10);
        assert_eq!(cap.timers(), 1, "nobody asked for more");
        for _ in 0..10 {
            cap.handled(cap.timers(), 10 * cap.timers() as u64);
        }
        assert_eq!(cap.timers(), 32);
    }

    #[test]
    fn it_settles_where_the_share_is_used() {
        let mut cap = cap();
        for _ in 0..100 {
            cap.sent(cap.sends(0), 0, 150 * cap.sends(0) as u64);
        }
        assert!((57..=59).contains(&cap.sends(0)), "8,750 cycles at 150: {}", cap.sends(0));
    }

    #[test]
    fn output_gets_what_the_rest_of_the_turn_leaves() {
        let mut cap = cap();
        cap.sent(64, 0, 64 * 200);
        let whole = cap.sends(0);
        assert_eq!(whole, 43, "8,750 cycles at 200");
        assert_eq!(cap.sends(4_375), 21);
        assert_eq!((cap.sends(8_750), cap.sends(30_000)), (1, 1), "never none");
        // Late in a turn one takes longer than what is left, and that is no news.
        cap.sent(1, 8_700, 200);
        assert_eq!(cap.sends(0), whole);
        // Several are: so many had been let.
        cap.sent(21, 4_375, 21 * 400);
        assert_eq!(cap.sends(0), 21);
        // What fits is asked more of, whenever in the turn it was.
        while cap.sends(0) < 43 {
            let now = cap.sends(4_375);
            cap.sent(now, 4_375, 200 * now as u64);
        }
    }

    #[test]
    fn without_a_cap_nothing_is_limited() {
        let mut cap = Cap::new(None, 32, 32, 64);
        cap.calibrate(1_000);
        cap.received(32, 1 << 40);
        assert!(cap.frames() == 32 && cap.has_time(1 << 40) && !cap.is_broken(1 << 40));
    }
}
