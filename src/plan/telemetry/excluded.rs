//! Whether agents leave a namespace and its pods out: what they read there, and the guard that keeps it, both read back.
//!
//! May not: call an agent excluded that reads no marker, or by a word that was not seen on every pod.

use jiff::Timestamp;

use super::before::{left, unseen};
use super::refusal::stands;
use crate::api::{AgentStatus, GuardedMarkers, MarkerSet, OptOutMeans, OptOutState};
use crate::model::telemetry::agents;
use crate::model::telemetry::collecting::asking_of;
use crate::model::{AgentTerms, Kind, MarkedPod, Target, World};
use crate::plan::status::shortened;

/// The guard that keeps markers.
const GUARD: &str = "covenant-telemetry-markers";
/// Most of a name or a value that is told.
const TOLD: usize = 80;
/// Most of an answer that is told.
const WHY: usize = 200;

/// Weighs what an agent reads of a namespace and its pods. Where that does not make it leave out all of it, it is at best `Partly`.
pub(super) fn weigh_marks(
    world: &World,
    namespace: &str,
    agent: &AgentTerms,
    status: &mut AgentStatus,
) {
    let reason = std::mem::take(&mut status.reason);
    status.reason = match exclusion(world, namespace, agent) {
        Exclusion::ReadsNone => reason,
        Exclusion::Excluded => {
            status.by.push(OptOutMeans::AgentExcluded);
            format!(
                "{reason}; what it reads of the namespace and its pods says that it leaves them out"
            )
        }
        // What makes the state is told first.
        Exclusion::Not(why) if status.state > OptOutState::Partly => {
            status.state = OptOutState::Partly;
            format!("{why}; {reason}")
        }
        Exclusion::Not(why) => format!("{reason}; {why}"),
    };
}

/// How the markers of an agent stand.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exclusion {
    /// It reads none.
    ReadsNone,
    /// Everything that it reads says that it leaves out what is here.
    Excluded,
    /// Not all of it, or not for certain.
    Not(String),
}

/// How the markers of an agent stand in a namespace.
fn exclusion(world: &World, namespace: &str, agent: &AgentTerms) -> Exclusion {
    let pods: GuardedMarkers = agent.markers.pods.clone().into();
    let itself: GuardedMarkers = agent.markers.namespaces.clone().into();
    let words: GuardedMarkers = agent.markers.where_present.clone().into();
    let nothing = GuardedMarkers::default();
    if [&pods, &itself, &words]
        .into_iter()
        .all(|set| *set == nothing)
    {
        return Exclusion::ReadsNone;
    }
    let Some(known) = world.namespace(namespace) else {
        return Exclusion::ReadsNone;
    };
    for asked in [&itself, &words] {
        if let Some((key, value)) = known.marks.contrary(asked) {
            return Exclusion::Not(format!(
                "the namespace says {} from before, which is not replaced; who wrote it takes it off",
                shortened(&format!("{key}: {value}"), TOLD)
            ));
        }
    }
    if !known.marks.carry(&itself) {
        let target = Target::new(Kind::Namespace, known.meta.key.clone());
        return Exclusion::Not(format!(
            "the namespace is not marked yet{}",
            because(world, target)
        ));
    }
    if let Some((first, key, value, others)) = contrary(world, namespace, [&pods, &words]) {
        return Exclusion::Not(format!(
            "pod {} says {} from before, which is not replaced{}; its template is to be changed and the pod started anew",
            shortened(first, TOLD),
            shortened(&format!("{key}: {value}"), TOLD),
            and_more(others)
        ));
    }
    let unmarked = || {
        let pods_here = world.marked_pods_in(namespace);
        pods_here.filter(|pod| !pod.marks.carry(&pods))
    };
    if let Some(first) = unmarked().next() {
        return Exclusion::Not(format!(
            "pod {} is not marked yet{}{}",
            shortened(&first.meta.key.name, TOLD),
            and_more(unmarked().count() - 1),
            because(world, Target::new(Kind::Pod, first.meta.key.clone()))
        ));
    }
    let publishes = || asking_of(agent.respects);
    if let Some((what, count)) = left(world, namespace, publishes()) {
        return Exclusion::Not(format!(
            "{what} of before {} it to collect; take off what says so",
            if count == 1 { "asks" } else { "ask" }
        ));
    }
    if let Some(what) = unseen(world, publishes()) {
        return Exclusion::Not(format!(
            "whether what publishes pods asks it to collect is not known: {what}"
        ));
    }
    if !(stands(world, GUARD)
        && is_told(
            world,
            namespace,
            &agent.markers.pods,
            &agent.markers.namespaces,
            &agent.markers.where_present,
        ))
    {
        return Exclusion::Not(
            "the guard that keeps markers, or what it reads, was not read back as it must be"
                .to_owned(),
        );
    }
    Exclusion::Excluded
}

/// The first pod that says otherwise, how, and how many more do.
fn contrary<'a>(
    world: &'a World,
    namespace: &'a str,
    asked: [&GuardedMarkers; 2],
) -> Option<(&'a str, &'a str, &'a str, usize)> {
    fn says<'a>(pod: &'a MarkedPod, asked: [&GuardedMarkers; 2]) -> Option<(&'a str, &'a str)> {
        asked
            .into_iter()
            .find_map(|asked| pod.marks.contrary(asked))
    }
    let mut saying = world
        .marked_pods_in(namespace)
        .filter_map(|pod| Some((pod, says(pod, asked)?)));
    let (first, (key, value)) = saying.next()?;
    Some((&first.meta.key.name, key, value, saying.count()))
}

/// Why a mark could not be written, where that is known.
fn because(world: &World, target: Target) -> String {
    world
        .failure(&target)
        .map(|failure| format!(": {}", shortened(&failure.message, WHY)))
        .unwrap_or_default()
}

fn and_more(others: usize) -> String {
    match others {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    }
}

/// Whether guards are told of these markers.
fn is_told(
    world: &World,
    namespace: &str,
    pods: &MarkerSet,
    itself: &MarkerSet,
    words: &MarkerSet,
) -> bool {
    let parameters = world.parameters(namespace);
    let parameters = parameters.filter(|parameters| !parameters.meta.deleting);
    let told = parameters.and_then(|parameters| parameters.spec.as_ref()?.telemetry.as_ref());
    told.is_some_and(|told| {
        [
            (pods, &told.pods),
            (itself, &told.namespaces),
            (words, &told.where_present),
        ]
        .into_iter()
        .all(|(asked, told)| {
            let annotations = asked.annotations.iter();
            let labels = asked.labels.iter();
            annotations
                .map(|pair| (pair, &told.annotations))
                .chain(labels.map(|pair| (pair, &told.labels)))
                .all(|((key, value), told)| told.get(key) == Some(value))
        })
    })
}

/// What agents read of a pod when it starts.
pub(super) struct AtStart {
    carried: GuardedMarkers,
    words: GuardedMarkers,
    injects: bool,
}

impl AtStart {
    /// What this agent reads.
    pub fn of(agent: &AgentTerms) -> Self {
        Self {
            carried: agent.markers.pods.clone().into(),
            words: agent.markers.where_present.clone().into(),
            injects: agents::row(agent.respects).is_some_and(|row| row.injects),
        }
    }

    /// Whether a pod was started without what keeps the agent from it since then.
    pub fn is_before(&self, pod: &MarkedPod, since: Option<Timestamp>) -> bool {
        let reads_pods = self.carried != GuardedMarkers::default();
        let older =
            || since.is_some_and(|since| pod.meta.created.is_none_or(|created| created < since));
        !pod.marks.carry(&self.carried)
            || pod.marks.contrary(&self.words).is_some()
            || reads_pods && !pod.marks.ours.is_empty()
            || self.injects && older()
    }
}
