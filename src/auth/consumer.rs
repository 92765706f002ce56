//! Who may call: the worker's own table of consumers and credentials.
//!
//! Compiled changes in, look-ups out. Changes are applied between requests, look-ups run once per request. Each
//! worker owns its table: no lock, no sharing but of the entries. Never waits or panics; a look-up never allocates.
//! Bench: `auth/lookup`.

use super::jwt::{JwtCredential, KeyFault};
use super::shards::{Keyed, Shards};
use crate::plugin::chain::Link;
use std::sync::Arc;

/// A consumer as routes that admit anonymous callers look it up.
#[derive(Debug)]
pub struct Consumer {
    /// APISIX `username`.
    pub username: Box<str>,
    /// How requests appear that continue as this consumer without a credential (`anonymous_consumer`).
    pub anonymous: Arc<Identity>,
}

/// Who is calling, as the upstream will be told.
#[derive(Debug)]
pub struct Identity {
    /// APISIX `username`.
    pub username: Box<str>,
    /// Its group, as text.
    pub group_id: Option<Box<str>>,
    /// The credential's id; none when the match was on the consumer itself or is anonymous.
    pub credential_id: Option<Box<str>>,
    /// The `X-Consumer-Username`, `X-Credential-Identifier` and `X-Consumer-Custom-ID` lines to send, rendered.
    pub fields: Box<[u8]>,
    /// The consumer's plugins, to be merged over the route's.
    pub plugins: Arc<[Link]>,
}

impl Identity {
    /// Renders the field lines that tell the upstream who is calling (spec/jwt-auth §8.3).
    ///
    /// A value that is empty or may not stand in a field (RFC 9110 §5.5: CR, LF, NUL and other controls, white space
    /// at either end) loses its whole line rather than being repaired: the upstream must never see an identity that
    /// was not configured, nor a line that was.
    pub fn render_fields(username: &str, credential_id: Option<&str>, custom_id: Option<&str>) -> Box<[u8]> {
        let lines = [
            ("X-Consumer-Username", Some(username)),
            ("X-Credential-Identifier", credential_id),
            ("X-Consumer-Custom-ID", custom_id),
        ];
        let mut fields = Vec::new();
        for (name, value) in lines {
            if let Some(value) = value.filter(|value| is_field_value(value.as_bytes())) {
                fields.extend_from_slice(name.as_bytes());
                fields.extend_from_slice(b": ");
                fields.extend_from_slice(value.as_bytes());
                fields.extend_from_slice(b"\r\n");
            }
        }
        fields.into()
    }
}

/// One way to authenticate: what a token names, and what verifies it.
#[derive(Debug)]
pub struct Credential {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// What verifies.
    pub material: AuthMaterial,
    /// Changes whenever anything that verification depends on changes.
    pub version: u64,
}

/// Verification material by plugin.
#[derive(Debug)]
pub enum AuthMaterial {
    /// For jwt-auth.
    Jwt(JwtCredential),
}

impl AuthMaterial {
    /// The value of the plugin's lookup attribute, by which requests name the credential.
    pub fn lookup_key(&self) -> &str {
        match self {
            Self::Jwt(credential) => credential.lookup_key(),
        }
    }

    /// Why the private key it was given signs nothing, if so.
    pub fn signing_fault(&self) -> Option<KeyFault> {
        match self {
            Self::Jwt(credential) => credential.signing_fault(),
        }
    }

    /// Why nothing can be verified with it, if so.
    pub fn fault(&self) -> Option<KeyFault> {
        match self {
            Self::Jwt(credential) => credential.fault(),
        }
    }
}

/// The worker's own consumers and credentials. One change costs one look-up.
///
/// An entry is one pointer and one byte of the table: the key that finds it lies in what it points to, which all
/// workers share.
#[derive(Debug, Default)]
pub struct ConsumerTable {
    /// By plugin name; so few that a scan is the fastest index.
    credentials: Vec<(&'static str, Shards<Arc<Credential>>)>,
    consumers: Shards<Arc<Consumer>>,
}

impl ConsumerTable {
    /// Sets or, with `None`, removes what `key` names for `plugin`.
    ///
    /// A credential whose own key is not `key` is refused and leaves nobody under `key`: stored, it could never be
    /// removed again.
    pub fn put_credential(&mut self, plugin: &'static str, key: &str, credential: Option<Arc<Credential>>) {
        let credential = credential.filter(|credential| {
            let is_own = credential.key() == key;
            if !is_own {
                let consumer = &*credential.identity.username;
                tracing::error!(plugin, consumer, "a credential under a foreign key is left out");
            }
            is_own
        });
        if let Some((_, shards)) = self.credentials.iter_mut().find(|(name, _)| *name == plugin) {
            shards.put(key, credential);
            return;
        }
        let mut shards = Shards::default();
        shards.put(key, credential);
        self.credentials.push((plugin, shards));
    }

    /// Sets or, with `None`, removes the consumer called `username`.
    ///
    /// A consumer of another name is refused, as a credential under a foreign key is.
    pub fn put_consumer(&mut self, username: &str, consumer: Option<Arc<Consumer>>) {
        let consumer = consumer.filter(|consumer| consumer.key() == username);
        self.consumers.put(username, consumer);
    }

    /// What `key` names for `plugin`.
    #[inline]
    pub fn credential(&self, plugin: &str, key: &str) -> Option<&Arc<Credential>> {
        let (_, shards) = self.credentials.iter().find(|(name, _)| *name == plugin)?;
        shards.find(key)
    }

    /// The consumer called `username`.
    pub fn consumer(&self, username: &str) -> Option<&Arc<Consumer>> {
        self.consumers.find(username)
    }

    /// How many credentials and consumers there are, together.
    pub fn len(&self) -> usize {
        self.consumers.len() + self.credentials.iter().map(|(_, shards)| shards.len()).sum::<usize>()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Keyed for Arc<Credential> {
    fn key(&self) -> &str {
        self.material.lookup_key()
    }
}

impl Keyed for Arc<Consumer> {
    fn key(&self) -> &str {
        &self.username
    }
}

fn is_field_value(value: &[u8]) -> bool {
    let is_visible = |byte: Option<&u8>| byte.is_some_and(|byte| !matches!(byte, b' ' | b'\t'));
    is_visible(value.first())
        && is_visible(value.last())
        && value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..=u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::jwt::Algorithm;
    use crate::base::map::HashMap;
    use proptest::prelude::*;

    fn identity(username: &str) -> Arc<Identity> {
        Arc::new(Identity {
            username: username.into(),
            group_id: None,
            credential_id: None,
            fields: Identity::render_fields(username, None, None),
            plugins: Arc::from([]),
        })
    }

    fn credential(key: &str, version: u64) -> Arc<Credential> {
        let material = AuthMaterial::Jwt(JwtCredential::hmac(key, Algorithm::Hs256, b"secret", 0));
        Arc::new(Credential { identity: identity("jack"), material, version })
    }

    #[test]
    fn fields_name_the_caller() {
        let render = |username, credential_id, custom_id| {
            String::from_utf8(Identity::render_fields(username, credential_id, custom_id).into()).unwrap()
        };
        assert_eq!(
            render("jack", Some("c1"), Some("team-7")),
            "X-Consumer-Username: jack\r\nX-Credential-Identifier: c1\r\nX-Consumer-Custom-ID: team-7\r\n"
        );
        assert_eq!(render("jack", None, None), "X-Consumer-Username: jack\r\n");
        assert_eq!(render("jack", None, Some("Zoë 7")), "X-Consumer-Username: jack\r\nX-Consumer-Custom-ID: Zoë 7\r\n");
    }

    #[test]
    fn a_value_that_is_no_field_value_loses_its_line() {
        let bare = Identity::render_fields("jack", None, None);
        for custom_id in ["", " x", "x ", "x\t", "a\r\nX-Admin: 1", "a\rb", "a\nb", "a\0b", "a\x7fb", "a\x1fb"] {
            assert_eq!(Identity::render_fields("jack", None, Some(custom_id)), bare, "{custom_id:?}");
        }
    }

    #[test]
    fn an_entry_costs_a_pointer() {
        const COUNT: usize = 100_000;
        let nobody = identity("nobody");
        let mut shards = Shards::default();
        for index in 0..COUNT {
            let consumer = Consumer { username: format!("name-{index}").into(), anonymous: Arc::clone(&nobody) };
            shards.put(&format!("name-{index}"), Some(Arc::new(consumer)));
        }
        assert_eq!(shards.len(), COUNT);
        let entry_bytes = shards.table_bytes() as f64 / COUNT as f64;
        assert!(entry_bytes < 24.0, "{entry_bytes} bytes per entry");
    }

    #[test]
    fn plugins_do_not_see_each_others_keys() {
        let mut table = ConsumerTable::default();
        table.put_credential("jwt-auth", "k", Some(credential("k", 1)));
        assert!(table.credential("jwt-auth", "k").is_some());
        assert!(table.credential("key-auth", "k").is_none());
        table.put_credential("key-auth", "k", None);
        assert!(table.credential("jwt-auth", "k").is_some());
    }

    #[test]
    fn a_credential_under_a_foreign_key_is_left_out_and_removes_what_was_there() {
        let mut table = ConsumerTable::default();
        table.put_credential("jwt-auth", "a", Some(credential("a", 1)));
        table.put_credential("jwt-auth", "a", Some(credential("b", 2)));
        assert!(table.credential("jwt-auth", "a").is_none());
        assert!(table.credential("jwt-auth", "b").is_none());
        assert!(table.is_empty());
    }

    #[test]
    fn consumers_are_found_by_name() {
        let mut table = ConsumerTable::default();
        let consumer = |name: &str| Arc::new(Consumer { username: name.into(), anonymous: identity(name) });
        table.put_consumer("jack", Some(consumer("jack")));
        table.put_consumer("jill", Some(consumer("jill")));
        assert_eq!(table.consumer("jack").map(|consumer| &*consumer.username), Some("jack"));
        table.put_consumer("jack", None);
        assert!(table.consumer("jack").is_none());
        assert_eq!(table.len(), 1);
    }

    proptest! {
        /// Any sequence of changes leaves what a plain map would hold.
        #[test]
        fn agrees_with_a_map(changes in proptest::collection::vec(("[a-c]{1,2}", any::<bool>()), 0..200)) {
            let mut table = ConsumerTable::default();
            let mut oracle: HashMap<String, u64> = HashMap::default();
            for (version, (key, present)) in changes.into_iter().enumerate() {
                let version = version as u64;
                table.put_credential("jwt-auth", &key, present.then(|| credential(&key, version)));
                if present {
                    oracle.insert(key, version);
                } else {
                    oracle.remove(&key);
                }
            }
            prop_assert_eq!(table.len(), oracle.len());
            for (key, version) in &oracle {
                prop_assert_eq!(table.credential("jwt-auth", key).map(|found| found.version), Some(*version));
            }
        }
    }
}
