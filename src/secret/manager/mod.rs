//! Secret managers: a secret resource's configuration in, one secret per key out.

mod account;
mod aws;
mod gcp;
mod sigv4;
mod vault;

use super::env::{self, Environment};
use super::failure::Failure;
use super::http::Client;
use super::reference::{ManagerKind, Reference};
use super::value::Secret;
use crate::schema::starts_like_reference;
use hyper::Uri;
use hyper::header::HeaderValue;
use serde_json::{Map, Value};
use std::fmt::Write;

/// One secret resource, ready to be asked.
pub(super) enum Manager {
    Vault(vault::Vault),
    Aws(aws::Aws),
    Gcp(gcp::Gcp),
}

impl Manager {
    /// Reads the configuration of a resource of `kind`. Its members may name environment variables, nothing else.
    pub(super) fn parse(kind: ManagerKind, text: &str, environment: Environment) -> Result<Self, Failure> {
        let Ok(Value::Object(members)) = serde_json::from_str(text) else {
            return Err(Failure::Configuration("it is no JSON object".into()));
        };
        let members = Members { members, environment };
        Ok(match kind {
            ManagerKind::Vault => Self::Vault(vault::Vault::new(&members)?),
            ManagerKind::Aws => Self::Aws(aws::Aws::new(&members)?),
            ManagerKind::Gcp => Self::Gcp(gcp::Gcp::new(&members)?),
        })
    }

    /// The secret at `key`.
    pub(super) async fn fetch(&self, client: &Client, key: &str) -> Result<Secret, Failure> {
        match self {
            Self::Vault(vault) => vault.fetch(client, key).await,
            Self::Aws(aws) => aws.fetch(client, key).await,
            Self::Gcp(gcp) => gcp.fetch(client, key).await,
        }
    }
}

/// The members of a configuration, references to the environment resolved.
struct Members {
    members: Map<String, Value>,
    environment: Environment,
}

impl Members {
    /// The text at `name`, if there is one.
    fn text(&self, name: &str) -> Result<Option<Secret>, Failure> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if starts_like_reference(text) => match Reference::parse(text)? {
                Reference::Env { name, field } => env::resolve(self.environment, name, field).map(Some),
                Reference::Managed { .. } => {
                    Err(Failure::Configuration(format!("{name} is a $secret:// reference, expected at most $env://")))
                }
            },
            Some(Value::String(text)) => Ok(Some(Secret::new(text.clone()))),
            Some(_) => Err(Failure::Configuration(format!("{name} is no string"))),
        }
    }

    /// The text at `name`, which must be there.
    fn required(&self, name: &str) -> Result<Secret, Failure> {
        self.text(name)?.ok_or_else(|| Failure::Configuration(format!("{name} is missing")))
    }

    /// The address at `name`, `http` or `https`, without user, query, and slash at its end.
    fn url(&self, name: &str, default: &str) -> Result<String, Failure> {
        let text = self.text(name)?.map_or_else(|| default.to_owned(), |text| text.expose().to_owned());
        let text = text.trim_end_matches('/');
        let is_url = text.parse::<Uri>().is_ok_and(|url| {
            matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some() && !text.contains(['@', '?'])
        });
        if is_url { Ok(text.to_owned()) } else { Err(Failure::Configuration(format!("{name} is no http(s) address"))) }
    }

    /// The members of the object at `name`.
    fn object(&self, name: &str) -> Option<Self> {
        let members = self.members.get(name)?.as_object()?.clone();
        Some(Self { members, environment: self.environment })
    }
}

/// A field's value, not shown where requests are.
fn sensitive(text: &str, name: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Failure::Configuration(format!("{name} has characters that no header field may have")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// One part of a URL's path: everything outside the unreserved characters of RFC 3986 is percent-encoded.
fn encode_segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => {
                let _ = write!(encoded, "%{other:02X}");
            }
        }
    }
    encoded
}

/// A path of several parts, encoded; doubled slashes and one at either end say nothing. `None` where a part would
/// lead elsewhere.
fn encode_path(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return None;
    }
    Some(parts.into_iter().map(encode_segment).collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for (path, want) in [
            ("jack", Some("jack")),
            ("/a//b/", Some("a/b")),
            ("a b/ä?#%", Some("a%20b/%C3%A4%3F%23%25")),
            ("a/../b", None),
            ("./b", None),
            ("a/..b", Some("a/..b")),
            ("", Some("")),
        ] {
            assert_eq!(encode_path(path).as_deref(), want, "{path}");
        }
    }

    #[test]
    fn an_address_has_no_user_and_no_query() {
        for (uri, is_right) in
            [("http://h:1/x/", true), ("http://u:p@h", false), ("http://h/?a", false), ("ftp://h", false)]
        {
            let Value::Object(members) = serde_json::json!({"uri": uri}) else { panic!("an object") };
            let members = Members { members, environment: |_| None };
            assert_eq!(members.url("uri", "").is_ok(), is_right, "{uri}");
        }
    }

    #[test]
    fn a_configuration_names_what_it_lacks() {
        fn environment(name: &str) -> Option<String> {
            (name == "TOKEN").then(|| "root".to_owned())
        }
        let parsed =
            |kind, text: &str| Manager::parse(kind, text, environment).err().map(|failure| failure.to_string());
        let vault = ManagerKind::Vault;
        for (kind, text, want) in [
            (vault, r#"{"uri": "http://h:1", "prefix": "kv", "token": "t"}"#, None),
            (vault, r#"{"uri": "http://h:1", "prefix": "kv", "token": "$env://TOKEN"}"#, None),
            (
                vault,
                r#"{"uri": "http://h:1", "prefix": "kv", "token": "$env://TOKE"}"#,
                Some("environment variable TOKE is not set"),
            ),
            (
                vault,
                r#"{"uri": "http://h:1", "prefix": "kv", "token": "$secret://vault/1/a/b"}"#,
                Some("the secret conf cannot be used: token is a $secret:// reference, expected at most $env://"),
            ),
            (
                vault,
                r#"{"uri": "h:1", "prefix": "kv", "token": "t"}"#,
                Some("the secret conf cannot be used: uri is no http(s) address"),
            ),
            (
                vault,
                r#"{"uri": "http://h", "prefix": "../x", "token": "t"}"#,
                Some("the secret conf cannot be used: prefix leads outside"),
            ),
            (vault, r#"{"uri": "http://h", "token": "t"}"#, Some("the secret conf cannot be used: prefix is missing")),
            (
                vault,
                r#"{"uri": "http://h", "prefix": "kv", "token": "a\nb"}"#,
                Some("the secret conf cannot be used: token has characters that no header field may have"),
            ),
            (vault, "[]", Some("the secret conf cannot be used: it is no JSON object")),
            (ManagerKind::Aws, r#"{"access_key_id": "a", "secret_access_key": "s"}"#, None),
            (
                ManagerKind::Aws,
                r#"{"access_key_id": "a"}"#,
                Some("the secret conf cannot be used: secret_access_key is missing"),
            ),
            (ManagerKind::Gcp, "{}", Some("the secret conf cannot be used: neither auth_config nor auth_file")),
            (
                ManagerKind::Gcp,
                r#"{"auth_config": {"client_email": "a", "private_key": "x", "project_id": "p"}}"#,
                Some("the secret conf cannot be used: private_key: "),
            ),
        ] {
            let found = parsed(kind, text);
            match (want, &found) {
                (Some(want), Some(found)) if found.starts_with(want) => {}
                (None, None) => {}
                _ => panic!("{text}: {found:?}, not {want:?}"),
            }
        }
    }
}
