//! Which keys vanish when (`ttl`, spec/admin-api §1.3).

use crate::base::map::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The keys that have an expiry.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_time: BTreeSet<(u64, Arc<str>)>,
    /// The same pairs, the other way round.
    by_key: HashMap<Arc<str>, u64>,
}

impl Leases {
    /// `key` was written with this expiry, or (`None`) without one, or deleted.
    pub(super) fn set(&mut self, key: &Arc<str>, expires_unix_s: Option<u64>) {
        let before = match expires_unix_s {
            Some(expires) => self.by_key.insert(Arc::clone(key), expires),
            None => self.by_key.remove(key),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, Arc::clone(key)));
        }
        if let Some(expires) = expires_unix_s {
            self.by_time.insert((expires, Arc::clone(key)));
        }
    }

    /// When the next key expires, in seconds since the Unix epoch.
    pub(super) fn next_unix_s(&self) -> Option<u64> {
        self.by_time.first().map(|(expires, _)| *expires)
    }

    /// The keys that have expired by `now_unix_s`, earliest first, at most `max`.
    pub(super) fn expired(&self, now_unix_s: u64, max: usize) -> Vec<Arc<str>> {
        let due = self.by_time.iter().take_while(|(expires, _)| *expires <= now_unix_s);
        due.take(max).map(|(_, key)| Arc::clone(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_write_of_a_key_decides() {
        let mut leases = Leases::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        leases.set(&a, Some(10));
        leases.set(&b, Some(5));
        assert_eq!(leases.next_unix_s(), Some(5));
        assert_eq!(leases.expired(4, 9), []);
        assert_eq!(leases.expired(10, 9), [Arc::clone(&b), Arc::clone(&a)]);
        assert_eq!(leases.expired(10, 1), [Arc::clone(&b)]);
        leases.set(&b, Some(20));
        assert_eq!(leases.expired(10, 9), [Arc::clone(&a)]);
        leases.set(&a, None);
        leases.set(&a, None);
        assert_eq!((leases.next_unix_s(), leases.by_key.len()), (Some(20), 1));
    }
}
