//! Covenant turns a cloud host's written promises about its tenants' data into something a Kubernetes cluster enforces.
//!
//! A pure core and a thin shell: `main → cli → operator → { render, check, diff, record, simulate } → plan → model → api`. An arrow means
//! "may import"; nothing imports leftwards. Everything but `operator` and `cli` does no I/O and knows no clock, client,
//! environment or randomness. A test enforces the arrows.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod api;
pub mod check;
pub mod cli;
pub mod diff;
pub mod ledger;
pub mod model;
#[cfg(feature = "operator")]
pub mod operator;
pub mod plan;
pub mod record;
pub mod render;
pub mod simulate;
