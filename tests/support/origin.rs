//! A real origin: HTTP/1.1 on threads, which remembers every request and answers as it is told.

use super::message::{self, Fields, Framing};
use super::{PATIENCE, wait_for};
use serde_json::json;
use std::collections::VecDeque;
use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A request as the origin got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    /// The method.
    pub(crate) method: String,
    /// The target as it stood in the request line.
    pub(crate) target: String,
    /// The field lines.
    pub(crate) fields: Fields,
    /// The body, without its framing.
    pub(crate) body: Vec<u8>,
    /// Which connection it came on, from 0.
    pub(crate) connection: usize,
}

/// What the origin does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Sends these bytes and keeps the connection.
    Raw(Vec<u8>),
    /// Sends these bytes and closes.
    RawThenClose(Vec<u8>),
    /// Sends these bytes once the latch is open, and keeps the connection.
    RawAfter(Latch, Vec<u8>),
    /// Says nothing until the gateway gives up.
    Silence,
}

/// Holds an answer back until a test lets it go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    /// Lets everything through, now and later.
    pub(crate) fn open(&self) {
        *locked(&self.0.0) = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open; for as long as any step of a test may take.
    pub(crate) fn wait(&self) {
        let is_shut = |is_open: &mut bool| !*is_open;
        drop(self.0.1.wait_timeout_while(locked(&self.0.0), PATIENCE, is_shut));
    }
}

/// Listens on a free port and serves each connection with `act`, for origins that do what none should.
pub(crate) fn by_hand(act: impl Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    let act = Arc::new(act);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let act = Arc::clone(&act);
            thread::spawn(move || act(&stream));
        }
    });
    address
}

/// A 200 with that body and its length.
pub(crate) fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut message = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    message.extend_from_slice(body);
    message
}

/// A listening origin; ends with its owner.
#[derive(Debug)]
pub(crate) struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    replies: Mutex<VecDeque<Reply>>,
    connections: AtomicUsize,
    stopped: AtomicBool,
}

impl Origin {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.stopped.load(Ordering::Acquire) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A peer that breaks off mid-message is an ordinary end of a connection.
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `host:port`, as an upstream's node.
    pub(crate) fn node(&self) -> String {
        self.address.to_string()
    }

    /// Queues what to do with the next request that has no script yet. Without script: 200 with [`echo`].
    pub(crate) fn script(&self, reply: Reply) {
        locked(&self.shared.replies).push_back(reply);
    }

    /// The requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        locked(&self.shared.received).clone()
    }

    /// Waits until there were `count` requests; returns them.
    pub(crate) fn wait_for_requests(&self, count: usize) -> Vec<Received> {
        wait_for("requests at the origin", || Some(self.received()).filter(|received| received.len() >= count))
    }

    /// The latest request; panics if there was none.
    pub(crate) fn last(&self) -> Received {
        self.received().pop().expect("the origin got a request")
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes the accepting thread; if this fails the listener has ended already.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let connection = shared.connections.fetch_add(1, Ordering::AcqRel);
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(received) = receive(&mut reader, connection)? {
        let reply = locked(&shared.replies).pop_front();
        let raw = reply.is_none().then(|| echo(&received));
        let closes = received.fields.lists("connection", "close");
        locked(&shared.received).push(received);
        let mut out = stream;
        match reply {
            None => out.write_all(&raw.unwrap_or_default())?,
            Some(Reply::Raw(bytes)) => out.write_all(&bytes)?,
            Some(Reply::RawAfter(latch, bytes)) => {
                latch.wait();
                out.write_all(&bytes)?;
            }
            Some(Reply::RawThenClose(bytes)) => {
                out.write_all(&bytes)?;
                return stream.shutdown(Shutdown::Both);
            }
            Some(Reply::Silence) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                return message::start_line(&mut reader).map(drop);
            }
        }
        if closes {
            return stream.shutdown(Shutdown::Both);
        }
    }
    Ok(())
}

fn receive(reader: &mut BufReader<&TcpStream>, connection: usize) -> io::Result<Option<Received>> {
    let Some(line) = message::start_line(reader)? else { return Ok(None) };
    let mut parts = line.splitn(3, ' ').map(str::to_owned);
    let (Some(method), Some(target), Some(_version)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let fields = message::fields(reader)?;
    if fields.lists("expect", "100-continue") {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = Framing::of(&fields, Framing::Empty)?.read(reader)?;
    Ok(Some(Received { method, target, fields, body, connection }))
}

/// A 200 whose JSON body says what came: `method`, `target`, `fields` (list of pairs), `body`, `connection`.
fn echo(received: &Received) -> Vec<u8> {
    let body = json!({
        "method": received.method,
        "target": received.target,
        "fields": received.fields.0,
        "body": String::from_utf8_lossy(&received.body),
        "connection": received.connection,
    })
    .to_string();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    // The answer to HEAD has the same fields and no body.
    if received.method == "HEAD" { head.into_bytes() } else { (head + &body).into_bytes() }
}

/// A test that panicked while it held the lock has failed already; the others still want the data.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
