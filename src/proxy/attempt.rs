//! One try at an upstream node: a connection, the request, the response head.
//!
//! Says of every failure what the client would be told and whether another try may follow: a request that cannot be
//! repeated safely is sent once (spec/routing-and-upstreams §6.5).

use super::exchange::{Client, Exchange};
use super::request_out::push_request_head;
use super::upload::{Upload, UploadError, pump};
use crate::http::framing::Framing;
use crate::http::request_head::Progress;
use crate::http::response_head::ResponseHead;
use crate::net::conn::{Lent, ReadBytes, ReadHalf, WriteHalf};
use crate::net::race::{First, race};
use crate::net::{Conn, NetError};
use crate::upstream::pool::Pooled;
use crate::upstream::{Node, PassHost, Timeouts, Upstream};
use crate::worker::state::State;
use std::net::SocketAddr;
use std::pin::pin;

/// What a try is made with; the same for every try of a request.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The worker.
    pub state: &'a State,
    /// The upstream.
    pub upstream: &'a Upstream,
    /// Its waits.
    pub timeouts: Timeouts,
    /// The buffer that holds the request's head and what came with it.
    pub buffer: &'a [u8],
    /// The client's ends.
    pub client: Client,
    /// Whether the method may be sent twice (RFC 9110 §9.2.2).
    pub is_repeatable: bool,
}

/// An upstream has answered: its head is in the exchange, what followed is in `buffer` after it.
#[derive(Debug)]
pub struct Answered {
    /// The connection.
    pub pooled: Pooled,
    /// The response bytes read so far.
    pub buffer: Vec<u8>,
    /// What the client sent beyond the request.
    pub rest: Rest,
}

/// Where the client's next request begins.
#[derive(Debug)]
pub enum Rest {
    /// At this offset of the request's buffer.
    InBuffer(usize),
    /// In a buffer of its own.
    Separate(Vec<u8>),
    /// Nowhere: the body was not read to its end, so the connection must close.
    Unread,
}

/// A try that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// Whose fault, and what follows from it.
    pub cause: Cause,
    /// Whether another node may be asked.
    pub may_retry: bool,
}

/// Why a try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The node refused, broke off or sent nonsense: 502.
    Upstream,
    /// The node was silent for too long: 504.
    UpstreamTimeout,
    /// The request's body is malformed: 400.
    Body,
    /// The request's body is too large: 413.
    BodyTooLarge,
    /// The client's body stopped coming: 408.
    BodyTimeout,
    /// The client is gone; there is nobody to answer.
    ClientGone,
}

impl Cause {
    /// The status for the client, and for the log (499 where nobody is left to read it).
    pub fn status(self) -> u16 {
        match self {
            Self::Upstream => 502,
            Self::UpstreamTimeout => 504,
            Self::Body => 400,
            Self::BodyTooLarge => 413,
            Self::BodyTimeout => 408,
            Self::ClientGone => 499,
        }
    }

    fn of(error: NetError) -> Self {
        match error {
            NetError::TimedOut => Self::UpstreamTimeout,
            NetError::Abandoned => Self::ClientGone,
            NetError::Failed(_) => Self::Upstream,
        }
    }
}

/// Tries `node` at `address`, at `now_us`. A pooled connection that turns out dead before it said anything costs no try.
pub async fn attempt(
    ask: &Ask<'_>,
    exchange: &mut Exchange,
    client_conn: &mut Conn,
    node: &Node,
    address: SocketAddr,
    now_us: u64,
) -> Result<Answered, Failed> {
    let state = ask.state;
    note_host(ask.upstream, node, &mut exchange.upstream_host);
    let body_end = whole_body_end(exchange, ask.buffer);
    // A body that is still arriving can be sent once only.
    let is_repeatable = ask.is_repeatable && body_end.is_some();
    let mut may_reuse = true;
    loop {
        let pooled = if may_reuse { state.pool.take(address, now_us) } else { None };
        let is_reused = pooled.is_some();
        let mut pooled = match pooled {
            Some(pooled) => pooled,
            // Rare, and large for its timer: not inside this future.
            None => Box::pin(connect(ask, address)).await?,
        };
        pooled.uses += 1;
        pooled.conn.wait_for(Some(client_conn));
        let mut out = state.buffers.head();
        push_request_head(&mut out, exchange, ask.buffer, ask.client, &state.settings, ask.upstream, node);
        let failed = match body_end {
            Some(end) => {
                out.extend_from_slice(ask.buffer.get(exchange.head.end..end).unwrap_or_default());
                match send_whole(ask, exchange, &mut pooled.conn, out).await {
                    Ok(buffer) => return Ok(Answered { pooled, buffer, rest: Rest::InBuffer(end) }),
                    Err(failed) => failed,
                }
            }
            None => return Box::pin(send_streamed(ask, exchange, client_conn, pooled, out)).await,
        };
        if failed.cause == Cause::ClientGone {
            return Err(Failed { may_retry: false, ..failed });
        }
        let is_dead_connection = is_reused && failed.may_retry && failed.cause == Cause::Upstream;
        if !is_dead_connection || !is_repeatable {
            return Err(Failed { may_retry: failed.may_retry && is_repeatable, ..failed });
        }
        // Once more, on a fresh one: a request that kills connections must not go through the whole pool.
        may_reuse = false;
    }
}

/// Notes for the log what `Host` this node is sent, where it is not the client's.
fn note_host(upstream: &Upstream, node: &Node, note: &mut Vec<u8>) {
    note.clear();
    match &upstream.pass_host {
        PassHost::Pass => {}
        PassHost::Node => note.extend_from_slice(&node.host_field),
        PassHost::Rewrite(host) => note.extend_from_slice(host),
    }
}

async fn connect(ask: &Ask<'_>, address: SocketAddr) -> Result<Pooled, Failed> {
    ask.state.cells.upstream_connections.add(1);
    match Conn::connect(address, &ask.state.watch, ask.timeouts.connect).await {
        Ok(conn) => Ok(Pooled { conn, uses: 0 }),
        // Nothing was sent, so any method may be tried elsewhere.
        Err(error) => Err(Failed { cause: Cause::of(error), may_retry: true }),
    }
}

/// The offset after the body, if all of it came with the head in a form that can be sent again as it stands.
fn whole_body_end(exchange: &Exchange, buffer: &[u8]) -> Option<usize> {
    let head = &exchange.head;
    match head.framing {
        Framing::None => Some(head.end),
        Framing::Length(length) => {
            let end = (head.end as u64).checked_add(length)?;
            (end <= buffer.len() as u64).then_some(end as usize)
        }
        Framing::Chunked | Framing::ToClose => None,
    }
}

/// Sends a request that is complete in `out` and reads the response head. `may_retry` says that no byte of a response
/// had come.
async fn send_whole(ask: &Ask<'_>, exchange: &mut Exchange, conn: &mut Conn, out: Vec<u8>) -> Result<Vec<u8>, Failed> {
    let (result, mut buffer) = conn.write_all(out, ask.timeouts.send).await;
    if let Err(error) = result {
        return Err(Failed { cause: Cause::of(error), may_retry: true });
    }
    // The request's buffer serves for the response: both are one head and perhaps a small body.
    buffer.clear();
    if buffer.capacity() == 0 {
        buffer = ask.state.buffers.head();
    }
    read_response(ask, exchange, conn, buffer).await
}

/// Sends a request whose body is still arriving, while listening for an answer that comes before its end.
async fn send_streamed(
    ask: &Ask<'_>,
    exchange: &mut Exchange,
    client_conn: &mut Conn,
    pooled: Pooled,
    mut out: Vec<u8>,
) -> Result<Answered, Failed> {
    let state = ask.state;
    let no_retry = |cause| Failed { cause, may_retry: false };
    let mut upload = Upload::new(exchange.head.framing, state.settings.limits.body_bytes_max);
    let came_with_head = ask.buffer.get(exchange.head.end..).unwrap_or_default();
    let taken = upload.take(came_with_head, &mut out).map_err(|error| no_retry(upload_cause(error)))?;
    if exchange.head.expects_continue && !upload.is_done() && came_with_head.is_empty() {
        let (result, _) = client_conn.write_all(CONTINUE.to_vec(), state.settings.timeouts.send).await;
        result.map_err(|_| no_retry(Cause::ClientGone))?;
    }
    let uses = pooled.uses;
    let (mut read_half, mut write_half) = pooled.conn.split();
    let (result, out) = write_half.write_all(out, ask.timeouts.send).await;
    state.buffers.give(out);
    result.map_err(|error| no_retry(Cause::of(error)))?;

    let mut rest = Rest::InBuffer(exchange.head.end + taken);
    let mut buffer = state.buffers.head();
    if !upload.is_done() {
        let (got, back) =
            upload_and_listen(ask, client_conn, &mut upload, (&mut read_half, &mut write_half), buffer).await?;
        rest = got;
        buffer = back;
    }
    let buffer = read_response(ask, exchange, &mut read_half, buffer)
        .await
        .map_err(|failed| Failed { may_retry: false, ..failed })?;
    match Conn::join(read_half, write_half) {
        Some(conn) => Ok(Answered { pooled: Pooled { conn, uses }, buffer, rest }),
        None => Err(no_retry(Cause::Upstream)),
    }
}

/// Pumps the body until it ends, or until the upstream answers or stops taking it. Returns where the next request
/// begins, and the response bytes that have come.
async fn upload_and_listen(
    ask: &Ask<'_>,
    client_conn: &mut Conn,
    upload: &mut Upload,
    (read_half, write_half): (&mut ReadHalf, &mut WriteHalf),
    buffer: Vec<u8>,
) -> Result<(Rest, Vec<u8>), Failed> {
    let no_retry = |cause| Failed { cause, may_retry: false };
    let listened = |(result, buffer): Lent<usize>| match result {
        Ok(0) => Err(no_retry(Cause::Upstream)),
        Ok(_) => Ok(buffer),
        Err(error) => Err(no_retry(Cause::of(error))),
    };
    let mut buffer = buffer;
    let (rest, listen) = {
        let mut pumping = pin!(pump(ask.state, client_conn, &mut *write_half, upload, ask.timeouts.send));
        loop {
            let mut listen = Box::pin(read_half.listen(buffer));
            match race(pumping.as_mut(), listen.as_mut()).await {
                First::Left(Ok(leftover)) => break (Rest::Separate(leftover), listen),
                // The upstream may have answered before it closed; what it said counts.
                First::Left(Err(UploadError::Upstream(_))) => break (Rest::Unread, listen),
                First::Left(Err(error)) => return Err(no_retry(upload_cause(error))),
                First::Right(heard) => buffer = listened(heard)?,
            }
            if is_answer(&buffer, ask.state.settings.limits.response_head_bytes_max) {
                return Ok((Rest::Unread, buffer));
            }
            // 100, 102, 103 or the beginning of a head: the body is still wanted.
            if buffer.len() == buffer.capacity() {
                buffer.reserve(buffer.capacity());
            }
        }
    };
    write_half.expect_answer(ask.timeouts.read);
    listened(listen.await).map(|buffer| (rest, buffer))
}

/// Whether what an upstream has said during an upload is its final word, or nonsense, rather than interim responses.
fn is_answer(buffer: &[u8], bytes_max: usize) -> bool {
    let mut head = ResponseHead::default();
    let mut start = 0;
    for _ in 0..INTERIM_MAX {
        match head.advance(buffer, start, false, bytes_max) {
            Ok(Progress::Partial) => return false,
            Ok(Progress::Complete) if head.is_interim() && head.status != 101 => {
                start = head.end;
                head.clear();
            }
            Ok(Progress::Complete) | Err(_) => return true,
        }
    }
    true
}

fn upload_cause(error: UploadError) -> Cause {
    match error {
        UploadError::Malformed => Cause::Body,
        UploadError::TooLarge => Cause::BodyTooLarge,
        UploadError::Client(NetError::TimedOut) => Cause::BodyTimeout,
        UploadError::Client(NetError::Abandoned | NetError::Failed(_)) => Cause::ClientGone,
        UploadError::Upstream(error) => Cause::of(error),
    }
}

/// Reads until a final response head is complete; interim ones are dropped. `buffer` may hold its first bytes.
async fn read_response(
    ask: &Ask<'_>,
    exchange: &mut Exchange,
    from: &mut impl ReadBytes,
    mut buffer: Vec<u8>,
) -> Result<Vec<u8>, Failed> {
    let bytes_max = ask.state.settings.limits.response_head_bytes_max;
    let to_head = exchange.head.method.of(ask.buffer) == b"HEAD";
    let head = &mut exchange.response;
    let mut start = 0;
    let mut interim_count = 0;
    head.clear();
    loop {
        let malformed = Failed { cause: Cause::Upstream, may_retry: false };
        if !buffer.is_empty() {
            match head.advance(&buffer, start, to_head, bytes_max) {
                Ok(Progress::Complete) if !head.is_interim() => return Ok(buffer),
                // 101 would make a tunnel that nobody asked for.
                Ok(Progress::Complete) if head.status == 101 || interim_count >= INTERIM_MAX => return Err(malformed),
                Ok(Progress::Complete) => {
                    interim_count += 1;
                    start = head.end;
                    head.clear();
                    continue;
                }
                Ok(Progress::Partial) => {}
                Err(_) => return Err(malformed),
            }
        }
        if buffer.len() == buffer.capacity() {
            buffer.reserve(buffer.capacity());
        }
        let had_bytes = !buffer.is_empty();
        let (result, back) = from.read(buffer, ask.timeouts.read).await;
        buffer = back;
        match result {
            Ok(0) => return Err(Failed { cause: Cause::Upstream, may_retry: !had_bytes }),
            Ok(_) => {}
            Err(error) => return Err(Failed { cause: Cause::of(error), may_retry: !had_bytes }),
        }
    }
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Interim responses before a final one.
const INTERIM_MAX: usize = 16;
