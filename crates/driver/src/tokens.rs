//! Names of places that a link lends in order, by which it knows them again.

use std::sync::atomic::{AtomicU32, Ordering};

use crore_mem::frames::FramePlace;

/// The first token of a direction of a link. A token counts positions in its low bits and names the
/// direction in its high ones, so that a burst of another link is told by them.
pub(crate) fn first() -> u64 {
    u64::from(DIRECTIONS.fetch_add(1, Ordering::Relaxed)) << POSITION_BITS
}

/// True when the places' tokens count up from `first`.
#[inline]
pub(crate) fn in_order(places: &[FramePlace], first: u64) -> bool {
    // Without a branch for each: this is on the path of every frame.
    let differences = places.iter().zip(first..).map(|(place, token)| place.token ^ token);
    differences.fold(0, |all, difference| all | difference) == 0
}

/// Directions made so far.
static DIRECTIONS: AtomicU32 = AtomicU32::new(1);

/// Bits of a token that count positions. At ten million frames a second they last for 900 hours;
/// then the direction's name goes up by one, alike at both sides, which harms nobody.
const POSITION_BITS: u32 = 45;
