//! HTTP/1.1 messages: what a head costs, and what a chunked body costs on top of its bytes.
//!
//! The same request heads also run through monoio-http's decoder, the differential partner of the fuzz target
//! `monoio_http_differential`, and through httparse as a yardstick: it neither judges framing nor knows names.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench has no users, and a failure should stop it")]

use bytes::BytesMut;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use monoio_codec::Decoder;
use monoio_http::common::request::Request;
use monoio_http::h1::codec::decoder::{DirectWrapper, GenericHeadDecoder, RequestHeadDecoder};
use ringgate::http::chunked::{Chunked, LAST_CHUNK, push_chunk_start};
use ringgate::http::request_head::{Progress, RequestHead};
use ringgate::http::response_head::ResponseHead;
use ringgate::worker::settings::Limits;
use std::hint::black_box;

type MonoioHttp = GenericHeadDecoder<Request, RequestHeadDecoder, DirectWrapper>;

/// What wrk sends.
const MINIMAL: &str = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:9080\r\n\r\n";
/// What a browser sends.
const BROWSER: &str = "GET /shop/articles/4711?view=full HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Referer: https://shop.example.com/shop/articles\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\n\
    Server: nginx\r\n\
    Date: Sun, 15 Jun 2025 15:06:40 GMT\r\n\
    Content-Type: application/json; charset=utf-8\r\n\
    Content-Length: 1234\r\n\
    Connection: keep-alive\r\n\
    ETag: \"0123456789abcdef\"\r\n\
    Cache-Control: private, max-age=60\r\n\
    Vary: Accept-Encoding\r\n\r\n";
const BODY_BYTES: usize = 64 << 10;
/// The smallest chunks that senders write in practice: a few words of a stream of events.
const CRUMB_BYTES: usize = 16;

fn request_head(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http/request_head");
    let fields: Vec<String> = (1..32).map(|index| format!("X-Field-{index:02}: some value {index}\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: a.example\r\n{}\r\n", fields.concat());
    for (shape, text) in [("minimal", MINIMAL), ("browser", BROWSER), ("32-fields", &many)] {
        let text = text.as_bytes();
        group.throughput(Throughput::Bytes(text.len() as u64));
        let (mut head, limits) = (RequestHead::default(), Limits::default());
        group.bench_function(BenchmarkId::new("ringgate", shape), |bencher| {
            bencher.iter(|| {
                head.clear();
                assert_eq!(head.advance(black_box(text), &limits), Ok(Progress::Complete));
                head.fields.len()
            });
        });
        group.bench_function(BenchmarkId::new("monoio-http", shape), |bencher| {
            let mut decoder = MonoioHttp::default();
            bencher.iter_batched(
                || BytesMut::from(text),
                |mut buffer| decoder.decode(black_box(&mut buffer)).is_ok(),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(BenchmarkId::new("httparse", shape), |bencher| {
            bencher.iter(|| {
                let mut fields = [httparse::EMPTY_HEADER; 64];
                let mut request = httparse::Request::new(&mut fields);
                assert!(request.parse(black_box(text)).unwrap().is_complete());
                request.headers.len()
            });
        });
    }
    group.finish();
}

fn response_head(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http/response_head");
    let text = RESPONSE.as_bytes();
    group.throughput(Throughput::Bytes(text.len() as u64));
    let mut head = ResponseHead::default();
    group.bench_function("ringgate", |bencher| {
        bencher.iter(|| {
            head.clear();
            assert_eq!(head.advance(black_box(text), 0, false, 64 << 10), Ok(Progress::Complete));
            head.fields.len()
        });
    });
    group.bench_function("httparse", |bencher| {
        bencher.iter(|| {
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut fields);
            assert!(response.parse(black_box(text)).unwrap().is_complete());
            response.headers.len()
        });
    });
    group.finish();
}

fn chunked(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http/chunked");
    group.throughput(Throughput::Bytes(BODY_BYTES as u64));
    for (shape, chunk_bytes) in [("one-chunk", BODY_BYTES), ("crumbs", CRUMB_BYTES)] {
        let mut body = Vec::new();
        for _ in 0..BODY_BYTES / chunk_bytes {
            push_chunk_start(&mut body, chunk_bytes);
            body.extend(std::iter::repeat_n(b'x', chunk_bytes));
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(LAST_CHUNK);
        group.bench_function(shape, |bencher| {
            bencher.iter(|| {
                let (mut decoder, mut rest, mut data_bytes) = (Chunked::default(), black_box(&body[..]), 0);
                while !decoder.is_done() {
                    let step = decoder.step(rest).unwrap();
                    data_bytes += step.data;
                    rest = rest.get(step.skip + step.data..).unwrap();
                }
                assert_eq!(data_bytes, BODY_BYTES);
            });
        });
    }
    group.finish();
}

/// As in the binary; monoio-http's decoder allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(benches, request_head, response_head, chunked);
criterion_main!(benches);
