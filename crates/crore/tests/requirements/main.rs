//! The requirements of TCP's RFCs, one scenario each: segments in, segments out.
//!
//! Each test cites what it shows; `cargo xtask rfc --write` collects the citations into
//! `docs/rfc/`. The engine under test is 10.0.0.2, or `fd00::2`; the peer is made by hand.

mod acknowledging;
mod app;
mod closing;
mod ecn;
mod fast_open;
mod fast_open_client;
mod fragments;
mod icmp;
mod internet;
mod keepalive;
mod opening;
mod options;
mod path_search;
mod reports;
mod retransmission;
mod segments;
mod timestamps;
mod traffic_class;
mod urgent;
mod windows;
