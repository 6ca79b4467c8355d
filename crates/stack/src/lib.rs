//! One core's TCP/IP as a pure state machine: no clock, no operating system, no luck of its own.
//!
//! ```text
//!   frames ─> arrival ─> flow (find) ─> tcp (arrives, ack, receive) ─> event ─> the application
//!   frames <─ path <──── tcp (output) <──── send queue <──────────── tcp (user) <──┘
//!                             ^ wheel: timers
//! ```
//!
//! | module | what it does | what it does not |
//! |---|---|---|
//! | `stack` | holds all state; the stages of a turn | read clocks, touch drivers |
//! | `arrival` | a frame's headers, checked, in numbers | change anything |
//! | `fragments`, `reassembly` | datagrams in pieces, until they are whole | look at them |
//! | `flow`, `hash` | 4-tuple to record | know what a record is |
//! | `tcp` | RFC 9293 and its family | frames, addresses of the link |
//! | `path`, `link` | frames out; ARP, neighbour discovery, ICMP | TCP's decisions |
//! | `neighbour` | next hops and their hardware addresses | send |
//! | `wheel` | when to look at a connection | know why |
//! | `budget` | how the pool is shared out | hand out blocks |
//! | `steering` | which core a connection is on, and what is another one's | copy frames |
//! | `survey` | every endpoint with its state | be fast |
//! | `secret` | sequence numbers, cookies, ports | draw randomness: it is given a seed |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod arrival;
mod budget;
mod check;
mod config;
mod counters;
mod event;
pub mod flow;
mod fragments;
mod habits;
pub mod hash;
mod interface;
mod link;
pub mod neighbour;
mod output_list;
mod path;
mod reassembly;
mod record;
pub mod secret;
mod seq;
mod sizes;
mod stack;
mod steering;
mod survey;
mod tcb;
mod tcp;
mod transitions;
pub mod wheel;
mod wire_key;

pub use arrival::Burst;
pub use budget::Pressure;
pub use config::{Nagle, PoolMarks, StackConfig};
pub use counters::{Counters, DROP_NAMES, DROP_REASONS, Drop};
pub use crore_mem::BlockId;
pub use crore_wire::rss::Steering;
pub use crore_wire::tcp::OptionLayout;
pub use event::{Closed, EVENTS_MAX, Event, Events, Trouble, What};
pub use habits::{Habits, WindowSteps};
pub use interface::{AddressRange, Interface, mapped, unmapped};
pub use reassembly::ReassemblyLimits;
pub use seq::Seq;
pub use sizes::SIZES;
pub use stack::{Stack, StackError};
pub use steering::PassTo;
pub use survey::Surveyed;
pub use tcb::{Flags, State, Tcb};
pub use tcp::{
    APP_TIMER_MAX_MS, Congestion, ConnectError, Ecn, FastOpenConfig, FastOpenKey, HoldingLimits,
    Output, PathSearch, Refusal, SendEnd, SourceLimits,
};
pub use transitions::{Station, Transitions};
