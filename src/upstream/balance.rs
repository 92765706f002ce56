//! Which node a try goes to: weighted round robin within priority groups (spec/routing-and-upstreams §6, §6.1).
//!
//! The order is APISIX's: the classic scan by greatest common divisor and maximum weight, so weights 5:1 give five and
//! one per cycle, interleaved rather than smooth. State is per worker and starts at a random place.

use super::Upstream;
use std::cell::Cell;
use std::net::SocketAddr;

/// One upstream's nodes in the order they are tried, with this worker's place in it.
#[derive(Debug)]
pub struct RoundRobin {
    /// By falling priority.
    groups: Vec<Group>,
    /// For choosing among a name's addresses.
    turn: Cell<u64>,
}

#[derive(Debug)]
struct Group {
    /// Usable nodes: index in the upstream, weight (at least 1).
    nodes: Vec<(usize, u32)>,
    weight_max: u32,
    divisor: u32,
    position: Cell<usize>,
    level: Cell<u32>,
}

/// The nodes one request has tried.
#[derive(Debug, Clone, Default)]
pub struct Tried(Vec<usize>);

impl Tried {
    /// Forgets, keeping the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl RoundRobin {
    /// Prepares `upstream`; `seed` decides where the cycle starts. Nodes without an address are left out, and nodes
    /// of weight 0 too unless all are 0.
    pub fn new(upstream: &Upstream, seed: u64) -> Self {
        let usable: Vec<(usize, &super::Node)> =
            upstream.nodes.iter().enumerate().filter(|(_, node)| !node.addresses.is_empty()).collect();
        let all_zero = usable.iter().all(|(_, node)| node.weight == 0);
        let mut priorities: Vec<i64> = usable.iter().map(|(_, node)| node.priority).collect();
        priorities.sort_unstable_by(|left, right| right.cmp(left));
        priorities.dedup();
        let groups = priorities
            .into_iter()
            .map(|priority| {
                let nodes = usable
                    .iter()
                    .filter(|(_, node)| node.priority == priority && (all_zero || node.weight > 0))
                    .map(|(index, node)| (*index, node.weight.max(1)))
                    .collect();
                Group::new(nodes, seed)
            })
            .filter(|group| !group.nodes.is_empty())
            .collect();
        Self { groups, turn: Cell::new(seed) }
    }

    /// Whether no node can be tried at all.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The next node that `tried` does not hold, which is then added to it. A lone node is given again and again.
    pub fn pick(&self, tried: &mut Tried) -> Option<usize> {
        if let [group] = self.groups.as_slice()
            && let [(only, _)] = group.nodes.as_slice()
        {
            return Some(*only);
        }
        let node = self.groups.iter().find_map(|group| group.pick(&tried.0))?;
        tried.0.push(node);
        Some(node)
    }

    /// One of a node's addresses, each in turn.
    pub fn address(&self, upstream: &Upstream, node: usize) -> Option<SocketAddr> {
        let addresses = &upstream.nodes.get(node)?.addresses;
        if let [only] = addresses.as_slice() {
            return Some(*only);
        }
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        addresses.get(turn.checked_rem(addresses.len() as u64)? as usize).copied()
    }
}

impl Group {
    fn new(nodes: Vec<(usize, u32)>, seed: u64) -> Self {
        let weight_max = nodes.iter().map(|(_, weight)| *weight).max().unwrap_or(1);
        let divisor = nodes.iter().fold(0, |divisor, (_, weight)| greatest_common_divisor(divisor, *weight)).max(1);
        let start = seed.checked_rem(nodes.len() as u64).unwrap_or(0) as usize;
        // One step before the start, at the full level, so that the first pick scans from the start.
        let position = start.checked_sub(1).unwrap_or(nodes.len().saturating_sub(1));
        let level = if position + 1 >= nodes.len() { 0 } else { weight_max };
        Self { nodes, weight_max, divisor, position: Cell::new(position), level: Cell::new(level) }
    }

    /// A first pick follows the scan; at every level the heaviest node qualifies, so it ends within one round. A
    /// further try of the same request takes the heaviest node that is left, wherever the scan stands.
    fn pick(&self, tried: &[usize]) -> Option<usize> {
        if !tried.is_empty() {
            let left = self.nodes.iter().filter(|(node, _)| !tried.contains(node));
            return left.max_by_key(|(_, weight)| *weight).map(|(node, _)| *node);
        }
        for _ in 0..=self.nodes.len() {
            let mut position = self.position.get() + 1;
            let mut level = self.level.get();
            if position >= self.nodes.len() {
                position = 0;
                level = if level <= self.divisor { self.weight_max } else { level - self.divisor };
            }
            self.position.set(position);
            self.level.set(level);
            if let Some((node, weight)) = self.nodes.get(position)
                && *weight >= level
            {
                return Some(*node);
            }
        }
        None
    }
}

fn greatest_common_divisor(left: u32, right: u32) -> u32 {
    if right == 0 { left } else { greatest_common_divisor(right, left.checked_rem(right).unwrap_or(0)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{KeepalivePool, Node, PassHost};
    use std::time::Duration;

    fn upstream(nodes: &[(u32, i64, usize)]) -> Upstream {
        let nodes = nodes.iter().enumerate().map(|(index, (weight, priority, addresses))| Node {
            host: "h".into(),
            port: 80,
            weight: *weight,
            priority: *priority,
            addresses: (0..*addresses).map(|host| SocketAddr::from(([10, 0, index as u8, host as u8], 80))).collect(),
            host_field: (*b"h").into(),
        });
        Upstream {
            key: "/upstreams/1".into(),
            nodes: nodes.collect(),
            pass_host: PassHost::Pass,
            retries: None,
            retry_timeout: Duration::ZERO,
            timeouts: None,
            keepalive: KeepalivePool::default(),
        }
    }

    fn picks(upstream: &Upstream, seed: u64, count: usize) -> Vec<usize> {
        let robin = RoundRobin::new(upstream, seed);
        (0..count).filter_map(|_| robin.pick(&mut Tried::default())).collect()
    }

    #[test]
    fn weights_hold_in_every_cycle_wherever_it_starts() {
        for seed in 0..7 {
            for (weights, cycle) in [(vec![5, 1], 6), (vec![2, 4, 6], 6), (vec![1, 1, 1], 3), (vec![0, 3], 1)] {
                let nodes: Vec<_> = weights.iter().map(|weight| (*weight, 0, 1)).collect();
                let sequence = picks(&upstream(&nodes), seed, cycle * 4);
                let sum: u32 = weights.iter().sum();
                for (node, weight) in weights.iter().enumerate() {
                    let got = sequence.iter().filter(|picked| **picked == node).count() as u32;
                    assert_eq!(got * sum, *weight * 4 * cycle as u32, "seed {seed}, weights {weights:?}: {sequence:?}");
                }
            }
        }
    }

    #[test]
    fn a_request_tries_each_node_once_and_lower_groups_last() {
        let upstream = upstream(&[(1, 0, 1), (1, 1, 1), (0, 1, 1), (7, 1, 1), (1, 2, 0)]);
        for seed in 0..5 {
            let robin = RoundRobin::new(&upstream, seed);
            let mut tried = Tried::default();
            let mut order: Vec<_> = std::iter::from_fn(|| robin.pick(&mut tried)).collect();
            assert_eq!(order.pop(), Some(0), "the lower group comes last");
            order.sort_unstable();
            assert_eq!(order, [1, 3], "weight 0 and nodes without address are never tried");
        }
    }

    #[test]
    fn all_weights_zero_means_all_equal() {
        let mut sequence = picks(&upstream(&[(0, 0, 1), (0, 0, 1)]), 3, 4);
        sequence.sort_unstable();
        assert_eq!(sequence, [0, 0, 1, 1]);
        assert!(RoundRobin::new(&upstream(&[]), 0).is_empty());
        assert!(RoundRobin::new(&upstream(&[(1, 0, 0)]), 0).is_empty());
    }

    #[test]
    fn addresses_of_a_name_take_turns() {
        let upstream = upstream(&[(1, 0, 3)]);
        let robin = RoundRobin::new(&upstream, 0);
        let seen: std::collections::BTreeSet<_> = (0..3).filter_map(|_| robin.address(&upstream, 0)).collect();
        assert_eq!(seen.len(), 3);
    }
}
