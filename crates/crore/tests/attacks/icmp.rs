//! ICMP about connections, forged by somebody who sees nothing of them (RFC 5927).

use crate::segments::{Peer, frame_of};
use crate::steps;
use crore::Drop;
use crore_wire::{Protocol, icmpv4};
use std::net::IpAddr;

/// "Too big" or "port unreachable" from a router, about a segment of the engine with this number.
fn error(peer: &Peer, code: u8, next_hop_mtu: u16, seq: u32) -> Vec<u8> {
    let (IpAddr::V4(here), IpAddr::V4(there)) = (peer.here, peer.there) else { panic!("IPv4") };
    let mut quoted = vec![0x45, 0, 0x05, 0xdc, 0, 0, 0x40, 0, 64, 6, 0, 0];
    quoted.extend(there.octets());
    quoted.extend(here.octets());
    quoted.extend(peer.port_there.to_be_bytes());
    quoted.extend(peer.port_here.to_be_bytes());
    quoted.extend(peer.isn_there.wrapping_add(seq).to_be_bytes());
    let message = icmpv4::Message::Unreachable { code, next_hop_mtu, quoted: &quoted };
    let mut bytes = vec![0; message.len()];
    message.write(&mut bytes);
    frame_of(IpAddr::V4(here), peer.there, Protocol::ICMP, &bytes)
}

/// Guesses: of ten thousand errors about numbers that are not in flight none is believed.
#[test]
fn forged_errors_about_other_numbers_change_nothing() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends_many(5_000);
    peer.hear_all();
    let work = steps(&mut peer, |peer| {
        for n in 0..10_000_u32 {
            let (code, mtu) = if n % 2 == 0 { (icmpv4::UNREACHABLE_TOO_BIG, 68) } else { (3, 0) };
            let frame = error(peer, code, mtu, 5_001 + n.wrapping_mul(0x9e37_79b9) % 0x7fff_0000);
            peer.inject(&[frame]);
        }
    });
    assert_eq!(work, 0);
    peer.hears(&[]);
    assert_eq!(peer.dropped(Drop::IcmpIgnored), 10_000);
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// Somebody on the path, or a lucky guess: a path of 68 octets, again and again.
#[test]
fn a_lie_about_the_path_makes_no_segment_smaller_than_every_host_must_take() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends_many(14_600);
    peer.hear_all();
    for mtu in [68, 0, 1, 296, 575] {
        let frame = error(&peer, icmpv4::UNREACHABLE_TOO_BIG, mtu, 1);
        peer.inject(&[frame]);
    }
    let sizes: Vec<usize> = peer.hear_all().iter().map(|heard| heard.payload.len()).collect();
    assert!(!sizes.is_empty(), "what was too large goes again");
    assert!(sizes.iter().all(|&size| size <= 536));
    assert!(sizes.contains(&536), "{sizes:?}");
}
