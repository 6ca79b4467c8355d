//! An attacker who sees nothing of a connection but knows its addresses and ports: RFC 5961,
//! CVE-2016-5696, RFC 5927.

use crate::segments::{Peer, ack, data, rst, segment, syn};
use crore::Drop;
use crore_wire::tcp::{Flags, Options, Timestamps};
use std::collections::BTreeSet;

/// RFC 5961 3, 4, 5: in the window, but not exactly right.
#[test]
fn a_guess_within_the_window_is_challenged_and_changes_nothing() {
    let mut peer = Peer::accepted(|_| {});
    peer.says(rst(1000));
    peer.says(segment(Flags::SYN, 1000));
    peer.hears(&["A 1 ack 1", "A 1 ack 1"]);
    // Octets whose acknowledgment was never possible.
    peer.wait_in_steps(2048, 1024);
    peer.says(data(1, 0x4000_0000, b"injected"));
    peer.hears(&["A 1 ack 1"]);
    assert_eq!(peer.dropped(Drop::AckOutsideWindow), 1);
    assert!(peer.app().received.is_empty());
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// Challenges for segments with octets are limited like all others.
#[test]
fn octets_do_not_buy_more_challenges() {
    let mut peer = Peer::accepted(|_| {});
    for n in 0..1000 {
        peer.says(data(1, 0x4000_0000 + n, b"injected"));
    }
    assert_eq!(peer.hear_all().len(), 2);
    assert_eq!(peer.dropped(Drop::RateLimited), 998);
}

/// CVE-2016-5696: what is left of the challenges on the observer's own connection says nothing of
/// the victim's.
#[test]
fn an_observer_learns_nothing_of_anothers_challenges() {
    // How many challenges the observer draws from his own connection, after the attack.
    let observed = |forged: u32| {
        let mut peer = Peer::new(|_| {});
        assert!(peer.gets_in("10.0.0.5", 5000));
        let victim = peer.isn_there;
        assert!(peer.gets_in("10.0.0.6", 6000));
        let observer = peer.isn_there;
        peer.becomes("10.0.0.5", 5000);
        peer.isn_there = victim;
        for n in 0..forged {
            peer.says(rst(100 + n));
        }
        let challenges = peer.hear_all().len();
        peer.becomes("10.0.0.6", 6000);
        peer.isn_there = observer;
        for n in 0..200 {
            peer.says(rst(100 + n));
        }
        (challenges, peer.hear_all().len())
    };
    assert_eq!(observed(0), (0, 2));
    assert_eq!(observed(1), (1, 2));
    assert_eq!(observed(500), (2, 2));
}

/// The number of resets for strangers in a tick is drawn anew each time: an observer cannot tell
/// whether somebody else's forgeries drew some of them.
#[test]
fn the_limit_of_resets_to_strangers_cannot_be_counted_on() {
    let mut peer = Peer::new(|_| {});
    let mut counts = BTreeSet::new();
    for _ in 0..40 {
        peer.wait_ms(1);
        for n in 0..1200 {
            peer.says(ack(n, 1).port(7000));
        }
        counts.insert(peer.hear_all().len());
    }
    assert!(counts.len() >= 30, "{counts:?}");
    assert!(counts.iter().all(|count| (500..=1000).contains(count)), "{counts:?}");
}

/// RFC 7323 5.3, 4.3: only what passes the checks of sequence and acknowledgment sets the clock
/// that PAWS compares with.
#[test]
fn a_forged_timestamp_does_not_make_the_peers_own_old() {
    let clock = |value| Some(Timestamps { value, echo: 0 });
    let options = Options { mss: Some(1460), timestamps: clock(1000), ..Options::NONE };
    let mut peer = Peer::accepted_after(|config| config.timestamps = true, syn().options(options));
    let far = 1000 + (1 << 30);
    // Outside the window; within it with an acknowledgment of the future; an older number.
    peer.says(data(1 << 20, 1, b"x").clock(far, 0));
    peer.says(data(1, 0x4000_0000, b"x").clock(far, 0));
    peer.says(data(2000, 1, b"x").clock(far, 0));
    peer.says(rst(1000).clock(far, 0));
    peer.says(data(1, 1, b"mine").clock(1001, 0));
    assert_eq!(peer.app().received, b"mine");
    assert_eq!(peer.dropped(Drop::OldTimestamp), 0);
}
