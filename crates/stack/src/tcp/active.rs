//! Active OPEN (RFC 9293 3.10.1) and SYN-SENT (3.10.7.3).

use super::arrives::Step;
use super::fast_open::OnSyn;
use super::output::{PathTo, Sent};
use crate::arrival::Arrival;
use crate::counters::Drop;
use crate::event::{Closed, Event, What};
use crate::habits::WindowSteps;
use crate::interface::mapped;
use crate::record::Record;
use crate::seq::Seq;
use crate::stack::Stack;
use crate::tcb::{Flags, Sign, State, Tcb};
use crate::transitions::Station;
use crate::wire_key::Endpoints;
use core::net::{IpAddr, SocketAddr};
use crore_mem::frames::TxBurst;
use crore_mem::{BlockId, Slot};
use crore_wire::tcp;
use zerocopy::FromZeros;

/// Why a connection cannot be opened, the caller's faults first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectError {
    /// The local address is not one of ours, or there is none of the remote's family.
    NotOurAddress,
    /// The remote address or port is none that can be connected to.
    BadRemote,
    /// This very connection exists, or is in TIME-WAIT.
    InUse,
    /// No free port from this address to that remote, or none whose segments come back to this
    /// core.
    NoPort,
    /// The segments of this connection would arrive at another core.
    OtherCore,
    /// No way to the remote: not on the link, and no gateway.
    NoRoute,
    /// All control blocks are in use.
    TableFull,
}

impl core::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            ConnectError::NotOurAddress => "the local address is not one of ours",
            ConnectError::BadRemote => "the remote address cannot be connected to",
            ConnectError::InUse => "this connection exists already or is in TIME-WAIT",
            ConnectError::NoPort => "no free local port to that remote; use more local addresses",
            ConnectError::OtherCore => "the answers to this local port arrive at another core",
            ConnectError::NoRoute => "no route to the remote: not on the link, and no gateway",
            ConnectError::TableFull => "as many connections as this stack was made for",
        })
    }
}

impl core::error::Error for ConnectError {}

impl Stack {
    /// Opens a connection; the SYN goes out with the next output stage. Without `local`, or with
    /// port 0, the stack picks (RFC 6056 3.3.3). Returns the slot.
    pub fn connect(
        &mut self,
        remote: SocketAddr,
        local: Option<SocketAddr>,
    ) -> Result<u32, ConnectError> {
        let to = mapped(remote.ip());
        // RFC 9293 MUST-46: nobody, or many, cannot be opened.
        if !is_one_host(remote.ip()) || self.addresses.is_broadcast(to) || remote.port() == 0 {
            return Err(ConnectError::BadRemote);
        }
        // RFC 9293 MUST-43, MUST-44: the caller's local address, or one that suits the remote.
        let from = match local {
            Some(local) => mapped(local.ip()),
            None => self.addresses.source_for(to).ok_or(ConnectError::NotOurAddress)?,
        };
        let local_id = self.addresses.id_of(from).ok_or(ConnectError::NotOurAddress)?;
        self.addresses.next_hop(to).ok_or(ConnectError::NoRoute)?;
        let mut endpoints =
            Endpoints { remote: to, remote_port: remote.port(), local_port: 0, local_id };
        let hash = match local.map_or(0, |local| local.port()) {
            0 => self.pick_port(&mut endpoints)?,
            port => {
                endpoints.local_port = port;
                if self.is_of_sibling(&endpoints) {
                    return Err(ConnectError::OtherCore);
                }
                self.free_tuple(&endpoints).ok_or(ConnectError::InUse)?
            }
        };
        self.open(&endpoints, hash)
    }

    /// The tuple's hash when nothing has it; a TIME-WAIT record counts as taken.
    fn free_tuple(&self, endpoints: &Endpoints) -> Option<u64> {
        let hash = self.hash_of(endpoints);
        let taken = self.flows.find(hash, |id| self.is_record_of(id, endpoints)).is_some();
        (!taken).then_some(hash)
    }

    /// RFC 6056 3.3.3: a keyed offset for this remote, then one port after the other. Of several
    /// cores each takes the ports whose segments come back to it, so that no two take the same.
    fn pick_port(&mut self, endpoints: &mut Endpoints) -> Result<u64, ConnectError> {
        let first = u32::from(self.config.ephemeral_first.max(1));
        let ports = 65_536 - first;
        let local = self.addresses.address(endpoints.local_id);
        let offset = self.secrets.port_offset(local, endpoints.remote, endpoints.remote_port);
        let steering = self.config.steering.as_deref();
        let comes_back =
            steering.map(|steering| steering.ports(endpoints.remote, local, endpoints.remote_port));
        let tries = PORT_TRIES * steering.map_or(1, |steering| u32::from(steering.rss.queues()));
        let first_try = self.ephemeral_next;
        for n in 0..tries {
            let n = first_try.wrapping_add(n);
            endpoints.local_port = (first + offset.wrapping_add(n) % ports) as u16;
            if comes_back.is_none_or(|own| own.has(endpoints.local_port))
                && let Some(hash) = self.free_tuple(endpoints)
            {
                self.ephemeral_next = n.wrapping_add(1);
                return Ok(hash);
            }
        }
        self.ephemeral_next = first_try.wrapping_add(tries);
        self.counters.no_port += 1;
        Err(ConnectError::NoPort)
    }

    fn open(&mut self, endpoints: &Endpoints, hash: u64) -> Result<u32, ConnectError> {
        let index = self.tcbs.insert().ok_or(ConnectError::TableFull)?;
        if !self.list_flow(hash, Record::Conn(index).id()) {
            self.tcbs[index].clear_for(endpoints);
            self.tcbs.remove(index);
            return Err(ConnectError::TableFull);
        }
        let iss = Seq(self.secrets.isn(&endpoints.key(&self.addresses), self.now.us));
        let mtu_mss = self.mss_for(endpoints.remote);
        let options = if self.config.timestamps { tcp_timestamps_len() } else { 0 };
        let (scale, nodelay) = (self.config.rcv_scale(), self.config.nodelay);
        let dscp = self.config.dscp;
        let tcb = &mut self.tcbs[index];
        tcb.clear_for(endpoints);
        tcb.set_state(State::SynSent);
        self.transitions.took(Station::Closed, Station::SynSent);
        if nodelay {
            tcb.flags.set(Flags::NODELAY);
        }
        tcb.mss = mtu_mss - options;
        tcb.scales = scale;
        tcb.snd_una = iss;
        tcb.snd_nxt = iss;
        tcb.snd_end = iss + 1;
        tcb.neighbour = u16::MAX;
        tcb.set_dscp(dscp);
        self.queue_output(index);
        Ok(index)
    }

    /// The most payload octets that fit the link, options not counted (RFC 9293 MUST-67, SHLD-6,
    /// RFC 6691-2a, RFC 6691-5.2).
    #[inline]
    pub(super) fn mss_for(&self, remote: u128) -> u16 {
        let link = self.mtu - if remote >> 32 == 0xffff { 40 } else { 60 };
        self.config.mss_max.map_or(link, |max| max.min(link))
    }

    /// SYN-SENT (RFC 9293 3.10.7.3), its steps in order.
    pub(super) fn in_syn_sent(
        &mut self,
        index: u32,
        arrival: &Arrival,
        frame: &[u8],
        event: &mut Event,
    ) -> Step {
        let (ack, has_ack) = (Seq(arrival.ack), arrival.flags.contains(tcp::Flags::ACK));
        let ack_good = has_ack && self.acknowledges_syn(index, ack);
        if has_ack && !ack_good {
            // First: an ACK of something never sent. The reset frees the peer of an older
            // connection, or of one that an old duplicate opened (RFC 9293 3.5.1).
            let is_reset = arrival.flags.contains(tcp::Flags::RST);
            return if is_reset {
                Step::Stop(Drop::BadHandshake)
            } else {
                Step::StopAndReset(Drop::BadHandshake)
            };
        }
        // RFC 5961-3.2d: a reset must acknowledge the SYN.
        if arrival.flags.contains(tcp::Flags::RST) {
            if ack_good {
                self.counters.resets_in += 1;
                self.finish(index, Closed::Refused, event);
                return Step::On;
            }
            return Step::Stop(Drop::ResetChallenged);
        }
        if !arrival.flags.contains(tcp::Flags::SYN) {
            return Step::Stop(Drop::BadHandshake);
        }
        let segment = &frame[usize::from(arrival.start)..];
        let Some(offered) = tcp::Options::of_segment(segment) else {
            return Step::Stop(Drop::Malformed);
        };
        self.agree_on_options(index, &offered);
        self.agree_on_ecn(index, arrival.flags);
        if ack_good {
            let mss = offered_mss_of(&offered, self.tcbs[index].remote);
            self.learn_from_syn_ack(index, arrival, &offered, mss);
        }
        let tcb = &mut self.tcbs[index];
        // What our SYN offered, counted from the peer's.
        let window = tcb.rcv_adv.since(tcb.rcv_nxt);
        tcb.rcv_nxt = Seq(arrival.seq) + 1;
        tcb.rcv_adv = tcb.rcv_nxt + window;
        tcb.last_ack_sent = tcb.rcv_nxt;
        tcb.snd_wl1 = Seq(arrival.seq);
        // The window of a SYN is never scaled (RFC 7323-2.2c).
        tcb.snd_wnd = u32::from(arrival.window);
        tcb.snd_wnd_max = (tcb.snd_wnd >> tcb.snd_scale()).max(1) as u16;
        tcb.flags.clear(Flags::TIMED);
        if ack_good {
            self.our_syn_is_acknowledged(index, ack);
            event.what.set(What::CONNECTED);
            self.room_after_syn(index, event);
        } else {
            // RFC 9293 MUST-10, simultaneous open: answer with SYN and ACK.
            tcb.srtt_us8 = 0;
            tcb.set_state(State::SynReceived);
            tcb.snd_nxt = tcb.snd_una;
            self.transitions.took(Station::SynSent, Station::SynReceived);
        }
        self.queue_output(index);
        Step::On
    }

    /// SYN of an active open, or SYN-ACK of a simultaneous one. The MSS is always on it (RFC 9293
    /// MUST-14, SHLD-5, MAY-3), SACK-permitted and the window's shift nowhere else (RFC 2018-2);
    /// its own window is not shifted (RFC 7323-2.2c). Without ACK there is no timestamp to echo
    /// (RFC 7323-3.2b).
    pub(super) fn send_syn(&mut self, index: u32, path: &PathTo, tx: &mut TxBurst) -> Sent {
        let tcb = &self.tcbs[index];
        if tcb.in_flight() > 0 {
            return Sent::All;
        }
        let answer = tcb.state() == State::SynReceived;
        let fast_open = if answer { OnSyn::default() } else { self.on_syn(index) };
        let tcb = &self.tcbs[index];
        let agreed = |flag| !answer || tcb.flags.any(flag);
        let options = tcp::Options {
            mss: Some(self.mss_for(tcb.remote)),
            window_scale: (self.config.window_scaling && (!answer || tcb.scales != 0))
                .then(|| self.config.rcv_scale()),
            sack_permitted: self.config.sack && agreed(Flags::SACK),
            timestamps: (self.config.timestamps && agreed(Flags::TIMESTAMPS))
                .then(|| tcp::Timestamps { value: self.ts_now(), echo: tcb.ts_recent }),
            fast_open: fast_open.option,
            layout: self.config.option_layout,
            ..tcp::Options::NONE
        };
        let flags = self.flags_of_syn(index);
        let tcb = &self.tcbs[index];
        let window = self.opening_window(tcb.mss);
        let header = tcp::Header {
            src_port: tcb.local_port,
            dst_port: tcb.remote_port,
            seq: tcb.snd_una.0,
            ack: if answer { tcb.rcv_nxt.0 } else { 0 },
            flags,
            window: window as u16,
            urgent: 0,
            options,
        };
        let sent = match fast_open.octets {
            // RFC 3168-6.1.1g: no ECT on a SYN, whatever it carries.
            Some((id, len)) => self.write_block(path, &header, 0, id, 0..usize::from(len), tx),
            None => self.write_segment(path, &header, &[], tx),
        };
        if !sent {
            return Sent::NoFrame;
        }
        if !answer && self.tcbs[index].extension != BlockId::NONE {
            self.note_on_syn(index, &fast_open);
        }
        let window = match self.config.habits.window_steps {
            WindowSteps::Segments => window,
            WindowSteps::Octets => self.rcv_buf_of(index),
        };
        let first = self.tcbs[index].backoff == 0;
        let now_us = (self.now.us as u32).max(1);
        let tcb = &mut self.tcbs[index];
        tcb.snd_nxt = tcb.snd_una + 1;
        let edge = tcb.rcv_nxt + window;
        // An acknowledgment before this answer may have offered more.
        tcb.rcv_adv = if answer { tcb.rcv_adv.later(edge) } else { edge };
        if first {
            tcb.srtt_us8 = now_us;
        }
        self.start_syn_timer(index);
        Sent::All
    }

    /// True for an acknowledgment of our SYN, and of octets on it at most.
    fn acknowledges_syn(&self, index: u32, ack: Seq) -> bool {
        let tcb = &self.tcbs[index];
        // SND.NXT is back at the SYN while that waits to be sent once more.
        let syn_was_sent = tcb.in_flight() > 0 || tcb.backoff > 0;
        // By distance: half of the circle away a number is neither before nor behind another.
        syn_was_sent && ack.since(tcb.snd_una + 1) <= self.octets_on_syn(index)
    }

    /// Octets on our SYN had filled the send queue, and are acknowledged with it.
    fn room_after_syn(&mut self, index: u32, event: &mut Event) {
        let tcb = &mut self.tcbs[index];
        if tcb.flags.any(Flags::WANT_WRITABLE) && tcb.queued() == 0 {
            tcb.flags.clear(Flags::WANT_WRITABLE);
            event.what.set(What::WRITABLE);
        }
    }

    /// The handshake is complete on our side: its last segment goes out.
    fn our_syn_is_acknowledged(&mut self, index: u32, ack: Seq) {
        let tcb = &mut self.tcbs[index];
        let sent_at_us = core::mem::take(&mut tcb.srtt_us8);
        if tcb.backoff == 0 && sent_at_us != 0 {
            // `srtt_us8` held the time of the only SYN sent (RFC 6298 2.2, Karn).
            tcb.measure_rtt((self.now.us as u32).wrapping_sub(sent_at_us));
        }
        let syn_timeouts = core::mem::take(&mut tcb.backoff);
        tcb.flags.set(Flags::ACK_NOW);
        let on_syn = self.octets_on_syn(index);
        let more_waits = self.tcbs[index].snd_end.gt(self.tcbs[index].snd_una + 1 + on_syn);
        self.take_ack_of_syn(index, ack);
        self.close_extension(index);
        self.establish(index, syn_timeouts);
        if more_waits {
            // Octets of ours that go within the delay make it a dialogue: see `owe_ack`.
            let at = self.now.tick.wrapping_add(self.config.ack_delay_ms);
            self.tcbs[index].ack_deadline = at as u16;
        }
        self.counters.connected += 1;
    }

    /// What both SYNs offer holds (RFC 7323 1.3, RFC 2018 2, RFC 9293 3.7.1).
    fn agree_on_options(&mut self, index: u32, offered: &tcp::Options) {
        let offered_mss = self.mss_for(self.tcbs[index].remote);
        let (timestamps, sack) = (self.config.timestamps, self.config.sack);
        let tcb = &mut self.tcbs[index];
        let peer_mss = offered_mss_of(offered, tcb.remote).max(self.config.mss_min);
        // RFC 9293 MUST-16: the smaller of what the peer takes and what our link takes.
        let mut mss = peer_mss.min(offered_mss);
        if let Some(peer) = offered.timestamps
            && timestamps
        {
            tcb.flags.set(Flags::TIMESTAMPS);
            tcb.ts_recent = peer.value;
            mss -= tcp_timestamps_len();
        }
        tcb.mss = mss;
        if offered.sack_permitted && sack {
            tcb.flags.set(Flags::SACK);
        }
        // RFC 7323-2.2a, RFC 7323-2.3c: both scale, or none. Only SYNs get here (RFC 7323-2.2b).
        match offered.window_scale.filter(|_| self.config.window_scaling) {
            Some(shift) => tcb.scales |= shift.min(14) << 4,
            None => tcb.scales = 0,
        }
    }

    /// The state becomes ESTABLISHED. `syn_timeouts`: how often our SYN timed out before.
    pub(super) fn establish(&mut self, index: u32, syn_timeouts: u8) {
        let initial = self.config.initial_window_segments;
        let quick_acks = self.config.quick_acks;
        let keepalive = self.config.keepalive_idle_ms;
        let idle = self.keepalive_idle_ms();
        let tick = self.now.tick;
        self.begin_small(index);
        let tcb = &mut self.tcbs[index];
        // A passive open's SYN-RECEIVED was a record of its own.
        let is_passive = tcb.state() == State::Closed;
        let before = if is_passive { Station::SynReceived } else { tcb.state().into() };
        self.transitions.took(before, Station::Established);
        tcb.set_state(State::Established);
        if quick_acks {
            tcb.flags.set(Flags::QUICK);
        }
        // RFC 5681-3.1c, RFC 6928-2a, RFC 6928-2b: one segment after more than one lost SYN.
        let segments = if syn_timeouts > 1 { 1 } else { initial };
        tcb.cwnd = segments * u32::from(tcb.mss);
        if syn_timeouts > 0 && tcb.srtt_us8 == 0 {
            // RFC 6298-5.7: until there is a sample.
            tcb.rttvar_us4 = SYN_LOST_RTO_US;
        }
        // RFC 5681-3.1d.
        tcb.ssthresh_segments = u16::MAX;
        tcb.heard_at = (tick >> 10) as u16;
        if keepalive.is_some() {
            tcb.flags.set(Flags::KEEPALIVE);
        }
        if tcb.flags.any(Flags::KEEPALIVE) {
            self.wheel.arm(&mut tcb.mark, index, tick.wrapping_add(idle));
        }
        self.counters.ecn_connections += u64::from(self.tcbs[index].is(Sign::Ecn));
    }
}

impl Tcb {
    /// Forgets the slot's last connection, except what the wheel and the lists still know of the
    /// slot.
    pub(super) fn clear_for(&mut self, endpoints: &Endpoints) {
        let (mark, generation) = (self.mark, self.generation());
        let listed = self.flags & (Flags::IN_OUTPUT | Flags::RECENT);
        self.zero();
        self.mark = mark;
        self.mark.set_spare(0);
        self.generation = generation;
        self.flags = listed;
        self.remote = endpoints.remote;
        self.remote_port = endpoints.remote_port;
        self.local_port = endpoints.local_port;
        self.local_id = endpoints.local_id;
        self.snd_head = BlockId::NONE;
        self.snd_tail = BlockId::NONE;
        self.snd_unsent = BlockId::NONE;
        self.rcv_queue = BlockId::NONE;
        self.extension = BlockId::NONE;
    }
}

/// The retransmission timeout after a SYN that timed out, before the first sample.
const SYN_LOST_RTO_US: u32 = 3_000_000;

/// Octets that the timestamps option takes from every segment (RFC 6691-2b).
#[inline]
pub(super) const fn tcp_timestamps_len() -> u16 {
    12
}

/// What the peer's SYN says that it takes, options not counted (RFC 9293 MUST-14); RFC 9293
/// MUST-15, RFC 6691-7.2: when it does not say, what every host of the family takes.
pub(super) fn offered_mss_of(syn: &tcp::Options, remote: u128) -> u16 {
    let default = if remote >> 32 == 0xffff { DEFAULT_MSS_V4 } else { DEFAULT_MSS_V6 };
    syn.mss.unwrap_or(default)
}

/// False for addresses of nobody or of many, broadcasts of our link left out.
fn is_one_host(address: IpAddr) -> bool {
    match address {
        // Network 0, multicast, and the reserved addresses above (RFC 1122 3.2.1.3).
        IpAddr::V4(v4) => (1..224).contains(&v4.octets()[0]),
        IpAddr::V6(v6) => {
            !v6.is_multicast() && !v6.is_unspecified() && v6.to_ipv4_mapped().is_none()
        }
    }
}

/// RFC 9293 3.7.1: 576 octets less the headers of IPv4 and TCP.
const DEFAULT_MSS_V4: u16 = 536;

/// RFC 9293 3.7.1: 1,280 octets less the headers of IPv6 and TCP.
const DEFAULT_MSS_V6: u16 = 1220;

/// Ports tried before the caller is told that there is none. Of several cores each can use a part
/// of them only, and tries as many more.
const PORT_TRIES: u32 = 64;
