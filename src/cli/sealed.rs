//! The embedded store with its secrets sealed, as `run` and `secret` open it.

use crate::config::DataEncryption;
use crate::sealing::{Format, KeyFile, SealedStore, Sealing};
use crate::store::embedded::EmbeddedStore;
use crate::store::{Store, StoreError};
use anyhow::bail;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens the store in `data_dir`. A key file is made where the format needs one and nothing was sealed before.
pub(super) fn open(
    data_dir: &Path,
    prefix: &Path,
    encryption: DataEncryption,
) -> anyhow::Result<SealedStore<EmbeddedStore>> {
    let store = EmbeddedStore::open(data_dir)?;
    let path = key_path(data_dir, prefix, &encryption);
    let file = match existing(&store, &path)? {
        None if encryption.format == Format::Authenticated => Some(KeyFile::create(&path)?),
        file => file,
    };
    if encryption.format == Format::Apisix && encryption.keyring.seals_publicly() {
        tracing::warn!(
            "apisix.data_encryption.keyring: secrets are sealed with a key that everybody knows; put one of your own first"
        );
    }
    let keys = file.map(|file| file.keys().to_vec()).unwrap_or_default();
    Ok(SealedStore::new(store, Sealing::new(encryption.format, keys, encryption.keyring)))
}

/// The key file's place.
pub(super) fn key_path(data_dir: &Path, prefix: &Path, encryption: &DataEncryption) -> PathBuf {
    encryption.key_file.as_ref().map_or_else(|| data_dir.join(KEY_FILE), |file| prefix.join(file))
}

/// The key file, if there is one. Its absence is an error where `store` has secrets that only it can open: a new one
/// would hide that they are lost.
pub(super) fn existing(store: &EmbeddedStore, path: &Path) -> anyhow::Result<Option<KeyFile>> {
    let file = KeyFile::read(path)?;
    if file.is_none()
        && let Some(key) = first_sealed(store)?
    {
        bail!(
            "{}: expected the key file, found none: {} holds secrets sealed with it, the first in {key}; put the file \
             back, nothing else can open them",
            path.display(),
            store.path().display(),
        );
    }
    Ok(file)
}

fn first_sealed(store: &EmbeddedStore) -> Result<Option<Arc<str>>, StoreError> {
    let mut after: Option<Arc<str>> = None;
    loop {
        let page = store.range("", after.as_deref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(None) };
        after = Some(Arc::clone(&last.key));
        if let Some(item) = page.into_iter().find(|item| Sealing::is_sealed(&item.key, &item.value)) {
            return Ok(Some(item.key));
        }
    }
}

const KEY_FILE: &str = "secret.key";
/// Objects read at a time.
const PAGE: usize = 4096;
