//! Runs `fuzz/properties/redis_reply.rs` on what the fuzzer invents.
#![no_main]

#[path = "../properties/redis_reply.rs"]
mod redis_reply;

libfuzzer_sys::fuzz_target!(|input: &[u8]| redis_reply::holds(input));
