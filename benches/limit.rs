//! What a limit costs: a window charged by one and by two threads, a rejection, and by key among a million; and beside
//! that what memory takes for one load at random, which is the least that a key among a million can cost.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench has no users, and a failure should stop it"
)]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ringgate::auth::consumer::ConsumerTable;
use ringgate::auth::jwt::Scratch;
use ringgate::base::array::Array;
use ringgate::base::bytes::push_decimal;
use ringgate::base::clock::Now;
use ringgate::http::request::OwnedRequest;
use ringgate::limit::fixed_window::{Count, FixedWindow};
use ringgate::limit::sliding_window::{Counts, SlidingWindow};
use ringgate::limit::{Charge, Kind, Local, Moment, Quota, Settings, Table};
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

/// One load after another over as much memory as the table has for a million keys, each where the one before says: in
/// pages as the allocator has them (4 KiB unless the system says otherwise) and in huge ones.
fn floor(criterion: &mut Criterion) {
    let places = FLOOR_BYTES / size_of::<[u64; 4]>();
    chase(criterion, "small_pages", &mut vec![[0; 4]; places]);
    chase(criterion, "huge_pages", &mut Array::filled([0; 4], places));
}

fn chase(criterion: &mut Criterion, name: &str, places: &mut [[u64; 4]]) {
    // One cycle through all places, in random order.
    let mut order: Vec<usize> = (0..places.len()).collect();
    let mut random = Random::default();
    for index in (1..order.len()).rev() {
        order.swap(index, random.below(index));
    }
    for (from, to) in order.iter().zip(order.iter().cycle().skip(1)) {
        places[*from][0] = *to as u64;
    }
    let mut place = 0;
    criterion.benchmark_group("limit").bench_function(BenchmarkId::new("floor", name), |bencher| {
        bencher.iter(|| {
            place = places[place][0] as usize;
            place
        });
    });
}

/// Charges one of `keys` per turn, each as likely as any other; keys are built for each charge, as requests build theirs.
struct Charger<'t> {
    table: &'t Table,
    local: Local,
    key: Vec<u8>,
    random: Random,
    keys: usize,
}

impl<'t> Charger<'t> {
    fn new(table: &'t Table, keys: usize) -> Self {
        let key = PREFIX.to_vec();
        Self { table, local: Local::default(), key, random: Random::default(), keys }
    }

    fn fill(mut self) -> Self {
        for index in 0..self.keys {
            self.charge(index);
        }
        self
    }

    fn charge(&mut self, index: usize) -> Charge {
        self.key.truncate(PREFIX.len());
        push_decimal(&mut self.key, index as u64);
        self.local.charge(self.table, black_box(&self.key), Moment::default(), &fixed(1 << 40))
    }

    fn turn(&mut self) -> Charge {
        let index = self.random.below(self.keys);
        self.charge(index)
    }
}

/// Numbers in an order that no cache foresees (splitmix64).
#[derive(Default)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((u128::from(mixed ^ mixed >> 31) * bound as u128) >> 64) as usize
    }
}

fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit");
    for count in [1_000, 50_000, 300_000, KEYS] {
        let table = Table::new(2 * KEYS, 0, 0);
        let mut charger = Charger::new(&table, count).fill();
        group.bench_function(BenchmarkId::new("by_key", count), |bencher| bencher.iter(|| charger.turn()));
    }
    // Another thread does the same all the time: with one key it always wants the same lock.
    for (name, count) in [("two_threads_one_key", 1), ("two_threads_1000000", KEYS)] {
        let table = Table::new(2 * KEYS, 0, 0);
        let mut charger = Charger::new(&table, count).fill();
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut other = Charger { random: Random(1), ..Charger::new(&table, count) };
                while !is_done.load(Ordering::Relaxed) {
                    black_box(other.turn());
                }
            });
            group.bench_function(BenchmarkId::new("by_key", name), |bencher| bencher.iter(|| charger.turn()));
            is_done.store(true, Ordering::Relaxed);
        });
    }
    group.finish();
}

const PREFIX: &[u8] = b"/apisix/routes/1:2793826603:10.";
const FLOOR_BYTES: usize = 64 << 20;

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

criterion_group!(benches, windows, floor, keys, plugin);
criterion_main!(benches);
