//! The markers that Covenant puts on a namespace and on its pods that run, and takes off again.
//!
//! May not: replace a word that somebody else wrote, or take one off; that is told, and stays theirs. Nor take off what guards
//! still ask for.

use std::collections::BTreeMap;

use crate::api::{GuardedMarkers, GuardedTelemetry, MarkerSet};
use crate::model::{Carried, Kind, Marks, ObjectKey, Target, World};
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
    let nothing = GuardedTelemetry::default();
    let asked = asked.as_ref().unwrap_or(&nothing);
    let kept = world.told_of_telemetry(namespace).unwrap_or(&nothing);
    let itself = wanted(&asked.namespaces, &kept.namespaces, &known.marks);
    let itself = itself.map(|marks| MarkPlan {
        target: Target::new(Kind::Namespace, known.meta.key.clone()),
        uid: known.meta.uid.clone(),
        marks,
    });
    // Where nothing is asked for and nothing is ours, no pod is looked at.
    let looks = asked.pods != GuardedMarkers::default() || world.has_marked_pods(namespace);
    let pods = world.marked_pods_in(namespace).filter(|_| looks);
    let mut pods: Vec<MarkPlan> = pods
        .filter(|(_, pod)| !pod.deleting)
        .filter_map(|(name, pod)| {
            let marks = wanted(&asked.pods, &kept.pods, &pod.marks)?;
            let key = ObjectKey::new(namespace, name);
            Some(MarkPlan {
                target: Target::new(Kind::Pod, key),
                uid: pod.uid.to_string(),
                marks,
            })
        })
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
    let set = MarkerSet {
        annotations: of(&asked.annotations, &kept.annotations, &marks.annotations),
        labels: of(&asked.labels, &kept.labels, &marks.labels),
    };
    let stands = |wanted: &BTreeMap<String, String>, carried: &Carried| {
        let mut pairs = wanted.iter();
        wanted.len() == carried.ours().count()
            && pairs.all(|(key, value)| {
                let mark = carried.get(key);
                mark.is_some_and(|mark| mark.is_ours && *mark.value == **value)
            })
    };
    let all_stand =
        stands(&set.annotations, &marks.annotations) && stands(&set.labels, &marks.labels);
    (!all_stand).then_some(set)
}

fn of(
    asked: &BTreeMap<String, String>,
    kept: &BTreeMap<String, String>,
    carried: &Carried,
) -> BTreeMap<String, String> {
    let is_free = |key: &str| carried.get(key).is_none_or(|mark| mark.is_ours);
    let missing_or_ours = asked.iter().filter(|(key, _)| is_free(key));
    let held = carried.ours().filter_map(|mark| {
        let (key, value) = kept.get_key_value(mark.key.as_ref())?;
        let is_kept = **value == *mark.value && !asked.contains_key(key);
        is_kept.then_some((key, value))
    });
    missing_or_ours
        .chain(held)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
