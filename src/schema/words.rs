//! How values are named in failures: as Lua would, because clients of the original know those words.

use serde_json::{Number, Value};

/// What Lua calls the type of a decoded JSON value.
pub fn lua_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "userdata",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) | Value::Object(_) => "table",
    }
}

/// A JSON number as Lua prints it (`%.14g`).
pub fn lua_number(number: &Number) -> String {
    number.as_f64().map_or_else(|| number.to_string(), lua_float)
}

/// A float as Lua prints it: at most 14 significant digits, no trailing zeros, an exponent beyond 10¹⁴ and 10⁻⁵.
pub fn lua_float(float: f64) -> String {
    if float == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{float:.13e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let Ok(exponent) = exponent.parse::<i32>() else { return scientific };
    if (-4..14).contains(&exponent) {
        let decimals = usize::try_from(13 - exponent).unwrap_or_default();
        return trim_zeros(&format!("{float:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim_zeros(mantissa), exponent.abs())
}

fn trim_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_in_lua() {
        for (number, want) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-3.0, "-3"),
            (0.5, "0.5"),
            (0.1 + 0.2, "0.3"),
            (65_536.0, "65536"),
            (1e13, "10000000000000"),
            (1e14, "1e+14"),
            (123_456_789_012_345_678.0, "1.2345678901235e+17"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (2.5e-7, "2.5e-07"),
        ] {
            assert_eq!(lua_float(number), want, "{number}");
        }
    }
}
