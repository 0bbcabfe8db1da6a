//! What decisions about holds and about retention have in common: one entry more in a status, with a reason, by whoever types.
//!
//! May not: know what is decided.

use anyhow::bail;
use serde::Serialize;
use serde_json::{Value, json};

/// How often a decision that somebody else's write overtook is made anew. The operator writes the same status.
pub const ATTEMPTS: usize = 10;
/// Field manager of decisions.
pub const MANAGER: &str = "kubectl-covenant";

/// Whether anything is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DryRun {
    /// The decision is made.
    #[default]
    None,
    /// The API server and the guards check it and store nothing.
    Server,
}

/// The reason as it is kept.
///
/// # Errors
/// When there is none, or more than is kept.
pub fn reason(text: &str) -> anyhow::Result<String> {
    let text = text.trim();
    match text.chars().count() {
        1..=512 => Ok(text.to_owned()),
        0 => bail!("--reason: say why, in a sentence that an auditor will read"),
        count => bail!("--reason: {count} characters are too many; 512 are kept"),
    }
}

/// The decisions that stand, untouched, and one more, for exactly the object that was read. A merge patch puts a whole list in
/// place of the old one.
#[must_use]
pub fn patch(version: Option<&str>, stored: &Value, decision: &impl Serialize) -> Value {
    let mut decisions = stored["status"]["decisions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    decisions.push(json!(decision));
    json!({
        "metadata": { "resourceVersion": version },
        "status": { "decisions": decisions }
    })
}
