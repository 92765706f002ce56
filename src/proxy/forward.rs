//! A request that passed its phases: tries at upstream nodes, then the response to the client.

use super::attempt::{Answered, Ask, Cause, Rest, attempt};
use super::download::{Broken, Download};
use super::exchange::{Client, Exchange};
use super::phases::Forward;
use super::response_out::{Delimiter, delimiter, push_response_head};
use crate::base::clock::monotonic_us;
use crate::log::record::Try;
use crate::net::Conn;
use crate::net::conn::ReadBytes;
use crate::upstream::pool::Pooled;
use crate::worker::state::State;
use std::net::SocketAddr;

/// How a forwarded request ended, as far as the client's connection goes.
#[derive(Debug)]
pub enum Ended {
    /// Answered in full; the connection may go on with what is named here.
    Answered(Rest),
    /// Not answered yet: the session answers with this status' page.
    Failed(u16),
    /// Broken off, or the client left: the connection must close.
    Broken,
}

/// Forwards the request in `buffer` and relays the answer.
pub async fn forward(
    state: &State,
    exchange: &mut Exchange,
    conn: &mut Conn,
    buffer: &[u8],
    client: Client,
    forward: &Forward,
) -> Ended {
    let upstream = &*forward.upstream.upstream;
    let ask = Ask {
        state,
        upstream,
        timeouts: forward.timeouts,
        buffer,
        client,
        is_repeatable: !matches!(exchange.head.method.of(buffer), b"POST" | b"PATCH" | b"LOCK"),
    };
    let tries_max = upstream.retries.map_or(upstream.nodes.len(), |retries| retries as usize + 1).clamp(1, TRIES_MAX);
    let mut status = 502;
    while exchange.tries.len() < tries_max {
        let picked = forward.upstream.balance.pick(&mut exchange.tried);
        let Some(index) = picked else { break };
        let address = forward.upstream.balance.address(upstream, index);
        let (Some(node), Some(address)) = (upstream.nodes.get(index), address) else { break };
        let mut started_us = exchange.now.monotonic_us;
        if !exchange.tries.is_empty() {
            state.cells.retries.add(1);
            started_us = monotonic_us();
        }
        match attempt(&ask, exchange, conn, node, address, started_us).await {
            Ok(answered) => {
                let us = monotonic_us().saturating_sub(started_us);
                exchange.tries.push(Try { address, status: exchange.response.status, us });
                return relay(exchange, conn, answered, &ask, address, started_us).await;
            }
            Err(failed) => {
                let ended_us = monotonic_us();
                status = failed.cause.status();
                tracing::debug!(upstream = %upstream.key, %address, cause = ?failed.cause, "try failed");
                exchange.tries.push(Try { address, status, us: ended_us.saturating_sub(started_us) });
                if failed.cause == Cause::ClientGone {
                    exchange.status = 499;
                    return Ended::Broken;
                }
                let is_late = !upstream.retry_timeout.is_zero()
                    && u128::from(ended_us.saturating_sub(exchange.started_us)) > upstream.retry_timeout.as_micros();
                if is_late {
                    status = 502;
                }
                if !failed.may_retry || is_late || state.draining.get() {
                    break;
                }
            }
        }
    }
    Ended::Failed(status)
}

/// Sends the response head and the body. Head and what came with it leave in one write; when that was all, the
/// upstream connection is free for the next request before the client has read a byte.
async fn relay(
    exchange: &mut Exchange,
    conn: &mut Conn,
    answered: Answered,
    ask: &Ask<'_>,
    address: SocketAddr,
    started_us: u64,
) -> Ended {
    let state = ask.state;
    let Answered { pooled, buffer, rest } = answered;
    let head = &exchange.response;
    exchange.status = head.status;
    let end_delimiter = delimiter(head.framing, exchange.head.minor_version);
    let keep_alive = exchange.head.keep_alive
        && end_delimiter != Delimiter::Close
        && !matches!(rest, Rest::Unread)
        && !state.draining.get();
    let is_upstream_reusable = head.keep_alive && !matches!(rest, Rest::Unread);
    let head_end = head.end;
    let head_us = exchange.tries.last().map_or(0, |last| last.us);
    let now = exchange.now.at(started_us.saturating_add(head_us));
    let mut out = state.buffers.head();
    push_response_head(&mut out, state, exchange, &buffer, keep_alive, now);
    let mut download = Download::new(exchange.response.framing, end_delimiter);
    let came_with_head = buffer.get(head_end..).unwrap_or_default();
    let Ok(taken) = download.take(came_with_head, &mut out, &mut exchange.chunks) else {
        return Ended::Failed(502);
    };
    let has_surplus = taken < came_with_head.len();
    state.buffers.give(buffer);
    let mut pooled = Some(pooled);
    if download.is_done() {
        let unused = pooled.take().filter(|_| is_upstream_reusable && !has_surplus);
        keep(ask, address, unused, now.monotonic_us);
    }
    let (result, out) = conn.write_all(out, state.settings.timeouts.send).await;
    state.buffers.give(out);
    exchange.body_bytes_sent = download.sent;
    if result.is_err() {
        return Ended::Broken;
    }
    if let Some(mut pooled) = pooled {
        // Boxed, so that the many responses that end with their first read do not carry room for it.
        let outcome = Box::pin(relay_rest(exchange, conn, &mut pooled, &mut download, ask)).await;
        exchange.body_bytes_sent = download.sent;
        let ended_us = monotonic_us();
        if let Some(last) = exchange.tries.last_mut() {
            last.us = ended_us.saturating_sub(started_us);
        }
        let Ok(has_surplus) = outcome else {
            if end_delimiter == Delimiter::Close {
                // Only a reset tells an HTTP/1.0 client that this was not the end of the body.
                conn.reset_on_close();
            }
            return Ended::Broken;
        };
        let unused = Some(pooled).filter(|_| is_upstream_reusable && !has_surplus);
        keep(ask, address, unused, ended_us);
    }
    if keep_alive { Ended::Answered(rest) } else { Ended::Answered(Rest::Unread) }
}

fn keep(ask: &Ask<'_>, address: SocketAddr, pooled: Option<Pooled>, now_us: u64) {
    if let Some(pooled) = pooled {
        ask.state.pool.give(address, pooled, &ask.upstream.keepalive, now_us);
    }
}

/// Relays what is still to come of the body, one buffer at a time. Returns whether the upstream sent more than that.
async fn relay_rest(
    exchange: &mut Exchange,
    conn: &mut Conn,
    pooled: &mut Pooled,
    download: &mut Download,
    ask: &Ask<'_>,
) -> Result<bool, Broken> {
    let state = ask.state;
    let mut input = state.buffers.relay();
    let mut out = state.buffers.relay();
    let mut has_surplus = false;
    while !download.is_done() {
        input.clear();
        let (result, back) = pooled.conn.read(input, ask.timeouts.read).await;
        input = back;
        let count = result.map_err(|_| Broken)?;
        if count > 0 && download.passes_through(count) {
            let (result, back) = conn.write_all(input, state.settings.timeouts.send).await;
            input = back;
            result.map_err(|_| Broken)?;
            continue;
        }
        out.clear();
        if count == 0 {
            download.take_end(&mut out)?;
        } else {
            has_surplus = download.take(&input, &mut out, &mut exchange.chunks)? < input.len();
        }
        if !out.is_empty() {
            let (result, back) = conn.write_all(out, state.settings.timeouts.send).await;
            out = back;
            result.map_err(|_| Broken)?;
        }
    }
    state.buffers.give(input);
    state.buffers.give(out);
    Ok(has_surplus)
}

/// Tries of one request, whatever `retries` says.
const TRIES_MAX: usize = 32;
