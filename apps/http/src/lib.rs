//! An HTTP/1.1 server (RFC 9110, RFC 9112): static files, `/plaintext`, `/echo` and `/sha256`.
//!
//! Bytes come in and bytes go out; the network is somebody else's. All of it runs against any
//! [`Output`], so the tests drive whole conversations without a packet.
//!
//! ```text
//!   service      the crore Service: one Server a core, Conn as Output
//!   server       what happens to a connection, and what it does about it
//!   reading      its requests, one at a time
//!   sending      its replies to their last byte, and its end
//!   routes       which request gets which reply
//!     head         bytes -> Request: limits, framing, what must be refused
//!     content      the content of a request: Content-Length or chunked
//!     target       request target -> path below the root
//!     condition    If-Match, If-None-Match, If-Modified-Since, ...
//!     range        Range and If-Range
//!     files        open files of a core, found by path, looked at again each second
//!     reply        a reply's bytes
//!     exchange     what a request under way owns: unsent bytes, its file, its content
//! ```
//!
//! What a connection owns: 16 bytes of [`Connection`] while it is idle, and one slot in a bounded
//! table of exchanges while a reply does not fit into the send queue or content is on its way. An
//! incomplete request head is not taken from the stack, so there is no receive buffer either.
//!
//! What it is not: a proxy, a cache, a TLS endpoint. There is no content negotiation, no
//! compression, and no multipart ranges (a request for several ranges gets the whole file, which
//! RFC 9110 14.2 allows). A read that misses the page cache stops its core for that long.
#![forbid(unsafe_code)]

mod clock;
mod condition;
mod config;
mod connection;
mod content;
mod exchange;
mod files;
mod head;
mod output;
mod range;
mod reading;
mod reply;
mod routes;
mod sending;
mod server;
mod service;
mod status;
mod target;

pub use config::{HttpConfig, StartError};
pub use connection::Connection;
pub use output::Output;
pub use server::Server;
pub use service::Http;

#[cfg(test)]
mod rig;
#[cfg(test)]
mod tests;
