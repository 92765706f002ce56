//! Any JSON is judged as `vars` without a panic, alike by the check and by the parser; what is accepted obeys logic.
//!
//! Input: JSON up to the first line feed; what follows is the request's query, host and one field.

use ringgate::http::request::OwnedRequest;
use ringgate::vars::{Expression, Known, check};
use serde_json::{Value, json};

pub(crate) fn holds(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let Ok(vars) = serde_json::from_slice::<Value>(parts.next().unwrap_or_default()) else { return };
    let text = parts.next().unwrap_or_default();

    let parsed = Expression::parse(&vars);
    match (&parsed, check(&vars)) {
        (Ok(_), Ok(())) => {}
        (Err(error), Err(told)) => assert_eq!(error.to_string(), told),
        (parsed, checked) => panic!("parsed to {parsed:?}, checked to {checked:?}"),
    }
    let Ok(expression) = parsed else { return };
    let request = OwnedRequest::new("GET", &format!("/p?{}", String::from_utf8_lossy(text)))
        .field("host", text)
        .field("cookie", text)
        .field("x-real-ip", text);
    let holds = |expression: &Expression| expression.holds(&Known::of(&request.view()));
    let truth = holds(&expression);
    for (logic, want) in [("AND", truth), ("OR", truth), ("!AND", !truth), ("!OR", !truth)] {
        // One list more around it may be one too many.
        if let Ok(twice) = Expression::parse(&json!([logic, vars, vars])) {
            assert_eq!(holds(&twice), want, "{logic}");
        }
    }
}
