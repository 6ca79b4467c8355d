//! Fifth step of SEGMENT ARRIVES: the ACK field (RFC 9293 3.10.7.4, RFC 5961 5, RFC 6298).

use super::arrives::Step;
use super::rack::DUP_ACKS_LOSS;
use super::{ecn, recovery, send_queue};
use crate::arrival::Arrival;
use crate::counters::Drop;
use crate::event::{Event, What};
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Sign, State, Tcb};
use crate::transitions::Station;
use crore_mem::BlockId;

impl Stack {
    /// Takes in the acknowledgment and the window.
    #[inline]
    pub(super) fn check_ack(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        event: &mut Event,
    ) -> Step {
        let ack = Seq(arrival.ack);
        let tcb = &mut self.tcbs[index];
        if tcb.state() <= State::SynReceived {
            match self.ack_of_our_syn(index, arrival, event) {
                Step::On => {}
                stop => return stop,
            }
        }
        let tcb = &mut self.tcbs[index];
        if ack.gt(tcb.snd_nxt) || ack.lt(tcb.snd_una.back(tcb.snd_wnd_max_octets())) {
            // RFC 5961 5.2, RFC 9293 MAY-12: what lies outside is answered and dropped.
            self.counters.challenges += 1;
            return Step::StopAndAck(Drop::AckOutsideWindow);
        }
        let is_new = ack.gt(tcb.snd_una);
        let closer = arrival.has_options && tcb.in_flight() > 0;
        let echo = closer && ecn::is_echo(tcb, arrival);
        let reports = echo || closer && tcb.flags.any(Flags::SACK);
        // A bulk receiver has an extension for its window's sake. What arrives there carries octets
        // and says nothing of what we sent, because that is nothing.
        let remembers = tcb.extension != BlockId::NONE
            && (tcb.in_flight() > 0 || arrival.payload_len == 0 || arrival.has_options);
        let troubled = remembers || tcb.flags.any(Flags::LOSS) || reports;
        if troubled && self.open_extension(index) {
            self.ack_in_trouble(index, arrival, frame, event);
        } else if is_new {
            if echo {
                self.echo_without_extension(index);
            }
            self.new_ack(index, arrival, event);
        } else {
            self.maybe_duplicate_ack(index, arrival);
        }
        self.update_window(index, arrival, is_new);
        self.after_ack_of_fin(index, event)
    }

    /// SYN-RECEIVED: the first acceptable ACK establishes.
    #[cold]
    fn ack_of_our_syn(&mut self, index: u32, arrival: &Arrival, event: &mut Event) -> Step {
        if self.tcbs[index].state() == State::FastOpened {
            return self.ack_of_syn_ack(index, arrival);
        }
        // After a simultaneous open. SND.NXT is back at the SYN while that waits to be sent once
        // more.
        let first = self.tcbs[index].snd_una + 1;
        let ack = Seq(arrival.ack);
        if ack.lt(first) || ack.gt(first + self.octets_on_syn(index)) {
            return Step::Stop(Drop::BadHandshake);
        }
        self.take_ack_of_syn(index, ack);
        self.close_extension(index);
        let tcb = &mut self.tcbs[index];
        tcb.flags.clear(Flags::TIMED);
        let syn_timeouts = core::mem::take(&mut tcb.backoff);
        // It held the time of the last SYN. That one was sent at least twice, alone and with an
        // acknowledgment: it is no sample (RFC 6298-3a, Karn).
        tcb.srtt_us8 = 0;
        tcb.snd_wl1 = Seq(arrival.seq);
        self.establish(index, syn_timeouts);
        self.counters.connected += 1;
        event.what.set(What::CONNECTED);
        // What Fast Open did not get through, and a CLOSE (RFC 9293 3.10.4), waited for this.
        self.queue_output(index);
        Step::On
    }

    /// SEG.ACK is beyond SND.UNA: something was acknowledged for the first time.
    #[inline]
    fn new_ack(&mut self, index: u32, arrival: &Arrival, event: &mut Event) {
        let ack = Seq(arrival.ack);
        let tcb = &mut self.tcbs[index];
        let newly = ack.since(tcb.snd_una);
        let flight_before = tcb.in_flight();
        let sample = send_queue::acknowledge(tcb, &mut self.pool, ack);
        tcb.snd_una = ack;
        let credit = newly_since_duplicates(tcb, newly);
        tcb.dup_acks = 0;
        tcb.backoff = 0;
        tcb.flags.clear(Flags::PROBING | Flags::HELD);
        if let Some(sent_at_us) = sample {
            tcb.measure_rtt((self.now.us as u32).wrapping_sub(sent_at_us));
        }
        self.congestion_on_ack(index, credit, flight_before);
        self.after_new_ack(index, event);
    }

    /// Timer, room to send, and output after SND.UNA has moved.
    #[inline]
    pub(super) fn after_new_ack(&mut self, index: u32, event: &mut Event) {
        let tcb = &mut self.tcbs[index];
        // RFC 6298 5.2, 5.3: nothing in flight, no timer; else it starts anew.
        if tcb.in_flight() > 0 {
            self.start_timer(index);
        } else if (tcb.extension != BlockId::NONE || tcb.is(Sign::Probe)) && !tcb.fin_acked() {
            self.flight_is_over(index);
        } else {
            tcb.flags.clear(Flags::TIMED | Flags::PERSIST);
        }
        let tcb = &self.tcbs[index];
        if tcb.flags.any(Flags::WANT_WRITABLE) && self.is_writable(tcb) {
            self.tcbs[index].flags.clear(Flags::WANT_WRITABLE);
            event.what.set(What::WRITABLE);
        }
        let tcb = &self.tcbs[index];
        let fin_is_out = tcb.flags.any(Flags::FIN_SENT) && !tcb.flags.any(Flags::FIN_LOST);
        let fin_waits = tcb.flags.any(Flags::FIN_QUEUED) && !fin_is_out;
        if tcb.unsent() > 0 || fin_waits || tcb.flags.any(Flags::LOSS | Flags::RECOVERY) {
            self.queue_output(index);
        }
    }

    /// Nothing is in flight any more. The timer goes on when there is an extension, to give it
    /// back after a timeout's time.
    #[cold]
    fn flight_is_over(&mut self, index: u32) {
        self.start_rto(index);
        let tcb = &mut self.tcbs[index];
        tcb.flags.clear(Flags::PERSIST);
        if tcb.extension == BlockId::NONE {
            tcb.flags.clear(Flags::TIMED);
        }
    }

    /// On a connection without an extension. With SACK reports count, and nothing else
    /// (RFC 3042-2c).
    fn maybe_duplicate_ack(&mut self, index: u32, arrival: &Arrival) {
        let tcb = &mut self.tcbs[index];
        let counts = !tcb.flags.any(Flags::SACK | Flags::LOSS);
        if !counts || !recovery::is_duplicate(tcb, arrival) {
            return;
        }
        tcb.dup_acks = recovery::more_duplicates(tcb, tcb.in_flight());
        if tcb.dup_acks == DUP_ACKS_LOSS {
            self.third_duplicate(index);
        } else {
            // Limited transmit (RFC 3042-2a, RFC 3042-2b, RFC 5681-3.2a): the segment has left the
            // network, a new one may go.
            self.queue_output(index);
        }
    }

    /// SND.WND from segments that are not older than the one that set it last. SND.WL2 needs no
    /// place of its own: acceptable acknowledgments are never before SND.UNA. A new acknowledgment
    /// always brings its window: the last one, counted from a later SND.UNA, would reach too far.
    #[inline]
    fn update_window(&mut self, index: u32, arrival: &Arrival, is_new: bool) {
        let tcb = &mut self.tcbs[index];
        let is_older = Seq(arrival.seq).lt(tcb.snd_wl1) && !is_new;
        if Seq(arrival.ack).lt(tcb.snd_una) || is_older {
            return;
        }
        // RFC 7323-2.3d.
        let window = u32::from(arrival.window) << tcb.snd_scale();
        tcb.snd_wl1 = Seq(arrival.seq);
        tcb.snd_wnd_max = tcb.snd_wnd_max.max(arrival.window);
        let opened = window > tcb.snd_wnd;
        let was_shut = tcb.snd_wnd == 0;
        tcb.snd_wnd = window;
        if !opened {
            return;
        }
        if was_shut && tcb.flags.any(Flags::LOSS) {
            self.window_reopened(index);
        }
        if was_shut && self.tcbs[index].flags.any(Flags::PERSIST) {
            self.take_back_probe(index);
        }
        let tcb = &mut self.tcbs[index];
        let (probed, unsent) = (tcb.in_flight() > 0, tcb.unsent() > 0);
        if tcb.flags.any(Flags::PERSIST) {
            tcb.flags.clear(Flags::PERSIST);
            tcb.backoff = 0;
            if probed {
                // The probe's octet is in flight like any other now.
                self.start_timer(index);
            }
        }
        if unsent {
            self.queue_output(index);
        }
    }

    /// What the acknowledgment of our FIN changes.
    #[inline]
    fn after_ack_of_fin(&mut self, index: u32, event: &mut Event) -> Step {
        let tcb = &mut self.tcbs[index];
        if !tcb.fin_acked() {
            return Step::On;
        }
        match tcb.state() {
            State::FinWait1 => {
                tcb.set_state(State::FinWait2);
                self.transitions.took(Station::FinWait1, Station::FinWait2);
                tcb.flags.clear(Flags::TIMED);
                self.idle_extension(index);
                if self.is_tuned(index) {
                    self.start_rto(index);
                }
                self.limit_fin_wait_2(index);
            }
            // CLOSING goes on in `settle`, with the acknowledgment of the peer's FIN.
            State::LastAck => self.finish(index, crate::event::Closed::Finished, event),
            _ => {}
        }
        Step::On
    }
}

/// Each duplicate acknowledgment let a new segment go (RFC 3042): what it stood for opens the
/// window no further.
#[inline]
fn newly_since_duplicates(tcb: &Tcb, newly: u32) -> u32 {
    if tcb.dup_acks == 0 {
        return newly;
    }
    let mss = u32::from(tcb.mss);
    newly.saturating_sub(u32::from(tcb.dup_acks) * mss).max(mss.min(newly))
}

impl Tcb {
    /// The largest window the peer ever offered, in octets.
    #[inline]
    pub(super) fn snd_wnd_max_octets(&self) -> u32 {
        u32::from(self.snd_wnd_max) << self.snd_scale()
    }

    /// Takes in one round-trip time (RFC 6298 2.2, 2.3).
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "two dozen instructions for every acknowledgment")]
    pub(super) fn measure_rtt(&mut self, rtt_us: u32) {
        // Eighths of two minutes are below 2^31: the clock may have leapt.
        let rtt = rtt_us.clamp(1, 1 << 27);
        if self.srtt_us8 == 0 {
            self.srtt_us8 = rtt << 3;
            self.rttvar_us4 = rtt << 1;
            return;
        }
        let error = rtt as i32 - (self.srtt_us8 >> 3) as i32;
        self.rttvar_us4 =
            (self.rttvar_us4 as i32 + (error.abs() - (self.rttvar_us4 >> 2) as i32)).max(0) as u32;
        self.srtt_us8 = (self.srtt_us8 as i32 + error).max(1) as u32;
    }
}
