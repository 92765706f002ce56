//! Runs `fuzz/properties/access_log_template.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/access_log_template.rs"]
mod access_log_template;

libfuzzer_sys::fuzz_target!(|input: &[u8]| access_log_template::holds(input));
