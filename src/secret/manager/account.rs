//! Service accounts of GCP: who asks, what is signed with, and which project's secrets are meant.

use super::{Members, encode_segment};
use crate::auth::jwt::key::PrivateKey;
use crate::auth::jwt::{Algorithm, SigningKey};
use crate::secret::env::Environment;
use crate::secret::failure::Failure;
use hyper::Uri;
use rustix::fs::{Mode, OFlags, open};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// One service account. It holds a key, so it has no `Debug`.
pub(super) struct Account {
    pub(super) client_email: String,
    pub(super) key: SigningKey,
    pub(super) scope: String,
    pub(super) token_uri: Uri,
    /// Everything before a secret's name.
    pub(super) base: String,
}

impl Account {
    fn new(members: &Members) -> Result<Self, Failure> {
        let key = members.required("private_key")?;
        let key = PrivateKey::parse(key.expose()).and_then(|key| SigningKey::private(Algorithm::Rs256, &key));
        let entries = members.url("entries_uri", ENTRIES_URI)?;
        let project = members.required("project_id")?;
        Ok(Self {
            client_email: members.required("client_email")?.expose().to_owned(),
            key: key.map_err(|fault| Failure::Configuration(format!("private_key: {fault}")))?,
            scope: scope(members)?,
            token_uri: members
                .url("token_uri", TOKEN_URI)?
                .parse()
                .map_err(|_| Failure::Configuration("token_uri is no address".into()))?,
            base: format!("{entries}/projects/{}/secrets", encode_segment(project.expose())),
        })
    }
}

/// One scope or a list of them, separated by spaces.
fn scope(members: &Members) -> Result<String, Failure> {
    match members.members.get("scope") {
        Some(Value::Array(scopes)) => Ok(scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
        _ => Ok(members.text("scope")?.map_or_else(|| SCOPE.to_owned(), |scope| scope.expose().to_owned())),
    }
}

/// Where a secret resource has its service account.
pub(super) enum Source {
    /// In itself (`auth_config`).
    Given(Arc<Account>),
    /// In a file (`auth_file`), which is read for each attempt: it may come later, or be another one then.
    File { path: PathBuf, environment: Environment, last: Arc<Mutex<Option<Seen>>> },
}

/// What a file held, and what it says.
pub(super) struct Seen {
    text: Zeroizing<String>,
    account: Arc<Account>,
}

impl Source {
    pub(super) fn new(members: &Members) -> Result<Self, Failure> {
        match (members.object("auth_config"), members.text("auth_file")?) {
            (Some(account), _) => Ok(Self::Given(Arc::new(Account::new(&account)?))),
            (None, Some(path)) => {
                let (path, environment) = (PathBuf::from(path.expose()), members.environment);
                Ok(Self::File { path, environment, last: Arc::default() })
            }
            (None, None) => Err(Failure::Configuration("neither auth_config nor auth_file".into())),
        }
    }

    /// The account as it is now: the same one as long as the file holds the same text.
    pub(super) async fn account(&self) -> Result<Arc<Account>, Failure> {
        match self {
            Self::Given(account) => Ok(Arc::clone(account)),
            Self::File { path, environment, last } => {
                let (path, environment) = (path.clone(), *environment);
                // Kept by the thread that reads, not by the attempt: where a file system hangs, attempts give up and
                // that one thread stays.
                let mut last = Arc::clone(last).lock_owned().await;
                let read = spawn_blocking(move || reread(&path, environment, &mut last));
                read.await.unwrap_or_else(|error| Err(unfit(&error)))
            }
        }
    }
}

fn reread(path: &Path, environment: Environment, last: &mut Option<Seen>) -> Result<Arc<Account>, Failure> {
    let text = read(path).map_err(|error| unfit(&error))?;
    if let Some(seen) = last.as_ref().filter(|seen| seen.text == text) {
        return Ok(Arc::clone(&seen.account));
    }
    let Ok(Value::Object(members)) = serde_json::from_str(&text) else { return Err(unfit(&"it is no JSON object")) };
    let account = Arc::new(Account::new(&Members { members, environment })?);
    *last = Some(Seen { text, account: Arc::clone(&account) });
    Ok(account)
}

/// The text of a regular file: what else has a name, a pipe for one, may have no end, or nothing to read for ever.
fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let file =
        File::from(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    // Never moved, so that no part of the key stays behind.
    let mut text = Zeroizing::new(String::with_capacity(ACCOUNT_BYTES_MAX + 1));
    if file.take(ACCOUNT_BYTES_MAX as u64 + 1).read_to_string(&mut text)? > ACCOUNT_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {ACCOUNT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn unfit(reason: &dyn std::fmt::Display) -> Failure {
    Failure::Configuration(format!("auth_file: {reason}"))
}

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const ENTRIES_URI: &str = "https://secretmanager.googleapis.com/v1";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Bytes of a service account's file, 64 KiB; usually some 2 KiB.
const ACCOUNT_BYTES_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_of_bounded_size_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("account.json");
        let error = || read(&path).err().map(|error| error.to_string());
        assert!(error().unwrap().starts_with("No such file"), "{:?}", error());
        std::fs::write(&path, " ".repeat(ACCOUNT_BYTES_MAX)).unwrap();
        assert_eq!(error(), None);
        std::fs::write(&path, " ".repeat(ACCOUNT_BYTES_MAX + 1)).unwrap();
        assert_eq!(error().as_deref(), Some("it is larger than 65536 bytes"));
        for special in [directory.path(), Path::new("/dev/zero")] {
            assert_eq!(read(special).unwrap_err().to_string(), "it is no regular file", "{}", special.display());
        }
    }
}
