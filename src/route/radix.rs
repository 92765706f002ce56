//! A byte radix tree that answers: which of the stored keys are prefixes of this one?
//!
//! In: a key as an iterator of bytes, so that hosts can be read backwards without a copy. Out: the values at all its
//! prefixes, longest first. A lookup costs at most the length of the key, whatever the tree holds; it allocates
//! nothing, because every node knows its parent and the answer is a walk back up. Inserting and removing cost the
//! length of the key. Bench: `route`.

/// Values by key, found by prefix.
#[derive(Debug, Clone)]
pub struct PrefixMap<V> {
    /// The root is at [`ROOT`] and always there. An index fits `u32`: 2^32 nodes would need 300 GiB first.
    nodes: Vec<Node<V>>,
    /// Places in `nodes` that are not part of the tree.
    free: Vec<u32>,
}

#[derive(Debug, Clone)]
struct Node<V> {
    /// What the key grows by from the parent to here, without its first byte, which the parent's `children` holds.
    tail: Tail,
    /// By rising first byte, each of them once.
    children: Vec<(u8, u32)>,
    parent: u32,
    /// Length of the whole key of this node.
    key_length: u32,
    /// Nodes other than the root without a value have at least two children.
    value: Option<V>,
}

impl<V> PrefixMap<V> {
    /// An empty map.
    pub fn new() -> Self {
        let root = Node { tail: Tail::new(&[]), children: Vec::new(), parent: ROOT, key_length: 0, value: None };
        Self { nodes: vec![root], free: Vec::new() }
    }

    /// Whether no key is stored.
    pub fn is_empty(&self) -> bool {
        self.nodes.first().is_none_or(|root| root.value.is_none() && root.children.is_empty())
    }

    /// The values at all prefixes of `key`, the key itself included, with their lengths; longest first.
    #[inline]
    pub fn prefixes_of(&self, key: impl Iterator<Item = u8>) -> Prefixes<'_, V> {
        Prefixes { map: self, next: Some(self.descend(key)) }
    }

    /// The value at exactly `key`.
    pub fn entry(&mut self, key: &[u8]) -> Option<&mut V> {
        let at = self.locate(key)?;
        self.node_mut(at)?.value.as_mut()
    }

    /// Stores a value at `key`; returns the one that stood there.
    pub fn insert(&mut self, key: &[u8], value: V) -> Option<V> {
        let at = self.make(key);
        self.node_mut(at).and_then(|node| node.value.replace(value))
    }

    /// Takes the value at exactly `key` away.
    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        let at = self.locate(key)?;
        let node = self.node_mut(at)?;
        let value = node.value.take()?;
        let parent = node.parent;
        self.tidy(at);
        // Having lost a child, the parent may be a mere stop on the way as well.
        self.tidy(parent);
        Some(value)
    }

    /// The deepest node whose key is a prefix of `key`.
    #[inline]
    fn descend(&self, mut key: impl Iterator<Item = u8>) -> u32 {
        let mut at = ROOT;
        while let Some(first) = key.next() {
            let Some(child) = self.child(at, first) else { break };
            let fits =
                self.node(child).is_some_and(|node| node.tail.bytes().iter().all(|byte| key.next() == Some(*byte)));
            if !fits {
                break;
            }
            at = child;
        }
        at
    }

    /// The node of exactly `key`.
    fn locate(&self, key: &[u8]) -> Option<u32> {
        let at = self.descend(key.iter().copied());
        (self.node(at)?.key_length as usize == key.len()).then_some(at)
    }

    /// The node of exactly `key`, made if need be.
    fn make(&mut self, key: &[u8]) -> u32 {
        let mut at = ROOT;
        let mut rest = key;
        while let Some((&first, tail)) = rest.split_first() {
            let Some(child) = self.child(at, first) else {
                return self.attach(at, first, tail);
            };
            let shared = self.node(child).map_or(0, |node| shared_prefix(node.tail.bytes(), tail));
            if self.node(child).is_some_and(|node| shared < node.tail.bytes().len()) {
                at = self.split(at, child, first, shared);
            } else {
                at = child;
            }
            rest = tail.get(shared..).unwrap_or_default();
        }
        at
    }

    /// Adds a leaf without value below `parent`.
    fn attach(&mut self, parent: u32, first: u8, tail: &[u8]) -> u32 {
        let key_length = self.node(parent).map_or(0, |node| node.key_length) + 1 + tail.len() as u32;
        let leaf = self.store(Node { tail: Tail::new(tail), children: Vec::new(), parent, key_length, value: None });
        self.adopt(parent, first, leaf);
        leaf
    }

    /// Puts a node without value between `parent` and `child`, after `shared` bytes of the child's tail.
    fn split(&mut self, parent: u32, child: u32, first: u8, shared: usize) -> u32 {
        let Some(lower) = self.node_mut(child) else { return parent };
        let (upper_tail, below) = lower.tail.bytes().split_at(shared);
        let Some((&lower_first, lower_tail)) = below.split_first() else { return child };
        let key_length = lower.key_length - below.len() as u32;
        let upper_tail = Tail::new(upper_tail);
        lower.tail = Tail::new(lower_tail);
        let children = vec![(lower_first, child)];
        let middle = self.store(Node { tail: upper_tail, children, parent, key_length, value: None });
        if let Some(lower) = self.node_mut(child) {
            lower.parent = middle;
        }
        self.adopt(parent, first, middle);
        middle
    }

    /// Takes a node without value out of the tree if it has no child, or one child that can stand in its place.
    fn tidy(&mut self, at: u32) {
        let Some(node) = self.node(at).filter(|node| at != ROOT && node.value.is_none()) else { return };
        let parent = node.parent;
        match *node.children.as_slice() {
            [] => {
                if let Some(parent) = self.node_mut(parent) {
                    parent.children.retain(|(_, child)| *child != at);
                }
                self.release(at);
            }
            [(byte, child)] => {
                let mut tail = node.tail.bytes().to_vec();
                tail.push(byte);
                if let Some(lower) = self.node_mut(child) {
                    tail.extend_from_slice(lower.tail.bytes());
                    lower.tail = Tail::new(&tail);
                    lower.parent = parent;
                }
                if let Some(parent) = self.node_mut(parent) {
                    for slot in parent.children.iter_mut().filter(|(_, child)| *child == at) {
                        slot.1 = child;
                    }
                }
                self.release(at);
            }
            _ => {}
        }
    }

    /// Makes `child` the node that follows `parent` by `first`.
    fn adopt(&mut self, parent: u32, first: u8, child: u32) {
        let Some(parent) = self.node_mut(parent) else { return };
        match parent.children.binary_search_by_key(&first, |(byte, _)| *byte) {
            Ok(found) => {
                if let Some(slot) = parent.children.get_mut(found) {
                    slot.1 = child;
                }
            }
            Err(place) => parent.children.insert(place, (first, child)),
        }
    }

    fn store(&mut self, node: Node<V>) -> u32 {
        if let Some(at) = self.free.pop() {
            if let Some(slot) = self.node_mut(at) {
                *slot = node;
            }
            return at;
        }
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }

    fn release(&mut self, at: u32) {
        if let Some(node) = self.node_mut(at) {
            node.tail = Tail::new(&[]);
            node.children = Vec::new();
        }
        self.free.push(at);
    }

    #[inline]
    fn child(&self, at: u32, first: u8) -> Option<u32> {
        let children = self.node(at)?.children.as_slice();
        // Few children are the rule, and a scan of few is quicker than a search.
        if children.len() <= SCANNED_CHILDREN_MAX {
            return children.iter().find(|(byte, _)| *byte == first).map(|(_, child)| *child);
        }
        let found = children.binary_search_by_key(&first, |(byte, _)| *byte).ok()?;
        children.get(found).map(|(_, child)| *child)
    }

    #[inline]
    fn node(&self, at: u32) -> Option<&Node<V>> {
        self.nodes.get(at as usize)
    }

    fn node_mut(&mut self, at: u32) -> Option<&mut Node<V>> {
        self.nodes.get_mut(at as usize)
    }
}

impl<V> Default for PrefixMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`PrefixMap::prefixes_of`] found, as `(key length, value)`.
#[derive(Debug)]
pub struct Prefixes<'a, V> {
    map: &'a PrefixMap<V>,
    next: Option<u32>,
}

impl<'a, V> Iterator for Prefixes<'a, V> {
    type Item = (usize, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.next?;
            let node = self.map.node(at)?;
            self.next = (at != ROOT).then_some(node.parent);
            if let Some(value) = &node.value {
                return Some((node.key_length as usize, value));
            }
        }
    }
}

/// Bytes, in place if they are few: following a pointer costs more than comparing them.
#[derive(Debug, Clone)]
enum Tail {
    Short { length: u8, bytes: [u8; SHORT_TAIL_BYTES_MAX] },
    Long(Box<[u8]>),
}

impl Tail {
    fn new(tail: &[u8]) -> Self {
        let mut bytes = [0; SHORT_TAIL_BYTES_MAX];
        match bytes.get_mut(..tail.len()) {
            Some(place) => {
                place.copy_from_slice(tail);
                Self::Short { length: tail.len() as u8, bytes }
            }
            None => Self::Long(tail.into()),
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

fn shared_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

const ROOT: u32 = 0;
const SCANNED_CHILDREN_MAX: usize = 16;
/// What fits beside the length in the room a boxed slice and its tag take.
const SHORT_TAIL_BYTES_MAX: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn found(map: &PrefixMap<u32>, key: &[u8]) -> Vec<(usize, u32)> {
        map.prefixes_of(key.iter().copied()).map(|(length, value)| (length, *value)).collect()
    }

    #[test]
    fn prefixes_come_longest_first() {
        let mut map = PrefixMap::new();
        for (value, key) in ["", "/", "/a", "/ab/c", "/ab/d", "/b"].iter().enumerate() {
            assert_eq!(map.insert(key.as_bytes(), value as u32), None);
        }
        assert_eq!(found(&map, b"/ab/cd"), [(5, 3), (2, 2), (1, 1), (0, 0)]);
        assert_eq!(found(&map, b"/ab/"), [(2, 2), (1, 1), (0, 0)]);
        assert_eq!(found(&map, b"x"), [(0, 0)]);
        assert_eq!(map.remove(b"/ab"), None);
        assert_eq!(map.remove(b""), Some(0));
        assert_eq!(found(&map, b""), []);
    }

    #[test]
    fn many_children_are_told_apart() {
        let mut map = PrefixMap::new();
        for byte in (0..=255_u8).rev() {
            map.insert(&[b'/', byte], u32::from(byte));
        }
        for byte in 0..=255_u8 {
            assert_eq!(found(&map, &[b'/', byte, 1]), [(2, u32::from(byte))]);
        }
    }

    #[test]
    fn an_emptied_map_keeps_no_node() {
        let mut map = PrefixMap::new();
        let keys: Vec<Vec<u8>> = (0..500_u32).map(|number| format!("/{number}/x").into_bytes()).collect();
        for round in 0..3 {
            for key in &keys {
                map.insert(key, round);
            }
            for key in &keys {
                assert_eq!(map.remove(key), Some(round));
            }
            assert!(map.is_empty());
            assert_eq!(map.nodes.len() - map.free.len(), 1);
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_map(
            steps in prop::collection::vec((any::<bool>(), "[ab/]{0,6}"), 0..60),
            probes in prop::collection::vec("[ab/]{0,8}", 0..10),
            stem in prop::sample::select(vec!["", "x", "/a-stem-of-22-bytes-xyz", "/a-stem-longer-than-a-short-tail/"]),
        ) {
            let mut map = PrefixMap::new();
            let mut model = BTreeMap::new();
            for (value, (put, key)) in steps.iter().enumerate() {
                let (value, key) = (value as u32, format!("{stem}{key}"));
                if *put {
                    prop_assert_eq!(map.insert(key.as_bytes(), value), model.insert(key.clone(), value));
                } else {
                    prop_assert_eq!(map.remove(key.as_bytes()), model.remove(&key));
                }
                prop_assert_eq!(map.is_empty(), model.is_empty());
            }
            for (at, node) in map.nodes.iter().enumerate().skip(1) {
                let in_tree = !map.free.contains(&(at as u32));
                prop_assert!(!in_tree || node.value.is_some() || node.children.len() > 1, "node without purpose");
            }
            for probe in probes {
                let probe = &format!("{stem}{probe}");
                let want: Vec<_> = (0..=probe.len())
                    .rev()
                    .filter_map(|length| model.get(&probe[..length]).map(|value| (length, *value)))
                    .collect();
                prop_assert_eq!(found(&map, probe.as_bytes()), want);
                prop_assert_eq!(map.entry(probe.as_bytes()).map(|value| *value), model.get(probe).copied());
            }
        }
    }
}
