//! What the tasks of one worker share. Single-threaded: no lock, and no borrow held across a wait.

use super::settings::Settings;
use super::tables::Tables;
use crate::auth::jwt::Scratch;
use crate::base::clock::{Clock, Now, http_date};
use crate::limit::Local;
use crate::log;
use crate::metrics::{Cells, KnownRejections};
use crate::net::buffer::Buffers;
use crate::net::watch::Watch;
use crate::proxy::answers::Answers;
use crate::proxy::exchange::Exchange;
use crate::snapshot::feed::Mailbox;
use crate::upstream::pool::Pool;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// One worker's state.
#[derive(Debug)]
pub struct State {
    /// Waits, limits, switches.
    pub settings: Arc<Settings>,
    /// The compiled configuration.
    pub tables: RefCell<Tables>,
    /// Idle upstream connections.
    pub pool: Pool,
    /// Free buffers.
    pub buffers: Buffers,
    /// The time, for requests.
    pub clock: Clock,
    /// Deadlines of all connections.
    pub watch: Rc<Watch>,
    /// Counters.
    pub cells: Arc<Cells>,
    /// Access-log records on their way out.
    pub log: RefCell<log::Writer>,
    /// What authentication reuses between requests.
    pub scratch: RefCell<Scratch>,
    /// What limits keep per worker.
    pub limits: RefCell<Local>,
    /// The counters of rejections that this worker has used.
    pub rejections: RefCell<KnownRejections>,
    /// Connections to Redis.
    pub redis: Rc<crate::redis::Client>,
    /// The gateway's own answers.
    pub answers: Answers,
    /// Set once when the worker stops accepting.
    pub draining: Cell<bool>,
    mailbox: RefCell<Mailbox>,
    #[expect(clippy::vec_box, reason = "an exchange is large, and travels between list and connection")]
    free_exchanges: RefCell<Vec<Box<Exchange>>>,
    date: RefCell<(u64, [u8; DATE_BYTES])>,
}

impl State {
    /// The state of a worker that has seen no configuration yet.
    pub fn new(settings: Arc<Settings>, mailbox: Mailbox, cells: Arc<Cells>, log: log::Writer, seed: u64) -> Self {
        let scratch = RefCell::new(Scratch::new(&settings.jwt, Arc::clone(&cells)));
        let limits = RefCell::new(Local::new(settings.limit_count, Arc::clone(&cells)));
        let rejections = RefCell::new(KnownRejections::new(Arc::clone(&cells.rejections)));
        let watch: Rc<Watch> = Rc::default();
        Self {
            redis: Rc::new(crate::redis::Client::new(Rc::clone(&watch), Arc::clone(&cells))),
            settings,
            tables: RefCell::new(Tables::new(seed)),
            pool: Pool::default(),
            buffers: Buffers::default(),
            clock: Clock::new(),
            watch,
            cells,
            log: RefCell::new(log),
            scratch,
            limits,
            rejections,
            answers: Answers::new(),
            draining: Cell::new(false),
            mailbox: RefCell::new(mailbox),
            free_exchanges: RefCell::default(),
            date: RefCell::new((u64::MAX, [b' '; DATE_BYTES])),
        }
    }

    /// Applies what the control side has sent, if anything. Called before each request is decided.
    #[inline]
    pub fn catch_up(&self) {
        let mut mailbox = self.mailbox.borrow_mut();
        if mailbox.is_behind() {
            let mut tables = self.tables.borrow_mut();
            mailbox.apply(|batch| tables.apply(batch));
        }
    }

    /// An exchange to fill.
    pub fn exchange(&self) -> Box<Exchange> {
        self.free_exchanges.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes an exchange back, keeping its memory for the next.
    pub fn recycle(&self, mut exchange: Box<Exchange>) {
        let mut free = self.free_exchanges.borrow_mut();
        if free.len() < EXCHANGES_KEPT_MAX {
            exchange.clear();
            free.push(exchange);
        }
    }

    /// Appends the `Date` line, rendered once a second.
    pub fn push_date(&self, out: &mut Vec<u8>, now: Now) {
        let second = now.unix_s();
        let mut date = self.date.borrow_mut();
        if date.0 != second {
            let text = http_date(second);
            if let Ok(bytes) = <[u8; DATE_BYTES]>::try_from(text.as_bytes()) {
                *date = (second, bytes);
            }
        }
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(&date.1);
        out.extend_from_slice(b"\r\n");
    }
}

/// Length of an IMF-fixdate (RFC 9110 §5.6.7).
const DATE_BYTES: usize = 29;
/// Free exchanges kept per worker.
const EXCHANGES_KEPT_MAX: usize = 1024;
