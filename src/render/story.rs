//! The story of one grant: what it shares, every gate, every end, what stands, what happens next, and what to do.

use jiff::Timestamp;
use serde::Serialize;

use super::gates::Gate;
use super::report::{self, GrantReport, Reason};
use super::{REPORT_API_VERSION, text::distance};
use crate::api::{Direction, ProcessorCategory};
use crate::model::{Grant, ObjectKey, RecipientTerms, Unit, World};
use crate::plan::{GrantPlan, PathState, Refusal, deadline_of, plan};

/// The story of one grant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// Version of this form.
    pub api_version: &'static str,
    /// `GrantStory`.
    pub kind: &'static str,
    /// The instant that is told of.
    pub at: Timestamp,
    /// Namespace.
    pub namespace: String,
    /// The grant.
    pub grant: GrantReport,
    /// What it shares with whom, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Every gate.
    pub gates: Vec<GateReport>,
    /// Every end that was found, earliest first.
    pub ends: Vec<CandidateEnd>,
    /// The ends of its path.
    pub paths: Vec<PathReport>,
    /// What happens next, and what to do.
    pub next: Vec<String>,
}

/// A gate.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GateReport {
    /// The gate.
    pub gate: Gate,
    /// What holds where it is passed.
    pub words: &'static str,
    /// Whether it is passed; absent when an earlier gate kept it from being looked at.
    pub passed: Option<bool>,
    /// Why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// An end.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CandidateEnd {
    /// When.
    pub at: Timestamp,
    /// What ends, by name.
    pub because: &'static str,
    /// What ends, in words.
    pub words: &'static str,
    /// Whether it is the one that closes the path.
    pub decides: bool,
}

/// One end of the path.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PathReport {
    /// Namespace.
    pub namespace: String,
    /// Name of its policy and its timer.
    pub name: String,
    /// Whether it was read back as open.
    pub open: bool,
    /// Whether it is open, or what stands in the way.
    pub state: String,
    /// The policy.
    pub policy: String,
    /// The timer.
    pub timer: String,
}

/// Tells the story of a grant; none where there is no such grant.
#[must_use]
pub fn story(world: &World, key: &ObjectKey, now: Timestamp) -> Option<Story> {
    let grant = world.grant(key)?;
    let planned = plan(world, &Unit::Namespace(key.namespace.clone()), now);
    let namespace = planned.namespace?;
    let planned = namespace
        .grants
        .iter()
        .find(|planned| planned.name == key.name)?;
    Some(Story {
        api_version: REPORT_API_VERSION,
        kind: "GrantStory",
        at: now,
        namespace: key.namespace.clone(),
        grant: report::grant(grant, planned),
        what: what(world, grant),
        gates: gates(world, grant, planned),
        ends: ends(planned),
        paths: paths(world, planned),
        next: next(planned, now),
    })
}

fn what(world: &World, grant: &Grant) -> Option<String> {
    let terms = grant.terms.as_ref().ok()?;
    let categories: Vec<String> = terms
        .categories
        .iter()
        .map(|category| format!("{category:?}"))
        .collect();
    let recipient = match &terms.recipient {
        RecipientTerms::Processor { name, endpoints } => {
            let display = match world.processor(name).map(|processor| &processor.terms) {
                Some(Ok(vendor)) => format!("{} ({name})", vendor.display_name),
                _ => name.clone(),
            };
            let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
            format!("{display} at {}", endpoints.join(", "))
        }
        RecipientTerms::Namespace { name } => format!("namespace {name}"),
    };
    let way = match terms.direction {
        Direction::Push => "our pods connect to it",
        Direction::Pull => "it connects to our pods",
    };
    Some(format!(
        "shares {} with {recipient} for {:?}; {way}",
        categories.join(", "),
        terms.purpose
    ))
}

fn gates(world: &World, grant: &Grant, planned: &GrantPlan) -> Vec<GateReport> {
    let refusals = &planned.decision.refusals;
    let mut gates = Gate::COMMON.to_vec();
    match grant.terms.as_ref().map(|terms| &terms.recipient) {
        Ok(RecipientTerms::Processor { name, .. }) => {
            let payments = world.processor(name).is_some_and(|processor| {
                processor
                    .terms
                    .as_ref()
                    .is_ok_and(|vendor| vendor.category == ProcessorCategory::PaymentProcessing)
            });
            let asked = |gate: &Gate| payments || *gate != Gate::Certification;
            gates.extend(Gate::VENDOR.into_iter().filter(asked));
        }
        Ok(RecipientTerms::Namespace { .. }) => gates.extend(Gate::NAMESPACE),
        Err(_) => {}
    }
    let stops_at = refusals.iter().filter_map(stops_behind).min();
    gates
        .into_iter()
        .map(|gate| {
            let reasons: Vec<Reason> = refusals
                .iter()
                .filter(|refusal| Gate::of(refusal) == gate)
                .map(|refusal| Reason {
                    reason: refusal.name(),
                    message: refusal.message(),
                })
                .collect();
            let passed = match stops_at {
                _ if !reasons.is_empty() => Some(false),
                Some(last) if gate > last && !(last != Gate::Readable && gate < Gate::Vendor) => {
                    None
                }
                _ => Some(true),
            };
            GateReport {
                gate,
                words: gate.words(),
                passed,
                reasons,
            }
        })
        .collect()
}

/// The gate behind which nothing is looked at for this reason.
fn stops_behind(refusal: &Refusal) -> Option<Gate> {
    match refusal {
        Refusal::Invalid { .. } => Some(Gate::Readable),
        Refusal::ProcessorUnknown { .. } | Refusal::ProcessorInvalid { .. } => Some(Gate::Vendor),
        Refusal::RecipientIsSource
        | Refusal::RecipientUnknown { .. }
        | Refusal::RecipientOtherTenant { .. } => Some(Gate::Recipient),
        _ => None,
    }
}

fn ends(planned: &GrantPlan) -> Vec<CandidateEnd> {
    let decision = &planned.decision;
    decision
        .candidates
        .iter()
        .map(|end| CandidateEnd {
            at: end.at,
            because: end.cause.as_str(),
            words: end.cause.words(),
            decides: decision.end == Some(*end),
        })
        .collect()
}

fn paths(world: &World, planned: &GrantPlan) -> Vec<PathReport> {
    let path = |(end, state): &(crate::plan::PathEnd, PathState)| {
        let key = ObjectKey::new(&end.namespace, &end.name);
        let timer = match world.timer(&key) {
            None => "does not stand yet".to_owned(),
            Some(timer) => match (timer.started, deadline_of(timer)) {
                (Some(started), Some(deadline)) => {
                    format!("runs since {started} and takes the policy away at {deadline}")
                }
                _ => "no controller has started it yet".to_owned(),
            },
        };
        let policy = match world.policy(&key) {
            None => "does not stand".to_owned(),
            Some(policy) => format!("stands (uid {})", policy.meta.uid),
        };
        let (open, state) = match state {
            PathState::Open { .. } => (true, "open".to_owned()),
            PathState::Opening { obstacle, .. } => (
                false,
                format!("{}: {}", obstacle.name(), obstacle.message()),
            ),
        };
        PathReport {
            namespace: end.namespace.clone(),
            name: end.name.clone(),
            open,
            state,
            policy,
            timer,
        }
    };
    planned.ends.iter().map(path).collect()
}

fn next(planned: &GrantPlan, now: Timestamp) -> Vec<String> {
    let decision = &planned.decision;
    let mut steps = Vec::new();
    if let Some(end) = decision.end {
        steps.push(format!(
            "the path closes at {} ({}), because {}",
            end.at,
            distance(now, end.at),
            end.cause.words()
        ));
    }
    let by_time = decision
        .refusals
        .iter()
        .filter_map(|refusal| match refusal {
            Refusal::NotYet { not_before } => Some(*not_before),
            Refusal::AgreementNotYet { from, .. } => Some(*from),
            _ => None,
        });
    for instant in by_time {
        steps.push(format!(
            "by itself, at {instant} ({}): one reason less",
            distance(now, instant)
        ));
    }
    for refusal in decision.refusals.iter().filter(|refusal| {
        !matches!(
            refusal,
            Refusal::NotYet { .. } | Refusal::AgreementNotYet { .. }
        )
    }) {
        steps.push(format!("to open it: {}", refusal.message()));
    }
    for (end, state) in &planned.ends {
        if let PathState::Opening { obstacle, .. } = state {
            let who = if obstacle.is_passing() {
                "the operator goes on"
            } else {
                "somebody must look"
            };
            steps.push(format!(
                "in namespace {}, {who}: {}",
                end.namespace,
                obstacle.message()
            ));
        }
    }
    if steps.is_empty() {
        steps.push("nothing, until somebody changes something".to_owned());
    }
    steps
}
