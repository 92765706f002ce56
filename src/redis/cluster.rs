//! A Redis cluster: which node has a key's slot, and what to do when that has changed (spec/limit-count §8, §10).
//!
//! Asked of any node that answers, the listed ones last known first; asked again when a node redirects (`MOVED`) or
//! fails. A slot that is on the move (`ASK`) is followed for one command.

use super::RedisError;
use super::client::Client;
use super::deployment::{Access, Deployment, Target};
use super::flight::Flight;
use super::reply::{Reply, text};
use super::script::push_command;
use crate::base::clock::monotonic_us;
use crate::net::task;
use redis_protocol::redis_keyslot;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What one worker knows of one cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    access: Access,
    listed: Vec<Arc<Target>>,
    map: RefCell<Map>,
    refresh: Flight<Result<(), RedisError>>,
    refreshed_us: Cell<u64>,
    used_us: Cell<u64>,
}

/// Who has which slot.
#[derive(Debug, Default, PartialEq, Eq)]
struct Map {
    masters: Vec<Arc<Target>>,
    /// For each slot, the place of its node in `masters`; [`NOBODY`] if it has none. Empty before the first answer.
    slots: Vec<u16>,
}

impl Cluster {
    pub(super) fn new(nodes: &[(Box<str>, u16)], access: &Access) -> Self {
        let listed = nodes.iter().map(|(host, port)| target(host, *port, access)).collect();
        Self {
            access: access.clone(),
            listed,
            map: RefCell::default(),
            refresh: Flight::default(),
            refreshed_us: Cell::new(0),
            used_us: Cell::new(0),
        }
    }

    /// Whether nobody has asked for long: what it knows is dropped then.
    pub(super) fn is_idle(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.used_us.get()) > FORGOTTEN_AFTER.as_micros() as u64
    }

    /// Asks the node that has `key`, wherever that leads.
    pub(super) async fn ask(
        self: &Rc<Self>,
        client: &Rc<Client>,
        deployment: &Deployment,
        key: &[u8],
        push: &dyn Fn(&mut Vec<u8>),
    ) -> Result<Reply, RedisError> {
        self.used_us.set(monotonic_us());
        let Deployment { timeout, keepalive, .. } = deployment;
        let slot = redis_keyslot(key);
        if self.map.borrow().slots.is_empty() {
            self.refreshed(client, deployment).await?;
        }
        let owner = self.map.borrow().owner(slot);
        let Some(mut node) = owner else {
            self.begin_refresh(client, deployment);
            return Err(RedisError::Nowhere("the cluster does not serve the key's slot"));
        };
        let mut is_asking = false;
        let mut result = Err(RedisError::Nowhere("too many redirections"));
        for _ in 0..REDIRECTIONS_MAX {
            let link = client.link(&node);
            result = if is_asking {
                link.ask_asking(*timeout, *keepalive, push).await
            } else {
                link.ask(*timeout, *keepalive, push).await
            };
            match &result {
                Err(RedisError::Refused(words)) if words.starts_with("MOVED ") => {
                    let Some(next) = redirection(words, &node, &self.access) else { return result };
                    self.map.borrow_mut().set(slot, &next);
                    self.begin_refresh(client, deployment);
                    (node, is_asking) = (next, false);
                }
                Err(RedisError::Refused(words)) if words.starts_with("ASK ") => {
                    let Some(next) = redirection(words, &node, &self.access) else { return result };
                    (node, is_asking) = (next, true);
                }
                // The node is gone or does not serve: perhaps another has taken over by now.
                Err(RedisError::Refused(words)) if !words.starts_with("CLUSTERDOWN") => return result,
                Err(error) => {
                    let is_unsent = error.is_unsent();
                    if !is_unsent {
                        self.begin_refresh(client, deployment);
                        return result;
                    }
                    if self.is_fresh() || self.refreshed(client, deployment).await.is_err() {
                        return result;
                    }
                    match self.map.borrow().owner(slot) {
                        Some(next) if next != node => (node, is_asking) = (next, false),
                        _ => return result,
                    }
                }
                Ok(_) => return result,
            }
        }
        result
    }

    /// Whether the map was asked for a moment ago: asking again at once would tell nothing new.
    fn is_fresh(&self) -> bool {
        monotonic_us().saturating_sub(self.refreshed_us.get()) < REFRESH_EVERY_MIN.as_micros() as u64
    }

    fn begin_refresh(self: &Rc<Self>, client: &Rc<Client>, deployment: &Deployment) {
        if !self.is_fresh() {
            drop(self.join_refresh(client, deployment));
        }
    }

    async fn refreshed(self: &Rc<Self>, client: &Rc<Client>, deployment: &Deployment) -> Result<(), RedisError> {
        let later = self.join_refresh(client, deployment);
        // Each node has its own wait; nobody waits for all of them.
        task::within(deployment.timeout, later.take()).await.unwrap_or(Err(RedisError::TimedOut))
    }

    fn join_refresh(
        self: &Rc<Self>,
        client: &Rc<Client>,
        deployment: &Deployment,
    ) -> Rc<super::signal::Later<Result<(), RedisError>>> {
        let (later, is_first) = self.refresh.join();
        if is_first {
            self.refreshed_us.set(monotonic_us());
            let (cluster, client, deployment) = (Rc::clone(self), Rc::clone(client), deployment.clone());
            task::spawn(async move {
                let asked = client.guard(cluster.ask_for_map(&client, &deployment)).await;
                let outcome = asked.unwrap_or(Err(RedisError::Unexpected("a defect")));
                cluster.refreshed_us.set(monotonic_us());
                cluster.refresh.land(&outcome);
            });
        }
        later
    }

    /// Asks one node after the other.
    async fn ask_for_map(&self, client: &Rc<Client>, deployment: &Deployment) -> Result<(), RedisError> {
        let mut nodes = self.map.borrow().masters.clone();
        nodes.extend(self.listed.iter().filter(|listed| !nodes.contains(listed)).cloned().collect::<Vec<_>>());
        let mut last = RedisError::Nowhere("no node of the cluster answers");
        for node in nodes {
            let push = |out: &mut Vec<u8>| push_command(out, &[b"CLUSTER", b"SLOTS"]);
            match client.link(&node).ask(deployment.timeout, deployment.keepalive, push).await {
                Ok(reply) => match Map::read(&reply, &node, &self.access) {
                    Ok(map) => {
                        *self.map.borrow_mut() = map;
                        return Ok(());
                    }
                    Err(error) => last = error,
                },
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Map {
    /// Reads the reply to `CLUSTER SLOTS` that `from` gave.
    fn read(reply: &Reply, from: &Target, access: &Access) -> Result<Self, RedisError> {
        let wrong = RedisError::Unexpected("not the slots of a cluster");
        let Reply::Array(ranges) = reply else { return Err(wrong) };
        let mut map = Self { masters: Vec::new(), slots: vec![NOBODY; SLOTS] };
        for range in ranges {
            let Reply::Array(range) = range else { return Err(wrong) };
            let [Reply::Integer(first), Reply::Integer(last), Reply::Array(master), ..] = &**range else {
                return Err(wrong);
            };
            let [host, Reply::Integer(port), ..] = &**master else { return Err(wrong) };
            let (Ok(first), Ok(last), Ok(port)) =
                (usize::try_from(*first), usize::try_from(*last), u16::try_from(*port))
            else {
                return Err(wrong);
            };
            // A node that does not know its own address means the one it was asked at.
            let host = text(host).filter(|host| !host.is_empty() && *host != "?").unwrap_or(&from.host);
            let place = map.place(&target(host, port, access)).ok_or_else(|| wrong.clone())?;
            map.slots.get_mut(first..=last).ok_or_else(|| wrong.clone())?.fill(place);
        }
        if map.masters.is_empty() {
            return Err(RedisError::Nowhere("the cluster serves no slot"));
        }
        Ok(map)
    }

    fn owner(&self, slot: u16) -> Option<Arc<Target>> {
        let place = self.slots.get(usize::from(slot))?;
        self.masters.get(usize::from(*place)).cloned()
    }

    fn set(&mut self, slot: u16, node: &Arc<Target>) {
        if let Some(place) = self.place(node)
            && let Some(entry) = self.slots.get_mut(usize::from(slot))
        {
            *entry = place;
        }
    }

    /// Where `node` stands; it is added if there is room.
    fn place(&mut self, node: &Arc<Target>) -> Option<u16> {
        let found = self.masters.iter().position(|known| known == node);
        let place = found.unwrap_or(self.masters.len());
        if place >= NODES_MAX {
            return None;
        }
        if found.is_none() {
            self.masters.push(Arc::clone(node));
        }
        u16::try_from(place).ok()
    }
}

/// Where `MOVED <slot> <host>:<port>` or `ASK …` leads.
fn redirection(words: &str, from: &Target, access: &Access) -> Option<Arc<Target>> {
    let (host, port) = words.split(' ').nth(2)?.rsplit_once(':')?;
    let host = if host.is_empty() || host == "?" { &*from.host } else { host };
    Some(target(host, port.parse().ok()?, access))
}

fn target(host: &str, port: u16, access: &Access) -> Arc<Target> {
    Arc::new(Target { host: host.into(), port, access: access.clone() })
}

const SLOTS: usize = 16_384;
const NOBODY: u16 = u16::MAX;
/// Masters of one cluster, as Redis itself has it.
const NODES_MAX: usize = 1000;
/// Nodes asked for one command.
const REDIRECTIONS_MAX: usize = 5;
/// Between two looks at the map.
const REFRESH_EVERY_MIN: Duration = Duration::from_millis(100);
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first: i64, last: i64, host: Reply, port: i64) -> Reply {
        let master = Reply::Array(vec![host, Reply::Integer(port), Reply::BulkString(b"id".to_vec())]);
        Reply::Array(vec![Reply::Integer(first), Reply::Integer(last), master])
    }

    fn name(host: &str) -> Reply {
        Reply::BulkString(host.as_bytes().to_vec())
    }

    #[test]
    fn slots_are_read_and_nonsense_is_not() {
        let (from, access) = (target("seed", 1, &Access::default()), Access::default());
        let reply = Reply::Array(vec![
            entry(0, 99, name("a"), 7000),
            entry(100, 16_383, name(""), 7001),
            entry(100, 100, name("a"), 7000),
        ]);
        let map = Map::read(&reply, &from, &access).unwrap();
        let owner = |slot| map.owner(slot).map(|node| format!("{}:{}", node.host, node.port));
        assert_eq!(
            [owner(0), owner(100), owner(16_383)],
            ["a:7000", "a:7000", "seed:7001"].map(|at| Some(at.to_owned()))
        );
        assert_eq!(map.masters.len(), 2);
        for wrong in [
            Reply::Null,
            Reply::Array(vec![]),
            Reply::Array(vec![Reply::Null]),
            Reply::Array(vec![entry(-1, 5, name("a"), 1)]),
            Reply::Array(vec![entry(5, 16_384, name("a"), 1)]),
            Reply::Array(vec![entry(6, 5, name("a"), 1)]),
            Reply::Array(vec![entry(1, 5, name("a"), 70_000)]),
        ] {
            // An empty range says nothing; it must only do no harm.
            let read = Map::read(&wrong, &from, &access);
            assert!(read.is_err() || wrong == Reply::Array(vec![entry(6, 5, name("a"), 1)]), "{wrong:?}");
        }
    }

    #[test]
    fn redirections_lead_to_nodes() {
        let from = target("seed", 1, &Access::default());
        for (words, want) in [
            ("MOVED 3999 127.0.0.1:6381", Some("127.0.0.1:6381")),
            ("ASK 3999 :6381", Some("seed:6381")),
            ("MOVED 3999 ::1:6381", Some("::1:6381")),
            ("MOVED 3999", None),
            ("MOVED 3999 a:b", None),
        ] {
            let found = redirection(words, &from, &Access::default());
            assert_eq!(found.map(|node| format!("{}:{}", node.host, node.port)).as_deref(), want, "{words}");
        }
    }

    #[test]
    fn only_what_stands_in_braces_is_hashed() {
        // Told by `redis-cli cluster keyslot`.
        for (key, slot) in
            [("123456789", 12_739), ("foo", 12_182), ("{foo}bar", 12_182), ("a{foo}", 12_182), ("{}foo", 9500)]
        {
            assert_eq!(redis_keyslot(key.as_bytes()), slot, "{key}");
        }
    }
}
