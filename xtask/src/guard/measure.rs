//! Runs `crore-turn`, and takes from it and from callgrind what is recorded.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::Figures;

/// Everything that is recorded.
pub(super) fn all(root: &Path) -> Result<Figures> {
    let program = build(root)?;
    let mut figures = Figures::new();
    let sizes = output(Command::new(&program).arg("sizes"))?;
    for (name, bytes) in words(&sizes).filter_map(|word| word.split_once('=')) {
        figures.entry("bytes".to_owned()).or_default().insert(name.to_owned(), bytes.parse()?);
    }
    let instructions = figures.entry("instructions".to_owned()).or_default();
    for (work, conns, rounds) in WORKS {
        let (unit, count) = instructions_each(&program, work, conns, rounds)?;
        instructions.insert(format!("{work}_per_{unit}"), count);
    }
    Ok(figures)
}

/// The program as users would build it, whatever this shell has set for quick builds.
fn build(root: &Path) -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--release", "-p", "crore-turn"]).current_dir(root);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PROFILE_") || BUILD_VARIABLES.contains(&&*text) {
            cargo.env_remove(&name);
        }
    }
    output(&mut cargo)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    Ok(root.join(target).join("release/crore-turn"))
}

/// A work's instructions, by what it counts.
fn instructions_each(program: &Path, work: &str, conns: u32, rounds: u32) -> Result<(String, f64)> {
    let counts = program.with_file_name(format!("guard-{work}.callgrind"));
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--quiet", "--tool=callgrind", "--collect-atstart=no"])
        .arg("--toggle-collect=*counted_turn*")
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(program)
        .args([work, &conns.to_string(), &rounds.to_string()]);
    let said = output(&mut valgrind)
        .with_context(|| format!("{work} under callgrind (Debian's package is valgrind)"))?;
    let (unit, units) = units(&said).with_context(|| format!("{work} said: {said}"))?;
    let total = total(&crate::sources::read(&counts)?)?;
    ensure!(total > 0.0, "{work}: callgrind saw no call of counted_turn");
    Ok((unit, (total / units * 10.0).round() / 10.0))
}

/// What was counted, and how many: the first word that ends in `s=N` and is no setting.
pub(super) fn units(said: &str) -> Option<(String, f64)> {
    let mut pairs = words(said).filter_map(|word| word.split_once('='));
    let (name, count) = pairs.find(|(name, _)| ["packets", "turns", "timers"].contains(name))?;
    Some((name.strip_suffix('s')?.to_owned(), count.parse().ok()?))
}

/// All that callgrind collected.
pub(super) fn total(counts: &str) -> Result<f64> {
    let line = counts.lines().find_map(|line| line.strip_prefix("totals:"));
    line.context("no totals in callgrind's file")?.trim().parse().context("totals")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{name} cannot be run"))?;
    if !output.status.success() {
        bail!("{name}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Work, connections and rounds. Few are enough: a count is the same whatever is in the caches.
const WORKS: [(&str, u32, u32); 6] = [
    ("echo", 4096, 20_000),
    ("churn", 4096, 10_000),
    ("receive", 8, 20_000),
    ("send", 8, 20_000),
    ("idle", 4096, 10_000),
    ("timers", 4096, 20_000),
];

/// They change the code that is built.
const BUILD_VARIABLES: [&str; 4] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_INCREMENTAL", "CARGO_BUILD_RUSTFLAGS"];
