//! `dpdk-testpmd` at the other end of a link.
//!
//! Two traps of DPDK 22.11 decide how it is handled here. Its memif device does not try again: as
//! client it must be started when the server listens. And when its peer goes away while it
//! forwards, it may touch memory that it has just unmapped, and die: so it is halted before we end
//! a link, and in tests of links that break it is the one that is killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crore_netns_tests::namespace::Namespace;
use crore_netns_tests::program::{Conversation, Program, until};
use crore_netns_tests::scene::Scene;

use crate::frames::Ends;

/// A running testpmd that forwards nothing yet.
#[derive(Debug)]
pub struct Testpmd {
    conversation: Conversation,
    program: Program,
    started: Instant,
    /// What DPDK leaves behind.
    leftover: PathBuf,
}

/// How to start one.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its devices.
    pub devices: Vec<String>,
    /// The processor that it forwards on.
    pub cpu: usize,
    /// Queues of each device.
    pub queues: u16,
    /// On reserved huge pages, in files as zero-copy needs them.
    pub huge_pages: bool,
}

/// What it counted from start to halt.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Frames received.
    pub rx: u64,
    /// Frames sent.
    pub tx: u64,
    /// Frames that it could not send.
    pub tx_dropped: u64,
    /// Its own account; nothing where it had no frame.
    pub cycles_per_packet: Option<f64>,
    /// From start to halt.
    pub seconds: f64,
}

impl Setup {
    /// The peer of a link.
    pub fn peer(ends: &Ends<'_>) -> Self {
        let role = if ends.we_serve { "client" } else { "server" };
        let zero_copy = ends.zero_copy && ends.we_serve;
        let mut device = format!(
            "net_memif0,role={role},id=0,socket={},socket-abstract=no",
            ends.socket.display()
        );
        if zero_copy {
            device += ",zero-copy=yes";
        }
        if !ends.secrets[1].is_empty() {
            device += ",secret=";
            device += ends.secrets[1];
        }
        let (cpu, queues) = (THEIR_CPU, ends.queues[1]);
        Self { devices: vec![device], cpu, queues, huge_pages: zero_copy }
    }
}

impl Testpmd {
    /// Starts it, and waits until it takes commands.
    pub fn start(scene: &Scene, name: &str, setup: &Setup) -> Result<Self> {
        Self::start_in(scene, None, name, setup)
    }

    /// The same in a network namespace.
    pub fn start_in(
        scene: &Scene,
        host: Option<&Namespace>,
        name: &str,
        setup: &Setup,
    ) -> Result<Self> {
        // Line by line, so that what it said is known when it dies.
        let words = ["-oL", "dpdk-testpmd"];
        let mut command = match host {
            Some(host) => host.command("stdbuf", &words),
            None => Command::new("stdbuf"),
        };
        if host.is_none() {
            command.args(words);
        }
        let prefix = format!("crore-{}-{name}", std::process::id());
        let lcores = format!("--lcores=0@{0},1@{0}", setup.cpu);
        command.args([&lcores, "--no-pci", "--no-telemetry", "--log-level=pmd.net.memif:debug"]);
        if setup.huge_pages {
            command.args(["--in-memory", "--single-file-segments", "-m", HUGE_MIB]);
        } else {
            let prefix = format!("--file-prefix={prefix}");
            command.args(["--no-huge", "--no-shconf", &prefix, "-m", SMALL_MIB]);
        }
        command.args(setup.devices.iter().map(|device| format!("--vdev={device}")));
        let queues = [format!("--rxq={}", setup.queues), format!("--txq={}", setup.queues)];
        // What comes before it forwards is not thrown away, or numbers would not agree.
        command.args(["--", "-i", "--total-num-mbufs=8192", "--no-flush-rx"]).args(queues);
        let (program, conversation) = Program::converse(name, &mut command, &scene.log(name))?;
        let (started, leftover) = (Instant::now(), Path::new("/var/run/dpdk").join(prefix));
        let mut testpmd = Self { conversation, program, started, leftover };
        testpmd.hear("Checking link statuses").context("testpmd did not start")?;
        testpmd.conversation.say("set record-core-cycles on")?;
        Ok(testpmd)
    }

    /// True when its first device has its peer.
    pub fn until_up(&mut self) -> Result<()> {
        until("testpmd's link", LIMIT, || {
            self.conversation.say("show port info 0")?;
            Ok(self.hear("Link status: ")?.ends_with("up").then_some(()))
        })
    }

    /// Begins to forward in this mode: `io`, `rxonly`, `txonly`, `5tswap`, `icmpecho`.
    pub fn go(&mut self, mode: &str) -> Result<()> {
        self.conversation.say(&format!("set fwd {mode}"))?;
        self.conversation.say("start")?;
        self.hear("packet forwarding - ports=").with_context(|| format!("in mode {mode}"))?;
        self.started = Instant::now();
        Ok(())
    }

    /// Ends that; says what was forwarded.
    pub fn halt(&mut self) -> Result<Counts> {
        self.conversation.say("stop")?;
        let seconds = self.started.elapsed().as_secs_f64();
        let mut counts = Counts { seconds, ..Counts::default() };
        self.hear("Accumulated forward statistics")?;
        loop {
            let line = self.conversation.hear(LIMIT)?;
            let figure = |name: &str| {
                let rest = line.split(name).nth(1)?;
                rest.split_whitespace().next()?.parse::<u64>().ok()
            };
            if let Some(rx) = figure("RX-packets: ") {
                counts.rx = rx;
            }
            if let (Some(tx), Some(dropped)) = (figure("TX-packets: "), figure("TX-dropped: ")) {
                (counts.tx, counts.tx_dropped) = (tx, dropped);
            }
            if let Some(rest) = line.split("CPU cycles/packet=").nth(1) {
                counts.cycles_per_packet = rest.split(' ').next().and_then(|n| n.parse().ok());
            }
            if line.starts_with("Done.") {
                return Ok(counts);
            }
        }
    }

    /// Frames received so far.
    pub fn received(&mut self) -> Result<u64> {
        self.conversation.say("show port stats 0")?;
        let line = self.hear("RX-packets: ")?;
        let figure = line.split("RX-packets: ").nth(1).and_then(|rest| rest.split(' ').next());
        figure.and_then(|n| n.parse().ok()).with_context(|| format!("testpmd said {line}"))
    }

    /// The next line with these words.
    pub fn hear(&mut self, words: &str) -> Result<String> {
        let mut before = String::new();
        loop {
            let line = self.conversation.hear(LIMIT);
            let line = line.with_context(|| format!("waiting for `{words}` after\n{before}"))?;
            if line.contains(words) {
                return Ok(line.trim_end().to_owned());
            }
            before += &line;
            before.push('\n');
        }
    }

    /// Waits until it has complained of this.
    pub fn until_complains(&mut self, words: &str) -> Result<()> {
        until(&format!("testpmd to complain of `{words}`"), LIMIT, || {
            Ok(self.complaints().to_lowercase().contains(words).then_some(()))
        })
    }

    /// What it complained of.
    pub fn complaints(&self) -> String {
        self.program.said()
    }

    /// Killed, as by `kill -9`.
    pub fn kill(mut self) -> Result<()> {
        self.program.kill()
    }

    /// Ended in order.
    pub fn quit(mut self) -> Result<()> {
        self.conversation.say("quit")?;
        let status = self.program.wait(LIMIT)?;
        ensure!(status.success(), "testpmd ended with {status}\n{}", self.complaints());
        Ok(())
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        // It is not there when it worked in memory alone.
        let _ = fs::remove_dir_all(&self.leftover);
    }
}

/// The processor of the peer.
pub const THEIR_CPU: usize = 0;

/// What [`Setup::huge_pages`] takes, in pages of 2 MiB, with what it wants to spare.
pub const HUGE_PAGES: u64 = 80;

const HUGE_MIB: &str = "128";
const SMALL_MIB: &str = "256";
const LIMIT: Duration = Duration::from_mins(1);
