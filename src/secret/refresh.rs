//! One reference's life: fetch, publish what changed, wait, repeat.

use super::failure::Failure;
use super::reference::Reference;
use super::value::Secret;
use super::{Configured, Demand, FETCH_WAIT_MAX, Resolution, Settings, Share, Shared};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How often a reference is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Between two attempts while all is well.
    ttl: Duration,
    /// The longest wait between two attempts while they fail.
    neg_ttl: Duration,
}

impl Pace {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { ttl: settings.ttl, neg_ttl: settings.neg_ttl }
    }

    /// How long to wait after an attempt failed, `failing_for` after the first that did, the `attempt`th in a row;
    /// `failing` references to the same secret resource are in the same state.
    fn after_failure(&self, failing_for: Duration, attempt: u32, failing: usize) -> Duration {
        let wait = if failing_for < EAGER_FOR {
            RETRY_MIN
        } else {
            let doublings = attempt.saturating_sub(EAGER_ATTEMPTS).min(DOUBLINGS_MAX);
            RETRY_MIN.saturating_mul(2_u32.saturating_pow(doublings))
        };
        wait.min(self.neg_ttl).max(fair_share(failing))
    }
}

/// What each of `failing` references must wait so that together they ask no more than [`RETRIES_PER_S_MAX`] times a
/// second.
fn fair_share(failing: usize) -> Duration {
    Duration::from_secs(failing as u64) / RETRIES_PER_S_MAX
}

/// Keeps `reference` fresh. Ends when its handle is dropped or nobody listens.
pub(super) async fn keep_fresh(
    shared: Arc<Shared>,
    share: Arc<Share>,
    mut configured: watch::Receiver<Configured>,
    reference: Box<str>,
) {
    let mut published: Option<Option<Secret>> = None;
    let mut trouble: Option<Trouble> = None;
    loop {
        let now = configured.borrow_and_update().clone();
        let outcome = tokio::select! {
            biased;
            // Nothing is asked of, or learned from, a manager that is not configured any more.
            () = changed(&mut configured) => continue,
            outcome = attempt(&shared, &share, now, &reference) => outcome,
        };
        let value = match outcome {
            Ok(value) => {
                trouble = None;
                if shared.board.succeeded(&reference) {
                    tracing::info!(reference = &*reference, "secret is resolved again");
                }
                Some(value)
            }
            Err(failure) => {
                let kept = published.clone().flatten().filter(|_| !failure.withdraws());
                if shared.board.failed(&reference, &failure, kept.is_some()) {
                    let stale = kept.is_some();
                    let reason = failure.reason().name();
                    tracing::error!(
                        secret_uri = &*reference, reason, %failure, stale,
                        "failed to fetch secret value; it is tried again"
                    );
                }
                trouble.get_or_insert_with(|| Trouble::new(&share)).attempts += 1;
                kept
            }
        };
        if published.as_ref() != Some(&value) {
            published = Some(value.clone());
            if shared.results.send(Resolution { reference: reference.clone(), value }).is_err() {
                return;
            }
        }
        wait(&shared, &mut configured, trouble.as_ref()).await;
    }
}

/// A row of failures; counted as long as it lasts, also when the task is ended.
struct Trouble {
    share: Arc<Share>,
    since: Instant,
    attempts: u32,
}

impl Trouble {
    fn new(share: &Arc<Share>) -> Self {
        share.failing.fetch_add(1, Ordering::Relaxed);
        Self { share: Arc::clone(share), since: Instant::now(), attempts: 0 }
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        self.share.failing.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn attempt(shared: &Shared, share: &Share, now: Configured, reference: &str) -> Result<Secret, Failure> {
    let Reference::Managed { key, .. } = Reference::parse(reference)? else { return Err(Failure::NoManager) };
    let manager = now.ok_or(Failure::NoConfiguration)?;
    let manager = (*manager).as_ref().map_err(Clone::clone)?;
    // Its own first, so that only those who have one wait for the others'. Never closed; if they were, fetching without
    // a place would still be right.
    let _own = share.slots.acquire().await;
    let _slot = shared.slots.acquire().await;
    shared.board.fetches();
    timeout(FETCH_WAIT_MAX, manager.fetch(&shared.client, key)).await.unwrap_or(Err(Failure::Timeout))
}

/// Until the next attempt: when the time has come, or at once when the secret resource changes; in trouble also soon
/// after requests have met something unresolved. Where there is no secret resource, only one that comes can help.
async fn wait(shared: &Shared, configured: &mut watch::Receiver<Configured>, trouble: Option<&Trouble>) {
    if configured.borrow().is_none() {
        return changed(configured).await;
    }
    let now = Instant::now();
    let Some(Trouble { share, since, attempts }) = trouble else {
        tokio::select! {
            () = sleep_until(now + shared.pace.ttl) => {}
            () = changed(configured) => {}
        }
        return;
    };
    let failing = share.failing.load(Ordering::Relaxed);
    let until = now + shared.pace.after_failure(since.elapsed(), *attempts, failing);
    let mut demanded = shared.demanded.subscribe();
    let asked_for = async {
        changed(&mut demanded).await;
        sleep_until(now + RETRY_ON_USE.max(fair_share(failing))).await;
    };
    tokio::select! {
        () = sleep_until(until) => {}
        () = changed(configured) => {}
        () = asked_for => {}
    }
}

/// The next change; never, once nobody changes anything any more.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Tells the tasks of failing references when requests have met something unresolved.
pub(super) async fn look_out(shared: Arc<Shared>, demand: Demand) {
    let mut seen = demand();
    loop {
        sleep(LOOK_EVERY).await;
        let now = demand();
        if now != seen {
            seen = now;
            shared.demanded.send_replace(now);
        }
    }
}

/// Between two attempts at a reference that has begun to fail.
const RETRY_MIN: Duration = Duration::from_millis(200);
/// How long it is tried that often; then the wait doubles up to `neg_ttl`.
const EAGER_FOR: Duration = Duration::from_secs(10);
/// Attempts in that time.
const EAGER_ATTEMPTS: u32 = 50;
const DOUBLINGS_MAX: u32 = 20;
/// After this long a request that meets an unresolved reference has it tried again.
const RETRY_ON_USE: Duration = Duration::from_secs(1);
/// How often it is looked whether requests have.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Attempts at failing references to one secret resource a second.
const RETRIES_PER_S_MAX: u32 = 250;

#[cfg(test)]
mod tests {
    use super::*;

    /// A reference that failed for long waits a minute, unless a request asks for it.
    #[tokio::test]
    async fn a_request_has_a_failing_reference_tried_again_soon() {
        let requests = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let asked = Arc::clone(&requests);
        let (results, mut resolutions) = tokio::sync::mpsc::unbounded_channel();
        let settings = Settings { neg_ttl: Duration::from_secs(60), ..Settings::default() };
        let board = Arc::default();
        let demand = Box::new(move || asked.load(Ordering::Relaxed));
        let resolver = crate::secret::Resolver::start(&settings, board, demand, results).unwrap();
        let (_sender, mut configured) = watch::channel(Some(Arc::new(Err(Failure::Timeout))));
        let shared = Arc::clone(&resolver.shared);
        let mut trouble = Trouble::new(&Arc::default());
        trouble.attempts = 1000;
        trouble.since = Instant::now().checked_sub(EAGER_FOR * 2).unwrap_or(trouble.since);
        let begun = Instant::now();
        {
            let waiting = wait(&shared, &mut configured, Some(&trouble));
            tokio::pin!(waiting);
            assert!(timeout(LOOK_EVERY * 2, &mut waiting).await.is_err(), "nobody asks");
            requests.fetch_add(1, Ordering::Relaxed);
            timeout(Duration::from_secs(20), waiting).await.unwrap();
        }
        assert!(begun.elapsed() >= RETRY_ON_USE, "not at once, so that requests cannot flood a manager");
        assert!(resolutions.try_recv().is_err());
    }

    #[test]
    fn a_failing_reference_is_tried_often_at_first_then_seldom() {
        let pace = Pace { ttl: Duration::from_secs(300), neg_ttl: Duration::from_secs(60) };
        let wait = |failing_for, attempt, failing| {
            pace.after_failure(Duration::from_secs(failing_for), attempt, failing).as_millis()
        };
        assert_eq!(wait(0, 1, 1), 200);
        assert_eq!(wait(9, 45, 1), 200);
        assert_eq!(wait(11, 51, 1), 400);
        assert_eq!(wait(11, 53, 1), 1600);
        assert_eq!(wait(3000, 1000, 1), 60_000);
        assert_eq!(wait(0, 1, 1000), 4000, "many share what a manager is asked for");
        let soon = Pace { neg_ttl: Duration::from_millis(50), ..pace };
        assert_eq!(soon.after_failure(Duration::ZERO, 1, 1).as_millis(), 50);
    }
}
