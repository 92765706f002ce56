//! `snapshot::compile`: one change among many objects, and the initial load.
//!
//! Run with `cargo bench --bench compile`. Every consumer has one jwt-auth credential with a secret of 38 bytes.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ringgate::snapshot::compile::Compiler;
use ringgate::store::Event;
use std::hint::black_box;
use std::sync::Arc;

/// Consumers of a large installation.
const CONSUMERS: u64 = 100_000;

criterion_group!(benches, load, one_change);
criterion_main!(benches);

/// An empty compiler takes everything at once, in key order, as a store hands it over.
fn load(criterion: &mut Criterion) {
    let events = installation();
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10).throughput(Throughput::Elements(CONSUMERS));
    group.bench_function("load/100000 consumers with a credential", |bench| {
        bench.iter_batched(
            Compiler::default,
            |mut compiler| (compiler.apply(&events), compiler),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A full compiler takes one event, again and again.
fn one_change(criterion: &mut Criterion) {
    let mut compiler = Compiler::default();
    compiler.apply(&installation());
    let mut group = criterion.benchmark_group("compile");
    let cases = [
        ("one credential among 100000", credential(CONSUMERS / 2, CONSUMERS + 1)),
        ("one consumer among 100000, with its credential", consumer(CONSUMERS / 2, CONSUMERS + 1)),
    ];
    for (name, event) in cases {
        group.bench_function(name, |bench| bench.iter(|| black_box(compiler.apply(std::slice::from_ref(&event)))));
    }
    group.finish();
}

fn installation() -> Vec<Event> {
    (0..CONSUMERS).flat_map(|number| [consumer(number, number), credential(number, number)]).collect()
}

fn consumer(number: u64, revision: u64) -> Event {
    Event {
        revision,
        key: format!("/apisix/consumers/consumer-{number:06}").into(),
        value: Some(text(&format!(
            r#"{{"username":"consumer-{number:06}","labels":{{"custom_id":"{number}"}},"create_time":1764000000,"update_time":1764000000}}"#
        ))),
    }
}

fn credential(number: u64, revision: u64) -> Event {
    Event {
        revision,
        key: format!("/apisix/consumers/consumer-{number:06}/credentials/jwt").into(),
        value: Some(text(&format!(
            r#"{{"id":"jwt","plugins":{{"jwt-auth":{{"key":"key-{number:06}","secret":"a-secret-of-enough-bytes-for-hs256-{number:06}","algorithm":"HS256"}}}},"create_time":1764000000,"update_time":1764000000}}"#
        ))),
    }
}

fn text(json: &str) -> Arc<str> {
    json.into()
}
