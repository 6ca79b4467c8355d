//! The kernel's side of a scenario: `kernel-peer` and `ping` in one of the namespaces.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::namespace::Namespace;
use crate::network::Network;
use crate::program::{Conversation, Program, until};
use crate::scene::Scene;

/// A `kernel-peer` that converses.
#[derive(Debug)]
pub struct Peer {
    conversation: Conversation,
    _program: Program,
}

/// What a `kernel-peer` whose streams go on has seen. The last three count connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Bytes that came back.
    pub bytes: u64,
    /// Bytes that came back wrong.
    pub bad: u64,
    /// Connections ended by a reset.
    pub resets: u64,
    /// Connections ended in order by the server.
    pub ends: u64,
    /// Connections ended by anything else.
    pub failures: u64,
}

impl Peer {
    /// Starts `kernel-peer WORDS` in a namespace and waits until it says `ready`.
    pub fn start(scene: &Scene, host: &Namespace, words: &[&str], ready: &str) -> Result<Self> {
        let peer = Self::launch(scene, host, words)?;
        peer.expect(ready)?;
        Ok(peer)
    }

    /// Starts `kernel-peer WORDS` without waiting; several of them can begin at once.
    pub fn launch(scene: &Scene, host: &Namespace, words: &[&str]) -> Result<Self> {
        let name = format!("kernel-peer {}", words.join(" "));
        let mut command = host.command(scene.kernel_peer(), words);
        let (program, conversation) =
            Program::converse(&name, &mut command, &scene.log("kernel-peer"))?;
        Ok(Self { conversation, _program: program })
    }

    /// Starts streams through an echo service, every byte of which is checked.
    pub fn traffic(
        scene: &Scene,
        host: &Namespace,
        server: SocketAddr,
        streams: u64,
    ) -> Result<Self> {
        let words = ["traffic", &server.to_string(), &streams.to_string()];
        Self::start(scene, host, &words, &format!("open {streams}"))
    }

    /// Waits for the next line and insists on its text.
    pub fn expect(&self, line: &str) -> Result<()> {
        let said = self.conversation.hear(LIMIT).with_context(|| format!("waiting for {line}"))?;
        ensure!(said == line, "the peer said `{said}`, expected `{line}`");
        Ok(())
    }

    /// Makes a request and insists on the answer.
    pub fn ask(&mut self, request: &str, answer: &str) -> Result<()> {
        let said = self.conversation.ask(request, LIMIT)?;
        ensure!(said == answer, "asked to {request}, the peer said `{said}`, expected `{answer}`");
        Ok(())
    }

    /// Waits until the streams have brought so many bytes more, and insists that all are well.
    pub fn flows(&mut self, bytes: u64) -> Result<()> {
        let start = self.status()?.bytes;
        let status = until("traffic to flow", FLOW_LIMIT, || {
            let status = self.status()?;
            Ok((status.bytes > start + bytes).then_some(status))
        })?;
        ensure!(status.bad + status.over() == 0, "traffic does not flow well: {status:?}");
        Ok(())
    }

    /// What the streams have seen so far.
    pub fn status(&mut self) -> Result<Status> {
        let said = self.conversation.ask("status", LIMIT)?;
        let figure = |name: &str| -> Result<u64> {
            let mut words = said.split(' ').skip_while(|word| *word != name);
            let figure = words.nth(1).with_context(|| format!("no {name} in `{said}`"))?;
            Ok(figure.parse()?)
        };
        Ok(Status {
            bytes: figure("bytes")?,
            bad: figure("bad")?,
            resets: figure("resets")?,
            ends: figure("ends")?,
            failures: figure("failures")?,
        })
    }
}

impl Status {
    /// Connections that are over, for any reason.
    pub fn over(&self) -> u64 {
        self.resets + self.ends + self.failures
    }
}

/// One attempt to connect from the client: `connected`, `refused`, `timed out` or `failed: why`.
pub fn probe(scene: &Scene, network: &Network, server: SocketAddr) -> Result<String> {
    let said = network.client.run(scene.kernel_peer(), &["probe", &server.to_string()])?;
    Ok(said.trim_end().to_owned())
}

/// A `ping` from the client that goes on until it is asked for its count.
#[derive(Debug)]
pub struct Ping {
    program: Program,
}

impl Ping {
    /// Starts five pings a second.
    pub fn start(scene: &Scene, network: &Network, to: IpAddr) -> Result<Self> {
        let mut command = network.client.command("ping", &["-q", "-i", "0.2", &to.to_string()]);
        let program = Program::start("ping", &mut command, &scene.log("ping"))?;
        Ok(Self { program })
    }

    /// Ends it. Every ping must have been answered, but for the last, which may be on its way.
    pub fn stop(mut self) -> Result<()> {
        self.program.interrupt(LIMIT)?;
        let said = self.program.said();
        let summary = said.lines().find(|line| line.contains("packets transmitted"));
        let summary = summary.with_context(|| format!("ping said no summary:\n{said}"))?;
        let mut counts =
            summary.split(", ").filter_map(|part| part.split(' ').next()?.parse().ok());
        let (sent, answered): (u64, u64) =
            counts.next().zip(counts.next()).with_context(|| format!("ping said {summary}"))?;
        ensure!(answered > 0 && answered + 1 >= sent, "pings went unanswered: {summary}");
        Ok(())
    }
}

/// A watchdog: retransmission timers back off while a link is down.
const FLOW_LIMIT: Duration = Duration::from_mins(4);

/// A watchdog: opening tens of thousands of connections on a machine that does much else.
const LIMIT: Duration = Duration::from_mins(5);
