//! Fast Open, the client's side (RFC 7413 4.1.3, 4.2.1, 4.2.2).

use crate::segments::{Heard, Peer, Segment, ack, data, rst, syn};
use crore::{ConnId, StackConfig};
use crore_wire::tcp::{FastOpen, FastOpenCookie, Flags, Options};
use std::net::SocketAddr;

const COOKIE: [u8; 8] = [0xc0, 1, 2, 3, 4, 5, 6, 7];

fn cookie(octets: &[u8]) -> FastOpen {
    FastOpen { cookie: FastOpenCookie::new(octets).unwrap(), experimental: false }
}

/// The application opens with Fast Open and sends these octets; the SYN is not heard yet.
fn connect(peer: &mut Peer, octets: &[u8]) -> ConnId {
    let remote = SocketAddr::new(peer.here, peer.port_here);
    let (id, queued) = peer.act(|turn| turn.connect_fast_open(remote, None, octets)).unwrap();
    assert_eq!(queued, octets.len());
    peer.port_there = peer.act(|turn| turn.conn(id).unwrap().local().port());
    peer.forget_isn();
    peer.turn();
    id
}

/// The peer's SYN-ACK, with its MSS and, maybe, a cookie.
fn syn_ack(ack: u32, fast_open: Option<FastOpen>) -> Segment {
    let options = Options { mss: Some(1460), fast_open, ..Options::NONE };
    syn().with(Flags::ACK).acking(ack).options(options)
}

fn option_of(heard: &Heard) -> Option<FastOpen> {
    heard.header.options.fast_open
}

/// A peer whose cookie the engine has.
fn known_peer(tweak: impl Fn(&mut StackConfig)) -> Peer {
    let mut peer = Peer::new(tweak);
    let id = connect(&mut peer, b"");
    peer.hears(&["S 0"]);
    peer.says(syn_ack(1, Some(cookie(&COOKIE))));
    end(&mut peer, id, 1);
    peer
}

/// The connection ends with a reset of ours.
fn end(peer: &mut Peer, id: ConnId, seq: u32) {
    peer.act(|turn| turn.conn(id).map(|mut conn| conn.abort()));
    peer.turn();
    let heard = peer.hear_all();
    assert_eq!(peer.told(heard.last().expect("a reset")), format!("RA {seq} ack 1"));
}

/// RFC 7413-4.2.1b, RFC 7413-4.2.2a: without a cookie there are no octets on the SYN; it asks, and
/// they follow the handshake. RFC 7413-2a: an OPEN without Fast Open does not ask.
#[test]
fn the_first_connection_asks_for_a_cookie() {
    let mut peer = Peer::new(|_| {});
    peer.connect().unwrap();
    peer.turn();
    assert_eq!(option_of(&peer.hear("a SYN")), None);
    peer.says(syn_ack(1, Some(cookie(&COOKIE))));
    assert_eq!(peer.app().calls, ["connected"]);
    peer.hear_all();

    connect(&mut peer, b"hello");
    let heard = peer.hear("a SYN");
    assert_eq!(peer.told(&heard), "S 0");
    assert_eq!(option_of(&heard), Some(FastOpen::REQUEST), "and what was not asked for is none");
    peer.says(syn_ack(1, None));
    peer.hears(&["PA 1+5 ack 1"]);
}

/// RFC 7413-4.1.3a, RFC 7413 4.2.2: with a cookie the octets are on the SYN, and when the SYN-ACK
/// acknowledges them that was all.
#[test]
fn the_next_one_has_octets_on_its_syn() {
    let mut peer = known_peer(|_| {});
    connect(&mut peer, b"request");
    let heard = peer.hear("a SYN");
    assert_eq!(peer.told(&heard), "S 0+7");
    assert_eq!(heard.payload, b"request");
    assert_eq!(option_of(&heard), Some(cookie(&COOKIE)));
    peer.now_us += 30_000;
    peer.says(syn_ack(8, None));
    peer.hears(&["A 8 ack 1"]);
    assert_eq!(peer.app().calls.last().unwrap(), "connected");
    peer.says(data(1, 8, b"answer"));
    assert_eq!(peer.app().received, b"answer");
    peer.app_sends(b"more");
    peer.wait_ms(50);
    peer.hears(&["PA 8+4 ack 7"]);
    let counters = peer.engine.stack().counters();
    assert_eq!((counters.fast_open_out, counters.fast_open_acked), (1, 1));
    assert_eq!((counters.retransmits, counters.fast_open_fallbacks), (0, 0));
    assert_eq!(counters.octets_out, 11);
}

/// RFC 7413-4.2.2f: what the SYN-ACK does not acknowledge goes with the next segment, and is no
/// loss. RFC 7413-4.2.2e: a new cookie takes the old one's place.
#[test]
fn octets_that_the_server_did_not_take_follow_the_handshake() {
    let mut peer = known_peer(|_| {});
    connect(&mut peer, b"request");
    peer.hears(&["S 0+7"]);
    peer.says(syn_ack(1, Some(cookie(&[9; 4]))));
    peer.hears(&["PA 1+7 ack 1"]);
    peer.says(ack(1, 8));
    let counters = peer.engine.stack().counters();
    assert_eq!((counters.fast_open_acked, counters.fast_open_fallbacks), (0, 1));
    assert_eq!((counters.retransmits, counters.timeouts), (0, 0));
    // In part.
    connect(&mut peer, b"request");
    assert_eq!(option_of(&peer.hear("a SYN")), Some(cookie(&[9; 4])));
    peer.says(syn_ack(4, None));
    peer.hears(&["PA 4+4 ack 1"]);
    peer.says(ack(1, 8));
    assert_eq!(peer.engine.stack().counters().fast_open_fallbacks, 2);
}

/// RFC 9293 3.10.7.3: an acknowledgment beyond the octets on the SYN is of nothing that was sent.
#[test]
fn an_acknowledgment_beyond_the_octets_of_the_syn_is_reset() {
    let mut peer = known_peer(|_| {});
    connect(&mut peer, b"request");
    peer.hears(&["S 0+7"]);
    peer.says(syn_ack(9, None));
    peer.hears(&["R 9"]);
    peer.says(syn_ack(8, None));
    peer.hears(&["A 8 ack 1"]);
}

/// RFC 7413-4.1.3b: no more octets than the server's last MSS lets through, options set aside; a
/// server that said none gets what any host takes. The rest follows the handshake.
#[test]
fn a_syn_has_no_more_octets_than_the_server_takes() {
    let mut peer = known_peer(|_| {});
    for (mss, room) in [(940, 900), (1460, 1420), (9000, 1420)] {
        let id = connect(&mut peer, b"");
        peer.hears(&["S 0"]);
        let mut answer = syn_ack(1, None);
        answer.options.mss = Some(mss);
        peer.says(answer);
        end(&mut peer, id, 1);
        connect(&mut peer, &[3; 2000]);
        let heard = peer.hear("a SYN");
        assert_eq!(heard.payload.len(), room, "{mss}");
        peer.says(syn_ack(1 + room as u32, None));
        let sent: usize = peer.hear_all().iter().map(|heard| heard.payload.len()).sum();
        assert_eq!(sent, 2000 - room);
    }
    let mut bare = Peer::new(|config| config.fast_open.connect_without_cookie = true);
    connect(&mut bare, &[3; 2000]);
    let heard = bare.hear("a SYN");
    assert_eq!((heard.payload.len(), option_of(&heard)), (496, None));
}

/// RFC 7413-4.2.2d, RFC 7413-4.2.1a: a SYN that is not answered goes again without option and
/// octets. An answer to the first one still counts for all of it.
#[test]
fn a_syn_goes_again_without_octets() {
    for first_one_answered in [false, true] {
        let mut peer = known_peer(|_| {});
        connect(&mut peer, b"request");
        peer.hears(&["S 0+7"]);
        peer.wait_ms(1001);
        let heard = peer.hear("the SYN once more");
        assert_eq!((peer.told(&heard).as_str(), option_of(&heard)), ("S 0", None));
        if first_one_answered {
            peer.says(syn_ack(8, None));
            peer.hears(&["A 8 ack 1"]);
        } else {
            peer.says(syn_ack(1, None));
            peer.hears(&["PA 1+7 ack 1"]);
        }
    }
}

/// RFC 7413-4.1.3.1a, RFC 7413-4.1.3.1b: a path on which SYNs with cookies are lost is left alone
/// for a time. RFC 7413-4.2.1c: so is one on which requests are.
#[test]
fn a_path_that_drops_fast_open_is_not_tried_for_a_time() {
    for asks in [false, true] {
        let mut peer = if asks { Peer::new(|_| {}) } else { known_peer(|_| {}) };
        for _ in 0..2 {
            connect(&mut peer, b"request");
            assert!(option_of(&peer.hear("a SYN")).is_some());
            peer.wait_ms(1001);
            peer.says(syn_ack(1, None));
            peer.hears(&["S 0", "PA 1+7 ack 1"]);
        }
        connect(&mut peer, b"request");
        let heard = peer.hear("a SYN");
        assert_eq!((peer.told(&heard).as_str(), option_of(&heard)), ("S 0", None));
        assert_eq!(peer.engine.stack().counters().fast_open_rests, 1);
        peer.says(syn_ack(1, None));
        peer.hears(&["PA 1+7 ack 1"]);
        peer.says(ack(1, 8));
        peer.wait_in_steps(241_000, 1000);
        peer.hear_all();
        connect(&mut peer, b"request");
        assert!(option_of(&peer.hear("a SYN")).is_some());
    }
}

/// RFC 7413-4.1.3.1a: no answer at all weighs most.
#[test]
fn a_path_without_any_answer_is_left_alone_at_once() {
    let mut peer = known_peer(|config| config.syn_retries = 1);
    connect(&mut peer, b"request");
    peer.hears(&["S 0+7"]);
    peer.wait_in_steps(3100, 1);
    peer.hears(&["S 0"]);
    assert_eq!(peer.app().calls.last().unwrap(), "closed TimedOut");
    connect(&mut peer, b"request");
    let heard = peer.hear("a SYN");
    assert_eq!((peer.told(&heard).as_str(), option_of(&heard)), ("S 0", None));
}

/// RFC 7413-4.1.3.1a: a server that takes no octets and gives no cookie, twice, is asked no more.
#[test]
fn a_server_that_takes_no_octets_is_left_alone() {
    let mut peer = known_peer(|_| {});
    for _ in 0..2 {
        connect(&mut peer, b"request");
        peer.hears(&["S 0+7"]);
        peer.says(syn_ack(1, None));
        peer.hears(&["PA 1+7 ack 1"]);
    }
    connect(&mut peer, b"request");
    peer.hears(&["S 0"]);
}

/// A refusal ends the opening, whatever was on the SYN.
#[test]
fn a_reset_refuses_a_syn_with_octets() {
    let mut peer = known_peer(|_| {});
    connect(&mut peer, b"request");
    peer.hears(&["S 0+7"]);
    peer.says(rst(0).with(Flags::ACK).acking(8));
    assert_eq!(peer.app().calls.last().unwrap(), "closed Refused");
    assert_eq!(peer.engine.stack().blocks_in_use(), 0);
}

/// RFC 7413 4.2.2: a SYN-ACK may have octets of the server, and its FIN.
#[test]
fn a_syn_ack_may_have_octets() {
    let mut peer = known_peer(|_| {});
    connect(&mut peer, b"request");
    peer.hears(&["S 0+7"]);
    peer.says(syn_ack(8, None).payload(b"answer").with(Flags::FIN));
    peer.hears(&["A 8 ack 8"]);
    assert_eq!(peer.app().received, b"answer");
    let calls = &peer.app().calls;
    assert_eq!(calls[calls.len() - 2..], ["connected", "peer_closed"]);
}

/// RFC 7413 4.2.2, the special case: both sides open at once. The other's octets are not taken
/// from its SYN, ours are not on our SYN-ACK; each sends them again where they were not
/// acknowledged.
#[test]
fn two_fast_opens_that_cross_make_one_connection() {
    for acknowledged in [1, 8] {
        let mut peer = known_peer(|_| {});
        connect(&mut peer, b"request");
        peer.hears(&["S 0+7"]);
        peer.says(syn().payload(b"theirs"));
        peer.hears(&["SA 0 ack 1"]);
        peer.says(ack(1, acknowledged));
        assert_eq!(peer.app().calls.last().unwrap(), "connected");
        if acknowledged == 1 {
            peer.hears(&["PA 1+7 ack 1"]);
        } else {
            peer.hears(&[]);
        }
        peer.says(data(1, 8, b"theirs"));
        assert_eq!(peer.app().received, b"theirs");
    }
}

/// Without a block for what must be remembered the connection opens as any other.
#[test]
fn without_memory_there_is_no_fast_open() {
    let mut peer = Peer::new(|config| {
        for class in &mut config.pool {
            class.count = 2;
        }
    });
    let taken: Vec<_> = (0..6).filter_map(|_| peer.act(|turn| turn.share(&[0; 1]))).collect();
    assert_eq!(taken.len(), 6);
    let remote = SocketAddr::new(peer.here, peer.port_here);
    let (_, queued) = peer.act(|turn| turn.connect_fast_open(remote, None, b"hello")).unwrap();
    assert_eq!(queued, 0);
    peer.turn();
    assert_eq!(option_of(&peer.hear("a SYN")), None);
}
