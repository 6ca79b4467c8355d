//! Bare IP packets: built without the stack's own writers, so that a fault they share with its
//! readers is seen.

use super::{ACK, Icmp, Opt, Segment};
use std::net::{IpAddr, SocketAddr};

/// From whom to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
}

/// A segment that came out: its numbers are still the wire's.
pub(crate) struct Live {
    pub(crate) ends: Ends,
    pub(crate) segment: Segment,
}

/// A packet with the segment, whose numbers are the wire's; the payload is zeros.
pub(crate) fn tcp(ends: &Ends, segment: &Segment) -> Vec<u8> {
    let mut bytes = tcp_header(ends, segment);
    bytes.resize(bytes.len() + segment.len as usize, 0);
    let sum = checksum(&pseudo(ends, TCP, bytes.len()), &bytes);
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    ip(ends, TCP, segment.ecn.unwrap_or(0), &bytes)
}

fn tcp_header(ends: &Ends, segment: &Segment) -> Vec<u8> {
    let options = write_options(&segment.options);
    let mut bytes = Vec::new();
    bytes.extend(ends.from.port().to_be_bytes());
    bytes.extend(ends.to.port().to_be_bytes());
    bytes.extend(segment.seq.to_be_bytes());
    bytes.extend(segment.ack.to_be_bytes());
    bytes.push(((5 + options.len() / 4) << 4) as u8);
    bytes.push(segment.flags);
    bytes.extend(segment.window.unwrap_or(0).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(segment.urgent.to_be_bytes());
    bytes.extend(options);
    bytes
}

/// An error of the peer's, or a router's with its address, about a segment that went from `about`'s
/// first end to its second.
pub(crate) fn icmp(about: &Ends, error: &Icmp, seq: u32) -> Vec<u8> {
    let segment = Segment { flags: ACK, seq, len: error.len, ..Segment::default() };
    let quoted = tcp(about, &segment);
    let header = if about.from.is_ipv4() { 20 } else { 40 };
    let mut bytes = vec![error.kind, error.code, 0, 0];
    bytes.extend(error.mtu.to_be_bytes());
    bytes.extend(&quoted[..header + 20]);
    let back = Ends { from: about.to, to: about.from };
    let (protocol, start) = match about.from {
        SocketAddr::V4(_) => (ICMP, Vec::new()),
        SocketAddr::V6(_) => (ICMPV6, pseudo(&back, ICMPV6, bytes.len())),
    };
    let sum = checksum(&start, &bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    ip(&back, protocol, 0, &bytes)
}

/// Reads a packet with TCP; an error says what is wrong with it.
pub(crate) fn read(packet: &[u8]) -> Result<Live, String> {
    let byte = |at: usize| packet.get(at).copied().ok_or("a short packet");
    let word = |at: usize| Ok::<_, String>(u16::from_be_bytes([byte(at)?, byte(at + 1)?]));
    let (header_len, total, protocol, ecn) = match byte(0)? >> 4 {
        4 => (usize::from(byte(0)? & 15) * 4, usize::from(word(2)?), byte(9)?, byte(1)? & 3),
        6 => (40, 40 + usize::from(word(4)?), byte(6)?, byte(1)? >> 4 & 3),
        _ => return Err("neither IPv4 nor IPv6".to_string()),
    };
    if protocol != TCP || packet.len() != total || total < header_len + 20 {
        return Err(format!("protocol {protocol}, {} of {total} octets", packet.len()));
    }
    let (header, segment) = packet.split_at(header_len);
    if byte(0)? >> 4 == 4 && checksum(&[], header) != 0 {
        return Err("the IP header's checksum is wrong".to_string());
    }
    let ends = ends_of(header, segment);
    if checksum(&pseudo(&ends, TCP, segment.len()), segment) != 0 {
        return Err("the TCP checksum is wrong".to_string());
    }
    let start = usize::from(segment[12] >> 4) * 4;
    let options = segment.get(20..start).ok_or("a short TCP header")?;
    let number = |at: usize| u32::from_be_bytes(segment[at..at + 4].try_into().expect("four"));
    let half = |at: usize| u16::from_be_bytes([segment[at], segment[at + 1]]);
    let segment = Segment {
        ecn: Some(ecn),
        flags: segment[13],
        seq: number(4),
        len: (segment.len() - start) as u32,
        ack: number(8),
        window: Some(half(14)),
        urgent: half(18),
        options: read_options(options)?,
    };
    Ok(Live { ends, segment })
}

fn ends_of(header: &[u8], segment: &[u8]) -> Ends {
    let (from, to): (IpAddr, IpAddr) = if header[0] >> 4 == 4 {
        let address = |at: usize| <[u8; 4]>::try_from(&header[at..at + 4]).expect("four").into();
        (address(12), address(16))
    } else {
        let address = |at: usize| <[u8; 16]>::try_from(&header[at..at + 16]).expect("16").into();
        (address(8), address(24))
    };
    let port = |at: usize| u16::from_be_bytes([segment[at], segment[at + 1]]);
    Ends { from: SocketAddr::new(from, port(0)), to: SocketAddr::new(to, port(2)) }
}

fn ip(ends: &Ends, protocol: u8, ecn: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    match (ends.from.ip(), ends.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            packet.extend([0x45, ecn]);
            packet.extend((20 + payload.len() as u16).to_be_bytes());
            packet.extend([0, 0, 0x40, 0, 255, protocol, 0, 0]);
            packet.extend(from.octets());
            packet.extend(to.octets());
            let sum = checksum(&[], &packet);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            packet.extend([0x60, ecn << 4, 0, 0]);
            packet.extend((payload.len() as u16).to_be_bytes());
            packet.extend([protocol, 255]);
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        _ => unreachable!("both ends are of one family"),
    }
    packet.extend(payload);
    packet
}

fn pseudo(ends: &Ends, protocol: u8, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    match (ends.from.ip(), ends.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => bytes.extend([from.octets(), to.octets()].concat()),
        (IpAddr::V6(from), IpAddr::V6(to)) => bytes.extend([from.octets(), to.octets()].concat()),
        _ => unreachable!("both ends are of one family"),
    }
    bytes.extend((len as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}

/// RFC 1071, over both parts; the first has an even length.
fn checksum(first: &[u8], second: &[u8]) -> u16 {
    let words = first.chunks(2).chain(second.chunks(2));
    let sum: u64 =
        words.map(|w| u64::from(w[0]) << 8 | u64::from(w.get(1).copied().unwrap_or(0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

fn write_options(options: &[Opt]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for option in options {
        match option {
            Opt::Eol => bytes.push(0),
            Opt::Nop => bytes.push(1),
            Opt::Mss(mss) => bytes.extend([[2, 4], mss.to_be_bytes()].concat()),
            Opt::Scale(shift) => bytes.extend([3, 3, *shift]),
            Opt::SackOk => bytes.extend([4, 2]),
            Opt::Sack(blocks) => {
                bytes.extend([5, 2 + 8 * blocks.len() as u8]);
                for (left, right) in blocks {
                    bytes.extend([left.to_be_bytes(), right.to_be_bytes()].concat());
                }
            }
            Opt::Timestamps { value, echo } => {
                bytes.extend([8, 10]);
                bytes.extend([value.to_be_bytes(), echo.to_be_bytes()].concat());
            }
            Opt::FastOpen { cookie, experimental: false } => {
                bytes.extend([34, 2 + cookie.len() as u8]);
                bytes.extend(cookie);
            }
            Opt::FastOpen { cookie, experimental: true } => {
                bytes.extend([254, 4 + cookie.len() as u8, 0xf9, 0x89]);
                bytes.extend(cookie);
            }
            Opt::Unknown(kind) => bytes.extend([*kind, 2]),
        }
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn read_options(mut bytes: &[u8]) -> Result<Vec<Opt>, String> {
    let mut options = Vec::new();
    while let Some((&kind, rest)) = bytes.split_first() {
        if kind < 2 {
            options.push(if kind == 0 { Opt::Eol } else { Opt::Nop });
            bytes = rest;
            continue;
        }
        let len = usize::from(*rest.first().ok_or("an option without a length")?);
        let data = bytes.get(2..len).ok_or("an option that is cut short")?;
        options.push(read_option(kind, data));
        bytes = &bytes[len..];
    }
    Ok(options)
}

fn read_option(kind: u8, data: &[u8]) -> Opt {
    let number = |at: usize| u32::from_be_bytes(data[at..at + 4].try_into().expect("four"));
    match (kind, data.len()) {
        (2, 2) => Opt::Mss(u16::from_be_bytes([data[0], data[1]])),
        (3, 1) => Opt::Scale(data[0]),
        (4, 0) => Opt::SackOk,
        (5, len) if len % 8 == 0 => {
            Opt::Sack((0..len).step_by(8).map(|at| (number(at), number(at + 4))).collect())
        }
        (8, 8) => Opt::Timestamps { value: number(0), echo: number(4) },
        (34, _) => Opt::FastOpen { cookie: data.to_vec(), experimental: false },
        (254, 2..) if data[..2] == [0xf9, 0x89] => {
            Opt::FastOpen { cookie: data[2..].to_vec(), experimental: true }
        }
        _ => Opt::Unknown(kind),
    }
}

const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
