//! Window scale, timestamps and PAWS (RFC 7323).

use crate::segments::{Peer, Segment, ack, data, rst, segment, syn};
use crore::StackConfig;
use crore_wire::tcp::{Flags, Options};

fn on(config: &mut StackConfig) {
    config.timestamps = true;
}

/// A connection whose peer's clock was 1000 in the handshake.
fn timed() -> Peer {
    let mut peer = Peer::accepted_after(on, syn().clock(1000, 0));
    peer.hear_all();
    peer
}

/// The echo of the next segment that the engine sends.
fn echo(peer: &mut Peer) -> u32 {
    peer.hear("a segment").header.options.timestamps.expect("timestamps").echo
}

/// RFC 7323-2.2a, RFC 7323-2.3c: windows are scaled when both SYNs say so, else neither way.
/// RFC 7323-2.3b: our shift is the one we then use. RFC 7323-2.3d, RFC 7323-2.3e: in both ways.
/// RFC 7323-2.2c: the SYN's own window is not shifted.
#[test]
fn windows_are_scaled_when_both_say_so() {
    let large = |config: &mut StackConfig| {
        config.window_scaling = true;
        config.rcv_buf_bytes = 1 << 20;
        config.rcv_buf_max_bytes = 1 << 20;
        config.initial_window_segments = 100;
        config.nodelay = true;
    };
    let scaled = Options { mss: Some(1460), window_scale: Some(3), ..Options::NONE };
    let mut peer = Peer::new(large);
    peer.says(syn().options(scaled).window(100));
    let answer = peer.hear("the SYN-ACK").header;
    assert_eq!((answer.options.window_scale, answer.window), (Some(5), 65_535));
    peer.says(ack(1, 1).window(1000));
    peer.app_sends_many(20_000);
    let sent: usize = peer.hear_all().iter().map(|heard| heard.payload.len()).sum();
    assert_eq!(sent, 7300, "1000 << 3, in whole segments");
    peer.says(data(1, 7301, &[0; 1460]).window(1000));
    peer.says(data(1461, 7301, &[0; 1460]).window(1000));
    let window = peer.hear_all().last().unwrap().header.window;
    assert!((32_000..=32_768).contains(&window), "(1 << 20) >> 5, not {window}");

    let mut plain = Peer::new(large);
    plain.says(syn());
    assert_eq!(plain.hear("the SYN-ACK").header.options.window_scale, None);
    plain.says(ack(1, 1).window(1000));
    plain.app_sends_many(20_000);
    let sent: usize = plain.hear_all().iter().map(|heard| heard.payload.len()).sum();
    assert_eq!(sent, 1000);
}

/// RFC 7323-2.3f: a shift above 14 counts as 14. RFC 7323-2.2b: without SYN it counts for nothing.
#[test]
fn impossible_and_late_shifts_are_survived() {
    let scaling = |config: &mut StackConfig| {
        config.window_scaling = true;
        config.nodelay = true;
    };
    let too_far = [2, 4, 0x05, 0xb4, 3, 3, 200, 0];
    let mut peer = Peer::accepted_after(scaling, syn().raw_options(&too_far));
    peer.says(ack(1, 1).window(1));
    peer.app_sends_many(30_000);
    let sent = |peer: &mut Peer| -> usize {
        peer.hear_all().iter().map(|heard| heard.payload.len()).sum()
    };
    assert_eq!(sent(&mut peer), 14_600, "the initial window; the peer's is 16,384");
    let mut late = Peer::accepted_after(scaling, syn());
    late.says(data(1, 1, b"x").window(1000).raw_options(&[3, 3, 7, 0]));
    late.says(ack(2, 1).window(1000));
    late.app_sends_many(30_000);
    assert_eq!(sent(&mut late), 0, "1000 is silly beside 65,535; 1000 << 7 would not be");
}

/// RFC 7323-2.4a: what an earlier acknowledgment let in is still let in, although the scaled window
/// of the last one says a little less.
#[test]
fn the_promised_edge_holds() {
    let scaling = |config: &mut StackConfig| {
        config.window_scaling = true;
        config.window_scale_min = 10;
        config.rcv_buf_max_bytes = 64 << 10;
        config.rcv_buf_bytes = 64 << 10;
    };
    let scaled = Options { mss: Some(1460), window_scale: Some(0), ..Options::NONE };
    let mut peer = Peer::accepted_after(scaling, syn().options(scaled));
    peer.engine.service_mut().reads = false;
    let mut at = 1;
    for len in [3, 1460, 1460, 700, 1460, 1460, 1] {
        peer.says(data(at, 1, &vec![1; len]));
        at += len as u32;
    }
    peer.wait_ms(50);
    // The edge of the handshake was 65,535 octets on; the last octet below it is let in.
    peer.says(data(65_535, 1, b"!"));
    let heard = peer.hear_all();
    assert_eq!(peer.told(heard.last().unwrap()), format!("A 1 ack {at}"));
    let kept = peer.engine.stack().counters().out_of_order;
    assert_eq!(kept, 1);
}

/// RFC 7323-3.2a, RFC 7323-3.2c: every segment has the clock and an echo. RFC 7323-4.1,
/// RFC 7323-5.4a: the clock is one of milliseconds.
#[test]
fn every_segment_has_timestamps() {
    let mut peer = timed();
    peer.app_sends(b"hello");
    let first = peer.hear("octets").header.options.timestamps.unwrap();
    assert_eq!(first.echo, 1000);
    peer.now_us += 60_000;
    peer.says(data(1, 6, b"x").clock(1060, first.value));
    peer.wait_ms(50);
    let second = peer.hear("an acknowledgment").header.options.timestamps.unwrap();
    assert_eq!(second.echo, 1060);
    let elapsed = second.value.wrapping_sub(first.value);
    assert!((90..=110).contains(&elapsed), "{elapsed}");
    peer.app_closes();
    assert!(peer.hear("the FIN").header.options.timestamps.is_some());
    let id = peer.conn();
    peer.act(|turn| turn.conn(id).unwrap().abort());
    peer.turn();
    let reset = peer.hear("the reset").header;
    assert!(reset.flags.contains(Flags::RST) && reset.options.timestamps.is_some());
}

/// RFC 7323-3.2e, RFC 7323-3.2f: a segment without timestamps is dropped, and nothing more.
/// RFC 7323-3.2g: where they were not agreed on they are ignored.
#[test]
fn missing_and_unwanted_timestamps() {
    let mut peer = timed();
    peer.says(data(1, 1, b"bare"));
    peer.wait_ms(500);
    peer.hears(&[]);
    assert!(peer.app().received.is_empty());
    peer.says(data(1, 1, b"timed").clock(1001, 0));
    assert_eq!(peer.app().received, b"timed");

    let mut plain = Peer::accepted(on);
    plain.says(data(1, 1, b"a").clock(5, 0));
    plain.says(data(2, 1, b"b").clock(4, 0));
    assert_eq!(plain.app().received, b"ab");
}

/// RFC 7323-5.3: an older timestamp is answered and dropped. RFC 7323-5.2a: what it is compared
/// with never goes back. RFC 7323-5.2c, RFC 7323-5.2d: resets are neither judged nor noted.
#[test]
fn older_timestamps_are_refused() {
    let mut peer = timed();
    peer.says(data(1, 1, b"x").clock(2000, 0));
    peer.wait_ms(50);
    peer.hear_all();
    for old in [1999, 1000, 2000u32.wrapping_sub(0x7fff_0000)] {
        peer.says(data(2, 1, b"old").clock(old, 0));
        assert_eq!(echo(&mut peer), 2000);
    }
    assert_eq!(peer.app().received, b"x");
    // Challenged for its number; its timestamp is not noted.
    peer.says(rst(10).clock(9000, 0));
    peer.wait_in_steps(1100, 10);
    peer.hear_all();
    peer.says(data(2, 1, b"y").clock(2000, 0));
    assert_eq!(peer.app().received, b"xy");
    peer.says(rst(3).clock(1, 0));
    assert_eq!(peer.app().calls, ["accepted", "closed Reset"]);
}

/// RFC 7323-4.3a: the echo is that of the earliest segment not acknowledged. RFC 7323-4.3b: for one
/// out of order, that of the last one in order. RFC 7323-4.3c: for one that fills the gap, its own.
#[test]
fn the_right_timestamp_is_echoed() {
    let mut peer = timed();
    peer.says(data(1, 1, &[0; 100]).clock(1001, 0));
    peer.says(data(101, 1, &[0; 100]).clock(1002, 0));
    peer.wait_ms(50);
    assert_eq!(echo(&mut peer), 1001);
    peer.says(data(301, 1, &[0; 100]).clock(1003, 0));
    assert_eq!(echo(&mut peer), 1001, "the gap begins at 201");
    peer.says(data(201, 1, &[0; 100]).clock(1004, 0));
    peer.wait_ms(50);
    assert_eq!(echo(&mut peer), 1004);
}

/// RFC 7323-5.4b: the clock does not come round within the lifetime of a segment.
/// RFC 7323-3.2b: a SYN has no echo.
#[test]
fn the_clock_goes_on_for_long() {
    let mut peer = Peer::new(on);
    peer.connect().unwrap();
    peer.turn();
    let first = peer.hear("the SYN").header.options.timestamps.unwrap();
    assert_eq!(first.echo, 0);
    peer.says(syn().with(Flags::ACK).acking(1).clock(5, first.value));
    peer.hear_all();
    peer.now_us += 255_000_000;
    peer.app_sends(b"hello");
    let later = peer.hear("octets").header.options.timestamps.unwrap();
    assert_eq!(later.value.wrapping_sub(first.value), 255_000);
}

/// A blind segment whose acknowledgment cannot be does not set the peer's clock.
#[test]
fn a_forged_clock_is_not_noted() {
    let mut peer = timed();
    let forged = |seq: u32| -> Segment { segment(Flags::ACK, seq).acking(0x4000_0000) };
    peer.says(forged(1).payload(b"evil").clock(0x4000_0000, 0));
    peer.hear_all();
    peer.says(data(1, 1, b"good").clock(1001, 0));
    assert_eq!(peer.app().received, b"good");
}
