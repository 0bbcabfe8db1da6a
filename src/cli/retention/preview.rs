//! `covenant retention preview`: what would go, when, why, and what keeps the rest.

use super::{Place, Read, RetentionError, policies};
use crate::cli::plan::print;
use crate::model::{ObjectKey, World};
use crate::render;

/// Arguments of `covenant retention preview`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With -f it reads manifests: objects of selected kinds among them count as all that there are, and one without \
                  metadata.creationTimestamp as created at the instant that is asked about. Without -f it reads the cluster, of \
                  the objects their metadata only."
)]
pub(super) struct PreviewArguments {
    /// Name of a policy; every policy when absent.
    policy: Option<String>,
    #[command(flatten)]
    place: Place,
    /// List every object, however many there are.
    #[arg(long)]
    all: bool,
}

/// Previews.
pub(super) fn run(arguments: &PreviewArguments) -> anyhow::Result<()> {
    let now = arguments.place.instant.resolve()?;
    let read = arguments.place.read(now)?;
    let policy = arguments.policy.as_deref();
    let namespaces = namespaces(&read, policy)?;
    let report = render::retention_preview(&read.world, &namespaces, policy, read.notes, now);
    print(arguments.place.output, &report, || {
        render::retention_preview_text(&report, arguments.all)
    })
}

/// The namespaces that are meant: the one that was named, or all of the files that have the policy.
fn namespaces(read: &Read, policy: Option<&str>) -> Result<Vec<String>, RetentionError> {
    let world = &read.world;
    let has = |namespace: &String| {
        policy.is_none_or(|name| {
            let key = ObjectKey::new(namespace, name);
            world.retention_policy(&key).is_some()
        })
    };
    let mut asked: Vec<String> = match &read.namespace {
        Some(namespace) => vec![namespace.clone()],
        None => world.retained_namespaces().cloned().collect(),
    };
    asked.sort();
    asked.dedup();
    let found: Vec<String> = asked.iter().filter(|name| has(name)).cloned().collect();
    match policy {
        Some(name) if found.is_empty() => Err(missing(world, name, &asked)),
        _ => Ok(found),
    }
}

fn missing(world: &World, name: &str, asked: &[String]) -> RetentionError {
    let there: Vec<String> = asked
        .iter()
        .map(|namespace| policies(world, namespace))
        .collect();
    let there = if there.is_empty() {
        "no namespace has one".to_owned()
    } else {
        there.join("; ")
    };
    let policy = match asked {
        [only] => ObjectKey::new(only, name),
        _ => ObjectKey::cluster(name),
    };
    RetentionError::NoSuchPolicy { policy, there }
}
