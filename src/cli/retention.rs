//! `covenant retention`: preview what goes from a namespace, explain what becomes of one object, and lift a limit.
//!
//! Over manifests it needs no cluster; over a cluster it reads with the rights of who asks. May not: decide what goes.

mod explain;
#[cfg(feature = "operator")]
mod lift;
#[cfg(feature = "operator")]
mod live;
mod preview;

use jiff::Timestamp;
use thiserror::Error;

#[cfg(feature = "operator")]
use super::connect::{self, Connection};
use super::files::items::Item;
use super::files::{DEFAULT_NAMESPACE, Sources};
use super::plan::{self, Instant, Output};
use crate::model::{ObjectKey, World};
use crate::simulate;

/// Arguments of `covenant retention`.
#[derive(Debug, clap::Args)]
pub struct RetentionArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show in full what would go, when, why and under which policy, and what keeps the rest
    Preview(preview::PreviewArguments),
    /// Tell what becomes of one object: which rules touch it, which wins, when it may go and when it will
    Explain(explain::ExplainArguments),
    /// Decide that runs may go past the limit until so many objects went in all
    #[cfg(feature = "operator")]
    Lift(lift::LiftArguments),
}

/// Manifests or a cluster, at an instant.
#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    sources: Sources,
    #[cfg(feature = "operator")]
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    instant: Instant,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Why nothing is told or decided.
#[derive(Debug, Error)]
enum RetentionError {
    #[error("there is no RetentionPolicy {policy}; {there}")]
    NoSuchPolicy { policy: ObjectKey, there: String },
    #[error("there is no {kind} {key}{place}")]
    NoSuchObject {
        kind: String,
        key: ObjectKey,
        place: &'static str,
    },
    #[error(
        "`{0}` names no object; write its kind as in a manifest, with its group where it has one, and its name: \
         ConfigMap/NAME, Job.batch/NAME"
    )]
    Unnamed(String),
    #[cfg(feature = "operator")]
    #[error(
        "the cluster serves no kind {0} in a namespace; write it as in a manifest, with its group where it has one: \
         ConfigMap/NAME, Job.batch/NAME. `kubectl api-resources --namespaced` lists them"
    )]
    NoSuchKind(String),
    #[cfg(feature = "operator")]
    #[error(
        "this cluster knows no RetentionPolicies; install Covenant (its CustomResourceDefinitions) first"
    )]
    NotInstalled,
    #[cfg(feature = "operator")]
    #[error(
        "{user} may not read {what} in namespace {namespace}, without which nothing can be said about retention there; \
         the ClusterRoles view and covenant-view may. Ask who binds roles for that namespace"
    )]
    MayNotRead {
        user: String,
        what: String,
        namespace: String,
    },
    #[cfg(feature = "operator")]
    #[error(
        "{user} may not write decisions about RetentionPolicy {policy}: RBAC gives no right to patch \
         retentionpolicies/status in that namespace. The ClusterRole covenant-officer has it, and the verb approve that \
         the guards ask for; ask the compliance officer"
    )]
    MayNotDecide { user: String, policy: ObjectKey },
    #[cfg(feature = "operator")]
    #[error(
        "--until {until}: {gone} objects went under RetentionPolicy {policy} already, so this lifts nothing; {then}"
    )]
    LiftsNothing {
        policy: ObjectKey,
        until: i64,
        gone: i64,
        then: String,
    },
    #[cfg(feature = "operator")]
    #[error(
        "the limit of RetentionPolicy {policy} is lifted until {lifted} objects went in all already ({by}: {reason}); \
         a further decision names more than {lifted}"
    )]
    AlreadyLifted {
        policy: ObjectKey,
        lifted: i64,
        by: String,
        reason: String,
    },
    #[cfg(feature = "operator")]
    #[error(
        "RetentionPolicy {0} keeps as many decisions as it can; write another policy in its place to decide further"
    )]
    Full(ObjectKey),
    #[cfg(feature = "operator")]
    #[error("the guard refused: {0}")]
    Refused(String),
    #[cfg(feature = "operator")]
    #[error("the API server refused the decision: {0}")]
    Invalid(String),
    #[cfg(feature = "operator")]
    #[error(
        "somebody else keeps writing to RetentionPolicy {0}; nothing was decided. Run the same command again"
    )]
    Crowded(ObjectKey),
}

/// Runs a command about retention.
///
/// # Errors
/// When manifests or the cluster cannot be read, what is asked about is not there, or the decision is refused.
pub fn run(arguments: &RetentionArguments) -> anyhow::Result<()> {
    match &arguments.what {
        What::Preview(arguments) => preview::run(arguments),
        What::Explain(arguments) => explain::run(arguments),
        #[cfg(feature = "operator")]
        What::Lift(arguments) => connect::block_on(lift::run(arguments)),
    }
}

/// What is asked about, read.
struct Read {
    world: World,
    /// The namespace that is meant; none: every one of the files.
    namespace: Option<String>,
    /// What was assumed, and what is not known.
    notes: Vec<String>,
    /// Objects among the manifests.
    items: Vec<Item>,
}

impl Place {
    /// Whether manifests are named.
    #[cfg(feature = "operator")]
    fn is_offline(&self) -> bool {
        !self.sources.filenames.is_empty()
    }

    /// Reads the manifests, and lets a simulated cluster come to rest on them.
    fn read_files(&self, now: Timestamp) -> anyhow::Result<Read> {
        #[cfg(feature = "operator")]
        if self.connection.is_named() {
            anyhow::bail!(
                "name manifests with -f, or a cluster with --kubeconfig or --context; not both"
            );
        }
        let plan::Opened {
            world,
            notes,
            items,
        } = plan::open(&self.sources, now)?;
        Ok(Read {
            world: simulate::converge(world, now)?.world,
            namespace: self.sources.namespace.clone(),
            notes,
            items,
        })
    }

    /// Reads the manifests, or the cluster where none are named.
    fn read(&self, now: Timestamp) -> anyhow::Result<Read> {
        #[cfg(feature = "operator")]
        if !self.is_offline() {
            return connect::block_on(async {
                let client = self.connection.client().await?;
                let namespace = self.sources.namespace.as_deref();
                let namespace = namespace.unwrap_or(client.default_namespace()).to_owned();
                live::read(&client, namespace).await
            });
        }
        self.read_files(now)
    }
}

/// Which policies there are, for who named one that there is not.
fn policies(world: &World, namespace: &str) -> String {
    let policies = world.retention_policies_in(namespace);
    let names: Vec<&str> = policies
        .map(|policy| policy.meta.key.name.as_str())
        .collect();
    if names.is_empty() {
        format!("namespace {namespace} has none")
    } else {
        format!("namespace {namespace} has {}", names.join(", "))
    }
}
