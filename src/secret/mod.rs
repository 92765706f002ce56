//! Secrets that are kept elsewhere, fetched on the control side and kept fresh
//! (spec/consumers-credentials-secrets §5).
//!
//! In: the references that configurations in use hold, and the secret resources that say how to reach their managers.
//! Out: a [`Resolution`] for each reference as soon as its first attempt has ended, and again whenever its value
//! changes or is withdrawn. Each reference has one task, so it is asked for once at a time, whoever holds it. A failed
//! attempt keeps the value from before and is repeated soon, sooner while requests meet unresolved references.
//! Nothing here runs in a request, and no value is ever shown or logged. The environment needs no task: the compiler
//! reads it ([`mod@env`]).

pub mod board;
pub mod env;
pub mod failure;
mod http;
mod manager;
mod member;
mod reference;
mod refresh;
mod tls;
mod value;

pub use board::Board;
pub use failure::Failure;
pub use member::wipe;
pub use reference::{ManagerKind, Reference};
pub use value::Secret;

use crate::base::map::HashMap;
use env::Environment;
use http::Client;
use manager::Manager;
use refresh::{Pace, keep_fresh};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tls::Tls;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;

/// What a reference stands for now. Holds a secret, so it has no `Debug`.
pub struct Resolution {
    /// The whole reference.
    pub reference: Box<str>,
    /// Its value. `None`: it has none, because the first attempt failed or its manager says that it is gone.
    pub value: Option<Secret>,
}

/// How to resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `apisix.lru.secret.ttl`: how long a value is used before it is asked for again.
    pub ttl: Duration,
    /// `apisix.lru.secret.neg_ttl`: the longest wait between two attempts at a reference that fails.
    pub neg_ttl: Duration,
    /// `ringgate.secret.ca_file`: PEM certificates to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// `ringgate.secret.vault_loopback_http_fallback`: a Vault on this host that speaks plain HTTP is used although
    /// its uri says `https`.
    pub vault_loopback_http_fallback: bool,
    /// `ringgate.secret.unresolved_literals`: a reference in a secret field of a plugin that is not resolved is used as
    /// text, as APISIX does, instead of the plugin's refusing (spec/consumers-credentials-secrets §5.7). Never in
    /// credentials and filters.
    pub unresolved_literals: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(300),
            neg_ttl: Duration::from_secs(60),
            ca_file: None,
            vault_loopback_http_fallback: true,
            unresolved_literals: false,
        }
    }
}

/// How often requests have met something that could be an unresolved reference so far. Only ever grows.
pub type Demand = Box<dyn Fn() -> u64 + Send + Sync>;

/// Resolves wanted references in the background until they are released, or until it is dropped.
pub struct Resolver {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Those that exist or are referred to, by name (`vault/1`).
    resources: Mutex<HashMap<Box<str>, Resource>>,
    /// Watches demand.
    _look_out: Task,
}

/// A secret resource, whether it exists or is only referred to.
#[derive(Default)]
struct Resource {
    configured: watch::Sender<Configured>,
    share: Arc<Share>,
    /// What keeps the references to it fresh.
    tasks: HashMap<Box<str>, Task>,
}

impl Resource {
    fn is_needed(&self) -> bool {
        self.configured.borrow().is_some() || !self.tasks.is_empty()
    }
}

/// What the references to one secret resource have for themselves, so that a manager that hangs holds up no other's.
struct Share {
    slots: Semaphore,
    /// Those whose last attempt failed.
    failing: AtomicUsize,
}

impl Default for Share {
    fn default() -> Self {
        Self { slots: Semaphore::new(FETCHES_PER_RESOURCE_MAX), failing: AtomicUsize::new(0) }
    }
}

/// A secret resource as configured; `None`: it does not exist.
type Configured = Option<Arc<Result<Manager, Failure>>>;

struct Shared {
    client: Client,
    pace: Pace,
    slots: Semaphore,
    board: Arc<Board>,
    /// Changes whenever requests have met unresolved references.
    demanded: watch::Sender<u64>,
    results: mpsc::UnboundedSender<Resolution>,
}

/// A task; ends with its handle.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Resolver {
    /// Starts resolving on the current tokio runtime; results go to `results`. Fails when `ca_file` cannot be used.
    pub fn start(
        settings: &Settings,
        board: Arc<Board>,
        demand: Demand,
        results: mpsc::UnboundedSender<Resolution>,
    ) -> Result<Self, String> {
        let runtime = Handle::try_current().map_err(|error| error.to_string())?;
        let client = Client::new(Tls::new(settings.ca_file.as_deref())?, settings.vault_loopback_http_fallback);
        let shared = Arc::new(Shared {
            client,
            pace: Pace::new(settings),
            slots: Semaphore::new(FETCHES_MAX),
            board,
            demanded: watch::Sender::new(0),
            results,
        });
        let look_out = runtime.spawn(refresh::look_out(Arc::clone(&shared), demand));
        Ok(Self { shared, resources: Mutex::default(), _look_out: Task(look_out.abort_handle()), runtime })
    }

    /// The secret resource `name` (`vault/1`) is as `configuration` says from now on, or gone. What refers to it is
    /// fetched at once.
    pub fn configure(&self, name: &str, configuration: Option<&str>, environment: Environment) {
        let kind = name.split('/').next().and_then(ManagerKind::of);
        let manager = configuration.map(|text| match kind {
            Some(kind) => Arc::new(Manager::parse(kind, text, environment)),
            None => Arc::new(Err(Failure::UnknownManager)),
        });
        if let Some(Err(failure)) = manager.as_deref() {
            tracing::error!(secret = name, %failure, "secret resource cannot be used");
        }
        self.with(name, |resource| drop(resource.configured.send_replace(manager)));
    }

    /// Resolves `reference`, which is one to a secret manager, and keeps it fresh.
    pub fn want(&self, reference: &str) {
        let Ok(Reference::Managed { manager, .. }) = Reference::parse(reference) else { return };
        self.with(manager, |Resource { configured, share, tasks }| {
            tasks.entry(reference.into()).or_insert_with(|| {
                let (shared, share) = (Arc::clone(&self.shared), Arc::clone(share));
                let task = self.runtime.spawn(keep_fresh(shared, share, configured.subscribe(), reference.into()));
                Task(task.abort_handle())
            });
        });
    }

    /// Stops refreshing `reference`. A result that is already on its way may still arrive.
    pub fn release(&self, reference: &str) {
        let Ok(Reference::Managed { manager, .. }) = Reference::parse(reference) else { return };
        self.with(manager, |resource| drop(resource.tasks.remove(reference)));
    }

    /// Changes the secret resource `name`, which is forgotten when nothing needs it then.
    fn with(&self, name: &str, change: impl FnOnce(&mut Resource)) {
        let mut resources = self.resources();
        let resource = resources.entry(name.into()).or_default();
        change(resource);
        if !resource.is_needed() {
            resources.remove(name);
        }
    }

    fn resources(&self) -> MutexGuard<'_, HashMap<Box<str>, Resource>> {
        self.resources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Resolver").field("resources", &self.resources().len()).finish_non_exhaustive()
    }
}

/// References to secrets in use at the same time, each counted once however many objects hold it. One beyond is not
/// resolved, and what holds it fails closed until it is written again.
pub const REFERENCES_MAX: usize = 65_536;
/// Attempts at secrets at the same time, all together; more wait for their turn.
pub const FETCHES_MAX: usize = 256;
/// Attempts of one secret resource at the same time.
pub const FETCHES_PER_RESOURCE_MAX: usize = 8;
/// How long one attempt at a secret may take, connecting and every request included.
pub const FETCH_WAIT_MAX: Duration = Duration::from_secs(5);
/// Bytes of a secret manager's answer, 1 MiB.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_resource_is_forgotten_when_it_neither_exists_nor_is_referred_to() {
        let (results, _resolutions) = mpsc::unbounded_channel();
        let demand = Box::new(|| 0);
        let resolver = Resolver::start(&Settings::default(), Arc::default(), demand, results).unwrap();
        let configure = |text| resolver.configure("vault/1", text, |_| None);
        let known = || resolver.resources().len();
        configure(Some("{}"));
        configure(None);
        assert_eq!(known(), 0, "nothing referred to it");
        configure(Some("{}"));
        for reference in ["$secret://vault/1/a/b", "$secret://vault/1/a/c"] {
            resolver.want(reference);
        }
        configure(None);
        resolver.release("$secret://vault/1/a/b");
        assert_eq!(known(), 1, "it may come again");
        resolver.release("$secret://vault/1/a/c");
        assert_eq!(known(), 0);
    }
}
