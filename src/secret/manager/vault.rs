//! Vault's KV engine, versions 1 and 2 (spec/consumers-credentials-secrets §5.4).

use super::{Members, encode_path, sensitive};
use crate::secret::failure::Failure;
use crate::secret::http::{Ask, Client};
use crate::secret::member;
use crate::secret::value::Secret;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

/// One Vault, below one prefix.
pub(in crate::secret) struct Vault {
    /// Everything before the secret's path.
    base: String,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Vault {
    pub(super) fn new(members: &Members) -> Result<Self, Failure> {
        let uri = members.url("uri", "")?;
        let prefix = members.required("prefix")?;
        let mut prefix =
            encode_path(prefix.expose()).ok_or_else(|| Failure::Configuration("prefix leads outside".into()))?;
        // Version 2 has the word behind the mount, which is the prefix's first part.
        if members.members.get("kv_version").and_then(Value::as_u64) == Some(2) {
            let (mount, rest) = prefix.split_once('/').unwrap_or((&prefix, ""));
            prefix = if rest.is_empty() { format!("{mount}/data") } else { format!("{mount}/data/{rest}") };
        }
        let mut fields =
            vec![(HeaderName::from_static("x-vault-token"), sensitive(members.required("token")?.expose(), "token")?)];
        if let Some(namespace) = members.text("namespace")? {
            let value = sensitive(namespace.expose(), "namespace")?;
            fields.push((HeaderName::from_static("x-vault-namespace"), value));
        }
        Ok(Self { base: format!("{uri}/v1/{prefix}"), fields })
    }

    /// `key` is the secret's path and, behind its last slash, the member.
    pub(super) async fn fetch(&self, client: &Client, key: &str) -> Result<Secret, Failure> {
        let (path, name) = key.rsplit_once('/').ok_or(Failure::KeyFormat(KEY_FORM))?;
        let path = encode_path(path).filter(|path| !path.is_empty()).ok_or(Failure::KeyFormat(KEY_FORM))?;
        let url = format!("{}/{path}", self.base).parse();
        let url = url.map_err(|_| Failure::Configuration("uri and prefix make no address".into()))?;
        let (method, fields, body) = (Method::GET, self.fields.clone(), Vec::new());
        let answer = client.send(&Ask { method, url, fields, body, verifies: true, may_fall_back: true }).await?;
        let mut json = answer.json().map_err(|error| answer.failure().unwrap_or(error))?;
        // What is there counts, whatever the status says, as in the original.
        match json.get_mut("data").map(Value::take) {
            Some(data @ Value::Object(_)) => member::of_object(unnested(data), name),
            _ if answer.status == 404 && json.get("errors").is_some() => Err(Failure::KeyMissing),
            _ => Err(answer.failure().unwrap_or(Failure::NotJson)),
        }
    }
}

/// Version 2 answers with the members one level deeper, beside their metadata.
fn unnested(mut data: Value) -> Value {
    let is_nested = data.get("metadata").is_some_and(Value::is_object)
        && data.get("data").is_some_and(|data| data.is_object() || data.is_null());
    match data.get_mut("data") {
        Some(inner) if is_nested => inner.take(),
        _ => data,
    }
}

const KEY_FORM: &str = "path/member, without dot segments";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn version_2_is_told_by_its_metadata() {
        for (data, want) in [
            (json!({"a": "1"}), json!({"a": "1"})),
            (json!({"data": {"a": "1"}, "metadata": {"version": 1}}), json!({"a": "1"})),
            (json!({"data": null, "metadata": {"destroyed": true}}), Value::Null),
            (json!({"data": {"a": "1"}}), json!({"data": {"a": "1"}})),
            (json!({"data": "x", "metadata": "y"}), json!({"data": "x", "metadata": "y"})),
        ] {
            assert_eq!(unnested(data.clone()), want, "{data}");
        }
    }

    #[test]
    fn the_mount_comes_before_the_word_of_version_2() {
        let base = |prefix: &str, version: u64| {
            let Value::Object(members) =
                json!({"uri": "http://h:8200/", "prefix": prefix, "token": "t", "kv_version": version})
            else {
                panic!("an object")
            };
            Vault::new(&Members { members, environment: |_| None }).ok().map(|vault| vault.base)
        };
        assert_eq!(base("kv/apisix", 1).as_deref(), Some("http://h:8200/v1/kv/apisix"));
        assert_eq!(base("/kv/apisix/", 2).as_deref(), Some("http://h:8200/v1/kv/data/apisix"));
        assert_eq!(base("kv", 2).as_deref(), Some("http://h:8200/v1/kv/data"));
    }
}
