//! Limits and settings of one core's stack. Everything is sized from these at start.

use crate::habits::Habits;
use crate::reassembly::ReassemblyLimits;
use crate::tcp::{
    Congestion, Ecn, FastOpenConfig, HoldingLimits, PathSearch, Refusal, SourceLimits,
};
use alloc::boxed::Box;
use crore_mem::PoolClass;
use crore_wire::rss::Steering;
use crore_wire::tcp::OptionLayout;

/// Limits and settings. All memory that connections can ever take follows from the `_max` fields.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct StackConfig {
    /// Connections with a control block.
    pub conns_max: u32,
    /// Connections that peers may have open at a time, so that room is left for our own; `None`:
    /// all of `conns_max`.
    pub accepted_max: Option<u32>,
    /// Connections that peers may open in a second; as many at once when it was quiet.
    pub accepts_per_second: Option<u32>,
    /// What a peer hears when one of these limits, or `conns_max`, is reached.
    pub refusal: Refusal,
    /// Limits for each source of connections.
    pub sources: SourceLimits,
    /// Who has to go when memory is short.
    pub holding: HoldingLimits,
    /// Passive opens that wait for the handshake's last segment; above it: SYN cookies.
    pub half_open_max: u32,
    /// Records in TIME-WAIT; above it the oldest is forgotten, and counted.
    pub time_wait_max: u32,
    /// Next hops known by hardware address.
    pub neighbours_max: u32,
    /// Octets a connection may have queued or in flight at first; more as its congestion window
    /// grows, less when the pool runs short.
    pub snd_buf_bytes: u32,
    /// The most that this grows to; at or below `snd_buf_bytes`: it does not grow.
    pub snd_buf_max_bytes: u32,
    /// Octets a connection may have received and not consumed: the window's size at first, and
    /// what an application may always leave unread while it waits for more.
    pub rcv_buf_bytes: u32,
    /// The most that it grows to while a bulk transfer fills it and the application keeps up; at
    /// or below `rcv_buf_bytes`: it does not grow. It decides on the window scale.
    pub rcv_buf_max_bytes: u32,
    /// What a connection may have queued, and what its window offers, when the pool runs short;
    /// two segments in any case.
    pub buf_min_bytes: u32,
    /// Runs without a hole that a connection may hold of octets that came out of order: others the
    /// peer sends again. It bounds the work of a segment (CVE-2018-5390); what there may be of them
    /// in all is the window's size.
    pub out_of_order_runs_max: u32,
    /// Blocks for what is in flight, unread or out of order, of all connections together.
    pub pool: [PoolClass; 3],
    /// How full the pool is when connections are held back, and when no more.
    pub pool_marks: PoolMarks,
    /// How long an acknowledgment may wait for company; 0: never (RFC 9293 MUST-40: < 500 ms).
    pub ack_delay_ms: u32,
    /// Acknowledge each segment at once until the connection turns out to be a dialogue or a bulk
    /// transfer: a sender in slow start waits for nothing else.
    pub quick_acks: bool,
    /// Retransmission timeout before the first measurement (RFC 6298 2.1).
    pub rto_initial_ms: u32,
    /// Its lower bound (RFC 6298 2.4 asks for 1 s; hosts in use take 200 ms).
    pub rto_min_ms: u32,
    /// The least that the variance adds to it (G of RFC 6298 2.3): peers delay acknowledgments.
    pub rto_variance_min_ms: u32,
    /// Its upper bound (RFC 6298 2.5).
    pub rto_max_ms: u32,
    /// Timeouts in a row before an opening connection is given up (R2 of RFC 9293 3.8.3). Seven
    /// are 183 s by default: RFC 9293 MUST-23 wants three minutes.
    pub syn_retries: u8,
    /// SYN-ACKs sent again before a half-open connection is given up.
    pub syn_ack_retries: u8,
    /// Timeouts in a row before an open connection is given up: 100 s at least (RFC 9293 SHLD-11).
    pub data_retries: u8,
    /// How long sent data may stay unacknowledged before the connection is given up (RFC 5482-3a);
    /// `None`: `data_retries` alone decides.
    pub user_timeout_ms: Option<u32>,
    /// 2 MSL.
    pub time_wait_ms: u32,
    /// How long FIN-WAIT-2 waits for the peer's FIN after the application closed both ways. One
    /// that closed only its own way waits without end.
    pub fin_wait_2_ms: u32,
    /// Quiet time before a keepalive probe, on all connections; `None`: only on those whose
    /// application asks for it, after two hours (RFC 9293 MUST-25, MUST-27, MUST-28).
    pub keepalive_idle_ms: Option<u32>,
    /// Time between keepalive probes.
    pub keepalive_interval_ms: u32,
    /// Unanswered keepalive probes before the connection is given up.
    pub keepalive_probes: u8,
    /// Nagle's algorithm starts switched off.
    pub nodelay: bool,
    /// What a small last segment waits for while it is on.
    pub nagle: Nagle,
    /// Handle the segments that were expected, on connections with nothing unusual, the short way.
    /// Off: no segment is handled otherwise than before, only at a higher cost; for tests.
    pub header_prediction: bool,
    /// Offer timestamps (RFC 7323).
    pub timestamps: bool,
    /// Drop segments without timestamps where they were agreed on (RFC 7323 3.2, SHOULD).
    pub timestamps_required: bool,
    /// Offer selective acknowledgments (RFC 2018).
    pub sack: bool,
    /// Explicit congestion notification (RFC 3168): with whom.
    pub ecn: Ecn,
    /// The algorithm of congestion avoidance.
    pub congestion: Congestion,
    /// Leave the first slow start when round trips grow longer (RFC 9406), not only at a loss.
    pub hystart: bool,
    /// Segments of a bulk transfer that may go at once, after a pause for example; what more its
    /// window has room for goes at the pace of the round trip. `None`: it is not paced.
    pub burst_segments: Option<u32>,
    /// Probe for losses at the end of a flight (RFC 8985 7).
    pub tail_loss_probes: bool,
    /// Find out timeouts that came too early, and undo them (RFC 5682).
    pub frto: bool,
    /// Initial congestion window in segments (RFC 6928).
    pub initial_window_segments: u32,
    /// The largest segment to send or to ask for, options not counted; `None`: the link's.
    pub mss_max: Option<u16>,
    /// A smaller MSS of a peer counts as this: tiny segments cost more than they carry
    /// (CVE-2019-11479). Options are not counted.
    pub mss_min: u16,
    /// The last one of several segments sent at once carries PSH: receivers that gather segments
    /// hand them on then.
    pub push_bursts: bool,
    /// Agree to window scaling (RFC 7323 2).
    pub window_scaling: bool,
    /// The least shift of our window field; a larger buffer takes a larger one. Room for a buffer
    /// that may grow.
    pub window_scale_min: u8,
    /// Time to live, or hop limit, of the segments sent (RFC 9293 MUST-49).
    pub ttl: u8,
    /// Differentiated services code point of connections whose application does not set one, nor
    /// their listener (RFC 2474): six bits.
    pub dscp: u8,
    /// Connections that peers open take on the code point that their segments came with.
    pub reflect_dscp: bool,
    /// Octets on SYNs (RFC 7413), for ports and connections that want it.
    pub fast_open: FastOpenConfig,
    /// When sizes of segments are found out by probing (RFC 8899).
    pub path_search: PathSearch,
    /// Where probing begins: octets of a segment that any path takes, options not counted. Over
    /// IPv6 it is 1,220 at least.
    pub path_search_base_mss: u16,
    /// Datagrams that arrive in fragments.
    pub reassembly: ReassemblyLimits,
    /// Take IPv4 packets with a source route; others drop them as RFC 7126 4.3.5 asks.
    pub source_routes: bool,
    /// The order in which options are written.
    pub option_layout: OptionLayout,
    /// Answer echo requests, ARP and neighbour solicitations: for links without a kernel.
    pub answers_for_link: bool,
    /// Cores of this host, each with a queue of the interface, that share its addresses.
    pub cores: u16,
    /// How frames are steered to them, and which one this is; `None`: there is one only, or nobody
    /// knows. Then connections can be accepted on all, and opened on one only.
    pub steering: Option<Box<Steering>>,
    /// First port that an active open picks by itself.
    pub ephemeral_first: u16,
    /// Connection attempts answered with a cookie from the first on (tests).
    pub always_cookies: bool,
    /// What systems do each in their own way.
    pub habits: Habits,
}

impl StackConfig {
    /// Settings for a stack of `conns_max` connections, with buffers for as many of them as one
    /// core can keep busy.
    pub fn for_connections(conns_max: u32) -> Self {
        Self {
            conns_max,
            accepted_max: None,
            accepts_per_second: None,
            refusal: Refusal::Silence,
            sources: SourceLimits::default(),
            holding: HoldingLimits::default(),
            half_open_max: (conns_max / 64).clamp(1 << 10, 1 << 16),
            time_wait_max: (conns_max / 8).clamp(1 << 10, 1 << 20),
            neighbours_max: 1 << 12,
            snd_buf_bytes: 256 << 10,
            snd_buf_max_bytes: 16 << 20,
            rcv_buf_bytes: 64 << 10,
            rcv_buf_max_bytes: 16 << 20,
            buf_min_bytes: 4 << 10,
            out_of_order_runs_max: 256,
            pool: Self::pool_for(conns_max),
            pool_marks: PoolMarks { low_percent: 60, pressure_percent: 75, high_percent: 87 },
            ack_delay_ms: 40,
            quick_acks: false,
            rto_initial_ms: 1_000,
            rto_min_ms: 200,
            rto_variance_min_ms: 1,
            rto_max_ms: 60_000,
            syn_retries: 7,
            syn_ack_retries: 5,
            data_retries: 15,
            user_timeout_ms: None,
            time_wait_ms: 60_000,
            fin_wait_2_ms: 60_000,
            keepalive_idle_ms: None,
            keepalive_interval_ms: 75_000,
            keepalive_probes: 9,
            nodelay: false,
            nagle: Nagle::Minshall,
            header_prediction: true,
            timestamps: true,
            timestamps_required: true,
            sack: true,
            ecn: Ecn::Accept,
            congestion: Congestion::Cubic,
            hystart: true,
            burst_segments: Some(10),
            tail_loss_probes: true,
            frto: true,
            initial_window_segments: 10,
            mss_max: None,
            mss_min: 88,
            push_bursts: false,
            window_scaling: true,
            window_scale_min: 0,
            ttl: 64,
            path_search: PathSearch::Fallback,
            path_search_base_mss: 1024,
            reassembly: ReassemblyLimits::default(),
            source_routes: false,
            dscp: 0,
            reflect_dscp: false,
            fast_open: FastOpenConfig::default(),
            option_layout: OptionLayout::Linux,
            answers_for_link: true,
            cores: 1,
            steering: None,
            ephemeral_first: 32_768,
            always_cookies: false,
            habits: Habits::default(),
        }
    }

    /// Small, medium and full-size blocks: 44 bytes of payload memory a connection in all, with
    /// floors so that few connections can still fill fat pipes: 1 Gbit/s over 100 ms.
    fn pool_for(conns_max: u32) -> [PoolClass; 3] {
        [
            PoolClass { payload_bytes: 160, count: (conns_max / 16).clamp(1 << 11, 1 << 20) },
            PoolClass { payload_bytes: 480, count: (conns_max / 64).clamp(1 << 10, 1 << 17) },
            PoolClass { payload_bytes: 2016, count: (conns_max / 128).clamp(1 << 14, 1 << 16) },
        ]
    }

    /// Refuses what cannot work, saying why.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.conns_max == 0 || self.conns_max > CONNS_LIMIT {
            return Err("conns_max must be between 1 and 2^30 - 1");
        }
        if self.time_wait_ms > crate::tcp::time_wait::LONGEST_MS {
            return Err("time_wait_ms must be at most 900000");
        }
        if self.half_open_max == 0 || self.half_open_max > CONNS_LIMIT {
            return Err("half_open_max must be between 1 and 2^30 - 1");
        }
        if self.time_wait_max == 0 || self.time_wait_max > CONNS_LIMIT {
            return Err("time_wait_max must be between 1 and 2^30 - 1");
        }
        if self.out_of_order_runs_max == 0 || self.out_of_order_runs_max > 4096 {
            return Err("out_of_order_runs_max must be between 1 and 4096");
        }
        self.check_buffers()?;
        if self.accepts_per_second == Some(0) || self.sources.accepts_per_second == Some(0) {
            return Err("accepts_per_second must be at least 1");
        }
        self.sources.check()?;
        self.holding.check()?;
        if self.mss_min < MSS_MIN_LEAST {
            return Err("mss_min must be at least 48: options take up to 40 octets of it");
        }
        if self.mss_max.is_some_and(|mss| mss < self.mss_min) {
            return Err("mss_max must be at least mss_min");
        }
        if self.mss_max.is_some_and(|mss| mss < 64) {
            return Err("mss_max must be at least 64");
        }
        if self.window_scale_min > 14 {
            return Err("window_scale_min must be at most 14 (RFC 7323 2.3)");
        }
        if self.ack_delay_ms >= 500 {
            // RFC 9293 MUST-40.
            return Err("ack_delay_ms must be below 500 (RFC 9293 3.8.6.3)");
        }
        if self.burst_segments.is_some_and(|count| !(2..=1 << 16).contains(&count)) {
            return Err("burst_segments must be between 2 and 65,536");
        }
        // RFC 1122-3.2.1.7.
        if self.ttl == 0 {
            return Err("ttl must be at least 1 (RFC 1122 3.2.1.7)");
        }
        if self.path_search_base_mss < 536 {
            return Err("path_search_base_mss must be at least 536: every host takes as much");
        }
        self.reassembly.check()?;
        if self.dscp > DSCP_MAX {
            return Err("dscp must be at most 63 (RFC 2474 3)");
        }
        if self.neighbours_max == 0 || self.neighbours_max > u32::from(u16::MAX) {
            return Err("neighbours_max must be between 1 and 65,535");
        }
        if self.steering.as_ref().is_some_and(|steering| steering.rss.queues() != self.cores) {
            return Err("steering must have a queue for each of the cores");
        }
        self.fast_open.check()
    }

    fn check_buffers(&self) -> Result<(), &'static str> {
        if self.rcv_buf_bytes < 4096 || self.rcv_buf_most() > 1 << 30 {
            return Err("rcv_buf_bytes and rcv_buf_max_bytes must be between 4 KiB and 1 GiB");
        }
        if self.snd_buf_bytes < 4096 || self.snd_buf_most() > 1 << 30 {
            return Err("snd_buf_bytes and snd_buf_max_bytes must be between 4 KiB and 1 GiB");
        }
        if self.buf_min_bytes > self.rcv_buf_bytes.min(self.snd_buf_bytes) {
            return Err("buf_min_bytes must not be above rcv_buf_bytes and snd_buf_bytes");
        }
        let marks = &self.pool_marks;
        let rises = marks.low_percent <= marks.pressure_percent
            && marks.pressure_percent <= marks.high_percent;
        if marks.low_percent == 0 || !rises || marks.high_percent > 100 {
            return Err("pool_marks must rise from above 0 to 100 percent at most");
        }
        Ok(())
    }

    /// The most that a connection's receive buffer can become.
    pub fn rcv_buf_most(&self) -> u32 {
        self.rcv_buf_bytes.max(self.rcv_buf_max_bytes)
    }

    /// The most that a connection's send queue can become.
    pub fn snd_buf_most(&self) -> u32 {
        self.snd_buf_bytes.max(self.snd_buf_max_bytes)
    }

    /// The window in a SYN or its answer: never shifted (RFC 7323-2.2c).
    pub(crate) fn first_window(&self) -> u32 {
        self.rcv_buf_bytes.min(65_535)
    }

    /// What a connection with segments of `mss` octets always has, pool permitting.
    pub(crate) fn buf_min(&self, mss: u16) -> u32 {
        self.buf_min_bytes.max(2 * u32::from(mss))
    }

    /// The shift of the window field that lets the largest receive buffer be advertised
    /// (RFC 7323 2.2).
    pub fn rcv_scale(&self) -> u8 {
        let bits = u32::BITS - self.rcv_buf_most().leading_zeros();
        (bits.saturating_sub(u16::BITS) as u8).max(self.window_scale_min).min(14)
    }
}

/// The largest differentiated services code point.
pub(crate) const DSCP_MAX: u8 = 63;

/// Which segments in flight make a last one that is not full wait (RFC 9293 SHLD-7, RFC 896).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nagle {
    /// All.
    Classic,
    /// Those that are not full either (Minshall): the end of a long message goes with the rest.
    Minshall,
}

/// Parts of the pool, in percent of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct PoolMarks {
    /// Pressure ends below it.
    pub low_percent: u8,
    /// Pressure begins at it: windows do not grow, new connections begin with the least.
    pub pressure_percent: u8,
    /// From it on nothing that was received is kept; the rest is for sending.
    pub high_percent: u8,
}

/// With all options there is room for eight octets: what Linux takes as its least.
const MSS_MIN_LEAST: u16 = 48;

/// Index values are below this: the two bits above tell the kinds of records apart.
pub(crate) const CONNS_LIMIT: u32 = (1 << 30) - 1;
