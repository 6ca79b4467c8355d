//! Heads by table: what is read from them, and which status refuses them.

use super::{FIELDS_MAX, Framing, HEAD_BYTES_MAX, Method, TARGET_BYTES_MAX, field_room, parse};
use crate::content::Chunks;
use crate::status::Status;

fn refused(head: &str) -> Option<u16> {
    parse(head.as_bytes(), &mut field_room()).err().map(|status| status.code)
}

/// `GET / HTTP/1.1` with these field lines.
fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[test]
fn a_request_is_read_to_the_end_of_its_head() {
    let head = "POST /a?b HTTP/1.1\r\nhOsT: example.org:80\r\ncontent-LENGTH:  12 \r\n\r\n";
    let bytes = format!("{head}hello world!GET");
    let mut room = field_room();
    let (request, len) = parse(bytes.as_bytes(), &mut room).expect("valid").expect("complete");
    assert_eq!(len, head.len());
    assert_eq!((request.method, request.target), (Method::Post, "/a?b"));
    assert_eq!(request.framing, Some(Framing::Length(12)));
    assert!(request.keep_alive && !request.is_1_0 && !request.expects_continue);
}

#[test]
fn every_beginning_of_a_head_asks_for_more() {
    let head = "GET /index.html HTTP/1.1\r\nHost: example.org\r\nRange: bytes=0-1\r\n\r\n";
    for end in 0..head.len() {
        assert!(matches!(parse(&head.as_bytes()[..end], &mut field_room()), Ok(None)), "{end}");
    }
}

#[test]
fn heads_that_are_refused() {
    for (head, code) in [
        // RFC 9112 3.2: Host.
        ("GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".into(), 400),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), 400),
        // RFC 9112 5.1 and 5.2: space before the colon, folded lines.
        (get("Range : bytes=0-1\r\n"), 400),
        (get("X: a\r\n b\r\n"), 400),
        (get("X: a\r\n\tb\r\n"), 400),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n".into(), 400),
        // RFC 9112 2.2 and 3: what is no request line.
        ("GET / HTTP/1.1\rHost: a\r\n\r\n".into(), 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("GET /\r\nHost: a\r\n\r\n".into(), 400),
        ("GET\r\n\r\n".into(), 400),
        ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}".into(), 400),
        (get("X: a\0b\r\n"), 400),
        (get(": a\r\n"), 400),
        // RFC 9112 2.3: versions.
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), 505),
        ("GET / HTTP/0.9\r\n\r\n".into(), 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n".into(), 400),
        ("GET / http/1.1\r\nHost: a\r\n\r\n".into(), 400),
        // RFC 9112 6: framing, and what request smuggling needs.
        (get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
        (get("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), 400),
        (get("Content-Length: 5\r\nContent-Length: 6\r\n"), 400),
        (get("Content-Length: 5\r\nContent-Length: 5\r\n"), 400),
        (get("Content-Length: 5, 5\r\n"), 400),
        (get("Content-Length: +5\r\n"), 400),
        (get("Content-Length: -5\r\n"), 400),
        (get("Content-Length: 0x5\r\n"), 400),
        (get("Content-Length: \r\n"), 400),
        (get("Transfer-Encoding: chunked, chunked\r\n"), 400),
        (get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400),
        (get("Transfer-Encoding: chunked, gzip\r\n"), 400),
        (get("Transfer-Encoding: gzip\r\n"), 400),
        (get("Transfer-Encoding: identity\r\n"), 400),
        (get("Transfer-Encoding: xchunked\r\n"), 400),
        (get("Transfer-Encoding: \r\n"), 400),
        (get("Transfer-Encoding: gzip, chunked\r\n"), 501),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), 400),
        // RFC 9110 10.1.1: expectations.
        (get("Expect: 200-ok\r\n"), 417),
        (get("Expect: 100-continue\r\nExpect: 100-continue\r\n"), 417),
        // Limits.
        (get(&"X: y\r\n".repeat(FIELDS_MAX)), 431),
    ] {
        assert_eq!(refused(&head), Some(code), "{head:?}");
    }
}

#[test]
fn framing_and_persistence_are_read_as_rfc_9112_says() {
    let chunked = Some(Framing::Chunked(Chunks::START));
    for (head, framing, keep_alive) in [
        (get(""), None, true),
        (get("Content-Length: 0\r\n"), None, true),
        (get("Content-Length: 007\r\n"), Some(Framing::Length(7)), true),
        (
            get(&format!("Content-Length: {}\r\n", "9".repeat(30))),
            Some(Framing::Length(u64::MAX)),
            true,
        ),
        (get("Transfer-Encoding: , Chunked ,\r\n"), chunked, true),
        (get("Connection: close\r\n"), None, false),
        (get("Connection: keep-alive, Close\r\n"), None, false),
        (get("Connection: upgrade\r\nConnection: close\r\n"), None, false),
        (get("Connection: closed\r\n"), None, true),
        ("GET / HTTP/1.0\r\n\r\n".into(), None, false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n".into(), None, true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n".into(), None, false),
        ("GET / HTTP/1.1\nHost:\n\n".into(), None, true),
    ] {
        let mut room = field_room();
        let (request, _) = parse(head.as_bytes(), &mut room).expect("valid").expect("complete");
        assert_eq!((request.framing, request.keep_alive), (framing, keep_alive), "{head:?}");
    }
}

#[test]
fn continue_is_expected_only_with_content_and_in_http_1_1() {
    for (head, expects) in [
        (get("Expect: 100-Continue\r\nContent-Length: 1\r\n"), true),
        (get("Expect: 100-continue\r\n"), false),
        ("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n".into(), false),
    ] {
        let mut room = field_room();
        let (request, _) = parse(head.as_bytes(), &mut room).expect("valid").expect("complete");
        assert_eq!(request.expects_continue, expects, "{head:?}");
    }
}

#[test]
fn a_target_of_the_greatest_length_passes_and_one_byte_more_does_not() {
    let head = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(len - 1));
    assert_eq!(refused(&head(TARGET_BYTES_MAX)), None);
    assert_eq!(refused(&head(TARGET_BYTES_MAX + 1)), Some(Status::URI_TOO_LONG.code));
    let endless = format!("GET /{}", "a".repeat(TARGET_BYTES_MAX));
    assert_eq!(refused(&endless), Some(Status::URI_TOO_LONG.code));
}

#[test]
fn a_head_of_the_greatest_length_passes_and_one_byte_more_does_not() {
    let head = |len: usize| {
        let bare = get("X: \r\n").len();
        get(&format!("X: {}\r\n", "a".repeat(len - bare)))
    };
    assert_eq!(refused(&head(HEAD_BYTES_MAX)), None);
    assert_eq!(refused(&head(HEAD_BYTES_MAX + 1)), Some(Status::FIELDS_TOO_LARGE.code));
    assert!(matches!(
        parse(&head(HEAD_BYTES_MAX).as_bytes()[..HEAD_BYTES_MAX - 1], &mut field_room()),
        Ok(None)
    ));
}
