//! Where the text is JSON already, the reader of Admin API bodies yields the same value, with and without comment
//! lines; where it is not, what the reader accepts is JSON once those lines are gone.

use ringgate::admin::parse_body;
use serde_json::Value;

pub(crate) fn holds(input: &[u8]) {
    let body = parse_body(input);
    if input.is_empty() {
        assert!(matches!(body, Ok(None)));
        return;
    }
    let json = serde_json::from_slice::<Value>(input).ok();
    if let Some(json) = &json {
        let body = body.as_ref().expect("JSON is accepted");
        assert_eq!(body.as_ref(), Some(json));
        let pretty = serde_json::to_string_pretty(json).expect("a value can be written");
        let commented: Vec<String> = pretty.lines().map(|line| format!(" # {{\"\\\n{line}\r\n")).collect();
        // Read again: a float of many digits need not survive being written.
        let again: Value = serde_json::from_str(&pretty).expect("what was written is JSON");
        assert_eq!(parse_body(commented.concat().as_bytes()).expect("comments are accepted"), Some(again));
    }
    if let Ok(Some(value)) = body {
        // No string of JSON holds a raw line feed, so each line starts outside of strings.
        let lines = input.split(|byte| *byte == b'\n').filter(|line| !is_comment(line)).collect::<Vec<_>>();
        let plain: Value = serde_json::from_slice(&lines.join(&b'\n')).expect("JSON without the comment lines");
        assert_eq!(value, plain);
    }
}

fn is_comment(line: &[u8]) -> bool {
    line.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r')) == Some(&b'#')
}
