//! Paths: opened, closed, refused; and the floor that is taken away.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Draft, cause, condition, subject};
use crate::api::names::{
    ANNOTATION_CLOSES_AT, ANNOTATION_GRANT, LABEL_GRANT_NAMESPACE, LABEL_GRANT_UID, LABEL_PART,
    PART_PATH,
};
use crate::diff::{Action, Change};
use crate::ledger::{EntryKind, Subject};
use crate::model::{Grant, Kind, ObjectKey, World};

type Texts = BTreeMap<String, String>;

/// A policy that opens a path is made or goes, or a piece of the floor goes.
pub(super) fn draft(world: &World, change: &Change) -> Option<Draft> {
    let (labels, annotations) = match &change.action {
        Action::Create { body } | Action::Apply { body } => (
            texts(body.pointer("/metadata/labels")),
            texts(body.pointer("/metadata/annotations")),
        ),
        Action::Delete { .. } => {
            let policy = world.policy(&change.target.key)?;
            (policy.labels.clone(), policy.annotations.clone())
        }
        Action::Replace { .. }
        | Action::ReplaceStatus { .. }
        | Action::Mark { .. }
        | Action::Merge { .. }
        | Action::StripFinalizers { .. } => {
            return None;
        }
    };
    let goes = matches!(change.action, Action::Delete { .. });
    let is_path = labels.get(LABEL_PART).is_some_and(|part| part == PART_PATH);
    if is_path {
        let kind = if goes {
            EntryKind::PathClosed
        } else {
            EntryKind::PathOpened
        };
        return Some(of_path(world, change, kind, &labels, &annotations));
    }
    if !goes {
        return None;
    }
    let policy = world.policy(&change.target.key)?;
    let floor = subject(Kind::NetworkPolicy, &policy.meta);
    Some(Draft::new(world, EntryKind::FloorRemoved, floor).with("why", change.why.as_str()))
}

fn of_path(
    world: &World,
    change: &Change,
    kind: EntryKind,
    labels: &Texts,
    annotations: &Texts,
) -> Draft {
    let text = |map: &Texts, key: &str| map.get(key).cloned().unwrap_or_default();
    let namespace = text(labels, LABEL_GRANT_NAMESPACE);
    let uid = text(labels, LABEL_GRANT_UID);
    let grant = world
        .grant(&ObjectKey::new(
            &namespace,
            text(annotations, ANNOTATION_GRANT),
        ))
        .filter(|grant| grant.meta.uid == uid);
    let about = Subject {
        api_version: Kind::Grant.api_version(),
        kind: Kind::Grant.as_str().to_owned(),
        namespace: Some(namespace).filter(|namespace| !namespace.is_empty()),
        uid,
    };
    let mut draft = Draft::new(world, kind, about)
        .with("end", change.target.key.namespace.as_str())
        .with("why", change.why.as_str());
    if let Some(closes_at) = annotations.get(ANNOTATION_CLOSES_AT) {
        draft = draft.with("closesAt", closes_at.as_str());
    }
    match grant {
        Some(grant) => with_terms(draft, grant),
        None => draft,
    }
}

fn with_terms(draft: Draft, grant: &Grant) -> Draft {
    let draft = draft.because(cause(Kind::Grant, &grant.meta));
    let Ok(terms) = &grant.terms else {
        return draft;
    };
    let categories: Vec<String> = terms
        .categories
        .iter()
        .map(|category| format!("{category:?}"))
        .collect();
    draft
        .with("recipient", terms.recipient.label())
        .with("purpose", format!("{:?}", terms.purpose))
        .with("dataCategories", categories)
}

/// A grant that was not refused before is.
pub(super) fn refusal(world: &World, change: &Change, body: &Value) -> Option<Draft> {
    let grant = world.grant(&change.target.key)?;
    let status = body.get("status")?;
    let refused = |reason: Option<&str>| reason == Some("Refused");
    let before = grant
        .status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .map(|condition| condition.reason.as_str());
    let now = condition(status, "Ready").map(|(_, reason)| reason);
    if refused(before) || !refused(now) {
        return None;
    }
    let reason = condition(status, "Open").map_or("Refused", |(_, reason)| reason);
    let about = subject(Kind::Grant, &grant.meta);
    let draft = Draft::new(world, EntryKind::GrantRefused, about).with("reason", reason);
    Some(with_terms(draft, grant))
}

fn texts(map: Option<&Value>) -> Texts {
    map.and_then(|map| serde_json::from_value(map.clone()).ok())
        .unwrap_or_default()
}
