//! Bytes to headers and back: Ethernet, ARP, IP, ICMP, UDP, TCP.
//!
//! Each module is one protocol with the same shape: a `Header` (or `Message`) of plain fields, a
//! `parse` from a slice and a `write` into a slice. Nothing here keeps state, decides anything or
//! allocates; what a field *means* for a connection is the stack's business.
//!
//! ```text
//!   ethernet        the frame: addresses, VLAN tag, type
//!   arp             who has this IPv4 address
//!   ipv4, ipv6      the packet; extension headers of IPv6
//!   icmpv4, icmpv6  echo, errors, neighbour discovery
//!   tcp, udp        the segment and the datagram
//!   checksum        the Internet checksum they share
//!   plain           the frame that nearly all are: all its headers in one go
//!   rss             which queue of an interface a frame goes to
//! ```
//!
//! What one may rely on:
//!
//! - `parse` never panics and never reads past the slice, whatever it holds. Payloads are trimmed
//!   to the length that the header states, so Ethernet's padding is gone.
//! - `write` followed by `parse` gives the same fields back. `write` panics only when the slice is
//!   shorter than the length it documents: the caller has reserved the room.
//! - Integers in fields are in host order; a "sum" or "checksum" is the value that stands in the
//!   header when read as a big-endian number.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
mod malformed;
pub mod plain;
mod protocol;
pub mod rss;
pub mod tcp;
pub mod udp;

pub use malformed::Malformed;
pub use protocol::Protocol;

#[cfg(test)]
mod tests;
