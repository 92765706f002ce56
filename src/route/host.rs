//! Hosts: the form of a request's `Host` that routes are matched on, and what a route's `hosts` entry means
//! (spec/routing-and-upstreams §1, §2.2).
//!
//! [`matching_host`] runs once per request and copies only a host with capitals; patterns are parsed once per change.

use memchr::memchr;

/// Where the host for matching is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchingHost {
    /// It is the first so many bytes of the raw value; scratch was not touched.
    Prefix(usize),
    /// It is the whole of scratch.
    Rewritten,
}

/// Brings a raw `Host` value into the form for matching: lower case, without port, without one trailing dot.
///
/// An IPv6 literal keeps its brackets. Whether the value is a proper host at all is for the head parser to judge:
/// here every byte string has a form.
pub fn matching_host(raw_host: &[u8], scratch: &mut Vec<u8>) -> MatchingHost {
    let host = without_port(raw_host);
    let host = host.strip_suffix(b".").unwrap_or(host);
    if host.iter().any(u8::is_ascii_uppercase) {
        scratch.clear();
        scratch.extend(host.iter().map(u8::to_ascii_lowercase));
        MatchingHost::Rewritten
    } else {
        MatchingHost::Prefix(host.len())
    }
}

/// One parsed entry of `hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    text: Box<str>,
    is_suffix: bool,
    has_port: bool,
}

impl HostPattern {
    /// Parses an entry as configured, in any case. `None` if it is empty or has a `*` behind its first byte.
    pub fn new(text: &str) -> Option<Self> {
        let text: Box<str> = text.to_ascii_lowercase().into();
        let host = text.strip_prefix('*');
        let is_suffix = host.is_some();
        let host = host.unwrap_or(&text);
        if text.is_empty() || host.contains('*') {
            return None;
        }
        let has_port = without_port(host.as_bytes()).len() < host.len();
        Some(Self { text, is_suffix, has_port })
    }

    /// The text, lower case.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes that a host must be, or, for a wildcard, end with.
    pub fn literal(&self) -> &[u8] {
        self.text.strip_prefix('*').unwrap_or(&self.text).as_bytes()
    }

    /// Whether any host that ends with the literal matches.
    pub fn is_suffix(&self) -> bool {
        self.is_suffix
    }

    /// Whether the pattern is compared with the raw `Host` value, because it names a port.
    pub fn has_port(&self) -> bool {
        self.has_port
    }
}

/// What stands before the first `:` that is not inside brackets.
fn without_port(host: &[u8]) -> &[u8] {
    let literal = match host.first() {
        Some(b'[') => memchr(b']', host).unwrap_or(0),
        _ => 0,
    };
    // A host is short: a pass by hand is over before a search has begun.
    let colon = host.get(literal..).and_then(|rest| rest.iter().position(|byte| *byte == b':'));
    colon.and_then(|colon| host.get(..literal + colon)).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matched(raw: &[u8]) -> Vec<u8> {
        let mut scratch = b"untouched".to_vec();
        match matching_host(raw, &mut scratch) {
            MatchingHost::Prefix(length) => {
                assert_eq!(scratch, b"untouched");
                raw[..length].to_vec()
            }
            MatchingHost::Rewritten => scratch,
        }
    }

    #[test]
    fn port_case_and_one_trailing_dot_go() {
        for (raw, want) in [
            ("foo.com", "foo.com"),
            ("Foo.COM", "foo.com"),
            ("foo.com:8080", "foo.com"),
            ("foo.com.", "foo.com"),
            ("foo.com.:80", "foo.com"),
            ("FOO.com..", "foo.com."),
            ("foo.com:", "foo.com"),
            ("[::1]", "[::1]"),
            ("[::1]:9080", "[::1]"),
            ("[FE80::A]:1", "[fe80::a]"),
            ("[::1", "["),
            ("127.0.0.1:9080", "127.0.0.1"),
            ("", ""),
            (".", ""),
            (":80", ""),
        ] {
            assert_eq!(matched(raw.as_bytes()), want.as_bytes(), "{raw}");
        }
    }

    #[test]
    fn patterns_say_what_they_compare() {
        for (text, literal, is_suffix, has_port) in [
            ("Foo.com", "foo.com", false, false),
            ("*.foo.com", ".foo.com", true, false),
            ("*foo.com", "foo.com", true, false),
            ("*", "", true, false),
            ("foo.com:8080", "foo.com:8080", false, true),
            ("*.foo.com:8080", ".foo.com:8080", true, true),
            ("*:8080", ":8080", true, true),
            ("[::1]", "[::1]", false, false),
            ("[::1]:80", "[::1]:80", false, true),
        ] {
            let pattern = HostPattern::new(text).unwrap();
            assert_eq!(pattern.literal(), literal.as_bytes(), "{text}");
            assert_eq!((pattern.is_suffix(), pattern.has_port()), (is_suffix, has_port), "{text}");
        }
        for text in ["", "**", "a*b", "*.a*"] {
            assert_eq!(HostPattern::new(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_leaves_no_capital(raw in prop::collection::vec(any::<u8>(), 0..40)) {
            let host = matched(&raw);
            prop_assert!(!host.iter().any(u8::is_ascii_uppercase));
            prop_assert!(host.len() <= raw.len());
        }

        #[test]
        fn is_what_naive_splitting_gives(name in "[a-zA-Z0-9.-]{0,20}", port in prop::option::of(0_u16..)) {
            let raw = port.map_or_else(|| name.clone(), |port| format!("{name}:{port}"));
            let lower = name.to_lowercase();
            let want = lower.strip_suffix('.').unwrap_or(&lower);
            prop_assert_eq!(matched(raw.as_bytes()), want.as_bytes());
        }
    }
}
