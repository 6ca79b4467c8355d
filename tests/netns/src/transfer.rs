//! Transfers between the kernel's client and a server, `crore` or the kernel's own.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::network::Network;
use crate::peer::Peer;
use crate::scene::Scene;

/// Which way the content goes, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The server sends.
    Down,
    /// The client sends.
    Up,
}

/// A transfer that is done.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Octets of content.
    pub bytes: u64,
    /// From the request's first byte to the reply's last.
    pub us: u64,
    /// The SHA-256 of what the receiver got.
    pub sum: String,
}

/// A file, under the name by which both servers know it.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// Where it is.
    pub file: &'a Path,
    /// Its path on the server.
    pub path: &'a str,
    /// Its SHA-256.
    pub sum: &'a str,
}

impl Transfer {
    /// Moves the content and insists that it arrives whole. The sender, when it is the client, uses
    /// this congestion control.
    pub fn run(
        scene: &Scene,
        network: &Network,
        server: SocketAddr,
        direction: Direction,
        content: Content<'_>,
        congestion: &str,
    ) -> Result<Self> {
        let (server, file) = (server.to_string(), content.file.to_string_lossy());
        let words = match direction {
            Direction::Down => vec!["fetch", &server, content.path],
            Direction::Up => vec!["push", &server, &file, congestion],
        };
        let said = network.client.run(scene.kernel_peer(), &words)?;
        let transfer = Self::read(&said).with_context(|| format!("the client said `{said}`"))?;
        ensure!(transfer.sum == content.sum, "{direction}: another SHA-256, {transfer:?}");
        Ok(transfer)
    }

    /// Megabits of content in a second.
    pub fn mbit_per_second(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.us.max(1) as f64
    }

    fn read(said: &str) -> Option<Self> {
        let word = |name: &str| said.split_whitespace().skip_while(|word| *word != name).nth(1);
        Some(Self {
            bytes: word("bytes")?.parse().ok()?,
            us: word("us")?.parse().ok()?,
            sum: word("sum")?.to_owned(),
        })
    }
}

/// The kernel's server beside `crore`: same host, same interface, another port.
pub fn kernel_server(
    scene: &Scene,
    network: &Network,
    content: Content<'_>,
    congestion: &str,
) -> Result<(Peer, SocketAddr)> {
    let address = SocketAddr::new(network.server_v4(), KERNEL_PORT);
    let (listen, file) = (address.to_string(), content.file.to_string_lossy());
    let words = ["serve", &listen, &file, congestion];
    Ok((Peer::start(scene, &network.server, &words, "listening")?, address))
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Down => "down",
            Self::Up => "up",
        })
    }
}

const KERNEL_PORT: u16 = 8080;
