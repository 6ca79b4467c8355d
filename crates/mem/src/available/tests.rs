//! What is left, on machines made of files.
#![cfg(not(miri))]

use super::*;
use crate::scratch::Scratch;

const MEMINFO: &str = "MemTotal: 8000 kB\nMemFree: 100 kB\nMemAvailable:    4000 kB\n";

fn machine(files: &[(&str, &str)]) -> (Scratch, Machine) {
    let scratch = Scratch::new();
    for (path, text) in files {
        scratch.write(path, text);
    }
    let machine = Machine { proc: scratch.path("proc"), groups: scratch.path("groups") };
    (scratch, machine)
}

#[test]
fn without_control_groups_the_machine_decides() {
    let (_scratch, machine) = machine(&[("proc/meminfo", MEMINFO)]);
    assert_eq!(machine.available_bytes(), 4000 * 1024);
}

#[test]
fn the_tightest_group_above_us_decides() {
    let (_scratch, machine) = machine(&[
        ("proc/meminfo", MEMINFO),
        ("proc/self/cgroup", "0::/outer/inner\n"),
        ("groups/outer/memory.max", "3000000\n"),
        ("groups/outer/memory.current", "2500000\n"),
        ("groups/outer/memory.stat", "anon 1\ninactive_file 300000\n"),
        ("groups/outer/inner/memory.max", "max\n"),
        ("groups/outer/inner/memory.current", "100\n"),
    ]);
    assert_eq!(machine.available_bytes(), 800_000, "file cache counts as free");
}

#[test]
fn groups_of_the_first_version_count_as_well() {
    let (_scratch, machine) = machine(&[
        ("proc/meminfo", MEMINFO),
        ("proc/self/cgroup", "5:cpu:/x\n4:hugetlb,memory:/x\n0::/\n"),
        ("groups/memory/x/memory.limit_in_bytes", "1000000\n"),
        ("groups/memory/x/memory.usage_in_bytes", "1200000\n"),
        ("groups/memory/x/memory.stat", "total_inactive_file 100000\n"),
    ]);
    assert_eq!(machine.available_bytes(), 0, "the limit was lowered below what is used");
}

#[test]
fn in_a_container_our_group_is_the_root_we_see() {
    let (_scratch, machine) = machine(&[
        ("proc/meminfo", MEMINFO),
        ("proc/self/cgroup", "0::/host/path/not/seen/here\n"),
        ("groups/memory.max", "2000\n"),
        ("groups/memory.current", "500\n"),
    ]);
    assert_eq!(machine.available_bytes(), 1500);
}

#[test]
fn this_machine_has_memory() {
    let bytes = available_bytes();
    assert!(bytes > 1 << 20 && bytes < usize::MAX, "{bytes}");
}
