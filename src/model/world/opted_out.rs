//! Opt-outs of telemetry, as they stand, and what is to be planned anew when one changes.
//!
//! May not: decide who is stopped.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{ByNamespace, World, replace_in};
use crate::api::{GuardedTelemetry, MarkerSet, TelemetryChannel};
use crate::model::{Dirty, Kind, MarkedPod, ObjectKey, OptOut, Target};

/// The part of the World that is about opt-outs.
#[derive(Clone, Debug, Default)]
pub(super) struct OptedOut {
    pub(super) opt_outs: ByNamespace<OptOut>,
    /// Every pod that has not finished.
    pods: ByNamespace<MarkedPod>,
    /// How many pods of a namespace Covenant marked.
    marked: BTreeMap<String, usize>,
}

/// Taking in what the streams tell.
impl World {
    pub(super) fn set_opt_out(&mut self, key: &ObjectKey, new: Option<OptOut>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace_in(&mut self.opted_out.opt_outs, key, new);
        let new = self.opt_out(key);
        if old.as_ref() == new {
            return dirty;
        }
        dirty.namespace(&key.namespace);
        let moved = old.map(|old| old.channels) != new.map(|new| new.channels.clone());
        if !moved {
            return dirty;
        }
        self.mark_neighbours(&mut dirty, &key.namespace);
        if let Some(tenant) = self
            .namespace(&key.namespace)
            .and_then(|namespace| namespace.tenant.as_deref())
        {
            dirty.retention(&key.namespace);
            self.mark_opted_out_siblings(&mut dirty, Some(tenant));
        }
        dirty
    }

    /// Takes in what a pod carries. A pod that agents leave out from its start changes nothing that is planned.
    pub(super) fn set_marked(&mut self, key: &ObjectKey, new: Option<MarkedPod>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace_in(&mut self.opted_out.pods, key, new);
        let new = self.marked_pod(key);
        if old.as_ref() == new {
            return dirty;
        }
        let both = [old.as_ref(), new];
        if both
            .into_iter()
            .flatten()
            .any(|pod| self.stands_out(&key.namespace, pod))
        {
            dirty.namespace(&key.namespace);
        }
        let [before, after] = both.map(|pod| pod.is_some_and(|pod| pod.marks.are_ours()));
        if before != after {
            let marked = &mut self.opted_out.marked;
            let count = marked.entry(key.namespace.clone()).or_default();
            *count = if after {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
            if *count == 0 {
                marked.remove(&key.namespace);
            }
        }
        dirty
    }

    /// Whether a pod changes what is planned or told of its namespace.
    fn stands_out(&self, namespace: &str, pod: &MarkedPod) -> bool {
        if pod.marks.are_ours() {
            return true;
        }
        let Some(since) = self.opted_out_since(namespace) else {
            return false;
        };
        let stored = self.told_of_telemetry(namespace);
        let leaves_out = |telemetry: &GuardedTelemetry| {
            pod.marks.carry(&telemetry.pods)
                && pod.marks.contrary(&telemetry.where_present).is_none()
        };
        pod.created < since || !stored.is_some_and(leaves_out)
    }

    /// Takes in that Covenant marked an object.
    pub fn take_marks(&mut self, target: &Target, marks: &MarkerSet) -> Dirty {
        if target.kind == Kind::Namespace {
            let known = self.namespace(&target.key.name).cloned();
            return known.map_or_else(Dirty::default, |mut known| {
                known.marks.put(marks);
                self.set_namespace(&target.key.name, Some(known))
            });
        }
        let known = self.marked_pod(&target.key).cloned();
        known.map_or_else(Dirty::default, |mut known| {
            known.marks.put(marks);
            self.set_marked(&target.key, Some(known))
        })
    }

    pub(super) fn marked_keys(&self) -> impl Iterator<Item = ObjectKey> {
        let pods = self.opted_out.pods.iter();
        pods.flat_map(|(namespace, pods)| {
            pods.keys().map(move |name| ObjectKey::new(namespace, name))
        })
    }

    /// An opted-out namespace names the siblings that it talks with, and so reads how each of them stands.
    pub(super) fn mark_opted_out_siblings(&self, dirty: &mut Dirty, tenant: Option<&str>) {
        let siblings = tenant.and_then(|tenant| self.namespaces_by_tenant.get(tenant));
        let siblings = siblings.into_iter().flatten();
        dirty.namespaces(siblings.filter(|name| self.opted_out.opt_outs.contains_key(*name)));
    }

    /// What a vendor's addresses are changes what is cut off where an agent sends to it.
    pub(super) fn mark_opted_out_of(&self, dirty: &mut Dirty, processor: &str) {
        for name in self.opted_out.opt_outs.keys() {
            let baseline = self
                .namespace(name)
                .and_then(|namespace| self.baseline(&namespace.baseline));
            let terms = baseline.and_then(|baseline| baseline.terms.as_ref().ok());
            let sends = terms.is_some_and(|terms| {
                let mut agents = terms.telemetry.agents.iter();
                agents.any(|agent| agent.processor.as_deref() == Some(processor))
            });
            if sends {
                dirty.namespace(name);
                self.mark_neighbours(dirty, name);
            }
        }
    }

    /// How the guards stand that refuse what an opt-out stops is told in its status.
    pub(super) fn mark_opted_out(&self, dirty: &mut Dirty) {
        dirty.namespaces(self.opted_out.opt_outs.keys());
    }

    pub(super) fn opt_out_keys(&self) -> Vec<ObjectKey> {
        let opt_outs = self.opted_out.opt_outs.values();
        opt_outs
            .flat_map(BTreeMap::values)
            .map(|opt_out| opt_out.meta.key.clone())
            .collect()
    }
}

/// What can be asked.
impl World {
    /// The opt-outs of a namespace, by name. There is one, but for what got past its definition.
    pub fn opt_outs_in(&self, namespace: &str) -> impl Iterator<Item = &OptOut> {
        self.opted_out
            .opt_outs
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// An opt-out.
    #[must_use]
    pub fn opt_out(&self, key: &ObjectKey) -> Option<&OptOut> {
        self.opted_out.opt_outs.get(&key.namespace)?.get(&key.name)
    }

    /// Since when something is opted out of in a namespace: what was started before may go on with what it was given then.
    #[must_use]
    pub fn opted_out_since(&self, namespace: &str) -> Option<Option<Timestamp>> {
        let opt_outs = self.opt_outs_in(namespace);
        opt_outs.map(|opt_out| opt_out.meta.created).min()
    }

    /// What guards read of a namespace's opt-outs, as it is stored.
    #[must_use]
    pub fn told_of_telemetry(&self, namespace: &str) -> Option<&GuardedTelemetry> {
        let parameters = self.parameters(namespace)?;
        parameters.spec.as_ref()?.telemetry.as_ref()
    }

    /// A pod, as far as agents read it.
    #[must_use]
    pub fn marked_pod(&self, key: &ObjectKey) -> Option<&MarkedPod> {
        self.opted_out.pods.get(&key.namespace)?.get(&key.name)
    }

    /// The pods of a namespace that have not finished, as far as agents read them, by name.
    pub fn marked_pods_in(&self, namespace: &str) -> impl Iterator<Item = (&str, &MarkedPod)> {
        let pods = self.opted_out.pods.get(namespace).into_iter().flatten();
        pods.map(|(name, pod)| (name.as_str(), pod))
    }

    /// Whether Covenant marked pods of a namespace.
    #[must_use]
    pub fn has_marked_pods(&self, namespace: &str) -> bool {
        self.opted_out.marked.contains_key(namespace)
    }

    /// The channels that a namespace opts out of. Every opt-out counts, also one that is being deleted.
    #[must_use]
    pub fn opted_out(&self, namespace: &str) -> BTreeSet<TelemetryChannel> {
        let opt_outs = self.opt_outs_in(namespace);
        opt_outs
            .flat_map(|opt_out| opt_out.channels.iter().copied())
            .collect()
    }
}
