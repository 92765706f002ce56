//! The response body on its way to the client: as it arrives, bounded, delimited for this hop.

use super::response_out::Delimiter;
use crate::http::chunked::{Chunked, LAST_CHUNK, push_chunk_start};
use crate::http::framing::Framing;

/// What is still to come of a response's body.
#[derive(Debug)]
pub struct Download {
    remainder: Remainder,
    delimiter: Delimiter,
    /// Body bytes passed on so far.
    pub sent: u64,
}

#[derive(Debug)]
enum Remainder {
    Length(u64),
    Chunks(Chunked),
    ToClose { ended: bool },
}

/// The upstream broke off, or its chunked coding is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl Download {
    /// A body with the upstream's `framing`, delimited for the client by `delimiter`.
    pub fn new(framing: Framing, delimiter: Delimiter) -> Self {
        let remainder = match framing {
            Framing::None => Remainder::Length(0),
            Framing::Length(length) => Remainder::Length(length),
            Framing::Chunked => Remainder::Chunks(Chunked::default()),
            Framing::ToClose => Remainder::ToClose { ended: false },
        };
        Self { remainder, delimiter, sent: 0 }
    }

    /// Whether the whole body has been passed on.
    pub fn is_done(&self) -> bool {
        match &self.remainder {
            Remainder::Length(remaining) => *remaining == 0,
            Remainder::Chunks(chunked) => chunked.is_done(),
            Remainder::ToClose { ended } => *ended,
        }
    }

    /// Takes body bytes from the start of `input`, appends what goes to the client to `out`; returns the bytes taken,
    /// which are all of them unless the body ends before. `ranges` is scratch.
    pub fn take(&mut self, input: &[u8], out: &mut Vec<u8>, ranges: &mut Vec<(usize, usize)>) -> Result<usize, Broken> {
        ranges.clear();
        let mut at = 0;
        match &mut self.remainder {
            Remainder::Length(remaining) => {
                let data = (*remaining).min(input.len() as u64) as usize;
                *remaining -= data as u64;
                at = data;
                ranges.push((0, data));
            }
            Remainder::ToClose { .. } => {
                at = input.len();
                ranges.push((0, at));
            }
            Remainder::Chunks(chunked) => {
                while at < input.len() && !chunked.is_done() {
                    let step = chunked.step(input.get(at..).unwrap_or_default()).map_err(|_| Broken)?;
                    if step.data > 0 {
                        ranges.push((at + step.skip, at + step.skip + step.data));
                    }
                    at += step.skip + step.data;
                }
            }
        }
        self.push_data(input, ranges, out);
        if self.delimiter == Delimiter::Chunks && self.is_done() {
            out.extend_from_slice(LAST_CHUNK);
        }
        Ok(at)
    }

    /// Takes the end of the upstream's connection; appends what ends the body for the client.
    pub fn take_end(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        let Remainder::ToClose { ended } = &mut self.remainder else { return Err(Broken) };
        *ended = true;
        if self.delimiter == Delimiter::Chunks {
            out.extend_from_slice(LAST_CHUNK);
        }
        Ok(())
    }

    /// Whether all of `len` bytes are body that the client may have as they are; counts them if so.
    pub fn passes_through(&mut self, len: usize) -> bool {
        let passes = match &mut self.remainder {
            Remainder::Length(remaining) if *remaining >= len as u64 => {
                *remaining -= len as u64;
                true
            }
            Remainder::ToClose { .. } => self.delimiter == Delimiter::Close,
            Remainder::Length(_) | Remainder::Chunks(_) => false,
        };
        if passes {
            self.sent += len as u64;
        }
        passes
    }

    /// Appends the data, as one chunk where chunks delimit: upstreams that send crumbs do not cost the client a chunk
    /// line for each.
    fn push_data(&mut self, input: &[u8], ranges: &[(usize, usize)], out: &mut Vec<u8>) {
        let total: usize = ranges.iter().map(|(start, end)| end - start).sum();
        if total == 0 {
            return;
        }
        self.sent += total as u64;
        let is_chunk = self.delimiter == Delimiter::Chunks;
        if is_chunk {
            push_chunk_start(out, total);
        }
        for (start, end) in ranges {
            out.extend_from_slice(input.get(*start..*end).unwrap_or_default());
        }
        if is_chunk {
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(framing: Framing, delimiter: Delimiter, input: &[u8]) -> Result<(String, usize, bool), Broken> {
        let mut download = Download::new(framing, delimiter);
        let mut out = Vec::new();
        let taken = download.take(input, &mut out, &mut Vec::new())?;
        Ok((String::from_utf8_lossy(&out).into_owned(), taken, download.is_done()))
    }

    #[test]
    fn bodies_are_delimited_for_the_client() {
        let crumbs = b"2\r\nhe\r\n3;x\r\nllo\r\n0\r\nT: 1\r\n\r\nHTTP";
        for (framing, delimiter, input, out, taken, done) in [
            (Framing::Length(5), Delimiter::Head, &b"helloHTTP"[..], "hello", 5, true),
            (Framing::Length(9), Delimiter::Head, b"hello", "hello", 5, false),
            (Framing::Chunked, Delimiter::Chunks, crumbs, "5\r\nhello\r\n0\r\n\r\n", crumbs.len() - 4, true),
            (Framing::Chunked, Delimiter::Close, crumbs, "hello", crumbs.len() - 4, true),
            (Framing::ToClose, Delimiter::Chunks, b"hello", "5\r\nhello\r\n", 5, false),
            (Framing::ToClose, Delimiter::Close, b"hello", "hello", 5, false),
        ] {
            assert_eq!(
                relay(framing, delimiter, input),
                Ok((out.to_owned(), taken, done)),
                "{framing:?} {delimiter:?}"
            );
        }
        assert_eq!(relay(Framing::Chunked, Delimiter::Chunks, b"zz\r\n"), Err(Broken));
    }

    #[test]
    fn only_a_body_to_the_end_may_end_with_the_connection() {
        let mut out = Vec::new();
        assert_eq!(Download::new(Framing::Length(5), Delimiter::Head).take_end(&mut out), Err(Broken));
        assert_eq!(Download::new(Framing::Chunked, Delimiter::Chunks).take_end(&mut out), Err(Broken));
        let mut download = Download::new(Framing::ToClose, Delimiter::Chunks);
        assert_eq!(download.take_end(&mut out), Ok(()));
        assert!(download.is_done());
        assert_eq!(out, b"0\r\n\r\n");
    }
}
