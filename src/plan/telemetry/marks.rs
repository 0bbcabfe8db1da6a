//! The markers that Covenant puts on a namespace and on its pods that run, and takes off again.
//!
//! May not: replace a word that somebody else wrote, or take one off; that is told, and stays theirs. Nor take off what guards
//! still ask for.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{GuardedMarkers, GuardedTelemetry, MarkerSet};
use crate::model::{Kind, Marks, Meta, Target, World};
use crate::plan::MarkPlan;
use crate::plan::standing::Standing;

/// Most pods that are marked at once; the rest follow when these are.
const AT_ONCE: usize = 256;

/// What is to be put on or taken off in a namespace.
pub(in crate::plan) fn marks(world: &World, namespace: &str, standing: &Standing) -> Vec<MarkPlan> {
    // Without a readable baseline what is marked stays so, and nothing more is.
    let knows = standing.is_in_force() && standing.floor().is_some();
    let asked = knows.then(|| super::guarded(world, namespace, standing));
    let asked = asked.flatten();
    let Some(known) = world.namespace(namespace) else {
        return Vec::new();
    };
    if known.meta.deleting {
        return Vec::new();
    }
    let parameters = world.parameters(namespace);
    let kept = parameters.and_then(|parameters| parameters.spec.as_ref()?.telemetry.as_ref());
    let nothing = GuardedTelemetry::default();
    let asked = asked.as_ref().unwrap_or(&nothing);
    let kept = kept.unwrap_or(&nothing);
    let of = |kind: Kind, meta: &Meta, marks: &Marks, asked, kept| {
        wanted(asked, kept, marks).map(|marks| MarkPlan {
            target: Target::new(kind, meta.key.clone()),
            uid: meta.uid.clone(),
            marks,
        })
    };
    let itself = of(
        Kind::Namespace,
        &known.meta,
        &known.marks,
        &asked.namespaces,
        &kept.namespaces,
    );
    // Where nothing is asked for and nothing is ours, no pod is looked at.
    let looks = asked.pods != GuardedMarkers::default() || world.has_marked_pods(namespace);
    let pods = world.marked_pods_in(namespace).filter(|_| looks);
    let mut pods: Vec<MarkPlan> = pods
        .filter(|pod| !pod.meta.deleting)
        .filter_map(|pod| of(Kind::Pod, &pod.meta, &pod.marks, &asked.pods, &kept.pods))
        .collect();
    // One that nobody lets be marked does not keep the others waiting.
    pods.sort_by_key(|planned| world.failure(&planned.target).is_some());
    pods.truncate(AT_ONCE);
    itself.into_iter().chain(pods).collect()
}

/// All that is to be Covenant's on an object; none where that is so.
fn wanted(asked: &GuardedMarkers, kept: &GuardedMarkers, marks: &Marks) -> Option<MarkerSet> {
    if marks.is_unread {
        return None;
    }
    let Marks { carried, ours, .. } = marks;
    let set = MarkerSet {
        annotations: of(
            (&asked.annotations, &kept.annotations),
            &carried.annotations,
            &ours.annotations,
        ),
        labels: of((&asked.labels, &kept.labels), &carried.labels, &ours.labels),
    };
    let stands = |wanted: &BTreeMap<String, String>,
                  carried: &BTreeMap<String, String>,
                  ours: &BTreeSet<String>| {
        wanted.len() == ours.len()
            && wanted
                .iter()
                .all(|(key, value)| ours.contains(key) && carried.get(key) == Some(value))
    };
    let all_stand = stands(&set.annotations, &carried.annotations, &ours.annotations)
        && stands(&set.labels, &carried.labels, &ours.labels);
    (!all_stand).then_some(set)
}

fn of(
    (asked, kept): (&BTreeMap<String, String>, &BTreeMap<String, String>),
    carried: &BTreeMap<String, String>,
    ours: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    let missing_or_ours = asked
        .iter()
        .filter(|(key, _)| ours.contains(*key) || !carried.contains_key(*key));
    let held = ours.iter().filter_map(|key| {
        let value = carried.get(key).filter(|_| !asked.contains_key(key))?;
        (kept.get(key) == Some(value)).then_some((key, value))
    });
    missing_or_ours
        .chain(held)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
