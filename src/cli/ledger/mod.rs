//! `covenant ledger`: read and verify a ledger, offline.
//!
//! May not: write to a ledger, or talk to a cluster.

mod keygen;
mod report;
mod show;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::ledger::{DirectoryStore, Reader, Store as _, Verdict, VerifyingKey, Violation};

/// Exit codes of all commands, as their help tells them.
const EXIT_CODES: &str = "Exit code: 0 valid, 1 it cannot be read or was asked for wrongly, 3 bad signature, 4 an entry is changed, gone \
                          or not included, 5 inconsistent (fork, rollback or rewrite), 6 an intent has no outcome (only with \
                          --require-outcomes).";
/// A key longer than this is none.
const LONGEST_KEY: usize = 4096;

/// Arguments of `covenant ledger`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct LedgerArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show size and root, and who signed for them
    Head(show::HeadArguments),
    /// List entries, each proven
    List(show::ListArguments),
    /// Show one entry, and write the proof that it is in the ledger
    Get(show::GetArguments),
    /// Verify a whole ledger, or one entry by its proof
    Verify(verify::VerifyArguments),
    /// Make a signing key, for platforms that bring their own; the operator makes one at its first start
    Keygen(keygen::KeygenArguments),
}

/// Where a ledger is, and its key.
#[derive(Clone, Debug, clap::Args)]
struct Place {
    /// Directory of the ledger, or of a copy.
    #[arg(long, value_name = "DIR", env = "COVENANT_LEDGER")]
    dir: Option<PathBuf>,
    /// Public key of the ledger; the one that lies in the directory when absent, which proves nothing about who wrote it.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
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

/// Runs a command about a ledger.
///
/// # Errors
/// When something cannot be read or written. What is read and not valid is an exit code.
pub fn run(arguments: &LedgerArguments) -> anyhow::Result<ExitCode> {
    let result = match &arguments.what {
        What::Head(arguments) => show::head(arguments),
        What::List(arguments) => show::list(arguments),
        What::Get(arguments) => show::get(arguments),
        What::Verify(arguments) => verify::run(arguments),
        What::Keygen(arguments) => keygen::run(arguments),
    };
    match result {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        result => result,
    }
}

/// Whether whoever reads has read enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

impl Place {
    fn store(&self) -> anyhow::Result<Arc<DirectoryStore>> {
        let Some(dir) = &self.dir else {
            bail!("name the ledger's directory with --dir, or with COVENANT_LEDGER");
        };
        if !dir.is_dir() {
            bail!("{} is no directory; name that of a ledger", dir.display());
        }
        Ok(Arc::new(DirectoryStore::new(dir)))
    }

    /// The key that was named, or else the one that lies in the directory.
    fn key(&self, store: &DirectoryStore) -> anyhow::Result<VerifyingKey> {
        if let Some(path) = &self.key {
            return read_key(path);
        }
        let keys = store.list("keys")?;
        let keys: Vec<&String> = keys.iter().filter(|it| it.ends_with(".vkey")).collect();
        let [path] = keys.as_slice() else {
            bail!(
                "{} keys lie in the directory; name one with --key",
                if keys.is_empty() { "no" } else { "several" }
            );
        };
        let bytes = store.read(path, LONGEST_KEY)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        VerifyingKey::parse(&text).with_context(|| format!("{path} in the directory"))
    }

    fn reader(&self) -> anyhow::Result<Result<(Reader, VerifyingKey), Violation>> {
        let store = self.store()?;
        let key = self.key(&store)?;
        Ok(Reader::open(store, &key).map(|reader| (reader, key)))
    }
}

fn read_key(path: &std::path::Path) -> anyhow::Result<VerifyingKey> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the key {}", path.display()))?;
    VerifyingKey::parse(&text).with_context(|| path.display().to_string())
}

/// The exit code of what is not valid.
fn code(violation: &Violation) -> ExitCode {
    ExitCode::from(match violation.verdict() {
        Verdict::Unread => 1,
        Verdict::BadSignature => 3,
        Verdict::NotIncluded => 4,
        Verdict::Inconsistent => 5,
    })
}
