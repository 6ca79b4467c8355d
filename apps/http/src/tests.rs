//! Whole conversations: pieces make no difference, and no bytes do harm.

use proptest::prelude::*;

use crate::rig::{Rig, Site};

/// A client's side of a conversation that uses most of what there is.
fn conversation() -> Vec<u8> {
    [
        "\r\nGET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /hello.txt HTTP/1.1\r\nHost: a\r\n",
        "Range: bytes=2-4\r\nIf-Range: \"a-5f5e1000.0\"\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: u\r\n\r\n",
        "POST /sha256 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "HEAD / HTTP/1.1\nHost: a\n\n",
        "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nGET",
        "GET /docs HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /hello.txt HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n",
        "GET /%2e%2e/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "BREW / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nand what is too late",
    ]
    .concat()
    .into_bytes()
}

#[test]
fn a_conversation_cut_in_two_anywhere_is_the_same() {
    let site = Site::new();
    let said = conversation();
    let whole = Rig::new(site.config()).ask(&said);
    assert_eq!(whole.matches("HTTP/1.1 ").count(), 12);
    for cut in 0..=said.len() {
        let mut rig = Rig::new(site.config());
        let heard = rig.ask(&said[..cut]) + &rig.ask(&said[cut..]);
        assert_eq!(heard, whole, "cut at {cut}");
        assert!(rig.line.is_closed && rig.owns_nothing() && rig.unread.is_empty());
    }
}

#[test]
fn a_conversation_byte_by_byte_through_a_queue_of_any_size_is_the_same() {
    let site = Site::new();
    let said = conversation();
    let whole = Rig::new(site.config()).ask(&said);
    for queue_max in [1, 2, 7, 100, 1_000, 10_000] {
        let mut rig = Rig::new(site.config());
        rig.line.queue_max = queue_max;
        let heard: String = said.iter().map(|&byte| rig.ask([byte])).collect();
        assert_eq!(heard, whole, "through {queue_max} bytes, byte by byte");
        let mut rig = Rig::new(site.config());
        rig.line.queue_max = queue_max;
        assert_eq!(rig.ask(&said), whole, "through {queue_max} bytes");
        assert!(rig.owns_nothing());
    }
}

/// Bytes that get further into the server than random ones.
fn nearly_http() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("GET /hello.txt HTTP/1.1\r\nHost: a\r\n".as_bytes().to_vec()),
        Just(b"POST /echo HTTP/1.1\r\nHost: a\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n\r\n".to_vec()),
        Just(b"Content-Length: 7\r\n".to_vec()),
        Just(b"Expect: 100-continue\r\n".to_vec()),
        Just(b"Range: bytes=1-3\r\n".to_vec()),
        Just(b"Connection: close\r\n".to_vec()),
        Just(b"3\r\nabc\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        "[ -~]{0,12}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_do_harm(
        said in prop_oneof![nearly_http(), proptest::collection::vec(any::<u8>(), 0..400)],
        step in 1_usize..200,
        queue_max in 1_usize..2_000,
        ends in any::<bool>(),
    ) {
        thread_local!(static SITE: Site = Site::new());
        let mut rig = Rig::new(SITE.with(Site::config));
        rig.line.queue_max = queue_max;
        let mut heard = String::new();
        for part in said.chunks(step) {
            heard += &rig.ask(part);
        }
        prop_assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 "));
        if ends && rig.unread.is_empty() {
            rig.half_close();
            rig.hear();
        }
        // Whatever was said, time ends it.
        rig.wait_ms(1_000_000);
        rig.hear();
        prop_assert!(rig.line.is_closed || rig.line.is_aborted);
        prop_assert!(rig.owns_nothing());
    }
}
