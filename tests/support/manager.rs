//! A server that secrets are asked of: Vault's and GCP's ways, in plain HTTP or with OpenSSL's TLS.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::expect_used, reason = "a peer that cannot be set up fails its test, with the text as the reason")]

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// A running server; its thread ends with the test program.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What it holds and how it behaves; changed while it runs.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Answers to `GET`, by path.
    pub(crate) secrets: BTreeMap<String, Value>,
    /// How it misbehaves.
    pub(crate) mood: Mood,
    /// What it was asked.
    pub(crate) seen: Vec<Asked>,
    /// Answers to `POST`, by path.
    pub(crate) posts: BTreeMap<String, Value>,
    /// The value of `Authorization` or `X-Vault-Token` that opens anything.
    pub(crate) key: String,
}

/// How a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    /// As it should.
    #[default]
    Well,
    /// Ends connections without a word.
    Down,
    /// Says nothing.
    Silent,
    /// This status, whatever is asked.
    Status(u16),
    /// Bytes that are no JSON.
    Garbled,
    /// A page that is no JSON, with this status: something before it answers.
    Page(u16),
    /// As GCP does where a secret's version is disabled.
    Disabled,
    /// More bytes than anybody needs.
    Endless,
}

/// One request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Manager {
    /// A server in plain HTTP.
    pub(crate) fn plain() -> Self {
        Self::start(None)
    }

    /// A server with TLS under `identity`.
    pub(crate) fn tls(identity: &Identity) -> Self {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("TLS");
        acceptor.set_private_key(&identity.key).expect("a key");
        acceptor.set_certificate(&identity.certificate).expect("a certificate");
        Self::start(Some(acceptor.build()))
    }

    fn start(acceptor: Option<SslAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let state = Arc::new(Mutex::new(State { key: "root".to_owned(), ..State::default() }));
        let server = Self { address, state };
        let shared = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (server, acceptor) = (shared.clone(), acceptor.clone());
                std::thread::spawn(move || server.accept(stream, acceptor.as_ref()));
            }
        });
        server
    }

    /// Its state, to look at or change.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }

    /// Holds `value` at `path`, as Vault shows it.
    pub(crate) fn hold(&self, path: &str, value: &Value) {
        self.state().secrets.insert(path.to_owned(), json!({"data": value, "lease_duration": 2_764_800}));
    }

    /// Holds nothing at `path` any more.
    pub(crate) fn lose(&self, path: &str) {
        self.state().secrets.remove(path);
    }

    pub(crate) fn be(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.state().seen.len()
    }

    fn accept(&self, stream: TcpStream, acceptor: Option<&SslAcceptor>) {
        if self.state().mood == Mood::Down {
            return;
        }
        match acceptor {
            None => self.serve(stream),
            Some(acceptor) => {
                // A client that does not like the certificate goes.
                if let Ok(stream) = acceptor.accept(stream) {
                    self.serve(stream);
                }
            }
        }
    }

    fn serve(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        let mut asked = Asked::default();
        let mut line = String::new();
        // What is no HTTP is told so, as a plain server tells a TLS client.
        let is_http = stream.read_line(&mut line).is_ok() && line.ends_with("HTTP/1.1\r\n");
        if !is_http {
            let _ = stream.get_mut().write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
            return;
        }
        let mut words = line.split(' ');
        words.next().unwrap_or_default().clone_into(&mut asked.method);
        words.next().unwrap_or_default().clone_into(&mut asked.path);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).is_err() || line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                asked.fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        let length = asked.fields.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_ok() {
            asked.body = String::from_utf8_lossy(&body).into_owned();
        }
        let mood = self.state().mood;
        let (status, body) = self.reply(&asked, mood);
        self.state().seen.push(asked);
        if mood == Mood::Silent {
            std::thread::sleep(std::time::Duration::from_secs(30));
            return;
        }
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nLocation: /elsewhere\r\n\r\n", body.len());
        let _ = stream.get_mut().write_all(head.as_bytes());
        let _ = stream.get_mut().write_all(body.as_bytes());
        let _ = stream.get_mut().flush();
    }

    fn reply(&self, asked: &Asked, mood: Mood) -> (u16, String) {
        match mood {
            Mood::Status(status) => return (status, "{\"errors\":[]}".to_owned()),
            Mood::Garbled => return (200, "<html>".to_owned()),
            Mood::Page(status) => return (status, "<html>".to_owned()),
            Mood::Disabled => return (400, DISABLED.to_owned()),
            Mood::Endless => return (200, " ".repeat((1 << 20) + 1)),
            Mood::Well | Mood::Down | Mood::Silent => {}
        }
        let state = self.state();
        if asked.method == "POST" {
            return state.posts.get(&asked.path).map_or((404, "{}".to_owned()), |value| (200, value.to_string()));
        }
        let has_key = ["x-vault-token", "authorization"].iter().any(|name| asked.fields.get(*name) == Some(&state.key));
        match (has_key, state.secrets.get(&asked.path)) {
            (false, _) => (403, "{\"errors\":[\"permission denied\"]}".to_owned()),
            // Vault's form and GCP's.
            (true, None) => (404, "{\"errors\":[],\"error\":{\"code\":404}}".to_owned()),
            (true, Some(value)) => (200, value.to_string()),
        }
    }
}

const DISABLED: &str = r#"{"error": {"code": 400, "status": "FAILED_PRECONDITION",
    "message": "Secret Version [projects/1/secrets/plain/versions/1] is in DISABLED state."}}"#;

/// A certificate that signs itself, for 127.0.0.1 or another host.
pub(crate) struct Identity {
    key: PKey<Private>,
    certificate: X509,
}

impl Identity {
    /// For an address.
    pub(crate) fn of_ip(ip: &str) -> Self {
        let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
        let mut name = X509NameBuilder::new().expect("a name");
        name.append_entry_by_text("CN", "secrets.test").expect("a name");
        let name = name.build();
        let mut builder = X509::builder().expect("a certificate");
        builder.set_version(2).expect("version 3");
        let serial = BigNum::from_u32(7).and_then(|number| number.to_asn1_integer()).expect("a number");
        builder.set_serial_number(&serial).expect("a number");
        builder.set_subject_name(&name).expect("a name");
        builder.set_issuer_name(&name).expect("a name");
        builder.set_pubkey(&key).expect("a key");
        builder.set_not_before(&Asn1Time::days_from_now(0).expect("a time")).expect("a time");
        builder.set_not_after(&Asn1Time::days_from_now(2).expect("a time")).expect("a time");
        builder.append_extension(BasicConstraints::new().build().expect("an extension")).expect("an extension");
        let alternative = SubjectAlternativeName::new().ip(ip).build(&builder.x509v3_context(None, None));
        builder.append_extension(alternative.expect("an extension")).expect("an extension");
        builder.sign(&key, MessageDigest::sha256()).expect("a signature");
        Self { key, certificate: builder.build() }
    }

    /// The certificate as PEM.
    pub(crate) fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().expect("PEM")
    }
}
