//! The frame that nearly all are, looked at once and written in one go: Ethernet without a tag,
//! IPv4 without options and whole, TCP with no option, with timestamps alone, or with the four
//! options that nearly every SYN and its answer have.
//!
//! ```text
//!   0    6    12   14 15  16  18 20 22  23 24  26  30  34        46 48 50 52 54
//!   | to | by |type|45|tos|len|id|DF|ttl|6|sum|src|dst|ports seq ack|..|win|sum|urg| timestamps |
//! ```
//!
//! It says what the parsers of the three protocols say together, or nothing: then they say why.
//! One check of the length lets the rest read fields at fixed places.

use core::net::Ipv4Addr;

use crate::checksum::{self, Sum};
use crate::ethernet::{EtherType, MacAddr};
use crate::tcp::{Flags, Timestamps, UsualSyn};
use crate::{Protocol, tcp};

/// What a plain frame that is to be written says, but for its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whom it is for on the link.
    pub to: Receiver,
    /// DSCP (upper 6 bits) and ECN (lower 2 bits).
    pub traffic_class: u8,
    /// Who sent the packet.
    pub src: Ipv4Addr,
    /// Whom it is for.
    pub dst: Ipv4Addr,
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgment number; valid with ACK.
    pub ack: u32,
    /// The control bits.
    pub flags: Flags,
    /// The window as it stands in the header.
    pub window: u16,
    /// The options.
    pub options: Options,
}

/// The options of a plain frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Options {
    /// None.
    None,
    /// Timestamps, behind two NOPs.
    Timestamps(Timestamps),
    /// All that a SYN has, in the order of Linux.
    Syn(UsualSyn),
}

impl Options {
    /// The same, for options that are one of these kinds.
    #[inline]
    pub fn of(options: &tcp::Options) -> Option<Self> {
        if options.is_empty_but_timestamps() {
            return Some(options.timestamps.map_or(Self::None, Self::Timestamps));
        }
        UsualSyn::of(options).map(Self::Syn)
    }

    /// The timestamps option.
    #[inline]
    pub fn timestamps(&self) -> Option<Timestamps> {
        match *self {
            Self::None => None,
            Self::Timestamps(timestamps) | Self::Syn(UsualSyn { timestamps, .. }) => {
                Some(timestamps)
            }
        }
    }

    #[inline]
    fn header_len(&self) -> usize {
        match self {
            Self::None => tcp::MIN_HEADER_LEN,
            Self::Timestamps(_) => WITH_TIMESTAMPS_LEN,
            Self::Syn(_) => OF_SYN_LEN,
        }
    }
}

/// A frame that was looked at and is plain: its fields are read where they are needed.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    h: &'a [u8; HEADERS_LEN],
    segment: &'a [u8],
    header_len: usize,
    /// Value above echo; zeros when there are none.
    timestamps: u64,
}

impl<'a> View<'a> {
    /// Looks at a frame and verifies both checksums; what follows the payload is padding. `None`:
    /// it is of another kind, or damaged.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "its fields are in registers where it is called")]
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        let h = frame.first_chunk::<HEADERS_LEN>()?;
        if le32(h, 12) & KIND_MASK != KIND || le32(h, 20) & WHOLE_MASK != WHOLE {
            return None;
        }
        let segment_len =
            usize::from(be16(h, PACKET_AT + 2)).checked_sub(SEGMENT_AT - PACKET_AT)?;
        let segment = frame.get(SEGMENT_AT..SEGMENT_AT + segment_len)?;
        // RFC 791 3.1: five words of header. Both sums have the addresses.
        let addresses = Sum::ZERO.add_u64(be64(h, PACKET_AT + 12));
        let ip = addresses.add_u64(be64(h, PACKET_AT)).add_u32(be32(h, PACKET_AT + 8));
        if !checksum::verify(ip) {
            return None;
        }
        let rest = TCP << 16 | segment_len as u32;
        let sum = addresses.add_u32(rest);
        let header_len = usize::from(h[SEGMENT_AT + 12] >> 4) * 4;
        let (timestamps, sum) = if header_len == WITH_TIMESTAMPS_LEN {
            let (header, payload) = segment.split_first_chunk::<WITH_TIMESTAMPS_LEN>()?;
            tcp::timestamps_alone(header)?;
            let sum = sum.add_chain(header).add_bytes(payload);
            (be64(header, WITH_TIMESTAMPS_LEN - 8), sum)
        } else if header_len == tcp::MIN_HEADER_LEN && segment_len >= header_len {
            (0, sum.add_bytes(segment))
        } else if header_len == OF_SYN_LEN {
            let (header, payload) = segment.split_first_chunk::<OF_SYN_LEN>()?;
            let (_, options) = header.split_at(tcp::MIN_HEADER_LEN);
            UsualSyn::parse(options)?;
            let sum = sum.add_chain(header).add_bytes(payload);
            (be64(header, OF_SYN_LEN - 12), sum)
        } else {
            return None;
        };
        checksum::verify(sum).then_some(Self { h, segment, header_len, timestamps })
    }

    /// True when it is for this address, as [`View::link_word`] puts it.
    #[inline]
    pub fn is_for(&self, word: u64) -> bool {
        le64(self.h, 0) << 16 == word
    }

    /// What a frame for `mac` has in front; no frame has what there is for none.
    #[inline]
    pub fn link_word(mac: Option<MacAddr>) -> u64 {
        mac.map_or(u64::MAX, |MacAddr(m)| {
            u64::from_le_bytes([0, 0, m[0], m[1], m[2], m[3], m[4], m[5]])
        })
    }

    /// Whom it is for on the link.
    #[inline]
    pub fn mac(&self) -> MacAddr {
        let h = self.h;
        MacAddr([h[0], h[1], h[2], h[3], h[4], h[5]])
    }

    /// DSCP (upper 6 bits) and ECN (lower 2 bits).
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        self.h[PACKET_AT + 1]
    }

    /// Who sent the packet.
    #[inline]
    pub fn src(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(be32(self.h, PACKET_AT + 12))
    }

    /// Whom it is for.
    #[inline]
    pub fn dst(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(be32(self.h, PACKET_AT + 16))
    }

    /// The sender's port, above the receiver's.
    #[inline]
    pub fn ports(&self) -> u32 {
        be32(self.h, SEGMENT_AT)
    }

    /// The sequence number, above the acknowledgment number.
    #[inline]
    pub fn seq_ack(&self) -> u64 {
        be64(self.h, SEGMENT_AT + 4)
    }

    /// The control bits.
    #[inline]
    pub fn flags(&self) -> Flags {
        Flags(self.h[SEGMENT_AT + 13])
    }

    /// The window as it stands in the header.
    #[inline]
    pub fn window(&self) -> u16 {
        be16(self.h, SEGMENT_AT + 14)
    }

    /// The timestamps option.
    #[inline]
    pub fn timestamps(&self) -> Option<Timestamps> {
        self.has_timestamps().then_some(self.timestamps_or_zeros())
    }

    /// True when there is a timestamps option.
    #[inline]
    pub fn has_timestamps(&self) -> bool {
        self.header_len != tcp::MIN_HEADER_LEN
    }

    /// The timestamps option; zeros when there is none.
    #[inline]
    pub fn timestamps_or_zeros(&self) -> Timestamps {
        Timestamps { value: (self.timestamps >> 32) as u32, echo: self.timestamps as u32 }
    }

    /// The options.
    #[inline]
    pub fn options(&self) -> Options {
        if self.header_len == OF_SYN_LEN
            && let Some(syn) = self.segment.get(tcp::MIN_HEADER_LEN..OF_SYN_LEN)
            && let Some(usual) = UsualSyn::parse(syn)
        {
            return Options::Syn(usual);
        }
        self.timestamps().map_or(Options::None, Options::Timestamps)
    }

    /// Where the payload begins in the frame.
    #[inline]
    pub fn payload_at(&self) -> usize {
        SEGMENT_AT + self.header_len
    }

    /// How long the payload is.
    #[inline]
    pub fn payload_len(&self) -> usize {
        self.segment.len() - self.header_len
    }
}

/// Whom a frame is for, as it lies in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver(u64);

impl Receiver {
    /// Who has this address on the link.
    #[inline]
    pub const fn new(MacAddr(m): MacAddr) -> Self {
        Self(u64::from_le_bytes([m[0], m[1], m[2], m[3], m[4], m[5], 0, 0]))
    }
}

/// Who sends a frame of IPv4: the address and the type, as they lie in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender(u64);

impl Sender {
    /// Who has this address on the link.
    #[inline]
    pub const fn new(MacAddr(m): MacAddr) -> Self {
        let [high, low] = EtherType::IPV4.0.to_be_bytes();
        Self(u64::from_le_bytes([m[0], m[1], m[2], m[3], m[4], m[5], high, low]))
    }
}

impl Frame {
    /// Writes the frame around `payload` to the front of `out`, with both sums, and says how long
    /// it is. It is sent `by` that address.
    ///
    /// Each word is turned once, for its place and for the sum, and its register is free again
    /// before the payload is read, once, for its copy and its sum together.
    ///
    /// # Panics
    /// When `out` is shorter than the frame, or than its longest header.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "every field is at hand where it is called")]
    pub fn write(&self, by: Sender, ttl: u8, payload: &[u8], out: &mut [u8]) -> usize {
        let Some(h) = out.first_chunk_mut::<HEADERS_MAX>() else {
            panic!("no room for the headers of a frame");
        };
        // Two bytes longer than the address: the sender's go over them.
        h[0..8].copy_from_slice(&self.to.0.to_le_bytes());
        h[6..14].copy_from_slice(&by.0.to_le_bytes());
        let header_len = self.options.header_len();
        let segment_len = header_len + payload.len();
        let first = u32::from(VERSION_AND_LEN) << 8 | u32::from(self.traffic_class);
        let total_len = (SEGMENT_AT - PACKET_AT + segment_len) as u32;
        let (src, dst) = (u64::from(self.src.to_bits()), u64::from(self.dst.to_bits()));
        let addresses = put64(h, PACKET_AT + 12, src << 32 | dst);
        let fields = put32(h, PACKET_AT, first << 16 | total_len)
            + put32(h, PACKET_AT + 4, DONT_FRAGMENT)
            + put32(h, PACKET_AT + 8, u32::from(ttl) << 24 | TCP << 16);
        let ip = Sum::ZERO.add_words([addresses, fields].into_iter()).finish();
        h[PACKET_AT + 10..PACKET_AT + 12].copy_from_slice(&ip.to_be_bytes());
        let (more, timestamps) = self.write_options(h);
        let ports = u32::from(self.src_port) << 16 | u32::from(self.dst_port);
        let control = (header_len as u32 / 4) << 28 | u32::from(self.flags.0) << 16;
        let fields = put32(h, SEGMENT_AT, ports)
            + put32(h, SEGMENT_AT + 12, control | u32::from(self.window))
            + u64::from((TCP << 16 | segment_len as u32).to_be())
            + more;
        let seq_ack = u64::from(self.seq) << 32 | u64::from(self.ack);
        let seq_ack = put64(h, SEGMENT_AT + 4, seq_ack);
        let sum = Sum::ZERO.add_words([addresses, seq_ack, timestamps, fields].into_iter());
        let start = SEGMENT_AT + header_len;
        let end = start + payload.len();
        let sum = sum.add_copied(payload, &mut out[start..end]);
        let sum = u32::from(sum.finish()) << 16;
        out[SEGMENT_AT + 16..SEGMENT_AT + 20].copy_from_slice(&sum.to_be_bytes());
        end
    }

    /// Writes the options; gives them as words of a sum, the first one of small numbers.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "one call")]
    fn write_options(&self, h: &mut [u8; HEADERS_MAX]) -> (u64, u64) {
        let at = SEGMENT_AT + tcp::MIN_HEADER_LEN;
        match self.options {
            Options::None => (0, 0),
            Options::Timestamps(Timestamps { value, echo }) => (
                put32(h, at, tcp::TIMESTAMPS_PREFIX),
                put64(h, at + 4, u64::from(value) << 32 | u64::from(echo)),
            ),
            Options::Syn(usual) => {
                let words = usual.words();
                ((0..words.len()).map(|i| put32(h, at + 4 * i, words[i])).sum(), 0)
            }
        }
    }
}

/// Stores a word, and gives it as it lies there: a part of a sum, to which others can be added
/// without a carry.
#[inline(always)]
#[expect(clippy::inline_always, reason = "two instructions")]
fn put32(h: &mut [u8; HEADERS_MAX], at: usize, word: u32) -> u64 {
    h[at..at + 4].copy_from_slice(&word.to_be_bytes());
    u64::from(word.to_be())
}

/// Stores two words, and gives them as they lie there.
#[inline(always)]
#[expect(clippy::inline_always, reason = "two instructions")]
fn put64(h: &mut [u8; HEADERS_MAX], at: usize, words: u64) -> u64 {
    h[at..at + 8].copy_from_slice(&words.to_be_bytes());
    words.to_be()
}

#[inline]
fn be16(h: &[u8; HEADERS_LEN], at: usize) -> u16 {
    u16::from_be_bytes([h[at], h[at + 1]])
}

#[inline]
fn be32(h: &[u8; HEADERS_LEN], at: usize) -> u32 {
    u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]])
}

#[inline]
fn be64<const LEN: usize>(h: &[u8; LEN], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&h[at..at + 8]);
    u64::from_be_bytes(word)
}

/// In the order of the machine's own numbers: for comparisons.
#[inline]
fn le32(h: &[u8; HEADERS_LEN], at: usize) -> u32 {
    be32(h, at).swap_bytes()
}

#[inline]
fn le64(h: &[u8; HEADERS_LEN], at: usize) -> u64 {
    be64(h, at).swap_bytes()
}

/// Where the packet begins in the frame.
const PACKET_AT: usize = 14;
/// Where the segment begins in the frame.
pub const SEGMENT_AT: usize = PACKET_AT + 20;
const HEADERS_LEN: usize = SEGMENT_AT + tcp::MIN_HEADER_LEN;
/// Bytes of headers in front of a payload, at most.
const HEADERS_MAX: usize = SEGMENT_AT + OF_SYN_LEN;
/// What four bytes from the Ethernet header's type on must have: IPv4, and its version and length.
const KIND: u32 = u32::from_le_bytes([8, 0, VERSION_AND_LEN, 0]);
const KIND_MASK: u32 = u32::from_le_bytes([0xff, 0xff, 0xff, 0]);
/// And the four from the flags on: no more fragments and no offset, and TCP.
const WHOLE: u32 = u32::from_le_bytes([0, 0, 0, Protocol::TCP.0]);
const WHOLE_MASK: u32 = u32::from_le_bytes([0x3f, 0xff, 0, 0xff]);
/// A packet that may not be fragmented, with no identification (RFC 6864 4.1).
const DONT_FRAGMENT: u32 = 1 << 14;
const TCP: u32 = Protocol::TCP.0 as u32;
/// A TCP header with a SYN's options.
const OF_SYN_LEN: usize = tcp::MIN_HEADER_LEN + UsualSyn::LEN;
/// A TCP header with timestamps and nothing else.
const WITH_TIMESTAMPS_LEN: usize = 32;
/// Version 4, five words.
const VERSION_AND_LEN: u8 = 0x45;

#[cfg(test)]
mod tests;
