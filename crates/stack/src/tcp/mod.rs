//! TCP (RFC 9293). The files are its table of contents:
//!
//! | file | what |
//! |---|---|
//! | `plain` | the segments that nearly all are, both ways, the short way |
//! | `arrives` | SEGMENT ARRIVES (3.10.7) for a connection, as named steps in the RFC's order |
//! | `passive` | SYNs to a listening port, half-open connections, cookies, the third segment |
//! | `active` | OPEN (3.10.1) and SYN-SENT |
//! | `ack` | the acknowledgment step: send queue, window, round-trip time |
//! | `window` | the congestion window: slow start, growth, idle restart |
//! | `congestion` | the algorithms of congestion avoidance, and `HyStart++` |
//! | `ecn` | congestion that the network marks instead of dropping |
//! | `recovery` | recovery from loss: begin, pace, end |
//! | `scoreboard`, `rack` | what was delivered, what is lost |
//! | `undo` | recoveries that were for nothing |
//! | `probe` | tail loss probes |
//! | `persist` | probes of shut windows |
//! | `fast_open` | octets on SYNs (RFC 7413) |
//! | `extension` | what is remembered for all of these |
//! | `path_search` | how large segments may be, without ICMP |
//! | `urgent` | urgent data, both ways |
//! | `rare` | where the last two keep what they remember |
//! | `receive` | the segment text and FIN steps |
//! | `output` | what may be sent now |
//! | `pacing` | how much of it at once |
//! | `header` | its header, and segments without payload |
//! | `timers` | retransmission, persist, keepalive, delayed acknowledgment |
//! | `recent` | timers set a moment ago |
//! | `user` | SEND, RECEIVE, CLOSE, ABORT (3.10.2 to 3.10.5) |
//! | `ending` | the end of a connection, TIME-WAIT |
//! | `send_queue`, `receive_queue` | the two chains of blocks |
//! | `half_open`, `time_wait` | compact records |
//! | `admission` | who may open a connection now |
//! | `sources` | connections by source |
//! | `holding` | who has to go when memory is short |

mod ack;
mod active;
pub(crate) mod admission;
mod arrives;
mod burst;
pub(crate) mod congestion;
mod ecn;
mod ending;
mod extension;
pub(crate) mod fast_open;
pub(crate) mod half_open;
mod header;
pub(crate) mod holding;
mod no_path;
mod output;
mod pacing;
mod passive;
mod path_search;
mod persist;
mod plain;
mod probe;
mod rack;
mod rare;
mod receive;
pub(crate) mod receive_queue;
pub(crate) mod recent;
mod recovery;
mod scoreboard;
pub(crate) mod send_queue;
pub(crate) mod sources;
pub(crate) mod time_wait;
pub(crate) mod timers;
mod tuning;
mod undo;
mod urgent;
mod user;
mod window;

pub use active::ConnectError;
pub use admission::Refusal;
pub use congestion::Congestion;
pub use ecn::Ecn;
pub use fast_open::{FastOpenConfig, FastOpenKey};
pub use holding::HoldingLimits;
pub use output::Output;
pub use path_search::PathSearch;
pub use sources::SourceLimits;
pub use user::{APP_TIMER_MAX_MS, SendEnd};

/// Bytes of a connection's extension, and of what few have beside it.
pub(crate) const EXTENSION_BYTES: usize = size_of::<extension::Extension>();
pub(crate) const RARE_BYTES: usize = size_of::<rare::Rare>();
