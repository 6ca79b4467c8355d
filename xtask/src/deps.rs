//! Who may depend on whom.
//!
//! ```text
//!        wire      mem
//!         |  \   /  |
//!          stack     driver        these two never see each other
//!              \     /
//!               crore
//!       /     /      \     \
//!    sim   load     apps   ctl
//!       \     \      /     /
//!               cli
//! ```
//!
//! A dependency on another room, or on a crate from outside, is a decision: it is made here, in
//! one table, where a reviewer sees it. The table allows; it does not demand.

use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::sources;

/// What one package may depend on.
struct Room {
    package: &'static str,
    /// Rooms of this workspace, in the product and in tests.
    ours: &'static [&'static str],
    /// Crates from outside, in the product and in tests.
    outside: &'static [&'static str],
    /// Crates from outside, in tests only.
    tests: &'static [&'static str],
}

/// Every dependency that the picture does not allow, each as a sentence.
pub(crate) fn problems(root: &Path) -> Result<Vec<String>> {
    let workspace: Table = parse("Cargo.toml", &sources::read(&root.join("Cargo.toml"))?)?;
    let mut problems = Vec::new();
    for (path, text) in sources::manifests(root)? {
        let manifest = parse(&path, &text)?;
        problems.extend(manifest_problems(&path, &manifest, &workspace));
    }
    Ok(problems)
}

fn parse(path: &str, text: &str) -> Result<Table> {
    toml::from_str(text).with_context(|| format!("{path} is not TOML"))
}

fn manifest_problems(path: &str, manifest: &Table, workspace: &Table) -> Vec<String> {
    let Some(package) = text_at(manifest, &["package", "name"]) else {
        return vec![format!("{path}: no package.name")];
    };
    let Some(room) = ROOMS.iter().find(|room| room.package == package) else {
        return vec![format!("{path}: package {package} has no row in xtask/src/deps.rs")];
    };
    let mut problems = Vec::new();
    for dependency in dependencies(manifest, workspace) {
        if let Some(why) = room.objection(&dependency) {
            problems.push(format!(
                "{path}: {package} may not depend on {} ({}): {why}",
                dependency.package, dependency.section
            ));
        }
    }
    // A package outside the workspace (the fuzz targets) has lints of its own.
    if !manifest.contains_key("workspace") && !inherits_lints(manifest) {
        problems.push(format!("{path}: `[lints] workspace = true` is missing"));
    }
    problems
}

impl Room {
    fn objection(&self, dependency: &Dependency) -> Option<&'static str> {
        let name = dependency.package.as_str();
        if dependency.section == "build-dependencies" {
            return Some("the build runs no code of its own");
        }
        if ROOMS.iter().any(|room| room.package == name) {
            return (!self.ours.contains(&name)).then_some("dependencies go down only");
        }
        if self.outside.contains(&name) {
            return None;
        }
        if dependency.section == "dev-dependencies" && self.tests.contains(&name) {
            return None;
        }
        Some("not in its row in xtask/src/deps.rs")
    }
}

/// One line of a dependency table.
struct Dependency {
    section: &'static str,
    package: String,
}

/// All dependencies of a manifest, those of its `[target.*]` tables included.
fn dependencies(manifest: &Table, workspace: &Table) -> Vec<Dependency> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(|all| all.values()).filter_map(Value::as_table);
    let mut found = Vec::new();
    for table in std::iter::once(manifest).chain(targets) {
        for section in SECTIONS {
            let lines = table.get(section).and_then(Value::as_table);
            for (key, line) in lines.into_iter().flatten() {
                found.push(Dependency { section, package: package_of(key, line, workspace) });
            }
        }
    }
    found
}

/// The package behind a key: `key = { package = "..." }` here or in the workspace's table.
fn package_of(key: &str, line: &Value, workspace: &Table) -> String {
    let renamed = |value: &Value| value.get("package")?.as_str().map(str::to_owned);
    let inherited = || {
        let shared = workspace.get("workspace")?.get("dependencies")?.get(key)?;
        line.get("workspace")?.as_bool()?.then(|| renamed(shared))?
    };
    renamed(line).or_else(inherited).unwrap_or_else(|| key.to_owned())
}

fn inherits_lints(manifest: &Table) -> bool {
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    lints.and_then(Value::as_bool) == Some(true)
}

fn text_at<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a str> {
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))?.as_str()
}

const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

const ROOMS: &[Room] = &[
    Room { package: "crore-wire", ours: &[], outside: &[], tests: &["proptest"] },
    Room {
        package: "crore-mem",
        ours: &[],
        outside: &["libc", "loom", "zerocopy"],
        tests: &["proptest"],
    },
    Room {
        package: "crore-stack",
        ours: &["crore-wire", "crore-mem"],
        outside: &["siphasher", "zerocopy"],
        tests: &["proptest"],
    },
    Room {
        package: "crore-driver",
        ours: &["crore-wire", "crore-mem"],
        outside: &["libc", "thiserror"],
        tests: &["proptest"],
    },
    Room {
        package: "crore",
        // Its tests draw with `plot`.
        ours: &["crore-wire", "crore-mem", "crore-stack", "crore-driver", "crore-plot"],
        outside: &["getrandom", "libc", "thiserror", "zerocopy"],
        tests: &["proptest"],
    },
    Room {
        package: "crore-sim",
        ours: &["crore-wire", "crore-mem", "crore-stack", "crore"],
        outside: &["anyhow", "clap", "rand_chacha", "rand_core", "serde", "serde_json"],
        tests: &["proptest"],
    },
    Room {
        package: "crore-load",
        ours: &["crore-wire", "crore"],
        outside: &["hdrhistogram", "httparse", "zerocopy"],
        tests: &["proptest"],
    },
    Room {
        package: "crore-ctl",
        ours: &["crore-wire", "crore"],
        outside: &[
            "libc",
            "netlink-packet-core",
            "netlink-packet-route",
            "netlink-sys",
            "thiserror",
        ],
        tests: &[],
    },
    Room { package: "crore-plot", ours: &[], outside: &["serde"], tests: &[] },
    Room {
        package: "crore-limit",
        ours: &["crore-mem", "crore"],
        outside: &["zerocopy"],
        tests: &[],
    },
    Room {
        package: "crore-kernel",
        ours: &["crore"],
        outside: &["io-uring", "libc", "rustix", "socket2", "thiserror"],
        tests: &[],
    },
    Room {
        package: "crore-turn",
        ours: &["crore-wire", "crore-mem", "crore"],
        outside: &[],
        tests: &[],
    },
    Room { package: "crore-echo", ours: &["crore"], outside: &[], tests: &[] },
    Room {
        package: "crore-http",
        ours: &["crore"],
        outside: &[
            "httparse",
            "httpdate",
            "mime_guess",
            "percent-encoding",
            "rustix",
            "sha2",
            "thiserror",
            "zerocopy",
        ],
        tests: &["proptest"],
    },
    Room {
        package: "crore-cli",
        ours: &[
            "crore-wire",
            "crore-mem",
            "crore-stack",
            "crore-driver",
            "crore",
            "crore-load",
            "crore-plot",
            "crore-limit",
            "crore-ctl",
            "crore-echo",
            "crore-http",
            "crore-kernel",
        ],
        outside: &[
            "anyhow",
            "clap",
            "crossterm",
            "ctrlc",
            "hdrhistogram",
            "libc",
            "perf-event2",
            "ratatui",
            "serde",
            "serde_json",
            "time",
        ],
        tests: &[],
    },
    // Outside the product: they see what they test, or nothing of ours.
    Room {
        package: "crore-packetdrill",
        ours: &["crore-wire", "crore-mem", "crore-stack"],
        outside: &["libc"],
        tests: &[],
    },
    Room {
        package: "crore-fuzz",
        ours: &["crore-wire", "crore-mem", "crore-stack", "crore", "crore-sim", "crore-http"],
        // libc: the sockets of a peer that may say anything.
        outside: &["libc", "libfuzzer-sys", "zerocopy"],
        tests: &[],
    },
    Room {
        package: "crore-netns-tests",
        ours: &["crore-wire", "crore-mem", "crore-driver"],
        outside: &["anyhow", "rustix", "serde", "serde_json", "sha2", "socket2"],
        tests: &[],
    },
    Room {
        package: "crore-dpdk-tests",
        ours: &["crore-wire", "crore", "crore-netns-tests"],
        outside: &["anyhow", "serde", "serde_json"],
        tests: &[],
    },
    Room {
        package: "xtask",
        ours: &[],
        outside: &["anyhow", "proc-macro2", "serde_json", "syn", "toml"],
        tests: &[],
    },
];

#[cfg(test)]
mod tests;
