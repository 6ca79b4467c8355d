//! What the kernel took for connections, by its own account.

use std::fs;

/// Bytes, at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KernelMemory {
    /// Pages of all slabs: sockets, inodes, epoll items.
    pub(crate) slabs: u64,
    /// Pages of sockets' buffers.
    pub(crate) buffers: u64,
    /// What is free, file pages included.
    pub(crate) free: u64,
}

impl KernelMemory {
    pub(crate) fn now() -> Self {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let sockstat = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
        Self::parse(&meminfo, &sockstat)
    }

    fn parse(meminfo: &str, sockstat: &str) -> Self {
        let kib = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0u64)
        };
        let tcp = sockstat.lines().find_map(|line| line.strip_prefix("TCP:")).unwrap_or("");
        let mut words = tcp.split_whitespace().skip_while(|&word| word != "mem").skip(1);
        let pages: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        Self {
            slabs: kib("Slab") << 10,
            buffers: pages * PAGE_BYTES,
            // Not MemAvailable: it counts the inodes of open sockets as if they could be had back.
            free: (kib("MemFree") + kib("Active(file)") + kib("Inactive(file)")) << 10,
        }
    }

    /// What was taken since `before`.
    pub(crate) fn since(self, before: Self) -> u64 {
        (self.slabs + self.buffers).saturating_sub(before.slabs + before.buffers)
    }
}

const PAGE_BYTES: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_accounts_are_read() {
        let meminfo =
            "MemFree:  1000 kB\nActive(file): 20 kB\nInactive(file): 3 kB\nSlab: 400 kB\n";
        let sockstat = "sockets: used 9\nTCP: inuse 5 orphan 0 tw 0 alloc 6 mem 7\nUDP: mem 1\n";
        let memory = KernelMemory::parse(meminfo, sockstat);
        assert_eq!(memory.slabs, 400 << 10);
        assert_eq!((memory.buffers, memory.free), (7 * 4096, 1023 << 10));
        assert_eq!(KernelMemory::parse("", ""), KernelMemory::default());
    }

    #[test]
    fn the_accounts_of_this_machine_are_there() {
        assert!(KernelMemory::now().slabs > 0);
    }
}
