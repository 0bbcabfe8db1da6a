//! What the ledger costs. It is measured within its library, by `benches/ledger.rs` in a process of its own, so that the testbed need not
//! be built anew whenever the library changes.
//!
//! May not: measure anything itself.

use std::process::Command;

use anyhow::Context as _;

/// Measures and prints.
pub fn measure(quick: bool) -> anyhow::Result<()> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let status = Command::new("cargo")
        .args(["bench", "--quiet", "--locked", "--bench", "ledger", "--"])
        .args(quick.then_some("--quick"))
        .current_dir(root)
        .status()
        .context("cargo cannot be run")?;
    anyhow::ensure!(status.success(), "the benchmark of the ledger failed");
    Ok(())
}
