//! One producer, one consumer, on two cores: values that change hands, or turns at places in a
//! region.
//!
//! ```text
//!            released       taken        published       reserved     (free-running u32 counters)
//!   ...─────────┼─────────────┼──────────────┼───────────────┼───────> position
//!               | consumer    | to be taken  | producer       |
//!               | holds       |              | writes         |
//!               `────────────── at most `capacity` ───────────'
//! ```
//!
//! Each side keeps its own counters to itself, and shows the other one number: `published` or
//! `released`. It shows it once a burst, and looks at the other's only when its last sight of it
//! is used up, so a cache line crosses between the cores about once a burst, not once a frame.
//!
//! [`channel`] moves values. [`index_pair`] only hands out positions: the places are the caller's.

mod atomics;
mod channel;
mod index;

pub use channel::{Consumer, Producer, channel};
pub use index::{ConsumerIndex, ProducerIndex, RingShared, Span, index_pair};

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;
