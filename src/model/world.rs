//! The indexed picture of the cluster.
//!
//! Every change returns the units of planning that it can affect. May not: drop an object that it cannot read; decide.

mod addresses;
mod ciphered;
mod collecting;
mod found;
mod opted_out;
mod published;
mod read;
mod recorded;
mod restraints;
mod retained;
mod runs;
mod shared;
mod stored;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kube::core::DynamicObject;

use super::baseline::Baseline;
use super::dirty::Dirty;
use super::encryption::{ObservedClaim, ObservedClass, has_scratch};
use super::grant::{Acceptance, Grant};
use super::hold::Hold;
use super::identity::{Kind, ObjectKey, Target, Unit};
use super::observed::{ObservedPolicy, ObservedPosture, ObservedTimer};
use super::pod::ObservedPod;
use super::processor::Processor;
use super::prohibition::Prohibition;
use super::retention::{ObservedParameters, RetentionPolicy};
use super::server::ServerLease;
use super::telemetry::{MarkedPod, OptOut};
use super::tenancy::Namespace;
use super::volume::ObservedVolume;
use crate::api::names::LABEL_HOLDS;
use addresses::{addresses_of, is_api_server, sockets};
use ciphered::Ciphered;
use collecting::Collecting;
use opted_out::OptedOut;
use published::Published;
use recorded::Recorded;
use restraints::Restraints;
use retained::Retained;
use runs::Runs;
use stored::Stored;

type ByNamespace<T> = BTreeMap<String, BTreeMap<String, T>>;
type Index<K, V> = BTreeMap<K, BTreeSet<V>>;

/// What the operator is told at its start and never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The operator's own namespace, which is never enrolled.
    pub operator_namespace: Option<String>,
    /// Addresses of every API server, where `default/kubernetes` does not list them.
    pub servers: Vec<String>,
}

/// Why a write of the operator was refused, as the planner reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteFailure {
    /// Short name of the kind of failure, such as `Forbidden`, `QuotaExceeded` or `NameTaken`.
    pub category: String,
    /// What the API server said.
    pub message: String,
}

/// The indexed picture of the cluster.
#[derive(Clone, Debug, Default)]
pub struct World {
    settings: Settings,
    namespaces: BTreeMap<String, Namespace>,
    baselines: BTreeMap<String, Baseline>,
    processors: BTreeMap<String, Processor>,
    prohibitions: BTreeMap<String, Prohibition>,
    grants: ByNamespace<Grant>,
    acceptances: ByNamespace<Acceptance>,
    postures: ByNamespace<ObservedPosture>,
    policies: ByNamespace<ObservedPolicy>,
    timers: ByNamespace<ObservedTimer>,
    pods: ByNamespace<ObservedPod>,
    addresses: BTreeMap<Target, BTreeSet<IpAddr>>,
    failures: BTreeMap<Target, WriteFailure>,
    grants_by_processor: Index<String, ObjectKey>,
    grants_by_recipient: Index<String, ObjectKey>,
    acceptances_by_grant: Index<ObjectKey, ObjectKey>,
    namespaces_by_tenant: Index<String, String>,
    namespaces_by_baseline: Index<String, String>,
    breached: BTreeSet<String>,
    restraints: Restraints,
    retained: Retained,
    runs: Runs,
    recorded: Recorded,
    stored: Stored,
    ciphered: Ciphered,
    published: Published,
    collecting: Collecting,
    opted_out: OptedOut,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Takes an object in, as it now is.
    pub fn apply(&mut self, kind: Kind, object: DynamicObject) -> Dirty {
        let key = ObjectKey::of(&object);
        match kind {
            Kind::Namespace => self.set_namespace(&key.name, Some(Namespace::read(&object))),
            Kind::Baseline => self.set_baseline(&key.name, Some(Baseline::read(object))),
            Kind::Processor => self.set_processor(&key.name, Some(Processor::read(object))),
            Kind::Prohibition => self.set_prohibition(&key.name, Some(Prohibition::read(object))),
            Kind::Grant => self.set_grant(&key, Some(Grant::read(object))),
            Kind::Acceptance => self.set_acceptance(&key, Some(Acceptance::read(object))),
            Kind::Hold => self.set_hold(&key, Some(Hold::read(object))),
            Kind::RetentionPolicy => {
                self.set_retention_policy(&key, Some(RetentionPolicy::read(object)))
            }
            Kind::OptOut => self.set_opt_out(&key, Some(OptOut::read(object))),
            Kind::GuardParameters => {
                self.set_parameters(&key, Some(ObservedParameters::read(object)))
            }
            Kind::Posture => self.set_posture(&key, Some(ObservedPosture::read(object))),
            Kind::NetworkPolicy => self.set_policy(&key, Some(ObservedPolicy::read(object))),
            Kind::Job => self.set_timer(&key, ObservedTimer::read(object)),
            Kind::Pod => {
                let mut dirty = self.set_pod(&key, ObservedPod::read(&object));
                dirty
                    .0
                    .extend(self.set_scratch(&key, has_scratch(&object)).0);
                dirty
                    .0
                    .extend(self.set_marked(&key, MarkedPod::read(&object)).0);
                dirty
            }
            Kind::EndpointSlice | Kind::Service => {
                let (addresses, servers) = if is_api_server(&object) {
                    (
                        addresses_of(kind, &object.data),
                        sockets(kind, &object.data),
                    )
                } else {
                    Default::default()
                };
                let mut dirty = self.set_addresses(kind, key.clone(), addresses);
                dirty.0.extend(self.set_servers(key, servers).0);
                dirty
            }
            Kind::Volume => self.set_volume(&key.name, ObservedVolume::read(&object)),
            Kind::Guard | Kind::GuardBinding => self.set_guard(kind, &key, Some(&object)),
            Kind::Class => self.set_class(&key.name, Some(ObservedClass::read(&object))),
            Kind::Claim => self.set_claim(&key, Some(ObservedClaim::read(&object))),
            Kind::ServerLease => self.set_lease(key, ServerLease::read(&object)),
        }
    }

    /// Takes an object out.
    pub fn remove(&mut self, kind: Kind, key: &ObjectKey) -> Dirty {
        self.failures.remove(&Target::new(kind, key.clone()));
        match kind {
            Kind::Namespace => self.set_namespace(&key.name, None),
            Kind::Baseline => self.set_baseline(&key.name, None),
            Kind::Processor => self.set_processor(&key.name, None),
            Kind::Prohibition => self.set_prohibition(&key.name, None),
            Kind::Grant => self.set_grant(key, None),
            Kind::Acceptance => self.set_acceptance(key, None),
            Kind::Hold => self.set_hold(key, None),
            Kind::RetentionPolicy => self.set_retention_policy(key, None),
            Kind::OptOut => self.set_opt_out(key, None),
            Kind::GuardParameters => self.set_parameters(key, None),
            Kind::Posture => self.set_posture(key, None),
            Kind::NetworkPolicy => self.set_policy(key, None),
            Kind::Job => self.set_timer(key, None),
            Kind::Pod => {
                let mut dirty = self.set_pod(key, None);
                dirty.0.extend(self.set_scratch(key, false).0);
                dirty.0.extend(self.set_marked(key, None).0);
                dirty
            }
            Kind::EndpointSlice | Kind::Service => {
                let mut dirty = self.set_addresses(kind, key.clone(), BTreeSet::new());
                dirty
                    .0
                    .extend(self.set_servers(key.clone(), BTreeSet::new()).0);
                dirty
            }
            Kind::Volume => self.set_volume(&key.name, None),
            Kind::Guard | Kind::GuardBinding => self.set_guard(kind, key, None),
            Kind::Class => self.set_class(&key.name, None),
            Kind::Claim => self.set_claim(key, None),
            Kind::ServerLease => self.set_lease(key.clone(), None),
        }
    }

    /// The keys of all objects of a kind that are in the World, for finding out which a new list lacks.
    #[must_use]
    pub fn keys(&self, kind: Kind) -> Vec<ObjectKey> {
        fn cluster<T>(map: &BTreeMap<String, T>) -> Vec<ObjectKey> {
            map.keys().map(ObjectKey::cluster).collect()
        }
        fn namespaced<T>(map: &ByNamespace<T>) -> Vec<ObjectKey> {
            map.iter()
                .flat_map(|(namespace, objects)| {
                    objects
                        .keys()
                        .map(move |name| ObjectKey::new(namespace, name))
                })
                .collect()
        }
        match kind {
            Kind::Namespace => cluster(&self.namespaces),
            Kind::Baseline => cluster(&self.baselines),
            Kind::Processor => cluster(&self.processors),
            Kind::Prohibition => cluster(&self.prohibitions),
            Kind::Grant => namespaced(&self.grants),
            Kind::Acceptance => namespaced(&self.acceptances),
            Kind::Posture => namespaced(&self.postures),
            Kind::NetworkPolicy => namespaced(&self.policies),
            Kind::Job => namespaced(&self.timers),
            Kind::Pod => {
                let mut keys = namespaced(&self.pods);
                keys.extend(self.stored_keys(kind));
                keys.extend(self.marked_keys());
                keys.sort();
                keys.dedup();
                keys
            }
            Kind::Class | Kind::Claim => self.stored_keys(kind),
            Kind::EndpointSlice | Kind::Service => self
                .addresses
                .keys()
                .filter(|target| target.kind == kind)
                .map(|target| target.key.clone())
                .collect(),
            Kind::RetentionPolicy => self.retained_keys(true),
            Kind::OptOut => self.opt_out_keys(),
            Kind::GuardParameters => self.retained_keys(false),
            Kind::Hold | Kind::Volume | Kind::Guard | Kind::GuardBinding | Kind::ServerLease => {
                self.restraint_keys(kind)
            }
        }
    }

    /// Remembers that a write was refused, so that the plan reports it.
    pub fn record_failure(&mut self, target: Target, failure: WriteFailure) -> Dirty {
        let mut dirty = Dirty::default();
        if self.failures.get(&target) != Some(&failure) {
            self.mark_object(&mut dirty, &target);
            self.failures.insert(target, failure);
        }
        dirty
    }

    /// Forgets a refusal after a write went through.
    pub fn clear_failure(&mut self, target: &Target) -> Dirty {
        let mut dirty = Dirty::default();
        if self.failures.remove(target).is_some() {
            self.mark_object(&mut dirty, target);
        }
        dirty
    }

    /// Every unit that there is something to plan for.
    #[must_use]
    pub fn units(&self) -> BTreeSet<Unit> {
        // A grant may be there before its namespace is: it is refused, and says so.
        let with_grants = self.grants.keys();
        // So may a hold, or be left behind by one.
        let with_holds = self.restraints.holds.keys();
        // An opt-out says of itself that it stops nothing where there is no namespace yet.
        let with_opt_outs = self.opted_out.opt_outs.keys();
        // And volumes may still have to be given back where hold and namespace are gone.
        let with_volumes = self.restraints.volumes_by_namespace.keys();
        let enrolled = self.namespaces.iter();
        let enrolled = enrolled.filter(|(_, namespace)| namespace.tenant.is_some());
        let namespaces = self
            .namespaces
            .keys()
            .chain(with_grants)
            .chain(with_holds)
            .chain(with_opt_outs)
            .chain(with_volumes);
        namespaces
            .map(|name| Unit::Namespace(name.clone()))
            .chain(self.processors.keys().cloned().map(Unit::Processor))
            .chain(self.prohibitions.keys().cloned().map(Unit::Prohibition))
            .chain(self.baselines.keys().cloned().map(Unit::Baseline))
            .chain(self.retained_namespaces().cloned().map(Unit::Retention))
            .chain(enrolled.map(|(name, _)| Unit::Retention(name.clone())))
            .collect()
    }

    fn mark_object(&self, dirty: &mut Dirty, target: &Target) {
        match target.kind {
            Kind::Namespace => dirty.namespace(&target.key.name),
            Kind::Processor => dirty.unit(Unit::Processor(target.key.name.clone())),
            Kind::Prohibition => dirty.unit(Unit::Prohibition(target.key.name.clone())),
            Kind::Baseline => dirty.unit(Unit::Baseline(target.key.name.clone())),
            Kind::NetworkPolicy | Kind::Job => {
                dirty.namespace(&target.key.namespace);
                // The status of a grant tells of both ends of its path.
                for key in self
                    .grants_by_recipient
                    .get(&target.key.namespace)
                    .into_iter()
                    .flatten()
                {
                    dirty.namespace(&key.namespace);
                }
            }
            Kind::RetentionPolicy | Kind::GuardParameters => {
                dirty.retention(&target.key.namespace);
            }
            Kind::Volume => {
                let claim = self
                    .volume(&target.key.name)
                    .map(|volume| volume.claim.namespace.clone());
                dirty.namespaces(claim.iter());
            }
            _ => dirty.namespace(&target.key.namespace),
        }
    }

    fn set_namespace(&mut self, name: &str, new: Option<Namespace>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace(&mut self.namespaces, name, new);
        let new = self.namespaces.get(name);
        if old.as_ref() == new {
            return dirty;
        }
        dirty.namespace(name);
        if new.is_none() {
            self.recorded.forget_head(name);
        }
        let tenant = |namespace: Option<&Namespace>| {
            namespace.and_then(|namespace| namespace.tenant.clone())
        };
        let (old_tenant, new_tenant) = (tenant(old.as_ref()), tenant(new));
        let moved = old_tenant != new_tenant
            || old.as_ref().map(|namespace| &namespace.baseline)
                != new.map(|namespace| &namespace.baseline)
            || old.as_ref().map(Namespace::stage) != new.map(Namespace::stage)
            || old.as_ref().map(|namespace| namespace.meta.deleting)
                != new.map(|namespace| namespace.meta.deleting);
        let old_baseline = old.as_ref().map(|namespace| namespace.baseline.clone());
        let new_baseline = new.map(|namespace| namespace.baseline.clone());
        for baseline in [&old_baseline, &new_baseline].into_iter().flatten() {
            dirty.unit(Unit::Baseline(baseline.clone()));
        }
        reindex(
            &mut self.namespaces_by_tenant,
            old_tenant.clone(),
            new_tenant.clone(),
            &name.to_owned(),
        );
        reindex(
            &mut self.namespaces_by_baseline,
            old_baseline,
            new_baseline,
            &name.to_owned(),
        );
        let guarded = |namespace: Option<&Namespace>| {
            namespace.map(|namespace| {
                let armed = namespace.labels.get(LABEL_HOLDS).cloned();
                (namespace.meta.uid.clone(), namespace.tenant.clone(), armed)
            })
        };
        if guarded(old.as_ref()) != guarded(new) {
            self.restraints.forget_proofs(name);
        }
        // An opt-out refuses grants to where an agent is, which labels say.
        if old.as_ref().map(|namespace| &namespace.labels) != new.map(|namespace| &namespace.labels)
            && !self.opted_out.opt_outs.is_empty()
        {
            self.mark_neighbours(&mut dirty, name);
        }
        if moved {
            self.refresh_rules(name);
            self.mark_opted_out_siblings(&mut dirty, old_tenant.as_deref());
            self.mark_opted_out_siblings(&mut dirty, new_tenant.as_deref());
            // What guards read is written for every namespace that is enrolled.
            if old_tenant.is_some() || new_tenant.is_some() {
                dirty.retention(name);
            }
            self.mark_neighbours(&mut dirty, name);
            if self.breached.contains(name) {
                self.mark_siblings(&mut dirty, old_tenant.as_deref());
                self.mark_siblings(&mut dirty, new_tenant.as_deref());
            }
        }
        dirty
    }

    fn set_baseline(&mut self, name: &str, new: Option<Baseline>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace(&mut self.baselines, name, new);
        let uid = self.baselines.get(name).map(|known| known.meta.uid.clone());
        if let Some(gone) = old
            .as_ref()
            .filter(|old| Some(&old.meta.uid) != uid.as_ref())
        {
            self.forget_announced(&gone.meta.uid);
        }
        let new = self.baselines.get(name);
        if old.as_ref() == new {
            return dirty;
        }
        dirty.unit(Unit::Baseline(name.to_owned()));
        // Of its status postures show what became of Secrets, and nobody reads the rest.
        let read = |baseline: &Baseline| {
            let secrets = baseline.status.secrets.clone();
            let status = Default::default();
            let without_status = Baseline {
                status,
                ..baseline.clone()
            };
            (without_status, secrets)
        };
        if old.as_ref().map(read) == new.map(read) {
            return dirty;
        }
        let namespaces = self.namespaces_by_baseline.get(name);
        let namespaces: Vec<String> = namespaces.into_iter().flatten().cloned().collect();
        for namespace in &namespaces {
            dirty.namespace(namespace);
            dirty.retention(namespace);
            self.mark_neighbours(&mut dirty, namespace);
            let tenant = self.namespaces.get(namespace);
            let tenant = tenant.and_then(|namespace| namespace.tenant.as_deref());
            self.mark_opted_out_siblings(&mut dirty, tenant);
        }
        self.mark_baseline_retention(&mut dirty, &namespaces);
        dirty
    }

    fn set_processor(&mut self, name: &str, new: Option<Processor>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace(&mut self.processors, name, new);
        let new = self.processors.get(name);
        if old.as_ref() != new {
            dirty.unit(Unit::Processor(name.to_owned()));
            if old.map(|processor| processor.terms) != new.map(|processor| processor.terms.clone())
            {
                for key in self.grants_by_processor.get(name).into_iter().flatten() {
                    dirty.namespace(&key.namespace);
                }
                self.mark_opted_out_of(&mut dirty, name);
            }
        }
        dirty
    }
}

fn replace<T>(map: &mut BTreeMap<String, T>, name: &str, new: Option<T>) -> Option<T> {
    match new {
        Some(value) => map.insert(name.to_owned(), value),
        None => map.remove(name),
    }
}

fn replace_in<T>(map: &mut ByNamespace<T>, key: &ObjectKey, new: Option<T>) -> Option<T> {
    match new {
        Some(value) => map
            .entry(key.namespace.clone())
            .or_default()
            .insert(key.name.clone(), value),
        None => {
            let objects = map.get_mut(&key.namespace)?;
            let old = objects.remove(&key.name);
            if objects.is_empty() {
                map.remove(&key.namespace);
            }
            old
        }
    }
}

fn reindex<K: Ord, V: Ord + Clone>(
    index: &mut Index<K, V>,
    old: Option<K>,
    new: Option<K>,
    value: &V,
) {
    if old == new {
        return;
    }
    if let Some(old) = old
        && let Some(values) = index.get_mut(&old)
    {
        values.remove(value);
        if values.is_empty() {
            index.remove(&old);
        }
    }
    if let Some(new) = new {
        index.entry(new).or_default().insert(value.clone());
    }
}
