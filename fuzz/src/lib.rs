//! Fuzz targets as plain functions: an input in, a panic when something that must hold does not.
//!
//! ```text
//!   fuzz_targets/*   libFuzzer finds inputs by coverage ─┐
//!   tests/corpora    every kept input, once              ┴─> the functions here
//! ```
//!
//! | function | what an input is | what must hold |
//! |---|---|---|
//! | [`wire_frame`] | one frame | no panic; what is accepted is written back and read the same |
//! | [`stack_frames`] | frames of any kind, and time | as below |
//! | [`stack_segments`] | segments near what a live connection expects, and time | as below |
//! | [`stack_calls`] | the application's calls, and what a peer makes of the answers | as below |
//! | [`memif_peer`] | what a peer says, and writes into shared memory | the next one is served |
//!
//! For all three of the stack: every invariant after each turn, each frame counted under one fate,
//! octets in order and right on both sides, and nothing left in any table after the end.

mod calls;
mod cut;
#[path = "../../crates/wire/tests/every_parser/mod.rs"]
mod every_parser;
#[expect(dead_code, reason = "the hostile test uses the rest")]
#[path = "../../crates/crore/tests/hostile/frames.rs"]
mod frames;
mod host;
mod lan;
mod memif;
#[expect(dead_code, reason = "the driver's test uses the rest")]
#[path = "../../crates/driver/tests/memif_peer/mod.rs"]
mod memif_peer;
mod pattern;
mod peer;
mod segments;

pub use calls::stack_calls;
pub use memif::{memif_peer, memif_peer_seeds};
pub use segments::stack_segments;

use cut::Cut;
use host::Host;

/// One frame through every parser of `crore-wire`.
pub fn wire_frame(frame: &[u8]) {
    every_parser::Accepted::default().check(frame);
}

/// Inputs for [`stack_frames`] to begin with: a frame of each kind, as an act of its own.
pub fn stack_frames_seeds() -> Vec<Vec<u8>> {
    let short = |frame: &Vec<u8>| u8::try_from(frame.len()).is_ok();
    let act = |frame: Vec<u8>| [&[1, frame.len() as u8], frame.as_slice()].concat();
    frames::specimens(None).into_iter().filter(short).map(act).collect()
}

/// Frames as the link brings them, alone and in bursts, for an engine with a live connection.
///
/// ```text
///   an act: kind u8 | len u8 | len bytes      kind: 1 checksums are made right
///                                                   2 more frames follow in this burst
///                                                   4 the clock goes on: 64 ms, else 1/16 ms,
///                                                     times the kind's high half
/// ```
pub fn stack_frames(input: &[u8]) {
    let mut host = Host::with_connection(host::Octets::Any);
    let (mut cut, mut burst) = (Cut::new(input), Vec::new());
    while let (Some(kind), Some(len)) = (cut.u8(), cut.u8()) {
        let mut frame = cut.bytes(len.into()).to_vec();
        if kind & 1 != 0 {
            frames::fix_checksums(&mut frame);
        }
        let unit_us = if kind & 4 == 0 { 62 } else { 64_000 };
        host.now_us += u64::from(kind >> 4) * unit_us;
        burst.push(frame);
        if kind & 2 == 0 || burst.len() == host::BURST_MAX {
            host.turn(&std::mem::take(&mut burst));
        }
    }
    host.turn(&burst);
    host.end();
}
