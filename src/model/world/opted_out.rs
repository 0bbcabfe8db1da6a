//! Opt-outs of telemetry, as they stand, and what is to be planned anew when one changes.
//!
//! May not: decide who is stopped.

use std::collections::{BTreeMap, BTreeSet};

use super::{ByNamespace, World, replace_in};
use crate::api::TelemetryChannel;
use crate::model::{Dirty, ObjectKey, OptOut};

/// The part of the World that is about opt-outs.
#[derive(Clone, Debug, Default)]
pub(super) struct OptedOut {
    pub(super) opt_outs: ByNamespace<OptOut>,
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

    /// The channels that a namespace opts out of. Every opt-out counts, also one that is being deleted.
    #[must_use]
    pub fn opted_out(&self, namespace: &str) -> BTreeSet<TelemetryChannel> {
        let opt_outs = self.opt_outs_in(namespace);
        opt_outs
            .flat_map(|opt_out| opt_out.channels.iter().copied())
            .collect()
    }
}
