//! Why authentication failed: one cause for the log, five texts for clients.

use super::claims::KeyError;
use super::token::TokenError;
use super::verify::VerifyError;
use crate::auth::consumer::Credential;
use std::fmt;
use std::sync::Arc;

/// A token that proves nothing, and the credential it was judged by once that was known.
#[derive(Debug, Clone, Copy)]
pub struct Rejection<'c> {
    /// Why.
    pub failure: Failure,
    /// Whom the token named; for the log, never for the client.
    pub credential: Option<&'c Arc<Credential>>,
}

impl<F: Into<Failure>> From<F> for Rejection<'_> {
    fn from(failure: F) -> Self {
        Self { failure: failure.into(), credential: None }
    }
}

/// Every way for jwt-auth to fail. Always the downstream's fault; a retry with the same token fails alike, save for
/// claims about time.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Failure {
    /// No token in the header, the query or the cookie.
    #[error("no token in the request")]
    Absent,
    /// What was presented is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It names nobody.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It does not prove what it says.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl Failure {
    /// What the client may know: APISIX's `message` (spec/jwt-auth §8.1). Derived from no secret.
    pub fn client_message(self) -> ClientMessage {
        match self {
            Self::Absent => ClientMessage::Missing,
            Self::Token(_) => ClientMessage::Invalid,
            Self::Key(KeyError::Missing) => ClientMessage::KeyMissing,
            Self::Key(KeyError::NotText | KeyError::Unknown) => ClientMessage::KeyInvalid,
            Self::Verify(_) => ClientMessage::NotVerified,
        }
    }

    /// The step that failed; those before it passed.
    pub fn step(self) -> Step {
        match self {
            Self::Absent => Step::Find,
            Self::Token(_) => Step::Parse,
            Self::Key(_) => Step::LookUp,
            Self::Verify(VerifyError::Key(_)) => Step::Key,
            Self::Verify(VerifyError::AlgorithmMissing { .. } | VerifyError::AlgorithmMismatch { .. }) => {
                Step::Algorithm
            }
            Self::Verify(VerifyError::SignatureEncoding | VerifyError::SignatureMismatch) => Step::Signature,
            Self::Verify(VerifyError::Claim(_)) => Step::Times,
        }
    }
}

/// The steps from request to credential, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Find the token in the request.
    Find,
    /// Split and decode it.
    Parse,
    /// Find the credential it names.
    LookUp,
    /// Have the credential's key at hand.
    Key,
    /// Compare its algorithm with the credential's.
    Algorithm,
    /// Verify the signature.
    Signature,
    /// Compare `exp` and `nbf` with the clock.
    Times,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 7] =
        [Self::Find, Self::Parse, Self::LookUp, Self::Key, Self::Algorithm, Self::Signature, Self::Times];
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Find => "find the token",
            Self::Parse => "parse it",
            Self::LookUp => "look up the credential it names",
            Self::Key => "have the credential's key at hand",
            Self::Algorithm => "compare the algorithm",
            Self::Signature => "verify the signature",
            Self::Times => "compare exp and nbf with the clock",
        })
    }
}

/// The five texts that clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientMessage {
    /// No token.
    Missing,
    /// No token in what was presented.
    Invalid,
    /// A token that names nobody.
    KeyMissing,
    /// A token that names somebody unknown.
    KeyInvalid,
    /// A token that does not prove whom it names.
    NotVerified,
}

impl ClientMessage {
    /// The text, to the letter as APISIX sends it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Missing => "Missing JWT token in request",
            Self::Invalid => "JWT token invalid",
            Self::KeyMissing => "missing user key in JWT token",
            Self::KeyInvalid => "Invalid user key in JWT token",
            Self::NotVerified => "failed to verify jwt",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_stay_small() {
        assert!(size_of::<Failure>() <= 32, "{}", size_of::<Failure>());
    }

    #[test]
    fn steps_are_in_the_order_they_run() {
        assert!(Step::ALL.is_sorted());
    }
}
