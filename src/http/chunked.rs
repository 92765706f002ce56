//! The chunked coding, decoded incrementally (RFC 9112 §7.1). Used for both directions.
//!
//! Extensions and trailers are bounded and dropped; whoever forwards the data writes chunks of its own. Every line
//! ends in CRLF. Never allocates, waits or panics. Bench: `http/chunked`; fuzz target: `chunked`.

/// Decodes one chunked body.
#[derive(Debug, Clone, Default)]
pub struct Chunked {
    state: State,
    /// Data bytes of the current chunk that are still to come.
    remaining: u64,
    size_digits: u32,
    /// Bytes of extensions so far, on the current line.
    extension_bytes: usize,
    trailer_bytes: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    /// After the size: blanks before an extension, or the end of the line.
    SizeEnd,
    Extension,
    SizeFeed,
    Data,
    DataReturn,
    DataFeed,
    TrailerStart,
    Trailer,
    TrailerFeed,
    LastFeed,
    Done,
}

/// One step of decoding: skip some bytes of the input, then some are data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Framing bytes to skip.
    pub skip: usize,
    /// Data bytes after them.
    pub data: usize,
    /// Whether the body has ended; what follows belongs to the next message.
    pub is_end: bool,
}

/// Why a chunked body was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// A chunk size is not hexadecimal, has too many digits, or is too large.
    #[error("a chunk size is malformed")]
    Size,
    /// Extensions hold control bytes or exceed their bound.
    #[error("chunk extensions are malformed or too long")]
    Extension,
    /// Chunk data is not followed by CRLF.
    #[error("chunk data is not followed by a line end")]
    DataEnd,
    /// Trailers hold control bytes or exceed their bound.
    #[error("trailers are malformed or too long")]
    Trailer,
}

impl Chunked {
    /// Whether the last chunk and its trailers have been read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Looks at `input` from its start. When neither data nor the end is found, all of `input` was framing and the
    /// next call wants the bytes after it.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        let mut skip = 0;
        while let Some(byte) = input.get(skip) {
            if self.state == State::Data {
                let available = (input.len() - skip) as u64;
                let data = available.min(self.remaining);
                self.remaining -= data;
                if self.remaining == 0 {
                    self.state = State::DataReturn;
                }
                return Ok(Step { skip, data: data as usize, is_end: false });
            }
            self.frame(*byte)?;
            skip += 1;
            if self.state == State::Done {
                return Ok(Step { skip, data: 0, is_end: true });
            }
        }
        Ok(Step { skip, data: 0, is_end: false })
    }

    #[expect(clippy::match_same_arms, reason = "one arm per state and byte, in the order of the grammar")]
    fn frame(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.state = match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => {
                self.size_digits += 1;
                if self.size_digits > SIZE_DIGITS_MAX {
                    return Err(ChunkError::Size);
                }
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.remaining = self.remaining << 4 | u64::from(digit);
                State::Size
            }
            (State::Size, _) if self.size_digits == 0 => return Err(ChunkError::Size),
            (State::Size | State::SizeEnd, b'\r') => State::SizeFeed,
            (State::Size | State::SizeEnd, b' ' | b'\t') => self.extend(State::SizeEnd)?,
            (State::Size | State::SizeEnd, b';') => self.extend(State::Extension)?,
            (State::Size | State::SizeEnd, _) => return Err(ChunkError::Size),
            (State::Extension, b'\r') => State::SizeFeed,
            (State::Extension, b'\t' | 0x20..=0x7e | 0x80..) => self.extend(State::Extension)?,
            (State::Extension, _) => return Err(ChunkError::Extension),
            (State::SizeFeed, b'\n') => {
                self.size_digits = 0;
                self.extension_bytes = 0;
                if self.remaining > CHUNK_BYTES_MAX {
                    return Err(ChunkError::Size);
                }
                if self.remaining == 0 { State::TrailerStart } else { State::Data }
            }
            (State::SizeFeed, _) => return Err(ChunkError::Size),
            (State::DataReturn, b'\r') => State::DataFeed,
            (State::DataFeed, b'\n') => State::Size,
            (State::DataReturn | State::DataFeed, _) => return Err(ChunkError::DataEnd),
            (State::TrailerStart, b'\r') => State::LastFeed,
            // A trailer starts with a token character; its name is not kept, so its shape beyond that is not judged.
            (State::TrailerStart, _) if super::field::is_token(&[byte]) => self.trail()?,
            (State::Trailer, b'\r') => State::TrailerFeed,
            (State::Trailer, b'\t' | 0x20..=0x7e | 0x80..) => self.trail()?,
            (State::TrailerFeed, b'\n') => State::TrailerStart,
            (State::LastFeed, b'\n') => State::Done,
            (State::TrailerStart | State::Trailer | State::TrailerFeed | State::LastFeed, _) => {
                return Err(ChunkError::Trailer);
            }
            (State::Data | State::Done, _) => self.state,
        };
        Ok(())
    }

    fn extend(&mut self, next: State) -> Result<State, ChunkError> {
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_BYTES_MAX { Err(ChunkError::Extension) } else { Ok(next) }
    }

    fn trail(&mut self) -> Result<State, ChunkError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX { Err(ChunkError::Trailer) } else { Ok(State::Trailer) }
    }
}

/// Appends the line that opens a chunk of `len` bytes (not zero).
pub fn push_chunk_start(out: &mut Vec<u8>, len: usize) {
    let digits = len.checked_ilog2().map_or(1, |bits| bits / 4 + 1);
    for place in (0..digits).rev() {
        let digit = (len >> (place * 4)) & 0xf;
        out.push(char::from_digit(digit as u32, 16).map_or(b'0', |digit| digit as u8));
    }
    out.extend_from_slice(b"\r\n");
}

/// What ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Hexadecimal digits of a chunk size, leading zeros included.
const SIZE_DIGITS_MAX: u32 = 16;
/// Largest chunk; far above what anybody sends, far below where sums could wrap.
const CHUNK_BYTES_MAX: u64 = 1 << 62;
/// Bytes of extensions and blanks on one chunk's line.
const EXTENSION_BYTES_MAX: usize = 4 << 10;
/// Bytes of trailers over a whole body.
const TRAILER_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` cut into pieces of `piece` bytes; returns the data and how many bytes were consumed.
    fn decode(input: &[u8], piece: usize) -> Result<(Vec<u8>, Option<usize>), ChunkError> {
        let mut chunked = Chunked::default();
        let mut data = Vec::new();
        let mut at = 0;
        while at < input.len() {
            let end = (at + piece).min(input.len());
            let step = chunked.step(&input[at..end])?;
            data.extend_from_slice(&input[at + step.skip..at + step.skip + step.data]);
            at += step.skip + step.data;
            if step.is_end {
                return Ok((data, Some(at)));
            }
        }
        Ok((data, None))
    }

    #[test]
    fn bodies() {
        for (text, data, consumed) in [
            ("5\r\nhello\r\n0\r\n\r\nGET", "hello", Some(15)),
            ("5;a=\"b\"\r\nhello\r\n000\r\nX: 1\r\n\r\n", "hello", Some(29)),
            ("A \t;x\r\n0123456789\r\n0\r\n\r\n", "0123456789", Some(24)),
            ("5\r\nhel", "hel", None),
            ("0\r\n\r", "", None),
        ] {
            for piece in 1..text.len() {
                let want = (data.as_bytes().to_vec(), consumed);
                assert_eq!(decode(text.as_bytes(), piece), Ok(want), "{text:?} by {piece}");
            }
        }
    }

    #[test]
    fn malformed_bodies() {
        let zeros = "0".repeat(17);
        let extension = format!("1;{}\r\n", "x".repeat(EXTENSION_BYTES_MAX + 1));
        let trailer = format!("0\r\nA: {}\r\n", "x".repeat(TRAILER_BYTES_MAX + 1));
        for (text, error) in [
            ("\r\n", ChunkError::Size),
            ("-1\r\n", ChunkError::Size),
            ("0x1\r\n", ChunkError::Size),
            (" 1\r\n", ChunkError::Size),
            ("1\n", ChunkError::Size),
            ("1\rx", ChunkError::Size),
            ("FFFFFFFFFFFFFFFF\r\n", ChunkError::Size),
            (&zeros, ChunkError::Size),
            ("1_0\r\n", ChunkError::Size),
            ("1;a\nb\r\n", ChunkError::Extension),
            ("1;\0\r\n", ChunkError::Extension),
            (&extension, ChunkError::Extension),
            ("1\r\nab\r\n", ChunkError::DataEnd),
            ("1\r\na\n", ChunkError::DataEnd),
            ("0\r\n X: 1\r\n\r\n", ChunkError::Trailer),
            ("0\r\nX: 1\n\r\n", ChunkError::Trailer),
            (&trailer, ChunkError::Trailer),
        ] {
            assert_eq!(decode(text.as_bytes(), 3), Err(error), "{:?}", &text[..text.len().min(40)]);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(chunks in proptest::collection::vec(1_usize..100_000, 0..5), piece in 1_usize..70_000) {
            let mut wire = Vec::new();
            let mut want = Vec::new();
            for (index, len) in chunks.iter().enumerate() {
                push_chunk_start(&mut wire, *len);
                wire.extend(std::iter::repeat_n(index as u8, *len));
                want.extend(std::iter::repeat_n(index as u8, *len));
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(LAST_CHUNK);
            let total = wire.len();
            wire.extend_from_slice(b"next");
            proptest::prop_assert_eq!(decode(&wire, piece), Ok((want, Some(total))));
        }

        #[test]
        fn nothing_panics(input in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), piece in 1_usize..50) {
            let _ = decode(&input, piece);
        }
    }
}
