//! Key material for `ringgate token`: from the command line, from files, from standard input.

use super::read_bounded;
use crate::auth::jwt::key::PrivateKey;
use crate::auth::jwt::{Algorithm, PublicKey, SigningKey, VerifyingKey};
use crate::plugin::jwt_auth::decode_secret;
use anyhow::{Context, bail};
use clap::Args;
use std::path::{Path, PathBuf};

/// A shared secret, in one of its forms.
#[derive(Args)]
pub(super) struct SecretArguments {
    /// The credential's secret; other users of this machine may see it, prefer --secret-file.
    #[arg(long)]
    pub(super) secret: Option<String>,
    /// File that holds the secret, one final newline aside; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
    /// The secret is standard base64 of the key (`base64_secret`).
    #[arg(long)]
    base64_secret: bool,
}

impl std::fmt::Debug for SecretArguments {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SecretArguments").field("base64_secret", &self.base64_secret).finish_non_exhaustive()
    }
}

/// What signs by `algorithm`: the secret, or the private key in the file `private_key`.
pub(super) fn signing_key(
    algorithm: Algorithm,
    secret: &SecretArguments,
    private_key: Option<&Path>,
) -> anyhow::Result<SigningKey> {
    let Some(file) = private_key else {
        expect_hmac(algorithm, "--private-key")?;
        return Ok(SigningKey::hmac(algorithm, &read_secret(secret)?)?);
    };
    let key = PrivateKey::parse(&read_text(file)?).and_then(|key| SigningKey::private(algorithm, &key));
    key.with_context(|| format!("--private-key {}", file.display()))
}

/// What verifies by `algorithm`: the secret, or the public key in the file `public_key`.
pub(super) fn verifying_key(
    algorithm: Algorithm,
    secret: &SecretArguments,
    public_key: Option<&Path>,
) -> anyhow::Result<VerifyingKey> {
    let Some(file) = public_key else {
        expect_hmac(algorithm, "--public-key")?;
        return Ok(VerifyingKey::hmac(algorithm, &read_secret(secret)?)?);
    };
    let key = PublicKey::parse(&read_text(file)?).and_then(|key| VerifyingKey::public(algorithm, key));
    key.with_context(|| format!("--public-key {}", file.display()))
}

/// Whether a path means standard input.
pub(super) fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

fn expect_hmac(algorithm: Algorithm, option: &str) -> anyhow::Result<()> {
    if algorithm.is_hmac() {
        return Ok(());
    }
    bail!("algorithm {} needs {option}, found a secret", algorithm.name())
}

/// The secret's bytes, decoded as the gateway decodes them when it is base64.
fn read_secret(arguments: &SecretArguments) -> anyhow::Result<Vec<u8>> {
    let secret = match (&arguments.secret, &arguments.secret_file) {
        (Some(secret), _) => secret.clone().into_bytes(),
        (None, Some(path)) => without_newline(read(path)?),
        (None, None) => Vec::new(),
    };
    if secret.is_empty() {
        bail!("expected a secret, found an empty one");
    }
    if arguments.base64_secret {
        // What is not UTF-8 is not base64 either, and the replacement says so.
        return Ok(decode_secret(&String::from_utf8_lossy(&secret))?);
    }
    Ok(secret)
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(read(path)?).with_context(|| format!("{} is not text", path.display()))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if is_standard_input(path) {
        return read_bounded(std::io::stdin().lock()).context("standard input cannot be read");
    }
    let file = std::fs::File::open(path).and_then(read_bounded);
    file.with_context(|| format!("{} cannot be read", path.display()))
}

fn without_newline(mut text: Vec<u8>) -> Vec<u8> {
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_final_newline_is_not_part_of_a_secret() {
        for (text, want) in [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), ("", "")] {
            assert_eq!(without_newline(text.into()), want.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn a_base64_secret_is_decoded_as_the_gateway_does() {
        let read = |secret: &str, base64_secret| {
            let arguments = SecretArguments { secret: Some(secret.to_owned()), secret_file: None, base64_secret };
            read_secret(&arguments).map_err(|error| error.to_string())
        };
        let not_base64 = Err("base64_secret required but the secret is not in base64 format".to_owned());
        let cases = [
            ("aGVsbG8=", false, Ok(b"aGVsbG8=".to_vec())),
            ("aGVsbG8=", true, Ok(b"hello".to_vec())),
            ("aGVsbG8", true, Ok(b"hello".to_vec())),
            ("jack-key", true, not_base64.clone()),
            ("\u{fffd}", true, not_base64),
            ("", false, Err("expected a secret, found an empty one".to_owned())),
        ];
        for (secret, base64_secret, want) in cases {
            assert_eq!(read(secret, base64_secret), want, "{secret:?} {base64_secret}");
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let arguments = SecretArguments { secret: Some("hunter2".into()), secret_file: None, base64_secret: true };
        assert!(!format!("{arguments:?}").contains("hunter2"));
    }
}
