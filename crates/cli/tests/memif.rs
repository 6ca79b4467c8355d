//! `crore serve` and `crore load` as two processes with a memif link between them.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A directory of one test, taken away at its end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("crore-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn link(&self) -> String {
        format!("memif:{}", self.file("link.sock"))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.file(name)).unwrap()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that is killed when a test ends without it.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crore"));
        command.args(arguments).args(["--plain", "--huge-pages", "none"]);
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }

    fn server(place: &Place) -> Self {
        let (link, json) = (place.link(), place.file("server.json"));
        let server = Self::start(&[
            "serve",
            "echo",
            "--link",
            &link,
            "--address",
            "10.9.0.1/8",
            "--listen",
            "7",
            "--connections",
            "20000",
            "--json",
            &json,
        ]);
        wait_until("the server listens", || Path::new(&place.file("link.sock")).exists());
        server
    }

    fn load(place: &Place, extra: &str, seconds: &str, connections: &str) -> Self {
        let (link, json) = (format!("{}{extra}", place.link()), place.file("load.json"));
        Self::start(&[
            "load",
            "echo",
            "--link",
            &link,
            "--address",
            "10.8.0.1/8",
            "--connect",
            "10.9.0.1:7",
            "--connections",
            connections,
            "--seconds",
            seconds,
            "--json",
            &json,
        ])
    }

    fn end(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// As Ctrl-C does.
    fn interrupt(&mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.end()
    }

    /// How many of something the process has, by a directory of `/proc`.
    fn count(&self, of: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{of}", self.0.id())).unwrap().count()
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(1), "not in a minute: {what}");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn ten_thousand_connections_between_two_processes_are_used_checked_and_closed() {
    let place = Place::new("two");
    let mut server = Running::server(&place);
    for extra in ["", ",zero-copy=yes", ",role=client,queues=1,ring=8"] {
        let mut load = Running::load(&place, extra, "1", "10000");
        assert_eq!(load.end(), Some(0), "{extra}: no check failed");
        let load = place.json("load.json");
        assert_eq!((&load["established"], &load["closed"]), (&10_000.into(), &10_000.into()));
        assert_eq!(load["bad_bytes"], 0);
        assert!(load["replies"].as_u64().unwrap() > 0);
        assert_eq!(load["requests"], load["replies"]);
    }
    assert_eq!(server.interrupt(), Some(0));
    let server = place.json("server.json").to_string();
    assert!(server.contains("\"accepted\":30000"), "{server}");
    assert!(!Path::new(&place.file("link.sock")).exists(), "the socket is taken away");
}

#[test]
fn a_wrong_secret_is_refused_and_said_on_both_sides() {
    let place = Place::new("secret");
    let link = format!("{},secret=open", place.link());
    let _server = Running::start(&[
        "serve",
        "echo",
        "--link",
        &link,
        "--address",
        "10.9.0.1/8",
        "--listen",
        "7",
        "--connections",
        "1000",
    ]);
    wait_until("the server listens", || Path::new(&place.file("link.sock")).exists());
    let link = format!("{},secret=sesame", place.link());
    let mut load = Command::new(env!("CARGO_BIN_EXE_crore"));
    load.args(["load", "echo", "--link", &link, "--address", "10.8.0.1/8"]);
    load.args(["--connect", "10.9.0.1:7", "--connections", "10", "--plain"]);
    load.args(["--huge-pages", "none"]);
    let output = load.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("the secret is wrong"), "{said}");
}

/// As many times as `CRORE_KILLS` says, else 20.
#[test]
fn a_client_that_is_killed_again_and_again_costs_the_server_nothing() {
    let place = Place::new("kills");
    let kills = std::env::var("CRORE_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let mut server = Running::server(&place);
    // What it opens at its start is open by then.
    sleep(Duration::from_secs(1));
    let alone = server.count("fd");
    let mut before = None;
    for round in 0..kills {
        let extra = if round % 2 == 0 { "" } else { ",zero-copy=yes" };
        let mut load = Running::load(&place, extra, "60", "200");
        wait_until("the client is connected", || server.count("fd") > alone);
        sleep(Duration::from_millis(50));
        load.kill();
        wait_until("the server has let go", || server.count("fd") <= alone);
        // The last client's memory is given back some milliseconds later.
        sleep(Duration::from_millis(60));
        let now = (server.count("fd"), server.count("task"), server.resident_kib());
        let (fds, threads, kib) = *before.get_or_insert(now);
        assert_eq!((now.0, now.1), (fds, threads), "descriptors and threads, round {round}");
        let limit = kib + KEPT_KIB_MAX;
        wait_until("the memory is given back", || server.resident_kib() < limit);
    }
    let at_last = (server.count("fd"), server.count("task"), server.resident_kib());
    println!("{kills} kills: descriptors, threads, KiB: {before:?}, at last {at_last:?}");
    let mut load = Running::load(&place, "", "1", "500");
    assert_eq!(load.end(), Some(0), "it serves as before");
    assert_eq!(server.interrupt(), Some(0));
}

/// Memory of the connections that were open when their client was killed comes into use bit by bit;
/// what a client shares is more than this each time.
const KEPT_KIB_MAX: u64 = 5 << 10;
