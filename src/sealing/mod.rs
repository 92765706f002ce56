//! Encryption at rest: secret members of objects are sealed on their way to the store and opened on their way back.
//!
//! In: an object's key and JSON text. Out: the same text with every secret member sealed, or opened. Which members are
//! secret is said by plugin types and one table (`fields.rs`); how they are sealed, by one of two formats:
//!
//! - authenticated (`authenticated.rs`), the default: AES-256-GCM under a random key of this installation, bound to the
//!   object's key and the member's path. What cannot be opened is never used: its plugin, or the whole object where it
//!   is in no plugin, is replaced by a text that says why, which nothing can be built from.
//! - APISIX's (`cbc.rs`), for compatibility: AES-CBC under a configured keyring. What cannot be opened is taken for text
//!   from before it was sealed (spec/consumers-credentials-secrets §6).
//!
//! Both are opened whichever one is written, so that the format can be changed, and old text in the clear stays
//! readable; `ringgate secret rotate` seals all of it. Runs on the control side only, once per object that is read or
//! written. No key and no secret is ever logged or shown.

mod authenticated;
mod cbc;
mod fields;
mod key_file;
pub mod rotate;
mod store;
#[cfg(test)]
mod tests;

pub use authenticated::Key;
pub use cbc::Keyring;
pub use key_file::{KeyFile, KeyFileError};
pub use store::{SealedStore, Tally};

use authenticated::{Keys, OpenError};
use fields::Path;
use serde_json::Value;
use std::sync::Arc;

/// How secrets are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As they are.
    Clear,
    /// AES-256-GCM with a marker, under the newest key of the key file.
    Authenticated,
    /// AES-CBC under the first entry of the keyring.
    Apisix,
}

/// The format and the keys of both formats.
#[derive(Debug)]
pub struct Sealing {
    format: Format,
    keys: Keys,
    keyring: Keyring,
}

/// A text whose secrets are in the clear.
#[derive(Debug)]
pub struct Opened {
    /// The object's text.
    pub text: Arc<str>,
    /// Why a secret could not be opened, for the first that could not.
    pub closed: Option<String>,
    /// Secrets that were not sealed.
    pub in_clear: usize,
}

/// Why nothing can be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The authenticated format has no key.
    #[error("there is no key to seal secrets with")]
    NoKey,
    /// The operating system gave no random bytes, or the cipher refused.
    #[error("a secret could not be sealed")]
    Failed,
}

impl Sealing {
    /// Seals by `format`; `keys` newest first.
    pub fn new(format: Format, keys: Vec<Key>, keyring: Keyring) -> Self {
        Self { format, keys: Keys::new(keys), keyring }
    }

    /// The format that is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The text to store at `key`. What is sealed for its place stays as it is: it was sent back by who was answered with
    /// it, or read while its key was not there. Nothing else is taken for sealed.
    pub fn seal(&self, key: &str, text: &Arc<str>) -> Result<Arc<str>, SealError> {
        if !fields::may_hold_secrets(key) {
            return Ok(Arc::clone(text));
        }
        // Text that is no JSON comes from elsewhere, and holds nothing that anybody could use.
        let Ok(mut object) = serde_json::from_str(text) else { return Ok(Arc::clone(text)) };
        Ok(if self.seal_value(key, &mut object)? { object.to_string().into() } else { Arc::clone(text) })
    }

    /// Seals the secrets of `object`; whether any was.
    pub fn seal_value(&self, key: &str, object: &mut Value) -> Result<bool, SealError> {
        let mut any = false;
        for mut holder in fields::holders(key, object) {
            holder.visit(&mut |path, text| {
                if let Some(sealed) = self.seal_text(key, path, text)? {
                    *text = sealed;
                    any = true;
                }
                Ok(())
            })?;
        }
        Ok(any)
    }

    /// `None`: it is stored as it is.
    fn seal_text(&self, key: &str, path: &Path<'_>, text: &str) -> Result<Option<String>, SealError> {
        if self.is_sealed_here(key, path, text) {
            return Ok(None);
        }
        let in_apisix_format = || self.keyring.seal(text);
        match self.format {
            Format::Authenticated => return self.keys.seal(&path.bound_to(key), text).map(Some),
            // Without a keyring it is stored in the clear, as the original does.
            Format::Apisix => {
                if let Some(sealed) = in_apisix_format() {
                    return Ok(Some(sealed));
                }
            }
            Format::Clear => {}
        }
        // What would be taken for sealed when it is read must be: else it would not come back as it is.
        if authenticated::is_sealed(text) || self.keyring.open(text).is_some() {
            return Ok(in_apisix_format().or_else(|| self.keys.seal(&path.bound_to(key), text).ok()));
        }
        Ok(None)
    }

    /// Whether `text` is in the authenticated format for this place, or for any under a key that is not here.
    fn is_sealed_here(&self, key: &str, path: &Path<'_>, text: &str) -> bool {
        authenticated::is_sealed(text)
            && matches!(self.keys.open(&path.bound_to(key), text), Ok(_) | Err(OpenError::UnknownKey(_)))
    }

    /// The text stored at `key`, opened.
    pub fn open(&self, key: &str, text: &Arc<str>) -> Opened {
        open_by(key, text, |path, text| self.open_text(key, path, text))
    }

    /// What is meant by `text`, which is about to be stored at `key`: as [`Sealing::seal`] takes it.
    pub fn meant(&self, key: &str, text: &Arc<str>) -> Arc<str> {
        if !authenticated::may_hold(text) {
            return Arc::clone(text);
        }
        let open = |path: &Path<'_>, text: &str| {
            if self.is_sealed_here(key, path, text) { self.open_text(key, path, text) } else { Ok(None) }
        };
        open_by(key, text, open).text
    }

    /// `None`: it is not sealed. An error: it must not be used.
    fn open_text(&self, key: &str, path: &Path<'_>, text: &str) -> Result<Option<String>, String> {
        if authenticated::is_sealed(text) {
            let opened = self.keys.open(&path.bound_to(key), text);
            return opened.map(Some).map_err(|error| format!("{path} cannot be opened: {error}"));
        }
        Ok(self.keyring.open(text))
    }

    /// Whether `text`, stored at `key`, holds a secret sealed in the authenticated format.
    pub fn is_sealed(key: &str, text: &str) -> bool {
        any_secret(key, text, authenticated::is_sealed)
    }

    /// Whether `text`, stored at `key`, holds a secret that is not sealed under the newest key. In APISIX's format
    /// nothing says so: there every secret counts.
    pub fn is_outdated(&self, key: &str, text: &str) -> bool {
        any_secret(key, text, |secret| match self.format {
            Format::Clear => authenticated::is_sealed(secret),
            Format::Authenticated => !self.keys.is_under_newest(secret),
            Format::Apisix => true,
        })
    }
}

/// `text`, stored at `key`, with what `open` makes of its secrets.
fn open_by(key: &str, text: &Arc<str>, open: impl Fn(&Path<'_>, &str) -> Result<Option<String>, String>) -> Opened {
    let mut opened = Opened { text: Arc::clone(text), closed: None, in_clear: 0 };
    if !fields::may_hold_secrets(key) {
        return opened;
    }
    let Ok(mut object) = serde_json::from_str::<Value>(text) else { return opened };
    let mut changed = false;
    for mut holder in fields::holders(key, &mut object) {
        let end = holder.visit(&mut |path, text| {
            match open(path, text)? {
                Some(clear) => {
                    *text = clear;
                    changed = true;
                }
                None => opened.in_clear += 1,
            }
            Ok::<_, String>(())
        });
        if let Err(reason) = end {
            changed |= holder.close(&reason);
            opened.closed.get_or_insert(reason);
        }
    }
    if changed {
        opened.text = object.to_string().into();
    }
    opened
}

fn any_secret(key: &str, text: &str, is_meant: impl Fn(&str) -> bool) -> bool {
    let mut any = false;
    if fields::may_hold_secrets(key)
        && let Ok(mut object) = serde_json::from_str::<Value>(text)
    {
        for mut holder in fields::holders(key, &mut object) {
            let visited = holder.visit(&mut |_, secret| {
                any |= is_meant(secret);
                Ok::<_, std::convert::Infallible>(())
            });
            let Ok(()) = visited;
        }
    }
    any
}
