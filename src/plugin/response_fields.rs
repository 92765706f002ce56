//! Fields that plugins add to the response, rendered where they are set.

use std::ops::Range;

/// Field lines for the response to the client; each name once. Those of an upstream's response give way.
///
/// A handful at most, so a scan is the fastest index. Allocates until its memory has grown to what requests need.
#[derive(Debug, Default)]
pub struct ResponseFields {
    /// Whole lines, those that were replaced included.
    text: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    name: Range<usize>,
    end: usize,
}

impl ResponseFields {
    /// Sets the field `name`, which must be a token, to what `value` appends, which must be a field value; an earlier
    /// one of that name is replaced.
    pub fn set(&mut self, name: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        let Self { text, lines } = self;
        lines.retain(|line| !text.get(line.name.clone()).unwrap_or_default().eq_ignore_ascii_case(name));
        let start = text.len();
        text.extend_from_slice(name);
        let name = start..text.len();
        text.extend_from_slice(b": ");
        value(text);
        text.extend_from_slice(b"\r\n");
        lines.push(Line { name, end: text.len() });
    }

    /// Whether `name` is set, compared without case.
    #[inline]
    pub fn has(&self, name: &[u8]) -> bool {
        self.lines.iter().any(|line| self.name(line).eq_ignore_ascii_case(name))
    }

    /// Appends the lines, in the order they were set.
    pub fn push_lines(&self, out: &mut Vec<u8>) {
        for line in &self.lines {
            out.extend_from_slice(self.text.get(line.name.start..line.end).unwrap_or_default());
        }
    }

    /// Forgets the last request's fields, keeping the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
    }

    fn name(&self, line: &Line) -> &[u8] {
        self.text.get(line.name.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_name_stands() {
        let mut fields = ResponseFields::default();
        fields.set(b"X-A", |out| out.extend_from_slice(b"1"));
        fields.set(b"X-B", |out| out.extend_from_slice(b"2"));
        fields.set(b"x-a", |out| out.extend_from_slice(b"3"));
        let mut out = b"head\r\n".to_vec();
        fields.push_lines(&mut out);
        assert_eq!(out, b"head\r\nX-B: 2\r\nx-a: 3\r\n");
        assert!(fields.has(b"X-a") && fields.has(b"x-b") && !fields.has(b"X"));
        fields.clear();
        assert!(!fields.has(b"x-b"));
    }
}
