//! One core's timing wheel: which connections may have something due at a tick.
//!
//! A tick is a millisecond. There are three levels of 256 slots; a slot of level 0 is one tick
//! long, a slot of level 1 is as long as all of level 0, and so on:
//!
//! ```text
//!              a slot    all slots   fires at
//!   level 0      1 ms       256 ms   its tick
//!   level 1    256 ms       65.5 s   the first tick of its 256
//!   level 2    65.5 s       4.66 h   the first tick of its 65,536
//! ```
//!
//! An entry is a connection's index, nothing more. The deadline itself stays in the control block:
//! an entry only promises to be handed out at the deadline *or before*. Whoever gets it looks
//! at the control block and arms again when it is too early. So moving a deadline back, which each
//! ACK does, costs nothing, and no connection is touched for the sake of another one: slots are
//! chains of chunks of indices, without links through the connections.
//!
//! ```text
//!   slot ──> chunk ──> chunk ──> ...       a chunk, one cache line:  | index x15 | next |
//!            newest, partly filled
//! ```
//!
//! A connection has at most one entry that counts on each level; its [`WheelMark`] says in which
//! slots. A mark belongs to the *index*: it must stay as it is when the connection ends and the
//! index is used again, because the entries stay in the wheel as well.

mod chunks;
mod slots;

pub(crate) use chunks::CHUNK_BYTES;
use crore_mem::{Memory, MemoryError};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use self::{
    chunks::{CHUNK_ENTRIES, Chunks},
    slots::{DISTANCE_MAX, LEVELS, SLOTS, Slots, slot_at},
};

/// The timing wheel of one core.
pub struct Wheel {
    slots: Slots,
    chunks: Chunks,
    /// The last tick whose slots were handed out, or are being handed out.
    tick: u32,
    entries: u32,
    /// For each slot of level 0: how many of its entries no mark stands for any more.
    duplicates: [u32; SLOTS],
    duplicates_len: u32,
    duplicates_max: u32,
    late: u64,
}

/// At which slots of the wheel a connection has its entries. All zeros: none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct WheelMark {
    slots: [u8; LEVELS],
    /// Bit `n`: there is an entry on level `n`. The five bits above are the owner's.
    present: u8,
}

/// An entry handed out: the connection it names, and where it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The connection's index, as it was armed.
    pub index: u32,
    /// The level of the slot.
    pub level: u8,
    /// The slot.
    pub slot: u8,
}

impl Wheel {
    /// A wheel for connections with indices of which `connections_max` have marks, at tick `now`.
    pub fn new(
        memory: &mut Memory,
        name: &'static str,
        connections_max: u32,
        now: u32,
    ) -> Result<Self, MemoryError> {
        Ok(Self {
            slots: Slots::new(),
            chunks: Chunks::new(memory, name, chunks_for(connections_max))?,
            tick: now,
            entries: 0,
            duplicates: [0; SLOTS],
            duplicates_len: 0,
            duplicates_max: duplicates_max(connections_max),
            late: 0,
        })
    }

    /// Number of entries, those that nobody waits for any more included.
    #[inline]
    pub fn len(&self) -> u32 {
        self.entries
    }

    /// True when there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// How many deadlines were left to an entry that fires up to 255 ticks after them, because too
    /// many connections had brought a deadline of less than 256 ticks forward.
    #[inline]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Sees to it that connection `index` is handed out at `deadline` or before.
    ///
    /// A deadline that is not after the wheel's tick is handed out at the next one.
    #[inline]
    pub fn arm(&mut self, mark: &mut WheelMark, index: u32, deadline: u32) {
        let (level, distance) = self.level_of(deadline);
        if mark.present & lower_levels(level) != 0 {
            // It fires earlier: a level reaches less far than the next one's nearest deadline.
            return;
        }
        if mark.has(level) {
            if self.distance_to(level, mark.slots[level]) <= distance {
                return;
            }
            self.bring_forward(mark, index, level, distance);
        } else {
            self.push(mark, index, level, distance);
        }
    }

    /// Moves on towards tick `now` and hands out the entries of each slot that is reached, at most
    /// as many as `due` has room for. Returns how many it wrote there.
    ///
    /// It stops when `due` is full and goes on from there the next time, so no slot is skipped. The
    /// time that passed does not matter: empty slots are jumped over. Each entry must be given to
    /// [`Wheel::take`].
    #[inline]
    pub fn expire(&mut self, now: u32, due: &mut [Due]) -> usize {
        let mut count = 0;
        loop {
            for level in (0..LEVELS).rev() {
                let slot = slot_at(self.tick, level);
                count += self.hand_out(level, slot, &mut due[count..]);
                if !self.slots.is_empty(level, slot) {
                    return count;
                }
            }
            if !self.advance(now) {
                return count;
            }
        }
    }

    /// Says whether an entry handed out is the one `mark` stands for; then it is that no more.
    ///
    /// False: the entry is a duplicate that a later arming left behind, and must be ignored.
    /// True: the connection has to be looked at, and armed again if it has a deadline.
    #[inline]
    pub fn take(mark: &mut WheelMark, level: u8, slot: u8) -> bool {
        let level = usize::from(level);
        if level >= LEVELS || !mark.has(level) || mark.slots[level] != slot {
            return false;
        }
        mark.present &= !(1 << level);
        true
    }

    /// The tick at which the next entry will be handed out, but not before `now`. `None`: never.
    ///
    /// An idle engine may sleep until then. The entry may turn out to be early.
    pub fn next_deadline_hint(&self, now: u32) -> Option<u32> {
        if (0..LEVELS).any(|level| !self.slots.is_empty(level, slot_at(self.tick, level))) {
            return Some(now);
        }
        let ahead = self.slots.next_after(self.tick)?;
        let passed = now.wrapping_sub(self.tick);
        Some(if passed < ahead { self.tick.wrapping_add(ahead) } else { now })
    }

    /// The lowest level that reaches as far as `deadline`, and how many of its slots away that is.
    #[inline]
    fn level_of(&self, deadline: u32) -> (usize, u8) {
        if (deadline.wrapping_sub(self.tick) as i32) <= 0 {
            return (0, 1);
        }
        for level in 0..LEVELS - 1 {
            let distance = self.slots_between(level, deadline);
            if distance <= u32::from(DISTANCE_MAX) {
                return (level, distance as u8);
            }
        }
        // What is farther than the last slot of all fires there, and is armed again.
        let top = LEVELS - 1;
        (top, self.slots_between(top, deadline).min(u32::from(DISTANCE_MAX)) as u8)
    }

    /// How many slots of `level` lie between the wheel's tick and a later one.
    #[inline]
    fn slots_between(&self, level: usize, later: u32) -> u32 {
        let shift = level as u32 * 8;
        ((later >> shift).wrapping_sub(self.tick >> shift)) & (u32::MAX >> shift)
    }

    /// How many slots of `level` the wheel has to go on to reach `slot`.
    #[inline]
    fn distance_to(&self, level: usize, slot: u8) -> u8 {
        slot.wrapping_sub(slot_at(self.tick, level))
    }

    /// The entry on `level` fires too late for a deadline `distance` slots away.
    fn bring_forward(&mut self, mark: &mut WheelMark, index: u32, level: usize, distance: u8) {
        if level > 0 {
            // There is none on the level below, and all of its slots fire earlier.
            self.push(mark, index, level - 1, DISTANCE_MAX);
        } else if self.slots.is_empty(0, mark.slots[0]) {
            // It was handed out and waits for `take`, so it is in no slot any more.
            self.push(mark, index, 0, distance);
        } else if self.duplicates_len < self.duplicates_max {
            self.duplicates_len += 1;
            self.duplicates[usize::from(mark.slots[0])] += 1;
            self.push(mark, index, 0, distance);
        } else {
            self.late += 1;
        }
    }

    #[inline]
    fn push(&mut self, mark: &mut WheelMark, index: u32, level: usize, distance: u8) {
        debug_assert!(distance != 0, "the present slot is being emptied");
        let slot = slot_at(self.tick, level).wrapping_add(distance);
        self.slots.push(level, slot, index, &mut self.chunks);
        self.entries += 1;
        mark.slots[level] = slot;
        mark.present |= 1 << level;
    }

    /// Empties a slot into `due`, as far as that has room.
    #[inline]
    fn hand_out(&mut self, level: usize, slot: u8, due: &mut [Due]) -> usize {
        if self.slots.is_empty(level, slot) {
            return 0;
        }
        let mut count = 0;
        for out in due {
            let Some(index) = self.slots.pop(level, slot, &mut self.chunks) else { break };
            *out = Due { index, level: level as u8, slot };
            count += 1;
        }
        self.entries -= count as u32;
        if level == 0 && self.slots.is_empty(level, slot) {
            let duplicates = &mut self.duplicates[usize::from(slot)];
            self.duplicates_len -= core::mem::take(duplicates);
        }
        count
    }

    /// Goes on to the next tick at which a slot with entries fires, or to `now` if that is before.
    /// False when that slot is still to come.
    #[inline]
    fn advance(&mut self, now: u32) -> bool {
        let passed = now.wrapping_sub(self.tick);
        if passed == 0 || passed > PASSED_MAX {
            return false;
        }
        match self.slots.next_after(self.tick) {
            Some(ahead) if ahead <= passed => {
                self.tick = self.tick.wrapping_add(ahead);
                true
            }
            _ => {
                self.tick = now;
                false
            }
        }
    }
}

impl WheelMark {
    /// Five bits that the wheel leaves alone, for whoever has the mark.
    #[inline]
    pub fn spare(self) -> u8 {
        self.present >> LEVELS
    }

    /// Sets them.
    pub fn set_spare(&mut self, bits: u8) {
        self.present = self.present & lower_levels(LEVELS) | bits << LEVELS;
    }

    #[inline]
    fn has(self, level: usize) -> bool {
        self.present >> level & 1 != 0
    }
}

/// The bits of all levels below `level`.
#[inline]
const fn lower_levels(level: usize) -> u8 {
    (1 << level) - 1
}

/// Chunks that hold all entries that `connections_max` connections can have: three each, and the
/// duplicates, with one partly filled chunk in each slot.
const fn chunks_for(connections_max: u32) -> u32 {
    let entries = connections_max as u64 * LEVELS as u64 + duplicates_max(connections_max) as u64;
    (entries / CHUNK_ENTRIES as u64 + (LEVELS * SLOTS) as u64) as u32 + 1
}

/// Duplicates come from deadlines below 256 ms brought forward, so from connections that are busy
/// at the same time: all of a few, or some of very many.
const fn duplicates_max(connections_max: u32) -> u32 {
    let of_few = if connections_max < BUSY_MAX { connections_max } else { BUSY_MAX };
    let of_slots_used_again = if of_few < BUSY_MIN { BUSY_MIN } else { of_few };
    connections_max / 4 + of_slots_used_again * 4
}

/// A small table's slots may be used again many times within 256 ms.
const BUSY_MIN: u32 = 64;
/// Up to so many connections may all be busy.
const BUSY_MAX: u32 = 16_384;
/// Time does not go back. A `now` that is less than 4.6 hours before the last one is taken for it.
const PASSED_MAX: u32 = u32::MAX - (1 << 24);

const _: () = assert!(size_of::<WheelMark>() == 4 && size_of::<Due>() == 8);

#[cfg(test)]
mod tests;
