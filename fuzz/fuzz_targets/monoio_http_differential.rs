//! Runs `fuzz/properties/monoio_http_differential.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/monoio_http_differential.rs"]
mod monoio_http_differential;

libfuzzer_sys::fuzz_target!(|input: &[u8]| monoio_http_differential::holds(input));
