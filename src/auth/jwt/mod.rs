//! JSON Web Tokens (RFC 7515, 7518, 7519), strictly.

/// What verifies a credential's tokens.
#[derive(Debug)]
pub struct JwtCredential {}

/// Buffers that one worker reuses for every token.
#[derive(Debug, Default)]
pub struct Scratch {}
