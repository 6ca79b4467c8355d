//! When events are due at a steady rate. Events that are late keep the time they were due at.

/// Due times of events at a steady rate. Time is in ticks of whatever clock the caller has.
///
/// Due times are fixed from the start: an answer that takes long neither delays the requests after
/// it nor hides that they were late (no coordinated omission), because the latency of each is
/// counted from its due time.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start: u64,
    ticks_per_event: f64,
    taken: u64,
}

impl Schedule {
    /// A first event at `start`, then one every `ticks_per_event`.
    ///
    /// # Panics
    /// When `ticks_per_event` is not above 0.
    pub fn new(start: u64, ticks_per_event: f64) -> Self {
        assert!(ticks_per_event > 0.0, "a rate above 0");
        Self { start, ticks_per_event, taken: 0 }
    }

    /// When the next event is due.
    #[inline]
    pub fn next_at(&self) -> u64 {
        self.start + (self.taken as f64 * self.ticks_per_event) as u64
    }

    /// The next event's due time, if that has come.
    #[inline]
    pub fn due(&self, now: u64) -> Option<u64> {
        let at = self.next_at();
        (at <= now).then_some(at)
    }

    /// The next event happened.
    #[inline]
    pub fn take(&mut self) {
        self.taken += 1;
    }

    /// Events that happened.
    pub fn taken(&self) -> u64 {
        self.taken
    }
}

#[cfg(test)]
mod tests;
