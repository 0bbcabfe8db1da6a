//! The command line.
//!
//! May not: decide. It reads arguments, files and the clock, and hands them on.

#[cfg(feature = "operator")]
pub mod break_glass;
#[cfg(feature = "operator")]
pub mod check;
#[cfg(feature = "operator")]
pub mod connect;
pub mod crds;
#[cfg(feature = "operator")]
pub mod decision;
#[cfg(feature = "operator")]
pub mod encryption;
pub mod explain;
pub mod files;
pub mod guards;
#[cfg(feature = "operator")]
pub mod hold;
pub mod ledger;
#[cfg(feature = "operator")]
pub mod live;
pub mod plan;
pub mod retention;
#[cfg(feature = "operator")]
pub mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "covenant", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator
    #[cfg(feature = "operator")]
    Run(run::RunArguments),
    /// Show what the manifests would come to at an instant: who may share what with whom, until when, and why not
    Plan(plan::PlanArguments),
    /// Tell the story of one object: every gate, every end, what happens next
    Explain(explain::ExplainArguments),
    /// Check that everything enforcement rests on is there and as it was released
    #[cfg(feature = "operator")]
    Check(check::CheckArguments),
    /// Print the CustomResourceDefinitions
    Crds(crds::CrdsArguments),
    /// Print the guards: what the API server refuses and asks, as ValidatingAdmissionPolicies
    Guards(guards::GuardsArguments),
    /// Explain, narrow or release a ProcessingHold
    #[cfg(feature = "operator")]
    Hold(hold::HoldArguments),
    /// Preview and explain what is kept and disposed of, and lift the limit of a disposal
    Retention(retention::RetentionArguments),
    /// Report what is encrypted at rest and in transit, and probe which TLS servers negotiate
    #[cfg(feature = "operator")]
    Encryption(encryption::EncryptionArguments),
    /// Read and verify the ledger of what was done, offline
    Ledger(ledger::LedgerArguments),
    /// In an emergency: a kubeconfig with the authority of Covenant's officers, which ends by itself
    #[cfg(feature = "operator")]
    BreakGlass(break_glass::BreakGlassArguments),
}

/// Runs the command line.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        #[cfg(feature = "operator")]
        Command::Run(arguments) => run::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Plan(arguments) => plan::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        #[cfg(feature = "operator")]
        Command::Check(arguments) => check::run(arguments),
        Command::Crds(arguments) => crds::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Guards(arguments) => guards::run(arguments).map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "operator")]
        Command::Hold(arguments) => hold::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Retention(arguments) => retention::run(arguments).map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "operator")]
        Command::Encryption(arguments) => encryption::run(arguments),
        Command::Ledger(arguments) => ledger::run(arguments),
        #[cfg(feature = "operator")]
        Command::BreakGlass(arguments) => break_glass::run(arguments).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        anstream::eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
