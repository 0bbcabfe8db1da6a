//! `covenant ledger verify`: a whole ledger, or one entry by its proof.
//!
//! May not: be content with a key that came with what it verifies, without saying so.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::report::{self, field, line};
use super::show::{ENTRY, PROOF, no_proof};
use super::{EXIT_CODES, Output, Place, read_key};
use crate::ledger::{Verified, VerifyingKey, verify_entry, verify_log};

/// Open intents that are named; the rest is counted.
const NAMED: usize = 10;
/// Entries between two signs of life.
const STRIDE: u64 = 25_600;
const KIND: &str = "LedgerVerification";

/// Arguments of `covenant ledger verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct VerifyArguments {
    /// Directory with one entry and its proof, as `covenant ledger get N --proof DIR` writes it.
    #[arg(value_name = "DIR")]
    proof: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// A checkpoint that was kept from before: the ledger must be a continuation of it.
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    from: Option<PathBuf>,
    /// Exit with 6 when an intent has no outcome.
    #[arg(long, conflicts_with = "proof")]
    require_outcomes: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Verifies and prints.
///
/// # Errors
/// When something cannot be read.
pub fn run(arguments: &VerifyArguments) -> anyhow::Result<ExitCode> {
    match &arguments.proof {
        Some(folder) => one_entry(arguments, folder),
        None => whole(arguments),
    }
}

fn one_entry(arguments: &VerifyArguments, folder: &Path) -> anyhow::Result<ExitCode> {
    let Some(path) = &arguments.place.key else {
        bail!("name the ledger's public key with --key: without it a proof proves nothing");
    };
    let key = read_key(path)?;
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let entry = read(ENTRY)?;
    let Ok(proof) = String::from_utf8(read(PROOF)?) else {
        return report::violation(arguments.output, KIND, &no_proof());
    };
    let included = match verify_entry(&entry, &proof, &key) {
        Ok(included) => included,
        Err(violation) => return report::violation(arguments.output, KIND, &violation),
    };
    let head = &included.head;
    match arguments.output {
        Output::Json => report::print(&report::report(
            KIND,
            json!({ "valid": true, "index": included.index, "head": report::head(head, &key) }),
        ))?,
        Output::Text => {
            line(&format!(
                "VALID: the entry is number {} of the ledger {}",
                included.index, head.origin
            ))?;
            field("size", head.size)?;
            field("root", &head.root)?;
            field("signed by", key.to_text())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn whole(arguments: &VerifyArguments) -> anyhow::Result<ExitCode> {
    let store = arguments.place.store()?;
    let key = arguments.place.key(&store)?;
    if arguments.place.key.is_none() {
        anstream::eprintln!(
            "warning: the key is the one that lies in the directory; whoever wrote the ledger anew wrote it too. Name the key that you \
             were given with --key"
        );
    }
    let from = match &arguments.from {
        None => None,
        Some(path) => Some(
            std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the checkpoint {}", path.display()))?,
        ),
    };
    let mut progress = Progress::new();
    let verified = verify_log(store.as_ref(), &key, from.as_deref(), &mut |done| {
        progress.tell(done);
    });
    progress.end();
    let verified = match verified {
        Ok(verified) => verified,
        Err(violation) => return report::violation(arguments.output, KIND, &violation),
    };
    match arguments.output {
        Output::Json => report::print(&json_of(&verified, &key))?,
        Output::Text => text_of(&verified, &key)?,
    }
    if arguments.require_outcomes && !verified.open_intents.is_empty() {
        return Ok(ExitCode::from(6));
    }
    Ok(ExitCode::SUCCESS)
}

fn json_of(verified: &Verified, key: &VerifyingKey) -> serde_json::Value {
    let intents = verified.open_intents.iter();
    let intents: Vec<_> = intents
        .map(|(id, index)| json!({ "id": id, "index": index }))
        .collect();
    report::report(
        KIND,
        json!({
            "valid": true,
            "head": report::head(&verified.head, key),
            "consistentWith": verified.consistent_with,
            "intentsWithoutOutcome": intents,
            "unreadable": verified.unreadable,
        }),
    )
}

fn text_of(verified: &Verified, key: &VerifyingKey) -> anyhow::Result<()> {
    let head = &verified.head;
    line(&format!(
        "VALID: all {} entries of the ledger {} are as they were signed",
        head.size, head.origin
    ))?;
    field("root", &head.root)?;
    field("signed by", key.to_text())?;
    match verified.consistent_with {
        Some(size) => field(
            "continues",
            format_args!("the kept checkpoint of {size} entries"),
        )?,
        None => field(
            "continues",
            "unknown: no kept checkpoint was named with --from",
        )?,
    }
    if verified.unreadable > 0 {
        field(
            "unreadable",
            format_args!("{} (written by a newer version?)", verified.unreadable),
        )?;
    }
    let count = verified.open_intents.len();
    if count == 0 {
        field("without outcome", "none")?;
        return Ok(());
    }
    let intents = if count == 1 { "intent" } else { "intents" };
    field("without outcome", format_args!("{count} {intents}"))?;
    let mut oldest: Vec<_> = verified.open_intents.iter().collect();
    oldest.sort_by_key(|(_, index)| **index);
    for (id, index) in oldest.iter().take(NAMED) {
        line(&format!("{:18}entry {index}: {id}", ""))?;
    }
    if count > NAMED {
        line(&format!("{:18}and {} more", "", count - NAMED))?;
    }
    Ok(())
}

/// How far it is, for whoever looks on.
struct Progress {
    is_terminal: bool,
    told: u64,
}

impl Progress {
    fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            told: 0,
        }
    }

    fn tell(&mut self, done: u64) {
        if self.is_terminal && done >= self.told + STRIDE {
            self.told = done;
            let mut out = anstream::stderr().lock();
            // Who cannot be told how far it is can still be told what came of it.
            let _ = write!(out, "\r{done} entries").and_then(|()| out.flush());
        }
    }

    fn end(&self) {
        if self.told > 0 {
            anstream::eprint!("\r\u{1b}[K");
        }
    }
}
