//! What a worker remembers between tokens of asymmetric algorithms: those that were verified, and who sends forged
//! ones.

use super::cache::TokenCache;
use crate::base::brake::Brake;
use governor::Quota;
use std::num::NonZeroU32;

/// How jwt-auth works for the whole process (`ringgate.jwt` of the configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `lenient_base64`: other spellings of a token's parts are read, as APISIX reads them (spec/jwt-auth §5). False.
    pub lenient_base64: bool,
    /// `strict_credential_claim`: a token must name its credential by the claim that is the credential's
    /// `key_claim_name` (spec/jwt-auth §6.3). False.
    pub strict_credential_claim: bool,
    /// `cache_entries`: verified tokens remembered per worker, and payloads with what they say; 0 remembers none. 16,384.
    pub cache_entries: usize,
    /// `cache_without_exp_s`: how long a token without `exp` is remembered, in seconds. 300.
    pub cache_without_exp_s: u64,
    /// `failed_verifications_per_s`: forged tokens that one address may have verified per second and worker, as many as
    /// cost what those of RS256 do ([`super::JwtCredential::verification_cost`]). 1,000: some 2 % of a core.
    pub failed_verifications_per_s: NonZeroU32,
    /// `failed_verifications_burst`: how many at once before that. 4,000.
    pub failed_verifications_burst: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lenient_base64: false,
            strict_credential_claim: false,
            cache_entries: 16_384,
            cache_without_exp_s: 300,
            failed_verifications_per_s: FAILURES_PER_S,
            failed_verifications_burst: FAILURES_BURST,
        }
    }
}

/// One worker's memory.
#[derive(Debug)]
pub struct Memory {
    /// Verified tokens.
    pub(super) cache: TokenCache,
    /// On sources of forged tokens: each costs a core 20 µs (RS256) to more than a millisecond (Ed448, long RSA keys); an
    /// HMAC or a look-up costs next to nothing.
    pub(super) brake: Brake,
}

impl Memory {
    /// An empty memory.
    pub fn new(settings: &Settings) -> Self {
        let quota = Quota::per_second(settings.failed_verifications_per_s);
        Self {
            cache: TokenCache::new(settings.cache_entries, settings.cache_without_exp_s),
            brake: Brake::new(quota.allow_burst(settings.failed_verifications_burst)),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(&Settings::default())
    }
}

const FAILURES_PER_S: NonZeroU32 = match NonZeroU32::new(1_000) {
    Some(rate) => rate,
    None => NonZeroU32::MIN,
};
const FAILURES_BURST: NonZeroU32 = match NonZeroU32::new(4_000) {
    Some(burst) => burst,
    None => NonZeroU32::MIN,
};
