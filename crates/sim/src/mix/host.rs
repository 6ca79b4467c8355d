//! One host, as data: the settings of its stack and the pace of its turns.

use super::LaneMix;
use crore::mem::PoolClass;
use crore::{Congestion, Ecn, Nagle, PathSearch, Refusal, StackConfig};
use serde::{Deserialize, Serialize};

/// A host with our stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "settings, each by itself")]
pub struct HostMix {
    /// The clock at the run's start: near a seam of some counter in some runs.
    pub clock_us: u64,
    /// Largest packet.
    pub mtu: u16,
    /// Frames it can send in a turn.
    pub tx_frames: usize,
    /// Frames it takes in a turn.
    pub rx_frames: usize,
    /// Connections served by one output stage.
    pub output_budget: usize,
    /// Timer entries handled in a turn.
    pub timer_budget: usize,
    /// From the start of one turn to the next, at least.
    pub turn_us: u64,
    /// To the middle.
    pub up: LaneMix,
    /// From the middle.
    pub down: LaneMix,
    /// It has room for all that the run can want of it.
    pub is_ample: bool,
    /// Control blocks.
    pub conns_max: u32,
    /// Records of SYN-RECEIVED.
    pub half_open_max: u32,
    /// Records of TIME-WAIT.
    pub time_wait_max: u32,
    /// Pool blocks of 160, 480 and 2016 octets.
    pub pool: [u32; 3],
    /// Octets queued at most.
    pub snd_buf_bytes: u32,
    /// Octets unread at most.
    pub rcv_buf_bytes: u32,
    /// What the first grows to.
    pub snd_buf_max_bytes: u32,
    /// What the second grows to.
    pub rcv_buf_max_bytes: u32,
    /// What is left of both when the pool runs short.
    pub buf_min_bytes: u32,
    /// Delay of acknowledgments.
    pub ack_delay_ms: u32,
    /// Acknowledge at once in the beginning.
    pub quick_acks: bool,
    /// The same after a segment out of order.
    pub quick_acks_after_loss: bool,
    /// Acknowledgments carry the FIN again.
    pub fin_on_acks: bool,
    /// Explicit congestion notification (RFC 3168): 0 never, 1 when asked, 2 always.
    pub ecn: u8,
    /// Nagle's algorithm as in RFC 896, else with Minshall's addition.
    pub nagle_classic: bool,
    /// Fragmented datagrams put together at once; 0: none.
    pub reassembly_datagrams_max: u32,
    /// Lower bound of the retransmission timeout.
    pub rto_min_ms: u32,
    /// Its upper bound.
    pub rto_max_ms: u32,
    /// Timeouts before an opening is given up.
    pub syn_retries: u8,
    /// SYN-ACKs sent again before a half-open connection is given up.
    pub syn_ack_retries: u8,
    /// Timeouts before an open connection is given up.
    pub data_retries: u8,
    /// 2 MSL.
    pub time_wait_ms: u32,
    /// How long FIN-WAIT-2 waits; an application that reads slowly must not meet it.
    pub fin_wait_2_ms: u32,
    /// Quiet time before a keepalive probe.
    pub keepalive_idle_ms: Option<u32>,
    /// Nagle's algorithm off.
    pub nodelay: bool,
    /// RFC 7323.
    pub timestamps: bool,
    /// RFC 7323 2.
    pub window_scaling: bool,
    /// RFC 2018.
    pub sack: bool,
    /// CUBIC, else `NewReno`.
    pub cubic: bool,
    /// RFC 8985 7.
    pub tail_loss_probes: bool,
    /// RFC 5682.
    pub frto: bool,
    /// RFC 6928.
    pub initial_window_segments: u32,
    /// Every SYN is answered with a cookie.
    pub always_cookies: bool,
    /// Few ports to open from.
    pub few_ports: bool,
    /// Its listener takes octets on SYNs, and its openings may have some (RFC 7413).
    pub fast_open: bool,
    /// Both also without a cookie.
    pub fast_open_without_cookie: bool,
    /// Sizes of segments are searched for (RFC 8899): 0 never, 1 after timeouts, 2 always.
    pub path_search: u8,
    /// Connections that one source may have.
    pub source_conns_max: Option<u32>,
    /// Connections that one source may open in a second.
    pub source_accepts_per_second: Option<u32>,
    /// Who may not open one hears a reset.
    pub refuses_by_reset: bool,
    /// Plain segments take the short way; off in a second run that must be the same to the frame.
    pub header_prediction: bool,
}

impl HostMix {
    /// The settings of its stack.
    pub(crate) fn config(&self) -> StackConfig {
        let mut config = StackConfig::for_connections(self.conns_max);
        config.half_open_max = self.half_open_max;
        config.time_wait_max = self.time_wait_max;
        // All addresses of all nodes on one link.
        config.neighbours_max = 160;
        let [small, medium, large] = self.pool;
        config.pool = [
            PoolClass { payload_bytes: 160, count: small },
            PoolClass { payload_bytes: 480, count: medium },
            PoolClass { payload_bytes: 2016, count: large },
        ];
        config.snd_buf_bytes = self.snd_buf_bytes;
        config.rcv_buf_bytes = self.rcv_buf_bytes;
        config.ack_delay_ms = self.ack_delay_ms;
        config.quick_acks = self.quick_acks;
        config.snd_buf_max_bytes = self.snd_buf_max_bytes;
        config.rcv_buf_max_bytes = self.rcv_buf_max_bytes;
        config.buf_min_bytes = self.buf_min_bytes;
        config.habits.quick_acks_after_loss = self.quick_acks_after_loss;
        config.habits.fin_on_acks = self.fin_on_acks;
        config.reassembly.datagrams_max = self.reassembly_datagrams_max;
        config.rto_min_ms = self.rto_min_ms;
        config.rto_max_ms = self.rto_max_ms;
        config.syn_retries = self.syn_retries;
        config.syn_ack_retries = self.syn_ack_retries;
        config.data_retries = self.data_retries;
        config.time_wait_ms = self.time_wait_ms;
        config.fin_wait_2_ms = self.fin_wait_2_ms;
        config.keepalive_idle_ms = self.keepalive_idle_ms;
        config.keepalive_interval_ms = 2048;
        config.keepalive_probes = 20;
        config.nodelay = self.nodelay;
        config.header_prediction = self.header_prediction;
        config.timestamps = self.timestamps;
        config.window_scaling = self.window_scaling;
        config.sack = self.sack;
        config.ecn = [Ecn::Off, Ecn::Accept, Ecn::Offer][usize::from(self.ecn.min(2))];
        config.nagle = if self.nagle_classic { Nagle::Classic } else { Nagle::Minshall };
        config.congestion = if self.cubic { Congestion::Cubic } else { Congestion::NewReno };
        config.tail_loss_probes = self.tail_loss_probes;
        config.frto = self.frto;
        config.initial_window_segments = self.initial_window_segments;
        config.always_cookies = self.always_cookies;
        config.ephemeral_first = if self.few_ports { 65_500 } else { 32_768 };
        config.fast_open.serve_without_cookie = self.fast_open_without_cookie;
        config.fast_open.connect_without_cookie = self.fast_open_without_cookie;
        let searches = [PathSearch::Off, PathSearch::Fallback, PathSearch::Always];
        config.path_search = searches[usize::from(self.path_search.min(2))];
        config.sources.conns_max = self.source_conns_max;
        config.sources.accepts_per_second = self.source_accepts_per_second;
        config.sources.tracked_max = 256;
        config.refusal = if self.refuses_by_reset { Refusal::Reset } else { Refusal::Silence };
        config
    }

    /// The host may answer SYNs with cookies, and so forget openings.
    pub(crate) fn may_forget(&self, openings: usize) -> bool {
        self.always_cookies || (self.half_open_max as usize) < openings
    }
}
