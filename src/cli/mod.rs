//! The command line: one file per verb.
//!
//! A verb's answer goes to standard output, every complaint to standard error as one line, and the exit code says
//! which it was: 0 done, 1 refused or failed, 2 wrong arguments.

mod check;
mod echo;
mod logging;
mod run;
mod sealed;
mod secret;
pub mod serve;
mod token;
mod version;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    match answer(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to tell it to when standard error is closed.
            let _ = writeln!(std::io::stderr().lock(), "ringgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn answer(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.verb {
        None => run::run(arguments.run),
        Some(Verb::Run(arguments)) => run::run(arguments),
        Some(Verb::Check(arguments)) => check::check(&arguments),
        Some(Verb::Secret(arguments)) => secret::secret(&arguments),
        Some(Verb::Version) => version::version(),
        Some(Verb::Token(arguments)) => token::token(arguments),
        Some(Verb::Echo(arguments)) => echo::echo(&arguments),
    }
}

/// An API gateway data plane for Linux, compatible with Apache APISIX's configuration.
///
/// Without a command it runs the gateway.
#[derive(Debug, Parser)]
#[command(name = "ringgate", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: run::Arguments,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the gateway until it is told to stop.
    ///
    /// The first start in a directory writes conf/config.yaml with a random admin key.
    Run(run::Arguments),
    /// Check the configuration without starting or writing anything.
    ///
    /// Keys that are unknown or have no effect are errors here; `run` only warns of them.
    Check(check::Arguments),
    /// Manage the keys that seal secrets in the store.
    Secret(secret::Arguments),
    /// Print the version.
    Version,
    /// Sign a token, or explain why one is refused.
    Token(token::Arguments),
    /// Run an origin that answers with what it was asked, for examples and load tests.
    #[command(hide = true)]
    Echo(echo::Arguments),
}

const EXAMPLES: &str = "\
Examples:
  ringgate                              run with ./conf/config.yaml, written if there is none
  ringgate --prefix /srv/gateway        run with /srv/gateway/conf/config.yaml
  ringgate check                        is the configuration right?
  ringgate token sign --key jack-key --secret my-secret
  ringgate token explain --key jack-key --secret my-secret \"$token\"";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::path::Path;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_verb_means_run() {
        let bare = parse("ringgate").unwrap();
        assert!(bare.verb.is_none() && bare.run.workers.is_none());
        assert_eq!(bare.run.place.prefix, Path::new("."));
        let direct = parse("ringgate --prefix /srv --workers 3 --driver epoll").unwrap().run;
        let Some(Verb::Run(named)) = parse("ringgate run --prefix /srv --workers 3 --driver epoll").unwrap().verb
        else {
            panic!("not run");
        };
        assert_eq!(format!("{direct:?}"), format!("{named:?}"));
        assert_eq!((named.workers, named.driver), (Some(3), serve::DriverChoice::Epoll));
        assert_eq!(named.place.prefix, Path::new("/srv"));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for line in [
            "ringgate run --workers 0",
            "ringgate run --workers 4097",
            "ringgate run --driver kqueue",
            "ringgate nothing",
            "ringgate --prefix a check",
            "ringgate secret",
            "ringgate token",
            "ringgate token sign --key k",
            "ringgate token sign --key k --secret s --secret-file f",
            "ringgate token sign --key k --secret s --algorithm RS257",
            "ringgate token sign --key k --secret s --claim novalue",
            "ringgate token explain --secret s --claims-to-verify iat t",
            "ringgate echo --listen nowhere",
        ] {
            assert_eq!(parse(line).err().map(|error| error.exit_code()), Some(2), "{line}");
        }
    }

    #[test]
    fn every_verb_shows_examples() {
        for line in [
            "ringgate",
            "ringgate run",
            "ringgate check",
            "ringgate secret rotate",
            "ringgate token sign",
            "ringgate token explain",
            "ringgate echo",
        ] {
            let help = parse(&format!("{line} --help")).unwrap_err().to_string();
            assert!(help.contains("Examples:"), "{line}: {help}");
        }
    }
}
