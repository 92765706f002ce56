//! The response head of an upstream, parsed in place and incrementally (RFC 9112 §4, §6.3).
//!
//! The same strictness as towards clients: what is doubtful becomes 502, because forwarding it would let an upstream
//! speak for the gateway to the next client on the connection. Bench: `http/response_head`; fuzz
//! target: `response_head`.

use super::field::{FieldError, FieldSpan, Known, Lines};
use super::framing::{Framing, FramingError, FramingFields};
use super::request_head::{Connection, Progress};
use crate::base::bytes::{Span, decimal};

/// A response head. Reused, so that its memory is allocated once.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// 100 to 599.
    pub status: u16,
    /// The reason phrase, possibly empty.
    pub reason: Span,
    /// The field lines, in order.
    pub fields: Vec<FieldSpan>,
    /// Where the body ends, given the request's method.
    pub framing: Framing,
    /// Whether the upstream lets the connection be used again.
    pub keep_alive: bool,
    /// `Connection` names further fields, which end at this hop.
    pub nominates: bool,
    /// One past the head's last byte.
    pub end: usize,
    lines: Lines,
    framing_fields: FramingFields,
    connection: Connection,
    minor_version: Option<u8>,
}

/// Why an upstream's response head was refused: the upstream's fault, 502.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Not `HTTP/1.x SP status`.
    #[error("the status line is malformed")]
    StatusLine,
    /// A field line is malformed.
    #[error("{0}")]
    Field(#[from] FieldError),
    /// The framing fields are doubtful.
    #[error("{0}")]
    Framing(#[from] FramingError),
    /// `Connection` has more options than anybody needs.
    #[error("connection has too many options")]
    ConnectionOptions,
    /// The head is larger than the limit.
    #[error("the header section is too large")]
    TooLarge,
}

impl ResponseHead {
    /// Makes ready for the next response, keeping the memory.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
    }

    /// Takes what `buffer` holds now; `start` is where this head begins (after interim responses).
    pub fn advance(
        &mut self,
        buffer: &[u8],
        start: usize,
        to_head: bool,
        bytes_max: usize,
    ) -> Result<Progress, ResponseError> {
        if self.lines.line_start < start {
            self.lines = Lines::starting_at(start);
        }
        loop {
            if self.minor_version.is_some()
                && let Some((_, field)) = self.lines.next_regular(buffer)
            {
                if self.lines.line_start.saturating_sub(start) > bytes_max {
                    return Err(ResponseError::TooLarge);
                }
                self.take_field(buffer, field)?;
                continue;
            }
            let line = self.lines.next(buffer)?;
            let end = if line.is_some() { self.lines.line_start } else { buffer.len() };
            if end.saturating_sub(start) > bytes_max {
                return Err(ResponseError::TooLarge);
            }
            let Some(line) = line else { return Ok(Progress::Partial) };
            if self.minor_version.is_none() {
                self.status_line(buffer, line)?;
            } else if line.is_empty() {
                self.end = self.lines.line_start;
                self.finish(to_head)?;
                return Ok(Progress::Complete);
            } else {
                self.take_field(buffer, FieldSpan::parse(buffer, line)?)?;
            }
        }
    }

    fn take_field(&mut self, buffer: &[u8], field: FieldSpan) -> Result<(), ResponseError> {
        match field.known {
            Known::ContentLength | Known::TransferEncoding => self.framing_fields.take(buffer, &field)?,
            Known::Connection => self.connection.take(buffer, &field).ok_or(ResponseError::ConnectionOptions)?,
            _ => {}
        }
        self.fields.push(field);
        Ok(())
    }

    /// Whether this is an interim response (1xx), after which the final one follows.
    pub fn is_interim(&self) -> bool {
        self.status < 200
    }

    fn status_line(&mut self, buffer: &[u8], line: Span) -> Result<(), ResponseError> {
        let bytes = line.of(buffer);
        let minor = match bytes.get(..9) {
            Some(b"HTTP/1.1 ") => 1,
            Some(b"HTTP/1.0 ") => 0,
            _ => return Err(ResponseError::StatusLine),
        };
        let status = bytes.get(9..12).and_then(decimal).filter(|status| (100..600).contains(status));
        self.status = status.ok_or(ResponseError::StatusLine)? as u16;
        self.reason = match bytes.get(12) {
            None => Span::new(line.end as usize, line.end as usize),
            Some(b' ') => Span::new(line.start as usize + 13, line.end as usize),
            Some(_) => return Err(ResponseError::StatusLine),
        };
        if !super::field::is_field_value(self.reason.of(buffer)) {
            return Err(ResponseError::StatusLine);
        }
        self.minor_version = Some(minor);
        Ok(())
    }

    fn finish(&mut self, to_head: bool) -> Result<(), ResponseError> {
        let minor = self.minor_version.unwrap_or(0);
        let declared = self.framing_fields.declared(minor)?;
        // RFC 9112 §6.3: these never have a body, whatever their fields say.
        let is_bodiless = to_head || self.status < 200 || matches!(self.status, 204 | 304);
        self.framing = if is_bodiless { Framing::None } else { declared.unwrap_or(Framing::ToClose) };
        let connection = self.connection;
        self.keep_alive =
            !connection.close && (minor == 1 || connection.keep_alive) && self.framing != Framing::ToClose;
        self.nominates = connection.nominates;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, to_head: bool) -> Result<ResponseHead, ResponseError> {
        let mut head = ResponseHead::default();
        assert_eq!(head.advance(text.as_bytes(), 0, to_head, 1 << 16)?, Progress::Complete, "{text:?}");
        Ok(head)
    }

    #[test]
    fn framing_follows_status_and_method() {
        for (text, to_head, framing, keep_alive) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, Framing::Length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, Framing::None, true),
            ("HTTP/1.1 204 No Content\r\n\r\n", false, Framing::None, true),
            ("HTTP/1.1 304 X\r\nContent-Length: 500\r\n\r\n", false, Framing::None, true),
            ("HTTP/1.1 200 \r\n\r\n", false, Framing::ToClose, false),
            ("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", false, Framing::Chunked, true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false, Framing::Length(1), false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n", false, Framing::Length(1), false),
        ] {
            let head = parse(text, to_head).unwrap();
            assert_eq!((head.framing, head.keep_alive), (framing, keep_alive), "{text:?}");
        }
    }

    #[test]
    fn doubtful_heads_are_refused() {
        for text in [
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 2xx OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "<html>\r\n\r\n",
            "HTTP/1.1 200 OK\n\n",
            "HTTP/1.1 200 OK\r\nX-A : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-A: b\rc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(parse(text, false).is_err(), "{text:?}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "v".repeat(1 << 16));
        assert_eq!(ResponseHead::default().advance(long.as_bytes(), 0, false, 1 << 16), Err(ResponseError::TooLarge));
    }

    #[test]
    fn the_limit_counts_the_head_and_not_what_follows() {
        let text = b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\nbody";
        let head_bytes = text.len() - 4;
        for (bytes_max, want) in [(head_bytes, Ok(Progress::Complete)), (head_bytes - 1, Err(ResponseError::TooLarge))]
        {
            for cut in 0..text.len() {
                let mut head = ResponseHead::default();
                let first = head.advance(&text[..cut], 0, false, bytes_max);
                let got = if first == Ok(Progress::Partial) { head.advance(text, 0, false, bytes_max) } else { first };
                assert_eq!(got, want, "at most {bytes_max}, cut at {cut}");
            }
        }
    }

    #[test]
    fn a_final_head_follows_an_interim_one_in_the_same_buffer() {
        let text = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let mut head = ResponseHead::default();
        head.advance(text, 0, false, 1 << 16).unwrap();
        assert!(head.is_interim());
        let start = head.end;
        head.clear();
        head.advance(text, start, false, 1 << 16).unwrap();
        assert_eq!((head.status, head.end), (200, text.len()));
    }
}
