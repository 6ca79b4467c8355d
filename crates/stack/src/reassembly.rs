//! Datagrams in pieces, until they are whole (RFC 791 3.2, RFC 1122 3.3.2, RFC 8200 4.5).
//!
//! ```text
//!   fragment ──> take ──┬─> waits for the others, in a block of its datagram's own
//!                       ├─> the last one: complete ──> a frame
//!                       └─> fits no datagram: that one is ruined (RFC 5722)
//! ```
//!
//! Anybody can send first fragments of datagrams that never end, so everything has a limit: the
//! datagrams, the octets and the pieces of each, those of one sender, and the time. The work for
//! a fragment is one look at each datagram's entry and at each piece of its own (what the Linux
//! kernel learned from CVE-2018-5391). When a limit is reached the oldest gives way: the sender's
//! own, if it is the sender that has too many.
//!
//! What becomes of a whole datagram is no business of this room.

use crate::arrival::ECN_CE;
use crate::counters::Drop;
use crate::path::Link;
use alloc::boxed::Box;
use alloc::vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use crore_mem::{BlockId, Memory, MemoryError, Pool, PoolClass};
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::{Protocol, ipv4, ipv6, tcp};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Limits of datagrams that arrive in fragments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReassemblyLimits {
    /// Datagrams of all senders together; 0: fragments are dropped.
    pub datagrams_max: u32,
    /// Octets of each of them, at most; as many as the link takes in one packet at least.
    pub bytes_max: u32,
    /// How long the rest of such a datagram may take (RFC 1122-3.3.2c: one to two minutes).
    pub timeout_ms: u32,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self { datagrams_max: 64, bytes_max: 9216, timeout_ms: 60_000 }
    }
}

impl ReassemblyLimits {
    /// Refuses what cannot work, saying why.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.datagrams_max > DATAGRAMS_LIMIT {
            return Err("reassembly: at most 1,024 datagrams, for each fragment looks at all");
        }
        if !(15_000..=120_000).contains(&self.timeout_ms) {
            return Err("reassembly: a timeout between 15 s and 2 min (RFC 1122 3.3.2)");
        }
        if self.bytes_max > DATAGRAM_BYTES_MAX {
            return Err("reassembly: at most 65,000 octets");
        }
        Ok(())
    }
}

/// A fragment, its headers checked and taken off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) src: u128,
    pub(crate) dst: u128,
    pub(crate) ident: u32,
    /// What the datagram carries; of IPv6's fragments only the first one knows (RFC 8200 4.5).
    pub(crate) protocol: Protocol,
    /// Where it belongs, in octets.
    pub(crate) offset: usize,
    /// It is not the last one.
    pub(crate) more: bool,
    pub(crate) octets: &'a [u8],
    /// The hardware address that it came from.
    pub(crate) mac: [u8; 6],
    /// Differentiated services and ECN.
    pub(crate) class: u8,
}

/// The datagrams that wait.
#[derive(Debug)]
pub(crate) struct Reassembly {
    pool: Pool<Datagram>,
    entries: Box<[Entry]>,
    in_use: usize,
    per_sender: usize,
    bytes_max: usize,
    timeout_ms: u32,
    /// Datagrams that gave way to others before they were whole or out of time.
    pub(crate) evicted: u64,
}

/// All that must be looked at to find a datagram.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The sender: an IPv4 address, or an IPv6 prefix of 64 bits.
    sender: u64,
    tag: u32,
    /// The tick of its first fragment to arrive (RFC 1122 3.3.2: no later one prolongs it).
    begun: u32,
    block: BlockId,
}

/// A datagram, in front of its octets.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Datagram {
    src: [u64; 2],
    dst: [u64; 2],
    ident: u32,
    /// Octets in all; 0 while the last fragment is missing.
    total: u16,
    /// Octets that are here.
    octets: u16,
    mac: [u8; 6],
    protocol: u8,
    class: u8,
    /// Bit `n`: a fragment came with the ECN field `n` (RFC 3168 5.3).
    ecn_seen: u8,
    /// 1: a fragment did not fit. Those that still come are dropped as well (RFC 5722).
    ruined: u8,
    count: u16,
    /// Where each fragment begins, and how many octets it has.
    pieces: [[u16; 2]; PIECES_MAX],
    _reserved: [u8; 4],
}

impl Reassembly {
    /// Room for datagrams within these limits; those that fit the link in one fit here too.
    pub(crate) fn new(
        memory: &mut Memory,
        limits: &ReassemblyLimits,
        mtu: u16,
    ) -> Result<Self, MemoryError> {
        let ReassemblyLimits { datagrams_max: datagrams, timeout_ms, .. } = *limits;
        let bytes_max = limits.bytes_max.max(mtu.into()).min(DATAGRAM_BYTES_MAX);
        let class = PoolClass { payload_bytes: HEADROOM as u32 + bytes_max, count: datagrams };
        let free = Entry { sender: 0, tag: 0, begun: 0, block: BlockId::NONE };
        Ok(Self {
            pool: memory.pool("reassembly", &[class])?,
            entries: vec![free; datagrams as usize].into_boxed_slice(),
            in_use: 0,
            per_sender: (datagrams as usize / SENDER_SHARE).max(1),
            bytes_max: bytes_max as usize,
            timeout_ms,
            evicted: 0,
        })
    }

    /// True when nothing waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.in_use == 0
    }

    /// The octets that the frame of a whole datagram can have.
    pub(crate) fn frame_bytes_max(&self) -> usize {
        HEADROOM + self.bytes_max
    }

    /// Takes in a fragment (RFC 1122-3.3.2a, RFC 8200-4.5a). Returns the datagram's place when it
    /// is whole now.
    pub(crate) fn take(&mut self, piece: &Piece<'_>, tick: u32) -> Result<Option<usize>, Drop> {
        let unit = piece.octets.len().is_multiple_of(8) || !piece.more;
        if piece.octets.is_empty() || !unit {
            return Err(Drop::Fragment);
        }
        let place = match self.find(piece) {
            Some(place) => place,
            None => self.begin(piece, tick),
        };
        let id = self.entries[place].block;
        let (datagram, payload) = self.pool.parts_mut(id);
        if datagram.ruined != 0 {
            return Err(Drop::Fragment);
        }
        match datagram.fit(piece, &payload[HEADROOM..], self.bytes_max) {
            Fit::Yes => {}
            Fit::Repeat => return Err(Drop::FragmentRepeat),
            Fit::No => {
                datagram.ruined = 1;
                return Err(Drop::Fragment);
            }
        }
        let at = HEADROOM + piece.offset;
        payload[at..at + piece.octets.len()].copy_from_slice(piece.octets);
        datagram.add(piece);
        Ok((datagram.total != 0 && datagram.octets == datagram.total).then_some(place))
    }

    /// Writes the frame of a whole datagram, as if it had come in one, and forgets the datagram.
    /// The hop limit is such that nobody takes it for a neighbour's (RFC 6980-5).
    pub(crate) fn complete(&mut self, place: usize, link: Link, out: &mut [u8]) -> usize {
        let id = self.entries[place].block;
        let datagram = *self.pool.header(id);
        let len = usize::from(datagram.octets);
        let at = datagram.write_headers(link, len, None, out);
        out[at..at + len].copy_from_slice(&self.pool.payload(id)[HEADROOM..HEADROOM + len]);
        self.forget(place);
        at + len
    }

    /// A datagram that ran out of time is forgotten. Returns its place and whether its beginning
    /// was there, which [`Reassembly::quote`] can give until then.
    pub(crate) fn overdue(&self, tick: u32) -> Option<usize> {
        let late = |entry: &Entry| {
            entry.block != BlockId::NONE && tick.wrapping_sub(entry.begun) >= self.timeout_ms
        };
        self.entries.iter().position(late)
    }

    /// What an ICMP error about a datagram says of it: who sent it, whom it was for, from which
    /// hardware address, and up to `most` octets of its first fragment from the IP header on; none
    /// when that fragment is not there (RFC 1122 3.3.2, RFC 8200 4.5).
    pub(crate) fn quote(&self, place: usize, most: usize, out: &mut [u8]) -> Option<Quote> {
        let id = self.entries[place].block;
        let datagram = *self.pool.header(id);
        let first = datagram.pieces().iter().find(|piece| piece[0] == 0)?;
        if datagram.ruined != 0 {
            return None;
        }
        let len = usize::from(first[1]);
        let link = Link::new([0; 6], None);
        let at = datagram.write_headers(link, len, Some(()), out);
        let shown = len.min(most.saturating_sub(at - ethernet::HEADER_LEN));
        out[at..at + shown].copy_from_slice(&self.pool.payload(id)[HEADROOM..HEADROOM + shown]);
        out.copy_within(ethernet::HEADER_LEN..at + shown, 0);
        let len = at + shown - ethernet::HEADER_LEN;
        Some(Quote { src: join(datagram.src), dst: join(datagram.dst), mac: datagram.mac, len })
    }

    /// Gives a datagram's place back.
    pub(crate) fn forget(&mut self, place: usize) {
        let id = core::mem::replace(&mut self.entries[place].block, BlockId::NONE);
        self.pool.free(id);
        self.in_use -= 1;
    }

    fn find(&self, piece: &Piece<'_>) -> Option<usize> {
        let tag = piece.tag();
        let is_it = |entry: &Entry| {
            entry.block != BlockId::NONE
                && entry.tag == tag
                && self.pool.header(entry.block).is_of(piece)
        };
        self.entries.iter().position(is_it)
    }

    /// A new datagram, in place of the oldest one when there is no room, or when its sender has its
    /// share already.
    fn begin(&mut self, piece: &Piece<'_>, tick: u32) -> usize {
        let sender = piece.sender();
        let used = |entry: &Entry| entry.block != BlockId::NONE;
        let own = |entry: &Entry| used(entry) && entry.sender == sender;
        let mine = self.entries.iter().filter(|entry| own(entry)).count();
        let place = if mine >= self.per_sender {
            self.oldest(tick, own)
        } else if self.in_use == self.entries.len() {
            self.oldest(tick, used)
        } else {
            self.entries.iter().position(|entry| !used(entry)).unwrap_or(0)
        };
        if used(&self.entries[place]) {
            self.evicted += 1;
            self.forget(place);
        }
        let id = self.pool.alloc(1).expect("as many blocks as entries");
        *self.pool.header_mut(id) = Datagram::of(piece);
        self.entries[place] = Entry { sender, tag: piece.tag(), begun: tick, block: id };
        self.in_use += 1;
        place
    }

    fn oldest(&self, tick: u32, among: impl Fn(&Entry) -> bool) -> usize {
        let candidates = self.entries.iter().enumerate().filter(|(_, entry)| among(entry));
        candidates.max_by_key(|(_, entry)| tick.wrapping_sub(entry.begun)).map_or(0, |(at, _)| at)
    }
}

/// See [`Reassembly::quote`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote {
    pub(crate) src: u128,
    pub(crate) dst: u128,
    pub(crate) mac: [u8; 6],
    pub(crate) len: usize,
}

/// How a fragment fits the others of its datagram.
enum Fit {
    Yes,
    /// It is here already, octet for octet.
    Repeat,
    /// It overlaps another one, or lies beyond the end, or there are too many.
    No,
}

impl Datagram {
    fn of(piece: &Piece<'_>) -> Self {
        let mut datagram = Self::new_zeroed();
        datagram.src = split(piece.src);
        datagram.dst = split(piece.dst);
        datagram.ident = piece.ident;
        datagram.protocol = piece.protocol.0;
        datagram
    }

    fn is_v4(&self) -> bool {
        join(self.src) >> 32 == 0xffff
    }

    /// RFC 791 3.2: source, destination, protocol and identification; RFC 8200 4.5: no protocol.
    fn is_of(&self, piece: &Piece<'_>) -> bool {
        self.src == split(piece.src)
            && self.dst == split(piece.dst)
            && self.ident == piece.ident
            && (!self.is_v4() || self.protocol == piece.protocol.0)
    }

    fn pieces(&self) -> &[[u16; 2]] {
        &self.pieces[..usize::from(self.count)]
    }

    fn fit(&self, piece: &Piece<'_>, there: &[u8], bytes_max: usize) -> Fit {
        let (start, end) = (piece.offset, piece.offset + piece.octets.len());
        for &[at, len] in self.pieces() {
            let (at, len) = (usize::from(at), usize::from(len));
            if (start, end) == (at, at + len) && there[start..end] == *piece.octets {
                return Fit::Repeat;
            }
            // RFC 5722-4, RFC 8200-4.5c: the whole datagram goes, and the same for IPv4.
            if start < at + len && at < end {
                return Fit::No;
            }
        }
        let total = usize::from(self.total);
        let beyond = total != 0 && (end > total || !piece.more || end == total);
        let cut = !piece.more
            && self.pieces().iter().any(|&[at, len]| usize::from(at) + usize::from(len) > end);
        let too_large = end > bytes_max;
        let too_many = self.pieces().len() == PIECES_MAX;
        if beyond || cut || too_large || too_many || !holds_header(piece) {
            return Fit::No;
        }
        Fit::Yes
    }

    fn add(&mut self, piece: &Piece<'_>) {
        let (at, len) = (piece.offset as u16, piece.octets.len() as u16);
        self.pieces[usize::from(self.count)] = [at, len];
        self.count += 1;
        self.octets += len;
        self.ecn_seen |= 1 << (piece.class & 3);
        if !piece.more {
            self.total = at + len;
        }
        if piece.offset == 0 {
            self.mac = piece.mac;
            self.protocol = piece.protocol.0;
            self.class = piece.class;
        }
    }

    /// RFC 3168 5.3: a mark on one fragment is a mark on the datagram.
    fn class(&self) -> u8 {
        if self.ecn_seen & 1 << ECN_CE != 0 { self.class | ECN_CE } else { self.class }
    }

    /// Ethernet and IP headers for `len` octets; with `fragment` those of the first fragment.
    fn write_headers(&self, link: Link, len: usize, fragment: Option<()>, out: &mut [u8]) -> usize {
        let ether_type = if self.is_v4() { EtherType::IPV4 } else { EtherType::IPV6 };
        let (dst, src) = (MacAddr(link.mac), MacAddr(self.mac));
        let at = ethernet::Header { dst, src, vlan: link.vlan, ether_type }.write(out);
        if self.is_v4() {
            let header = ipv4::Header {
                src: Ipv4Addr::from_bits(join(self.src) as u32),
                dst: Ipv4Addr::from_bits(join(self.dst) as u32),
                protocol: Protocol(self.protocol),
                ttl: HOP_LIMIT,
                dscp_ecn: self.class(),
                ident: self.ident as u16,
                dont_fragment: false,
                more_fragments: fragment.is_some(),
                fragment_offset: 0,
                payload_len: len as u16,
            };
            return at + header.write(&mut out[at..]);
        }
        let extra = if fragment.is_some() { ipv6::FRAGMENT_HEADER_LEN } else { 0 };
        let protocol = Protocol(self.protocol);
        let header = ipv6::Header {
            src: Ipv6Addr::from_bits(join(self.src)),
            dst: Ipv6Addr::from_bits(join(self.dst)),
            next_header: if fragment.is_some() { Protocol::FRAGMENT } else { protocol },
            hop_limit: HOP_LIMIT,
            traffic_class: self.class(),
            flow_label: 0,
            payload_len: (len + extra) as u16,
        };
        let at = at + header.write(&mut out[at..]);
        if fragment.is_some() {
            let fragment = ipv6::Fragment { offset: 0, more: true, ident: self.ident };
            fragment.write(protocol, &mut out[at..]);
        }
        at + extra
    }
}

impl Piece<'_> {
    fn tag(&self) -> u32 {
        let fold = |address: u128| (address ^ address >> 64) as u64;
        let ends = fold(self.src) ^ fold(self.dst).rotate_left(17);
        (ends ^ ends >> 32) as u32 ^ self.ident
    }

    fn sender(&self) -> u64 {
        let is_v4 = self.src >> 32 == 0xffff;
        if is_v4 { self.src as u64 } else { (self.src >> 64) as u64 }
    }
}

/// RFC 1858, RFC 3128, RFC 7112-5: the first fragment has all headers up to the transport's ports,
/// flags and options, and no other fragment reaches into them: what filters looked at is what
/// arrives.
fn holds_header(piece: &Piece<'_>) -> bool {
    let is_v4 = piece.src >> 32 == 0xffff;
    if piece.offset > 0 {
        return !is_v4 || piece.protocol != Protocol::TCP || piece.offset >= tcp::MIN_HEADER_LEN;
    }
    let (protocol, rest) = if is_v4 {
        (piece.protocol, piece.octets)
    } else {
        match ipv6::skip_extensions(piece.protocol, piece.octets) {
            Ok((protocol, rest, None)) => (protocol, rest),
            _ => return false,
        }
    };
    match protocol {
        Protocol::TCP => rest.get(12).is_some_and(|&byte| {
            let len = usize::from(byte >> 4) * 4;
            len >= tcp::MIN_HEADER_LEN && rest.len() >= len
        }),
        Protocol::ICMP | Protocol::ICMPV6 => rest.len() >= 8,
        _ => false,
    }
}

fn split(address: u128) -> [u64; 2] {
    [address as u64, (address >> 64) as u64]
}

fn join(halves: [u64; 2]) -> u128 {
    u128::from(halves[1]) << 64 | u128::from(halves[0])
}

/// Datagrams, at most.
const DATAGRAMS_LIMIT: u32 = 1024;

/// Octets of a datagram, at most: with its headers it is no longer than offsets in a frame can say.
const DATAGRAM_BYTES_MAX: u32 = 65_000;

/// Fragments of one datagram. The largest that honest senders make of a segment are three.
const PIECES_MAX: usize = 16;

/// A sender has this share of the datagrams at most.
const SENDER_SHARE: usize = 8;

/// Room for the headers of a whole datagram's frame.
const HEADROOM: usize = 64;

/// Of the headers that we write: not a neighbour's.
const HOP_LIMIT: u8 = 64;

const _: () = assert!(
    ethernet::HEADER_LEN + ethernet::TAG_LEN + ipv6::HEADER_LEN <= HEADROOM,
    "the headers fit"
);
