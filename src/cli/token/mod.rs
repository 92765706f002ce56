//! `ringgate token`: sign a token for a consumer's credential, or explain what the gateway makes of one.

mod explain;
mod material;
mod sign;

use crate::auth::jwt::{Algorithm, Policy, TimeChecks, TimeClaim};
use anyhow::{Context, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Subcommand};
use material::{SecretArguments, is_standard_input, signing_key, verifying_key};
use serde_json::Value;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `token`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print a signed token.
    Sign(SignArguments),
    /// Say step by step what the gateway makes of a token; exit 0 when it is accepted, 1 when refused.
    Explain(ExplainArguments),
}

#[derive(Debug, Args)]
#[command(
    after_help = SIGN_EXAMPLES,
    group = ArgGroup::new("material").required(true).args(["secret", "secret_file", "private_key"])
)]
struct SignArguments {
    /// The credential's key.
    #[arg(long)]
    key: String,
    #[command(flatten)]
    secret: SecretArguments,
    /// File that holds the private key, in PEM, for algorithms that need one; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// The credential's algorithm.
    #[arg(long, value_parser = algorithm(), default_value = Algorithm::Hs256.name())]
    algorithm: Algorithm,
    /// A further claim; VALUE is JSON, or else taken as text. May be repeated.
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    claims: Vec<(String, Value)>,
    /// Seconds until the token expires; 0 means never [default: 86400, unless --claim sets exp].
    #[arg(long, value_name = "SECONDS")]
    expires: Option<u32>,
    /// The claim that carries the key.
    #[arg(long, value_name = "NAME", default_value = "key")]
    key_claim_name: String,
}

#[derive(Debug, Args)]
#[command(
    after_help = EXPLAIN_EXAMPLES,
    group = ArgGroup::new("material").required(true).args(["secret", "secret_file", "public_key"])
)]
struct ExplainArguments {
    /// The token, with or without `Bearer `; `-` reads it from standard input.
    #[arg(default_value = "-", hide_default_value = true)]
    token: String,
    /// The credential's key; without it, whatever key the token names counts as known.
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    secret: SecretArguments,
    /// File that holds the credential's `public_key`, PEM or a JWK, for algorithms that need one.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// The credential's algorithm.
    #[arg(long, value_parser = algorithm(), default_value = Algorithm::Hs256.name())]
    algorithm: Algorithm,
    /// The credential's `lifetime_grace_period`.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    grace: u64,
    /// The route's `key_claim_name`.
    #[arg(long, value_name = "NAME", default_value = "key")]
    key_claim_name: String,
    /// The route's `claims_to_verify`, separated by commas.
    #[arg(long, value_parser = time_claim(), value_delimiter = ',', value_name = "CLAIM")]
    claims_to_verify: Vec<TimeClaim>,
}

/// Runs the verb.
pub(super) fn token(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let now = crate::base::clock::unix().as_secs();
    match arguments.verb {
        Verb::Sign(arguments) => {
            let key = signing_key(arguments.algorithm, &arguments.secret, arguments.private_key.as_deref())?;
            let order = sign::Order {
                key: arguments.key,
                key_claim_name: arguments.key_claim_name,
                claims: arguments.claims,
                expires_s: arguments.expires.map(u64::from),
            };
            writeln!(std::io::stdout().lock(), "{}", sign::sign(order, &key, now)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Explain(arguments) => {
            let mut files = [&arguments.secret.secret_file, &arguments.public_key].into_iter().flatten();
            if arguments.token == "-" && files.any(|file| is_standard_input(file)) {
                bail!("the token and its key cannot both come from standard input");
            }
            let verifying_key = verifying_key(arguments.algorithm, &arguments.secret, arguments.public_key.as_deref())?;
            let token = if arguments.token == "-" { read_token()? } else { arguments.token.into_bytes() };
            let options = explain::Options {
                key: arguments.key,
                verifying_key,
                algorithm: arguments.algorithm,
                grace_s: arguments.grace,
                policy: Policy {
                    key_claim_name: arguments.key_claim_name.into(),
                    time_checks: TimeChecks::required(&arguments.claims_to_verify),
                },
            };
            let explanation = explain::explain(&token, options, now);
            write!(std::io::stdout().lock(), "{explanation}")?;
            Ok(if explanation.refusal.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn algorithm() -> impl TypedValueParser<Value = Algorithm> {
    PossibleValuesParser::new(Algorithm::ALL.map(Algorithm::name))
        .try_map(|name| Algorithm::from_name(&name).ok_or("not an algorithm"))
}

fn time_claim() -> impl TypedValueParser<Value = TimeClaim> {
    PossibleValuesParser::new(TimeClaim::ALL.map(TimeClaim::name))
        .try_map(|name| TimeClaim::from_name(&name).ok_or("not a claim about time"))
}

fn read_token() -> anyhow::Result<Vec<u8>> {
    let text = read_bounded(std::io::stdin().lock()).context("standard input cannot be read")?;
    Ok(text.trim_ascii().to_vec())
}

fn read_bounded(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(std::io::Error::other(format!("more than {INPUT_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    if name.is_empty() {
        return Err("expected a name before the =".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

/// A token or a key beyond this is a mistaken file.
const INPUT_BYTES_MAX: u64 = 1 << 20;

const SIGN_EXAMPLES: &str = "\
Examples:
  ringgate token sign --key jack-key --secret my-secret
  ringgate token sign --key jack-key --secret-file jack.secret --algorithm HS512 --expires 0
  ringgate token sign --key jack-key --secret my-secret --claim role=reader --claim 'groups=[1,2]'
  ringgate token sign --key jack-key --algorithm ES256 --private-key jack.pem
  curl -H \"Authorization: $(ringgate token sign --key jack-key --secret my-secret)\" http://127.0.0.1:9080/get";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  ringgate token explain --key jack-key --secret my-secret \"$token\"
  echo \"$token\" | ringgate token explain --secret-file jack.secret
  ringgate token explain --algorithm ES256 --public-key jack-public.pem \"$token\"
  ringgate token explain --secret my-secret --grace 30 --claims-to-verify exp,nbf \"$token\"";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_are_json_or_text() {
        let cases =
            [("a=1", "a", json!(1)), ("a=b", "a", json!("b")), ("a=", "a", json!("")), ("a=x=y", "a", json!("x=y"))];
        for (text, name, value) in cases {
            assert_eq!(claim(text), Ok((name.to_owned(), value)), "{text}");
        }
        assert_eq!(claim("groups=[1,\"b\"]").unwrap().1, json!([1, "b"]));
        assert!(claim("a").is_err() && claim("=1").is_err());
    }

    #[test]
    fn names_of_algorithms_and_claims_are_the_cores() {
        let name = |name: &str| std::ffi::OsString::from(name);
        let command = clap::Command::new("token");
        for known in Algorithm::ALL {
            let parsed = algorithm().parse_ref(&command, None, &name(known.name()));
            assert_eq!(parsed.ok(), Some(known));
        }
        for known in TimeClaim::ALL {
            let parsed = time_claim().parse_ref(&command, None, &name(known.name()));
            assert_eq!(parsed.ok(), Some(known));
        }
        assert!(algorithm().parse_ref(&command, None, &name("none")).is_err());
        assert!(time_claim().parse_ref(&command, None, &name("iat")).is_err());
    }
}
