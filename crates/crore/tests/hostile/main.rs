//! Bad input against live engines: a million forged frames, and floods. Nothing panics, honest
//! connections go on, memory stays as it is, and each frame is counted under its fate.

mod forge;
mod frames;
mod honest;
mod lan;
mod luck;
mod plays;

use crore::Drop;
use crore_wire::{arp, tcp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use forge::{forge, made_up_mac};
use frames::{header, in_arp, in_part, in_segment, specimens};
use lan::{BAIT, Lan, NOBODY, SERVER, v4};

/// A million forged frames, between the frames of connections in every state.
#[test]
fn a_million_forged_frames_leave_honest_connections_as_they_were() {
    let mut lan = Lan::new(0x0123_4567_89ab_cdef, None);
    attack(&mut lan, None, 1_000_000);
    lan.echo_honest(64 << 10, 60_000);
    lan.nothing_is_left();
    lan.every_frame_is_accounted_for();
    enough_of_everything(&lan);
}

#[test]
fn the_same_on_a_vlan() {
    let mut lan = Lan::new(0x0fed_cba9_8765_4321, Some(100));
    attack(&mut lan, Some(100), 100_000);
    lan.echo_honest(64 << 10, 60_000);
    lan.nothing_is_left();
    lan.every_frame_is_accounted_for();
}

fn attack(lan: &mut Lan, vlan: Option<u16>, count: usize) {
    lan.open_honest(16);
    lan.echo_honest(10_000, 10_000);
    lan.bait.engine.service_mut().quiet = false;
    lan.server.engine.service_mut().opens = true;
    let specimens = specimens(vlan);
    let mut sent = 0;
    while sent < count {
        let forged: Vec<_> = (0..40).map(|_| forge(lan, &specimens, vlan)).collect();
        sent += forged.len();
        lan.turn(forged);
        let honest = lan.honest.engine.service_mut();
        if honest.is_done() {
            honest.more(500);
        }
    }
    lan.bait.engine.service_mut().quiet = true;
    lan.server.engine.service_mut().opens = false;
    let _ = lan.wait(2000, |lan| lan.server.inbox.is_empty());
    lan.every_frame_is_accounted_for();
}

/// The attack reached what it is meant to reach: every reason to drop a frame, every kind of
/// effect.
fn enough_of_everything(lan: &Lan) {
    let counters = lan.server.counters();
    // Tables, pools and rings that have no reason to run full.
    let unreached = [
        Drop::ConnTableFull,
        Drop::Backlog,
        Drop::AcceptRate,
        Drop::SourceFull,
        Drop::SourceRate,
        Drop::BeforeCookie,
        Drop::FlowTableFull,
        Drop::NeighbourUnknown,
        Drop::PoolEmpty,
        Drop::OutOfOrderFull,
        Drop::TxFull,
        Drop::NoNextHop,
        Drop::NotPassedOn,
    ];
    for (reason, name) in crore::DROP_NAMES.iter().enumerate() {
        let expected = !unreached.iter().any(|&drop| drop as usize == reason);
        assert!(!expected || counters.drops[reason] >= 10, "{name}: {counters:?}");
    }
    let effects = [
        counters.accepted,
        counters.connected,
        counters.resets_in,
        counters.retransmits,
        counters.challenges,
        counters.out_of_order,
        counters.pings,
        counters.neighbours_in,
        counters.icmp_errors_in,
        counters.half_open_expired,
    ];
    assert!(effects.iter().all(|&count| count >= 10), "{counters:?}");
}

/// Sends `count` frames of one kind, while the honest connections go on echoing.
fn flood(lan: &mut Lan, count: usize, mut frame: impl FnMut(&mut Lan) -> Vec<u8>) {
    let mut sent = 0;
    while sent < count {
        let forged: Vec<_> = (0..48).map(|_| frame(lan)).collect();
        sent += forged.len();
        lan.turn(forged);
        let honest = lan.honest.engine.service_mut();
        if honest.is_done() {
            honest.more(500);
        }
    }
}

/// What a flood must leave as it is.
fn flood_did_no_harm(lan: &mut Lan) {
    lan.echo_honest(20_000, 5_000);
    assert_eq!(lan.server.counters().resets_in, 0);
    lan.nothing_is_left();
    lan.every_frame_is_accounted_for();
}

/// SYNs from a million made-up addresses: on the link, off the link, IPv6.
#[test]
fn a_flood_of_syns_keeps_nobody_out() {
    let mut lan = Lan::new(1, None);
    lan.open_honest(8);
    let memory = lan.server.memory.accounts().to_vec();
    let mut half_open = 0;
    let mut opened = 0;
    flood(&mut lan, 1_000_000, |lan| {
        half_open = half_open.max(lan.server.engine.stack().half_open());
        if lan.turns_so_far().is_multiple_of(2000) && opened < lan.turns_so_far() / 2000 {
            opened += 1;
            lan.honest.engine.with_turn(|honest, turn| {
                turn.connect((v4(SERVER), 80).into(), None).unwrap();
                honest.opening += 1;
            });
        }
        let n = lan.luck.next();
        let from = match n % 3 {
            0 => {
                IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | (n >> 8) as u32 & 0x00ff_ff00 | 0x4d))
            }
            1 => IpAddr::V4(Ipv4Addr::from_bits(0x2000_0000 | (n >> 8) as u32 & 0x1fff_ffff)),
            _ => IpAddr::V6(Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(n))),
        };
        let mut syn = header((n as u16 | 1, 80), lan.luck.next() as u32, 0, tcp::Flags::SYN);
        syn.options.mss = Some(1460);
        in_segment(from, None, &syn, &[])
    });
    let counters = lan.server.counters();
    assert!(half_open <= 1024, "{half_open}");
    assert!(counters.cookies_sent > 900_000, "{counters:?}");
    assert_eq!(format!("{memory:?}"), format!("{:?}", lan.server.memory.accounts()));
    assert!(opened >= 5);
    assert!(lan.wait(5000, |lan| lan.honest.engine.service().opening == 0), "{counters:?}");
    assert!(counters.cookies_accepted > 0, "{counters:?}");
    // Somebody who was never heard before gets in too.
    lan.bait.engine.with_turn(|_, turn| {
        turn.connect((v4(SERVER), 80).into(), None).unwrap();
    });
    let before = counters.accepted;
    assert!(lan.wait(2000, |lan| lan.server.counters().accepted > before));
    flood_did_no_harm(&mut lan);
}

/// Segments with the honest connections' addresses and ports, and numbers guessed blindly.
#[test]
fn blind_segments_do_not_end_a_connection() {
    let mut lan = Lan::new(2, None);
    lan.open_honest(8);
    lan.echo_honest(1000, 1000);
    let conns = lan.honest.engine.service().conns.clone();
    let ends: Vec<_> = lan
        .honest
        .engine
        .with_turn(|_, turn| conns.iter().map(|&id| turn.conn(id).unwrap().local()).collect());
    let kinds = [
        tcp::Flags::RST,
        tcp::Flags::RST | tcp::Flags::ACK,
        tcp::Flags::FIN | tcp::Flags::ACK,
        tcp::Flags::ACK,
        tcp::Flags::SYN,
        tcp::Flags::SYN | tcp::Flags::ACK,
    ];
    flood(&mut lan, 500_000, |lan| {
        let luck = &mut lan.luck;
        let end = ends[luck.below(ends.len())];
        let flags = kinds[luck.below(kinds.len())];
        let mut header = header((end.port(), 80), luck.next() as u32, luck.next() as u32, flags);
        if luck.one_in(2) {
            let (value, echo) = (luck.next() as u32, luck.next() as u32);
            header.options.timestamps = Some(tcp::Timestamps { value, echo });
        }
        let text = vec![0; luck.below(3) * 10];
        in_segment(end.ip(), None, &header, &text)
    });
    let counters = lan.server.counters();
    for reason in [Drop::OutsideWindow, Drop::NoAck, Drop::OldTimestamp] {
        assert!(counters.dropped(reason) > 10_000, "{reason:?} {counters:?}");
    }
    flood_did_no_harm(&mut lan);
}

/// A million made-up neighbours drive nobody out who is in use, and only each other.
#[test]
fn a_flood_of_arp_drives_no_neighbour_out() {
    let mut lan = Lan::new(3, None);
    lan.open_honest(8);
    lan.echo_honest(1000, 1000);
    let asked = lan.asked_for_honest;
    flood(&mut lan, 1_000_000, |lan| {
        let (operation, from) = (arp::Operation::Request, made_up_mac(&mut lan.luck));
        let ip = Ipv4Addr::from_bits(0x0a01_0000 | lan.luck.next() as u32 & 0x00fe_ffff);
        in_arp(operation, from, ip, None)
    });
    assert_eq!(lan.asked_for_honest, asked, "the honest client's address was known throughout");
    assert!(lan.server.counters().neighbours_in > 900_000);
    flood_did_no_harm(&mut lan);
}

/// Both sides close at once and wait in TIME-WAIT; a segment sent again is not answered for ever.
#[test]
fn two_sides_in_time_wait_do_not_answer_each_other_for_ever() {
    let mut lan = Lan::new(4, None);
    lan.open_honest(1);
    let id = lan.honest.engine.service().conns[0];
    let server_id = lan.server.conns()[0];
    lan.honest.engine.with_turn(|_, turn| turn.conn(id).unwrap().close());
    lan.server.engine.with_turn(|_, turn| turn.conn(server_id).unwrap().close());
    lan.both_send_at_once();
    lan.wait(100, |_| false);
    assert_eq!(lan.server.engine.stack().time_wait(), 1);
    assert_eq!(lan.honest.engine.stack().time_wait(), 1);
    let answered = lan.repeat_last_of_honest();
    assert!(answered < 5, "{answered} answers to one segment");
    lan.nothing_is_left();
}

/// First parts of datagrams that never end, from a million made-up senders and from one: memory
/// stays as it is, nobody's work grows, and who sends in parts honestly while one sender floods
/// gets through.
#[test]
fn a_flood_of_first_fragments_takes_nothing_but_its_place() {
    let mut lan = Lan::new(5, None);
    lan.open_honest(8);
    let memory = lan.server.memory.accounts().to_vec();
    flood(&mut lan, 300_000, |lan| {
        let n = lan.luck.next();
        let from = match n % 4 {
            0 => IpAddr::V6(Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(n))),
            1 => IpAddr::V4(v4(BAIT)),
            _ => IpAddr::V4(Ipv4Addr::from_bits(0x2000_0000 | (n >> 8) as u32 & 0x1fff_ffff)),
        };
        let offset = if n & 64 == 0 { 0 } else { 8 * (n >> 40) as u16 };
        in_part(from, None, (n >> 16) as u32, offset, n & 128 == 0, &[7; 64])
    });
    let counters = lan.server.counters();
    assert!(counters.reassembly_evicted > 100_000, "{counters:?}");
    assert_eq!(format!("{memory:?}"), format!("{:?}", lan.server.memory.accounts()));

    // One sender alone does not drive the others' datagrams out: a SYN in two parts, with all that
    // one sender can do between them.
    let syn = header((50_000, 81), 9, 0, tcp::Flags::SYN);
    let whole = in_segment(IpAddr::V4(v4(NOBODY)), None, &syn, &[0; 44]);
    let first = in_part_of(&whole, 0, 32, true);
    lan.turn([first]);
    flood(&mut lan, 10_000, |lan| {
        in_part(IpAddr::V4(v4(BAIT)), None, lan.luck.next() as u32, 0, true, &[7; 64])
    });
    let before = lan.server.counters().reassembled;
    lan.turn([in_part_of(&whole, 32, 64, false)]);
    assert_eq!(lan.server.counters().reassembled, before + 1);
    flood_did_no_harm(&mut lan);
    lan.wait(61_000, |_| false);
    let counters = lan.server.counters();
    assert!(counters.reassembly_expired > 0);
}

/// Octets `from` to `to` of an IPv4 frame's segment as a fragment.
fn in_part_of(whole: &[u8], from: usize, to: usize, more: bool) -> Vec<u8> {
    let mut part = [&whole[..34], &whole[34 + from..34 + to]].concat();
    part[16..18].copy_from_slice(&(20 + (to - from) as u16).to_be_bytes());
    part[18..20].copy_from_slice(&[5, 5]);
    part[20..22].copy_from_slice(&((u16::from(more) << 13) | (from as u16 / 8)).to_be_bytes());
    part[24..26].fill(0);
    let sum = crore_wire::checksum::Sum::ZERO.add_bytes(&part[14..34]).finish();
    part[24..26].copy_from_slice(&sum.to_be_bytes());
    part
}
