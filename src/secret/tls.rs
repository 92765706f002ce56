//! Whom to trust, and what a failed handshake means.

use super::failure::Failure;
use crate::base::any_name::AnyName;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;

/// TLS to secret managers, with TLS 1.2 and 1.3 from ring.
#[derive(Debug, Default)]
pub(super) struct Tls {
    /// Of `ringgate.secret.ca_file`; the system's without one, read when first needed.
    roots: Option<Arc<RootCertStore>>,
    verifying: OnceLock<Arc<ClientConfig>>,
    trusting: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    /// Trusts the certificates in the PEM file at `ca_file`, or the system's.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let Some(path) = ca_file else { return Ok(Self::default()) };
        let unfit = |reason: String| format!("ringgate.secret.ca_file: {}: {reason}", path.display());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unfit(error.to_string()))? {
            let certificate = certificate.map_err(|error| unfit(error.to_string()))?;
            roots.add(certificate).map_err(|error| unfit(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unfit("no certificate in it, expected PEM".to_owned()));
        }
        Ok(Self { roots: Some(Arc::new(roots)), ..Self::default() })
    }

    /// What makes connections; one that does not verify the server only where a configuration says so.
    pub(super) fn connector(&self, verifies: bool) -> Result<TlsConnector, Failure> {
        let made = if verifies { &self.verifying } else { &self.trusting };
        if let Some(config) = made.get() {
            return Ok(TlsConnector::from(Arc::clone(config)));
        }
        let config = if verifies { self.verifying_config() } else { trusting_config() };
        let config = config.map_err(|error| Failure::Tls(error.to_string()))?;
        Ok(TlsConnector::from(Arc::clone(made.get_or_init(|| Arc::new(config)))))
    }

    fn verifying_config(&self) -> Result<ClientConfig, rustls::Error> {
        let roots = self.roots.clone().unwrap_or_else(|| Arc::new(system_roots()));
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
    }
}

fn trusting_config() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(provider))).with_no_client_auth())
}

fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "certificates of the system cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (taken, refused) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(taken, refused, "certificates of the system are trusted");
    roots
}

/// What an error of a handshake or a TLS stream says.
pub(super) fn failure(error: &io::Error) -> Failure {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => Failure::PlainHttp,
        Some(error @ rustls::Error::InvalidCertificate(_)) => Failure::Certificate(error.to_string()),
        Some(error) => Failure::Tls(error.to_string()),
        None => Failure::Unreachable(error.to_string()),
    }
}
