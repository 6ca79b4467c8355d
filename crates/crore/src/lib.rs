//! Ten million TCP connections in one process: the engine and what an application sees of it.
//!
//! ```text
//!   Service (yours)      accepted, data, writable, closed ... on a Conn
//!      ^ events
//!   Engine               a turn, stage by stage, over a burst: no clock, no thread
//!      ^ frames
//!   Core                 an engine with a link (pipe, xdp, tap), a clock and a thread
//! ```
//!
//! The smallest useful application:
//!
//! ```
//! struct Echo;
//!
//! impl crore::Service for Echo {
//!     type State = ();
//!     fn data(&mut self, conn: &mut crore::Conn<'_, ()>, bytes: &[u8]) -> usize {
//!         conn.send(bytes)
//!     }
//! }
//! ```
//!
//! What `send` does not take is not consumed; the stack keeps it, closes the peer's window, and
//! offers it again when there is room. `examples/` has whole programs.

mod cap;
mod clock;
mod conn;
mod core;
mod cycles;
mod engine;
mod histogram;
mod meter;
pub mod pin;
mod server;
mod service;
mod states;
mod stats;
mod turn;
mod worst;

pub use clock::{Clock, MachineClock, tsc, tsc_hz};
pub use conn::{Conn, ConnId, Payload};
pub use core::{Core, CoreConfig, Stop};
pub use crore_driver as driver;
pub use crore_mem as mem;
pub use crore_stack::{
    AddressRange, Closed, Congestion, ConnectError, Counters, DROP_NAMES, DROP_REASONS, Drop, Ecn,
    FastOpenConfig, FastOpenKey, HoldingLimits, Interface, Nagle, Output, PathSearch, PoolMarks,
    Pressure, ReassemblyLimits, Refusal, SIZES, SourceLimits, Stack, StackConfig, StackError,
    State, Station, Steering, Transitions, Trouble, mapped,
};
pub use cycles::{Cycles, STAGE_NAMES, STAGES, Stage, Stopwatch, WorstTurn};
pub use engine::{Engine, OFFER_BYTES_MAX};
pub use histogram::Histogram;
pub use meter::{
    CALLBACK_NAMES, CALLBACKS, Callback, SERVICE_BUDGET_CYCLES, ServiceCycles, SlowCall,
};
pub use server::{Server, ServerError};
pub use service::Service;
pub use stats::{Snapshot, StatsPage};
pub use turn::Turn;
pub use zerocopy;

/// 32 random bytes from the operating system, for [`Engine::new`].
///
/// # Panics
/// When the system has no randomness to give; it must not run without.
pub fn random_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system gives random bytes");
    seed
}
