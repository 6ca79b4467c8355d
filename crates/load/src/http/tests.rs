use super::*;
use crore::ConnId;

const REQUEST: Request = Request { conn: ConnId { index: 0, generation: 1 }, number: 1 };

fn load(depth: u8) -> (Http, Asked) {
    (Http::new("10.0.0.1", "/a", depth).unwrap(), asked(depth))
}

fn asked(depth: u8) -> Asked {
    Asked { awaited: depth, marks: Marks::OPENED, ..Asked::default() }
}

fn ok(content: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-LENGTH: {}\r\n\r\n{content}", content.len())
}

fn receive(http: &mut Http, asked: &mut Asked, text: &str) -> Received {
    http.receive(REQUEST, asked, text.as_bytes())
}

#[test]
fn a_reply_may_come_in_pieces_cut_anywhere() {
    let text = ok("hello, world");
    for cut in 0..text.len() {
        let (mut http, mut state) = load(1);
        let first = receive(&mut http, &mut state, &text[..cut]);
        assert_eq!(first.replies, 0);
        // What was not consumed is offered again.
        let second = receive(&mut http, &mut state, &text[first.consumed..]);
        assert_eq!((second.replies, second.bad_bytes, second.bad_replies), (1, 0, 0), "at {cut}");
        assert_eq!(http.content_bytes(), Some(12));
    }
}

#[test]
fn pipelined_replies_are_counted_one_by_one() {
    let (mut http, mut state) = load(3);
    let text = ok("abc").repeat(3);
    let got = receive(&mut http, &mut state, &text);
    assert_eq!((got.replies, got.consumed, got.bad_bytes), (3, text.len(), 0));
}

#[test]
fn replies_that_differ_from_the_first_are_bad() {
    let (mut http, mut state) = load(1);
    receive(&mut http, &mut state, &ok("abcd"));
    assert!(http.may_begin());
    let mut again = |text: &str| receive(&mut http, &mut asked(1), text);
    assert_eq!(again(&ok("aXYd")).bad_bytes, 2);
    assert_eq!(again(&ok("abc")).bad_replies, 1);
    let missing = again("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nabcd");
    assert_eq!((missing.bad_replies, missing.replies, missing.broken), (1, 1, false));
    assert_eq!(again(&ok("abcd")), Received { consumed: 42, replies: 1, ..Received::default() });
}

#[test]
fn a_bad_first_reply_is_no_measure() {
    let (mut http, mut state) = load(1);
    let got = receive(&mut http, &mut state, "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!((got.bad_replies, http.may_begin()), (1, false));
    assert_eq!(receive(&mut http, &mut asked(1), &ok("abcd")).bad_replies, 0);
    assert_eq!(http.content_bytes(), Some(4));
}

#[test]
fn what_has_no_known_end_breaks_the_connection() {
    for text in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n",
    ] {
        let (mut http, mut state) = load(1);
        let got = receive(&mut http, &mut state, text);
        assert!(got.broken && got.bad_replies == 1, "{text}");
    }
}

#[test]
fn octets_that_nobody_asked_for_are_bad() {
    let (mut http, mut state) = load(1);
    let got = receive(&mut http, &mut state, &(ok("abc") + "more"));
    assert_eq!((got.replies, got.bad_bytes), (1, 4));
}

#[test]
fn requests_that_do_not_fit_are_refused() {
    assert!(Http::new("h", "/", 0).is_none());
    assert!(Http::new("h", &"x".repeat(70_000), 1).is_none());
}
