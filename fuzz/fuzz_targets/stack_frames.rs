//! `crore_fuzz::stack_frames` as a libFuzzer program.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| crore_fuzz::stack_frames(input));
