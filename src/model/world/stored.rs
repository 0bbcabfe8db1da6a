//! What data lies on, as it stands: classes, claims, and pods with scratch space on their node.
//!
//! May not: decide what is encrypted.

use std::collections::{BTreeMap, BTreeSet};

use super::{ByNamespace, World, replace, replace_in};
use crate::model::{Dirty, Kind, ObjectKey, ObservedClaim, ObservedClass, Unit};

/// The part of the World that is about volumes' encryption.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    classes: BTreeMap<String, ObservedClass>,
    claims: ByNamespace<ObservedClaim>,
    /// Names of the pods that keep scratch space on their node's disk; nothing else of them is kept.
    scratch: BTreeMap<String, BTreeSet<Box<str>>>,
}

/// Taking in what the streams tell.
impl World {
    pub(super) fn set_class(&mut self, name: &str, new: Option<ObservedClass>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace(&mut self.stored.classes, name, new);
        if old.as_ref() == self.stored.classes.get(name) {
            return dirty;
        }
        for (baseline, known) in &self.baselines {
            let names = |terms: &crate::model::AtRestTerms| {
                terms.classes.iter().any(|rule| rule.name == name)
            };
            let terms = known.terms.as_ref().ok();
            if !terms.is_some_and(|terms| terms.encryption.at_rest.as_ref().is_some_and(names)) {
                continue;
            }
            dirty.unit(Unit::Baseline(baseline.clone()));
            let namespaces = self.namespaces_by_baseline.get(baseline);
            let namespaces = namespaces.into_iter().flatten();
            for namespace in namespaces.filter(|namespace| self.is_enrolled(namespace)) {
                dirty.namespace(namespace);
                dirty.retention(namespace);
            }
        }
        dirty
    }

    pub(super) fn set_claim(&mut self, key: &ObjectKey, new: Option<ObservedClaim>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace_in(&mut self.stored.claims, key, new);
        if old.as_ref() != self.claim(key) && self.is_enrolled(&key.namespace) {
            dirty.namespace(&key.namespace);
        }
        dirty
    }

    /// Only whether there is any such pod changes what is reported.
    pub(super) fn set_scratch(&mut self, key: &ObjectKey, has_scratch: bool) -> Dirty {
        let mut dirty = Dirty::default();
        let before = self.has_scratch(&key.namespace);
        let scratch = &mut self.stored.scratch;
        if has_scratch {
            let pods = scratch.entry(key.namespace.clone()).or_default();
            pods.insert(key.name.as_str().into());
        } else if let Some(pods) = scratch.get_mut(&key.namespace) {
            pods.remove(key.name.as_str());
            if pods.is_empty() {
                scratch.remove(&key.namespace);
            }
        }
        if before != self.has_scratch(&key.namespace) && self.is_enrolled(&key.namespace) {
            dirty.namespace(&key.namespace);
        }
        dirty
    }

    pub(super) fn is_enrolled(&self, namespace: &str) -> bool {
        self.namespace(namespace)
            .is_some_and(|namespace| namespace.tenant.is_some())
    }

    pub(super) fn stored_keys(&self, kind: Kind) -> Vec<ObjectKey> {
        let stored = &self.stored;
        match kind {
            Kind::Class => stored.classes.keys().map(ObjectKey::cluster).collect(),
            Kind::Claim => {
                let claims = stored.claims.values().flat_map(BTreeMap::values);
                claims.map(|claim| claim.meta.key.clone()).collect()
            }
            _ => {
                let scratch = stored.scratch.iter();
                scratch
                    .flat_map(|(namespace, pods)| {
                        pods.iter()
                            .map(move |name| ObjectKey::new(namespace, &**name))
                    })
                    .collect()
            }
        }
    }
}

/// What can be asked.
impl World {
    /// A StorageClass.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&ObservedClass> {
        self.stored.classes.get(name)
    }

    /// The claims of a namespace, by name.
    pub fn claims_in(&self, namespace: &str) -> impl Iterator<Item = &ObservedClaim> {
        self.stored
            .claims
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// A claim.
    #[must_use]
    pub fn claim(&self, key: &ObjectKey) -> Option<&ObservedClaim> {
        self.stored.claims.get(&key.namespace)?.get(&key.name)
    }

    /// Whether pods of a namespace keep scratch space on their node's disk.
    #[must_use]
    pub fn has_scratch(&self, namespace: &str) -> bool {
        self.stored.scratch.contains_key(namespace)
    }
}
