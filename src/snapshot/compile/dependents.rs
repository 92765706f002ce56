//! Who refers to whom, backwards: from an id to the objects that name it, whether or not it exists.

use crate::base::map::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Reverse references of one kind.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    by_target: HashMap<Box<str>, BTreeSet<Arc<str>>>,
}

impl Dependents {
    /// Moves `dependent` from what it referred to before to what it refers to now.
    pub(super) fn move_to(&mut self, dependent: &Arc<str>, before: Option<&str>, now: Option<&str>) {
        if before == now {
            return;
        }
        if let Some(before) = before
            && let Some(dependents) = self.by_target.get_mut(before)
        {
            dependents.remove(dependent);
            if dependents.is_empty() {
                self.by_target.remove(before);
            }
        }
        if let Some(now) = now {
            self.by_target.entry(now.into()).or_default().insert(Arc::clone(dependent));
        }
    }

    /// The objects that refer to `target`, in order.
    pub(super) fn of(&self, target: &str) -> impl Iterator<Item = &Arc<str>> {
        self.by_target.get(target).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependents_move_and_leave_nothing_behind() {
        let mut dependents = Dependents::default();
        let (one, two): (Arc<str>, Arc<str>) = ("r1".into(), "r2".into());
        dependents.move_to(&two, None, Some("s1"));
        dependents.move_to(&one, None, Some("s1"));
        assert_eq!(dependents.of("s1").map(|id| &**id).collect::<Vec<_>>(), ["r1", "r2"]);
        dependents.move_to(&one, Some("s1"), Some("s2"));
        assert_eq!(dependents.of("s1").count(), 1);
        dependents.move_to(&one, Some("s2"), None);
        dependents.move_to(&two, Some("s1"), None);
        assert!(dependents.by_target.is_empty());
    }
}
