//! Runs `fuzz/properties/chunked.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/chunked.rs"]
mod chunked;

libfuzzer_sys::fuzz_target!(|input: &[u8]| chunked::holds(input));
