use super::*;
use crate::{ethernet, ipv4};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// A frame and its payload, as they are seen field by field.
fn read(frame: &[u8]) -> Option<(Frame, &[u8])> {
    let view = View::parse(frame)?;
    let seen = Frame {
        to: Receiver::new(view.mac()),
        traffic_class: view.traffic_class(),
        src: view.src(),
        dst: view.dst(),
        src_port: (view.ports() >> 16) as u16,
        dst_port: view.ports() as u16,
        seq: (view.seq_ack() >> 32) as u32,
        ack: view.seq_ack() as u32,
        flags: view.flags(),
        window: view.window(),
        options: view.options(),
    };
    assert_eq!(view.timestamps(), seen.options.timestamps());
    assert!(view.is_for(View::link_word(Some(view.mac()))) && !view.is_for(View::link_word(None)));
    Some((seen, &frame[view.payload_at()..][..view.payload_len()]))
}

/// What the three parsers say, for a plain frame.
fn by_protocols(frame: &[u8]) -> Option<(Frame, &[u8])> {
    let (ethernet, packet) = ethernet::Header::parse(frame).ok()?;
    if ethernet.vlan.is_some() || ethernet.ether_type != EtherType::IPV4 {
        return None;
    }
    let (ip, segment) = ipv4::Header::parse(packet).ok()?;
    let is_alone = packet[0] == 0x45 && !ip.is_fragment() && ip.protocol == Protocol::TCP;
    let (header, payload) = tcp::Header::parse(segment).ok()?;
    let sum = Sum::pseudo_v4(ip.src, ip.dst, Protocol::TCP, segment.len() as u16);
    let header_len = segment.len() - payload.len();
    // As they are written, they are the bytes that were read.
    let options = Options::of(&header.options).filter(|_| is_alone)?;
    let mut again = vec![0; 40];
    let len = header.options.write(&mut again);
    if let Options::Syn(_) = options {
        // A larger shift counts as 14.
        again[len - 1] = segment[header_len - 1].max(again[len - 1]);
    }
    if segment[20..header_len] != again[..len] {
        return None;
    }
    let plain = Frame {
        to: Receiver::new(ethernet.dst),
        traffic_class: ip.dscp_ecn,
        src: ip.src,
        dst: ip.dst,
        src_port: header.src_port,
        dst_port: header.dst_port,
        seq: header.seq,
        ack: header.ack,
        flags: header.flags,
        window: header.window,
        options,
    };
    checksum::verify(sum.add_bytes(segment)).then_some((plain, payload))
}

/// A frame as a peer writes it, `padding` bytes longer than its packet.
fn written(options: tcp::Options, payload: &[u8], padding: usize) -> Vec<u8> {
    let (src, dst) = (Ipv4Addr::new(192, 0, 2, 7), Ipv4Addr::new(198, 51, 100, 9));
    let header = tcp::Header {
        src_port: 40_000,
        dst_port: 443,
        seq: 0xfedc_ba98,
        ack: 0x7654_3210,
        flags: Flags::ACK | Flags::PSH,
        window: 501,
        urgent: 0,
        options,
    };
    let segment_len = header.header_len() + payload.len();
    let ip = ipv4::Header {
        dscp_ecn: 0x22,
        ..ipv4::Header::atomic(src, dst, Protocol::TCP, segment_len as u16)
    };
    let link = ethernet::Header {
        dst: MacAddr([2, 0, 0, 0, 0, 1]),
        src: MacAddr([2, 0, 0, 0, 0, 2]),
        vlan: None,
        ether_type: EtherType::IPV4,
    };
    let mut frame = vec![0; SEGMENT_AT + segment_len + padding];
    let at = link.write(&mut frame);
    let at = at + ip.write(&mut frame[at..]);
    let pseudo = Sum::pseudo_v4(src, dst, Protocol::TCP, segment_len as u16);
    let at =
        at + header.write_summed(&mut frame[at..], pseudo.add_sum(Sum::ZERO.add_bytes(payload)));
    frame[at..at + payload.len()].copy_from_slice(payload);
    frame
}

fn timestamps() -> tcp::Options {
    let timestamps = Some(Timestamps { value: 0x0102_0304, echo: 0x0506_0708 });
    tcp::Options { timestamps, ..tcp::Options::NONE }
}

fn of_syn() -> tcp::Options {
    let (mss, window_scale) = (Some(1460), Some(7));
    tcp::Options { mss, window_scale, sack_permitted: true, ..timestamps() }
}

#[test]
fn plain_frames_are_read_as_the_protocols_read_them() {
    for options in [tcp::Options::NONE, timestamps(), of_syn()] {
        for len in [0, 1, 2, 63, 64, 65, 1448] {
            for padding in [0, 1, 6] {
                let payload: Vec<_> = (0..len).map(|i| (i * 7) as u8).collect();
                let frame = written(options, &payload, padding);
                let read = read(&frame).expect("a plain frame");
                assert_eq!(Some(read), by_protocols(&frame));
                assert_eq!(read.1, payload);
            }
        }
    }
}

#[test]
fn frames_are_written_as_the_protocols_write_them() {
    for options in [tcp::Options::NONE, timestamps(), of_syn()] {
        for len in [0, 1, 2, 63, 64, 65, 1448] {
            let payload: Vec<_> = (0..len).map(|i| (i * 13) as u8).collect();
            let expected = written(options, &payload, 0);
            let (frame, _) = read(&expected).expect("a plain frame");
            let mut out = vec![0xee; 1600];
            let end = frame.write(Sender::new(MacAddr([2, 0, 0, 0, 0, 2])), 64, &payload, &mut out);
            assert_eq!(out[..end], expected);
            assert!(out[end.max(HEADERS_MAX)..].iter().all(|&byte| byte == 0xee));
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        numbers in any::<(u32, u32, u32, u32, u16, u16)>(),
        (traffic_class, flags, window, ttl) in any::<(u8, u8, u16, u8)>(),
        timestamps in proptest::option::of(any::<(u32, u32)>()),
        syn in proptest::option::of((any::<u16>(), 0..=14u8)),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let (src, dst, seq, ack, src_port, dst_port) = numbers;
        let options = match (timestamps, syn) {
            (None, _) => Options::None,
            (Some((value, echo)), None) => Options::Timestamps(Timestamps { value, echo }),
            (Some((value, echo)), Some((mss, window_scale))) => {
                let timestamps = Timestamps { value, echo };
                Options::Syn(UsualSyn { mss, timestamps, window_scale })
            }
        };
        let frame = Frame {
            to: Receiver::new(MacAddr([1, 2, 3, 4, 5, 6])),
            traffic_class,
            src: Ipv4Addr::from_bits(src),
            dst: Ipv4Addr::from_bits(dst),
            src_port,
            dst_port,
            seq,
            ack,
            flags: Flags(flags),
            window,
            options,
        };
        let mut out = vec![0; 600];
        let end = frame.write(Sender::new(MacAddr([6, 5, 4, 3, 2, 1])), ttl, &payload, &mut out);
        let start = 34 + options.header_len();
        prop_assert_eq!(&out[start..end], &payload[..]);
        prop_assert_eq!(read(&out[..end]), Some((frame, &payload[..])));
        prop_assert_eq!(by_protocols(&out[..end]), Some((frame, &payload[..])));
    }
}

#[test]
fn frames_of_other_kinds_are_left_to_the_protocols() {
    let others = [
        tcp::Options { mss: Some(1460), ..tcp::Options::NONE },
        tcp::Options { sack_permitted: true, ..timestamps() },
    ];
    for options in others {
        assert_eq!(read(&written(options, &[], 0)), None);
    }
    let frame = written(timestamps(), &[1; 64], 0);
    for cut in 0..frame.len() {
        assert_eq!(read(&frame[..cut]), None, "{cut} bytes");
    }
}

proptest! {
    #[test]
    fn whatever_is_changed_the_answer_is_that_of_the_protocols(
        len in 0usize..200,
        kind in 0usize..3,
        changes in proptest::collection::vec((0usize..120, any::<u8>()), 0..4),
        mend: bool,
    ) {
        let options = [tcp::Options::NONE, timestamps(), of_syn()];
        let mut frame = written(options[kind], &vec![0xa5; len], 4);
        for (at, value) in changes {
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        if mend {
            mend_sums(&mut frame);
        }
        prop_assert_eq!(read(&frame), by_protocols(&frame));
    }
}

/// Makes both sums right again where the headers let it be, so that more than sums is looked at.
fn mend_sums(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(PACKET_AT..) else { return };
    packet[10..12].fill(0);
    let sum = Sum::ZERO.add_bytes(&packet[..20]).finish();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let (src, dst) = (be32_at(packet, 12), be32_at(packet, 16));
    let Some(segment) = packet.get_mut(20..total).filter(|segment| segment.len() >= 20) else {
        return;
    };
    segment[16..18].fill(0);
    let (src, dst) = (Ipv4Addr::from_bits(src), Ipv4Addr::from_bits(dst));
    let pseudo = Sum::pseudo_v4(src, dst, Protocol::TCP, segment.len() as u16);
    let sum = pseudo.add_bytes(segment).finish();
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
}

fn be32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
