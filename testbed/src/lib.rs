//! A real Kubernetes control plane on loopback, and what it takes to test against it: identities, faults, counts.
//!
//! May not: know what Covenant decides. It installs the chart and runs the binary as a user would; nothing here
//! imports the operator, so that what a test sees is what the cluster shows.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use testbed::{Cluster, ClusterOptions, eventually};
//!
//! # async fn story(covenant: &str) -> anyhow::Result<()> {
//! let cluster = Cluster::start(ClusterOptions::new()).await?;
//! cluster.install_chart().await?;
//! let platform = cluster.platform_engineer().await?;
//! let operator = cluster.start_operator(covenant).await?;
//!
//! let before = cluster.etcd()?.revision().await?;
//! platform.apply("{apiVersion: v1, kind: Namespace, metadata: {name: acme}}").await?.success()?;
//! let tenant = cluster.tenant_admin("acme").await?;
//! eventually("the path is open", Duration::from_secs(10), async || {
//!     tenant.get(&["networkpolicy", "grant-vendor", "-n", "acme"]).await
//! })
//! .await?;
//! operator.kill();
//! let written = cluster.etcd()?.history_since(before).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Tests of one file may share a cluster in a `static` `tokio::sync::OnceCell`: nothing drops it, and it ends with the
//! process all the same.

pub mod agent;
pub mod appointments;
pub mod audit;
pub mod certificates;
pub mod chart;
pub mod cluster;
pub mod collectors;
pub mod coverage;
pub mod disk;
pub mod effort;
pub mod encryption;
pub mod history;
pub mod identity;
pub mod judge;
pub mod kubeconfig;
pub mod kubectl;
/// The fixed names of the API, from the one file that defines them.
#[path = "../../src/api/names.rs"]
pub mod names;
pub mod node;
pub mod operator;
pub mod parameters;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod tools;
pub mod wait;

mod ports;

pub use cluster::{Cluster, ClusterOptions, NotAvailable};
pub use identity::Identity;
pub use kubectl::Output;
pub use wait::{always, eventually};
