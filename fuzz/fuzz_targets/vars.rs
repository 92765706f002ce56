//! Runs `fuzz/properties/vars.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/vars.rs"]
mod vars;

libfuzzer_sys::fuzz_target!(|input: &[u8]| vars::holds(input));
