//! `log/push`: what a request pays for its line. `log/line`: what the log thread pays.
#![allow(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ringgate::log::record::{Record, Try};
use ringgate::log::{Escape, Format, Options, Sink, format};
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

fn push(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/push");
    group.throughput(Throughput::Elements(1));
    for (name, path) in [("off", None), ("on", Some(PathBuf::from("/dev/null")))] {
        let options = Options { path, ..Options::default() };
        let (sink, mut writers) = Sink::start(&options, 1).expect("the log starts");
        if let Some(writer) = writers.first_mut() {
            group.bench_function(name, |bencher| bencher.iter(|| writer.push(black_box(&record()))));
        }
        drop(writers);
        sink.stop();
    }
    group.finish();
}

fn line(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/line");
    group.throughput(Throughput::Elements(1));
    for (name, text) in [("default", format::DEFAULT), ("json", format::JSON_LINES)] {
        let (format, _) = Format::compile(text, Escape::Default);
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || Vec::with_capacity(1024),
                |out| format.push_line(out, black_box(&record()), &[b'0'; 32]),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn record() -> Record<'static> {
    Record {
        unix_us: 1_795_437_647_123_456,
        request_us: 5_678,
        client: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_123)),
        method: b"GET",
        target: b"/anything/items/4711?page=2&size=50",
        minor_version: 1,
        host: b"api.example.com",
        upstream_host: b"",
        referer: b"https://www.example.com/shop/items",
        user_agent: b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        status: 200,
        body_bytes_sent: 321,
        tries: TRIES,
        route_id: b"jwt-route",
        service_id: b"",
        consumer: b"jack",
        rate_limiting_info: b"",
    }
}

const TRIES: &[Try] =
    &[Try { address: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1980), status: 200, us: 2_000 }];

criterion_group!(log, push, line);
criterion_main!(log);
