//! `cargo xtask vm`: the scenarios of `real_nics` in guests whose kernels have real NIC drivers.
//!
//! ```text
//!   fetch.sh    QEMU, busybox and kernels, as Debian packages, into a folder of the user's cache
//!   run.sh      boots a guest with two emulated NICs back to back, and plays what it is told to
//! ```
//!
//! A guest sees this machine's files, read-only, so the binaries that Cargo built here and the
//! machine's own `ip`, `ping` and `curl` run in it as they are. Needs no root and no KVM; each
//! guest ends by itself. Where QEMU and kernels cannot be had it says SKIPPED.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// What to play, and where.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    kernels: Vec<String>,
    nics: Vec<Nic>,
    /// 100 MB and 10,000 connections.
    full: bool,
    /// Only scenarios with this in their names.
    only: Option<String>,
}

/// An emulated NIC and what its driver grants from which kernel on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Nic {
    name: &'static str,
    /// Major and minor number of the first kernel known to grant zero-copy; `None` for never.
    zero_copy_from: Option<(u32, u32)>,
    /// Without copies it receives into whole KiB of what a frame's memory has left.
    cuts: bool,
    /// It sends and receives by interrupts of their own, so that busy polling without copies does
    /// not send.
    apart: bool,
}

const NICS: [Nic; 3] = [
    Nic { name: "virtio", zero_copy_from: Some((6, 16)), cuts: false, apart: false },
    Nic { name: "igb", zero_copy_from: Some((6, 16)), cuts: true, apart: true },
    // Without VIRTIO_F_ACCESS_PLATFORM: the driver refuses in other words, EINVAL.
    Nic { name: "virtio-plain", zero_copy_from: None, cuts: false, apart: false },
];

/// Plays the suite; fails when a scenario fails, and says SKIPPED when there is nothing to play in.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let plan = Plan::parse(words)?;
    let scripts = root.join("tests/vm");
    for kernel in &plan.kernels {
        let status = Command::new(scripts.join("fetch.sh")).arg(kernel).status();
        if !status.is_ok_and(|status| status.success()) {
            println!("vm: SKIPPED, QEMU or kernel {kernel} cannot be fetched here");
            return Ok(());
        }
    }
    let binaries = Binaries::build(root)?;
    let mut failed = Vec::new();
    for kernel in &plan.kernels {
        for nic in &plan.nics {
            let (name, started) = (format!("{kernel} {}", nic.name), Instant::now());
            let passed = play(&scripts, &binaries, &plan, kernel, *nic)?;
            let said = if passed { "passed" } else { "FAILED" };
            println!("vm: {name}: {said} in {} s", started.elapsed().as_secs());
            if !passed {
                failed.push(name);
            }
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

impl Plan {
    fn parse(words: &[&str]) -> Result<Self> {
        let (mut kernels, mut nics) = (Vec::new(), Vec::new());
        let (mut full, mut only) = (false, None);
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} what?"));
            match word {
                "--kernel" => kernels.push((*value()?).to_owned()),
                "--nic" => nics.push(Nic::named(value()?)?),
                "--only" => only = Some((*value()?).to_owned()),
                "--full" => full = true,
                _ => bail!("no such option: {word}"),
            }
        }
        if kernels.is_empty() {
            kernels = vec!["6.18".to_owned(), "6.1".to_owned()];
        }
        if nics.is_empty() {
            nics = NICS.to_vec();
        }
        for kernel in &kernels {
            series(kernel)?;
        }
        Ok(Self { kernels, nics, full, only })
    }
}

impl Nic {
    fn named(name: &str) -> Result<Self> {
        let nic = NICS.iter().find(|nic| nic.name == name).copied();
        nic.with_context(|| format!("no NIC is called {name}: virtio, igb or virtio-plain"))
    }

    /// What the driver grants on this kernel.
    fn grants(self, kernel: &str) -> Result<&'static str> {
        let first = self.zero_copy_from;
        let series = series(kernel)?;
        Ok(if first.is_some_and(|first| series >= first) { "zero-copy" } else { "copy" })
    }
}

/// Major and minor number.
fn series(kernel: &str) -> Result<(u32, u32)> {
    let parts = kernel.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parts.with_context(|| format!("{kernel} is not a kernel's series, like 6.18"))
}

/// One guest, from its boot to its end.
fn play(scripts: &Path, binaries: &Binaries, plan: &Plan, kernel: &str, nic: Nic) -> Result<bool> {
    let grants = nic.grants(kernel)?;
    let of_zero_copy = |fault: bool| u8::from(fault && grants == "zero-copy");
    let (cuts, apart) = (of_zero_copy(nic.cuts), of_zero_copy(nic.apart));
    let (full, only) = (u8::from(plan.full), plan.only.as_deref().unwrap_or_default());
    let script = format!(
        "ulimit -Hn 65536 && export CRORE_BIN='{crore}' CRORE_NICS=n0,n1 CRORE_GRANTS={grants} \
         CRORE_CUTS={cuts} CRORE_APART={apart} CRORE_FULL={full} \
         CRORE_NETNS=required TMPDIR=/tmp && \
         exec '{suite}' --ignored --test-threads 1 --nocapture '{only}'",
        crore = binaries.crore.display(),
        suite = binaries.suite.display(),
    );
    let seconds = if plan.full { FULL_SECONDS } else { SECONDS };
    println!("vm: {kernel} {}: the driver is to grant {grants}", nic.name);
    let status = Command::new(scripts.join("run.sh"))
        .args(["-r", "-k", kernel, "-n", nic.name, "-m", MEMORY_MIB, "-t", seconds, &script])
        .status()
        .context("cannot run tests/vm/run.sh")?;
    Ok(status.success())
}

/// What runs in the guest.
struct Binaries {
    crore: PathBuf,
    suite: PathBuf,
}

impl Binaries {
    fn build(root: &Path) -> Result<Self> {
        let crore = ["build", "--release", "--package", "crore-cli"];
        let suite = ["test", "--no-run", "--package", "crore-netns-tests", "--test", "real_nics"];
        Ok(Self { crore: built(root, &crore, "crore")?, suite: built(root, &suite, "real_nics")? })
    }
}

/// The executable with this name that Cargo makes, or has made.
fn built(root: &Path, words: &[&str], name: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(words)
        .args(["--message-format", "json"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo {}: {}", words.join(" "), output.status);
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut artifacts = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let wanted = message["target"]["name"] == name;
        wanted.then(|| Some(PathBuf::from(message["executable"].as_str()?)))?
    });
    artifacts.next().with_context(|| format!("cargo built no executable {name}"))
}

/// A watchdog for one guest: everything is emulated, on a machine that may do much else.
const SECONDS: &str = "1200";
const FULL_SECONDS: &str = "3000";

/// Half of it is for files.
const MEMORY_MIB: &str = "1536";

#[cfg(test)]
mod tests;
