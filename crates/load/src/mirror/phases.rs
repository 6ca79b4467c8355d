//! The phases: all connections are opened, asked, counted and closed.

use super::under_way::{Exchange, Kind};
use super::{Mirror, PICKS_AHEAD, RTO_MS};
use crate::control::Phase;
use crate::schedule::Schedule;
use core::time::Duration;
use crore::mem::frames::TxBurst;

impl Mirror {
    /// The present phase goes on.
    #[inline]
    pub(super) fn go_on(&mut self, tx: &mut TxBurst) {
        match self.numbers.phase {
            Phase::Opening => self.open_some(tx),
            Phase::Traffic => self.say_some(tx),
            Phase::Checking => self.check_some(),
            Phase::Closing => self.close_some(tx),
            Phase::Settling | Phase::Done => {}
        }
    }

    /// True when a turn has something to do even if no frame came.
    pub fn wants_turns(&mut self) -> bool {
        self.publisher.is_urgent
            || !self.numbers.waits
                && match self.numbers.phase {
                    Phase::Opening => self.may_open(),
                    Phase::Traffic => self.may_ask() || self.may_live(),
                    Phase::Checking => true,
                    Phase::Closing => self.may_close(),
                    Phase::Settling | Phase::Done => false,
                }
    }

    /// Where the server is has to be known before anything can be said to it.
    pub(super) fn find_server(&mut self, tx: &mut TxBurst) {
        let asked = self.asked_for_server_ns;
        if asked.is_none_or(|then| self.now_ns - then >= ASK_FOR_SERVER_EVERY_NS) {
            self.asked_for_server_ns = Some(self.now_ns);
            self.link.ask_for_server(self.config.first_address, tx);
        }
    }

    fn open_some(&mut self, tx: &mut TxBurst) {
        self.opening_began_ns.get_or_insert(self.now_ns);
        for _ in 0..AT_ONCE {
            if !self.may_open() || tx.room() == 0 {
                return;
            }
            let index = self.next_open;
            self.next_open += 1;
            self.heard.prefetch(index + PICKS_AHEAD as u32);
            self.numbers.attempts += 1;
            self.begin(index, Kind::Opening, 0, self.now_ns, tx);
        }
    }

    fn may_open(&self) -> bool {
        !self.is_all_asked_for() && self.under_way.len() < self.config.handshakes_max
    }

    fn is_all_asked_for(&self) -> bool {
        let numbers = &self.numbers;
        let in_vain = numbers.opened == 0 && numbers.connect_errors >= IN_VAIN_MAX;
        self.next_open == self.config.connections || in_vain || self.control.is_hurried()
    }

    pub(super) fn note_opened(&mut self) {
        self.numbers.opened += 1;
        let began = self.opening_began_ns.unwrap_or_default();
        self.numbers.open_seconds = (self.now_ns - began) as f64 / 1e9;
    }

    fn begin_traffic(&mut self) {
        self.traffic_began_ns = self.now_ns;
        self.begin_schedule();
    }

    fn begin_schedule(&mut self) {
        let schedule = |per_second| Schedule::new(self.now_ns, 1e9 / per_second);
        self.schedule = self.config.requests_per_second.map(schedule);
    }

    /// Requests and short lives, unless there is a pause: nothing is late for it.
    #[inline]
    fn say_some(&mut self, tx: &mut TxBurst) {
        if self.control.is_paused() {
            self.was_paused = true;
            return;
        }
        if core::mem::take(&mut self.was_paused) {
            self.begin_schedule();
        }
        self.live_some(tx);
        self.ask_some(tx);
    }

    fn traffic_ends_ns(&self) -> u64 {
        let time_ns = u64::try_from(self.config.traffic_time.as_nanos()).unwrap_or(u64::MAX);
        self.traffic_began_ns.saturating_add(time_ns)
    }

    /// In a closed loop every connection is asked at least once, however long that takes. Requests
    /// at a rate that were due in time are sent even after it, for a while.
    fn is_traffic_finished(&self) -> bool {
        if self.live == 0 || self.control.is_hurried() {
            return true;
        }
        let ends = self.traffic_ends_ns();
        match &self.schedule {
            Some(schedule) if schedule.next_at() < ends => {
                self.now_ns >= ends.saturating_add(LATE_MAX.as_nanos() as u64)
            }
            Some(_) => self.now_ns >= ends,
            None => self.now_ns >= ends && self.picks >= u64::from(self.config.connections),
        }
    }

    /// Requests that were due and could not be sent count with the time they have waited already.
    fn end_traffic(&mut self) {
        self.numbers.traffic_seconds = (self.now_ns - self.traffic_began_ns) as f64 / 1e9;
        let until = self.now_ns.min(self.traffic_ends_ns());
        if let Some(schedule) = &mut self.schedule {
            while schedule.next_at() < until {
                self.latency.record_ns(self.now_ns - schedule.next_at(), 1);
                schedule.take();
                self.numbers.missed += 1;
            }
        }
        // What was picked and not asked keeps its place in the order.
        self.picks -= self.picked.len() as u64;
        self.picked.clear();
        self.counts.never_asked =
            u64::from(self.config.connections).saturating_sub(self.picks.min(u64::from(u32::MAX)));
    }

    /// Asks those that were picked some turns ago, and picks the next ones.
    #[inline]
    fn ask_some(&mut self, tx: &mut TxBurst) {
        for _ in 0..AT_ONCE {
            if tx.room() == 0 || !self.may_ask() {
                break;
            }
            let Some(due_ns) = self.next_due() else { break };
            let Some(&index) = self.picked.front() else { break };
            if self.heard[index].ts_recent == 0 {
                self.picked.pop_front();
                continue;
            }
            if self.under_way.get(index).is_some() {
                // There are few connections: its turn has come again before it has answered.
                break;
            }
            // The picks that wait behind it were counted already.
            let place = self.picks - self.picked.len() as u64;
            let round = place / u64::from(self.config.connections);
            self.picked.pop_front();
            if let Some(schedule) = &mut self.schedule {
                schedule.take();
            }
            self.numbers.requests += 1;
            self.begin(index, Kind::Asking, round as u32 + 1, due_ns, tx);
        }
        if self.config.in_flight > 0 {
            self.pick();
        }
    }

    #[inline]
    fn pick(&mut self) {
        while self.picked.len() < PICKS_AHEAD {
            let place = (self.picks % u64::from(self.config.connections)) as u32;
            let index = self.order.at(place);
            self.heard.prefetch(index);
            self.picked.push_back(index);
            self.picks += 1;
        }
    }

    #[inline]
    fn may_ask(&self) -> bool {
        let asked = self.under_way.len() - self.lives_under_way;
        asked < self.config.in_flight && !self.control.is_paused()
    }

    /// When the next request was or is due; `None` while it is not.
    #[inline]
    fn next_due(&self) -> Option<u64> {
        match &self.schedule {
            Some(schedule) => schedule.due(self.now_ns).filter(|&at| at < self.traffic_ends_ns()),
            None => Some(self.now_ns),
        }
    }

    /// Counts the next ones that are established.
    fn check_some(&mut self) {
        let end = self.config.connections.min(self.walked + CHECKS_A_TURN);
        let some = &self.heard.as_slice()[self.walked as usize..end as usize];
        let stand = some.iter().filter(|heard| heard.ts_recent != 0).count();
        self.numbers.established += stand as u64;
        self.walked = end;
    }

    /// Closes the next ones, in the order in which they were asked: so it is known how often.
    fn close_some(&mut self, tx: &mut TxBurst) {
        let connections = u64::from(self.config.connections);
        for _ in 0..AT_ONCE {
            if !self.may_close() || tx.room() == 0 {
                return;
            }
            let place = self.walked;
            self.walked += 1;
            let ahead = place + PICKS_AHEAD as u32;
            if ahead < self.config.connections {
                self.heard.prefetch(self.order.at(ahead));
            }
            let index = self.order.at(place);
            if self.heard[index].ts_recent != 0 {
                let again = u64::from(place) < self.picks % connections;
                let requests = (self.picks / connections) as u32 + u32::from(again);
                self.begin(index, Kind::Closing, requests, self.now_ns, tx);
            }
        }
    }

    fn may_close(&self) -> bool {
        self.walked < self.config.connections && self.under_way.len() < self.config.handshakes_max
    }

    /// Sends something that is to be answered. The link has room.
    #[inline]
    pub(super) fn begin(
        &mut self,
        index: u32,
        kind: Kind,
        requests: u32,
        due_ns: u64,
        tx: &mut TxBurst,
    ) {
        let exchange = Exchange {
            kind,
            requests,
            due_ns,
            resend_at_ms: self.now_ms() + RTO_MS,
            tries: 1,
            received: 0,
            acknowledged: false,
        };
        self.say(index, kind, requests, tx);
        self.under_way.begin(index, exchange);
    }

    fn is_finished(&self) -> bool {
        match self.numbers.phase {
            Phase::Opening => self.is_all_asked_for() && self.under_way.len() == 0,
            Phase::Traffic => self.is_traffic_finished(),
            Phase::Settling => self.under_way.len() == 0,
            Phase::Checking => self.walked == self.config.connections,
            Phase::Closing => self.walked == self.config.connections && self.under_way.len() == 0,
            Phase::Done => false,
        }
    }

    /// On to the next phase, when this one is through and the next is allowed.
    pub(super) fn advance(&mut self) {
        if !self.is_finished() {
            return;
        }
        let next = self.numbers.phase.next();
        if self.control.allows(next) {
            if self.numbers.phase == Phase::Traffic {
                self.end_traffic();
            }
            self.numbers.phase = next;
            self.numbers.waits = false;
            self.publisher.is_urgent = true;
            self.walked = 0;
            if next == Phase::Traffic {
                self.begin_traffic();
            }
        } else if !self.numbers.waits {
            self.numbers.waits = true;
            self.publisher.is_urgent = true;
        }
    }
}

/// Connections opened, asked or closed in one turn, at most.
const AT_ONCE: usize = 64;

const CHECKS_A_TURN: u32 = 1 << 14;

/// So many refusals without a single success: nobody listens there.
const IN_VAIN_MAX: u64 = 100;

/// How late requests are still sent after the end of the traffic.
const LATE_MAX: Duration = Duration::from_secs(2);

const ASK_FOR_SERVER_EVERY_NS: u64 = 1_000_000_000;
