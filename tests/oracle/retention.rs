//! A second opinion: from raw objects alone, which of them may be disposed of at this instant, what keeps the others, and
//! from where on nobody deletes.
//!
//! It shares no type and no function with the planner: it reads JSON, object by object and policy by policy, and counts days
//! by itself. Seconds since 1970.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::calendar::{self, Period};
use super::policy::{Minimum, Policy};
use super::raw::{
    covers, group, is, is_decision, is_of_rule, is_tracked, list, readable, selects, start,
    starts_at, text,
};

const DAY: i64 = 86_400;

/// What no object tells.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub now: i64,
    /// Kinds that are not fully read: `apiVersion` and `kind`.
    pub unread: BTreeSet<(String, String)>,
    pub clock_doubted: bool,
    pub ledger_broken: bool,
    /// Uids that were refused, and until when they are left alone.
    pub refused: BTreeMap<String, i64>,
    /// Runs that ended: namespace, when, uid of the policy, how many it disposed of.
    pub runs: Vec<(String, i64, String, i64)>,
    /// What statuses told of when the operator started: by uid of the policy, its last run and how many it ever disposed of.
    pub at_start: BTreeMap<String, (i64, i64)>,
}

impl Known {
    /// What is known of runs when the operator starts: what is stored, and what it is told again.
    pub fn start<'a>(&mut self, objects: impl IntoIterator<Item = &'a Value>) {
        let told = |raw: &Value| {
            let last = calendar::instant(text(raw, "/status/disposed/lastRunAt"))?;
            let total = raw.pointer("/status/disposed/total")?.as_i64()?;
            Some((text(raw, "/metadata/uid").to_owned(), (last, total)))
        };
        self.at_start = objects.into_iter().filter_map(told).collect();
    }
}

/// What keeps an object that is past its maximum, first of all that do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeps {
    Hold,
    Standing,
    Minimum,
    Elsewhere,
    Owner,
    Grace,
    Limit,
    Otherwise,
}

/// What the oracle says of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Uids of what goes or, for a preview, would go, by the policy's name.
    pub due: BTreeMap<String, BTreeSet<String>>,
    /// What is past its maximum and stays, by the policy's name and by uid.
    pub kept: BTreeMap<String, BTreeMap<String, Keeps>>,
    /// Policies of which more is due than a run may take.
    pub tripped: BTreeSet<String>,
    /// What really goes: uid and the policy's name.
    pub goes: BTreeMap<String, String>,
}

/// Everything of one namespace, as it is stored.
pub struct Namespace<'a> {
    name: &'a str,
    objects: Vec<&'a Value>,
    known: &'a Known,
}

impl<'a> Namespace<'a> {
    pub fn new(
        objects: impl IntoIterator<Item = &'a Value>,
        name: &'a str,
        known: &'a Known,
    ) -> Self {
        Self {
            name,
            objects: objects.into_iter().collect(),
            known,
        }
    }

    fn all(&self, kind: &str) -> Vec<&'a Value> {
        self.objects
            .iter()
            .copied()
            .filter(|object| is(object, kind, self.name))
            .collect()
    }

    fn raw(&self) -> Option<&'a Value> {
        let here = |object: &&&Value| {
            text(object, "/kind") == "Namespace" && text(object, "/metadata/name") == self.name
        };
        self.objects.iter().find(here).copied()
    }

    /// The baseline of a namespace with a tenant; the tenant alone where it has none.
    fn enrolled(&self) -> Option<Option<&'a Value>> {
        let labels = self.raw()?.pointer("/metadata/labels")?;
        labels
            .get("privacy.cloudnexus.io/tenant")?
            .as_str()
            .filter(|tenant| !tenant.is_empty())?;
        if self.name.starts_with("kube-") || self.name == "default" {
            return None;
        }
        let baseline = labels
            .get("privacy.cloudnexus.io/baseline")
            .and_then(Value::as_str)
            .unwrap_or("default");
        let named = |object: &&&Value| {
            text(object, "/kind") == "TenantBaseline" && text(object, "/metadata/name") == baseline
        };
        Some(self.objects.iter().find(named).copied())
    }

    /// Whether what is promised here is in force.
    pub fn is_in_force(&self) -> bool {
        let observes =
            |raw: &Value| raw["metadata"]["labels"]["privacy.cloudnexus.io/stage"] == "observe";
        let ends = |raw: &Value| raw.pointer("/metadata/deletionTimestamp").is_some();
        self.enrolled().is_some() && !self.raw().is_none_or(|raw| observes(raw) || ends(raw))
    }

    fn policies(&self) -> Vec<Policy<'a>> {
        self.all("RetentionPolicy")
            .into_iter()
            .map(Policy::read)
            .collect()
    }

    fn minimums(&self) -> Vec<Minimum<'a>> {
        let mut minimums = Vec::new();
        for raw in self.all("RetentionPolicy") {
            let keep = &raw["spec"]["keep"];
            if keep.is_object() && keep.get("atLeast").is_none() {
                continue;
            }
            let begins = starts_at(raw["spec"].get("startsAt"));
            let written = keep["atLeast"].as_str().filter(|_| begins.is_some());
            for entry in list(raw, "/spec/select") {
                minimums.push(Minimum {
                    source: format!("RetentionPolicy {}", text(raw, "/metadata/name")),
                    entry,
                    starts_at: begins.unwrap_or("CreatedAt"),
                    at_least: written.map(|text| (text, calendar::period(text))),
                });
            }
        }
        let Some(Some(baseline)) = self.enrolled() else {
            return minimums;
        };
        for keep in list(baseline, "/spec/retention/keep") {
            let period = keep["atLeast"]
                .as_str()
                .map(|text| (text, calendar::period(text)));
            minimums.push(Minimum {
                source: format!("TenantBaseline {}", text(baseline, "/metadata/name")),
                entry: &keep["select"],
                starts_at: starts_at(keep.get("startsAt")).unwrap_or("CreatedAt"),
                at_least: period,
            });
        }
        minimums
    }

    /// Whether any minimum of an object still runs.
    pub fn is_kept_longer(&self, object: &Value) -> bool {
        self.minimums()
            .iter()
            .filter(|minimum| selects(minimum.entry, object))
            .any(|minimum| {
                let period = minimum.at_least.and_then(|(_, period)| period);
                let end = start(object, minimum.starts_at)
                    .zip(period)
                    .and_then(|(start, period)| calendar::kept_until(start, &period));
                end.is_none_or(|end| self.known.now < end)
            })
    }

    /// Whether a rule that guards read now keeps an object.
    pub fn is_guarded(&self, object: &Value) -> bool {
        let rules = self
            .all("GuardParameters")
            .into_iter()
            .flat_map(|raw| list(raw, "/spec/retention"));
        rules
            .into_iter()
            .filter(|rule| is_of_rule(rule, object))
            .any(|rule| {
                let before = calendar::instant(text(rule, "/startedBefore"));
                let free = start(object, text(rule, "/startsAt"))
                    .zip(before)
                    .is_some_and(|(start, before)| start <= before);
                !free
            })
    }

    /// Whether a policy keeps an object of which the operator has not yet stored what guards read.
    pub fn is_uncompiled(&self, object: &Value) -> bool {
        self.all("RetentionPolicy").into_iter().any(|raw| {
            let observed =
                raw.pointer("/status/observedGeneration") == raw.pointer("/metadata/generation");
            let keeps = raw.pointer("/spec/keep/atLeast").is_some();
            !observed
                && keeps
                && list(raw, "/spec/select")
                    .into_iter()
                    .any(|entry| selects(entry, object))
        })
    }

    /// Whether a hold keeps an object: one that nobody released, or whose release has not given everything back.
    pub fn is_held(&self, object: &Value) -> bool {
        self.all("ProcessingHold").into_iter().any(|hold| {
            let decisions: Vec<&Value> = list(hold, "/status/decisions")
                .into_iter()
                .filter(|one| is_decision(one))
                .collect();
            let decided = |what: &'static str| {
                decisions
                    .iter()
                    .filter(move |one| text(one, "/type") == what)
            };
            let restored = list(hold, "/status/conditions").iter().any(|condition| {
                text(condition, "/type") == "Restored" && text(condition, "/status") == "True"
            });
            let over = decided("Released").next().is_some() && restored;
            let excepted: Vec<&Value> = decided("Narrowed")
                .flat_map(|decision| list(decision, "/exceptKinds"))
                .collect();
            !over && covers(&hold["spec"], &excepted, object)
        })
    }

    /// Whether all that a policy selects can be read.
    fn is_judged(&self, policy: &Policy) -> bool {
        policy.is_whole
            && policy
                .entries()
                .into_iter()
                .all(|entry| self.is_watched(entry))
    }

    fn is_watched(&self, entry: &Value) -> bool {
        let kind = (
            text(entry, "/apiVersion").to_owned(),
            text(entry, "/kind").to_owned(),
        );
        !self.known.unread.contains(&kind)
    }

    /// The bounds of disposal; none without a baseline that can be read.
    fn bounds(&self) -> Option<&'a Value> {
        let baseline = self.enrolled()??;
        let readable = |keep: &&Value| {
            readable(&keep["select"])
                && keep["atLeast"]
                    .as_str()
                    .and_then(calendar::period)
                    .is_some()
                && match starts_at(keep.get("startsAt")) {
                    None => false,
                    Some("CompletedAt") => matches!(text(keep, "/select/kind"), "Job" | "Pod"),
                    Some(_) => true,
                }
        };
        let all = list(baseline, "/spec/retention/keep").iter().all(readable);
        let graced = baseline
            .pointer("/spec/retention/grace")
            .is_none_or(|grace| grace.as_str().and_then(calendar::grace).is_some());
        (all && graced).then_some(&baseline["spec"]["retention"])
    }

    fn bound(&self, field: &str) -> Option<i64> {
        self.bounds()?.get(field)?.as_i64()
    }

    fn per_run(&self) -> i64 {
        self.bound("maximumPerRun").unwrap_or(50)
    }

    fn per_day(&self) -> i64 {
        self.bound("maximumPerDay").unwrap_or(10 * self.per_run())
    }

    fn grace(&self) -> Period {
        let written = self
            .bounds()
            .and_then(|bounds| bounds.get("grace")?.as_str());
        calendar::grace(written.unwrap_or("P1D")).unwrap()
    }

    /// When an object is past its maximum under a policy: none while that cannot be said.
    fn end(&self, policy: &Policy, object: &Value) -> Option<i64> {
        calendar::after(start(object, policy.starts_at)?, &policy.at_most?)
    }

    /// When an object goes by a policy, as far as periods say.
    fn goes_at(&self, policy: &Policy, object: &Value, end: i64) -> Option<i64> {
        let minimums = self.minimums();
        let binding = minimums
            .iter()
            .filter(|minimum| selects(minimum.entry, object));
        let latest = binding
            .filter_map(|minimum| {
                calendar::kept_until(start(object, minimum.starts_at)?, &minimum.at_least?.1?)
            })
            .max();
        let eligible = latest.map_or(end, |latest| latest.max(end));
        calendar::grace_over(eligible.max(policy.since(self.known.now)), &self.grace())
    }

    /// What keeps an object that is past its maximum, limits apart and what else stops everything.
    fn keeps(&self, policy: &Policy, object: &Value, end: i64) -> Option<Keeps> {
        let metadata = &object["metadata"];
        if self.is_held(object) {
            Some(Keeps::Hold)
        } else if !self.is_in_force() || self.bounds().is_none() {
            Some(Keeps::Standing)
        } else if self.is_kept_longer(object) || self.is_guarded(object) {
            Some(Keeps::Minimum)
        } else if is_tracked(metadata) {
            Some(Keeps::Elsewhere)
        } else if list(metadata, "/ownerReferences")
            .iter()
            .any(|owner| owner["controller"] == true)
        {
            Some(Keeps::Owner)
        } else if self
            .goes_at(policy, object, end)
            .is_none_or(|goes| self.known.now < goes)
        {
            Some(Keeps::Grace)
        } else {
            None
        }
    }

    /// Whether something stands in the way of every disposal here, or of this object's.
    fn is_stopped(&self, uid: &str) -> bool {
        self.known.clock_doubted
            || self.known.ledger_broken
            || self
                .known
                .refused
                .get(uid)
                .is_some_and(|until| self.known.now < *until)
    }

    /// Objects that policies may dispose of at all.
    fn items(&self) -> Vec<&'a Value> {
        let ours = [
            "Namespace",
            "TenantBaseline",
            "RetentionPolicy",
            "ProcessingHold",
            "GuardParameters",
        ];
        let managed = |object: &Value| {
            object["metadata"]["labels"]["privacy.cloudnexus.io/managed-by"] == "covenant"
        };
        let here = |object: &&Value| {
            text(object, "/metadata/namespace") == self.name
                && !ours.contains(&text(object, "/kind"))
                && object.pointer("/metadata/deletionTimestamp").is_none()
                && !managed(object)
        };
        self.objects.iter().copied().filter(here).collect()
    }

    /// What goes now, what is kept and by what, and which limits are tripped.
    pub fn disposals(&self) -> Verdict {
        let mut verdict = Verdict::default();
        if self.enrolled().is_none() || self.known.clock_doubted {
            return verdict;
        }
        let mut first: BTreeMap<String, (i64, String)> = BTreeMap::new();
        let mut left = self.left_of_the_day();
        for policy in self
            .policies()
            .iter()
            .filter(|policy| self.is_judged(policy))
        {
            let name = policy.name.to_owned();
            let kept = verdict.kept.entry(name.clone()).or_default();
            let mut fit = Vec::new();
            for object in self
                .items()
                .into_iter()
                .filter(|object| policy.selects(object))
            {
                let Some(end) = self
                    .end(policy, object)
                    .filter(|end| *end <= self.known.now)
                else {
                    continue;
                };
                let uid = text(object, "/metadata/uid").to_owned();
                let order = (
                    group(text(object, "/apiVersion")),
                    text(object, "/kind"),
                    text(object, "/metadata/name"),
                );
                match self.keeps(policy, object, end) {
                    Some(keeps) => drop(kept.insert(uid, keeps)),
                    None => fit.push((self.goes_at(policy, object, end), order, uid)),
                }
            }
            fit.sort();
            let number = i64::try_from(fit.len()).unwrap();
            let may = if number <= self.per_run() && number <= left {
                number
            } else {
                policy.lifted().unwrap_or(0).min(number)
            };
            if may < number {
                verdict.tripped.insert(name.clone());
            }
            let due = verdict.due.entry(name.clone()).or_default();
            for (place, (at, _, uid)) in fit.into_iter().enumerate() {
                if i64::try_from(place).unwrap() >= may {
                    kept.insert(uid, Keeps::Limit);
                } else if self.is_stopped(&uid) {
                    kept.insert(uid, Keeps::Otherwise);
                } else {
                    let this = (at.unwrap(), name.clone());
                    if policy.disposes && first.get(&uid).is_none_or(|known| this < *known) {
                        first.insert(uid.clone(), this);
                    }
                    due.insert(uid);
                }
            }
            if policy.disposes {
                left = (left - may).max(0);
            }
        }
        verdict.goes = first
            .into_iter()
            .map(|(uid, (_, name))| (uid, name))
            .collect();
        verdict
    }

    /// How many objects may go by each policy at once, whatever is due.
    pub fn may_dispose(&self) -> BTreeMap<String, i64> {
        let left = self.left_of_the_day();
        let bound = |policy: &Policy| self.per_run().min(left).max(policy.lifted().unwrap_or(0));
        self.policies()
            .iter()
            .map(|policy| (policy.name.to_owned(), bound(policy)))
            .collect()
    }

    /// How many objects may still go here within 24 hours. Of a policy that ran within them before the operator started, and
    /// of which that run was not told again, everything that it had ever disposed of by then counts.
    fn left_of_the_day(&self) -> i64 {
        let counts = |at: i64| self.known.now - at < DAY;
        let here = || {
            self.known
                .runs
                .iter()
                .filter(|(namespace, ..)| namespace == self.name)
        };
        let known: i64 = here()
            .filter(|(_, at, ..)| counts(*at))
            .map(|(.., number)| number)
            .sum();
        let policies = self.all("RetentionPolicy").into_iter();
        let forgotten = policies.filter_map(|raw| {
            let uid = text(raw, "/metadata/uid");
            let (last, total) = *self.known.at_start.get(uid)?;
            let told = here().any(|(_, at, policy, _)| *at == last && policy == uid);
            (counts(last) && !told).then_some(total)
        });
        (self.per_day() - known - forgotten.sum::<i64>()).max(0)
    }

    /// The rules that guards are to read, in the words in which they read them, each with the last second at which what is past
    /// its minimum began; none where that never ends.
    pub fn boundaries(&self) -> Vec<(Value, Option<i64>)> {
        let minimums = self
            .minimums()
            .into_iter()
            .filter(|minimum| readable(minimum.entry));
        minimums
            .map(|minimum| {
                let past = minimum
                    .period()
                    .map(|period| calendar::all_past(self.known.now, &period));
                (minimum.rule(), past)
            })
            .collect()
    }

    /// What a rule would let go if it were further on: uids of what began after the one instant and not after the other.
    pub fn freed_between(
        &self,
        rule: &str,
        after: Option<i64>,
        until: Option<i64>,
    ) -> Vec<&'a str> {
        let rule: Value = serde_json::from_str(rule).unwrap();
        let freed = |object: &&&Value| {
            let began = start(object, text(&rule, "/startsAt"));
            is_of_rule(&rule, object)
                && began.is_some_and(|began| Some(began) > after && Some(began) <= until)
        };
        let objects = self.items();
        objects
            .iter()
            .filter(freed)
            .map(|object| text(object, "/metadata/uid"))
            .collect()
    }

    /// Whether a rule is of a policy or a baseline of which some selection cannot be read, so that it stays as it is.
    pub fn is_of_unreadable(&self, rule: &str) -> bool {
        let rule: Value = serde_json::from_str(rule).unwrap();
        let policies = self
            .all("RetentionPolicy")
            .into_iter()
            .map(|raw| ("RetentionPolicy", raw, list(raw, "/spec/select")));
        let baseline = self.enrolled().flatten().into_iter().map(|raw| {
            let keeps = list(raw, "/spec/retention/keep").into_iter();
            (
                "TenantBaseline",
                raw,
                keeps.map(|keep| &keep["select"]).collect(),
            )
        });
        policies.chain(baseline).any(|(kind, raw, entries)| {
            let source = format!("{kind} {}", text(raw, "/metadata/name"));
            text(&rule, "/rule") == source && entries.iter().any(|entry| !readable(entry))
        })
    }
}
