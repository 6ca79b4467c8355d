use std::net::Ipv4Addr;

use crore_wire::checksum::{self, Sum};

use super::*;

const PEER: Peer = Peer {
    ours: Ipv4Addr::new(10, 0, 0, 1),
    theirs: Ipv4Addr::new(10, 0, 0, 2),
    mac: [2, 0, 0, 0, 0, 2],
};

fn probe(peer: Option<&Peer>) -> Probe<'_> {
    Probe { mac: [2, 0, 0, 0, 0, 1], mtu: 1500, peer, secret: Secret(0x0123_4567_89ab_cdef) }
}

/// What the peer makes of a ping: source and destination change places, and the type.
fn answer() -> Vec<u8> {
    let mut frame = vec![0; 2048];
    let len = probe(Some(&PEER)).write(&mut frame, 0);
    frame.truncate(len);
    for i in 0..4 {
        frame.swap(26 + i, 30 + i);
    }
    frame[34] = 0;
    let sum = u16::from_be_bytes([frame[36], frame[37]]);
    // RFC 1624: the checksum follows the type from 8 to 0, in one's complement.
    let (sum, carry) = sum.overflowing_add(0x0800);
    frame[36..38].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
    frame
}

#[test]
fn a_ping_has_full_size_and_is_right() {
    let mut frame = [0xff; 2048];
    assert_eq!(probe(Some(&PEER)).write(&mut frame, 3), 1514);
    let (ip, payload) = ipv4::Header::parse(&frame[14..1514]).unwrap();
    assert_eq!((ip.src, ip.dst), (PEER.ours, PEER.theirs));
    assert!(checksum::verify(Sum::ZERO.add_bytes(payload)));
    assert_eq!(probe(None).write(&mut frame, 3), 1514);
    assert_eq!(frame[12..14], ETHER_TYPE_LOCAL.to_be_bytes());
}

#[test]
fn a_whole_answer_is_one_and_a_cut_or_damaged_one_is_a_fault() {
    let (probe, whole) = (probe(Some(&PEER)), answer());
    assert_eq!(probe.look(&whole), Some(Ok(1514)));
    let cut = probe.look(&whole[..1024]).unwrap().unwrap_err();
    assert_eq!(cut, "the answer of 10.0.0.2 came cut: 1024 of 1514 bytes");
    let mut damaged = whole.clone();
    damaged[1400] ^= 1;
    assert!(probe.look(&damaged).unwrap().unwrap_err().contains("damaged"));
}

#[test]
fn what_else_arrives_is_no_answer() {
    let whole = answer();
    assert_eq!(probe(None).look(&whole), None, "nobody was asked");
    let probe = probe(Some(&PEER));
    let mut other = whole.clone();
    other[29] = 9;
    assert_eq!(probe.look(&other), None, "somebody else");
    let (mut older, whole) = (whole.clone(), whole);
    older[38..40].copy_from_slice(&[0xcd, 0xee]);
    let sum = u16::from_be_bytes([older[36], older[37]]);
    older[36..38].copy_from_slice(&(sum + 1).to_be_bytes());
    assert_eq!(probe.look(&older), None, "another identifier");
    let mut tcp = whole.clone();
    tcp[23] = 6;
    assert_eq!(probe.look(&tcp[..60]), None, "TCP, even when cut");
    assert_eq!(probe.look(&[0; 60]), None);
}
