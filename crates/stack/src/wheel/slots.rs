//! The slots of the wheel: chains of chunks, how much is in each, and which ones are not empty.

use super::chunks::{CHUNK_ENTRIES, Chunks, NO_CHUNK};

/// All slots of all levels.
pub(super) struct Slots {
    slots: [[Slot; SLOTS]; LEVELS],
    /// A bit for each slot, set while it has entries.
    occupied: [[u64; WORDS]; LEVELS],
}

/// The chunks of a slot. All but the newest one are full, so the number of entries says how far
/// that one is filled.
#[derive(Clone, Copy)]
struct Slot {
    newest: u32,
    len: u32,
}

impl Slots {
    pub(super) const fn new() -> Self {
        let empty = Slot { newest: NO_CHUNK, len: 0 };
        Self { slots: [[empty; SLOTS]; LEVELS], occupied: [[0; WORDS]; LEVELS] }
    }

    #[inline]
    pub(super) fn is_empty(&self, level: usize, slot: u8) -> bool {
        self.slots[level][usize::from(slot)].len == 0
    }

    #[inline]
    pub(super) fn push(&mut self, level: usize, slot: u8, index: u32, chunks: &mut Chunks) {
        let at = usize::from(slot);
        let Slot { newest, len } = &mut self.slots[level][at];
        let place = *len as usize % CHUNK_ENTRIES;
        if place == 0 {
            let chunk = chunks.take();
            chunks.get_mut(chunk).next = *newest;
            *newest = chunk;
        }
        chunks.get_mut(*newest).entries[place] = index;
        *len += 1;
        self.occupied[level][at / 64] |= 1 << (at % 64);
    }

    #[inline]
    pub(super) fn pop(&mut self, level: usize, slot: u8, chunks: &mut Chunks) -> Option<u32> {
        let at = usize::from(slot);
        let Slot { newest, len } = &mut self.slots[level][at];
        if *len == 0 {
            return None;
        }
        *len -= 1;
        let place = *len as usize % CHUNK_ENTRIES;
        let chunk = chunks.get(*newest);
        let index = chunk.entries[place];
        let next = chunk.next;
        if place == CHUNK_ENTRIES - 1 {
            chunks.prefetch(next);
        }
        if place == 0 {
            chunks.give_back(*newest);
            *newest = next;
        }
        if *len == 0 {
            self.occupied[level][at / 64] &= !(1 << (at % 64));
        }
        Some(index)
    }

    /// How many ticks after `tick` the next slot with entries fires, of all levels.
    #[inline]
    pub(super) fn next_after(&self, tick: u32) -> Option<u32> {
        let mut nearest: Option<u32> = None;
        for level in 0..LEVELS {
            let Some(distance) = self.next_occupied(level, slot_at(tick, level)) else { continue };
            let shift = level as u32 * 8;
            let fires = ((tick >> shift).wrapping_add(u32::from(distance))) << shift;
            let ahead = fires.wrapping_sub(tick);
            nearest = Some(nearest.map_or(ahead, |nearest| nearest.min(ahead)));
        }
        nearest
    }

    /// How many slots after `slot` the next one with entries is, going round once.
    fn next_occupied(&self, level: usize, slot: u8) -> Option<u8> {
        let occupied = &self.occupied[level];
        let start = slot.wrapping_add(1);
        let (first, bit) = (usize::from(start) / 64, u32::from(start) % 64);
        // The first word is looked at twice: what is from `start` on, and at the end all of it.
        for turn in 0..=WORDS {
            let word = (first + turn) % WORDS;
            let not_before = if turn == 0 { u64::MAX << bit } else { u64::MAX };
            let found = occupied[word] & not_before;
            if found != 0 {
                let at = (word * 64) as u8 + found.trailing_zeros() as u8;
                return Some(at.wrapping_sub(slot));
            }
        }
        None
    }
}

/// The slot of `level` that `tick` falls into.
#[inline]
pub(super) const fn slot_at(tick: u32, level: usize) -> u8 {
    (tick >> (level * 8)) as u8
}

pub(super) const LEVELS: usize = 3;
pub(super) const SLOTS: usize = 256;
/// The farthest slot: one more would be the present one, which is being emptied.
pub(super) const DISTANCE_MAX: u8 = (SLOTS - 1) as u8;
const WORDS: usize = SLOTS / 64;
