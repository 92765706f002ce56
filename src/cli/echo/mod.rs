//! `ringgate echo`: an origin that tells what it was asked, in httpbin's shape. For examples, tests and load; its
//! answers are in `answers`, its connections in `server`.

mod answers;
mod server;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

/// Arguments of `echo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Address to listen on; port 0 lets the kernel choose.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Prints the address and serves until killed.
pub(super) fn echo(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    server::serve(arguments.listen, |address| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "echo listening on http://{address}")?;
        out.flush()
    })?;
    Ok(ExitCode::SUCCESS)
}

const EXAMPLES: &str = "\
Examples:
  ringgate echo
  ringgate echo --listen 127.0.0.1:0
  curl http://127.0.0.1:8080/anything/a?b=c -d d

Paths: /get /post /put /patch /delete /headers /anything /status/N /bytes/N /delay/N";
