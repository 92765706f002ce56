//! `route`: finding a request's route among 10, 1,000 and 40,000 of them, and changing one of them.
//!
//! Requests walk over all routes in an order no prefetcher foresees, so the index is as cold as a spread of clients
//! makes it. Their own bytes lie side by side, because a real request has just been parsed and is in the cache.

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
        service_name: None,
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

/// Host and path of a request, in one piece of memory.
struct Line {
    bytes: [u8; 64],
    host: usize,
    path: usize,
}

impl Line {
    fn new(host: &str, path: &str) -> Self {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(host.bytes().chain(path.bytes())) {
            *to = from;
        }
        Self { bytes, host: host.len(), path: path.len() }
    }

    fn of<'a>(&'a self, owned: &'a OwnedRequest) -> Request<'a> {
        let (host, rest) = self.bytes.split_at(self.host);
        let (path, _) = rest.split_at(self.path);
        Request { host, raw_host: host, path, raw_target: path, ..owned.view() }
    }
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
        let any = |_| "example.com".to_owned();
        let hit = |id| format!("/api/v1/service-{id}/items");
        let miss = |id| format!("/api/v1/service-{id}x/items");
        let tenant = |id| format!("a.tenant-{id}.example.com");
        let stranger = |id| format!("a.tenant-{id}x.example.com");
        let mut run = |name: &str, router: &Router, host: &dyn Fn(usize) -> String, path: &dyn Fn(usize) -> String| {
            let requests: Vec<Line> = spread(count).map(|id| Line::new(&host(id), &path(id))).collect();
            let owned = OwnedRequest::new("GET", "/");
            let hits = name.ends_with("hit");
            assert!(requests.iter().all(|line| router.find(&line.of(&owned)).is_some() == hits), "{name}");
            let mut requests = requests.iter().cycle();
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| requests.next().map(|line| router.find(black_box(&line.of(&owned))).is_some()));
            });
        };
        run("exact_hit", &exact, &any, &hit);
        run("exact_miss", &exact, &any, &miss);
        run("prefix_hit", &prefix, &any, &hit);
        run("prefix_miss", &prefix, &any, &miss);
        run("host_suffix_hit", &hosts, &tenant, &hit);
        run("host_suffix_miss", &hosts, &stranger, &hit);
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

/// As in the binary: where routes lie decides what a cold lookup costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COUNTS: [usize; 3] = [10, 1_000, 40_000];
const REQUESTS: usize = 8_192;

criterion_group!(benches, find, put, path);
criterion_main!(benches);
