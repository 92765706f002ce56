//! Names of Redis servers to addresses, as the system looks them up; on threads of their own, because that blocks.
//!
//! Once per connection made, not per request. At most [`LOOKUPS_MAX`] threads at a time for the whole process.

use super::RedisError;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// The addresses of `host`, at least one.
pub(super) async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, RedisError> {
    if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if RUNNING.fetch_add(1, Ordering::Relaxed) >= LOOKUPS_MAX {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        return Err(RedisError::Name("too many look-ups at a time".to_owned()));
    }
    let answer: Arc<Mutex<Answer>> = Arc::default();
    let (theirs, name) = (Arc::clone(&answer), host.to_owned());
    let started = std::thread::Builder::new().name("redis-name".to_owned()).spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect).map_err(|error| error.to_string());
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        let mut answer = theirs.lock().unwrap_or_else(PoisonError::into_inner);
        answer.found = Some(found);
        if let Some(waker) = answer.waker.take() {
            waker.wake();
        }
    });
    if let Err(error) = started {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        return Err(RedisError::Name(error.to_string()));
    }
    let found = poll_fn(|context| {
        let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = answer.found.take() {
            return Poll::Ready(found);
        }
        answer.waker = Some(context.waker().clone());
        Poll::Pending
    });
    match found.await {
        Ok(found) if found.is_empty() => Err(RedisError::Name("no address".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(RedisError::Name(error)),
    }
}

/// What a look-up's thread leaves for the worker.
#[derive(Default)]
struct Answer {
    found: Option<Result<Vec<SocketAddr>, String>>,
    waker: Option<Waker>,
}

static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// Look-ups at a time.
const LOOKUPS_MAX: usize = 16;
