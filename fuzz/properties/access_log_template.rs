//! Any template compiles, and no value breaks the form of its line.
//!
//! Input: the template up to the first line feed; what follows is every text of a record.

use ringgate::log::record::Record;
use ringgate::log::{Escape, Format, format};
use std::net::{Ipv4Addr, SocketAddr};

const ID: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

pub(crate) fn holds(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let template = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let text = parts.next().unwrap_or_default();
    let record = Record {
        unix_us: text.len() as u64,
        request_us: 1,
        client: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        method: text,
        target: text,
        minor_version: 1,
        host: text,
        upstream_host: text,
        referer: text,
        user_agent: text,
        status: 200,
        body_bytes_sent: 1,
        tries: &[],
        route_id: text,
        service_id: text,
        consumer: text,
        rate_limiting_info: text,
    };

    // Each unknown variable is named once, and is one that a template can name.
    let (compiled, unknown) = Format::compile(&template, Escape::Default);
    for name in &unknown {
        assert!(template.contains(name.as_str()), "{name} is not in {template}");
        assert_eq!(unknown.iter().filter(|other| *other == name).count(), 1, "{name} is named twice");
    }
    let line = line(&compiled, &record);
    assert_eq!(line.last(), Some(&b'\n'));

    // The template's own text is printable here, so every other byte could only come from a value.
    if template.bytes().all(|byte| matches!(byte, b' '..=b'~')) && template != format::JSON_LINES {
        let (_, inside) = line.split_last().expect("a line has a line feed");
        assert!(inside.iter().all(|byte| matches!(byte, b' '..=b'~')), "a raw byte reached the line");
        if !template.contains('"') {
            assert!(!inside.contains(&b'"'), "a quote reached the line");
        }
    }

    let json = self::line(&Format::compile(format::JSON_LINES, Escape::Default).0, &record);
    let value: serde_json::Value = serde_json::from_slice(&json).expect("a JSON line parses");
    assert_eq!(value["uri"], *String::from_utf8_lossy(text));
}

fn line(format: &Format, record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    format.push_line(&mut out, record, ID);
    out
}
