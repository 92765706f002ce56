//! The way of a token through all its judges, with and without a memory of earlier ones (spec/jwt-auth §5–§7).
//!
//! See [`judge`] and [`judge_remembered`]. Bench: `auth/judge`, `auth/cached`; fuzz target: `jwt_token`.

use super::algorithm::Algorithm;
use super::cache::{TokenDigest, Verified};
use super::claims::{Claims, KeyError, TimeChecks};
use super::failure::{Failure, Rejection};
use super::json;
use super::memory::{Memory, Settings};
use super::seen::SeenPayloads;
use super::token::{Header, Parts};
use super::verify::VerifyError;
use crate::auth::consumer::{AuthMaterial, Credential};
use crate::base::log_limit::LogLimit;
use crate::metrics::Cells;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// What a route asks of a token.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The top-level claim that names the credential.
    pub key_claim_name: Box<str>,
    /// Which claims about time are checked.
    pub time_checks: TimeChecks,
}

/// Judges `token` at `unix_s` whole seconds since the epoch, on its own merits.
///
/// `find` looks a key up among the live credentials. The order is fixed and the first failure ends it: parse, look
/// up, algorithm, signature, times (spec/jwt-auth §7).
pub fn judge<'c>(
    token: &[u8],
    policy: &Policy,
    find: impl FnMut(&str) -> Option<&'c Arc<Credential>>,
    unix_s: u64,
    workspace: &mut Workspace,
) -> Result<&'c Arc<Credential>, Rejection<'c>> {
    way_of(token, policy, find, unix_s, workspace, None)
}

/// As [`judge`], for a token that came from `from`: one that was verified before, by the same version of the same
/// credential under the same policy, is spared the signature; an address that sent too many forged ones is made to
/// wait ([`VerifyError::Throttled`]).
pub fn judge_remembered<'c>(
    token: &[u8],
    policy: &Policy,
    find: impl FnMut(&str) -> Option<&'c Arc<Credential>>,
    unix_s: u64,
    from: IpAddr,
    scratch: &mut Judging,
) -> Result<&'c Arc<Credential>, Rejection<'c>> {
    let Judging { workspace, memory, cells } = scratch;
    way_of(token, policy, find, unix_s, workspace, Some(Source { from, memory, cells }))
}

/// Where a token came from, and what is remembered of others.
struct Source<'m> {
    from: IpAddr,
    memory: &'m mut Memory,
    cells: &'m Cells,
}

fn way_of<'c>(
    token: &[u8],
    policy: &Policy,
    mut find: impl FnMut(&str) -> Option<&'c Arc<Credential>>,
    unix_s: u64,
    workspace: &mut Workspace,
    source: Option<Source<'_>>,
) -> Result<&'c Arc<Credential>, Rejection<'c>> {
    let Workspace { header, payload, signature, reader, last_header, seen, canonical, strict_claim } = workspace;
    let mut parts = Parts::split(token)?;
    if let Some(canonical) = canonical {
        parts = parts.respelled(canonical);
    }
    let header = if let Some(known) = last_header.of(parts.header) {
        known
    } else {
        let read = Header::read(parts.header, header, reader)?;
        last_header.remember(parts.header, read);
        read
    };
    // Only a worker remembers, and only what costs more to verify than to remember.
    let mut source = source.filter(|_| header.algorithm().is_some_and(|algorithm| !algorithm.is_hmac()));
    let digest = source
        .as_ref()
        .filter(|source| source.memory.cache.is_on())
        .map(|_| TokenDigest::of(&parts, &policy.key_claim_name, policy.time_checks));
    let judge_times = |credential: &'c Arc<Credential>, claims: &Claims<'_>| {
        let AuthMaterial::Jwt(jwt) = &credential.material;
        policy.time_checks.check(claims, unix_s, jwt.grace_s()).map_err(|error| rejection(error.into(), credential))
    };

    if let (Some(source), Some(digest)) = (&mut source, &digest)
        && let Some(known) = source.memory.cache.find(digest, unix_s)
    {
        let live = find(&known.key).filter(|credential| credential.version == known.version);
        let claims = known.claims();
        if let Some(credential) = live {
            source.cells.jwt_cache_hits.add(1);
            let AuthMaterial::Jwt(jwt) = &credential.material;
            jwt.check_algorithm(header).map_err(|error| rejection(error, credential))?;
            return judge_times(credential, &claims).map(|()| credential);
        }
        source.memory.cache.forget(digest);
    }

    let hash = seen.hash(parts.payload);
    let claims = if let Some(known) = seen.claims(hash, parts.payload, &policy.key_claim_name) {
        known
    } else {
        let read = Claims::read(parts.payload, &policy.key_claim_name, payload, reader)?;
        seen.keep(hash, parts.payload, &policy.key_claim_name, &read);
        read
    };
    let key = claims.key()?;
    let credential = find(key).ok_or(KeyError::Unknown)?;
    let AuthMaterial::Jwt(jwt) = &credential.material;
    if *strict_claim && jwt.claim_name() != &*policy.key_claim_name {
        return Err(Rejection { failure: KeyError::OtherClaim.into(), credential: Some(credential) });
    }
    jwt.check_algorithm(header).map_err(|error| rejection(error, credential))?;
    if let Some(source) = &source {
        source.cells.jwt_cache_misses.add(1);
        if source.memory.brake.wait(source.from).is_some() {
            return Err(rejection(VerifyError::Throttled, credential));
        }
    }
    jwt.check_signature(&parts, signature).map_err(|error| {
        if let (Some(source), VerifyError::SignatureMismatch) = (&mut source, error) {
            source.memory.brake.failed(source.from, jwt.verification_cost());
        }
        rejection(error, credential)
    })?;
    // Also a token that is expired, or not valid yet: whoever sends it again gets no second verification.
    if let (Some(source), Some(digest)) = (source, digest)
        && let Some(verified) = Verified::new(key, credential.version, &claims)
    {
        source.memory.cache.remember(digest, verified, unix_s);
    }
    judge_times(credential, &claims).map(|()| credential)
}

fn rejection(error: VerifyError, credential: &Arc<Credential>) -> Rejection<'_> {
    Rejection { failure: Failure::Verify(error), credential: Some(credential) }
}

/// What one worker reuses and remembers for authentication.
#[derive(Default)]
pub struct Scratch {
    /// A token from the query, once percent-decoded.
    pub argument: Vec<u8>,
    /// What judging needs.
    pub judging: Judging,
    /// On lines about requests that were not authenticated.
    pub refusal_log: LogLimit,
}

impl Scratch {
    /// What a worker starts with; counters are kept in `cells`.
    pub fn new(settings: &Settings, cells: Arc<Cells>) -> Self {
        let judging = Judging { workspace: Workspace::new(settings), memory: Memory::new(settings), cells };
        Self { judging, ..Self::default() }
    }
}

impl fmt::Debug for Scratch {
    /// Shows nothing of what the last token said.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// What [`judge_remembered`] reuses and remembers.
#[derive(Debug, Default)]
pub struct Judging {
    /// Buffers.
    pub workspace: Workspace,
    /// Tokens seen before.
    pub memory: Memory,
    /// The worker's counters.
    pub cells: Arc<Cells>,
}

/// Buffers for [`judge`], each bounded by [`TOKEN_BYTES_MAX`](super::TOKEN_BYTES_MAX) and what a parser adds.
#[derive(Default)]
pub struct Workspace {
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
    reader: json::Reader,
    last_header: LastHeader,
    seen: SeenPayloads,
    /// Set where tokens may be spelled as APISIX lets them be.
    canonical: Option<Vec<u8>>,
    /// A credential is found by its own claim only (spec/jwt-auth §6.3).
    strict_claim: bool,
}

impl Workspace {
    /// Buffers for judging as `settings` say.
    pub fn new(settings: &Settings) -> Self {
        Self {
            seen: SeenPayloads::new(settings.cache_entries),
            canonical: settings.lenient_base64.then(Vec::new),
            strict_claim: settings.strict_credential_claim,
            ..Self::default()
        }
    }
}

/// The last token's header part, and what it says. Nearly all tokens of one issuer begin alike, and what a header says
/// depends on nothing else.
#[derive(Default)]
struct LastHeader {
    encoded: Vec<u8>,
    algorithm: Option<Algorithm>,
}

impl LastHeader {
    /// What `encoded` says, if it is the header last remembered.
    fn of(&self, encoded: &[u8]) -> Option<Header<'static>> {
        let algorithm = self.algorithm.filter(|_| self.encoded == encoded)?;
        Some(Header { algorithm: Some(algorithm.name()) })
    }

    /// Remembers a header that was read, if it names a known algorithm and is no longer than headers are.
    fn remember(&mut self, encoded: &[u8], header: Header<'_>) {
        if encoded.len() > HEADER_BYTES_USUAL {
            return;
        }
        self.algorithm = header.algorithm();
        self.encoded.clear();
        self.encoded.extend_from_slice(encoded);
    }
}

/// Longer header parts, such as those with certificates in them, are read each time.
const HEADER_BYTES_USUAL: usize = 512;

impl fmt::Debug for Workspace {
    /// Shows nothing of what the last token said.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Workspace").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod remembered_tests;
#[cfg(test)]
mod tests;
