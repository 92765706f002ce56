//! HTTP/1.1 messages as both peers of the gateway read them: plain, strict, one connection at a time.

use std::io::{self, BufRead, Read};

/// Field lines in the order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// The value of the first field of that name, in any case.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of all fields of that name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated field of that name lists `token`.
    pub(crate) fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
    }
}

/// Reads the first line of a message; `None` when the peer closed before its first byte.
pub(crate) fn start_line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    if stream.fill_buf()?.is_empty() {
        return Ok(None);
    }
    line(stream).map(Some)
}

/// Reads field lines up to the empty line; also those of a chunked body's trailer.
pub(crate) fn fields(stream: &mut impl BufRead) -> io::Result<Fields> {
    let mut fields = Fields::default();
    loop {
        let line = line(stream)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
        fields.0.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Empty,
    /// After as many bytes.
    Length(u64),
    /// After the last chunk and its trailer.
    Chunked,
    /// When the connection ends.
    Close,
}

impl Framing {
    /// What the fields say, and `otherwise` when they say nothing (RFC 9112 §6.3).
    pub(crate) fn of(fields: &Fields, otherwise: Self) -> io::Result<Self> {
        if fields.lists("transfer-encoding", "chunked") {
            return Ok(Self::Chunked);
        }
        let Some(length) = fields.first("content-length") else { return Ok(otherwise) };
        length.parse().map(Self::Length).map_err(|_| malformed(length))
    }

    /// Reads the body, without its framing.
    pub(crate) fn read(self, stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        match self {
            Self::Empty => {}
            Self::Length(length) => exactly(stream, length, &mut body)?,
            Self::Chunked => chunks(stream, &mut body)?,
            Self::Close => {
                stream.read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }
}

fn chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = line(stream)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(digits, 16).map_err(|_| malformed(&size))?;
        if length == 0 {
            return fields(stream).map(drop);
        }
        exactly(stream, length, body)?;
        let end = line(stream)?;
        if !end.is_empty() {
            return Err(malformed(&end));
        }
    }
}

fn exactly(stream: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let read = stream.take(length).read_to_end(body)?;
    if read as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// One line without its CRLF, which must be there. Bytes above ASCII are read as Latin-1.
fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let text = line.strip_suffix(b"\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(text.iter().map(|byte| char::from(*byte)).collect())
}

fn malformed(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed: {text:?}"))
}
