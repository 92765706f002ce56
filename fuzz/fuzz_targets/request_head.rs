//! Runs `fuzz/properties/request_head.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/request_head.rs"]
mod request_head;

libfuzzer_sys::fuzz_target!(|input: &[u8]| request_head::holds(input));
