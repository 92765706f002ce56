//! A template of `$name` and `${name}`, compiled once into segments.

use super::escape::Escape;
use super::record::Record;
use super::variable::Variable;

/// A compiled template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    segments: Vec<Segment>,
    escape: Escape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// Printed as it stands.
    Text(Box<[u8]>),
    /// Replaced by the record's value.
    Known(Variable),
    /// A name that no variable has: always absent.
    Unknown,
}

impl Template {
    /// Compiles `text`; also names the variables that are not known, each once, in order.
    ///
    /// A name takes as many of `A-Z a-z 0-9 _` as there are. A `$` that starts no name stands for itself.
    pub(super) fn compile(text: &str, escape: Escape) -> (Self, Vec<String>) {
        let mut segments = Vec::new();
        let mut unknown: Vec<String> = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            let Some((name, behind)) = leading_name(after) else {
                literal.push('$');
                rest = after;
                continue;
            };
            flush(&mut segments, &mut literal);
            segments.push(Variable::named(name).map_or(Segment::Unknown, Segment::Known));
            if Variable::named(name).is_none() && !unknown.iter().any(|known| known == name) {
                unknown.push(name.to_owned());
            }
            rest = behind;
        }
        literal.push_str(rest);
        flush(&mut segments, &mut literal);
        (Self { segments, escape }, unknown)
    }

    /// Whether `variable` is shown.
    pub(super) fn names(&self, variable: Variable) -> bool {
        self.segments.contains(&Segment::Known(variable))
    }

    /// Appends the line for `record`, without a line feed.
    pub(super) fn push(&self, out: &mut Vec<u8>, record: &Record<'_>, request_id: &[u8; 32]) {
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => out.extend_from_slice(text),
                Segment::Known(variable) => variable.push(out, self.escape, record, request_id),
                Segment::Unknown => self.escape.push_or_absent(out, b""),
            }
        }
    }
}

/// Splits the name of a variable, with or without braces, off the front of what follows a `$`.
fn leading_name(after: &str) -> Option<(&str, &str)> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if let Some(inside) = after.strip_prefix('{') {
        return inside.split_once('}').filter(|(name, _)| !name.is_empty() && name.bytes().all(is_name));
    }
    let length = after.bytes().take_while(|byte| is_name(*byte)).count();
    after.split_at_checked(length).filter(|(name, _)| !name.is_empty())
}

fn flush(segments: &mut Vec<Segment>, literal: &mut String) {
    if !literal.is_empty() {
        segments.push(Segment::Text(std::mem::take(literal).into_bytes().into()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn names_end_where_they_must() {
        let cases = [
            ("", "", &[][..]),
            ("plain", "plain", &[]),
            ("$status", "200", &[]),
            ("${status}ms", "200ms", &[]),
            ("$status$status", "200200", &[]),
            ("$statusms", "-", &["statusms"]),
            ("[$status]", "[200]", &[]),
            ("$$status $", "$200 $", &[]),
            ("${status", "${status", &[]),
            ("${} ${a b} $-", "${} ${a b} $-", &[]),
            ("$http_x $bytes ${http_x}", "- - -", &["http_x", "bytes"]),
            ("gr\u{fc}n $status", "gr\u{fc}n 200", &[]),
        ];
        for (text, want, want_unknown) in cases {
            let (template, unknown) = Template::compile(text, Escape::Default);
            let mut out = Vec::new();
            template.push(&mut out, &samples::proxied(), &[b'0'; 32]);
            assert_eq!(String::from_utf8(out).unwrap(), want, "{text}");
            assert_eq!(unknown, want_unknown, "{text}");
        }
    }
}
