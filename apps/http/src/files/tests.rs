//! The table of open files: what it keeps, notices, and never opens.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Files, NoFile};
use crate::config::StartError;
use crate::rig::{Site, big};

fn second(n: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + n)
}

fn files(site: &Site, files_max: u32) -> Files {
    Files::open(&site.root(), files_max, 1_024).expect("a root")
}

#[test]
fn a_file_is_opened_once_and_kept() {
    let site = Site::new();
    let mut files = files(&site, 4);
    let slot = files.find(b"hello.txt", second(0)).expect("a file");
    assert_eq!(files.get(slot).content(), Some(b"0123456789".as_slice()));
    for n in 0..3 {
        assert_eq!(files.find(b"hello.txt", second(n)), Ok(slot));
    }
}

#[test]
fn a_change_is_seen_a_second_later_and_readers_keep_what_they_began() {
    let site = Site::new();
    let mut files = files(&site, 4);
    let old = files.find(b"big.bin", second(0)).expect("a file");
    files.hold(old);
    fs::remove_file(site.root().join("big.bin")).expect("removed");
    site.write("big.bin", b"new");
    assert_eq!(files.find(b"big.bin", second(0)), Ok(old));
    let new = files.find(b"big.bin", second(1)).expect("a file");
    assert_ne!(new, old);
    assert_eq!(files.get(new).size, 3);
    let mut bytes = [0; 4];
    assert_eq!(files.get(old).read_at(&mut bytes, 7).expect("still open"), 4);
    assert_eq!(bytes, big()[7..11]);
    files.release(old);
    assert!(files.slots[old as usize].file.is_none(), "nobody needs it any more");
}

#[test]
fn a_file_that_is_gone_is_missing_a_second_later() {
    let site = Site::new();
    let mut files = files(&site, 4);
    files.find(b"hello.txt", second(0)).expect("a file");
    fs::remove_file(site.root().join("hello.txt")).expect("removed");
    assert_eq!(files.find(b"hello.txt", second(1)), Err(NoFile::Missing));
    assert!(files.by_path.is_empty());
}

#[test]
fn a_full_table_forgets_what_nobody_uses_and_refuses_when_all_are_used() {
    let site = Site::new();
    let mut files = files(&site, 2);
    let hello = files.find(b"hello.txt", second(0)).expect("a file");
    files.hold(hello);
    let home = files.find(b"index.html", second(0)).expect("a file");
    let docs = files.find(b"docs/index.html", second(0)).expect("a file");
    assert_eq!(docs, home, "the one without users gave way");
    files.hold(docs);
    assert_eq!(files.find(b"index.html", second(0)), Err(NoFile::Busy));
    assert_eq!(files.find(b"hello.txt", second(0)), Ok(hello));
    files.release(docs);
    assert_eq!(files.find(b"index.html", second(0)), Ok(docs));
    assert_eq!(files.slots.len(), 2);
}

#[test]
fn nothing_outside_of_the_root_is_opened_even_past_the_first_fence() {
    let site = Site::new();
    let mut files = files(&site, 8);
    let absolute = site.root().join("hello.txt");
    for path in [
        "../secret.txt",
        "docs/../../secret.txt",
        "up",
        "up-directory/secret.txt",
        "up-directory/rootless/secret.txt",
        "absolute",
        "process",
        "round",
        "/etc/passwd",
        absolute.to_str().expect("text"),
        "",
        "hello.txt/",
        "hello.txt/x",
    ] {
        assert_eq!(files.find(path.as_bytes(), second(0)), Err(NoFile::Missing), "{path}");
    }
    assert!(files.find(b"inside", second(0)).is_ok(), "a link within the root is followed");
    assert_eq!(files.find(b"docs", second(0)), Err(NoFile::Directory));
    assert_eq!(files.find(&[b'x'; 300], second(0)), Err(NoFile::Missing));
}

#[test]
fn a_pipe_neither_blocks_nor_counts_as_a_file() {
    let site = Site::new();
    let name = site.root().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &name,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from(0o600),
        0,
    )
    .expect("a pipe");
    assert_eq!(files(&site, 2).find(b"pipe", second(0)), Err(NoFile::Missing));
}

#[test]
fn a_root_that_is_none_is_an_error_that_names_it() {
    let error = Files::open(Path::new("/no/such/root"), 1, 0).expect_err("no root");
    assert!(matches!(&error, StartError::Root { .. }));
    assert!(error.to_string().contains("/no/such/root"), "{error}");
}

#[test]
fn types_go_by_the_extension() {
    for (path, expected) in [
        ("index.html", "text/html; charset=utf-8"),
        ("a/b.CSS", "text/css; charset=utf-8"),
        ("app.wasm", "application/wasm"),
        ("a.png", "image/png"),
        ("a.json", "application/json"),
        ("a.html/noextension", "application/octet-stream"),
        (".html", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ] {
        assert_eq!(super::content_type(path.as_bytes()), expected, "{path}");
    }
}
