//! `covenant encryption`: what is encrypted, as postures say and as servers were seen to negotiate.
//!
//! Whoever asks reads with rights of their own, and connects from where they are. May not: write anything, or say of a
//! namespace more than its posture shows.

mod address;
mod certificate;
mod handshake;
mod probe;
mod prober;
mod published;
mod report;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use thiserror::Error;

use super::connect;

/// Exit code of what is not shown.
const NOT_SHOWN: u8 = 1;
/// Exit code of what could not be found out at all.
const FAILED: u8 = 2;

/// Arguments of `covenant encryption`.
#[derive(Debug, clap::Args)]
pub struct EncryptionArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Tell what is encrypted at rest and in transit, namespace by namespace, and what shows it
    Report(report::ReportArguments),
    /// Connect to servers, and tell which TLS they negotiate and whether their certificates are valid
    Probe(probe::ProbeArguments),
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// JSON of a fixed version.
    Json,
}

/// Why nothing is told.
#[derive(Debug, Error)]
enum EncryptionError {
    #[error("there is no namespace {0}; name another with -n, or all with --all-namespaces")]
    NoSuchNamespace(String),
    #[error(
        "this cluster knows no DataHandlingPostures; install Covenant (its CustomResourceDefinitions) first"
    )]
    NotInstalled,
    #[error(
        "{user} may not read DataHandlingPostures in {place}; the ClusterRole covenant-view may. Ask who binds roles for \
         {place}"
    )]
    MayNotRead { user: String, place: String },
    #[error("the API server does not answer as it should; ask again: {0}")]
    NotNow(String),
    #[error(
        "{user} may not read {kind} in namespace {namespace}, which --probe needs to know what is published there; the \
         ClusterRole view may. Ask who binds roles for that namespace, or leave --probe away"
    )]
    MayNotReadPublished {
        user: String,
        kind: &'static str,
        namespace: String,
    },
}

/// Runs a command about encryption. What is not shown, and what failed, are exit codes.
///
/// # Errors
/// Never: what fails is told here, since its exit code is this command's own.
pub fn run(arguments: &EncryptionArguments) -> anyhow::Result<ExitCode> {
    let result = connect::block_on(async {
        match &arguments.what {
            What::Report(arguments) => report::run(arguments).await,
            What::Probe(arguments) => probe::run(arguments).await,
        }
    });
    Ok(match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_SHOWN),
        Err(error) => {
            // Whoever reads may have read enough; that everything was shown may not be said then.
            if !is_broken_pipe(&error) {
                anstream::eprintln!("error: {error:#}");
            }
            ExitCode::from(FAILED)
        }
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Prints a piece.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// What is being done, for who waits at a terminal.
struct Progress {
    is_terminal: bool,
    is_shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            is_shown: false,
        }
    }

    fn tell(&mut self, words: &str) {
        if self.is_terminal {
            self.is_shown = true;
            let mut err = std::io::stderr();
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(err, "\r\x1b[K{words}…").and_then(|()| err.flush());
        }
    }

    /// Takes it away, before something else is printed.
    fn clear(&mut self) {
        if self.is_shown {
            self.is_shown = false;
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
