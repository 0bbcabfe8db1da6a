//! `covenant check`: is everything there that enforcement rests on, and as it was released?
//!
//! May not: change anything, or call something proven that was not asked. What the caller may not read is `Unknown`.

mod its_operator;
mod probes;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::plan::{Output, print};
use crate::operator;
use crate::render::{CheckReport, Finding, checks_text};

/// Arguments of `covenant check`.
#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// Kubeconfig of the cluster; yours when absent.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The operator's own namespace.
    #[arg(long, default_value = "covenant-system")]
    namespace: String,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Makes the checks. Fails, by its exit code, where one does; what cannot be told is no failure.
///
/// # Errors
/// When no cluster is configured, or the result cannot be printed.
pub fn run(arguments: &CheckArguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime could not be built")?;
    let checks = runtime.block_on(async {
        let client = operator::client(arguments.kubeconfig.clone())
            .await
            .context("no cluster; name one with --kubeconfig")?;
        anyhow::Ok(probes::all(&client, &arguments.namespace).await)
    })?;
    let report = CheckReport::new(checks);
    print(arguments.output, &report, || checks_text(&report))?;
    Ok(match report.result {
        Finding::Failed => ExitCode::FAILURE,
        Finding::Passed | Finding::Unknown => ExitCode::SUCCESS,
    })
}
