//! What an outsider must not be able to guess, derived from 32 random bytes: initial sequence
//! numbers, SYN cookies, ephemeral ports, timestamp offsets.
//!
//! Everything is a keyed `SipHash-2-4` of the flow in question, each purpose under a key of its
//! own, so that what is seen of one says nothing of another. Nothing here keeps state.
//!
//! A SYN cookie is an initial sequence number that holds what the SYN said (RFC 4987 3.6):
//!
//! ```text
//!    31        30       28 27                          12 11           0
//!   | minute's | MSS class | MAC of flow, minute, class,  | another part |
//!   | parity   |           | plus low half of irs         | of that MAC  |
//! ```
//!
//! Both parts must be right to open a connection. The last alone says that the segment belongs to a
//! handshake of ours, although it is not the one that completes it. It is in the low bits, because
//! the acknowledgments of octets that follow differ there.
//!
//! The sum keeps all segments of the first window apart, of 65,535 octets at most: with a hash of
//! `irs`, one segment in some thousands would be taken for the first when that one was lost, and
//! the octets before it would be missing for ever.
//!
//! What does not fit is put in the lowest bits of the timestamp that goes with it, and comes back
//! as its echo:
//!
//! ```text
//!    31                             6     5     4      3        0
//!   | timestamp                      | ECN | SACK | window scale |
//! ```

use core::hash::Hasher as _;

use siphasher::sip::SipHasher24;

use crate::hash::{FlowHasher, FlowKey};
use crate::tcp::FastOpenKey;

/// The secrets of one host. All its cores must have the same ones.
#[derive(Clone, Copy)]
pub struct Secrets {
    isn: Key,
    cookie: Key,
    port: Key,
    timestamp: Key,
    flow: Key,
    neighbour: Key,
    fast_open: Key,
    source: Key,
    luck: Key,
}

/// The options of a SYN that a cookie cannot hold, as they are kept in a timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynOptions {
    /// The shift count of the peer's window scale option, at most 14; `None` without the option.
    pub window_scale: Option<u8>,
    /// The peer permitted SACK.
    pub sack_permitted: bool,
    /// The peer asked for ECN (RFC 3168 6.1.1).
    pub ecn: bool,
}

type Key = [u64; 2];

impl Secrets {
    /// Secrets from 32 bytes that nobody can guess (RFC 6528-4).
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            isn: derive(&seed, 1),
            cookie: derive(&seed, 2),
            port: derive(&seed, 3),
            timestamp: derive(&seed, 4),
            flow: derive(&seed, 5),
            neighbour: derive(&seed, 6),
            fast_open: derive(&seed, 7),
            source: derive(&seed, 8),
            luck: derive(&seed, 9),
        }
    }

    /// The hasher of the flow table.
    pub fn flow_hasher(&self) -> FlowHasher {
        FlowHasher::new(self.flow)
    }

    /// The key of the neighbour table.
    pub fn neighbour_key(&self) -> [u64; 2] {
        self.neighbour
    }

    /// The key of the table of sources.
    pub fn source_key(&self) -> [u64; 2] {
        self.source
    }

    /// A number below `bound` that nobody can guess, the same each time for the same `what`.
    pub fn guess(&self, what: u32, bound: u32) -> u32 {
        let mut hasher = SipHasher24::new_with_keys(self.luck[0], self.luck[1]);
        hasher.write(&what.to_le_bytes());
        (((hasher.finish() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// The initial sequence number of a connection that begins at `now_us`.
    ///
    /// RFC 6528-3a, RFC 9293 MUST-8, SHLD-1: a timer of 4 us, so that a connection's successor
    /// starts above it, plus a hash of the 4-tuple, so that one connection says nothing of another.
    /// RFC 6528-3b, RFC 9293 MUST-9: its key is known here only.
    pub fn isn(&self, key: &FlowKey, now_us: u64) -> u32 {
        let timer = (now_us / ISN_TICK_US) as u32;
        timer.wrapping_add(key.sip_2_4(self.isn) as u32)
    }

    /// The initial sequence number that answers a SYN of sequence number `irs` without any state.
    ///
    /// `mss_class` is that of [`mss_class`], `tick_min` a count of minutes.
    pub fn cookie(&self, key: &FlowKey, irs: u32, mss_class: u8, tick_min: u32) -> u32 {
        let class = u32::from(mss_class) & MSS_CLASS_MASK;
        let minute = tick_min & MINUTE_MASK;
        let [flow, mask] = self.cookie_mac(key, tick_min, class);
        let syn = mask.wrapping_add(irs) & SYN_MASK;
        minute << MINUTE_SHIFT | class << MSS_CLASS_SHIFT | syn << SYN_SHIFT | flow
    }

    /// The MSS class in `cookie`, if this host sent it in answer to `irs` one to two minutes ago at
    /// most. The handshake's last segment has `irs + 1` as sequence number and `cookie + 1` as
    /// acknowledgment.
    pub fn check(&self, key: &FlowKey, irs: u32, cookie: u32, tick_min: u32) -> Option<u8> {
        let (class, mask) = self.check_flow(key, cookie, tick_min)?;
        let syn = mask.wrapping_add(irs) & SYN_MASK;
        (syn == cookie >> SYN_SHIFT & SYN_MASK).then_some(class as u8)
    }

    /// True when `cookie` is one that this flow was sent lately, whatever its SYN was.
    pub fn is_of_flow(&self, key: &FlowKey, cookie: u32, tick_min: u32) -> bool {
        self.check_flow(key, cookie, tick_min).is_some()
    }

    /// The MSS class of a cookie and what was added to its `irs`, if age and flow are right.
    fn check_flow(&self, key: &FlowKey, cookie: u32, tick_min: u32) -> Option<(u32, u32)> {
        let age = tick_min.wrapping_sub(cookie >> MINUTE_SHIFT) & MINUTE_MASK;
        let class = cookie >> MSS_CLASS_SHIFT & MSS_CLASS_MASK;
        let [flow, mask] = self.cookie_mac(key, tick_min.wrapping_sub(age), class);
        (flow == cookie & FLOW_MASK).then_some((class, mask))
    }

    /// Where the search for a free local port begins, to be added to a counter that all connections
    /// share (RFC 6056 3.3.3, the simple hash-based algorithm). The ports of `key` that count are
    /// the remote one only.
    pub fn port_offset(&self, local: u128, remote: u128, remote_port: u16) -> u32 {
        FlowKey { remote, local, remote_port, local_port: 0 }.sip_2_4(self.port) as u32
    }

    /// What is added to the clock for the timestamps sent between two hosts (RFC 7323 5.4).
    ///
    /// It is the same for all their connections, so that the timestamps of a 4-tuple go on growing
    /// from one connection to the next, which reuse in TIME-WAIT builds on (RFC 6191 2).
    pub fn ts_offset(&self, local: u128, remote: u128) -> u32 {
        let key = FlowKey { remote, local, remote_port: 0, local_port: 0 };
        key.sip_2_4(self.timestamp) as u32
    }

    /// The key of Fast Open cookies in the epoch of this number.
    pub(crate) fn fast_open_key(&self, epoch: u64) -> FastOpenKey {
        let word = |number: u8| {
            let mut hasher = SipHasher24::new_with_keys(self.fast_open[0], self.fast_open[1]);
            hasher.write(&epoch.to_le_bytes());
            hasher.write(&[number]);
            hasher.finish().to_le_bytes()
        };
        let mut key = [0; 16];
        key[..8].copy_from_slice(&word(0));
        key[8..].copy_from_slice(&word(1));
        FastOpenKey(key)
    }

    /// The part of a cookie that is its flow's, and what is added to `irs` for the other one.
    fn cookie_mac(&self, key: &FlowKey, sent_min: u32, class: u32) -> [u32; 2] {
        let more = u64::from(sent_min) | u64::from(class) << 32;
        let mac = key.sip_2_4_with(self.cookie, more);
        [mac as u32 & FLOW_MASK, (mac >> 32) as u32]
    }
}

impl core::fmt::Debug for Secrets {
    /// Says nothing of the keys: a log must not give them away.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secrets")
    }
}

/// A Fast Open cookie (RFC 7413-4.1.2a): a MAC of the client's address and ours, in the octets that
/// they have on the wire. It is the function that Linux has, so that servers of both kinds behind
/// one address can share a key (RFC 7413 6.3.4).
pub(crate) fn fast_open_cookie(key: FastOpenKey, remote: u128, local: u128) -> [u8; 8] {
    let mut hasher = SipHasher24::new_with_key(&key.0);
    for address in [remote, local] {
        let octets = address.to_be_bytes();
        let is_v4 = address >> 32 == 0xffff;
        hasher.write(if is_v4 { &octets[12..] } else { &octets });
    }
    hasher.finish().to_le_bytes()
}

/// The class of an MSS in bytes: that of the greatest [`class_mss`] that is not above it.
///
/// Less than the least class is rounded up to it. No link has such an MSS (RFC 9293 3.7.1 takes
/// 536 when nothing is said), and one that small only makes work.
pub fn mss_class(mss: u16) -> u8 {
    let at_most = MSS_OF_CLASS.iter().filter(|&&class| class <= mss).count();
    at_most.saturating_sub(1) as u8
}

/// The MSS in bytes that stands for a class. Only the lowest three bits count.
pub fn class_mss(class: u8) -> u16 {
    MSS_OF_CLASS[usize::from(class) % MSS_OF_CLASS.len()]
}

impl SynOptions {
    /// The timestamp to send with a cookie: at most 127 ticks before `value`, never after it, so
    /// that the connection's later timestamps are not before it (RFC 7323 5.3).
    pub fn encode(self, value: u32) -> u32 {
        let scale = self.window_scale.map_or(NO_WINDOW_SCALE, |scale| scale.min(WINDOW_SCALE_MAX));
        let bits = u32::from(scale)
            | u32::from(self.sack_permitted) << SACK_SHIFT
            | u32::from(self.ecn) << ECN_SHIFT;
        let encoded = value & !OPTIONS_MASK | bits;
        let is_ahead = bits > value & OPTIONS_MASK;
        if is_ahead { encoded.wrapping_sub(OPTIONS_MASK + 1) } else { encoded }
    }

    /// The options in the echo of a timestamp that [`SynOptions::encode`] gave.
    pub fn decode(echo: u32) -> Self {
        let scale = echo as u8 & NO_WINDOW_SCALE;
        Self {
            window_scale: (scale <= WINDOW_SCALE_MAX).then_some(scale),
            sack_permitted: echo >> SACK_SHIFT & 1 != 0,
            ecn: echo >> ECN_SHIFT & 1 != 0,
        }
    }
}

/// A key for one purpose: the seed's two halves are keys themselves, under which the purpose and
/// the number of the word are hashed.
fn derive(seed: &[u8; 32], purpose: u8) -> Key {
    let (halves, _) = seed.as_chunks::<16>();
    let word = |number: u8| {
        halves.iter().fold(0, |word, half| {
            let mut hasher = SipHasher24::new_with_key(half);
            hasher.write(&[purpose, number]);
            word ^ hasher.finish()
        })
    };
    [word(0), word(1)]
}

/// RFC 6528 3: the timer counts every 4 us.
const ISN_TICK_US: u64 = 4;

const MINUTE_SHIFT: u32 = 31;
/// A cookie is good in the minute it was made in, and in the next one: one bit tells them apart.
const MINUTE_MASK: u32 = 1;
const MSS_CLASS_SHIFT: u32 = 28;
const MSS_CLASS_MASK: u32 = 7;
const SYN_SHIFT: u32 = 12;
const SYN_MASK: u32 = 0xffff;
const FLOW_MASK: u32 = 0xfff;

/// The least; the defaults of RFC 9293 3.7.1 for IPv4 and IPv6; 1,500 bytes less what tunnels take,
/// less IPv6, less IPv4; 9,000 bytes less IPv6.
const MSS_OF_CLASS: [u16; 8] = [64, 536, 1220, 1360, 1400, 1440, 1460, 8940];

const OPTIONS_MASK: u32 = 63;
const SACK_SHIFT: u32 = 4;
const ECN_SHIFT: u32 = 5;
/// RFC 7323 2.3: greater shift counts are taken for this one.
const WINDOW_SCALE_MAX: u8 = 14;
/// The four bits that say that there was no window scale option.
const NO_WINDOW_SCALE: u8 = 15;

#[cfg(test)]
mod tests;
