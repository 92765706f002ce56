//! `count` and `time_window`: numbers, or templates that a request makes numbers of (spec/limit-count §4).

use crate::vars::{self, Known, Template, VarsError};
use serde_json::Value;

/// A whole number from 1 to 2^53 − 1.
#[derive(Debug)]
pub(super) enum Amount {
    Known(u64),
    Template(Template),
}

/// Why a request's value is no such number. The texts are the original's.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub(super) enum AmountError {
    #[error("resolved value is not a number")]
    NotNumber,
    #[error("resolved value must be a positive number, got: {0}")]
    NotPositive(f64),
    #[error("resolved value must be an integer, got: {0}")]
    NotWhole(f64),
    #[error("resolved value exceeds safe integer range (2^53-1), got: {0}")]
    TooLarge(f64),
}

impl Amount {
    /// Reads what the schema has let through.
    pub(super) fn read(value: Option<&Value>) -> Result<Self, String> {
        match value {
            Some(Value::String(text)) => {
                let template = Template::parse(text).map_err(|error: VarsError| error.to_string())?;
                Ok(match template.constant().and_then(|text| amount(text).ok()) {
                    Some(number) => Self::Known(number),
                    None => Self::Template(template),
                })
            }
            Some(Value::Number(number)) => {
                let whole = number.as_f64().and_then(|float| whole(float).ok());
                whole.map(Self::Known).ok_or_else(|| "not a positive whole number".to_owned())
            }
            _ => Err("neither a number nor a text".to_owned()),
        }
    }

    /// Its value for a request. `scratch` is left as it was.
    #[inline]
    pub(super) fn of(&self, known: &Known<'_>, scratch: &mut Vec<u8>) -> Result<u64, AmountError> {
        let template = match self {
            Self::Known(number) => return Ok(*number),
            Self::Template(template) => template,
        };
        let start = scratch.len();
        template.expand(known, scratch);
        let resolved = amount(scratch.get(start..).unwrap_or_default());
        scratch.truncate(start);
        resolved
    }

    pub(super) fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

fn amount(text: &[u8]) -> Result<u64, AmountError> {
    whole(vars::number(text).ok_or(AmountError::NotNumber)?)
}

fn whole(float: f64) -> Result<u64, AmountError> {
    if float <= 0.0 {
        return Err(AmountError::NotPositive(float));
    }
    if float.is_finite() && float.fract() != 0.0 {
        return Err(AmountError::NotWhole(float));
    }
    if float > WHOLE_MAX {
        return Err(AmountError::TooLarge(float));
    }
    Ok(float as u64)
}

/// 2^53 − 1: beyond, floats skip whole numbers.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_whole_positive_numbers() {
        for (text, want) in [
            ("5", Ok(5)),
            (" 5 ", Ok(5)),
            ("1e3", Ok(1000)),
            ("0x10", Ok(16)),
            ("5.0", Ok(5)),
            ("9007199254740991", Ok(9_007_199_254_740_991)),
            ("", Err("resolved value is not a number")),
            ("many", Err("resolved value is not a number")),
            ("0", Err("resolved value must be a positive number, got: 0")),
            ("-3", Err("resolved value must be a positive number, got: -3")),
            ("1.5", Err("resolved value must be an integer, got: 1.5")),
            ("9007199254740992", Err("resolved value exceeds safe integer range (2^53-1), got: 9007199254740992")),
            ("1e999", Err("resolved value exceeds safe integer range (2^53-1), got: inf")),
        ] {
            assert_eq!(
                amount(text.as_bytes()).map_err(|error| error.to_string()),
                want.map_err(str::to_owned),
                "{text}"
            );
        }
    }
}
