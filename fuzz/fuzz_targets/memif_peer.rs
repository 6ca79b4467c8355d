//! `crore_fuzz::memif_peer` as a libFuzzer program.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| crore_fuzz::memif_peer(input));
