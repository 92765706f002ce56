//! TLS over a connection's bytes: rustls without sockets.

use super::RedisError;
use super::deployment::Tls;
use crate::base::any_name::AnyName;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

impl Tls {
    /// TLS with or without verification. Reads the system's roots once, so it belongs on the control side.
    pub fn new(verifies: bool) -> Result<Self, String> {
        let config = if verifies { &*VERIFYING } else { &*ENCRYPTING };
        Ok(Self { verifies, config: Arc::clone(config.as_ref().map_err(Clone::clone)?) })
    }
}

/// One connection's side of TLS.
pub(super) struct Session(ClientConnection);

impl Session {
    /// A session that is about to greet `host`.
    pub(super) fn new(tls: &Tls, host: &str) -> Result<Self, RedisError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| RedisError::Tls(error.to_string()))?;
        let connection = ClientConnection::new(Arc::clone(&tls.config), name);
        let mut connection = connection.map_err(|error| RedisError::Tls(error.to_string()))?;
        // What waits to be sent is bounded by the link.
        connection.set_buffer_limit(None);
        Ok(Self(connection))
    }

    /// Takes what is to be sent and appends to `out` what goes over the wire; before the handshake is over that is
    /// the handshake's own bytes only.
    pub(super) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), RedisError> {
        let failed = |error: std::io::Error| RedisError::Tls(error.to_string());
        self.0.writer().write_all(plain).map_err(failed)?;
        while self.0.wants_write() {
            self.0.write_tls(out).map_err(failed)?;
        }
        Ok(())
    }

    /// Takes what came over the wire and appends what it says to `plain`. Returns whether the server has said that
    /// nothing will follow.
    pub(super) fn open(&mut self, mut wire: &[u8], plain: &mut Vec<u8>) -> Result<bool, RedisError> {
        let mut is_over = false;
        while !wire.is_empty() {
            let taken = self.0.read_tls(&mut wire).map_err(|error| RedisError::Tls(error.to_string()))?;
            if taken == 0 {
                return Err(RedisError::Tls("bytes after the session's end".to_owned()));
            }
            let state = self.0.process_new_packets().map_err(|error| RedisError::Tls(error.to_string()))?;
            let length = plain.len();
            plain.resize(length + state.plaintext_bytes_to_read(), 0);
            let room = plain.get_mut(length..).unwrap_or_default();
            self.0.reader().read_exact(room).map_err(|error| RedisError::Tls(error.to_string()))?;
            is_over |= state.peer_has_closed();
        }
        Ok(is_over)
    }

    /// Whether there is something to be sent, asked for or not.
    pub(super) fn wants_write(&self) -> bool {
        self.0.wants_write()
    }
}

static VERIFYING: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err("the system has no root certificates to verify Redis by".to_owned());
    }
    builder().map(|builder| Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
});

static ENCRYPTING: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(|| {
    let verifier = Arc::new(AnyName(Arc::new(ring::default_provider())));
    builder()
        .map(|builder| Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
});

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    let provider = Arc::new(ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
}
