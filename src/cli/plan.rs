//! `covenant plan`: what manifests would come to, without a cluster.
//!
//! May not: plan with a document missing. A document that cannot be read may have been a prohibition.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde::Serialize;

use super::files::items::Item;
use super::files::{self, Sources};
use crate::api::WhenText;
use crate::model::{World, time};
use crate::render;
use crate::simulate::{self, Converged};

/// Arguments of `covenant plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 nothing to change, 2 changes, 1 error.")]
pub struct PlanArguments {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    instant: Instant,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// The instant that is asked about.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Instant {
    /// Instant (2027-01-31T00:00:00Z) or date (its first instant in UTC) to plan for; now when absent.
    #[arg(long, value_name = "INSTANT")]
    pub at: Option<String>,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// JSON of a fixed version.
    Json,
    /// The same as YAML.
    Yaml,
}

impl Instant {
    /// The instant.
    ///
    /// # Errors
    /// When the text is neither an instant nor a date.
    pub fn resolve(&self) -> anyhow::Result<Timestamp> {
        match &self.at {
            Some(text) => time::beginning(&WhenText(text.clone())).context("--at"),
            None => Ok(now()),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line is where the present comes from"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Plans and prints.
///
/// # Errors
/// When a document cannot be read, or the plan does not come to rest.
pub fn run(arguments: &PlanArguments) -> anyhow::Result<ExitCode> {
    let now = arguments.instant.resolve()?;
    let converged = converge(&arguments.sources, now)?;
    let report = render::report(&converged, now);
    print(arguments.output, &report, || render::plan_text(&report))?;
    let code = if report.summary.is_at_rest() { 0 } else { 2 };
    Ok(ExitCode::from(code))
}

/// Reads the manifests and lets a simulated cluster come to rest on them.
///
/// # Errors
/// As [`run`].
pub fn converge(sources: &Sources, now: Timestamp) -> anyhow::Result<Converged> {
    let Opened { world, notes, .. } = open(sources, now)?;
    for note in notes {
        anstream::eprintln!("note: {note}");
    }
    Ok(simulate::converge(world, now)?)
}

/// Manifests and the World of them.
pub struct Opened {
    /// The World.
    pub world: World,
    /// What was assumed.
    pub notes: Vec<String>,
    /// Objects of any kind that a retention policy could select.
    pub items: Vec<Item>,
}

/// Reads the manifests whole.
///
/// # Errors
/// When none are named, or something of them cannot be read.
pub fn open(sources: &Sources, now: Timestamp) -> anyhow::Result<Opened> {
    if sources.filenames.is_empty() {
        bail!("name manifests with -f: files, directories, or - for standard input");
    }
    let mut manifests = files::read(sources);
    let (world, notes) = manifests.world(now);
    for problem in &manifests.problems {
        anstream::eprintln!("{problem}");
    }
    let count = manifests.problems.len();
    if count > 0 {
        bail!(
            "{count} {} be read; without them no plan is sound",
            if count == 1 {
                "document cannot"
            } else {
                "things cannot"
            }
        );
    }
    Ok(Opened {
        world,
        notes,
        items: manifests.items,
    })
}

/// Prints a report in the form that was asked for.
///
/// # Errors
/// When it cannot be written.
pub fn print(
    output: Output,
    report: &impl Serialize,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let text = match output {
        Output::Text => text(),
        Output::Json => format!("{}\n", serde_json::to_string_pretty(report)?),
        Output::Yaml => serde_saphyr::to_string(report)?,
    };
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads may have read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot print"),
    }
}
