//! What the World can be asked. May not: change it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Settings, World, WriteFailure};
use crate::model::baseline::Baseline;
use crate::model::grant::{Acceptance, Grant};
use crate::model::observed::{ObservedPolicy, ObservedPosture, ObservedTimer};
use crate::model::pod::ObservedPod;
use crate::model::processor::Processor;
use crate::model::prohibition::Prohibition;
use crate::model::tenancy::Namespace;
use crate::model::{ObjectKey, Target};

impl World {
    /// What the operator was told at its start.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All namespaces by name.
    #[must_use]
    pub fn namespaces(&self) -> &BTreeMap<String, Namespace> {
        &self.namespaces
    }

    /// A namespace.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// A baseline.
    #[must_use]
    pub fn baseline(&self, name: &str) -> Option<&Baseline> {
        self.baselines.get(name)
    }

    /// A vendor.
    #[must_use]
    pub fn processor(&self, name: &str) -> Option<&Processor> {
        self.processors.get(name)
    }

    /// All prohibitions by name.
    #[must_use]
    pub fn prohibitions(&self) -> &BTreeMap<String, Prohibition> {
        &self.prohibitions
    }

    /// The grants of a namespace, by name.
    pub fn grants_in(&self, namespace: &str) -> impl Iterator<Item = &Grant> {
        self.grants
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// All grants, by namespace and name.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.values().flat_map(BTreeMap::values)
    }

    /// A grant.
    #[must_use]
    pub fn grant(&self, key: &ObjectKey) -> Option<&Grant> {
        self.grants.get(&key.namespace)?.get(&key.name)
    }

    /// The grants of other namespaces that name this one as recipient.
    pub fn grants_to(&self, namespace: &str) -> impl Iterator<Item = &Grant> {
        let keys = self
            .grants_by_recipient
            .get(namespace)
            .into_iter()
            .flatten();
        keys.filter_map(|key| self.grant(key))
            .filter(move |grant| grant.meta.key.namespace != namespace)
    }

    /// The acceptances of a namespace, by name.
    pub fn acceptances_in(&self, namespace: &str) -> impl Iterator<Item = &Acceptance> {
        self.acceptances
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// The acceptances in `recipient` that name this grant, by name.
    pub fn acceptances_of(
        &self,
        grant: &ObjectKey,
        recipient: &str,
    ) -> impl Iterator<Item = &Acceptance> {
        let keys = self.acceptances_by_grant.get(grant).into_iter().flatten();
        keys.filter(move |key| key.namespace == recipient)
            .filter_map(|key| self.acceptances.get(&key.namespace)?.get(&key.name))
    }

    /// A namespace's posture.
    #[must_use]
    pub fn posture(&self, key: &ObjectKey) -> Option<&ObservedPosture> {
        self.postures.get(&key.namespace)?.get(&key.name)
    }

    /// Namespaces whose posture has no head of the ledger yet.
    pub(super) fn postures_without_head(&self) -> Vec<String> {
        let lacks = |posture: &ObservedPosture| {
            let spec = posture.spec.as_ref();
            spec.is_some_and(|spec| spec.ledger.is_none())
        };
        let postures = self.postures.iter();
        postures
            .filter(|(_, postures)| postures.values().any(lacks))
            .map(|(namespace, _)| namespace.clone())
            .collect()
    }

    /// The policies of a namespace, ours and others, by name.
    pub fn policies_in(&self, namespace: &str) -> impl Iterator<Item = &ObservedPolicy> {
        self.policies
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// A policy.
    #[must_use]
    pub fn policy(&self, key: &ObjectKey) -> Option<&ObservedPolicy> {
        self.policies.get(&key.namespace)?.get(&key.name)
    }

    /// The Jobs under our label in a namespace, by name.
    pub fn timers_in(&self, namespace: &str) -> impl Iterator<Item = &ObservedTimer> {
        self.timers
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// A timer.
    #[must_use]
    pub fn timer(&self, key: &ObjectKey) -> Option<&ObservedTimer> {
        self.timers.get(&key.namespace)?.get(&key.name)
    }

    /// The pods of a namespace that reach past network policies, by name.
    pub fn pods_in(&self, namespace: &str) -> impl Iterator<Item = &ObservedPod> {
        self.pods
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// The addresses of the API server, as far as the cluster publishes them.
    pub fn api_server_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.values().flatten().copied()
    }

    /// Why the last write of this object was refused, if it was.
    #[must_use]
    pub fn failure(&self, target: &Target) -> Option<&WriteFailure> {
        self.failures.get(target)
    }

    /// The namespaces of a tenant.
    pub fn namespaces_of_tenant(&self, tenant: &str) -> impl Iterator<Item = &Namespace> {
        let names = self.namespaces_by_tenant.get(tenant).into_iter().flatten();
        names.filter_map(|name| self.namespaces.get(name))
    }

    /// How many namespaces name a baseline and are enrolled.
    #[must_use]
    pub fn enrolled_on(&self, baseline: &str) -> usize {
        let names = self
            .namespaces_by_baseline
            .get(baseline)
            .into_iter()
            .flatten();
        names
            .filter(|name| {
                self.namespaces
                    .get(*name)
                    .is_some_and(|namespace| namespace.tenant.is_some())
            })
            .count()
    }

    /// The tenants of the namespaces that name a baseline.
    #[must_use]
    pub fn tenants_on(&self, baseline: &str) -> std::collections::BTreeSet<String> {
        let names = self.namespaces_by_baseline.get(baseline);
        let names = names.into_iter().flatten();
        names
            .filter_map(|name| self.namespaces.get(name)?.tenant.clone())
            .collect()
    }

    /// Whether something in the namespace reaches further than its grants: a policy that is not ours, or a pod past
    /// policies. Data could be relayed through it.
    #[must_use]
    pub fn breached(&self, namespace: &str) -> bool {
        self.breached.contains(namespace)
    }

    /// The breached namespaces of a tenant, by name.
    pub fn breached_of_tenant(&self, tenant: &str) -> impl Iterator<Item = &str> {
        let of_tenant = move |name: &&String| {
            self.namespaces
                .get(*name)
                .is_some_and(|namespace| namespace.tenant.as_deref() == Some(tenant))
        };
        self.breached.iter().filter(of_tenant).map(String::as_str)
    }
}
