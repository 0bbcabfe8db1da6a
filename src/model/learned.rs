//! What the operator found out by asking, and no watch tells: canaries, counts, what became of pods.
//!
//! May not: be stored. It is lost with the process and asked for again.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// What canaries showed about a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What was proven: the hold, the guards and the servers as they were.
    pub fingerprint: String,
    /// When.
    pub at: Timestamp,
    /// What each server answered, by address.
    pub answers: Vec<(String, CanaryAnswer)>,
}

impl Proof {
    /// Whether every server that was asked refused.
    #[must_use]
    pub fn is_refused_by_all(&self) -> bool {
        let refused = |(_, answer): &(String, CanaryAnswer)| *answer == CanaryAnswer::Refused;
        self.answers.iter().all(refused)
    }
}

/// How a server answered a canary: a dry-run delete of the hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanaryAnswer {
    /// It refused, and named the hold.
    Refused,
    /// It would have deleted it.
    Passed,
    /// It refused for another reason, such as a policy that it has not synced.
    Otherwise(String),
    /// It gave no answer.
    Unreachable(String),
}

/// What was counted and found in a namespace with holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// What was asked for: the holds as they were.
    pub fingerprint: String,
    /// When.
    pub at: Timestamp,
    /// How many objects of each kind that may be counted; none where it could not be.
    pub counts: BTreeMap<SurveyedKind, Option<i64>>,
    /// By hold, where it narrows by labels: how many objects of each kind have them.
    pub labelled: BTreeMap<String, BTreeMap<SurveyedKind, Option<i64>>>,
    /// What of pods, Jobs and CronJobs could not be listed, and why: while there is any, what would be lost is not known.
    pub unread: Vec<String>,
    /// Pods that have not finished.
    pub pods: Vec<SurveyedPod>,
    /// Jobs that have not finished: name, and how many more failures each may have.
    pub jobs: BTreeMap<String, i64>,
    /// CronJobs that are not suspended: name and schedule.
    pub cron_jobs: BTreeMap<String, String>,
}

impl Survey {
    /// The pods that an end is about: not a node's own.
    pub fn ending(&self) -> impl Iterator<Item = &SurveyedPod> {
        self.pods.iter().filter(|pod| !pod.mirror)
    }
}

/// A kind that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SurveyedKind {
    /// API group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Plural.
    pub plural: &'static str,
}

impl SurveyedKind {
    const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Self {
        Self {
            group,
            version,
            kind,
            plural,
        }
    }

    /// The kinds that the operator may list. Secrets are held too, and not read.
    pub const ALL: [Self; 11] = [
        Self::new("", "v1", "ConfigMap", "configmaps"),
        Self::new("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
        Self::new("", "v1", "ServiceAccount", "serviceaccounts"),
        Self::new("", "v1", "Service", "services"),
        Self::new("apps", "v1", "Deployment", "deployments"),
        Self::new("apps", "v1", "StatefulSet", "statefulsets"),
        Self::new("apps", "v1", "DaemonSet", "daemonsets"),
        Self::new("batch", "v1", "Job", "jobs"),
        Self::new("batch", "v1", "CronJob", "cronjobs"),
        Self::new(
            "networking.k8s.io",
            "v1",
            "NetworkPolicy",
            "networkpolicies",
        ),
        Self::new(
            "privacy.cloudnexus.io",
            "v1alpha1",
            "DataSharingGrant",
            "datasharinggrants",
        ),
    ];
}

/// A pod, as far as its end concerns anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SurveyedPod {
    /// Name.
    pub name: String,
    /// Kind and name of its controller.
    pub controller: Option<(String, String)>,
    /// Volumes that go with it.
    pub empty_dirs: Vec<String>,
    /// Claims that it mounts for writing.
    pub written_claims: Vec<String>,
    /// Whether it is a node's own, which no API call ends.
    pub mirror: bool,
    /// Whether it runs; otherwise it waits to.
    pub running: bool,
}

/// What became of the pods that a hold ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When it was last looked.
    pub at: Timestamp,
    /// How many are left; none where it could not be told.
    pub remaining: Option<usize>,
    /// Why some could not be ended, if so.
    pub problem: Option<String>,
}

impl Ended {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.remaining == Some(0)
    }
}
