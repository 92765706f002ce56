//! Plugin configurations inside a resource: known, right, and complete.

use super::fields;
use super::kind::Document;
use crate::plugin::{PluginType, Rules, Side, registry};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// What the plugins stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A route, or anything else whose plugins run for requests.
    Route,
    /// A consumer: authentication plugins are its credentials, others run once it is known.
    Consumer,
    /// A credential: authentication plugins only.
    Credential,
}

/// Checks the `plugins` of `object`, in the order they were sent, and lets authentication plugins complete theirs.
pub(super) fn check(object: &mut Map<String, Value>, holder: Holder, rules: Rules) -> Result<(), String> {
    let prefix = prefix(holder);
    let Some(Value::Object(plugins)) = object.get_mut("plugins") else { return Ok(()) };
    for (name, conf) in plugins {
        if !conf.is_object() {
            return Err(format!("{prefix}invalid plugin conf {conf} for plugin [{name}]"));
        }
        let plugin = registry::find(name).ok_or_else(|| format!("{prefix}unknown plugin [{name}]"))?;
        one(plugin, conf, holder, rules).map_err(|text| refused(name, holder, &text))?;
        filter(conf).map_err(|text| format!("{prefix}{text}"))?;
        if holder == Holder::Credential && plugin.auth.is_none() {
            return Err("only supports auth type plugins in consumer credential".to_owned());
        }
    }
    Ok(())
}

/// The refusal of one plugin's configuration.
pub(super) fn refused(plugin: &str, holder: Holder, text: &str) -> String {
    format!("{}failed to check the configuration of plugin {plugin} err: {text}", prefix(holder))
}

fn prefix(holder: Holder) -> &'static str {
    if holder == Holder::Route { "" } else { "invalid plugins configuration: " }
}

fn one(plugin: &PluginType, conf: &mut Value, holder: Holder, rules: Rules) -> Result<(), String> {
    if let Some(meta) = conf.get("_meta") {
        META.check(meta)
            .and_then(|()| supported(meta))
            .map_err(|inner| format!("property \"_meta\" validation failed: {inner}"))?;
    }
    let side = if holder != Holder::Route && plugin.auth.is_some() { Side::Consumer } else { Side::Route };
    match conf_of_side(plugin, conf, side, rules) {
        // It never runs, so it may be anything: that is how a broken one is switched off.
        Err(_) if is_disabled(conf) => Ok(()),
        verdict => verdict,
    }
}

fn is_disabled(conf: &Value) -> bool {
    conf.pointer("/_meta/disable") == Some(&Value::Bool(true))
}

/// The original judges a filter once everything else is right, and does not say whose it is.
fn filter(conf: &Value) -> Result<(), String> {
    match conf.pointer("/_meta/filter").map(crate::plugin::filter::check) {
        Some(Err(reason)) if !is_disabled(conf) => Err(fields::expression_refused(&reason)),
        _ => Ok(()),
    }
}

fn conf_of_side(plugin: &PluginType, conf: &mut Value, side: Side, rules: Rules) -> Result<(), String> {
    match document(plugin.name, side) {
        Some(document) => document.check(conf)?,
        None => return Err("no schema".to_owned()),
    }
    if let (Side::Consumer, Some(auth)) = (side, &plugin.auth) {
        (auth.complete)(conf, rules)?;
    }
    (plugin.check)(conf, side)
}

/// What the schema of `_meta` cannot say: that code is not run here, and that a priority is a whole number as it is
/// read later.
fn supported(meta: &Value) -> Result<(), String> {
    if meta.get("pre_function").is_some() {
        return Err("property \"pre_function\" is not supported".to_owned());
    }
    match meta.get("priority") {
        Some(priority) if !priority.is_i64() => {
            Err("property \"priority\" validation failed: wrong type: expected integer, got number".to_owned())
        }
        _ => Ok(()),
    }
}

/// The schema of one side of a plugin.
pub fn document(plugin: &str, side: Side) -> Option<&'static Document> {
    let found = DOCUMENTS.iter().find(|(name, its_side, _)| *name == plugin && *its_side == side);
    found.map(|(_, _, document)| document)
}

/// The schema of a plugin's metadata, if it has any.
pub fn metadata_document(plugin: &str) -> Option<&'static Document> {
    METADATA_DOCUMENTS.iter().find(|(name, _)| *name == plugin).map(|(_, document)| document)
}

static METADATA_DOCUMENTS: LazyLock<Vec<(&'static str, Document)>> = LazyLock::new(|| {
    let described = |plugin: &&PluginType| Some((plugin.name, parse(plugin.metadata.as_ref()?.schema, Document::new)));
    registry::PLUGINS.iter().filter_map(described).collect()
});

static DOCUMENTS: LazyLock<Vec<(&'static str, Side, Document)>> = LazyLock::new(|| {
    let mut documents = Vec::new();
    for plugin in registry::PLUGINS {
        documents.push((plugin.name, Side::Route, parse(plugin.schema, Document::with_references)));
        if let Some(auth) = &plugin.auth {
            documents.push((plugin.name, Side::Consumer, parse(auth.consumer_schema, Document::with_references)));
        }
    }
    documents
});

fn parse(text: &str, read: fn(Value) -> Document) -> Document {
    match serde_json::from_str(text) {
        Ok(json) => read(json),
        Err(error) => Document { json: Value::Null, schema: Err(error.to_string()) },
    }
}

/// What `_meta` may hold (spec/admin-api §6).
static META: LazyLock<Document> = LazyLock::new(|| {
    Document::with_references(json!({
        "type": "object",
        "properties": {
            "disable": {"type": "boolean"},
            "error_response": {"oneOf": [{"type": "string"}, {"type": "object"}]},
            "priority": {"type": "integer"},
            "filter": {"type": "array"},
            "pre_function": {"type": "string"},
        },
        "additionalProperties": false,
    }))
});

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(holder: Holder, plugins: &Value) -> Result<Value, String> {
        checked_by(Rules::default(), holder, plugins)
    }

    fn checked_by(rules: Rules, holder: Holder, plugins: &Value) -> Result<Value, String> {
        let mut object = Map::from_iter([("plugins".to_owned(), plugins.clone())]);
        check(&mut object, holder, rules).map(|()| object.remove("plugins").unwrap())
    }

    #[test]
    fn jwt_auth_on_a_consumer() {
        let dependent = "failed to validate dependent schema for \"algorithm\": value should match only one schema, but \
                         matches none";
        for (row, conf, want) in [
            ("key missing", json!({}), "property \"key\" is required"),
            (
                "key a number",
                json!({"key": 1}),
                "property \"key\" validation failed: wrong type: expected string, got number",
            ),
            (
                "key empty",
                json!({"key": ""}),
                "property \"key\" validation failed: string too short, expected at least 1, got 0",
            ),
            ("no public key", json!({"key": "k", "algorithm": "ES256"}), dependent),
            (
                "secret not base64",
                json!({"key": "k", "secret": "-", "base64_secret": true}),
                "base64_secret required but the secret is not in base64 format",
            ),
        ] {
            for holder in [Holder::Consumer, Holder::Credential] {
                let text = checked(holder, &json!({"jwt-auth": conf})).unwrap_err();
                let prefix =
                    "invalid plugins configuration: failed to check the configuration of plugin jwt-auth err: ";
                assert_eq!(text.strip_prefix(prefix), Some(want), "{row}");
            }
        }
        let references = json!({"jwt-auth": {"key": "$env://K", "secret": "$secret://vault/1/s", "algorithm": "$ENV://A", "base64_secret": true}});
        assert_eq!(checked(Holder::Credential, &references).as_ref(), Ok(&references), "left as they are");
    }

    #[test]
    fn a_missing_secret_is_generated_for_consumers_only() {
        let sent = json!({"jwt-auth": {"key": "k"}});
        let completed = checked(Holder::Credential, &sent).unwrap();
        assert_eq!(completed["jwt-auth"]["secret"].as_str().map(str::len), Some(44), "{completed}");
        assert_eq!(checked(Holder::Route, &sent).as_ref(), Ok(&sent));
    }

    #[test]
    fn a_missing_secret_is_refused_where_the_rules_ask_for_one() {
        let strict = Rules { jwt_auth: crate::plugin::jwt_auth::Rules { require_secret: true, sign_x5c: false } };
        let sent = json!({"jwt-auth": {"key": "k"}});
        assert_eq!(
            checked_by(strict, Holder::Credential, &sent).unwrap_err(),
            "invalid plugins configuration: failed to check the configuration of plugin jwt-auth err: property \"secret\" \
             is required when using HS based algorithms"
        );
        assert_eq!(checked_by(strict, Holder::Route, &sent).as_ref(), Ok(&sent));
        let off = json!({"jwt-auth": {"key": "k", "_meta": {"disable": true}}});
        assert_eq!(checked_by(strict, Holder::Consumer, &off).as_ref(), Ok(&off));
    }

    #[test]
    fn a_broken_configuration_may_be_switched_off() {
        let broken = |disable: Value| json!({"jwt-auth": {"realm": 1, "_meta": {"disable": disable}}});
        assert_eq!(
            checked(Holder::Route, &broken(json!(false))).unwrap_err(),
            "failed to check the configuration of plugin jwt-auth err: property \"realm\" validation failed: wrong type: \
             expected string, got number"
        );
        assert_eq!(checked(Holder::Route, &broken(json!(true))).as_ref(), Ok(&broken(json!(true))));
        assert_eq!(
            checked(Holder::Route, &broken(json!("yes"))).unwrap_err(),
            "failed to check the configuration of plugin jwt-auth err: property \"_meta\" validation failed: property \
             \"disable\" validation failed: wrong type: expected boolean, got string"
        );
    }

    #[test]
    fn meta_takes_what_is_read_later() {
        for (meta, want) in [
            (json!({"priority": -5, "error_response": "x"}), "ok"),
            (
                json!({"priority": 1.0}),
                "property \"priority\" validation failed: wrong type: expected integer, got number",
            ),
            (
                json!({"error_response": 1}),
                "property \"error_response\" validation failed: value should match only one schema, but matches none",
            ),
            (json!({"pre_function": "return 1"}), "property \"pre_function\" is not supported"),
            (json!({"filter": [["arg_a", "==", "1"]]}), "ok"),
            (json!({"filter": {}}), "property \"filter\" validation failed: wrong type: expected array, got table"),
            (json!([]), "wrong type: expected object, got table"),
        ] {
            let text =
                checked(Holder::Route, &json!({"jwt-auth": {"_meta": meta}})).map_or_else(|text| text, |_| "ok".into());
            let prefix =
                "failed to check the configuration of plugin jwt-auth err: property \"_meta\" validation failed: ";
            assert_eq!(text.strip_prefix(prefix).unwrap_or(&text), want, "{meta}");
        }
    }

    #[test]
    fn a_filter_is_refused_in_the_words_of_vars() {
        let plugins = |filter: Value| json!({"jwt-auth": {"key": "k", "_meta": {"filter": filter}}});
        for (filter, want) in [
            (json!([["arg_a", "=", "1"]]), "invalid operator '='"),
            (json!(["arg_a", "==", "1"]), "rule should be wrapped inside brackets"),
            (json!([["arg_a"]]), "invalid expression"),
            (json!(["OR", ["arg_a", "1"]]), "rule too short"),
            (json!([["!", "arg_a", "==", "1"]]), "bad 'not' expression"),
            (json!([["remote_addr", "ipmatch", ""]]), "invalid ip address"),
            (json!([["post_arg_a", "==", "1"]]), "variable 'post_arg_a' is not supported"),
            (json!([["no_such_variable", "==", "1"]]), "variable 'no_such_variable' is not supported"),
        ] {
            let want = format!("failed to validate the 'vars' expression: {want}");
            assert_eq!(checked(Holder::Route, &plugins(filter.clone())).unwrap_err(), want);
            let prefixed = format!("invalid plugins configuration: {want}");
            assert_eq!(checked(Holder::Consumer, &plugins(filter.clone())).unwrap_err(), prefixed);
            assert_eq!(checked(Holder::Credential, &plugins(filter.clone())).unwrap_err(), prefixed);
        }
        let broken = json!({"jwt-auth": {"realm": 1, "_meta": {"filter": [["arg_a"]]}}});
        let text = checked(Holder::Route, &broken).unwrap_err();
        assert!(text.contains("\"realm\""), "the plugin's own members come first: {text}");
        let off = json!({"jwt-auth": {"_meta": {"filter": [["arg_a"]], "disable": true}}});
        assert_eq!(checked(Holder::Route, &off).as_ref(), Ok(&off), "what never runs may be broken");
    }
}
