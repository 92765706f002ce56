//! One pipelined connection to one server: commands go out in the order they are asked, replies are matched in order.
//!
//! Made when it is first needed. `AUTH` and `SELECT` come first, and nothing else is sent before they are granted: what
//! counts in the wrong database, or for nobody, would count for good. When the oldest question is not answered in time
//! the connection is closed, and all that wait on it fail; so a reply never meets another question.

use super::RedisError;
use super::deployment::Target;
use super::names;
use super::reply::{Reply, decode};
use super::script::push_command;
use super::signal::{Later, Signal};
use super::tls::Session;
use crate::base::clock::monotonic_us;
use crate::metrics::Cells;
use crate::net::conn::{Closer, ReadHalf, WriteHalf};
use crate::net::race::both;
use crate::net::watch::Watch;
use crate::net::{Conn, NetError, task};
use crate::worker::guard::guarded;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A connection, or the lack of one.
pub(super) struct Link {
    target: Arc<Target>,
    watch: Rc<Watch>,
    cells: Arc<Cells>,
    state: RefCell<State>,
    /// Of a connection with TLS.
    session: RefCell<Option<Session>>,
    /// There is something to write, or nothing more to write for.
    to_write: Signal,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Commands that were not handed to the connection yet.
    out: Vec<u8>,
    /// Who waits for a reply, the oldest first; the last of them may be in `out` still.
    awaiting: VecDeque<Question>,
    closer: Option<Closer>,
    /// Why the connection is being closed, where that is known better than its end tells.
    reason: Option<RedisError>,
    used_us: u64,
    keepalive: Duration,
    /// The connection is being closed because nobody used it: what is asked meanwhile goes out on the next.
    is_retiring: bool,
    /// Failures in a row, and when the next try may be made.
    failures: u32,
    retry_us: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Down,
    Connecting,
    /// That many replies to `AUTH` and `SELECT` are to come.
    Greeting(usize),
    Up,
    Closing,
}

struct Question {
    answer: Rc<Answer>,
    /// When whoever asked gives up.
    until_us: u64,
}

type Answer = Later<Result<Reply, RedisError>>;

impl Link {
    pub(super) fn new(target: Arc<Target>, watch: Rc<Watch>, cells: Arc<Cells>) -> Self {
        let (state, session, to_write) = (RefCell::default(), RefCell::new(None), Signal::default());
        Self { target, watch, cells, state, session, to_write }
    }

    /// Asks one question and waits at most `wait` for the reply. An error reply is an error.
    pub(super) async fn ask(
        self: &Rc<Self>,
        wait: Duration,
        keepalive: Duration,
        push: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Reply, RedisError> {
        let answer = self.submit(wait, keepalive, push)?;
        match task::within(wait, answer.take()).await {
            Some(Ok(Reply::Error(text))) => Err(RedisError::refused(&text)),
            Some(result) => result,
            None => {
                self.close_if_overdue();
                Err(RedisError::TimedOut)
            }
        }
    }

    /// [`Link::ask`] with `ASKING` right before.
    pub(super) async fn ask_asking(
        self: &Rc<Self>,
        wait: Duration,
        keepalive: Duration,
        push: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Reply, RedisError> {
        // If that is refused, the command is redirected or refused as well.
        drop(self.submit(wait, keepalive, |out| push_command(out, &[b"ASKING"]))?);
        self.ask(wait, keepalive, push).await
    }

    /// Closes a connection that nobody has used for its keepalive time. Whether the link may be forgotten.
    pub(super) fn is_idle(&self, now_us: u64) -> bool {
        let mut state = self.state.borrow_mut();
        let idle_us = now_us.saturating_sub(state.used_us);
        if !state.awaiting.is_empty() || u128::from(idle_us) < state.keepalive.as_micros() {
            return false;
        }
        if let (Some(closer), Phase::Up) = (state.closer.clone(), state.phase) {
            state.phase = Phase::Closing;
            state.is_retiring = true;
            closer.close();
        }
        state.phase == Phase::Down
    }

    /// Queues a command.
    fn submit(
        self: &Rc<Self>,
        wait: Duration,
        keepalive: Duration,
        push: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Rc<Answer>, RedisError> {
        let mut state = self.state.borrow_mut();
        let now_us = monotonic_us();
        if state.awaiting.len() >= IN_FLIGHT_MAX {
            return Err(RedisError::Full);
        }
        match state.phase {
            Phase::Down if now_us < state.retry_us => return Err(RedisError::Down),
            Phase::Down => {
                state.phase = Phase::Connecting;
                task::spawn(Rc::clone(self).run(wait));
            }
            Phase::Closing if !state.is_retiring => return Err(RedisError::Down),
            Phase::Closing | Phase::Connecting | Phase::Greeting(_) | Phase::Up => {}
        }
        push(&mut state.out);
        let answer = Later::new();
        let until_us = now_us.saturating_add(wait.as_micros() as u64);
        state.awaiting.push_back(Question { answer: Rc::clone(&answer), until_us });
        state.used_us = now_us;
        state.keepalive = keepalive;
        drop(state);
        self.to_write.raise();
        Ok(answer)
    }

    /// Closes the connection if its oldest question is overdue: the server has said nothing for that long.
    fn close_if_overdue(&self) {
        let mut state = self.state.borrow_mut();
        let is_overdue = state.awaiting.front().is_some_and(|oldest| oldest.until_us <= monotonic_us());
        // Connecting has the same time, and ends by itself.
        if let Some(closer) = state.closer.clone().filter(|_| is_overdue) {
            state.reason.get_or_insert(RedisError::TimedOut);
            closer.close();
        }
    }

    /// A connection's life, and the next one's if something was asked while it retired.
    async fn run(self: Rc<Self>, wait: Duration) {
        let reason = loop {
            let living = pin!(self.live(wait));
            let reason = guarded(living).await.unwrap_or_else(|_| {
                self.cells.panics.add(1);
                RedisError::Unexpected("a defect")
            });
            *self.session.borrow_mut() = None;
            let mut state = self.state.borrow_mut();
            state.closer = None;
            if !std::mem::take(&mut state.is_retiring) || state.awaiting.is_empty() {
                break reason;
            }
            state.phase = Phase::Connecting;
        };
        let mut state = self.state.borrow_mut();
        let reason = state.reason.take().unwrap_or(reason);
        let was_idle = state.phase == Phase::Closing && state.awaiting.is_empty();
        if !was_idle {
            let backoff = BACKOFF_MIN.saturating_mul(1 << state.failures.min(BACKOFF_DOUBLINGS)).min(BACKOFF_MAX);
            // A connection that has served is tried again at once; the first that fails then begins to wait.
            let has_served = state.failures == 0 && state.phase == Phase::Closing;
            state.retry_us = if has_served { 0 } else { monotonic_us().saturating_add(backoff.as_micros() as u64) };
            state.failures = state.failures.saturating_add(1);
        }
        state.phase = Phase::Down;
        state.out.clear();
        let awaiting = std::mem::take(&mut state.awaiting);
        drop(state);
        if !was_idle {
            tracing::debug!(target = ?self, %reason, "connection to Redis lost");
        }
        for question in awaiting {
            question.answer.set(Err(reason.clone()));
        }
    }

    /// Connects, then reads and writes until the connection ends. Why it did.
    async fn live(&self, wait: Duration) -> RedisError {
        let conn = match task::within(wait, self.connect(wait)).await {
            Some(Ok(conn)) => conn,
            Some(Err(error)) => return error,
            None => return RedisError::Connect(io::ErrorKind::TimedOut),
        };
        if let Some(tls) = &self.target.access.tls {
            match Session::new(tls, &self.target.host) {
                Ok(session) => *self.session.borrow_mut() = Some(session),
                Err(error) => return error,
            }
        }
        let closer = conn.closer();
        let (read, write) = conn.split();
        let mut greeting = Vec::new();
        let questions = self.push_greeting(&mut greeting);
        {
            let mut state = self.state.borrow_mut();
            state.phase = if questions == 0 { Phase::Up } else { Phase::Greeting(questions) };
            state.closer = Some(closer.clone());
        }
        // Whichever ends first closes the connection, so the other ends too: no operation is dropped in flight.
        let reading = async {
            let why = self.read(read).await;
            self.state.borrow_mut().phase = Phase::Closing;
            closer.close();
            self.to_write.raise();
            why
        };
        let writing = async {
            let why = self.write(write, greeting, wait).await;
            self.state.borrow_mut().phase = Phase::Closing;
            closer.close();
            why
        };
        let (reading, writing) = (pin!(reading), pin!(writing));
        let (why, failed_to_write) = both(reading, writing).await;
        failed_to_write.unwrap_or(why)
    }

    async fn connect(&self, wait: Duration) -> Result<Conn, RedisError> {
        let mut last = RedisError::Connect(io::ErrorKind::AddrNotAvailable);
        for address in names::addresses(&self.target.host, self.target.port).await? {
            match Conn::connect(address, &self.watch, wait).await {
                Ok(conn) => return Ok(conn),
                Err(NetError::Failed(kind)) => last = RedisError::Connect(kind),
                Err(_) => last = RedisError::Connect(io::ErrorKind::TimedOut),
            }
        }
        Err(last)
    }

    /// Appends what must be granted first (spec/limit-count §2); how many replies that has.
    fn push_greeting(&self, out: &mut Vec<u8>) -> usize {
        let access = &self.target.access;
        let mut questions = 0;
        if !access.password.is_empty() {
            match &access.username {
                Some(user) => push_command(out, &[b"AUTH", user.as_bytes(), access.password.as_bytes()]),
                None => push_command(out, &[b"AUTH", access.password.as_bytes()]),
            }
            questions += 1;
        }
        if access.database != 0 {
            push_command(out, &[b"SELECT", access.database.to_string().as_bytes()]);
            questions += 1;
        }
        questions
    }

    async fn read(&self, mut from: ReadHalf) -> RedisError {
        let mut wire = Vec::with_capacity(READ_BYTES);
        let mut plain = Vec::new();
        loop {
            let (result, back) = from.listen(wire).await;
            wire = back;
            match result {
                Ok(0) => return RedisError::Closed(io::ErrorKind::UnexpectedEof),
                Ok(_) => {}
                Err(error) => return RedisError::closed(error),
            }
            let opened = if let Some(session) = &mut *self.session.borrow_mut() {
                session.open(&wire, &mut plain).map(|is_over| (is_over, session.wants_write()))
            } else {
                plain.extend_from_slice(&wire);
                Ok((false, false))
            };
            wire.clear();
            let (is_over, has_more_to_say) = match opened {
                Ok(found) => found,
                Err(error) => return error,
            };
            if has_more_to_say {
                self.to_write.raise();
            }
            let mut at = 0;
            loop {
                match decode(plain.get(at..).unwrap_or_default()) {
                    Ok(Some((reply, length))) => {
                        at += length;
                        if let Err(error) = self.deliver(reply) {
                            return error;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return error,
                }
            }
            plain.drain(..at);
            if is_over {
                return RedisError::Closed(io::ErrorKind::UnexpectedEof);
            }
        }
    }

    /// Hands a reply to who asked.
    fn deliver(&self, reply: Reply) -> Result<(), RedisError> {
        let mut state = self.state.borrow_mut();
        if let Phase::Greeting(questions) = state.phase {
            if let Reply::Error(text) = &reply {
                return Err(RedisError::refused(text));
            }
            state.phase = if questions > 1 { Phase::Greeting(questions - 1) } else { Phase::Up };
            self.to_write.raise();
            return Ok(());
        }
        let question = state.awaiting.pop_front().ok_or(RedisError::Unexpected("one that nobody asked for"))?;
        state.failures = 0;
        drop(state);
        question.answer.set(Ok(reply));
        Ok(())
    }

    /// Writes the greeting, then whatever is asked. Ends when the connection does; what failed, if that was writing.
    async fn write(&self, mut to: WriteHalf, greeting: Vec<u8>, wait: Duration) -> Option<RedisError> {
        let mut plain = greeting;
        let mut wire = Vec::new();
        loop {
            let is_closing = {
                let mut state = self.state.borrow_mut();
                if state.phase == Phase::Up && plain.is_empty() {
                    std::mem::swap(&mut plain, &mut state.out);
                }
                state.phase == Phase::Closing
            };
            if is_closing {
                return None;
            }
            let sealed = if let Some(session) = &mut *self.session.borrow_mut() {
                session.seal(&plain, &mut wire)
            } else {
                std::mem::swap(&mut plain, &mut wire);
                Ok(())
            };
            if let Err(error) = sealed {
                return Some(error);
            }
            plain.clear();
            if wire.is_empty() {
                self.to_write.raised().await;
                continue;
            }
            let (result, back) = to.write_all(wire, wait).await;
            wire = back;
            wire.clear();
            if let Err(error) = result {
                return Some(RedisError::closed(error));
            }
        }
    }
}

/// Host and port: all that a log line may say of a target.
impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.target.host, self.target.port)
    }
}

/// Questions that may wait on one connection; more fail at once.
pub(super) const IN_FLIGHT_MAX: usize = 4096;
const READ_BYTES: usize = 16 << 10;
/// After a failure nothing is tried for this long, doubled with each further one.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(400);
const BACKOFF_DOUBLINGS: u32 = 3;
