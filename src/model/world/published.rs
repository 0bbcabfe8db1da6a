//! What is published, as it stands: by kind and namespace, and whether a kind can be seen at all.
//!
//! May not: decide how it stands.

use std::collections::{BTreeMap, BTreeSet};

use super::{ByNamespace, World, replace_in};
use crate::model::encryption::published::Reads;
use crate::model::encryption::transit::{Looked, PublishedKind};
use crate::model::{Dirty, KindState, ObjectKey, ObservedPublication, Rests};

/// The part of the World that is about what is published.
#[derive(Clone, Debug, Default)]
pub(super) struct Published {
    kinds: BTreeMap<PublishedKind, Known>,
    /// Whether it can be seen which kinds of others are served.
    definitions: KindState,
}

#[derive(Clone, Debug, Default)]
struct Known {
    state: KindState,
    objects: ByNamespace<ObservedPublication>,
}

/// Taking in what the streams tell.
impl World {
    /// Whether any namespace is asked for a minimum in transit. Nothing is looked for where none is.
    #[must_use]
    pub fn asks_for_transit(&self) -> bool {
        self.namespaces_by_baseline.keys().any(|baseline| {
            let terms = self
                .baselines
                .get(baseline)
                .and_then(|known| known.terms.as_ref().ok());
            terms.is_some_and(|terms| terms.encryption.minimum_tls.is_some())
        })
    }

    /// Takes in how a kind stands; none of it is known any more where it is not served.
    pub fn tell_published(&mut self, kind: PublishedKind, state: KindState) -> Dirty {
        let known = self.published.kinds.entry(kind).or_default();
        if known.state == state {
            return Dirty::default();
        }
        known.state = state;
        self.mark_transit()
    }

    /// Takes in whether definitions can be seen.
    pub fn tell_definitions(&mut self, state: KindState) -> Dirty {
        if self.published.definitions == state {
            return Dirty::default();
        }
        self.published.definitions = state;
        let mut dirty = self.mark_transit();
        dirty.0.extend(self.mark_collected().0);
        dirty
    }

    /// Forgets a kind that is not looked for any more.
    pub fn forget_published(&mut self, kind: PublishedKind) -> Dirty {
        match self.published.kinds.remove(&kind) {
            Some(_) => self.mark_transit(),
            None => Dirty::default(),
        }
    }

    /// Takes in something published as it now is, or that it is gone.
    pub fn set_published(
        &mut self,
        kind: PublishedKind,
        key: &ObjectKey,
        new: Option<ObservedPublication>,
    ) -> Dirty {
        let known = self.published.kinds.entry(kind).or_default();
        let old = replace_in(&mut known.objects, key, new.clone());
        if old == new {
            return Dirty::default();
        }
        if kind.reads == Looked::AtController {
            return self.mark_transit();
        }
        let mut dirty = Dirty::default();
        let mut namespaces = BTreeSet::from([key.namespace.as_str()]);
        if let Looked::At(Reads::Listeners | Reads::ClientTrafficPolicy) = kind.reads {
            namespaces.extend(self.namespaces_attached_to(&key.namespace));
        }
        for namespace in namespaces {
            if self.is_enrolled(namespace) {
                dirty.namespace(namespace);
            }
        }
        dirty
    }

    /// Namespaces of which routes attach to listeners of this one.
    fn namespaces_attached_to(&self, namespace: &str) -> impl Iterator<Item = &str> {
        let attaches = move |publication: &ObservedPublication| match &publication.rests {
            Rests::Listeners(targets) => {
                let mut targets = targets.iter();
                targets.any(|target| target.namespace == namespace)
            }
            _ => false,
        };
        let kinds = self.published.kinds.iter();
        let routes = kinds.filter(|(kind, _)| kind.reads == Looked::At(Reads::Route));
        let objects = routes.flat_map(|(_, known)| &known.objects);
        objects
            .filter(move |(_, objects)| objects.values().any(attaches))
            .map(|(namespace, _)| namespace.as_str())
    }

    /// Names of what is known of a kind, for finding out which a new list lacks.
    #[must_use]
    pub fn published_keys(&self, kind: PublishedKind) -> Vec<ObjectKey> {
        let known = self.published.kinds.get(&kind);
        let objects = known.into_iter().flat_map(|known| &known.objects);
        objects
            .flat_map(|(namespace, objects)| {
                objects
                    .keys()
                    .map(move |name| ObjectKey::new(namespace, name))
            })
            .collect()
    }

    /// Every namespace that is enrolled on a baseline which asks.
    fn mark_transit(&self) -> Dirty {
        let mut dirty = Dirty::default();
        for (baseline, namespaces) in &self.namespaces_by_baseline {
            let terms = self
                .baselines
                .get(baseline)
                .and_then(|known| known.terms.as_ref().ok());
            if terms.is_some_and(|terms| terms.encryption.minimum_tls.is_some()) {
                dirty.namespaces(namespaces.iter().filter(|name| self.is_enrolled(name)));
            }
        }
        dirty
    }
}

/// What can be asked.
impl World {
    /// The kinds that are looked for, and how each stands.
    pub fn published_kinds(&self) -> impl Iterator<Item = (PublishedKind, &KindState)> {
        let kinds = self.published.kinds.iter();
        kinds.map(|(kind, known)| (*kind, &known.state))
    }

    /// Whether it can be seen which kinds of others are served.
    #[must_use]
    pub fn definitions_state(&self) -> &KindState {
        &self.published.definitions
    }

    /// What is published of a kind in a namespace, by name. Classes are in none.
    pub fn published_in(
        &self,
        kind: PublishedKind,
        namespace: &str,
    ) -> impl Iterator<Item = (&str, &ObservedPublication)> {
        let known = self.published.kinds.get(&kind);
        let objects = known.and_then(|known| known.objects.get(namespace));
        objects
            .into_iter()
            .flatten()
            .map(|(name, publication)| (name.as_str(), publication))
    }

    /// What is published under a name by kinds that are read alike.
    pub fn published_as(
        &self,
        looked: Looked,
        namespace: &str,
        name: &str,
    ) -> impl Iterator<Item = (PublishedKind, &ObservedPublication)> {
        let alike = self.published.kinds.iter();
        let alike = alike.filter(move |(kind, _)| kind.reads == looked);
        alike.filter_map(move |(kind, known)| {
            Some((*kind, known.objects.get(namespace)?.get(name)?))
        })
    }
}
