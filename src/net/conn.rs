//! One TCP connection, either side: reads that append, writes that finish, each with its own wait.

use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// A connection.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
}

/// Why an operation did not do what was asked. The connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetError {
    /// Nothing happened within the wait.
    TimedOut,
    /// Refused, reset, unreachable, out of descriptors.
    Failed(io::ErrorKind),
}

/// What an operation gives back: its outcome, and the buffer it was lent.
pub type Lent<T> = (Result<T, NetError>, Vec<u8>);

impl Conn {
    /// Takes over an accepted or connected stream.
    pub fn new(stream: TcpStream) -> Self {
        // Heads and small bodies leave in one write; Nagle's delay would only hold back the last part of larger ones.
        let _ = stream.set_nodelay(true);
        Self { stream }
    }

    /// Connects to `address`.
    pub async fn connect(address: SocketAddr, wait: Duration) -> Result<Self, NetError> {
        match monoio::time::timeout(wait, TcpStream::connect_addr(address)).await {
            Ok(Ok(stream)) => Ok(Self::new(stream)),
            Ok(Err(error)) => Err(NetError::Failed(error.kind())),
            Err(_) => Err(NetError::TimedOut),
        }
    }

    /// The descriptor, for the registry of connections.
    pub fn raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Our end's address.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    /// Waits until there is something to read (or the end), without lending a buffer.
    pub async fn readable(&self, wait: Duration) -> Result<(), NetError> {
        settle(monoio::time::timeout(wait, self.stream.readable(false)).await)
    }

    /// Writes all of `buffer`; `wait` bounds each step towards that.
    pub async fn write_all(&mut self, buffer: Vec<u8>, wait: Duration) -> Lent<()> {
        write_to(&mut self.stream, buffer, wait).await
    }

    /// Whether an idle connection has been closed, or has sent something nobody asked for.
    pub fn is_stale(&self) -> bool {
        let mut byte = [0_u8; 1];
        let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
        !matches!(rustix::net::recv(fd_of(&self.stream), &mut byte, flags), Err(rustix::io::Errno::AGAIN))
    }

    /// Ends our direction: the peer reads the end once it has read everything.
    pub fn shutdown_write(&self) {
        let _ = rustix::net::shutdown(fd_of(&self.stream), rustix::net::Shutdown::Write);
    }

    /// Makes closing send a reset, so that the peer cannot take a message cut short for a whole one.
    pub fn reset_on_close(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(fd_of(&self.stream), Some(Duration::ZERO));
    }

    /// Splits into halves that can be used at the same time.
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        let (read, write) = self.stream.into_split();
        (ReadHalf(read), WriteHalf(write))
    }

    /// Joins what [`Conn::split`] made; `None` if they are not the halves of one connection.
    pub fn join(read: ReadHalf, write: WriteHalf) -> Option<Self> {
        read.0.reunite(write.0).ok().map(|stream| Self { stream })
    }
}

/// The reading half of a connection.
#[derive(Debug)]
pub struct ReadHalf(OwnedReadHalf<TcpStream>);

/// The writing half of a connection.
#[derive(Debug)]
pub struct WriteHalf(OwnedWriteHalf<TcpStream>);

/// What bytes can be read from: a connection, or its reading half.
pub trait ReadBytes {
    /// Appends what arrives to `buffer`, which must have spare capacity; 0 is the end.
    fn read(&mut self, buffer: Vec<u8>, wait: Duration) -> impl Future<Output = Lent<usize>>;
}

impl ReadBytes for Conn {
    fn read(&mut self, buffer: Vec<u8>, wait: Duration) -> impl Future<Output = Lent<usize>> {
        read_from(&mut self.stream, buffer, wait)
    }
}

impl ReadBytes for ReadHalf {
    fn read(&mut self, buffer: Vec<u8>, wait: Duration) -> impl Future<Output = Lent<usize>> {
        read_from(&mut self.0, buffer, wait)
    }
}

impl WriteHalf {
    /// Writes all of `buffer`; `wait` bounds each step towards that.
    pub async fn write_all(&mut self, buffer: Vec<u8>, wait: Duration) -> Lent<()> {
        write_to(&mut self.0, buffer, wait).await
    }
}

async fn read_from(stream: &mut impl AsyncReadRent, buffer: Vec<u8>, wait: Duration) -> Lent<usize> {
    let (start, end) = (buffer.len(), buffer.capacity());
    match monoio::time::timeout(wait, stream.read(buffer.slice_mut(start..end))).await {
        Ok((result, slice)) => (result.map_err(|error| NetError::Failed(error.kind())), slice.into_inner()),
        // The operation keeps the buffer until the kernel lets go of it.
        Err(_) => (Err(NetError::TimedOut), Vec::new()),
    }
}

async fn write_to(stream: &mut impl AsyncWriteRent, mut buffer: Vec<u8>, wait: Duration) -> Lent<()> {
    let mut at = 0;
    while at < buffer.len() {
        match monoio::time::timeout(wait, stream.write(buffer.slice(at..))).await {
            Ok((Ok(0), slice)) => return (Err(NetError::Failed(io::ErrorKind::WriteZero)), slice.into_inner()),
            Ok((Ok(written), slice)) => {
                at += written;
                buffer = slice.into_inner();
            }
            Ok((Err(error), slice)) => return (Err(NetError::Failed(error.kind())), slice.into_inner()),
            Err(_) => return (Err(NetError::TimedOut), Vec::new()),
        }
    }
    (Ok(()), buffer)
}

fn settle<E>(outcome: Result<io::Result<()>, E>) -> Result<(), NetError> {
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(NetError::Failed(error.kind())),
        Err(_) => Err(NetError::TimedOut),
    }
}

fn fd_of(stream: &TcpStream) -> BorrowedFd<'_> {
    crate::base::fd::borrow(stream)
}
