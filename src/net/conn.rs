//! One TCP connection, either side: reads that append, writes that finish, each with its own wait.

use super::watch::{Direction, End, Watch, Watched};
use crate::base::fd::{self, Peeked};
use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;
use rustix::net::Shutdown;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// A connection.
#[derive(Debug)]
pub struct Conn {
    /// Before the stream, so that the place is left before the descriptor closes.
    watched: Rc<Watched>,
    stream: TcpStream,
}

/// Why an operation did not do what was asked. The connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetError {
    /// Nothing happened within the wait.
    TimedOut,
    /// The client that the operation was for has gone.
    Abandoned,
    /// Refused, reset, unreachable, out of descriptors.
    Failed(io::ErrorKind),
}

/// What an operation gives back: its outcome, and the buffer it was lent.
pub type Lent<T> = (Result<T, NetError>, Vec<u8>);

impl Conn {
    /// Takes over an accepted or connected stream.
    pub fn new(stream: TcpStream, watch: &Rc<Watch>) -> Self {
        // Heads and small bodies leave in one write; Nagle's delay would only hold back the last part of larger ones.
        let _ = stream.set_nodelay(true);
        Self { watched: Rc::new(watch.enter(stream.as_raw_fd())), stream }
    }

    /// Connects to `address`.
    pub async fn connect(address: SocketAddr, watch: &Rc<Watch>, wait: Duration) -> Result<Self, NetError> {
        match monoio::time::timeout(wait, TcpStream::connect_addr(address)).await {
            Ok(Ok(stream)) => Ok(Self::new(stream, watch)),
            Ok(Err(error)) => Err(NetError::Failed(error.kind())),
            Err(_) => Err(NetError::TimedOut),
        }
    }

    /// Says whether the connection waits for a request, and may be ended when the worker drains.
    pub fn set_idle(&self, is_idle: bool) {
        self.watched.set_idle(is_idle);
    }

    /// Waits on this connection are for `client` from now on: they end when it goes. `None`: for nobody in particular.
    pub fn wait_for(&self, client: Option<&Self>) {
        self.watched.wait_for(client.map(|client| &*client.watched));
    }

    /// Our end's address.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    /// Waits until there is something to read (or the end), without lending a buffer.
    pub async fn readable(&self, wait: Duration) -> Result<(), NetError> {
        self.watched.arm(Direction::Read, wait);
        let result = self.stream.readable(false).await;
        settle(self.watched.disarm(), result)
    }

    /// Writes all of `buffer`; `wait` bounds each step towards that.
    pub fn write_all(&mut self, buffer: Vec<u8>, wait: Duration) -> impl Future<Output = Lent<()>> {
        write_to(&mut self.stream, &self.watched, buffer, wait)
    }

    /// Whether an idle connection has been closed, or has sent something nobody asked for.
    pub fn is_stale(&self) -> bool {
        fd::peek(self.stream.as_raw_fd()) != Peeked::Nothing
    }

    /// Whether the peer has closed or reset the connection, and nothing that it sent is left to read.
    pub fn has_ended(&self) -> bool {
        fd::peek(self.stream.as_raw_fd()) == Peeked::Ended
    }

    /// Ends our direction: the peer reads the end once it has read everything.
    pub fn shutdown_write(&self) {
        fd::shutdown(self.stream.as_raw_fd(), Shutdown::Write);
    }

    /// Makes closing send a reset, so that the peer cannot take a message cut short for a whole one.
    pub fn reset_on_close(&self) {
        fd::reset_on_close(self.stream.as_raw_fd());
    }

    /// Splits into halves that can be used at the same time. They share one wait: only one of them may be timed.
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        let (read, write) = self.stream.into_split();
        (ReadHalf(Rc::clone(&self.watched), read), WriteHalf(self.watched, write))
    }

    /// What can end this connection from elsewhere, also once it is split.
    pub fn closer(&self) -> Closer {
        Closer(Rc::downgrade(&self.watched))
    }

    /// Joins what [`Conn::split`] made; `None` if they are not the halves of one connection.
    pub fn join(read: ReadHalf, write: WriteHalf) -> Option<Self> {
        read.1.reunite(write.1).ok().map(|stream| Self { watched: read.0, stream })
    }
}

/// Ends a connection that somebody else is using: the operations in flight end by themselves.
#[derive(Debug, Clone)]
pub struct Closer(Weak<Watched>);

impl Closer {
    /// Shuts both directions down; nothing if the connection is closed already.
    pub fn close(&self) {
        if let Some(watched) = self.0.upgrade() {
            watched.shutdown();
        }
    }
}

/// The reading half of a connection.
#[derive(Debug)]
pub struct ReadHalf(Rc<Watched>, OwnedReadHalf<TcpStream>);

/// The writing half of a connection.
#[derive(Debug)]
pub struct WriteHalf(Rc<Watched>, OwnedWriteHalf<TcpStream>);

/// What bytes can be read from: a connection, or its reading half.
pub trait ReadBytes {
    /// Appends what arrives to `buffer`, which must have spare capacity; 0 is the end.
    fn read(&mut self, buffer: Vec<u8>, wait: Duration) -> impl Future<Output = Lent<usize>>;
}

impl ReadBytes for Conn {
    fn read(&mut self, buffer: Vec<u8>, wait: Duration) -> impl Future<Output = Lent<usize>> {
        read_from(&mut self.stream, &self.watched, buffer, wait)
    }
}

impl ReadBytes for ReadHalf {
    fn read(&mut self, buffer: Vec<u8>, wait: Duration) -> impl Future<Output = Lent<usize>> {
        read_from(&mut self.1, &self.0, buffer, wait)
    }
}

impl ReadHalf {
    /// As [`ReadBytes::read`], for as long as it takes; see [`WriteHalf::expect_answer`].
    pub async fn listen(&mut self, buffer: Vec<u8>) -> Lent<usize> {
        let (start, end) = (buffer.len(), buffer.capacity());
        let (result, slice) = self.1.read(buffer.slice_mut(start..end)).await;
        (settle(self.0.disarm(), result), slice.into_inner())
    }
}

impl WriteHalf {
    /// Writes all of `buffer`; `wait` bounds each step towards that.
    pub fn write_all(&mut self, buffer: Vec<u8>, wait: Duration) -> impl Future<Output = Lent<()>> {
        write_to(&mut self.1, &self.0, buffer, wait)
    }

    /// Gives the other half's [`ReadHalf::listen`] this much longer.
    pub fn expect_answer(&self, wait: Duration) {
        self.0.arm(Direction::Read, wait);
    }
}

/// The operations themselves. They nest no future of ours: each level would be copied into the one above it.
async fn read_from(stream: &mut impl AsyncReadRent, watched: &Watched, buffer: Vec<u8>, wait: Duration) -> Lent<usize> {
    watched.arm(Direction::Read, wait);
    let (start, end) = (buffer.len(), buffer.capacity());
    let (result, slice) = stream.read(buffer.slice_mut(start..end)).await;
    (settle(watched.disarm(), result), slice.into_inner())
}

async fn write_to(
    stream: &mut impl AsyncWriteRent,
    watched: &Watched,
    mut buffer: Vec<u8>,
    wait: Duration,
) -> Lent<()> {
    let mut at = 0;
    while at < buffer.len() {
        watched.arm(Direction::Write, wait);
        let (result, slice) = stream.write(buffer.slice(at..)).await;
        buffer = slice.into_inner();
        match settle(watched.disarm(), result) {
            Ok(0) => return (Err(NetError::Failed(io::ErrorKind::WriteZero)), buffer),
            Ok(written) => at += written,
            Err(error) => return (Err(error), buffer),
        }
    }
    (Ok(()), buffer)
}

/// What an operation's result means, given whether its wait was ended.
fn settle<T>(end: Option<End>, result: io::Result<T>) -> Result<T, NetError> {
    match (end, result) {
        (Some(End::TimedOut), _) => Err(NetError::TimedOut),
        (Some(End::Abandoned), _) => Err(NetError::Abandoned),
        (None, Ok(value)) => Ok(value),
        (None, Err(error)) => Err(NetError::Failed(error.kind())),
    }
}
