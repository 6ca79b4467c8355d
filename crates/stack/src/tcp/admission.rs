//! Who may open a connection now: the limits of all and of each source, and what those hear who may
//! not. All of it is per core.

use super::sources::Reached;
use crate::arrival::Arrival;
use crate::counters::Drop;
use crate::hash::FlowKey;
use crate::stack::Stack;
use crore_mem::frames::TxBurst;
use crore_wire::tcp;

/// What a peer hears whose connection is not accepted, because a limit is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Refusal {
    /// Nothing: it tries again after a second, and may be luckier then.
    #[default]
    Silence,
    /// A reset: it learns at once, and so does a load balancer that has others to ask.
    Reset,
}

impl Stack {
    /// May this segment's sender open one more connection? Asked at its SYN, which takes nothing
    /// from any limit, and once more at the handshake's last segment, which does.
    pub(super) fn admit(&self, arrival: &Arrival) -> Result<(), Drop> {
        if self.tcbs.next_free().is_none() {
            return Err(Drop::ConnTableFull);
        }
        if self.config.accepted_max.is_some_and(|max| self.accepted_now >= max) {
            return Err(Drop::Backlog);
        }
        let tick = self.now.tick;
        let rate = self.config.accepts_per_second;
        if rate.is_some_and(|rate| !self.accept_tokens.has_one(rate, tick)) {
            return Err(Drop::AcceptRate);
        }
        let limits = &self.config.sources;
        if !limits.is_on() {
            return Ok(());
        }
        self.sources.may_open(limits, arrival.remote, tick).map_err(|reached| match reached {
            Reached::Conns => Drop::SourceFull,
            Reached::Rate => Drop::SourceRate,
        })
    }

    /// The sender may not, and hears what the settings say.
    pub(super) fn refuse(
        &mut self,
        reason: Drop,
        arrival: &Arrival,
        frame: &[u8],
        tx: &mut TxBurst,
    ) {
        self.counters.drop(reason);
        if self.config.refusal == Refusal::Reset {
            self.reset_stranger(arrival, frame, tx);
        }
    }

    /// The same for the last segment of a handshake. Without a word the record stays: the peer's
    /// next segment may find room.
    pub(super) fn refuse_half_open(
        &mut self,
        index: u32,
        reason: Drop,
        arrival: &Arrival,
        frame: &[u8],
        tx: &mut TxBurst,
    ) {
        if self.config.refusal == Refusal::Reset {
            self.drop_half_open(index, arrival.hash);
        }
        self.refuse(reason, arrival, frame, tx);
    }

    /// True for what overtook the segment with the cookie, or comes after it was lost. A reset
    /// would end what is about to begin; the peer sends all of it again.
    pub(super) fn is_before_cookie(&self, arrival: &Arrival, key: &FlowKey, cookie: u32) -> bool {
        let minute = self.minute();
        let lately = self.cookie_min.is_some_and(|sent| minute.wrapping_sub(sent) <= 1);
        let goes_on = arrival.payload_len > 0 || arrival.flags.contains(tcp::Flags::FIN);
        lately && goes_on && self.secrets.is_of_flow(key, cookie, minute)
    }

    /// A peer's connection stands.
    pub(super) fn note_opened(&mut self, remote: u128) {
        let tick = self.now.tick;
        self.accepted_now += 1;
        if let Some(rate) = self.config.accepts_per_second {
            self.accept_tokens.take(rate, tick);
        }
        let limits = &self.config.sources;
        if limits.is_on() && !self.sources.opened(limits, remote, tick, &mut self.counters.walked) {
            self.counters.sources_uncounted += 1;
        }
    }

    /// A connection that a peer opened is over.
    pub(super) fn note_closed(&mut self, remote: u128) {
        self.accepted_now -= 1;
        if self.config.sources.is_on() {
            self.sources.closed(&self.config.sources, remote, self.now.tick);
        }
    }

    /// True when the source of a SYN gets a cookie, because it has enough records.
    pub(super) fn is_source_half_open_full(&self, remote: u128) -> bool {
        self.sources.half_open_full(&self.config.sources, remote)
    }

    /// True when a SYN would get no record now, but a cookie.
    pub(super) fn answers_with_cookie(&self, remote: u128) -> bool {
        self.config.always_cookies
            || self.half_opens.slab.next_free().is_none()
            || self.is_source_half_open_full(remote)
    }

    /// A record was made for a SYN.
    pub(super) fn note_half_opened(&mut self, remote: u128) {
        let (limits, tick) = (&self.config.sources, self.now.tick);
        if !self.sources.half_opened(limits, remote, tick, &mut self.counters.walked) {
            self.counters.sources_uncounted += 1;
        }
    }

    /// The record is gone.
    pub(super) fn note_half_open_gone(&mut self, remote: u128) {
        self.sources.half_open_gone(&self.config.sources, remote, self.now.tick);
    }

    /// Sources that are counted now.
    pub fn sources_counted(&self) -> u32 {
        self.sources.len()
    }
}
