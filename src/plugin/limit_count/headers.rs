//! The quota headers of responses (spec/limit-count §7.1).

use crate::base::bytes::push_decimal;
use crate::http::field::Known;
use crate::limit::Charge;
use crate::plugin::ResponseFields;
use serde_json::Value;

/// Names of the three fields.
#[derive(Debug)]
pub(super) struct Headers {
    limit: Box<[u8]>,
    remaining: Box<[u8]>,
    reset: Box<[u8]>,
}

impl Headers {
    /// The names that `configuration` gives, else those of the plugin's `metadata`, else the usual ones; with `prefix`
    /// before the first `RateLimit-` of each.
    pub(super) fn new(configuration: &Value, metadata: Option<&Value>, prefix: Option<&str>) -> Result<Self, String> {
        let given = |source: &Value, [member, default]: [&str; 2]| -> Result<Box<[u8]>, String> {
            let name = match source.get(member) {
                None => default,
                Some(value) => value.as_str().ok_or_else(|| refused(member, "not a text"))?,
            };
            let name = match prefix {
                Some(prefix) => name.replacen(PREFIXED, &format!("{prefix}-{PREFIXED}"), 1),
                None => name.to_owned(),
            };
            if !is_token(&name) {
                return Err(refused(member, "not a field name"));
            }
            let lower = name.to_ascii_lowercase();
            let is_taken = lower.starts_with("content-") || TAKEN.contains(&lower.as_str());
            if is_taken || !matches!(Known::of(name.as_bytes()), Known::Other) {
                return Err(refused(member, "a field that the gateway needs itself"));
            }
            Ok(name.into_bytes().into())
        };
        let name = |member: [&str; 2]| match metadata {
            // What is right for most may not be for a rule's prefix: then the usual name stands in.
            Some(metadata) if configuration.get(member[0]).is_none() => {
                given(metadata, member).or_else(|_| given(configuration, member))
            }
            _ => given(configuration, member),
        };
        Ok(Self { limit: name(LIMIT)?, remaining: name(REMAINING)?, reset: name(RESET)? })
    }

    /// Sets the fields for what a window has said.
    pub(super) fn set(&self, fields: &mut ResponseFields, limit: u64, charge: &Charge) {
        fields.set(&self.limit, |out| push_decimal(out, limit));
        fields.set(&self.remaining, |out| push_decimal(out, charge.remaining));
        fields.set(&self.reset, |out| push_seconds(out, charge.reset_ms));
    }
}

/// Milliseconds as seconds with at most two decimals, cut off, in the shortest form.
fn push_seconds(out: &mut Vec<u8>, ms: u64) {
    push_decimal(out, ms / 1000);
    let hundredths = ms % 1000 / 10;
    if hundredths > 0 {
        let (tenths, rest) = (hundredths / 10, hundredths % 10);
        out.push(b'.');
        push_decimal(out, tenths);
        if rest > 0 {
            push_decimal(out, rest);
        }
    }
}

fn refused(member: &str, why: &str) -> String {
    format!("property \"{member}\" validation failed: {why}")
}

/// RFC 9110 §5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Fields that say something else, to clients or to the gateway; those that begin with `content-` too.
const TAKEN: [&str; 6] =
    ["cache-control", "location", "retry-after", "set-cookie", "www-authenticate", "x-apisix-upstream-status"];
/// Where a rule's prefix goes.
const PREFIXED: &str = "RateLimit-";
const LIMIT: [&str; 2] = ["limit_header", "X-RateLimit-Limit"];
const REMAINING: [&str; 2] = ["remaining_header", "X-RateLimit-Remaining"];
const RESET: [&str; 2] = ["reset_header", "X-RateLimit-Reset"];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn seconds_are_short() {
        for (ms, want) in [
            (0, "0"),
            (9, "0"),
            (10, "0.01"),
            (999, "0.99"),
            (60_000, "60"),
            (59_989, "59.98"),
            (3_500, "3.5"),
            (3_050, "3.05"),
            (u64::MAX, "18446744073709551.61"),
        ] {
            let mut out = Vec::new();
            push_seconds(&mut out, ms);
            assert_eq!(String::from_utf8(out).unwrap(), want, "{ms}");
        }
    }

    #[test]
    fn names_may_be_ones_own_but_not_anything() {
        let names = |configuration: &Value, prefix| {
            let headers = Headers::new(configuration, None, prefix)?;
            let text = |name: &[u8]| String::from_utf8(name.into()).unwrap();
            Ok([text(&headers.limit), text(&headers.remaining), text(&headers.reset)])
        };
        let told = |names: [&str; 3]| Ok::<_, String>(names.map(str::to_owned));
        let own = json!({"limit_header": "X-A", "remaining_header": "RateLimit-RateLimit-B"});
        assert_eq!(names(&json!({}), None), told(["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]));
        assert_eq!(
            names(&own, Some("jack")),
            told(["X-A", "jack-RateLimit-RateLimit-B", "X-jack-RateLimit-Reset"]),
            "only the first"
        );
        for name in
            [json!(""), json!("a b"), json!("a\r\nb: c"), json!("Content-Length"), json!("connection"), json!(1)]
        {
            assert!(names(&json!({"reset_header": name}), None).is_err(), "{name}");
        }
        for name in ["Content-Type", "set-cookie", "Location", "X-APISIX-Upstream-Status"] {
            assert!(names(&json!({"limit_header": name}), None).is_err(), "{name}");
        }
        assert!(names(&json!({}), Some("a: b\r\nc")).is_err());
    }
}
