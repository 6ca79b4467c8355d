//! `crore serve` and its clients as processes with memif links between them.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
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

    /// The same with the server's address.
    fn served(&self) -> String {
        format!("{},address={SERVER}/8", self.link())
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
struct Running {
    child: Child,
    /// What it says, in a file.
    said: String,
}

impl Running {
    /// `name` is that of the files that it writes.
    fn start(place: &Place, name: &str, arguments: &[&str]) -> Self {
        let said = place.file(&format!("{name}.txt"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_crore"));
        command.args(arguments).args(["--huge-pages", "none"]);
        command.args(["--json", &place.file(&format!("{name}.json"))]);
        command.stdout(fs::File::create(&said).unwrap());
        Self { child: command.spawn().unwrap(), said }
    }

    /// A server on these links, when all of it is there.
    fn server(place: &Place, links: &[&str]) -> Self {
        let mut words = vec!["serve", "echo", "--plain", "--listen", "7", "--connections", "20000"];
        words.extend(links.iter().flat_map(|link| ["--link", link]));
        let server = Self::start(place, "server", &words);
        wait_until("the server serves", || {
            // It shows what goes on when all is open.
            let said = server.said();
            said.split_once("serving on").is_some_and(|(_, then)| then.lines().count() > 1)
        });
        server
    }

    /// A client of the server at `remote`.
    fn load(place: &Place, (link, remote): (&str, &str), seconds: &str, connections: &str) -> Self {
        let words = ["load", "echo", "--plain", "--link", link, "--address", "10.8.0.1/8"];
        let (remote, more) = (format!("{remote}:7"), ["--connections", connections]);
        let words = [&words[..], &["--connect", &remote, "--seconds", seconds], &more].concat();
        Self::start(place, "load", &words)
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    /// How often it has said this.
    fn times_said(&self, words: &str) -> usize {
        self.said().matches(words).count()
    }

    /// By this signal.
    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    fn end(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As Ctrl-C does.
    fn interrupt(&mut self) -> Option<i32> {
        self.signal("-INT");
        self.end()
    }

    /// How many of something the process has, by a directory of `/proc`.
    fn count(&self, of: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{of}", self.child.id())).unwrap().count()
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(1), "not in a minute: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// A whole load: all was opened, answered, checked and closed.
fn is_served(place: &Place, (link, remote): (&str, &str), connections: &str) {
    let mut load = Running::load(place, (link, remote), "1", connections);
    assert_eq!(load.end(), Some(0), "{link}: a check failed: {}", load.said());
    let load = place.json("load.json");
    assert_eq!(load["established"].to_string(), connections);
    assert_eq!(load["closed"].to_string(), connections);
    assert_eq!(load["bad_bytes"], 0);
    assert!(load["replies"].as_u64().unwrap() > 0);
    assert_eq!(load["requests"], load["replies"]);
}

#[test]
fn ten_thousand_connections_between_two_processes_are_used_checked_and_closed() {
    let place = Place::new("two");
    let mut server = Running::server(&place, &[&place.served()]);
    for extra in ["", ",zero-copy=yes", ",role=client,queues=1,ring=8"] {
        let link = format!("{}{extra}", place.link());
        is_served(&place, (&link, SERVER), "10000");
    }
    assert_eq!(server.interrupt(), Some(0));
    let server = place.json("server.json").to_string();
    assert!(server.contains("\"accepted\":30000"), "{server}");
    assert!(!Path::new(&place.file("link.sock")).exists(), "the socket is taken away");
}

#[test]
fn a_wrong_secret_is_refused_and_said_on_both_sides() {
    let place = Place::new("secret");
    let server = Running::server(&place, &[&format!("{},secret=open", place.served())]);
    let link = format!("{},secret=sesame", place.link());
    let mut load = Running::load(&place, (&link, SERVER), "1", "10");
    assert_eq!(load.end(), Some(2));
    for said in [server.said(), load.said()] {
        assert!(said.contains("the secret is wrong"), "{said}");
    }
}

#[test]
fn bench_measures_a_server_that_is_another_process() {
    let place = Place::new("bench");
    let mut server = Running::server(&place, &[&place.served()]);
    let (link, remote) = (place.link(), format!("{SERVER}:7"));
    let profiles = ["echo", "churn", "hold", "latency"];
    let words = ["--link", &link, "--address", "10.8.0.1/8", "--connect", &remote];
    let sizes = ["--connections", "500", "--seconds", "0.3"];
    let words = [&["bench"], &profiles[..], &words, &sizes].concat();
    let mut bench = Running::start(&place, "bench", &words);
    assert_eq!(bench.end(), Some(0), "{}", bench.said());
    let report = place.json("bench.json");
    for (found, name) in report["profiles"].as_array().unwrap().iter().zip(profiles) {
        assert_eq!((&found["name"], &found["failures"]), (&name.into(), &Value::Array(vec![])));
        assert_eq!(found["tables"][0]["rows"][0][0], 500.0, "{found}");
    }
    assert_eq!(server.interrupt(), Some(0));
    let accepted = place.json("server.json")["accepted"].as_u64().unwrap();
    assert!(accepted > 4 * 500, "short lives beside those that stand: {accepted}");
}

/// Two links share a socket, and a third one is a client.
#[test]
fn what_becomes_of_one_link_of_a_server_the_others_do_not_notice() {
    let place = Place::new("links");
    let name = format!("memif:@crore-links-{}", std::process::id());
    let (first, second) = (place.link(), format!("{},id=1", place.link()));
    let mut server = Running::server(
        &place,
        &[
            &format!("{first},address=10.1.0.1/8"),
            &format!("{second},address=10.2.0.1/8"),
            &format!("{name},role=client,address=10.3.0.1/8"),
        ],
    );

    // A client is stopped for as long as others are served, and goes on.
    let other = Place::new("links-stopped");
    let mut stopped = Running::load(&other, (&second, "10.2.0.1"), "3", "1000");
    wait_until("the client is connected", || server.times_said("is connected") == 1);
    stopped.signal("-STOP");
    is_served(&place, (&first, "10.1.0.1"), "1000");
    is_served(&place, (&first, "10.1.0.1"), "1000");
    stopped.signal("-CONT");
    assert_eq!(stopped.end(), Some(0), "it went on: {}", stopped.said());
    assert_eq!(other.json("load.json")["closed"], 1000);

    // Whom we are a client of is killed, and found again when there is another one.
    let (theirs, ours) = (format!("{name},role=server"), "10.3.0.1");
    for round in 1..=2 {
        let mut killed = Running::load(&other, (&theirs, ours), "60", "1000");
        let connected = || server.times_said("connected to server");
        wait_until("we are connected to it", || connected() == round);
        killed.kill();
        is_served(&place, (&first, "10.1.0.1"), "1000");
    }
    is_served(&place, (&theirs, ours), "1000");

    assert_eq!(server.interrupt(), Some(0));
    let links = &place.json("server.json")["links"];
    let accepted = |link: usize| links[link]["accepted"].as_u64().unwrap();
    assert_eq!((accepted(0), accepted(1)), (4 * 1000, 1000));
    assert!((1000..=3 * 1000).contains(&accepted(2)), "{links}");
}

/// As many times as `CRORE_KILLS` says, else 20.
#[test]
fn a_client_that_is_killed_again_and_again_costs_the_server_nothing() {
    let place = Place::new("kills");
    let kills = std::env::var("CRORE_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let mut server = Running::server(&place, &[&place.served()]);
    let alone = server.count("fd");
    let mut before = None;
    for round in 0..kills {
        let extra = if round % 2 == 0 { "" } else { ",zero-copy=yes" };
        let link = format!("{}{extra}", place.link());
        let mut load = Running::load(&place, (&link, SERVER), "60", "200");
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
    is_served(&place, (&place.link(), SERVER), "500");
    assert_eq!(server.interrupt(), Some(0));
}

const SERVER: &str = "10.9.0.1";

/// Memory of the connections that were open when their client was killed comes into use bit by bit;
/// what a client shares is more than this each time.
const KEPT_KIB_MAX: u64 = 5 << 10;
