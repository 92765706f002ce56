//! One worker: a thread pinned to a core, with its own runtime, listeners, tables and connections.
//!
//! Workers share nothing but counters. They are told what to do through their mailbox, and that they should stop
//! through the same doorbell. A worker never ends by itself: if it does, the process ends with it rather than serve
//! with fewer cores.

pub mod driver;
pub mod guard;
pub mod settings;
pub mod slots;
pub mod state;
pub mod tables;

use crate::base::clock::{Now, monotonic_us};
use crate::listener;
use crate::log;
use crate::metrics::Cells;
use crate::net::watch::TICK;
use crate::snapshot::feed::Mailbox;
use driver::DriverKind;
use monoio::io::AsyncReadRent;
use settings::Settings;
use state::State;
use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a worker starts with.
#[derive(Debug)]
pub struct Plan {
    /// From 0.
    pub index: usize,
    /// The core to stay on, if any.
    pub core: Option<usize>,
    /// The I/O driver.
    pub driver: DriverKind,
    /// Its own listening sockets.
    pub listeners: Vec<std::net::TcpListener>,
    /// Waits, limits, switches.
    pub settings: Arc<Settings>,
    /// Where its configuration comes from.
    pub mailbox: Mailbox,
    /// Rings when the mailbox has something, and when `stop` was set.
    pub doorbell: UnixStream,
    /// Its counters.
    pub cells: Arc<Cells>,
    /// Its way to the access log.
    pub log: log::Writer,
    /// Set when workers should drain.
    pub stop: Arc<AtomicBool>,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was told to stop and has no connection left, or the drain took too long; the thread stays parked.
    Drained {
        /// Connections that were still open.
        cut_off: usize,
    },
    /// It could not start, or it broke.
    Broken(String),
}

/// Starts a worker. `on_end` is called once, from its thread, when it has drained or broken.
pub fn spawn(plan: Plan, on_end: impl FnOnce(End) + Send + 'static) -> std::io::Result<()> {
    let name = format!("worker-{}", plan.index);
    std::thread::Builder::new().name(name).spawn(move || run(plan, on_end)).map(drop)
}

fn run(plan: Plan, on_end: impl FnOnce(End)) {
    if let Some(core) = plan.core
        && let Err(error) = monoio::utils::bind_to_cpu_set([core])
    {
        tracing::warn!(worker = plan.index, core, %error, "cannot pin the worker to its core");
    }
    let kind = plan.driver;
    let on_end = Cell::new(Some(on_end));
    let report = |end| {
        if let Some(on_end) = on_end.take() {
            on_end(end);
        }
    };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        driver::run(kind, || async {
            report(match serve(plan).await {
                Ok(cut_off) => End::Drained { cut_off },
                Err(error) => End::Broken(error.to_string()),
            });
            // Operations may still be in flight, and the kernel writes into their buffers: the runtime is never
            // dropped, the process ends around it.
            std::future::pending::<()>().await;
        })
    }));
    report(End::Broken(match outcome {
        Ok(Ok(())) => "the runtime returned".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the worker panicked".to_owned(),
    }));
}

/// Serves until told to stop; returns the connections that were still open when the drain's time was up.
///
/// Fails if a socket cannot be used: a worker that does not listen, or hears of no change, must not seem to serve.
async fn serve(plan: Plan) -> std::io::Result<usize> {
    set_blocking_mode(&plan)?;
    let doorbell = monoio::net::UnixStream::from_std(plan.doorbell)?;
    let seed = (plan.index as u64 + 1).wrapping_mul(Now::read().unix_us | 1);
    let state = Rc::new(State::new(plan.settings, plan.mailbox, plan.cells, plan.log, seed));
    let listening = plan.listeners.into_iter().map(|listener| listener::start(Rc::clone(&state), listener));
    let listening: Vec<listener::Shutdown> = listening.collect::<std::io::Result<_>>()?;
    monoio::spawn(housekeep(Rc::clone(&state)));
    attend(&state, doorbell, &plan.stop).await;
    state.draining.set(true);
    for shutdown in listening {
        shutdown.now();
    }
    Ok(drain(&state).await)
}

/// epoll wants sockets that never block; `io_uring` would take that as "do not wait" and report every wait as a failure.
fn set_blocking_mode(plan: &Plan) -> std::io::Result<()> {
    let is_nonblocking = plan.driver == DriverKind::Epoll;
    plan.doorbell.set_nonblocking(is_nonblocking)?;
    plan.listeners.iter().try_for_each(|listener| listener.set_nonblocking(is_nonblocking))
}

/// Listens to the doorbell until told to stop.
async fn attend(state: &State, mut doorbell: monoio::net::UnixStream, stop: &AtomicBool) {
    let mut rings = vec![0_u8; 64];
    loop {
        state.catch_up();
        if stop.load(Ordering::Acquire) {
            return;
        }
        let (result, back) = doorbell.read(rings).await;
        rings = back;
        if !matches!(result, Ok(count) if count > 0) {
            // The control side is gone: the process is about to end.
            return;
        }
    }
}

/// Lets requests in flight finish, for as long as the settings allow.
async fn drain(state: &State) -> usize {
    let until_us = monotonic_us().saturating_add(state.settings.drain_max.as_micros() as u64);
    while state.cells.connections.value() > 0 && monotonic_us() < until_us {
        // Again and again: a connection may have become idle just after the last look.
        state.watch.wake_idle();
        monoio::time::sleep(DRAIN_LOOK_EVERY).await;
    }
    state.log.borrow_mut().flush();
    state.cells.connections.value() as usize
}

/// Every tick: sets the clock, ends waits that have expired. Once a second: closes what has idled out, hands on what is logged.
async fn housekeep(state: Rc<State>) {
    let mut swept_us = 0;
    loop {
        let now_us = monotonic_us();
        state.clock.set();
        state.watch.tick(now_us);
        if now_us.saturating_sub(swept_us) >= SWEEP_EVERY.as_micros() as u64 {
            swept_us = now_us;
            state.pool.sweep(now_us);
            state.redis.sweep(now_us);
            state.log.borrow_mut().flush();
        }
        monoio::time::sleep(TICK).await;
    }
}

const SWEEP_EVERY: Duration = Duration::from_secs(1);
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(10);
