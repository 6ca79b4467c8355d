//! What an attacker on the link makes of the frames that it sees.

use crore_wire::tcp;
use std::net::IpAddr;

use crate::frames;
use crate::lan::{BAIT, HONEST, Lan, NOBODY, SERVER, mac, v4, v6};
use crate::luck::Luck;

/// A forged frame. It never names the honest client: ARP and neighbour discovery believe whoever
/// says that he is somebody, and who has seen a connection's numbers can end it.
pub(crate) fn forge(lan: &mut Lan, specimens: &[Vec<u8>], vlan: Option<u16>) -> Vec<u8> {
    let (v4, v6) = (v4(HONEST).octets(), v6(HONEST).octets());
    let names = |frame: &[u8], address: &[u8]| frame.windows(address.len()).any(|w| w == address);
    loop {
        let frame = attempt(lan, specimens, vlan);
        if !names(&frame, &v4) && !names(&frame, &v6) {
            return frame;
        }
    }
}

fn attempt(lan: &mut Lan, specimens: &[Vec<u8>], vlan: Option<u16>) -> Vec<u8> {
    let luck = &mut lan.luck;
    let pick = |frames: &[Vec<u8>], luck: &mut Luck| frames[luck.below(frames.len())].clone();
    let mut frame = match luck.below(20) {
        0 => return random(luck),
        1 => return random_for_server(luck, vlan),
        2 => return stray_segment(luck, vlan),
        3 if !lan.answers.is_empty() => {
            let answer = pick(&lan.answers, luck);
            let mtu = [0, 0, 68, 576, 1280, 1400][luck.below(6)];
            match frames::error_about(&answer, mtu, vlan) {
                Some(frame) => frame,
                None => return random(luck),
            }
        }
        4 | 5 => pick(specimens, luck),
        _ if !lan.seen.is_empty() => pick(&lan.seen, luck),
        _ => pick(specimens, luck),
    };
    let other = if lan.seen.is_empty() { pick(specimens, luck) } else { pick(&lan.seen, luck) };
    // Some are sent again unchanged.
    for _ in 0..luck.below(4) {
        mutate(&mut frame, &other, luck);
    }
    if !luck.one_in(4) {
        frames::fix_checksums(&mut frame);
    }
    frame.truncate(1600);
    frame
}

fn random(luck: &mut Luck) -> Vec<u8> {
    let len = luck.below(120);
    (0..len).map(|_| luck.next() as u8).collect()
}

/// Noise behind a good Ethernet header.
fn random_for_server(luck: &mut Luck, vlan: Option<u16>) -> Vec<u8> {
    let noise = random(luck);
    let types = [0x0800, 0x86dd, 0x0806];
    let ether_type = crore_wire::ethernet::EtherType(types[luck.below(3)]);
    frames::in_frame(ether_type, vlan, &noise)
}

/// A good segment of a connection that most likely is not.
fn stray_segment(luck: &mut Luck, vlan: Option<u16>) -> Vec<u8> {
    let from = [v4(BAIT), v4(NOBODY), v4(NOBODY), v4(SERVER)][luck.below(4)];
    let from = if luck.one_in(3) { IpAddr::V6(v6(BAIT)) } else { IpAddr::V4(from) };
    let ports = (1 + luck.below(65_535) as u16, [80, 80, 81, 443][luck.below(4)]);
    let (seq, ack, flags) = (luck.next() as u32, luck.next() as u32, luck.next() as u8);
    let header = frames::header(ports, seq, ack, tcp::Flags(flags));
    let text = vec![1; luck.below(40)];
    frames::in_segment(from, vlan, &header, &text)
}

/// Changes a frame in one of the ways that find bugs.
fn mutate(frame: &mut Vec<u8>, other: &[u8], luck: &mut Luck) {
    if frame.is_empty() {
        return;
    }
    if !luck.one_in(3)
        && let Some(at) = frames::tcp_start(frame)
    {
        return mutate_segment(&mut frame[at..], luck);
    }
    // Headers are where it matters.
    let bound = if luck.one_in(3) { frame.len() } else { frame.len().min(80) };
    let place = luck.below(bound);
    match luck.below(9) {
        0 | 1 => frame[place] ^= 1 << luck.below(8),
        2 => frame[place] = INTERESTING[luck.below(INTERESTING.len())],
        3 => frame[place] = luck.next() as u8,
        4 => frame.truncate(place),
        5 => {
            frame.truncate(place);
            frame.extend_from_slice(other.get(place..).unwrap_or(&[]));
        }
        6 => wrong_length(frame, luck),
        7 => {
            let tag = [0x81, 0, 0, [0, 100, 101][luck.below(3)]];
            if frame.len() > 12 {
                frame.splice(12..12, tag);
            }
        }
        _ => frame.extend((0..luck.below(64)).map(|_| luck.next() as u8)),
    }
}

/// Another total length of IPv4, or payload length of IPv6.
fn wrong_length(frame: &mut [u8], luck: &mut Luck) {
    let at = if frame.len() > 13 && frame[12] == 8 { 16 } else { 18 };
    let Some(field) = frame.get_mut(at..at + 2) else { return };
    let len = u16::from_be_bytes([field[0], field[1]]);
    let len = match luck.below(4) {
        0 => luck.next() as u16,
        1 => 0xffff,
        2 => len.wrapping_add(luck.below(20) as u16),
        _ => len.wrapping_sub(luck.below(20) as u16),
    };
    field.copy_from_slice(&len.to_be_bytes());
}

/// Another flag, a number near the window, a window, an option.
fn mutate_segment(segment: &mut [u8], luck: &mut Luck) {
    match luck.below(9) {
        0 => segment[13] = luck.next() as u8,
        1 => segment[13] = COMBINATIONS[luck.below(COMBINATIONS.len())],
        2 | 3 => shift(&mut segment[4..8], luck),
        4 | 5 => shift(&mut segment[8..12], luck),
        6 => {
            let window = [0, 1, 500, 0xffff, luck.next() as u16][luck.below(5)];
            segment[14..16].copy_from_slice(&window.to_be_bytes());
        }
        7 => segment[12] = (luck.next() as u8) & 0xf0,
        _ => {
            let end = (usize::from(segment[12] >> 4) * 4).min(segment.len());
            if end > 20 {
                segment[20 + luck.below(end - 20)] = luck.next() as u8;
            }
        }
    }
}

/// Moves a sequence number: by little, by about a window, or far.
fn shift(number: &mut [u8], luck: &mut Luck) {
    let now = u32::from_be_bytes([number[0], number[1], number[2], number[3]]);
    let by = match luck.below(8) {
        0 => 1,
        1 => luck.below(16) as u32,
        2 => luck.below(3000) as u32,
        3 => 1 << luck.below(32),
        4 => 65_535,
        5 => 256 << 10,
        6 => (1 << 20) + luck.below(100) as u32,
        _ => luck.next() as u32,
    };
    let moved = if luck.one_in(2) { now.wrapping_add(by) } else { now.wrapping_sub(by) };
    number.copy_from_slice(&moved.to_be_bytes());
}

/// A hardware address of nobody.
pub(crate) fn made_up_mac(luck: &mut Luck) -> [u8; 6] {
    let n = luck.next().to_be_bytes();
    let mut address = mac(0);
    address[1..].copy_from_slice(&n[3..]);
    address
}

/// FIN, SYN, RST, PSH, ACK, URG, ECE and CWR, as they come and as they must not.
const COMBINATIONS: [u8; 12] =
    [0, 0x01, 0x02, 0x04, 0x10, 0x11, 0x12, 0x14, 0x18, 0x03, 0x3f, 0xff];

/// Lengths, kinds and versions at which parsers take another way.
const INTERESTING: [u8; 16] =
    [0, 1, 2, 4, 5, 8, 10, 0x44, 0x45, 0x4f, 0x50, 0x60, 0x7f, 0x80, 0xf0, 0xff];
