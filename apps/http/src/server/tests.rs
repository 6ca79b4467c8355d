//! Connections over time: order, back-pressure, limits, timeouts and ends.

use std::fs;

use crate::HttpConfig;
use crate::rig::{Rig, Site, big, echoed, error, hello, last_error};

const PLAIN: &str = "GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /echo HTTP/1.1\r\nHost: a\r\n";

fn rig() -> Rig {
    Rig::new(HttpConfig::default())
}

fn post(length: usize) -> String {
    format!("{POST}Content-Length: {length}\r\n\r\n")
}

#[test]
fn an_idle_connection_owns_nothing_and_the_timer_is_not_set_per_request() {
    let mut rig = rig();
    let timers_set = rig.line.timers_set;
    for _ in 0..100 {
        rig.wait_ms(1);
        assert_eq!(rig.ask(PLAIN).len(), hello().len());
        assert!(rig.owns_nothing());
    }
    assert_eq!(rig.line.timers_set, timers_set);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut rig = rig();
    let requests = format!("{PLAIN}{}hi{PLAIN}GET /none HTTP/1.1\r\nHost: a\r\n\r\n", post(2));
    let expected = hello() + &echoed("hi") + &hello() + &error("404 Not Found", "");
    assert_eq!(rig.ask(requests), expected);
}

#[test]
fn nothing_is_consumed_while_a_reply_waits_for_room() {
    let mut rig = rig();
    rig.line.queue_max = 200;
    rig.say(PLAIN.repeat(50));
    // One reply is queued, one half queued and half held; the requests behind it stay where
    // they are.
    assert_eq!(rig.unread.len(), PLAIN.len() * 48);
    assert_eq!(rig.server.exchanges_in_use().0, 1);
    assert_eq!(rig.hear(), hello().repeat(50));
    assert!(rig.owns_nothing());
}

#[test]
fn a_request_waits_when_its_reply_fits_nowhere_and_is_answered_later() {
    let config = HttpConfig { held_bytes_max: 0, ..HttpConfig::default() };
    let mut rig = Rig::new(config);
    rig.line.queue_max = 200;
    rig.say(PLAIN.repeat(2));
    assert_eq!(rig.unread, PLAIN.as_bytes(), "the second stays with the stack");
    // Nothing was refused by `send`, so no `writable` comes: the timer looks again.
    assert_eq!(rig.hear(), hello());
    rig.wait_ms(100);
    assert_eq!(rig.hear(), hello());
    assert!(!rig.line.is_aborted);
}

#[test]
fn a_request_that_waits_for_ever_ends_the_connection() {
    let config = HttpConfig { held_bytes_max: 0, ..HttpConfig::default() };
    let mut rig = Rig::new(config);
    rig.line.queue_max = 10;
    rig.say(PLAIN);
    rig.wait_ms(29_000);
    assert!(!rig.line.is_aborted);
    rig.wait_ms(2_000);
    assert!(rig.line.is_aborted);
}

#[test]
fn close_is_kept_and_what_follows_is_dropped() {
    let mut rig = rig();
    let request = "GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(rig.ask(format!("{request}{PLAIN}")), last_error("404 Not Found"));
    assert!(rig.line.is_closed);
    assert_eq!(rig.unread, b"");
    rig.say("more");
    assert_eq!(rig.unread, b"");
}

#[test]
fn a_closing_reply_reaches_a_slow_reader_before_the_end() {
    let mut rig = rig();
    rig.line.queue_max = 50;
    rig.say("GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n and more");
    assert!(!rig.line.is_closed, "half of the reply has no room yet");
    assert_eq!(rig.hear(), last_error("404 Not Found"));
    assert!(rig.line.is_closed);
    assert_eq!(rig.unread, b"");
}

#[test]
fn http_1_0_persists_only_when_it_asks_to() {
    let mut rig = rig();
    let kept = "GET /none HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(rig.ask(kept), error("404 Not Found", "Connection: keep-alive\r\n"));
    assert!(!rig.line.is_closed);
    assert_eq!(rig.ask("GET /none HTTP/1.0\r\n\r\n"), last_error("404 Not Found"));
    assert!(rig.line.is_closed);
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    let mut rig = rig();
    assert_eq!(rig.ask(format!("\r\n\r\n{PLAIN}\r\n{PLAIN}")), hello().repeat(2));
    assert_eq!(rig.ask("\r\n"), "");
    assert_eq!(rig.unread, b"");
}

#[test]
fn content_is_echoed_however_it_arrives() {
    let mut rig = rig();
    let content: String = big()[..20_000].iter().map(|b| char::from(b % 128)).collect();
    rig.say(post(content.len()));
    for part in content.as_bytes().chunks(777) {
        rig.say(part);
        assert_eq!(rig.unread, b"");
    }
    assert_eq!(rig.hear(), echoed(&content));
    assert!(rig.owns_nothing());
    let old = "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n";
    rig.say(old);
    let reply = rig.ask("ab");
    assert!(reply.contains("Connection: keep-alive\r\n") && reply.ends_with("\r\n\r\nab"));
    assert_eq!(rig.ask(PLAIN), hello());
}

#[test]
fn a_client_that_expects_it_is_told_to_continue() {
    let mut rig = rig();
    let continued = "HTTP/1.1 100 Continue\r\n\r\n";
    rig.line.queue_max = 10;
    let head = format!("{POST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(rig.ask(&head), continued);
    assert_eq!(rig.ask("hello"), echoed("hello"));
    // RFC 9110 10.1.1: not when the content is already coming.
    assert_eq!(rig.ask(format!("{head}hello")), echoed("hello"));
    assert_eq!(rig.ask(format!("{head}he")), "");
    assert_eq!(rig.ask("llo"), echoed("hello"));
    // The interim reply is sent first even when it still waits for room.
    rig.say(&head);
    rig.take_quietly(10);
    rig.say("hello");
    assert_eq!(rig.hear(), format!("{continued}{}", echoed("hello")));
    assert!(rig.owns_nothing());
    let bad = format!("{POST}Expect: a-miracle\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(rig.ask(bad), last_error("417 Expectation Failed"));
}

#[test]
fn a_wish_to_close_outlasts_the_content() {
    let mut rig = rig();
    rig.say(format!("{POST}Connection: close\r\nContent-Length: 2\r\n\r\n"));
    let reply = rig.ask("ab");
    assert!(reply.contains("Connection: close\r\n") && reply.ends_with("\r\n\r\nab"));
    assert!(rig.line.is_closed);
}

#[test]
fn content_is_refused_when_the_core_holds_too_much() {
    let mut rig = Rig::new(HttpConfig { held_bytes_max: 10, ..HttpConfig::default() });
    rig.say(post(100));
    rig.say("0123456789");
    assert_eq!(rig.ask("x"), last_error("503 Service Unavailable"));
    assert!(rig.line.is_closed && rig.owns_nothing());
}

#[test]
fn content_beyond_the_limit_is_refused_before_or_while_it_comes() {
    let config = || HttpConfig { body_bytes_max: 10, ..HttpConfig::default() };
    let refused = last_error("413 Content Too Large");
    for request in [
        post(11),
        format!("{POST}Content-Length: 99999999999999999999999\r\n\r\n"),
        format!("{POST}Expect: 100-continue\r\nContent-Length: 11\r\n\r\n"),
        format!("{POST}Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\nabcde\r\n0\r\n\r\n"),
        "GET /plaintext HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n".into(),
    ] {
        let mut rig = Rig::new(config());
        assert_eq!(rig.ask(&request), refused, "{request}");
        assert!(rig.line.is_closed && rig.owns_nothing() && rig.unread.is_empty());
    }
    let mut rig = Rig::new(config());
    assert_eq!(rig.ask(post(10) + "0123456789"), echoed("0123456789"));
    // The reply to this one is out before its content: only the end of the connection is left.
    let chunked = "GET /plaintext HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(rig.ask(format!("{chunked}b\r\n0123456789a\r\n0\r\n\r\n{PLAIN}")), hello());
    assert!(rig.line.is_closed && rig.owns_nothing());
}

#[test]
fn broken_chunks_end_the_connection() {
    let mut rig = rig();
    let request = format!("{POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloworld");
    assert_eq!(rig.ask(request), last_error("400 Bad Request"));
    assert!(rig.line.is_closed && rig.owns_nothing());
}

#[test]
fn a_head_that_does_not_end_is_refused_by_its_size() {
    let mut rig = rig();
    rig.say("GET / HTTP/1.1\r\nHost: a\r\n");
    for _ in 0..200 {
        rig.say(format!("X: {}\r\n", "y".repeat(300)));
    }
    assert_eq!(rig.hear(), last_error("431 Request Header Fields Too Large"));
    let mut rig = self::rig();
    for _ in 0..200 {
        rig.say("GET-".repeat(100));
    }
    assert_eq!(rig.hear(), last_error("431 Request Header Fields Too Large"));
    let mut rig = self::rig();
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000));
    assert_eq!(rig.ask(long), last_error("414 URI Too Long"));
}

#[test]
fn a_slow_head_is_answered_408_however_steadily_it_drips() {
    let mut rig = rig();
    for byte in "GET / HTTP".bytes() {
        rig.say([byte]);
        rig.wait_ms(990);
        assert_eq!(rig.hear(), "");
    }
    rig.wait_ms(200);
    assert_eq!(rig.hear(), reply_later("408 Request Timeout"));
    assert!(rig.line.is_closed);
    assert_eq!(rig.unread, b"");
}

#[test]
fn a_slow_head_is_answered_408_line_by_line_too() {
    let mut rig = rig();
    rig.say("GET / HTTP/1.1\r\n");
    for _ in 0..10 {
        rig.wait_ms(990);
        rig.say("X: y\r\n");
        assert_eq!(rig.hear(), "");
    }
    rig.wait_ms(200);
    assert_eq!(rig.hear(), reply_later("408 Request Timeout"));
}

#[test]
fn an_empty_line_begins_no_head() {
    let mut rig = rig();
    rig.say("\r");
    rig.say("\n");
    rig.wait_ms(11_000);
    assert_eq!(rig.hear(), "");
    assert!(!rig.line.is_closed);
}

/// An error that closes, at another time than the rig's first second.
fn reply_later(status: &str) -> String {
    last_error(status).replace("22:13:20", "22:13:30")
}

#[test]
fn slow_content_is_answered_408() {
    let mut rig = rig();
    rig.say(post(100));
    for _ in 0..59 {
        rig.say("x");
        rig.wait_ms(1_000);
    }
    assert_eq!(rig.hear(), "");
    rig.wait_ms(1_000);
    assert!(rig.hear().starts_with("HTTP/1.1 408 "));
    assert!(rig.line.is_closed && rig.owns_nothing());
}

#[test]
fn slow_content_that_nobody_wants_ends_the_connection() {
    let mut rig = rig();
    let request = "GET /plaintext HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc";
    assert_eq!(rig.ask(request), hello());
    rig.wait_ms(59_000);
    assert!(!rig.line.is_closed);
    rig.wait_ms(1_000);
    assert_eq!(rig.hear(), "");
    assert!(rig.line.is_closed && rig.owns_nothing());
}

#[test]
fn an_idle_connection_is_closed_without_a_word_and_a_busy_one_is_not() {
    let mut rig = rig();
    for _ in 0..5 {
        rig.wait_ms(50_000);
        assert!(rig.ask(PLAIN).starts_with("HTTP/1.1 200 OK"));
    }
    assert!(!rig.line.is_closed);
    rig.wait_ms(60_000);
    assert_eq!(rig.hear(), "");
    assert!(rig.line.is_closed);
    let mut rig = Rig::new(HttpConfig { idle_timeout_ms: None, ..HttpConfig::default() });
    rig.wait_ms(1_000_000_000);
    assert!(!rig.line.is_closed);
    assert_eq!(rig.line.timers_set, 0);
}

#[test]
fn the_peer_may_stay_after_the_end_only_while_it_reads() {
    let mut rig = rig();
    rig.say("GET /none HTTP/1.0\r\n\r\n");
    for _ in 0..5 {
        rig.wait_ms(4_900);
        rig.take(20);
        assert!(!rig.line.is_aborted);
    }
    rig.hear();
    rig.wait_ms(20_000);
    assert!(rig.line.is_aborted);
}

#[test]
fn a_reader_that_stops_is_reset_and_one_that_is_slow_is_not() {
    let site = Site::new();
    let mut rig = Rig::new(site.config());
    rig.line.queue_max = 4_000;
    rig.say("GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..10 {
        rig.wait_ms(29_000);
        assert_eq!(rig.take(100), 100);
    }
    assert!(!rig.line.is_aborted);
    rig.wait_ms(29_000);
    // To be told of room that is not there is no progress.
    rig.server.writable(&mut rig.connection, &mut rig.line);
    rig.wait_ms(2_000);
    assert!(rig.line.is_aborted && rig.owns_nothing());
}

#[test]
fn a_file_that_shrinks_under_way_ends_in_a_reset_not_in_wrong_bytes() {
    let site = Site::new();
    let mut rig = Rig::new(site.config());
    rig.line.queue_max = 4_000;
    rig.say("GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    let file = fs::File::options().write(true).open(site.root().join("big.bin"));
    file.and_then(|file| file.set_len(50_000)).expect("shorter");
    rig.hear();
    assert!(rig.line.is_aborted && rig.owns_nothing());
}

#[test]
fn a_half_closed_client_still_gets_its_reply() {
    let site = Site::new();
    let mut rig = Rig::new(site.config());
    rig.line.queue_max = 4_000;
    rig.say("GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    rig.half_close();
    assert!(!rig.line.is_closed);
    assert!(rig.hear().len() > big().len());
    assert!(rig.line.is_closed && rig.owns_nothing());
}

#[test]
fn a_client_that_ends_early_is_let_go() {
    for request in ["", PLAIN, &post(10), &format!("{}abc", post(10))] {
        let mut rig = rig();
        rig.ask(request);
        rig.half_close();
        assert!(rig.line.is_closed && rig.owns_nothing(), "{request}");
    }
}

#[test]
fn a_connection_that_vanishes_leaves_nothing_behind() {
    let site = Site::new();
    for request in ["GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n", &format!("{}ab", post(9)), PLAIN] {
        let mut rig = Rig::new(HttpConfig { files_max: 1, ..site.config() });
        rig.line.queue_max = 100;
        rig.say(request);
        assert!(!rig.owns_nothing());
        rig.server.closed(&mut rig.connection);
        assert!(rig.owns_nothing());
        rig.server.closed(&mut rig.connection);
        assert!(rig.owns_nothing());
        // The only descriptor is free for the next connection.
        rig.connection = crate::Connection::default();
        rig.hear();
        let reply = rig.ask("GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    }
}

#[test]
fn without_a_free_exchange_what_needs_one_is_refused_and_the_rest_goes_on() {
    let site = Site::new();
    let mut rig = Rig::new(HttpConfig { exchanges_max: 1, ..site.config() });
    // Another connection of this core has the only exchange.
    rig.say(post(5));
    let busy = rig.connection;
    rig.connection = crate::Connection::default();
    assert_eq!(rig.ask(PLAIN), hello());
    assert_eq!(rig.ask(post(2) + "ab"), echoed("ab"));
    let with_content = "GET /plaintext HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
    assert!(rig.ask(with_content).contains("Connection: close\r\n"));
    let refused = last_error("503 Service Unavailable");
    for request in ["GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n", &post(5)] {
        rig.connection = crate::Connection::default();
        rig.line.is_closed = false;
        assert_eq!(rig.ask(request), refused);
    }
    rig.connection = busy;
    rig.line.is_closed = false;
    assert_eq!(rig.ask("hello"), echoed("hello"));
    assert!(rig.owns_nothing());
}

#[test]
fn the_date_moves_with_the_second() {
    let mut rig = rig();
    assert_eq!(rig.ask(PLAIN), hello());
    rig.wait_ms(999);
    assert_eq!(rig.ask(PLAIN), hello());
    rig.wait_ms(1);
    assert_eq!(rig.ask(PLAIN), hello().replace("22:13:20", "22:13:21"));
}
