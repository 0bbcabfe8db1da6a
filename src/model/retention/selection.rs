//! Which objects of a kind a policy or a baseline selects, and which nobody ever does.
//!
//! The guards read the same selections by the same rules (`charts/covenant/guards/retention.yaml`). May not: select what the
//! cluster itself rests on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Item, ResourceKind};
use crate::api::RetentionSelection;
use crate::api::names::GROUP;
use crate::model::FieldError;
use crate::model::error::read;

/// Objects of one kind, by labels and names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selection {
    /// The kind.
    pub kind: ResourceKind,
    /// Labels that an object must have.
    pub match_labels: BTreeMap<String, String>,
    /// Names, of which an object must have one; empty means any.
    pub names: BTreeSet<String>,
    /// What an object's name must begin with.
    pub name_prefix: Option<String>,
}

impl Selection {
    /// Whether it selects an object. The version does not count: the same object is served in each.
    #[must_use]
    pub fn selects(&self, kind: &ResourceKind, name: &str, item: &Item) -> bool {
        self.kind.kind == kind.kind
            && self.kind.group == kind.group
            && (self.names.is_empty() || self.names.contains(name))
            && self
                .name_prefix
                .as_ref()
                .is_none_or(|prefix| name.starts_with(prefix))
            && item.has_labels(&self.match_labels)
    }
}

/// Groups of which nothing is ever selected.
const GROUPS: [&str; 7] = [
    "rbac.authorization.k8s.io",
    "authorization.k8s.io",
    "authentication.k8s.io",
    "coordination.k8s.io",
    "events.k8s.io",
    "discovery.k8s.io",
    "metrics.k8s.io",
];
/// Kinds that are never selected, by group.
const KINDS: [(&str, &str); 8] = [
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("", "Event"),
    ("", "Binding"),
    ("", "ComponentStatus"),
    ("", "Endpoints"),
    ("apps", "ControllerRevision"),
];

/// Whether a kind is never selected: Covenant's own, RBAC, and what controllers and the cluster itself rest on.
#[must_use]
pub fn is_never_selected(group: &str, kind: &str) -> bool {
    let below = |above: &str| {
        group
            .strip_suffix(above)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    below(GROUP) || GROUPS.contains(&group) || KINDS.contains(&(group, kind))
}

/// Reads a list of selections. Each stands alone: one that cannot be read does not undo the others.
/// Says whether any could not.
pub(in crate::model) fn selections(
    errors: &mut Vec<FieldError>,
    value: Option<&Value>,
    path: &str,
) -> (Vec<Selection>, bool) {
    let Some(listed) = value
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty())
    else {
        errors.push(FieldError::new(
            path,
            "is missing, empty or no list; list at least one kind with its labels or names",
        ));
        return (Vec::new(), true);
    };
    let mut selections = Vec::new();
    let mut unreadable = false;
    for (index, entry) in listed.iter().enumerate() {
        match selection(entry, &format!("{path}[{index}]")) {
            Ok(selection) => selections.push(selection),
            Err(Unselectable::Never(error)) => errors.push(error),
            Err(Unselectable::Unreadable(found)) => {
                errors.extend(found);
                unreadable = true;
            }
        }
    }
    selections.sort();
    selections.dedup();
    (selections, unreadable)
}

/// Why an entry selects nothing.
pub(in crate::model) enum Unselectable {
    /// It cannot be read.
    Unreadable(Vec<FieldError>),
    /// It was read, and is of a kind that nobody selects.
    Never(FieldError),
}

/// Reads one selection.
pub(in crate::model) fn selection(value: &Value, path: &str) -> Result<Selection, Unselectable> {
    let read: RetentionSelection = read(value.clone(), path).map_err(Unselectable::Unreadable)?;
    let RetentionSelection {
        api_version,
        kind,
        match_labels,
        names,
        name_prefix,
    } = read;
    let kind = ResourceKind::parse(&api_version, &kind);
    let well_formed = !kind.version.contains('/')
        && kind.version.starts_with('v')
        && kind
            .kind
            .starts_with(|first: char| first.is_ascii_uppercase());
    if !well_formed {
        return Err(Unselectable::Unreadable(vec![FieldError::new(
            format!("{path}.apiVersion"),
            format!(
                "`{api_version}` `{}` is no kind; write such as apiVersion: batch/v1 and kind: Job",
                kind.kind
            ),
        )]));
    }
    if is_never_selected(&kind.group, &kind.kind) {
        return Err(Unselectable::Never(FieldError::new(
            format!("{path}.kind"),
            format!(
                "{kind} is never selected: Covenant's own kinds, RBAC and what the cluster rests on are left alone; take the entry out"
            ),
        )));
    }
    let name_prefix = name_prefix.filter(|prefix| !prefix.is_empty());
    if match_labels.is_empty() && names.is_empty() && name_prefix.is_none() {
        return Err(Unselectable::Unreadable(vec![FieldError::new(
            path,
            "an empty selection would take every object of the kind; give matchLabels, names or namePrefix",
        )]));
    }
    Ok(Selection {
        kind,
        match_labels,
        names: names.into_iter().collect(),
        name_prefix,
    })
}
