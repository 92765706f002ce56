//! The log variable `rate_limiting_info` (spec/limit-count §7.4).

use crate::base::bytes::push_decimal;
use crate::limit::Charge;
use crate::log::Escape;

/// Makes `out` what the log is told of a charge: the counter's `key` and its numbers, as JSON; seconds are cut off.
pub(super) fn write(out: &mut Vec<u8>, key: &[u8], limit: u64, charge: &Charge) {
    out.clear();
    out.extend_from_slice(b"{\"rate_limiting_key\":\"");
    Escape::Json.push(out, key);
    out.push(b'"');
    let numbers: [(&[u8], u64); 3] =
        [(b"limit", limit), (b"remaining", charge.remaining), (b"reset", charge.reset_ms / 1000)];
    for (name, number) in numbers {
        out.extend_from_slice(b",\"rate_limiting_");
        out.extend_from_slice(name);
        out.extend_from_slice(b"\":");
        push_decimal(out, number);
    }
    out.push(b'}');
}
