//! Requests on connections picked at random, and their replies.
//!
//! With many connections each one picked is a miss in every cache. So they are picked a turn ahead,
//! and their memory asked for: a turn later it has come.

use crate::churn::{Churn, end_life};
use crate::load::{Load, LoadConfig, request_of};
use crate::protocol::Protocol;
use crate::random::Random;
use crate::schedule::Schedule;
use crate::state::{Asked, Marks};
use crore::{Conn, Turn};
use std::time::Duration;

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// A request for each reply: so many are under way at any time. Shows how much a server can do.
    Closed {
        /// Requests under way.
        in_flight: u32,
    },
    /// At a rate, whatever the replies do. Shows how long replies take at that rate.
    Open {
        /// Requests a second.
        per_second: f64,
    },
    /// Short lives instead of requests on connections that stand.
    Churn(Churn),
}

/// The requests under way.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// Replies awaited.
    pub(crate) in_flight: u32,
    pub(crate) began_at: u64,
    /// No request is due from then on.
    ends_at: u64,
    schedule: Option<Schedule>,
    was_paused: bool,
    random: Random,
    /// Slots picked and asked for, to be used in the next turn.
    picked: Vec<u32>,
    request: Box<[u8]>,
}

impl Traffic {
    pub(crate) fn new(config: &LoadConfig, request_bytes: usize) -> Self {
        Self {
            in_flight: 0,
            began_at: 0,
            ends_at: u64::MAX,
            schedule: None,
            was_paused: false,
            random: Random::new(config.seed),
            picked: Vec::with_capacity(PICKS_A_TURN),
            request: vec![0; request_bytes].into_boxed_slice(),
        }
    }

    /// Picks as many as were used, and asks for their memory.
    #[inline]
    fn pick(&mut self, turn: &Turn<'_, Asked>, slots: u32) {
        while self.picked.len() < PICKS_A_TURN {
            let slot = self.random.below(slots);
            turn.prefetch(slot);
            self.picked.push(slot);
        }
    }
}

impl<P: Protocol> Load<P> {
    pub(crate) fn begin_traffic(&mut self, now: u64) {
        self.traffic.began_at = now;
        let ends_at = |time| now.saturating_add(self.clock.ticks(time));
        self.traffic.ends_at = self.config.traffic_time.map_or(u64::MAX, ends_at);
        self.begin_schedule(now);
    }

    fn begin_schedule(&mut self, now: u64) {
        if let Pace::Open { per_second } = self.config.pace {
            let ticks = self.clock.ticks_per_event(per_second / f64::from(self.protocol.depth()));
            self.traffic.schedule = Some(Schedule::new(now, ticks));
        }
    }

    /// Requests that were due in time are sent even after it, for a while.
    pub(crate) fn is_traffic_finished(&self, now: u64) -> bool {
        let ends_at = self.traffic.ends_at;
        let schedule = self.traffic.schedule.filter(|_| !self.is_paused());
        let owes = schedule.is_some_and(|schedule| schedule.next_at() < ends_at);
        let patience = if owes { self.clock.ticks(LATE_MAX) } else { 0 };
        now >= ends_at.saturating_add(patience) || self.live == 0 || self.is_hurried()
    }

    /// Requests that were due and could not be sent count with the time they have waited already;
    /// to leave them out would make the latency look best where it is worst.
    pub(crate) fn end_traffic(&mut self, now: u64) {
        let ticks = now.wrapping_sub(self.traffic.began_at);
        self.numbers.traffic_seconds = self.clock.seconds(ticks);
        if self.is_paused() {
            return;
        }
        let until = now.min(self.traffic.ends_at);
        let Some(schedule) = &mut self.traffic.schedule else { return };
        let depth = u64::from(self.protocol.depth());
        while schedule.next_at() < until {
            let waited = self.clock.ns(now - schedule.next_at());
            schedule.take();
            self.latency.record_ns(waited, depth);
            self.numbers.missed += depth;
        }
    }

    /// Sends what is due on the connections picked a turn ago, and picks the next ones.
    #[inline]
    pub(crate) fn ask_some(&mut self, turn: &mut Turn<'_, Asked>, now: u64) {
        if self.is_paused() {
            self.traffic.was_paused = true;
            return;
        }
        if self.traffic.was_paused {
            self.traffic.was_paused = false;
            self.begin_schedule(now);
        }
        if let Some(churn) = self.churn() {
            self.live_some(turn, churn, now);
        }
        if let Pace::Churn(_) = self.config.pace {
            return;
        }
        let mut used = 0;
        while used < self.traffic.picked.len() && turn.output_waiting() < OUTPUT_WAITING_MAX {
            let Some(due) = self.next_due(now) else { break };
            let slot = self.traffic.picked[used];
            used += 1;
            if let Some(mut conn) = turn.conn_at(slot)
                && conn.state().is_free()
                && !conn.state().marks.has(Marks::SHORT)
            {
                if let Some(schedule) = &mut self.traffic.schedule {
                    schedule.take();
                }
                self.ask(&mut conn, due);
            }
        }
        self.traffic.picked.drain(..used);
        self.traffic.pick(turn, self.slots);
    }

    /// When the next request was or is due; `None` while it is not.
    #[inline]
    fn next_due(&self, now: u64) -> Option<u64> {
        if !self.protocol.may_begin() && self.traffic.in_flight > 0 {
            return None;
        }
        match (self.config.pace, &self.traffic.schedule) {
            (Pace::Closed { in_flight }, _) => {
                let depth = u32::from(self.protocol.depth());
                (self.traffic.in_flight + depth <= in_flight.max(depth)).then_some(now)
            }
            (Pace::Open { .. }, Some(schedule)) => {
                schedule.due(now).filter(|&due| due < self.traffic.ends_at)
            }
            (Pace::Open { .. }, None) | (Pace::Churn(_), _) => None,
        }
    }

    pub(crate) fn wants_to_ask(&self) -> bool {
        if self.is_paused() {
            return false;
        }
        let depth = u32::from(self.protocol.depth());
        match self.config.pace {
            Pace::Closed { in_flight } => self.traffic.in_flight + depth <= in_flight.max(depth),
            // Sleep is too coarse for a schedule.
            Pace::Open { .. } => true,
            Pace::Churn(churn) => self.lives.under_way < churn.at_once,
        }
    }

    /// Sends a request that was due at `due`.
    #[inline]
    pub(crate) fn ask(&mut self, conn: &mut Conn<'_, Asked>, due: u64) {
        let depth = self.protocol.depth();
        let id = conn.id();
        let asked = conn.state();
        asked.requests = asked.requests.wrapping_add(1);
        asked.due_at = Asked::stamp(due);
        asked.awaited = depth;
        self.protocol.begin(asked);
        let request = request_of(id, asked);
        self.protocol.write(request, 0, &mut self.traffic.request);
        let taken = conn.send(&self.traffic.request);
        conn.state().unsent_bytes = (self.traffic.request.len() - taken) as u16;
        self.traffic.in_flight += u32::from(depth);
        self.numbers.requests += u64::from(depth);
    }

    /// What of a request found no room before.
    pub(crate) fn send_rest(&mut self, conn: &mut Conn<'_, Asked>) {
        let id = conn.id();
        let asked = *conn.state();
        let from = self.traffic.request.len() - usize::from(asked.unsent_bytes);
        let rest = &mut self.traffic.request[from..];
        self.protocol.write(request_of(id, &asked), from, rest);
        let taken = conn.send(rest);
        conn.state().unsent_bytes -= taken as u16;
    }

    /// Octets of a reply.
    #[inline]
    pub(crate) fn reply(&mut self, conn: &mut Conn<'_, Asked>, bytes: &[u8]) -> usize {
        let id = conn.id();
        let asked = conn.state();
        let request = request_of(id, asked);
        let mut got = self.protocol.receive(request, asked, bytes);
        // What nobody asked for was counted as bad bytes; it answers nothing.
        got.replies = got.replies.min(asked.awaited);
        self.numbers.bad_bytes += got.bad_bytes;
        self.numbers.bad_replies += got.bad_replies;
        if got.replies > 0 {
            let ticks = asked.ticks_since_due(self.clock.now());
            let is_beside = asked.marks.has(Marks::SHORT) && self.config.beside.is_some();
            if !is_beside {
                self.latency.record_ns(self.clock.ns(ticks), u64::from(got.replies));
            }
            asked.awaited -= got.replies;
            self.traffic.in_flight -= u32::from(got.replies);
            self.numbers.replies += u64::from(got.replies);
            self.progress_at = self.clock.now();
            if asked.marks.has(Marks::SHORT)
                && asked.awaited == 0
                && let Some(churn) = self.churn()
            {
                end_life(conn, churn);
            }
        }
        if got.broken {
            conn.state().marks.put(Marks::BAD_REPLY, true);
            conn.abort();
            return bytes.len();
        }
        // After our FIN there is no answer any more.
        if got.answers && !conn.state().marks.has(Marks::CLOSING) {
            // What finds no room is offered again.
            return conn.send(&bytes[..got.consumed]);
        }
        got.consumed
    }
}

/// Connections picked ahead, and so the most that are asked in one turn.
const PICKS_A_TURN: usize = 32;

/// How late requests are still sent after the end of the traffic.
const LATE_MAX: Duration = Duration::from_secs(2);

/// With so many waiting for room in the link, more would only wait longer.
const OUTPUT_WAITING_MAX: u32 = 256;
