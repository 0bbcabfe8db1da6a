//! `covenant explain`: the story of one object.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use super::files::{DEFAULT_NAMESPACE, Sources};
use super::plan::{Instant, Output, converge, print};
use crate::model::{ObjectKey, World};
use crate::render;

/// Arguments of `covenant explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// A DataSharingGrant
    #[command(visible_aliases = ["datasharinggrant", "grant"])]
    Dsg(GrantArguments),
}

#[derive(Debug, clap::Args)]
struct GrantArguments {
    /// Name of the grant.
    name: String,
    #[command(flatten)]
    sources: Sources,
    /// Kubeconfig of the cluster to read where no manifests are named.
    #[cfg(feature = "operator")]
    #[arg(long, value_name = "FILE", conflicts_with = "filenames")]
    kubeconfig: Option<std::path::PathBuf>,
    #[command(flatten)]
    instant: Instant,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Tells the story.
///
/// # Errors
/// When a document or the cluster cannot be read, or there is no such grant.
pub fn run(arguments: &ExplainArguments) -> anyhow::Result<ExitCode> {
    let What::Dsg(arguments) = &arguments.what;
    let now = arguments.instant.resolve()?;
    let (world, namespace) = world(arguments, now)?;
    let key = find(&world, &namespace, &arguments.name)?;
    let story = render::story(&world, &key, now).context("the grant was not planned")?;
    print(arguments.output, &story, || render::story_text(&story))?;
    Ok(ExitCode::SUCCESS)
}

/// The World of the manifests, or of a live cluster where none are named.
fn world(arguments: &GrantArguments, now: Timestamp) -> anyhow::Result<(World, String)> {
    let sources = &arguments.sources;
    #[cfg(feature = "operator")]
    if sources.filenames.is_empty() {
        let live = super::live::read(arguments.kubeconfig.clone(), sources.namespace.clone())?;
        return Ok((live.world, live.namespace));
    }
    let namespace = sources.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    Ok((converge(sources, now)?.world, namespace.to_owned()))
}

/// The grant of this name in the namespace; where the name occurs once only, the namespace need not be given.
fn find(world: &World, namespace: &str, name: &str) -> anyhow::Result<ObjectKey> {
    let key = ObjectKey::new(namespace, name);
    if world.grant(&key).is_some() {
        return Ok(key);
    }
    let named: Vec<&ObjectKey> = world
        .grants()
        .map(|grant| &grant.meta.key)
        .filter(|key| key.name == name)
        .collect();
    match named.as_slice() {
        [only] if namespace == DEFAULT_NAMESPACE => Ok((*only).clone()),
        [] => bail!("there is no DataSharingGrant {name}"),
        several => {
            let places: Vec<&str> = several.iter().map(|key| key.namespace.as_str()).collect();
            bail!(
                "there is no DataSharingGrant {key}; one of that name is in {}",
                places.join(", ")
            )
        }
    }
}
