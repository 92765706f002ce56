//! Tokens that the gateway makes itself, for the sign endpoint (spec/jwt-auth §9.2).
//!
//! A credential, some claims and the time in, a token out. Runs only for requests that ask for a token: allocates what
//! it returns, and takes an RSA key about a millisecond of its worker. Never waits or panics.

use super::key::KeyFault;
use super::signing::{SignError, SigningKey};
use super::verify::JwtCredential;
use serde_json::{Map, Value};

/// What a credential issues tokens with, beyond what it verifies with.
#[derive(Debug)]
pub struct Issuer {
    /// From `private_key`; `Ok(None)` without one, and for HMAC, where the secret signs too.
    pub key: Result<Option<SigningKey>, KeyFault>,
    /// Seconds from now to `exp`, at least 1: the credential's `exp`.
    pub lifetime_s: u64,
    /// The claim that names the credential: its `key_claim_name`.
    pub claim_name: Box<str>,
    /// What stands alone in the header's `x5c`, if it has one.
    pub x5c: Option<Box<str>>,
}

impl Default for Issuer {
    fn default() -> Self {
        Self { key: Ok(None), lifetime_s: LIFETIME_S, claim_name: CLAIM_NAME.into(), x5c: None }
    }
}

impl Issuer {
    /// Whether it says no more than a credential without one. Most are such, and keep nothing.
    pub(super) fn is_default(&self) -> bool {
        let Self { key, lifetime_s, claim_name, x5c } = self;
        matches!(key, Ok(None)) && *lifetime_s == LIFETIME_S && &**claim_name == CLAIM_NAME && x5c.is_none()
    }
}

impl JwtCredential {
    /// Whether it has a key to sign with.
    pub fn can_issue(&self) -> bool {
        self.mac_key().is_some() || self.own_key().is_some()
    }

    /// A token that names this credential and says `claims`, made at `unix_s` whole seconds since the epoch.
    ///
    /// The claim that names the credential, and `exp`, are the credential's whatever `claims` says: nobody chooses how
    /// long a token lives, or whose it is.
    pub fn issue(&self, mut claims: Map<String, Value>, unix_s: u64) -> Result<String, IssueError> {
        let (lifetime_s, claim_name, x5c) = match self.issuer() {
            Some(issuer) => (issuer.lifetime_s, &*issuer.claim_name, issuer.x5c.as_deref()),
            None => (LIFETIME_S, CLAIM_NAME, None),
        };
        claims.insert(claim_name.to_owned(), self.lookup_key().into());
        // Last, so that it holds even for a credential whose claim name is `exp`.
        claims.insert("exp".to_owned(), unix_s.saturating_add(lifetime_s).into());
        let header = x5c.map(|text| ("x5c".to_owned(), Value::from(vec![text]))).into_iter().collect();
        if let Some(key) = self.mac_key() {
            return Ok(SigningKey::mac(self.algorithm(), key.clone()).token(&claims, header)?);
        }
        Ok(self.own_key().ok_or(IssueError::NoKey)?.token(&claims, header)?)
    }

    /// Why its `private_key` cannot be used, if it has one that cannot.
    pub fn signing_fault(&self) -> Option<KeyFault> {
        self.issuer()?.key.as_ref().err().copied()
    }

    fn own_key(&self) -> Option<&SigningKey> {
        self.issuer()?.key.as_ref().ok()?.as_ref()
    }
}

/// Why no token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The credential has no key to sign with.
    #[error("the credential has nothing to sign with")]
    NoKey,
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// `exp` of a credential that does not say (spec/jwt-auth §2.2).
pub const LIFETIME_S: u64 = 86_400;
/// `key_claim_name` of a credential that does not say.
pub const CLAIM_NAME: &str = "key";

#[cfg(test)]
mod tests;
