//! What the index needs to know of an object: which objects it refers to, and which authentication keys it holds.
//!
//! Values were written by several programs over years, so everything that is not understood is passed over
//! (spec/config-sources §2.1): a value that is no JSON object has no facts.

use crate::plugin::registry;
use crate::resource::PREFIX;
use crate::schema::starts_like_reference;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What an object says about others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Keys of the objects it names, existing or not; sorted, each once.
    pub(super) references: Vec<Box<str>>,
    /// Plugin and value of the lookup attribute of each authentication configuration, and of the attribute by which
    /// configurations of a plugin belong together ([`registry::group_attribute`]); sorted, each once.
    pub(super) auth_keys: Vec<(&'static str, Box<str>)>,
}

impl Facts {
    /// The facts of the object `value` stored at `key`.
    pub(super) fn of(key: &str, value: &str) -> Self {
        let mut facts = Self::default();
        if let Some(kind) = Kind::of(key) {
            let mut json = serde_json::Deserializer::from_str(value);
            // An object that ends badly is not used by anybody, so neither is what was read of it.
            if (ObjectSeed { kind, facts: &mut facts }).deserialize(&mut json).is_err() || json.end().is_err() {
                return Self::default();
            }
            facts.references.sort_unstable();
            facts.references.dedup();
            facts.auth_keys.sort_unstable();
            facts.auth_keys.dedup();
        }
        facts
    }
}

/// Kinds of objects that have facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Route,
    Service,
    Consumer,
    Credential,
    /// Carries plugins that run for requests, and refers to nothing.
    Plugins,
}

impl Kind {
    fn of(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(PREFIX)?.strip_prefix('/')?.split('/');
        let path = (parts.next()?, parts.next()?, parts.next(), parts.next(), parts.next());
        match path {
            (_, "", ..) => None,
            ("routes", _, None, ..) => Some(Self::Route),
            ("services", _, None, ..) => Some(Self::Service),
            ("consumers", _, None, ..) => Some(Self::Consumer),
            ("plugin_configs" | "consumer_groups" | "global_rules", _, None, ..) => Some(Self::Plugins),
            ("consumers", _, Some("credentials"), Some(_), None) => Some(Self::Credential),
            _ => None,
        }
    }

    /// What the top-level member `name` says.
    fn member(self, name: &str) -> Member {
        match (self, name) {
            (Self::Route, "service_id") => Member::Reference("services"),
            (Self::Route, "plugin_config_id") => Member::Reference("plugin_configs"),
            (Self::Route | Self::Service, "upstream_id") => Member::Reference("upstreams"),
            (Self::Consumer, "group_id") => Member::Reference("consumer_groups"),
            (_, "plugins") => Member::Plugins,
            _ => Member::Other,
        }
    }
}

enum Member {
    /// The id of an object in this directory.
    Reference(&'static str),
    Plugins,
    Other,
}

/// Reads the top level.
struct ObjectSeed<'f> {
    kind: Kind,
    facts: &'f mut Facts,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<(), M::Error> {
        while let Some(member) = members.next_key_seed(NameSeed(|name: &str| self.kind.member(name)))? {
            match member {
                Member::Reference(directory) => {
                    if let Some(id) = members.next_value_seed(ScalarSeed)? {
                        self.facts.references.push(format!("{PREFIX}/{directory}/{id}").into());
                    }
                }
                Member::Plugins => {
                    let authenticates = matches!(self.kind, Kind::Consumer | Kind::Credential);
                    members.next_value_seed(PluginsSeed { authenticates, facts: self.facts })?;
                }
                Member::Other => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads a member's name without keeping it.
struct NameSeed<F>(F);

impl<'de, T, F: FnOnce(&str) -> T> DeserializeSeed<'de> for NameSeed<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<T, D::Error> {
        json.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for NameSeed<F> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
        Ok(self.0(name))
    }
}

/// Accepts any value where only some are of interest.
macro_rules! pass_over {
    ($value:expr; $($method:ident: $type:ty),+) => {
        $(fn $method<E: Error>(self, _: $type) -> Result<Self::Value, E> { Ok($value) })+
    };
}

/// Passes over arrays and nulls too.
macro_rules! pass_over_nested {
    ($value:expr) => {
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Self::Value, S::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok($value)
        }
    };
}

/// Reads `plugins`.
struct PluginsSeed<'f> {
    /// Whether authentication plugins say here who somebody is.
    authenticates: bool,
    facts: &'f mut Facts,
}

impl<'de> DeserializeSeed<'de> for PluginsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PluginsSeed<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("plugins")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut plugins: M) -> Result<(), M::Error> {
        let authenticates = self.authenticates;
        let attribute = |name: &str| {
            let plugin = registry::find(name)?;
            let lookup = plugin.auth.as_ref().filter(|_| authenticates).map(|auth| auth.lookup_attribute);
            Some((plugin.name, lookup.or_else(|| registry::group_attribute(plugin.name))?))
        };
        while let Some(plugin) = plugins.next_key_seed(NameSeed(attribute))? {
            match plugin {
                Some((plugin, attribute)) => {
                    // A key that is a reference is nobody's; a group is what its text says.
                    if let Some(value) = plugins.next_value_seed(ConfigurationSeed(attribute))?
                        && (registry::group_attribute(plugin).is_some() || !starts_like_reference(&value))
                    {
                        self.facts.auth_keys.push((plugin, value));
                    }
                }
                None => drop(plugins.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    pass_over!((); visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    pass_over_nested!(());
}

/// Reads a plugin's configuration: the text of one attribute.
struct ConfigurationSeed(&'static str);

impl<'de> DeserializeSeed<'de> for ConfigurationSeed {
    type Value = Option<Box<str>>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ConfigurationSeed {
    type Value = Option<Box<str>>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a plugin's configuration")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Self::Value, M::Error> {
        let mut found = None;
        while let Some(is_lookup) = members.next_key_seed(NameSeed(|name: &str| name == self.0))? {
            if is_lookup {
                found = members.next_value_seed(ScalarSeed)?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    pass_over!(None; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    pass_over_nested!(None);
}

/// Reads a text or a whole number as text: `1`, `"1"` and `1.0` are the same id (spec/admin-api §3).
struct ScalarSeed;

impl<'de> DeserializeSeed<'de> for ScalarSeed {
    type Value = Option<Box<str>>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed {
    type Value = Option<Box<str>>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text or a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string().into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string().into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok((number.fract() == 0.0).then(|| number.to_string().into()))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Self::Value, M::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    pass_over!(None; visit_bool: bool);
    pass_over_nested!(None);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(key: &str, value: &str) -> (Vec<String>, Vec<(&'static str, String)>) {
        let facts = Facts::of(key, value);
        let keys = facts.auth_keys.into_iter().map(|(plugin, value)| (plugin, value.into_string())).collect();
        (facts.references.into_iter().map(Into::into).collect(), keys)
    }

    #[test]
    fn references_are_found_by_kind_and_compared_as_text() {
        let route = r#"{"service_id":1,"upstream_id":"u","plugin_config_id":2.0,"group_id":"g","x":{"service_id":9}}"#;
        let all = ["/apisix/plugin_configs/2", "/apisix/services/1", "/apisix/upstreams/u"];
        let cases: [(&str, &str, &[&str]); 14] = [
            ("/apisix/routes/1", route, &all),
            ("/apisix/services/1", route, &["/apisix/upstreams/u"]),
            ("/apisix/consumers/jack", route, &["/apisix/consumer_groups/g"]),
            ("/apisix/consumers/jack/credentials/c", route, &[]),
            ("/apisix/upstreams/1", route, &[]),
            ("/apisix/services/1/graphql_cost_decorations/2", route, &[]),
            ("/apisix/routes/", "init_dir", &[]),
            ("/apisix/routes/1", "init_dir", &[]),
            ("/apisix/routes/1", r#"["service_id"]"#, &[]),
            ("/apisix/routes/1", r#"{"service_id":null,"upstream_id":{"a":[1]},"plugin_config_id":1.5}"#, &[]),
            ("/apisix/routes/1", r#"{"service_id":[1,{}],"upstream_id":true}"#, &[]),
            ("/apisix/routes/1", r#"{"service_id":"1""#, &[]),
            ("/apisix/routes/1", r#"{"service_id":"1"} 2"#, &[]),
            ("/other/routes/1", route, &[]),
        ];
        for (key, value, want) in cases {
            assert_eq!(facts(key, value).0, want, "{key} {value}");
        }
    }

    #[test]
    fn groups_of_limits_are_found_wherever_plugins_are() {
        let object = r#"{"plugins":{"jwt-auth":{"key":"k"},"limit-count":{"key":"k2","group":"g"}}}"#;
        for kind in ["routes", "services", "plugin_configs", "consumer_groups", "global_rules"] {
            assert_eq!(facts(&format!("/apisix/{kind}/1"), object).1, [("limit-count", "g".to_owned())], "{kind}");
        }
        let both = [("jwt-auth", "k".to_owned()), ("limit-count", "g".to_owned())];
        assert_eq!(facts("/apisix/consumers/jack", object).1, both);
        assert_eq!(facts("/apisix/upstreams/1", object).1, []);
    }

    #[test]
    fn auth_keys_are_those_of_consumers_and_credentials() {
        let object = |conf: &str| format!(r#"{{"plugins":{{"jwt-auth":{conf},"limit-count":{{"key":"k2"}}}}}}"#);
        let cases: [(&str, String, &[&str]); 14] = [
            ("/apisix/consumers/jack", object(r#"{"secret":"s","key":"k"}"#), &["k"]),
            ("/apisix/consumers/jack/credentials/c", object(r#"{"key":"k"}"#), &["k"]),
            ("/apisix/consumers/jack", object(r#"{"k\u0065y":"\u006b"}"#), &["k"]),
            ("/apisix/routes/1", object(r#"{"key":"k"}"#), &[]),
            ("/apisix/consumers/jack", object("{}"), &[]),
            ("/apisix/consumers/jack", object("[]"), &[]),
            ("/apisix/consumers/jack", object("null"), &[]),
            ("/apisix/consumers/jack", object("\"key\""), &[]),
            ("/apisix/consumers/jack", object(r#"{"key":{"a":1}}"#), &[]),
            ("/apisix/consumers/jack", object(r#"{"key":"$secret://vault/1/a/b"}"#), &[]),
            ("/apisix/consumers/jack", object(r#"{"key":"$ENV://KEY"}"#), &[]),
            ("/apisix/consumers/jack", object(r#"{"key":"$SECRET://a literal"}"#), &["$SECRET://a literal"]),
            ("/apisix/consumers/jack", r#"{"plugins":[]}"#.to_owned(), &[]),
            ("/apisix/consumers/jack", r#"{"plugins":7}"#.to_owned(), &[]),
        ];
        for (key, value, want) in cases {
            let want: Vec<_> = want.iter().map(|value| ("jwt-auth", (*value).to_owned())).collect();
            assert_eq!(facts(key, &value).1, want, "{key} {value}");
        }
    }
}
