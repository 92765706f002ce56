//! Who claims which login: from (plugin, value of its look-up attribute) to the objects that carry it.
//!
//! Usually one object. Several are an operator's mistake or a key on its way from one owner to the next; all are
//! remembered, so that when the one in use goes the other takes over.

use super::plugins::Login;
use crate::base::map::HashMap;
use std::sync::Arc;

/// What a token names: the plugin that reads it, and the value it carries.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct LoginName {
    /// The plugin.
    pub(super) plugin: &'static str,
    /// The value.
    pub(super) lookup: Arc<str>,
}

/// Every login with the objects that claim it.
#[derive(Default)]
pub(super) struct Logins {
    by_name: HashMap<LoginName, Owners>,
    /// Each name once: [`Owners::is_dirty`].
    dirty: Vec<LoginName>,
}

#[derive(Default)]
struct Owners {
    /// Whole keys, in no order.
    keys: Vec<Arc<str>>,
    is_dirty: bool,
    /// Workers have an entry.
    is_live: bool,
}

impl Logins {
    /// The object at `key` claims `login` from now on.
    pub(super) fn add(&mut self, login: &Login, key: &Arc<str>) {
        let owners = self.mark(login);
        if owners.keys.is_empty() {
            owners.keys.reserve_exact(1);
        }
        owners.keys.push(Arc::clone(key));
    }

    /// The object at `key` no longer claims `login`.
    pub(super) fn remove(&mut self, login: &Login, key: &str) {
        self.mark(login).keys.retain(|owner| &**owner != key);
    }

    /// Something that `login` leads to has changed.
    pub(super) fn touch(&mut self, login: &Login) {
        self.mark(login);
    }

    /// The logins touched since the last call, each once.
    pub(super) fn take_dirty(&mut self) -> Vec<LoginName> {
        std::mem::take(&mut self.dirty)
    }

    /// The keys of the objects that claim a login.
    pub(super) fn owners(&self, name: &LoginName) -> &[Arc<str>] {
        self.by_name.get(name).map_or(&[], |owners| &owners.keys)
    }

    /// Notes that a dirty login was compiled, and whether somebody has it now. Returns whether workers must be told.
    pub(super) fn settle(&mut self, name: &LoginName, is_live: bool) -> bool {
        let Some(owners) = self.by_name.get_mut(name) else { return false };
        owners.is_dirty = false;
        let was_live = std::mem::replace(&mut owners.is_live, is_live);
        if owners.keys.is_empty() {
            self.by_name.remove(name);
        }
        is_live || was_live
    }

    fn mark(&mut self, login: &Login) -> &mut Owners {
        let name = LoginName { plugin: login.plugin, lookup: Arc::clone(&login.lookup) };
        let owners = self.by_name.entry_ref(&name).or_default();
        if !owners.is_dirty {
            owners.is_dirty = true;
            self.dirty.push(name);
        }
        owners
    }
}
