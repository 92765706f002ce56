//! The shape of a token: three parts of strict base64url, a header that is a JSON object (RFC 7515 §3.1, §7.1).
//!
//! The token's bytes in, its parts out, borrowed. Runs on every token, before anything about it can be trusted; the
//! header never chooses a key. Never allocates, never panics. Bench: `auth/judge`; fuzz target: `jwt_token`.

use super::algorithm::Algorithm;
use super::json::{JsonError, Member, Reader};
use crate::base::base64url;

/// The parts of a token in compact form, still encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'t> {
    /// The JOSE header.
    pub header: &'t [u8],
    /// The claims.
    pub payload: &'t [u8],
    /// What proves them.
    pub signature: &'t [u8],
    /// What the signature covers: header, dot and payload exactly as received.
    pub signing_input: &'t [u8],
}

impl<'t> Parts<'t> {
    /// Splits `token` at its dots: exactly three parts, none empty, at most [`TOKEN_BYTES_MAX`] bytes together.
    pub fn split(token: &'t [u8]) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(TokenError::NotThreeParts);
        };
        let parts = Self {
            header: token.get(..first).unwrap_or_default(),
            payload: token.get(first + 1..second).unwrap_or_default(),
            signature: token.get(second + 1..).unwrap_or_default(),
            signing_input: token.get(..second).unwrap_or_default(),
        };
        if parts.header.is_empty() || parts.payload.is_empty() || parts.signature.is_empty() {
            return Err(TokenError::EmptyPart);
        }
        Ok(parts)
    }

    /// The same parts in their one strict spelling, where they have one; written to `buffer`. What the signature covers
    /// stays as received.
    pub fn respelled<'b>(&self, buffer: &'b mut Vec<u8>) -> Parts<'b>
    where
        't: 'b,
    {
        buffer.clear();
        let mut ends = [0; 3];
        for (part, end) in [self.header, self.payload, self.signature].into_iter().zip(&mut ends) {
            base64url::respell_into(part, buffer);
            *end = buffer.len();
        }
        let [header, payload, signature] = ends;
        Parts {
            header: buffer.get(..header).unwrap_or_default(),
            payload: buffer.get(header..payload).unwrap_or_default(),
            signature: buffer.get(payload..signature).unwrap_or_default(),
            signing_input: self.signing_input,
        }
    }
}

/// What a token's header says that matters. `typ`, `kid`, `jwk`, `jku`, `x5c` and all others do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// `alg`; none if absent or not a string.
    pub algorithm: Option<&'a str>,
}

impl<'a> Header<'a> {
    /// The algorithm it names, if it is a known one.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm.and_then(Algorithm::from_name)
    }

    /// Decodes a header part into `decoded`, from which the result is borrowed.
    ///
    /// Any `crit` is refused: no extension is understood here (RFC 7515 §4.1.11).
    pub fn read(encoded: &[u8], decoded: &'a mut Vec<u8>, reader: &mut Reader) -> Result<Self, TokenError> {
        let json = base64url::decode_into(encoded, decoded).map_err(|_| TokenError::HeaderEncoding)?;
        let mut header = Self { algorithm: None };
        let mut critical = false;
        let read = reader.members(json, |name, member| match name {
            "alg" => {
                header.algorithm = match member {
                    Member::Text(text) => Some(text),
                    _ => None,
                }
            }
            "crit" => critical = true,
            _ => {}
        });
        match read {
            Err(JsonError::Syntax) => Err(TokenError::HeaderJson),
            Err(JsonError::NotObject) => Err(TokenError::HeaderNotObject),
            Ok(()) if critical => Err(TokenError::Critical),
            Ok(()) => Ok(header),
        }
    }
}

/// Why something presented as a token is none. The client learns only `JWT token invalid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The query argument came without `=`.
    #[error("the query argument has no value")]
    ArgumentBare,
    /// The query argument came more than once.
    #[error("the query argument is repeated")]
    ArgumentRepeated,
    /// Longer than [`TOKEN_BYTES_MAX`].
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// One part, two, four, or five (an encrypted token, RFC 7516).
    #[error("the token does not have three parts")]
    NotThreeParts,
    /// Header, payload or signature is empty.
    #[error("a part of the token is empty")]
    EmptyPart,
    /// The header is not strict base64url.
    #[error("the header is not base64url without padding")]
    HeaderEncoding,
    /// The header is not JSON.
    #[error("the header is not JSON")]
    HeaderJson,
    /// The header is JSON of another kind.
    #[error("the header is not a JSON object")]
    HeaderNotObject,
    /// The header has `crit`.
    #[error("the header has crit, and no extension is supported")]
    Critical,
    /// The payload is not strict base64url.
    #[error("the payload is not base64url without padding")]
    PayloadEncoding,
    /// The payload is not JSON.
    #[error("the payload is not JSON")]
    PayloadJson,
    /// The payload is JSON of another kind.
    #[error("the payload is not a JSON object")]
    PayloadNotObject,
}

/// Longest token looked at, in bytes. Twice what nginx admits on one line by default, so twice what APISIX would see.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    #[test]
    fn three_parts_or_nothing() {
        let parts = Parts::split(b"aa.b.cc").unwrap();
        assert_eq!((parts.header, parts.payload, parts.signature), (&b"aa"[..], &b"b"[..], &b"cc"[..]));
        assert_eq!(parts.signing_input, b"aa.b");
        let refused = [
            ("", TokenError::NotThreeParts),
            ("a", TokenError::NotThreeParts),
            ("a.b", TokenError::NotThreeParts),
            ("a.b.", TokenError::EmptyPart),
            (".b.c", TokenError::EmptyPart),
            ("a..c", TokenError::EmptyPart),
            ("..", TokenError::EmptyPart),
            ("a..b.c", TokenError::NotThreeParts),
            (".a.b.c", TokenError::NotThreeParts),
            ("a.b.c.", TokenError::NotThreeParts),
            ("a.b.c.d.e", TokenError::NotThreeParts),
        ];
        for (token, want) in refused {
            assert_eq!(Parts::split(token.as_bytes()), Err(want), "{token:?}");
        }
    }

    #[test]
    fn length_is_bounded() {
        let token = |bytes: usize| format!("a.{}.c", "b".repeat(bytes - 4));
        assert!(Parts::split(token(TOKEN_BYTES_MAX).as_bytes()).is_ok());
        assert_eq!(Parts::split(token(TOKEN_BYTES_MAX + 1).as_bytes()), Err(TokenError::TooLong));
    }

    fn header(json: &str) -> Result<Option<String>, TokenError> {
        let mut decoded = Vec::new();
        let encoded = URL_SAFE_NO_PAD.encode(json);
        Header::read(encoded.as_bytes(), &mut decoded, &mut Reader::default())
            .map(|header| header.algorithm.map(str::to_owned))
    }

    #[test]
    fn of_the_header_only_alg_and_crit_matter() {
        let algorithm = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(header(r#"{"typ":"x","alg":"HS256","kid":"../k","jwk":{"alg":"none"}}"#), algorithm("HS256"));
        assert_eq!(header(r#"{"alg":"none","alg":"HS256"}"#), algorithm("HS256"), "last wins");
        assert_eq!(header(r#"{"alg":"HS256","alg":null}"#), Ok(None), "last wins");
        assert_eq!(header(r#"{"alg":"HS\u0032\u0035\u0036"}"#), algorithm("HS256"), "escapes mean what they say");
        for json in ["{}", r#"{"Alg":"HS256"}"#, r#"{"alg":null}"#, r#"{"alg":["HS256"]}"#, r#"{"alg":256}"#] {
            assert_eq!(header(json), Ok(None), "{json}");
        }
        for json in [r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, r#"{"crit":null}"#, r#"{"crit":[]}"#] {
            assert_eq!(header(json), Err(TokenError::Critical), "{json}");
        }
        for json in ["[]", "null", "1", r#""HS256""#] {
            assert_eq!(header(json), Err(TokenError::HeaderNotObject), "{json}");
        }
        for json in ["{", "xx", r#"{"alg":"HS256"}x"#, "{\"alg\":\"HS256\"}\0"] {
            assert_eq!(header(json), Err(TokenError::HeaderJson), "{json}");
        }
        let mut decoded = Vec::new();
        for encoded in ["eyJhbGciOiJIUzI1NiJ9=", "e", "@@@@", "eyJhbGciOiJIUzI1NiIgf/"] {
            let got = Header::read(encoded.as_bytes(), &mut decoded, &mut Reader::default());
            assert_eq!(got, Err(TokenError::HeaderEncoding), "{encoded}");
        }
    }

    proptest! {
        #[test]
        fn splitting_agrees_with_a_naive_split(token in "[a-c.]{0,12}") {
            let pieces: Vec<&str> = token.split('.').collect();
            let want = pieces.len() == 3 && pieces.iter().all(|piece| !piece.is_empty());
            prop_assert_eq!(Parts::split(token.as_bytes()).is_ok(), want);
        }
    }
}
