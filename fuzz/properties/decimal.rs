//! A run of digits means what the standard library says it means, and nothing else is a number.

use ringgate::base::bytes::{decimal, push_decimal};

pub(crate) fn holds(input: &[u8]) {
    let digits_only = !input.is_empty() && input.iter().all(u8::is_ascii_digit);
    let expected = std::str::from_utf8(input).ok().filter(|_| digits_only).and_then(|text| text.parse::<u64>().ok());
    assert_eq!(decimal(input), expected);

    if let Some(value) = expected {
        let mut out = Vec::new();
        push_decimal(&mut out, value);
        assert_eq!(decimal(&out), Some(value));
        assert!(out.len() <= input.len(), "the shortest form has no leading zeros");
    }
}
