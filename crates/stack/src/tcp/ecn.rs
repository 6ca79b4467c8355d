//! Explicit congestion notification (RFC 3168): routers mark packets instead of dropping them.
//!
//! ```text
//!   sender ── ECT(0) ──> router: CE ──> receiver
//!          <── ECE, on every acknowledgment ──┘
//!          ── CWR, with the first new octets after the window was reduced ──> no more ECE
//! ```
//!
//! What the two ends agreed on, and what either of them owes the other, are three signs of the
//! control block; the sender's one reduction for each window of data is the extension's to keep.

use super::congestion::{Congestion, Signal};
use super::extension::{Extension, Steering};
use super::half_open::HalfOpen;
use super::recovery::flight_of_window;
use crate::arrival::Arrival;
use crate::stack::Stack;
use crate::tcb::{Flags, Sign, State, Tcb};
use crore_wire::tcp;

/// With whom a stack uses ECN (RFC 9293 SHLD-8). The numbers are those of Linux's `tcp_ecn`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ecn {
    /// With nobody.
    Off = 0,
    /// With peers that ask for it, and asks each peer.
    Offer = 1,
    /// With peers that ask for it.
    #[default]
    Accept = 2,
}

impl Stack {
    /// The control bits of a SYN that we send. RFC 3168-6.1.1.1b: one that was not answered goes
    /// without ECN the next time, because something on the way may not let it through; RFC
    /// 3168-6.1.1b: then the connection has none. RFC 3168-6.1.1f: without ECN neither bit is set.
    pub(super) fn flags_of_syn(&mut self, index: u32) -> tcp::Flags {
        let offers = self.config.ecn == Ecn::Offer;
        let tcb = &mut self.tcbs[index];
        if tcb.state() == State::SynReceived {
            return flags_of_syn_ack(tcb.is(Sign::Ecn));
        }
        let ecn = offers && tcb.backoff == 0;
        tcb.put(Sign::Ecn, ecn);
        if ecn { ECN_SETUP_SYN } else { tcp::Flags::SYN }
    }

    /// The peer's SYN, or SYN-ACK, in SYN-SENT. RFC 3168-6.1.1b, RFC 3168-6.1.1c: ECN is used only
    /// when both sides asked for it and neither took it back. RFC 3168-6.1.1.2: a SYN-ACK that has
    /// both bits is the reflection of our own, and no answer; RFC 3168-6.1.1h: nor are others.
    pub(super) fn agree_on_ecn(&mut self, index: u32, flags: tcp::Flags) {
        let agreed = if flags.contains(tcp::Flags::ACK) {
            flags.contains(tcp::Flags::ECE) && !flags.contains(tcp::Flags::CWR)
        } else {
            flags.contains(ECN_SETUP_SYN)
        };
        let tcb = &mut self.tcbs[index];
        let both = agreed && tcb.is(Sign::Ecn);
        tcb.put(Sign::Ecn, both);
    }

    /// The option bit of a record for a SYN with these control bits (RFC 3168-6.1.1a).
    pub(super) fn ecn_of_syn(&self, flags: tcp::Flags) -> u8 {
        let asked = flags.contains(ECN_SETUP_SYN);
        if asked && self.config.ecn != Ecn::Off { HalfOpen::ECN } else { 0 }
    }

    /// The receiver's part (RFC 3168-6.1.1e), of a segment within the window (RFC 3168-6.1.5b): CWR
    /// ends the echo, a mark begins it. The peer waits for the news, and after a reduction its
    /// window may be one segment, so neither answer is delayed.
    #[cold]
    pub(super) fn take_marks(&mut self, index: u32, arrival: &Arrival) {
        let tcb = &mut self.tcbs[index];
        // RFC 3168-6.1.1.3: ECT alone does not make a connection ECN-capable. RFC 3168 6.1.4: marks
        // on what carries no octets say nothing of the sender's window.
        if !tcb.is(Sign::Ecn) || arrival.payload_len == 0 {
            return;
        }
        if arrival.flags.contains(tcp::Flags::CWR) {
            // RFC 3168-6.1.3c.
            tcb.put(Sign::Echo, false);
            tcb.flags.set(Flags::ACK_NOW);
        }
        if arrival.is_marked() {
            // RFC 3168-6.1.3a, RFC 3168-6.1.3b: on all acknowledgments from now on, so that none
            // that is lost, and no delay, can lose it.
            self.counters.ecn_marked += 1;
            if !tcb.is(Sign::Echo) {
                tcb.put(Sign::Echo, true);
                tcb.flags.set(Flags::ACK_NOW);
            }
        }
        self.queue_output(index);
    }

    /// ECE on an acknowledgment, and no memory for when the window was reduced last: until CWR is
    /// on its way it is reduced once, and may be once more within the round trip.
    #[cold]
    pub(super) fn echo_without_extension(&mut self, index: u32) {
        let tcb = &mut self.tcbs[index];
        if tcb.is(Sign::Reduced) || tcb.flags.any(Flags::LOSS) {
            return;
        }
        tcb.set_ssthresh(tcb.in_flight() / 2);
        tcb.cwnd = tcb.cwnd.min(tcb.ssthresh_octets());
        tcb.put(Sign::Reduced, true);
        self.counters.ecn_reductions += 1;
    }
}

/// True when the acknowledgment tells of congestion.
#[inline]
pub(super) fn is_echo(tcb: &Tcb, arrival: &Arrival) -> bool {
    arrival.flags.contains(tcp::Flags::ECE) && tcb.is(Sign::Ecn)
}

/// The sender's part (RFC 3168-6.1.2b): one reduction for all marks and losses of a window of data
/// (RFC 3168-6.1.2d). False: it was reduced already for what the acknowledgment covers.
pub(super) fn reduce_for_echo(
    tcb: &mut Tcb,
    past: &mut Extension,
    congestion: Congestion,
    flight: u32,
) -> bool {
    if tcb.snd_una.le(past.steering.cut_until) {
        return false;
    }
    let flight = flight_of_window(tcb, past, flight);
    let reduced = congestion.reduced(&mut past.avoidance, Signal::Mark, tcb.cwnd, flight);
    tcb.set_ssthresh(reduced);
    tcb.cwnd = tcb.cwnd.min(tcb.ssthresh_octets());
    note_cut(tcb, &mut past.steering);
    true
}

/// The window was reduced, for whatever reason: until all that is out now is acknowledged marks
/// are old news, and the peer is told with the next new octets (RFC 3168-6.1.1d, RFC 3168-6.1.2f).
pub(super) fn note_cut(tcb: &mut Tcb, steering: &mut Steering) {
    steering.cut_until = tcb.snd_nxt;
    if tcb.is(Sign::Ecn) {
        tcb.put(Sign::Reduced, true);
    }
}

/// The control bits of a SYN-ACK (RFC 3168-6.1.1a).
pub(super) fn flags_of_syn_ack(ecn: bool) -> tcp::Flags {
    let flags = tcp::Flags::SYN | tcp::Flags::ACK;
    if ecn { flags | tcp::Flags::ECE } else { flags }
}

impl Tcb {
    /// ECE, when it is due: the sign has the bit's place in the header.
    #[inline]
    pub(super) fn echo_flag(&self) -> tcp::Flags {
        tcp::Flags(self.state & Sign::Echo as u8)
    }

    /// For new octets: the two bits of the IP header, and CWR when it is due.
    #[inline]
    pub(super) fn mark_of_new_data(&self) -> (u8, tcp::Flags) {
        let ect0 = (self.state & Sign::Ecn as u8) >> ECT0_SHIFT;
        (ect0, tcp::Flags(self.state & Sign::Reduced as u8))
    }
}

/// What stands for "with ECN" on a SYN: bits that older hosts do not set (RFC 3168 6.1.1).
const ECN_SETUP_SYN: tcp::Flags = tcp::Flags::SYN.with(tcp::Flags::ECE).with(tcp::Flags::CWR);

/// From [`Sign::Ecn`] to ECT(0) (RFC 3168-6.1.2a).
const ECT0_SHIFT: u8 = 4;
const _: () = assert!(Sign::Ecn as u8 >> ECT0_SHIFT == 0b10);
