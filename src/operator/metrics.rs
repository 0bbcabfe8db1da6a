//! What is counted and measured. Labels are bounded: reasons, categories, kinds, verbs and the ledger's head, never names of
//! objects.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit as MetricUnit};

use super::clock;
use super::error::Category;
use crate::diff::Change;
use crate::model::{Kind, LedgerHead, RunResult, Unit};
use crate::plan::{Outcome, Plan, StatusPlan};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CategoryLabel {
    category: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabel {
    kind: &'static str,
    verb: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// The head of the ledger: one series at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HeadLabel {
    origin: String,
    root: String,
}

/// The metrics.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    summaries: Arc<Mutex<BTreeMap<Unit, Summary>>>,
    open_paths: Gauge,
    grants: Family<StateLabel, Gauge>,
    refused: Family<ReasonLabel, Gauge>,
    next_close: Gauge,
    errors: Family<CategoryLabel, Counter>,
    closes_late: Counter,
    writes: Family<WriteLabel, Counter>,
    plans: Counter,
    plan_seconds: Histogram,
    world: Family<KindLabel, Gauge>,
    violations: Counter,
    synced: Gauge,
    holds: Family<StateLabel, Gauge>,
    guards_altered: Gauge,
    ledger_size: Gauge,
    ledger_writable: Gauge,
    ledger_head: Family<HeadLabel, Gauge>,
    ledger_entries: Counter,
    ledger_unrecorded: Counter,
    ledger_unsettled: Gauge,
    disposed: Counter,
    disposals_refused: Counter,
}

/// What the last plan of a unit said, kept small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Summary {
    open: i64,
    states: BTreeMap<&'static str, i64>,
    refused: BTreeMap<&'static str, i64>,
    next_close: Option<Timestamp>,
    holds: BTreeMap<&'static str, i64>,
}

/// What a hold's `Enforced` may say, and `released`, after which it says nothing.
const HOLD_STATES: [&str; 4] = ["enforced", "not_enforced", "unknown", "released"];

/// The state of a hold by its planned status; none for other kinds.
fn hold_state(planned: &StatusPlan) -> Option<&'static str> {
    if planned.target.kind != Kind::Hold {
        return None;
    }
    let says = |condition: &str| {
        let conditions = planned.status["conditions"].as_array()?;
        let found = conditions.iter().find(|found| found["type"] == condition)?;
        found["status"].as_str()
    };
    Some(match (says("Released"), says("Enforced")) {
        (Some("True"), _) => "released",
        (_, Some("True")) => "enforced",
        (_, Some("False")) => "not_enforced",
        _ => "unknown",
    })
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("covenant");
        let open_paths = Gauge::default();
        registry.register("open_paths", "Paths read back as open", open_paths.clone());
        let grants = Family::default();
        registry.register("grants", "Grants by state", grants.clone());
        let refused = Family::default();
        registry.register(
            "refused_grants",
            "Closed grants by their first reason",
            refused.clone(),
        );
        let next_close = Gauge::default();
        registry.register_with_unit(
            "next_close",
            "Until the next path closes; absent paths: -1",
            MetricUnit::Seconds,
            next_close.clone(),
        );
        let errors = Family::default();
        registry.register(
            "reconcile_errors",
            "Writes that failed, by category",
            errors.clone(),
        );
        let closes_late = Counter::default();
        registry.register(
            "closes_late",
            "Paths that still stood more than two seconds after their end",
            closes_late.clone(),
        );
        let writes = Family::default();
        registry.register("writes", "Writes that went through", writes.clone());
        let plans = Counter::default();
        registry.register("plans", "Plans made", plans.clone());
        let plan_seconds = Histogram::new(exponential_buckets(0.000_05, 4.0, 10));
        registry.register_with_unit(
            "plan",
            "Time to make one plan",
            MetricUnit::Seconds,
            plan_seconds.clone(),
        );
        let world = Family::default();
        registry.register(
            "world_objects",
            "Objects in the picture of the cluster",
            world.clone(),
        );
        let violations = Counter::default();
        registry.register(
            "lint_violations",
            "Findings of the linter that stopped a plan",
            violations.clone(),
        );
        let synced = Gauge::default();
        registry.register("synced", "1 once every kind was listed", synced.clone());
        let holds = Family::default();
        registry.register("holds", "Holds by what their Enforced says", holds.clone());
        let guards_altered = Gauge::default();
        registry.register(
            "guards_altered",
            "Guards that are missing or not as they were released",
            guards_altered.clone(),
        );
        let ledger_size = Gauge::default();
        registry.register("ledger_size", "Entries in the ledger", ledger_size.clone());
        let ledger_writable = Gauge::default();
        registry.register(
            "ledger_writable",
            "1 while the ledger can be written",
            ledger_writable.clone(),
        );
        let ledger_head = Family::default();
        registry.register(
            "ledger_head",
            "Size of the ledger whose root hash is the label; one series",
            ledger_head.clone(),
        );
        let ledger_entries = Counter::default();
        registry.register(
            "ledger_entries",
            "Entries that were made durable",
            ledger_entries.clone(),
        );
        let ledger_unrecorded = Counter::default();
        registry.register(
            "ledger_unrecorded_entries",
            "Entries that found no place while the ledger could not be written",
            ledger_unrecorded.clone(),
        );
        let ledger_unsettled = Gauge::default();
        registry.register(
            "ledger_unsettled_intents",
            "Intents whose outcome is not known and could not be found out",
            ledger_unsettled.clone(),
        );
        let disposed = Counter::default();
        registry.register(
            "disposed_objects",
            "Objects that were disposed of",
            disposed.clone(),
        );
        let disposals_refused = Counter::default();
        registry.register(
            "refused_disposals",
            "Objects whose disposal did not go through",
            disposals_refused.clone(),
        );
        Self {
            registry: Arc::new(registry),
            summaries: Arc::default(),
            open_paths,
            grants,
            refused,
            next_close,
            errors,
            closes_late,
            writes,
            plans,
            plan_seconds,
            world,
            violations,
            synced,
            holds,
            guards_altered,
            ledger_size,
            ledger_writable,
            ledger_head,
            ledger_entries,
            ledger_unrecorded,
            ledger_unsettled,
            disposed,
            disposals_refused,
        }
    }
}

impl Metrics {
    /// Takes in a plan.
    pub fn planned(&self, plan: &Plan, seconds: f64) {
        self.plans.inc();
        self.plan_seconds.observe(seconds);
        // A grant's own plan tells nothing that its namespace's does not.
        let (Unit::Namespace(_), Some(namespace)) = (&plan.unit, &plan.namespace) else {
            return;
        };
        let mut summary = Summary::default();
        for grant in &namespace.grants {
            let open = grant.is_open();
            let state = match grant.decision.outcome() {
                Outcome::Permitted if open => "open",
                Outcome::Permitted => "opening",
                Outcome::Waiting => "waiting",
                Outcome::Ended => "ended",
                Outcome::Refused => "refused",
            };
            *summary.states.entry(state).or_default() += 1;
            if open {
                summary.open += 1;
                let end = grant.decision.end.map(|end| end.at);
                summary.next_close = [summary.next_close, end].into_iter().flatten().min();
            }
            if let Some(first) = grant.decision.refusals.first() {
                *summary.refused.entry(first.name()).or_default() += 1;
            }
        }
        for status in &plan.statuses {
            if let Some(state) = hold_state(status) {
                *summary.holds.entry(state).or_default() += 1;
            }
        }
        let mut summaries = self
            .summaries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if summary == Summary::default() {
            summaries.remove(&plan.unit);
        } else {
            summaries.insert(plan.unit.clone(), summary);
        }
    }

    /// Takes in a write that went through. Counts a close that came late.
    pub fn wrote(&self, change: &Change, sent: Timestamp) {
        let label = WriteLabel {
            kind: change.target.kind.as_str(),
            verb: change.action.verb(),
        };
        self.writes.get_or_create(&label).inc();
        if change
            .due
            .is_some_and(|due| sent.duration_since(due).as_secs() >= 2)
        {
            self.closes_late.inc();
        }
    }

    /// Takes in a write that failed.
    pub fn failed(&self, category: Category) {
        self.errors
            .get_or_create(&CategoryLabel {
                category: category.as_str(),
            })
            .inc();
    }

    /// Takes in findings of the linter.
    pub fn violated(&self, findings: usize) {
        self.violations
            .inc_by(u64::try_from(findings).unwrap_or(u64::MAX));
    }

    /// Takes in how many objects of a kind the World has.
    pub fn counted(&self, kind: Kind, objects: usize) {
        self.world
            .get_or_create(&KindLabel {
                kind: kind.as_str(),
            })
            .set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    /// Takes in how many guards are missing or altered.
    pub fn deviating(&self, guards: usize) {
        self.guards_altered
            .set(i64::try_from(guards).unwrap_or(i64::MAX));
    }

    /// Takes in how the ledger stands.
    pub fn ledger(&self, head: Option<&LedgerHead>, writable: bool) {
        self.ledger_writable.set(i64::from(writable));
        if let Some(head) = head {
            let size = i64::try_from(head.size).unwrap_or(i64::MAX);
            self.ledger_size.set(size);
            self.ledger_head.clear();
            let label = HeadLabel {
                origin: head.origin.clone(),
                root: head.root.clone(),
            };
            self.ledger_head.get_or_create(&label).set(size);
        }
    }

    /// Takes in entries that were made durable.
    pub fn recorded(&self, entries: usize) {
        self.ledger_entries
            .inc_by(u64::try_from(entries).unwrap_or(u64::MAX));
    }

    /// Takes in entries that found no place.
    pub fn unrecorded(&self, entries: u64) {
        self.ledger_unrecorded.inc_by(entries);
    }

    /// Takes in how many intents could not be settled.
    pub fn unsettled(&self, intents: usize) {
        self.ledger_unsettled
            .set(i64::try_from(intents).unwrap_or(i64::MAX));
    }

    /// Takes in what a run of disposal came to.
    pub fn ran(&self, run: &RunResult) {
        for policy in run.policies.values() {
            self.disposed
                .inc_by(u64::try_from(policy.disposed).unwrap_or_default());
        }
        self.disposals_refused
            .inc_by(u64::try_from(run.refused.len()).unwrap_or(u64::MAX));
    }

    /// Takes in that every kind was listed.
    pub fn synced(&self) {
        self.synced.set(1);
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        self.summarise();
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            text.clear();
            // Writing to a string does not fail.
            let _ = write!(text, "# metrics could not be encoded: {error}");
        }
        text
    }

    fn summarise(&self) {
        let summaries = self
            .summaries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut whole = Summary::default();
        for summary in summaries.values() {
            whole.open += summary.open;
            for (state, count) in &summary.states {
                *whole.states.entry(state).or_default() += count;
            }
            for (reason, count) in &summary.refused {
                *whole.refused.entry(reason).or_default() += count;
            }
            for (state, count) in &summary.holds {
                *whole.holds.entry(state).or_default() += count;
            }
            whole.next_close = [whole.next_close, summary.next_close]
                .into_iter()
                .flatten()
                .min();
        }
        drop(summaries);
        self.open_paths.set(whole.open);
        for state in ["open", "opening", "waiting", "ended", "refused"] {
            let count = whole.states.get(state).copied().unwrap_or_default();
            self.grants.get_or_create(&StateLabel { state }).set(count);
        }
        for state in HOLD_STATES {
            let count = whole.holds.get(state).copied().unwrap_or_default();
            self.holds.get_or_create(&StateLabel { state }).set(count);
        }
        self.refused.clear();
        for (reason, count) in whole.refused {
            self.refused
                .get_or_create(&ReasonLabel { reason })
                .set(count);
        }
        self.next_close.set(
            whole
                .next_close
                .map_or(-1, |next| next.duration_since(clock::now()).as_secs()),
        );
    }
}
