//! Which object a key names (spec/config-sources §2.1).

/// An object of the configuration, by the part of its key behind the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object<'a> {
    /// `routes/{id}`.
    Route(&'a str),
    /// `services/{id}`.
    Service(&'a str),
    /// `upstreams/{id}`.
    Upstream(&'a str),
    /// `plugin_configs/{id}`.
    PluginConfig(&'a str),
    /// `global_rules/{id}`.
    GlobalRule(&'a str),
    /// `consumer_groups/{id}`.
    ConsumerGroup(&'a str),
    /// `plugin_metadata/{plugin}`.
    PluginMetadata(&'a str),
    /// `consumers/{username}`.
    Consumer(&'a str),
    /// `consumers/{username}/credentials/{id}`.
    Credential {
        /// Whose it is.
        username: &'a str,
        /// Its own id.
        id: &'a str,
    },
    /// `secrets/{manager}/{id}`, by both.
    Secret(&'a str),
}

impl<'a> Object<'a> {
    /// The object that `key` names; `None` for bookkeeping keys, directory placeholders (`…/routes/`), kinds that are
    /// not served, and ids with characters that no id may have.
    pub(super) fn of(prefix: &str, key: &'a str) -> Option<Self> {
        let (kind, rest) = key.strip_prefix(prefix)?.strip_prefix('/')?.split_once('/')?;
        if kind == "consumers"
            && let Some((username, below)) = rest.split_once('/')
        {
            let id = below.strip_prefix("credentials/")?;
            return (is_id(username) && is_id(id)).then_some(Self::Credential { username, id });
        }
        if kind == "secrets" {
            let (manager, id) = rest.split_once('/')?;
            return (is_id(manager) && is_id(id)).then_some(Self::Secret(rest));
        }
        if !is_id(rest) {
            return None;
        }
        match kind {
            "routes" => Some(Self::Route(rest)),
            "services" => Some(Self::Service(rest)),
            "upstreams" => Some(Self::Upstream(rest)),
            "plugin_configs" => Some(Self::PluginConfig(rest)),
            "global_rules" => Some(Self::GlobalRule(rest)),
            "consumer_groups" => Some(Self::ConsumerGroup(rest)),
            "plugin_metadata" => Some(Self::PluginMetadata(rest)),
            "consumers" => Some(Self::Consumer(rest)),
            _ => None,
        }
    }
}

/// Ids and usernames go into header lines, so their alphabet is checked wherever they come from (spec/admin-api §3).
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_objects_or_nothing() {
        let cases = [
            ("/apisix/routes/1", Some(Object::Route("1"))),
            ("/apisix/services/s.1", Some(Object::Service("s.1"))),
            ("/apisix/upstreams/u-1", Some(Object::Upstream("u-1"))),
            ("/apisix/plugin_configs/1", Some(Object::PluginConfig("1"))),
            ("/apisix/global_rules/1", Some(Object::GlobalRule("1"))),
            ("/apisix/consumer_groups/1", Some(Object::ConsumerGroup("1"))),
            ("/apisix/plugin_metadata/limit-count", Some(Object::PluginMetadata("limit-count"))),
            ("/apisix/consumers/jack", Some(Object::Consumer("jack"))),
            ("/apisix/consumers/jack/credentials/c1", Some(Object::Credential { username: "jack", id: "c1" })),
            ("/apisix/secrets/vault/jwt", Some(Object::Secret("vault/jwt"))),
            ("/apisix/secrets/vault", None),
            ("/apisix/secrets/vault/a/b", None),
            ("/apisix/routes/", None),
            ("/apisix/routes", None),
            ("/apisix/gen_id", None),
            ("/apisix/plugins", None),
            ("/apisix/ssls/1", None),
            ("/apisix/services/1/graphql_cost_decorations/1", None),
            ("/apisix/consumers/jack/credentials/", None),
            ("/apisix/consumers//credentials/c1", None),
            ("/apisix/consumers/jack/other/c1", None),
            ("/apisix/consumers/jack/credentials/c1/more", None),
            ("/apisix/consumers/ja\r\nck", None),
            ("/apisix2/routes/1", None),
            ("/routes/1", None),
            ("", None),
        ];
        for (key, want) in cases {
            assert_eq!(Object::of("/apisix", key), want, "{key:?}");
        }
        assert_eq!(Object::of("", "/routes/1"), Some(Object::Route("1")), "keys of file configurations");
    }
}
