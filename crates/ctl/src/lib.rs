//! Control plane: what Linux knows about addresses, routes and neighbours, for a stack beside it.
//!
//! ```text
//!   interface   one interface: MAC, MTU, addresses, gateways, queues
//!   neighbour   the neighbour table: who has which MAC; asking Linux to find out, and to keep on
//!   watch       changes of all that, polled by whoever wants to know, without a thread
//!   netlink     the conversation with the kernel
//! ```
//!
//! It may block and allocate: it is for the start, and for a thread that has time. It changes
//! nothing but entries of the neighbour table.

mod error;
mod interface;
mod neighbour;
mod netlink;
mod watch;

pub use error::CtlError;
pub use interface::{InterfaceInfo, Prefix, interface, interfaces};
pub use neighbour::{Neighbour, Reach, keep_resolved, neighbours, resolve};
pub use watch::{Event, Watch};
