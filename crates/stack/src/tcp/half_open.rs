//! SYN-RECEIVED of passive opens as compact records (RFC 9293 3.10.7.2, RFC 4987 3.4).
//!
//! A control block is taken only when the handshake's last segment arrives. When all records are
//! taken, SYNs are answered with cookies and nothing is kept at all.

use crate::seq::Seq;
use crate::wire_key::Endpoints;
use crore_mem::{Memory, MemoryError, Slab, Slot};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One passive open: a cache line.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub(crate) struct HalfOpen {
    remote: [u64; 2],
    remote_port: u16,
    local_port: u16,
    local_id: u16,
    pub(crate) snd_wnd: u16,
    /// The peer's initial sequence number.
    pub(crate) irs: Seq,
    /// Ours.
    pub(crate) iss: Seq,
    pub(crate) ts_recent: u32,
    /// Tick at which the SYN-ACK is sent again or the record given up.
    pub(crate) deadline: u32,
    pub(crate) mss: u16,
    /// As in a control block.
    pub(crate) scales: u8,
    /// [`HalfOpen::TIMESTAMPS`] and the like.
    pub(crate) options: u8,
    /// SYN-ACKs sent.
    pub(crate) tries: u8,
    /// The connection's differentiated services code point.
    pub(crate) dscp: u8,
    /// Where the SYN came from on the link.
    pub(crate) mac: [u8; 6],
    link: u32,
    generation: u32,
    /// When the SYN-ACK was sent first: low 32 bits of microseconds.
    pub(crate) sent_us: u32,
}

const _: () = assert!(size_of::<HalfOpen>() == 64);

impl Slot for HalfOpen {
    fn link(&self) -> u32 {
        self.link
    }
    fn set_link(&mut self, link: u32) {
        self.link = link;
    }
    fn generation(&self) -> u32 {
        self.generation
    }
    fn set_generation(&mut self, generation: u32) {
        self.generation = generation;
    }
}

impl HalfOpen {
    /// The peer offered timestamps.
    pub(crate) const TIMESTAMPS: u8 = 1;
    /// The peer permits SACK.
    pub(crate) const SACK: u8 = 1 << 1;
    /// The peer offered a window scale.
    pub(crate) const SCALE: u8 = 1 << 2;
    /// The peer's SYN asked for ECN (RFC 3168 6.1.1), and we agree.
    pub(crate) const ECN: u8 = 1 << 3;
    /// The pool ran short when the SYN came: we offered little.
    pub(crate) const SMALL_WINDOW: u8 = 1 << 5;
    /// Something was answered since the last SYN-ACK, only to say where we are.
    pub(crate) const CORRECTED: u8 = 1 << 7;

    pub(crate) fn endpoints(&self) -> Endpoints {
        Endpoints {
            remote: u128::from(self.remote[1]) << 64 | u128::from(self.remote[0]),
            remote_port: self.remote_port,
            local_port: self.local_port,
            local_id: self.local_id,
        }
    }

    pub(crate) fn set_endpoints(&mut self, endpoints: &Endpoints) {
        self.remote = [endpoints.remote as u64, (endpoints.remote >> 64) as u64];
        self.remote_port = endpoints.remote_port;
        self.local_port = endpoints.local_port;
        self.local_id = endpoints.local_id;
    }
}

/// All records of one core, and the sweep that finds those that are due.
#[derive(Debug)]
pub(crate) struct HalfOpens {
    pub(crate) slab: Slab<HalfOpen>,
    /// The sweep's place, and the highest index ever used.
    swept: u32,
    used: u32,
    swept_at: u32,
}

/// The sweep visits every record once in this many ticks.
const SWEEP_TICKS: u32 = 128;

impl HalfOpens {
    pub(crate) fn new(memory: &mut Memory, max: u32) -> Result<Self, MemoryError> {
        Ok(Self { slab: memory.slab("half-open", 1, max)?, swept: 0, used: 0, swept_at: 0 })
    }

    pub(crate) fn insert(&mut self) -> Option<u32> {
        let index = self.slab.insert()?;
        self.used = self.used.max(index + 1);
        Some(index)
    }

    /// The next record that is due at `tick`, at most once a tick and record: call until `None`.
    /// The work of a tick is bounded by a share of the records.
    pub(crate) fn due(&mut self, tick: u32, visits: &mut u32) -> Option<u32> {
        if self.slab.is_empty() {
            self.swept_at = tick;
            return None;
        }
        if *visits == 0 {
            let ticks = tick.wrapping_sub(self.swept_at).min(SWEEP_TICKS);
            self.swept_at = tick;
            *visits = 1 + (self.used.div_ceil(SWEEP_TICKS) * ticks).min(self.used);
        }
        while *visits > 1 {
            *visits -= 1;
            self.swept = if self.swept + 1 >= self.used { 0 } else { self.swept + 1 };
            let is_due = |r: &HalfOpen| (r.deadline.wrapping_sub(tick) as i32) <= 0;
            if self.slab.is_live(self.swept) && is_due(&self.slab[self.swept]) {
                return Some(self.swept);
            }
        }
        None
    }
}
