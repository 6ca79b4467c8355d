//! Why a region could not be made.

use core::fmt;
use std::{error::Error, io};

/// Why a region could not be made. Each says which region, and what was asked for.
#[derive(Debug)]
pub enum MemoryError {
    /// The machine, or the control group, cannot spare that much: the limits are too high for it.
    NotEnough {
        /// The region.
        name: &'static str,
        /// What it takes.
        asked_bytes: usize,
        /// What could be had when it was asked for.
        available_bytes: usize,
    },
    /// More slots or bytes than an index or an address can name: the limits make no sense.
    TooLarge {
        /// The region.
        name: &'static str,
        /// Bytes of one slot, or of one block.
        slot_bytes: usize,
        /// How many were asked for.
        count: u64,
    },
    /// The system refused.
    System {
        /// The region.
        name: &'static str,
        /// What it takes.
        asked_bytes: usize,
        /// The system call that failed.
        call: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEnough { name, asked_bytes, available_bytes } => write!(
                f,
                "memory for `{name}`: {} asked, {} available; lower the limits or free memory",
                Mebibytes(*asked_bytes),
                Mebibytes(*available_bytes)
            ),
            Self::TooLarge { name, slot_bytes, count } => write!(
                f,
                "memory for `{name}`: {count} slots of {slot_bytes} bytes are more than one region \
                 can hold; lower the limits"
            ),
            Self::System { name, asked_bytes, call, source } => write!(
                f,
                "memory for `{name}`: {} asked, and {call} failed: {source}",
                Mebibytes(*asked_bytes)
            ),
        }
    }
}

impl Error for MemoryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            Self::NotEnough { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// Bytes, shown in MiB.
struct Mebibytes(usize);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0 as f64 / f64::from(1 << 20))
    }
}
