//! Field lines: the scanner both heads share, and the names that the gateway itself acts on.
//!
//! Lines end in CRLF and nothing else (RFC 9112 §2.2 allows a bare LF; we refuse it, because recipients differ about
//! it). Names are tokens, values hold no control bytes but tab, a line never starts with white space (RFC 9112 §5.2).

use super::regular::regular;
use crate::base::bytes::{Span, within_ows};
use memchr::memchr;

/// One field line of a head, as spans of the buffer it was parsed from.
#[derive(Debug, Clone, Copy, Default)]
pub struct FieldSpan {
    /// The name as the sender wrote it; compare without case.
    pub name: Span,
    /// The value without surrounding white space.
    pub value: Span,
    /// The name, if it is one that the gateway acts on.
    pub known: Known,
}

/// Field names that the gateway acts on, recognised once while parsing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Known {
    /// None of the others.
    #[default]
    Other,
    /// `Authorization`.
    Authorization,
    /// `Connection`.
    Connection,
    /// `Content-Length`.
    ContentLength,
    /// `Cookie`.
    Cookie,
    /// `Date`.
    Date,
    /// `Expect`.
    Expect,
    /// `Forwarded`.
    Forwarded,
    /// `Host`.
    Host,
    /// Removed on every hop (RFC 9110 §7.6.1): `Keep-Alive`, `Proxy-Connection`, `TE`, `Trailer`, `HTTP2-Settings`.
    HopByHop,
    /// `X-Consumer-Username`, `X-Credential-Identifier`, `X-Consumer-Custom-ID`, also with underscores.
    Identity,
    /// `Referer`.
    Referer,
    /// `Server`.
    Server,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Upgrade`.
    Upgrade,
    /// `User-Agent`.
    UserAgent,
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `X-Forwarded-Host`.
    XForwardedHost,
    /// `X-Forwarded-Port`.
    XForwardedPort,
    /// `X-Forwarded-Proto`.
    XForwardedProto,
    /// `X-Real-IP`.
    XRealIp,
}

/// Why a field line was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A line feed without carriage return.
    #[error("a line ends in a bare line feed")]
    BareLineFeed,
    /// The line starts with white space (obs-fold).
    #[error("a field line starts with white space")]
    Folded,
    /// No colon.
    #[error("a field line has no colon")]
    NoColon,
    /// The name is empty or holds something other than token characters.
    #[error("a field name is not a token")]
    Name,
    /// The value holds a control byte.
    #[error("a field value holds a control byte")]
    Value,
}

/// Finds line after line in a buffer that grows; every byte is looked at once however it trickles in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lines {
    /// Start of the line that is not complete yet.
    pub line_start: usize,
    searched: usize,
}

impl Lines {
    /// Lines from `offset` on.
    pub fn starting_at(offset: usize) -> Self {
        Self { line_start: offset, searched: offset }
    }

    /// The next complete line without its CRLF; `None`: more bytes are needed.
    #[inline]
    pub fn next(&mut self, buffer: &[u8]) -> Result<Option<Span>, FieldError> {
        let unseen = buffer.get(self.searched..).unwrap_or_default();
        let Some(offset) = memchr(b'\n', unseen) else {
            self.searched = buffer.len();
            return Ok(None);
        };
        let feed = self.searched + offset;
        let start = self.line_start;
        if feed == start || buffer.get(feed.wrapping_sub(1)) != Some(&b'\r') {
            return Err(FieldError::BareLineFeed);
        }
        self.line_start = feed + 1;
        self.searched = feed + 1;
        Ok(Some(Span::new(start, feed - 1)))
    }

    /// The next line and the field in it, if the line is complete and regular; else it is left for [`Lines::next`] and
    /// [`FieldSpan::parse`], which say the same of regular lines and take their time.
    #[inline]
    pub fn next_regular(&mut self, buffer: &[u8]) -> Option<(Span, FieldSpan)> {
        let start = self.line_start;
        // A line that trickles in is looked at once, not from its start at each of its bytes.
        if self.searched != start {
            return None;
        }
        let found = regular(buffer.get(start..).unwrap_or_default())?;
        self.line_start = start + found.feed + 1;
        self.searched = self.line_start;
        let line = Span::new(start, self.line_start - 2);
        Some((line, FieldSpan::split(buffer, line, found.colon)))
    }
}

impl FieldSpan {
    /// Appends the line as the sender wrote it, up to the value's end: one copy instead of one per part. What stands
    /// between name and value is a colon and white space.
    #[inline]
    pub fn push_line(&self, buffer: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(Span { start: self.name.start, end: self.value.end }.of(buffer));
        out.extend_from_slice(b"\r\n");
    }

    /// Reads one non-empty line.
    #[inline]
    pub fn parse(buffer: &[u8], line: Span) -> Result<Self, FieldError> {
        let bytes = line.of(buffer);
        // The name ends where its characters do: one pass finds the colon and judges what stands before it.
        let colon = leading(&TOKEN, bytes);
        if colon == 0 || bytes.get(colon) != Some(&b':') {
            return Err(misnamed(bytes));
        }
        if !is_field_value(bytes.get(colon + 1..).unwrap_or_default()) {
            return Err(FieldError::Value);
        }
        Ok(Self::split(buffer, line, colon))
    }

    /// The field of a line whose colon is `colon` bytes after its start.
    #[inline]
    fn split(buffer: &[u8], line: Span, colon: usize) -> Self {
        let name_start = line.start as usize;
        let raw_start = name_start + colon + 1;
        // Where there is nothing but white space, the value is the empty place after the colon.
        let (start, end) = within_ows(Span::new(raw_start, line.end as usize).of(buffer));
        let name = Span::new(name_start, name_start + colon);
        Self { name, value: Span::new(raw_start + start, raw_start + end), known: Known::of(name.of(buffer)) }
    }
}

/// Why a line does not begin with a name and a colon.
#[cold]
fn misnamed(line: &[u8]) -> FieldError {
    match line.first() {
        Some(b' ' | b'\t') => FieldError::Folded,
        _ if memchr(b':', line).is_some() => FieldError::Name,
        _ => FieldError::NoColon,
    }
}

impl Known {
    /// Recognises a name, without case. The length decides first, so most names cost one jump.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        match name.len() {
            2 => among(name, [(b"te", Self::HopByHop)]),
            4 => among(name, [(b"host", Self::Host), (b"date", Self::Date)]),
            6 => among(name, [(b"cookie", Self::Cookie), (b"expect", Self::Expect), (b"server", Self::Server)]),
            7 => among(name, [(b"referer", Self::Referer), (b"upgrade", Self::Upgrade), (b"trailer", Self::HopByHop)]),
            9 => among(name, [(b"x-real-ip", Self::XRealIp), (b"forwarded", Self::Forwarded)]),
            10 => among(
                name,
                [(b"user-agent", Self::UserAgent), (b"connection", Self::Connection), (b"keep-alive", Self::HopByHop)],
            ),
            13 => among(name, [(b"authorization", Self::Authorization)]),
            14 => among(name, [(b"content-length", Self::ContentLength), (b"http2-settings", Self::HopByHop)]),
            15 => among(name, [(b"x-forwarded-for", Self::XForwardedFor)]),
            16 => among(
                name,
                [
                    (b"x-forwarded-host", Self::XForwardedHost),
                    (b"x-forwarded-port", Self::XForwardedPort),
                    (b"proxy-connection", Self::HopByHop),
                ],
            ),
            17 => among(
                name,
                [(b"transfer-encoding", Self::TransferEncoding), (b"x-forwarded-proto", Self::XForwardedProto)],
            ),
            19 | 20 | 23 => Self::identity(name),
            _ => Self::Other,
        }
    }

    /// The identity names also with `_`: CGI-like upstreams fold the two, so a twin would speak for the gateway.
    fn identity(name: &[u8]) -> Self {
        const NAMES: [&[u8]; 3] = [b"x-consumer-username", b"x-credential-identifier", b"x-consumer-custom-id"];
        let folded = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        let is_one = NAMES.iter().any(|known| name.iter().map(folded).eq(known.iter().copied()));
        if is_one { Self::Identity } else { Self::Other }
    }
}

/// The candidate that `name` is, without case. All have the same length, so the comparison is a few wide words.
#[inline]
fn among<const BYTES: usize, const COUNT: usize>(name: &[u8], candidates: [(&[u8; BYTES], Known); COUNT]) -> Known {
    let Ok(name) = <&[u8; BYTES]>::try_from(name) else { return Known::Other };
    let lower = name.map(|byte| byte.to_ascii_lowercase());
    candidates.into_iter().find(|(candidate, _)| **candidate == lower).map_or(Known::Other, |(_, known)| known)
}

/// Whether `bytes` is a non-empty token (RFC 9110 §5.6.2).
#[inline]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && leading(&TOKEN, bytes) == bytes.len()
}

/// How many bytes of the table `bytes` begins with.
#[inline]
pub(super) fn leading(table: &[bool; 256], bytes: &[u8]) -> usize {
    let is_foreign = |byte: &u8| !table.get(usize::from(*byte)).is_some_and(|is| *is);
    bytes.iter().position(is_foreign).unwrap_or(bytes.len())
}

/// Whether `bytes` may stand in a field value: no control byte but tab (RFC 9110 §5.5).
///
/// In blocks of a fixed size, which become vector instructions; the last one overlaps the one before.
#[inline]
pub fn is_field_value(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<16>() {
        let (blocks, _) = bytes.as_chunks::<16>();
        return !has_control(last) && !blocks.iter().any(has_control);
    }
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => !has_control(first) && !has_control(last),
        _ => !bytes.iter().any(|byte| has_control(&[*byte])),
    }
}

/// Whether any byte is a control byte other than tab. Branch-free, so it vectorises.
#[inline]
#[expect(clippy::needless_bitwise_bool, reason = "lazy operators are branches, which keep the loop from vectorising")]
fn has_control<const BYTES: usize>(block: &[u8; BYTES]) -> bool {
    block.iter().fold(false, |bad, byte| bad | ((*byte < 0x20) & (*byte != b'\t')) | (*byte == 0x7f))
}

static TOKEN: [bool; 256] = byte_table(b"!#$%&'*+-.^_`|~");

/// Letters, digits and `others`.
pub(super) const fn byte_table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_usize;
    #[allow(clippy::indexing_slicing, reason = "a constant evaluation cannot reach outside without failing the build")]
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut rest = others;
    #[allow(clippy::indexing_slicing, reason = "as above")]
    while let [other, after @ ..] = rest {
        table[*other as usize] = true;
        rest = after;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<(String, String, Known), FieldError> {
        let buffer = line.as_bytes();
        let span = FieldSpan::parse(buffer, Span::new(0, buffer.len()))?;
        let text = |part: Span| String::from_utf8_lossy(part.of(buffer)).into_owned();
        Ok((text(span.name), text(span.value), span.known))
    }

    #[test]
    fn a_line_is_a_token_a_colon_and_a_clean_value() {
        let owned = |name: &str, value: &str, known| Ok((name.to_owned(), value.to_owned(), known));
        assert_eq!(parse("Host: a"), owned("Host", "a", Known::Host));
        assert_eq!(parse("x:"), owned("x", "", Known::Other));
        assert_eq!(parse("x: \t "), owned("x", "", Known::Other));
        assert_eq!(parse("x: \t b c \t"), owned("x", "b c", Known::Other));
        for (line, error) in [
            (" x: 1", FieldError::Folded),
            ("\tx: 1", FieldError::Folded),
            ("x", FieldError::NoColon),
            (": 1", FieldError::Name),
            ("x : 1", FieldError::Name),
            ("x\0: 1", FieldError::Name),
            ("x: a\rb", FieldError::Value),
            ("x: a\0b", FieldError::Value),
            ("x: a\x7fb", FieldError::Value),
        ] {
            assert_eq!(parse(line), Err(error), "{line:?}");
        }
    }

    #[test]
    fn a_line_is_passed_on_without_its_trailing_white_space() {
        for (line, passed) in
            [("A: b \t", "A: b\r\n"), ("A:b", "A:b\r\n"), ("A:  ", "A:\r\n"), ("A: \tb c", "A: \tb c\r\n")]
        {
            let buffer = line.as_bytes();
            let span = FieldSpan::parse(buffer, Span::new(0, buffer.len())).unwrap();
            let mut out = Vec::new();
            span.push_line(buffer, &mut out);
            assert_eq!(out, passed.as_bytes(), "{line:?}");
        }
    }

    #[test]
    fn identity_names_are_recognised_with_underscores_too() {
        for name in ["X-Consumer-Username", "x_consumer_username", "X-Credential_Identifier", "X_CONSUMER_CUSTOM-ID"] {
            assert_eq!(Known::of(name.as_bytes()), Known::Identity, "{name}");
        }
        assert_eq!(Known::of(b"x-consumer-usernamf"), Known::Other);
    }

    #[test]
    fn lines_resume_where_they_stopped_and_refuse_bare_feeds() {
        let whole = b"GET / HTTP/1.1\r\nA: 1\r\n\r\n";
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for end in 0..=whole.len() {
            while let Some(line) = lines.next(&whole[..end]).unwrap() {
                found.push(line.of(whole).to_vec());
            }
        }
        assert_eq!(found, [b"GET / HTTP/1.1".to_vec(), b"A: 1".to_vec(), Vec::new()]);
        assert_eq!(Lines::default().next(b"a\n"), Err(FieldError::BareLineFeed));
        assert_eq!(Lines::default().next(b"\n"), Err(FieldError::BareLineFeed));
    }
}
