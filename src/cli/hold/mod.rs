//! `covenant hold`: explain, narrow and release ProcessingHolds.
//!
//! What is decided is written by who decides, with their own rights, and the guards judge it: it works with the operator
//! dead. May not: decide in another's name, or touch anything of a hold but its decisions.

mod audit;
mod decide;
mod explain;

use kube::api::{Api, ApiResource, DynamicObject};
use kube::{Client, Error};
use thiserror::Error;

use super::connect::{self, Connection};
use crate::model::{Kind, ObjectKey};

/// Arguments of `covenant hold`.
#[derive(Debug, clap::Args)]
pub struct HoldArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Tell what holds cover, refuse and cannot keep, and how they are released
    Explain(explain::ExplainArguments),
    /// Decide that a hold holds less from now on
    Narrow(decide::NarrowArguments),
    /// Decide that a hold is over
    Release(decide::ReleaseArguments),
}

/// Where a hold is.
#[derive(Clone, Debug, clap::Args)]
struct Place {
    /// Namespace of the hold; your kubeconfig's when absent.
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Why a hold is not explained or decided about.
#[derive(Debug, Error)]
enum HoldError {
    #[error(
        "there is no ProcessingHold {0}; `kubectl get phold -n {ns}` lists those that there are",
        ns = .0.namespace
    )]
    NoSuchHold(ObjectKey),
    #[error(
        "this cluster knows no ProcessingHolds; install Covenant (its CustomResourceDefinitions) first"
    )]
    NotInstalled,
    #[error(
        "ProcessingHold {hold} was released already by {by}{at}: {reason}. Nothing is left to decide; to hold again, write \
         another hold"
    )]
    AlreadyReleased {
        hold: ObjectKey,
        by: String,
        at: String,
        reason: String,
    },
    #[error(
        "{user} may not read ProcessingHolds in namespace {namespace}; the ClusterRoles covenant-view and covenant-officer \
         may. Ask who binds roles for that namespace"
    )]
    MayNotRead { user: String, namespace: String },
    #[error(
        "{user} may not write decisions about ProcessingHold {hold}: RBAC gives no right to patch processingholds/status in \
         that namespace. The ClusterRole covenant-officer has it, and the verb release that the guards ask for; ask the \
         compliance officer, or in an emergency use `kubectl covenant break-glass`"
    )]
    MayNotDecide { user: String, hold: ObjectKey },
    #[error("the guard refused: {0}")]
    Refused(String),
    #[error("the API server refused the decision: {0}")]
    Invalid(String),
    #[error(
        "somebody else keeps writing to ProcessingHold {0}; nothing was decided. Run the same command again"
    )]
    Crowded(ObjectKey),
}

/// Runs a command about holds.
///
/// # Errors
/// When the cluster does not answer, there is no such hold, or the decision is refused.
pub fn run(arguments: &HoldArguments) -> anyhow::Result<()> {
    connect::block_on(async {
        match &arguments.what {
            What::Explain(arguments) => explain::run(arguments).await,
            What::Narrow(arguments) => decide::narrow(arguments).await,
            What::Release(arguments) => decide::release(arguments).await,
        }
    })
}

impl Place {
    async fn open(&self) -> anyhow::Result<(Client, String)> {
        let client = self.connection.client().await?;
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        Ok((client, namespace))
    }
}

fn holds(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let resource: ApiResource = Kind::Hold.api_resource();
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// What a refused reading means.
async fn unread(client: &Client, namespace: &str, error: Error) -> anyhow::Error {
    match error {
        Error::Api(status) if status.code == 403 => match connect::user(client).await {
            Ok(user) => HoldError::MayNotRead {
                user,
                namespace: namespace.to_owned(),
            }
            .into(),
            Err(error) => error,
        },
        Error::Api(status) if status.code == 404 => HoldError::NotInstalled.into(),
        error => {
            anyhow::Error::new(error).context("the cluster does not answer; is --kubeconfig right?")
        }
    }
}

/// One hold as it is stored.
async fn get(client: &Client, key: &ObjectKey) -> anyhow::Result<DynamicObject> {
    match holds(client, &key.namespace).get(&key.name).await {
        Ok(object) => Ok(object),
        // The API server names the object where it knows the kind.
        Err(Error::Api(status))
            if status.code == 404
                && status
                    .details
                    .as_ref()
                    .is_some_and(|it| it.name == key.name) =>
        {
            Err(HoldError::NoSuchHold(key.clone()).into())
        }
        Err(error) => Err(unread(client, &key.namespace, error).await),
    }
}
