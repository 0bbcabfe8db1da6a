//! Statuses: a function of the generation, what was read back, the previous conditions, and now.
//!
//! kstatus: `observedGeneration`, `Ready` from the first write, `Reconciling` and `Stalled` only while true. A condition
//! keeps its transition time unless its status flips, so that nothing is written when nothing changed.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::json;

use super::decision::{Decision, Deliberation, Outcome};
use super::path::PathState;
use super::reason::Refusal;
use super::sharing::stored_end;
use super::timer::deadline_of;
use super::{GrantPlan, Notice, StatusPlan, vendor};
use crate::api::{
    DataProcessorStatus, DataSharingGrantStatus, EncryptionState, ObjectIdentity, PathStatus,
    PolicyAnnouncement, RefusalStatus, SecretsInForce, SharingAcceptanceStatus,
    SharingProhibitionStatus, TenantBaselineStatus, TimerIdentity, WhenText,
};
use crate::model::{Acceptance, FieldError, Grant, Kind, Meta, ObjectKey, Target, World, time};

/// Longest message of a condition or refusal; Kubernetes allows far more, people read less.
const MESSAGE: usize = 1024;
/// Most refusals that a status lists.
const REFUSALS: usize = 32;

/// Conditions in the making.
pub(super) struct Conditions<'a> {
    previous: &'a [Condition],
    generation: i64,
    now: Timestamp,
    made: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// Begins with the conditions that are stored.
    pub fn new(previous: &'a [Condition], generation: i64, now: Timestamp) -> Self {
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self {
            previous,
            generation,
            now,
            made: Vec::new(),
        }
    }

    /// Sets a condition.
    pub fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let since = self
            .previous(kind)
            .filter(|previous| previous.status == status);
        self.made.push(Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: bounded(message),
            observed_generation: Some(self.generation),
            last_transition_time: since.map_or(Time(self.now), |previous| {
                previous.last_transition_time.clone()
            }),
        });
    }

    /// Sets a condition that exists only while it is true.
    pub fn set_if(&mut self, kind: &str, holds: bool, reason: &str, message: &str) {
        if holds {
            self.set(kind, "True", reason, message);
        }
    }

    /// The stored condition of this type.
    pub fn previous(&self, kind: &str) -> Option<&'a Condition> {
        self.previous
            .iter()
            .find(|condition| condition.type_ == kind)
    }

    /// The conditions, sorted by type as the API server keeps the order that it was given.
    pub fn done(self) -> Vec<Condition> {
        self.made
    }
}

/// The status of a grant.
pub(super) fn of_grant(
    world: &World,
    grant: &Grant,
    planned: &GrantPlan,
    now: Timestamp,
) -> StatusPlan {
    let generation = grant.meta.generation;
    let decision = &planned.decision;
    let open = planned.is_open();
    let outcome = decision.outcome();
    let (reason, message) = reason_of(planned);
    let mut conditions = Conditions::new(&grant.status.conditions, generation, now);
    let was_open = conditions
        .previous("Open")
        .is_some_and(|condition| condition.status == "True");

    let obstacle = planned.ends.iter().find_map(|(_, state)| match state {
        PathState::Opening { obstacle, .. } => Some(obstacle),
        PathState::Open { .. } => None,
    });
    let passing = obstacle.is_none_or(super::reason::Obstacle::is_passing);
    let ready = match outcome {
        Outcome::Permitted if open => ("True", "PathOpen"),
        Outcome::Permitted => ("False", reason.as_str()),
        Outcome::Waiting => ("True", "Waiting"),
        Outcome::Ended => ("True", "Ended"),
        Outcome::Refused => ("False", "Refused"),
    };
    conditions.set("Ready", ready.0, ready.1, &message);
    conditions.set(
        "Open",
        if open { "True" } else { "False" },
        &reason,
        &message,
    );
    let reconciling = outcome == Outcome::Permitted && !open && passing;
    conditions.set_if("Reconciling", reconciling, &reason, &message);
    let stalled =
        outcome == Outcome::Refused || (outcome == Outcome::Permitted && !open && !passing);
    conditions.set_if("Stalled", stalled, &reason, &message);
    if !open && (was_open || conditions.previous("TrafficStopped").is_some()) {
        conditions.set(
            "TrafficStopped",
            "Unknown",
            "NotObserved",
            "the policy is gone, so no new connection opens; whether an established one still flows is not observed here",
        );
    }

    let (closes_at, closes_because) = shown_end(world, grant, planned);
    let status = DataSharingGrantStatus {
        observed_generation: Some(generation),
        recipient: grant
            .terms
            .as_ref()
            .ok()
            .map(|terms| terms.recipient.label()),
        closes_at,
        closes_because,
        refusals: decision
            .refusals
            .iter()
            .take(REFUSALS)
            .map(refusal_status)
            .collect(),
        paths: paths(planned),
        conditions: conditions.done(),
    };
    let notices = notice(grant, was_open, open, &reason, &message, outcome);
    let changed = status != grant.status;
    status_plan(Kind::Grant, &grant.meta, json!(status), changed, notices)
}

/// The reason and message of the condition `Open`.
fn reason_of(planned: &GrantPlan) -> (String, String) {
    if let Some(first) = planned.decision.refusals.first() {
        let more = planned.decision.refusals.len() - 1;
        let tail = if more == 0 {
            String::new()
        } else {
            format!(" (and {more} more)")
        };
        return (
            first.name().to_owned(),
            format!("{}{tail}", first.message()),
        );
    }
    for (end, state) in &planned.ends {
        if let PathState::Opening { obstacle, .. } = state {
            // The operator's own steps pass within a moment; a status for each would be a write for each.
            if obstacle.is_passing() {
                return (
                    "Opening".to_owned(),
                    "its end is stored, its timer proven and its policy written, in this order"
                        .to_owned(),
                );
            }
            return (
                obstacle.name().to_owned(),
                format!("in namespace {}: {}", end.namespace, obstacle.message()),
            );
        }
    }
    match planned.decision.end {
        Some(end) => (
            "WithinWindow".to_owned(),
            format!("open until {} ({})", end.at, end.cause.words()),
        ),
        None => ("Unknown".to_owned(), "nothing was decided".to_owned()),
    }
}

/// The end as status shows it. It never says an earlier end than a timer that still runs, and once it was stored for a
/// generation and the path is closed it stays, so that it is known to have passed.
fn shown_end(
    world: &World,
    grant: &Grant,
    planned: &GrantPlan,
) -> (Option<WhenText>, Option<String>) {
    let stored = || {
        let same = grant.status.observed_generation == Some(grant.meta.generation);
        if same {
            (
                grant.status.closes_at.clone(),
                grant.status.closes_because.clone(),
            )
        } else {
            (None, None)
        }
    };
    let Some(end) = planned.decision.end else {
        return stored();
    };
    let outlived = planned.ends.iter().any(|(path, _)| {
        let key = ObjectKey::new(&path.namespace, &path.name);
        let stands = world.policy(&key).is_some();
        stands
            && world
                .timer(&key)
                .and_then(deadline_of)
                .is_some_and(|deadline| deadline > end.at)
    });
    if outlived && stored_end(grant).is_some() {
        return (
            grant.status.closes_at.clone(),
            grant.status.closes_because.clone(),
        );
    }
    (
        Some(time::text(end.at)),
        Some(end.cause.as_str().to_owned()),
    )
}

fn paths(planned: &GrantPlan) -> Vec<PathStatus> {
    let open = planned.ends.iter().filter_map(|(end, state)| match state {
        PathState::Open {
            timer_uid,
            policy_uid,
            ..
        } => Some(PathStatus {
            namespace: end.namespace.clone(),
            network_policy: ObjectIdentity {
                name: end.name.clone(),
                uid: policy_uid.clone(),
            },
            timer: TimerIdentity {
                job: end.name.clone(),
                uid: timer_uid.clone(),
            },
        }),
        PathState::Opening { .. } => None,
    });
    open.collect()
}

fn refusal_status(refusal: &Refusal) -> RefusalStatus {
    RefusalStatus {
        reason: refusal.name().to_owned(),
        message: bounded(&refusal.message()),
    }
}

/// What people should hear of: a path that opened or closed, and a grant that is refused for another reason than before.
fn notice(
    grant: &Grant,
    was_open: bool,
    open: bool,
    reason: &str,
    message: &str,
    outcome: Outcome,
) -> Vec<Notice> {
    let before = grant
        .status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Open");
    let notice = |name: &str, warning| {
        vec![Notice {
            reason: name.to_owned(),
            message: bounded(&format!("{reason}: {message}")),
            warning,
        }]
    };
    if open && !was_open {
        notice("PathOpened", false)
    } else if was_open && !open {
        notice("PathClosed", outcome == Outcome::Refused)
    } else if outcome == Outcome::Refused && before.is_none_or(|before| before.reason != reason) {
        notice("GrantRefused", true)
    } else {
        Vec::new()
    }
}

/// The status of an acceptance.
pub(super) fn of_acceptance(world: &World, acceptance: &Acceptance, now: Timestamp) -> StatusPlan {
    let mut conditions = Conditions::new(
        &acceptance.status.conditions,
        acceptance.meta.generation,
        now,
    );
    let (status, reason, message) = match &acceptance.terms {
        Err(errors) => ("False", "Invalid", list(errors)),
        Ok(terms) => {
            let key = ObjectKey::new(&terms.from_namespace, &terms.grant);
            let grant = world
                .grant(&key)
                .and_then(|grant| grant.terms.as_ref().ok());
            let here = crate::model::RecipientTerms::Namespace {
                name: acceptance.meta.key.namespace.clone(),
            };
            match grant {
                Some(grant) if grant.recipient == here => (
                    "True",
                    "Accepted",
                    format!("grant {key} may share with this namespace, as far as it goes"),
                ),
                _ => (
                    "True",
                    "NoSuchGrant",
                    format!("no grant {key} names this namespace as its recipient yet"),
                ),
            }
        }
    };
    conditions.set("Ready", status, reason, &message);
    conditions.set_if("Stalled", status == "False", reason, &message);
    let made = SharingAcceptanceStatus {
        observed_generation: Some(acceptance.meta.generation),
        conditions: conditions.done(),
    };
    let changed = made != acceptance.status;
    status_plan(
        Kind::Acceptance,
        &acceptance.meta,
        json!(made),
        changed,
        Vec::new(),
    )
}

/// The status of a vendor, and when it next changes.
pub(super) fn of_processor(
    world: &World,
    name: &str,
    now: Timestamp,
) -> Option<(StatusPlan, Option<Timestamp>)> {
    let processor = world.processor(name)?;
    let mut conditions =
        Conditions::new(&processor.status.conditions, processor.meta.generation, now);
    let mut approved_until = None;
    let mut next = None;
    match &processor.terms {
        Err(errors) => {
            conditions.set("Ready", "False", "Invalid", &list(errors));
            conditions.set(
                "Approved",
                "False",
                "Invalid",
                "no grant to it opens until it can be read",
            );
            conditions.set("Stalled", "True", "Invalid", &list(errors));
        }
        Ok(vendor) => {
            let mut deliberation = Deliberation::at(now);
            vendor::agreement(&mut deliberation, name, vendor);
            vendor::assessment(&mut deliberation, name, vendor);
            let Decision {
                refusals,
                candidates: _,
                end,
                next: instant,
            } = deliberation.conclude();
            next = instant;
            conditions.set("Ready", "True", "Read", "the vendor's record was read");
            match (refusals.first(), end) {
                (None, Some(end)) => {
                    approved_until = Some(time::text(end.at));
                    let message = format!("approved until {} ({})", end.at, end.cause.words());
                    conditions.set("Approved", "True", "InForce", &message);
                }
                (first, _) => {
                    let reason = first.map_or("Unknown", Refusal::name);
                    let words: Vec<String> = refusals.iter().map(Refusal::message).collect();
                    conditions.set("Approved", "False", reason, &words.join("; "));
                }
            }
        }
    }
    let was = processor
        .status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Approved");
    let conditions = conditions.done();
    let is = conditions
        .iter()
        .find(|condition| condition.type_ == "Approved");
    let lapsed =
        was.is_some_and(|was| was.status == "True") && is.is_some_and(|is| is.status != "True");
    let notices = is.filter(|_| lapsed).map(|is| Notice {
        reason: "ApprovalLapsed".to_owned(),
        message: is.message.clone(),
        warning: true,
    });
    let made = DataProcessorStatus {
        observed_generation: Some(processor.meta.generation),
        approved_until,
        conditions,
    };
    let changed = made != processor.status;
    let notices = notices.into_iter().collect();
    Some((
        status_plan(
            Kind::Processor,
            &processor.meta,
            json!(made),
            changed,
            notices,
        ),
        next,
    ))
}

/// The status of a prohibition.
pub(super) fn of_prohibition(
    world: &World,
    name: &str,
    now: Timestamp,
) -> Option<(StatusPlan, Option<Timestamp>)> {
    let prohibition = world.prohibitions().get(name)?;
    let mut conditions = Conditions::new(
        &prohibition.status.conditions,
        prohibition.meta.generation,
        now,
    );
    if prohibition.errors.is_empty() {
        conditions.set(
            "Ready",
            "True",
            "Binding",
            "it binds; matching paths are closed",
        );
    } else {
        let message = format!("it binds more than it says: {}", list(&prohibition.errors));
        conditions.set("Ready", "False", "PartlyUnreadable", &message);
        conditions.set("Stalled", "True", "PartlyUnreadable", &message);
    }
    let made = SharingProhibitionStatus {
        observed_generation: Some(prohibition.meta.generation),
        conditions: conditions.done(),
    };
    let changed = made != prohibition.status;
    Some((
        status_plan(
            Kind::Prohibition,
            &prohibition.meta,
            json!(made),
            changed,
            Vec::new(),
        ),
        None,
    ))
}

/// The status of a baseline.
/// What was found out about a baseline.
pub(super) struct BaselineTold {
    pub secrets: Option<SecretsInForce>,
    pub announced: Option<PolicyAnnouncement>,
}

pub(super) fn of_baseline(
    world: &World,
    name: &str,
    told: BaselineTold,
    now: Timestamp,
) -> Option<StatusPlan> {
    let baseline = world.baseline(name)?;
    let mut conditions =
        Conditions::new(&baseline.status.conditions, baseline.meta.generation, now);
    match &baseline.terms {
        Ok(_) => conditions.set(
            "Ready",
            "True",
            "Read",
            "it is the floor of the namespaces that name it",
        ),
        Err(errors) => {
            let message = format!("namespaces that name it deny everything: {}", list(errors));
            conditions.set("Ready", "False", "Invalid", &message);
            conditions.set("Stalled", "True", "Invalid", &message);
        }
    }
    let made = TenantBaselineStatus {
        observed_generation: Some(baseline.meta.generation),
        namespaces: i64::try_from(world.enrolled_on(name)).ok(),
        announced: told.announced,
        secrets: told.secrets,
        conditions: conditions.done(),
    };
    let notices = secrets_turned(baseline.status.secrets.as_ref(), made.secrets.as_ref());
    let changed = made != baseline.status;
    Some(status_plan(
        Kind::Baseline,
        &baseline.meta,
        json!(made),
        changed,
        notices.into_iter().collect(),
    ))
}

/// What people should hear of Secrets: that they stand otherwise than before.
fn secrets_turned(before: Option<&SecretsInForce>, now: Option<&SecretsInForce>) -> Option<Notice> {
    let now = now?;
    let turned = before.is_none_or(|before| before.state != now.state);
    turned.then(|| Notice {
        reason: format!("Secrets{}", now.state.as_str()),
        message: bounded(&format!("{}: {}", now.reason, now.evidence)),
        warning: now.state != EncryptionState::Verified,
    })
}

pub(super) fn status_plan(
    kind: Kind,
    meta: &Meta,
    status: serde_json::Value,
    changed: bool,
    notices: Vec<Notice>,
) -> StatusPlan {
    let target = Target::new(kind, meta.key.clone());
    // What is being deleted is told about no more; its last status write would only fail.
    StatusPlan {
        target,
        uid: meta.uid.clone(),
        status,
        changed: changed && !meta.deleting,
        notices,
    }
}

pub(super) fn list(errors: &[FieldError]) -> String {
    errors
        .iter()
        .take(8)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

pub(super) fn bounded(text: &str) -> String {
    shortened(text, MESSAGE)
}

/// At most `longest` bytes of a text, with dots where something was left out.
pub(super) fn shortened(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(longest.saturating_sub(3));
    format!("{}...", text.get(..end).unwrap_or_default())
}
