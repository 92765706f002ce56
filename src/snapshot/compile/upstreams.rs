//! Upstreams in their slots, and the names their nodes need.
//!
//! An object under `upstreams/` has a slot from the moment something refers to it, whether it exists or not; an
//! upstream embedded in a route or service has one for as long as its owner embeds it. Numbers only rise, so a worker
//! that is late can never take one upstream for another.

use super::Compiled;
use super::node;
use crate::base::map::HashMap;
use crate::resource::Id;
use crate::resource::upstream::UpstreamSpec;
use crate::snapshot::change::Change;
use crate::upstream::{KeepalivePool, Upstream, UpstreamSlot};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Every upstream that workers have, and every slot that something refers to.
#[derive(Default)]
pub(super) struct Upstreams {
    slots_used: u64,
    live: HashMap<UpstreamSlot, Arc<Upstream>>,
    by_id: HashMap<Box<str>, Named>,
    names: HashMap<Box<str>, Name>,
    /// Names whose users changed since [`Upstreams::settle_names`]; may repeat.
    names_touched: Vec<Box<str>>,
    keepalive: KeepalivePool,
}

/// The slot of an object under `upstreams/`.
struct Named {
    slot: UpstreamSlot,
    /// Routes and services that refer to it.
    users: usize,
}

/// A domain name that nodes need.
#[derive(Default)]
struct Name {
    users: BTreeSet<UpstreamSlot>,
    /// Whether the resolver has been asked.
    is_wanted: bool,
    /// What is known; empty until it is resolved.
    addresses: Vec<IpAddr>,
}

/// Where a route or service sends requests of its own accord.
#[derive(Debug, Default, Clone)]
pub(super) enum Source {
    /// It does not say.
    #[default]
    None,
    /// Its embedded upstream.
    Embedded(UpstreamSlot),
    /// An object under `upstreams/`.
    Referred(Box<str>, UpstreamSlot),
}

impl Source {
    /// The slot, if any.
    pub(super) fn slot(&self) -> Option<UpstreamSlot> {
        match self {
            Self::None => None,
            Self::Embedded(slot) | Self::Referred(_, slot) => Some(*slot),
        }
    }
}

impl Upstreams {
    /// None yet; `keepalive` is for upstreams that do not say.
    pub(super) fn new(keepalive: KeepalivePool) -> Self {
        Self { keepalive, ..Self::default() }
    }

    /// Takes the object `upstreams/{id}`.
    pub(super) fn put(&mut self, id: &str, spec: &UpstreamSpec, out: &mut Compiled) {
        let slot = self.slot_of(id);
        self.set(slot, &format!("/upstreams/{id}"), spec, out);
    }

    /// The object `upstreams/{id}` went. Its slot stays while something refers to it.
    pub(super) fn remove(&mut self, id: &str, out: &mut Compiled) {
        let Some(named) = self.by_id.get(id) else { return };
        let (slot, users) = (named.slot, named.users);
        self.clear(slot, out);
        if users == 0 {
            self.by_id.remove(id);
        }
    }

    /// Takes what the route or service at `key` says now about its upstream, in place of what it said `before`. An
    /// `upstream_id` outranks an embedded upstream (spec/routing-and-upstreams §4).
    pub(super) fn source(
        &mut self,
        key: &str,
        before: Source,
        id: Option<&Id>,
        embedded: Option<&UpstreamSpec>,
        out: &mut Compiled,
    ) -> Source {
        match (id, embedded, before) {
            (None, Some(spec), Source::Embedded(slot)) => {
                self.set(slot, key, spec, out);
                Source::Embedded(slot)
            }
            (Some(Id(id)), _, before) => {
                let slot = self.slot_of(id);
                if let Some(named) = self.by_id.get_mut(id.as_str()) {
                    named.users += 1;
                }
                self.release(before, out);
                Source::Referred(id.as_str().into(), slot)
            }
            (None, Some(spec), before) => {
                self.release(before, out);
                let slot = self.next_slot();
                self.set(slot, key, spec, out);
                Source::Embedded(slot)
            }
            (None, None, before) => {
                self.release(before, out);
                Source::None
            }
        }
    }

    /// A route or service no longer refers to `source`.
    pub(super) fn release(&mut self, source: Source, out: &mut Compiled) {
        match source {
            Source::None => {}
            Source::Embedded(slot) => self.clear(slot, out),
            Source::Referred(id, slot) => {
                let Some(named) = self.by_id.get_mut(&id) else { return };
                named.users = named.users.saturating_sub(1);
                if named.users == 0 && !self.live.contains_key(&slot) {
                    self.by_id.remove(&id);
                }
            }
        }
    }

    /// A name's addresses as they are now; the upstreams that change by it.
    pub(super) fn resolved(&mut self, name: &str, addresses: &[IpAddr]) -> Vec<Change> {
        let Some(entry) = self.names.get_mut(&*name.to_ascii_lowercase()) else { return Vec::new() };
        if entry.addresses == addresses {
            return Vec::new();
        }
        entry.addresses = addresses.to_vec();
        let users: Vec<_> = entry.users.iter().copied().collect();
        let mut changes = Vec::with_capacity(users.len());
        for slot in users {
            let Some(live) = self.live.get(&slot) else { continue };
            let mut upstream = Upstream::clone(live);
            self.fill_addresses(&mut upstream);
            changes.push(self.publish(slot, upstream));
        }
        changes
    }

    /// Tells which names are needed now and were not before, and the reverse. Once per batch of events.
    pub(super) fn settle_names(&mut self, out: &mut Compiled) {
        for name in std::mem::take(&mut self.names_touched) {
            let Some(entry) = self.names.get_mut(&name) else { continue };
            if entry.users.is_empty() {
                if entry.is_wanted {
                    out.names_released.push(name.clone());
                }
                self.names.remove(&name);
            } else if !entry.is_wanted {
                entry.is_wanted = true;
                out.names_wanted.push(name);
            }
        }
    }

    fn set(&mut self, slot: UpstreamSlot, key: &str, spec: &UpstreamSpec, out: &mut Compiled) {
        let mut upstream = node::compile(key, spec, self.keepalive).unwrap_or_else(|reason| {
            tracing::error!(key, reason, "upstream cannot be used: its requests are answered 503");
            node::without_nodes(key, self.keepalive)
        });
        self.unsubscribe(slot);
        for name in upstream.nodes.iter().filter_map(node::name_of) {
            self.names.entry_ref(&name).or_default().users.insert(slot);
            self.names_touched.push(name);
        }
        self.fill_addresses(&mut upstream);
        let change = self.publish(slot, upstream);
        out.changes.push(change);
    }

    fn clear(&mut self, slot: UpstreamSlot, out: &mut Compiled) {
        self.unsubscribe(slot);
        if self.live.remove(&slot).is_some() {
            out.changes.push(Change::Upstream { slot, upstream: None });
        }
    }

    fn publish(&mut self, slot: UpstreamSlot, upstream: Upstream) -> Change {
        let upstream = Arc::new(upstream);
        self.live.insert(slot, Arc::clone(&upstream));
        Change::Upstream { slot, upstream: Some(upstream) }
    }

    fn unsubscribe(&mut self, slot: UpstreamSlot) {
        let Some(live) = self.live.get(&slot) else { return };
        for name in live.nodes.iter().filter_map(node::name_of) {
            if let Some(entry) = self.names.get_mut(&name) {
                entry.users.remove(&slot);
            }
            self.names_touched.push(name);
        }
    }

    fn fill_addresses(&self, upstream: &mut Upstream) {
        for node in &mut upstream.nodes {
            let Some(name) = node::name_of(node) else { continue };
            let known = self.names.get(&name).map_or(&[][..], |entry| &entry.addresses);
            node.addresses = known.iter().map(|address| SocketAddr::new(*address, node.port)).collect();
        }
    }

    fn slot_of(&mut self, id: &str) -> UpstreamSlot {
        if let Some(named) = self.by_id.get(id) {
            return named.slot;
        }
        let slot = self.next_slot();
        self.by_id.insert(id.into(), Named { slot, users: 0 });
        slot
    }

    fn next_slot(&mut self) -> UpstreamSlot {
        self.slots_used += 1;
        UpstreamSlot(self.slots_used)
    }
}
