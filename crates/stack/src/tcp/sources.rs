//! Who opens connections: exact counts by source, an IPv4 address or an IPv6 prefix, in a table of
//! fixed size, so that one source can be kept from taking what is meant for all.
//!
//! ```text
//!   source ──SipHash──> flow-table bucket ──> [32 B: prefix, connections, half-open, tokens]
//! ```
//!
//! Only what a source has shown to be its own counts against it: connections and their rate count
//! from the handshake's last segment on. A SYN shows nothing, and whoever forges a thousand of
//! somebody else's must not lock him out; so a source with too many half-open connections gets
//! cookies, and is refused nothing.
//!
//! Counts are exact while the table has room. When it is full, records of sources that hold nothing
//! give way, a few being looked at; if all of those hold something, the new source goes
//! uncounted and unlimited, which is counted itself. There are no false refusals: two sources never
//! share a record. A source has one table and one count on each core.

use crate::config::StackConfig;
use crate::flow::FlowTable;
use alloc::vec::Vec;
use core::hash::Hasher as _;
use core::net::IpAddr;
use crore_mem::{Memory, MemoryError, Slab, Slot};
use siphasher::sip::SipHasher24;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Limits for each source of connections, on each core; `None`: no limit.
#[derive(Clone, Debug)]
pub struct SourceLimits {
    /// Connections that one source may have open at a time.
    pub conns_max: Option<u32>,
    /// Connections that one source may have half open; above it: SYN cookies.
    pub half_open_max: Option<u32>,
    /// Connections that one source may open in a second; as many at once when it was quiet.
    pub accepts_per_second: Option<u32>,
    /// IPv6 addresses that agree in so many bits are one source; 1 to 64.
    pub prefix_v6: u8,
    /// Sources counted at a time. The table is made at start, and only if there is a limit then.
    pub tracked_max: u32,
    /// Sources without limits, such as load balancers: an address and how many bits of it count.
    pub exempt: Vec<(IpAddr, u8)>,
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self {
            conns_max: None,
            half_open_max: None,
            accepts_per_second: None,
            prefix_v6: 64,
            tracked_max: 1 << 16,
            exempt: Vec::new(),
        }
    }
}

impl SourceLimits {
    /// True when there is any limit.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.conns_max.is_some()
            || self.half_open_max.is_some()
            || self.accepts_per_second.is_some()
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.prefix_v6 == 0 || self.prefix_v6 > 64 {
            return Err("sources.prefix_v6 must be between 1 and 64");
        }
        if self.tracked_max == 0 || self.tracked_max > 1 << 24 {
            return Err("sources.tracked_max must be between 1 and 2^24");
        }
        if self.exempt.len() > EXEMPT_MAX {
            return Err("sources.exempt must have 64 ranges at most");
        }
        let fits =
            |&(address, bits): &(IpAddr, u8)| bits <= if address.is_ipv4() { 32 } else { 128 };
        if !self.exempt.iter().all(fits) {
            return Err("sources.exempt has a range with more bits than its address");
        }
        Ok(())
    }

    /// What counts as one source for an address in mapped form; `None` for those that are exempt.
    fn source_of(&self, address: u128) -> Option<u64> {
        let is_v4 = address >> 32 == 0xffff;
        let within = |&(range, bits): &(IpAddr, u8)| {
            let bits = u32::from(bits) + if range.is_ipv4() { 96 } else { 0 };
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            range.is_ipv4() == is_v4 && (crate::interface::mapped(range) ^ address) & mask == 0
        };
        if self.exempt.iter().any(within) {
            return None;
        }
        // The mapped form's low half is no prefix that anybody has.
        let prefix = u64::MAX << (64 - u32::from(self.prefix_v6));
        Some(if is_v4 { address as u64 } else { (address >> 64) as u64 & prefix })
    }
}

/// A bucket that fills by so many tokens a second and holds a second's worth.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Tokens {
    /// Thousandths of a token that were taken and did not come back, as of `at`.
    taken_milli: u32,
    at: u32,
}

impl Tokens {
    fn taken_now(self, per_second: u32, tick: u32) -> u32 {
        let back = u64::from(tick.wrapping_sub(self.at)) * u64::from(per_second);
        self.taken_milli.saturating_sub(back.min(u64::from(u32::MAX)) as u32)
    }

    /// True when one can be taken.
    pub(crate) fn has_one(self, per_second: u32, tick: u32) -> bool {
        self.taken_now(per_second, tick) <= (per_second - 1) * 1000
    }

    /// Takes one.
    pub(crate) fn take(&mut self, per_second: u32, tick: u32) {
        self.taken_milli = self.taken_now(per_second, tick).saturating_add(1000);
        self.at = tick;
    }
}

/// One source.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Source {
    prefix: u64,
    conns: u32,
    half_open: u32,
    tokens: Tokens,
    link: u32,
    generation: u32,
}

pub(crate) const SOURCE_BYTES: usize = size_of::<Source>();

const _: () = assert!(SOURCE_BYTES == 32);

impl Slot for Source {
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

/// Which limit a source has reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reached {
    Conns,
    Rate,
}

/// All sources that one core counts.
#[derive(Debug)]
pub(crate) struct Sources {
    slab: Slab<Source>,
    index: FlowTable,
    key: [u64; 2],
    /// Where the search for a record to forget goes on.
    hand: u32,
}

impl Sources {
    pub(crate) fn new(
        memory: &mut Memory,
        config: &StackConfig,
        key: [u64; 2],
    ) -> Result<Self, MemoryError> {
        let count = if config.sources.is_on() { config.sources.tracked_max } else { 1 };
        Ok(Self {
            slab: memory.slab("sources", 1, count)?,
            index: FlowTable::new(memory, "source table", count)?,
            key,
            hand: 0,
        })
    }

    /// Sources counted now.
    pub(crate) fn len(&self) -> u32 {
        self.slab.len()
    }

    /// Open connections of all sources counted, for the simulator.
    pub(crate) fn conns(&self) -> u32 {
        self.slab.live().map(|index| self.slab[index].conns).sum()
    }

    /// May this source open one more connection?
    pub(crate) fn may_open(
        &self,
        limits: &SourceLimits,
        remote: u128,
        tick: u32,
    ) -> Result<(), Reached> {
        let Some(index) = limits.source_of(remote).and_then(|prefix| self.find(prefix)) else {
            return Ok(());
        };
        let source = &self.slab[index];
        if limits.conns_max.is_some_and(|max| source.conns >= max) {
            return Err(Reached::Conns);
        }
        if limits.accepts_per_second.is_some_and(|rate| !source.tokens.has_one(rate, tick)) {
            return Err(Reached::Rate);
        }
        Ok(())
    }

    /// True when the source has as many half-open connections as it may.
    pub(crate) fn half_open_full(&self, limits: &SourceLimits, remote: u128) -> bool {
        let Some(max) = limits.half_open_max else { return false };
        let index = limits.source_of(remote).and_then(|prefix| self.find(prefix));
        index.is_some_and(|index| self.slab[index].half_open >= max)
    }

    /// A connection of this source stands. False when it could not be counted.
    pub(crate) fn opened(
        &mut self,
        limits: &SourceLimits,
        remote: u128,
        tick: u32,
        steps: &mut u64,
    ) -> bool {
        let Some(prefix) = limits.source_of(remote) else { return true };
        let Some(index) = self.find_or_add(prefix, limits, tick, steps) else { return false };
        let source = &mut self.slab[index];
        source.conns += 1;
        if let Some(rate) = limits.accepts_per_second {
            source.tokens.take(rate, tick);
        }
        true
    }

    /// A connection of this source is over.
    pub(crate) fn closed(&mut self, limits: &SourceLimits, remote: u128, tick: u32) {
        self.change(limits, remote, tick, |source| source.conns = source.conns.saturating_sub(1));
    }

    /// A half-open connection of this source came into being. False when it could not be counted.
    pub(crate) fn half_opened(
        &mut self,
        limits: &SourceLimits,
        remote: u128,
        tick: u32,
        steps: &mut u64,
    ) -> bool {
        if limits.half_open_max.is_none() {
            return true;
        }
        let Some(prefix) = limits.source_of(remote) else { return true };
        let Some(index) = self.find_or_add(prefix, limits, tick, steps) else { return false };
        self.slab[index].half_open += 1;
        true
    }

    /// A half-open connection of this source is open, or gone.
    pub(crate) fn half_open_gone(&mut self, limits: &SourceLimits, remote: u128, tick: u32) {
        if limits.half_open_max.is_some() {
            self.change(limits, remote, tick, |source| {
                source.half_open = source.half_open.saturating_sub(1);
            });
        }
    }

    fn change(
        &mut self,
        limits: &SourceLimits,
        remote: u128,
        tick: u32,
        how: impl FnOnce(&mut Source),
    ) {
        let Some(index) = limits.source_of(remote).and_then(|prefix| self.find(prefix)) else {
            return;
        };
        how(&mut self.slab[index]);
        if self.holds_nothing(index, limits, tick) {
            self.forget(index);
        }
    }

    fn hash(&self, prefix: u64) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.key[0], self.key[1]);
        hasher.write(&prefix.to_le_bytes());
        hasher.finish()
    }

    fn find(&self, prefix: u64) -> Option<u32> {
        self.index.find(self.hash(prefix), |index| self.slab[index].prefix == prefix)
    }

    fn find_or_add(
        &mut self,
        prefix: u64,
        limits: &SourceLimits,
        tick: u32,
        steps: &mut u64,
    ) -> Option<u32> {
        if let Some(index) = self.find(prefix) {
            return Some(index);
        }
        if self.slab.next_free().is_none() {
            self.make_room(limits, tick, steps);
        }
        let index = self.slab.insert()?;
        let source = &mut self.slab[index];
        source.prefix = prefix;
        source.conns = 0;
        source.half_open = 0;
        source.tokens = Tokens::default();
        let hash = self.hash(prefix);
        if self.index.insert(hash, index).is_err() {
            self.slab.remove(index);
            return None;
        }
        Some(index)
    }

    /// True when nothing would be lost with the record.
    fn holds_nothing(&self, index: u32, limits: &SourceLimits, tick: u32) -> bool {
        let source = &self.slab[index];
        let rate = limits.accepts_per_second;
        let full = rate.is_none_or(|rate| source.tokens.taken_now(rate, tick) == 0);
        source.conns == 0 && source.half_open == 0 && full
    }

    /// Looks at a few records, where the last search ended, for one that holds nothing.
    fn make_room(&mut self, limits: &SourceLimits, tick: u32, steps: &mut u64) {
        for _ in 0..LOOKS {
            *steps += 1;
            self.hand = if self.hand + 1 >= self.slab.capacity() { 0 } else { self.hand + 1 };
            if self.slab.is_live(self.hand) && self.holds_nothing(self.hand, limits, tick) {
                return self.forget(self.hand);
            }
        }
    }

    fn forget(&mut self, index: u32) {
        let hash = self.hash(self.slab[index].prefix);
        self.index.remove(hash, index);
        self.slab.remove(index);
    }
}

/// Records looked at for one that can be forgotten, when all are taken.
const LOOKS: u32 = 8;

/// Ranges without limits, at most: each SYN is compared with all of them.
const EXEMPT_MAX: usize = 64;

#[cfg(test)]
mod tests;
