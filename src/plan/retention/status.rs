//! The status of a retention policy: what was read, whether guards refuse, what is due, what is kept and by what, and what went.
//!
//! May not: change by time alone but at the instants that the plan names, or count what the clock, while it is doubted, would say.

use jiff::Timestamp;
use serde_json::json;

use super::boundary::{instant, is_same, stored};
use super::fate::Withheld;
use super::ground::Ground;
use super::judgement::{Judged, disposed_total};
use crate::api::{
    DisposalMode, DisposedCount, DueCount, LedgerRange, RetentionPolicyStatus, RetentionRule,
    WithheldCount,
};
use crate::model::{Kind, KindState, ObjectKey, RetentionPolicy, RunResult, Source, time};
use crate::plan::proof::{deviations, in_words};
use crate::plan::status::{Conditions, bounded, list, status_plan};
use crate::plan::{Notice, Standing, StatusPlan};

/// A condition names as many objects.
const NAMED: usize = 3;

/// Status, reason and message of a condition.
type Said = (&'static str, &'static str, String);

/// What a policy's status is made of.
struct Making<'a> {
    ground: &'a Ground<'a>,
    policy: &'a RetentionPolicy,
    judged: &'a Judged<'a>,
    conditions: Conditions<'a>,
    notices: Vec<Notice>,
}

/// The status of a policy.
pub(super) fn of_policy<'a>(
    ground: &'a Ground<'a>,
    policy: &'a RetentionPolicy,
    judged: &'a Judged<'a>,
) -> StatusPlan {
    let generation = policy.meta.generation;
    let stored = &policy.status;
    let mut making = Making {
        ground,
        policy,
        judged,
        conditions: Conditions::new(&stored.conditions, generation, ground.now),
        notices: Vec::new(),
    };
    making.conditions();
    let disposed = making.disposed();
    let is_doubted = ground.world.clock_problem().is_some();
    let is_compiled = making.is_compiled();
    let since = policy.since().or_else(|| {
        let now = Timestamp::from_second(ground.now.as_second()).ok();
        now.filter(|_| !is_doubted && is_compiled)
    });
    let (matched, due, withheld) = if is_doubted {
        (stored.matched, stored.due.clone(), stored.withheld.clone())
    } else {
        let matched = judged.matched.map(count);
        let counted = judged.is_judged.then(|| counted(judged));
        let (due, withheld) = counted.unzip();
        (matched, due, withheld)
    };
    let status = RetentionPolicyStatus {
        observed_generation: if is_compiled {
            Some(generation)
        } else {
            stored.observed_generation
        },
        decisions: Vec::new(),
        conditions: making.conditions.done(),
        keep: policy.keep_in_short(),
        since: since.map(time::text),
        matched,
        due,
        withheld,
        disposed,
    };
    let changed = status != *stored;
    status_plan(
        Kind::RetentionPolicy,
        &policy.meta,
        json!(status),
        changed,
        making.notices,
    )
}

fn counted(judged: &Judged<'_>) -> (DueCount, WithheldCount) {
    let mut due = DueCount {
        now: 0,
        within24h: count(judged.within_a_day),
        next_at: judged.next_at.map(time::text),
    };
    let mut withheld = WithheldCount::default();
    for verdict in &judged.verdicts {
        let by = match &verdict.withheld {
            None => {
                due.now += 1;
                continue;
            }
            Some(Withheld::Hold { .. }) => &mut withheld.by_hold,
            Some(Withheld::Minimum(_)) => &mut withheld.by_minimum,
            Some(Withheld::ManagedElsewhere(_)) => &mut withheld.managed_elsewhere,
            Some(Withheld::Owner) => &mut withheld.by_owner,
            Some(Withheld::Grace(_)) => &mut withheld.by_grace,
            Some(Withheld::Limit { .. }) => &mut withheld.by_limit,
            Some(Withheld::NotInForce | Withheld::Otherwise(_)) => &mut withheld.otherwise,
        };
        *by += 1;
        withheld.total += 1;
    }
    (due, withheld)
}

impl Making<'_> {
    fn was(&self, condition: &str) -> Option<(&str, &str)> {
        let before = self.conditions.previous(condition)?;
        Some((before.status.as_str(), before.reason.as_str()))
    }

    fn tell(&mut self, reason: &str, warning: bool, message: &str) {
        self.notices.push(Notice {
            reason: reason.to_owned(),
            message: bounded(message),
            warning,
        });
    }

    fn disposes(&self) -> bool {
        self.policy.mode == DisposalMode::Dispose && self.policy.at_most.is_some()
    }

    fn conditions(&mut self) {
        let (status, reason, message) = self.ready();
        if reason == "Invalid" && self.was("Ready").is_none_or(|(_, was)| was != "Invalid") {
            self.tell("PolicyInvalid", true, &message);
        }
        self.conditions.set("Ready", status, reason, &message);
        let enforced = self.enforced();
        self.tell_of_enforcement(&enforced);
        self.conditions
            .set("Enforced", enforced.0, enforced.1, &enforced.2);
        self.limit();
        self.managed_elsewhere();
        let too_many = "the minimums of this namespace are more than guards read; until there are fewer, nothing in it is deleted. Merge policies, or selections of one";
        let has_minimum = self.policy.at_least.is_some();
        let is_too_many = has_minimum && self.ground.boundaries.too_many;
        self.conditions
            .set_if("TooManyRules", is_too_many, "TooManyRules", too_many);
        let comes = reason == "Syncing" || enforced.1 == "BoundaryPending";
        let (why, words) = if reason == "Syncing" {
            (reason, &message)
        } else {
            (enforced.1, &enforced.2)
        };
        self.conditions.set_if("Reconciling", comes, why, words);
        let waits_for_somebody = matches!(
            reason,
            "Invalid" | "KindNotServed" | "NotPermitted" | "TooManyRules"
        );
        self.conditions
            .set_if("Stalled", waits_for_somebody, reason, &message);
    }

    fn ready(&self) -> Said {
        let ground = self.ground;
        let known = |status, reason, message: &str| (status, reason, message.to_owned());
        match &ground.standing {
            Standing::NotEnrolled | Standing::Exempt => {
                return known(
                    "False",
                    "NotEnrolled",
                    "the namespace is not enrolled, so nothing is kept or disposed of; the platform team enrols it",
                );
            }
            Standing::Terminating { .. } => {
                return known(
                    "False",
                    "Terminating",
                    "the namespace is being deleted; nothing is disposed of any more",
                );
            }
            Standing::Observing { .. } | Standing::InForce { .. } => {}
        }
        if !self.policy.errors.is_empty() {
            let errors = list(&self.policy.errors);
            let message = format!("{errors}. Nothing is disposed of until this is mended");
            return ("False", "Invalid", message);
        }
        if ground.boundaries.too_many {
            let message = "the namespace has more minimums than guards read; nothing in it is deleted until there are fewer";
            return known("False", "TooManyRules", message);
        }
        if let Some(said) = self.kinds() {
            return said;
        }
        if let Some(problem) = ground.world.clock_problem() {
            let message = format!(
                "the clock is doubted ({problem}); until it is trusted, no minimum ends and nothing is disposed of"
            );
            return ("False", "ClockDoubted", message);
        }
        if let Some(problem) = ground.baseline_problem() {
            let message = format!("{problem}; until it can be read, nothing is disposed of");
            return ("False", "BaselineUnreadable", message);
        }
        if let Some((category, message)) = ground.parameters_problem() {
            let reason = if category == "NameTaken" {
                "NameTaken"
            } else {
                "ParametersRefused"
            };
            return ("False", reason, message);
        }
        self.disposal()
    }

    fn kinds(&self) -> Option<Said> {
        let selections = self.policy.selections.iter();
        selections
            .filter_map(|selection| {
                let kind = &selection.kind;
                let plain = |reason, message: String| Some(("False", reason, message));
                match self.ground.world.kind_state(kind) {
                    KindState::Synced => None,
                    KindState::Syncing => plain("Syncing", format!("{kind} is being read")),
                    KindState::NotServed => plain(
                        "KindNotServed",
                        format!(
                            "the cluster serves no {kind}; check apiVersion and kind, or install it"
                        ),
                    ),
                    KindState::NotNamespaced => plain(
                        "KindNotServed",
                        format!("{kind} is not in namespaces and cannot be selected"),
                    ),
                    KindState::Forbidden { message } => plain("NotPermitted", message),
                    KindState::Failing { message } => plain(
                        "KindFailing",
                        format!("{kind} cannot be watched: {message}"),
                    ),
                }
            })
            // What somebody must do comes before what passes by itself.
            .min_by_key(|said| said.1 == "Syncing")
    }

    fn disposal(&self) -> Said {
        let ground = self.ground;
        let observes = !ground.standing.is_in_force();
        if observes {
            let message = "the namespace only observes: deletions are not refused and nothing is disposed of yet";
            return ("True", "Observing", message.to_owned());
        }
        if self.policy.at_most.is_none() {
            let message = "what it selects is kept; nothing is disposed of under it";
            return ("True", "Ready", message.to_owned());
        }
        if !self.disposes() {
            let message = "it says what would go; disposal.mode Dispose makes it go";
            return ("True", "Previewing", message.to_owned());
        }
        let ledger = ground.world.ledger();
        if let Some(problem) = ledger.and_then(|ledger| ledger.problem.as_ref()) {
            let message = format!(
                "nothing is disposed of while no receipt can be written: {problem}. Mend the ledger's store; `covenant ledger verify` tells its state"
            );
            return ("False", "LedgerUnavailable", message);
        }
        if let Some(message) = &self.judged.limit.exceeded {
            return ("False", "LimitExceeded", message.clone());
        }
        if let Some(message) = self.refused() {
            return ("False", "Refused", message);
        }
        let message = "what is past its maximum is disposed of, each object with a receipt";
        ("True", "Disposing", message.to_owned())
    }

    /// What the API server did not let go when it was last tried, in words.
    fn refused(&self) -> Option<String> {
        let ground = self.ground;
        let waits =
            |withheld: &Option<Withheld>| matches!(withheld, None | Some(Withheld::Otherwise(_)));
        let due = self.judged.verdicts.iter();
        let mut refused = due
            .filter(|verdict| waits(&verdict.withheld))
            .filter_map(|verdict| {
                let held = verdict.held;
                let key = ObjectKey::new(ground.namespace, &*held.name);
                let refused = ground.world.refusal(&held.kind, &key, &held.item.uid)?;
                (refused.category == "Refused").then_some((held, refused))
            });
        let (held, first) = refused.next()?;
        let more = match refused.count() {
            0 => String::new(),
            more => format!(", nor {more} more"),
        };
        Some(format!(
            "{} {} did not go{more}: {}; it is tried again every minute",
            held.kind.kind, held.name, first.message
        ))
    }

    fn enforced(&self) -> Said {
        let ground = self.ground;
        let said = |status, reason, message: &str| (status, reason, message.to_owned());
        if self.policy.at_least.is_none() && !self.policy.has_unreadable_selection {
            return said("True", "NotNeeded", "it has no minimum");
        }
        match &ground.standing {
            Standing::NotEnrolled | Standing::Exempt => {
                return said(
                    "False",
                    "NotEnrolled",
                    "the namespace is not enrolled, so no guard looks at it",
                );
            }
            Standing::Observing { .. } => {
                return said(
                    "False",
                    "Observing",
                    "the namespace only observes: no deletion is refused yet",
                );
            }
            Standing::Terminating { .. } | Standing::InForce { .. } => {}
        }
        let deviations = deviations(ground.world);
        if !deviations.is_empty() {
            return ("False", "GuardsAltered", in_words(&deviations));
        }
        if ground.boundaries.too_many {
            let message = "guards keep everything in the namespace, because its minimums are more than they read";
            return said("False", "TooManyRules", message);
        }
        let is_terminating = matches!(ground.standing, Standing::Terminating { .. });
        if is_terminating || self.is_stored() {
            return said(
                "True",
                "BoundaryStored",
                "guards refuse the deletion of what is within its minimum, by anyone",
            );
        }
        match ground.parameters_problem() {
            Some((_, message)) => ("False", "ParametersRefused", message),
            None => said(
                "Unknown",
                "BoundaryPending",
                "what guards must read is being stored",
            ),
        }
    }

    /// Whether the guards read this generation's minimum. Until they do, another guard keeps whatever the policy selects, by
    /// the generation that its status speaks of (`charts/covenant/guards/retention.yaml`): so the status must not speak of it
    /// earlier.
    fn is_compiled(&self) -> bool {
        let ground = self.ground;
        if self.policy.at_least.is_none() && !self.policy.has_unreadable_selection {
            return true;
        }
        match &ground.standing {
            Standing::NotEnrolled | Standing::Exempt => true,
            Standing::Terminating { .. } => false,
            Standing::InForce { .. } | Standing::Observing { .. } if ground.boundaries.too_many => {
                let everything = |rule: &RetentionRule| rule.kind == "*";
                stored(ground.world, ground.namespace)
                    .iter()
                    .any(everything)
            }
            Standing::InForce { .. } | Standing::Observing { .. } => self.is_stored(),
        }
    }

    /// Whether the stored GuardParameters have exactly this policy's rules.
    fn is_stored(&self) -> bool {
        let ground = self.ground;
        let label = Source::Policy(self.policy.meta.key.name.clone()).label();
        let own = |rule: &&RetentionRule| rule.rule == label;
        let planned: Vec<_> = ground.boundaries.rules.iter().filter(own).collect();
        let known = stored(ground.world, ground.namespace).iter().filter(own);
        let known: Vec<_> = known.collect();
        // A boundary that is about to advance is enforced meanwhile, only stricter.
        let stands = |rule: &&RetentionRule| {
            known.iter().any(|stored| {
                is_same(stored, rule)
                    && instant(stored.started_before.as_ref())
                        <= instant(rule.started_before.as_ref())
            })
        };
        planned.len() == known.len() && planned.iter().all(stands)
    }

    fn tell_of_enforcement(&mut self, enforced: &Said) {
        let was = self.was("Enforced").map(|(status, _)| status);
        let told = match was {
            Some("True") if enforced.0 == "False" => Some(("MinimumNotEnforced", true)),
            Some("True") => None,
            _ if enforced.1 == "BoundaryStored" => Some(("MinimumEnforced", false)),
            _ => None,
        };
        if let Some((news, warning)) = told {
            self.tell(news, warning, &enforced.2);
        }
    }

    fn limit(&mut self) {
        let was = self
            .was("LimitExceeded")
            .map(|(status, _)| status == "True");
        let limit = &self.judged.limit;
        if self.ground.world.clock_problem().is_some() {
            if let Some(before) = self.conditions.previous("LimitExceeded") {
                let (status, reason) = (before.status.clone(), before.reason.clone());
                let message = before.message.clone();
                self.conditions
                    .set("LimitExceeded", &status, &reason, &message);
            }
            return;
        }
        if let Some(message) = &limit.exceeded {
            let reason = if limit.waits_for_the_day {
                "MaximumPerDay"
            } else {
                "MaximumPerRun"
            };
            if was != Some(true) {
                self.tell("LimitExceeded", true, message);
            }
            self.conditions
                .set("LimitExceeded", "True", reason, message);
        }
        if let (Some(until), Some(true)) = (limit.lifted_until, was)
            && limit.may == limit.due
        {
            let message = format!("the limit is lifted until {until} objects went in all");
            self.tell("LimitLifted", false, &message);
        }
    }

    fn managed_elsewhere(&mut self) {
        let managed = self.judged.verdicts.iter().filter_map(|verdict| {
            let Some(Withheld::ManagedElsewhere(tracker)) = verdict.withheld else {
                return None;
            };
            Some((verdict.held, tracker))
        });
        let mut names: Vec<String> = managed
            .map(|(held, tracker)| {
                format!("{} {} ({})", held.kind.kind, held.name, tracker.as_str())
            })
            .collect();
        names.sort();
        let more = names.len().saturating_sub(NAMED);
        let number = names.len();
        names.truncate(NAMED);
        let tail = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        let message = format!(
            "{number} objects are past their maximum and made anew by who tracks them; take them out there: {}{tail}",
            names.join(", ")
        );
        self.conditions
            .set_if("ManagedElsewhere", number > 0, "Tracked", &message);
    }

    fn disposed(&mut self) -> Option<DisposedCount> {
        let stored = self.policy.status.disposed.clone();
        let uid = &self.policy.meta.uid;
        let incomplete = self.ground.world.incomplete(uid);
        let runs = self.ground.world.runs_in(self.ground.namespace).iter();
        let part = |run: &RunResult| run.policies.get(uid).cloned();
        let beyond: Vec<_> = runs
            .filter_map(|run| Some((run.at, part(run)?)))
            .filter(|(at, part)| part.is_beyond(*at, self.policy))
            .collect();
        if stored.is_none() && beyond.is_empty() && incomplete == 0 {
            return None;
        }
        let total = disposed_total(self.ground, self.policy);
        let mut disposed = DisposedCount {
            total,
            incomplete,
            ..stored.unwrap_or_default()
        };
        // A clock that was set back must not let a run that is counted be counted again: neither mark goes back.
        let last = disposed.last_run_at.as_ref();
        let last = last.and_then(|text| time::beginning(text).ok());
        let latest = beyond.iter().map(|(at, _)| *at).max();
        if let Some(latest) = latest.filter(|latest| last.is_none_or(|last| *latest > last)) {
            disposed.last_run_at = Some(time::text(latest));
        }
        let ranges = beyond.iter().filter_map(|(_, part)| part.ledger);
        if let Some((from, to)) = ranges.max_by_key(|(_, to)| *to) {
            let index = |index: u64| i64::try_from(index).unwrap_or(i64::MAX);
            disposed.ledger = Some(LedgerRange {
                from: index(from),
                to: index(to),
            });
        }
        for (_, part) in &beyond {
            let range = part
                .ledger
                .map(|(from, to)| format!("; ledger entries {from} to {to}"));
            let message = format!(
                "{} objects were disposed of{}",
                part.disposed,
                range.unwrap_or_default()
            );
            self.tell("Disposed", false, &message);
        }
        Some(disposed)
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
