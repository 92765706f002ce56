//! Runs `fuzz/properties/config.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/config.rs"]
mod config;

libfuzzer_sys::fuzz_target!(|input: &[u8]| config::holds(input));
