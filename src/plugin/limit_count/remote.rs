//! Counters in Redis: the policies `redis`, `redis-cluster` and `redis-sentinel` (spec/limit-count §7.3, §8).
//!
//! What a request is charged is resolved in its access phase, as for the local policy; then it waits while Redis
//! counts, one limit after the other, and goes on with what came. With delayed sync most requests need no wait.

use super::rule::{self, Rule};
use super::sync::{Ask, Flush, Local, Sync};
use super::{Failure, identity, info, note_rejection, rejection, switch, tell_of_failure, tell_of_fall_back};
use crate::base::clock::monotonic_us;
use crate::http::answer::page;
use crate::http::request::Request;
use crate::limit::{Charge, Kind, Quota, Table};
use crate::net::{race, task};
use crate::plugin::{Answer, Context, Plugin, Site, Verdict, Waiting};
use crate::redis::{Client, Deployment, Job, RedisError, Reply, numbers, script};
use serde_json::Value;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The plugin with one configuration.
#[derive(Debug)]
pub(super) struct RemoteLimitCount(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rules: Box<[Rule]>,
    shows_quota: bool,
    rejection: Arc<Answer>,
    /// Where it cannot be said what to count, and where Redis does not count; none with `allow_degradation`.
    failures: Option<(Arc<Answer>, Arc<Answer>)>,
    /// Two keys may be on different nodes, or must be treated as if.
    is_spread: AtomicBool,
    deployment: Deployment,
    sync: Option<Sync>,
    /// Counts where delayed sync cannot reach Redis.
    table: Arc<Table>,
}

impl RemoteLimitCount {
    pub(super) fn new(configuration: &Value, site: &Site<'_>, deployment: Deployment) -> Result<Self, String> {
        let prefix = identity::shared_prefix(configuration, site);
        let degrades = switch(configuration, "allow_degradation", false);
        let interval_s = configuration.get("sync_interval").and_then(Value::as_f64).filter(|seconds| *seconds > 0.0);
        let interval = interval_s.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        Ok(Self(Arc::new(Shared {
            rules: rule::read_shared(configuration, &prefix, site)?,
            shows_quota: switch(configuration, "show_limit_quota_header", true),
            rejection: Arc::new(rejection(configuration)),
            failures: (!degrades).then(|| (Arc::new(page(500)), Arc::new(failed_to_limit()))),
            is_spread: AtomicBool::new(deployment.is_spread()),
            deployment,
            sync: interval.map(Sync::new),
            table: Arc::clone(site.limits),
        })))
    }
}

impl Plugin for RemoteLimitCount {
    fn access(&self, request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        let shared = &self.0;
        let charges = match shared.resolve(request, context) {
            Ok(charges) => charges,
            Err(failure) => {
                tell_of_failure(failure, context);
                return shared.failed(|(unresolved, _)| unresolved);
            }
        };
        let (shared, unix_ms) = (Arc::clone(shared), context.now.unix_us / 1000);
        Verdict::Wait(Box::new(Counting { shared, charges, told: Vec::new(), failure: None, unix_ms }))
    }
}

impl Shared {
    /// What the request is to be charged, in order. Everything is resolved first, as for the local policy.
    fn resolve(&self, request: &Request<'_>, context: &mut Context<'_>) -> Result<Vec<Due>, Failure> {
        let mut charges = Vec::with_capacity(self.rules.len());
        let mut fell_back = false;
        for (index, rule) in self.rules.iter().enumerate() {
            let mut key = Vec::with_capacity(KEY_BYTES);
            if let Some(asked) = rule.ask(&context.known(request), &mut key)? {
                fell_back |= asked.fell_back;
                charges.push(Due { rule: index, quota: asked.quota, key });
            }
        }
        if fell_back {
            tell_of_fall_back(super::NAME, context);
        }
        if charges.is_empty() { Err(Failure::NoRule) } else { Ok(charges) }
    }

    fn failed(&self, which: impl FnOnce(&(Arc<Answer>, Arc<Answer>)) -> &Arc<Answer>) -> Verdict {
        match &self.failures {
            Some(failures) => Verdict::Respond(Arc::clone(which(failures))),
            None => Verdict::Continue,
        }
    }

    /// Charges one limit.
    async fn charge(self: &Arc<Self>, redis: &Rc<Client>, due: &Due, unix_ms: u64) -> Result<Charge, RedisError> {
        let Quota { limit, window_ms, kind, .. } = due.quota;
        if kind == Kind::Sliding {
            return self.slide(redis, due, unix_ms).await;
        }
        let key = [FIXED_PREFIX, &due.key].concat();
        if let Some(sync) = self.sync.as_ref().filter(|sync| u128::from(window_ms) > sync.interval.as_millis())
            && let Some(charge) = self.charge_later(sync, redis, &key, &due.quota).await?
        {
            return Ok(charge);
        }
        let (total, left_ms) = self.count(redis, &key, 1, window_ms / 1000).await?;
        let is_admitted = total <= limit;
        Ok(Charge { is_admitted, remaining: limit.saturating_sub(total), reset_ms: left_ms })
    }

    /// Adds `cost` to a fixed window: its total and the milliseconds left of it.
    async fn count(&self, redis: &Rc<Client>, key: &[u8], cost: u64, window_s: u64) -> Result<(u64, u64), RedisError> {
        let reply = redis.eval(&self.deployment, &script::FIXED, &[key], &[cost, window_s]).await?;
        let [total, left_ms] = amounts(&reply)?;
        Ok((total, left_ms))
    }

    async fn slide(&self, redis: &Rc<Client>, due: &Due, unix_ms: u64) -> Result<Charge, RedisError> {
        let is_spread = self.is_spread.load(Ordering::Relaxed);
        match self.slide_by(redis, due, unix_ms, is_spread).await {
            Err(RedisError::Refused(text)) if !is_spread && text.starts_with(CROSS_SLOT) => {
                // One server that keeps to the rules of a cluster: from now on one key at a time.
                self.is_spread.store(true, Ordering::Relaxed);
                self.slide_by(redis, due, unix_ms, true).await
            }
            outcome => outcome,
        }
    }

    async fn slide_by(
        &self,
        redis: &Rc<Client>,
        due: &Due,
        unix_ms: u64,
        is_spread: bool,
    ) -> Result<Charge, RedisError> {
        let Quota { limit, window_ms, .. } = due.quota;
        let (id, rest_ms) = (unix_ms / window_ms, window_ms - unix_ms % window_ms);
        let key = |id: u64| [SLIDING_PREFIX, &due.key, b".", id.to_string().as_bytes(), b".counter"].concat();
        let (current, before) = (key(id), key(id.saturating_sub(1)));
        let kept_s = (window_ms / 1000).saturating_mul(2);
        let mut keys = vec![&*current, &*before];
        let mut arguments = [limit, window_ms, rest_ms, kept_s, 0];
        if is_spread {
            // The two may be on different nodes. The one before does not change any more.
            keys.truncate(1);
            if let Some(last) = arguments.last_mut() {
                *last = redis.number(&self.deployment, &before).await?;
            }
        }
        let reply = redis.eval(&self.deployment, &script::SLIDING, &keys, &arguments).await?;
        let [is_admitted, current, last] = amounts(&reply)?;
        Ok(slid(&due.quota, rest_ms, is_admitted == 1, current, last))
    }

    /// Charges what the node knows, asking Redis first where it knows nothing; `None` if Redis must count by itself.
    async fn charge_later(
        self: &Arc<Self>,
        sync: &Sync,
        redis: &Rc<Client>,
        key: &[u8],
        quota: &Quota,
    ) -> Result<Option<Charge>, RedisError> {
        let window_s = quota.window_ms / 1000;
        let ask = |now_us| Ask { key, limit: quota.limit, window_s, now_us };
        let mut local = sync.charge(ask(monotonic_us()));
        if local == Local::Unknown
            && let Some(flush) = sync.begin(key)
        {
            self.flush(sync, redis, flush).await?;
            local = sync.charge(ask(monotonic_us()));
        }
        if sync.wants_job() {
            task::spawn(flush_from_time_to_time(Arc::clone(self), Rc::clone(redis), redis.job()));
        }
        Ok(match local {
            Local::Charged(charge) => Some(charge),
            Local::Unknown | Local::Full => None,
        })
    }

    async fn flush(&self, sync: &Sync, redis: &Rc<Client>, flush: Flush) -> Result<(), RedisError> {
        let told = self.count(redis, &flush.key, flush.cost, flush.window_s).await;
        sync.end(&flush, told.as_ref().ok().copied(), monotonic_us());
        told.map(drop)
    }
}

/// The background job of one instance: ends when a whole interval has touched nothing, or after a last flush when its
/// worker drains; another worker's next request begins it again.
async fn flush_from_time_to_time(shared: Arc<Shared>, redis: Rc<Client>, job: Job) {
    let Some(sync) = &shared.sync else { return };
    loop {
        let is_last = job.rest(sync.interval.min(SLEEP_MAX)).await;
        let due = sync.due(monotonic_us());
        if due.is_empty() {
            return;
        }
        for keys in due.chunks(FLUSHED_AT_ONCE) {
            let flushes = keys.iter().filter_map(|key| sync.begin(key)).map(|flush| {
                let (shared, redis) = (&shared, &redis);
                Box::pin(async move {
                    let key = flush.key.clone();
                    if shared.flush(sync, redis, flush).await.is_err() {
                        sync.queue_again(&key);
                    }
                })
            });
            redis.guard(race::all(flushes.collect())).await;
        }
        if is_last {
            sync.end_job();
            return;
        }
    }
}

/// A request that is being counted.
#[derive(Debug)]
struct Counting {
    shared: Arc<Shared>,
    charges: Vec<Due>,
    /// What was said to the first of them.
    told: Vec<Charge>,
    failure: Option<RedisError>,
    unix_ms: u64,
}

/// One limit that applies.
#[derive(Debug)]
struct Due {
    rule: usize,
    quota: Quota,
    /// The limit key.
    key: Vec<u8>,
}

impl Waiting for Counting {
    fn wait<'a>(&'a mut self, redis: &'a Rc<Client>) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move {
            for due in self.charges.get(self.told.len()..).unwrap_or_default() {
                match self.shared.charge(redis, due, self.unix_ms).await {
                    Ok(charge) => {
                        self.told.push(charge);
                        if !charge.is_admitted {
                            redis.cells().limit_rejections.add(1);
                            return;
                        }
                    }
                    Err(error) => {
                        self.failure = Some(error);
                        return;
                    }
                }
            }
        })
    }

    fn resume(mut self: Box<Self>, _request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        if let Some(failure) = self.failure.take() {
            tell_of_failure(&failure, context);
            // With delayed sync an outage is no failure: this node counts for itself.
            let is_delayed = |due: &Due, sync: &Sync| {
                due.quota.kind == Kind::Fixed && u128::from(due.quota.window_ms) > sync.interval.as_millis()
            };
            let failed = self.charges.get(self.told.len());
            match (failed, &self.shared.sync) {
                (Some(due), Some(sync)) if is_delayed(due, sync) => {
                    let key = [FIXED_PREFIX, &due.key].concat();
                    let table = &self.shared.table;
                    let charge = context.limits.charge(table, &key, table.moment(context.now.monotonic_us), &due.quota);
                    self.told.push(charge);
                    if charge.is_admitted && self.told.len() < self.charges.len() {
                        return Verdict::Wait(self);
                    }
                }
                _ => return self.shared.failed(|(_, uncounted)| uncounted),
            }
        }
        for (due, charge) in self.charges.iter().zip(&self.told) {
            if let Some(rule) = self.shared.rules.get(due.rule).filter(|_| self.shared.shows_quota) {
                rule.headers.set(&mut context.edits.response_fields, due.quota.limit, charge);
            }
            if context.limits.settings().tells_log {
                info::write(&mut context.edits.limited.info, &due.key, due.quota.limit, charge);
            }
        }
        match self.told.last().filter(|charge| !charge.is_admitted) {
            Some(charge) => {
                note_rejection(charge, context);
                Verdict::Respond(Arc::clone(&self.shared.rejection))
            }
            None => Verdict::Continue,
        }
    }
}

/// What the sliding window's script has said, as a request is told (spec/limit-count §6.2).
fn slid(quota: &Quota, rest_ms: u64, is_admitted: bool, current: u64, last: u64) -> Charge {
    let (limit, window, rest) = (quota.limit, u128::from(quota.window_ms), u128::from(rest_ms));
    let room = u128::from(limit.saturating_sub(current));
    if is_admitted {
        let weight = (u128::from(last) * rest).div_ceil(window);
        return Charge { is_admitted, remaining: room.saturating_sub(weight) as u64, reset_ms: rest_ms };
    }
    if current >= limit || last == 0 {
        return Charge { is_admitted, remaining: 0, reset_ms: rest_ms };
    }
    let wait_ms = rest.saturating_sub(room * window / u128::from(last)).div_ceil(ROUND_MS) * ROUND_MS;
    Charge { is_admitted, remaining: 0, reset_ms: wait_ms as u64 }
}

/// Numbers that cannot be below nothing.
fn amounts<const N: usize>(reply: &Reply) -> Result<[u64; N], RedisError> {
    let numbers = numbers::<N>(reply)?;
    if numbers.iter().any(|number| *number < 0) {
        return Err(RedisError::Unexpected("a number below nothing"));
    }
    Ok(numbers.map(i64::unsigned_abs))
}

/// What a client gets when Redis does not count: not why, which may name hosts.
fn failed_to_limit() -> Answer {
    let body = b"{\"error_msg\":\"failed to limit count\"}\n".as_slice();
    Answer { status: 500, fields: super::CONTENT_TYPE.into(), body: body.into() }
}

const FIXED_PREFIX: &[u8] = b"plugin-limit-count:v1:";
const SLIDING_PREFIX: &[u8] = b"plugin-limit-count:";
/// What a server that keeps to the rules of a cluster says to two keys in one call.
const CROSS_SLOT: &str = "CROSSSLOT";
/// Room for most keys.
const KEY_BYTES: usize = 96;
/// Flushes on their way at a time; below what a connection takes.
const FLUSHED_AT_ONCE: usize = 256;
/// Longer intervals are cut to this; flushing more often than asked does no harm.
const SLEEP_MAX: Duration = Duration::from_secs(86_400);
/// Waits are told in hundredths of a second, rounded up.
const ROUND_MS: u128 = 10;
