//! `route`: finding a request's route among 10, 1,000 and 40,000 of them, and changing one of them.
//!
//! Requests walk over all routes, so that with many of them the caches are as cold as a spread of clients makes them.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ringgate::http::path::normalise;
use ringgate::http::request::{OwnedRequest, Request};
use ringgate::plugin::Chain;
use ringgate::route::{Route, Router, Rule, RuleError, RuleParts, Target};
use std::hint::black_box;
use std::sync::Arc;

fn route(id: usize, uri: String, host: Option<String>) -> Result<Arc<Route>, RuleError> {
    let parts = RuleParts { uris: vec![uri], hosts: host.into_iter().collect(), ..RuleParts::default() };
    Ok(Arc::new(Route {
        id: id.to_string().into(),
        name: None,
        service_id: None,
        rule: Rule::new(parts)?,
        chain: Arc::new(Chain::default()),
        target: Target::None,
        timeouts: None,
        enable_websocket: false,
    }))
}

fn router(count: usize, make: impl Fn(usize) -> Result<Arc<Route>, RuleError>) -> Router {
    let mut router = Router::new();
    for id in 0..count {
        if let Ok(route) = make(id) {
            router.put(&id.to_string(), Some(route));
        }
    }
    router
}

/// A spread of ids in an order that no prefetcher foresees.
fn spread(count: usize) -> impl Iterator<Item = usize> {
    (0..REQUESTS).map(move |number| number * 7_919 % count)
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route/find");
    for count in COUNTS {
        let exact = router(count, |id| route(id, format!("/api/v1/service-{id}/items"), None));
        let prefix = router(count, |id| route(id, format!("/api/v1/service-{id}/*"), None));
        let hosts = router(count, |id| route(id, "/api/*".to_owned(), Some(format!("*.tenant-{id}.example.com"))));
        let hit = |id| OwnedRequest::new("GET", &format!("/api/v1/service-{id}/items")).field("Host", "example.com");
        let miss = |id| OwnedRequest::new("GET", &format!("/api/v1/services-{id}/items")).field("Host", "example.com");
        let host_hit =
            |id: usize| OwnedRequest::new("GET", "/api/x").field("Host", format!("a.tenant-{id}.example.com"));
        let host_miss =
            |id: usize| OwnedRequest::new("GET", "/api/x").field("Host", format!("a.tenants-{id}.example.com"));
        let mut run = |name: &str, router: &Router, request: &dyn Fn(usize) -> OwnedRequest, hits: bool| {
            let requests: Vec<OwnedRequest> = spread(count).map(request).collect();
            assert!(requests.iter().all(|request| router.find(&request.view()).is_some() == hits), "{name}");
            let views: Vec<Request<'_>> = requests.iter().map(OwnedRequest::view).collect();
            let mut views = views.iter().cycle();
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| views.next().map(|view| router.find(black_box(view)).is_some()));
            });
        };
        run("exact_hit", &exact, &hit, true);
        run("exact_miss", &exact, &miss, false);
        run("prefix_hit", &prefix, &hit, true);
        run("prefix_miss", &prefix, &miss, false);
        run("host_suffix_hit", &hosts, &host_hit, true);
        run("host_suffix_miss", &hosts, &host_miss, false);
    }
    group.finish();
}

fn put(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route/put");
    for count in COUNTS {
        let make = |id| route(id, format!("/api/v1/service-{id}/*"), None);
        let mut router = router(count, make);
        let Ok(changed) = make(count / 2) else { continue };
        group.bench_function(BenchmarkId::new("replace", count), |bencher| {
            bencher.iter(|| router.put(&changed.id, Some(Arc::clone(&changed))));
        });
    }
    group.finish();
}

fn path(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http/path");
    let mut scratch = Vec::new();
    for (name, path) in [("normal", "/api/v1/service-17/items/4711"), ("rewritten", "/api/v1/../v2//a%20b/./c")] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| normalise(black_box(path.as_bytes()), &mut scratch));
        });
    }
    group.finish();
}

const COUNTS: [usize; 3] = [10, 1_000, 40_000];
const REQUESTS: usize = 8_192;

criterion_group!(benches, find, put, path);
criterion_main!(benches);
