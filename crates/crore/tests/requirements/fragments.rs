//! Fragments of IPv4 and IPv6, and IPv6's extension headers (RFC 791 3.2, RFC 1122 3.3.2,
//! RFC 8200 4, RFC 5722, RFC 6946, RFC 7112).

use crate::segments::{Peer, ack, data, frame_of, rst, syn};
use crore::{Counters, Drop};
use crore_wire::checksum::Sum;
use crore_wire::tcp::Flags;
use crore_wire::{Protocol, icmpv4, icmpv6, ipv4, ipv6};
use std::net::IpAddr;

/// A part of a packet's payload, in a frame of its own.
pub(crate) fn part(frame: &[u8], ident: u32, from: usize, to: usize, more: bool) -> Vec<u8> {
    let offset = from as u16 / 8;
    if frame[14] >> 4 == 4 {
        let mut part = [&frame[..34], &frame[34 + from..34 + to]].concat();
        part[16..18].copy_from_slice(&(20 + (to - from) as u16).to_be_bytes());
        part[18..20].copy_from_slice(&(ident as u16).to_be_bytes());
        part[20..22].copy_from_slice(&(u16::from(more) << 13 | offset).to_be_bytes());
        return fixed_v4(part);
    }
    let header = ipv6::Fragment { offset, more, ident };
    let mut extension = vec![0; ipv6::FRAGMENT_HEADER_LEN];
    header.write(Protocol(frame[20]), &mut extension);
    behind(&[&frame[..54], &frame[54 + from..54 + to]].concat(), 44, &extension)
}

fn fixed_v4(mut frame: Vec<u8>) -> Vec<u8> {
    frame[24..26].fill(0);
    let sum = Sum::ZERO.add_bytes(&frame[14..34]).finish();
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// An IPv6 frame with an extension header put behind its fixed one.
fn behind(frame: &[u8], kind: u8, extension: &[u8]) -> Vec<u8> {
    let mut extended = [&frame[..54], extension, &frame[54..]].concat();
    let len = (extended.len() - 54) as u16;
    extended[18..20].copy_from_slice(&len.to_be_bytes());
    extended[20] = kind;
    extended
}

/// All parts of a frame's packet, cut at these octets of its payload.
fn parts(frame: &[u8], ident: u32, cuts: &[usize]) -> Vec<Vec<u8>> {
    let len = frame.len() - if frame[14] >> 4 == 4 { 34 } else { 54 };
    let ends = cuts.iter().copied().chain([len]);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    starts.zip(ends).map(|(from, to)| part(frame, ident, from, to, to != len)).collect()
}

fn open(v6: bool) -> Peer {
    let mut peer = if v6 { Peer::v6(|_| {}) } else { Peer::new(|_| {}) };
    peer.open(syn());
    peer
}

fn counters(peer: &Peer) -> Counters {
    *peer.engine.stack().counters()
}

fn octets(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7) as u8).collect()
}

/// RFC 1122-3.3.2a, RFC 8200-4.5a: datagrams are put together, whatever the order of their parts,
/// and those that come twice.
#[test]
fn parts_in_any_order_make_a_segment() {
    let orders: [&[usize]; 5] =
        [&[0, 1, 2, 3], &[3, 2, 1, 0], &[1, 3, 0, 2], &[0, 0, 1, 1, 3, 2], &[2, 3, 2, 3, 0, 1]];
    for v6 in [false, true] {
        for order in orders {
            let mut peer = open(v6);
            let text = octets(1000);
            let whole = peer.frame(&data(1, 1, &text));
            let parts = parts(&whole, 77, &[240, 248, 600]);
            let arriving: Vec<Vec<u8>> = order.iter().map(|&i| parts[i].clone()).collect();
            peer.inject(&arriving);
            assert_eq!(peer.app().received, text, "{order:?}");
            let counters = counters(&peer);
            assert_eq!(counters.reassembled, 1);
            assert_eq!(counters.dropped(Drop::FragmentRepeat) as usize, order.len() - 4);
            assert_eq!(counters.rx_frames, counters.frames_taken() + counters.frames_dropped());
            peer.wait_ms(100);
            peer.hears(&["A 1 ack 1001"]);
        }
    }
}

/// What comes in parts takes its place between what comes whole in the same burst.
#[test]
fn segments_in_parts_and_whole_ones_keep_their_order() {
    for v6 in [false, true] {
        let mut peer = open(v6);
        let text = octets(900);
        let first = peer.frame(&data(1, 1, &text[..300]));
        let parts = parts(&peer.frame(&data(301, 1, &text[300..600])), 5, &[160]);
        let last = peer.frame(&data(601, 1, &text[600..]));
        peer.inject(&[parts[1].clone(), first, parts[0].clone(), last]);
        assert_eq!(peer.app().received, text);
    }
}

/// A connection may open, end and be refused by segments in parts: the SYN, the third segment with
/// octets, a reset.
#[test]
fn a_whole_life_in_parts() {
    for v6 in [false, true] {
        let mut peer = if v6 { Peer::v6(|_| {}) } else { Peer::new(|_| {}) };
        let opening = peer.frame(&syn().payload(&octets(40)));
        peer.inject(&parts(&opening, 1, &[24]));
        let answer = peer.hear("the SYN-ACK");
        assert_eq!(answer.header.flags, Flags::SYN | Flags::ACK);
        let third = peer.frame(&data(1, 1, &octets(100)));
        peer.inject(&parts(&third, 2, &[64]));
        assert_eq!(peer.app().calls, ["accepted"]);
        assert_eq!(peer.app().received, octets(100));
        peer.says(ack(101, 1));
        let end = peer.frame(&rst(101).payload(&octets(16)));
        peer.inject(&parts(&end, 3, &[24]));
        assert_eq!(peer.app().calls, ["accepted", "closed Reset"]);
    }
}

/// RFC 5722-4: a part that overlaps another one ruins the datagram, and what comes of it later is
/// dropped as well. RFC 8200-4.5c: the same; what comes twice, octet for octet, is no overlap.
#[test]
fn overlapping_parts_ruin_the_datagram() {
    // The parts, as octets of the payload from and to.
    let overlaps: [(usize, usize); 6] =
        [(0, 64), (0, 128), (56, 120), (64, 72), (120, 136), (48, 256)];
    for v6 in [false, true] {
        for (from, to) in overlaps {
            let mut peer = open(v6);
            let whole = peer.frame(&data(1, 1, &octets(236)));
            let evil = peer.frame(&data(1, 1, &[66; 236]));
            peer.inject(&[
                part(&whole, 9, 0, 64, true),
                part(&whole, 9, 64, 128, true),
                part(&evil, 9, from, to, to != 256),
                part(&whole, 9, 128, 256, false),
            ]);
            assert!(peer.app().received.is_empty(), "{from} {to}");
            assert_eq!(counters(&peer).dropped(Drop::Fragment), 2);
            // The same octets again, in one piece, are welcome.
            peer.inject(&[whole]);
            assert_eq!(peer.app().received, octets(236));
        }
    }
}

/// Holes, two ends, an end before what is there, octets behind the end: nothing of it is taken.
#[test]
fn parts_that_cannot_be_make_nothing() {
    for v6 in [false, true] {
        let impossible: [&[(usize, usize, bool)]; 6] = [
            // A hole.
            &[(0, 64, true), (72, 256, false)],
            // Two ends.
            &[(0, 64, true), (64, 128, false), (128, 256, false)],
            // Octets behind the end.
            &[(0, 64, true), (64, 128, false), (128, 192, true)],
            // An end before octets that are there.
            &[(128, 192, true), (64, 120, false), (0, 64, true)],
            // An end and more to follow at the same place.
            &[(64, 128, false), (0, 64, true), (120, 128, true)],
            // No octets.
            &[(0, 0, true), (0, 0, false)],
        ];
        for parts in impossible {
            let mut peer = open(v6);
            let whole = peer.frame(&data(1, 1, &octets(236)));
            let frames: Vec<_> =
                parts.iter().map(|&(from, to, more)| part(&whole, 3, from, to, more)).collect();
            peer.inject(&frames);
            assert!(peer.app().received.is_empty(), "{parts:?}");
            let counters = counters(&peer);
            assert_eq!(counters.rx_frames, counters.frames_taken() + counters.frames_dropped());
        }
    }
}

/// The ping of death: offsets that reach beyond the largest datagram.
#[test]
fn parts_beyond_the_largest_datagram_are_refused() {
    for v6 in [false, true] {
        let mut peer = open(v6);
        let whole = peer.frame(&data(1, 1, &octets(1300)));
        let mut beyond = part(&whole, 4, 0, 1200, false);
        let at = if v6 { 54 + 2 } else { 20 };
        let offset = if v6 { 0xfff8 } else { 0x1fff_u16 };
        beyond[at..at + 2].copy_from_slice(&offset.to_be_bytes());
        let beyond = if v6 { beyond } else { fixed_v4(beyond) };
        peer.inject(&[part(&whole, 4, 0, 1200, true), beyond]);
        assert!(peer.app().received.is_empty());
        assert_eq!(counters(&peer).dropped(Drop::Fragment), 1);
        assert_eq!(peer.others.len(), usize::from(v6), "IPv6 wants it to be told");
    }
}

/// RFC 1858, RFC 3128, RFC 7112-5: a first part without the whole header, and a second one that
/// reaches into it, hide from filters.
#[test]
fn tiny_first_parts_are_refused() {
    for v6 in [false, true] {
        for cut in [8, 16] {
            let mut peer = open(v6);
            let whole = peer.frame(&data(1, 1, &octets(100)));
            peer.inject(&parts(&whole, 6, &[cut]));
            assert!(peer.app().received.is_empty());
            assert_eq!(counters(&peer).dropped(Drop::Fragment), 2);
        }
        // Options belong to the header.
        let mut peer = open(v6);
        let whole = peer.frame(&data(1, 1, &octets(100)).clock(1, 1));
        peer.inject(&parts(&whole, 7, &[24]));
        assert!(peer.app().received.is_empty());
        peer.inject(&parts(&whole, 8, &[32]));
        assert_eq!(peer.app().received.len(), 100);
    }
}

/// RFC 1122-3.3.2b, RFC 8200-4.5b: what is not whole in time is given up, and its sender told when
/// the first part is there. RFC 4443-2.4c: with as much of it as fits.
#[test]
fn datagrams_that_are_not_whole_in_time_are_given_up() {
    for v6 in [false, true] {
        let mut peer = open(v6);
        let whole = peer.frame(&data(1, 1, &octets(500)));
        let first = part(&whole, 10, 0, 400, true);
        peer.inject(&[first.clone(), part(&whole, 11, 400, 520, false)]);
        peer.wait_in_steps(59_000, 100);
        assert!(peer.others.is_empty());
        peer.wait_in_steps(2000, 100);
        assert_eq!(counters(&peer).reassembly_expired, 2);
        assert_eq!(peer.others.len(), 1, "one answer, to the one whose first part came");
        let packet = &peer.others[0][14..];
        let quoted = match (peer.here, peer.there) {
            (IpAddr::V4(here), IpAddr::V4(there)) => {
                let (ip, message) = ipv4::Header::parse(packet).unwrap();
                assert_eq!((ip.src, ip.dst), (there, here));
                match icmpv4::Message::parse(message).unwrap() {
                    icmpv4::Message::TimeExceeded { code: 1, quoted } => quoted,
                    other => panic!("{other:?}"),
                }
            }
            (IpAddr::V6(here), IpAddr::V6(there)) => {
                let (ip, message) = ipv6::Header::parse(packet).unwrap();
                assert_eq!((ip.src, ip.dst), (there, here));
                match icmpv6::Message::parse(ip.src, ip.dst, message).unwrap() {
                    icmpv6::Message::TimeExceeded { code: 1, quoted } => quoted,
                    other => panic!("{other:?}"),
                }
            }
            _ => panic!("two families"),
        };
        let same = if v6 { 48 + 400 } else { 20 + 8 };
        assert_eq!(quoted.len().min(same), same);
        let ports = if v6 { 48 } else { 20 };
        assert_eq!(quoted[ports..ports + 8], first[14 + ports..14 + ports + 8]);
        // The rest comes too late.
        peer.inject(&[part(&whole, 10, 400, 520, false)]);
        assert!(peer.app().received.is_empty());
    }
}

/// One sender has its share of the datagrams, and only drives its own out.
#[test]
fn one_sender_cannot_take_all() {
    let mut peer = open(false);
    let whole = peer.frame(&data(1, 1, &octets(500)));
    peer.inject(&[part(&whole, 1, 0, 400, true)]);
    let from = |host: u8| IpAddr::V4([10, 0, 0, host].into());
    for n in 0..200u32 {
        let text = octets(200);
        let frame = frame_of(from(9), peer.there, Protocol::TCP, &text);
        peer.inject(&[part(&frame, n, 64, 128, true)]);
    }
    assert_eq!(counters(&peer).reassembly_evicted, 200 - 64 / 8);
    peer.inject(&[part(&whole, 1, 400, 520, false)]);
    assert_eq!(peer.app().received, octets(500), "the other sender's is still there");
}

/// Fragments are dropped where they are not wanted.
#[test]
fn reassembly_is_a_setting() {
    let mut peer = Peer::new(|config| config.reassembly.datagrams_max = 0);
    peer.open(syn());
    let whole = peer.frame(&data(1, 1, &octets(500)));
    peer.inject(&parts(&whole, 1, &[256]));
    assert!(peer.app().received.is_empty());
    assert_eq!(counters(&peer).dropped(Drop::Fragment), 2);
}

/// RFC 6946-4: a packet that is whole and has a fragment header all the same stands for itself:
/// parts with its number are none of its business.
#[test]
fn atomic_fragments_stand_for_themselves() {
    let mut peer = open(true);
    let whole = peer.frame(&data(1, 1, &octets(500)));
    peer.inject(&[part(&whole, 1, 0, 400, true), part(&whole, 1, 0, 520, false)]);
    assert_eq!(peer.app().received, octets(500));
    assert_eq!(counters(&peer).reassembled, 0);
    let next = peer.frame(&data(501, 1, &octets(500)));
    peer.inject(&[part(&next, 2, 0, 520, false)]);
    assert_eq!(peer.app().received.len(), 1000);
}

/// What a parameter problem says: code, pointer, and how much it quotes.
fn problem(peer: &mut Peer) -> Option<(u8, u32, usize)> {
    let frame = peer.others.pop()?;
    let (ip, message) = ipv6::Header::parse(&frame[14..]).unwrap();
    match icmpv6::Message::parse(ip.src, ip.dst, message).unwrap() {
        icmpv6::Message::ParameterProblem { code, pointer, quoted } => {
            Some((code, pointer, quoted.len()))
        }
        other => panic!("{other:?}"),
    }
}

/// RFC 8200-4a, RFC 8200-4.2a: extension headers are stepped over, and options that say so.
/// RFC 8200-4.2b: others are dropped, and answered or not as they say. RFC 8200-4.4a, RFC 5095-3a:
/// a source route that does not end here is dropped and answered.
#[test]
fn extension_headers_are_stepped_over_or_refused() {
    // The kind of header, its octets, what is answered: code and pointer; taken when `Ok`.
    type Case = (u8, &'static [u8], Result<(), Option<(u8, u32)>>);
    let cases: [Case; 12] = [
        (0, &[6, 0, 1, 4, 0, 0, 0, 0], Ok(())),
        (60, &[6, 0, 1, 4, 0, 0, 0, 0], Ok(())),
        (60, &[6, 0, 0x1e, 2, 0, 0, 0, 0], Ok(())),
        (43, &[6, 0, 0, 0, 0, 0, 0, 0], Ok(())),
        (43, &[6, 0, 4, 0, 0, 0, 0, 0], Ok(())),
        (60, &[6, 0, 0x5e, 4, 0, 0, 0, 0], Err(None)),
        (60, &[6, 0, 0x9e, 4, 0, 0, 0, 0], Err(Some((2, 42)))),
        (0, &[6, 0, 0, 0, 0xde, 2, 0, 0], Err(Some((2, 44)))),
        (43, &[6, 0, 0, 1, 0, 0, 0, 0], Err(Some((0, 42)))),
        (43, &[6, 0, 200, 3, 0, 0, 0, 0], Err(Some((0, 42)))),
        (60, &[0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0], Err(Some((1, 40)))),
        (60, &[6, 9, 1, 4, 0, 0, 0, 0], Err(None)),
    ];
    for (kind, extension, outcome) in cases {
        let mut peer = open(true);
        let frame = peer.frame(&data(1, 1, b"hello"));
        let extended = behind(&frame, kind, extension);
        let len = extended.len() - 14;
        peer.inject(&[extended]);
        let told = problem(&mut peer);
        match outcome {
            Ok(()) => {
                assert_eq!(peer.app().received, b"hello", "{kind} {extension:?}");
                assert_eq!(told, None);
            }
            Err(answer) => {
                assert!(peer.app().received.is_empty(), "{kind} {extension:?}");
                let answer = answer.map(|(code, pointer)| (code, pointer, len));
                assert_eq!(told, answer, "{kind} {extension:?}");
                assert_eq!(counters(&peer).dropped(Drop::BadExtension), 1);
            }
        }
    }
}

/// RFC 8504 5.3: a chain without end is not walked. RFC 4443-2.4f: answers are limited in rate.
/// RFC 4443-2.4e: to what is sent to many there is none, nor to errors.
#[test]
fn bad_extension_headers_are_no_reflector() {
    let mut peer = open(true);
    let frame = peer.frame(&data(1, 1, b"hello"));
    let pad: &[u8] = &[60, 0, 1, 4, 0, 0, 0, 0];
    let mut long = behind(&frame, 60, &[6, 0, 1, 4, 0, 0, 0, 0]);
    for _ in 0..20 {
        long = behind(&long, 60, pad);
    }
    peer.inject(&[long]);
    assert_eq!((peer.others.len(), peer.app().received.len()), (0, 0));

    let bad = behind(&frame, 60, &[6, 0, 0x9e, 4, 0, 0, 0, 0]);
    for _ in 0..100 {
        peer.inject(&vec![bad.clone(); 50]);
    }
    // How many exactly is drawn anew each millisecond (CVE-2016-5696).
    let answers = peer.others.len();
    assert!((500..=1000).contains(&answers), "{answers} in one millisecond");
    assert_eq!(counters(&peer).dropped(Drop::RateLimited), 5000 - answers as u64);

    let mut peer = open(true);
    let mut to_many = bad.clone();
    to_many[0] = 0x33;
    // An ICMPv6 error behind the option.
    let error = frame_of(peer.here, peer.there, Protocol::ICMPV6, &[1, 0, 0, 0, 0, 0, 0, 0]);
    let error = behind(&error, 60, &[58, 0, 0x9e, 4, 0, 0, 0, 0]);
    peer.inject(&[to_many, error]);
    assert!(peer.others.is_empty());
}

/// RFC 6980-5: neighbour discovery in fragments, atomic ones too, is ignored.
#[test]
fn neighbour_discovery_does_not_come_in_fragments() {
    let mut peer = open(true);
    let (IpAddr::V6(here), IpAddr::V6(there)) = (peer.here, peer.there) else { panic!("IPv6") };
    let source_mac = Some(crore_wire::ethernet::MacAddr([2, 9, 9, 9, 9, 9]));
    let solicit = icmpv6::Message::NeighborSolicit { target: there, source_mac };
    let mut message = vec![0; solicit.len()];
    solicit.write(here, there, &mut message);
    let mut frame = frame_of(peer.here, peer.there, Protocol::ICMPV6, &message);
    frame[21] = 255;
    peer.inject(&[part(&frame, 1, 0, message.len(), false)]);
    peer.inject(&parts(&frame, 2, &[16]));
    assert!(peer.others.is_empty());
    assert_eq!(counters(&peer).neighbours_in, 0);
    peer.inject(&[frame]);
    assert_eq!(peer.others.len(), 1, "an answer");
}

/// IEEE 802.1Q 9.6: a tag for VLAN 0 says nothing but the priority.
#[test]
fn priority_tags_are_stepped_over() {
    for (tag, taken) in [(0x0000, true), (0xa000, true), (0xe001, false), (0x0064, false)] {
        for v6 in [false, true] {
            let mut peer = open(v6);
            let frame = peer.frame(&data(1, 1, b"hello"));
            let [a, b] = u16::to_be_bytes(tag);
            let tagged = [&frame[..12], &[0x81, 0, a, b], &frame[12..]].concat();
            peer.inject(&[tagged]);
            assert_eq!(peer.app().received.is_empty(), !taken, "{tag:#x}");
            let tagged_parts = parts(&frame, 1, &[24]).into_iter();
            let tagged_parts: Vec<_> = tagged_parts
                .map(|part| [&part[..12], &[0x81, 0, a, b], &part[12..]].concat())
                .collect();
            peer.inject(&tagged_parts);
            assert_eq!(counters(&peer).reassembled, u64::from(taken));
        }
    }
}

/// Packets with a source route are dropped, unless the settings want them.
#[test]
fn source_routes_are_refused() {
    for (kind, allowed) in [(131, false), (137, false), (131, true), (137, true)] {
        let mut peer = Peer::new(|config| config.source_routes = allowed);
        peer.open(syn());
        let frame = peer.frame(&data(1, 1, b"hello"));
        let option = [1, kind, 7, 8, 10, 0, 0, 9];
        let mut routed = [&frame[..34], &option, &frame[34..]].concat();
        routed[14] = 0x47;
        let len = (routed.len() - 14) as u16;
        routed[16..18].copy_from_slice(&len.to_be_bytes());
        routed[24..26].fill(0);
        let sum = Sum::ZERO.add_bytes(&routed[14..42]).finish();
        routed[24..26].copy_from_slice(&sum.to_be_bytes());
        peer.inject(&[routed]);
        assert_eq!(peer.app().received.is_empty(), !allowed);
        assert_eq!(counters(&peer).dropped(Drop::SourceRoute), u64::from(!allowed));
    }
}
