//! One scenario's turn on the machine.
//!
//! Scenarios run one after the other, whatever `--test-threads` says: each of them wants the whole
//! machine. What they need is looked for first; a scenario that cannot run says why.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};

use crate::namespace;

/// The files of one scenario. Its logs are shown when it fails.
#[derive(Debug)]
pub struct Scene {
    folder: PathBuf,
    kernel_peer: PathBuf,
    logs: AtomicU32,
    _turn: MutexGuard<'static, ()>,
}

/// Plays a scenario, or says why it cannot be played here.
///
/// `tools` are the programs it needs besides `ip`; `act` is the scenario. Only a test binary knows
/// where Cargo put `kernel_peer`.
pub fn play(name: &str, tools: &[&str], kernel_peer: &str, act: impl FnOnce(&Scene) -> Result<()>) {
    if let Some(reason) = obstacle(tools) {
        // Straight to the descriptor: the test runner keeps what `eprintln!` writes to itself.
        let _ = writeln!(io::stderr(), "{name}: SKIPPED, {reason}");
        assert!(!is_required(), "{name} is required and cannot run: {reason}");
        return;
    }
    let scene = Scene::new(name, kernel_peer.into()).expect("a folder for the scenario");
    if let Err(error) = act(&scene) {
        panic!("{name}: {error:#}");
    }
}

impl Scene {
    fn new(name: &str, kernel_peer: PathBuf) -> Result<Self> {
        // A scenario that failed has cleaned up all the same.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        namespace::remove_leftovers()?;
        let place = std::env::temp_dir();
        let folder = place.join(format!("crore-netns-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder, kernel_peer, logs: AtomicU32::new(0), _turn: turn })
    }

    /// Where the scenario may put files. The folder goes away with the scenario.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program that plays the kernel's side.
    pub fn kernel_peer(&self) -> &Path {
        &self.kernel_peer
    }

    /// Another program of this package, which Cargo put beside it.
    pub fn sibling(&self, name: &str) -> PathBuf {
        self.kernel_peer.with_file_name(name)
    }

    /// A file for what a program says; another one for each call.
    pub fn log(&self, name: &str) -> PathBuf {
        let number = self.logs.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{number:02}-{name}.log"))
    }

    fn show_logs(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        logs.retain(|path| path.extension().is_some_and(|end| end == "log"));
        logs.sort();
        for log in logs {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let skipped = text.lines().count().saturating_sub(LOG_LINES_SHOWN);
            let tail: Vec<&str> = text.lines().skip(skipped).collect();
            eprintln!("--- {}\n{}", log.display(), tail.join("\n"));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if thread::panicking() {
            self.show_logs();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Why no scenario with these needs can run here.
fn obstacle(tools: &[&str]) -> Option<String> {
    if !is_root() {
        return Some("it needs root: network namespaces, AF_XDP".to_owned());
    }
    if let Some(missing) = ["ip"].iter().chain(tools).find(|tool| !is_installed(tool)) {
        return Some(format!("the program `{missing}` is not installed"));
    }
    namespace::trial().err().map(|error| format!("namespaces cannot be made here: {error:#}"))
}

fn is_required() -> bool {
    std::env::var_os("CRORE_NETNS").is_some_and(|value| value == "required")
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // "Uid:" real, effective, saved, file system.
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

fn is_installed(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", tool]).output();
    found.is_ok_and(|output| output.status.success())
}

static TURN: Mutex<()> = Mutex::new(());

const LOG_LINES_SHOWN: usize = 40;
