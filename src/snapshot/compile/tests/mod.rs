//! Events in, changes out, against test-only plugins.

mod consumers;
mod incremental;
mod metadata;
mod routes;
mod secrets;

use super::*;
use crate::auth::consumer::{AuthMaterial, Consumer, ConsumerTable, Credential};
use crate::auth::jwt::{Algorithm, JwtCredential, Scratch};
use crate::base::clock::Now;
use crate::http::request::OwnedRequest;
use crate::limit::Local;
use crate::plugin::chain::Link;
use crate::plugin::{AuthType, Chain, Context, Edits, MetadataType, Phase, Plugin, PluginType, Side, Site, Verdict};
use crate::route::{Route, Target};
use crate::upstream::{Upstream, UpstreamSlot};
use serde_json::json;

/// Shows its configuration, so that a test can tell where a plugin came from.
#[derive(Debug)]
struct Told(#[expect(dead_code, reason = "read through Debug")] String);
impl Plugin for Told {}

fn told(configuration: &Value, site: &Site<'_>) -> Result<Arc<dyn Plugin>, String> {
    if configuration.get("fails").is_some() {
        return Err("told to fail".into());
    }
    let metadata = site.metadata.map(|metadata| format!(" told {metadata}")).unwrap_or_default();
    Ok(Arc::new(Told(format!("{configuration}{metadata}"))))
}

fn check(configuration: &Value, side: Side) -> Result<(), String> {
    match configuration.get("refused_on").and_then(Value::as_str) {
        Some("route") if side == Side::Route => Err("refused".into()),
        Some("consumer") if side == Side::Consumer => Err("refused".into()),
        _ => Ok(()),
    }
}

const fn plain(name: &'static str, priority: i64) -> PluginType {
    PluginType {
        name,
        priority,
        first_phase: Phase::Access,
        version: "0.1",
        schema: "{}",
        encrypted_fields: &[],
        auth: None,
        metadata: None,
        check,
        build: told,
    }
}

static AUTH: PluginType = PluginType {
    encrypted_fields: &[],
    auth: Some(AuthType {
        consumer_schema: "{}",
        lookup_attribute: "key",
        encrypted_fields: &[],
        complete: |_, _| Ok(()),
        build_credential: |configuration, _| match configuration.get("fails") {
            None => Ok(AuthMaterial::Jwt(JwtCredential::hmac("k", Algorithm::Hs256, b"a secret for tests", 0))),
            Some(_) => Err("told to fail".into()),
        },
    }),
    ..plain("t-auth", 2500)
};
static LIMIT: PluginType = PluginType {
    metadata: Some(MetadataType {
        schema: "{}",
        check: |metadata| metadata.get("fails").map_or(Ok(()), |_| Err("told to fail".into())),
    }),
    ..plain("limit", 1000)
};
static OTHER: PluginType = plain("other", 500);
static SECRETIVE: PluginType = PluginType { encrypted_fields: &["deep.secret"], ..plain("secretive", 400) };

/// A compiler and what a worker would have after its changes.
struct World {
    compiler: Compiler,
    revision: u64,
    routes: HashMap<Arc<str>, Arc<Route>>,
    upstreams: HashMap<UpstreamSlot, Arc<Upstream>>,
    credentials: HashMap<Arc<str>, Arc<Credential>>,
    consumers: HashMap<Arc<str>, Arc<Consumer>>,
    global_rules: Arc<Chain>,
}

impl World {
    fn new() -> Self {
        let catalog = Catalog::new(&[&AUTH, &LIMIT, &OTHER, &SECRETIVE], Rules::default());
        Self {
            compiler: Compiler::with_catalog("/apisix", KeepalivePool::default(), catalog),
            revision: 0,
            routes: HashMap::default(),
            upstreams: HashMap::default(),
            credentials: HashMap::default(),
            consumers: HashMap::default(),
            global_rules: Arc::default(),
        }
    }

    /// Applies writes as one batch, `null` meaning removal. Returns the changes in brief, and the names.
    fn batch(&mut self, writes: &[(&str, Value)]) -> (Vec<String>, Vec<Box<str>>, Vec<Box<str>>) {
        let events: Vec<_> = writes
            .iter()
            .map(|(key, value)| {
                self.revision += 1;
                let text = match value {
                    Value::Null => None,
                    Value::String(raw) => Some(raw.as_str().into()),
                    value => Some(value.to_string().into()),
                };
                Event { revision: self.revision, key: format!("/apisix/{key}").into(), value: text }
            })
            .collect();
        let Compiled { changes, names_wanted, names_released, .. } = self.compiler.apply(&events);
        (self.take(changes), names_wanted, names_released)
    }

    fn put(&mut self, key: &str, value: Value) -> Vec<String> {
        self.batch(&[(key, value)]).0
    }

    fn take(&mut self, changes: Vec<Change>) -> Vec<String> {
        fn set<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>, key: K, value: Option<V>) -> char {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => return if map.remove(&key).is_some() { '-' } else { '!' },
            }
            '+'
        }
        let brief = changes.into_iter().map(|change| match change {
            Change::Route { id, route } => format!("{}route {id}", set(&mut self.routes, Arc::clone(&id), route)),
            Change::Upstream { slot, upstream } => {
                format!("{}upstream {}", set(&mut self.upstreams, slot, upstream), slot.0)
            }
            Change::Credential { plugin, key, credential } => {
                format!("{}{plugin} {key}", set(&mut self.credentials, Arc::clone(&key), credential))
            }
            Change::Consumer { username, consumer } => {
                format!("{}consumer {username}", set(&mut self.consumers, Arc::clone(&username), consumer))
            }
            Change::GlobalRules(chain) => {
                self.global_rules = chain;
                "rules".into()
            }
        });
        brief.collect()
    }

    fn chain(&self, id: &str) -> Vec<String> {
        self.routes[id].chain.links.iter().map(|link| format!("{} {:?}", link.name, link.plugin)).collect()
    }

    /// The upstream that a route's requests reach.
    fn upstream_of(&self, id: &str) -> Option<&Upstream> {
        match self.routes[id].target {
            Target::Upstream(slot) => self.upstreams.get(&slot).map(|upstream| &**upstream),
            _ => None,
        }
    }

    /// Who a look-up value names, as `username/credential`.
    fn who(&self, key: &str) -> Option<String> {
        let identity = &self.credentials.get(key)?.identity;
        Some(format!("{}/{}", identity.username, identity.credential_id.as_deref().unwrap_or("-")))
    }

    fn links(&self, key: &str) -> Vec<String> {
        let identity = &self.credentials[key].identity;
        identity.plugins.iter().map(|link| format!("{} {:?}", link.name, link.plugin)).collect()
    }
}

fn nodes(node: &str) -> Value {
    json!({"nodes": {node: 1}})
}

fn auth(key: &str) -> Value {
    json!({"plugins": {"t-auth": {"key": key}}})
}

fn consumer(name: &str) -> Value {
    json!({"username": name})
}

/// Expects one link, which answers 503 before anything else can happen.
fn assert_refuses(links: &[Link], name: &str) {
    assert_answers(links, 503, name);
}

fn assert_answers(links: &[Link], status: u16, name: &str) {
    let [link] = links else { panic!("{name}: {links:?}") };
    let (mut edits, mut scratch) = (Edits::default(), Scratch::default());
    let nobody = ConsumerTable::default();
    let mut limits = Local::default();
    let mut context = Context::new(Now::default(), &nobody, &mut edits, &mut scratch, &mut limits);
    let verdict = link.plugin.rewrite(&OwnedRequest::new("GET", "/").view(), &mut context);
    assert!(matches!(&verdict, Verdict::Respond(answer) if answer.status == status), "{name}: {verdict:?}");
}
