//! Settings of the server, and what can be wrong with them.

use std::io;
use std::path::PathBuf;

/// Settings of one core's server. Limits are per core, times in milliseconds.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The directory that static files come from; without it only the benchmark routes exist.
    pub root: Option<PathBuf>,
    /// From the first byte of a request head to its last; then 408.
    pub header_timeout_ms: u32,
    /// From the end of a request's head to the end of its content; then 408.
    pub body_timeout_ms: u32,
    /// How long a connection may stay open without a request. `None`: for ever.
    pub idle_timeout_ms: Option<u32>,
    /// How long a peer may take nothing of a reply that waits for it; then the connection is reset.
    pub stall_timeout_ms: u32,
    /// How long what a peer still sends is read and dropped after the last reply (RFC 9112 9.6).
    pub linger_timeout_ms: u32,
    /// The longest content of a request; above it 413.
    pub body_bytes_max: u64,
    /// All bytes held for unsent replies and unfinished content; above it 503.
    pub held_bytes_max: usize,
    /// Exchanges that own a slot at the same time: large replies, content on its way.
    pub exchanges_max: u32,
    /// Open files, those in use included.
    pub files_max: u32,
    /// Files up to this size are read once and sent from memory.
    pub small_file_bytes_max: u32,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            root: None,
            header_timeout_ms: 10_000,
            body_timeout_ms: 60_000,
            idle_timeout_ms: Some(60_000),
            stall_timeout_ms: 30_000,
            linger_timeout_ms: 5_000,
            body_bytes_max: 1 << 20,
            held_bytes_max: 64 << 20,
            exchanges_max: 65_536,
            files_max: 512,
            small_file_bytes_max: 16 << 10,
        }
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The root is missing, not a directory, or not ours to read.
    #[error("cannot serve files from {root:?}: {source}; give a directory that can be read")]
    Root {
        /// The root as given.
        root: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel cannot open files confined to a directory.
    #[error(
        "cannot confine file access to {root:?}: openat2 failed with {source}; \
         it needs Linux 5.6 or later, and a sandbox that allows it"
    )]
    Confinement {
        /// The root as given.
        root: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A limit is zero where at least one is needed.
    #[error("{name} is 0; it must be at least 1")]
    Zero {
        /// The setting.
        name: &'static str,
    },
}
