//! A worker's way to every Redis it counts in.

use super::RedisError;
use super::cluster::Cluster;
use super::deployment::{Deployment, Kind, Target};
use super::link::Link;
use super::reply::{Reply, text};
use super::script::{Script, push_command};
use super::sentinel::Master;
use crate::base::clock::monotonic_us;
use crate::base::map::HashMap;
use crate::metrics::{Cells, REDIS_BUCKETS_US};
use crate::net::watch::Watch;
use crate::worker::guard::guarded;
use std::cell::RefCell;
use std::fmt;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

/// One worker's connections to Redis. One for each server and identity; those that idle are closed and forgotten.
pub struct Client {
    watch: Rc<Watch>,
    cells: Arc<Cells>,
    links: RefCell<HashMap<Arc<Target>, Rc<Link>>>,
    clusters: RefCell<HashMap<Arc<Kind>, Rc<Cluster>>>,
    masters: RefCell<HashMap<Arc<Kind>, Rc<Master>>>,
}

impl Client {
    /// A client without connections; `watch` and `cells` are the worker's.
    pub fn new(watch: Rc<Watch>, cells: Arc<Cells>) -> Self {
        let (links, clusters, masters) = Default::default();
        Self { watch, cells, links, clusters, masters }
    }

    /// Runs `script` with `keys`, which one server must hold; the first decides which.
    pub async fn eval(
        self: &Rc<Self>,
        deployment: &Deployment,
        script: &Script,
        keys: &[&[u8]],
        arguments: &[u64],
    ) -> Result<Reply, RedisError> {
        let key = keys.first().copied().unwrap_or_default();
        let call = |by_digest: bool| move |out: &mut Vec<u8>| script.push_call(out, by_digest, keys, arguments);
        match self.timed(deployment, key, &call(true)).await {
            // A server that was restarted or told to forget its scripts.
            Err(RedisError::Refused(text)) if text.starts_with("NOSCRIPT") => {
                self.timed(deployment, key, &call(false)).await
            }
            result => result,
        }
    }

    /// The number that `key` holds; 0 if it does not exist.
    pub async fn number(self: &Rc<Self>, deployment: &Deployment, key: &[u8]) -> Result<u64, RedisError> {
        match self.timed(deployment, key, &|out| push_command(out, &[b"GET", key])).await? {
            Reply::Null => Ok(0),
            reply => text(&reply).and_then(|text| text.parse().ok()).ok_or(RedisError::Unexpected("not a number")),
        }
    }

    /// The worker's counters.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Does some work of a task's own; nothing if it panicked, which is counted and ends nothing else.
    pub async fn guard<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let outcome = guarded(pin!(work)).await.ok();
        if outcome.is_none() {
            self.cells.panics.add(1);
        }
        outcome
    }

    /// Closes what has idled out. Called about once a second.
    pub fn sweep(&self, now_us: u64) {
        self.links.borrow_mut().retain(|_, link| !link.is_idle(now_us));
        self.clusters.borrow_mut().retain(|_, cluster| !cluster.is_idle(now_us));
        self.masters.borrow_mut().retain(|_, master| !master.is_idle(now_us));
    }

    /// The link to `target`.
    pub(super) fn link(&self, target: &Arc<Target>) -> Rc<Link> {
        let mut links = self.links.borrow_mut();
        if let Some(link) = links.get(target) {
            return Rc::clone(link);
        }
        let link = Rc::new(Link::new(Arc::clone(target), Rc::clone(&self.watch), Arc::clone(&self.cells)));
        links.insert(Arc::clone(target), Rc::clone(&link));
        link
    }

    async fn timed(
        self: &Rc<Self>,
        deployment: &Deployment,
        key: &[u8],
        push: &dyn Fn(&mut Vec<u8>),
    ) -> Result<Reply, RedisError> {
        let begun_us = monotonic_us();
        let result = self.send(deployment, key, push).await;
        let us = monotonic_us().saturating_sub(begun_us);
        self.cells.redis_us.add(us);
        match &result {
            Err(RedisError::Refused(text)) if text.starts_with("NOSCRIPT") => {}
            Err(_) => self.cells.redis_errors.add(1),
            Ok(_) => {}
        }
        if let Some(bucket) =
            REDIS_BUCKETS_US.iter().position(|bound| us <= *bound).and_then(|at| self.cells.redis_buckets.get(at))
        {
            bucket.add(1);
        }
        self.cells.redis_commands.add(1);
        result
    }

    async fn send(
        self: &Rc<Self>,
        deployment: &Deployment,
        key: &[u8],
        push: &dyn Fn(&mut Vec<u8>),
    ) -> Result<Reply, RedisError> {
        let Deployment { kind, timeout, keepalive } = deployment;
        match &**kind {
            Kind::Single(target) => self.link(target).ask(*timeout, *keepalive, push).await,
            Kind::Cluster { nodes, access } => {
                let cluster = known(&self.clusters, kind, || Cluster::new(nodes, access));
                cluster.ask(self, deployment, key, push).await
            }
            Kind::Sentinel { sentinels, master, access } => {
                let master = known(&self.masters, kind, || Master::new(sentinels, master, access));
                master.ask(self, deployment, push).await
            }
        }
    }
}

fn known<T>(known: &RefCell<HashMap<Arc<Kind>, Rc<T>>>, kind: &Arc<Kind>, make: impl FnOnce() -> T) -> Rc<T> {
    let mut known = known.borrow_mut();
    if let Some(found) = known.get(kind) {
        return Rc::clone(found);
    }
    let made = Rc::new(make());
    known.insert(Arc::clone(kind), Rc::clone(&made));
    made
}

/// Says nothing of whom it knows: targets hold passwords.
impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("links", &self.links.borrow().len()).finish_non_exhaustive()
    }
}
