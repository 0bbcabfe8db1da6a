//! What keeps data in place, as it stands: holds, the guards that carry them out, the servers that carry out the guards,
//! held volumes, and what the operator learned about all of them by asking.
//!
//! May not: decide whether a hold is enforced.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use kube::core::DynamicObject;

use super::{ByNamespace, Index, World, reindex, replace, replace_in};
use crate::model::{
    Dirty, Ended, Hold, Kind, ObjectKey, ObservedGuard, ObservedVolume, Proof, ServerLease, Survey,
};

/// An API server that renewed its Lease after more than this may have been away.
const AWAY: SignedDuration = SignedDuration::from_secs(60);

/// The part of the World that is about holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Restraints {
    pub(super) holds: ByNamespace<Hold>,
    volumes: BTreeMap<String, ObservedVolume>,
    pub(super) volumes_by_namespace: Index<String, String>,
    guards: BTreeMap<(Kind, String), ObservedGuard>,
    leases: BTreeMap<ObjectKey, ServerLease>,
    servers: BTreeMap<ObjectKey, BTreeSet<String>>,
    learned: Learned,
}

/// By uid of the hold, but for surveys, which are of a namespace.
#[derive(Clone, Debug, Default)]
struct Learned {
    proofs: BTreeMap<String, Proof>,
    surveys: BTreeMap<String, Survey>,
    ended: BTreeMap<String, Ended>,
    nudged: BTreeSet<String>,
}

impl Restraints {
    /// What was proven in a namespace was proven of it as it was then: one that left its tenant and came back is another.
    pub(super) fn forget_proofs(&mut self, namespace: &str) {
        for hold in self
            .holds
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
        {
            self.learned.proofs.remove(&hold.meta.uid);
        }
    }
}

/// Taking in what the streams tell.
impl World {
    pub(super) fn set_hold(&mut self, key: &ObjectKey, new: Option<Hold>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = replace_in(&mut self.restraints.holds, key, new);
        let new = self.hold(key);
        if old.as_ref() == new {
            return dirty;
        }
        let uid = |hold: Option<&Hold>| hold.map(|hold| hold.meta.uid.clone());
        let gone = uid(old.as_ref()).filter(|gone| Some(gone) != uid(new).as_ref());
        let before = old.map(|hold| hold.effects);
        let moved = before.as_ref() != new.map(|hold| &hold.effects);
        dirty.namespace(&key.namespace);
        self.mark_retention(&mut dirty, &key.namespace);
        if moved {
            self.mark_neighbours(&mut dirty, &key.namespace);
            for grant in self.grants_in(&key.namespace) {
                dirty.grant(&grant.meta.key);
            }
        }
        if let Some(uid) = gone {
            let learned = &mut self.restraints.learned;
            learned.proofs.remove(&uid);
            learned.ended.remove(&uid);
            learned.nudged.remove(&uid);
            self.forget_release(&uid);
        }
        if !self.restraints.holds.contains_key(&key.namespace) {
            self.restraints.learned.surveys.remove(&key.namespace);
        }
        dirty
    }

    pub(super) fn set_volume(&mut self, name: &str, new: Option<ObservedVolume>) -> Dirty {
        let mut dirty = Dirty::default();
        let restraints = &mut self.restraints;
        let old = replace(&mut restraints.volumes, name, new);
        let new = restraints.volumes.get(name);
        if old.as_ref() == new {
            return dirty;
        }
        let namespace =
            |volume: Option<&ObservedVolume>| volume.map(|volume| volume.claim.namespace.clone());
        let (old, new) = (namespace(old.as_ref()), namespace(new));
        dirty.namespaces([&old, &new].into_iter().flatten());
        reindex(
            &mut restraints.volumes_by_namespace,
            old,
            new,
            &name.to_owned(),
        );
        dirty
    }

    pub(super) fn set_guard(
        &mut self,
        kind: Kind,
        key: &ObjectKey,
        object: Option<&DynamicObject>,
    ) -> Dirty {
        let operator_namespace = self
            .settings
            .operator_namespace
            .clone()
            .unwrap_or_else(|| "covenant-system".to_owned());
        let new = object.and_then(|object| ObservedGuard::read(kind, object, &operator_namespace));
        let entry = (kind, key.name.clone());
        let old = match new.clone() {
            Some(guard) => self.restraints.guards.insert(entry, guard),
            None => self.restraints.guards.remove(&entry),
        };
        let mut dirty = Dirty::default();
        if old != new {
            dirty.namespaces(self.restraints.holds.keys());
            self.mark_minimums(&mut dirty);
            self.mark_opted_out(&mut dirty);
        }
        dirty
    }

    pub(super) fn set_lease(&mut self, key: ObjectKey, new: Option<ServerLease>) -> Dirty {
        let leases = &mut self.restraints.leases;
        let old = match new.clone() {
            Some(lease) => leases.insert(key, lease),
            None => leases.remove(&key),
        };
        let restarted =
            matches!((&old, &new), (Some(old), Some(new)) if new.may_be_another_start(old));
        // Renewals, every ten seconds, change nothing.
        let same = match (&old, &new) {
            (Some(old), Some(new)) => old.holder == new.holder && !was_away(old, new),
            (old, new) => old.is_none() && new.is_none(),
        };
        let mut dirty = Dirty::default();
        if restarted {
            self.ciphered.note_start();
        }
        if restarted || !same {
            self.mark_verifying(&mut dirty);
        }
        if !same {
            dirty.namespaces(self.restraints.holds.keys());
        }
        dirty
    }

    pub(super) fn set_servers(&mut self, key: ObjectKey, new: BTreeSet<String>) -> Dirty {
        let servers = &mut self.restraints.servers;
        let old = if new.is_empty() {
            servers.remove(&key)
        } else {
            servers.insert(key, new.clone())
        };
        let mut dirty = Dirty::default();
        if old.unwrap_or_default() != new {
            dirty.namespaces(self.restraints.holds.keys());
            dirty.0.extend(self.suspect_start().0);
        }
        dirty
    }

    pub(super) fn restraint_keys(&self, kind: Kind) -> Vec<ObjectKey> {
        let restraints = &self.restraints;
        match kind {
            Kind::Hold => restraints
                .holds
                .iter()
                .flat_map(|(namespace, holds)| {
                    holds
                        .keys()
                        .map(move |name| ObjectKey::new(namespace, name))
                })
                .collect(),
            Kind::Volume => restraints.volumes.keys().map(ObjectKey::cluster).collect(),
            Kind::ServerLease => restraints.leases.keys().cloned().collect(),
            _ => restraints
                .guards
                .keys()
                .filter(|(known, _)| *known == kind)
                .map(|(_, name)| ObjectKey::cluster(name))
                .collect(),
        }
    }
}

fn was_away(old: &ServerLease, new: &ServerLease) -> bool {
    match (old.renewed, new.renewed) {
        (Some(old), Some(new)) => new.duration_since(old) > AWAY,
        _ => false,
    }
}

/// Taking in what the operator learned.
impl World {
    /// What canaries showed about the hold with this uid.
    pub fn learn_proof(&mut self, hold: &ObjectKey, uid: &str, proof: Proof) -> Dirty {
        let mut dirty = Dirty::default();
        if self.hold(hold).is_some_and(|hold| hold.meta.uid == uid) {
            self.restraints.learned.proofs.insert(uid.to_owned(), proof);
            dirty.namespace(&hold.namespace);
        }
        dirty
    }

    /// What was counted in a namespace.
    pub fn learn_survey(&mut self, namespace: &str, survey: Survey) -> Dirty {
        let mut dirty = Dirty::default();
        if self.restraints.holds.contains_key(namespace) {
            let surveys = &mut self.restraints.learned.surveys;
            surveys.insert(namespace.to_owned(), survey);
            dirty.namespace(namespace);
        }
        dirty
    }

    /// What became of the pods that the hold with this uid ends.
    pub fn learn_ended(&mut self, hold: &ObjectKey, uid: &str, ended: Ended) -> Dirty {
        let mut dirty = Dirty::default();
        if self.hold(hold).is_some_and(|hold| hold.meta.uid == uid) {
            self.restraints.learned.ended.insert(uid.to_owned(), ended);
            dirty.namespace(&hold.namespace);
        }
        dirty
    }

    /// The workloads' controllers were nudged after the release of the hold with this uid.
    pub fn learn_nudged(&mut self, hold: &ObjectKey, uid: &str) -> Dirty {
        let mut dirty = Dirty::default();
        if self.hold(hold).is_some_and(|hold| hold.meta.uid == uid) {
            self.restraints.learned.nudged.insert(uid.to_owned());
            dirty.namespace(&hold.namespace);
        }
        dirty
    }
}

/// What can be asked.
impl World {
    /// The holds of a namespace, by name, released ones too.
    pub fn holds_in(&self, namespace: &str) -> impl Iterator<Item = &Hold> {
        self.restraints
            .holds
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// All holds, by namespace and name.
    pub fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.restraints.holds.values().flat_map(BTreeMap::values)
    }

    /// A hold.
    #[must_use]
    pub fn hold(&self, key: &ObjectKey) -> Option<&Hold> {
        self.restraints.holds.get(&key.namespace)?.get(&key.name)
    }

    /// The volumes behind claims of a namespace, by name.
    pub fn volumes_of(&self, namespace: &str) -> impl Iterator<Item = &ObservedVolume> {
        let names = self
            .restraints
            .volumes_by_namespace
            .get(namespace)
            .into_iter()
            .flatten();
        names.filter_map(|name| self.restraints.volumes.get(name))
    }

    /// A volume that is bound to a claim.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<&ObservedVolume> {
        self.restraints.volumes.get(name)
    }

    /// A guard of ours, as it stands.
    #[must_use]
    pub fn guard(&self, entry: &(Kind, String)) -> Option<&ObservedGuard> {
        self.restraints.guards.get(entry)
    }

    /// The guards of ours that stand.
    pub fn guards(&self) -> impl Iterator<Item = (&(Kind, String), &ObservedGuard)> {
        self.restraints.guards.iter()
    }

    /// The Leases of API servers.
    pub fn server_leases(&self) -> impl Iterator<Item = &ServerLease> {
        self.restraints.leases.values()
    }

    /// Addresses of API servers: what the operator was told at its start, else those of `default/kubernetes`.
    #[must_use]
    pub fn server_addresses(&self) -> BTreeSet<String> {
        if self.settings.servers.is_empty() {
            self.restraints
                .servers
                .values()
                .flatten()
                .cloned()
                .collect()
        } else {
            self.settings.servers.iter().cloned().collect()
        }
    }

    /// What canaries showed about a hold, by its uid.
    #[must_use]
    pub fn proof(&self, uid: &str) -> Option<&Proof> {
        self.restraints.learned.proofs.get(uid)
    }

    /// What was counted in a namespace.
    #[must_use]
    pub fn survey(&self, namespace: &str) -> Option<&Survey> {
        self.restraints.learned.surveys.get(namespace)
    }

    /// What became of the pods that a hold ends, by its uid.
    #[must_use]
    pub fn ended(&self, uid: &str) -> Option<&Ended> {
        self.restraints.learned.ended.get(uid)
    }

    /// Whether the controllers were nudged after a hold's release, by its uid.
    #[must_use]
    pub fn is_nudged(&self, uid: &str) -> bool {
        self.restraints.learned.nudged.contains(uid)
    }

    /// How many API servers say that they are there. Each renews its Lease every few seconds; one that fell behind the
    /// others is gone. Compared among themselves, so that no clock but theirs takes part.
    #[must_use]
    pub fn live_servers(&self) -> usize {
        let newest = self.server_leases().filter_map(|lease| lease.renewed).max();
        let fresh = |lease: &&ServerLease| match (newest, lease.renewed) {
            (Some(newest), Some(renewed)) => newest.duration_since(renewed) <= AWAY,
            _ => false,
        };
        self.server_leases().filter(fresh).count()
    }
}
