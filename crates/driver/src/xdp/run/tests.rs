//! Frames as the stack writes them, joined, and cut as the kernel documents segmentation: each must
//! come out as it was.

use core::net::{Ipv4Addr, Ipv6Addr};

use crore_wire::checksum::{self, Sum};
use crore_wire::ethernet::{self, EtherType, MacAddr};
use crore_wire::tcp::{self, Flags, Options, Timestamps};
use crore_wire::{Protocol, ipv4, ipv6};

use super::{CHECKSUM, Family, HEADER_BYTES_MAX, Run, SEGMENTS_MAX};

/// One segment of a connection, with these octets from this sequence number on.
fn frame(family: Family, seq: u32, flags: Flags, payload: &[u8]) -> Vec<u8> {
    let header = tcp::Header {
        src_port: 80,
        dst_port: 50_000,
        seq,
        ack: 0x0102_0304,
        flags,
        window: 500,
        urgent: 0,
        options: Options {
            timestamps: Some(Timestamps { value: 77, echo: 1234 }),
            ..Options::NONE
        },
    };
    let segment_len = (header.header_len() + payload.len()) as u16;
    let (src, dst) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    let (src6, dst6) = (src.to_ipv6_mapped(), Ipv6Addr::from_bits(dst.to_bits().into()));
    let mut out = vec![0; 2048];
    let ether_type = match family {
        Family::V4 => EtherType::IPV4,
        Family::V6 => EtherType::IPV6,
    };
    let ether =
        ethernet::Header { dst: MacAddr([2; 6]), src: MacAddr([4; 6]), vlan: None, ether_type };
    let mut at = ether.write(&mut out);
    let pseudo = match family {
        Family::V4 => {
            let ip = ipv4::Header::atomic(src, dst, Protocol::TCP, segment_len);
            at += ip.write(&mut out[at..]);
            Sum::pseudo_v4(src, dst, Protocol::TCP, segment_len)
        }
        Family::V6 => {
            let ip = ipv6::Header {
                src: src6,
                dst: dst6,
                next_header: Protocol::TCP,
                hop_limit: 64,
                traffic_class: 0,
                flow_label: 0xabcde,
                payload_len: segment_len,
            };
            at += ip.write(&mut out[at..]);
            Sum::pseudo_v6(src6, dst6, Protocol::TCP, segment_len.into())
        }
    };
    let rest = pseudo.add_sum(Sum::ZERO.add_bytes(payload));
    at += header.write_summed(&mut out[at..], rest);
    out[at..at + payload.len()].copy_from_slice(payload);
    out.truncate(at + payload.len());
    out
}

fn octets(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|n| (n * 7 + n / 251) as u8).collect()
}

/// A stream in frames of 1,448 octets and a last one of 99 that pushes.
fn stream(family: Family, full: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for number in 0..=full {
        let (at, last) = (number * 1448, number == full);
        let flags = if last { Flags::ACK | Flags::PSH } else { Flags::ACK };
        let payload = octets(at, if last { 99 } else { 1448 });
        // Across the end of the numbers' space.
        let seq = (u32::MAX - 3000).wrapping_add(at as u32);
        frames.push(frame(family, seq, flags, &payload));
    }
    frames
}

/// As many of these frames as make one run.
fn run_of(frames: &[Vec<u8>]) -> (Run, usize) {
    let mut run = Run::from(&frames[0]).expect("a segment with payload");
    let taken = frames[1..].iter().take_while(|frame| run.take(&frames[0], frame)).count();
    (run, 1 + taken)
}

/// What segmentation makes of the joined packet: each segment's header is the first's, with its own
/// lengths, sequence number and checksums; only the last may have PSH and FIN.
fn cut(run: &Run, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut header = [0; HEADER_BYTES_MAX];
    let header_len = run.write_header(&frames[0], &mut header);
    let mut packet = header[..header_len].to_vec();
    for frame in frames {
        packet.extend_from_slice(&frame[run.payload()..]);
    }
    check_joined(run, &packet);
    let (payload, tcp) = (packet.split_off(header_len), run.tcp());
    let parts: Vec<_> = payload.chunks(run.segment_bytes()).collect();
    let mut seq = u32::from_be_bytes(packet[tcp + 4..tcp + 8].try_into().unwrap());
    let mut made = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let mut one = packet.clone();
        let old_len = run.length_in(&one) as u16;
        let len = (header_len + part.len() - run.length_starts()) as u16;
        let at = run.length_at();
        one[at..at + 2].copy_from_slice(&len.to_be_bytes());
        if run.family() == Family::V4 {
            let sum = checksum::update(u16::from_be_bytes([one[24], one[25]]), old_len, len);
            one[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        one[tcp + 4..tcp + 8].copy_from_slice(&seq.to_be_bytes());
        if number + 1 < parts.len() {
            one[tcp + 13] &= !(Flags::PSH | Flags::FIN).0;
        }
        // The field had the sum of the pseudo header with the length of all.
        let all = (header_len - tcp + payload.len()) as u16;
        let own = (header_len - tcp + part.len()) as u16;
        let field = u16::from_be_bytes([one[tcp + CHECKSUM], one[tcp + CHECKSUM + 1]]);
        one[tcp + CHECKSUM..tcp + CHECKSUM + 2].fill(0);
        let pseudo = Sum::ZERO.add_u16(field).add_u16(!all).add_u16(own);
        let sum =
            pseudo.add_sum(Sum::ZERO.add_bytes(&one[tcp..])).add_sum(Sum::ZERO.add_bytes(part));
        one[tcp + CHECKSUM..tcp + CHECKSUM + 2].copy_from_slice(&sum.finish().to_be_bytes());
        one.extend_from_slice(part);
        seq = seq.wrapping_add(part.len() as u32);
        made.push(one);
    }
    made
}

/// The joined packet is one that wire reads, and its header's length is that of all.
fn check_joined(run: &Run, packet: &[u8]) {
    let (ether, ip) = ethernet::Header::parse(packet).unwrap();
    let segment = match ether.ether_type {
        EtherType::IPV4 => ipv4::Header::parse(ip).unwrap().1,
        _ => ipv6::Header::parse(ip).unwrap().1,
    };
    assert_eq!(run.tcp() + segment.len(), packet.len());
}

#[test]
fn a_stream_goes_as_one_and_comes_out_as_it_was() {
    for family in [Family::V4, Family::V6] {
        for full in 1..SEGMENTS_MAX {
            let frames = stream(family, full);
            let (run, count) = run_of(&frames);
            assert_eq!(count, frames.len(), "{family:?}");
            assert_eq!(
                cut(&run, &frames[..count]),
                frames[..count],
                "{family:?}, {full} and a rest"
            );
        }
    }
}

#[test]
fn a_run_ends_before_what_one_header_cannot_say() {
    let frames = stream(Family::V4, 80);
    let (run, count) = run_of(&frames);
    assert!(count <= SEGMENTS_MAX && run.payload() + 1448 * count <= 65_549, "{count}");
    assert!(count >= 44, "{count}");
    // As many small segments as there may be.
    let small: Vec<_> =
        (0..99).map(|n| frame(Family::V6, n * 8, Flags::ACK, &[n as u8; 8])).collect();
    assert_eq!(run_of(&small).1, SEGMENTS_MAX);
}

#[test]
fn whatever_differs_but_what_segmentation_makes_anew_ends_a_run() {
    for family in [Family::V4, Family::V6] {
        let frames = stream(family, 2);
        let tcp = Run::from(&frames[0]).unwrap().tcp();
        let made_anew = |at: usize| match (family, at) {
            // Total length is looked at; identification and checksum are not.
            (Family::V4, 18 | 19 | 24 | 25) => true,
            _ => at == tcp + CHECKSUM || at == tcp + CHECKSUM + 1,
        };
        for at in 0..Run::from(&frames[0]).unwrap().payload() {
            let mut other = frames[1].clone();
            other[at] ^= 1 << 5;
            let taken = Run::from(&frames[0]).unwrap().take(&frames[0], &other);
            assert_eq!(taken, made_anew(at), "{family:?}: byte {at}");
        }
    }
}

#[test]
fn the_short_one_and_the_one_that_pushes_or_ends_is_the_last() {
    let second = |flags, len| frame(Family::V4, 1448, flags, &octets(1448, len));
    let first = frame(Family::V4, 0, Flags::ACK, &octets(0, 1448));
    for (one, len) in [
        (second(Flags::ACK, 1447), 1447),
        (second(Flags::ACK | Flags::PSH, 1448), 1448),
        (second(Flags::ACK | Flags::FIN, 1448), 1448),
    ] {
        let third = frame(Family::V4, 1448 + len, Flags::ACK, &octets(0, 900));
        let frames = [first.clone(), one, third];
        let (run, count) = run_of(&frames);
        assert_eq!(count, 2);
        assert_eq!(cut(&run, &frames[..2]), frames[..2]);
    }
    // A longer one is none of those.
    let shorter = frame(Family::V4, 0, Flags::ACK, &octets(0, 1000));
    let longer = frame(Family::V4, 1000, Flags::ACK, &octets(0, 1001));
    assert_eq!(run_of(&[shorter, longer]).1, 1);
}

#[test]
fn some_frames_begin_no_run() {
    for flags in [Flags::SYN, Flags::RST, Flags::URG, Flags::CWR, Flags::PSH, Flags::FIN] {
        let one = frame(Family::V4, 0, flags | Flags::ACK, &octets(0, 700));
        assert!(Run::from(&one).is_none(), "{flags:?}");
    }
    assert!(Run::from(&frame(Family::V4, 0, Flags::ACK, &[])).is_none(), "no payload");
    let mut padded = frame(Family::V6, 0, Flags::ACK, &octets(0, 700));
    padded.push(0);
    assert!(Run::from(&padded).is_none(), "bytes behind the packet");
    let good = frame(Family::V4, 0, Flags::ACK, &octets(0, 700));
    let mut tagged = good.clone();
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    assert!(Run::from(&tagged).is_none(), "a tag");
    let mut datagram = good.clone();
    (datagram[23], datagram[25]) = (17, datagram[25].wrapping_sub(11));
    assert!(Run::from(&datagram).is_none(), "no TCP");
    for len in 0..66 {
        assert!(Run::from(&good[..len]).is_none(), "cut to {len}");
    }
}
