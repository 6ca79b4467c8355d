//! Requests by table, each with the whole reply it must get.

use crate::HttpConfig;
use crate::rig::{
    BIG_BYTES, CHANGED, DATE, NOW_S, Rig, Site, big, echoed, error, error_fields, hello,
    last_error, reply,
};

/// The validators of a file of the site, as field lines.
fn validators(size: usize) -> String {
    format!("Last-Modified: {CHANGED}\r\nETag: {}\r\n", etag(size))
}

fn etag(size: usize) -> String {
    format!("\"{size:x}-5f5e1000.0\"")
}

/// The fields of a reply with content of this type.
fn fields(size: usize, media_type: &str, length: usize) -> String {
    let validators = validators(size);
    format!(
        "{validators}Content-Type: {media_type}\r\nAccept-Ranges: bytes\r\n\
         Content-Length: {length}\r\n"
    )
}

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// The whole of `hello.txt`.
fn whole() -> String {
    reply("200 OK", &fields(10, TEXT, 10), "0123456789")
}

/// A part of `hello.txt`.
fn part(range: &str, content: &str) -> String {
    let rest = fields(10, TEXT, content.len());
    reply("206 Partial Content", &format!("Content-Range: bytes {range}/10\r\n{rest}"), content)
}

fn not_modified() -> String {
    reply("304 Not Modified", &validators(10), "")
}

/// Each request on a connection of its own, all of them served by one server's settings.
fn check(scenarios: &[(&str, String)]) {
    let site = Site::new();
    for (request, expected) in scenarios {
        let mut rig = Rig::new(site.config());
        assert_eq!(&rig.ask(request), expected, "{request}");
        assert_eq!(rig.line.is_closed, expected.contains("Connection: close"), "{request}");
        assert!(rig.owns_nothing(), "{request}");
        assert_eq!(rig.unread, b"", "{request}");
    }
}

/// A request of HTTP/1.1 with more fields.
fn ask(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn check_fields(line: &str, scenarios: &[(&str, String)]) {
    let requests: Vec<_> =
        scenarios.iter().map(|(fields, expected)| (ask(line, fields), expected.clone())).collect();
    let requests: Vec<_> = requests.iter().map(|(r, e)| (r.as_str(), e.clone())).collect();
    check(&requests);
}

#[test]
fn the_benchmark_routes() {
    let plain_fields = "Content-Type: text/plain\r\nContent-Length: 13\r\n";
    check(&[
        ("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n", hello()),
        ("GET /plaintext?a=b HTTP/1.1\r\nHost: a\r\n\r\n", hello()),
        ("GET http://a/plaintext HTTP/1.1\r\nHost: a\r\n\r\n", hello()),
        ("HEAD /plaintext HTTP/1.1\r\nHost: a\r\n\r\n", reply("200 OK", plain_fields, "")),
        (
            "GET /plaintext HTTP/1.0\r\n\r\n",
            reply("200 OK", &format!("Connection: close\r\n{plain_fields}"), "Hello, World!"),
        ),
        (
            "HEAD /plaintext HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            reply("200 OK", &format!("Connection: keep-alive\r\n{plain_fields}"), ""),
        ),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", echoed("hello")),
        ("POST /echo HTTP/1.1\r\nHost: a\r\n\r\n", echoed("")),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
            echoed("hello!"),
        ),
    ]);
}

/// The reply to a request whose content has this sum.
fn summed(sum: &str) -> String {
    let fields = format!("Content-Type: text/plain\r\nContent-Length: {}\r\n", sum.len() + 1);
    reply("200 OK", &fields, &format!("{sum}\n"))
}

#[test]
fn the_sum_of_content() {
    // FIPS 180-4's examples: of nothing, of `abc`, and of a million times `a`.
    let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let of_million = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    let (head, chunked) = ("POST /sha256 HTTP/1.1\r\nHost: a\r\n", "Transfer-Encoding: chunked");
    let million = format!("{head}Content-Length: 1000000\r\n\r\n{}", "a".repeat(1_000_000));
    check(&[
        (&format!("{head}\r\n"), summed(of_nothing)),
        (&format!("{head}Content-Length: 0\r\n\r\n"), summed(of_nothing)),
        (&format!("{head}Content-Length: 3\r\n\r\nabc"), summed(of_abc)),
        (&format!("{head}{chunked}\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), summed(of_abc)),
        (&million, summed(of_million)),
        (&format!("{head}{chunked}\r\n\r\nx"), last_error("400 Bad Request")),
    ]);
}

#[test]
fn content_that_is_added_up_may_be_long_and_slow_but_not_stand_still() {
    let site = Site::new();
    let limit_ms = u64::from(site.config().body_timeout_ms);
    let mut rig = Rig::new(site.config());
    rig.say(format!(
        "POST /sha256 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        site.config().body_bytes_max + 1
    ));
    for _ in 0..4 {
        rig.say([0]);
        rig.wait_ms(limit_ms - 1);
    }
    assert_eq!(rig.hear(), "");
    rig.wait_ms(2);
    assert!(rig.hear().starts_with("HTTP/1.1 408 "));
    assert!(rig.line.is_closed && rig.owns_nothing());
}

#[test]
fn files_and_directories() {
    let to = |location: &str| {
        let status = "301 Moved Permanently";
        error(status, &format!("Location: {location}\r\n"))
    };
    let docs = reply("200 OK", &fields(12, HTML, 12), "<p>docs</p>\n");
    let missing = || error("404 Not Found", "");
    check(&[
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            reply("200 OK", &fields(12, HTML, 12), "<p>home</p>\n"),
        ),
        ("GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n", whole()),
        ("GET //./hello.txt?q=1 HTTP/1.1\r\nHost: a\r\n\r\n", whole()),
        ("GET /hell%6F%2etxt HTTP/1.1\r\nHost: a\r\n\r\n", whole()),
        ("HEAD /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n", reply("200 OK", &fields(10, TEXT, 10), "")),
        (
            "GET /inside HTTP/1.1\r\nHost: a\r\n\r\n",
            reply("200 OK", &fields(10, "application/octet-stream", 10), "0123456789"),
        ),
        (
            "GET /empty.bin HTTP/1.1\r\nHost: a\r\n\r\n",
            reply("200 OK", &fields(0, "application/octet-stream", 0), ""),
        ),
        (
            "GET /docs/a%20b%25.css HTTP/1.1\r\nHost: a\r\n\r\n",
            reply("200 OK", &fields(5, "text/css; charset=utf-8", 5), "p {}\n"),
        ),
        ("GET /docs/ HTTP/1.1\r\nHost: a\r\n\r\n", docs.clone()),
        ("GET /docs/. HTTP/1.1\r\nHost: a\r\n\r\n", docs),
        ("GET /docs HTTP/1.1\r\nHost: a\r\n\r\n", to("/docs/")),
        ("GET /docs?q HTTP/1.1\r\nHost: a\r\n\r\n", to("/docs/?q")),
        ("GET ///docs HTTP/1.1\r\nHost: a\r\n\r\n", to("/docs/")),
        ("GET /bare/ HTTP/1.1\r\nHost: a\r\n\r\n", missing()),
        ("GET /deep/ HTTP/1.1\r\nHost: a\r\n\r\n", missing()),
        ("GET /hello.txt/ HTTP/1.1\r\nHost: a\r\n\r\n", missing()),
        ("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", missing()),
        (
            "HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
            reply("404 Not Found", &error_fields("404 Not Found"), ""),
        ),
    ]);
}

#[test]
fn paths_that_leave_the_root() {
    let bad = || error("400 Bad Request", "");
    let missing = || error("404 Not Found", "");
    check(&[
        ("GET /../secret.txt HTTP/1.1\r\nHost: a\r\n\r\n", bad()),
        ("GET /%2e%2e/secret.txt HTTP/1.1\r\nHost: a\r\n\r\n", bad()),
        ("GET /docs/..%2f..%2fsecret.txt HTTP/1.1\r\nHost: a\r\n\r\n", bad()),
        ("GET /../rootless/secret.txt HTTP/1.1\r\nHost: a\r\n\r\n", bad()),
        ("GET /hello.txt%00.html HTTP/1.1\r\nHost: a\r\n\r\n", bad()),
        ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", bad()),
        ("GET /up HTTP/1.1\r\nHost: a\r\n\r\n", missing()),
        ("GET /up-directory/secret.txt HTTP/1.1\r\nHost: a\r\n\r\n", missing()),
        ("GET /absolute HTTP/1.1\r\nHost: a\r\n\r\n", missing()),
        ("GET /process HTTP/1.1\r\nHost: a\r\n\r\n", missing()),
        ("GET //etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", missing()),
        ("GET /%2fetc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", missing()),
    ]);
}

#[test]
fn methods_and_targets() {
    let not_allowed = |allow| error("405 Method Not Allowed", &format!("Allow: {allow}\r\n"));
    let none_here = reply(
        "405 Method Not Allowed",
        &format!("Allow: POST\r\n{}", error_fields("405 Method Not Allowed")),
        "",
    );
    check(&[
        ("POST /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n", not_allowed("GET, HEAD")),
        ("DELETE /nothing HTTP/1.1\r\nHost: a\r\n\r\n", not_allowed("GET, HEAD")),
        ("POST /plaintext HTTP/1.1\r\nHost: a\r\n\r\n", not_allowed("GET, HEAD")),
        ("PUT /echo HTTP/1.1\r\nHost: a\r\n\r\n", not_allowed("POST")),
        ("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", not_allowed("POST")),
        ("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n", none_here),
        ("GET /sha256 HTTP/1.1\r\nHost: a\r\n\r\n", not_allowed("POST")),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", not_allowed("GET, HEAD")),
        ("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", error("501 Not Implemented", "")),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", error("501 Not Implemented", "")),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", error("501 Not Implemented", "")),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", error("400 Bad Request", "")),
        ("GET hello.txt HTTP/1.1\r\nHost: a\r\n\r\n", error("400 Bad Request", "")),
        ("GET / HTTP/1.1\r\n\r\n", last_error("400 Bad Request")),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", last_error("505 HTTP Version Not Supported")),
    ]);
}

#[test]
fn ranges() {
    let unsatisfiable = || error("416 Range Not Satisfiable", "Content-Range: bytes */10\r\n");
    check_fields(
        "GET /hello.txt",
        &[
            ("Range: bytes=0-3\r\n", part("0-3", "0123")),
            ("Range: bytes=4-\r\n", part("4-9", "456789")),
            ("Range: bytes=-3\r\n", part("7-9", "789")),
            ("Range: bytes=8-99\r\n", part("8-9", "89")),
            ("Range: bytes=10-\r\n", unsatisfiable()),
            ("Range: bytes=-0\r\n", unsatisfiable()),
            ("Range: bytes=3-2\r\n", whole()),
            ("Range: bytes=0-1,3-4\r\n", whole()),
            ("Range: bytes=0-1\r\nRange: bytes=0-1\r\n", whole()),
            ("Range: pages=1-2\r\n", whole()),
        ],
    );
    // RFC 9110 14.2: a range means nothing to HEAD.
    let head = reply("200 OK", &fields(10, TEXT, 10), "");
    check_fields("HEAD /hello.txt", &[("Range: bytes=0-3\r\n", head)]);
}

#[test]
fn ranges_on_a_condition() {
    let range = |condition: &str| format!("Range: bytes=0-3\r\nIf-Range: {condition}\r\n");
    let twice = format!("If-Range: {}\r\n{}", etag(10), range(&etag(10)));
    check_fields(
        "GET /hello.txt",
        &[
            (&range(&etag(10)), part("0-3", "0123")),
            (&range(CHANGED), part("0-3", "0123")),
            (&range(&etag(11)), whole()),
            (&range(&format!("W/{}", etag(10))), whole()),
            (&range("Sun, 13 Sep 2020 12:26:41 GMT"), whole()),
            (&range("never"), whole()),
            (&twice, whole()),
            (&format!("If-Range: {}\r\n", etag(10)), whole()),
        ],
    );
}

#[test]
fn a_date_is_no_strong_validator_within_its_second() {
    let site = Site::new();
    site.write_as_of("now.txt", b"0123456789", NOW_S);
    site.write_as_of("later.txt", b"0123456789", NOW_S + 100);
    let mut rig = Rig::new(site.config());
    let range = format!("Range: bytes=0-3\r\nIf-Range: {DATE}\r\n");
    assert!(rig.ask(ask("GET /now.txt", &range)).starts_with("HTTP/1.1 200 OK\r\n"));
    // RFC 9110 8.8.2.1: no date later than the reply's own.
    let later = rig.ask(ask("GET /later.txt", ""));
    assert!(later.contains(&format!("Last-Modified: {DATE}\r\n")), "{later}");
    rig.wait_ms(1_000);
    let part = rig.ask(ask("GET /now.txt", &range));
    assert!(part.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{part}");
}

#[test]
fn conditions() {
    let failed = || error("412 Precondition Failed", "");
    let before = "Sun, 13 Sep 2020 12:26:39 GMT";
    let ours = etag(10);
    check_fields(
        "GET /hello.txt",
        &[
            (&format!("If-None-Match: {ours}\r\n"), not_modified()),
            (&format!("If-None-Match: \"x\", W/{ours}\r\n"), not_modified()),
            (&format!("If-None-Match: \"x\"\r\nIf-None-Match: {ours}\r\n"), not_modified()),
            ("If-None-Match: *\r\n", not_modified()),
            ("If-None-Match: \"x\"\r\n", whole()),
            (&format!("If-Modified-Since: {CHANGED}\r\n"), not_modified()),
            ("If-Modified-Since: Sunday, 13-Sep-20 12:26:40 GMT\r\n", not_modified()),
            (&format!("If-Modified-Since: {before}\r\n"), whole()),
            ("If-Modified-Since: yesterday\r\n", whole()),
            // RFC 9110 13.1.3: If-None-Match wins.
            (&format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {CHANGED}\r\n"), whole()),
            (&format!("If-Match: {ours}\r\n"), whole()),
            ("If-Match: *\r\n", whole()),
            ("If-Match: \"x\"\r\n", failed()),
            (&format!("If-Match: W/{ours}\r\n"), failed()),
            (&format!("If-Unmodified-Since: {CHANGED}\r\n"), whole()),
            (&format!("If-Unmodified-Since: {before}\r\n"), failed()),
            // RFC 9110 13.1.4: If-Match wins.
            (&format!("If-Match: {ours}\r\nIf-Unmodified-Since: {before}\r\n"), whole()),
            // RFC 9110 13.2.2: If-Match comes first, the range last.
            (&format!("If-Match: \"x\"\r\nIf-None-Match: {ours}\r\n"), failed()),
            (&format!("If-None-Match: {ours}\r\nRange: bytes=0-1\r\n"), not_modified()),
        ],
    );
    check_fields("HEAD /hello.txt", &[("If-None-Match: *\r\n", not_modified())]);
    // RFC 9110 13.2.1: no condition turns an error into anything else.
    check_fields("GET /nothing", &[("If-Match: \"x\"\r\n", error("404 Not Found", ""))]);
}

#[test]
fn content_where_none_is_wanted_is_read_and_dropped() {
    check(&[
        (
            "GET /plaintext HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
             GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
            hello() + &hello(),
        ),
        (
            "POST /hello.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             2;x\r\nab\r\n0\r\nA: b\r\n\r\nGET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
            error("405 Method Not Allowed", "Allow: GET, HEAD\r\n") + &hello(),
        ),
        (
            "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
            error("405 Method Not Allowed", "Connection: close\r\nAllow: GET, HEAD\r\n"),
        ),
    ]);
}

#[test]
fn a_large_file_is_whole_through_a_small_queue() {
    let site = Site::new();
    let octets = "application/octet-stream";
    let text = |bytes: &[u8]| bytes.iter().map(|&b| char::from(b)).collect::<String>();
    let expected = reply("200 OK", &fields(BIG_BYTES, octets, BIG_BYTES), &text(&big()));
    for queue_max in [1_000, 1_460, 65_535, 65_536, 65_537, 1 << 20] {
        let mut rig = Rig::new(site.config());
        rig.line.queue_max = queue_max;
        let received = rig.ask(ask("GET /big.bin", ""));
        assert!(received == expected, "through {queue_max} bytes");
        assert!(rig.owns_nothing());
    }
    // The only descriptor is free for another file once this one is sent.
    let mut rig = Rig::new(HttpConfig { files_max: 1, ..site.config() });
    assert!(rig.ask(ask("GET /big.bin", "")).len() > BIG_BYTES);
    assert_eq!(rig.ask(ask("GET /hello.txt", "")), whole());
    let mut rig = Rig::new(site.config());
    rig.line.queue_max = 777;
    let part_fields = fields(BIG_BYTES, octets, 250_000);
    let range = format!("Content-Range: bytes 50000-299999/{BIG_BYTES}\r\n{part_fields}");
    let expected = reply("206 Partial Content", &range, &text(&big()[50_000..300_000]));
    assert!(rig.ask(ask("GET /big.bin", "Range: bytes=50000-299999\r\n")) == expected);
    let head = reply("200 OK", &fields(BIG_BYTES, octets, BIG_BYTES), "");
    assert_eq!(rig.ask(ask("HEAD /big.bin", "")), head);
}
