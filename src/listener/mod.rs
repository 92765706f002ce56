//! Listening sockets: one of each address per worker, all on the same port (`SO_REUSEPORT`), so the kernel spreads
//! connections and workers share no queue.

use crate::base::clock::monotonic_us;
use crate::net::Conn;
use crate::proxy::exchange::Client;
use crate::proxy::session::{self, Busy};
use crate::worker::guard::guarded;
use crate::worker::state::State;
use monoio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Binds `address` once per worker; port 0 is one port of the kernel's choice.
///
/// # Errors
///
/// When the address is in use, also by another process that would have shared the port: first come, only served.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let address = claim(address)?;
    (0..workers)
        .map(|_| {
            let socket = socket(address)?;
            socket.set_reuse_port(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

/// Makes sure that nobody else listens there: without `SO_REUSEPORT` the kernel refuses if anybody does. Returns the
/// address with its port, which port 0 leaves to the kernel: all workers share that one.
///
/// The rings of a process that was killed let go of its sockets a moment after it is gone, so a refusal is asked
/// again for a little while.
fn claim(address: SocketAddr) -> io::Result<SocketAddr> {
    let give_up_us = monotonic_us().saturating_add(CLAIM_WAIT_MAX.as_micros() as u64);
    loop {
        let exclusive = socket(address)?;
        match exclusive.bind(&address.into()) {
            Ok(()) => return Ok(exclusive.local_addr()?.as_socket().unwrap_or(address)),
            Err(error) if error.kind() != io::ErrorKind::AddrInUse || monotonic_us() >= give_up_us => {
                return Err(error);
            }
            Err(_) => std::thread::sleep(CLAIM_PAUSE),
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Stops one accept loop.
#[derive(Debug)]
pub struct Shutdown(socket2::Socket);

impl Shutdown {
    /// Ends listening: new connections are refused from now on, the pending accept returns.
    pub fn now(self) {
        let _ = self.0.shutdown(std::net::Shutdown::Read);
    }
}

/// Accepts on `listener` until shut down.
///
/// # Errors
///
/// When the socket cannot be used: out of descriptors, most likely.
pub fn start(state: Rc<State>, listener: std::net::TcpListener) -> io::Result<Shutdown> {
    let shutdown = Shutdown(Socket::from(listener.try_clone()?));
    let local = listener.local_addr()?;
    let listener = TcpListener::from_std(listener)?;
    let shared = Rc::clone(&state);
    let busy = Busy::new(move |desk| session::serve_busy(Rc::clone(&shared), desk));
    monoio::spawn(accept(state, listener, local, Rc::new(busy)));
    Ok(shutdown)
}

async fn accept<F>(state: Rc<State>, listener: TcpListener, bound: SocketAddr, busy: Rc<Busy<F>>)
where
    F: Future<Output = Infallible> + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let conn = Conn::new(stream, &state.watch);
                if state.cells.connections.value() >= state.settings.limits.connections_max as u64 {
                    state.cells.connections_refused.add(1);
                    continue;
                }
                // Only a wildcard address leaves open which of ours the client reached.
                let local = if bound.ip().is_unspecified() { conn.local_addr().unwrap_or(bound) } else { bound };
                let client = Client { peer, local };
                monoio::spawn(connection(Rc::clone(&state), conn, client, Rc::clone(&busy)));
            }
            Err(_) if state.draining.get() => return,
            Err(error) => {
                // Out of descriptors, most likely: accepting again at once would only spin.
                state.cells.accept_failures.add(1);
                tracing::warn!(%error, "cannot accept a connection");
                monoio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection<F>(state: Rc<State>, conn: Conn, client: Client, busy: Rc<Busy<F>>)
where
    F: Future<Output = Infallible>,
{
    state.cells.accepted.add(1);
    state.cells.connections.add(1);
    let serving = pin!(session::serve(Rc::clone(&state), conn, client, &busy));
    if guarded(serving).await.is_err() {
        state.cells.panics.add(1);
        tracing::error!(client = %client.peer, "a connection's task panicked; only that connection is lost");
    }
    state.cells.connections.subtract(1);
}

const BACKLOG: i32 = 4096;
const CLAIM_WAIT_MAX: Duration = Duration::from_millis(1500);
const CLAIM_PAUSE: Duration = Duration::from_millis(20);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_bound_once_per_worker_and_by_one_process_only() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        assert_eq!(bind(address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(free);
        let ours = bind(address, 3).unwrap();
        assert_eq!(ours.len(), 3);
        assert_eq!(bind(address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn workers_share_the_port_that_the_kernel_chose() {
        let sockets = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 3).unwrap();
        let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    }
}
