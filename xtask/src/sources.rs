//! What there is to check: the workspace's manifests and Rust files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One Rust file with its text.
#[derive(Debug)]
pub(crate) struct RustFile {
    /// From the workspace's root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl RustFile {
    /// True for `tests.rs`, and for what lies in a folder `tests` of a package.
    ///
    /// The `tests` folder at the root holds packages, which are code like any other.
    pub(crate) fn is_test(&self) -> bool {
        let parts: Vec<&str> = self.path.split('/').collect();
        parts.last() == Some(&"tests.rs") || parts[1..].contains(&"tests")
    }
}

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace").to_path_buf()
}

/// All Rust files of the product, its tests and its chores, in order of their paths.
pub(crate) fn rust_files(root: &Path) -> Result<Vec<RustFile>> {
    let mut files = Vec::new();
    for path in files_below(root, &|path| path.extension().is_some_and(|end| end == "rs"))? {
        let text = read(&path)?;
        files.push(RustFile { path: relative(root, &path), text });
    }
    Ok(files)
}

/// All `Cargo.toml` below the root, the root's own left out.
pub(crate) fn manifests(root: &Path) -> Result<Vec<(String, String)>> {
    let mut manifests = Vec::new();
    for path in files_below(root, &|path| path.ends_with("Cargo.toml"))? {
        manifests.push((relative(root, &path), read(&path)?));
    }
    Ok(manifests)
}

/// All packetdrill scripts: their paths and texts.
pub(crate) fn packetdrill_scripts(root: &Path) -> Result<Vec<(String, String)>> {
    let mut scripts = Vec::new();
    for path in files_below(root, &|path| path.extension().is_some_and(|end| end == "pkt"))? {
        scripts.push((relative(root, &path), read(&path)?));
    }
    Ok(scripts)
}

pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn files_below(root: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ROOMS.iter().map(|room| root.join(room)).collect();
    folders.retain(|folder| folder.is_dir());
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if !NOT_SOURCES.contains(&&*name) && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if wanted(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn relative(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).expect("found below the root");
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Where the project's own code lies.
const ROOMS: [&str; 7] = ["crates", "apps", "tests", "fuzz", "bench", "examples", "xtask"];

/// Folders in them that tools fill.
const NOT_SOURCES: [&str; 3] = ["target", "corpus", "artifacts"];
