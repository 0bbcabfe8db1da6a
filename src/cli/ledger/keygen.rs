//! `covenant ledger keygen`: a signing key for a ledger.
//!
//! May not: write over a key, or show one.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::report::line;
use crate::ledger::SigningKey;

/// Arguments of `covenant ledger keygen`.
#[derive(Debug, clap::Args)]
pub struct KeygenArguments {
    /// Origin of the ledger, as ledger.example.com/cluster. It is in every checkpoint and never changes.
    #[arg(long, value_name = "ORIGIN")]
    origin: String,
    /// File for the signing key, which must not be there. Only its owner may read it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Makes a key, and prints its public half.
///
/// # Errors
/// When the origin is none, or the file cannot be written.
pub fn run(arguments: &KeygenArguments) -> anyhow::Result<ExitCode> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("the system has no randomness to give")?;
    let key = SigningKey::generate(&arguments.origin, seed)?;
    let path = &arguments.out;
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(format!("{}\n", key.to_text()).as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))?;
    line(key.verifying().to_text())?;
    Ok(ExitCode::SUCCESS)
}
