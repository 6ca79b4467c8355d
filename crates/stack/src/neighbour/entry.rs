//! One neighbour: what is known of it, and how that changes with time.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// One neighbour.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct Neighbour {
    pub(super) address: u128,
    /// The next entry with the same hash, or the next free one.
    pub(super) next: u32,
    /// Incomplete, Probe: when to ask again. Reachable: until when. Failed: until when not to ask.
    pub(super) deadline: u32,
    /// Stale: when it was last used, or heard of. Incomplete: when it was asked for first.
    pub(super) touched: u32,
    pub(super) mac: [u8; 6],
    pub(super) state: u8,
    pub(super) pinned: u8,
    /// A frame was sent to it since `due` last came by.
    pub(super) in_use: u8,
    /// A frame was sent to it at some time, so it is more than somebody who spoke up.
    pub(super) wanted: u8,
    /// How often it was asked.
    pub(super) tries: u8,
    spare: [u8; 25],
}

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Asked for, no answer yet.
    Incomplete,
    /// It answered within the last 30 seconds.
    Reachable,
    /// It was there at some time. Usable; the first use makes it be asked again.
    Stale,
    /// Usable, and being asked whether it is still there.
    Probe,
    /// It did not answer three times.
    Failed,
    /// Told by whoever knows (the kernel's table, the configuration); frames do not change it.
    Permanent,
}

impl Neighbour {
    /// Nothing is known of it but its address.
    pub(super) fn new(address: u128, now: u32) -> Self {
        Self { address, touched: now, ..Self::new_zeroed() }
    }

    /// Its address.
    pub fn address(&self) -> u128 {
        self.address
    }

    /// Its link-layer address, if it is usable.
    pub fn mac(&self) -> Option<[u8; 6]> {
        is_usable(self.state).then_some(self.mac)
    }

    /// What is known of it.
    pub fn state(&self) -> State {
        match self.state {
            REACHABLE => State::Reachable,
            STALE => State::Stale,
            PROBE => State::Probe,
            PERMANENT => State::Permanent,
            INCOMPLETE => State::Incomplete,
            _ => State::Failed,
        }
    }

    /// True when others cannot drive it out.
    pub fn is_pinned(&self) -> bool {
        self.pinned != 0
    }
}

/// How little a neighbour is missed: the first ones go first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Failed,
    NeverUsed,
    UsedLongAgo,
    Unanswered,
}

/// How little `entry` is missed. `None`: it has to stay.
pub(super) fn rank(entry: &Neighbour, now: u32) -> Option<Rank> {
    let age = now.wrapping_sub(entry.touched);
    if entry.pinned != 0 || entry.in_use != 0 {
        return None;
    }
    match entry.state {
        FAILED => Some(Rank::Failed),
        STALE if entry.wanted == 0 => Some(Rank::NeverUsed),
        STALE if age >= RECENT_MS => Some(Rank::UsedLongAgo),
        INCOMPLETE if age >= RETRY_MS => Some(Rank::Unanswered),
        _ => None,
    }
}

/// What [`super::Neighbours::due`] has to do about a neighbour.
pub(super) enum Step {
    Nothing,
    Ask,
    Forget,
}

/// With `asks_known` false, who is known by address is believed for good: others look after it.
pub(super) fn step(entry: &mut Neighbour, now: u32, asks_known: bool) -> Step {
    let was_used = core::mem::take(&mut entry.in_use) != 0;
    if was_used {
        entry.touched = now;
    }
    match entry.state {
        REACHABLE if is_past(entry.deadline, now) => {
            entry.state = STALE;
            // Used since the last round: as good as used now.
            if was_used && asks_known { ask_whether_there(entry, now) } else { Step::Nothing }
        }
        STALE if was_used && asks_known => ask_whether_there(entry, now),
        INCOMPLETE | PROBE if is_past(entry.deadline, now) => ask_again(entry, now),
        FAILED if is_past(entry.deadline, now) && entry.pinned == 0 => Step::Forget,
        _ => Step::Nothing,
    }
}

pub(super) fn ask_first(entry: &mut Neighbour, now: u32) {
    entry.state = INCOMPLETE;
    entry.wanted = 1;
    entry.tries = 1;
    entry.touched = now;
    entry.deadline = now.wrapping_add(RETRY_MS);
}

fn ask_whether_there(entry: &mut Neighbour, now: u32) -> Step {
    entry.state = PROBE;
    entry.tries = 1;
    entry.deadline = now.wrapping_add(RETRY_MS);
    Step::Ask
}

fn ask_again(entry: &mut Neighbour, now: u32) -> Step {
    if entry.tries < TRIES_MAX {
        entry.tries += 1;
        entry.deadline = now.wrapping_add(RETRY_MS);
        return Step::Ask;
    }
    entry.state = FAILED;
    entry.deadline = now.wrapping_add(FAILED_MS);
    Step::Nothing
}

#[inline]
pub(super) fn is_usable(state: u8) -> bool {
    state >= REACHABLE
}

#[inline]
pub(super) fn is_past(deadline: u32, now: u32) -> bool {
    now.wrapping_sub(deadline) as i32 >= 0
}

/// RFC 4861 10, `RETRANS_TIMER`; RFC 1122 2.3.2.1 allows no more than one a second.
pub(super) const RETRY_MS: u32 = 1000;
/// RFC 4861 10, `MAX_MULTICAST_SOLICIT` and `MAX_UNICAST_SOLICIT`.
const TRIES_MAX: u8 = 3;
/// RFC 4861 10, `REACHABLE_TIME`.
pub(super) const REACHABLE_MS: u32 = 30_000;
/// So long a neighbour that did not answer is not asked again.
const FAILED_MS: u32 = 5000;
/// What was used within this time is not given up for another neighbour.
const RECENT_MS: u32 = 30_000;

// The states as bytes; a zeroed entry is free.
pub(super) const FREE: u8 = 0;
pub(super) const INCOMPLETE: u8 = 1;
pub(super) const FAILED: u8 = 2;
// From here on usable.
pub(super) const REACHABLE: u8 = 3;
pub(super) const STALE: u8 = 4;
pub(super) const PROBE: u8 = 5;
pub(super) const PERMANENT: u8 = 6;

const _: () = assert!(size_of::<Neighbour>() == 64);
