//! TCP Fast Open (RFC 7413): octets on a SYN, given to the application before the handshake is
//! over.
//!
//! ```text
//!   first connection   SYN, asks ──> SYN-ACK, cookie ──> the client remembers it
//!   from then on       SYN, cookie, octets ──> ACCEPTED and DATA at once, SYN-ACK for all of it
//! ```
//!
//! | file | what |
//! |---|---|
//! | `server` | SYNs with an option, the control block in SYN-RECEIVED |
//! | `client` | what goes on a SYN, and what the answer to it says |
//! | `cookies` | what a client remembers of servers, bounded |
//! | `pending` | how many opened so and are not proven, bounded |
//!
//! A SYN that comes twice after its connection is over is taken for a new one (RFC 7413 2.1): only
//! services that can bear to read the same octets twice switch it on (RFC 7413 6.1). It is off
//! until a port ([`Stack::set_fast_open`]) or a connection ([`Stack::connect_fast_open`]) has it
//! (RFC 7413-2a).

mod client;
mod cookies;
mod pending;
mod server;

use crate::stack::Stack;
use alloc::boxed::Box;
use alloc::vec;
use cookies::Cookies;
use crore_mem::{Memory, MemoryError};
use pending::Pending;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of what is kept of a server.
pub(crate) const COOKIE_BYTES: usize = cookies::ENTRY_BYTES;

pub(super) use client::OnSyn;
pub(super) use server::Verdict;

/// Settings of Fast Open. Whether it is used at all is said by port and by connection.
#[derive(Clone, Debug)]
pub struct FastOpenConfig {
    /// Connections that peers opened with a cookie and whose handshake is not over, at most; above
    /// it every port is as one without Fast Open (`PendingFastOpenRequests`, RFC 7413 4.2).
    pub pending_max: u32,
    /// How long a connection that was reset before its handshake was over counts as one of them:
    /// resets must not make room for more (RFC 7413 5.1).
    pub reset_counts_ms: u32,
    /// The keys of cookies: the first one makes them, both are accepted. Servers that share an
    /// address need the same ones (RFC 7413 6.3.4). Without a first one the stack has keys of its
    /// own, from its secret.
    pub keys: [Option<FastOpenKey>; 2],
    /// Life of a key of our own. A cookie is accepted until the next one's is over.
    pub key_life_ms: u32,
    /// Take octets on a SYN without a cookie (RFC 7413 7.3), from whatever address it claims to
    /// come: for a service whose answers are cheap and short.
    pub serve_without_cookie: bool,
    /// Put octets on a SYN without a cookie, for servers that take them so.
    pub connect_without_cookie: bool,
    /// What a server takes that never said; `None`: what any host does, 536 octets or 1,220.
    pub unknown_mss: Option<u16>,
    /// Servers whose cookies are remembered; of more the longest unused is forgotten.
    pub cookies_max: u32,
    /// After a second failure in a row a path is left alone for so long, after a third one for
    /// twice as long, and so on up to 64 times (RFC 7413 4.1.3.1). One alone is more likely a SYN
    /// lost to congestion.
    pub retry_ms: u32,
}

/// A key of Fast Open cookies. Whoever has it can make them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FastOpenKey(pub [u8; 16]);

impl core::fmt::Debug for FastOpenKey {
    /// Says nothing of the key: a log must not give it away.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FastOpenKey")
    }
}

impl Default for FastOpenConfig {
    fn default() -> Self {
        Self {
            pending_max: 1024,
            reset_counts_ms: 60_000,
            keys: [None; 2],
            key_life_ms: 12 * 60 * 60 * 1000,
            serve_without_cookie: false,
            connect_without_cookie: false,
            unknown_mss: None,
            cookies_max: 256,
            retry_ms: 240_000,
        }
    }
}

impl FastOpenConfig {
    /// Refuses what cannot work, saying why.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.key_life_ms < 60_000 {
            return Err("fast_open.key_life_ms must be a minute at least");
        }
        if self.cookies_max == 0 || self.cookies_max > 1 << 20 {
            return Err("fast_open.cookies_max must be between 1 and 2^20");
        }
        Ok(())
    }
}

/// What one core's stack keeps of Fast Open.
pub(crate) struct FastOpens {
    /// A bit for each port that has it (`FastOpenEnabled`, RFC 7413-4.2a).
    ports: Box<[u64]>,
    pub(super) pending: Pending,
    pub(super) cookies: Cookies,
}

/// What an active open remembers in its extension until the handshake is over.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Opening {
    /// Octets that were on our SYN.
    octets: u16,
    /// One of the stages below.
    stage: u8,
    _reserved: u8,
}

impl Opening {
    /// No Fast Open, or no more of it.
    const NONE: u8 = 0;
    /// The first SYN is to have the option, and octets if there is a cookie.
    const WANTED: u8 = 1;
    /// It had the option without a cookie: it asked for one.
    const ASKED: u8 = 2;
    /// It had a cookie.
    const SHOWN: u8 = 3;
    /// It had octets and no cookie.
    const BARE: u8 = 4;
}

impl FastOpens {
    pub(crate) fn new(
        memory: &mut Memory,
        config: &FastOpenConfig,
        key: [u64; 2],
    ) -> Result<Self, MemoryError> {
        Ok(Self {
            ports: vec![0; 1024].into_boxed_slice(),
            pending: Pending::default(),
            cookies: Cookies::new(memory, config.cookies_max, key)?,
        })
    }

    fn has_port(&self, port: u16) -> bool {
        self.ports[usize::from(port >> 6)] & 1 << (port & 63) != 0
    }
}

impl Stack {
    /// Lets peers with a cookie open connections to `port` with octets on their SYN, or no more.
    /// The application then reads them, and may answer, before the peer has shown that it gets
    /// what is sent to it; and it may be given them twice.
    pub fn set_fast_open(&mut self, port: u16, on: bool) {
        let word = &mut self.fast_open.ports[usize::from(port >> 6)];
        let bit = 1 << (port & 63);
        *word = if on { *word | bit } else { *word & !bit };
    }

    /// Connections that peers opened with octets on their SYN and whose handshake is not over;
    /// those that were reset a short time ago count (RFC 7413 5.1).
    pub fn fast_open_pending(&self) -> u32 {
        self.fast_open.pending.count(self.now.tick, self.config.fast_open.reset_counts_ms)
    }
}
