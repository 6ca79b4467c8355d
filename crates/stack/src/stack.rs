//! One core's TCP/IP: all its state, and the stages of a turn.
//!
//! ```text
//!   begin_turn(now)
//!   parse ─> look_up ─> input ─────> (engine tells the application) ─> output
//!                       timers ────> (engine tells the application) ─┘
//! ```
//!
//! Frames, time and randomness come in as arguments: the same code runs in production, in the
//! simulator and under the fuzzer.

use crate::arrival::{Arrival, Burst, Kind};
use crate::budget::Budget;
use crate::config::{DSCP_MAX, StackConfig};
use crate::counters::{Counters, Drop};
use crate::event::Events;
use crate::flow::FlowTable;
use crate::hash::{FlowHasher, FlowV4};
use crate::interface::{Addresses, Interface};
use crate::neighbour::Neighbours;
use crate::output_list::OutputList;
use crate::path::Link;
use crate::reassembly::Reassembly;
use crate::record::Record;
use crate::secret::Secrets;
use crate::steering::Astray;
use crate::tcb::Tcb;
use crate::tcp::fast_open::FastOpens;
use crate::tcp::half_open::HalfOpens;
use crate::tcp::holding::Holders;
use crate::tcp::recent::Recent;
use crate::tcp::send_queue::Segment;
use crate::tcp::sources::{Sources, Tokens};
use crate::tcp::time_wait::TimeWaits;
use crate::tcp::timers::DUE_MAX;
use crate::transitions::{Station, Transitions};
use crate::wheel::{Due, Wheel};
use crate::wire_key::Endpoints;
use alloc::boxed::Box;
use alloc::vec;
use core::fmt;
use core::ops::Range;
use crore_mem::frames::{RxBurst, TxBurst};
use crore_mem::{Memory, MemoryError, Pool, Slab};

/// The time of a turn, read once and passed down.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    /// Microseconds since some start.
    pub(crate) us: u64,
    /// Milliseconds, on a circle: what timers and timestamps count in.
    pub(crate) tick: u32,
}

/// One core's stack.
pub struct Stack {
    pub(crate) config: StackConfig,
    pub(crate) link: Link,
    pub(crate) mtu: u16,
    pub(crate) verify_checksums: bool,
    pub(crate) addresses: Addresses,
    pub(crate) now: Now,
    /// Plain segments take the short way: see `tcp::plain`.
    pub(crate) predicts: bool,
    pub(crate) tcbs: Slab<Tcb>,
    pub(crate) flows: FlowTable,
    pub(crate) hasher: FlowHasher,
    pub(crate) secrets: Secrets,
    pub(crate) wheel: Wheel,
    pub(crate) recent: Recent,
    /// What the wheel hands out in one call.
    pub(crate) due: [Due; DUE_MAX],
    /// The tick at which records without an entry in the wheel were looked at last.
    pub(crate) swept_at: u32,
    pub(crate) pool: Pool<Segment>,
    pub(crate) budget: Budget,
    pub(crate) half_opens: HalfOpens,
    pub(crate) time_waits: TimeWaits,
    /// Datagrams in pieces; none when fragments are not put together.
    pub(crate) reassembly: Option<Reassembly>,
    /// The frame of a datagram that became whole, for as long as it takes effect.
    pub(crate) whole: Box<[u8]>,
    pub(crate) neighbours: Neighbours,
    pub(crate) output_list: OutputList,
    /// A bit for each port that is listened on.
    pub(crate) listening: Box<[u64]>,
    /// For each port that is listened on the code point of its connections, where it has one.
    pub(crate) listener_dscp: Box<[u8]>,
    pub(crate) fast_open: FastOpens,
    /// The minute in which a cookie was sent last.
    pub(crate) cookie_min: Option<u32>,
    /// Connections of peers' making.
    pub(crate) accepted_now: u32,
    pub(crate) accept_tokens: Tokens,
    pub(crate) sources: Sources,
    pub(crate) holders: Holders,
    /// Replies to strangers left in this tick.
    pub(crate) stranger_replies: u32,
    /// Where our timestamps start (RFC 7323 5.4).
    pub(crate) ts_offset: u32,
    pub(crate) ephemeral_next: u32,
    /// What arrived and is another core's.
    pub(crate) astray: Astray,
    pub(crate) counters: Counters,
    pub(crate) transitions: Transitions,
}

/// Why a stack cannot be made.
#[derive(Debug)]
pub enum StackError {
    /// A setting that cannot work.
    Config(&'static str),
    /// The memory cannot be had.
    Memory(MemoryError),
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StackError::Config(why) => write!(f, "the settings cannot work: {why}"),
            StackError::Memory(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StackError {}

impl From<MemoryError> for StackError {
    fn from(error: MemoryError) -> Self {
        StackError::Memory(error)
    }
}

impl Stack {
    /// A stack with all the memory it will ever have. `seed` must be random and secret: sequence
    /// numbers, cookies and the flow hash come from it.
    pub fn new(
        config: StackConfig,
        interface: &Interface,
        memory: &mut Memory,
        seed: [u8; 32],
    ) -> Result<Self, StackError> {
        config.check().map_err(StackError::Config)?;
        let addresses = Addresses::new(interface).map_err(StackError::Config)?;
        if interface.mtu < 576 {
            return Err(StackError::Config("an MTU below 576 octets"));
        }
        let records = config.conns_max + config.half_open_max + config.time_wait_max;
        let secrets = Secrets::new(seed);
        let pool: Pool<Segment> = memory.pool("buffers", &config.pool)?;
        let mut neighbours =
            Neighbours::new(memory, secrets.neighbour_key(), config.neighbours_max)?;
        if !config.answers_for_link {
            neighbours.believe_known();
        }
        let limits = &config.reassembly;
        let reassembly = (limits.datagrams_max > 0)
            .then(|| Reassembly::new(memory, limits, interface.mtu))
            .transpose()?;
        let whole = reassembly.as_ref().map_or(0, Reassembly::frame_bytes_max);
        Ok(Self {
            reassembly,
            whole: vec![0; whole].into_boxed_slice(),
            link: Link::new(interface.mac, interface.vlan),
            mtu: interface.mtu,
            verify_checksums: interface.verify_checksums,
            addresses,
            now: Now::default(),
            predicts: false,
            tcbs: memory.slab("control blocks", Tcb::LAYOUT, config.conns_max)?,
            flows: FlowTable::new(memory, "flow table", records)?,
            hasher: secrets.flow_hasher(),
            secrets,
            wheel: Wheel::new(memory, "timing wheel", config.conns_max, 0)?,
            recent: Recent::new(),
            due: [Due::default(); DUE_MAX],
            swept_at: 0,
            budget: Budget::new(&config, pool.bytes()),
            pool,
            half_opens: HalfOpens::new(memory, config.half_open_max)?,
            time_waits: TimeWaits::new(memory, config.time_wait_max)?,
            neighbours,
            output_list: OutputList::new(memory, config.conns_max)?,
            listening: vec![0; 1024].into_boxed_slice(),
            listener_dscp: vec![NO_DSCP; 1 << 16].into_boxed_slice(),
            fast_open: FastOpens::new(memory, &config.fast_open, secrets.neighbour_key())?,
            cookie_min: None,
            accepted_now: 0,
            accept_tokens: Tokens::default(),
            sources: Sources::new(memory, &config, secrets.source_key())?,
            holders: Holders::new(),
            stranger_replies: UNKNOWN_YET,
            ts_offset: secrets.ts_offset(0, 0),
            ephemeral_next: 0,
            astray: Astray::new(if config.cores > 1 { whole } else { 0 }),
            counters: Counters::default(),
            transitions: Transitions::default(),
            config,
        })
    }

    /// Sets the time of this turn, in microseconds since any fixed start.
    #[inline]
    pub fn begin_turn(&mut self, now_us: u64) {
        let tick = (now_us / 1000) as u32;
        if tick != self.now.tick {
            self.stranger_replies = UNKNOWN_YET;
        }
        self.now = Now { us: now_us, tick };
        self.forget_astray();
        self.predicts = self.config.header_prediction && self.config.habits.are_plain();
        self.look_at_budget();
    }

    /// First stage: every frame's headers into numbers, and its record, most likely, found and
    /// asked for. `likely` is told the control blocks' slots, so that the engine can ask for the
    /// application's state beside them.
    ///
    /// It goes in groups, so that one group's memory comes while others are worked on, and never
    /// more of it is under way than a core can wait for:
    ///
    /// ```text
    ///   group        n + 1           n                          n - 1
    ///   asked for    its frames                  its buckets              its control blocks
    ///   then                         parsed, hashed             looked up
    /// ```
    #[inline]
    pub fn look_at(&mut self, rx: &RxBurst, burst: &mut Burst, mut likely: impl FnMut(u32)) {
        let count = rx.len();
        burst.count = count;
        let (mut opening, link_word) = (0, self.link_word());
        rx.prefetch_group(0..GROUP);
        for start in (0..count).step_by(GROUP) {
            let end = count.min(start + GROUP);
            rx.prefetch_group(end..end + GROUP);
            self.parse(rx, link_word, burst, start..end);
            let before = start.saturating_sub(GROUP)..start;
            self.look_up(&mut burst.arrivals[before], &mut opening, &mut likely);
        }
        let last = count.saturating_sub(1) / GROUP * GROUP..count;
        self.look_up(&mut burst.arrivals[last], &mut opening, &mut likely);
        self.counters.rx_frames += count as u64;
    }

    /// Headers into numbers; the flow table's buckets are asked for.
    #[inline]
    fn parse(&mut self, rx: &RxBurst, link_word: u64, burst: &mut Burst, group: Range<usize>) {
        let Burst { arrivals, flows, hashes, .. } = burst;
        let arrivals = &mut arrivals[group.clone()];
        let (flows, hashes) = (&mut flows[..arrivals.len()], &mut hashes[..arrivals.len()]);
        let mut bytes = 0;
        let places = arrivals.iter_mut().zip(flows.iter_mut());
        for ((arrival, flow), frame) in places.zip(rx.frames(group)) {
            bytes += frame.len() as u64;
            if !self.parse_plain(frame, link_word, arrival, flow) {
                *flow = self.parse_other(frame, arrival);
            }
        }
        self.counters.rx_bytes += bytes;
        self.hasher.hash_burst(flows, hashes);
        for ((arrival, flow), hash) in arrivals.iter_mut().zip(flows).zip(hashes) {
            // What is no IPv4 flow has got its hash already.
            if *flow != FlowV4::NONE {
                arrival.hash = *hash;
            }
            self.flows.prefetch(arrival.hash);
        }
    }

    /// A frame of any kind.
    #[inline(never)]
    fn parse_other(&mut self, frame: &[u8], arrival: &mut Arrival) -> FlowV4 {
        if let Err(reason) = self.parse_frame(frame, arrival) {
            self.counters.drop(reason);
            (arrival.kind, arrival.is_plain) = (Kind::Nothing, false);
        }
        let key = arrival.endpoints().key(&self.addresses);
        FlowV4::of(&key).unwrap_or_else(|| {
            arrival.hash = self.hasher.hash(&key);
            FlowV4::NONE
        })
    }

    /// Every segment's record is found, most likely, and asked for.
    #[inline]
    fn look_up(&self, arrivals: &mut [Arrival], opening: &mut u32, likely: &mut impl FnMut(u32)) {
        for arrival in arrivals {
            arrival.record =
                if arrival.kind == Kind::Tcp { self.flows.first(arrival.hash) } else { None };
            match arrival.record.map(Record::of) {
                Some(Record::Conn(index)) => {
                    self.tcbs.prefetch_line(index, 0);
                    self.tcbs.prefetch_line(index, 1);
                    likely(index);
                }
                Some(Record::HalfOpen(index)) => {
                    self.half_opens.slab.prefetch(index);
                    // Most likely the handshake's last segment: it takes a control block.
                    self.tcbs.prefetch_next(*opening);
                    *opening += 1;
                }
                Some(Record::TimeWait(index)) => self.time_waits.prefetch(index),
                None => {}
            }
        }
    }

    /// Second stage: every segment takes effect, in order. At most one event a frame. One
    /// acknowledgment for all of a connection comes from the output stage (RFC 9293 MUST-58,
    /// MUST-59).
    #[inline]
    pub fn input(&mut self, rx: &RxBurst, burst: &Burst, events: &mut Events, tx: &mut TxBurst) {
        for (i, arrival) in burst.arrivals[..burst.count].iter().enumerate() {
            if arrival.is_plain && self.plain_segment(arrival, i as u16, events) {
                continue;
            }
            match arrival.kind {
                Kind::Tcp => self.segment_arrives(arrival, rx.frame(i), i as u16, events, tx),
                Kind::Nothing => {}
                _ => self.frame_arrives(arrival, rx.frame(i), i as u16, events, tx),
            }
        }
    }

    /// A frame of any kind takes effect.
    pub(crate) fn frame_arrives(
        &mut self,
        arrival: &Arrival,
        frame: &[u8],
        frame_number: u16,
        events: &mut Events,
        tx: &mut TxBurst,
    ) {
        self.note_frame(frame_number);
        match arrival.kind {
            Kind::Nothing => {}
            Kind::Tcp => self.segment_arrives(arrival, frame, frame_number, events, tx),
            Kind::Arp => self.arp_arrives(arrival, frame, tx),
            Kind::Icmpv4 => self.icmpv4_arrives(arrival, frame, events, tx),
            Kind::Icmpv6 => self.icmpv6_arrives(arrival, frame, events, tx),
            Kind::Fragment => self.fragment_arrives(frame, events, tx),
            Kind::Refused => self.refused_arrives(frame, tx),
        }
    }

    /// What was counted so far.
    #[inline]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The arrows of the state diagram that connections took so far.
    pub fn transitions(&self) -> &Transitions {
        &self.transitions
    }

    /// The settings.
    pub fn config(&self) -> &StackConfig {
        &self.config
    }

    /// Control blocks in use.
    pub fn conns(&self) -> u32 {
        self.tcbs.len()
    }

    /// Half-open connections.
    pub fn half_open(&self) -> u32 {
        self.half_opens.slab.len()
    }

    /// Records in TIME-WAIT.
    pub fn time_wait(&self) -> u32 {
        self.time_waits.len()
    }

    /// Pool blocks in use.
    pub fn blocks_in_use(&self) -> u32 {
        self.pool.in_use()
    }

    /// Timer entries in the wheel.
    pub fn timer_entries(&self) -> u32 {
        self.wheel.len()
    }

    /// Entries of the flow table: connections, half-open ones and TIME-WAIT records.
    pub fn flow_entries(&self) -> u32 {
        self.flows.len()
    }

    /// Starts to accept connections to `port` on all our addresses. Connections of that port, open
    /// or opening, are none of its business (RFC 9293 MUST-41, MUST-42).
    pub fn listen(&mut self, port: u16) {
        self.transitions.took(Station::Closed, Station::Listen);
        self.listening[usize::from(port >> 6)] |= 1 << (port & 63);
    }

    /// Connections to `port` that open from now on have this differentiated services code point
    /// (RFC 9293 MUST-48), the answers to their SYNs too; `None`: as the settings say.
    pub fn set_listener_dscp(&mut self, port: u16, dscp: Option<u8>) {
        self.listener_dscp[usize::from(port)] = dscp.map_or(NO_DSCP, |dscp| dscp & DSCP_MAX);
    }

    /// The code point of a connection that a peer opens with this segment.
    pub(crate) fn dscp_for(&self, arrival: &Arrival) -> u8 {
        if self.config.reflect_dscp {
            return arrival.traffic_class >> 2;
        }
        match self.listener_dscp[usize::from(arrival.local_port)] {
            NO_DSCP => self.config.dscp,
            dscp => dscp,
        }
    }

    /// Accepts no more connections to `port`. Half-open ones are forgotten: their peers get a
    /// reset when they go on (RFC 9293 3.10.4, CLOSE in LISTEN).
    pub fn unlisten(&mut self, port: u16) {
        self.transitions.took(Station::Listen, Station::Closed);
        self.listening[usize::from(port >> 6)] &= !(1 << (port & 63));
        self.set_fast_open(port, false);
        self.forget_half_open(port);
    }

    /// Settings for what happens from now on. The sizes of tables, and what opened connections
    /// have agreed on, stay as they are.
    pub fn settings_mut(&mut self) -> &mut StackConfig {
        &mut self.config
    }

    #[inline]
    pub(crate) fn is_listening(&self, port: u16) -> bool {
        self.listening[usize::from(port >> 6)] & 1 << (port & 63) != 0
    }

    /// True when `id` is the record of `endpoints`.
    #[inline]
    pub(crate) fn is_record_of(&self, id: u32, endpoints: &Endpoints) -> bool {
        match Record::of(id) {
            Record::Conn(index) => self.tcbs[index].endpoints() == *endpoints,
            Record::HalfOpen(index) => self.half_opens.slab[index].endpoints() == *endpoints,
            Record::TimeWait(index) => self.time_waits.get(index).endpoints() == *endpoints,
        }
    }

    /// The flow table's hash for endpoints of ours.
    #[inline]
    pub(crate) fn hash_of(&self, endpoints: &Endpoints) -> u64 {
        self.hasher.hash(&endpoints.key(&self.addresses))
    }

    /// Puts a record into the flow table; false when that is full.
    #[inline]
    pub(crate) fn list_flow(&mut self, hash: u64, id: u32) -> bool {
        let Ok(passed) = self.flows.insert(hash, id) else { return false };
        self.counters.flow_overflows += u64::from(passed > 0);
        true
    }

    /// Puts a connection into the list of those that may have something to send.
    #[inline]
    pub(crate) fn queue_output(&mut self, index: u32) {
        self.output_list.add(index, &mut self.tcbs[index].flags);
    }

    /// One reply to somebody who has no connection; false when there were too many in this tick.
    ///
    /// How many there may be nobody can know: who got fewer than the most has not learned that
    /// somebody else got the rest (CVE-2016-5696, CVE-2020-25705).
    pub(crate) fn may_reply_to_stranger(&mut self) -> bool {
        if self.stranger_replies == UNKNOWN_YET {
            let most = STRANGER_REPLIES_PER_TICK;
            self.stranger_replies = most - self.secrets.guess(self.now.tick, most / 2);
        }
        if self.stranger_replies == 0 {
            self.counters.drop(Drop::RateLimited);
            return false;
        }
        self.stranger_replies -= 1;
        true
    }
}

/// Resets and pings answered in a millisecond, at most: a million a second, and half as many at
/// least.
const STRANGER_REPLIES_PER_TICK: u32 = 1000;

/// Frames whose headers are read and whose records are looked up together.
pub(crate) const GROUP: usize = 8;

/// Stands for a listener without a code point of its own.
const NO_DSCP: u8 = 0xff;

/// No reply was asked for in this tick, so their number was not drawn.
const UNKNOWN_YET: u32 = u32::MAX;
