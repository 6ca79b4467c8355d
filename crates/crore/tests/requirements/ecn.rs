//! Explicit congestion notification (RFC 3168, RFC 8511).

use crate::segments::{Heard, Peer, Segment, ack, data, syn};
use crore::{Congestion, Ecn, StackConfig};
use crore_wire::tcp::{Flags, Options, Timestamps};

const ECT0: u8 = 2;
const MSS: u32 = 1460;

/// The peer's SYN, asking for ECN.
fn ecn_syn() -> Segment {
    syn().with(Flags::ECE | Flags::CWR)
}

/// A connection that the peer opened, both ends with ECN.
fn ecn_peer(tweak: impl Fn(&mut StackConfig)) -> Peer {
    let mut peer = Peer::new(tweak);
    peer.says(ecn_syn());
    peer.hears(&["SEA 0 ack 1"]);
    peer.says(ack(1, 1));
    peer
}

/// A connection that the engine opens, answered with a SYN-ACK of these control bits besides.
fn answered_with(peer: &mut Peer, flags: Flags) {
    peer.says(syn().with(Flags::ACK).with(flags).acking(1));
    peer.hears(&["A 1 ack 1"]);
}

/// The ECN bits of the segment that carries what the engine's application sends now.
fn ecn_of_data(peer: &mut Peer) -> u8 {
    peer.app_sends(b"octets");
    let heard = peer.hear("a segment with octets");
    assert_eq!(heard.payload, b"octets");
    heard.ecn()
}

fn cwnd(peer: &Peer) -> u32 {
    peer.engine.stack().tcb(peer.conn().index).cwnd
}

/// True for octets that went with CWR.
fn has_cwr(heard: &Heard) -> bool {
    heard.header.flags.contains(Flags::CWR)
}

/// RFC 3168-6.1.1a, RFC 3168-6.1.1b, RFC 3168-6.1.1g, RFC 3168-6.1.2a: a SYN that asks for ECN is
/// answered with ECE alone; then octets carry ECT(0), over IPv4 and IPv6, and no SYN-ACK does.
#[test]
fn a_peer_that_asks_for_ecn_gets_it() {
    for mut peer in [Peer::new(|_| {}), Peer::v6(|_| {})] {
        peer.says(ecn_syn());
        let answer = peer.hear("the SYN-ACK");
        assert_eq!((peer.told(&answer).as_str(), answer.ecn()), ("SEA 0 ack 1", 0));
        peer.says(ack(1, 1));
        assert_eq!(ecn_of_data(&mut peer), ECT0);
        assert_eq!(peer.engine.stack().counters().ecn_connections, 1);
    }
}

/// RFC 3168-6.1.1a, RFC 3168-6.1.1f, RFC 3168-6.1.1h: other SYNs are answered without, and where
/// ECN is off every one is.
#[test]
fn who_does_not_ask_gets_no_ecn() {
    let plain = [Flags::NONE, Flags::ECE, Flags::CWR].map(|flags| (Ecn::Accept, flags));
    for (ecn, flags) in plain.into_iter().chain([(Ecn::Off, Flags::ECE | Flags::CWR)]) {
        let mut peer = Peer::accepted_after(move |config| config.ecn = ecn, syn().with(flags));
        assert_eq!(ecn_of_data(&mut peer), 0, "{ecn:?} {flags:?}");
        assert_eq!(peer.engine.stack().counters().ecn_connections, 0);
    }
}

/// RFC 3168-6.1.1a: an answer without a record agrees when it has a timestamp to remember it by.
#[test]
fn a_cookie_remembers_ecn_in_its_timestamp() {
    let clock = Timestamps { value: 700, echo: 0 };
    for timestamps in [true, false] {
        let mut peer = Peer::new(|config| {
            config.always_cookies = true;
            config.timestamps = true;
        });
        let options = Options { mss: Some(1460), timestamps: Some(clock), ..Options::NONE };
        peer.says(if timestamps { ecn_syn().options(options) } else { ecn_syn() });
        let answer = peer.hear("the SYN-ACK");
        assert_eq!(answer.header.flags.contains(Flags::ECE), timestamps);
        let third = match answer.header.options.timestamps {
            Some(theirs) => ack(1, 1).clock(701, theirs.value),
            None => ack(1, 1),
        };
        peer.says(third);
        assert_eq!(ecn_of_data(&mut peer), if timestamps { ECT0 } else { 0 });
    }
}

/// RFC 3168-6.1.1b, RFC 3168-6.1.1.2, RFC 3168-6.1.1h: our SYN asks when it is told to; of the
/// answers only ECE alone is one.
#[test]
fn an_active_open_offers_ecn_and_takes_only_a_proper_answer() {
    let answers =
        [(Flags::ECE, ECT0), (Flags::NONE, 0), (Flags::ECE | Flags::CWR, 0), (Flags::CWR, 0)];
    for (flags, ecn) in answers {
        let mut peer = Peer::new(|config| config.ecn = Ecn::Offer);
        peer.connect().unwrap();
        peer.turn();
        let ours = peer.hear("the SYN");
        assert_eq!((peer.told(&ours).as_str(), ours.ecn()), ("SEW 0", 0));
        answered_with(&mut peer, flags);
        assert_eq!(ecn_of_data(&mut peer), ecn, "{flags:?}");
    }
    let mut silent = Peer::new(|_| {});
    silent.connect().unwrap();
    silent.turn();
    silent.hears(&["S 0"]);
}

/// RFC 3168-6.1.1.1b, RFC 3168-6.1.1b: a SYN that was not answered is sent again without ECN, and
/// then there is none, whatever the answer to the first one says.
#[test]
fn a_lost_syn_goes_again_without_ecn() {
    let mut peer = Peer::new(|config| config.ecn = Ecn::Offer);
    peer.connect().unwrap();
    peer.turn();
    peer.wait_ms(1_100);
    peer.hears(&["SEW 0", "S 0"]);
    answered_with(&mut peer, Flags::ECE);
    assert_eq!(ecn_of_data(&mut peer), 0);
}

/// RFC 3168-6.1.1.1c, RFC 3168-6.1.1c: the peer's SYN comes again without ECN: so does our answer.
#[test]
fn a_peer_that_falls_back_is_followed() {
    let mut peer = Peer::new(|_| {});
    peer.says(ecn_syn());
    peer.says(syn());
    peer.hears(&["SEA 0 ack 1", "SA 0 ack 1"]);
    peer.says(ack(1, 1));
    assert_eq!(ecn_of_data(&mut peer), 0);
}

/// RFC 3168-6.1.1b: two opens that cross agree when both ask.
#[test]
fn two_opens_that_cross_agree_on_ecn() {
    for (theirs, ecn) in [(ecn_syn(), ECT0), (syn(), 0)] {
        let mut peer = Peer::new(|config| config.ecn = Ecn::Offer);
        peer.connect().unwrap();
        peer.turn();
        peer.says(theirs);
        let answer = if ecn == ECT0 { "SEA 0 ack 1" } else { "SA 0 ack 1" };
        peer.hears(&["SEW 0", answer]);
        peer.says(ack(1, 1));
        assert_eq!(ecn_of_data(&mut peer), ecn);
    }
}

/// RFC 3168-6.1.1e, RFC 3168-6.1.3a, RFC 3168-6.1.3b, RFC 3168-6.1.3c: a mark is echoed at once and
/// from then on, with octets of ours as well, until CWR comes.
#[test]
fn a_mark_is_echoed_until_the_peer_has_reduced() {
    for mut peer in [ecn_peer(|_| {}), {
        let mut peer = Peer::v6(|_| {});
        peer.says(ecn_syn());
        peer.hears(&["SEA 0 ack 1"]);
        peer.says(ack(1, 1));
        peer
    }] {
        peer.says(data(1, 1, b"one").marked());
        peer.hears(&["EA 1 ack 4"]);
        peer.says(data(4, 1, b"two"));
        peer.wait_ms(50);
        peer.hears(&["EA 1 ack 7"]);
        peer.app_sends(b"answer");
        peer.hears(&["PEA 1+6 ack 7"]);
        peer.says(data(7, 7, b"three").with(Flags::CWR));
        peer.hears(&["A 7 ack 12"]);
        peer.says(data(12, 7, b"four"));
        peer.wait_ms(50);
        peer.hears(&["A 7 ack 16"]);
        assert_eq!(peer.engine.stack().counters().ecn_marked, 1);
    }
}

/// RFC 3168-6.1.3b: a mark among segments whose acknowledgment waits is in that acknowledgment,
/// and a marked segment with CWR begins a new echo.
#[test]
fn no_mark_is_lost_between_acknowledgments() {
    let mut peer = ecn_peer(|_| {});
    peer.says_all(&[data(1, 1, b"one"), data(4, 1, b"two").marked(), data(7, 1, b"six")]);
    peer.hears(&["EA 1 ack 10"]);
    peer.says(data(10, 1, b"more").with(Flags::CWR).marked());
    peer.hears(&["EA 1 ack 14"]);
}

/// RFC 3168-6.1.5b, RFC 3168-6.1.1.3: marks outside the window, on segments without octets, on
/// SYNs, and on connections without ECN are nothing to us.
#[test]
fn marks_where_none_may_be_are_ignored() {
    let mut peer = Peer::new(|_| {});
    peer.says(ecn_syn().marked());
    peer.hears(&["SEA 0 ack 1"]);
    peer.says(ack(1, 1).marked());
    peer.says(data(500_000, 1, b"far").marked());
    peer.hears(&["A 1 ack 1"]);
    peer.says(data(1, 1, b"here"));
    peer.wait_ms(50);
    peer.hears(&["A 1 ack 5"]);
    assert_eq!(peer.engine.stack().counters().ecn_marked, 0);

    let mut without = Peer::accepted(|_| {});
    without.says(data(1, 1, b"here").marked());
    without.wait_ms(50);
    without.hears(&["A 1 ack 5"]);
}

/// RFC 3168-6.1.4, RFC 3168-6.1.5a: acknowledgments, the FIN and what is sent again carry no ECT.
#[test]
fn only_new_octets_carry_ect() {
    let mut peer = ecn_peer(|_| {});
    peer.app_sends(b"octets");
    assert_eq!(peer.hear("new octets").ecn(), ECT0);
    peer.wait_ms(300);
    let again = peer.hear("the retransmission");
    assert_eq!((again.payload.as_slice(), again.ecn()), (b"octets".as_slice(), 0));
    peer.says(data(1, 7, b"hello"));
    peer.wait_ms(50);
    assert_eq!(peer.hear("an acknowledgment").ecn(), 0);
    peer.app_closes();
    let fin = peer.hear("the FIN");
    assert_eq!((peer.told(&fin).as_str(), fin.ecn()), ("FA 7 ack 6", 0));
}

/// RFC 3168-6.1.6: window probes carry neither ECT nor CWR, and are no end of the reduction.
#[test]
fn window_probes_carry_neither_ect_nor_cwr() {
    let mut peer = ecn_peer(|_| {});
    peer.app_sends_many(1000);
    peer.hear_all();
    peer.says(ack(1, 1001).with(Flags::ECE).window(0));
    peer.app_sends(b"more");
    peer.wait_in_steps(2_000, 10);
    let probe = peer.hear("a window probe");
    assert_eq!((probe.payload.len(), probe.ecn(), has_cwr(&probe)), (1, 0, false));
    peer.hear_all();
    peer.says(ack(1, 1002));
    let rest = peer.hear("the rest");
    assert_eq!((rest.payload.len(), rest.ecn(), has_cwr(&rest)), (3, ECT0, true));
}

/// RFC 9293 SHLD-8, RFC 3168-6.1.2b, RFC 8511-3a, RFC 8511-3.1a: an echo takes a fifth of the
/// window with `NewReno`, 15 % with CUBIC. RFC 3168-6.1.2c, RFC 3168-6.1.2d: once for each window
/// of data, and the window does not grow meanwhile. RFC 3168-6.1.2f, RFC 3168-6.1.2h: CWR on the
/// first new octets only.
#[test]
fn an_echo_reduces_the_window_once_a_round_trip() {
    for (congestion, percent) in [(Congestion::NewReno, 80), (Congestion::Cubic, 85)] {
        let mut peer = ecn_peer(move |config| config.congestion = congestion);
        peer.app_sends_many(60 * MSS as usize);
        assert_eq!(peer.hear_all().len(), 10);
        let before = cwnd(&peer);
        peer.says(ack(1, 1 + MSS).with(Flags::ECE));
        let after = before * percent / 100 / MSS * MSS;
        assert_eq!(cwnd(&peer), after, "{congestion:?}");
        assert!(peer.hear_all().is_empty(), "nine are in flight, the window is eight");
        // The same news, until CWR is there.
        for segments in 2..=9 {
            peer.says(ack(1, 1 + segments * MSS).with(Flags::ECE));
            assert_eq!(cwnd(&peer), after);
        }
        let new = peer.hear_all();
        let with_cwr: Vec<bool> = new.iter().map(has_cwr).collect();
        assert!(with_cwr[0] && !with_cwr[1..].contains(&true), "{with_cwr:?}");
        assert_eq!(new[0].header.seq.wrapping_sub(peer.isn_there), 1 + 10 * MSS);
        assert_eq!(peer.engine.stack().counters().ecn_reductions, 1);
        // All that was out at the reduction is acknowledged: another echo is another mark.
        peer.says(ack(1, 1 + 10 * MSS));
        peer.says(ack(1, 1 + 12 * MSS).with(Flags::ECE));
        assert!(cwnd(&peer) < after);
        assert_eq!(peer.engine.stack().counters().ecn_reductions, 2);
        assert!(peer.engine.stack().counters().timeouts == 0);
    }
}

/// RFC 3168-6.1.2d: a loss in a window that was reduced for a mark reduces it no further.
#[test]
fn a_loss_beside_a_mark_is_the_same_congestion() {
    let mut peer = ecn_peer(|config| config.congestion = Congestion::NewReno);
    peer.app_sends_many(60 * MSS as usize);
    peer.hear_all();
    peer.says(ack(1, 1 + MSS).with(Flags::ECE));
    let after = cwnd(&peer);
    for _ in 0..3 {
        peer.says(ack(1, 1 + MSS).with(Flags::ECE));
    }
    assert_eq!(peer.engine.stack().counters().fast_retransmits, 1);
    assert_eq!(cwnd(&peer), after);
}

/// RFC 3168-6.1.1d, RFC 3168-6.1.2f, RFC 3168-6.1.2g: after a timeout as well the first new octets
/// carry CWR, and what is sent again does not.
#[test]
fn after_a_timeout_the_peer_is_told() {
    let mut peer = ecn_peer(|_| {});
    peer.app_sends(b"octets");
    peer.hear_all();
    peer.wait_ms(300);
    assert!(!has_cwr(&peer.hear("the retransmission")));
    peer.says(ack(1, 7));
    peer.app_sends(b"more");
    assert!(has_cwr(&peer.hear("new octets")));
    peer.says(ack(1, 11));
    peer.app_sends(b"more");
    assert!(!has_cwr(&peer.hear("new octets")));
}

/// Without a block to remember the reduction in, the window is reduced all the same, and never
/// below two segments.
#[test]
fn without_memory_an_echo_still_counts() {
    let mut peer = ecn_peer(|config| {
        config.pool[0].count = 1;
        config.pool[1].count = 1;
        config.pool[2].count = 10;
    });
    let id = peer.conn();
    let sent = peer.act(|turn| turn.conn(id).unwrap().send(&[7; 16_000])) as u32;
    peer.turn();
    peer.hear_all();
    let before = cwnd(&peer);
    assert!(sent > 8 * MSS && sent < 16_000, "every block is taken");
    peer.says(ack(1, 2).with(Flags::ECE));
    let after = cwnd(&peer);
    assert!(after <= before / 2 + MSS && after >= 2 * MSS, "{before} then {after}");
    assert_eq!(peer.engine.stack().counters().ecn_reductions, 1);
}
