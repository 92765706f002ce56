//! Hash maps with ahash and random keys: names and tokens from outside must not be able to aim at a bucket.

/// A map whose hash is seeded per process.
pub type HashMap<K, V> = hashbrown::HashMap<K, V, ahash::RandomState>;

/// A set whose hash is seeded per process.
pub type HashSet<K> = hashbrown::HashSet<K, ahash::RandomState>;
