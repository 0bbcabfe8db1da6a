//! What the ledger says of a write: its kind, its object by uid, and the rule, grant or hold because of which it is made.
//!
//! May not: name a person, or an object other than by uid. Names of people are handed on apart, for the shell to make
//! pseudonyms of.

mod announcement;
mod enforcement;
mod hold;
mod opt_out;
mod path;
mod retention;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::diff::{Action, Change, Urgency};
use crate::ledger::{Cause, Entry, EntryKind, Phase, PolicyVersion, Subject};
use crate::model::{Kind, Meta, World};
use crate::plan::standing;

pub use announcement::announcements;
pub use enforcement::{clock, guards};
pub use hold::{ending, release};
pub use retention::{
    ACCEPTED, DELETED, DELETED_VOLUME_LEFT, DELETED_WITH_VOLUME, disposal, is_disposed,
};

/// An entry but for what only the shell knows: its id, the instant, and the pseudonym of the person.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// What is done.
    pub kind: EntryKind,
    /// To which object.
    pub subject: Subject,
    /// Whose data it is about.
    pub tenant: Option<String>,
    /// The rule, grant or hold because of which.
    pub cause: Option<Cause>,
    /// Who decided, by the name that the API server knows them by.
    pub person: Option<String>,
    /// The written policy in force.
    pub policy: Option<PolicyVersion>,
    /// What else is to be known.
    pub detail: Map<String, Value>,
}

impl Draft {
    /// A draft about an object in a namespace, or about a cluster-scoped one.
    #[must_use]
    pub fn new(world: &World, kind: EntryKind, subject: Subject) -> Self {
        let standing = subject
            .namespace
            .as_deref()
            .map(|namespace| standing(world, namespace));
        let floor = standing.as_ref().and_then(|standing| standing.floor());
        let policy = floor.and_then(|terms| terms.policy_ref.as_ref());
        Self {
            kind,
            tenant: standing
                .as_ref()
                .and_then(|standing| standing.tenant())
                .map(str::to_owned),
            cause: None,
            person: None,
            policy: policy.map(|policy| PolicyVersion {
                document: policy.document.clone(),
                version: policy.version.clone(),
            }),
            detail: Map::new(),
            subject,
        }
    }

    /// With a cause.
    #[must_use]
    pub fn because(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// With something else that is to be known.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(field.to_owned(), value.into());
        self
    }

    /// The entry.
    #[must_use]
    pub fn entry(self, id: String, time: Timestamp, phase: Phase, actor: Option<String>) -> Entry {
        Entry {
            id,
            time,
            kind: self.kind,
            subject: self.subject,
            tenant: self.tenant,
            phase,
            cause: self.cause,
            actor,
            policy: self.policy,
            detail: self.detail,
        }
    }
}

/// What the ledger says of a write. Empty for what concerns neither a path, a hold, retention nor an opt-out.
#[must_use]
pub fn drafts(world: &World, change: &Change) -> Vec<Draft> {
    match (change.target.kind, &change.action) {
        (Kind::NetworkPolicy, _) => path::draft(world, change).into_iter().collect(),
        (Kind::Volume, Action::Merge { body }) => vec![hold::volume(world, change, body)],
        (Kind::Hold, Action::ReplaceStatus { body }) => hold::transitions(world, change, body),
        (Kind::Grant, Action::ReplaceStatus { body }) => {
            path::refusal(world, change, body).into_iter().collect()
        }
        (Kind::RetentionPolicy, Action::ReplaceStatus { body }) => {
            retention::transitions(world, change, body)
        }
        (Kind::GuardParameters, Action::Create { body } | Action::Replace { body }) => {
            retention::boundaries(world, change, body)
                .into_iter()
                .collect()
        }
        (Kind::Posture, Action::Create { body } | Action::Replace { body }) => {
            opt_out::changed(world, change, body).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Whether the write waits until its intent is in the ledger: it opens something. What closes or keeps never waits.
#[must_use]
pub fn waits(change: &Change) -> bool {
    change.urgency == Urgency::Open
}

/// An object of ours, by kind and metadata.
#[must_use]
pub fn subject(kind: Kind, meta: &Meta) -> Subject {
    Subject {
        api_version: kind.api_version(),
        kind: kind.as_str().to_owned(),
        namespace: Some(meta.key.namespace.clone()).filter(|namespace| !namespace.is_empty()),
        uid: meta.uid.clone(),
    }
}

/// An object of ours as a cause.
#[must_use]
pub fn cause(kind: Kind, meta: &Meta) -> Cause {
    Cause {
        kind: kind.as_str().to_owned(),
        name: meta.key.name.clone(),
        uid: meta.uid.clone(),
        generation: meta.generation,
    }
}

/// Status and reason of a condition in a status.
fn condition<'a>(status: &'a Value, kind: &str) -> Option<(&'a str, &'a str)> {
    let conditions = status.get("conditions")?.as_array()?;
    let found = conditions
        .iter()
        .find(|found| found.get("type").and_then(Value::as_str) == Some(kind))?;
    Some((
        found.get("status")?.as_str()?,
        found.get("reason")?.as_str()?,
    ))
}
