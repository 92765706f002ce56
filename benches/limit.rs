//! What a limit costs: a window charged by one and by two threads, a rejection, and by key among a million.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench has no users, and a failure should stop it"
)]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ringgate::auth::consumer::ConsumerTable;
use ringgate::auth::jwt::Scratch;
use ringgate::base::bytes::push_decimal;
use ringgate::base::clock::Now;
use ringgate::http::request::OwnedRequest;
use ringgate::limit::fixed_window::{Count, FixedWindow};
use ringgate::limit::sliding_window::{Counts, SlidingWindow};
use ringgate::limit::{Kind, Local, Moment, Quota, Settings, Table};
use ringgate::plugin::{Context, Edits, Site, Verdict, registry};
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const HOUR_MS: u64 = 3_600_000;
const KEYS: usize = 1_000_000;

fn fixed(limit: u64) -> Quota {
    Quota { limit, window_ms: HOUR_MS, kind: Kind::Fixed, counts_excess: false }
}

/// A limit that a bench's iterations in one window do not reach; windows follow each other every millisecond.
const AMPLE: Quota = Quota { limit: 200_000_000, window_ms: 1, kind: Kind::Fixed, counts_excess: false };

fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit");
    let window = FixedWindow::holding(Count::default()).unwrap();
    let (mut turn, mut now_ms) = (0_u32, 0);
    group.bench_function("fixed_window/charge", |bencher| {
        bencher.iter(|| {
            turn = turn.wrapping_add(1);
            now_ms += u64::from(turn.is_multiple_of(1 << 16));
            window.charge(black_box(now_ms), &AMPLE)
        });
    });
    let full = FixedWindow::holding(Count { end_ms: HOUR_MS, used: 1_000 }).unwrap();
    group.bench_function("fixed_window/over_limit", |bencher| {
        bencher.iter(|| full.charge(black_box(1), &fixed(1_000)));
    });
    let shared = FixedWindow::holding(Count::default()).unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                for now_ms in 0..1_000 {
                    let _ = black_box(shared.charge(black_box(now_ms / 1_000), &AMPLE));
                }
            }
        });
        let mut now_ms = 0;
        let mut turn = 0_u32;
        group.bench_function("fixed_window/two_threads", |bencher| {
            bencher.iter(|| {
                turn = turn.wrapping_add(1);
                now_ms += u64::from(turn.is_multiple_of(1 << 16));
                shared.charge(black_box(now_ms), &AMPLE)
            });
        });
        is_done.store(true, Ordering::Relaxed);
    });
    let quota = Quota { kind: Kind::Sliding, window_ms: 1_000, ..fixed(50_000_000) };
    let window = SlidingWindow::holding(Counts { id: 1_700_000_000, ..Counts::default() }, 1_000).unwrap();
    let mut now_ms = 1_700_000_000_000;
    group.bench_function("sliding_window/charge", |bencher| {
        bencher.iter(|| {
            turn = turn.wrapping_add(1);
            now_ms += u64::from(turn.is_multiple_of(1 << 12));
            window.charge(black_box(now_ms), &quota)
        });
    });
    group.finish();
}

/// Live keys are charged in an order that no cache foresees.
fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit");
    for count in [1_000, 50_000, KEYS] {
        let table = Table::new(2 * KEYS, 0, 0);
        let mut local = Local::default();
        // Built for each charge, as requests build theirs.
        let mut key = b"/apisix/routes/1:2793826603:10.".to_vec();
        let start = key.len();
        let mut charge = |index: usize| {
            key.truncate(start);
            push_decimal(&mut key, index as u64);
            local.charge(&table, black_box(&key), Moment::default(), &fixed(1_000_000))
        };
        for index in 0..count {
            charge(index);
        }
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("by_key", count), |bencher| {
            bencher.iter(|| {
                turn = (turn + 7_919) % count;
                charge(turn)
            });
        });
    }
    group.finish();
}

/// The whole plugin, headers included.
fn plugin(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit");
    let table = Arc::new(Table::new(2 * KEYS, 0, 0));
    let build = |configuration: &Value| {
        let site = Site {
            key: "/apisix/routes/1",
            consumer: None,
            meta: None,
            metadata: None,
            paces: &Arc::default(),
            limits: &table,
        };
        (registry::find("limit-count").unwrap().build)(configuration, &site).unwrap()
    };
    let mut by_name = Vec::new();
    for (name, configuration, count) in [
        ("constant", json!({"count": 1_000_000_000_u64, "time_window": 3600, "key": "x", "key_type": "constant"}), 1),
        ("remote_addr", json!({"count": 1_000_000_000_u64, "time_window": 3600}), KEYS as u32),
        ("over_limit", json!({"count": 1, "time_window": 3600, "key": "y", "key_type": "constant"}), 1),
    ] {
        by_name.push((name, build(&configuration), count));
    }
    let mut request = OwnedRequest::new("GET", "/").field("Host", "gateway");
    for (name, plugin, count) in by_name {
        let (mut scratch, mut edits, consumers) = (Scratch::default(), Edits::default(), ConsumerTable::default());
        let mut local = Local::new(Settings::default(), Arc::default());
        let mut ask = |address: u32| {
            request.remote_addr = std::net::Ipv4Addr::from(0x0A00_0000 + address).into();
            edits.clear();
            let mut context = Context::new(Now::default(), &consumers, &mut edits, &mut scratch, &mut local);
            matches!(plugin.access(black_box(&request.view()), &mut context), Verdict::Continue)
        };
        for address in 0..count {
            ask(address);
        }
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("plugin", name), |bencher| {
            bencher.iter(|| {
                turn = (turn + 7_919) % count;
                ask(turn)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, windows, keys, plugin);
criterion_main!(benches);
