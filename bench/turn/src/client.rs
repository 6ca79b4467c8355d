//! A client as little as can be: it writes frames and notes what the answers acknowledge.

use crore::{AddressRange, Interface};
use crore_wire::checksum::Sum;
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::{Protocol, ipv4, tcp};
use std::net::{IpAddr, Ipv4Addr};

/// One connection, seen from its client.
pub(crate) struct Client {
    ip: Ipv4Addr,
    port: u16,
    snd_nxt: u32,
    rcv_nxt: u32,
    ts_recent: u32,
    /// Segments taken.
    pub(crate) segments: u32,
}

impl Client {
    /// Number `n` of up to a billion.
    pub(crate) fn new(n: u32) -> Self {
        let ip = Ipv4Addr::from(u32::from(FIRST) + n / 50_000);
        let port = 10_000 + (n % 50_000) as u16;
        Self { ip, port, snd_nxt: 1000, rcv_nxt: 0, ts_recent: 0, segments: 0 }
    }

    /// Whom of `clients` a frame is for; they are the first of all, in order.
    pub(crate) fn among<'a>(clients: &'a mut [Self], frame: &[u8]) -> &'a mut Self {
        let first = clients[0].port;
        let port = u16::from_be_bytes([frame[DST_PORT_AT], frame[DST_PORT_AT + 1]]);
        &mut clients[usize::from(port - first)]
    }

    /// The next connection from the same port.
    pub(crate) fn renew(&mut self) {
        (self.snd_nxt, self.rcv_nxt, self.ts_recent) = (self.snd_nxt + 100_000, 0, 0);
    }

    pub(crate) fn syn(&self, now_ms: u32) -> Vec<u8> {
        let options = tcp::Options {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(tcp::Timestamps { value: now_ms, echo: 0 }),
            ..tcp::Options::NONE
        };
        self.frame(tcp::Flags::SYN, options, &[])
    }

    pub(crate) fn ack(&self, now_ms: u32) -> Vec<u8> {
        self.frame(tcp::Flags::ACK, self.clock(now_ms), &[])
    }

    /// So many octets.
    pub(crate) fn text(&mut self, octets: usize, now_ms: u32) -> Vec<u8> {
        let (flags, text) = (tcp::Flags::ACK | tcp::Flags::PSH, &[7; 1448][..octets]);
        let frame = self.frame(flags, self.clock(now_ms), text);
        self.snd_nxt += octets as u32;
        frame
    }

    pub(crate) fn fin(&mut self, now_ms: u32) -> Vec<u8> {
        let frame = self.frame(tcp::Flags::ACK | tcp::Flags::FIN, self.clock(now_ms), &[]);
        self.snd_nxt += 1;
        frame
    }

    /// Notes what a frame for this client brings.
    pub(crate) fn take(&mut self, frame: &[u8]) {
        let (_, packet) = ethernet::Header::parse(frame).expect("Ethernet");
        let (_, segment) = ipv4::Header::parse(packet).expect("IPv4");
        let (header, text) = tcp::Header::parse(segment).expect("TCP");
        assert_eq!(header.dst_port, self.port, "answers come in the requests' order");
        assert_eq!(header.ack, self.snd_nxt + u32::from(header.flags.contains(tcp::Flags::SYN)));
        self.segments += 1;
        let phantom =
            header.flags.contains(tcp::Flags::SYN) || header.flags.contains(tcp::Flags::FIN);
        self.snd_nxt = header.ack;
        self.rcv_nxt = header.seq.wrapping_add(text.len() as u32 + u32::from(phantom));
        self.ts_recent = header.options.timestamps.map_or(0, |timestamps| timestamps.value);
    }

    fn clock(&self, now_ms: u32) -> tcp::Options {
        let timestamps = tcp::Timestamps { value: now_ms, echo: self.ts_recent };
        tcp::Options { timestamps: Some(timestamps), ..tcp::Options::NONE }
    }

    fn frame(&self, flags: tcp::Flags, options: tcp::Options, text: &[u8]) -> Vec<u8> {
        let header = tcp::Header {
            src_port: self.port,
            dst_port: LOCAL_PORT,
            seq: self.snd_nxt,
            ack: if flags.contains(tcp::Flags::ACK) { self.rcv_nxt } else { 0 },
            flags,
            window: 8000,
            urgent: 0,
            options,
        };
        let segment_len = header.header_len() + text.len();
        let ip = ipv4::Header::atomic(self.ip, LOCAL, Protocol::TCP, segment_len as u16);
        let link = ethernet::Header {
            dst: MacAddr(MAC),
            src: MacAddr([2, 0, 0, 0, 0, 1]),
            vlan: None,
            ether_type: EtherType::IPV4,
        };
        let mut frame = vec![0; link.header_len() + ipv4::HEADER_LEN + segment_len];
        let at = link.write(&mut frame);
        let at = at + ip.write(&mut frame[at..]);
        let pseudo = Sum::pseudo_v4(self.ip, LOCAL, Protocol::TCP, segment_len as u16);
        let sum = pseudo.add_sum(header.sum()).add_bytes(text).finish();
        let text_at = at + header.write(&mut frame[at..], sum);
        frame[text_at..].copy_from_slice(text);
        frame
    }
}

/// What the engine must know of its link.
pub(crate) fn interface() -> Interface {
    Interface::new(MAC, 1500, vec![AddressRange::one(IpAddr::V4(LOCAL), 8)])
}

pub(crate) const LOCAL_PORT: u16 = 7;
/// Behind the headers of Ethernet and IPv4, without options.
const DST_PORT_AT: usize = 14 + 20 + 2;
const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
