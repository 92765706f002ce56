//! Runs `fuzz/properties/path.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/path.rs"]
mod path;

libfuzzer_sys::fuzz_target!(|input: &[u8]| path::holds(input));
