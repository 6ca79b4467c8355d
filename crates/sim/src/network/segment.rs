//! TCP segments in frames, as the link sees them.

use crore_wire::checksum::Sum;
use crore_wire::ethernet::{self, EtherType};
use crore_wire::{Protocol, ipv4, ipv6, tcp};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// A TCP segment in a frame.
pub(crate) struct Segment<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    /// The two bits of the IP header (RFC 3168 5).
    pub(crate) ecn: u8,
    pub(crate) header: tcp::Header,
    pub(crate) payload: &'a [u8],
}

impl<'a> Segment<'a> {
    pub(crate) fn parse(frame: &'a [u8]) -> Option<Self> {
        let (ethernet, packet) = ethernet::Header::parse(frame).ok()?;
        let (protocol, class, src, dst, segment): (_, _, IpAddr, IpAddr, _) =
            match ethernet.ether_type {
                EtherType::IPV4 => {
                    let (ip, payload) = ipv4::Header::parse(packet).ok()?;
                    if ip.is_fragment() {
                        return None;
                    }
                    (ip.protocol, ip.dscp_ecn, ip.src.into(), ip.dst.into(), payload)
                }
                EtherType::IPV6 => {
                    let (ip, payload) = ipv6::Header::parse(packet).ok()?;
                    (ip.next_header, ip.traffic_class, ip.src.into(), ip.dst.into(), payload)
                }
                _ => return None,
            };
        if protocol != Protocol::TCP {
            return None;
        }
        let (header, payload) = tcp::Header::parse(segment).ok()?;
        let from = SocketAddr::new(src, header.src_port);
        let to = SocketAddr::new(dst, header.dst_port);
        Some(Self { from, to, ecn: class & ECN, header, payload })
    }

    /// The frame with a part of its payload only, and without some of its flags.
    pub(crate) fn part(
        frame: &'a [u8],
        part: Range<usize>,
        without: tcp::Flags,
    ) -> Option<Box<[u8]>> {
        let whole = Self::parse(frame)?;
        let payload = &whole.payload[part.clone()];
        let mut header = whole.header;
        header.seq = header.seq.wrapping_add(part.start as u32);
        header.flags = header.flags.without(without);
        let len = header.header_len() + payload.len();
        let (ethernet, packet) = ethernet::Header::parse(frame).ok()?;
        let mut out = vec![0; frame.len()];
        let mut at = ethernet.write(&mut out);
        let pseudo = if ethernet.ether_type == EtherType::IPV4 {
            let (mut ip, _) = ipv4::Header::parse(packet).ok()?;
            ip.payload_len = len as u16;
            at += ip.write(&mut out[at..]);
            Sum::pseudo_v4(ip.src, ip.dst, Protocol::TCP, len as u16)
        } else {
            let (mut ip, _) = ipv6::Header::parse(packet).ok()?;
            ip.payload_len = len as u16;
            at += ip.write(&mut out[at..]);
            Sum::pseudo_v6(ip.src, ip.dst, Protocol::TCP, len as u32)
        };
        let checksum = pseudo.add_sum(header.sum()).add_bytes(payload).finish();
        at += header.write(&mut out[at..], checksum);
        out[at..at + payload.len()].copy_from_slice(payload);
        out.truncate(at + payload.len());
        Some(out.into_boxed_slice())
    }
}

/// Explicit congestion notification, in the octet that it shares with the DSCP.
const ECN: u8 = 0b11;
