//! A client that sends exactly the bytes it is given and reads one response at a time.

use super::PATIENCE;
use super::message::{self, Fields, Framing};
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// A response, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The whole status line.
    pub(crate) status_line: String,
    /// The field lines.
    pub(crate) fields: Fields,
    /// The body, without its framing.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of the first field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.first(name)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics, showing it, if it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects; reads and writes that take longer than [`PATIENCE`] fail.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Sends one request with `Host: test` unless `fields` names another, and `Content-Length` if there is a body.
    pub(crate) fn request(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut message = Vec::new();
        write!(message, "{method} {target} HTTP/1.1\r\n")?;
        if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            write!(message, "Host: test\r\n")?;
        }
        for (name, value) in fields {
            write!(message, "{name}: {value}\r\n")?;
        }
        if !body.is_empty() {
            write!(message, "Content-Length: {}\r\n", body.len())?;
        }
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(body);
        match self.send(message) {
            // An answer may come before the whole request is there, and the connection be closed behind it.
            Err(error) if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                Err(error)
            }
            Ok(()) | Err(_) => self.response(method),
        }
    }

    /// Reads the final response to a request of that method; interim ones are skipped.
    pub(crate) fn response(&mut self, method: &str) -> io::Result<Response> {
        loop {
            let response = self.next_response(method)?;
            if !(100..200).contains(&response.status) || response.status == 101 {
                return Ok(response);
            }
        }
    }

    /// Reads the next response, interim or final.
    pub(crate) fn next_response(&mut self, method: &str) -> io::Result<Response> {
        let status_line = message::start_line(&mut self.stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse::<u16>().ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no status line: {status_line:?}")))?;
        let fields = message::fields(&mut self.stream)?;
        let bodiless = method == "HEAD" || matches!(status, 100..200 | 204 | 304);
        let framing = if bodiless { Framing::Empty } else { Framing::of(&fields, Framing::Close)? };
        let body = framing.read(&mut self.stream)?;
        Ok(Response { status, status_line, fields, body })
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }

    /// Everything up to the end of the connection.
    pub(crate) fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).map(|_| rest)
    }

    /// Whether the peer has closed: waits for its end of stream, and is `false` if bytes come instead.
    pub(crate) fn is_closed_by_peer(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

/// One request on a connection of its own.
pub(crate) fn once(
    address: SocketAddr,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    let fields = [fields, &[("Connection", "close")]].concat();
    Client::connect(address)?.request(method, target, &fields, body)
}
