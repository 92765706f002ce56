//! Seals everything in a store anew.
//!
//! Works on the store itself, page by page, each page one durable transaction. The keys of before and after are both
//! known while it runs, so it may end at any moment: what it has not reached stays readable, and running it again
//! finishes.

use super::{Opened, Sealing};
use crate::store::{Item, Op, Store, StoreError};
use std::sync::Arc;

/// What became of the objects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Objects sealed anew.
    pub sealed: usize,
    /// Keys of objects that cannot be opened, left as they are, each with the reason.
    pub closed: Vec<(Arc<str>, String)>,
}

/// Why it did not go on.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object could not be sealed.
    #[error("{key}: {error}")]
    Seal {
        /// Its key.
        key: Arc<str>,
        /// Why.
        error: super::SealError,
    },
}

/// Seals every secret in `store`, which is not sealed itself, as `sealing` would write it now.
pub fn rotate(store: &dyn Store, sealing: &Sealing) -> Result<Rotated, RotateError> {
    let mut rotated = Rotated::default();
    let mut after: Option<Arc<str>> = None;
    loop {
        let page = store.range("", after.as_deref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(rotated) };
        after = Some(Arc::clone(&last.key));
        let mut writes = Vec::new();
        for Item { key, value, expires_unix_s, .. } in page {
            if !sealing.is_outdated(&key, &value) {
                continue;
            }
            let Opened { text, closed, .. } = sealing.open(&key, &value);
            if let Some(reason) = closed {
                rotated.closed.push((key, reason));
                continue;
            }
            match sealing.seal(&key, &text) {
                Ok(value) => writes.push(vec![Op::Put { key, value, expires_unix_s }]),
                Err(error) => return Err(RotateError::Seal { key, error }),
            }
        }
        if !writes.is_empty() {
            store.commit(&writes)?;
            rotated.sealed += writes.len();
        }
    }
}

/// Objects read, and written in one transaction, at a time.
const PAGE: usize = 1024;
