//! An object that may have a retention: of its metadata what decisions read, and nothing else.
//!
//! There may be hundreds of thousands, so strings that many objects share are shared. May not: hold content.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::WhenText;
use crate::api::names::{ANNOTATION_RETAINED_SINCE, LABEL_MANAGED_BY, MANAGED_BY_COVENANT};
use crate::model::time;

/// Below this many strings none are looked through for those that nobody shares any more.
const FEW: usize = 1024;

/// An object of a watched kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Uid.
    pub uid: Box<str>,
    /// Resource version.
    pub version: Box<str>,
    /// When the API server stored it; absent in files.
    pub created: Option<Timestamp>,
    /// Labels, sorted by key.
    pub labels: Box<[(Arc<str>, Arc<str>)]>,
    /// What the annotation says from which its retention counts.
    pub retained_since: RetainedSince,
    /// When it completed.
    pub completion: Completion,
    /// Who else tracks it.
    pub tracker: Option<Tracker>,
    /// Whether another object owns and controls it.
    pub controlled: bool,
    /// Whether it has finalizers.
    pub finalizers: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether the operator made it for enforcement.
    pub ours: bool,
}

/// What the annotation `privacy.cloudnexus.io/retained-since` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainedSince {
    /// Nothing.
    Absent,
    /// An instant.
    At(Timestamp),
    /// Something that is no instant.
    Unreadable,
}

/// When an object completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// It was not asked about, not as it now is.
    Unknown,
    /// It has not.
    NotYet,
    /// Then.
    At(Timestamp),
}

/// Who makes an object anew when it is deleted behind their back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tracker {
    /// Argo CD.
    ArgoCd,
    /// Flux.
    Flux,
    /// Helm.
    Helm,
}

impl Tracker {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ArgoCd => "Argo CD",
            Self::Flux => "Flux",
            Self::Helm => "Helm",
        }
    }

    /// Argo CD marks by an annotation with its tracking id; in its older way by the label `app.kubernetes.io/instance`,
    /// which others set too, so that it counts only beside some annotation of Argo CD's. Flux labels what a Kustomization
    /// or a HelmRelease applied. Helm annotates with the release's name, and labels by convention.
    fn of(metadata: &ObjectMeta) -> Option<Self> {
        let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key));
        let annotations = metadata.annotations.as_ref();
        let annotation = |key: &str| annotations.and_then(|annotations| annotations.get(key));
        let argo = |key: &String| key.starts_with("argocd.argoproj.io/");
        let by_argo = annotations.is_some_and(|annotations| annotations.keys().any(argo));
        if annotation("argocd.argoproj.io/tracking-id").is_some()
            || label("argocd.argoproj.io/instance").is_some()
            || (by_argo && label("app.kubernetes.io/instance").is_some())
        {
            Some(Self::ArgoCd)
        } else if label("kustomize.toolkit.fluxcd.io/name").is_some()
            || label("helm.toolkit.fluxcd.io/name").is_some()
        {
            Some(Self::Flux)
        } else if annotation("meta.helm.sh/release-name").is_some()
            || label("app.kubernetes.io/managed-by").is_some_and(|by| by == "Helm")
        {
            Some(Self::Helm)
        } else {
            None
        }
    }
}

impl Item {
    pub(in crate::model) fn read(metadata: &ObjectMeta, strings: &mut Strings) -> Self {
        let labels = metadata.labels.iter().flatten();
        let filled = |list: Option<usize>| list.is_some_and(|length| length > 0);
        let ours = |(key, value): (&String, &String)| {
            key == LABEL_MANAGED_BY && value == MANAGED_BY_COVENANT
        };
        Self {
            uid: metadata.uid.clone().unwrap_or_default().into(),
            version: metadata.resource_version.clone().unwrap_or_default().into(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            ours: labels.clone().any(ours),
            labels: labels
                .map(|(key, value)| (strings.shared(key), strings.shared(value)))
                .collect(),
            retained_since: retained_since(metadata),
            completion: Completion::Unknown,
            tracker: Tracker::of(metadata),
            controlled: metadata
                .owner_references
                .iter()
                .flatten()
                .any(|owner| owner.controller == Some(true)),
            finalizers: filled(metadata.finalizers.as_ref().map(Vec::len)),
            deleting: metadata.deletion_timestamp.is_some(),
        }
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        let found = self
            .labels
            .binary_search_by(|(known, _)| known.as_ref().cmp(key));
        let (_, value) = self.labels.get(found.ok()?)?;
        Some(value)
    }

    /// Whether it has all of these labels.
    pub fn has_labels<'a>(
        &self,
        wanted: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> bool {
        wanted
            .into_iter()
            .all(|(key, value)| self.label(key) == Some(value))
    }
}

/// A bare date is no instant here: the guard, which reads the same annotation, has no word for the beginning of a day.
fn retained_since(metadata: &ObjectMeta) -> RetainedSince {
    let annotations = metadata.annotations.as_ref();
    match annotations.and_then(|annotations| annotations.get(ANNOTATION_RETAINED_SINCE)) {
        None => RetainedSince::Absent,
        Some(text) if text.contains('T') => time::beginning(&WhenText(text.clone()))
            .map_or(RetainedSince::Unreadable, RetainedSince::At),
        Some(_) => RetainedSince::Unreadable,
    }
}

/// Strings that many objects share.
#[derive(Clone, Debug, Default)]
pub(in crate::model) struct Strings {
    known: BTreeSet<Arc<str>>,
    /// How many were left when they were last looked through.
    left: usize,
}

impl Strings {
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        if self.known.len() > 2 * self.left.max(FEW) {
            self.known.retain(|text| Arc::strong_count(text) > 1);
            self.left = self.known.len();
        }
        let text: Arc<str> = text.into();
        self.known.insert(Arc::clone(&text));
        text
    }
}
