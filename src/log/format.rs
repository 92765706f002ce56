//! From a record to its line.

use super::escape::Escape;
use super::json_lines;
use super::record::Record;
use super::template::Template;
use super::variable::Variable;

/// A compiled access-log format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Template(Template),
    JsonLines,
}

impl Format {
    /// Compiles the value of `access_log_format`: a template, or the word `json` for JSON lines.
    ///
    /// The second part names the variables that are not known; they print as absent.
    pub fn compile(text: &str, escape: Escape) -> (Self, Vec<String>) {
        if text == JSON_LINES {
            return (Self(Kind::JsonLines), Vec::new());
        }
        let (template, unknown) = Template::compile(text, escape);
        (Self(Kind::Template(template)), unknown)
    }

    /// Whether lines show `variable`; those of the preset `json` show no more than it names itself.
    pub fn names(&self, variable: Variable) -> bool {
        matches!(&self.0, Kind::Template(template) if template.names(variable))
    }

    /// Appends the line for `record`, with its line feed. `request_id` is hexadecimal.
    pub fn push_line(&self, out: &mut Vec<u8>, record: &Record<'_>, request_id: &[u8; 32]) {
        match &self.0 {
            Kind::Template(template) => template.push(out, record, request_id),
            Kind::JsonLines => json_lines::push(out, record, request_id),
        }
        out.push(b'\n');
    }
}

/// The `access_log_format` that selects JSON lines.
pub const JSON_LINES: &str = "json";

/// The default of `access_log_format` (spec/config-sources §7).
pub const DEFAULT: &str = "$remote_addr - $remote_user [$time_local] $http_host \"$request\" $status \
$body_bytes_sent $request_time \"$http_referer\" \"$http_user_agent\" $upstream_addr $upstream_status \
$upstream_response_time \"$upstream_scheme://$upstream_host$upstream_uri\" \"$apisix_request_id\"";

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const ID: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

    fn line(text: &str, escape: Escape, record: &Record<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        Format::compile(text, escape).0.push_line(&mut out, record, ID);
        out
    }

    #[test]
    fn golden_lines() {
        let default = "10.0.0.7 - - [23/Nov/2026:12:40:47 +0000] api.example.com \"GET /headers?a=1 HTTP/1.1\" 200 321 \
                       0.005 \"-\" \"curl/8.5.0 \\x22x\\x22\" 127.0.0.1:1980, 127.0.0.2:1981 502, 200 0.001, 0.002 \
                       \"http://api.example.com\" \"0123456789abcdef0123456789abcdef\"\n";
        let unread = "::1 - - [01/Jan/1970:00:00:00 +0000] - \"-\" 400 0 0.000 \"-\" \"-\" - - - \"http://\" \
                      \"0123456789abcdef0123456789abcdef\"\n";
        let own = r#"{"agent":"$http_user_agent","route":"$route_id","user":"$remote_user"}"#;
        let cases = [
            (DEFAULT, Escape::Default, samples::proxied(), default),
            (DEFAULT, Escape::Default, samples::unread(), unread),
            (
                own,
                Escape::Json,
                samples::proxied(),
                "{\"agent\":\"curl/8.5.0 \\\"x\\\"\",\"route\":\"jwt-route\",\"user\":\"\"}\n",
            ),
            ("$http_user_agent $remote_user|", Escape::None, samples::proxied(), "curl/8.5.0 \"x\" |\n"),
        ];
        for (text, escape, record, want) in cases {
            assert_eq!(String::from_utf8(line(text, escape, &record)).unwrap(), want, "{text}");
        }
        assert_eq!(Format::compile(DEFAULT, Escape::Default).1, Vec::<String>::new());
    }

    #[test]
    fn json_lines_have_every_field() {
        let value: Value = serde_json::from_slice(&line(JSON_LINES, Escape::Default, &samples::proxied())).unwrap();
        let want = json!({
            "time": "2026-11-23T12:40:47.123Z", "remote_addr": "10.0.0.7", "method": "GET", "uri": "/headers?a=1",
            "host": "api.example.com", "status": 200, "body_bytes_sent": 321, "request_time": 0.005,
            "upstream_addr": "127.0.0.1:1980, 127.0.0.2:1981", "upstream_status": "502, 200",
            "upstream_response_time": "0.001, 0.002", "route_id": "jwt-route", "service_id": "", "consumer": "jack",
            "referer": "", "user_agent": "curl/8.5.0 \"x\"", "request_id": "0123456789abcdef0123456789abcdef",
        });
        assert_eq!(value, want);
    }

    proptest! {
        #[test]
        fn json_lines_always_parse(owned in samples::any()) {
            let record = owned.record();
            let line = line(JSON_LINES, Escape::Default, &record);
            let value: Value = serde_json::from_slice(&line).unwrap();
            for (name, want) in [("uri", record.target), ("user_agent", record.user_agent), ("host", record.host)] {
                prop_assert_eq!(&value[name], &*String::from_utf8_lossy(want));
            }
            prop_assert_eq!(&value["status"], record.status);
            prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        }

        #[test]
        fn default_lines_have_no_control_byte_and_only_their_own_quotes(owned in samples::any()) {
            let line = line(DEFAULT, Escape::Default, &owned.record());
            let (end, inside) = line.split_last().unwrap();
            prop_assert_eq!(*end, b'\n');
            prop_assert!(inside.iter().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert_eq!(inside.split(|byte| *byte == b'"').count(), 1 + 10);
        }

        #[test]
        fn any_template_compiles(text in "(\\$|\\{|\\}|[a-z_ ]|status|\\PC){0,40}", owned in samples::any()) {
            line(&text, Escape::Default, &owned.record());
        }
    }
}
