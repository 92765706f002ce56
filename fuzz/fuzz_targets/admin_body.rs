//! Runs `fuzz/properties/admin_body.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/admin_body.rs"]
mod admin_body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| admin_body::holds(input));
