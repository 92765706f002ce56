//! Finds the file, reads it, and writes what a first start needs.

use super::error::{ConfigError, Fault};
use super::read::{Reading, read};
use super::substitute::Environment;
use super::{Config, atomic, key, write_back, yaml};
use std::io;
use std::path::{Path, PathBuf};

/// Where the configuration is looked for.
#[derive(Debug, Clone)]
pub struct Source {
    /// Directory that holds `conf/`.
    pub prefix: PathBuf,
    /// `--config`: this file and no other.
    pub file: Option<PathBuf>,
}

impl Source {
    /// The file: as named, else `conf/config.yaml`, or `conf/config-dev.yaml` with `APISIX_PROFILE=dev`.
    pub fn path(&self, environment: Environment<'_>) -> PathBuf {
        match (&self.file, profile(environment)) {
            (Some(file), _) => file.clone(),
            (None, Some(profile)) => self.prefix.join(format!("conf/config-{profile}.yaml")),
            (None, None) => self.prefix.join("conf/config.yaml"),
        }
    }
}

/// Loads the configuration to serve with.
///
/// When `conf/config.yaml` does not exist it is written with a commented start and a random admin key. Admin entries
/// of an existing file with `key: ""` get a key, written back in place. Nothing is written unless the whole
/// configuration is right, and nothing is served unless the write succeeded.
pub fn load(source: &Source, environment: Environment<'_>) -> Result<Config, ConfigError> {
    let path = source.path(environment);
    let may_create = source.file.is_none() && profile(environment).is_none();
    let (text, fresh) = match std::fs::read_to_string(&path) {
        Ok(text) => (text, false),
        Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => (FIRST.to_owned(), true),
        Err(error) => return Err(unreadable(error).in_file(&path)),
    };
    complete(&path, text, fresh, environment).map_err(|fault| fault.in_file(&path))
}

/// Reads the configuration without writing anything; a key that has no effect is an error.
pub fn check(source: &Source, environment: Environment<'_>) -> Result<PathBuf, ConfigError> {
    let path = source.path(environment);
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(error).in_file(&path))?;
    match parse(&text, environment).map_err(|fault| fault.in_file(&path))?.warnings {
        warnings if warnings.is_empty() => Ok(path),
        warnings => Err(Fault::Unused(warnings).in_file(&path)),
    }
}

/// Reads the configuration without writing anything, for commands beside the gateway. Where the first start would write
/// a file, it is read as that.
pub fn look(source: &Source, environment: Environment<'_>) -> Result<Config, ConfigError> {
    let path = source.path(environment);
    let may_create = source.file.is_none() && profile(environment).is_none();
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => FIRST.to_owned(),
        read => read.map_err(|error| unreadable(error).in_file(&path))?,
    };
    parse(&text, environment).map_err(|fault| fault.in_file(&path))
}

/// Reads the text of a configuration file. An admin key that is left blank stays blank. Fuzz target: `config`.
pub fn parse(text: &str, environment: Environment<'_>) -> Result<Config, Fault> {
    Ok(read(yaml::parse(text)?, environment)?.config)
}

fn complete(path: &Path, text: String, fresh: bool, environment: Environment<'_>) -> Result<Config, Fault> {
    let Reading { config, blank_keys } = read(yaml::parse(&text)?, environment)?;
    if blank_keys.is_empty() && !fresh {
        return Ok(config);
    }
    let mut complete = text;
    for index in blank_keys {
        let key = key::generate().ok_or(Fault::Random)?;
        complete = write_back::with_key(&complete, index, &key)?;
    }
    let Reading { config, blank_keys } = read(yaml::parse(&complete)?, environment)?;
    if !blank_keys.is_empty() {
        return Err(Fault::NoPlace("the environment leaves it empty"));
    }
    if fresh && let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(Fault::Write)?;
    }
    atomic::write(path, &complete).map_err(Fault::Write)?;
    Ok(config)
}

fn profile(environment: Environment<'_>) -> Option<String> {
    environment("APISIX_PROFILE").filter(|profile| !profile.is_empty())
}

fn unreadable(error: io::Error) -> Fault {
    if error.kind() == io::ErrorKind::NotFound { Fault::Missing } else { Fault::Read(error) }
}

/// What a first start writes; the key is filled in on the way.
const FIRST: &str = include_str!("first.yaml");

#[cfg(test)]
mod tests;
