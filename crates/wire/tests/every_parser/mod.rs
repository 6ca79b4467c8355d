//! One frame through all parsers, with what must hold of whatever they accept.
//!
//! Shared by the test over a million frames and by the fuzz target. Each parser sees the bytes of
//! its layer, and the bytes of the whole frame as well, so that a parser deep in the stack is
//! reached without luck. Where a checksum stands in the way it is also tried repaired.

use std::net::{Ipv4Addr, Ipv6Addr};

use crore_wire::checksum::{self, Sum};
use crore_wire::ethernet::{self, EtherType};
use crore_wire::ipv6::skip_extensions;
use crore_wire::{Protocol, arp, icmpv4, icmpv6, ipv4, ipv6, tcp, udp};

/// How often each parser accepted something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Accepted {
    pub(crate) ethernet: u32,
    pub(crate) tagged: u32,
    pub(crate) arp: u32,
    pub(crate) ipv4: u32,
    pub(crate) ipv6: u32,
    pub(crate) extensions: u32,
    pub(crate) icmpv4: u32,
    pub(crate) icmpv6: u32,
    pub(crate) neighbor: u32,
    pub(crate) tcp: u32,
    pub(crate) tcp_options: u32,
    pub(crate) udp: u32,
}

impl Accepted {
    /// Follows a frame upwards as a stack would, then shows all of it to each parser.
    ///
    /// # Panics
    /// When something that was accepted breaks a promise.
    pub(crate) fn check(&mut self, frame: &[u8]) {
        if let Ok((header, payload)) = ethernet::Header::parse(frame) {
            self.ethernet += 1;
            self.tagged += u32::from(header.vlan.is_some());
            let written = written(header.header_len(), |out| header.write(out));
            assert_eq!(written, frame[..frame.len() - payload.len()]);
            match header.ether_type {
                EtherType::ARP => self.arp(payload),
                EtherType::IPV4 => self.ipv4(payload),
                EtherType::IPV6 => self.ipv6(payload),
                _ => {}
            }
        }
        self.arp(frame);
        self.ipv4(frame);
        self.ipv6(frame);
        self.icmpv4(frame);
        self.icmpv6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, frame);
        self.tcp(frame);
        self.udp(frame);
    }

    fn arp(&mut self, bytes: &[u8]) {
        if let Ok(packet) = arp::Packet::parse(bytes) {
            self.arp += 1;
            assert_eq!(written(arp::LEN, |out| packet.write(out)), bytes[..arp::LEN]);
        }
    }

    fn ipv4(&mut self, bytes: &[u8]) {
        if let Ok((header, payload)) = ipv4::Header::parse_quoted(bytes) {
            assert!(payload.len() <= usize::from(header.payload_len));
        }
        self.ipv4_intact(bytes);
        let header_len = usize::from(bytes.first().unwrap_or(&0) & 0x0f) * 4;
        if let Some(header) = bytes.get(..header_len)
            && header_len >= ipv4::HEADER_LEN
        {
            let mut repaired = bytes.to_vec();
            repair(&mut repaired, 10, Sum::ZERO, header.len());
            self.ipv4_intact(&repaired);
        }
    }

    fn ipv4_intact(&mut self, bytes: &[u8]) {
        let Ok((header, payload)) = ipv4::Header::parse(bytes) else {
            return;
        };
        self.ipv4 += 1;
        assert_eq!(payload.len(), usize::from(header.payload_len));
        let mut again = written(header.header_len(), |out| header.write(out));
        again.extend(payload);
        assert_eq!(ipv4::Header::parse(&again), Ok((header, payload)));
        match header.protocol {
            Protocol::ICMP => self.icmpv4(payload),
            Protocol::TCP => self.tcp(payload),
            Protocol::UDP => self.udp(payload),
            _ => {}
        }
    }

    fn ipv6(&mut self, bytes: &[u8]) {
        if let Ok((header, payload)) = ipv6::Header::parse_quoted(bytes) {
            assert!(payload.len() <= usize::from(header.payload_len));
        }
        let Ok((header, payload)) = ipv6::Header::parse(bytes) else {
            return;
        };
        self.ipv6 += 1;
        assert_eq!(payload.len(), usize::from(header.payload_len));
        assert_eq!(
            written(header.header_len(), |out| header.write(out)),
            bytes[..ipv6::HEADER_LEN]
        );
        let Ok((protocol, rest, fragment)) = skip_extensions(header.next_header, payload) else {
            return;
        };
        assert!(payload.ends_with(rest));
        self.extensions += u32::from(rest.len() < payload.len());
        if fragment.is_some_and(|fragment| !fragment.is_atomic()) {
            return;
        }
        match protocol {
            Protocol::ICMPV6 => self.icmpv6(header.src, header.dst, rest),
            Protocol::TCP => self.tcp(rest),
            Protocol::UDP => self.udp(rest),
            _ => {}
        }
    }

    fn icmpv4(&mut self, bytes: &[u8]) {
        let _mostly_refused = icmpv4::Message::parse(bytes);
        let mut repaired = bytes.to_vec();
        repair(&mut repaired, 2, Sum::ZERO, bytes.len());
        if let Ok(message) = icmpv4::Message::parse(&repaired) {
            self.icmpv4 += 1;
            let again = written(message.len(), |out| message.write(out));
            assert_eq!(icmpv4::Message::parse(&again), Ok(message));
        }
    }

    fn icmpv6(&mut self, src: Ipv6Addr, dst: Ipv6Addr, bytes: &[u8]) {
        let _mostly_refused = icmpv6::Message::parse(src, dst, bytes);
        let pseudo = Sum::pseudo_v6(src, dst, Protocol::ICMPV6, bytes.len() as u32);
        let mut repaired = bytes.to_vec();
        repair(&mut repaired, 2, pseudo, bytes.len());
        if let Ok(message) = icmpv6::Message::parse(src, dst, &repaired) {
            self.icmpv6 += 1;
            self.neighbor += u32::from(matches!(
                message,
                icmpv6::Message::NeighborSolicit { .. } | icmpv6::Message::NeighborAdvert { .. }
            ));
            let again = written(message.len(), |out| message.write(src, dst, out));
            assert_eq!(icmpv6::Message::parse(src, dst, &again), Ok(message));
        }
    }

    fn tcp(&mut self, bytes: &[u8]) {
        let quoted = tcp::Quoted::parse(bytes);
        let Ok((header, payload)) = tcp::Header::parse(bytes) else {
            return;
        };
        self.tcp += 1;
        self.tcp_options += u32::from(header.options != tcp::Options::NONE);
        let (src_port, dst_port, seq) = (header.src_port, header.dst_port, header.seq);
        assert_eq!(quoted, Ok(tcp::Quoted { src_port, dst_port, seq }));
        let mut again = written(header.header_len(), |out| header.write(out, 0));
        assert_eq!(header.sum().finish(), Sum::ZERO.add_bytes(&again).finish());
        again.extend(payload);
        let (read, read_payload) = tcp::Header::parse(&again).expect("we wrote it");
        // With our padding there may be less room for SACK blocks; all else must be the same.
        let sack = read.options.sack;
        assert!(header.options.sack.as_slice().starts_with(sack.as_slice()));
        let options = tcp::Options { sack, ..header.options };
        assert_eq!((read, read_payload), (tcp::Header { options, ..header }, payload));
    }

    fn udp(&mut self, bytes: &[u8]) {
        let addresses = (Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST);
        let Ok((header, payload)) = udp::Header::parse(bytes) else {
            assert!(!udp::intact(bytes, Sum::ZERO));
            return;
        };
        self.udp += 1;
        let len = header.payload_len + udp::HEADER_LEN as u16;
        let pseudo = Sum::pseudo_v4(addresses.0, addresses.1, Protocol::UDP, len);
        let checksum = header.checksum(pseudo, Sum::ZERO.add_bytes(payload));
        let mut again = written(header.header_len(), |out| header.write(out, checksum));
        again.extend(payload);
        assert_eq!(udp::Header::parse(&again), Ok((header, payload)));
        assert!(udp::has_checksum(&again) && udp::intact(&again, pseudo));
    }
}

/// What a `write` leaves in exactly the room that it asks for.
fn written(len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let mut out = vec![0xa5; len];
    assert_eq!(write(&mut out), len);
    out
}

/// Puts the right checksum of the first `len` bytes at `place`, if it fits there.
fn repair(bytes: &mut [u8], place: usize, pseudo: Sum, len: usize) {
    if let Some(field) = bytes.get_mut(place..place + 2) {
        field.fill(0);
        let checksum = pseudo.add_bytes(&bytes[..len]).finish();
        bytes[place..place + 2].copy_from_slice(&checksum.to_be_bytes());
        assert!(checksum::verify(pseudo.add_bytes(&bytes[..len])));
    }
}
