//! The kinds of pages: what may be asked for, and what was got.

use core::fmt;

/// Which pages a [`Memory`](crate::Memory) tries for its big regions, best first.
///
/// | wish          | tried, in this order                | another process can adopt it         |
/// |---------------|-------------------------------------|--------------------------------------|
/// | `Reserve`     | memfd on reserved 2 MiB pages       | yes, by its file descriptor          |
/// | `Transparent` | memfd with transparent 2 MiB pages  | yes; needs `shmem_enabled` to allow it |
/// |               | private transparent 2 MiB pages     | no: it has no file                   |
/// | `None`        | memfd on 4 KiB pages                | yes                                  |
///
/// Each wish falls back to the lines below it. Regions under 2 MiB are always on 4 KiB pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePages {
    /// 2 MiB pages that the system administrator, or a
    /// [`HugePageReservation`](crate::HugePageReservation), set aside.
    Reserve,
    /// 2 MiB pages that the kernel puts together when it can.
    Transparent,
    /// 4 KiB pages.
    None,
}

/// The pages a region got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Reserved 2 MiB pages.
    Reserved,
    /// Transparent 2 MiB pages, for at least half of the region.
    Transparent,
    /// 4 KiB pages.
    Small,
    /// The heap of the process: tests, the simulator.
    Heap,
}

impl Pages {
    /// One sentence for the operator: how to do better, or that there is nothing better.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Reserved => "Reserved 2 MiB pages: nothing better to be had.",
            Self::Transparent => {
                "Transparent 2 MiB pages: the kernel may split them, and without a file no other \
                 process can adopt them; as root, `--huge-pages reserve` or \
                 `sysctl vm.nr_hugepages=N` does better."
            }
            Self::Small => {
                "4 KiB pages: nearly every packet costs an extra walk of the page table; as root, \
                 `--huge-pages reserve` or `sysctl vm.nr_hugepages=N` does better, and without \
                 root `--huge-pages transparent`."
            }
            Self::Heap => "Heap memory: meant for tests and the simulator, not for measurements.",
        }
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reserved => "reserved 2 MiB pages",
            Self::Transparent => "transparent 2 MiB pages",
            Self::Small => "4 KiB pages",
            Self::Heap => "heap",
        })
    }
}

/// Bytes of a huge page.
pub const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Bytes of a small page.
pub const SMALL_PAGE_BYTES: usize = 4096;
