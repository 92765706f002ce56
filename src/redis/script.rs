//! The two scripts that count, and how commands are written (spec/limit-count §8.1, §8.2).
//!
//! One script call per request and counter, so that nobody counts between its steps. Called by its digest; a server
//! that does not know it is sent the text.

use crate::base::bytes::push_decimal;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::fmt::Write;
use std::sync::LazyLock;

/// A script and its digest in hexadecimal, by which servers remember it.
#[derive(Debug)]
pub struct Script {
    text: &'static str,
    sha1: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let mut sha1 = String::with_capacity(40);
        for byte in digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref() {
            // Writing to memory cannot fail.
            let _ = write!(sha1, "{byte:02x}");
        }
        Self { text, sha1 }
    }

    /// Appends a call of it: by digest, or with its text.
    pub(super) fn push_call(&self, out: &mut Vec<u8>, by_digest: bool, keys: &[&[u8]], arguments: &[u64]) {
        let (name, script): (&[u8], _) = if by_digest { (b"EVALSHA", &*self.sha1) } else { (b"EVAL", self.text) };
        push_length(out, b'*', 3 + keys.len() + arguments.len());
        push_bytes(out, name);
        push_bytes(out, script.as_bytes());
        push_number(out, keys.len() as u64);
        for key in keys {
            push_bytes(out, key);
        }
        for number in arguments {
            push_number(out, *number);
        }
    }
}

/// Appends a command of these words.
pub(super) fn push_command(out: &mut Vec<u8>, words: &[&[u8]]) {
    push_length(out, b'*', words.len());
    for word in words {
        push_bytes(out, word);
    }
}

fn push_length(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    push_decimal(out, length as u64);
    out.extend_from_slice(b"\r\n");
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_length(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut text = [0; 20];
    let mut at = text.len();
    let mut rest = number;
    loop {
        at = at.saturating_sub(1);
        if let Some(digit) = text.get_mut(at) {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    push_bytes(out, text.get(at..).unwrap_or_default());
}

/// Fixed windows. Key: the counter. Arguments: cost, window in seconds. Returns the total and the milliseconds left.
pub static FIXED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local ttl = redis.call('pttl', KEYS[1]) \
         if ttl < 0 then \
           redis.call('set', KEYS[1], ARGV[1], 'EX', ARGV[2]) \
           return {tonumber(ARGV[1]), ARGV[2] * 1000} \
         end \
         return {redis.call('incrby', KEYS[1], ARGV[1]), ttl}",
    )
});

/// Sliding windows. Keys: this window's counter; the one before where the same server has it. Arguments: limit, window
/// in milliseconds, milliseconds left of it, seconds to keep the counter, the count before where it is no key. Returns
/// whether the request is admitted, this window's count with it, and the count before, capped at the limit.
pub static SLIDING: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local limit = tonumber(ARGV[1]) \
         local last = tonumber(KEYS[2] and redis.call('get', KEYS[2]) or ARGV[5]) or 0 \
         if last > limit then last = limit end \
         local ttl = redis.call('pttl', KEYS[1]) \
         local current = 0 \
         if ttl >= 0 then current = tonumber(redis.call('get', KEYS[1])) or 0 end \
         if current >= limit or last / ARGV[2] * ARGV[3] + current >= limit then return {0, current, last} end \
         if ttl < 0 then redis.call('set', KEYS[1], 1, 'EX', ARGV[4]) else redis.call('incrby', KEYS[1], 1) end \
         return {1, current + 1, last}",
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_written_as_lists_of_strings() {
        let script = Script::new("return 1");
        let mut out = Vec::new();
        script.push_call(&mut out, true, &[b"k:1"], &[0, 1234]);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "*6\r\n$7\r\nEVALSHA\r\n$40\r\ne0e1f9fabfc9d4800c877a703b823ac0578ff8db\r\n$1\r\n1\r\n$3\r\nk:1\r\n$1\r\n0\r\n\
             $4\r\n1234\r\n"
        );
        let mut out = Vec::new();
        script.push_call(&mut out, false, &[], &[u64::MAX]);
        let want = "*4\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n$20\r\n18446744073709551615\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
