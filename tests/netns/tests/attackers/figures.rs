//! What the server counted, from the file that it writes at its end.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use crore_netns_tests::network::Network;
use crore_netns_tests::scene::Scene;
use crore_netns_tests::server::Server;
use serde_json::Value;

/// A server under attack.
pub(crate) struct Target {
    pub(crate) server: Server,
    file: PathBuf,
    resident_kb: u64,
}

/// Its figures.
pub(crate) struct Figures(Value);

impl Target {
    /// `crore serve WORDS`; its memory is looked at when it has begun.
    pub(crate) fn start(
        scene: &Scene,
        network: &Network,
        words: &[&str],
        port: u16,
    ) -> Result<Self> {
        let file = scene.folder().join("figures.json");
        let path = path_text(&file);
        let mut all = words.to_vec();
        all.extend(["--connections", CONNECTIONS, "--json", &path]);
        let server = Server::start(scene, network, &all, (network.server_v4(), port))?;
        let resident_kb = server.resident_kb()?;
        Ok(Self { server, file, resident_kb })
    }

    /// Ends it as Ctrl-C does. It must have lived, leaked nothing, and answers sanely to the last.
    pub(crate) fn stop(self, network: &Network) -> Result<Figures> {
        let grown_kb = self.server.resident_kb()?.saturating_sub(self.resident_kb);
        ensure!(grown_kb < GROWTH_MAX_KB, "the server's memory grew by {grown_kb} KB");
        self.server.stop(network)?;
        let text = std::fs::read_to_string(&self.file).context("the server's figures")?;
        Ok(Figures(serde_json::from_str(&text)?))
    }
}

impl Figures {
    /// A figure by its name.
    pub(crate) fn of(&self, name: &str) -> Result<u64> {
        self.0[name].as_u64().with_context(|| format!("no {name} in {}", self.0))
    }

    /// How many were dropped for a reason.
    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.0["dropped"][reason].as_u64().unwrap_or(0)
    }
}

pub(crate) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Room for all that an attack opens, touched only as far as it is used.
const CONNECTIONS: &str = "20000";

/// The regions' pages are touched as connections use them: a few megabytes, not more.
const GROWTH_MAX_KB: u64 = 64 << 10;
