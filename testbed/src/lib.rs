//! A real Kubernetes control plane on loopback, and what it takes to test against it: identities, faults, counts.
//!
//! May not: know what Covenant decides. It installs the chart and runs the binary as a user would; nothing here
//! imports the operator, so that what a test sees is what the cluster shows.

pub mod appointments;
pub mod audit;
pub mod certificates;
pub mod chart;
pub mod cluster;
pub mod history;
pub mod identity;
pub mod judge;
pub mod kubeconfig;
pub mod kubectl;
/// The fixed names of the API, from the one file that defines them.
#[path = "../../src/api/names.rs"]
pub mod names;
pub mod operator;
pub mod process;
pub mod proxy;
pub mod tools;
pub mod wait;

mod ports;

pub use cluster::{Cluster, ClusterOptions, NotAvailable};
pub use identity::Identity;
pub use kubectl::Output;
pub use wait::{always, eventually};
