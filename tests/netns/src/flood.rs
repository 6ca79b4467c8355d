//! `syn-flood` on the server's side of an impaired network, beside the link and not behind it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::network::Network;
use crate::program::{Conversation, Program};
use crate::scene::Scene;

/// An attacker in its place. Dropped, it is gone.
#[derive(Debug)]
pub struct Flood {
    conversation: Conversation,
    _program: Program,
}

impl Flood {
    /// Puts it in place; it sends nothing yet. Answers to the sources it makes up go to it.
    pub fn prepare(scene: &Scene, network: &Network, server: SocketAddr) -> Result<Self> {
        let middle = network.middle()?;
        let mac = network.server.run("cat", &["/sys/class/net/eth0/address"])?;
        let words = [DEVICE, &server.to_string(), mac.trim_end()];
        let mut command = middle.command(scene.sibling("syn-flood"), &words);
        let (program, conversation) =
            Program::converse("syn-flood", &mut command, &scene.log("syn-flood"))?;
        let said = conversation.hear(LIMIT)?;
        ensure!(said == "ready", "the flood said `{said}`");
        middle.ip(&format!("link set {DEVICE} master br0"))?;
        // The way back: a gateway that is the attacker.
        network.server.ip(&format!("neigh replace {GATEWAY} lladdr {SENDER} dev eth0"))?;
        network.server.ip(&format!("route replace 198.18.0.0/15 via {GATEWAY} dev eth0"))?;
        Ok(Self { conversation, _program: program })
    }

    /// It begins.
    pub fn go(&mut self) -> Result<()> {
        let said = self.conversation.ask("go", LIMIT)?;
        ensure!(said == "going", "the flood said `{said}`");
        Ok(())
    }

    /// How many SYNs it has sent.
    pub fn count(&mut self) -> Result<u64> {
        let said = self.conversation.ask("count", LIMIT)?;
        let count = said.strip_prefix("sent ").and_then(|count| count.parse().ok());
        count.with_context(|| format!("the flood said `{said}`"))
    }
}

const DEVICE: &str = "flood0";
const GATEWAY: &str = "10.77.255.254";

/// The hardware address that `syn-flood` sends from.
const SENDER: &str = "02:f1:00:0d:00:01";

const LIMIT: Duration = Duration::from_mins(1);
