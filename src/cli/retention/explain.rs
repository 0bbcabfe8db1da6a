//! `covenant retention explain`: what becomes of one object.

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use super::{DEFAULT_NAMESPACE, Place, Read, RetentionError};
use crate::cli::files::items::Item;
use crate::cli::plan::print;
use crate::model::{ObjectKey, ResourceKind, is_never_selected};
use crate::render;

/// Arguments of `covenant retention explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArguments {
    /// The object: its kind as in a manifest, with its group where it has one, and its name, such as ConfigMap/report-17 or
    /// Job.batch/nightly-1.
    #[arg(value_name = "KIND[.GROUP]/NAME")]
    object: String,
    #[command(flatten)]
    place: Place,
}

/// An object as it was named on the command line.
pub(super) struct Named {
    /// Its kind.
    pub(super) kind: String,
    /// Its group, where one was given.
    pub(super) group: Option<String>,
    /// Its name.
    pub(super) name: String,
}

impl Named {
    fn read(text: &str) -> Result<Self, RetentionError> {
        let unnamed = || RetentionError::Unnamed(text.escape_debug().to_string());
        let (kind, name) = text.split_once('/').ok_or_else(unnamed)?;
        let (kind, group) = match kind.split_once('.') {
            Some((kind, group)) => (kind, Some(group)),
            None => (kind, None),
        };
        let word = |text: &str, others: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || others.contains(letter))
        };
        // Names of a few kinds (of RBAC's) have colons; nothing selects those.
        let is_well_formed =
            word(kind, "") && group.is_none_or(|group| word(group, "-.")) && word(name, "-._");
        if !is_well_formed {
            return Err(unnamed());
        }
        Ok(Self {
            kind: kind.to_owned(),
            group: group.map(str::to_owned),
            name: name.to_owned(),
        })
    }

    /// Whether a kind is meant. A group that was not given matches any.
    pub(super) fn is(&self, kind: &ResourceKind) -> bool {
        kind.kind.eq_ignore_ascii_case(&self.kind)
            && self.group.as_ref().is_none_or(|group| *group == kind.group)
    }

    pub(super) fn label(&self) -> String {
        match &self.group {
            Some(group) => format!("{}.{group}", self.kind),
            None => self.kind.clone(),
        }
    }
}

/// Explains.
pub(super) fn run(arguments: &ExplainArguments) -> anyhow::Result<()> {
    let named = Named::read(&arguments.object)?;
    if is_never_selected(named.group.as_deref().unwrap_or_default(), &named.kind) {
        bail!(
            "{} is never selected: Covenant's own kinds, RBAC and what the cluster rests on have no retention",
            named.label()
        );
    }
    let place = &arguments.place;
    let now = place.instant.resolve()?;
    let (read, kind, key) = find(place, &named, now)?;
    let story = render::retention_story(&read.world, &kind, &key, read.notes, now)
        .with_context(|| format!("{} {key} was not read", named.label()))?;
    print(place.output, &story, || {
        render::retention_story_text(&story)
    })
}

fn find(
    place: &Place,
    named: &Named,
    now: Timestamp,
) -> anyhow::Result<(Read, ResourceKind, ObjectKey)> {
    #[cfg(feature = "operator")]
    if !place.is_offline() {
        return super::connect::block_on(async {
            let client = place.connection.client().await?;
            let namespace = place.sources.namespace.as_deref();
            let namespace = namespace.unwrap_or(client.default_namespace()).to_owned();
            super::live::find(&client, namespace, named).await
        });
    }
    let mut read = place.read_files(now)?;
    let (kind, key) = find_in_files(&mut read, named, now)?;
    Ok((read, kind, key))
}

/// The object among the files; where the name occurs once only, the namespace need not be given.
fn find_in_files(
    read: &mut Read,
    named: &Named,
    now: Timestamp,
) -> anyhow::Result<(ResourceKind, ObjectKey)> {
    let is_meant = |item: &&Item| {
        let key = item.key();
        key.is_some_and(|key| {
            let namespace = read.namespace.as_ref();
            key.name == named.name && namespace.is_none_or(|namespace| *namespace == key.namespace)
        }) && named.is(&item.kind)
    };
    let found: Vec<&Item> = read.items.iter().filter(is_meant).collect();
    let item = match found.as_slice() {
        [only] => *only,
        [] => {
            let namespace = read.namespace.as_deref().unwrap_or_default();
            return Err(RetentionError::NoSuchObject {
                kind: named.label(),
                key: ObjectKey::new(namespace, &named.name),
                place: " among the files; write the kind as in a manifest",
            }
            .into());
        }
        several => {
            let places: Vec<String> = several
                .iter()
                .filter_map(|item| Some(format!("{} {}", item.kind, item.key()?)))
                .collect();
            bail!(
                "several objects are named {}: {}; say which with -n and KIND.GROUP/NAME",
                named.name,
                places.join(", ")
            )
        }
    };
    let key = item
        .key()
        .unwrap_or_else(|| ObjectKey::new(DEFAULT_NAMESPACE, &named.name));
    let selected = read.world.wanted_kinds().into_iter();
    let mut same =
        selected.filter(|kind| (&kind.group, &kind.kind) == (&item.kind.group, &item.kind.kind));
    if let Some(kind) = same.next() {
        return Ok((kind, key));
    }
    // Of a kind that nothing selects nothing is in the World yet.
    let kind = item.kind.clone();
    item.put(&mut read.world, &kind, now);
    Ok((kind, key))
}
