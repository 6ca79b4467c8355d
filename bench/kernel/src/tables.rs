//! Tables of open files. A process may have so many files open as its limit says, and the limit can
//! only be raised by who may. But a thread can have a table of its own, and the limit counts each:
//! so where one thread may not hold all connections, several do, on the same processor.

use crate::{KernelError, tried};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How connections are spread over threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tables {
    /// Threads, each with a table of its own.
    pub(crate) threads: u32,
    /// Connections that one table has room for.
    pub(crate) each: u32,
}

impl Tables {
    /// For so many connections, with the limit raised as far as it can be.
    pub(crate) fn for_connections(connections: u32) -> Self {
        Self::with_limit(connections, raise_limit(u64::from(connections) + u64::from(OTHERS)))
    }

    fn with_limit(connections: u32, files_max: u64) -> Self {
        let each = files_max.saturating_sub(u64::from(OTHERS)).clamp(1, u64::from(u32::MAX)) as u32;
        if connections <= each {
            return Self { threads: 1, each };
        }
        // The kernel spreads connections over listeners by a hash, not evenly: some have more.
        let share = (each - each / SLACK_PART).max(1);
        Self { threads: connections.div_ceil(share).min(THREADS_MAX), each }
    }

    /// Connections that all of them hold.
    pub(crate) fn capacity(self) -> u32 {
        let share = if self.threads > 1 { self.each - self.each / SLACK_PART } else { self.each };
        self.threads.saturating_mul(share)
    }
}

/// Raises the limit of open files to `wanted`, or as far as it goes; what it is then.
fn raise_limit(wanted: u64) -> u64 {
    let before = getrlimit(Resource::Nofile);
    let soft = before.current.unwrap_or(u64::MAX);
    if soft >= wanted {
        return soft;
    }
    let hard = before.maximum.unwrap_or(u64::MAX);
    for limit in [wanted.max(hard), hard] {
        let raised = Rlimit { current: Some(limit), maximum: Some(limit) };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            return limit;
        }
    }
    soft
}

/// Gives the calling thread a table of open files of its own.
pub(crate) fn own_table() -> Result<(), KernelError> {
    // SAFETY: only the table changes: a copy takes its place, so that every descriptor of this
    // thread is what it was. Descriptors that are made from here on are used by this thread alone.
    let result = unsafe { libc::unshare(libc::CLONE_FILES) };
    let result = if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
    tried("a table of open files for a thread", result)
}

/// Files that are no connections: what the process has open, listeners, epoll and the like.
const OTHERS: u32 = 200;

/// A table is filled to all but this part of it.
const SLACK_PART: u32 = 20;

const THREADS_MAX: u32 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_holds_what_the_limit_allows() {
        let tables = Tables::with_limit(10_000, 20_000);
        assert_eq!((tables.threads, tables.capacity()), (1, 19_800));
    }

    #[test]
    fn more_threads_hold_more_with_room_for_an_uneven_spread() {
        let tables = Tables::with_limit(1_000_000, 20_000);
        assert_eq!((tables.threads, tables.each), (54, 19_800));
        assert!(tables.capacity() >= 1_000_000 && 1_000_000 / 54 < 19_000);
        assert_eq!(Tables::with_limit(10_000_000, 20_000).threads, THREADS_MAX);
    }
}
