//! The request head, parsed in place and incrementally (RFC 9112 §3, §5).
//!
//! In: the connection's read buffer as it grows. Out: spans of it. Runs once per request before anything else is
//! decided; it never allocates after warm-up, never waits, never panics. Bench: `http/request_head`; fuzz target:
//! `request_head`.

use super::field::{FieldError, FieldSpan, Known, Lines, is_token};
use super::framing::{Framing, FramingError, FramingFields};
use super::host::is_authority;
use crate::base::bytes::Span;
use crate::worker::settings::Limits;

/// A request head. Reused for every request of a connection, so that its memory is allocated once.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// The method.
    pub method: Span,
    /// Path and query as sent; empty for `http://host`, which means `/`.
    pub target: Span,
    /// Whether there is a query, if only an empty one.
    pub has_query: bool,
    /// The authority of an absolute-form target; it replaces `Host` (RFC 9112 §3.2.2).
    pub authority: Option<Span>,
    /// The value of `Host`; empty if HTTP/1.0 sent none.
    pub host: Span,
    /// 0 or 1.
    pub minor_version: u8,
    /// The field lines, in order.
    pub fields: Vec<FieldSpan>,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the client wants the connection to go on.
    pub keep_alive: bool,
    /// `Expect: 100-continue` was sent, by a client that may be answered with 100.
    pub expects_continue: bool,
    /// `Connection` names fields beyond `close`, `keep-alive` and `upgrade`; those fields end at this hop.
    pub nominates: bool,
    /// `Connection: upgrade` with `Upgrade: websocket` was sent.
    pub websocket: bool,
    /// One past the head's last byte.
    pub end: usize,
    lines: Lines,
    framing_fields: FramingFields,
    connection: Connection,
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    /// One empty line before the request line has been skipped (RFC 9112 §2.2).
    Skipped,
    Fields,
}

/// How far parsing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Partial,
    /// The head is complete.
    Complete,
}

/// Why a request head was refused. The client's fault, always; the connection closes after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Not `method SP target SP HTTP-version`.
    #[error("the request line is malformed")]
    RequestLine,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    #[error("the HTTP version is not supported")]
    Version,
    /// CONNECT or TRACE.
    #[error("the method is not allowed")]
    Method,
    /// The target is in no form that a gateway serves, or holds bytes that no target may.
    #[error("the request target is malformed")]
    Target,
    /// A field line is malformed.
    #[error("{0}")]
    Field(#[from] FieldError),
    /// The framing fields are doubtful.
    #[error("{0}")]
    Framing(#[from] FramingError),
    /// `Host` is missing, repeated or malformed.
    #[error("host is missing, repeated or malformed")]
    Host,
    /// `Authorization` is repeated.
    #[error("authorization is repeated")]
    RepeatedAuthorization,
    /// `Expect` asks for something unknown.
    #[error("the expectation is unknown")]
    Expectation,
    /// `Connection` has more options than anybody needs.
    #[error("connection has too many options")]
    ConnectionOptions,
    /// The request line is longer than the limit.
    #[error("the request line is too long")]
    RequestLineTooLong,
    /// A field line, all of them together, or their number exceeds its limit.
    #[error("the header section is too large")]
    FieldsTooLarge,
}

impl HeadError {
    /// The status that the client gets (spec/routing-and-upstreams §8).
    pub fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::Method => 405,
            Self::Expectation => 417,
            Self::RequestLineTooLong => 414,
            Self::RequestLine
            | Self::Target
            | Self::Field(_)
            | Self::Framing(_)
            | Self::Host
            | Self::RepeatedAuthorization
            | Self::ConnectionOptions
            | Self::FieldsTooLarge => 400,
        }
    }
}

impl RequestHead {
    /// Makes ready for the next request, keeping the memory.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
    }

    /// Takes what `buffer` holds now. The buffer must start with the same bytes as at the last call.
    pub fn advance(&mut self, buffer: &[u8], limits: &Limits) -> Result<Progress, HeadError> {
        loop {
            if self.state == State::Fields
                && let Some((line, field)) = self.lines.next_regular(buffer)
            {
                self.check_sizes(line, limits)?;
                self.take_field(buffer, field)?;
                continue;
            }
            let Some(line) = self.lines.next(buffer)? else {
                self.check_unfinished(buffer, limits)?;
                return Ok(Progress::Partial);
            };
            match self.state {
                State::Start if line.is_empty() => self.state = State::Skipped,
                State::Start | State::Skipped => {
                    if line.len() > limits.request_line_bytes_max {
                        return Err(HeadError::RequestLineTooLong);
                    }
                    self.request_line(buffer, line)?;
                    self.state = State::Fields;
                }
                State::Fields if line.is_empty() => {
                    self.end = self.lines.line_start;
                    self.finish(buffer)?;
                    return Ok(Progress::Complete);
                }
                State::Fields => {
                    self.check_sizes(line, limits)?;
                    self.take_field(buffer, FieldSpan::parse(buffer, line)?)?;
                }
            }
        }
    }

    /// Whether any byte of a request has arrived.
    pub fn has_started(&self, buffer: &[u8]) -> bool {
        buffer.len() > if self.state == State::Skipped { 2 } else { 0 }
    }

    fn request_line(&mut self, buffer: &[u8], line: Span) -> Result<(), HeadError> {
        let bytes = line.of(buffer);
        let first = memchr::memchr(b' ', bytes).ok_or(HeadError::RequestLine)?;
        let last = memchr::memrchr(b' ', bytes).filter(|last| *last > first + 1).ok_or(HeadError::RequestLine)?;
        let method = bytes.get(..first).unwrap_or_default();
        let target = bytes.get(first + 1..last).unwrap_or_default();
        if !is_token(method) {
            return Err(HeadError::RequestLine);
        }
        self.minor_version = match bytes.get(last + 1..).unwrap_or_default() {
            b"HTTP/1.1" => 1,
            b"HTTP/1.0" => 0,
            other => return Err(version_error(other)),
        };
        if matches!(method, b"CONNECT" | b"TRACE") {
            return Err(HeadError::Method);
        }
        let start = line.start as usize;
        self.method = Span::new(start, start + first);
        self.target = Span::new(start + first + 1, start + last);
        self.take_target(buffer, target)
    }

    /// Origin form as it stands; absolute form becomes its path and query; the other forms are not ours to serve.
    fn take_target(&mut self, buffer: &[u8], target: &[u8]) -> Result<(), HeadError> {
        // Bytes from 0x80 up are passed on as nginx does; every consumer of the path treats it as bytes.
        // A fragment has no place in a target (RFC 9112 §3.2); upstreams differ about what follows the `#`.
        for byte in target {
            match byte {
                0..=0x20 | 0x7f | b'#' => return Err(HeadError::Target),
                b'?' => self.has_query = true,
                _ => {}
            }
        }
        if target.first() == Some(&b'/') {
            return Ok(());
        }
        let scheme = [&b"http://"[..], b"https://"]
            .into_iter()
            .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
            .ok_or(HeadError::Target)?;
        let start = self.target.start as usize + scheme.len();
        let rest = Span::new(start, self.target.end as usize);
        let bytes = rest.of(buffer);
        let length = bytes.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(bytes.len());
        let authority = bytes.get(..length).unwrap_or_default();
        if authority.is_empty() || !is_authority(authority) || bytes.get(length) == Some(&b'?') {
            return Err(HeadError::Target);
        }
        self.authority = Some(Span::new(start, start + length));
        self.target = Span::new(start + length, rest.end as usize);
        Ok(())
    }

    fn take_field(&mut self, buffer: &[u8], field: FieldSpan) -> Result<(), HeadError> {
        match field.known {
            Known::Host => {
                if self.host != Span::default() || !is_authority(field.value.of(buffer)) {
                    return Err(HeadError::Host);
                }
                self.host = field.value;
            }
            Known::Authorization if self.fields.iter().any(|earlier| earlier.known == Known::Authorization) => {
                return Err(HeadError::RepeatedAuthorization);
            }
            Known::Expect => {
                if !field.value.of(buffer).eq_ignore_ascii_case(b"100-continue") {
                    return Err(HeadError::Expectation);
                }
                self.expects_continue = true;
            }
            Known::ContentLength | Known::TransferEncoding => self.framing_fields.take(buffer, &field)?,
            Known::Connection => self.connection.take(buffer, &field).ok_or(HeadError::ConnectionOptions)?,
            _ => {}
        }
        self.fields.push(field);
        Ok(())
    }

    fn finish(&mut self, buffer: &[u8]) -> Result<(), HeadError> {
        if self.host.is_empty() && self.minor_version == 1 {
            return Err(HeadError::Host);
        }
        self.framing = self.framing_fields.declared(self.minor_version)?.unwrap_or(Framing::None);
        if self.framing == Framing::Length(0) {
            // The line itself still goes to the upstream; there is only nothing to relay.
            self.framing = Framing::None;
        }
        // HTTP/1.0 clients cannot read an interim answer (RFC 9110 §10.1.1).
        self.expects_continue &= self.minor_version == 1;
        let connection = self.connection;
        self.keep_alive = !connection.close && (self.minor_version == 1 || connection.keep_alive);
        self.nominates = connection.nominates;
        self.websocket = connection.upgrade
            && self.fields.iter().any(|field| {
                field.known == Known::Upgrade && field.value.of(buffer).eq_ignore_ascii_case(b"websocket")
            });
        Ok(())
    }

    fn check_sizes(&self, line: Span, limits: &Limits) -> Result<(), HeadError> {
        let fields_start = self.fields.first().map_or(line.start, |field| field.name.start);
        let total = line.end.saturating_sub(fields_start) as usize;
        if line.len() > limits.field_bytes_max
            || total > limits.fields_bytes_max
            || self.fields.len() >= limits.fields_max
        {
            return Err(HeadError::FieldsTooLarge);
        }
        Ok(())
    }

    /// A line that has outgrown its limit is refused before its end has come. What may still become a line within the
    /// limits is not: a carriage return belongs to the line's end, and no byte at all to the head's.
    fn check_unfinished(&self, buffer: &[u8], limits: &Limits) -> Result<(), HeadError> {
        let pending = buffer.get(self.lines.line_start..).unwrap_or_default();
        let pending = pending.strip_suffix(b"\r").unwrap_or(pending);
        match self.state {
            State::Start | State::Skipped if pending.len() > limits.request_line_bytes_max => {
                Err(HeadError::RequestLineTooLong)
            }
            State::Fields if !pending.is_empty() => {
                let start = self.lines.line_start;
                self.check_sizes(Span::new(start, start + pending.len()), limits)
            }
            State::Start | State::Skipped | State::Fields => Ok(()),
        }
    }
}

/// What the `Connection` fields of a head say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Connection {
    /// `close`.
    pub close: bool,
    /// `keep-alive`.
    pub keep_alive: bool,
    /// `upgrade`.
    pub upgrade: bool,
    /// Any other name.
    pub nominates: bool,
    count: usize,
}

impl Connection {
    /// Takes one field line into account.
    ///
    /// `None` if there are more than [`CONNECTION_OPTIONS_MAX`] options by now: each of them is compared with each field.
    pub fn take(&mut self, buffer: &[u8], field: &FieldSpan) -> Option<()> {
        for option in options(field.value.of(buffer)) {
            self.count += 1;
            if self.count > CONNECTION_OPTIONS_MAX {
                return None;
            }
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                _ => self.nominates = true,
            }
        }
        Some(())
    }
}

/// Options of all `Connection` lines together.
pub const CONNECTION_OPTIONS_MAX: usize = 32;

/// The non-empty members of a comma-separated list.
pub fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(crate::base::bytes::trim_ows).filter(|option| !option.is_empty())
}

/// Whether a `Connection` line among `fields` names `name`, which then ends at this hop (RFC 9110 §7.6.1).
pub fn is_nominated(buffer: &[u8], fields: &[FieldSpan], name: &[u8]) -> bool {
    fields
        .iter()
        .filter(|field| field.known == Known::Connection)
        .any(|field| options(field.value.of(buffer)).any(|option| option.eq_ignore_ascii_case(name)))
}

fn version_error(version: &[u8]) -> HeadError {
    let is_version = matches!(version, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']);
    if is_version { HeadError::Version } else { HeadError::RequestLine }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<RequestHead, HeadError> {
        let mut head = RequestHead::default();
        assert_eq!(head.advance(text, &Limits::default())?, Progress::Complete, "complete head expected");
        Ok(head)
    }

    fn request(lines: &str) -> Result<RequestHead, HeadError> {
        parse(format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n").as_bytes())
    }

    #[test]
    fn request_lines() {
        let ok: &[(&str, &str, &str)] = &[
            ("GET /a?b HTTP/1.1", "/a?b", "h"),
            ("GET http://x:1/a HTTP/1.1", "/a", "x:1"),
            ("GET HTTPS://x HTTP/1.1", "", "x"),
            ("get /\u{e9} HTTP/1.1", "/\u{e9}", "h"),
        ];
        for (line, target, authority) in ok {
            let text = format!("{line}\r\nHost: h\r\n\r\n");
            let head = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(head.target.of(text.as_bytes()), target.as_bytes(), "{line}");
            assert_eq!(head.authority.unwrap_or(head.host).of(text.as_bytes()), authority.as_bytes(), "{line}");
        }
        for (line, error) in [
            ("GET /", HeadError::RequestLine),
            ("GET  / HTTP/1.1", HeadError::Target),
            ("GET /a b HTTP/1.1", HeadError::Target),
            ("GET\t/\tHTTP/1.1", HeadError::RequestLine),
            ("GET / HTTP/1.1 ", HeadError::RequestLine),
            (" / HTTP/1.1", HeadError::RequestLine),
            ("GE(T / HTTP/1.1", HeadError::RequestLine),
            ("GET / HTTP/1.2", HeadError::Version),
            ("GET / HTTP/3.0", HeadError::Version),
            ("GET / http/1.1", HeadError::RequestLine),
            ("GET / HTTP/1.1x", HeadError::RequestLine),
            ("GET /a#/../b HTTP/1.1", HeadError::Target),
            ("GET a HTTP/1.1", HeadError::Target),
            ("GET * HTTP/1.1", HeadError::Target),
            ("GET h:80 HTTP/1.1", HeadError::Target),
            ("GET http://u:p@x/ HTTP/1.1", HeadError::Target),
            ("GET http:///a HTTP/1.1", HeadError::Target),
            ("GET http://x?a HTTP/1.1", HeadError::Target),
            ("GET ftp://x/ HTTP/1.1", HeadError::Target),
            ("CONNECT x:1 HTTP/1.1", HeadError::Method),
            ("TRACE / HTTP/1.1", HeadError::Method),
        ] {
            assert_eq!(parse(format!("{line}\r\nHost: h\r\n\r\n").as_bytes()).err(), Some(error), "{line}");
        }
    }

    #[test]
    fn host_must_be_one_and_clean() {
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(parse(text.as_bytes()).err(), Some(HeadError::Host), "{text:?}");
        }
        assert!(parse(b"GET / HTTP/1.0\r\n\r\n").is_ok());
    }

    #[test]
    fn framing_is_decided_once() {
        use FramingError as E;
        for (lines, want) in [
            ("", Ok(Framing::None)),
            ("Content-Length: 0\r\n", Ok(Framing::None)),
            ("Content-Length: 007\r\n", Ok(Framing::Length(7))),
            ("Transfer-Encoding: CHUNKED\r\n", Ok(Framing::Chunked)),
            ("Content_Length: 5\r\n", Ok(Framing::None)),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(E::RepeatedLength)),
            ("Content-Length: 5, 5\r\n", Err(E::Length)),
            ("Content-Length: +5\r\n", Err(E::Length)),
            ("Content-Length:\r\n", Err(E::Length)),
            ("Content-Length: 18446744073709551616\r\n", Err(E::Length)),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(E::LengthAndCoding)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(E::Coding)),
            ("Transfer-Encoding: identity\r\n", Err(E::Coding)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(E::Coding)),
            ("Transfer-Encoding: \"chunked\"\r\n", Err(E::Coding)),
        ] {
            let got = request(lines).map(|head| head.framing);
            assert_eq!(got, want.map_err(HeadError::Framing), "{lines:?}");
        }
        let old = parse(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").err();
        assert_eq!(old, Some(HeadError::Framing(E::CodingInHttp10)));
    }

    #[test]
    fn connection_options() {
        let head = request("Connection: x-a\r\nConnection: keep-alive, CLOSE\r\n").unwrap();
        assert!(!head.keep_alive && head.nominates);
        assert!(request("").unwrap().keep_alive);
        assert!(request("Connection: Upgrade\r\nUpgrade: WebSocket\r\n").unwrap().websocket);
        assert!(!request("Upgrade: websocket\r\n").unwrap().websocket);
        assert!(!parse(b"GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(parse(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap().keep_alive);
        assert_eq!(request("Authorization: a\r\nAuthorization: b\r\n").err(), Some(HeadError::RepeatedAuthorization));
        assert_eq!(request("Expect: 200-ok\r\n").err(), Some(HeadError::Expectation));
        let many = format!("Connection: {}\r\n", "a,".repeat(CONNECTION_OPTIONS_MAX + 1));
        assert_eq!(request(&many).err(), Some(HeadError::ConnectionOptions));
    }

    #[test]
    fn limits_hold_before_the_line_has_ended() {
        let limits = Limits::default();
        let at = |text: &[u8]| RequestHead::default().advance(text, &limits);
        assert_eq!(at(&vec![b'A'; limits.request_line_bytes_max + 1]), Err(HeadError::RequestLineTooLong));
        let mut long = b"GET / HTTP/1.1\r\nA: ".to_vec();
        long.resize(long.len() + limits.field_bytes_max, b'v');
        assert_eq!(at(&long), Err(HeadError::FieldsTooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}", "A: 1\r\n".repeat(limits.fields_max + 1));
        assert_eq!(at(many.as_bytes()), Err(HeadError::FieldsTooLarge));
    }

    #[test]
    fn a_head_that_fills_its_limits_may_come_in_any_pieces() {
        let limits = Limits {
            request_line_bytes_max: 14,
            field_bytes_max: 7,
            fields_bytes_max: 13,
            fields_max: 2,
            ..Limits::default()
        };
        let text = b"GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\n";
        for cut in 0..text.len() {
            let mut head = RequestHead::default();
            assert_eq!(head.advance(&text[..cut], &limits), Ok(Progress::Partial), "cut at {cut}");
            assert_eq!(head.advance(text, &limits), Ok(Progress::Complete), "cut at {cut}");
        }
    }

    #[test]
    fn one_empty_line_may_come_first() {
        assert!(parse(b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").is_ok());
        let two = RequestHead::default().advance(b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", &Limits::default());
        assert_eq!(two, Err(HeadError::RequestLine));
    }

    proptest::proptest! {
        /// However the bytes are cut, the verdict is the same, and nothing panics.
        #[test]
        fn cuts_do_not_matter(
            tail in "[ -~\r\n]{0,80}",
            cut in 0_usize..100,
        ) {
            let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{tail}\r\n\r\n").into_bytes();
            let limits = Limits::default();
            let mut whole = RequestHead::default();
            let want = whole.advance(&text, &limits);
            let mut parts = RequestHead::default();
            let first = parts.advance(&text[..cut.min(text.len())], &limits);
            let got = match first { Ok(Progress::Partial) => parts.advance(&text, &limits), done => done };
            proptest::prop_assert_eq!(got, want);
        }
    }
}
