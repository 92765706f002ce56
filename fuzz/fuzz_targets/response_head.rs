//! Runs `fuzz/properties/response_head.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/response_head.rs"]
mod response_head;

libfuzzer_sys::fuzz_target!(|input: &[u8]| response_head::holds(input));
