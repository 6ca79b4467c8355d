//! Segments of one connection that follow one another in a burst, as one: the header that stands
//! for all of them, from which the kernel or the interface makes each one's again (TCP segmentation
//! offload).
//!
//! ```text
//!   in the burst   |eth ip tcp|payload|  |eth ip tcp|payload|  |eth ip tcp|pay|
//!   as one         |eth ip tcp|payload|payload|pay|              first header, length of all
//! ```
//!
//! Only what comes out as it went in is joined: the headers may differ in nothing but what
//! segmentation makes anew, lengths, sequence number, checksums and the flags that belong to the
//! last. (It counts the IPv4 identification up as well, which says nothing about packets that may
//! not be cut: RFC 6864 4.1.)

use crore_wire::checksum::{self, Sum};
use crore_wire::ethernet::{self, EtherType};
use crore_wire::tcp::{self, Flags};
use crore_wire::{Protocol, ipv4, ipv6};

/// A run as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    family: Family,
    /// Where TCP's header begins, and the payload.
    tcp: usize,
    payload: usize,
    /// The pseudo header without the length.
    pseudo: Sum,
    /// Octets of payload in each segment but the last, which may have fewer.
    segment_bytes: usize,
    payload_bytes: usize,
    segments: usize,
    next_seq: u32,
    flags: Flags,
    /// The last segment was the last that may be.
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Run {
    /// A run that begins with this frame; `None` when nothing can follow it.
    pub(super) fn from(first: &[u8]) -> Option<Self> {
        let (ether, packet) = ethernet::Header::parse(first).ok()?;
        let ip = ether.header_len();
        let (family, pseudo, ip_len, segment) = match ether.ether_type {
            EtherType::IPV4 => {
                let (header, segment) = ipv4::Header::parse(packet).ok()?;
                let pseudo = Sum::pseudo_v4(header.src, header.dst, header.protocol, 0);
                let whole = header.protocol == Protocol::TCP && !header.is_fragment();
                whole.then_some((Family::V4, pseudo, header.header_len(), segment))?
            }
            EtherType::IPV6 => {
                let (header, segment) = ipv6::Header::parse(packet).ok()?;
                let pseudo = Sum::pseudo_v6(header.src, header.dst, header.next_header, 0);
                let whole = header.next_header == Protocol::TCP;
                whole.then_some((Family::V6, pseudo, ipv6::HEADER_LEN, segment))?
            }
            _ => return None,
        };
        let (header, payload) = tcp::Header::parse(segment).ok()?;
        let rest = header.flags.without(Flags::ECE);
        let plain = ether.vlan.is_none() && rest == Flags::ACK && !payload.is_empty();
        // Bytes behind the packet would be payload of the joined one.
        let exact = ip + ip_len + segment.len() == first.len();
        (plain && exact).then_some(Self {
            family,
            tcp: ip + ip_len,
            payload: first.len() - payload.len(),
            pseudo,
            segment_bytes: payload.len(),
            payload_bytes: payload.len(),
            segments: 1,
            next_seq: header.seq.wrapping_add(payload.len() as u32),
            flags: header.flags,
            is_over: false,
        })
    }

    /// Takes `frame` as the next one, after `first`; false when it does not belong to the run.
    pub(super) fn take(&mut self, first: &[u8], frame: &[u8]) -> bool {
        let bytes = frame.len().saturating_sub(self.payload);
        let fits = bytes > 0
            && bytes <= self.segment_bytes
            && self.segments < SEGMENTS_MAX
            && self.payload + self.payload_bytes + bytes <= PACKET_BYTES_MAX;
        if self.is_over || !fits || !self.is_alike(first, frame) {
            return false;
        }
        let flags = Flags(frame[self.tcp + FLAGS]);
        let last = flags.without(LAST_ONES) != self.flags.without(LAST_ONES);
        let seq = self.tcp + SEQ;
        if last || frame[seq..seq + 4] != self.next_seq.to_be_bytes() {
            return false;
        }
        self.flags = flags;
        self.is_over = bytes < self.segment_bytes || flags.intersects(LAST_ONES);
        self.next_seq = self.next_seq.wrapping_add(bytes as u32);
        self.payload_bytes += bytes;
        self.segments += 1;
        true
    }

    /// The headers are the same in what each segment has of its own neither before nor after.
    fn is_alike(&self, first: &[u8], frame: &[u8]) -> bool {
        let (ip, tcp) = (ethernet::HEADER_LEN, self.tcp);
        let same = |from: usize, to: usize| first[from..to] == frame[from..to];
        let ip_is_alike = match self.family {
            // All but total length, identification and checksum.
            Family::V4 => same(0, ip + 2) && same(ip + 6, ip + 10) && same(ip + 12, tcp),
            // All but the payload's length.
            Family::V6 => same(0, ip + 4) && same(ip + 6, tcp),
        };
        // All but sequence number, flags and checksum.
        ip_is_alike
            && same(tcp, tcp + SEQ)
            && same(tcp + 8, tcp + FLAGS)
            && same(tcp + 14, tcp + CHECKSUM)
            && same(tcp + 18, self.payload)
            && self.length_in(frame) == frame.len() - self.length_starts()
    }

    /// The header that stands for all, in front of `out`; returns its length.
    pub(super) fn write_header(&self, first: &[u8], out: &mut [u8; HEADER_BYTES_MAX]) -> usize {
        let out = &mut out[..self.payload];
        out.copy_from_slice(&first[..self.payload]);
        let len = self.payload + self.payload_bytes - self.length_starts();
        let at = self.length_at();
        let old = self.length_in(first);
        out[at..at + 2].copy_from_slice(&(len as u16).to_be_bytes());
        if self.family == Family::V4 {
            let at = ethernet::HEADER_LEN + 10;
            let before = u16::from_be_bytes([out[at], out[at + 1]]);
            let sum = checksum::update(before, old as u16, len as u16);
            out[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        out[self.tcp + FLAGS] = self.flags.0;
        let tcp_len = self.payload - self.tcp + self.payload_bytes;
        let sum = self.pseudo.add_u16(tcp_len as u16).partial();
        let at = self.tcp + CHECKSUM;
        out[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        self.payload
    }

    /// The IP header's own length of the packet.
    fn length_in(&self, frame: &[u8]) -> usize {
        let at = self.length_at();
        usize::from(u16::from_be_bytes([frame[at], frame[at + 1]]))
    }

    fn length_at(&self) -> usize {
        ethernet::HEADER_LEN + if self.family == Family::V4 { 2 } else { 4 }
    }

    /// What the IP header's length counts begins here.
    fn length_starts(&self) -> usize {
        ethernet::HEADER_LEN + if self.family == Family::V4 { 0 } else { ipv6::HEADER_LEN }
    }

    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// Octets of payload in each segment but the last.
    pub(super) fn segment_bytes(&self) -> usize {
        self.segment_bytes
    }

    /// Where TCP's header begins.
    pub(super) fn tcp(&self) -> usize {
        self.tcp
    }

    /// Where each segment's payload begins.
    pub(super) fn payload(&self) -> usize {
        self.payload
    }
}

/// Places in TCP's header.
const SEQ: usize = 4;
const FLAGS: usize = 13;
pub(super) const CHECKSUM: usize = 16;

/// Segmentation leaves these to the last segment.
const LAST_ONES: Flags = Flags::PSH.with(Flags::FIN);

/// As many as the kernel makes of its own largest packets at an MTU of 1500.
pub(super) const SEGMENTS_MAX: usize = 45;

/// An Ethernet header before what an IP header's length can say.
const PACKET_BYTES_MAX: usize = ethernet::HEADER_LEN + 65_535;

/// Ethernet, IPv4 with all options, TCP with all options.
pub(super) const HEADER_BYTES_MAX: usize = ethernet::HEADER_LEN + 60 + 60;

#[cfg(test)]
mod tests;
