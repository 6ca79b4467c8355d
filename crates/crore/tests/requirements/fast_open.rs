//! Fast Open, the server's side (RFC 7413 4.1.2, 4.2.2, 5).

use crate::segments::{Heard, Peer, Segment, ack, data, fin, rst, syn};
use crore::{FastOpenKey, StackConfig};
use crore_wire::tcp::{FastOpen, FastOpenCookie, Options};

/// A peer of an engine whose port 80 has Fast Open.
fn fast_peer(tweak: impl Fn(&mut StackConfig)) -> Peer {
    let mut peer = Peer::new(tweak);
    peer.engine.listen_fast_open(80);
    peer
}

/// A SYN with this option.
fn syn_with(option: FastOpen) -> Segment {
    let options = Options { mss: Some(1460), fast_open: Some(option), ..Options::NONE };
    syn().options(options)
}

fn with_cookie(cookie: FastOpenCookie) -> Segment {
    syn_with(FastOpen { cookie, experimental: false })
}

/// Asks for a cookie on a connection of its own, and resets that.
fn ask(peer: &mut Peer) -> FastOpenCookie {
    peer.forget_isn();
    peer.says(syn_with(FastOpen::REQUEST).port(4000));
    let heard = peer.hear("the SYN-ACK");
    let option = heard.header.options.fast_open.expect("a cookie");
    peer.says(rst(1).port(4000));
    peer.forget_isn();
    option.cookie
}

fn option_of(heard: &Heard) -> Option<FastOpen> {
    heard.header.options.fast_open
}

/// RFC 7413-2a, RFC 7413-4.2a: a port that has no Fast Open knows nothing of its options.
#[test]
fn a_port_without_fast_open_ignores_requests_and_cookies() {
    let mut peer = fast_peer(|_| {});
    let cookie = ask(&mut peer);
    peer.engine.stack_mut().set_fast_open(80, false);
    for (n, syn) in
        [syn_with(FastOpen::REQUEST), with_cookie(cookie).payload(b"early")].into_iter().enumerate()
    {
        peer.forget_isn();
        peer.says(syn.port(6000 + n as u16));
        let heard = peer.hear("the SYN-ACK");
        assert_eq!(peer.told(&heard), "SA 0 ack 1");
        assert_eq!(option_of(&heard), None);
    }
    assert!(peer.app().calls.is_empty());
    assert!(peer.app().received.is_empty());
}

/// RFC 7413-4.1.2a: a cookie is a MAC of eight octets that differs from address to address, and
/// from server to server. RFC 7413-9a: it comes in the kind of option that was asked with.
#[test]
fn a_request_is_answered_with_a_cookie() {
    let mut peer = fast_peer(|_| {});
    let cookie = ask(&mut peer);
    assert_eq!(cookie.as_slice().len(), 8);
    assert_eq!(ask(&mut peer), cookie, "the same for the same client");
    peer.here = "10.0.0.77".parse().unwrap();
    assert_ne!(ask(&mut peer), cookie, "another for another client");
    peer.there = "10.0.0.3".parse().unwrap();
    let mine = ask(&mut peer);
    peer.there = "10.0.0.2".parse().unwrap();
    assert_ne!(ask(&mut peer), mine, "another for another server");
    peer.says(syn_with(FastOpen { experimental: true, ..FastOpen::REQUEST }));
    let heard = peer.hear("the SYN-ACK");
    assert!(option_of(&heard).unwrap().experimental);
    assert_eq!(peer.engine.stack().counters().fast_open_cookies_sent, 6);
}

/// RFC 7413 4.2.2, steps 4 and 5: what comes with a cookie is the application's before the
/// handshake is over; the SYN-ACK acknowledges it. RFC 7413-4.2.2b: the answer may go at once, an
/// initial window of it.
#[test]
fn octets_with_a_cookie_are_read_and_answered_before_the_handshake_is_over() {
    let mut peer = fast_peer(|_| {});
    let cookie = ask(&mut peer);
    peer.says(with_cookie(cookie).payload(b"request"));
    let heard = peer.hear("the SYN-ACK");
    assert_eq!(peer.told(&heard), "SA 0 ack 8");
    assert_eq!(option_of(&heard), None);
    assert_eq!(peer.app().calls, ["accepted"]);
    assert_eq!(peer.app().received, b"request");
    assert_eq!(peer.engine.stack().fast_open_pending(), 1);
    peer.app_sends_many(20 * 1460);
    let sent = peer.hear_all();
    assert_eq!(sent.len(), 10);
    assert_eq!(peer.told(&sent[0]), "A 1+1460 ack 8");
    // The last segment of the handshake, then acknowledgments as ever.
    peer.now_us += 30_000;
    peer.says(ack(8, 1));
    assert_eq!(peer.engine.stack().fast_open_pending(), 0);
    peer.says(ack(8, 1 + 10 * 1460));
    assert_eq!(peer.hear_all().len(), 10);
    peer.says(data(8, 1 + 20 * 1460, b" more"));
    assert_eq!(peer.app().received, b"request more");
    assert_eq!(peer.engine.stack().counters().fast_open_in, 1);
    assert_eq!(peer.engine.stack().counters().retransmits, 0);
}

/// RFC 7413 4.2.2: a cookie without octets opens as well; the acknowledgment may come with the
/// first of them.
#[test]
fn a_cookie_alone_opens_at_once() {
    let mut peer = fast_peer(|_| {});
    let cookie = ask(&mut peer);
    peer.says(with_cookie(cookie));
    peer.hears(&["SA 0 ack 1"]);
    assert_eq!(peer.app().calls, ["accepted"]);
    peer.app_sends(b"welcome");
    peer.hears(&["PA 1+7 ack 1"]);
    peer.says(data(1, 8, b"thanks"));
    assert_eq!(peer.app().received, b"thanks");
}

/// RFC 7413 4.2.2, step 5: a cookie that is not ours; its octets are not acknowledged, a right
/// cookie comes back, and the octets are taken when they come again.
#[test]
fn a_wrong_cookie_gets_a_new_one_and_its_octets_come_again() {
    let mut peer = fast_peer(|_| {});
    let cookie = ask(&mut peer);
    let wrong = FastOpenCookie::new(&[0xaa; 8]).unwrap();
    peer.says(with_cookie(wrong).payload(b"early"));
    let heard = peer.hear("the SYN-ACK");
    assert_eq!(peer.told(&heard), "SA 0 ack 1");
    assert_eq!(option_of(&heard).unwrap().cookie, cookie);
    assert!(peer.app().calls.is_empty());
    peer.says(data(1, 1, b"early"));
    assert_eq!(peer.app().received, b"early");
    assert_eq!(peer.engine.stack().counters().fast_open_bad_cookies, 1);
    // Shorter and longer ones are no better.
    for (n, len) in [4, 6, 10, 16].into_iter().enumerate() {
        peer.forget_isn();
        let wrong = FastOpenCookie::new(&vec![0; len]).unwrap();
        peer.says(with_cookie(wrong).payload(b"early").port(7000 + n as u16));
        let heard = peer.hear_all().pop().unwrap();
        assert_eq!(peer.told(&heard), "SA 0 ack 1", "{len} octets");
    }
}

/// RFC 7413-4.1.2b: cookies expire; until the next key's life is over the last one's are taken.
#[test]
fn a_cookie_is_good_for_two_lives_of_a_key_at_most() {
    let life_ms = 3_600_000;
    let mut peer = fast_peer(|config| config.fast_open.key_life_ms = life_ms);
    let old = ask(&mut peer);
    peer.now_us = peer.now_us / (u64::from(life_ms) * 1000) * u64::from(life_ms) * 1000;
    let opens_in = |lives: u64, port: u16| {
        let mut later = fast_peer(|config| config.fast_open.key_life_ms = life_ms);
        later.now_us = peer.now_us + lives * u64::from(life_ms) * 1000 + 1;
        later.says(with_cookie(old).payload(b"x").port(port));
        let heard = later.hear("the SYN-ACK");
        later.told(&heard) == "SA 0 ack 2"
    };
    assert!(opens_in(0, 6000));
    assert!(opens_in(1, 6001));
    assert!(!opens_in(2, 6002));
}

/// RFC 7413 6.3.4: with a key from the settings all servers of an address give the same cookies,
/// and the key before it is still accepted.
#[test]
fn servers_can_share_a_key() {
    let [first, second] = [FastOpenKey([1; 16]), FastOpenKey([2; 16])];
    let mut one = fast_peer(|config| config.fast_open.keys = [Some(first), None]);
    let cookie = ask(&mut one);
    for (keys, good) in [
        ([Some(first), None], true),
        ([Some(second), Some(first)], true),
        ([Some(second), None], false),
    ] {
        let mut other = fast_peer(|config| config.fast_open.keys = keys);
        other.says(with_cookie(cookie).payload(b"x"));
        let heard = other.hear("the SYN-ACK");
        assert_eq!(other.told(&heard) == "SA 0 ack 2", good, "{keys:?}");
    }
}

/// RFC 7413-4.2b: with as many pending ones as the settings allow, SYNs are answered as if there
/// was no Fast Open; when one is proven there is room again.
#[test]
fn pending_ones_are_bounded() {
    let mut peer = fast_peer(|config| config.fast_open.pending_max = 3);
    let cookie = ask(&mut peer);
    let open = |peer: &mut Peer, port: u16| {
        peer.forget_isn();
        peer.says(with_cookie(cookie).payload(b"hi").port(port));
        let heard = peer.hear("the SYN-ACK");
        (peer.told(&heard), option_of(&heard))
    };
    for port in 6000..6003 {
        assert_eq!(open(&mut peer, port).0, "SA 0 ack 3");
    }
    assert_eq!(open(&mut peer, 6003), ("SA 0 ack 1".into(), None));
    assert_eq!(peer.engine.stack().counters().fast_open_refused, 1);
    assert_eq!(open(&mut peer, 6002).0, "SA 0 ack 3", "one more SYN of a pending one");
    peer.says(ack(3, 1).port(6002));
    assert_eq!(open(&mut peer, 6004).0, "SA 0 ack 3");
}

/// RFC 7413-5.1a: a reset makes no room before its time. RFC 9293 MUST-11: the connection came from
/// LISTEN, and goes without a word to its peer; the application knew of it and is told.
#[test]
fn resets_of_pending_ones_count_for_a_time() {
    let mut peer = fast_peer(|config| config.fast_open.pending_max = 2);
    let cookie = ask(&mut peer);
    for port in 6000..6002 {
        peer.forget_isn();
        peer.says(with_cookie(cookie).payload(b"hi").port(port));
        peer.says(rst(3).port(port));
        peer.hears(&["SA 0 ack 3"]);
    }
    assert_eq!(peer.app().calls, ["accepted", "closed Reset", "accepted", "closed Reset"]);
    assert_eq!(peer.engine.stack().conns(), 0);
    peer.forget_isn();
    peer.says(with_cookie(cookie).payload(b"hi").port(6002));
    peer.hears(&["SA 0 ack 1"]);
    peer.wait_in_steps(130_000, 1000);
    peer.hear_all();
    peer.forget_isn();
    peer.says(with_cookie(cookie).payload(b"hi").port(6003));
    peer.hears(&["SA 0 ack 3"]);
}

/// RFC 7413 8.2: when SYNs are answered with cookies of their own there is no Fast Open.
#[test]
fn in_a_flood_of_syns_there_is_no_fast_open() {
    let mut peer = fast_peer(|_| {});
    let cookie = ask(&mut peer);
    peer.engine.stack_mut().settings_mut().always_cookies = true;
    peer.says(with_cookie(cookie).payload(b"early"));
    let heard = peer.hear("the SYN-ACK");
    assert_eq!((peer.told(&heard).as_str(), option_of(&heard)), ("SA 0 ack 1", None));
    peer.says(data(1, 1, b"early"));
    assert_eq!(peer.app().received, b"early");
}

/// RFC 7413-4.2.2c: when nothing answers, the SYN-ACK goes again, without octets and option, and
/// what the application sent waits for the handshake.
#[test]
fn a_lost_syn_ack_is_sent_again_alone() {
    let mut peer = fast_peer(|_| {});
    let cookie = ask(&mut peer);
    peer.says(with_cookie(cookie).payload(b"request"));
    peer.app_sends(b"answer");
    peer.hears(&["SA 0 ack 8", "PA 1+6 ack 8"]);
    peer.wait_ms(1001);
    let heard = peer.hear_all();
    assert_eq!(heard.len(), 1);
    assert_eq!(peer.told(&heard[0]), "SA 0 ack 8");
    assert_eq!(option_of(&heard[0]), None);
    // The peer's SYN once more is answered at once, and not given to the application.
    peer.says(with_cookie(cookie).payload(b"request"));
    peer.says(syn());
    peer.hears(&["SA 0 ack 8", "SA 0 ack 8"]);
    assert_eq!(peer.app().received, b"request");
    peer.says(ack(8, 1));
    peer.hears(&[]);
    // Now the answer is timed as any other octets.
    peer.wait_ms(4000);
    peer.hears(&["PA 1+6 ack 8"]);
    peer.says(ack(8, 7));
    assert_eq!(peer.app().calls, ["accepted"]);
}

/// RFC 9293 3.8.3: a handshake that is never over ends.
#[test]
fn a_syn_ack_that_nothing_answers_is_given_up() {
    let mut peer = fast_peer(|config| config.syn_ack_retries = 2);
    let cookie = ask(&mut peer);
    peer.says(with_cookie(cookie).payload(b"request"));
    peer.app_sends(b"answer");
    peer.wait_in_steps(8_000, 10);
    peer.hears(&["SA 0 ack 8", "PA 1+6 ack 8", "SA 0 ack 8", "SA 0 ack 8"]);
    assert_eq!(peer.app().calls, ["accepted", "closed TimedOut"]);
    assert_eq!(peer.engine.stack().conns(), 0);
    assert_eq!(peer.engine.stack().blocks_in_use(), 0);
}

/// RFC 9293 3.10.4, CLOSE in SYN-RECEIVED: the FIN waits for ESTABLISHED.
#[test]
fn a_close_before_the_handshake_is_over_waits_for_it() {
    let mut peer = fast_peer(|_| {});
    let cookie = ask(&mut peer);
    peer.says(with_cookie(cookie).payload(b"request"));
    peer.app_sends(b"answer");
    peer.app_closes();
    peer.hears(&["SA 0 ack 8", "PA 1+6 ack 8"]);
    peer.says(ack(8, 1));
    peer.hears(&["FA 7 ack 8"]);
    peer.says(fin(8, 8));
    peer.hears(&["A 8 ack 9"]);
    assert_eq!(peer.engine.stack().time_wait(), 1);
}

/// RFC 9293 3.10.5: an abort in SYN-RECEIVED resets.
#[test]
fn an_abort_before_the_handshake_is_over_resets() {
    let mut peer = fast_peer(|_| {});
    let cookie = ask(&mut peer);
    peer.says(with_cookie(cookie).payload(b"request"));
    let id = peer.conn();
    peer.act(|turn| turn.conn(id).unwrap().abort());
    peer.turn();
    peer.hears(&["SA 0 ack 8", "RA 1 ack 8"]);
    assert_eq!(peer.app().calls, ["accepted", "closed Aborted"]);
    assert_eq!(peer.engine.stack().fast_open_pending(), 0);
}

/// RFC 9293 3.10.7.4, SYN-RECEIVED: an acknowledgment of what was never sent is reset, and the
/// connection goes on.
#[test]
fn a_wrong_acknowledgment_in_syn_received_is_reset() {
    let mut peer = fast_peer(|_| {});
    let cookie = ask(&mut peer);
    peer.says(with_cookie(cookie).payload(b"request"));
    peer.hears(&["SA 0 ack 8"]);
    for wrong in [0, 2, 70_000] {
        peer.says(ack(8, wrong));
        peer.hears(&[&format!("R {wrong}")]);
    }
    peer.says(fin(8, 1));
    peer.hears(&["A 1 ack 9"]);
    assert_eq!(peer.app().calls, ["accepted", "peer_closed"]);
}

/// RFC 7413 2.1: the SYN of a connection that is over, late or sent again, opens no second one
/// while TIME-WAIT lasts, and is challenged (RFC 9293 3.10.7.4); a newer one does (RFC 6191).
#[test]
fn time_wait_keeps_a_late_copy_of_the_syn_away() {
    let mut peer = fast_peer(|_| {});
    let cookie = ask(&mut peer);
    let first = with_cookie(cookie).payload(b"request");
    peer.says(first.clone());
    peer.says(ack(8, 1));
    peer.app_closes();
    peer.says(fin(8, 2));
    peer.hears(&["SA 0 ack 8", "FA 1 ack 8", "A 2 ack 9"]);
    peer.says(first);
    peer.hears(&["A 2 ack 9"]);
    assert_eq!(peer.app().received, b"request");
    // Without timestamps a newer one begins above our old numbers (RFC 9293 MAY-2): their clock has
    // to go on first.
    peer.wait_ms(1000);
    peer.isn_here += 100_000;
    peer.forget_isn();
    peer.says(with_cookie(cookie).payload(b"again"));
    peer.hears(&["SA 0 ack 6"]);
    assert_eq!(peer.app().received, b"requestagain");
}

/// What the application does not read at once waits, and the window shows it.
#[test]
fn octets_of_a_syn_can_wait_to_be_read() {
    let mut peer = fast_peer(|config| config.rcv_buf_bytes = 8192);
    peer.engine.service_mut().reads = false;
    let cookie = ask(&mut peer);
    peer.says(with_cookie(cookie).payload(&[5; 1000]));
    let heard = peer.hear("the SYN-ACK");
    assert_eq!(peer.told(&heard), "SA 0 ack 1001");
    peer.engine.service_mut().reads = true;
    peer.says(data(1001, 1, b"x"));
    assert_eq!(peer.app().received.len(), 1001);
}

/// RFC 7413 7.3: a service that says so takes octets without a cookie, and gives none.
#[test]
fn a_server_may_do_without_cookies() {
    let mut peer = fast_peer(|config| config.fast_open.serve_without_cookie = true);
    peer.says(syn().payload(b"request"));
    peer.hears(&["SA 0 ack 8"]);
    assert_eq!(peer.app().received, b"request");
}

/// RFC 7413-4.1.1d: an option on a segment without SYN changes nothing.
#[test]
fn a_cookie_without_syn_is_ignored() {
    let mut peer = fast_peer(|_| {});
    let cookie = ask(&mut peer);
    peer.open(syn());
    let option = FastOpen { cookie, experimental: false };
    let options = Options { fast_open: Some(option), ..Options::NONE };
    peer.says(data(1, 1, b"x").options(options));
    assert_eq!(peer.app().received, b"x");
    assert_eq!(peer.engine.stack().counters().fast_open_in, 0);
}

/// The same over IPv6, with timestamps, SACK and scaled windows.
#[test]
fn all_options_of_a_syn_hold_with_fast_open() {
    let mut peer = Peer::v6(|config| {
        config.timestamps = true;
        config.sack = true;
        config.window_scaling = true;
    });
    peer.engine.listen_fast_open(80);
    let cookie = ask(&mut peer);
    let all = |seq: u32| {
        let mut syn = with_cookie(cookie).payload(b"request").clock(seq, 0).window(1000);
        syn.options.window_scale = Some(5);
        syn.options.sack_permitted = true;
        syn
    };
    peer.says(all(700));
    let heard = peer.hear("the SYN-ACK");
    assert_eq!(peer.told(&heard), "SA 0 ack 8");
    let options = heard.header.options;
    assert!(options.sack_permitted && options.window_scale.is_some());
    assert_eq!(options.timestamps.unwrap().echo, 700);
    let now = options.timestamps.unwrap().value;
    // The window of a SYN is not scaled (RFC 7323-2.2c): 1,000 octets, then 32,000.
    peer.app_sends_many(20_000);
    let sent: usize = peer.hear_all().iter().map(|heard| heard.payload.len()).sum();
    assert_eq!(sent, 1000);
    peer.says(ack(8, 1).clock(701, now).window(1000));
    let sent: usize = peer.hear_all().iter().map(|heard| heard.payload.len()).sum();
    assert!(sent > 10_000, "{sent}");
}
