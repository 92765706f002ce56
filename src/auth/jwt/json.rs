//! One JSON object, read once, without building a value.
//!
//! Decoded bytes of a token part in, its top-level members out, in order and borrowed from those bytes. Runs twice
//! per token, before anything about it can be trusted. Never recurses, never panics, allocates only while the
//! reused buffers grow. Bench: `auth/claims`; the oracle in tests is `serde_json`.

use simd_json::{Buffers, Node, StaticNode, Tape};
use std::fmt;

/// The value of a top-level member, as far as authentication looks into it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Member<'a> {
    /// A string, unescaped.
    Text(&'a str),
    /// A number. Integers beyond 2⁵³ are rounded, which cannot change how they compare with a date.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An object or an array; nothing in it is looked at.
    Nested,
}

/// Why bytes are not a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonError {
    /// Not exactly one JSON text (RFC 8259), or nested deeper than [`NESTING_MAX`].
    Syntax,
    /// JSON, and not an object.
    NotObject,
}

/// Parser memory that one worker reuses for every token.
pub struct Reader {
    buffers: Buffers,
    /// Empty between calls: it lends its memory to one parse and gets it back.
    tape: Tape<'static>,
}

impl Reader {
    /// Hands every top-level member of the object `json` to `visit`, in order; a repeated name comes repeatedly.
    ///
    /// Strings are unescaped in place, so the bytes of `json` change.
    pub fn members<'a>(
        &mut self,
        json: &'a mut [u8],
        mut visit: impl FnMut(&'a str, Member<'a>),
    ) -> Result<(), JsonError> {
        let mut tape: Tape<'a> = std::mem::replace(&mut self.tape, Tape(Vec::new()));
        let parsed = simd_json::fill_tape(json, &mut self.buffers, &mut tape);
        let result = match parsed {
            Ok(()) => walk(&tape.0, &mut visit),
            Err(_) => Err(JsonError::Syntax),
        };
        self.tape = tape.reset();
        result
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self { buffers: Buffers::with_max_depth(INPUT_BYTES_USUAL, NESTING_MAX), tape: Tape(Vec::new()) }
    }
}

impl fmt::Debug for Reader {
    /// Shows nothing of what was parsed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// The tape holds an object's header, then name, value, name, value …; a nested value is its header and `count`
/// further nodes.
fn walk<'a>(tape: &[Node<'a>], visit: &mut impl FnMut(&'a str, Member<'a>)) -> Result<(), JsonError> {
    let Some((Node::Object { .. }, mut rest)) = tape.split_first() else {
        return Err(JsonError::NotObject);
    };
    while let [Node::String(name), value, ..] = rest {
        let (member, value_nodes) = match value {
            Node::String(text) => (Member::Text(text), 1),
            Node::Static(node) => (scalar(*node), 1),
            Node::Object { count, .. } | Node::Array { count, .. } => (Member::Nested, count.saturating_add(1)),
        };
        visit(name, member);
        rest = rest.get(value_nodes.saturating_add(1)..).unwrap_or_default();
    }
    Ok(())
}

fn scalar(node: StaticNode) -> Member<'static> {
    match node {
        StaticNode::I64(number) => Member::Number(number as f64),
        StaticNode::U64(number) => Member::Number(number as f64),
        StaticNode::F64(number) => Member::Number(number),
        StaticNode::Bool(flag) => Member::Bool(flag),
        StaticNode::Null => Member::Null,
    }
}

/// Objects and arrays within each other. Claims nest two or three levels; `serde_json` stops at the same depth.
pub const NESTING_MAX: usize = 128;

/// What the buffers hold before they first grow.
const INPUT_BYTES_USUAL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    type Members = Vec<(String, String)>;

    fn read(json: &[u8]) -> Result<Members, JsonError> {
        read_with(&mut Reader::default(), json)
    }

    fn read_with(reader: &mut Reader, json: &[u8]) -> Result<Members, JsonError> {
        let mut bytes = json.to_vec();
        let mut members = Vec::new();
        reader.members(&mut bytes, |name, member| members.push((name.to_owned(), format!("{member:?}"))))?;
        Ok(members)
    }

    fn shown(value: &Value) -> String {
        let member = match value {
            Value::String(text) => Member::Text(text),
            Value::Number(number) => Member::Number(number.as_f64().unwrap()),
            Value::Bool(flag) => Member::Bool(*flag),
            Value::Null => Member::Null,
            Value::Array(_) | Value::Object(_) => Member::Nested,
        };
        format!("{member:?}")
    }

    #[test]
    fn members_come_in_order_and_repeatedly() {
        let json = br#" {"a":"x","n":[1,{"a":"inner"}],"o":{"a":{"a":1}},"a":"y\n","f":1.5,"t":true,"z":null} "#;
        let want = [
            ("a", "Text(\"x\")"),
            ("n", "Nested"),
            ("o", "Nested"),
            ("a", "Text(\"y\\n\")"),
            ("f", "Number(1.5)"),
            ("t", "Bool(true)"),
            ("z", "Null"),
        ];
        let want: Members = want.map(|(name, member)| (name.to_owned(), member.to_owned())).to_vec();
        assert_eq!(read(json), Ok(want));
        assert_eq!(read(b"{}"), Ok(Vec::new()));
    }

    #[test]
    fn one_object_and_nothing_else() {
        let refused: [&[u8]; 29] = [
            b"",
            b" ",
            b"{",
            b"{\"a\"",
            b"{\"a\":",
            b"{\"a\":1",
            b"{\"a\":1}x",
            b"{\"a\":1}{}",
            b"{\"a\":1}\0",
            b"\xef\xbb\xbf{\"a\":1}",
            b"{'a':1}",
            b"{a:1}",
            b"{\"a\":NaN}",
            b"{\"a\":Infinity}",
            b"{\"a\":-Infinity}",
            b"{\"a\":0x10}",
            b"{\"a\":01}",
            b"{\"a\":1.}",
            b"{\"a\":.5}",
            b"{\"a\":+1}",
            b"{\"a\":1,}",
            b"{\"a\":[1,]}",
            b"{\"a\":\"\n\"}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\\ud800\"}",
            b"{\"a\":\"\\x41\"}",
            b"{\"a\":tru}",
            b"{\"a\" \"b\"}",
            b"{\"a\":1 \"b\":2}",
        ];
        for json in refused {
            assert_eq!(read(json), Err(JsonError::Syntax), "{:?}", String::from_utf8_lossy(json));
        }
        for json in ["5", "-1", "1.5", "null", "true", "false", "\"key\"", "[]", "[\"key\",\"x\"]", "[{\"a\":1}]"] {
            assert_eq!(read(json.as_bytes()), Err(JsonError::NotObject), "{json}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{{\"d\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(NESTING_MAX - 1).as_bytes()).is_ok());
        assert_eq!(read(nested(NESTING_MAX).as_bytes()), Err(JsonError::Syntax));
        assert_eq!(read(nested(100_000).as_bytes()), Err(JsonError::Syntax));
        assert_eq!(read("[".repeat(100_000).as_bytes()), Err(JsonError::Syntax));
        assert_eq!(read("{\"a\":".repeat(10_000).as_bytes()), Err(JsonError::Syntax));
    }

    #[test]
    fn numbers_beyond_a_float_are_refused() {
        for json in ["1e309", "-1e400", "1e99999999999", &"9".repeat(400)] {
            assert_eq!(read(format!("{{\"exp\":{json}}}").as_bytes()), Err(JsonError::Syntax), "{json}");
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_numbers() {
        for (json, want) in [
            ("18446744073709551615", 18_446_744_073_709_551_615.0),
            ("18446744073709551616", 18_446_744_073_709_551_616.0),
            ("-99999999999999999999", -99_999_999_999_999_999_999.0),
            ("1e300", 1e300),
            ("-0", 0.0),
            ("4102444800.5", 4_102_444_800.5),
        ] {
            let members = read(format!("{{\"exp\":{json}}}").as_bytes()).expect(json);
            let got = members[0].1.strip_prefix("Number(").and_then(|text| text.strip_suffix(')')).expect(json);
            assert!((got.parse::<f64>().unwrap() - want).abs() <= f64::EPSILON * want.abs(), "{json}: {got}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn never_panics(json in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&json);
        }

        /// Text made of JSON's own tokens is accepted or refused as the oracle does, and means the same; also when
        /// the reader's buffers are dirty from another text.
        #[test]
        fn agrees_with_the_oracle(
            tokens in proptest::collection::vec(proptest::sample::select(TOKENS.to_vec()), 0..24),
            before in proptest::collection::vec(proptest::sample::select(TOKENS.to_vec()), 0..24),
        ) {
            let mut reader = Reader::default();
            let _ = read_with(&mut reader, format!("{{\"a\":{}", before.concat()).as_bytes());
            let json = format!("{{\"a\":{}", tokens.concat());
            let got = read_with(&mut reader, json.as_bytes());
            match serde_json::from_str::<Value>(&json) {
                Ok(Value::Object(want)) => {
                    let got = got.expect("the oracle accepts");
                    for (name, value) in &want {
                        let last = got.iter().rev().find(|(got_name, _)| got_name == name).expect("every name");
                        prop_assert_eq!(&last.1, &shown(value));
                    }
                }
                Ok(_) => prop_assert_eq!(got, Err(JsonError::NotObject)),
                Err(_) => prop_assert_eq!(got, Err(JsonError::Syntax), "{}", json),
            }
        }
    }

    const TOKENS: &[&str] = &[
        "}",
        "}",
        "]",
        "{",
        "[",
        ":",
        ",",
        ",\"b\":",
        "\"c\":",
        "\"a\"",
        "\"\\u0041\"",
        "\"\\n\"",
        "\"\\\\\"",
        "\"",
        "\\",
        "1",
        "0",
        "-",
        "1.5",
        "1e3",
        "e",
        ".",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\t",
        "\u{1}",
        "é",
        "{}",
        "[]",
        "[1,2]",
        "{\"a\":1}",
    ];
}
