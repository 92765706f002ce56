//! Runs `fuzz/properties/jwt_token.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/jwt_token.rs"]
mod jwt_token;

libfuzzer_sys::fuzz_target!(|input: &[u8]| jwt_token::holds(input));
