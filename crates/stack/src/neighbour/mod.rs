//! Who is on the link: from a next hop's IP address to its link-layer address.
//!
//! IPv4 neighbours (ARP) and IPv6 ones (neighbour discovery) go through the same states, those of
//! RFC 4861 7.3.2 without its Delay:
//!
//! ```text
//!                 resolve                answer                 30 s
//!   (nothing) ────────────> Incomplete ──────────> Reachable ──────────> Stale
//!                               │                      ^                   │
//!                               │ 3 asked in vain      │ answer            │ used
//!                               v                      │                   v
//!                            Failed <──────────────────┴──────────────── Probe
//!                               │          3 asked in vain
//!                               └── 5 s ──> (nothing)
//! ```
//!
//! A neighbour is usable while it is Reachable, Stale, Probe or Permanent. The table never sends:
//! it says when to ask, in [`Resolution::AskNow`] and from [`Neighbours::due`], each second at most
//! for one neighbour (RFC 1122 2.3.2.1). It is bounded, and so is the work of each call; what is
//! pinned or in use cannot be driven out by others, and those that announce themselves drive out
//! only such as themselves.
//!
//! Addresses are 128 bits, IPv4 ones in IPv6-mapped form. Times are ticks of a millisecond.

mod entry;
mod index;

use crore_mem::{Memory, MemoryError, Table};

pub use self::entry::{Neighbour, State};
use self::{
    entry::{
        FAILED, FREE, INCOMPLETE, PERMANENT, PROBE, REACHABLE, REACHABLE_MS, Rank, STALE, Step,
        ask_first, is_past, is_usable, rank, step,
    },
    index::AddressIndex,
};

/// The neighbours of one interface.
pub struct Neighbours {
    entries: Table<Neighbour>,
    by_address: AddressIndex,
    /// Entries from here on were never used.
    used: u32,
    len: u32,
    /// Where the next search for room begins.
    hand: u32,
    /// Whom [`Neighbours::recall`] found last.
    recalled: u32,
    /// Where [`Neighbours::due`] goes on, and when it begins again.
    next_due: u32,
    next_round: u32,
    asks_known: bool,
    /// Nobody is asked, and none was used since the last round: a round would change nothing that
    /// matters before the next use.
    settled: bool,
    /// The same, of the round that is under way.
    settles: bool,
}

/// What to do about a frame for a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Send it: [`Neighbours::mac_for`] the index has the address.
    Known(u32),
    /// Ask for the neighbour now, then as for `Wait`.
    AskNow(u32),
    /// The neighbour was asked; the frame can wait for the answer, or be dropped.
    Wait(u32),
    /// It did not answer, and will not be asked again for some seconds.
    Unreachable(u32),
    /// There is no room for one more neighbour.
    Full,
}

impl Neighbours {
    /// A table for `entries_max` neighbours, found by a hash under the secret `key`.
    pub fn new(memory: &mut Memory, key: [u64; 2], entries_max: u32) -> Result<Self, MemoryError> {
        Ok(Self {
            entries: memory.table("neighbours", LAYOUT_VERSION, entries_max)?,
            by_address: AddressIndex::new(memory, entries_max, key)?,
            used: 0,
            len: 0,
            hand: 0,
            recalled: 0,
            next_due: 0,
            next_round: 0,
            asks_known: true,
            settled: true,
            settles: true,
        })
    }

    /// Number of neighbours in any state.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True when [`Neighbours::due`] has nothing to do until somebody is looked for or used.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// The index of `address`.
    pub fn lookup(&self, address: u128) -> Option<u32> {
        self.by_address.find(address, &self.entries)
    }

    /// The same for who asks often: most are behind the neighbour that was found last.
    #[inline]
    pub fn recall(&mut self, address: u128) -> Option<u32> {
        if self.entry(self.recalled).is_some_and(|entry| entry.address == address) {
            return Some(self.recalled);
        }
        let found = self.lookup(address)?;
        self.recalled = found;
        Some(found)
    }

    /// The neighbour at `index`, unless that is free.
    pub fn entry(&self, index: u32) -> Option<&Neighbour> {
        self.entries.get(index).filter(|entry| entry.state != FREE)
    }

    /// The link-layer address of `next_hop`, when it is the neighbour at `index` and usable.
    ///
    /// This is each frame's question, with the index that its connection remembers. The entry may
    /// have become another neighbour's since; then the answer is `None`, and it is time to
    /// [`Neighbours::resolve`] again.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "each frame's question")]
    pub fn mac_for(&mut self, index: u32, next_hop: u128) -> Option<[u8; 6]> {
        let entry = self.entries.get_mut(index)?;
        if entry.address != next_hop || !is_usable(entry.state) {
            return None;
        }
        if entry.in_use == 0 {
            entry.in_use = 1;
            entry.wanted = 1;
            self.unsettle();
            return self.entries.get(index).map(|entry| entry.mac);
        }
        Some(entry.mac)
    }

    #[cold]
    fn unsettle(&mut self) {
        (self.settled, self.settles) = (false, false);
    }

    /// Leaves it to others whether a neighbour is still there, as on a link whose kernel has a
    /// table of its own and would get the answers. What frames and [`Neighbours::learn_permanent`]
    /// say is then used for as long as there is room.
    pub fn believe_known(&mut self) {
        self.asks_known = false;
    }

    /// Finds out how to reach `address`.
    pub fn resolve(&mut self, address: u128, now: u32) -> Resolution {
        self.unsettle();
        let Some(index) = self.lookup(address) else {
            let Some(index) = self.room(now, Claim::Wanted) else { return Resolution::Full };
            self.occupy(index, address, now);
            ask_first(&mut self.entries[index], now);
            return Resolution::AskNow(index);
        };
        let entry = &mut self.entries[index];
        entry.wanted = 1;
        match entry.state {
            INCOMPLETE => Resolution::Wait(index),
            FAILED if is_past(entry.deadline, now) => {
                ask_first(entry, now);
                Resolution::AskNow(index)
            }
            FAILED => Resolution::Unreachable(index),
            _ => {
                entry.in_use = 1;
                entry.touched = now;
                Resolution::Known(index)
            }
        }
    }

    /// Takes in what a frame to us says of its sender: an answer, or a question for one of our
    /// addresses. `None` when there is no room for a neighbour not known yet, or it has no usable
    /// link-layer address.
    pub fn learn(&mut self, address: u128, mac: [u8; 6], now: u32) -> Option<u32> {
        if let Some(index) = self.refresh(address, mac, now) {
            return Some(index);
        }
        if !is_unicast(mac) || self.lookup(address).is_some() {
            return None;
        }
        let index = self.room(now, Claim::Announced)?;
        self.occupy(index, address, now);
        let entry = &mut self.entries[index];
        (entry.state, entry.mac) = (STALE, mac);
        Some(index)
    }

    /// The same for a frame that was not meant for us: it changes only what is known already.
    ///
    /// What answers our question makes the neighbour Reachable. A link-layer address nobody asked
    /// for may be wrong: it is used, and asked about (RFC 4861 7.2.3, 7.2.5: Stale).
    pub fn refresh(&mut self, address: u128, mac: [u8; 6], now: u32) -> Option<u32> {
        if !is_unicast(mac) {
            return None;
        }
        let index = self.lookup(address)?;
        let entry = &mut self.entries[index];
        match entry.state {
            PERMANENT => return Some(index),
            INCOMPLETE | PROBE => {
                (entry.state, entry.deadline) = (REACHABLE, now.wrapping_add(REACHABLE_MS));
            }
            REACHABLE if entry.mac == mac => {}
            _ => entry.state = STALE,
        }
        entry.mac = mac;
        entry.touched = now;
        Some(index)
    }

    /// Takes in a neighbour from who knows for sure: it is never asked, and goes only by
    /// [`Neighbours::forget`] or with a new link-layer address. `None` when there is no room.
    pub fn learn_permanent(&mut self, address: u128, mac: [u8; 6], now: u32) -> Option<u32> {
        let index = if let Some(index) = self.lookup(address) {
            index
        } else {
            let index = self.room(now, Claim::Wanted)?;
            self.occupy(index, address, now);
            index
        };
        let entry = &mut self.entries[index];
        (entry.state, entry.mac) = (PERMANENT, mac);
        Some(index)
    }

    /// Takes in that what goes through the neighbour at `index` is not acknowledged: it is asked
    /// whether it is still there before its time (RFC 1122-3.3.1.4, RFC 4861 7.3.1).
    pub fn suspect(&mut self, index: u32) {
        if let Some(entry) = self.entries.get_mut(index)
            && entry.state == REACHABLE
        {
            entry.state = STALE;
        }
    }

    /// Keeps the neighbour at `index` from being driven out by others, or no longer so.
    pub fn pin(&mut self, index: u32, pinned: bool) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.pinned = u8::from(pinned);
        }
    }

    /// Forgets a neighbour, whatever it is. False when it is not known.
    pub fn forget(&mut self, address: u128) -> bool {
        let Some(index) = self.lookup(address) else { return false };
        self.vacate(index);
        true
    }

    /// Goes on through the neighbours, `budget` of them at most, and calls `ask` for each that has
    /// to be asked (again). A round begins each 100 ms at most, so most calls return at once.
    ///
    /// A neighbour in [`State::Probe`] is asked at its own link-layer address (RFC 1122 2.3.2.1,
    /// RFC 4861 7.3.3), one that is Incomplete by broadcast or multicast.
    pub fn due(&mut self, now: u32, budget: u32, mut ask: impl FnMut(u32, &Neighbour)) {
        if self.next_due == 0 {
            let wait = self.next_round.wrapping_sub(now);
            if (1..=ROUND_MS).contains(&wait) {
                return;
            }
            self.next_round = now.wrapping_add(ROUND_MS);
            self.settles = true;
        }
        let end = self.next_due.saturating_add(budget).min(self.used);
        for index in self.next_due..end {
            let entry = &mut self.entries[index];
            self.settles &=
                entry.in_use == 0 && !matches!(entry.state, INCOMPLETE | PROBE | FAILED);
            match step(entry, now, self.asks_known) {
                Step::Nothing => {}
                Step::Ask => ask(index, &self.entries[index]),
                Step::Forget => self.vacate(index),
            }
        }
        self.next_due = if end == self.used { 0 } else { end };
        if self.next_due == 0 {
            self.settled = self.settles;
        }
    }

    /// A free entry: one never used, one free again, or one whose neighbour is given up.
    fn room(&mut self, now: u32, claim: Claim) -> Option<u32> {
        if let Some(index) = self.by_address.take_free(&self.entries) {
            return Some(index);
        }
        if self.used < self.entries.len() {
            self.used += 1;
            return Some(self.used - 1);
        }
        let index = self.least_needed(now, claim)?;
        self.unlink(index);
        Some(index)
    }

    /// The neighbour that is missed least, of the next ones in turn: the oldest of the lowest rank.
    fn least_needed(&mut self, now: u32, claim: Claim) -> Option<u32> {
        let looked_at = self.entries.len().min(SEARCH_MAX);
        let mut best: Option<(u32, (Rank, u32))> = None;
        for _ in 0..looked_at {
            let index = self.hand;
            self.hand = if index + 1 == self.entries.len() { 0 } else { index + 1 };
            let entry = &self.entries[index];
            let Some(rank) = rank(entry, now).filter(|&rank| claim.drives_out(rank)) else {
                continue;
            };
            let order = (rank, u32::MAX - now.wrapping_sub(entry.touched));
            if best.is_none_or(|(_, best)| order < best) {
                best = Some((index, order));
            }
        }
        best.map(|(index, _)| index)
    }

    /// Makes a free entry `address`'s.
    fn occupy(&mut self, index: u32, address: u128, now: u32) {
        self.entries[index] = Neighbour::new(address, now);
        self.by_address.insert(index, &mut self.entries);
        self.len += 1;
    }

    fn vacate(&mut self, index: u32) {
        self.unlink(index);
        self.by_address.give_back(index, &mut self.entries);
    }

    fn unlink(&mut self, index: u32) {
        self.by_address.remove(index, &mut self.entries);
        self.entries[index].state = FREE;
        self.len -= 1;
    }
}

/// On whose behalf room is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// We have a frame for the neighbour.
    Wanted,
    /// The neighbour spoke to us; perhaps we shall answer.
    Announced,
}

impl Claim {
    /// Neighbours that speak up, of which somebody can make up any number, drive out only such as
    /// themselves.
    fn drives_out(self, rank: Rank) -> bool {
        self == Self::Wanted || rank <= Rank::NeverUsed
    }
}

/// An address that frames for one neighbour can have: no group, and not all zeros.
fn is_unicast(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 0 && mac != [0; 6]
}

/// Rounds of [`Neighbours::due`] begin no closer to each other.
const ROUND_MS: u32 = 100;
/// So many entries are looked at to find one that can go.
const SEARCH_MAX: u32 = 64;
const LAYOUT_VERSION: u32 = 1;

#[cfg(test)]
mod tests;
