//! One comparison of `vars`: a variable, an operator, a value (spec/routing-and-upstreams §3, the operator table).

use super::variable::Variable;
use super::{Known, VarsError};
use crate::base::network::network;
use ipnet::IpNet;
use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;
use std::cmp::Ordering;

/// A parsed comparison.
#[derive(Debug, Clone)]
pub(super) struct Comparison {
    variable: Variable,
    is_negated: bool,
    test: Test,
}

/// An operator with its value, ready to apply. An absent variable is `None`.
#[derive(Debug, Clone)]
enum Test {
    Equal(Literal),
    NotEqual(Literal),
    /// Which orders of variable to bound are right; without a bound none is.
    Ordered(fn(Ordering) -> bool, Option<f64>),
    Matches(Regex),
    OneOf(Box<[Box<[u8]>]>),
    Within(Box<[IpNet]>),
    /// `has`: no variable of a request is a list.
    Never,
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Absent,
    Text(Box<[u8]>),
    Number(f64),
    /// A boolean or a structure: variables are texts, so none equals it.
    Foreign,
}

impl Comparison {
    /// Parses `[var, op, value]`, `[var, "!", op, value]` or `[var, value]`, the last of which means `==`.
    pub(super) fn parse(list: &[Value]) -> Result<Self, VarsError> {
        let (variable, is_negated, test) = match list {
            [variable, value] => match value.as_str().map(|operator| Test::new(operator, &Value::Null)) {
                // A known operator without a value compares with absence.
                Some(known) if !matches!(known, Err(VarsError::InvalidOperator(_))) => (variable, false, known?),
                _ => (variable, false, Test::Equal(Literal::new(value))),
            },
            [variable, operator, value] => (variable, false, Test::of(operator, value)?),
            [variable, not, operator, value] if not == "!" => (variable, true, Test::of(operator, value)?),
            [_, _, _, _] => return Err(VarsError::BadNot),
            // Members beyond the fourth would never be looked at.
            _ => return Err(VarsError::InvalidExpression),
        };
        let name = variable.as_str().ok_or(VarsError::InvalidExpression)?;
        if super::unavailable(name) {
            return Err(VarsError::Unavailable(name.to_owned()));
        }
        Ok(Self { variable: Variable::named(name), is_negated, test })
    }

    /// The variable's name, if there is no variable of that name.
    pub(super) fn unknown(&self) -> Option<&str> {
        match &self.variable {
            Variable::Unknown(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn holds(&self, known: &Known<'_>) -> bool {
        let holds = match &self.test {
            Test::Never => false,
            Test::Within(networks) => self
                .variable
                .address(known)
                .is_some_and(|address| networks.iter().any(|network| network.contains(&address))),
            test => test.holds(self.variable.value(known).as_deref()),
        };
        holds != self.is_negated
    }
}

impl Test {
    fn of(operator: &Value, value: &Value) -> Result<Self, VarsError> {
        match operator.as_str() {
            Some(operator) => Self::new(operator, value),
            None => Err(VarsError::InvalidOperator(operator.to_string())),
        }
    }

    fn new(operator: &str, value: &Value) -> Result<Self, VarsError> {
        let operator = operator.to_ascii_lowercase();
        Ok(match operator.as_str() {
            "==" => Self::Equal(Literal::new(value)),
            "~=" => Self::NotEqual(Literal::new(value)),
            ">" => Self::Ordered(Ordering::is_gt, bound(value)),
            ">=" => Self::Ordered(Ordering::is_ge, bound(value)),
            "<" => Self::Ordered(Ordering::is_lt, bound(value)),
            "<=" => Self::Ordered(Ordering::is_le, bound(value)),
            "~~" => Self::Matches(regex(value, false)?),
            "~*" => Self::Matches(regex(value, true)?),
            "in" => Self::OneOf(texts(value)),
            "has" => Self::Never,
            "ipmatch" => Self::Within(networks(value)?),
            _ => return Err(VarsError::InvalidOperator(operator)),
        })
    }

    fn holds(&self, variable: Option<&[u8]>) -> bool {
        match self {
            Self::Equal(literal) => literal.equals(variable),
            Self::NotEqual(literal) => !literal.equals(variable),
            Self::Ordered(is_right, bound) => {
                let order = variable.and_then(number).zip(*bound).and_then(|(left, right)| left.partial_cmp(&right));
                order.is_some_and(is_right)
            }
            Self::Matches(regex) => variable.is_some_and(|text| regex.is_match(text)),
            Self::OneOf(texts) => variable.is_some_and(|text| texts.iter().any(|one| one.as_ref() == text)),
            Self::Within(_) | Self::Never => false,
        }
    }
}

impl Literal {
    fn new(value: &Value) -> Self {
        match value {
            Value::Null => Self::Absent,
            Value::String(text) => Self::Text(text.as_bytes().into()),
            Value::Number(number) => number.as_f64().map_or(Self::Foreign, Self::Number),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => Self::Foreign,
        }
    }

    fn equals(&self, variable: Option<&[u8]>) -> bool {
        match self {
            Self::Absent => variable.is_none(),
            Self::Text(text) => variable == Some(text),
            Self::Number(right) => {
                variable.and_then(number).is_some_and(|left| left.partial_cmp(right) == Some(Ordering::Equal))
            }
            Self::Foreign => false,
        }
    }
}

fn bound(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => number(text.as_bytes()),
        _ => None,
    }
}

/// A decimal or `0x` number, as Lua reads one: white space around it and a sign are fine, words are not.
pub fn number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, text.get(1..)?),
        b'+' => (1.0, text.get(1..)?),
        _ => (1.0, text),
    };
    let magnitude = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(hex, 16).ok().filter(|_| is_hex)? as f64
    } else {
        // The first byte tells digits from a second sign and from the words that Rust takes for numbers.
        let is_decimal = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
        digits.parse().ok().filter(|_| is_decimal)?
    };
    Some(sign * magnitude)
}

fn regex(pattern: &Value, ignores_case: bool) -> Result<Regex, VarsError> {
    let pattern = match pattern {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(VarsError::InvalidExpression),
    };
    let built = RegexBuilder::new(&pattern)
        .unicode(false)
        .case_insensitive(ignores_case)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_CACHE_BYTES_MAX)
        .build();
    built.map_err(|error| {
        // A syntax error draws the pattern over several lines; the last says what is wrong.
        let drawing = error.to_string();
        let cause = drawing.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        VarsError::Regex { pattern, cause }
    })
}

/// The texts of a list. Numbers and the like are left out: types are strict, so they equal no variable.
fn texts(value: &Value) -> Box<[Box<[u8]>]> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|one| one.as_str().map(|text| text.as_bytes().into())).collect()
}

fn networks(value: &Value) -> Result<Box<[IpNet]>, VarsError> {
    let parse = |one: &Value| one.as_str().and_then(network).ok_or(VarsError::InvalidAddress);
    match value {
        Value::Array(list) if !list.is_empty() => list.iter().map(parse).collect(),
        one => Ok(Box::new([parse(one)?])),
    }
}

/// Largest compiled regular expression.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Memory one regular expression may use per worker while it matches.
const REGEX_CACHE_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_lua_reads_them() {
        for (text, want) in [
            ("0", 0.0),
            ("-1.5", -1.5),
            (" +7 ", 7.0),
            ("1e3", 1000.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("0x1F", 31.0),
            ("-0x10", -16.0),
        ] {
            assert_eq!(number(text.as_bytes()), Some(want), "{text}");
        }
        for text in ["", " ", "-", "+-1", "inf", "nan", "-infinity", "1x", "0x", "0x+1", "0xg", "1 2", ".", "e5", "1_0"]
        {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn patterns_see_bytes() {
        let dot = regex(&Value::from("^.$"), false).unwrap();
        assert!(dot.is_match(b"\xff"));
        assert!(!dot.is_match("\u{e9}".as_bytes()));
    }
}
