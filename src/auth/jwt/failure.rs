//! Why authentication failed: one cause for the log, five texts for clients.

use super::claims::{ClaimError, KeyError, TimeClaim};
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
            Self::Key(KeyError::NotText | KeyError::OtherClaim | KeyError::Unknown) => ClientMessage::KeyInvalid,
            Self::Verify(_) => ClientMessage::NotVerified,
        }
    }

    /// Under which reason it is counted.
    pub fn reason(self) -> Reason {
        match self {
            Self::Absent => Reason::Absent,
            Self::Token(_) => Reason::Malformed,
            Self::Key(KeyError::Missing) => Reason::KeyMissing,
            Self::Key(KeyError::NotText | KeyError::OtherClaim | KeyError::Unknown) => Reason::KeyUnknown,
            Self::Verify(error) => match error {
                VerifyError::Key(_) => Reason::KeyUnusable,
                VerifyError::AlgorithmMissing { .. } | VerifyError::AlgorithmMismatch { .. } => Reason::Algorithm,
                VerifyError::SignatureEncoding | VerifyError::SignatureMismatch => Reason::Signature,
                VerifyError::Throttled => Reason::Throttled,
                VerifyError::Claim(ClaimError { claim: TimeClaim::Expires, .. }) => Reason::Expired,
                VerifyError::Claim(ClaimError { claim: TimeClaim::NotBefore, .. }) => Reason::NotYetValid,
            },
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
            Self::Verify(VerifyError::SignatureEncoding | VerifyError::SignatureMismatch | VerifyError::Throttled) => {
                Step::Signature
            }
            Self::Verify(VerifyError::Claim(_)) => Step::Times,
        }
    }
}

/// Causes as operators count them (`reason` of the metric, and of the log line).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No token came.
    Absent,
    /// What came is no token.
    Malformed,
    /// It names nobody.
    KeyMissing,
    /// It names nobody known.
    KeyUnknown,
    /// The credential has no usable key.
    KeyUnusable,
    /// Another algorithm than the credential's.
    Algorithm,
    /// Not the credential's signature.
    Signature,
    /// Not verified: too many forged tokens from its address.
    Throttled,
    /// `exp` has passed, or is not as it must be.
    Expired,
    /// `nbf` is to come, or is not as it must be.
    NotYetValid,
}

impl Reason {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 10] = [
        Self::Absent,
        Self::Malformed,
        Self::KeyMissing,
        Self::KeyUnknown,
        Self::KeyUnusable,
        Self::Algorithm,
        Self::Signature,
        Self::Throttled,
        Self::Expired,
        Self::NotYetValid,
    ];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Malformed => "malformed",
            Self::KeyMissing => "key_missing",
            Self::KeyUnknown => "key_unknown",
            Self::KeyUnusable => "key_unusable",
            Self::Algorithm => "algorithm",
            Self::Signature => "signature",
            Self::Throttled => "throttled",
            Self::Expired => "exp",
            Self::NotYetValid => "nbf",
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
    fn reasons_stand_in_the_order_of_their_counters() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.name());
        }
    }

    #[test]
    fn steps_are_in_the_order_they_run() {
        assert!(Step::ALL.is_sorted());
    }
}
