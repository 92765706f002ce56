//! Plugin chains: what runs for a route, and what changes once the consumer is known.
//!
//! In: links, built when the configuration was compiled. Out: the order they run in. A route's chain is sorted once
//! per change; the chain of a route and a consumer together is made at the first request of that pair and kept in the
//! worker's [`MergedChains`]. A request whose consumer has no plugins costs nothing here.

use super::Plugin;
use super::filter::Filter;
use crate::base::map::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// One plugin in a chain.
#[derive(Debug, Clone)]
pub struct Link {
    /// The plugin's name.
    pub name: &'static str,
    /// Its place, higher first; `_meta.priority` or the type's.
    pub priority: i64,
    /// Whether it authenticates; such a plugin never runs twice.
    pub is_auth: bool,
    /// The requests it takes part in; all without one.
    pub filter: Option<Arc<Filter>>,
    /// The plugin with its configuration.
    pub plugin: Arc<dyn Plugin>,
}

/// Plugins in the order they run.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// By falling priority; equal priorities by name.
    pub links: Vec<Link>,
}

/// What runs after authentication, once the consumer's plugins are laid over the route's.
#[derive(Debug)]
pub struct Merged {
    /// The access phase and everything later: the route's plugins, the consumer's in place of those of the same name.
    pub chain: Chain,
    /// The second rewrite pass: plugins that the route does not have, authentication excluded.
    pub brought: Chain,
}

impl Chain {
    /// The chain of `links`, whose names differ from each other.
    pub fn new(mut links: Vec<Link>) -> Self {
        links.sort_by(|one, other| other.priority.cmp(&one.priority).then_with(|| one.name.cmp(other.name)));
        Self { links }
    }

    /// This route's chain with a consumer's plugins over it, whole plugin by name
    /// (spec/consumers-credentials-secrets §4.1, §4.3).
    ///
    /// Authentication plugins among `plugins` are ignored: by now authentication has happened.
    pub fn with_consumer(&self, plugins: &[Link]) -> Merged {
        let mut links = self.links.clone();
        let mut brought = Vec::new();
        for link in plugins.iter().filter(|link| !link.is_auth) {
            match links.iter_mut().find(|own| own.name == link.name) {
                Some(own) => *own = link.clone(),
                None => brought.push(link.clone()),
            }
        }
        links.extend_from_slice(&brought);
        Merged { chain: Self::new(links), brought: Self::new(brought) }
    }
}

/// A worker's merged chains, kept while their pairs are in use.
///
/// Pairs are told apart by address. Each entry holds both `Arc`s, so an address cannot come to mean something else
/// while its entry stands; a changed route or consumer arrives under a new address and its old entries age out.
/// Entries live in two generations: when the young one is full it becomes the old one, and what was old and has not
/// been asked for since is dropped. That bounds the memory without bookkeeping per look-up.
#[derive(Debug, Default)]
pub struct MergedChains {
    young: HashMap<PairKey, Entry>,
    old: HashMap<PairKey, Entry>,
}

/// The addresses of a route's chain and of an identity's plugins.
type PairKey = (usize, usize);

#[derive(Debug)]
struct Entry {
    merged: Rc<Merged>,
    _route: Arc<Chain>,
    _plugins: Arc<[Link]>,
}

impl MergedChains {
    /// The merged chain of `route` and an identity's `plugins`; `None` when there is nothing to merge and the route's
    /// chain is the answer. Allocates at the first request of a pair only.
    pub fn find(&mut self, route: &Arc<Chain>, plugins: &Arc<[Link]>) -> Option<Rc<Merged>> {
        if plugins.is_empty() {
            return None;
        }
        let key = (Arc::as_ptr(route).addr(), Arc::as_ptr(plugins).addr());
        if let Some(entry) = self.young.get(&key) {
            return Some(Rc::clone(&entry.merged));
        }
        let entry = self.old.remove(&key).unwrap_or_else(|| Entry {
            merged: Rc::new(route.with_consumer(plugins)),
            _route: Arc::clone(route),
            _plugins: Arc::clone(plugins),
        });
        let merged = Rc::clone(&entry.merged);
        if self.young.len() >= GENERATION_PAIRS_MAX {
            // Swapping keeps both tables' memory for the next turn.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key, entry);
        Some(merged)
    }
}

/// Pairs of route and consumer kept per worker at most.
pub const MERGED_PAIRS_MAX: usize = 4096;
const GENERATION_PAIRS_MAX: usize = MERGED_PAIRS_MAX / 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// A plugin that only has an owner.
    #[derive(Debug)]
    struct Marked(#[expect(dead_code, reason = "read through Debug")] &'static str);
    impl Plugin for Marked {}

    fn link(name: &'static str, priority: i64, owner: &'static str) -> Link {
        Link { name, priority, is_auth: name.ends_with("-auth"), filter: None, plugin: Arc::new(Marked(owner)) }
    }

    fn names(chain: &Chain) -> Vec<String> {
        chain.links.iter().map(|link| format!("{}:{:?}", link.name, link.plugin)).collect()
    }

    #[test]
    fn a_chain_runs_by_falling_priority_then_by_name() {
        let chain = Chain::new(vec![
            link("limit-count", 1002, "r"),
            link("b", 5, "r"),
            link("jwt-auth", 2510, "r"),
            link("a", 5, "r"),
            link("late", -1, "r"),
        ]);
        let order: Vec<_> = chain.links.iter().map(|link| link.name).collect();
        assert_eq!(order, ["jwt-auth", "limit-count", "a", "b", "late"]);
    }

    #[test]
    fn a_consumers_plugins_replace_whole_plugins_and_bring_their_own() {
        type Case = (&'static str, Vec<Link>, Vec<Link>, &'static [&'static str], &'static [&'static str]);
        let cases: Vec<Case> = vec![
            ("nothing to merge", vec![link("a", 1, "route")], vec![], &[r#"a:Marked("route")"#], &[]),
            (
                "the same plugin: the consumer's runs, and not in a second rewrite pass",
                vec![link("jwt-auth", 2510, "route"), link("limit-count", 1002, "route")],
                vec![link("limit-count", 1002, "jack")],
                &[r#"jwt-auth:Marked("route")"#, r#"limit-count:Marked("jack")"#],
                &[],
            ),
            (
                "a new plugin: takes its place by priority, gets the second rewrite pass",
                vec![link("jwt-auth", 2510, "route"), link("limit-count", 1002, "route")],
                vec![link("ip-restriction", 3000, "jack"), link("z", 0, "jack")],
                &[
                    r#"ip-restriction:Marked("jack")"#,
                    r#"jwt-auth:Marked("route")"#,
                    r#"limit-count:Marked("route")"#,
                    r#"z:Marked("jack")"#,
                ],
                &[r#"ip-restriction:Marked("jack")"#, r#"z:Marked("jack")"#],
            ),
            (
                "authentication is over: never replaced, never brought",
                vec![link("jwt-auth", 2510, "route")],
                vec![link("jwt-auth", 2510, "jack"), link("key-auth", 2500, "jack")],
                &[r#"jwt-auth:Marked("route")"#],
                &[],
            ),
            (
                "the consumer's priority orders the merged set",
                vec![link("a", 10, "route"), link("b", 5, "route")],
                vec![link("b", 20, "jack")],
                &[r#"b:Marked("jack")"#, r#"a:Marked("route")"#],
                &[],
            ),
        ];
        for (name, route, consumer, chain, brought) in cases {
            let merged = Chain::new(route).with_consumer(&consumer);
            assert_eq!(names(&merged.chain), chain, "{name}");
            assert_eq!(names(&merged.brought), brought, "{name}");
        }
    }

    #[test]
    fn a_pair_is_merged_once_and_no_plugins_need_no_merge() {
        let mut cache = MergedChains::default();
        let route = Arc::new(Chain::new(vec![link("a", 1, "route")]));
        let plugins: Arc<[Link]> = Arc::from([link("a", 1, "jack")]);
        assert!(cache.find(&route, &Arc::from([])).is_none());
        let first = cache.find(&route, &plugins).unwrap();
        assert!(Rc::ptr_eq(&first, &cache.find(&route, &plugins).unwrap()));
        let other = Arc::new(Chain::clone(&route));
        assert!(!Rc::ptr_eq(&first, &cache.find(&other, &plugins).unwrap()), "another chain, another pair");
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_in_use() {
        let mut cache = MergedChains::default();
        let route = Arc::new(Chain::default());
        let kept: Arc<[Link]> = Arc::from([link("a", 1, "kept")]);
        let first = cache.find(&route, &kept).unwrap();
        for turn in 0..4 * MERGED_PAIRS_MAX {
            let passing: Arc<[Link]> = Arc::from([link("a", 1, "passing")]);
            cache.find(&route, &passing).unwrap();
            assert!(cache.young.len() + cache.old.len() <= MERGED_PAIRS_MAX, "{turn}");
            // Dropping `passing` here must not let the next one take over its entry: the cache holds it.
            if turn % 1000 == 0 {
                assert!(Rc::ptr_eq(&first, &cache.find(&route, &kept).unwrap()), "{turn}");
            }
        }
    }
}
