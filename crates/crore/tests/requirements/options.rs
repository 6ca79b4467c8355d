//! Options and the segment's size (RFC 9293 3.1, 3.2, 3.7.1, RFC 6691).

use crate::segments::{Peer, ack, data, segment, syn};
use crore::StackConfig;
use crore_wire::tcp::{Flags, OptionLayout, Options};

/// The payload lengths of what goes out at once when the application has much to say.
fn sizes(peer: &mut Peer) -> Vec<usize> {
    peer.app_sends_many(5000);
    peer.hear_all().iter().map(|heard| heard.payload.len()).collect()
}

/// RFC 9293 MUST-4: end of list, no-operation and MSS are understood.
/// RFC 9293 MUST-64: wherever they begin.
#[test]
fn the_mandatory_options_are_read_at_any_place() {
    let places: [&[u8]; 4] = [
        &[2, 4, 0x02, 0x58],
        &[1, 2, 4, 0x02, 0x58, 0, 0, 0],
        &[1, 1, 1, 2, 4, 0x02, 0x58, 0],
        &[253, 3, 9, 2, 4, 0x02, 0x58, 1],
    ];
    for options in places {
        let mut peer = Peer::accepted_after(|_| {}, syn().raw_options(options));
        assert_eq!(sizes(&mut peer)[0], 600, "{options:?}");
    }
    // What follows the end of the list is padding.
    let mut peer = Peer::accepted_after(|_| {}, syn().raw_options(&[0, 2, 4, 0x02, 0x58, 0, 0, 0]));
    assert_eq!(sizes(&mut peer)[0], 536);
}

/// RFC 9293 MUST-5: an option may be in any segment.
/// RFC 9293 MUST-6, MUST-68: one that nobody knows is stepped over by its length.
#[test]
fn options_of_any_segment_are_read_and_unknown_ones_ignored() {
    let mut peer = Peer::accepted(|_| {});
    let unknown: [&[u8]; 5] = [
        &[1, 1, 1, 0],
        &[253, 4, 1, 2],
        &[254, 2, 1, 1],
        &[30, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[2, 4, 0x02, 0x58],
    ];
    for (i, options) in unknown.into_iter().enumerate() {
        let seq = 1 + i as u32;
        peer.says(data(seq, 1, b"x").raw_options(options));
        assert_eq!(peer.app().received.len(), 1 + i, "{options:?}");
    }
    // An MSS after the handshake changes nothing.
    assert_eq!(sizes(&mut peer)[0], 1460);
    let mut closing = segment(Flags::FIN | Flags::ACK, 6).acking(1);
    closing = closing.raw_options(&[253, 4, 1, 2]);
    peer.says(closing);
    assert_eq!(peer.app().calls, ["accepted", "peer_closed"]);
}

/// RFC 9293 MUST-7: a length that cannot be costs the segment, not the stack.
#[test]
fn impossible_option_lengths_are_survived() {
    let mut peer = Peer::accepted(|_| {});
    let impossible: [&[u8]; 6] = [
        &[253, 0, 1, 1],
        &[253, 1, 1, 1],
        &[253, 5, 1, 1],
        &[2, 3, 1, 1],
        &[8, 2, 1, 1],
        &[1, 1, 1, 253],
    ];
    for options in impossible {
        peer.says(data(1, 1, b"bad").raw_options(options));
        peer.hears(&[]);
        assert!(peer.app().received.is_empty(), "{options:?}");
    }
    peer.says(data(1, 1, b"good"));
    assert_eq!(peer.app().received, b"good");
}

/// RFC 9293 MUST-69: behind the end of the list there are zeros only.
#[test]
fn padding_behind_the_end_of_the_list_is_zero() {
    for layout in [OptionLayout::Linux, OptionLayout::FreeBsd] {
        let mut peer = Peer::new(|config| {
            config.option_layout = layout;
            (config.timestamps, config.sack, config.window_scaling) = (true, true, true);
        });
        let all = Options { window_scale: Some(7), sack_permitted: true, ..syn().options };
        peer.says(syn().options(all).clock(1, 0));
        let options = peer.hear("the SYN-ACK").raw_options;
        let mut at = 0;
        while at < options.len() && options[at] != 0 {
            at += if options[at] == 1 { 1 } else { usize::from(options[at + 1]) };
        }
        assert!(options[at..].iter().all(|&octet| octet == 0), "{options:?}");
    }
}

/// RFC 9293 MUST-14, SHLD-5, MAY-3: the MSS option is sent on every SYN.
/// RFC 9293 MUST-67: its value is what the link takes less the fixed headers.
/// RFC 6691-2a: options do not lower it.
#[test]
fn every_syn_says_what_the_link_takes() {
    let with_timestamps = |config: &mut StackConfig| config.timestamps = true;
    for (mut peer, mss) in [(Peer::new(with_timestamps), 1460), (Peer::v6(with_timestamps), 1440)] {
        peer.says(syn().clock(1, 0));
        assert_eq!(peer.hear("the SYN-ACK").header.options.mss, Some(mss));
        peer.connect().unwrap();
        peer.turn();
        assert_eq!(peer.hear("the SYN").header.options.mss, Some(mss));
    }
}

/// RFC 9293 MUST-65: and on no other segment.
#[test]
fn no_other_segment_has_an_mss() {
    let mut peer = Peer::accepted(|_| {});
    peer.app_sends(b"hello");
    peer.says(data(1, 6, b"hi"));
    peer.wait_ms(100);
    peer.app_closes();
    let heard = peer.hear_all();
    assert!(heard.len() >= 3);
    assert!(heard.iter().all(|segment| segment.header.options.mss.is_none()));
}

/// RFC 9293 MUST-15: who says nothing takes 536 octets over IPv4 and 1,220 over IPv6.
/// The same in RFC 6691-7.2.
#[test]
fn a_peer_without_mss_option_gets_the_default_size() {
    let silent = || segment(Flags::SYN, 0);
    let mut v4 = Peer::accepted_after(|_| {}, silent());
    assert_eq!(sizes(&mut v4)[0], 536);
    let mut v6 = Peer::v6(|_| {});
    v6.open(silent());
    assert_eq!(sizes(&mut v6)[0], 1220);
    // The same from a cookie, and of the other side's answer.
    let mut cookie = Peer::v6(|config| config.always_cookies = true);
    cookie.open(silent());
    assert_eq!(sizes(&mut cookie)[0], 1220);
    let mut active = Peer::v6(|_| {});
    active.connect().unwrap();
    active.turn();
    active.says(silent().with(Flags::ACK).acking(1));
    active.hear_all();
    assert_eq!(sizes(&mut active)[0], 1220);
}

/// RFC 9293 MUST-16: the smaller of what the peer and what our link takes.
/// RFC 6691-2b: less the options of the segment itself.
#[test]
fn segments_are_as_large_as_both_ends_allow() {
    let offer = |mss| syn().options(Options { mss: Some(mss), ..Options::NONE });
    for (mss, size) in [(600, 600), (1460, 1460), (9000, 1460)] {
        let mut plain = Peer::accepted_after(|_| {}, offer(mss));
        assert_eq!(sizes(&mut plain)[0], size);
        let clocks = |config: &mut StackConfig| config.timestamps = true;
        let mut timed = Peer::accepted_after(clocks, offer(mss).clock(1, 0));
        assert_eq!(sizes(&mut timed)[0], size - 12);
    }
}

/// With an out-of-order octet to report, a full segment does not outgrow the link.
#[test]
fn reports_do_not_make_segments_too_large() {
    let sack = |config: &mut StackConfig| config.sack = true;
    let permitted = Options { mss: Some(1460), sack_permitted: true, ..Options::NONE };
    let mut peer = Peer::accepted_after(sack, syn().options(permitted));
    peer.says(data(100, 1, b"later"));
    peer.hear_all();
    peer.app_sends_many(3000);
    peer.says(ack(1, 1));
    for heard in peer.hear_all() {
        assert!(heard.packet.len() <= 1500, "{}", heard.packet.len());
    }
}
