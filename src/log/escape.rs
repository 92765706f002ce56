//! How the bytes of a value are made safe for a line (nginx `log_format … escape=`).

/// The ways of `access_log_format_escape`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// `"`, `\` and everything outside printable ASCII as `\xHH`; an absent value is `-`.
    #[default]
    Default,
    /// For the inside of a JSON string; an absent value is empty. Bytes that are not UTF-8 become U+FFFD, so that
    /// the line stays JSON (nginx would pass them on).
    Json,
    /// As it is; an absent value is empty. A value can then break the line's form: for trusted formats only.
    None,
}

impl Escape {
    /// The way that `access_log_format_escape` names, if there is one of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::Default),
            "json" => Some(Self::Json),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    /// Appends `value`, escaped; an empty one counts as absent.
    pub(super) fn push_or_absent(self, out: &mut Vec<u8>, value: &[u8]) {
        if value.is_empty() && self == Self::Default {
            out.push(b'-');
        } else {
            self.push(out, value);
        }
    }

    /// Appends `value`, escaped.
    pub fn push(self, out: &mut Vec<u8>, value: &[u8]) {
        match self {
            Self::Default => push_default(out, value),
            Self::Json => push_json(out, value),
            Self::None => out.extend_from_slice(value),
        }
    }
}

fn push_default(out: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        if matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\' {
            out.push(byte);
        } else {
            out.extend_from_slice(b"\\x");
            push_hex(out, byte, HEX_UPPER);
        }
    }
}

/// RFC 8259 §7: quote, backslash and the control characters must be escaped, and nothing else.
fn push_json(out: &mut Vec<u8>, value: &[u8]) {
    for chunk in value.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0x08 => out.extend_from_slice(b"\\b"),
                0x0c => out.extend_from_slice(b"\\f"),
                0..0x20 => {
                    out.extend_from_slice(b"\\u00");
                    push_hex(out, byte, HEX_UPPER);
                }
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Appends a byte as two digits out of `digits`.
pub(super) fn push_hex(out: &mut Vec<u8>, byte: u8, digits: &[u8; 16]) {
    for nibble in [byte >> 4, byte & 15] {
        out.extend(digits.get(usize::from(nibble)));
    }
}

const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(escape: Escape, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        escape.push_or_absent(&mut out, value);
        out
    }

    #[test]
    fn each_way_has_its_form() {
        let cases: [(&[u8], &str, &str); 6] = [
            (b"", "-", ""),
            (b"curl/8", "curl/8", "curl/8"),
            (b"a\"b\\c", r"a\x22b\x5Cc", r#"a\"b\\c"#),
            (b"\x00\x1f\n\x7f", r"\x00\x1F\x0A\x7F", "\\u0000\\u001F\\n\x7f"),
            ("gr\u{fc}n".as_bytes(), r"gr\xC3\xBCn", "gr\u{fc}n"),
            (b"\xff!", r"\xFF!", "\u{fffd}!"),
        ];
        for (value, default, json) in cases {
            assert_eq!(escaped(Escape::Default, value), default.as_bytes(), "default of {value:?}");
            assert_eq!(escaped(Escape::Json, value), json.as_bytes(), "json of {value:?}");
            assert_eq!(escaped(Escape::None, value), value, "none of {value:?}");
        }
    }

    #[test]
    fn names_are_those_of_the_configuration() {
        assert_eq!(Escape::named("default"), Some(Escape::Default));
        assert_eq!(Escape::named("json"), Some(Escape::Json));
        assert_eq!(Escape::named("none"), Some(Escape::None));
        assert_eq!(Escape::named("JSON"), None);
    }

    proptest! {
        #[test]
        fn default_is_printable_and_has_no_quote(value in prop::collection::vec(any::<u8>(), 0..64)) {
            let out = escaped(Escape::Default, &value);
            prop_assert!(out.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'"'));
        }

        #[test]
        fn json_says_what_a_lossy_reading_says(value in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut out = vec![b'"'];
            out.extend(escaped(Escape::Json, &value));
            out.push(b'"');
            let back: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(back, String::from_utf8_lossy(&value));
        }
    }
}
