//! Timers: retransmission (RFC 6298), persist (RFC 9293 3.8.6.1), keepalive (3.8.4), delayed
//! acknowledgment (3.8.6.3), FIN-WAIT-2, and the application's own.
//!
//! The deadlines are in the control block; the wheel only knows when to look. Re-arming writes
//! the block and, at most, one wheel slot.

use super::extension::{self, Bits};
use super::probe::probe_timeout_ms;
use super::recent::{RECENT_MS, Recent};
use super::send_queue;
use crate::budget::Pressure;
use crate::config::StackConfig;
use crate::event::{Closed, Event, Events, Trouble, What};
use crate::stack::Stack;
use crate::tcb::{Flags, Sign, State, Tcb};
use crate::wheel::{Due, Wheel};
use crore_mem::BlockId;
use crore_mem::frames::TxBurst;

impl Stack {
    /// Handles what is due, at most `budget` timer entries. Returns how many it handled; with a
    /// full budget there may be more.
    pub fn timers(&mut self, events: &mut Events, tx: &mut TxBurst, budget: usize) -> usize {
        let budget = budget.min(DUE_MAX).min(events.room());
        let count = self.wheel.expire(self.now.tick, &mut self.due[..budget]);
        for entry in &self.due[..count] {
            self.tcbs.prefetch_line(entry.index, 0);
            self.tcbs.prefetch_line(entry.index, 1);
        }
        for i in 0..count {
            self.timer_due(self.due[i], events, tx);
        }
        self.counters.timers += count as u64;
        self.recent_timers();
        for _ in 0..budget {
            if !self.expire_time_wait() {
                break;
            }
        }
        if self.now.tick != self.swept_at {
            self.swept_at = self.now.tick;
            self.half_open_timers(tx);
            if self.pressure() > Pressure::None {
                self.relieve(events, tx);
            }
            self.neighbour_timers(tx);
            self.fragment_timers(tx);
        }
        count
    }

    /// Timers that were set some milliseconds ago and still run go into the wheel.
    fn recent_timers(&mut self) {
        let tick = self.now.tick;
        let mut count = 0;
        while count < RECENT_BURST
            && let Some(index) = self.recent.due(count, tick)
        {
            // The first line says whether a timer still runs; mostly none does.
            self.tcbs.prefetch_line(index, 0);
            count += 1;
        }
        for ahead in 0..count {
            let index = self.recent.at(ahead);
            let tcb = &mut self.tcbs[index];
            tcb.flags.clear(Flags::RECENT);
            if tcb.flags.any(Flags::TIMED | Flags::ACK_TIMED) && self.tcbs.is_live(index) {
                self.rearm(index);
            }
        }
        self.recent.forget(count);
    }

    /// In how many milliseconds the next timer may be due; `None`: none is set.
    pub fn next_timer_ms(&self) -> Option<u32> {
        let wheel = self.wheel.next_deadline_hint(self.now.tick);
        let wheel = wheel.map(|at| at.wrapping_sub(self.now.tick).min(i32::MAX as u32));
        if !self.recent.is_empty() {
            return Some(wheel.map_or(RECENT_MS, |ms| ms.min(RECENT_MS)));
        }
        let pieces = self.reassembly.as_ref().is_some_and(|reassembly| !reassembly.is_empty());
        let swept = self.half_open() > 0 || pieces || !self.neighbours.is_settled();
        let time_wait = self.time_waits.next_due_ms(self.now.tick);
        wheel.into_iter().chain(swept.then_some(SWEEP_MS)).chain(time_wait).min()
    }

    fn timer_due(&mut self, entry: Due, events: &mut Events, tx: &mut TxBurst) {
        let index = entry.index;
        let tcb = &mut self.tcbs[index];
        if !Wheel::take(&mut tcb.mark, entry.level, entry.slot) || !self.tcbs.is_live(index) {
            return;
        }
        let tcb = &mut self.tcbs[index];
        let mut event = Event { index, generation: tcb.generation, ..Event::default() };
        let tick = self.now.tick;
        if tcb.flags.any(Flags::ACK_TIMED) && reached_u16(tick, tcb.ack_deadline) {
            tcb.flags.clear(Flags::ACK_TIMED);
            if tcb.flags.any(Flags::ACK_OWED) {
                tcb.flags.set(Flags::ACK_NOW);
                self.queue_output(index);
            }
        }
        if let Some(at) = self.paced_until(&self.tcbs[index])
            && reached(tick, at)
        {
            self.end_wait(index);
        }
        let tcb = &mut self.tcbs[index];
        if tcb.flags.any(Flags::APP_TIMED) && reached_u16(tick >> 6, tcb.app_deadline) {
            tcb.flags.clear(Flags::APP_TIMED);
            event.what.set(What::TIMER);
        }
        let tcb = &mut self.tcbs[index];
        if tcb.flags.any(Flags::TIMED) && reached(tick, tcb.deadline) {
            tcb.flags.clear(Flags::TIMED);
            self.timeout(index, &mut event, tx);
        }
        self.keepalive(index, &mut event, tx);
        self.rearm(index);
        if event.what != What::default() {
            events.push(event);
        }
    }

    /// The retransmission, persist or state timer ran out.
    fn timeout(&mut self, index: u32, event: &mut Event, tx: &mut TxBurst) {
        let tcb = &mut self.tcbs[index];
        if tcb.flags.any(Flags::STARVED) {
            tcb.flags.clear(Flags::STARVED);
            if tcb.flags.any(Flags::WANT_WRITABLE) && tcb.queued() == 0 {
                tcb.flags.clear(Flags::WANT_WRITABLE);
                event.what.set(What::WRITABLE);
            }
            if tcb.in_flight() > 0 || tcb.state() == State::FastOpened {
                self.start_timer(index);
            } else if tcb.extension != BlockId::NONE {
                self.start_rto(index);
            }
            return self.queue_output(index);
        }
        match tcb.state() {
            State::Closed => {}
            State::SynSent | State::SynReceived => self.syn_timeout(index, event),
            State::FastOpened => self.syn_ack_timeout(index, event, tx),
            State::FinWait2 if tcb.flags.any(Flags::GONE) => {
                self.finish(index, Closed::TimedOut, event);
            }
            _ if tcb.flags.any(Flags::PERSIST) => self.persist_timeout(index, event, tx),
            _ if tcb.in_flight() == 0 => {
                self.restart_after_idle(index);
                // More was to come and did not: what is held back goes.
                self.tcbs[index].flags.clear(Flags::HELD);
                send_queue::mark_push(&self.tcbs[index], &mut self.pool);
                if self.is_tuned(index) {
                    self.start_rto(index);
                }
                self.queue_output(index);
            }
            _ if tcb.is(Sign::Probe) => self.probe_timeout(index, tx),
            _ if self.reorder_timeout(index) => {}
            _ if self.probes_before_timeout(index, tx) => {}
            _ => self.retransmission_timeout(index, event, tx),
        }
    }

    /// RFC 9293 MUST-22: like any other segment.
    fn syn_timeout(&mut self, index: u32, event: &mut Event) {
        let retries = self.config.syn_retries;
        let waited_ms = self.waited_ms(index);
        let too_long = self.config.user_timeout_ms.is_some_and(|limit_ms| waited_ms >= limit_ms);
        let tcb = &mut self.tcbs[index];
        if tcb.in_flight() > 0 {
            tcb.backoff = tcb.backoff.saturating_add(1);
            if too_long || tcb.backoff > retries && !tcb.flags.any(Flags::PATIENT) {
                return self.finish(index, Closed::TimedOut, event);
            }
            self.advise_of_trouble(index, event);
            let tcb = &mut self.tcbs[index];
            // The SYN goes out once more, and is no sample any more (Karn).
            tcb.snd_nxt = tcb.snd_una;
            tcb.srtt_us8 = 0;
            self.counters.retransmits += 1;
            self.counters.timeouts += 1;
        }
        self.queue_output(index);
    }

    /// Again, from the earliest octet on (RFC 6298 5.4), after a longer timeout and in slow start
    /// (RFC 9293 MUST-19); in the end not any more (RFC 9293 MUST-20).
    fn retransmission_timeout(&mut self, index: u32, event: &mut Event, tx: &mut TxBurst) {
        let retries = self.config.data_retries;
        // The user timeout (RFC 9293 3.8.3, RFC 5482-3a, RFC 5482-3b) ends it at its own time.
        let left_ms =
            self.config.user_timeout_ms.map(|limit| limit.saturating_sub(self.waited_ms(index)));
        // RFC 9293 MUST-21: the application may want no end but its own.
        let goes_on = self.shut_but_answers(index) || self.tcbs[index].flags.any(Flags::PATIENT);
        let tcb = &mut self.tcbs[index];
        tcb.backoff = tcb.backoff.saturating_add(1);
        if goes_on && left_ms != Some(0) {
            tcb.backoff = tcb.backoff.min(retries.max(R1_RETRIES + 1));
        } else if tcb.backoff > retries || left_ms == Some(0) {
            if self.config.habits.reset_given_up {
                self.send_reset(index, tx);
            }
            return self.finish(index, Closed::TimedOut, event);
        }
        self.advise_of_trouble(index, event);
        self.counters.timeouts += 1;
        self.suspect_black_hole(index);
        self.congestion_on_timeout(index);
        let rto_ms = rto_ms(&self.config, &self.tcbs[index]);
        self.set_deadline(index, left_ms.map_or(rto_ms, |left| left.min(rto_ms)));
        self.queue_output(index);
    }

    /// RFC 9293 MUST-35, MUST-37, SHLD-17: a peer that shut its window on octets in flight, and
    /// answered what was sent again, keeps the connection open for as long as it likes.
    fn shut_but_answers(&self, index: u32) -> bool {
        let tcb = &self.tcbs[index];
        tcb.snd_wnd == 0 && self.is_heard(tcb)
    }

    /// True when the peer said something within a timeout's time.
    pub(super) fn is_heard(&self, tcb: &Tcb) -> bool {
        self.quiet_ms(tcb) <= rto_ms(&self.config, tcb) + HEARD_STEP_MS
    }

    /// For how long the peer was not heard, in steps of [`HEARD_STEP_MS`].
    pub(super) fn quiet_ms(&self, tcb: &Tcb) -> u32 {
        u32::from(((self.now.tick >> 10) as u16).wrapping_sub(tcb.heard_at)) << 10
    }

    /// RFC 9293 MUST-20, SHLD-9, SHLD-10: at the first threshold, R1, IP learns that the next hop
    /// may be gone, and the application that nothing gets through.
    pub(super) fn advise_of_trouble(&mut self, index: u32, event: &mut Event) {
        let tcb = &self.tcbs[index];
        if tcb.backoff == R1_RETRIES {
            self.neighbours.suspect(u32::from(tcb.neighbour));
            event.what.set(What::TROUBLE);
            event.trouble = Trouble::Unanswered;
        }
    }

    /// How long what is in flight has waited, as the timeouts that are now over add up.
    fn waited_ms(&self, index: u32) -> u32 {
        let tcb = &self.tcbs[index];
        self.timeouts_ms(tcb, tcb.backoff)
    }

    /// The time that a first timeout and so many more take.
    pub(super) fn timeouts_ms(&self, tcb: &Tcb, more: u8) -> u32 {
        let mut past = *tcb;
        let mut all_ms = 0u32;
        for backoff in 0..=more {
            past.backoff = backoff;
            all_ms = all_ms.saturating_add(rto_ms(&self.config, &past));
        }
        all_ms
    }

    /// Asks whether the peer of a quiet connection is still there, or stops to
    /// (RFC 9293 MUST-24).
    pub fn set_keepalive(&mut self, index: u32, on: bool) {
        let idle = self.keepalive_idle_ms();
        let tick = self.now.tick;
        let tcb = &mut self.tcbs[index];
        if !on {
            return tcb.flags.clear(Flags::KEEPALIVE);
        }
        tcb.flags.set(Flags::KEEPALIVE);
        if tcb.state() > State::SynReceived {
            self.wheel.arm(&mut tcb.mark, index, tick.wrapping_add(idle));
        }
    }

    /// How long a peer may be quiet before it is asked.
    pub(super) fn keepalive_idle_ms(&self) -> u32 {
        self.config.keepalive_idle_ms.unwrap_or(KEEPALIVE_IDLE_MS)
    }

    /// Is the peer still there (RFC 9293 MAY-5)? RFC 9293 MUST-26: only asked when it owes no
    /// acknowledgment and said nothing for a while. RFC 9293 MUST-29: more than once.
    fn keepalive(&mut self, index: u32, event: &mut Event, tx: &mut TxBurst) {
        if !self.tcbs[index].flags.any(Flags::KEEPALIVE) {
            return;
        }
        let idle_ms = self.keepalive_idle_ms();
        let probes = self.config.keepalive_probes;
        if !asks_the_quiet(&self.tcbs[index]) {
            return;
        }
        if !self.keepalive_is_due(index, idle_ms) {
            return;
        }
        let tcb = &mut self.tcbs[index];
        if tcb.flags.any(Flags::PROBING) && tcb.backoff >= probes {
            self.send_reset(index, tx);
            return self.finish(index, Closed::TimedOut, event);
        }
        if !tcb.flags.any(Flags::PROBING) {
            tcb.flags.set(Flags::PROBING);
            tcb.backoff = 0;
        }
        tcb.backoff += 1;
        self.counters.probes += 1;
        self.send_probe(index, tx);
    }

    fn keepalive_is_due(&mut self, index: u32, idle_ms: u32) -> bool {
        let interval = self.config.keepalive_interval_ms;
        let tick = self.now.tick;
        let tcb = &mut self.tcbs[index];
        let quiet_units = ((tick >> 10) as u16).wrapping_sub(tcb.heard_at);
        let quiet_ms = u32::from(quiet_units) << 10;
        if quiet_ms < (idle_ms & !1023) {
            // Something was heard meanwhile.
            if tcb.flags.any(Flags::PROBING) {
                tcb.flags.clear(Flags::PROBING);
                tcb.backoff = 0;
            }
            return false;
        }
        let since = quiet_ms - (idle_ms & !1023);
        let sent = if tcb.flags.any(Flags::PROBING) { u32::from(tcb.backoff) } else { 0 };
        since >= sent * (interval & !1023)
    }

    /// Arms the wheel for the earliest of the connection's deadlines.
    fn rearm(&mut self, index: u32) {
        let tick = self.now.tick;
        let idle = self.keepalive_idle_ms();
        let paced = self.paced_until(&self.tcbs[index]);
        let config = &self.config;
        let tcb = &mut self.tcbs[index];
        let mut earliest: Option<u32> = None;
        let mut consider = |at: u32| {
            let sooner = earliest.is_none_or(|e| (at.wrapping_sub(e) as i32) < 0);
            if sooner {
                earliest = Some(at);
            }
        };
        if tcb.flags.any(Flags::TIMED) {
            consider(tcb.deadline);
        }
        if let Some(at) = paced {
            consider(at);
        }
        if tcb.flags.any(Flags::ACK_TIMED) {
            let ahead = tcb.ack_deadline.wrapping_sub(tick as u16) as i16;
            consider(tick.wrapping_add(ahead.max(0) as u32));
        }
        if tcb.flags.any(Flags::APP_TIMED) {
            let ahead = tcb.app_deadline.wrapping_sub((tick >> 6) as u16) as i16;
            consider((tick & !63).wrapping_add((ahead.max(0) as u32) << 6));
        }
        // While something is in flight its own timer runs, and keepalive is looked at after it.
        if tcb.flags.any(Flags::KEEPALIVE) && asks_the_quiet(tcb) {
            let quiet = u32::from(((tick >> 10) as u16).wrapping_sub(tcb.heard_at)) << 10;
            let sent = if tcb.flags.any(Flags::PROBING) { u32::from(tcb.backoff) } else { 0 };
            let due = idle + sent * config.keepalive_interval_ms;
            consider(tick.wrapping_add(due.saturating_sub(quiet).max(1)));
        }
        if let Some(at) = earliest {
            self.wheel.arm(&mut tcb.mark, index, at);
        }
    }

    /// (Re)starts the retransmission timer (RFC 6298 5.1, 5.3, 5.6, and 5), or the tail loss
    /// probe's in its place (RFC 8985-7.2a).
    #[inline]
    pub(super) fn start_timer(&mut self, index: u32) {
        let tcb = &self.tcbs[index];
        let rto = rto_ms(&self.config, tcb);
        let probe = probe_timeout_ms(&self.config, &self.pool, tcb, rto);
        self.set_deadline_of(index, probe.unwrap_or(rto), probe.is_some());
    }

    /// The same for a segment of a plain connection, which has no extension.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "once, on the way of every plain segment with octets")]
    pub(super) fn start_plain_timer(&mut self, index: u32) {
        let tcb = &self.tcbs[index];
        let rto = rto_ms(&self.config, tcb);
        let probe = probe_timeout_ms(&self.config, &self.pool, tcb, rto);
        self.note_deadline(index, probe.unwrap_or(rto), probe.is_some());
    }

    /// Starts the timer for a SYN that went. The user timeout counts for the opening as well
    /// (RFC 9293 3.10.1, 3.10.8, RFC 5482-3a).
    pub(super) fn start_syn_timer(&mut self, index: u32) {
        let tcb = &self.tcbs[index];
        let rto_ms = rto_ms(&self.config, tcb);
        let past_ms = tcb.backoff.checked_sub(1).map_or(0, |last| self.timeouts_ms(tcb, last));
        let left_ms = self.config.user_timeout_ms.map(|limit| limit.saturating_sub(past_ms));
        self.set_deadline(index, left_ms.map_or(rto_ms, |left| left.min(rto_ms)));
    }

    /// (Re)starts the retransmission timer itself.
    pub(super) fn start_rto(&mut self, index: u32) {
        let rto = rto_ms(&self.config, &self.tcbs[index]);
        self.set_deadline(index, rto);
    }

    /// RFC 6675 6: the head goes again in recovery, and what would tell of it takes a round trip
    /// from now on. A queue that was filling up makes that one longer than any which was measured,
    /// by as much again after a round of slow start, and thousands of even samples leave no
    /// variance.
    #[cold]
    pub(super) fn renew_timer(&mut self, index: u32) {
        let tcb = &self.tcbs[index];
        let two_trips_ms = tcb.srtt_us8 / 4 / 1000;
        let rto = rto_ms(&self.config, tcb).max(two_trips_ms);
        let probe = probe_timeout_ms(&self.config, &self.pool, tcb, rto);
        self.set_deadline_of(index, probe.unwrap_or(rto), probe.is_some());
    }

    /// The timer was started for the first segment of a flight; more of them may deserve a probe,
    /// whether they follow in this turn or, where the link has no more room, in a later one.
    #[inline]
    pub(super) fn maybe_time_probe(&mut self, index: u32) {
        let tcb = &self.tcbs[index];
        if tcb.is(Sign::Probe) || tcb.in_flight() <= u32::from(tcb.mss) {
            return;
        }
        let rto = rto_ms(&self.config, tcb);
        if let Some(ms) = probe_timeout_ms(&self.config, &self.pool, tcb, rto) {
            self.set_probe_deadline(index, ms);
        }
    }

    /// A probe may be late by the wait of recent timers, so it need not be in the wheel before.
    fn set_probe_deadline(&mut self, index: u32, ms: u32) {
        self.set_deadline_of(index, ms, true);
    }

    /// Sets the connection's deadline `ms` from now.
    pub(super) fn set_deadline(&mut self, index: u32, ms: u32) {
        self.set_deadline_of(index, ms, false);
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "on the way of every segment with octets")]
    fn set_deadline_of(&mut self, index: u32, ms: u32, is_probe: bool) {
        let tcb = &self.tcbs[index];
        if tcb.extension != BlockId::NONE {
            extension::of_mut(&mut self.pool, tcb.extension).set(Bits::REORDER_TIMER, false);
        }
        self.note_deadline(index, ms, is_probe);
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "on the way of every segment with octets")]
    fn note_deadline(&mut self, index: u32, ms: u32, is_probe: bool) {
        let tcb = &mut self.tcbs[index];
        tcb.deadline = self.now.tick.wrapping_add(ms.max(1));
        tcb.put(Sign::Probe, is_probe);
        tcb.flags.set(Flags::TIMED);
        let look = Look { tick: self.now.tick, at: tcb.deadline, waits: waits(ms, is_probe) };
        look.watch(index, tcb, &mut self.recent, &mut self.wheel);
    }

    /// The same unless a deadline is set already.
    pub(super) fn set_deadline_if_idle(&mut self, index: u32, ms: u32) {
        if !self.tcbs[index].flags.any(Flags::TIMED) {
            self.set_deadline(index, ms);
        }
    }

    /// An acknowledgment may wait this long for data to go with (RFC 5681-4.2a).
    #[inline]
    pub(super) fn delay_ack(&mut self, index: u32) {
        let at = self.now.tick.wrapping_add(self.config.ack_delay_ms);
        let tcb = &mut self.tcbs[index];
        if !tcb.flags.any(Flags::ACK_TIMED) {
            tcb.ack_deadline = at as u16;
            tcb.flags.set(Flags::ACK_TIMED);
            let waits = waits(self.config.ack_delay_ms, false);
            let look = Look { tick: self.now.tick, at, waits };
            look.watch(index, tcb, &mut self.recent, &mut self.wheel);
        }
    }
}

/// When a connection has to be looked at.
struct Look {
    tick: u32,
    /// The tick by which it has to be.
    at: u32,
    /// It may be late by the wait of recent timers.
    waits: bool,
}

impl Look {
    /// Sees to it that it is.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "on the way of every segment with octets")]
    fn watch(self, index: u32, tcb: &mut Tcb, recent: &mut Recent, wheel: &mut Wheel) {
        if self.waits && tcb.flags.any(Flags::RECENT) {
            return;
        }
        if self.waits && recent.push(index, self.tick) {
            tcb.flags.set(Flags::RECENT);
        } else {
            wheel.arm(&mut tcb.mark, index, self.at);
        }
    }
}

/// True for a timer that may be late by the wait of recent ones: a probe's, and a long one.
#[inline]
fn waits(ms: u32, is_probe: bool) -> bool {
    is_probe || ms > RECENT_MAX_MS
}

/// RTO = SRTT + max(G, 4 RTTVAR), doubled for each timeout in a row (RFC 9293 MUST-18,
/// RFC 6298 2.2, 2.3, 5.5; RFC 6298-4 for G).
#[inline(always)]
#[expect(clippy::inline_always, reason = "on the way of every plain segment with octets")]
pub(super) fn rto_ms(config: &StackConfig, tcb: &Tcb) -> u32 {
    let most = config.rto_max_ms;
    // Without a sample the variance may say how careful to be (RFC 6298-5.7).
    let unknown = tcb.srtt_us8 == 0 && tcb.rttvar_us4 == 0;
    let base = if unknown || tcb.state() <= State::SynReceived {
        config.rto_initial_ms.min(most)
    } else {
        let variance = tcb.rttvar_us4.max(config.rto_variance_min_ms * 1000);
        let us = (tcb.srtt_us8 >> 3) + variance;
        (us / 1000 + 1).max(config.rto_min_ms).min(most)
    };
    if tcb.backoff == 0 {
        return base;
    }
    (u64::from(base) << tcb.backoff.min(16)).min(u64::from(most)) as u32
}

/// True when `tick` is at or after `deadline`.
#[inline]
fn reached(tick: u32, deadline: u32) -> bool {
    (tick.wrapping_sub(deadline) as i32) >= 0
}

/// The same for the low halves.
#[inline]
fn reached_u16(tick: u32, deadline: u16) -> bool {
    ((tick as u16).wrapping_sub(deadline) as i16) >= 0
}

/// Quiet time before a keepalive probe, unless the settings say otherwise (RFC 9293 MUST-28).
const KEEPALIVE_IDLE_MS: u32 = 2 * 60 * 60 * 1000;

/// Retransmissions before somebody is told: R1 of RFC 9293 3.8.3.
const R1_RETRIES: u8 = 3;

/// The step in which it is noted when a peer was heard.
const HEARD_STEP_MS: u32 = 1024;

/// Timer entries handled in one call, at most.
pub(crate) const DUE_MAX: usize = 64;

/// Timers moved into the wheel in one call, at most; more than one turn sets.
const RECENT_BURST: u32 = 64;

/// A timer longer than this can wait: twelve milliseconds more than the wait, since the move itself
/// may be late.
const RECENT_MAX_MS: u32 = RECENT_MS + 12;

/// True for a connection that keepalive is for: open, and owed nothing by the peer (RFC 9293
/// MUST-26).
fn asks_the_quiet(tcb: &Tcb) -> bool {
    let open = matches!(
        tcb.state(),
        State::Established | State::CloseWait | State::FinWait2 | State::FinWait1
    );
    open && tcb.in_flight() == 0 && !tcb.flags.any(Flags::PERSIST)
}

/// How often records without an entry in the wheel are looked at.
const SWEEP_MS: u32 = 64;
