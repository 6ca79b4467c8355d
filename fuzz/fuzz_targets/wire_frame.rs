//! `crore_fuzz::wire_frame` as a libFuzzer program.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| crore_fuzz::wire_frame(input));
