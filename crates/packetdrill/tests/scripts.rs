//! The scripts under `tests/packetdrill`: played by a small runner of our own, and by the real
//! packetdrill where it is in `PATH`. Without it that test says so and proves nothing:
//! `docs/packetdrill.md` tells how to build it.

mod runner;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Which flags the scripts of a directory get.
const SUITES: [Suite; 4] = [
    Suite { directory: "linux", profile: "linux", ip: "ipv4", local: "192.168.0.2" },
    Suite { directory: "freebsd", profile: "freebsd", ip: "ipv4", local: "192.168.0.2" },
    Suite { directory: "freebsd_v6", profile: "freebsd", ip: "ipv6", local: "fd3d:fa7b:d17d::2" },
    Suite { directory: "linux_v6", profile: "linux", ip: "ipv6", local: "fd3d:fa7b:d17d::2" },
];

struct Suite {
    directory: &'static str,
    profile: &'static str,
    ip: &'static str,
    local: &'static str,
}

/// How a script ended, as `docs/packetdrill.md` counts it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Verdict {
    /// Something was asserted after the last packet that came in.
    Passed,
    /// Nothing was: a wrong answer to that packet would not have been seen.
    PassedWithoutAssertion,
    Failed,
}

#[test]
fn every_script_passes_in_our_own_runner() {
    let mut failures = Vec::new();
    for suite in &SUITES {
        for script in scripts(suite.directory) {
            let name = format!("own-{}", script.file_stem().unwrap().to_string_lossy());
            let scratch = Scratch::new(&name);
            let stage =
                runner::Stage { profile: suite.profile, local: suite.local, scratch: &scratch.0 };
            let text = fs::read_to_string(&script).unwrap();
            if let Err(error) = runner::run(&text, &stage) {
                failures.push(format!("{}: {error}", script.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_script_passes_and_asserts_something_at_its_end() {
    let Some(packetdrill) = in_path("packetdrill") else {
        // Written past the test harness, which shows nothing of tests that pass.
        let note = "SKIPPED: no packetdrill in PATH, its scripts were not run\n";
        let _ = std::io::stderr().write_all(note.as_bytes());
        return;
    };
    let mut verdicts = BTreeMap::new();
    let mut failures = Vec::new();
    for suite in &SUITES {
        for script in scripts(suite.directory) {
            let run = Run::new(suite, &script, &packetdrill);
            let verdict = run.verdict(&script);
            *verdicts.entry(verdict).or_insert(0) += 1;
            if verdict != Verdict::Passed {
                let said = String::from_utf8_lossy(&run.output.stderr).into_owned();
                failures.push(format!("{}: {verdict:?}\n{said}", script.display()));
            }
        }
    }
    let _ = std::io::stderr().write_all(format!("packetdrill: {verdicts:?}\n").as_bytes());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn states_and_packets_left_are_written_as_they_are() {
    let Some(packetdrill) = in_path("packetdrill") else { return };
    // The segment to a closed port is answered; the script does not look.
    let text = "\
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 bind(3, ..., ...) = 0
   +0 listen(3, 1) = 0
   +0 < S 0:0(0) win 1000 <mss 1000>
   +0 > S. 0:0(0) ack 1 <mss 1460>
   +0 `cp $STATES $STATES.1`
   +0 < . 1:1(0) ack 1 win 1000
   +0 accept(3, ..., ...) = 4
   +0 `cp $STATES $STATES.2`
   +0 < F. 1:1(0) ack 1 win 1000
   +0 > . 1:1(0) ack 2
   +0 close(4) = 0
   +0 `cp $STATES $STATES.3`
   +0 < . 200000:200000(0) ack 1 win 1000
";
    let scratch = Scratch::new("states");
    let script = scratch.0.join("states.pkt");
    fs::write(&script, text).unwrap();
    let run = Run::new(&SUITES[0], &script, &packetdrill);
    assert!(run.output.status.success(), "{}", String::from_utf8_lossy(&run.output.stderr));
    let table = |n: u8| fs::read_to_string(run.scratch.0.join(format!("states.{n}"))).unwrap();
    // Descriptors are the system's, so only their kind is known.
    let listen = |line: &str| line.ends_with(" tcp4 192.168.0.2:8080 *:* LISTEN");
    let conn = |line: &str, owned: bool, state: &str| {
        let (fd, rest) = line.split_once(' ').unwrap();
        (fd != "?") == owned
            && rest.starts_with("tcp4 192.168.0.2:8080 192.0.2.1:")
            && rest.ends_with(state)
    };
    for (n, owned, state) in [(1, false, " SYN_RCVD"), (2, true, " ESTABLISHED")] {
        let text = table(n);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.len() == 2 && listen(lines[0]) && conn(lines[1], owned, state), "{text}");
    }
    assert!(table(3).lines().any(|line| line.starts_with("? ") && line.ends_with(" LAST_ACK")));
    let left = fs::read_to_string(run.scratch.0.join("left")).unwrap();
    let causes: Vec<_> = left.lines().collect();
    assert_eq!(causes.first(), Some(&"call 3"), "the FIN of close: {left}");
    assert_eq!(
        causes.get(1),
        Some(&"reply 4"),
        "the answer to what lies outside the window: {left}"
    );
}

/// One script's run.
struct Run {
    output: Output,
    scratch: Scratch,
}

impl Run {
    fn new(suite: &Suite, script: &Path, packetdrill: &Path) -> Self {
        let scratch = Scratch::new(&script.file_stem().unwrap().to_string_lossy());
        let at = |name: &str| scratch.0.join(name).display().to_string();
        stub_sysctl(&scratch.0);
        let flags = format!(
            "profile={},local={},states={},left={},sysctls={}",
            suite.profile,
            suite.local,
            at("states"),
            at("left"),
            at("sysctls"),
        );
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new(packetdrill)
            .arg(format!("--so_filename={}", library().display()))
            .arg(format!("--so_flags={flags}"))
            .arg(format!("--ip_version={}", suite.ip))
            .arg(format!("--local_ip={}", suite.local))
            .arg(script)
            .env("PATH", format!("{}:{path}", scratch.0.display()))
            .env("STATES", at("states"))
            .env("SYSCTLS", at("sysctls"))
            .output()
            .expect("packetdrill starts");
        Self { output, scratch }
    }

    fn verdict(&self, script: &Path) -> Verdict {
        if !self.output.status.success() {
            return Verdict::Failed;
        }
        let text = fs::read_to_string(script).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let last_in = lines.iter().rposition(|line| is_packet(line, '<'));
        let after = &lines[last_in.map_or(0, |at| at + 1)..];
        if after.iter().any(|line| is_packet(line, '>') || is_observation(line)) {
            Verdict::Passed
        } else {
            Verdict::PassedWithoutAssertion
        }
    }
}

/// True for a line with a packet in this direction.
fn is_packet(line: &str, direction: char) -> bool {
    let mut words = line.split_whitespace();
    words.next().is_some_and(|word| !word.starts_with("//"))
        && words.next().is_some_and(|word| word == direction.to_string())
}

/// True for a call whose result tells what the stack did.
fn is_observation(line: &str) -> bool {
    let calls = ["read(", "write(", "poll(", "epoll_wait(", "getsockopt(", "ioctl(", "accept("];
    !line.starts_with("//") && calls.iter().any(|call| line.contains(call))
}

/// Before the real one in `PATH`: what a script sets goes where the library reads it.
fn stub_sysctl(directory: &Path) {
    let text = "#!/bin/sh\nfor a in \"$@\"; do case \"$a\" in *=*) echo \"$a\" >>\"$SYSCTLS\";; \
                esac; done\n";
    let path = directory.join("sysctl");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A directory of this run, gone with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("crore-packetdrill-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn scripts(directory: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/packetdrill");
    let entries = fs::read_dir(root.join(directory)).expect("the scripts are in the repository");
    let mut scripts: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    scripts
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The library that cargo built for this test, beside it.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    test.with_file_name(format!("{}crore_packetdrill{}", "lib", std::env::consts::DLL_SUFFIX))
}
