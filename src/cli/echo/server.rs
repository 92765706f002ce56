//! The echo origin's connections, on monoio with monoio-http's request decoder.
//!
//! The decoder has no limits of its own and panics on a header name beyond 64 KiB, so it reads through [`Bounded`],
//! and each connection runs under `catch_unwind`. Answers are rendered here: the crate's encoder claims
//! `content-length: 0` for an answer to `HEAD`.

use super::answers::{Answer, Question, answer};
use crate::base::clock::http_date;
use axum::http::{HeaderMap, StatusCode, Version};
use monoio::buf::{IoBufMut, IoVecBufMut};
use monoio::io::stream::Stream;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable};
use monoio::net::{TcpListener, TcpStream};
use monoio::time::timeout;
use monoio::{BufResult, FusionDriver, RuntimeBuilder};
use monoio_http::common::body::BodyExt;
use monoio_http::h1::codec::decoder::{FillPayload, RequestDecoder};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Listens on `address`, calls `announce` with the real one and serves for ever, on `io_uring` where the kernel has it.
pub(super) fn serve(address: SocketAddr, announce: impl FnOnce(SocketAddr) -> io::Result<()>) -> anyhow::Result<()> {
    let mut runtime = RuntimeBuilder::<FusionDriver>::new().enable_timer().build()?;
    runtime.block_on(async {
        let listener =
            TcpListener::bind(address).map_err(|error| anyhow::anyhow!("{address} cannot be listened on: {error}"))?;
        announce(listener.local_addr()?)?;
        accept(&listener).await;
        Ok(())
    })
}

async fn accept(listener: &TcpListener) {
    let open = Rc::new(());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) if Rc::strong_count(&open) <= CONNECTIONS_MAX => {
                let open = Rc::clone(&open);
                monoio::spawn(async move {
                    caught(connection(stream, peer)).await;
                    drop(open);
                });
            }
            Ok(_) => {}
            // Out of descriptors, most likely: some connection has to end first.
            Err(_) => monoio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Runs `future`; a panic ends it and nothing else.
async fn caught(future: impl Future<Output = io::Result<()>>) {
    let mut future = pin!(future);
    poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            // A connection that broke off is the client's affair.
            Ok(Poll::Ready(_)) | Err(_) => Poll::Ready(()),
        }
    })
    .await;
}

async fn connection(stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let peer = peer.ip().to_string();
    let (reading, mut writing) = stream.into_split();
    let left = Rc::new(Cell::new(0));
    let mut requests = RequestDecoder::new(Bounded { io: reading, left: Rc::clone(&left) });
    loop {
        left.set(HEAD_BYTES_MAX);
        let (head, payload) = match timeout(IDLE_MAX, requests.next()).await {
            Err(_) | Ok(None) => return Ok(()),
            Ok(Some(Err(_))) => return refuse(&mut writing, StatusCode::BAD_REQUEST).await,
            Ok(Some(Ok(request))) => request.into_parts(),
        };
        if announced_bytes(&head.headers).is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
            return refuse(&mut writing, StatusCode::PAYLOAD_TOO_LARGE).await;
        }
        if has_token(&head.headers, "expect", "100-continue") {
            write_all(&mut writing, b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()).await?;
        }
        left.set(BODY_BYTES_MAX + FRAMING_BYTES_MAX);
        if !matches!(timeout(IDLE_MAX, requests.fill_payload()).await, Ok(Ok(()))) {
            return refuse(&mut writing, StatusCode::BAD_REQUEST).await;
        }
        let Ok(body) = payload.bytes().await else {
            return refuse(&mut writing, StatusCode::BAD_REQUEST).await;
        };
        let question = Question {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            headers: &head.headers,
            body: &body,
            peer: &peer,
        };
        let answer = answer(&question);
        if !answer.delay.is_zero() {
            monoio::time::sleep(answer.delay).await;
        }
        let keep = match head.version {
            Version::HTTP_11 => !has_token(&head.headers, "connection", "close"),
            _ => has_token(&head.headers, "connection", "keep-alive"),
        };
        write_all(&mut writing, rendered(&answer, question.method == "HEAD", keep)).await?;
        if !keep {
            return writing.shutdown().await;
        }
    }
}

async fn refuse(writing: &mut impl AsyncWriteRent, status: StatusCode) -> io::Result<()> {
    let answer = Answer {
        status,
        content_type: "text/html; charset=utf-8",
        body: Vec::new(),
        allow: None,
        delay: Duration::ZERO,
    };
    write_all(writing, rendered(&answer, false, false)).await?;
    writing.shutdown().await
}

async fn write_all(writing: &mut impl AsyncWriteRent, bytes: Vec<u8>) -> io::Result<()> {
    match timeout(IDLE_MAX, writing.write_all(bytes)).await {
        Ok((result, _)) => result.map(drop),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Head and body in one piece. An answer to `HEAD` has the head of the `GET`.
fn rendered(answer: &Answer, head_only: bool, keep: bool) -> Vec<u8> {
    let status = answer.status;
    let date = http_date(crate::base::clock::unix().as_secs());
    let mut head = format!(
        "HTTP/1.1 {} {}\r\nServer: ringgate-echo\r\nDate: {date}\r\nConnection: {}\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Unknown"),
        if keep { "keep-alive" } else { "close" },
    );
    if let Some(allow) = answer.allow {
        head.push_str(&["Allow: ", allow, "\r\n"].concat());
    }
    // RFC 9110 §8.6: no Content-Length in a 204, and none that says 0 in a 304.
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        head.push_str(&["Content-Type: ", answer.content_type, "\r\n"].concat());
        head.push_str(&["Content-Length: ", &answer.body.len().to_string(), "\r\n"].concat());
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if !head_only {
        bytes.extend_from_slice(&answer.body);
    }
    bytes
}

fn announced_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get("content-length")?.to_str().ok()?.parse().ok()
}

fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

/// A reader that fails once it has given more bytes than `left` allows.
struct Bounded<IO> {
    io: IO,
    left: Rc<Cell<usize>>,
}

impl<IO> Bounded<IO> {
    fn charge<T>(&self, (result, buffer): BufResult<usize, T>) -> BufResult<usize, T> {
        let charged = result.and_then(|bytes| match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(bytes)
            }
            None => Err(io::Error::other("request too large")),
        });
        (charged, buffer)
    }
}

impl<IO: AsyncReadRent> AsyncReadRent for Bounded<IO> {
    async fn read<T: IoBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        let read = self.io.read(buffer).await;
        self.charge(read)
    }

    async fn readv<T: IoVecBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        let read = self.io.readv(buffer).await;
        self.charge(read)
    }
}

/// Below the 64 KiB header name on which the decoder panics.
const HEAD_BYTES_MAX: usize = 32 << 10;
const BODY_BYTES_MAX: usize = 16 << 20;
/// Chunk sizes, and what a client sends ahead of the next answer.
const FRAMING_BYTES_MAX: usize = 1 << 20;
const CONNECTIONS_MAX: usize = 16_384;
/// For the next request, for a whole body and for a whole answer.
const IDLE_MAX: Duration = Duration::from_secs(75);
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
