//! Secret resources: how the secret managers are reached that `$secret://` references name.

use super::check::Check;
use super::fields;
use super::kind::{Document, Kind, Naming};
use crate::secret::ManagerKind;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The kind. Which schema an object has depends on its manager: see [`document_of`].
pub static KIND: Kind = Kind {
    word: "secret",
    directory: "secrets",
    schema_name: "secret",
    naming: Naming::BelowManager,
    takes_post: false,
    takes_patch: true,
    keeps_times: true,
    schema: LazyLock::new(|| Document::new(json!({"type": "object"}))),
    checks: &[Check::Manager, Check::Schema],
    in_use_word: None,
};

/// Judges an object of the manager called `manager`.
pub(super) fn check(manager: &str, object: &Map<String, Value>) -> Result<(), String> {
    let kind = ManagerKind::of(manager).ok_or_else(|| format!("invalid secret manager: {manager}"))?;
    let verdict = document_of(kind).check(&Value::Object(object.clone()));
    verdict.map_err(|text| format!("invalid configuration: {text}"))
}

/// The schema of a manager's objects.
pub fn document_of(kind: ManagerKind) -> &'static Document {
    match kind {
        ManagerKind::Vault => &VAULT,
        ManagerKind::Aws => &AWS,
        ManagerKind::Gcp => &GCP,
    }
}

/// Members that are not described are tolerated, as in the original (spec/admin-api §6).
fn document(mut own: Value, required: &[&str]) -> Document {
    let properties = own.get_mut("properties").map(Value::take).unwrap_or_default();
    let mut all = json!({"type": "object", "properties": fields::members(properties), "required": required});
    // Its id has two parts, and is judged as a name.
    if let Some(Value::Object(properties)) = all.get_mut("properties") {
        properties.shift_remove("id");
    }
    if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
        all.extend(own.into_iter().filter(|(name, _)| name != "properties"));
    }
    Document::with_references(all)
}

static VAULT: LazyLock<Document> = LazyLock::new(|| {
    let properties = json!({
        "uri": uri(),
        "prefix": {"type": "string", "minLength": 1},
        "token": {"type": "string", "minLength": 1},
        "namespace": {"type": "string", "minLength": 1},
        "kv_version": {"type": "integer", "enum": [1, 2]},
    });
    document(json!({"properties": properties}), &["uri", "prefix", "token"])
});

static AWS: LazyLock<Document> = LazyLock::new(|| {
    let properties = json!({
        "access_key_id": {"type": "string", "minLength": 1},
        "secret_access_key": {"type": "string", "minLength": 1},
        "session_token": {"type": "string", "minLength": 1},
        "region": {"type": "string", "minLength": 1},
        "endpoint_url": uri(),
    });
    document(json!({"properties": properties}), &["access_key_id", "secret_access_key"])
});

static GCP: LazyLock<Document> = LazyLock::new(|| {
    let account = json!({
        "type": "object",
        "properties": {
            "client_email": {"type": "string", "minLength": 1},
            "private_key": {"type": "string", "minLength": 1},
            "project_id": {"type": "string", "minLength": 1},
            "token_uri": uri(),
            "entries_uri": uri(),
            "scope": {"type": ["array", "string"]},
        },
        "required": ["client_email", "private_key", "project_id"],
    });
    let properties = json!({
        "auth_config": account,
        "auth_file": {"type": "string", "minLength": 1},
        "ssl_verify": {"type": "boolean"},
    });
    let either = json!([{"required": ["auth_config"]}, {"required": ["auth_file"]}]);
    document(json!({"properties": properties, "oneOf": either}), &[])
});

/// An address with its scheme, spoken to over HTTP.
fn uri() -> Value {
    json!({"type": "string", "pattern": "^https?://[^/?#]+"})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(manager: &str, object: Value) -> String {
        let Value::Object(object) = object else { panic!("not an object") };
        check(manager, &object).err().unwrap_or_default()
    }

    #[test]
    fn every_manager_says_what_it_needs() {
        let vault = json!({"uri": "https://127.0.0.1:8200", "prefix": "kv/apisix", "token": "root"});
        let with = |name: &str, value: Value| {
            let mut vault = vault.clone();
            vault[name] = value;
            vault
        };
        let account = json!({"client_email": "a@b", "private_key": "p", "project_id": "x"});
        for (manager, object, want) in [
            ("vault", vault.clone(), ""),
            ("vault", with("token", json!("$env://TOKEN")), ""),
            ("vault", with("extra", json!(1)), ""),
            ("vault", with("kv_version", json!(2)), ""),
            ("vault", with("id", json!("vault/jwt")), ""),
            (
                "vault",
                with("kv_version", json!(3)),
                "invalid configuration: property \"kv_version\" validation failed: matches none of the enum values",
            ),
            (
                "vault",
                with("uri", json!("127.0.0.1:8200")),
                "invalid configuration: property \"uri\" validation failed: failed to match pattern \
                 \"^https?://[^/?#]+\" with \"127.0.0.1:8200\"",
            ),
            (
                "vault",
                json!({"uri": "http://h", "token": "t"}),
                "invalid configuration: property \"prefix\" is required",
            ),
            ("foo", vault.clone(), "invalid secret manager: foo"),
            ("aws", json!({"access_key_id": "a", "secret_access_key": "s", "region": "eu-west-1"}), ""),
            ("aws", json!({"access_key_id": "a"}), "invalid configuration: property \"secret_access_key\" is required"),
            ("gcp", json!({"auth_config": account, "ssl_verify": false}), ""),
            ("gcp", json!({"auth_file": "/etc/account.json"}), ""),
            ("gcp", json!({}), "invalid configuration: value should match only one schema, but matches none"),
            (
                "gcp",
                json!({"auth_config": {"client_email": "a", "private_key": "p"}}),
                "invalid configuration: property \"auth_config\" validation failed: property \"project_id\" is required",
            ),
        ] {
            assert_eq!(checked(manager, object.clone()), want, "{manager} {object}");
        }
    }
}
