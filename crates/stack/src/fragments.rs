//! Fragments that arrive, and the datagrams that they become. All of it is off the path of whole
//! packets: a datagram that became whole is parsed and takes effect like a frame of its own, at
//! once, while its octets are in a place of ours; so they go through the receive queue.

use crate::arrival::Arrival;
use crate::counters::Drop;
use crate::event::Events;
use crate::interface::mapped_v4;
use crate::reassembly::Piece;
use crate::stack::Stack;
use core::net::{Ipv4Addr, Ipv6Addr};
use crore_mem::frames::TxBurst;
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::{Protocol, icmpv4, icmpv6, ipv4, ipv6};

use crate::arrival::Kind;

impl Stack {
    /// A fragment for one of our addresses.
    #[cold]
    pub(crate) fn fragment_arrives(&mut self, frame: &[u8], events: &mut Events, tx: &mut TxBurst) {
        let Some(piece) = piece_of(frame) else { return self.counters.drop(Drop::Malformed) };
        let tick = self.now.tick;
        let Some(reassembly) = &mut self.reassembly else {
            return self.counters.drop(Drop::Fragment);
        };
        let taken = reassembly.take(&piece, tick);
        self.counters.reassembly_evicted = reassembly.evicted;
        match taken {
            Err(reason) => {
                self.counters.drop(reason);
                self.fragment_problem(frame, &piece, tx);
            }
            Ok(None) => self.counters.fragments_in += 1,
            Ok(Some(place)) => self.whole_datagram(place, events, tx),
        }
    }

    /// The last fragment that was missing takes the datagram's fate.
    fn whole_datagram(&mut self, place: usize, events: &mut Events, tx: &mut TxBurst) {
        let Some(reassembly) = &mut self.reassembly else { return };
        let mut frame = core::mem::take(&mut self.whole);
        let len = reassembly.complete(place, self.link, &mut frame);
        self.counters.reassembled += 1;
        let mut arrival = Arrival::default();
        match self.parse_frame(&frame[..len], &mut arrival) {
            Ok(()) if arrival.kind != Kind::Fragment => {
                arrival.hash = self.hasher.hash(&arrival.endpoints().key(&self.addresses));
                let before = events.len();
                self.begin_whole();
                self.frame_arrives(&arrival, &frame[..len], 0, events, tx);
                self.end_whole(&frame[..len]);
                for i in before..events.len() {
                    let mut event = events.get(i);
                    self.keep_in_queue(&mut event, &frame[..len]);
                    events.replace(i, event);
                }
            }
            Ok(()) => self.counters.drop(Drop::Fragment),
            Err(reason) => self.counters.drop(reason),
        }
        self.whole = frame;
    }

    /// Datagrams that ran out of time are given up, and their senders told (RFC 1122-3.3.2b,
    /// RFC 8200-4.5b).
    pub(crate) fn fragment_timers(&mut self, tx: &mut TxBurst) {
        let tick = self.now.tick;
        while let Some(reassembly) = &mut self.reassembly
            && !reassembly.is_empty()
            && let Some(place) = reassembly.overdue(tick)
        {
            let mut quoted = [0; icmpv6::QUOTED_MAX + ethernet::HEADER_LEN];
            let quote = reassembly.quote(place, icmpv6::QUOTED_MAX, &mut quoted);
            reassembly.forget(place);
            self.counters.reassembly_expired += 1;
            let Some(quote) = quote else { continue };
            if !self.may_reply_to_stranger() {
                continue;
            }
            if quote.src >> 32 == 0xffff {
                let len = quote.len.min(ipv4::HEADER_LEN + 8);
                let message = icmpv4::Message::TimeExceeded { code: 1, quoted: &quoted[..len] };
                let (from, to) = (quote.dst as u32, quote.src as u32);
                let (from, to) = (Ipv4Addr::from_bits(from), Ipv4Addr::from_bits(to));
                self.write_icmpv4(MacAddr(quote.mac), from, to, &message, tx);
            } else {
                let message =
                    icmpv6::Message::TimeExceeded { code: 1, quoted: &quoted[..quote.len] };
                let (from, to) = (Ipv6Addr::from_bits(quote.dst), Ipv6Addr::from_bits(quote.src));
                self.write_icmpv6(MacAddr(quote.mac), from, to, &message, tx);
            }
        }
    }

    /// RFC 8200-4.5d: fragments that no datagram can have are answered: one that is not the last
    /// and has no multiple of eight octets, and one that reaches beyond the largest datagram.
    fn fragment_problem(&mut self, frame: &[u8], piece: &Piece<'_>, tx: &mut TxBurst) {
        if piece.src >> 32 == 0xffff {
            return;
        }
        let unit = piece.more && !piece.octets.len().is_multiple_of(8);
        let beyond = piece.offset + piece.octets.len() > usize::from(u16::MAX);
        if !unit && !beyond {
            return;
        }
        let Ok((_, packet)) = ethernet::Header::parse(frame) else { return };
        let header = piece.octets.as_ptr().addr() - packet.as_ptr().addr();
        let pointer = if unit { 4 } else { header - ipv6::FRAGMENT_HEADER_LEN + 2 };
        self.parameter_problem(frame, 0, pointer as u32, tx);
    }

    /// A packet whose extension headers cannot be accepted: dropped, and answered where RFC 8200
    /// asks for it.
    #[cold]
    pub(crate) fn refused_arrives(&mut self, frame: &[u8], tx: &mut TxBurst) {
        self.counters.drop(Drop::BadExtension);
        let Ok((_, packet)) = ethernet::Header::parse(frame) else { return };
        if let Some(problem) = ipv6::problem_of(packet) {
            self.parameter_problem(frame, problem.code, problem.pointer, tx);
        }
    }

    /// Tells the sender which octet of its packet is to blame (RFC 4443 3.4), within the limits of
    /// all answers to strangers (RFC 4443-2.4f). Nothing answers an ICMP error or what the link
    /// sent to everybody (RFC 4443-2.4e): errors arrive without headers that could be to blame, or
    /// are not answered for it.
    fn parameter_problem(&mut self, frame: &[u8], code: u8, pointer: u32, tx: &mut TxBurst) {
        let Ok((link, packet)) = ethernet::Header::parse(frame) else { return };
        let Ok((ip, payload)) = ipv6::Header::parse(packet) else { return };
        let to_many = link.dst.is_multicast() || self.addresses.id_of(ip.dst.to_bits()).is_none();
        let from_nobody = ip.src.is_unspecified() || ip.src.is_loopback() || ip.src.is_multicast();
        let about_error = ipv6::may_be_error(ip.next_header, payload);
        if to_many || from_nobody || about_error || !self.may_reply_to_stranger() {
            return;
        }
        let quoted = &packet[..packet.len().min(icmpv6::QUOTED_MAX)];
        let message = icmpv6::Message::ParameterProblem { code, pointer, quoted };
        self.write_icmpv6(link.src, ip.dst, ip.src, &message, tx);
    }
}

/// The fragment in a frame that was parsed before.
fn piece_of(frame: &[u8]) -> Option<Piece<'_>> {
    let (link, packet) = ethernet::Header::parse(frame).ok()?;
    if link.ether_type == EtherType::IPV4 {
        let (ip, octets) = ipv4::Header::parse(packet).ok()?;
        return Some(Piece {
            src: mapped_v4(ip.src),
            dst: mapped_v4(ip.dst),
            ident: u32::from(ip.ident),
            protocol: ip.protocol,
            offset: usize::from(ip.fragment_offset) * 8,
            more: ip.more_fragments,
            octets,
            mac: link.src.0,
            class: ip.dscp_ecn,
        });
    }
    let (ip, payload) = ipv6::Header::parse(packet).ok()?;
    let (protocol, octets, fragment) = ipv6::skip_extensions(ip.next_header, payload).ok()?;
    let fragment = fragment?;
    Some(Piece {
        src: ip.src.to_bits(),
        dst: ip.dst.to_bits(),
        ident: fragment.ident,
        protocol,
        offset: usize::from(fragment.offset) * 8,
        more: fragment.more,
        octets,
        mac: link.src.0,
        class: ip.traffic_class,
    })
}

/// What the datagrams that are put together here may carry.
pub(crate) fn is_put_together(protocol: Protocol) -> bool {
    protocol == Protocol::TCP || protocol == Protocol::ICMP
}
