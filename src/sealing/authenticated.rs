//! The authenticated format: `ringgate:v1:<key id>:<base64 of nonce, ciphertext and tag>`.
//!
//! AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits, good for 2^32 secrets under one key. The associated
//! data names the object and the member, so a sealed text opens nowhere but where it was made.

use super::SealError;
use base64_simd::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// A key of this installation: 32 random bytes, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    /// A new key; `None` when the operating system gives no random bytes.
    pub fn generate() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        SystemRandom::new().fill(&mut *bytes).ok()?;
        Some(Self(bytes))
    }

    /// The key written as `text`, standard base64 of 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let decoded = Zeroizing::new(STANDARD.decode_to_vec(text).ok()?);
        <[u8; KEY_BYTES]>::try_from(decoded.as_slice()).ok().map(Zeroizing::new).map(Self)
    }

    /// What [`Key::parse`] reads.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode_to_string(*self.0))
    }

    /// Its name in sealed texts: 16 hexadecimal digits of a digest, which say nothing of the key.
    pub fn id(&self) -> String {
        use fmt::Write;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"ringgate key id\0");
        context.update(&*self.0);
        let mut id = String::with_capacity(2 * ID_BYTES);
        for byte in context.finish().as_ref().iter().take(ID_BYTES) {
            // Writing to a string does not fail.
            let _ = write!(id, "{byte:02x}");
        }
        id
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Key").field(&self.id()).finish()
    }
}

/// Why a sealed text cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum OpenError {
    /// The key is in no key file we know.
    #[error("it is sealed under key {0}, which is not in the key file")]
    UnknownKey(String),
    /// Damaged, cut short, or written by a later release.
    #[error("it is not of the form ringgate:v1:<key id>:<base64>")]
    Malformed,
    /// Changed, or taken from another place.
    #[error("it was changed, or sealed for another object or member")]
    Forged,
}

/// Keys ready to use, newest first.
pub(super) struct Keys(Vec<Ready>);

struct Ready {
    id: String,
    cipher: LessSafeKey,
}

impl Keys {
    pub(super) fn new(keys: Vec<Key>) -> Self {
        let ready = keys.into_iter().filter_map(|key| {
            let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key.0).ok()?);
            Some(Ready { id: key.id(), cipher })
        });
        Self(ready.collect())
    }

    pub(super) fn seal(&self, place: &[u8], text: &str) -> Result<String, SealError> {
        let Ready { id, cipher } = self.0.first().ok_or(SealError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::Failed)?;
        let mut bytes = text.as_bytes().to_vec();
        cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut bytes)
            .map_err(|_| SealError::Failed)?;
        bytes.splice(..0, nonce);
        Ok(format!("{MARKER}{VERSION}{id}:{}", STANDARD.encode_to_string(&bytes)))
    }

    pub(super) fn open(&self, place: &[u8], text: &str) -> Result<String, OpenError> {
        let body = text.strip_prefix(MARKER).and_then(|rest| rest.strip_prefix(VERSION));
        let (id, body) = body.and_then(|rest| rest.split_once(':')).ok_or(OpenError::Malformed)?;
        if id.len() != 2 * ID_BYTES || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(OpenError::Malformed);
        }
        let ready = self.0.iter().find(|ready| ready.id == id);
        let Ready { cipher, .. } = ready.ok_or_else(|| OpenError::UnknownKey(id.to_owned()))?;
        let mut bytes = STANDARD.decode_to_vec(body).map_err(|_| OpenError::Malformed)?;
        let (nonce, sealed) = bytes.split_first_chunk_mut::<NONCE_LEN>().ok_or(OpenError::Malformed)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let clear = cipher.open_in_place(nonce, Aad::from(place), sealed).map_err(|_| OpenError::Forged)?;
        let clear = str::from_utf8(clear).map(str::to_owned).map_err(|_| OpenError::Forged);
        bytes.zeroize();
        clear
    }

    /// Whether `text` is sealed under the newest key.
    pub(super) fn is_under_newest(&self, text: &str) -> bool {
        let body = text.strip_prefix(MARKER).and_then(|rest| rest.strip_prefix(VERSION));
        let id = body.and_then(|rest| rest.split_once(':')).map(|(id, _)| id);
        id.is_some_and(|id| self.0.first().is_some_and(|newest| newest.id == id))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.0.iter().map(|ready| &ready.id)).finish()
    }
}

/// Whether there may be sealed text in `json`; nothing in it need be written with escapes.
pub(super) fn may_hold(json: &str) -> bool {
    json.contains(MARKER) || json.contains("\\u")
}

/// Whether `text` says that it is sealed, in whichever version.
pub(super) fn is_sealed(text: &str) -> bool {
    let version = text.strip_prefix(MARKER).and_then(|rest| rest.split_once(':')).map(|(version, _)| version);
    version.is_some_and(|version| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What every sealed text starts with; the version's number and a colon follow.
const MARKER: &str = "ringgate:v";
const VERSION: &str = "1:";
const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 8;
