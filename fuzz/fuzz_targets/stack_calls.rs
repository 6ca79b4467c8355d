//! `crore_fuzz::stack_calls` as a libFuzzer program.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| crore_fuzz::stack_calls(input));
