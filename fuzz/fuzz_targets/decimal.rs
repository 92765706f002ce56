//! Runs `fuzz/properties/decimal.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/decimal.rs"]
mod decimal;

libfuzzer_sys::fuzz_target!(|input: &[u8]| decimal::holds(input));
