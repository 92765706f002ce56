//! `apisix.data_encryption` and `ringgate.data_encryption`: how secrets are kept in the store.

use super::error::Fault;
use super::section::{Section, shown};
use crate::sealing::{Format, Keyring};
use serde_json::Value;
use std::path::PathBuf;

/// How secrets are kept in the store.
#[derive(Debug, Clone)]
pub struct DataEncryption {
    /// `ringgate.data_encryption.format`; [`Format::Clear`] when `apisix.data_encryption.enable_encrypt_fields` is off.
    pub format: Format,
    /// `apisix.data_encryption.keyring`: for APISIX's format, and to open what was written in it.
    pub keyring: Keyring,
    /// `ringgate.data_encryption.key_file`: keys of the authenticated format; `None`: in the data directory.
    pub key_file: Option<PathBuf>,
}

/// Reads both sections.
pub(super) fn read(apisix: &mut Section, own: &mut Section) -> Result<DataEncryption, Fault> {
    let keyring = match apisix.take("keyring") {
        None => Keyring::default(),
        Some(Value::Array(items)) => keys(apisix, &items, |index| format!("keyring[{index}]"))?,
        Some(one) => keys(apisix, &[one], |_| "keyring".to_owned())?,
    };
    let format = own.choice("format", FORMATS)?.unwrap_or(Format::Authenticated);
    let format = if apisix.switch("enable_encrypt_fields")? { format } else { Format::Clear };
    Ok(DataEncryption { format, keyring, key_file: own.text("key_file")?.map(PathBuf::from) })
}

fn keys(section: &Section, items: &[Value], name: impl Fn(usize) -> String) -> Result<Keyring, Fault> {
    let mut keys = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let unfit = |found: &str| section.unfit(&name(index), "a string of 16 or 32 bytes", found);
        match item {
            // Its length may be told, it may not.
            Value::String(key) => match Keyring::new([key]) {
                Some(_) => keys.push(key.as_str()),
                None => return Err(unfit(&format!("{} bytes", key.len()))),
            },
            other if other.is_number() => return Err(unfit("a number")),
            other => return Err(unfit(&shown(other))),
        }
    }
    // Each key was found right above.
    Ok(Keyring::new(keys).unwrap_or_default())
}

const FORMATS: &[(&str, Format)] = &[("authenticated", Format::Authenticated), ("apisix", Format::Apisix)];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DataEncryption, String> {
        crate::config::parse(text, &|_| None).map(|config| config.data_encryption).map_err(|fault| fault.to_string())
    }

    #[test]
    fn what_is_written_follows_the_switches() {
        for (text, format, publicly) in [
            ("{}", Format::Authenticated, true),
            ("apisix: {data_encryption: {enable_encrypt_fields: false}}", Format::Clear, true),
            ("ringgate: {data_encryption: {format: apisix}}", Format::Apisix, true),
            ("apisix: {data_encryption: {keyring: 0123456789abcdef}}", Format::Authenticated, false),
            ("apisix: {data_encryption: {keyring: [0123456789abcdef0123456789abcdef]}}", Format::Authenticated, false),
            ("apisix: {data_encryption: {keyring: null}}", Format::Authenticated, false),
        ] {
            let read = read(text).unwrap();
            assert_eq!((read.format, read.keyring.seals_publicly()), (format, publicly), "{text}");
        }
        let file = read("ringgate: {data_encryption: {key_file: /run/keys/ringgate}}").unwrap().key_file;
        assert_eq!(file, Some(PathBuf::from("/run/keys/ringgate")));
    }

    #[test]
    fn wrong_keys_are_refused_without_showing_them() {
        let keyring = "apisix.data_encryption.keyring";
        for (text, want) in [
            (
                "apisix: {data_encryption: {keyring: short}}",
                format!("{keyring}: expected a string of 16 or 32 bytes, found 5 bytes"),
            ),
            (
                "apisix: {data_encryption: {keyring: [0123456789abcdef, 0123456789abcdefg]}}",
                format!("{keyring}[1]: expected a string of 16 or 32 bytes, found 17 bytes"),
            ),
            (
                "apisix: {data_encryption: {keyring: [1234567890123456]}}",
                format!("{keyring}[0]: expected a string of 16 or 32 bytes, found a number"),
            ),
            (
                "ringgate: {data_encryption: {format: rot13}}",
                "ringgate.data_encryption.format: expected one of authenticated, apisix, found \"rot13\"".to_owned(),
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), want);
        }
    }
}
