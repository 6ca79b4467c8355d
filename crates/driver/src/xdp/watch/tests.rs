use std::time::{Duration, Instant};

use super::{Sight, Watch, said_bytes};

/// An IPv4 frame of `bytes` bytes whose header says `said`.
fn ipv4(said: usize, bytes: usize) -> Vec<u8> {
    let mut frame = vec![0; bytes];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[16..18].copy_from_slice(&(said as u16 - 14).to_be_bytes());
    frame
}

#[test]
fn a_frame_says_how_long_it_is() {
    assert_eq!(said_bytes(&ipv4(1514, 60)), Some(1514));
    let mut ipv6 = vec![0; 60];
    ipv6[12..14].copy_from_slice(&[0x86, 0xdd]);
    ipv6[18..20].copy_from_slice(&1460u16.to_be_bytes());
    assert_eq!(said_bytes(&ipv6), Some(1514));
    let tag = [0x81, 0x00, 0, 42];
    let tagged = [&ipv6[..12], &tag, &ipv6[12..]].concat();
    assert_eq!(said_bytes(&tagged), Some(1518));
    assert_eq!(said_bytes(&[0; 60]), None, "not IP");
    for len in 0..18 {
        assert_eq!(said_bytes(&ipv4(1514, 60)[..len]), None, "{len} bytes");
    }
}

#[test]
fn only_a_frame_of_full_size_proves() {
    let mut watch = Watch::new(1500, 0);
    assert_eq!(watch.frame(&ipv4(60, 60)), Sight::Nothing);
    assert_eq!(watch.frame(&ipv4(54, 60)), Sight::Nothing, "padding is not length");
    assert_eq!(watch.frame(&ipv4(1024, 1024)), Sight::Nothing, "what a driver may cut to");
    assert_eq!(watch.frame(&ipv4(1514, 1514)), Sight::Whole(1514));
}

#[test]
fn one_cut_frame_may_be_a_peers_lie_and_several_are_a_fault() {
    let mut watch = Watch::new(1500, 0);
    for _ in 0..3 {
        assert_eq!(watch.frame(&ipv4(1514, 1024)), Sight::Nothing);
    }
    assert_eq!(watch.frame(&ipv4(1514, 1024)), Sight::Cut { bytes: 1024, said: 1514 });
}

#[test]
fn frames_that_never_reach_the_socket_are_missed_after_a_while() {
    let start = Instant::now();
    let mut watch = Watch::new(1500, 100);
    assert_eq!(watch.idle(start, || Some(103)), Sight::Nothing, "too few to tell");
    let later = start + Duration::from_millis(50);
    assert_eq!(watch.idle(later, || panic!("asked too often")), Sight::Nothing);
    let later = start + Duration::from_millis(200);
    assert_eq!(watch.idle(later, || Some(120)), Sight::Nothing, "they may be on their way");
    let later = start + Duration::from_millis(1300);
    assert_eq!(watch.idle(later, || Some(121)), Sight::Missing(21));
}

#[test]
fn a_socket_that_has_got_one_frame_misses_none() {
    let start = Instant::now();
    let mut watch = Watch::new(1500, 0);
    watch.frame(&ipv4(60, 60));
    assert_eq!(watch.idle(start, || panic!("no need to ask")), Sight::Nothing);
}
