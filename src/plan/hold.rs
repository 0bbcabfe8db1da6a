//! The status of a hold, and what must be asked or done for it.
//!
//! May not: refuse anything. Guards refuse, with the operator dead; here it is told what they hold, and whether they do.

mod ending;
mod release;
mod suspension;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::json;

use super::decision::Earliest;
use super::inquiry::Inquiry;
use super::proof::{self, Enforced};
use super::standing::Standing;
use super::status::{Conditions, bounded, list, status_plan};
use super::volume::VolumePlan;
use super::{GrantPlan, Notice, StatusPlan};
use crate::api::names::MANAGER_NETWORK;
use crate::api::{HeldCount, HoldEffect, ProcessingHoldStatus, SuspendedCount};
use crate::model::{Ended, Hold, Kind, Survey, SurveyedKind, World, time};
use crate::plan::Refusal;

/// A status lists as many pods that write.
const LISTED_PODS: usize = 50;
/// A status names as many volumes that could not be kept.
const LISTED_VOLUMES: usize = 5;
/// What could not be listed is asked for again after this long.
const SURVEY_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// What is planned for a hold.
pub(super) struct HoldPlan {
    /// Its status.
    pub status: StatusPlan,
    /// What must be asked or done.
    pub inquiries: Vec<Inquiry>,
    /// When the answer changes by time alone.
    pub next: Option<Timestamp>,
}

/// What a hold's status is made of.
struct Making<'a> {
    world: &'a World,
    hold: &'a Hold,
    survey: Option<&'a Survey>,
    volumes: &'a [VolumePlan],
    now: Timestamp,
    conditions: Conditions<'a>,
    inquiries: Vec<Inquiry>,
    notices: Vec<Notice>,
    next: Earliest,
}

/// Plans a hold.
pub(super) fn of_hold(
    world: &World,
    hold: &Hold,
    standing: &Standing,
    grants: &[GrantPlan],
    policies: &BTreeMap<String, NetworkPolicy>,
    volumes: &[VolumePlan],
    now: Timestamp,
) -> HoldPlan {
    let mut making = Making {
        world,
        hold,
        survey: world.survey(&hold.meta.key.namespace),
        volumes,
        now,
        conditions: Conditions::new(&hold.status.conditions, hold.meta.generation, now),
        inquiries: Vec::new(),
        notices: Vec::new(),
        next: Earliest::default(),
    };
    let held = making.held();
    making.ready(held.as_ref());
    let (ending, restored_at, recorded) = if hold.release.is_none() {
        let enforced = making.enforced(standing);
        making.suspended(policies);
        making.sharing_suspended(policies);
        (making.ending(enforced), None, None)
    } else {
        let recorded = making.recorded();
        let ending = hold.status.ending.clone();
        (ending, making.released(recorded), recorded)
    };
    making.review();
    let status = ProcessingHoldStatus {
        observed_generation: Some(hold.meta.generation),
        decisions: Vec::new(),
        effects: hold.effects.iter().copied().collect(),
        suspended: making.suspended_count(grants),
        held,
        ending,
        cannot_hold: making.cannot_hold(),
        recorded,
        restored_at,
        conditions: making.conditions.done(),
    };
    let changed = status != hold.status;
    let mut written = json!(status);
    // Lists that are empty are left out of what is written, unless something is stored that must go.
    if status.decisions.is_empty()
        && let Some(fields) = written.as_object_mut()
    {
        fields.remove("decisions");
    }
    HoldPlan {
        status: status_plan(Kind::Hold, &hold.meta, written, changed, making.notices),
        inquiries: making.inquiries,
        next: making.next.instant(),
    }
}

impl Making<'_> {
    fn was(&self, condition: &str) -> Option<&str> {
        self.conditions
            .previous(condition)
            .map(|before| before.status.as_str())
    }

    fn tell(&mut self, reason: &str, warning: bool, message: &str) {
        self.notices.push(Notice {
            reason: reason.to_owned(),
            message: bounded(message),
            warning,
        });
    }

    /// Sets a condition and tells of its turning true, where that is news.
    fn turn(&mut self, condition: &str, status: &str, reason: &str, message: &str, news: &str) {
        if status == "True" && self.was(condition) != Some("True") {
            self.tell(news, false, message);
        }
        self.conditions.set(condition, status, reason, message);
    }

    fn ready(&mut self, held: Option<&HeldCount>) {
        let invalid = !self.hold.errors.is_empty();
        let nothing = held.is_some_and(|held| held.objects == 0 && held.not_counted.is_empty());
        let (status, reason, message) = if invalid {
            (
                "False",
                "Invalid",
                format!(
                    "{}; meanwhile the stricter reading is in force",
                    list(&self.hold.errors)
                ),
            )
        } else if self.hold.release.is_some() {
            (
                "True",
                "Released",
                "it is over; the object stays as the record".to_owned(),
            )
        } else if nothing {
            let message = "nothing in the namespace matches its scope; check its kinds (with their groups) and labels";
            ("True", "CoversNothing", message.to_owned())
        } else {
            (
                "True",
                "Read",
                "it was read, and the guards read it as it is".to_owned(),
            )
        };
        if nothing
            && self
                .conditions
                .previous("Ready")
                .is_none_or(|before| before.reason != reason)
            && reason == "CoversNothing"
        {
            self.tell("CoversNothing", true, &message);
        }
        self.conditions.set("Ready", status, reason, &message);
        self.conditions.set_if("Stalled", invalid, reason, &message);
    }

    /// Returns status and reason.
    fn enforced(&mut self, standing: &Standing) -> (&'static str, &'static str) {
        let Enforced {
            status,
            reason,
            message,
            inquiry,
            next,
        } = proof::enforced(self.world, self.hold, standing, self.now);
        self.next.note(next, self.now);
        self.inquiries.extend(inquiry);
        match self.was("Enforced") {
            Some("True") if status != "True" && reason != "Proving" => {
                self.tell("HoldNotEnforced", true, &format!("{reason}: {message}"));
            }
            Some("True") => {}
            _ if status == "True" => self.tell("HoldEnforced", false, &message),
            _ => {}
        }
        self.conditions.set("Enforced", status, reason, &message);
        self.conditions
            .set_if("Reconciling", reason == "Proving", reason, &message);
        self.survey_inquiry();
        (status, reason)
    }

    fn review(&mut self) {
        let Some(review_by) = self.hold.review_by.filter(|_| self.hold.release.is_none()) else {
            return;
        };
        self.next.note(review_by, self.now);
        if self.now >= review_by {
            let message =
                format!("to be reviewed by {review_by}; an officer releases it, or moves reviewBy");
            if self.was("ReviewDue") != Some("True") {
                self.tell("ReviewDue", true, &message);
            }
            self.conditions
                .set("ReviewDue", "True", "ReviewByPassed", &message);
        }
    }

    fn is_of_these_holds(&self, survey: &Survey) -> bool {
        survey.fingerprint == survey_fingerprint(self.world, &self.hold.meta.key.namespace)
    }

    fn survey_inquiry(&mut self) {
        let namespace = &self.hold.meta.key.namespace;
        // Only what is to be ended waits for a list that is whole.
        let waits = self.hold.has(HoldEffect::EndProcessing) && self.hold.status.ending.is_none();
        let again = self
            .survey
            .filter(|survey| waits && !survey.unread.is_empty())
            .and_then(|survey| survey.at.checked_add(SURVEY_AGAIN).ok());
        if let Some(again) = again.filter(|again| *again > self.now) {
            self.next.note(again, self.now);
        }
        let is_due = again.is_some_and(|again| again <= self.now)
            || self
                .survey
                .is_some_and(|survey| waits && survey.at > self.now);
        let is_current = self
            .survey
            .is_some_and(|survey| self.is_of_these_holds(survey));
        if is_due || !is_current {
            let labels = self
                .world
                .holds_in(namespace)
                .filter(|hold| hold.release.is_none() && !hold.scope.match_labels.is_empty())
                .map(|hold| (hold.meta.key.name.clone(), hold.scope.match_labels.clone()))
                .collect();
            self.inquiries.push(Inquiry::Survey {
                namespace: namespace.clone(),
                fingerprint: survey_fingerprint(self.world, namespace),
                labels,
            });
        }
    }

    /// Volumes that go with their claims all the same, because what would keep them was refused.
    fn volumes_not_kept(&self) -> Vec<String> {
        let kept = self
            .volumes
            .iter()
            .filter(|volume| volume.held && self.hold.has(HoldEffect::PreventDeletion));
        kept.filter_map(|volume| {
            let failure = self.world.failure(&volume.target())?;
            Some(format!(
                "PersistentVolume {}, whose reclaim policy could not be set to Retain: {}",
                volume.name, failure.message
            ))
        })
        .take(LISTED_VOLUMES)
        .collect()
    }

    fn held(&self) -> Option<HeldCount> {
        let Some(survey) = self.survey.filter(|_| self.hold.release.is_none()) else {
            return self.hold.status.held.clone();
        };
        let counts = if self.hold.scope.match_labels.is_empty() {
            &survey.counts
        } else {
            survey.labelled.get(&self.hold.meta.key.name)?
        };
        let mut held = HeldCount {
            counted_at: Some(time::text(survey.at)),
            ..HeldCount::default()
        };
        let covered = |kind: &SurveyedKind| self.hold.covers_kind(kind.group, kind.kind);
        for kind in SurveyedKind::ALL.iter().filter(|kind| covered(kind)) {
            match counts.get(kind).copied().flatten() {
                Some(0) => {}
                Some(number) => {
                    held.objects += number;
                    held.by_kind.insert(kind.kind.to_owned(), number);
                }
                None => held.not_counted.push(kind.kind.to_owned()),
            }
        }
        held.not_counted.extend(self.uncountable());
        Some(held)
    }

    /// Kinds that are held and that the operator does not list.
    fn uncountable(&self) -> BTreeSet<String> {
        let countable = |name: &str| SurveyedKind::ALL.iter().any(|kind| kind.kind == name);
        let named = &self.hold.scope.kinds;
        if named.is_empty() {
            let secrets = self
                .hold
                .covers_kind("", "Secret")
                .then(|| "Secret".to_owned());
            secrets
                .into_iter()
                .chain(["kinds of other groups".to_owned()])
                .collect()
        } else {
            let names = named.iter().map(|held| held.kind.clone());
            names.filter(|name| !countable(name)).collect()
        }
    }

    fn suspended_count(&self, grants: &[GrantPlan]) -> Option<SuspendedCount> {
        let hold = self.hold;
        if !hold.has(HoldEffect::SuspendProcessing) && !hold.has(HoldEffect::SuspendSharing) {
            return None;
        }
        let held = |grant: &&GrantPlan| {
            let by = |refusal: &Refusal| matches!(refusal, Refusal::Held { hold, .. } if *hold == self.hold.meta.key.to_string());
            grant.decision.refusals.iter().any(by)
        };
        let mut suspended = SuspendedCount {
            grants: count(grants.iter().filter(held).count()),
            ..SuspendedCount::default()
        };
        if let Some(survey) = self
            .survey
            .filter(|_| hold.has(HoldEffect::SuspendProcessing))
        {
            let number = |name: &str| {
                let mut counts = survey.counts.iter();
                counts
                    .find(|(kind, _)| kind.kind == name)
                    .and_then(|(_, number)| *number)
                    .unwrap_or_default()
            };
            suspended.deployments = number("Deployment");
            suspended.stateful_sets = number("StatefulSet");
            suspended.daemon_sets = number("DaemonSet");
            suspended.cron_jobs = number("CronJob");
            suspended.running_pods = count(survey.pods.iter().filter(|pod| pod.running).count());
            suspended.writing_pods = writing(survey).take(LISTED_PODS).collect();
        }
        Some(suspended)
    }

    /// What is beyond the API server's reach here, as far as it is known.
    fn cannot_hold(&self) -> Vec<String> {
        if self.hold.release.is_some() {
            return Vec::new();
        }
        let namespace = &self.hold.meta.key.namespace;
        let mut limits = vec![
            "data that a running application deletes or changes through its own protocol, such as rows of a database".to_owned(),
            "snapshots, backups and copies outside the cluster".to_owned(),
        ];
        if self.hold.has(HoldEffect::PreventDeletion) {
            limits.push("custom resources of a kind whose CustomResourceDefinition is deleted: the API server removes them without asking; label definitions that records rest on privacy.cloudnexus.io/kept=true, and nobody deletes them".to_owned());
            if self
                .hold
                .scope
                .kinds
                .iter()
                .any(|held| held.kind == "Event")
            {
                limits.push("Events past the time that the API server keeps them (--event-ttl, one hour where nothing is said): the store forgets them without asking".to_owned());
            }
        }
        if self.hold.has(HoldEffect::SuspendProcessing) && !self.hold.has(HoldEffect::EndProcessing)
        {
            limits.push("what a node does by itself: it stops pods for want of memory or disk, at the deadline in their spec, and with itself, and starts a container that crashed again in the pod that it is in".to_owned());
        }
        if self.hold.has(HoldEffect::FreezeAccess) {
            limits.push(
                "access through a node: its own shell, or nodes/proxy, which passes no admission"
                    .to_owned(),
            );
        }
        let own = |policy: &&crate::model::ObservedPolicy| {
            !policy.is_ours(MANAGER_NETWORK) && policy.lets_talk()
        };
        let talks = self.world.policies_in(namespace).filter(own).count();
        if self.hold.has(HoldEffect::SuspendProcessing) && talks > 0 {
            limits.push(format!(
                "traffic between pods of this namespace that {talks} policies of the tenant's own allow; they add up with default deny"
            ));
        }
        limits.extend(self.volumes_not_kept());
        if let Some(survey) = self.survey {
            let writers = writing(survey).count();
            if self.hold.has(HoldEffect::PreventAlteration) && writers > 0 {
                limits.push(format!(
                    "what {writers} pods that were here before write into the claims that they mount"
                ));
            }
            let mirrors = survey.pods.iter().filter(|pod| pod.mirror).count();
            if self.hold.has(HoldEffect::SuspendProcessing) && mirrors > 0 {
                limits.push(format!(
                    "{mirrors} static pods, which a node runs by itself"
                ));
            }
        }
        limits
    }
}

fn writing(survey: &Survey) -> impl Iterator<Item = String> {
    let writes = survey
        .pods
        .iter()
        .filter(|pod| !pod.written_claims.is_empty());
    writes.map(|pod| pod.name.clone())
}

/// What a survey is about: the holds of the namespace and what they hold. Where processing is ended it is also about the
/// proof, since before it something could still start, and about the end, after which less is there.
fn survey_fingerprint(world: &World, namespace: &str) -> String {
    let of = |hold: &Hold| {
        let effects: Vec<&str> = hold.effects.iter().map(|effect| effect.as_str()).collect();
        let mut about = format!("{}:{}", hold.meta.uid, effects.join("+"));
        if hold.has(HoldEffect::EndProcessing) {
            let refused = world
                .proof(&hold.meta.uid)
                .filter(|proof| proof.is_refused_by_all());
            let proof = refused.map(|proof| proof.fingerprint.as_str());
            let ended = world.ended(&hold.meta.uid).is_some_and(Ended::is_all);
            about.push_str(&format!(":{}:{ended}", proof.unwrap_or_default()));
        }
        about
    };
    world
        .holds_in(namespace)
        .filter(|hold| hold.release.is_none())
        .map(of)
        .collect::<Vec<_>>()
        .join(",")
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
