//! The passive side (RFC 7413 4.1.2, 4.2.2): cookies, and the control block in SYN-RECEIVED.
//!
//! ```text
//!   SYN with a cookie ──> control block: ACCEPTED, DATA; SYN-ACK ──> ACK: ESTABLISHED
//!   SYN that asks, or with a wrong cookie ──> as any other SYN, a cookie on the SYN-ACK
//! ```
//!
//! In this SYN-RECEIVED the queues work as in ESTABLISHED: SND.UNA counts our SYN as if it was
//! acknowledged, what says otherwise is the state. Until it ends SND.WL1 is the peer's initial
//! sequence number, RTTVAR the time of our SYN-ACK. Our FIN waits (RFC 9293 3.10.4).

use super::super::active::offered_mss_of;
use super::super::arrives::Step;
use super::super::ecn;
use super::super::half_open::HalfOpen;
use super::super::passive::Agreed;
use crate::arrival::Arrival;
use crate::budget::Pressure;
use crate::counters::Drop;
use crate::event::{Closed, Event, Events, What};
use crate::record::Record;
use crate::secret::fast_open_cookie;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Sign, State};
use crate::transitions::Station;
use crore_mem::frames::TxBurst;
use crore_wire::tcp::{self, FastOpen, FastOpenCookie};

/// What a SYN's option, or the lack of it, comes to.
pub(in super::super) enum Verdict {
    /// Its octets are for the application now.
    Take,
    /// As any other SYN; with this on the SYN-ACK.
    Answer(Option<FastOpen>),
}

impl Stack {
    /// RFC 7413 4.2.2, "Server: Receiving SYN", steps 1 to 3.
    pub(in super::super) fn judge_fast_open(
        &mut self,
        arrival: &Arrival,
        offered: &tcp::Options,
    ) -> Verdict {
        // RFC 7413-4.2a: a port without Fast Open does not look at options.
        if !self.fast_open.has_port(arrival.local_port) {
            return Verdict::Answer(None);
        }
        let has_octets = arrival.payload_len > 0;
        let option = offered.fast_open;
        let without_cookie = self.config.fast_open.serve_without_cookie && has_octets;
        if option.is_none() && !without_cookie {
            return Verdict::Answer(None);
        }
        // RFC 7413-4.2b: no Fast Open for anybody while too many are not proven.
        if self.fast_open_pending() >= self.config.fast_open.pending_max {
            self.counters.fast_open_refused += 1;
            return Verdict::Answer(None);
        }
        let Some(option) = option.filter(|_| !without_cookie) else { return Verdict::Take };
        let [fresh, older] = self.fast_open_cookies(arrival);
        if [fresh, older].contains(&option.cookie) && !option.cookie.is_empty() {
            return Verdict::Take;
        }
        if !option.cookie.is_empty() {
            self.counters.fast_open_bad_cookies += 1;
        }
        // In the kind that it came in.
        Verdict::Answer(Some(FastOpen { cookie: fresh, ..option }))
    }

    /// The cookie for whoever sent this, and the one that is still accepted (RFC 7413-4.1.2a).
    fn fast_open_cookies(&self, arrival: &Arrival) -> [FastOpenCookie; 2] {
        let local = self.addresses.address(arrival.local_id);
        let of = |key| {
            let octets = fast_open_cookie(key, arrival.remote, local);
            FastOpenCookie::new(&octets).unwrap_or(FastOpenCookie::EMPTY)
        };
        let config = &self.config.fast_open;
        if let [Some(fresh), older] = config.keys {
            return [of(fresh), older.map_or(FastOpenCookie::EMPTY, of)];
        }
        // RFC 7413-4.1.2b: a new key from time to time.
        let epoch = self.now.us / (u64::from(config.key_life_ms) * 1000);
        let key = |epoch| self.secrets.fast_open_key(epoch);
        [of(key(epoch)), of(key(epoch.wrapping_sub(1)))]
    }

    /// RFC 7413 4.2.2, "Server: Receiving SYN", steps 4 to 6. False, and nothing happened, when
    /// there is no room: then the SYN is as any other.
    pub(in super::super) fn take_fast_open(
        &mut self,
        arrival: &Arrival,
        offered: &tcp::Options,
        frame: &[u8],
        frame_number: u16,
        events: &mut Events,
        tx: &mut TxBurst,
    ) -> bool {
        let Some(index) = self.slot_for_fast_open(arrival) else {
            self.counters.fast_open_refused += 1;
            return false;
        };
        let Some(agreed) = self.agreed_with_syn(arrival, offered, frame) else {
            self.flows.remove(arrival.hash, Record::accepted_id(index));
            self.tcbs.remove(index);
            return false;
        };
        self.fill_accepted(index, &agreed, arrival);
        let event = self.take_octets_of_syn(index, arrival, frame_number);
        self.fast_open.pending.opened();
        self.counters.fast_open_in += 1;
        self.counters.accepted += 1;
        self.note_opened(arrival.remote);
        self.counters.handshakes_in += 1;
        events.push(event);
        self.tcbs[index].rttvar_us4 = (self.now.us as u32).max(1);
        self.send_fast_open_syn_ack(index, tx);
        true
    }

    /// A control block, in the flow table; `None` when there is none, or when the pool runs short:
    /// what the application does not read at once needs a block.
    fn slot_for_fast_open(&mut self, arrival: &Arrival) -> Option<u32> {
        if self.budget.pressure() > Pressure::None {
            return None;
        }
        let index = self.tcbs.insert()?;
        self.tcbs[index].clear_for(&arrival.endpoints());
        if !self.list_flow(arrival.hash, Record::accepted_id(index)) {
            self.tcbs.remove(index);
            return None;
        }
        Some(index)
    }

    /// What a SYN says holds, as it does after a whole handshake.
    fn agreed_with_syn(
        &mut self,
        arrival: &Arrival,
        offered: &tcp::Options,
        frame: &[u8],
    ) -> Option<Agreed> {
        let neighbour = self.neighbour_of_arrival(arrival, frame)?;
        let key = arrival.endpoints().key(&self.addresses);
        let (options, scales) = self.options_of_syn(offered, arrival.flags);
        let has = |bit: u8| options & bit != 0;
        Some(Agreed {
            irs: Seq(arrival.seq),
            iss: Seq(self.secrets.isn(&key, self.now.us)),
            mss: offered_mss_of(offered, arrival.remote).max(self.config.mss_min),
            scales,
            timestamps: has(HalfOpen::TIMESTAMPS),
            sack: has(HalfOpen::SACK),
            ecn: has(HalfOpen::ECN),
            neighbour,
            dscp: self.dscp_for(arrival),
            rtt_us: None,
            syn_timeouts: 0,
            window: self.config.first_window(),
        })
    }

    /// The state, the windows, and the octets that came with the SYN.
    fn take_octets_of_syn(&mut self, index: u32, arrival: &Arrival, frame_number: u16) -> Event {
        let initial = self.config.initial_window_segments;
        let tick = self.now.tick;
        let tcb = &mut self.tcbs[index];
        tcb.set_state(State::FastOpened);
        self.transitions.took(Station::Listen, Station::SynReceived);
        // The window of a SYN is never scaled (RFC 7323-2.2c).
        tcb.snd_wnd = u32::from(arrival.window);
        tcb.snd_wnd_max = (tcb.snd_wnd >> tcb.snd_scale()).max(1) as u16;
        // RFC 7413-4.2.2b: the initial window, as after any other handshake.
        tcb.cwnd = initial * u32::from(tcb.mss);
        tcb.ssthresh_segments = u16::MAX;
        tcb.heard_at = (tick >> 10) as u16;
        let (generation, irs) = (tcb.generation, Seq(arrival.seq));
        // No SYN-ACK yet.
        tcb.last_ack_sent = irs;
        let mut event = Event { index, generation, what: What::ACCEPTED, ..Event::default() };
        // They count against what the SYN-ACK offers: no edge moves back.
        let window = tcb.rcv_adv.since(tcb.rcv_nxt);
        let len = u32::from(arrival.payload_len).min(window) as u16;
        if len > 0 {
            event.what.set(What::DATA);
            event.seq = (irs + 1).0;
            event.frame = frame_number;
            event.start = arrival.payload_start;
            event.len = len;
            tcb.rcv_nxt += u32::from(len);
            self.counters.octets_in += u64::from(len);
        }
        event
    }

    /// The SYN-ACK of a control block, for all that came with the SYN. Again only without a cookie
    /// (RFC 7413-4.2.2c): there is none on the first one either.
    fn send_fast_open_syn_ack(&mut self, index: u32, tx: &mut TxBurst) {
        self.start_rto(index);
        if !self.try_fast_open_syn_ack(index, tx) {
            // The link is full: the output stage tries again, before any octets go.
            self.queue_output(index);
        }
    }

    /// A SYN-ACK that had found no frame goes before any octets; false when there is none again.
    pub(in super::super) fn syn_ack_first(&mut self, index: u32, tx: &mut TxBurst) -> bool {
        let tcb = &self.tcbs[index];
        tcb.last_ack_sent != tcb.snd_wl1 || self.try_fast_open_syn_ack(index, tx)
    }

    fn try_fast_open_syn_ack(&mut self, index: u32, tx: &mut TxBurst) -> bool {
        let tcb = &self.tcbs[index];
        let timed = tcb.flags.any(Flags::TIMESTAMPS);
        let answer = tcp::Header {
            src_port: tcb.local_port,
            dst_port: tcb.remote_port,
            seq: tcb.snd_una.back(1).0,
            ack: tcb.rcv_nxt.0,
            flags: ecn::flags_of_syn_ack(tcb.is(Sign::Ecn)),
            // Of a SYN-ACK it is not shifted.
            window: tcb.rcv_adv.since(tcb.rcv_nxt) as u16,
            urgent: 0,
            options: tcp::Options {
                mss: Some(self.mss_for(tcb.remote)),
                window_scale: (tcb.scales != 0).then(|| self.config.rcv_scale()),
                sack_permitted: tcb.flags.any(Flags::SACK),
                timestamps: timed
                    .then(|| tcp::Timestamps { value: self.ts_now(), echo: tcb.ts_recent }),
                layout: self.config.option_layout,
                ..tcp::Options::NONE
            },
        };
        let sent = match self.path_of(index, tx) {
            Some(path) => self.write_segment(&path, &answer, &[], tx),
            None => false,
        };
        if sent {
            let tcb = &mut self.tcbs[index];
            tcb.last_ack_sent = tcb.rcv_nxt;
        }
        sent
    }

    /// A SYN in SYN-RECEIVED of a passive open: the peer's own once more gets the SYN-ACK once
    /// more. Any other goes the way of all segments.
    pub(in super::super) fn repeated_syn(
        &mut self,
        index: u32,
        arrival: &Arrival,
        tx: &mut TxBurst,
    ) -> Option<Step> {
        let tcb = &mut self.tcbs[index];
        let is_syn = arrival.flags.contains(tcp::Flags::SYN)
            && !arrival.flags.intersects(tcp::Flags::ACK | tcp::Flags::RST);
        if !is_syn || Seq(arrival.seq) != tcb.snd_wl1 {
            return None;
        }
        // Its acknowledgment is no sample any more (Karn).
        tcb.rttvar_us4 = 0;
        if self.ecn_of_syn(arrival.flags) == 0 {
            // RFC 3168-6.1.1.1c: the peer tries without.
            self.tcbs[index].put(Sign::Ecn, false);
        }
        self.send_fast_open_syn_ack(index, tx);
        Some(Step::Stop(Drop::HalfOpenRepeat))
    }

    /// SYN-RECEIVED of a passive open, the fifth step: RFC 9293 3.10.7.4. An acceptable ACK proves
    /// that the peer gets what is sent to it.
    pub(in super::super) fn ack_of_syn_ack(&mut self, index: u32, arrival: &Arrival) -> Step {
        let ack = Seq(arrival.ack);
        let tcb = &mut self.tcbs[index];
        if ack.lt(tcb.snd_una) || ack.gt(tcb.snd_nxt) {
            return Step::StopAndReset(Drop::BadHandshake);
        }
        self.fast_open.pending.proven();
        tcb.flags.clear(Flags::TIMED | Flags::PERSIST);
        let sent_at_us = core::mem::take(&mut tcb.rttvar_us4);
        let syn_timeouts = core::mem::take(&mut tcb.backoff);
        if sent_at_us != 0 && syn_timeouts == 0 {
            tcb.measure_rtt((self.now.us as u32).wrapping_sub(sent_at_us));
        }
        self.establish(index, syn_timeouts);
        if self.tcbs[index].in_flight() > 0 {
            self.start_timer(index);
        }
        self.queue_output(index);
        Step::On
    }

    /// The SYN-ACK was not answered in time: once more (RFC 7413-4.2.2c: it has neither octets nor
    /// a cookie), in the end not any more. What the application sent waits for the answer.
    pub(in super::super) fn syn_ack_timeout(
        &mut self,
        index: u32,
        event: &mut Event,
        tx: &mut TxBurst,
    ) {
        let retries = self.config.syn_ack_retries;
        let tcb = &mut self.tcbs[index];
        tcb.backoff = tcb.backoff.saturating_add(1);
        if tcb.backoff > retries && !tcb.flags.any(Flags::PATIENT) {
            self.counters.half_open_expired += 1;
            return self.finish(index, Closed::TimedOut, event);
        }
        tcb.backoff = tcb.backoff.min(retries.saturating_add(1));
        self.counters.retransmits += 1;
        self.counters.timeouts += 1;
        self.send_fast_open_syn_ack(index, tx);
    }
}
