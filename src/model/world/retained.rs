//! What is kept and disposed of, as it stands: policies, the objects of the kinds that they select, what guards read, and
//! what the operator learned about disposal.
//!
//! May not: decide what goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{ByNamespace, World, replace_in};
use crate::api::names::PARAMETERS_NAME;
use crate::model::retention::{Completion, Item, Rule, Strings};
use crate::model::{
    Dirty, Held, KindState, LedgerState, ObjectKey, ObservedParameters, ResourceKind,
    RetentionPolicy, Shelf,
};

/// The part of the World that is about retention.
#[derive(Clone, Debug, Default)]
pub(super) struct Retained {
    policies: ByNamespace<RetentionPolicy>,
    parameters: BTreeMap<String, ObservedParameters>,
    shelves: BTreeMap<String, Shelf>,
    kinds: BTreeMap<ResourceKind, Known>,
    /// How many namespaces select a kind.
    wanted: BTreeMap<ResourceKind, usize>,
    strings: Strings,
    incomplete: BTreeMap<String, i64>,
    ledger: Option<LedgerState>,
    clock: Option<String>,
}

/// A kind that was told of.
#[derive(Clone, Debug)]
struct Known {
    kind: Arc<ResourceKind>,
    state: KindState,
}

/// Taking in what the streams tell.
impl World {
    pub(super) fn set_retention_policy(
        &mut self,
        key: &ObjectKey,
        new: Option<RetentionPolicy>,
    ) -> Dirty {
        let mut dirty = Dirty::default();
        if let Some(policy) = &new {
            self.note_untold_run(policy);
        }
        let old = replace_in(&mut self.retained.policies, key, new);
        let stays = |old: &RetentionPolicy| {
            let now = self.retention_policy(key);
            now.is_some_and(|now| now.meta.uid == old.meta.uid)
        };
        if let Some(gone) = old.as_ref().filter(|old| !stays(old)) {
            self.runs.forget_policy(&gone.meta.uid);
        }
        if old.as_ref() != self.retention_policy(key) {
            dirty.retention(&key.namespace);
            self.refresh_rules(&key.namespace);
        }
        dirty
    }

    pub(super) fn set_parameters(
        &mut self,
        key: &ObjectKey,
        new: Option<ObservedParameters>,
    ) -> Dirty {
        let mut dirty = Dirty::default();
        if key.name != PARAMETERS_NAME {
            return dirty;
        }
        let parameters = &mut self.retained.parameters;
        let old = super::replace(parameters, &key.namespace, new);
        let new = parameters.get(&key.namespace);
        if old.as_ref() != new {
            dirty.retention(&key.namespace);
        }
        let telemetry = |parameters: Option<&ObservedParameters>| {
            let spec = parameters.and_then(|parameters| parameters.spec.as_ref());
            let deleting = parameters.is_some_and(|parameters| parameters.meta.deleting);
            (deleting, spec.and_then(|spec| spec.telemetry.clone()))
        };
        if telemetry(old.as_ref()) != telemetry(new) {
            dirty.namespace(&key.namespace);
        }
        dirty
    }

    /// What rules bind a namespace may have changed.
    pub(super) fn refresh_rules(&mut self, namespace: &str) -> bool {
        let rules = self.rules_of(namespace);
        let shelves = &mut self.retained.shelves;
        if rules.is_empty() && !shelves.contains_key(namespace) {
            return false;
        }
        let shelf = shelves.entry(namespace.to_owned()).or_default();
        let before = kinds(shelf.rules());
        let changed = shelf.set_rules(rules);
        if changed {
            let after = kinds(shelf.rules());
            for kind in before.difference(&after) {
                if let Some(count) = self.retained.wanted.get_mut(kind) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.retained.wanted.remove(kind);
                    }
                }
            }
            for kind in after.difference(&before) {
                *self.retained.wanted.entry(kind.clone()).or_default() += 1;
            }
        }
        self.drop_empty_shelf(namespace);
        changed
    }

    /// The rules of a namespace: its policies' by name, then its baseline's. None where it is not enrolled.
    fn rules_of(&self, namespace: &str) -> Vec<Rule> {
        let enrolled = self
            .namespace(namespace)
            .filter(|known| known.tenant.is_some() && !self.is_exempt(namespace));
        let Some(enrolled) = enrolled else {
            return Vec::new();
        };
        let policies = self
            .retention_policies_in(namespace)
            .map(RetentionPolicy::rule);
        let baseline = self.baseline(&enrolled.baseline);
        let minimums = baseline
            .into_iter()
            .flat_map(|baseline| baseline.minimums.rules.iter().cloned());
        policies.chain(minimums).collect()
    }

    fn drop_empty_shelf(&mut self, namespace: &str) {
        let shelves = &mut self.retained.shelves;
        if shelves.get(namespace).is_some_and(Shelf::is_empty) {
            shelves.remove(namespace);
        }
    }

    pub(super) fn retained_keys(&self, is_policy: bool) -> Vec<ObjectKey> {
        let retained = &self.retained;
        if is_policy {
            let policies = retained.policies.iter();
            policies
                .flat_map(|(namespace, policies)| {
                    let key = move |name| ObjectKey::new(namespace, name);
                    policies.keys().map(key)
                })
                .collect()
        } else {
            let namespaces = retained.parameters.keys();
            namespaces
                .map(|namespace| ObjectKey::new(namespace, PARAMETERS_NAME))
                .collect()
        }
    }

    /// Namespaces with something to plan about retention.
    pub fn retained_namespaces(&self) -> impl Iterator<Item = &String> {
        let retained = &self.retained;
        let ruled = retained
            .shelves
            .iter()
            .filter(|(_, shelf)| !shelf.rules().is_empty())
            .map(|(namespace, _)| namespace);
        let policies = retained.policies.keys();
        policies.chain(retained.parameters.keys()).chain(ruled)
    }

    /// Marks a namespace where there is something to plan about retention.
    pub(super) fn mark_retention(&self, dirty: &mut Dirty, namespace: &str) {
        let retained = &self.retained;
        let ruled = |shelf: &Shelf| !shelf.rules().is_empty();
        if retained.policies.contains_key(namespace)
            || retained.parameters.contains_key(namespace)
            || retained.shelves.get(namespace).is_some_and(ruled)
        {
            dirty.retention(namespace);
        }
    }

    fn mark_all_retention(&self, dirty: &mut Dirty) {
        for namespace in self.retained_namespaces() {
            dirty.retention(namespace);
        }
    }

    /// Guards were altered or mended, which policies with a minimum tell.
    pub(super) fn mark_minimums(&self, dirty: &mut Dirty) {
        for namespace in self.retained.policies.keys() {
            dirty.retention(namespace);
        }
    }
}

fn kinds(rules: &[Rule]) -> BTreeSet<ResourceKind> {
    rules
        .iter()
        .flat_map(|rule| &rule.selections)
        .map(|selection| selection.kind.clone())
        .collect()
}

/// Taking in objects of the kinds that are selected.
impl World {
    /// The kinds that a policy, or a baseline's minimum, of an enrolled namespace selects; empty when none does.
    #[must_use]
    pub fn wanted_kinds(&self) -> BTreeSet<ResourceKind> {
        self.retained.wanted.keys().cloned().collect()
    }

    /// How a kind stands.
    pub fn tell_kind(&mut self, kind: &ResourceKind, state: KindState) -> Dirty {
        let mut dirty = Dirty::default();
        let known = self.known(kind);
        if known.state != state {
            known.state = state;
            self.mark_selecting(&mut dirty, kind);
        }
        dirty
    }

    /// Nobody watches a kind any more: its objects go, and it counts as not read.
    pub fn forget_kind(&mut self, kind: &ResourceKind) -> Dirty {
        let mut dirty = Dirty::default();
        let Some(known) = self.retained.kinds.remove(kind) else {
            return dirty;
        };
        self.mark_selecting(&mut dirty, kind);
        for key in self.item_keys(kind) {
            if let Some(shelf) = self.retained.shelves.get_mut(&key.namespace) {
                shelf.set(&known.kind, &key.name, None);
            }
            self.drop_empty_shelf(&key.namespace);
        }
        dirty
    }

    /// Takes an object of a watched kind in, as it now is.
    pub fn apply_item(&mut self, kind: &ResourceKind, metadata: &ObjectMeta) -> Dirty {
        let key = ObjectKey::new(
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        );
        let mut item = Item::read(metadata, &mut self.retained.strings);
        let shelves = &self.retained.shelves;
        let old = shelves
            .get(&key.namespace)
            .and_then(|shelf| shelf.get(kind, &key.name));
        // What was learned of it holds as long as it is as it was.
        if let Some(old) =
            old.filter(|old| old.item.uid == item.uid && old.item.version == item.version)
        {
            item.completion = old.item.completion;
        }
        self.set_item(kind, &key, Some(item))
    }

    /// Takes an object of a watched kind out.
    pub fn remove_item(&mut self, kind: &ResourceKind, key: &ObjectKey) -> Dirty {
        self.set_item(kind, key, None)
    }

    /// When an object completed, as it was found at this version; none where it has not.
    pub fn learn_completion(
        &mut self,
        kind: &ResourceKind,
        key: &ObjectKey,
        uid: &str,
        version: &str,
        completed: Option<Timestamp>,
    ) -> Dirty {
        let found = self.item(kind, key).map(|held| held.item.clone());
        let Some(mut item) = found.filter(|item| &*item.uid == uid && &*item.version == version)
        else {
            return Dirty::default();
        };
        item.completion = completed.map_or(Completion::NotYet, Completion::At);
        self.set_item(kind, key, Some(item))
    }

    fn set_item(&mut self, kind: &ResourceKind, key: &ObjectKey, item: Option<Item>) -> Dirty {
        let mut dirty = Dirty::default();
        let known = self.known(kind);
        let (kind, synced) = (Arc::clone(&known.kind), known.state == KindState::Synced);
        let shelves = &mut self.retained.shelves;
        if item.is_none() && !shelves.contains_key(&key.namespace) {
            return dirty;
        }
        let shelf = shelves.entry(key.namespace.clone()).or_default();
        // Of a kind that is not fully read nothing is told, so that its first list marks nothing object by object.
        if shelf.set(&kind, &key.name, item) && synced {
            dirty.retention(&key.namespace);
        }
        self.drop_empty_shelf(&key.namespace);
        dirty
    }

    fn known(&mut self, kind: &ResourceKind) -> &mut Known {
        self.retained
            .kinds
            .entry(kind.clone())
            .or_insert_with(|| Known {
                kind: Arc::new(kind.clone()),
                state: KindState::default(),
            })
    }

    fn mark_selecting(&self, dirty: &mut Dirty, kind: &ResourceKind) {
        for (namespace, shelf) in &self.retained.shelves {
            let mut selections = shelf.rules().iter().flat_map(|rule| &rule.selections);
            if selections.any(|selection| selection.kind == *kind) {
                dirty.retention(namespace);
            }
        }
    }
}

/// Taking in what the operator learned.
impl World {
    /// How many accepted deletions are not complete, by uid of the policy.
    pub fn learn_incomplete(&mut self, by_policy_uid: BTreeMap<String, i64>) -> Dirty {
        let mut dirty = Dirty::default();
        let old = std::mem::replace(&mut self.retained.incomplete, by_policy_uid);
        for (namespace, policies) in &self.retained.policies {
            let differs = |policy: &RetentionPolicy| {
                old.get(&policy.meta.uid) != self.retained.incomplete.get(&policy.meta.uid)
            };
            if policies.values().any(differs) {
                dirty.retention(namespace);
            }
        }
        dirty
    }

    /// How the ledger stands.
    pub fn learn_ledger(&mut self, state: LedgerState) -> Dirty {
        let mut dirty = Dirty::default();
        let old = self.retained.ledger.replace(state);
        let has_head =
            |state: Option<&LedgerState>| state.is_some_and(|state| state.head.is_some());
        if !has_head(old.as_ref()) && has_head(self.retained.ledger.as_ref()) {
            for namespace in self.postures_without_head() {
                dirty.namespace(&namespace);
            }
        }
        let problem = |state: Option<&LedgerState>| state.map(|state| state.problem.clone());
        if problem(old.as_ref()) != problem(self.retained.ledger.as_ref()) {
            self.mark_all_retention(&mut dirty);
            // Where it is not mended yet, they are not tried.
            self.runs.forget_refused(None, "LedgerUnavailable");
        }
        dirty
    }

    /// Why the clock is doubted, if it is.
    pub fn learn_clock(&mut self, problem: Option<String>) -> Dirty {
        let mut dirty = Dirty::default();
        if self.retained.clock != problem {
            self.retained.clock = problem;
            self.mark_all_retention(&mut dirty);
        }
        dirty
    }
}

/// What can be asked.
impl World {
    /// The retention policies of a namespace, by name.
    pub fn retention_policies_in(&self, namespace: &str) -> impl Iterator<Item = &RetentionPolicy> {
        self.retained
            .policies
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// A retention policy.
    #[must_use]
    pub fn retention_policy(&self, key: &ObjectKey) -> Option<&RetentionPolicy> {
        self.retained.policies.get(&key.namespace)?.get(&key.name)
    }

    /// What guards read of a namespace, as stored.
    #[must_use]
    pub fn parameters(&self, namespace: &str) -> Option<&ObservedParameters> {
        self.retained.parameters.get(namespace)
    }

    /// The objects of a namespace under its rules.
    #[must_use]
    pub fn shelf(&self, namespace: &str) -> Option<&Shelf> {
        self.retained.shelves.get(namespace)
    }

    /// How a kind stands; not read where nothing was told.
    #[must_use]
    pub fn kind_state(&self, kind: &ResourceKind) -> KindState {
        let known = self.retained.kinds.get(kind);
        known.map(|known| known.state.clone()).unwrap_or_default()
    }

    /// An object of a watched kind.
    #[must_use]
    pub fn item(&self, kind: &ResourceKind, key: &ObjectKey) -> Option<&Held> {
        self.shelf(&key.namespace)?.get(kind, &key.name)
    }

    /// The keys of all objects of a kind, for finding out which a new list lacks.
    #[must_use]
    pub fn item_keys(&self, kind: &ResourceKind) -> Vec<ObjectKey> {
        let shelves = self.retained.shelves.iter();
        shelves
            .flat_map(|(namespace, shelf)| {
                shelf
                    .names(kind)
                    .map(move |name| ObjectKey::new(namespace, name))
            })
            .collect()
    }

    /// The uid of an object of a watched kind.
    #[must_use]
    pub fn item_uid(&self, kind: &ResourceKind, key: &ObjectKey) -> Option<&str> {
        self.item(kind, key).map(|held| &*held.item.uid)
    }

    /// How many accepted deletions under a policy are not complete.
    #[must_use]
    pub fn incomplete(&self, policy_uid: &str) -> i64 {
        let known = self.retained.incomplete.get(policy_uid);
        known.copied().unwrap_or_default()
    }

    /// How the ledger stands; none before it was told.
    #[must_use]
    pub fn ledger(&self) -> Option<&LedgerState> {
        self.retained.ledger.as_ref()
    }

    /// Why the clock is doubted, if it is.
    #[must_use]
    pub fn clock_problem(&self) -> Option<&str> {
        self.retained.clock.as_deref()
    }

    /// `kube-*`, `default` and the operator's own namespace are never enrolled, whatever their labels say.
    fn is_exempt(&self, name: &str) -> bool {
        name.starts_with("kube-")
            || name == "default"
            || self.settings.operator_namespace.as_deref() == Some(name)
    }

    pub(super) fn mark_baseline_retention(&mut self, dirty: &mut Dirty, namespaces: &[String]) {
        for namespace in namespaces {
            self.refresh_rules(namespace);
            // What guards read follows from it where nothing is kept, too.
            if self.is_enrolled(namespace) {
                dirty.retention(namespace);
            }
            self.mark_retention(dirty, namespace);
        }
    }
}
