//! What the path takes, found out without ICMP (RFC 4821, RFC 8899): routers that drop what is too
//! large and say nothing are black holes for full segments.
//!
//! ```text
//!   full segments time out, again and again ──> small ones: the base
//!   then upward, by halves of what is left:  mss ──── probe ──── high ──── ceiling
//!          a probe arrives: mss is its size            │  is lost: high is below it
//!          nothing left to try: again after ten minutes
//! ```
//!
//! A probe is one segment larger than the others, of octets that were to be sent anyway. One is in
//! flight at most, so that a round-trip time lies between two, and it goes only where others follow
//! it that would show its loss. Its loss says nothing of congestion.
//!
//! The search is remembered in a block of the pool (`tcp::rare`) while it goes on, and while the
//! connection is busy; the segments' size is all that is left of it then.

use super::active::tcp_timestamps_len;
use super::extension::{self, Extension, MENDS};
use super::output::PathTo;
use super::rare;
use super::send_queue;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Tcb};
use crore_mem::BlockId;
use crore_mem::frames::TxBurst;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// When segment sizes are found out by probing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathSearch {
    /// Never: what ICMP says holds.
    Off,
    /// When full segments time out again and again: the path may be one that drops what is too
    /// large and says nothing.
    Fallback,
    /// From the base upward on every connection, which holds a block of the pool meanwhile.
    Always,
}

/// The search of one connection. Sizes are octets of payload in a segment, as `Tcb::mss` is.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Search {
    /// The largest size that is not excluded.
    high: u16,
    /// The largest size that peer and link take: what it began with.
    ceiling: u16,
    /// Of the probe in flight; 0: none is.
    size: u16,
    /// 1: sizes are tried; 2: none is left, for now. 0: there is no search.
    phase: u8,
    _reserved: u8,
    /// The probe's first octet.
    probe: Seq,
    /// With `phase` 2: the tick from which larger sizes are tried again.
    again_at: u32,
}

impl Search {
    fn begin(&mut self, mss: u16) {
        self.ceiling = self.ceiling.max(mss);
        self.high = self.ceiling;
        self.size = 0;
        self.phase = TRIES;
    }

    /// True while the search needs its memory.
    pub(super) fn goes_on(&self) -> bool {
        self.phase == TRIES
    }
}

impl Stack {
    /// A connection stands, and its segments are as large as peer and link take: where the settings
    /// want them proved, smaller ones go first (RFC 4821 7.2).
    pub(super) fn begin_small(&mut self, index: u32) {
        if self.config.path_search != PathSearch::Always {
            return;
        }
        let base = self.base_mss(&self.tcbs[index]);
        let mss = self.tcbs[index].mss;
        if base < mss
            && let Some(rare) = self.open_rare(index)
        {
            rare.search.begin(mss);
            let tcb = &mut self.tcbs[index];
            tcb.mss = base;
            tcb.flags.set(Flags::RARE);
        }
    }

    /// The retransmission timer ran out once more. Full segments that do not get through three
    /// times may be too large (RFC 4821 7.7, RFC 8899-4.3): smaller ones are tried, from the base
    /// on, and after two more timeouts the least.
    pub(super) fn suspect_black_hole(&mut self, index: u32) {
        let tcb = &self.tcbs[index];
        let head = tcb.snd_head;
        // A shut window holds small segments back as well.
        let says_nothing = head == BlockId::NONE || tcb.snd_wnd == 0;
        if self.config.path_search == PathSearch::Off || says_nothing {
            return;
        }
        let size = match tcb.backoff {
            BLACK_HOLE_TIMEOUTS => self.base_mss(tcb),
            LEAST_SIZE_TIMEOUTS => least_mss(tcb),
            _ => return,
        };
        let sent = tcb.snd_nxt.since(self.pool.header(head).seq);
        if u32::from(size) >= sent.min(u32::from(tcb.mss)) {
            return;
        }
        let mss = tcb.mss;
        if let Some(rare) = self.open_rare(index) {
            rare.search.begin(mss);
            self.tcbs[index].flags.set(Flags::RARE);
        }
        self.counters.black_holes += 1;
        self.tcbs[index].mss = size;
    }

    /// A lost segment was queued when they were larger: it is cut in two. False when no block is
    /// free for the second half.
    #[cold]
    pub(super) fn split_lost(&mut self, index: u32, id: BlockId) -> bool {
        let tcb = &mut self.tcbs[index];
        let mss = tcb.mss;
        if !send_queue::split(tcb, &mut self.pool, id, mss) {
            return false;
        }
        let (extension, rest) = (tcb.extension, self.pool.header(id).next);
        if extension != BlockId::NONE {
            let loss = extension::of_mut(&mut self.pool, extension);
            if loss.cursor == id {
                loss.cursor = rest;
            }
        }
        true
    }

    /// The size that any path of today takes (RFC 4821 7.2, RFC 8899 5.1.2), options taken off.
    fn base_mss(&self, tcb: &Tcb) -> u16 {
        let base = self.config.path_search_base_mss - options_len(tcb);
        // RFC 8200 5: over IPv6 nothing is smaller than 1,280 octets.
        if tcb.is_v6() { base.max(least_mss(tcb)) } else { base }
    }

    /// Sends a probe (RFC 8899-3.2), the only one for now (RFC 8899-3.7), if it is due and what
    /// else there is to send will show its fate. Called where new octets are about to be sent;
    /// false without a frame.
    #[cold]
    pub(super) fn maybe_probe_path(&mut self, index: u32, path: &PathTo, tx: &mut TxBurst) -> bool {
        let tick = self.now.tick;
        let tcb = &mut self.tcbs[index];
        let Some(rare) = rare::of_mut(&mut self.pool, tcb) else { return true };
        let Some(size) = rare.search.next_size(tcb, tick) else { return true };
        if !is_apt(tcb, extension::of(&self.pool, tcb.extension), size) {
            return true;
        }
        let unsent = tcb.snd_unsent;
        if !send_queue::widen(tcb, &mut self.pool, size) {
            return true;
        }
        // For this one segment.
        let mss = core::mem::replace(&mut tcb.mss, size);
        let probe = tcb.snd_nxt;
        let sent = self.send_block(index, unsent, 0, size, path, tx);
        self.tcbs[index].mss = mss;
        if sent && let Some(rare) = rare::of_mut(&mut self.pool, &self.tcbs[index]) {
            (rare.search.size, rare.search.probe) = (size, probe);
            self.counters.path_probes += 1;
        }
        sent
    }
}

impl Search {
    /// What to try next: halfway to the largest size left, or what it all began with when that is
    /// near and was not tried.
    fn next_size(&mut self, tcb: &Tcb, tick: u32) -> Option<u16> {
        if self.phase != TRIES || self.size != 0 {
            return None;
        }
        let left = self.high.saturating_sub(tcb.mss);
        if left < STEP_MIN {
            self.phase = WAITS;
            self.again_at = tick.wrapping_add(RAISE_MS);
            return None;
        }
        let untried = self.high == self.ceiling;
        Some(if untried && left <= 2 * STEP_MIN { self.high } else { tcb.mss + left / 2 })
    }
}

/// Room in the windows, and octets to send, for the probe and for what shows its loss (RFC 4821
/// 7.4); and no trouble that would be mistaken for it.
fn is_apt(tcb: &Tcb, loss: &Extension, size: u16) -> bool {
    let needed = u32::from(size) + FOLLOWERS * u32::from(tcb.mss);
    let room = tcb.cwnd.min(tcb.snd_wnd).saturating_sub(tcb.in_flight());
    let calm = !tcb.flags.any(Flags::RECOVERY | Flags::LOSS | Flags::PERSIST | Flags::FIN_LOST);
    calm && loss.sacked == 0 && loss.lost == 0 && room >= needed && tcb.unsent() >= needed
}

/// The acknowledgments that came say what became of the probe: one that arrived is the segments'
/// size from now on (RFC 8899-5.3); the window stays what it is in octets (RFC 8899-3.7c). After a
/// while larger ones are tried again, for the path may be another one (RFC 8899-5.1.1).
#[inline]
pub(super) fn note_arrived(tcb: &mut Tcb, search: &mut Search, tick: u32) {
    if search.phase == WAITS && tick.wrapping_sub(search.again_at) as i32 >= 0 {
        search.high = search.ceiling;
        search.phase = TRIES;
        tcb.flags.set(Flags::RARE);
    }
    if search.size != 0 && tcb.snd_una.ge(search.probe + u32::from(search.size)) {
        tcb.mss = search.size;
        tcb.cwnd = tcb.cwnd.max(u32::from(tcb.mss));
        search.size = 0;
    }
}

/// The retransmission timer ran out with a probe in flight, or ICMP said that it is too large.
pub(super) fn give_up_probe(search: &mut Search) {
    if search.size != 0 {
        search.high = search.size - 1;
        search.size = 0;
    }
}

/// ICMP says that nothing above `mss` gets through.
pub(super) fn note_limit(search: &mut Search, mss: u16) {
    if search.phase != 0 {
        search.high = search.high.min(mss);
        search.ceiling = search.ceiling.min(mss).max(1);
    }
}

/// True when all that is lost is the probe, the oldest segment in flight: it was too large, which
/// is no sign of congestion (RFC 4821 7.6.1, RFC 8899-3.7b). It is mended in smaller segments. When
/// others were lost as well, its own loss says nothing, and it is forgotten.
pub(super) fn is_probe_lost(
    tcb: &Tcb,
    loss: &Extension,
    search: &mut Search,
    head_len: u16,
) -> bool {
    let is_it = search.size != 0
        && tcb.snd_una == search.probe
        && search.size == head_len
        && loss.lost == u32::from(head_len)
        && !tcb.flags.any(Flags::RECOVERY | Flags::LOSS);
    if is_it {
        give_up_probe(search);
    } else {
        search.size = 0;
    }
    is_it
}

/// Recovery is over. One that mended a probe leaves the window and the threshold as they were.
pub(super) fn after_recovery(tcb: &mut Tcb, loss: &mut Extension) {
    if loss.course == MENDS {
        tcb.cwnd = tcb.cwnd.max(loss.prior_cwnd);
        tcb.ssthresh_segments = loss.prior_ssthresh_segments;
    }
}

/// The least size of segments (RFC 791 3.1, RFC 8200 5), options taken off.
fn least_mss(tcb: &Tcb) -> u16 {
    let least = if tcb.is_v6() { 1280 - 60 } else { 576 - 40 };
    least - options_len(tcb)
}

fn options_len(tcb: &Tcb) -> u16 {
    if tcb.flags.any(Flags::TIMESTAMPS) { tcp_timestamps_len() } else { 0 }
}

/// Phases of a search.
const TRIES: u8 = 1;
const WAITS: u8 = 2;

/// Timeouts in a row after which full segments are taken to be too large.
const BLACK_HOLE_TIMEOUTS: u8 = 3;

/// After so many even the base may be.
const LEAST_SIZE_TIMEOUTS: u8 = 5;

/// Smaller gains are not worth a probe.
const STEP_MIN: u16 = 16;

/// Segments behind a probe: as many as show its loss.
const FOLLOWERS: u32 = 3;

/// How long a size stands before larger ones are tried again (`PMTU_RAISE_TIMER`, RFC 8899 5.1.1).
const RAISE_MS: u32 = 600_000;
