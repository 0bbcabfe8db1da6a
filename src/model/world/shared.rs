//! What is shared, with whom, and who says no: grants, acceptances and prohibitions, as they stand.
//!
//! May not: decide what opens.

use super::{World, reindex, replace, replace_in};
use crate::model::grant::{Acceptance, Grant, RecipientTerms};
use crate::model::prohibition::Prohibition;
use crate::model::{Dirty, ObjectKey, Unit};

impl World {
    pub(super) fn set_prohibition(&mut self, name: &str, new: Option<Prohibition>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace(&mut self.prohibitions, name, new);
        let new = self.prohibitions.get(name);
        if old.as_ref() == new {
            return dirty;
        }
        dirty.unit(Unit::Prohibition(name.to_owned()));
        let without_status = |prohibition: &Prohibition| Prohibition {
            status: Default::default(),
            meta: Default::default(),
            ..prohibition.clone()
        };
        if old.as_ref().map(without_status) == new.map(without_status) {
            return dirty;
        }
        for prohibition in [old.as_ref(), new].into_iter().flatten() {
            for (namespace, grants) in &self.grants {
                let tenant = self
                    .namespaces
                    .get(namespace)
                    .and_then(|namespace| namespace.tenant.as_deref());
                if !prohibition.binds(tenant, namespace) {
                    continue;
                }
                dirty.namespace(namespace);
                for recipient in grants.values().filter_map(recipient_namespace) {
                    dirty.namespace(recipient);
                }
            }
        }
        dirty
    }

    pub(super) fn set_grant(&mut self, key: &ObjectKey, new: Option<Grant>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace_in(&mut self.grants, key, new);
        let new = self
            .grants
            .get(&key.namespace)
            .and_then(|grants| grants.get(&key.name));
        if old.as_ref() == new {
            return dirty;
        }
        dirty.namespace(&key.namespace);
        // One that is gone, or made anew, leaves behind what only its namespace's plan sees.
        if new.is_some_and(|new| old.as_ref().is_none_or(|old| old.meta.uid == new.meta.uid)) {
            dirty.grant(key);
        }
        for grant in [old.as_ref(), new].into_iter().flatten() {
            if let Some(recipient) = recipient_namespace(grant) {
                dirty.namespace(recipient);
            }
        }
        for acceptance in self.acceptances_by_grant.get(key).into_iter().flatten() {
            dirty.namespace(&acceptance.namespace);
        }
        let processor = |grant: Option<&Grant>| grant.and_then(processor_name).map(str::to_owned);
        let recipient = |grant: Option<&Grant>| grant.and_then(recipient_namespace).cloned();
        reindex(
            &mut self.grants_by_processor,
            processor(old.as_ref()),
            processor(new),
            key,
        );
        reindex(
            &mut self.grants_by_recipient,
            recipient(old.as_ref()),
            recipient(new),
            key,
        );
        dirty
    }

    pub(super) fn set_acceptance(&mut self, key: &ObjectKey, new: Option<Acceptance>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace_in(&mut self.acceptances, key, new);
        let new = self
            .acceptances
            .get(&key.namespace)
            .and_then(|acceptances| acceptances.get(&key.name));
        if old.as_ref() == new {
            return dirty;
        }
        dirty.namespace(&key.namespace);
        let grant = |acceptance: Option<&Acceptance>| {
            let terms = acceptance?.terms.as_ref().ok()?;
            Some(ObjectKey::new(&terms.from_namespace, &terms.grant))
        };
        let (old_grant, new_grant) = (grant(old.as_ref()), grant(new));
        for grant in [&old_grant, &new_grant].into_iter().flatten() {
            if self
                .grants
                .get(&grant.namespace)
                .is_some_and(|grants| grants.contains_key(&grant.name))
            {
                dirty.namespace(&grant.namespace);
            }
        }
        reindex(&mut self.acceptances_by_grant, old_grant, new_grant, key);
        dirty
    }

    /// Grants from and to a namespace read its enrolment at their other end.
    pub(super) fn mark_neighbours(&self, dirty: &mut Dirty, name: &str) {
        for key in self.grants_by_recipient.get(name).into_iter().flatten() {
            dirty.namespace(&key.namespace);
        }
        for recipient in self.grants_in(name).filter_map(recipient_namespace) {
            dirty.namespace(recipient);
        }
    }
}

fn recipient_namespace(grant: &Grant) -> Option<&String> {
    match &grant.terms.as_ref().ok()?.recipient {
        RecipientTerms::Namespace { name } => Some(name),
        RecipientTerms::Processor { .. } => None,
    }
}

fn processor_name(grant: &Grant) -> Option<&str> {
    match &grant.terms.as_ref().ok()?.recipient {
        RecipientTerms::Processor { name, .. } => Some(name),
        RecipientTerms::Namespace { .. } => None,
    }
}
