//! What objects that tell an agent to collect make of its status: new ones are to be refused, and none of before is to be left.
//!
//! May not: take what was not listed for what is not there, or look at what is in other namespaces.

use super::refusal::is_refused;
use crate::api::{AgentStatus, OptOutMeans, OptOutState};
use crate::model::telemetry::agents;
use crate::model::telemetry::collecting::{CollectingKind, kinds_of};
use crate::model::{AgentTerms, KindState, World};
use crate::plan::status::shortened;

/// Longest that a name is told.
const NAME: usize = 40;

/// Weighs the objects by which an agent is told. Whatever is left of them, or was not looked for, leaves it at best `Partly`.
pub(super) fn weigh_objects(
    world: &World,
    namespace: &str,
    agent: &AgentTerms,
    status: &mut AgentStatus,
) {
    let row = agents::row(agent.respects).filter(|row| !row.collects_by.is_empty());
    let Some(row) = row else {
        return;
    };
    let refused = is_refused(world, namespace, agent);
    let in_the_way = [
        left(world, namespace, kinds_of(row.kind)).map(|(what, count)| {
            format!(
                "{what} of before {}",
                if count == 1 {
                    "tells it to collect; delete it"
                } else {
                    "tell it to collect; delete them"
                }
            )
        }),
        unseen(world, kinds_of(row.kind)).map(|what| {
            format!("whether objects of before tell it to collect is not known: {what}")
        }),
    ];
    let in_the_way: Vec<String> = in_the_way.into_iter().flatten().collect();
    let before = std::mem::take(&mut status.reason);
    let mut reasons = vec![before];
    if in_the_way.is_empty() {
        if refused {
            status.by.push(OptOutMeans::MonitorsRefused);
            reasons.push(
                "new objects that tell it to collect are refused, and none of before is left"
                    .to_owned(),
            );
        }
    } else {
        if refused {
            reasons.push("new objects that tell it to collect are refused".to_owned());
        }
        // What makes the state is told first.
        let at = usize::from(status.state <= OptOutState::Partly);
        reasons.splice(at..at, in_the_way);
        status.state = status.state.min(OptOutState::Partly);
    }
    status.reason = reasons.join("; ");
}

/// What is left of before: the first of each kind and how many more of it, and how many these are in all.
pub(super) fn left(
    world: &World,
    namespace: &str,
    kinds: impl Iterator<Item = CollectingKind>,
) -> Option<(String, usize)> {
    let mut count = 0;
    let mut told = Vec::new();
    for kind in kinds {
        if *world.collecting_state(kind) != KindState::Synced {
            continue;
        }
        let mut names = world.collecting_in(kind, namespace);
        count += names.len();
        if let Some(first) = names.next() {
            let first = format!("{} {}", kind.kind, shortened(first, NAME));
            told.push(and_more(first, names.len()));
        }
    }
    (count > 0).then(|| (told.join(", "), count))
}

/// The first kind that cannot be seen and why, and how many more cannot. A kind that is not served has no objects.
pub(super) fn unseen(world: &World, kinds: impl Iterator<Item = CollectingKind>) -> Option<String> {
    let state = |kind: CollectingKind| (kind, world.collecting_state(kind));
    let unseen = kinds.map(state);
    let unseen = unseen.filter(|(_, it)| !matches!(it, KindState::Synced | KindState::NotServed));
    let unseen: Vec<(CollectingKind, &KindState)> = unseen.collect();
    let (first, state) = unseen.first()?;
    let why = match state {
        KindState::Forbidden { message } => {
            format!("the operator may not read it; the rule that it lacks: {message}")
        }
        KindState::Failing { .. } => {
            "the API server does not list it; the operator's log says why".to_owned()
        }
        KindState::NotNamespaced => "its objects are in no namespace".to_owned(),
        KindState::Synced | KindState::NotServed | KindState::Syncing => {
            "the operator has yet to read what there is of it".to_owned()
        }
    };
    let first = and_more(first.definition(), unseen.len() - 1);
    Some(format!("{first}: {why}"))
}

fn and_more(first: String, more: usize) -> String {
    if more == 0 {
        first
    } else {
        format!("{first} and {more} more")
    }
}
