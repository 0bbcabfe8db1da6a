//! What stands in namespaces: policies, timers, postures, pods that get past policies, and whether anything reaches too far.
//!
//! May not: decide what must stand.

use std::collections::BTreeMap;

use super::{World, replace_in};
use crate::api::names::{ANNOTATION_GRANT, LABEL_GRANT_NAMESPACE, MANAGER_NETWORK, MANAGER_TIMER};
use crate::model::observed::{ObservedPolicy, ObservedPosture, ObservedTimer};
use crate::model::pod::ObservedPod;
use crate::model::{Dirty, ObjectKey};

impl World {
    pub(super) fn set_posture(&mut self, key: &ObjectKey, new: Option<ObservedPosture>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace_in(&mut self.postures, key, new);
        if old.as_ref()
            != self
                .postures
                .get(&key.namespace)
                .and_then(|postures| postures.get(&key.name))
        {
            dirty.namespace(&key.namespace);
        }
        dirty
    }

    pub(super) fn set_policy(&mut self, key: &ObjectKey, new: Option<ObservedPolicy>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace_in(&mut self.policies, key, new);
        let new = self
            .policies
            .get(&key.namespace)
            .and_then(|policies| policies.get(&key.name));
        if old.as_ref() == new {
            return dirty;
        }
        dirty.namespace(&key.namespace);
        for policy in [old.as_ref(), new].into_iter().flatten() {
            let ours = policy.is_ours(MANAGER_NETWORK);
            mark_path(&mut dirty, key, ours, &policy.labels, &policy.annotations);
        }
        self.mark_breach(&mut dirty, &key.namespace);
        dirty
    }

    pub(super) fn set_timer(&mut self, key: &ObjectKey, new: Option<ObservedTimer>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace_in(&mut self.timers, key, new);
        let new = self
            .timers
            .get(&key.namespace)
            .and_then(|timers| timers.get(&key.name));
        if old.as_ref() != new {
            dirty.namespace(&key.namespace);
            for timer in [old.as_ref(), new].into_iter().flatten() {
                let ours = timer.is_ours(MANAGER_TIMER);
                mark_path(&mut dirty, key, ours, &timer.labels, &timer.annotations);
            }
        }
        dirty
    }

    pub(super) fn set_pod(&mut self, key: &ObjectKey, new: Option<ObservedPod>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace_in(&mut self.pods, key, new);
        if old.as_ref()
            != self
                .pods
                .get(&key.namespace)
                .and_then(|pods| pods.get(&key.name))
        {
            dirty.namespace(&key.namespace);
            self.mark_breach(&mut dirty, &key.namespace);
        }
        dirty
    }

    /// Siblings leave a breached namespace out of their same-tenant peers.
    pub(super) fn mark_siblings(&self, dirty: &mut Dirty, tenant: Option<&str>) {
        if let Some(siblings) = tenant.and_then(|tenant| self.namespaces_by_tenant.get(tenant)) {
            dirty.namespaces(siblings);
        }
    }

    pub(super) fn mark_breach(&mut self, dirty: &mut Dirty, namespace: &str) {
        let breached = self.pods_in(namespace).next().is_some()
            || self
                .policies_in(namespace)
                .any(|policy| !policy.is_ours(MANAGER_NETWORK) && policy.reaches_out());
        let changed = if breached {
            self.breached.insert(namespace.to_owned())
        } else {
            self.breached.remove(namespace)
        };
        if changed {
            self.mark_neighbours(dirty, namespace);
            let tenant = self
                .namespaces
                .get(namespace)
                .and_then(|namespace| namespace.tenant.as_deref());
            self.mark_siblings(dirty, tenant);
        }
    }
}

/// What the labels and annotations of a path's policy or timer say about whose it is.
fn mark_path(
    dirty: &mut Dirty,
    key: &ObjectKey,
    ours: bool,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) {
    let Some(source) = labels.get(LABEL_GRANT_NAMESPACE) else {
        return;
    };
    dirty.namespace(source);
    if let Some(grant) = annotations.get(ANNOTATION_GRANT)
        && ours
        && source == &key.namespace
    {
        dirty.grant(&ObjectKey::new(source, grant));
    }
}
