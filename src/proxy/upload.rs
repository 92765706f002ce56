//! The request body on its way upstream: as it arrives, bounded, in the gateway's own framing.

use crate::http::chunked::{Chunked, LAST_CHUNK, push_chunk_start};
use crate::http::framing::Framing;
use crate::net::conn::{ReadBytes, WriteHalf};
use crate::net::{Conn, NetError};
use crate::worker::state::State;
use std::time::Duration;

/// What is still to come of a request's body.
#[derive(Debug)]
pub struct Upload {
    remainder: Remainder,
    received: u64,
    bytes_max: u64,
}

#[derive(Debug)]
enum Remainder {
    Length(u64),
    Chunks(Chunked),
}

/// Why a body did not arrive whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadError {
    /// The chunked coding is malformed.
    Malformed,
    /// Longer than `client_max_body_size`.
    TooLarge,
    /// The client left, or was silent for too long.
    Client(NetError),
    /// The upstream stopped taking it.
    Upstream(NetError),
}

impl Upload {
    /// A body with `framing`; `bytes_max` 0 means no bound.
    pub fn new(framing: Framing, bytes_max: u64) -> Self {
        let remainder = match framing {
            Framing::Chunked => Remainder::Chunks(Chunked::default()),
            Framing::Length(length) => Remainder::Length(length),
            Framing::None | Framing::ToClose => Remainder::Length(0),
        };
        Self { remainder, received: 0, bytes_max }
    }

    /// Whether the whole body has been taken.
    pub fn is_done(&self) -> bool {
        match &self.remainder {
            Remainder::Length(remaining) => *remaining == 0,
            Remainder::Chunks(chunked) => chunked.is_done(),
        }
    }

    /// Takes body bytes from the start of `input`, appends what goes upstream to `out`; returns the bytes taken, which
    /// are all of them unless the body ends before.
    pub fn take(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, UploadError> {
        match &mut self.remainder {
            Remainder::Length(remaining) => {
                let data = (*remaining).min(input.len() as u64) as usize;
                *remaining -= data as u64;
                out.extend_from_slice(input.get(..data).unwrap_or_default());
                Ok(data)
            }
            Remainder::Chunks(chunked) => {
                let mut at = 0;
                while at < input.len() {
                    let rest = input.get(at..).unwrap_or_default();
                    let step = chunked.step(rest).map_err(|_| UploadError::Malformed)?;
                    if step.data > 0 {
                        self.received += step.data as u64;
                        if self.bytes_max > 0 && self.received > self.bytes_max {
                            return Err(UploadError::TooLarge);
                        }
                        push_chunk_start(out, step.data);
                        out.extend_from_slice(rest.get(step.skip..step.skip + step.data).unwrap_or_default());
                        out.extend_from_slice(b"\r\n");
                    }
                    at += step.skip + step.data;
                    if step.is_end {
                        out.extend_from_slice(LAST_CHUNK);
                        break;
                    }
                }
                Ok(at)
            }
        }
    }

    /// Whether `len` bytes can be passed on as they are.
    fn passes_through(&mut self, len: usize) -> bool {
        match &mut self.remainder {
            Remainder::Length(remaining) if *remaining >= len as u64 => {
                *remaining -= len as u64;
                true
            }
            Remainder::Length(_) | Remainder::Chunks(_) => false,
        }
    }
}

/// Reads the rest of the body from the client and writes it upstream, one buffer at a time. Returns what the client
/// has sent beyond it.
pub async fn pump(
    state: &State,
    client: &mut Conn,
    upstream: &mut WriteHalf,
    upload: &mut Upload,
    send_wait: Duration,
) -> Result<Vec<u8>, UploadError> {
    let mut input = state.buffers.relay();
    let mut out = state.buffers.relay();
    let mut leftover = Vec::new();
    while !upload.is_done() {
        input.clear();
        let (result, back) = client.read(input, state.settings.timeouts.body).await;
        input = back;
        match result {
            Ok(0) => return Err(UploadError::Client(NetError::Failed(std::io::ErrorKind::UnexpectedEof))),
            Ok(_) => {}
            Err(error) => return Err(UploadError::Client(error)),
        }
        if upload.passes_through(input.len()) {
            let (result, back) = upstream.write_all(input, send_wait).await;
            input = back;
            result.map_err(UploadError::Upstream)?;
            continue;
        }
        out.clear();
        let taken = upload.take(&input, &mut out)?;
        leftover = input.get(taken..).unwrap_or_default().to_vec();
        if !out.is_empty() {
            let (result, back) = upstream.write_all(out, send_wait).await;
            out = back;
            result.map_err(UploadError::Upstream)?;
        }
    }
    state.buffers.give(input);
    state.buffers.give(out);
    Ok(leftover)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_body_ends_where_it_said() {
        let mut upload = Upload::new(Framing::Length(5), 0);
        let mut out = Vec::new();
        assert_eq!(upload.take(b"hel", &mut out), Ok(3));
        assert!(!upload.is_done());
        assert_eq!(upload.take(b"loGET", &mut out), Ok(2));
        assert!(upload.is_done());
        assert_eq!(out, b"hello");
    }

    #[test]
    fn chunks_are_written_anew_without_extensions_and_trailers() {
        let mut upload = Upload::new(Framing::Chunked, 0);
        let mut out = Vec::new();
        let wire = b"5;x=1\r\nhello\r\n0\r\nT: 1\r\n\r\nGET";
        assert_eq!(upload.take(wire, &mut out), Ok(wire.len() - 3));
        assert!(upload.is_done());
        assert_eq!(out, b"5\r\nhello\r\n0\r\n\r\n");
    }

    #[test]
    fn a_chunked_body_over_the_bound_is_refused() {
        let mut upload = Upload::new(Framing::Chunked, 4);
        assert_eq!(upload.take(b"5\r\nhello\r\n", &mut Vec::new()), Err(UploadError::TooLarge));
        assert_eq!(upload.take(b"x", &mut Vec::new()), Err(UploadError::Malformed));
    }
}
