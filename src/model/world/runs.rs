//! What was disposed of within a day, and what was refused: runs as the operator learned of them, and as statuses tell of them.
//!
//! May not: forget what still counts for the limit of a day, or what no status contains.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::World;
use crate::model::{
    Dirty, LastRun, ObjectKey, RefusedItem, ResourceKind, RetentionPolicy, RunResult, time,
};

/// Runs count for the limit of a day for so long.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// So many runs of a namespace are kept one by one.
const APART: usize = 512;
/// Beyond that, those that statuses contain count together: all of the same span from the last of them on.
const SPAN: i64 = 600;

/// The runs that are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    by_namespace: BTreeMap<String, Vec<RunResult>>,
    /// Last runs that statuses told of and nobody else did, by uid of the policy.
    untold: BTreeMap<String, UntoldRun>,
}

/// A run before the last restart. Of those before it nothing is known but what they came to in all.
#[derive(Clone, Copy, Debug)]
struct UntoldRun {
    at: Timestamp,
    to: i64,
    total: i64,
}

impl Runs {
    /// Forgets what was refused for this, in a namespace or in all.
    pub(super) fn forget_refused(&mut self, namespace: Option<&str>, category: &str) -> Dirty {
        let mut dirty = Dirty::default();
        for (name, runs) in &mut self.by_namespace {
            if namespace.is_some_and(|namespace| namespace != name) {
                continue;
            }
            let mut forgotten = false;
            for run in runs {
                let before = run.refused.len();
                run.refused.retain(|refused| refused.category != category);
                forgotten |= run.refused.len() < before;
            }
            if forgotten {
                dirty.retention(name);
            }
        }
        dirty
    }

    /// A policy is gone, and what its status told of with it.
    pub(super) fn forget_policy(&mut self, uid: &str) {
        self.untold.remove(uid);
    }
}

fn tells_of(run: &RunResult, policy_uid: &str, to: i64) -> bool {
    let part = run.policies.get(policy_uid);
    let range = part.and_then(|part| part.ledger);
    range.is_some_and(|(_, last)| i64::try_from(last).is_ok_and(|last| last == to))
}

/// Takes a later run into an earlier one.
fn join(run: &mut RunResult, later: RunResult) {
    run.at = run.at.max(later.at);
    for (policy, part) in later.policies {
        run.policies.entry(policy).or_default().join(&part);
    }
    run.refused.extend(later.refused);
}

impl World {
    /// A status that tells of a run which nobody told of is from before a restart.
    pub(super) fn note_untold_run(&mut self, policy: &RetentionPolicy) {
        let uid = &policy.meta.uid;
        let Some(disposed) = &policy.status.disposed else {
            return;
        };
        let at = disposed.last_run_at.as_ref();
        let Some(at) = at.and_then(|text| time::beginning(text).ok()) else {
            return;
        };
        let to = disposed.ledger.as_ref().map_or(-1, |range| range.to);
        let runs = self.runs_in(&policy.meta.key.namespace);
        if !runs.iter().any(|run| tells_of(run, uid, to)) {
            let total = disposed.total;
            let untold = &mut self.runs.untold;
            let run = UntoldRun { at, to, total };
            untold.entry(uid.clone()).or_insert(run);
        }
    }

    /// What a run came to. Kept until a day has passed and the statuses of its policies contain it. After a restart the runs
    /// of the last day may be told again, oldest first; until they are, everything that a policy whose last run was within
    /// the day ever disposed of counts for the limit.
    pub fn learn_run(&mut self, run: RunResult) -> Dirty {
        let mut dirty = Dirty::default();
        let namespace = run.namespace.clone();
        if self.runs_in(&namespace).contains(&run) {
            return dirty;
        }
        self.runs
            .untold
            .retain(|uid, untold| !tells_of(&run, uid, untold.to));
        let known = self.runs.by_namespace.remove(&namespace);
        let mut runs = known.unwrap_or_default();
        runs.push(run);
        runs.sort_by_key(|run| run.at);
        let newest = runs.last().map(|run| run.at);
        let is_stored = |run: &RunResult| {
            let mut own = run.policies.iter().filter_map(|(uid, part)| {
                let mut policies = self.retention_policies_in(&namespace);
                Some((policies.find(|policy| policy.meta.uid == *uid)?, part))
            });
            own.all(|(policy, part)| !part.is_beyond(run.at, policy))
        };
        let is_old =
            |run: &RunResult| newest.is_some_and(|newest| newest.duration_since(run.at) > DAY);
        runs.retain(|run| !is_old(run) || !is_stored(run));
        if runs.len() > APART {
            let span = |run: &RunResult| run.at.as_second().div_euclid(SPAN);
            let mut joined: Vec<RunResult> = Vec::new();
            for run in std::mem::take(&mut runs) {
                match joined.last_mut() {
                    Some(last)
                        if span(last) == span(&run) && is_stored(last) && is_stored(&run) =>
                    {
                        join(last, run);
                    }
                    _ => joined.push(run),
                }
            }
            runs = joined;
        }
        dirty.retention(&namespace);
        self.runs.by_namespace.insert(namespace, runs);
        dirty
    }

    /// What the API server refused in a namespace, or in all, may be tried again: what it was refused for may have changed.
    pub fn forget_refusals(&mut self, namespace: Option<&str>) -> Dirty {
        self.runs.forget_refused(namespace, "Refused")
    }

    /// The runs of a namespace that still count, oldest first.
    #[must_use]
    pub fn runs_in(&self, namespace: &str) -> &[RunResult] {
        let runs = self.runs.by_namespace.get(namespace);
        runs.map(Vec::as_slice).unwrap_or_default()
    }

    /// The last run of each policy, by uid, as its status tells of it.
    #[must_use]
    pub fn last_runs(&self) -> BTreeMap<String, LastRun> {
        let namespaces = self.retained_namespaces();
        let policies = namespaces.flat_map(|namespace| self.retention_policies_in(namespace));
        let last =
            policies.filter_map(|policy| Some((policy.meta.uid.clone(), policy.last_run()?)));
        last.collect()
    }

    /// When and how many objects of a namespace were disposed of in runs that still count.
    pub fn disposals_in(&self, namespace: &str) -> impl Iterator<Item = (Timestamp, i64)> {
        let told = self.runs_in(namespace).iter().map(|run| {
            let parts = run.policies.values().map(|part| part.disposed);
            (run.at, parts.fold(0, i64::saturating_add))
        });
        let untold = self.retention_policies_in(namespace).filter_map(|policy| {
            let untold = self.runs.untold.get(&policy.meta.uid)?;
            Some((untold.at, untold.total))
        });
        told.chain(untold)
    }

    /// Why an object is not tried again yet: the latest refusal of it.
    #[must_use]
    pub fn refusal(&self, kind: &ResourceKind, key: &ObjectKey, uid: &str) -> Option<&RefusedItem> {
        let refused = self.runs_in(&key.namespace).iter().rev();
        refused
            .flat_map(|run| run.refused.iter().rev())
            .find(|refused| refused.kind == *kind && refused.key == *key && refused.uid == uid)
    }
}
