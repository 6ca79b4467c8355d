//! Leads a load through its phases, shows how it goes, and heeds Ctrl-C.

use crate::interrupt;
use crate::view::{Progress, Sampler, Unit, View};
use anyhow::Result;
use crore_load::{Control, Numbers, Phase};
use std::thread;
use std::time::{Duration, Instant};

/// What is needed to lead a load on another thread.
pub(crate) struct Leader<'a> {
    pub(crate) control: Control,
    pub(crate) connections: u32,
    /// `None`: without end.
    pub(crate) traffic_time: Option<Duration>,
    pub(crate) sampler: Sampler,
    pub(crate) view: &'a mut View,
    /// Ends the load's sleep, and fails when a core has stopped.
    pub(crate) nudge: &'a dyn Fn() -> Result<()>,
    pub(crate) was_interrupted: bool,
    pub(crate) shown_at: Instant,
    pub(crate) phase_began: Instant,
}

impl<'a> Leader<'a> {
    pub(crate) fn new(
        control: Control,
        (connections, traffic_time): (u32, Option<Duration>),
        sampler: Sampler,
        view: &'a mut View,
        nudge: &'a dyn Fn() -> Result<()>,
    ) -> Self {
        let now = Instant::now();
        Self {
            control,
            connections,
            traffic_time,
            sampler,
            view,
            nudge,
            was_interrupted: false,
            shown_at: now,
            phase_began: now,
        }
    }

    /// Lets the load begin a phase, and waits until it is through. Closing is through when nothing
    /// is left to do.
    pub(crate) fn through(&mut self, phase: Phase) -> Result<Numbers> {
        self.control.allow(if phase == Phase::Closing { Phase::Done } else { phase });
        self.phase_began = Instant::now();
        (self.nudge)()?;
        loop {
            thread::sleep(STEP);
            (self.nudge)()?;
            let numbers = self.step();
            if numbers.is_through(phase) {
                return Ok(numbers);
            }
        }
    }

    /// Lets time pass between two phases; Ctrl-C ends it.
    pub(crate) fn hold(&mut self, time: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time && !self.was_interrupted {
            thread::sleep(HOLD_STEP.min(time));
            (self.nudge)()?;
            self.step();
        }
        Ok(())
    }

    fn step(&mut self) -> Numbers {
        if interrupt::came() && !self.was_interrupted {
            self.was_interrupted = true;
            self.control.hurry();
            self.view.note("interrupted: checking and closing; once more ends it at once");
        }
        let numbers = self.control.numbers();
        if self.shown_at.elapsed() >= self.view.pace() {
            self.shown_at = Instant::now();
            let sample = self.sampler.look(self.progress(&numbers));
            self.view.show(&sample);
        }
        numbers
    }

    fn progress(&self, numbers: &Numbers) -> Progress {
        let all = u64::from(self.connections);
        let (doing, done, of) = match numbers.phase {
            Phase::Opening if numbers.waits => ("holding", numbers.opened, all),
            Phase::Opening => ("opening", numbers.opened, all),
            Phase::Traffic => {
                let ms = |time: Duration| time.as_millis() as u64;
                ("requests", ms(self.phase_began.elapsed()), self.traffic_time.map_or(0, ms))
            }
            Phase::Settling => ("last replies", numbers.replies, numbers.requests),
            Phase::Checking => ("checking", numbers.established, all),
            Phase::Closing | Phase::Done => ("closing", numbers.closed, numbers.opened),
        };
        let (replies, latency) = (Some(numbers.replies), numbers.latency);
        let unit = if numbers.phase == Phase::Traffic { Unit::Milliseconds } else { Unit::Count };
        Progress { doing, done, of, unit, replies, latency, links: Vec::new() }
    }
}

const STEP: Duration = Duration::from_millis(10);

/// Nothing is under way while connections are only held: each step would wake a core that sleeps.
const HOLD_STEP: Duration = Duration::from_millis(100);
