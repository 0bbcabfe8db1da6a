//! What somebody has just decided about the limit of a policy, and what follows.
//!
//! May not: promise what the operator has not done yet. It says what will be looked at, and where it shows.

use serde::Serialize;

use crate::api::{DisposalMode, RetentionDecision};
use crate::model::RetentionPolicy;
use crate::render::REPORT_API_VERSION;

/// A limit that was just lifted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitLifted {
    /// Version of this form.
    pub api_version: &'static str,
    /// `LimitLifted`.
    pub kind: &'static str,
    /// Namespace of the policy.
    pub namespace: String,
    /// The policy.
    pub name: String,
    /// Whether it was only checked, and nothing stored.
    pub dry_run: bool,
    /// The decision.
    pub decision: RetentionDecision,
    /// Objects that are due now and kept by nothing but the limit, as the operator counted them; absent where it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,
    /// Objects that went under the policy in all.
    pub disposed: i64,
    /// The limit, as the operator said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What follows.
    pub next: Vec<String>,
}

/// Tells of a decision. `before` is the policy as it was.
#[must_use]
pub fn limit_lifted(
    before: &RetentionPolicy,
    decision: &RetentionDecision,
    dry_run: bool,
) -> LimitLifted {
    let status = &before.status;
    let (namespace, name) = (&before.meta.key.namespace, &before.meta.key.name);
    let disposed = status
        .disposed
        .as_ref()
        .map_or(0, |disposed| disposed.total);
    let now = status.due.as_ref().map(|due| due.now);
    let limited = status.withheld.as_ref().map(|withheld| withheld.by_limit);
    let due = now.map(|now| now.saturating_add(limited.unwrap_or_default()));
    let allows = decision.until_total.saturating_sub(disposed);
    let mut exceeded = status.conditions.iter();
    let exceeded =
        exceeded.find(|condition| condition.type_ == "LimitExceeded" && condition.status == "True");
    let mut next = vec![match before.mode {
        DisposalMode::Dispose => format!(
            "the next runs dispose of up to {allows} objects past the limit, until {} went in all ({disposed} did so far)",
            decision.until_total
        ),
        DisposalMode::Preview => format!(
            "nothing goes yet: the policy only previews, and an edit of its mode is another generation, for which the limit is lifted anew ({allows} objects would go)"
        ),
    }];
    match due {
        Some(due) if due > allows => next.push(format!(
            "{due} are due, so {} of them stay behind the limit; to let all go, lift it until {}",
            due - allows,
            disposed.saturating_add(due)
        )),
        Some(_) => {}
        None => next.push(
            "how many are due is not known: the operator has not counted them; see that it runs"
                .to_owned(),
        ),
    }
    if status.observed_generation != Some(before.meta.generation) {
        next.push(
            "the operator has not read this generation of the policy yet; the counts are of the one before".to_owned(),
        );
    } else if exceeded.is_none() {
        next.push(
            "the limit does not stop anything now; the decision counts when it would".to_owned(),
        );
    }
    next.push(
        "holds, minimums, the grace and who tracks an object are asked as before; each object gets its receipt in the ledger".to_owned(),
    );
    next.push(
        "an edit of the policy ends this decision: what it selects, or when, may have changed"
            .to_owned(),
    );
    next.push(format!(
        "to watch it: kubectl get retpol {name} -n {namespace} -w"
    ));
    LimitLifted {
        api_version: REPORT_API_VERSION,
        kind: "LimitLifted",
        namespace: namespace.clone(),
        name: name.clone(),
        dry_run,
        decision: decision.clone(),
        due,
        disposed,
        limit: exceeded.map(|condition| condition.message.clone()),
        next,
    }
}
