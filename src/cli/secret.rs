//! `ringgate secret`: the keys that seal secrets in the store.
//!
//! The gateway must be stopped: the store belongs to one process. What is printed are counts, keys of objects and ids of
//! keys, never a key or a secret.

use super::{check, sealed};
use crate::config;
use crate::sealing::rotate::{Rotated, rotate};
use crate::sealing::{Format, KeyFile, Sealing};
use crate::store::embedded::EmbeddedStore;
use anyhow::bail;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `secret`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a new key and seal every secret of the store with it.
    ///
    /// The gateway must be stopped. Older keys stay in the key file, for copies of the store. With the format `apisix`
    /// everything is sealed with the first key of the configured keyring instead.
    Rotate(Rotate),
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Rotate {
    #[command(flatten)]
    place: check::Place,
    /// Directory of the embedded store [default: data, below the prefix].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Remove the older keys from the key file afterwards: older copies of the store become unreadable.
    #[arg(long)]
    drop_old: bool,
}

/// Runs the action.
pub(super) fn secret(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Action::Rotate(arguments) = &arguments.action;
    run(arguments)
}

fn run(arguments: &Rotate) -> anyhow::Result<ExitCode> {
    let encryption = config::look(&arguments.place.source(), &check::environment)?.data_encryption;
    let prefix = &arguments.place.prefix;
    let data_dir = arguments.data.clone().unwrap_or_else(|| prefix.join("data"));
    match encryption.format {
        Format::Clear => {
            bail!("apisix.data_encryption.enable_encrypt_fields: expected true, found false: nothing is sealed")
        }
        Format::Apisix if arguments.drop_old => {
            bail!("--drop-old: keys of the format apisix are in apisix.data_encryption.keyring: remove them there")
        }
        Format::Apisix | Format::Authenticated => {}
    }
    if !data_dir.is_dir() {
        bail!("{}: expected the directory of a store, found none", data_dir.display());
    }
    let store = EmbeddedStore::open(&data_dir)?;
    let path = sealed::key_path(&data_dir, prefix, &encryption);
    let mut file = sealed::existing(&store, &path)?;
    let mut out = std::io::stdout().lock();
    if encryption.format == Format::Authenticated {
        let file = match &mut file {
            // On the disk before anything is sealed with it.
            Some(file) => {
                file.add()?;
                file
            }
            none => none.insert(KeyFile::create(&path)?),
        };
        if let Some(newest) = file.keys().first() {
            writeln!(out, "{}: new key {}", file.path().display(), newest.id())?;
        }
    }
    let keys = file.as_ref().map(|file| file.keys().to_vec()).unwrap_or_default();
    let Rotated { sealed, closed } = rotate(&store, &Sealing::new(encryption.format, keys, encryption.keyring))?;
    writeln!(out, "{}: {sealed} objects sealed anew", store.path().display())?;
    if !closed.is_empty() {
        for (key, reason) in &closed {
            writeln!(out, "{key}: left as it is: {reason}")?;
        }
        bail!("{} objects could not be opened; older keys are kept", closed.len());
    }
    if let (true, Some(file)) = (arguments.drop_old, &mut file) {
        writeln!(out, "{}: {} older keys removed", path.display(), file.drop_old()?)?;
    }
    Ok(ExitCode::SUCCESS)
}

const EXAMPLES: &str = "\
Examples:
  ringgate secret rotate                          a new key for the store in ./data
  ringgate secret rotate --prefix /srv/gateway    for the one in /srv/gateway/data
  ringgate secret rotate --drop-old               and forget the keys before it";
