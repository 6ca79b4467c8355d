//! When memory is short: who holds it, and takes nothing of it, is ended (slow readers, peers that
//! shut their window for good), and what came out of order long ago is given back.
//!
//! ```text
//!   sweep: a few control blocks a tick ──> the worst of them wait here ──> after a while:
//!          those with most octets queued    with SND.UNA and RCV.NXT        did they take any?
//! ```
//!
//! Without pressure nothing of this costs anything. Under pressure a tick looks at a fixed number
//! of control blocks, whatever the number of connections: the worst of each handful are noted, and
//! after the time of grace those that took less than the least rate are reset. A peer that goes on
//! reading, however large its queue, is left alone.

use super::receive_queue;
use crate::event::{Closed, Event, Events};
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{State, Tcb};
use alloc::boxed::Box;
use alloc::vec;
use crore_mem::BlockId;
use crore_mem::frames::TxBurst;

/// Who has to go when memory is short, which `pool_marks` say.
#[derive(Clone, Copy, Debug)]
pub struct HoldingLimits {
    /// Queued octets from which a connection is looked at.
    pub held_min_bytes: u32,
    /// How long it then has to show that its peer takes them.
    pub grace_ms: u32,
    /// The least that the peer must take in that time, in octets a second; 0: nobody has to go.
    pub rate_min: u32,
}

impl Default for HoldingLimits {
    fn default() -> Self {
        Self { held_min_bytes: 16 << 10, grace_ms: 5_000, rate_min: 1024 }
    }
}

impl HoldingLimits {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.grace_ms < 1_000 {
            return Err("holding.grace_ms must be at least 1,000: a path may be slow that long");
        }
        Ok(())
    }
}

/// A connection that is watched, as it was when that began.
#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    index: u32,
    generation: u32,
    snd_una: Seq,
    rcv_nxt: Seq,
    since: u32,
}

/// Connections that are watched, the longest watched first, and the sweep that finds them.
#[derive(Debug)]
pub(crate) struct Holders {
    ring: Box<[Watched]>,
    first: usize,
    len: usize,
    hand: u32,
    /// When the present sweep over all control blocks began.
    swept_from: Option<u32>,
}

impl Holders {
    pub(crate) fn new() -> Self {
        let ring = vec![Watched::default(); WATCHED_MAX].into_boxed_slice();
        Self { ring, first: 0, len: 0, hand: 0, swept_from: None }
    }

    fn push(&mut self, watched: Watched) {
        if self.len < WATCHED_MAX {
            self.ring[(self.first + self.len) % WATCHED_MAX] = watched;
            self.len += 1;
        }
    }

    fn oldest(&self) -> Option<Watched> {
        (self.len > 0).then(|| self.ring[self.first])
    }

    fn forget_oldest(&mut self) {
        self.first = (self.first + 1) % WATCHED_MAX;
        self.len -= 1;
    }
}

impl Stack {
    /// One tick's work against the shortage.
    #[cold]
    pub(super) fn relieve(&mut self, events: &mut Events, tx: &mut TxBurst) {
        for _ in 0..JUDGED_A_TICK {
            let Some(watched) = self.holders.oldest() else { break };
            let ms = self.now.tick.wrapping_sub(watched.since);
            if ms < self.config.holding.grace_ms || events.room() == 0 {
                break;
            }
            self.holders.forget_oldest();
            if self.tcbs.get(watched.index, watched.generation).is_some() {
                self.judge_holder(watched, ms, events, tx);
            }
        }
        self.sweep();
    }

    /// The time of grace is over.
    fn judge_holder(&mut self, was: Watched, ms: u32, events: &mut Events, tx: &mut TxBurst) {
        let index = was.index;
        let tcb = &mut self.tcbs[index];
        if tcb.state() <= State::SynReceived {
            return;
        }
        if tcb.rcv_queue != BlockId::NONE && tcb.rcv_nxt == was.rcv_nxt {
            // The hole before them was not filled. The peer has them still (RFC 2018 8).
            self.counters.reneged +=
                u64::from(receive_queue::forget_out_of_order(tcb, &mut self.pool));
        }
        let taken = u64::from(tcb.snd_una.since(was.snd_una)) * 1000;
        let enough = u64::from(self.config.holding.rate_min) * u64::from(ms);
        if tcb.queued() < self.config.holding.held_min_bytes || taken >= enough {
            return;
        }
        let mut event = Event { index, generation: was.generation, ..Event::default() };
        self.counters.evicted += 1;
        self.send_reset(index, tx);
        self.finish(index, Closed::Evicted, &mut event);
        events.push(event);
    }

    /// Looks at the next few control blocks and notes the worst of each handful. After all have
    /// been seen the next sweep waits until the time of grace is over.
    fn sweep(&mut self) {
        let tick = self.now.tick;
        if let Some(from) = self.holders.swept_from
            && self.holders.hand == 0
            && tick.wrapping_sub(from) < self.config.holding.grace_ms
        {
            return;
        }
        if self.holders.hand == 0 {
            self.holders.swept_from = Some(tick);
        }
        for _ in 0..SWEPT_A_TICK / HANDFUL {
            let mut worst: Option<(u32, Watched)> = None;
            for _ in 0..HANDFUL {
                let index = self.holders.hand;
                self.counters.walked += 1;
                if self.tcbs.is_live(index) {
                    let held = self.held_by(&self.tcbs[index]);
                    if held > worst.map_or(0, |(held, _)| held) {
                        worst = Some((held, Watched::of(&self.tcbs[index], index, tick)));
                    }
                }
                self.holders.hand = index + 1;
                if self.holders.hand >= self.tcbs.capacity() {
                    self.holders.hand = 0;
                    break;
                }
            }
            if let Some((_, watched)) = worst {
                self.holders.push(watched);
            }
            if self.holders.hand == 0 {
                break;
            }
        }
    }

    /// How bad a connection is: octets queued for the peer from the least on, or one for any that
    /// came out of order.
    fn held_by(&self, tcb: &Tcb) -> u32 {
        let queued = if tcb.state() > State::SynReceived { tcb.queued() } else { 0 };
        if queued >= self.config.holding.held_min_bytes.max(1) {
            queued
        } else {
            u32::from(tcb.rcv_queue != BlockId::NONE && tcb.state() > State::SynReceived)
        }
    }
}

impl Watched {
    fn of(tcb: &Tcb, index: u32, tick: u32) -> Self {
        let generation = tcb.generation;
        Self { index, generation, snd_una: tcb.snd_una, rcv_nxt: tcb.rcv_nxt, since: tick }
    }
}

/// Connections watched at a time.
const WATCHED_MAX: usize = 1024;

/// Of those, how many are judged in a tick.
const JUDGED_A_TICK: u32 = 8;

/// Control blocks looked at in a tick.
const SWEPT_A_TICK: u32 = 128;

/// Of so many the worst is noted.
const HANDFUL: u32 = 8;
