//! Why a configuration cannot be used: one line that names the file, the key, what was found and what was expected.

use std::path::{Path, PathBuf};

/// A configuration that cannot be used. Its text is one line and holds no value of the file, only kinds of values.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", file.display())]
pub struct ConfigError {
    /// The file at fault.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    /// The file named by `--config`, or by a profile, does not exist.
    #[error("does not exist")]
    Missing,
    /// The file is not YAML.
    #[error("is not valid YAML: {0}")]
    Syntax(String),
    /// `${{NAME}}` without a default names a variable that is not set.
    #[error("failed to handle configuration: can't find environment variable {0}")]
    Environment(String),
    /// Two keys became the same one after substitution.
    #[error("{0}: two keys have this name after substitution")]
    Twin(String),
    /// A scalar's type differs from the default's.
    #[error("failed to merge, path[{path}] expect: {expected}, but got: {found}")]
    Merge {
        /// Keys from the root, joined by `->`.
        path: String,
        /// Type of the default: `string`, `number`, `boolean` or `table`.
        expected: &'static str,
        /// Type in the file.
        found: &'static str,
    },
    /// A value cannot be used.
    #[error("{key}: expected {expected}, found {found}")]
    Value {
        /// Dotted path of the key.
        key: String,
        /// What would be accepted.
        expected: String,
        /// Kind of what is there.
        found: String,
    },
    /// A value asks for something that ringgate does not do.
    #[error("{key}: {why}")]
    Unsupported {
        /// Dotted path of the key.
        key: String,
        /// What is not done, and what is.
        why: String,
    },
    /// Two listeners share a port.
    #[error("{first} and {second} both listen on port {port}")]
    Conflict {
        /// Key of one listener.
        first: String,
        /// Key of the other.
        second: String,
        /// The port.
        port: u16,
    },
    /// The Admin API would be open to other machines.
    #[error(
        "deployment.admin.admin_key: expected at least one key because deployment.admin.allow_admin is not exactly \
         [\"127.0.0.0/24\"], found {0}"
    )]
    Open(&'static str),
    /// Keys that a check does not let pass.
    #[error("{}", .0.join("; "))]
    Unused(Vec<String>),
    /// The generated admin key has no place in the text.
    #[error("deployment.admin.admin_key: cannot write a generated key: {0}; set a key by hand")]
    NoPlace(&'static str),
    /// The file cannot be written.
    #[error("cannot be written: {0}")]
    Write(std::io::Error),
    /// The operating system gave no random bytes.
    #[error("deployment.admin.admin_key: no random bytes to make a key from")]
    Random,
}

impl Fault {
    /// Names the file at fault.
    pub(super) fn in_file(self, file: &Path) -> ConfigError {
        ConfigError { file: file.to_owned(), fault: self }
    }
}
