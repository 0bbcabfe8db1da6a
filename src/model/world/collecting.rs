//! Objects that tell an agent to collect: what there is of each kind in each namespace, and whether a kind can be seen at all.
//!
//! May not: decide what it means for an opt-out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Index, World, reindex};
use crate::api::TelemetryChannel;
use crate::model::telemetry::collecting::{ASKING, CollectingKind, KINDS, asking_of, kinds_of};
use crate::model::{BaselineTerms, Dirty, KindState, ObjectKey};

/// The part of the World that is about objects which tell an agent to collect.
#[derive(Clone, Debug, Default)]
pub(super) struct Collecting {
    kinds: BTreeMap<CollectingKind, Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    state: KindState,
    /// Names by namespace.
    names: Index<String, String>,
}

/// Taking in what the streams tell.
impl World {
    /// The kinds by which agents are told that some enrolled namespace opts out of. Nothing is looked for where none does.
    #[must_use]
    pub fn asks_for_collecting(&self) -> BTreeSet<CollectingKind> {
        let mut asked: BTreeSet<(Option<&str>, TelemetryChannel)> = BTreeSet::new();
        for name in self.opted_out.opt_outs.keys() {
            if self.is_enrolled(name) {
                let baseline = self.namespace(name).map(|known| known.baseline.as_str());
                let channels = self.opted_out(name).into_iter();
                asked.extend(channels.map(|channel| (baseline, channel)));
            }
        }
        let asked = asked.into_iter();
        asked
            .flat_map(|(baseline, channel)| told_by(self.readable(baseline), channel))
            .collect()
    }

    /// Takes in how a kind stands.
    pub fn tell_collecting(&mut self, kind: CollectingKind, state: KindState) -> Dirty {
        let known = self.collecting.kinds.entry(kind).or_default();
        if known.state == state {
            return Dirty::default();
        }
        known.state = state;
        self.mark_collected()
    }

    /// Forgets a kind that is not looked for any more.
    pub fn forget_collecting(&mut self, kind: CollectingKind) -> Dirty {
        match self.collecting.kinds.remove(&kind) {
            Some(_) => self.mark_collected(),
            None => Dirty::default(),
        }
    }

    /// Takes in whether an object is there that tells an agent to collect.
    pub fn set_collecting(
        &mut self,
        kind: CollectingKind,
        key: &ObjectKey,
        is_there: bool,
    ) -> Dirty {
        let names = &mut self.collecting.kinds.entry(kind).or_default().names;
        let known = names.get(&key.namespace);
        let was_there = known.is_some_and(|names| names.contains(&key.name));
        let mut dirty = Dirty::default();
        if was_there == is_there {
            return dirty;
        }
        let of_namespace = |is: bool| is.then(|| key.namespace.clone());
        let (old, new) = (of_namespace(was_there), of_namespace(is_there));
        reindex(names, old, new, &key.name);
        if self.is_collected(&key.namespace) {
            dirty.namespace(&key.namespace);
        }
        dirty
    }

    /// Names of what is known of a kind, for finding out which a new list lacks.
    #[must_use]
    pub fn collecting_keys(&self, kind: CollectingKind) -> Vec<ObjectKey> {
        let known = self.collecting.kinds.get(&kind);
        let names = known.into_iter().flat_map(|known| &known.names);
        let keys = names.flat_map(|(namespace, names)| {
            let names = names.iter();
            names.map(move |name| ObjectKey::new(namespace, name))
        });
        keys.collect()
    }

    /// Every namespace whose status tells of them.
    pub(super) fn mark_collected(&self) -> Dirty {
        let mut dirty = Dirty::default();
        let opted_out = self.opted_out.opt_outs.keys();
        dirty.namespaces(opted_out.filter(|name| self.is_enrolled(name)));
        dirty
    }

    fn is_collected(&self, namespace: &str) -> bool {
        self.opted_out.opt_outs.contains_key(namespace) && self.is_enrolled(namespace)
    }

    fn readable(&self, baseline: Option<&str>) -> Option<&BaselineTerms> {
        let terms = self.baseline(baseline?)?.terms.as_ref().ok()?;
        Some(terms)
    }
}

/// The kinds by which the agents of a channel are told: every kind where it is not known who they are.
fn told_by(terms: Option<&BaselineTerms>, channel: TelemetryChannel) -> Vec<CollectingKind> {
    match terms {
        _ if channel == TelemetryChannel::MarketingCommunications => Vec::new(),
        None => KINDS.into_iter().chain(ASKING).collect(),
        Some(terms) => {
            let agents = terms.telemetry.agents.iter();
            let agents = agents.filter(|agent| agent.channel == channel);
            agents
                .flat_map(|agent| kinds_of(agent.respects).chain(asking_of(agent.respects)))
                .collect()
        }
    }
}

/// What can be asked.
impl World {
    /// How a kind stands. One without a definition is not served; while definitions cannot be seen, as little is known of it.
    #[must_use]
    pub fn collecting_state(&self, kind: CollectingKind) -> &KindState {
        if kind.is_built_in() {
            let known = self.collecting.kinds.get(&kind);
            return known.map_or(&KindState::Syncing, |known| &known.state);
        }
        match self.definitions_state() {
            KindState::Synced => {
                let known = self.collecting.kinds.get(&kind);
                known.map_or(&KindState::NotServed, |known| &known.state)
            }
            unseen => unseen,
        }
    }

    /// Names of what there is of a kind in a namespace.
    pub fn collecting_in(
        &self,
        kind: CollectingKind,
        namespace: &str,
    ) -> impl ExactSizeIterator<Item = &str> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        let known = self.collecting.kinds.get(&kind);
        let names = known.and_then(|known| known.names.get(namespace));
        names.unwrap_or(&NONE).iter().map(String::as_str)
    }
}
