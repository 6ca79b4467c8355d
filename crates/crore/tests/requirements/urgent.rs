//! Urgent data (RFC 9293 3.8.5, RFC 6093).

use crate::segments::{Peer, Segment, ack, data, fin, segment};
use crore_wire::tcp::Flags;

/// The engine's application sends urgent data.
fn app_sends_urgent(peer: &mut Peer, bytes: &[u8]) {
    let id = peer.conn();
    let taken = peer.act(|turn| turn.conn(id).unwrap().send_urgent(bytes));
    assert_eq!(taken, bytes.len());
    peer.turn();
}

fn urgent(segment: Segment, pointer: u16) -> Segment {
    let mut segment = segment.with(Flags::URG);
    segment.urgent = pointer;
    segment
}

fn ahead(peer: &mut Peer) -> usize {
    let id = peer.conn();
    peer.act(|turn| turn.conn(id).unwrap().urgent_ahead())
}

/// RFC 9293 MUST-30: urgent data can be sent. RFC 9293 MUST-62: the pointer points behind it.
#[test]
fn the_pointer_points_behind_the_urgent_data() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends(b"before");
    assert!(!peer.hear("ordinary octets").header.flags.contains(Flags::URG));
    app_sends_urgent(&mut peer, b"now");
    peer.hears(&[]);
    peer.says(ack(1, 7));
    let heard = peer.hear("the urgent octets");
    assert_eq!(peer.told(&heard), "PUA 7+3 ack 1");
    assert_eq!(heard.header.urgent, 3);
    // Sent again it says the same.
    peer.wait_ms(1500);
    let again = peer.hear("the urgent octets again");
    assert_eq!((peer.told(&again).as_str(), again.header.urgent), ("PUA 7+3 ack 1", 3));
    peer.hear_all();
    peer.says(ack(1, 10));
    peer.app_sends(b"after");
    peer.hears(&["PA 10+5 ack 1"]);
    peer.says(ack(1, 15));
    peer.wait_in_steps(10_000, 100);
    assert_eq!(peer.engine.stack().blocks_in_use(), 0, "nothing of it is remembered");
}

/// RFC 9293 MUST-31: of any length. All segments before its end point at it, or as far as they can.
#[test]
fn urgent_data_may_be_long() {
    const LEN: u32 = 200_000;
    let mut peer = Peer::accepted(|config| config.rto_min_ms = 10_000);
    app_sends_urgent(&mut peer, &vec![9; LEN as usize]);
    peer.app_sends(b"ordinary");
    let (mut acked, mut capped) = (1, 0);
    while acked < 1 + LEN + 8 {
        for heard in peer.hear_all() {
            let seq = heard.header.seq.wrapping_sub(peer.isn_there);
            let end = 1 + LEN;
            let is_urgent = heard.header.flags.contains(Flags::URG);
            assert_eq!(is_urgent, seq < end, "{seq}");
            if is_urgent {
                assert_eq!(u32::from(heard.header.urgent), (end - seq).min(65_535), "{seq}");
                capped += u32::from(heard.header.urgent == 65_535);
            }
            acked = seq + heard.payload.len() as u32;
        }
        peer.now_us += 1000;
        peer.says(ack(1, acked));
    }
    assert!(capped > 50, "{capped}");
}

/// A peer that has shut its window learns of urgent data all the same.
#[test]
fn urgent_data_behind_a_shut_window_is_announced() {
    let mut peer = Peer::accepted(|_| {});
    peer.says(ack(1, 1).window(0));
    app_sends_urgent(&mut peer, b"interrupt");
    peer.wait_ms(1500);
    let probe = peer.hear("a probe");
    assert!(probe.header.flags.contains(Flags::URG));
    assert_eq!(probe.header.urgent, 9);
}

/// RFC 9293 MUST-32, RFC 1122-4.2.4.1: the application is told of a pointer that is new or moved
/// on, at once, before the octets are there; and of no other.
#[test]
fn the_application_is_told_of_urgent_data_ahead() {
    let mut peer = Peer::accepted(|_| {});
    peer.says(urgent(ack(1, 1), 10));
    assert_eq!(peer.app().urgents, [10]);
    peer.says(urgent(data(1, 1, b"01234"), 9));
    assert_eq!(peer.app().urgents, [10], "it is the same place, and then one before it");
    assert_eq!(ahead(&mut peer), 5);
    peer.says(urgent(data(6, 1, b"56789abc"), 8));
    assert_eq!(peer.app().urgents, [10, 8], "it moved on by three");
    assert_eq!(ahead(&mut peer), 0);
    assert_eq!(peer.app().received, b"0123456789abc");
    // Without the bit the field says nothing; and what was read is not ahead.
    let mut plain = data(14, 1, b"d");
    plain.urgent = 1;
    peer.says(plain);
    peer.says(urgent(data(14, 1, b"d"), 1));
    assert_eq!(peer.app().urgents, [10, 8]);
    peer.wait_in_steps(5000, 100);
    assert_eq!(peer.engine.stack().blocks_in_use(), 0, "nothing of it is remembered");
}

/// RFC 9293 MUST-33: it can learn how much urgent data remains to be read.
#[test]
fn the_application_learns_how_much_urgent_data_remains() {
    let mut peer = Peer::accepted(|_| {});
    peer.engine.service_mut().most = Some(4);
    // In one burst with ordinary octets before it, which the application reads first.
    peer.says_all(&[data(1, 1, b"ab"), urgent(data(3, 1, b"cdefghij"), 6), data(11, 1, b"k")]);
    // What is not read in the frame is offered in one piece, so four octets were read before.
    assert_eq!(peer.app().urgents, [4]);
    let id = peer.conn();
    for _ in 0..3 {
        peer.act(|turn| turn.conn(id).unwrap().resume());
        peer.turn();
    }
    assert_eq!(peer.app().received, b"abcdefghijk");
    // Each call of `data` counts from the first octet that it is offered.
    assert_eq!(peer.app().ahead_in_data, [8, 4, 0]);
    assert_eq!(ahead(&mut peer), 0);
}

/// Urgent data is ordinary data in every other respect: out of order, twice, with the FIN.
#[test]
fn urgent_data_comes_in_its_place() {
    let mut peer = Peer::accepted(|_| {});
    peer.says(urgent(data(6, 1, b"fghij"), 5));
    assert_eq!(peer.app().urgents, [10], "counted from the first octet that is missing");
    peer.says(urgent(data(6, 1, b"fghij"), 5));
    assert!(peer.app().received.is_empty());
    peer.says(urgent(data(1, 1, b"abcde"), 10));
    assert_eq!(peer.app().received, b"abcdefghij");
    peer.says(urgent(fin(11, 1).payload(b"k"), 1));
    assert_eq!(peer.app().received, b"abcdefghijk");
    assert_eq!(peer.app().urgents, [10, 1]);
    assert_eq!(peer.app().calls, ["accepted", "peer_closed"]);
    // After the FIN, and on a reset, the bit says nothing.
    peer.says(urgent(segment(Flags::RST, 13), 50));
    assert_eq!(peer.app().urgents, [10, 1]);
    assert_eq!(peer.app().calls, ["accepted", "peer_closed", "closed Reset"]);
}
