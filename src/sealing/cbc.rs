//! APISIX's format: AES-CBC with PKCS#7, the key as initialisation vector, standard base64
//! (spec/consumers-credentials-secrets §6).
//!
//! Equal texts seal to equal texts, and nothing tells whether one was changed: it is here so that stores and tools of
//! APISIX can be shared, not for its strength.

use crate::schema::starts_like_reference;
use aes::{Aes128, Aes256};
use base64_simd::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use cbc::{Decryptor, Encryptor};
use std::fmt;
use zeroize::Zeroizing;

/// Keys in the order they are tried; wiped when dropped.
#[derive(Clone, Default)]
pub struct Keyring(Vec<Zeroizing<Vec<u8>>>);

impl Keyring {
    /// The original's built-in keys, which everybody knows.
    pub const PUBLIC: [&'static str; 2] = ["qeddd145sfvddff3", "edd1c9f0985e76a2"];

    /// A keyring of `keys`; `None` unless each has 16 or 32 bytes.
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Option<Self> {
        let keys = keys.into_iter().map(|key| {
            let key = Zeroizing::new(key.as_ref().to_vec());
            matches!(key.len(), SHORT_KEY_BYTES | LONG_KEY_BYTES).then_some(key)
        });
        keys.collect::<Option<_>>().map(Self)
    }

    /// Whether the key that seals is one that everybody knows.
    pub fn seals_publicly(&self) -> bool {
        self.0.first().is_some_and(|key| Self::PUBLIC.iter().any(|public| public.as_bytes() == key.as_slice()))
    }

    /// `text` under the first key; `None` without keys.
    pub(super) fn seal(&self, text: &str) -> Option<String> {
        let key = self.0.first()?;
        let iv = key.get(..IV_BYTES)?;
        let sealed = if key.len() == SHORT_KEY_BYTES {
            Encryptor::<Aes128>::new_from_slices(key, iv).ok()?.encrypt_padded_vec::<Pkcs7>(text.as_bytes())
        } else {
            Encryptor::<Aes256>::new_from_slices(key, iv).ok()?.encrypt_padded_vec::<Pkcs7>(text.as_bytes())
        };
        Some(STANDARD.encode_to_string(sealed))
    }

    /// What was sealed as `text`, by the first key that fits; `None`: it is no sealed text, or under another key.
    ///
    /// A reference and a PEM text are never one. Text in the clear that happens to be base64 of whole blocks would fit
    /// a key by chance about once in 256 times; that its bytes must be UTF-8 makes that rare beyond care.
    pub(super) fn open(&self, text: &str) -> Option<String> {
        if self.0.is_empty() || text.is_empty() || starts_like_reference(text) || text.starts_with(PEM_START) {
            return None;
        }
        let sealed = STANDARD.decode_to_vec(text).ok().filter(|sealed| sealed.len() % IV_BYTES == 0)?;
        self.0.iter().find_map(|key| {
            let iv = key.get(..IV_BYTES)?;
            let clear = if key.len() == SHORT_KEY_BYTES {
                Decryptor::<Aes128>::new_from_slices(key, iv).ok()?.decrypt_padded_vec::<Pkcs7>(&sealed)
            } else {
                Decryptor::<Aes256>::new_from_slices(key, iv).ok()?.decrypt_padded_vec::<Pkcs7>(&sealed)
            };
            String::from_utf8(clear.ok()?).ok()
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Keyring({} keys)", self.0.len())
    }
}

const PEM_START: &str = "-----BEGIN";
const IV_BYTES: usize = 16;
const SHORT_KEY_BYTES: usize = 16;
const LONG_KEY_BYTES: usize = 32;
