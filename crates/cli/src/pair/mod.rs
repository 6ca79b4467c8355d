//! A server and a client in this process, each on a thread of its own, joined by a pipe: what the
//! demo tells its story with, and what most benchmarks measure.
//!
//! ```text
//!   sides     settings, memory and addresses of both
//!   client    what the client can be
//!     echo_client   of a server of echo: a whole stack, or eight bytes a connection
//!   cores     the two threads, and what this one can ask of them
//! ```
//!
//! It is not a link to another machine: `serve` and `load` are for that.

mod client;
mod cores;
mod echo_client;
mod sides;

pub(crate) use client::{Client, RunningClient};
pub(crate) use cores::Cores;
pub(crate) use echo_client::{ClientRemains, EchoClient, EchoHost, leaked, plan_echo};
pub(crate) use sides::{Demand, MemoryOfSides, PORT, Plans, SERVER, SLOTS, Sides, Wire, plan};
