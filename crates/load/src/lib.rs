//! Clients by the million: open connections, ask on random ones, check every byte of the replies.
//!
//! ```text
//!   Load<P>      a crore Service: the phases, one after the other, and what was counted
//!     opening      connections from as many addresses and ports as it takes, at a pace
//!     traffic      requests on connections picked at random, in a closed or an open loop
//!     churn        or short lives: open, ask once, close, over and over
//!     walk         every connection asked whether it stands; every connection closed
//!   Stream       a service for both sides: octets without end on few connections, all compared
//!   Protocol     what a request is, and what its reply must be: `Echo`, `Http`, `Answering`
//!   Control      the phases and figures, seen and steered from another thread
//!   pattern      payloads that nobody can guess, from who asked and how often
//!   schedule     when requests are due; late ones keep their time (no coordinated omission)
//!   latency      how long replies took
//!   random       luck that can be had again
//!   Mirror       another client, without an engine: eight bytes a connection
//! ```
//!
//! A load runs on one core, in the same engine as a server, and knows neither driver nor thread.
//! What a connection needs is 16 bytes beside its control block: there is no list of connections.
#![forbid(unsafe_code)]

mod addresses;
mod answering;
mod churn;
mod clock;
mod control;
mod echo;
mod http;
mod latency;
mod load;
mod mirror;
mod opening;
mod pattern;
mod protocol;
mod random;
mod schedule;
mod state;
mod stream;
mod traffic;
mod walk;

pub use addresses::{LocalAddresses, PORTS};
pub use answering::Answering;
pub use churn::Churn;
pub use clock::Clock;
pub use control::{Control, Numbers, Phase};
pub use echo::Echo;
pub use http::Http;
pub use latency::{Latency, LatencySummary};
pub use load::{Load, LoadConfig};
pub use mirror::{Mirror, MirrorConfig, MirrorCounts, MirrorHost, MirrorLives};
pub use pattern::Pattern;
pub use protocol::{Protocol, Received, Request};
pub use random::Random;
pub use schedule::Schedule;
pub use state::{Asked, Marks};
pub use stream::{Stream, StreamClient, StreamNumbers, Streamed};
pub use traffic::Pace;

/// A load of echo requests.
pub type EchoLoad = Load<Echo>;

/// A load of HTTP requests.
pub type HttpLoad = Load<Http>;
