//! What this process has of the machine's memory, as the kernel counts it.

use std::fs;

/// Memory of this process that is present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resident {
    /// Pages of any kind, reserved huge ones included.
    pub(crate) pages_bytes: usize,
    /// The tables by which the processor finds them.
    pub(crate) tables_bytes: usize,
}

impl Resident {
    /// As it is now; zeros when the kernel does not say.
    pub(crate) fn now() -> Self {
        Self::of(&fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    fn of(status: &str) -> Self {
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kibibytes = line.and_then(|rest| rest.trim().strip_suffix("kB"));
            kibibytes.and_then(|number| number.trim().parse::<usize>().ok()).unwrap_or(0) << 10
        };
        // Reserved pages are no part of the resident set.
        let pages_bytes = bytes("VmRSS:") + bytes("HugetlbPages:");
        Self { pages_bytes, tables_bytes: bytes("VmPTE:") }
    }

    /// All of it that is not in regions of so many bytes: the program, its stacks and its heap, and
    /// the page tables.
    pub(crate) fn outside(&self, regions_bytes: usize) -> usize {
        self.pages_bytes.saturating_sub(regions_bytes) + self.tables_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_pages_and_page_tables_count() {
        let status = "Name:\tcrore\nVmPeak:\t   9 kB\nVmRSS:\t  2048 kB\nVmPTE:\t   12 kB\n\
                      HugetlbPages:\t 4096 kB\nThreads:\t1\n";
        let resident = Resident::of(status);
        let expected = Resident { pages_bytes: 6 << 20, tables_bytes: 12 << 10 };
        assert_eq!(resident, expected);
        assert_eq!(resident.outside(5 << 20), (1 << 20) + (12 << 10));
        assert_eq!(Resident::of(""), Resident::default());
    }

    #[test]
    fn a_process_is_resident() {
        let resident = Resident::now();
        assert!(resident.pages_bytes > 1 << 20 && resident.tables_bytes > 0, "{resident:?}");
    }
}
