//! `impaired-link` in a namespace of its own, between a client and a server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::impairment::{BothCounts, Impairment};
use crate::namespace::Namespace;
use crate::program::{Conversation, Program};
use crate::scene::Scene;

/// A running link.
#[derive(Debug)]
pub struct Link {
    conversation: Conversation,
    program: Program,
}

impl Link {
    /// Starts it in `host`, where its two devices appear. With `capture` it records what each end
    /// sends and gets, in `CAPTURE-near.pcap` and `CAPTURE-far.pcap`.
    pub fn start(
        scene: &Scene,
        host: &Namespace,
        impairment: &Impairment,
        capture: Option<&Path>,
    ) -> Result<Self> {
        let mut words = vec![NEAR_DEVICE.to_owned(), FAR_DEVICE.to_owned()];
        words.extend(impairment.words());
        words.extend(capture.map(|prefix| format!("pcap={}", prefix.display())));
        let mut command = host.command(scene.sibling("impaired-link"), &words);
        let (program, conversation) =
            Program::converse("impaired-link", &mut command, &scene.log("impaired-link"))?;
        let said = conversation.hear(LIMIT).context("waiting for the link")?;
        ensure!(said == "ready", "the link said `{said}`");
        Ok(Self { conversation, program })
    }

    /// What it did so far.
    pub fn counts(&mut self) -> Result<BothCounts> {
        let said = self.conversation.ask("counts", LIMIT)?;
        serde_json::from_str(&said).with_context(|| format!("the link said `{said}`"))
    }

    /// Draws its luck anew, from another seed.
    pub fn draw_anew(&mut self, seed: u64) -> Result<()> {
        let said = self.conversation.ask(&format!("seed {seed}"), LIMIT)?;
        ensure!(said == "drawn", "the link said `{said}`");
        Ok(())
    }

    /// Cuts it, once its records are complete.
    pub fn end(mut self) -> Result<()> {
        let said = self.conversation.ask("end", LIMIT)?;
        ensure!(said == "ended", "the link said `{said}`");
        self.program.wait(LIMIT).map(drop)
    }
}

/// The device that the client will have as its interface.
pub const NEAR_DEVICE: &str = "near";

/// The device on the server's side.
pub const FAR_DEVICE: &str = "far";

/// A watchdog.
const LIMIT: Duration = Duration::from_mins(1);
