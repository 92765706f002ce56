//! What a credential's way to the store and back costs, per object: at start each one is opened once.
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up reports by panicking")]
#![allow(missing_docs, reason = "what criterion's macros make has none")]

use criterion::{Criterion, criterion_group, criterion_main};
use ringgate::sealing::{Format, Key, Keyring, Sealing};
use serde_json::json;
use std::hint::black_box;
use std::sync::Arc;

fn credential(criterion: &mut Criterion) {
    let key = "/apisix/consumers/jack/credentials/cred-jack";
    let conf = json!({"key": "jack-key", "secret": "jack-hs256-secret-that-is-very-long"});
    let object = json!({"id": "cred-jack", "plugins": {"jwt-auth": conf}, "create_time": 1, "update_time": 1});
    let clear: Arc<str> = object.to_string().into();
    let keys = vec![Key::generate().unwrap()];
    for (name, format) in
        [("authenticated", Format::Authenticated), ("apisix", Format::Apisix), ("clear", Format::Clear)]
    {
        let sealing = Sealing::new(format, keys.clone(), Keyring::new(Keyring::PUBLIC).unwrap());
        let sealed = sealing.seal(key, &clear).unwrap();
        criterion.bench_function(&format!("sealing/seal/{name}"), |bencher| {
            bencher.iter(|| sealing.seal(black_box(key), black_box(&clear)).unwrap());
        });
        criterion.bench_function(&format!("sealing/open/{name}"), |bencher| {
            bencher.iter(|| sealing.open(black_box(key), black_box(&sealed)));
        });
    }
}

criterion_group!(benches, credential);
criterion_main!(benches);
