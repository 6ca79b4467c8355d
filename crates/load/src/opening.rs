//! Connections from as many addresses and ports as it takes, at a pace.

use crate::load::Load;
use crate::protocol::Protocol;
use crate::schedule::Schedule;
use crate::state::Asked;
use core::net::SocketAddr;
use crore::{Closed, ConnectError, Turn, mapped};

/// How far the opening is.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    schedule: Option<Schedule>,
    begun_at: Option<u64>,
    /// The next local end's number.
    next_local: u64,
    /// Handshakes under way.
    under_way: u32,
}

impl<P: Protocol> Load<P> {
    /// Opens as many as the pace, the link and the server's queue of half-open ones allow.
    pub(crate) fn open_some(&mut self, turn: &mut Turn<'_, Asked>, now: u64) {
        if self.opening.begun_at.is_none() {
            self.opening.begun_at = Some(now);
            let rate = self.config.opens_per_second;
            let schedule = |rate| Schedule::new(now, self.clock.ticks_per_event(rate));
            self.opening.schedule = rate.map(schedule);
        }
        for _ in 0..OPENS_A_TURN {
            let due = self.opening.schedule.is_none_or(|schedule| schedule.due(now).is_some());
            if !due || !self.wants_to_open() || turn.output_waiting() > OUTPUT_WAITING_MAX {
                return;
            }
            self.open_one(turn);
        }
    }

    /// The next local end, if it is one of the next few.
    fn next_local(&mut self) -> Option<SocketAddr> {
        for _ in 0..LOOKS_AT_ENDS {
            let Some(local) = self.config.locals.nth(self.opening.next_local) else {
                self.numbers.out_of_ports = true;
                return None;
            };
            self.opening.next_local += 1;
            let remote = self.config.remote;
            let arrives_there = self.config.home.as_ref().is_none_or(|home| {
                let ports = home.ports(mapped(local.ip()), mapped(remote.ip()), local.port());
                ports.has(remote.port())
            });
            if arrives_there {
                return Some(local);
            }
        }
        None
    }

    fn open_one(&mut self, turn: &mut Turn<'_, Asked>) {
        let Some(local) = self.next_local() else { return };
        match turn.connect(self.config.remote, Some(local)) {
            Ok(id) => {
                self.numbers.attempts += 1;
                self.opening.under_way += 1;
                self.live += 1;
                self.slots = self.slots.max(id.index + 1);
                if let Some(schedule) = &mut self.opening.schedule {
                    schedule.take();
                }
            }
            // Somebody has this end, or it is another core's: the next one then.
            Err(ConnectError::InUse | ConnectError::OtherCore) => {}
            Err(error) => self.numbers.stopped_by = Some(error),
        }
    }

    /// True when another one may be opened as far as we are concerned.
    pub(crate) fn wants_to_open(&self) -> bool {
        !self.has_asked_for_all() && self.opening.under_way < self.config.handshakes_max
    }

    fn has_asked_for_all(&self) -> bool {
        let numbers = &self.numbers;
        let in_vain = numbers.opened == 0 && numbers.connect_errors >= IN_VAIN_MAX;
        numbers.attempts >= u64::from(self.config.connections)
            || numbers.stopped_by.is_some()
            || numbers.out_of_ports
            || in_vain
            || self.is_hurried()
    }

    pub(crate) fn is_opening_finished(&self) -> bool {
        self.has_asked_for_all() && self.opening.under_way == 0
    }

    pub(crate) fn note_opened(&mut self) {
        self.opening.under_way -= 1;
        self.numbers.opened += 1;
        let begun_at = self.opening.begun_at.unwrap_or_default();
        let ticks = self.clock.now().wrapping_sub(begun_at);
        self.numbers.open_seconds = self.clock.seconds(ticks);
    }

    pub(crate) fn note_not_opened(&mut self, why: Closed) {
        self.opening.under_way -= 1;
        self.numbers.connect_errors += 1;
        match why {
            Closed::Refused | Closed::Reset => self.numbers.refused += 1,
            Closed::TimedOut | Closed::Unreachable => self.numbers.unanswered += 1,
            Closed::Finished | Closed::Aborted | Closed::Evicted => {}
        }
    }
}

/// Connections opened in one turn, at most.
const OPENS_A_TURN: usize = 32;

/// With so many waiting for room in the link, more would only wait longer.
const OUTPUT_WAITING_MAX: u32 = 128;

/// So many refusals without a single success: nobody listens there.
const IN_VAIN_MAX: u64 = 100;

/// Local ends looked at for one that arrives at the right queue of the server's.
const LOOKS_AT_ENDS: usize = 64;
