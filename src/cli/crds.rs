//! `covenant crds`: the CustomResourceDefinitions of this release, as YAML.
//!
//! May not: talk to a cluster. What is printed here is what `crds/` and the chart carry.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::api::custom_resource_definitions;

/// Arguments of `covenant crds`.
#[derive(Debug, Default, clap::Args)]
pub struct CrdsArguments {
    /// Write one file for each kind into this directory instead of printing them.
    #[arg(long, value_name = "DIRECTORY")]
    pub dir: Option<PathBuf>,
}

/// Prints the definitions, or writes them to files.
///
/// # Errors
/// When one cannot be written.
pub fn run(arguments: &CrdsArguments) -> anyhow::Result<()> {
    let files = files()?;
    let Some(directory) = &arguments.dir else {
        let mut out = anstream::stdout().lock();
        for (_, text) in files {
            writeln!(out, "---")?;
            out.write_all(text.as_bytes())?;
        }
        return Ok(());
    };
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    for (name, text) in files {
        let path = directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// File name and text of every definition.
///
/// # Errors
/// When one cannot be written as YAML.
pub fn files() -> anyhow::Result<Vec<(String, String)>> {
    custom_resource_definitions()
        .into_iter()
        .map(|definition| {
            let name = format!(
                "{}.yaml",
                definition.metadata.name.clone().unwrap_or_default()
            );
            let text = serde_saphyr::to_string(&definition)
                .with_context(|| format!("cannot write {name} as YAML"))?;
            Ok((name, text))
        })
        .collect()
}
