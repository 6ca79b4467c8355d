//! LISTEN and SYN-RECEIVED of passive opens (RFC 9293 3.10.7.2, 3.10.7.4, RFC 4987).
//!
//! ```text
//!   SYN ──> a compact record ── SYN-ACK ──> third segment ──> control block, ACCEPTED
//!     ├───> a Fast Open cookie and octets: a control block at once, see `fast_open`
//!     └───> no record free:  ── SYN-ACK with a cookie ──> third segment with the cookie ──┘
//! ```

use super::active::{offered_mss_of, tcp_timestamps_len};
use super::ecn::{self, Ecn};
use super::fast_open::Verdict;
use super::half_open::HalfOpen;
use super::output::{PREFETCH_AHEAD, PathTo};
use crate::arrival::Arrival;
use crate::budget::Pressure;
use crate::counters::Drop;
use crate::event::{Closed, Event, Events, What};
use crate::record::Record;
use crate::secret::{self, SynOptions};
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Sign};
use crate::transitions::Station;
use crore_mem::frames::TxBurst;
use crore_wire::{ethernet, tcp};

/// What a handshake agreed on, from a record, a cookie, or a SYN alone.
pub(super) struct Agreed {
    pub(super) irs: Seq,
    pub(super) iss: Seq,
    /// What the peer takes, options not counted.
    pub(super) mss: u16,
    /// As in a control block.
    pub(super) scales: u8,
    pub(super) timestamps: bool,
    pub(super) sack: bool,
    pub(super) ecn: bool,
    pub(super) neighbour: u16,
    pub(super) dscp: u8,
    /// Between the only SYN-ACK sent and its acknowledgment (RFC 6298 2.2, Karn).
    pub(super) rtt_us: Option<u32>,
    /// SYN-ACKs that were not answered in time.
    pub(super) syn_timeouts: u8,
    /// What the SYN-ACK offered, in octets.
    pub(super) window: u32,
}

impl Stack {
    /// A segment that belongs to nothing we know (RFC 9293 3.10.7.1, 3.10.7.2).
    pub(super) fn stranger_segment(
        &mut self,
        arrival: &Arrival,
        frame: &[u8],
        frame_number: u16,
        events: &mut Events,
        tx: &mut TxBurst,
    ) {
        let flags = arrival.flags;
        if flags.contains(tcp::Flags::RST) {
            return self.counters.drop(Drop::ResetForNobody);
        }
        // RFC 1122 3.2.1.3, RFC 9293 MUST-63: nobody else sends from an address of ours, and nobody
        // at all from a broadcast address.
        let remote = arrival.remote;
        if self.addresses.id_of(remote).is_some() || self.addresses.is_broadcast(remote) {
            return self.counters.drop(Drop::BadSource);
        }
        if !self.is_listening(arrival.local_port) {
            self.counters.drop(Drop::NoConnection);
            return self.reset_stranger(arrival, frame, tx);
        }
        if flags.contains(tcp::Flags::ACK) {
            if flags.contains(tcp::Flags::SYN) {
                self.counters.drop(Drop::BadHandshake);
                return self.reset_stranger(arrival, frame, tx);
            }
            return self.maybe_cookie(arrival, frame, frame_number, events, tx);
        }
        if flags.contains(tcp::Flags::SYN) {
            return self.syn_to_listener(arrival, frame, frame_number, events, tx);
        }
        self.counters.drop(Drop::NoAck);
    }

    /// LISTEN, third step: a SYN. Payload on it is not taken, but with Fast Open: the peer sends it
    /// again.
    pub(super) fn syn_to_listener(
        &mut self,
        arrival: &Arrival,
        frame: &[u8],
        frame_number: u16,
        events: &mut Events,
        tx: &mut TxBurst,
    ) {
        let segment = &frame[usize::from(arrival.start)..];
        let Some(options) = tcp::Options::of_segment(segment) else {
            return self.counters.drop(Drop::Malformed);
        };
        // RFC 9293 3.10.7.2 knows no SYN that ends what it begins; scanners do.
        if arrival.flags.contains(tcp::Flags::FIN) {
            return self.counters.drop(Drop::BadFlags);
        }
        if let Err(reason) = self.admit(arrival) {
            return self.refuse(reason, arrival, frame, tx);
        }
        // The answer goes where the SYN came from on the link. Who has not shown that it gets our
        // answers is no neighbour yet: made-up addresses must not fill that table.
        let Ok((ethernet, _)) = ethernet::Header::parse(frame) else {
            return self.counters.drop(Drop::Malformed);
        };
        let mac = ethernet.src.0;
        if self.answers_with_cookie(arrival.remote) {
            // RFC 7413 8.2: in a flood of SYNs there is no Fast Open.
            let dscp = self.dscp_for(arrival);
            return self.send_cookie(arrival, &options, mac, dscp, tx);
        }
        let cookie = match self.judge_fast_open(arrival, &options) {
            Verdict::Answer(cookie) => cookie,
            Verdict::Take => {
                if self.take_fast_open(arrival, &options, frame, frame_number, events, tx) {
                    return;
                }
                None
            }
        };
        let dscp = self.dscp_for(arrival);
        self.keep_half_open(arrival, mac, &options, dscp, cookie, tx);
    }

    /// SYN-RECEIVED in a record, and the first SYN-ACK.
    fn keep_half_open(
        &mut self,
        arrival: &Arrival,
        mac: [u8; 6],
        offered: &tcp::Options,
        dscp: u8,
        cookie: Option<tcp::FastOpen>,
        tx: &mut TxBurst,
    ) {
        let Some(index) = self.half_opens.insert() else {
            return self.counters.drop(Drop::ConnTableFull);
        };
        if !self.list_flow(arrival.hash, Record::HalfOpen(index).id()) {
            self.half_opens.slab.remove(index);
            return self.counters.drop(Drop::FlowTableFull);
        }
        self.note_half_opened(arrival.remote);
        self.counters.handshakes_in += 1;
        self.transitions.took(Station::Listen, Station::SynReceived);
        let key = arrival.endpoints().key(&self.addresses);
        let iss = Seq(self.secrets.isn(&key, self.now.us));
        let (options, scales) = self.options_of_syn(offered, arrival.flags);
        let deadline = self.now.tick.wrapping_add(self.config.rto_initial_ms);
        let sent_us = self.now.us as u32;
        let record = &mut self.half_opens.slab[index];
        record.set_endpoints(&arrival.endpoints());
        record.mac = mac;
        record.irs = Seq(arrival.seq);
        record.iss = iss;
        record.ts_recent = arrival.ts_value;
        record.deadline = deadline;
        record.snd_wnd = arrival.window;
        record.mss = offered_mss_of(offered, arrival.remote).max(self.config.mss_min);
        record.scales = scales;
        record.options = options;
        record.tries = 1;
        record.dscp = dscp;
        record.sent_us = sent_us;
        if !self.send_syn_ack(index, cookie, tx) {
            // The link is full, not the path lossy: the next sweep tries again.
            let record = &mut self.half_opens.slab[index];
            record.deadline = self.now.tick;
            record.tries = 0;
        }
    }

    /// What a SYN offers and we agree to; RFC 7323-2.3a, RFC 7323-2.3b: a window scale is answered
    /// with ours.
    pub(super) fn options_of_syn(&self, offered: &tcp::Options, flags: tcp::Flags) -> (u8, u8) {
        let mut options = 0;
        let mut scales = 0;
        if offered.timestamps.is_some() && self.config.timestamps {
            options |= HalfOpen::TIMESTAMPS;
        }
        if offered.sack_permitted && self.config.sack {
            options |= HalfOpen::SACK;
        }
        options |= self.ecn_of_syn(flags);
        if let Some(shift) = offered.window_scale
            && self.config.window_scaling
        {
            options |= HalfOpen::SCALE;
            scales = shift.min(14) << 4 | self.config.rcv_scale();
        }
        if self.pressure() > Pressure::None {
            options |= HalfOpen::SMALL_WINDOW;
        }
        (options, scales)
    }

    /// The SYN-ACK of a record; false when there is no frame for it. RFC 7413-4.2.1a: a cookie is
    /// on the first one only.
    fn send_syn_ack(
        &mut self,
        index: u32,
        cookie: Option<tcp::FastOpen>,
        tx: &mut TxBurst,
    ) -> bool {
        tx.prefetch(PREFETCH_AHEAD as usize);
        let record = self.half_opens.slab[index];
        let has = |bit: u8| record.options & bit != 0;
        self.counters.fast_open_cookies_sent += u64::from(cookie.is_some());
        let endpoints = record.endpoints();
        let answer = tcp::Header {
            src_port: endpoints.local_port,
            dst_port: endpoints.remote_port,
            seq: record.iss.0,
            ack: (record.irs + 1).0,
            flags: ecn::flags_of_syn_ack(has(HalfOpen::ECN)),
            window: self.window_of_half_open(&record) as u16,
            urgent: 0,
            options: tcp::Options {
                mss: Some(self.mss_for(endpoints.remote)),
                window_scale: has(HalfOpen::SCALE).then(|| self.config.rcv_scale()),
                sack_permitted: has(HalfOpen::SACK),
                timestamps: has(HalfOpen::TIMESTAMPS)
                    .then(|| tcp::Timestamps { value: self.ts_now(), echo: record.ts_recent }),
                fast_open: cookie,
                layout: self.config.option_layout,
                ..tcp::Options::NONE
            },
        };
        let path = PathTo::to_sender(self, &endpoints, record.mac).with_dscp(record.dscp);
        self.write_segment(&path, &answer, &[], tx)
    }

    /// The acknowledgment that a record gives to what it does not take (RFC 9293 3.10.7.4, first
    /// and second step): one for each SYN-ACK, by record, so that nobody learns of others from it
    /// (RFC 5961-7a).
    #[cold]
    fn say_where_half_open_is(&mut self, index: u32, tx: &mut TxBurst) {
        if self.half_opens.slab[index].options & HalfOpen::CORRECTED != 0 {
            return self.counters.drop(Drop::RateLimited);
        }
        self.half_opens.slab[index].options |= HalfOpen::CORRECTED;
        let record = self.half_opens.slab[index];
        let endpoints = record.endpoints();
        let timestamps = (record.options & HalfOpen::TIMESTAMPS != 0)
            .then(|| tcp::Timestamps { value: self.ts_now(), echo: record.ts_recent });
        let header = tcp::Header {
            src_port: endpoints.local_port,
            dst_port: endpoints.remote_port,
            seq: (record.iss + 1).0,
            ack: (record.irs + 1).0,
            flags: tcp::Flags::ACK,
            window: (self.window_of_half_open(&record) >> (record.scales & 15)) as u16,
            urgent: 0,
            options: tcp::Options { timestamps, ..tcp::Options::NONE },
        };
        let path = PathTo::to_sender(self, &endpoints, record.mac);
        self.write_segment(&path, &header, &[], tx);
    }

    /// What its SYN-ACK offers. Later ones offer the same: no edge moves back.
    fn window_of_half_open(&self, record: &HalfOpen) -> u32 {
        let first = self.config.first_window();
        if record.options & HalfOpen::SMALL_WINDOW == 0 {
            return first;
        }
        self.config.buf_min(record.mss).min(first)
    }

    /// A SYN-ACK that needs no record: what it agrees to comes back in ACK and timestamp.
    fn send_cookie(
        &mut self,
        arrival: &Arrival,
        offered: &tcp::Options,
        mac: [u8; 6],
        dscp: u8,
        tx: &mut TxBurst,
    ) {
        let key = arrival.endpoints().key(&self.addresses);
        let mss = offered_mss_of(offered, arrival.remote).max(self.config.mss_min);
        let class = secret::mss_class(mss);
        let iss = Seq(self.secrets.cookie(&key, arrival.seq, class, self.minute()));
        let (bits, _) = self.options_of_syn(offered, arrival.flags);
        let timestamps = bits & HalfOpen::TIMESTAMPS != 0;
        let shift = offered.window_scale.filter(|_| self.config.window_scaling);
        // Without timestamps there is no place for scale, SACK and ECN: they are not agreed to.
        let sack_permitted = bits & HalfOpen::SACK != 0;
        let ecn = bits & HalfOpen::ECN != 0;
        let kept = SynOptions { window_scale: shift, sack_permitted, ecn };
        let value = kept.encode(self.ts_now());
        let answer = tcp::Header {
            src_port: arrival.local_port,
            dst_port: arrival.remote_port,
            seq: iss.0,
            ack: (Seq(arrival.seq) + 1).0,
            flags: ecn::flags_of_syn_ack(timestamps && ecn),
            window: self.config.first_window() as u16,
            urgent: 0,
            options: tcp::Options {
                mss: Some(self.mss_for(arrival.remote)),
                window_scale: (timestamps && shift.is_some()).then(|| self.config.rcv_scale()),
                sack_permitted: timestamps && sack_permitted,
                timestamps: timestamps.then_some(tcp::Timestamps { value, echo: arrival.ts_value }),
                layout: self.config.option_layout,
                ..tcp::Options::NONE
            },
        };
        self.cookie_min = Some(self.minute());
        self.counters.cookies_sent += 1;
        self.counters.handshakes_in += 1;
        let path = PathTo::to_sender(self, &arrival.endpoints(), mac).with_dscp(dscp);
        self.write_segment(&path, &answer, &[], tx);
    }

    /// SYN-RECEIVED in a record.
    pub(super) fn half_open_segment(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        frame_number: u16,
        events: &mut Events,
        tx: &mut TxBurst,
    ) {
        let record = self.half_opens.slab[index];
        let (seq, ack) = (Seq(arrival.seq), Seq(arrival.ack));
        let flags = arrival.flags;
        if flags.contains(tcp::Flags::RST) {
            return self.half_open_reset(index, arrival, tx);
        }
        if flags.contains(tcp::Flags::SYN) {
            self.counters.drop(Drop::HalfOpenRepeat);
            if self.ecn_of_syn(flags) == 0 {
                // RFC 3168-6.1.1.1c: the peer tries without.
                self.half_opens.slab[index].options &= !HalfOpen::ECN;
            }
            self.send_syn_ack(index, None, tx);
            return;
        }
        if !flags.contains(tcp::Flags::ACK) {
            return self.counters.drop(Drop::NoAck);
        }
        if ack != record.iss + 1 {
            self.counters.drop(Drop::BadHandshake);
            return self.reset_stranger(arrival, frame, tx);
        }
        let window = self.window_of_half_open(&record);
        if seq.lt(record.irs + 1) || seq.gt(record.irs + 1 + window) {
            self.counters.drop(Drop::OutsideWindow);
            return self.say_where_half_open_is(index, tx);
        }
        if let Err(reason) = self.admit(arrival) {
            return self.refuse_half_open(index, reason, arrival, frame, tx);
        }
        let Some(neighbour) = self.neighbour_of_arrival(arrival, frame) else {
            return self.counters.drop(Drop::NeighbourUnknown);
        };
        let has = |bit: u8| record.options & bit != 0;
        let agreed = Agreed {
            irs: record.irs,
            iss: record.iss,
            mss: record.mss,
            scales: record.scales,
            timestamps: has(HalfOpen::TIMESTAMPS),
            sack: has(HalfOpen::SACK),
            ecn: has(HalfOpen::ECN),
            neighbour,
            dscp: record.dscp,
            rtt_us: (record.tries == 1).then(|| (self.now.us as u32).wrapping_sub(record.sent_us)),
            syn_timeouts: record.tries.saturating_sub(1),
            window,
        };
        self.half_opens.slab.remove(index);
        self.note_half_open_gone(arrival.remote);
        self.accept(&agreed, Some(index), arrival, frame, frame_number, events, tx);
    }

    /// A reset for a record.
    fn half_open_reset(&mut self, index: u32, arrival: &Arrival, tx: &mut TxBurst) {
        let (seq, irs) = (Seq(arrival.seq), self.half_opens.slab[index].irs);
        // RFC 5961-3.2a: only an exact hit counts.
        if seq == irs + 1 {
            self.drop_half_open(index, arrival.hash);
            self.transitions.end(Station::SynReceived, Station::Listen, Closed::Reset);
            self.counters.resets_in += 1;
            self.counters.handshakes_in += 1;
            return;
        }
        self.counters.drop(Drop::ResetChallenged);
        let window = self.config.rcv_buf_bytes.min(65_535);
        if seq.gt(irs) && seq.lt(irs + 1 + window) {
            // RFC 5961-3.2b.
            self.counters.challenges += 1;
            self.say_where_half_open_is(index, tx);
        }
    }

    /// An ACK to a listening port without a record: with a valid cookie it opens a connection.
    fn maybe_cookie(
        &mut self,
        arrival: &Arrival,
        frame: &[u8],
        frame_number: u16,
        events: &mut Events,
        tx: &mut TxBurst,
    ) {
        let key = arrival.endpoints().key(&self.addresses);
        let irs = arrival.seq.wrapping_sub(1);
        let cookie = arrival.ack.wrapping_sub(1);
        let Some(class) = self.secrets.check(&key, irs, cookie, self.minute()) else {
            if self.is_before_cookie(arrival, &key, cookie) {
                return self.counters.drop(Drop::BeforeCookie);
            }
            self.counters.drop(Drop::BadCookie);
            return self.reset_stranger(arrival, frame, tx);
        };
        let Some(neighbour) = self.neighbour_of_arrival(arrival, frame) else {
            return self.counters.drop(Drop::NeighbourUnknown);
        };
        let kept = if arrival.has_timestamps {
            SynOptions::decode(arrival.ts_echo)
        } else {
            SynOptions::default()
        };
        let agreed = Agreed {
            irs: Seq(irs),
            iss: Seq(cookie),
            mss: secret::class_mss(class).max(self.config.mss_min),
            scales: kept.window_scale.map_or(0, |s| s.min(14) << 4 | self.config.rcv_scale()),
            timestamps: arrival.has_timestamps && self.config.timestamps,
            sack: kept.sack_permitted && self.config.sack,
            ecn: kept.ecn && self.config.ecn != Ecn::Off,
            neighbour,
            dscp: self.dscp_for(arrival),
            rtt_us: None,
            syn_timeouts: 0,
            window: self.config.first_window(),
        };
        if let Err(reason) = self.admit(arrival) {
            return self.refuse(reason, arrival, frame, tx);
        }
        self.counters.cookies_accepted += 1;
        self.transitions.took(Station::Listen, Station::SynReceived);
        self.accept(&agreed, None, arrival, frame, frame_number, events, tx);
    }

    /// The handshake is complete: a control block, ESTABLISHED, and on with the segment.
    #[expect(clippy::too_many_arguments, reason = "a segment and where its effects go")]
    fn accept(
        &mut self,
        agreed: &Agreed,
        record: Option<u32>,
        arrival: &Arrival,
        frame: &[u8],
        frame_number: u16,
        events: &mut Events,
        tx: &mut TxBurst,
    ) {
        let Some(index) = self.tcbs.insert() else {
            return self.counters.drop(Drop::ConnTableFull);
        };
        let endpoints = arrival.endpoints();
        let new = Record::accepted_id(index);
        let listed = match record {
            Some(old) => self.flows.replace(arrival.hash, Record::HalfOpen(old).id(), new),
            None => self.list_flow(arrival.hash, new),
        };
        self.tcbs[index].clear_for(&endpoints);
        if !listed {
            self.tcbs.remove(index);
            return self.counters.drop(Drop::FlowTableFull);
        }
        self.fill_accepted(index, agreed, arrival);
        self.establish(index, agreed.syn_timeouts);
        self.counters.accepted += 1;
        self.note_opened(endpoints.remote);
        let generation = self.tcbs[index].generation;
        let what = What::ACCEPTED;
        events.push(Event { index, generation, what, ..Event::default() });
        if arrival.payload_len > 0 || arrival.flags.contains(tcp::Flags::FIN) {
            self.conn_segment(index, arrival, frame, frame_number, events, tx);
        } else {
            self.counters.handshakes_in += 1;
        }
    }

    pub(super) fn fill_accepted(&mut self, index: u32, agreed: &Agreed, arrival: &Arrival) {
        let link_mss = self.mss_for(arrival.remote);
        let nodelay = self.config.nodelay;
        let tcb = &mut self.tcbs[index];
        tcb.neighbour = agreed.neighbour;
        tcb.set_dscp(agreed.dscp);
        tcb.snd_una = agreed.iss + 1;
        tcb.snd_nxt = tcb.snd_una;
        tcb.snd_end = tcb.snd_una;
        tcb.rcv_nxt = agreed.irs + 1;
        tcb.rcv_adv = tcb.rcv_nxt + agreed.window;
        tcb.last_ack_sent = tcb.rcv_nxt;
        tcb.scales = agreed.scales;
        tcb.snd_wl1 = Seq(arrival.seq);
        tcb.snd_wnd = u32::from(arrival.window) << tcb.snd_scale();
        tcb.snd_wnd_max = arrival.window.max(1);
        tcb.mss = agreed.mss.min(link_mss);
        if agreed.timestamps {
            tcb.flags.set(Flags::TIMESTAMPS);
            tcb.ts_recent = arrival.ts_value;
            tcb.mss -= tcp_timestamps_len();
        }
        if agreed.sack {
            tcb.flags.set(Flags::SACK);
        }
        tcb.put(Sign::Ecn, agreed.ecn);
        if nodelay {
            tcb.flags.set(Flags::NODELAY);
        }
        if let Some(rtt_us) = agreed.rtt_us {
            tcb.measure_rtt(rtt_us);
        }
    }

    pub(super) fn drop_half_open(&mut self, index: u32, hash: u64) {
        self.flows.remove(hash, Record::HalfOpen(index).id());
        let remote = self.half_opens.slab[index].endpoints().remote;
        self.half_opens.slab.remove(index);
        self.note_half_open_gone(remote);
    }

    /// Forgets every half-open connection to `port`.
    pub(crate) fn forget_half_open(&mut self, port: u16) {
        for index in 0..self.half_opens.slab.capacity() {
            if !self.half_opens.slab.is_live(index) {
                continue;
            }
            let endpoints = self.half_opens.slab[index].endpoints();
            if endpoints.local_port == port {
                let hash = self.hash_of(&endpoints);
                self.drop_half_open(index, hash);
            }
        }
    }

    /// Minutes, for the age of cookies.
    pub(super) fn minute(&self) -> u32 {
        (self.now.us / 60_000_000) as u32
    }

    /// Sends SYN-ACKs again that are due, and gives up on those that had their tries.
    pub(super) fn half_open_timers(&mut self, tx: &mut TxBurst) {
        let mut visits = 0;
        while let Some(index) = self.half_opens.due(self.now.tick, &mut visits) {
            let record = &mut self.half_opens.slab[index];
            if record.tries > self.config.syn_ack_retries {
                let endpoints = record.endpoints();
                let hash = self.hash_of(&endpoints);
                self.drop_half_open(index, hash);
                self.transitions.end(Station::SynReceived, Station::Listen, Closed::TimedOut);
                self.counters.half_open_expired += 1;
                continue;
            }
            // After a flood whole runs of records are due at once. A try that the link has no room
            // for is none: the record is as due in the next sweep.
            if tx.frame().is_none() {
                return;
            }
            let wait = self.config.rto_initial_ms << record.tries.min(6);
            let wait = wait.min(self.config.rto_max_ms);
            record.deadline = self.now.tick.wrapping_add(wait);
            record.tries += 1;
            record.options &= !HalfOpen::CORRECTED;
            self.counters.retransmits += 1;
            self.send_syn_ack(index, None, tx);
        }
    }
}
