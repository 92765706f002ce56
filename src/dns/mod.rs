//! Names of upstream nodes, resolved on the control side and kept fresh.
//!
//! In: names that upstreams need. Out: a [`Resolution`] for each as soon as its first look-up has ended, and again
//! whenever its set of addresses changes. Each wanted name has one task that looks it up, waits as long as the answer
//! is valid and starts again; at most [`LOOKUPS_MAX`] look-ups run at a time. A failed look-up keeps what is known and
//! is repeated soon. Nothing here runs in a request.

mod hosts;
mod lookup;

use crate::base::map::HashMap;
use lookup::Lookup;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

/// A name's current addresses; published when they are first known and whenever they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The name, in lower case.
    pub name: Box<str>,
    /// Its addresses in rising order: those of its A records, or of its AAAA records where it has no A record. Empty:
    /// the first look-up failed (a later failure keeps the last good set).
    pub addresses: Vec<IpAddr>,
}

/// Resolves wanted names in the background until they are released, or until it is dropped.
pub struct Resolver {
    shared: Arc<Shared>,
    runtime: Handle,
    wanted: Mutex<HashMap<Box<str>, Refresh>>,
}

/// How to resolve.
#[derive(Debug, Clone, Default)]
pub struct ResolverOptions {
    /// `apisix.dns_resolver`: server addresses; the system's when empty.
    pub servers: Vec<SocketAddr>,
    /// `apisix.dns_resolver_valid`: seconds that outrank the record's TTL.
    pub valid_s: Option<u64>,
    /// `apisix.resolver_timeout`, seconds.
    pub timeout_s: Option<u64>,
    /// `apisix.enable_resolv_search_opt`.
    pub search: bool,
}

struct Shared {
    lookup: Lookup,
    pace: Pace,
    slots: Semaphore,
    results: mpsc::UnboundedSender<Resolution>,
}

/// How often names are looked up.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// `dns_resolver_valid`, in place of the records' TTL.
    valid: Option<Duration>,
    /// Bounds of a record's TTL.
    ttl_min: Duration,
    ttl_max: Duration,
    /// After a failure; doubles from the first to the second.
    retry_min: Duration,
    retry_max: Duration,
}

/// A name's task; ends with its handle.
struct Refresh(AbortHandle);

impl Drop for Refresh {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Resolver {
    /// Starts resolving on the current tokio runtime; results go to `results`.
    pub fn start(options: ResolverOptions, results: mpsc::UnboundedSender<Resolution>) -> Result<Self, String> {
        let pace = Pace {
            valid: options.valid_s.map(Duration::from_secs),
            ttl_min: TTL_MIN,
            ttl_max: TTL_MAX,
            retry_min: RETRY_MIN,
            retry_max: RETRY_MAX,
        };
        Self::start_with(options, pace, Path::new(HOSTS_PATH), results)
    }

    fn start_with(
        options: ResolverOptions,
        pace: Pace,
        hosts: &Path,
        results: mpsc::UnboundedSender<Resolution>,
    ) -> Result<Self, String> {
        let runtime = Handle::try_current().map_err(|error| format!("resolver: {error}"))?;
        let lookup = Lookup::new(options, hosts)?;
        let shared = Shared { lookup, pace, slots: Semaphore::new(LOOKUPS_MAX), results };
        Ok(Self { shared: Arc::new(shared), runtime, wanted: Mutex::default() })
    }

    /// Resolves `name` now and keeps it fresh. Wanting a name twice is the same as once, in any case of letters.
    pub fn want(&self, name: &str) {
        let name: Box<str> = name.to_ascii_lowercase().into();
        self.wanted().entry(name.clone()).or_insert_with(|| {
            let task = self.runtime.spawn(keep_fresh(Arc::clone(&self.shared), name));
            Refresh(task.abort_handle())
        });
    }

    /// Stops refreshing `name`. A result that is already on its way may still arrive.
    pub fn release(&self, name: &str) {
        self.wanted().remove(&*name.to_ascii_lowercase());
    }

    fn wanted(&self) -> MutexGuard<'_, HashMap<Box<str>, Refresh>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Resolver").field("names", &self.wanted().len()).finish_non_exhaustive()
    }
}

/// Looks `name` up, publishes what changes, waits, repeats. Ends when its handle is dropped or nobody listens.
async fn keep_fresh(shared: Arc<Shared>, name: Box<str>) {
    let pace = shared.pace;
    let mut published: Option<Vec<IpAddr>> = None;
    let mut retry = pace.retry_min;
    let mut is_failing = false;
    loop {
        let answer = {
            // Never closed; if it were, looking up without a place would still be right.
            let _slot = shared.slots.acquire().await;
            shared.lookup.addresses(&name).await
        };
        let (addresses, wait) = match answer {
            Ok(answer) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!(name = &*name, "name resolves again");
                }
                retry = pace.retry_min;
                let valid = pace.valid.map_or(answer.ttl.min(pace.ttl_max), |valid| valid);
                (Some(answer.addresses), valid.max(pace.ttl_min))
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(name = &*name, %error, "name does not resolve");
                }
                let wait = retry;
                retry = (retry * 2).min(pace.retry_max);
                (None, wait)
            }
        };
        let addresses = addresses.or_else(|| published.is_none().then(Vec::new));
        if let Some(addresses) = addresses
            && published.as_ref() != Some(&addresses)
        {
            let resolution = Resolution { name: name.clone(), addresses: addresses.clone() };
            if shared.results.send(resolution).is_err() {
                return;
            }
            published = Some(addresses);
        }
        tokio::time::sleep(wait).await;
    }
}

/// Look-ups that run at the same time; more wait for their turn.
pub const LOOKUPS_MAX: usize = 32;
/// Records valid for less are still used this long.
pub const TTL_MIN: Duration = Duration::from_secs(1);
/// Records valid for longer are looked up again after this long.
pub const TTL_MAX: Duration = Duration::from_secs(300);
/// Between the first failure and the next look-up; doubles up to [`RETRY_MAX`].
pub const RETRY_MIN: Duration = Duration::from_secs(1);
/// Between two look-ups of a name that keeps failing.
pub const RETRY_MAX: Duration = Duration::from_secs(5);
const HOSTS_PATH: &str = "/etc/hosts";

#[cfg(test)]
mod tests;
