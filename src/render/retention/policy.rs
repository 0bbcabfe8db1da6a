//! The policies of a namespace as they are planned, and the minimums that guards read.

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{
    DisposalMode, DueCount, RetentionPolicyStatus, RetentionRule, RetentionStart, WithheldCount,
};
use crate::model::{RetentionPolicy, Unit, World};
use crate::plan::{Plan, plan};

/// What is kept and disposed of in a namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionReport {
    /// Its policies, by name.
    pub policies: Vec<RetentionRuleReport>,
    /// The minimums that guards read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub boundaries: Vec<BoundaryReport>,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionRuleReport {
    /// Name.
    pub name: String,
    /// The periods in short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// From when they count; absent where that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<RetentionStart>,
    /// What happens after the maximum.
    pub mode: DisposalMode,
    /// The law, contract or rule that asks for it.
    pub basis: String,
    /// Its condition `Ready`: `True`, `False` or `Unknown`.
    pub ready: String,
    /// Why.
    pub reason: String,
    /// In words.
    pub message: String,
    /// How many objects it selects; absent while that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<i64>,
    /// What is due; absent where it has no maximum, or that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<DueCount>,
    /// What is past its maximum and kept all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld: Option<WithheldCount>,
    /// Why nothing goes, where more is due than a run may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_exceeded: Option<String>,
    /// How many objects went under it in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disposed: Option<i64>,
}

/// A minimum as guards read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BoundaryReport {
    /// Whose it is.
    pub rule: String,
    /// What it is about, such as `Job.batch` with its labels and names.
    pub selects: String,
    /// From when it counts.
    pub starts_at: RetentionStart,
    /// The minimum.
    pub at_least: String,
    /// What began by then may be deleted; absent: nothing may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_before: Option<String>,
}

/// What is kept and disposed of in a namespace; none where nothing is said about that.
#[must_use]
pub fn retention(world: &World, namespace: &str, now: Timestamp) -> Option<RetentionReport> {
    let planned = plan(world, &Unit::Retention(namespace.to_owned()), now);
    let policies = world.retention_policies_in(namespace);
    let report = RetentionReport {
        policies: policies.map(|policy| report(policy, &planned)).collect(),
        boundaries: boundaries(world, namespace, &planned),
    };
    (!report.policies.is_empty() || !report.boundaries.is_empty()).then_some(report)
}

fn report(policy: &RetentionPolicy, planned: &Plan) -> RetentionRuleReport {
    let mut statuses = planned.statuses.iter();
    let status = statuses.find(|planned| planned.target.key == policy.meta.key);
    let status: RetentionPolicyStatus = status
        .and_then(|planned| serde_json::from_value(planned.status.clone()).ok())
        .unwrap_or_default();
    // Who may not read the objects is told what the operator counted.
    let stored = &policy.status;
    let is_counted =
        stored.matched.is_some() && stored.observed_generation == Some(policy.meta.generation);
    let status = if status.matched.is_none() && is_counted {
        stored.clone()
    } else {
        status
    };
    let condition = |kind: &str| {
        let mut conditions = status.conditions.iter();
        conditions.find(|condition| condition.type_ == kind)
    };
    let ready = condition("Ready");
    let limit = condition("LimitExceeded").filter(|condition| condition.status == "True");
    RetentionRuleReport {
        name: policy.meta.key.name.clone(),
        keep: policy.keep_in_short(),
        starts_at: policy.starts_at,
        mode: policy.mode,
        basis: policy.basis.clone(),
        ready: ready.map_or("Unknown", |ready| &ready.status).to_owned(),
        reason: ready.map(|ready| ready.reason.clone()).unwrap_or_default(),
        message: ready.map(|ready| ready.message.clone()).unwrap_or_default(),
        matched: status.matched,
        due: status.due,
        withheld: status.withheld,
        limit_exceeded: limit.map(|limit| limit.message.clone()),
        disposed: status.disposed.map(|disposed| disposed.total),
    }
}

/// As they will be stored, or as they are where nothing is to be said about them.
fn boundaries(world: &World, namespace: &str, planned: &Plan) -> Vec<BoundaryReport> {
    let stored = world.parameters(namespace);
    let spec = match &planned.parameters {
        Some(parameters) => parameters.spec.as_ref(),
        None => stored.and_then(|stored| stored.spec.as_ref()),
    };
    let rules = spec.map(|spec| spec.retention.as_slice());
    rules.unwrap_or_default().iter().map(boundary).collect()
}

fn boundary(rule: &RetentionRule) -> BoundaryReport {
    let mut selects = if rule.kind == "*" {
        "every kind".to_owned()
    } else {
        super::words::kind(&rule.api_group, &rule.kind)
    };
    let labels = rule.match_labels.iter();
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let parts = [
        (!labels.is_empty()).then(|| format!(" with {}", labels.join(","))),
        (!rule.names.is_empty()).then(|| format!(" named {}", rule.names.join(" or "))),
        rule.name_prefix
            .as_ref()
            .map(|prefix| format!(" named {prefix}*")),
    ];
    selects.extend(parts.into_iter().flatten());
    BoundaryReport {
        rule: rule.rule.clone(),
        selects,
        starts_at: rule.starts_at,
        at_least: rule.at_least.clone(),
        started_before: rule.started_before.as_ref().map(|until| until.0.clone()),
    }
}
