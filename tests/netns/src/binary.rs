//! The `crore` binary under test: `CRORE_BIN`, or a release build made now.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

/// Where the binary is. Built at most once in a run.
pub fn crore() -> Result<&'static Path> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow!("no binary to test: {error}"))
}

fn find() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CRORE_BIN").map(PathBuf::from) {
        ensure!(path.is_file(), "CRORE_BIN: no such file: {}", path.display());
        return Ok(path.canonicalize()?);
    }
    build()
}

fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", "crore-cli", "--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo build: {}", output.status);
    let messages = String::from_utf8_lossy(&output.stdout);
    // Cargo says where it put the binary, whatever target folder is configured.
    let mut artifacts = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    let binary = artifacts.find(|path| path.file_stem().is_some_and(|name| name == "crore"));
    binary.context("cargo built no executable `crore`")
}
