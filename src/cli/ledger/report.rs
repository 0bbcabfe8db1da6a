//! What the commands about a ledger print.
//!
//! May not: hold more of a ledger than what one line tells.

use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Output, code};
use crate::ledger::{Entry, Head, Phase, Record, VerifyingKey, Violation};
use crate::render::REPORT_API_VERSION;

/// A head as JSON tells it.
pub fn head(head: &Head, key: &VerifyingKey) -> Value {
    json!({
        "origin": head.origin,
        "size": head.size,
        "root": head.root,
        "signedBy": key.to_text(),
        "checkpoint": head.checkpoint,
    })
}

/// A report of a kind.
pub fn report(kind: &str, fields: Value) -> Value {
    let mut report = json!({ "apiVersion": REPORT_API_VERSION, "kind": kind });
    if let (Some(report), Value::Object(fields)) = (report.as_object_mut(), fields) {
        report.extend(fields);
    }
    report
}

/// Prints a report.
pub fn print(report: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(report)?)
}

/// Prints a line.
pub fn line(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// A line with a name in front.
pub fn field(name: &str, value: impl std::fmt::Display) -> anyhow::Result<()> {
    line(&format!("{name:<18}{value}"))
}

/// Prints what is wrong, and returns its exit code.
pub fn violation(output: Output, kind: &str, violation: &Violation) -> anyhow::Result<ExitCode> {
    let message = words(violation);
    match output {
        Output::Json => {
            let (expected, found) = violation.roots().unzip();
            print(&report(
                kind,
                json!({
                    "valid": false,
                    "violation": {
                        "message": message,
                        "firstBadIndex": violation.first_bad(),
                        "signed": expected,
                        "found": found,
                    },
                }),
            ))?;
        }
        Output::Text => {
            line(&format!("NOT VALID: {message}"))?;
            if let Some(index) = violation.first_bad() {
                field("first bad index", index)?;
            }
            if let Some((signed, found)) = violation.roots() {
                field("signed", signed)?;
                field("found", found)?;
            }
        }
    }
    Ok(code(violation))
}

/// An error with its causes.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

/// An entry as JSON tells it: the event as it was signed.
pub fn entry(record: &Record) -> Value {
    let event = serde_json::from_slice(&record.bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&record.bytes).into_owned()));
    json!({ "index": record.index, "event": event })
}

/// The names of the columns of a list.
pub fn columns() -> String {
    format!(
        "{:>8}  {:<20}  {:<18}  {:<8}  {:<12}  OBJECT",
        "INDEX", "TIME", "TYPE", "PHASE", "TENANT"
    )
}

/// An entry as one line. What a ledger holds may hold anything: no control character reaches a terminal.
pub fn entry_line(record: &Record) -> String {
    let index = record.index;
    match &record.entry {
        Err(error) => format!("{index:>8}  unreadable: {}", plain(&words(error))),
        Ok(entry) => format!(
            "{index:>8}  {:<20}  {:<18}  {:<8}  {:<12}  {}",
            entry.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            plain(entry.kind.short()),
            phase(entry),
            plain(entry.tenant.as_deref().unwrap_or("-")),
            plain(&entry.subject.to_text()),
        ),
    }
}

fn phase(entry: &Entry) -> &'static str {
    match &entry.phase {
        Phase::Intent => "intent",
        Phase::Fact => "fact",
        Phase::Outcome { settled: true, .. } => "outcome",
        Phase::Outcome { settled: false, .. } => "accepted",
    }
}

fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}
