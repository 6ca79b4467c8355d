//! How much memory the machine, and the control group of this process, can still spare.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Bytes that can be taken now without swapping or being killed: the smaller of what the machine
/// has available (`MemAvailable`) and what is left under the limit of each control group above us.
///
/// `usize::MAX` when neither can be read. Free reserved huge pages are not counted.
pub fn available_bytes() -> usize {
    Machine { proc: "/proc".into(), groups: "/sys/fs/cgroup".into() }.available_bytes()
}

/// Where the kernel's files are.
struct Machine {
    proc: PathBuf,
    groups: PathBuf,
}

impl Machine {
    fn available_bytes(&self) -> usize {
        let text = fs::read_to_string(self.proc.join("meminfo")).unwrap_or_default();
        let machine = mem_available(&text).unwrap_or(usize::MAX);
        let text = fs::read_to_string(self.proc.join("self/cgroup")).unwrap_or_default();
        let lefts = text.lines().filter_map(|line| self.left_in_group(line));
        lefts.fold(machine, usize::min)
    }

    /// What is left for a group, given by a line of `/proc/self/cgroup`: `number:kinds:path`.
    fn left_in_group(&self, line: &str) -> Option<usize> {
        let mut fields = line.splitn(3, ':');
        let (_, kinds, path) = (fields.next()?, fields.next()?, fields.next()?);
        let (root, files) = if kinds.is_empty() {
            (self.groups.clone(), &VERSION_2)
        } else if kinds.split(',').any(|kind| kind == "memory") {
            (self.groups.join("memory"), &VERSION_1)
        } else {
            return None;
        };
        // Within a container the path may be the host's, and our group the root that we see.
        let group = root.join(path.trim_start_matches('/'));
        let group = if group.is_dir() { group } else { root.clone() };
        let above = group.ancestors().take_while(|path| path.starts_with(&root));
        above.filter_map(|path| files.left_bytes(path)).min()
    }
}

/// The files of a memory control group.
struct GroupFiles {
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: the part of `used` that is file cache, and given up when needed.
    cache: &'static str,
}

const VERSION_2: GroupFiles =
    GroupFiles { limit: "memory.max", used: "memory.current", cache: "inactive_file" };

const VERSION_1: GroupFiles = GroupFiles {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cache: "total_inactive_file",
};

impl GroupFiles {
    /// `None` for a group without a limit (`max`), or without these files.
    fn left_bytes(&self, group: &Path) -> Option<usize> {
        let number = |file| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok();
        let (limit, used): (usize, usize) = (number(self.limit)?, number(self.used)?);
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let cache = stat.lines().find_map(|line| {
            let (key, value) = line.split_once(' ')?;
            (key == self.cache).then(|| value.trim().parse::<usize>().ok())?
        });
        Some(limit.saturating_sub(used.saturating_sub(cache.unwrap_or(0))))
    }
}

fn mem_available(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(all(test, not(loom)))]
mod tests;
