//! One frame through every parser of `crore-wire`; what must hold is in `every_parser`.

#![no_main]

#[path = "../../crates/wire/tests/every_parser/mod.rs"]
mod every_parser;

use every_parser::Accepted;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| Accepted::default().check(frame));
