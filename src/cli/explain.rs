//! `covenant explain`: the story of one object.

use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::files::Sources;
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
    #[command(flatten)]
    instant: Instant,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Tells the story.
///
/// # Errors
/// When a document cannot be read, or there is no such grant.
pub fn run(arguments: &ExplainArguments) -> anyhow::Result<ExitCode> {
    let What::Dsg(arguments) = &arguments.what;
    let now = arguments.instant.resolve()?;
    let world = converge(&arguments.sources, now)?.world;
    let key = find(&world, &arguments.sources.namespace, &arguments.name)?;
    let story = render::story(&world, &key, now).context("the grant was not planned")?;
    print(arguments.output, &story, || render::story_text(&story))?;
    Ok(ExitCode::SUCCESS)
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
        [only] if namespace == "default" => Ok((*only).clone()),
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
