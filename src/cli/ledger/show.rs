//! `covenant ledger head`, `list` and `get`.
//!
//! May not: show an entry that is not proven by the signed head.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::report::{self, field, line};
use super::{EXIT_CODES, Output, Place};
use crate::ledger::{Record, Violation};

/// Name of the file with an entry.
pub const ENTRY: &str = "entry.json";
/// Name of the file with its proof.
pub const PROOF: &str = "entry.tlog-proof";

/// Arguments of `covenant ledger head`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct HeadArguments {
    #[command(flatten)]
    place: Place,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Arguments of `covenant ledger list`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct ListArguments {
    #[command(flatten)]
    place: Place,
    /// The first index.
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// The last index; the last that there is when absent.
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Only entries about this tenant.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only entries of this type, as `disposal` or `io.cloudnexus.privacy.disposal.v1`.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// How to print it. JSON is one document a line: the head, then each entry.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Arguments of `covenant ledger get`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct GetArguments {
    #[command(flatten)]
    place: Place,
    /// Index of the entry.
    #[arg(value_name = "N")]
    index: u64,
    /// Write the entry and its proof into this directory, as entry.json and entry.tlog-proof.
    #[arg(long, value_name = "DIR")]
    proof: Option<PathBuf>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Shows the head.
///
/// # Errors
/// When it cannot be read.
pub fn head(arguments: &HeadArguments) -> anyhow::Result<ExitCode> {
    let kind = "LedgerHead";
    let (reader, key) = match arguments.place.reader()? {
        Ok(found) => found,
        Err(violation) => return report::violation(arguments.output, kind, &violation),
    };
    let head = reader.head();
    match arguments.output {
        Output::Json => report::print(&report::report(kind, report::head(&head, &key)))?,
        Output::Text => {
            field("origin", &head.origin)?;
            field("size", head.size)?;
            field("root", &head.root)?;
            field("signed by", key.to_text())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists entries.
///
/// # Errors
/// When they cannot be read.
pub fn list(arguments: &ListArguments) -> anyhow::Result<ExitCode> {
    let kind = "LedgerList";
    let (reader, key) = match arguments.place.reader()? {
        Ok(found) => found,
        Err(violation) => return report::violation(arguments.output, kind, &violation),
    };
    match arguments.output {
        Output::Json => {
            let head = report::report(kind, json!({ "head": report::head(&reader.head(), &key) }));
            line(&serde_json::to_string(&head)?)?;
        }
        Output::Text => line(&report::columns())?,
    }
    let end = arguments.to.map_or(u64::MAX, |last| last.saturating_add(1));
    for record in reader.entries(arguments.from..end) {
        let record = match record {
            Ok(record) => record,
            Err(violation) => return report::violation(arguments.output, kind, &violation),
        };
        if !is_wanted(arguments, &record) {
            continue;
        }
        match arguments.output {
            Output::Json => line(&serde_json::to_string(&report::entry(&record))?)?,
            Output::Text => line(&report::entry_line(&record))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_wanted(arguments: &ListArguments, record: &Record) -> bool {
    let Ok(entry) = &record.entry else {
        // Nobody knows whom and what it is about, so it is not left out.
        return true;
    };
    let tenant = arguments.tenant.is_none() || arguments.tenant == entry.tenant;
    let kind = arguments
        .kind
        .as_deref()
        .is_none_or(|kind| kind == entry.kind.short() || kind == entry.kind.as_str());
    tenant && kind
}

/// Shows one entry.
///
/// # Errors
/// When it cannot be read, or its proof cannot be written.
pub fn get(arguments: &GetArguments) -> anyhow::Result<ExitCode> {
    let kind = "LedgerEntry";
    let (reader, key) = match arguments.place.reader()? {
        Ok(found) => found,
        Err(violation) => return report::violation(arguments.output, kind, &violation),
    };
    let record = match reader.entry(arguments.index) {
        Ok(Some(record)) => record,
        Ok(None) => {
            anstream::eprintln!(
                "error: there is no entry {}; the ledger has {}, and the first is 0",
                arguments.index,
                reader.size()
            );
            return Ok(ExitCode::from(4));
        }
        Err(violation) => return report::violation(arguments.output, kind, &violation),
    };
    if let Some(folder) = &arguments.proof {
        match reader.prove(arguments.index) {
            Ok(proof) => write(folder, &record, &proof)?,
            Err(violation) => return report::violation(arguments.output, kind, &violation),
        }
    }
    let mut shown = report::entry(&record);
    match arguments.output {
        Output::Json => {
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("head".to_owned(), report::head(&reader.head(), &key));
            }
            report::print(&report::report(kind, shown))?;
        }
        Output::Text => {
            let event = shown.get_mut("event").map(serde_json::Value::take);
            report::print(&event.unwrap_or_default())?;
            if let Some(folder) = &arguments.proof {
                let folder = folder.display();
                anstream::eprintln!(
                    "written: {folder}/{ENTRY} and {folder}/{PROOF}; anybody verifies them with `covenant ledger verify {folder} --key \
                     FILE`"
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, record: &Record, proof: &str) -> Result<(), anyhow::Error> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, bytes) in [(ENTRY, record.bytes.as_slice()), (PROOF, proof.as_bytes())] {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The violation that a proof without its entry comes to.
pub fn no_proof() -> Violation {
    Violation::MalformedProof("it is no text")
}
