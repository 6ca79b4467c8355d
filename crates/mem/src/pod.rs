//! What may live in a region.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Plain data: any bytes are a value, every byte is part of it, and it holds no pointer.
///
/// That is what lets a region be zero-filled, read by another process, or adopted by a new program.
/// Derive zerocopy's `FromBytes`, `IntoBytes`, `Immutable`, `KnownLayout`; this follows.
pub trait Pod: FromBytes + IntoBytes + Immutable + KnownLayout + Copy + Send + 'static {}

impl<T: FromBytes + IntoBytes + Immutable> Pod for T where T: KnownLayout + Copy + Send + 'static {}
