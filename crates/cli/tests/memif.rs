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

#[test]
fn clients_that_are_killed_again_and_again_cost_a_server_nothing() {
    killed_again_and_again("clients", |place, number| Match {
        ours: format!("{},id={number}", place.link()),
        theirs: format!("{},id={number}", place.link()),
        said: "is connected",
    });
}

#[test]
fn servers_that_are_killed_again_and_again_cost_a_client_nothing() {
    killed_again_and_again("servers", |place, number| {
        let socket = format!("memif:{}", place.file(&format!("{number}.sock")));
        let (ours, theirs) = (format!("{socket},role=client"), format!("{socket},role=server"));
        Match { ours, theirs, said: "connected to server" }
    });
}

/// Both ends of a link, and what we say when it is up.
struct Match {
    ours: String,
    theirs: String,
    said: &'static str,
}

/// `CRORE_KILLS` peers, else 20, of which `CRORE_AT_ONCE`, else 2, are there together; each is
/// stopped for `CRORE_STOPPED` seconds, else not at all, before it is killed. One link is used all
/// the time by somebody whom nobody kills.
fn killed_again_and_again(name: &str, match_of: impl Fn(&Place, u32) -> Match) {
    let number = |name: &str, other| std::env::var(name).map_or(other, |n| n.parse().unwrap());
    let (kills, at_once) = (number("CRORE_KILLS", 20), number("CRORE_AT_ONCE", 2));
    let stopped = Duration::from_secs(number("CRORE_STOPPED", 0).into());
    let (place, steady_place) = (Place::new(name), Place::new(&format!("{name}-steady")));
    let matches: Vec<_> = (0..at_once).map(|number| match_of(&place, number)).collect();
    let address = |number: u32| format!("10.{}.0.1", 20 + number);
    let ours = matches.iter().zip(0..);
    let mut links: Vec<_> =
        ours.map(|(one, number)| format!("{},address={}/8", one.ours, address(number))).collect();
    links.push(steady_place.served());
    let mut server = Running::server(&place, &links.iter().map(String::as_str).collect::<Vec<_>>());
    let steady = (steady_place.link(), SERVER);
    let mut steady = Running::load(&steady_place, (&steady.0, steady.1), "100000", "100");
    wait_until("the steady client is connected", || server.times_said("is connected") == 1);
    let places: Vec<_> = (0..at_once).map(|one| Place::new(&format!("{name}-{one}"))).collect();
    let mut first = None;
    for round in 0..kills.div_ceil(at_once) {
        let connected = || matches[0].said;
        let before = server.times_said(connected());
        let peer = |number: u32| {
            let extra = if round % 2 == 0 { "" } else { ",zero-copy=yes" };
            let theirs = format!("{}{extra}", matches[number as usize].theirs);
            let place = &places[number as usize];
            Running::load(place, (&theirs, &address(number)), "60", "200")
        };
        let mut peers: Vec<_> = (0..at_once).map(peer).collect();
        let all = before + at_once as usize;
        wait_until("all peers are connected", || server.times_said(connected()) >= all);
        sleep(Duration::from_millis(50));
        if !stopped.is_zero() {
            for peer in &peers {
                peer.signal("-STOP");
            }
            sleep(stopped);
        }
        // Half of those that were stopped go on for a moment.
        for peer in peers.iter().step_by(2) {
            peer.signal("-CONT");
        }
        sleep(Duration::from_millis(20));
        for peer in &mut peers {
            peer.kill();
        }
        match &first {
            None => first = Some(Held::at_rest(&server)),
            Some(first) => first.is_all(&server, round, at_once),
        }
    }
    println!("{kills} killed: {first:?}, at last {:?}", Held::at_rest(&server));
    assert!(steady.child.try_wait().unwrap().is_none(), "it ended: {}", steady.said());
    assert_eq!(steady.interrupt(), Some(0), "{}", steady.said());
    let steady = steady_place.json("load.json");
    assert_eq!((&steady["established"], &steady["closed"]), (&100.into(), &100.into()));
    assert_eq!((&steady["bad_bytes"], &steady["requests"]), (&0.into(), &steady["replies"]));
    assert_eq!(server.interrupt(), Some(0));
}

/// What a process has.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
    memory_kib: u64,
}

impl Held {
    fn now(of: &Running) -> Self {
        let (descriptors, threads) = (of.count("fd"), of.count("task"));
        Self { descriptors, threads, memory_kib: of.resident_kib() }
    }

    /// The least that a second shows: what a peer shared goes some milliseconds after it, and a
    /// client that tries to connect has a socket for that moment.
    fn at_rest(of: &Running) -> Self {
        let mut least = Self::now(of);
        for _ in 0..20 {
            sleep(Duration::from_millis(50));
            let now = Self::now(of);
            least.descriptors = least.descriptors.min(now.descriptors);
            least.threads = least.threads.min(now.threads);
            least.memory_kib = least.memory_kib.min(now.memory_kib);
        }
        least
    }

    /// Waits until the process has no more than this again.
    fn is_all(&self, of: &Running, round: u32, links: u32) {
        let limit_kib = self.memory_kib + KEPT_KIB_MAX * u64::from(links);
        let begun = Instant::now();
        loop {
            let now = Self::now(of);
            let same = now.descriptors <= self.descriptors && now.threads <= self.threads;
            if same && now.memory_kib < limit_kib {
                return;
            }
            let late = begun.elapsed() > Duration::from_mins(1);
            assert!(!late, "the first round left {self:?}, round {round} leaves {now:?}");
            sleep(Duration::from_millis(5));
        }
    }
}

const SERVER: &str = "10.9.0.1";

/// Of each link: memory of the connections that were open when their peer was killed comes into use
/// bit by bit; what two peers share is more.
const KEPT_KIB_MAX: u64 = 5 << 10;
