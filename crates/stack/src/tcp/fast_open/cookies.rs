//! What a client remembers of servers (RFC 7413 4.1.3): their cookies, their MSS, and failures.
//!
//! Sets of four entries, found by a keyed hash of the two addresses; a new one takes the place of
//! the set's longest unused. The work of each call is four entries, the memory is fixed.
//!
//! Failures are remembered for the pair of addresses, not for ports: a path is left alone for all
//! of them.

use core::hash::Hasher as _;
use crore_mem::{Memory, MemoryError, Table};
use crore_wire::tcp::{FAST_OPEN_COOKIE_MAX, FastOpen, FastOpenCookie};
use siphasher::sip::SipHasher24;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What is remembered.
pub(crate) struct Cookies {
    entries: Table<Entry>,
    sets: u32,
    key: [u64; 2],
}

/// Of one server, from one address of ours.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(16))]
struct Entry {
    remote: u128,
    cookie: [u8; FAST_OPEN_COOKIE_MAX],
    cookie_len: u8,
    /// See the `Entry` constants.
    bits: u8,
    local_id: u16,
    /// What the server's last SYN-ACK said.
    mss: u16,
    /// In a row.
    failures: u8,
    _reserved: u8,
    used_s: u32,
    failed_s: u32,
}

impl Entry {
    const USED: u8 = 1;
    /// The cookie came in the experimental option.
    const EXPERIMENTAL: u8 = 1 << 1;
    /// A request in the option's own kind was not answered: the next one tries the other.
    const TRY_EXPERIMENTAL: u8 = 1 << 2;
    /// That was in vain as well.
    const TRIED: u8 = 1 << 3;
}

/// Bytes of an entry.
pub(super) const ENTRY_BYTES: usize = size_of::<Entry>();

/// What may go on a SYN to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// The server's cookie, or the request for one.
    pub(super) option: FastOpen,
    /// The MSS that it said.
    pub(super) mss: Option<u16>,
}

impl Cookies {
    pub(super) fn new(memory: &mut Memory, max: u32, key: [u64; 2]) -> Result<Self, MemoryError> {
        let sets = max.div_ceil(WAYS).next_power_of_two();
        Ok(Self { entries: memory.table("fast open cookies", 1, sets * WAYS)?, sets, key })
    }

    /// What to put on a SYN; `None`: nothing, the path failed a short time ago.
    pub(super) fn known(&mut self, path: (u128, u16), now_s: u32, retry_s: u32) -> Option<Known> {
        let Some(index) = self.find(path) else {
            return Some(Known { option: FastOpen::REQUEST, mss: None });
        };
        let entry = &mut self.entries[index];
        entry.used_s = now_s;
        // RFC 7413-4.1.3.1b.
        let times = u32::from(entry.failures.saturating_sub(FORGIVEN));
        let rests_s = retry_s.saturating_mul(1 << (times.max(1) - 1).min(6));
        if times > 0 && now_s.wrapping_sub(entry.failed_s) < rests_s {
            return None;
        }
        let octets = &entry.cookie[..usize::from(entry.cookie_len)];
        let cookie = FastOpenCookie::new(octets).unwrap_or(FastOpenCookie::EMPTY);
        let kind = if cookie.is_empty() { Entry::TRY_EXPERIMENTAL } else { Entry::EXPERIMENTAL };
        let experimental = entry.bits & kind != 0;
        let mss = Some(entry.mss).filter(|mss| *mss > 0);
        Some(Known { option: FastOpen { cookie, experimental }, mss })
    }

    /// RFC 7413-4.1.3a: what a SYN-ACK said. At most one cookie is kept, the last one.
    pub(super) fn learn(
        &mut self,
        path: (u128, u16),
        mss: u16,
        cookie: Option<FastOpen>,
        now_s: u32,
    ) {
        let entry = self.entry(path, now_s);
        entry.mss = mss;
        let Some(option) = cookie else { return };
        let octets = option.cookie.as_slice();
        entry.cookie[..octets.len()].copy_from_slice(octets);
        entry.cookie_len = octets.len() as u8;
        entry.bits &= !(Entry::EXPERIMENTAL | Entry::TRY_EXPERIMENTAL);
        entry.bits |= if option.experimental { Entry::EXPERIMENTAL } else { 0 };
    }

    /// A request for a cookie was answered without one: the option's other kind is tried once, and
    /// no more (RFC 7413-9a).
    pub(super) fn was_refused(&mut self, path: (u128, u16), now_s: u32) {
        let entry = self.entry(path, now_s);
        let first = entry.bits & Entry::TRIED == 0;
        entry.bits &= !Entry::TRY_EXPERIMENTAL;
        entry.bits |= if first { Entry::TRY_EXPERIMENTAL | Entry::TRIED } else { 0 };
    }

    /// RFC 7413-4.1.3.1a: a negative response; `worse`: none at all.
    pub(super) fn failed(&mut self, path: (u128, u16), worse: bool, now_s: u32) {
        let entry = self.entry(path, now_s);
        let more = if worse { FORGIVEN + 1 } else { 1 };
        entry.failures = entry.failures.saturating_add(more);
        entry.failed_s = now_s;
    }

    /// The path lets Fast Open pass.
    pub(super) fn worked(&mut self, path: (u128, u16), now_s: u32) {
        self.entry(path, now_s).failures = 0;
    }

    /// Forgets everything.
    pub(super) fn forget_all(&mut self) {
        for index in 0..self.entries.len() {
            self.entries[index].bits = 0;
        }
    }

    fn set_of(&self, (remote, local_id): (u128, u16)) -> u32 {
        let mut hasher = SipHasher24::new_with_keys(self.key[0], self.key[1]);
        hasher.write(&remote.to_le_bytes());
        hasher.write(&local_id.to_le_bytes());
        (hasher.finish() as u32 & (self.sets - 1)) * WAYS
    }

    fn find(&self, path: (u128, u16)) -> Option<u32> {
        let first = self.set_of(path);
        (first..first + WAYS).find(|&index| {
            let entry = &self.entries[index];
            entry.bits & Entry::USED != 0 && (entry.remote, entry.local_id) == path
        })
    }

    /// The path's entry, made if there is none.
    fn entry(&mut self, path: (u128, u16), now_s: u32) -> &mut Entry {
        let index = self.find(path).unwrap_or_else(|| {
            let first = self.set_of(path);
            let age = |&index: &u32| {
                let entry = &self.entries[index];
                let used = entry.bits & Entry::USED != 0;
                if used { now_s.wrapping_sub(entry.used_s) } else { u32::MAX }
            };
            let oldest = (first..first + WAYS).max_by_key(age).unwrap_or(first);
            let (remote, local_id) = path;
            self.entries[oldest] = Entry {
                remote,
                cookie: [0; FAST_OPEN_COOKIE_MAX],
                cookie_len: 0,
                bits: Entry::USED,
                local_id,
                mss: 0,
                failures: 0,
                _reserved: 0,
                used_s: now_s,
                failed_s: 0,
            };
            oldest
        });
        let entry = &mut self.entries[index];
        entry.used_s = now_s;
        entry
    }
}

/// Entries of a set.
const WAYS: u32 = 4;

/// Failures in a row that change nothing yet.
const FORGIVEN: u8 = 1;

#[cfg(test)]
mod tests;
