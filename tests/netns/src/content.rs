//! A large file to serve, fetched with curl, and the sum that tells whether it arrived whole.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::namespace;
use crate::network::Network;
use crate::scene::Scene;

/// Writes a file of `len_bytes` that no compression and no repetition can hide a fault in.
pub fn write_file(path: &Path, len_bytes: u64) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut left = len_bytes;
    while left > 0 {
        // Xorshift (Marsaglia 2003): the same file each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bytes = state.to_le_bytes();
        let count = left.min(8) as usize;
        writer.write_all(&bytes[..count])?;
        left -= count as u64;
    }
    writer.flush()?;
    Ok(())
}

/// The client fetches this file from a server that has it in its root folder. It must come whole.
pub fn fetch(scene: &Scene, network: &Network, server: SocketAddr, file: &Path) -> Result<()> {
    let name = file.file_name().context("a file has a name")?.to_string_lossy();
    let (url, copy) = (format!("http://{server}/{name}"), scene.folder().join("copy.bin"));
    let to = copy.to_string_lossy();
    let words =
        ["--fail", "--silent", "--show-error", "--max-time", CURL_SECONDS, "--output", &to, &url];
    network.client.run("curl", &words)?;
    let lens = (fs::metadata(&copy)?.len(), fs::metadata(file)?.len());
    ensure!(lens.0 == lens.1, "{} of {} bytes came", lens.0, lens.1);
    ensure!(sha256(&copy)? == sha256(file)?, "another SHA-256");
    fs::remove_file(&copy)?;
    Ok(())
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    let line = namespace::output(Command::new("sha256sum").arg(path))?;
    let sum = line.split_whitespace().next().context("sha256sum said nothing")?;
    Ok(sum.to_owned())
}

/// A watchdog, for an emulated machine on a machine that does much else.
const CURL_SECONDS: &str = "600";
