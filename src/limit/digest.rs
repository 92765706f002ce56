//! Keys as the table knows them: by a digest of fixed length.

use siphasher::sip128::SipHasher13;
use std::hash::{BuildHasher, RandomState};

/// A key's text as 128 bits of SipHash-1-3 under the process's random key.
///
/// Two texts that share a digest would share a window. `SipHash` is a pseudo-random function whose key never leaves the
/// process and whose output nobody outside sees, so that cannot be aimed at: for n keys at once it happens with
/// probability n²/2^129, which is 2^-89 for a million and 2^-75 for the 2^27 that may be configured. In return no key is
/// compared or stored as text, and its length costs no memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest {
    /// Says where the key's window lies: its shard by the high bits, its place there by the low ones.
    pub place: u64,
    /// Tells keys of one place apart, together with `place`.
    pub check: u64,
}

/// Makes digests under one key.
#[derive(Debug)]
pub struct Digests(SipHasher13);

impl Digests {
    /// Under a new random key.
    pub fn random() -> Self {
        // The standard library's hasher has 128 random bits of the system, and is a pseudo-random function itself.
        let random = RandomState::new();
        Self(SipHasher13::new_with_keys(random.hash_one(0_u8), random.hash_one(1_u8)))
    }

    /// The digest of `key`.
    #[inline]
    pub fn of(&self, key: &[u8]) -> Digest {
        let whole = self.0.hash(key);
        Digest { place: whole.h1, check: whole.h2 }
    }
}
