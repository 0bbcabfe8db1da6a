//! Whether agents leave a namespace and its pods out: what they read there, and the guard that keeps it, both read back.
//!
//! May not: call an agent excluded that reads no marker, or by a word that was not seen on every pod.

use jiff::Timestamp;

use super::before::{left, unseen};
use super::refusal::{read_to_stay, stands};
use crate::api::{AgentStatus, GuardedMarkers, OptOutMeans, OptOutState};
use crate::model::telemetry::Mark;
use crate::model::telemetry::agents;
use crate::model::telemetry::collecting::asking_of;
use crate::model::{AgentTerms, Kind, MarkedPod, ObjectKey, Target, World};
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

/// What an agent reads.
struct Read {
    /// What pods must carry.
    pods: GuardedMarkers,
    /// What the namespace must carry.
    itself: GuardedMarkers,
    /// What nothing may say otherwise.
    words: GuardedMarkers,
}

impl Read {
    fn by(agent: &AgentTerms) -> Self {
        Self {
            pods: agent.markers.pods.clone().into(),
            itself: agent.markers.namespaces.clone().into(),
            words: agent.markers.where_present.clone().into(),
        }
    }

    fn is_nothing(&self) -> bool {
        let nothing = GuardedMarkers::default();
        [&self.pods, &self.itself, &self.words]
            .into_iter()
            .all(|set| *set == nothing)
    }
}

/// How the markers of an agent stand in a namespace.
fn exclusion(world: &World, namespace: &str, agent: &AgentTerms) -> Exclusion {
    let read = Read::by(agent);
    if read.is_nothing() {
        return Exclusion::ReadsNone;
    }
    let why_not = of_namespace(world, namespace, &read)
        .or_else(|| of_pods(world, namespace, &read))
        .or_else(|| of_publishers(world, namespace, agent))
        .or_else(|| of_guard(world, namespace, &read));
    why_not.map_or(Exclusion::Excluded, Exclusion::Not)
}

fn of_namespace(world: &World, namespace: &str, read: &Read) -> Option<String> {
    let known = world.namespace(namespace)?;
    let mut said = [&read.itself, &read.words].into_iter();
    if let Some(mark) = said.find_map(|asked| known.marks.contrary(asked)) {
        return Some(format!(
            "the namespace says {} from before, which is not replaced; who wrote it takes it off",
            word(mark)
        ));
    }
    (!known.marks.carry(&read.itself)).then(|| {
        let target = Target::new(Kind::Namespace, known.meta.key.clone());
        format!("the namespace is not marked yet{}", because(world, &target))
    })
}

fn of_pods(world: &World, namespace: &str, read: &Read) -> Option<String> {
    let says = |pod: &'_ MarkedPod| {
        let mut asked = [&read.pods, &read.words].into_iter();
        asked.find_map(|asked| pod.marks.contrary(asked)).map(word)
    };
    let pods = world.marked_pods_in(namespace);
    let mut saying = pods.filter_map(|(name, pod)| Some((name, says(pod)?)));
    if let Some((first, word)) = saying.next() {
        return Some(format!(
            "pod {} says {word} from before, which is not replaced{}; its template is to be changed and the pod started anew",
            shortened(first, TOLD),
            and_more(saying.count())
        ));
    }
    let pods = world.marked_pods_in(namespace);
    let mut unmarked = pods.filter(|(_, pod)| !pod.marks.carry(&read.pods));
    let (first, _) = unmarked.next()?;
    let target = Target::new(Kind::Pod, ObjectKey::new(namespace, first));
    Some(format!(
        "pod {} is not marked yet{}{}",
        shortened(first, TOLD),
        and_more(unmarked.count()),
        because(world, &target)
    ))
}

/// Services and Ingresses in whose name pods are collected from.
fn of_publishers(world: &World, namespace: &str, agent: &AgentTerms) -> Option<String> {
    let publishers = || asking_of(agent.respects);
    if let Some((what, count)) = left(world, namespace, publishers()) {
        return Some(format!(
            "{what} of before {} it to collect; take off what says so",
            if count == 1 { "asks" } else { "ask" }
        ));
    }
    let what = unseen(world, publishers())?;
    Some(format!(
        "whether what publishes pods asks it to collect is not known: {what}"
    ))
}

/// Without the guard, or what it reads, anybody may take a marker off.
fn of_guard(world: &World, namespace: &str, read: &Read) -> Option<String> {
    let is_told = read_to_stay(world, namespace).is_some_and(|told| {
        let sets = [
            (&read.pods, &told.pods),
            (&read.itself, &told.namespaces),
            (&read.words, &told.where_present),
        ];
        sets.into_iter().all(|(asked, told)| {
            let annotations = asked.annotations.iter();
            let labels = asked.labels.iter();
            let mut asked = annotations
                .map(|pair| (pair, &told.annotations))
                .chain(labels.map(|pair| (pair, &told.labels)));
            asked.all(|((key, value), told)| told.get(key) == Some(value))
        })
    });
    let stands = stands(world, GUARD);
    (!(stands && is_told)).then(|| {
        "the guard that keeps markers, or what it reads, was not read back as it must be".to_owned()
    })
}

/// A word as people read it.
fn word(mark: &Mark) -> String {
    shortened(&format!("{}: {}", mark.key, mark.value), TOLD)
}

/// Why a mark could not be written, where that is known.
fn because(world: &World, target: &Target) -> String {
    world
        .failure(target)
        .map(|failure| format!(": {}", shortened(&failure.message, WHY)))
        .unwrap_or_default()
}

fn and_more(others: usize) -> String {
    match others {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    }
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
        let older = || since.is_some_and(|since| pod.created.is_none_or(|created| created < since));
        !pod.marks.carry(&self.carried)
            || pod.marks.contrary(&self.words).is_some()
            || reads_pods && pod.marks.are_ours()
            || self.injects && older()
    }
}
