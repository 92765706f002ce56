//! Runs `fuzz/properties/public_key.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/public_key.rs"]
mod public_key;

libfuzzer_sys::fuzz_target!(|input: &[u8]| public_key::holds(input));
