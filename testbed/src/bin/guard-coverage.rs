//! Says which expressions of the guards the tests saw both ways, out of the audit logs that they left.
//!
//! May not: run tests. `make guard-coverage` does, and then asks this.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use testbed::{chart, coverage};

/// Outcomes that no test can bring about on a real API server, each with its reason.
const IMPOSSIBLE: &[(&str, &str, &str, &str)] = &[];

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let folder = coverage::folder()
        .with_context(|| format!("{} names no folder with audit logs", coverage::FOLDER))?;
    let seen = coverage::read(&folder)?;
    ensure!(seen.requests > 0, "no request in {}", folder.display());
    let guards: Vec<Value> = chart::render(&chart::folder(), &[]).await?.rest;
    report(&guards, &seen, &folder)
}

fn report(guards: &[Value], seen: &coverage::Seen, folder: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut by_guard: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let expected = coverage::expected(guards, seen);
    let mut missing = Vec::new();
    for (outcome, is_seen) in &expected {
        let (all, met) = by_guard.entry(&outcome.guard).or_default();
        let excuse = IMPOSSIBLE.iter().find(|(guard, expression, value, _)| {
            *guard == outcome.guard && *expression == outcome.expression && *value == outcome.value
        });
        *all += 1;
        *met += usize::from(*is_seen || excuse.is_some());
        match (is_seen, excuse) {
            (false, None) => missing.push(outcome),
            (true, Some(excuse)) => bail!("it was seen after all: {excuse:?}"),
            _ => {}
        }
    }
    for (guard, (all, met)) in &by_guard {
        writeln!(out, "{guard:<36} {met:>3} of {all:>3} outcomes").context("nobody listens")?;
    }
    writeln!(out, "{} requests in {}", seen.requests, folder.display())
        .context("nobody listens")?;
    for outcome in &missing {
        writeln!(
            out,
            "never seen: {} {} = {}",
            outcome.guard, outcome.expression, outcome.value
        )
        .context("nobody listens")?;
    }
    for error in seen.errors.iter().take(10) {
        writeln!(out, "broken: {error}").context("nobody listens")?;
    }
    ensure!(
        missing.is_empty() && seen.errors.is_empty(),
        "{} outcomes were never seen, {} refusals were broken",
        missing.len(),
        seen.errors.len()
    );
    Ok(())
}
