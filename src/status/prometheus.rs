//! The metrics listener (`plugin_attr.prometheus`, spec/config-sources §6): workers' counters, summed when asked.
//!
//! A scrape reads counters and touches no worker. What is served so far are the gateway's own series, under
//! `ringgate_`; APISIX's per-request series are not.

use crate::auth::jwt::failure::Reason;
use crate::metrics::{Cells, Counter, REDIS_BUCKETS_US};
use crate::sealing::Tally;
use crate::secret::{self, Board};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;

/// Serves `GET <uri>` until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    uri: &str,
    cells: Vec<Arc<Cells>>,
    sealing: Arc<Tally>,
    board: Arc<Board>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let mut registry = Registry::with_prefix("ringgate");
    registry.register_collector(Box::new(Workers(cells)));
    registry.register_collector(Box::new(Sealed(sealing)));
    registry.register_collector(Box::new(Secrets(board)));
    let router = Router::new().route(uri, get(scrape)).with_state(Arc::new(registry));
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(shutdown).await {
        tracing::error!(%error, "the metrics listener ended");
    }
}

async fn scrape(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// All workers' counters.
#[derive(Debug)]
struct Workers(Vec<Arc<Cells>>);

impl Workers {
    fn sum(&self, counter: impl Fn(&Cells) -> &Counter) -> u64 {
        self.0.iter().map(|cells| counter(cells).value()).fold(0, u64::wrapping_add)
    }

    /// How long commands to Redis took: buckets of all workers, added up.
    fn encode_redis_seconds(&self, encoder: &mut DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let help = "Seconds from asking Redis to its answer, or to giving up";
        let mut histogram = encoder.encode_descriptor("redis_seconds", help, None, MetricType::Histogram)?;
        let commands = self.sum(|cells| &cells.redis_commands);
        let mut buckets = Vec::with_capacity(REDIS_BUCKETS_US.len() + 1);
        for (place, bound_us) in REDIS_BUCKETS_US.iter().enumerate() {
            let counts = self.0.iter().filter_map(|cells| cells.redis_buckets.get(place));
            let count = counts.map(Counter::value).fold(0, u64::wrapping_add);
            buckets.push((*bound_us as f64 / 1e6, count));
        }
        let within: u64 = buckets.iter().map(|(_, count)| *count).fold(0, u64::wrapping_add);
        buckets.push((f64::INFINITY, commands.saturating_sub(within)));
        let seconds = self.sum(|cells| &cells.redis_us) as f64 / 1e6;
        histogram.encode_histogram::<NoLabelSet>(seconds, commands.max(within), &buckets, None)
    }
}

impl Collector for Workers {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let connections = ConstGauge::new(self.sum(|cells| &cells.connections).cast_signed());
        let help = "Client connections open now";
        connections.encode(encoder.encode_descriptor("connections", help, None, connections.metric_type())?)?;
        // What a worker makes, the control side sweeps away: the sum is right, or for a moment one below nothing.
        let windows = ConstGauge::new(self.sum(|cells| &cells.limit_windows).cast_signed().max(0));
        let help = "Keys whose requests limits are counting";
        windows.encode(encoder.encode_descriptor("limit_windows", help, None, windows.metric_type())?)?;
        for (name, help, counter) in COUNTERS {
            let counter = ConstCounter::new(self.sum(counter));
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        self.encode_redis_seconds(&mut encoder)?;
        let help = "Requests that jwt-auth did not authenticate, those that went on as anonymous included";
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut refusals = encoder.encode_descriptor("jwt_auth_refusals", help, None, kind)?;
        for reason in Reason::ALL {
            let count = self.0.iter().filter_map(|cells| cells.jwt_refusals.get(reason as usize));
            let count = count.map(Counter::value).fold(0, u64::wrapping_add);
            let labels = [("reason", reason.name())];
            ConstCounter::new(count).encode(refusals.encode_family(&labels)?)?;
        }
        let help = "Requests that limits rejected; beyond a bound, route and consumer are \"other\"";
        let mut rejections = encoder.encode_descriptor("limit_rejected_requests", help, None, kind)?;
        // All workers have the same.
        for ((route, consumer), count) in self.0.first().map(|cells| cells.rejections.counts()).unwrap_or_default() {
            let labels = [("route", &*route), ("consumer", &*consumer)];
            ConstCounter::new(count).encode(rejections.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// What was found in the store.
#[derive(Debug)]
struct Sealed(Arc<Tally>);

impl Collector for Sealed {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        for (name, help, count) in [
            ("sealed_objects_closed", "Objects read with a secret that could not be opened", &self.0.closed),
            ("sealed_objects_in_clear", "Objects read with a secret that is not sealed", &self.0.in_clear),
        ] {
            let counter = ConstCounter::new(count.load(Ordering::Relaxed));
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

/// How references to secrets are doing.
#[derive(Debug)]
struct Secrets(Arc<Board>);

impl Collector for Secrets {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let help = "References to secrets in use, by how they are doing";
        let kind = ConstGauge::new(0_i64).metric_type();
        let mut references = encoder.encode_descriptor("secret_references", help, None, kind)?;
        for state in secret::board::State::ALL {
            let count = ConstGauge::new(self.0.count(state).cast_signed() as i64);
            count.encode(references.encode_family(&[("state", state.name())])?)?;
        }
        let fetches = ConstCounter::new(self.0.fetch_count());
        let help = "Times that a secret manager was asked";
        fetches.encode(encoder.encode_descriptor("secret_fetches", help, None, fetches.metric_type())?)?;
        let help = "Attempts to resolve a reference that failed";
        let mut failures = encoder.encode_descriptor("secret_failures", help, None, fetches.metric_type())?;
        for reason in secret::failure::Reason::ALL {
            let count = ConstCounter::new(self.0.failure_count(reason));
            count.encode(failures.encode_family(&[("reason", reason.name())])?)?;
        }
        Ok(())
    }
}

/// Name (to which the text form adds `_total`), help, cell.
type Series = (&'static str, &'static str, fn(&Cells) -> &Counter);

const COUNTERS: [Series; 15] = [
    ("connections_accepted", "Client connections accepted", |cells| &cells.accepted),
    ("connections_refused", "Client connections closed at once for lack of room", |cells| &cells.connections_refused),
    ("accept_failures", "Failures to accept a connection", |cells| &cells.accept_failures),
    ("requests", "Requests whose head was read or refused", |cells| &cells.requests),
    ("requests_malformed", "Requests refused as malformed", |cells| &cells.malformed),
    ("upstream_connections", "Connections opened to upstream nodes", |cells| &cells.upstream_connections),
    ("upstream_retries", "Tries at upstream nodes beyond each request's first", |cells| &cells.retries),
    ("panics", "Panics caught in connections; each is a defect", |cells| &cells.panics),
    ("jwt_auth_token_cache_hits", "Tokens of asymmetric algorithms that had been verified before", |cells| {
        &cells.jwt_cache_hits
    }),
    ("jwt_auth_token_cache_misses", "Tokens of asymmetric algorithms that had not been verified before", |cells| {
        &cells.jwt_cache_misses
    }),
    ("limit_rejections", "Charges that a limit rejected", |cells| &cells.limit_rejections),
    ("redis_commands", "Commands sent to Redis to count requests", |cells| &cells.redis_commands),
    ("redis_errors", "Those that were not answered as they should be", |cells| &cells.redis_errors),
    ("unresolved_secret_refusals", "Requests refused because a secret of a plugin was not resolved", |cells| {
        &cells.unresolved_secrets
    }),
    ("limit_evictions", "Windows of limits that lost their count for lack of room", |cells| &cells.limit_evictions),
];

/// What the library writes.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
