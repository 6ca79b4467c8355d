//! `frames` by what it is told and says; see `src/bin/frames`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crore_netns_tests::program::{Conversation, Program, until};
use crore_netns_tests::scene::Scene;
use serde::{Deserialize, Serialize};

/// What a link is, as far as scenarios differ in it.
#[derive(Clone, Debug)]
pub struct Ends<'a> {
    /// The socket.
    pub socket: &'a Path,
    /// Who listens: we, or the peer.
    pub we_serve: bool,
    /// The client, whoever it is, works in place.
    pub zero_copy: bool,
    /// What each side believes the secret to be, ours first.
    pub secrets: [&'a str; 2],
    /// Queues of each side, ours first.
    pub queues: [u16; 2],
}

impl<'a> Ends<'a> {
    /// A link with one queue and no secret.
    pub fn new(socket: &'a Path, we_serve: bool, zero_copy: bool) -> Self {
        Self { socket, we_serve, zero_copy, secrets: [""; 2], queues: [1; 2] }
    }
}

/// What was sent and received, and what it cost.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Frames handed over.
    pub sent: u64,
    /// Frames that came.
    pub received: u64,
    /// Frames that were not what they had to be.
    pub bad: u64,
    /// From the first frame to the last.
    pub seconds: f64,
    /// Cycles of bursts with frames in them.
    pub busy_cycles: u64,
}

/// How the link is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// A peer is there.
    pub up: bool,
    /// How often one came.
    pub ups: u64,
    /// What was said since the last time it was asked.
    pub news: Vec<String>,
    /// Descriptors that the process has.
    pub descriptors: usize,
    /// Threads that it has.
    pub threads: usize,
}

/// The driver at our end of a link.
#[derive(Debug)]
pub struct Frames {
    conversation: Conversation,
    program: Program,
}

impl Frames {
    /// Starts it; whether there is a peer is another question.
    pub fn start(scene: &Scene, ends: &Ends<'_>) -> Result<Self> {
        let mut command = Command::new(scene.sibling("frames"));
        command.args([
            format!("socket={}", ends.socket.display()),
            format!("role={}", if ends.we_serve { "server" } else { "client" }),
            format!("zero-copy={}", ends.zero_copy && !ends.we_serve),
            format!("secret={}", ends.secrets[0]),
            format!("queues={}", ends.queues[0]),
            format!("cpu={OUR_CPU}"),
        ]);
        let (program, conversation) =
            Program::converse("frames", &mut command, &scene.log("frames"))?;
        let said = conversation.hear(LIMIT)?;
        ensure!(said == "ready", "frames said `{said}`");
        Ok(Self { conversation, program })
    }

    /// How the link is.
    pub fn status(&mut self) -> Result<Status> {
        self.begin("status")?;
        let said = self.conversation.hear(LIMIT)?;
        serde_json::from_str(&said).with_context(|| format!("frames said `{said}`"))
    }

    /// Waits for a peer; what happened meanwhile.
    pub fn until_up(&mut self) -> Result<Status> {
        until("a peer", LIMIT, || Ok(Some(self.status()?).filter(|status| status.up)))
    }

    /// Waits until there is none.
    pub fn until_down(&mut self) -> Result<()> {
        until("the peer's end", LIMIT, || Ok((!self.status()?.up).then_some(())))
    }

    /// Waits until the link says this.
    pub fn until_said(&mut self, words: &str) -> Result<()> {
        let mut all = Vec::new();
        let heard = until(&format!("`{words}`"), LIMIT, || {
            all.extend(self.status()?.news);
            Ok(all.iter().any(|line| line.contains(words)).then_some(()))
        });
        heard.with_context(|| format!("the link said {all:#?}"))
    }

    /// `send COUNT LEN`, `exchange COUNT LEN WINDOW swap|same` or `ping COUNT`, to its end.
    pub fn run(&mut self, request: &str) -> Result<Traffic> {
        self.begin(request)?;
        self.end()
    }

    /// Begins what [`Frames::end`] will know the outcome of, or [`Frames::all`] of `receive`.
    pub fn begin(&mut self, request: &str) -> Result<()> {
        let said = self.conversation.ask(request, LIMIT)?;
        ensure!(said == "begun", "asked to {request}, frames said `{said}`");
        Ok(())
    }

    /// What came of `receive` when the sender, which has stopped, sent so many: it is waited for.
    pub fn all(&mut self, sent: u64) -> Result<Traffic> {
        self.conversation.say(&format!("all {sent}"))?;
        self.end()
    }

    /// What it came to.
    pub fn end(&mut self) -> Result<Traffic> {
        let said = self.conversation.hear(LIMIT)?;
        serde_json::from_str(&said).with_context(|| format!("frames said `{said}`"))
    }

    /// Kilobytes of memory that it has.
    pub fn resident_kb(&self) -> Result<u64> {
        self.program.resident_kb()
    }
}

/// The processor of the driver.
pub const OUR_CPU: usize = 1;

const LIMIT: Duration = Duration::from_mins(2);
