//! One HTTP request to a secret manager: a connection of its own, no redirect followed, a bounded answer.
//!
//! Secrets are asked for every few minutes, so nothing is pooled. The time is bounded by the caller.

use super::ANSWER_BYTES_MAX;
use super::failure::Failure;
use super::tls::{self, Tls};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::http::uri::Scheme;
use hyper::{Method, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io;
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::rustls::pki_types::ServerName;
use zeroize::Zeroizing;

/// Asks secret managers.
#[derive(Debug)]
pub(super) struct Client {
    tls: Tls,
    /// `ringgate.secret.vault_loopback_http_fallback`.
    falls_back: bool,
    /// Hosts for which falling back was logged.
    told: Mutex<Vec<String>>,
}

/// A request. Its fields and body may hold secrets, so it has no `Debug`.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Uri,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Vec<u8>,
    /// Whether the server's certificate is verified.
    pub(super) verifies: bool,
    /// Whether plain HTTP may be tried where a server on this host does not speak TLS.
    pub(super) may_fall_back: bool,
}

/// An answer. Its body holds secrets, so it has no `Debug`.
pub(super) struct Answer {
    pub(super) status: u16,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| Failure::NotJson)
    }

    /// What a status says that is no success. That a secret is not there says only the manager's own JSON: something
    /// before a manager that is down may answer 404 too.
    pub(super) fn failure(&self) -> Option<Failure> {
        match self.status {
            200..=299 => None,
            300..=399 => Some(Failure::Redirected(self.status)),
            401 | 403 => Some(Failure::Forbidden(self.status)),
            429 => Some(Failure::Throttled),
            500.. => Some(Failure::Server(self.status)),
            other => Some(Failure::Status(other)),
        }
    }
}

impl Client {
    /// A client that trusts as `tls` says.
    pub(super) fn new(tls: Tls, falls_back: bool) -> Self {
        Self { tls, falls_back, told: Mutex::default() }
    }

    /// Sends `ask` and reads the answer.
    pub(super) async fn send(&self, ask: &Ask) -> Result<Answer, Failure> {
        if ask.url.scheme() != Some(&Scheme::HTTPS) {
            return exchange(connect(&ask.url, HTTP_PORT).await?, ask).await;
        }
        let host = host(&ask.url)?;
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| Failure::Configuration("the host of its uri is no DNS name or address".into()))?;
        let stream = connect(&ask.url, HTTPS_PORT).await?;
        let is_local = stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
        match self.tls.connector(ask.verifies)?.connect(name, stream).await {
            Ok(stream) => exchange(stream, ask).await,
            Err(error) => match tls::failure(&error) {
                Failure::PlainHttp if ask.may_fall_back && self.falls_back && is_local => self.in_plain(ask).await,
                failure => Err(failure),
            },
        }
    }

    /// Sends `ask` without TLS, to a server on this host alone: what it carries does not leave the host.
    async fn in_plain(&self, ask: &Ask) -> Result<Answer, Failure> {
        let stream = connect(&ask.url, HTTPS_PORT).await?;
        if !stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback()) {
            return Err(Failure::PlainHttp);
        }
        self.tell(ask.url.authority().map_or("", |authority| authority.as_str()));
        exchange(stream, ask).await
    }

    /// Says once for each server that its `https` is not taken at its word.
    fn tell(&self, authority: &str) {
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if told.len() < TOLD_MAX && !told.iter().any(|one| one == authority) {
            told.push(authority.to_owned());
            tracing::warn!(
                server = authority,
                "uri says https, but the server speaks plain HTTP: used without TLS, because it is on this host \
                 (ringgate.secret.vault_loopback_http_fallback)"
            );
        }
    }
}

async fn connect(url: &Uri, default_port: u16) -> Result<TcpStream, Failure> {
    let port = url.port_u16().unwrap_or(default_port);
    TcpStream::connect((host(url)?, port)).await.map_err(|error| Failure::Unreachable(error.to_string()))
}

/// The host without the brackets of an IPv6 address.
fn host(url: &Uri) -> Result<&str, Failure> {
    let host = url.host().ok_or_else(|| Failure::Configuration("its uri has no host".into()))?;
    Ok(host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host))
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, ask: &Ask) -> Result<Answer, Failure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let _connection = Driven(tokio::spawn(async move { drop(connection.await) }).abort_handle());
    let target = ask.url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = hyper::Request::new(Full::new(Bytes::copy_from_slice(&ask.body)));
    *request.method_mut() = ask.method.clone();
    *request.uri_mut() =
        target.parse().map_err(|_| Failure::Configuration("its uri has a path that is none".into()))?;
    let authority = ask.url.authority().map_or("", |authority| authority.as_str());
    let authority = HeaderValue::from_str(authority);
    request.headers_mut().insert(HOST, authority.map_err(|_| Failure::Configuration("its uri has no host".into()))?);
    request.headers_mut().extend(ask.fields.iter().cloned());
    let mut response = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let mut body = Zeroizing::new(Vec::new());
    while let Some(frame) = response.body_mut().frame().await {
        let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
        if body.len() + data.len() > ANSWER_BYTES_MAX {
            return Err(Failure::TooLarge);
        }
        body.extend_from_slice(&data);
    }
    Ok(Answer { status: response.status().as_u16(), body })
}

/// A connection broke, or what came over it is no HTTP.
fn broken(error: &hyper::Error) -> Failure {
    let inner = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    match inner {
        Some(error) => tls::failure(error),
        None => Failure::Unreachable(error.to_string()),
    }
}

/// A connection's task; ends with its exchange.
struct Driven(AbortHandle);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
/// Servers of which it is remembered that falling back was logged.
const TOLD_MAX: usize = 64;
