//! A client's connection from accept to close: read a head, decide, answer or forward, log, and again.

use super::attempt::{Cause, Rest};
use super::exchange::{Client, Exchange};
use super::forward::{Ended, forward};
use super::phases::{Decision, Paused, decide, resume};
use super::response_out::push_answer;
use crate::base::clock::monotonic_us;
use crate::http::field::Known;
use crate::http::framing::Framing;
use crate::http::request_head::{HeadError, Progress};
use crate::log::record::Record;
use crate::net::Conn;
use crate::net::conn::ReadBytes;
use crate::net::race::{First, race};
use crate::net::task::sleep;
use crate::net::watch::TICK;
use crate::plugin::Answer;
use crate::worker::slots::{Desk, Slots};
use crate::worker::state::State;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Serves one connection until either side ends it. `busy` holds the futures that serve connections that are busy.
pub async fn serve<F>(state: Rc<State>, conn: Conn, client: Client, busy: &Busy<F>)
where
    F: Future<Output = Infallible>,
{
    let mut conn = conn;
    let mut wait = state.settings.timeouts.head;
    loop {
        if state.draining.get() {
            return;
        }
        conn.set_idle(true);
        let readable = conn.readable(wait).await;
        conn.set_idle(false);
        if readable.is_err() {
            return;
        }
        let Some(back) = busy.run((conn, client)).await else { return };
        conn = back;
        wait = state.settings.timeouts.keepalive;
    }
}

/// Where connections are while they are busy: slots whose futures are [`serve_busy`].
pub type Busy<F> = Slots<F, (Conn, Client), Option<Conn>>;

/// Serves one busy connection after another. On each, requests for as long as bytes of another one are at hand; gives
/// the connection back when it is idle, and nothing when it is over.
pub async fn serve_busy(state: Rc<State>, desk: Rc<Desk<(Conn, Client), Option<Conn>>>) -> Infallible {
    loop {
        let (mut conn, client) = desk.job().await;
        let mut buffer = state.buffers.head();
        let next = loop {
            let mut exchange = state.exchange();
            let next = serve_one(&state, &mut exchange, &mut conn, client, &mut buffer).await;
            state.recycle(exchange);
            if next != Next::Request || buffer.is_empty() {
                break next;
            }
        };
        state.buffers.give(buffer);
        if next == Next::Linger {
            Box::pin(linger(&state, &mut conn)).await;
        }
        desk.done((next == Next::Request).then_some(conn));
    }
}

/// What follows an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another request; its bytes so far are in the buffer.
    Request,
    /// The connection is over.
    Close,
    /// The connection is over, but the client may still be sending: see [`linger`].
    Linger,
}

/// Serves one request; leaves the bytes of the next in `buffer`.
async fn serve_one(
    state: &State,
    exchange: &mut Exchange,
    conn: &mut Conn,
    client: Client,
    buffer: &mut Vec<u8>,
) -> Next {
    let head = read_head(state, exchange, conn, buffer).await;
    let next = match head {
        Ok(()) => {
            state.cells.requests.add(1);
            answer_or_forward(state, exchange, conn, client, buffer).await
        }
        Err(HeadFailure::Nothing) => return Next::Close,
        Err(HeadFailure::Cut) => {
            exchange.status = 400;
            Next::Close
        }
        Err(HeadFailure::Refused(error)) => {
            state.cells.requests.add(1);
            state.cells.malformed.add(1);
            tracing::debug!(client = %client.peer, %error, "request refused");
            exchange.head.keep_alive = false;
            let answer = state.answers.refusal(error);
            answer_client(state, exchange, conn, buffer, &answer, false).await;
            Next::Linger
        }
    };
    log(state, exchange, buffer, client);
    next
}

async fn answer_or_forward(
    state: &State,
    exchange: &mut Exchange,
    conn: &mut Conn,
    client: Client,
    buffer: &mut Vec<u8>,
) -> Next {
    let bytes_max = state.settings.limits.body_bytes_max;
    let is_too_large = matches!(exchange.head.framing, Framing::Length(length) if bytes_max > 0 && length > bytes_max);
    let mut decision =
        if is_too_large { Decision::Answer(state.answers.page(413)) } else { decide(state, exchange, buffer, client) };
    let answer = loop {
        decision = match decision {
            Decision::Answer(answer) => break answer,
            Decision::Forward(target) => match forward(state, exchange, conn, buffer, client, &target).await {
                Ended::Answered(rest) => return go_on(exchange, buffer, rest),
                Ended::Broken => return Next::Close,
                Ended::Failed(status) => break state.answers.page(status),
            },
            // Rare, and large: not inside this future.
            Decision::Wait(paused) => {
                let Some(next) = Box::pin(wait(state, exchange, conn, client, buffer, paused)).await else {
                    exchange.status = Cause::ClientGone.status();
                    return Next::Close;
                };
                next
            }
        };
    };
    answer_and_go_on(state, exchange, conn, buffer, &answer).await
}

/// Waits for what a plugin waits for, without a borrow of the worker's tables, then goes on at the time it is then.
/// Nothing if the client has gone meanwhile and nobody else cares.
async fn wait(
    state: &State,
    exchange: &mut Exchange,
    conn: &Conn,
    client: Client,
    buffer: &[u8],
    mut paused: Box<Paused>,
) -> Option<Decision> {
    if paused.may_be_left() {
        let mut waiting = pin!(paused.wait(state));
        while let First::Right(()) = race(waiting.as_mut(), pin!(sleep(TICK))).await {
            if conn.has_ended() {
                return None;
            }
        }
    } else {
        paused.wait(state).await;
    }
    exchange.now = state.clock.now();
    Some(resume(state, exchange, buffer, client, *paused))
}

/// Sends an answer of the gateway's own. The connection goes on only if the request's body, of which nothing was used,
/// is all here to be skipped.
async fn answer_and_go_on(
    state: &State,
    exchange: &mut Exchange,
    conn: &mut Conn,
    buffer: &mut Vec<u8>,
    answer: &Answer,
) -> Next {
    let body_end = match exchange.head.framing {
        Framing::None => Some(exchange.head.end),
        Framing::Length(length) => {
            let end = usize::try_from(length).ok().and_then(|length| exchange.head.end.checked_add(length));
            end.filter(|end| *end <= buffer.len())
        }
        Framing::Chunked | Framing::ToClose => None,
    };
    let keep_alive = exchange.head.keep_alive && body_end.is_some() && !state.draining.get();
    if !answer_client(state, exchange, conn, buffer, answer, keep_alive).await {
        return Next::Close;
    }
    match body_end {
        Some(end) if keep_alive => go_on(exchange, buffer, Rest::InBuffer(end)),
        Some(_) => Next::Close,
        None => Next::Linger,
    }
}

/// The head's spans must outlive the request for its log line, so the bytes are moved up only afterwards: the offset
/// is left in `head.end`.
fn go_on(exchange: &mut Exchange, buffer: &mut Vec<u8>, rest: Rest) -> Next {
    match rest {
        Rest::InBuffer(end) => {
            exchange.head.end = end;
            Next::Request
        }
        Rest::Separate(bytes) => {
            exchange.head.end = buffer.len();
            buffer.extend_from_slice(&bytes);
            Next::Request
        }
        Rest::Unread => Next::Linger,
    }
}

/// Writes an answer; whether the client has it.
async fn answer_client(
    state: &State,
    exchange: &mut Exchange,
    conn: &mut Conn,
    buffer: &[u8],
    answer: &Answer,
    keep_alive: bool,
) -> bool {
    let is_head = exchange.head.method.of(buffer) == b"HEAD";
    let mut out = state.buffers.head();
    push_answer(&mut out, state, exchange, answer, is_head, keep_alive);
    exchange.status = answer.status;
    exchange.body_bytes_sent = if is_head { 0 } else { answer.body.len() as u64 };
    let (result, out) = conn.write_all(out, state.settings.timeouts.send).await;
    state.buffers.give(out);
    result.is_ok()
}

/// Why no head came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeadFailure {
    /// The connection ended, or stayed silent, before a request began.
    Nothing,
    /// It ended, or stayed silent, within a head.
    Cut,
    /// The head is malformed or too large.
    Refused(HeadError),
}

/// Reads until a head is complete. `buffer` may hold its first bytes, or all of it (pipelining).
async fn read_head(
    state: &State,
    exchange: &mut Exchange,
    conn: &mut Conn,
    buffer: &mut Vec<u8>,
) -> Result<(), HeadFailure> {
    let limits = &state.settings.limits;
    let wait = state.settings.timeouts.head;
    exchange.started_us = 0;
    loop {
        if !buffer.is_empty() {
            exchange.now = state.clock.now();
            let now_us = exchange.now.monotonic_us;
            if exchange.started_us == 0 {
                exchange.started_us = now_us;
            }
            match exchange.head.advance(buffer, limits).map_err(HeadFailure::Refused)? {
                Progress::Complete => return Ok(()),
                Progress::Partial => {}
            }
            if now_us.saturating_sub(exchange.started_us) > wait.as_micros() as u64 {
                return Err(HeadFailure::Cut);
            }
        }
        if buffer.len() == buffer.capacity() {
            buffer.reserve(buffer.capacity());
        }
        let (result, back) = conn.read(std::mem::take(buffer), wait).await;
        *buffer = back;
        match result {
            Ok(0) | Err(_) => {
                let has_started = exchange.head.has_started(buffer);
                return Err(if has_started { HeadFailure::Cut } else { HeadFailure::Nothing });
            }
            Ok(_) => {}
        }
    }
}

/// Ends our side and reads on for a moment: closing while the client still sends would reset the connection and could
/// take the answer away from it (RFC 9112 §9.6).
async fn linger(state: &State, conn: &mut Conn) {
    conn.shutdown_write();
    let mut budget = LINGER_BYTES_MAX;
    let mut buffer = state.buffers.relay();
    let until_us = monotonic_us().saturating_add(LINGER_MAX.as_micros() as u64);
    loop {
        let left_us = until_us.saturating_sub(monotonic_us());
        if left_us == 0 {
            break;
        }
        buffer.clear();
        let (result, back) = conn.read(buffer, Duration::from_micros(left_us)).await;
        buffer = back;
        match result {
            Ok(count) if count > 0 && count < budget => budget -= count,
            Ok(_) | Err(_) => break,
        }
    }
    state.buffers.give(buffer);
}

/// Counts a rejection, leaves the request's record, if there is a log, then moves the next request's bytes to the front.
fn log(state: &State, exchange: &Exchange, buffer: &mut Vec<u8>, client: Client) {
    if exchange.edits.limited.is_rejected {
        state.rejections.borrow_mut().count(&exchange.route_id, consumer(exchange));
    }
    let mut log = state.log.borrow_mut();
    if log.is_on() {
        log.push(&record(exchange, buffer, client));
    }
    let end = exchange.head.end;
    if end >= buffer.len() {
        buffer.clear();
    } else {
        buffer.drain(..end);
    }
}

fn record<'a>(exchange: &'a Exchange, buffer: &'a [u8], client: Client) -> Record<'a> {
    let now = exchange.now.at(monotonic_us());
    let head = &exchange.head;
    let field = |known| {
        let found = head.fields.iter().find(|field| field.known == known);
        found.map(|field| field.value.of(buffer)).unwrap_or_default()
    };
    Record {
        unix_us: now.unix_us,
        request_us: now.monotonic_us.saturating_sub(exchange.started_us),
        client: SocketAddr::new(exchange.remote_addr.unwrap_or(client.peer.ip()), client.peer.port()),
        method: head.method.of(buffer),
        target: head.target.of(buffer),
        minor_version: head.minor_version,
        host: exchange.raw_host(buffer),
        upstream_host: &exchange.upstream_host,
        referer: field(Known::Referer),
        user_agent: field(Known::UserAgent),
        status: exchange.status,
        body_bytes_sent: exchange.body_bytes_sent,
        tries: &exchange.tries,
        route_id: &exchange.route_id,
        service_id: &exchange.service_id,
        consumer: consumer(exchange),
        rate_limiting_info: &exchange.edits.limited.info,
    }
}

fn consumer(exchange: &Exchange) -> &[u8] {
    exchange.identity.as_ref().map_or(b"", |identity| identity.username.as_bytes())
}

/// How long a closing connection is read on.
const LINGER_MAX: Duration = Duration::from_secs(5);
/// How many bytes of it.
const LINGER_BYTES_MAX: usize = 64 << 20;
