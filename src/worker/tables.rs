//! A worker's own configuration: route index, consumers, upstreams, global rules. Changed between requests only.

use crate::auth::consumer::ConsumerTable;
use crate::base::map::HashMap;
use crate::plugin::Chain;
use crate::plugin::chain::MergedChains;
use crate::route::Router;
use crate::snapshot::change::{Batch, Change};
use crate::upstream::balance::RoundRobin;
use crate::upstream::{Upstream, UpstreamSlot};
use std::rc::Rc;
use std::sync::Arc;

/// Everything compiled that one worker knows.
#[derive(Debug)]
pub struct Tables {
    /// Which route a request takes.
    pub router: Router,
    /// Who may call.
    pub consumers: ConsumerTable,
    /// All global rules, merged.
    pub global_rules: Arc<Chain>,
    /// Chains of route and consumer together, made on first use.
    pub merged: MergedChains,
    upstreams: HashMap<UpstreamSlot, Rc<LiveUpstream>>,
    /// Differs between workers, so that their round robins do not walk in step.
    seed: u64,
}

/// An upstream with this worker's balancing state.
#[derive(Debug)]
pub struct LiveUpstream {
    /// The compiled upstream.
    pub upstream: Arc<Upstream>,
    /// Where this worker stands in its cycle.
    pub balance: RoundRobin,
}

impl Tables {
    /// Empty tables.
    pub fn new(seed: u64) -> Self {
        Self {
            router: Router::new(),
            consumers: ConsumerTable::default(),
            global_rules: Arc::default(),
            merged: MergedChains::default(),
            upstreams: HashMap::default(),
            seed,
        }
    }

    /// The upstream in `slot`; `None` when its object does not exist.
    pub fn upstream(&self, slot: UpstreamSlot) -> Option<&Rc<LiveUpstream>> {
        self.upstreams.get(&slot)
    }

    /// Applies a batch. Costs the size of the batch.
    pub fn apply(&mut self, batch: &Batch) {
        for change in &batch.changes {
            self.apply_one(change);
        }
    }

    fn apply_one(&mut self, change: &Change) {
        match change {
            Change::Route { id, route } => self.router.put(id, route.clone()),
            Change::Upstream { slot, upstream: Some(upstream) } => {
                self.seed = self.seed.wrapping_mul(SEED_FACTOR).wrapping_add(1);
                let balance = RoundRobin::new(upstream, self.seed >> 32);
                self.upstreams.insert(*slot, Rc::new(LiveUpstream { upstream: Arc::clone(upstream), balance }));
            }
            Change::Upstream { slot, upstream: None } => {
                self.upstreams.remove(slot);
            }
            Change::Credential { plugin, key, credential } => {
                self.consumers.put_credential(plugin, Arc::clone(key), credential.clone());
            }
            Change::Consumer { username, consumer } => {
                self.consumers.put_consumer(Arc::clone(username), consumer.clone());
            }
            Change::GlobalRules(chain) => self.global_rules = Arc::clone(chain),
        }
    }
}

/// Knuth's multiplier for 64-bit linear congruential sequences.
const SEED_FACTOR: u64 = 6_364_136_223_846_793_005;
