//! Where a message's body ends, decided once and strictly (RFC 9112 §6).
//!
//! A duplicate, a list, a sign, an unknown coding or both kinds of framing at once are refused, never repaired.

use super::field::{FieldSpan, Known};
use crate::base::bytes::decimal;

/// Where a body ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    #[default]
    None,
    /// After this many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// When the connection ends (responses only).
    ToClose,
}

/// Why a message's framing was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// `Content-Length` is not a run of digits, or is too large.
    #[error("content-length is not a plain decimal number")]
    Length,
    /// More than one `Content-Length` line.
    #[error("content-length is repeated")]
    RepeatedLength,
    /// Both `Content-Length` and `Transfer-Encoding`.
    #[error("both content-length and transfer-encoding are present")]
    LengthAndCoding,
    /// `Transfer-Encoding` is anything but one `chunked`.
    #[error("transfer-encoding is not exactly chunked")]
    Coding,
    /// `Transfer-Encoding` in HTTP/1.0.
    #[error("transfer-encoding in an HTTP/1.0 message")]
    CodingInHttp10,
}

/// Collects the framing fields of one head.
#[derive(Debug, Clone, Copy, Default)]
pub struct FramingFields {
    length: Option<u64>,
    chunked: bool,
}

impl FramingFields {
    /// Takes one field line into account.
    #[inline]
    pub fn take(&mut self, buffer: &[u8], field: &FieldSpan) -> Result<(), FramingError> {
        match field.known {
            Known::ContentLength => {
                if self.length.is_some() {
                    return Err(FramingError::RepeatedLength);
                }
                self.length = Some(decimal(field.value.of(buffer)).ok_or(FramingError::Length)?);
            }
            Known::TransferEncoding => {
                if self.chunked || !field.value.of(buffer).eq_ignore_ascii_case(b"chunked") {
                    return Err(FramingError::Coding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// The framing that the head's fields declare, or `None` when they are silent.
    pub fn declared(self, minor_version: u8) -> Result<Option<Framing>, FramingError> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(FramingError::LengthAndCoding),
            (None, true) if minor_version == 0 => Err(FramingError::CodingInHttp10),
            (None, true) => Ok(Some(Framing::Chunked)),
            (Some(length), false) => Ok(Some(Framing::Length(length))),
            (None, false) => Ok(None),
        }
    }
}
