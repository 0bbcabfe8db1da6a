//! Measures the operator against a raw client in the same run, interleaved. Calls are counted by tests/counts.rs.
//!
//! May not: judge. It prints what it saw; docs/benchmarks.md says what was aimed at.

mod cold_start;
mod counts;
mod echo;
mod guards;
mod latency;
mod ledger;
mod memory;
mod objects;
mod retention;
mod staircase;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

/// The parts of the benchmark.
const PARTS: [&str; 7] = [
    "counts",
    "latency",
    "cold-start",
    "memory",
    "guards",
    "retention",
    "ledger",
];

/// What is measured, and how much of it.
struct Arguments {
    covenant: PathBuf,
    samples: usize,
    sizes: Vec<usize>,
    pairs: usize,
    grants: Vec<usize>,
    counted: usize,
    deletes: usize,
    disposals: usize,
    crowd: usize,
    quick: bool,
    only: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(arguments) = arguments()? else {
        return Ok(());
    };
    let wanted = |part: &str| arguments.only.as_deref().is_none_or(|only| only == part);
    if wanted("counts") {
        say("Counts: calls by verb and resource from the audit log, revisions from the store")?;
        counts::measure(&arguments.covenant, arguments.counted).await?;
    }
    if wanted("latency") {
        say(
            "\nLatency: from a grant's 201 to the stored policy, beside raw clients in the same run",
        )?;
        latency::measure(&arguments.covenant, arguments.samples).await?;
    }
    if wanted("cold-start") {
        say(
            "\nCold start: every object of N enrolled namespaces, beside a raw client that writes the same bodies",
        )?;
        cold_start::measure(&arguments.covenant, &arguments.sizes, arguments.pairs).await?;
    }
    if wanted("memory") {
        say("\nMemory: resident size of the operator over the number of open grants")?;
        memory::measure(&arguments.covenant, &arguments.grants).await?;
    }
    if wanted("retention") {
        say(
            "\nRetention: disposal beside raw DELETEs with the same preconditions, and what objects cost that are not due",
        )?;
        let (objects, crowd) = (arguments.disposals, arguments.crowd);
        retention::measure(&arguments.covenant, objects, arguments.pairs, crowd).await?;
    }
    if wanted("guards") {
        say("\nGuards: a DELETE, beside the same in a namespace that is not enrolled")?;
        guards::measure(arguments.deletes).await?;
        say("\nHolds: from the 201 to the first refusal")?;
        guards::measure_lag(arguments.deletes / 4).await?;
    }
    if wanted("ledger") {
        say(
            "\nLedger: entries with everything synced, and verifying, beside the raw crates in memory",
        )?;
        ledger::measure(arguments.quick)?;
    }
    Ok(())
}

fn arguments() -> anyhow::Result<Option<Arguments>> {
    let mut arguments = Arguments {
        covenant: PathBuf::new(),
        samples: 200,
        sizes: vec![500, 2000],
        pairs: 3,
        grants: vec![500, 1000, 2000, 4000],
        counted: 20,
        deletes: 400,
        disposals: 40_000,
        crowd: 100_000,
        quick: false,
        only: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--covenant" => {
                arguments.covenant = given.next().map(PathBuf::from).unwrap_or_default()
            }
            "--samples" => {
                let count = given.next().context("--samples needs a number")?;
                arguments.samples = count.parse().context("--samples needs a number")?;
            }
            "--only" => {
                let part = given.next().context("--only needs the name of a part")?;
                anyhow::ensure!(
                    PARTS.contains(&part.as_str()),
                    "--only takes one of {}",
                    PARTS.join(", ")
                );
                arguments.only = Some(part);
            }
            "--quick" => {
                arguments.samples = 40;
                arguments.sizes = vec![100, 200];
                arguments.pairs = 1;
                arguments.grants = vec![100, 200];
                arguments.counted = 5;
                arguments.deletes = 100;
                arguments.disposals = 2000;
                arguments.crowd = 2000;
                arguments.quick = true;
            }
            _ => {
                say("bench --covenant BINARY [--samples N] [--quick] [--only PART]")?;
                anyhow::ensure!(
                    argument == "--help" || argument == "-h",
                    "unknown argument {argument}"
                );
                return Ok(None);
            }
        }
    }
    anyhow::ensure!(
        arguments.covenant.exists(),
        "--covenant BINARY is missing: the operator's release binary"
    );
    Ok(Some(arguments))
}

/// Prints a line.
pub fn say(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{text}").context("nobody listens")?;
    output.flush().context("nobody listens")
}

/// The value at this share of the sorted values.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among a few hundred"
    )]
    let rank = (last as f64 * share).round() as usize;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}
