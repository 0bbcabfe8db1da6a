//! `covenant retention lift`: one entry more in a policy's decisions, and nothing else.
//!
//! The entry is added to exactly what was read (resourceVersion is a precondition), so that of two who decide at once one
//! reads again what the other decided. May not: decide about a generation that was not looked at, or in another's name.

use anyhow::{Context as _, bail};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::Status;
use kube::{Client, Error};

use super::{RetentionError, live};
use crate::api::{RetentionDecision, RetentionDecisionType};
use crate::cli::connect::{self, Connection};
use crate::cli::decision::{ATTEMPTS, DryRun, MANAGER, patch, reason};
use crate::cli::plan::{Output, print};
use crate::model::{Kind, ObjectKey, RetentionPolicy};
use crate::render;

/// Most decisions that a policy keeps.
const MOST: usize = 32;

/// Arguments of `covenant retention lift`.
#[derive(Debug, clap::Args)]
pub(super) struct LiftArguments {
    /// Name of the policy.
    policy: String,
    /// Runs may go past the limit until so many objects went under the policy in all (its status.disposed.total).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    until: i64,
    /// Why. An auditor will read it, and tenants can.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Namespace of the policy; your kubeconfig's when absent.
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    connection: Connection,
    /// With `server`, everything is checked and nothing stored; that is also meant where no mode is given.
    #[arg(
        long,
        value_enum,
        value_name = "MODE",
        num_args = 0..=1,
        require_equals = true,
        default_value_t,
        default_missing_value = "server"
    )]
    dry_run: DryRun,
    /// How to print what was decided.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Lifts the limit of a policy.
pub(super) async fn run(arguments: &LiftArguments) -> anyhow::Result<()> {
    let reason = reason(&arguments.reason)?;
    let client = arguments.connection.client().await?;
    let namespace = arguments.namespace.as_deref();
    let key = ObjectKey::new(
        namespace.unwrap_or(client.default_namespace()),
        &arguments.policy,
    );
    let decision = RetentionDecision {
        decision: RetentionDecisionType::LimitLifted,
        by: connect::user(&client).await?,
        reason,
        generation: 0,
        until_total: arguments.until,
    };
    let dry_run = arguments.dry_run == DryRun::Server;
    let (before, decision) = write(&client, &key, decision, dry_run).await?;
    let report = render::limit_lifted(&before, &decision, dry_run);
    print(arguments.output, &report, || {
        render::limit_lifted_text(&report)
    })
}

/// Adds the decision to those that there are. Returns the policy as it was before, and the decision as it was made.
async fn write(
    client: &Client,
    key: &ObjectKey,
    mut decision: RetentionDecision,
    dry_run: bool,
) -> anyhow::Result<(RetentionPolicy, RetentionDecision)> {
    let resource = Kind::RetentionPolicy.api_resource();
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), &key.namespace, &resource);
    let parameters = PatchParams {
        dry_run,
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let mut looked_at = None;
    for _ in 0..ATTEMPTS {
        let object = live::policy(client, key).await?;
        // Only what was read first was decided about.
        let generation = *looked_at.get_or_insert(object.metadata.generation);
        if generation != object.metadata.generation {
            bail!(
                "RetentionPolicy {key} was just edited; look at what is due again (kubectl covenant retention preview), then decide"
            );
        }
        decision.generation = generation.unwrap_or_default();
        let version = object.metadata.resource_version.clone();
        let patch = patch(version.as_deref(), &object.data, &decision);
        let policy = RetentionPolicy::read(object);
        sensible(&policy, &decision)?;
        match api
            .patch_status(&key.name, &parameters, &Patch::Merge(&patch))
            .await
        {
            Ok(_) => return Ok((policy, decision)),
            Err(Error::Api(status)) if status.code == 409 => {}
            Err(Error::Api(status)) => return Err(refusal(&status, key, &decision.by).into()),
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "the API server did not answer; `kubectl get retpol {} -n {} -o yaml` tells whether it was decided (status.decisions)",
                        key.name, key.namespace
                    )
                });
            }
        }
    }
    Err(RetentionError::Crowded(key.clone()).into())
}

/// Refuses to decide what changes nothing: the record would tell of something that never happened.
fn sensible(policy: &RetentionPolicy, decision: &RetentionDecision) -> Result<(), RetentionError> {
    let key = policy.meta.key.clone();
    let status = &policy.status;
    let gone = status
        .disposed
        .as_ref()
        .map_or(0, |disposed| disposed.total);
    if decision.until_total <= gone {
        let due = status.due.as_ref().map_or(0, |due| due.now);
        let limited = status
            .withheld
            .as_ref()
            .map_or(0, |withheld| withheld.by_limit);
        let due = due.saturating_add(limited);
        let then = if due > 0 {
            format!(
                "{due} are due: to let all of them go, --until {}",
                gone.saturating_add(due)
            )
        } else {
            "name more than that".to_owned()
        };
        return Err(RetentionError::LiftsNothing {
            policy: key,
            until: decision.until_total,
            gone,
            then,
        });
    }
    if policy.decisions.len() >= MOST {
        return Err(RetentionError::Full(key));
    }
    let further = policy.decisions.iter().find(|made| {
        made.generation == decision.generation && made.until_total >= decision.until_total
    });
    match further {
        Some(made) => Err(RetentionError::AlreadyLifted {
            policy: key,
            lifted: made.until_total,
            by: made.by.clone(),
            reason: made.reason.clone(),
        }),
        None => Ok(()),
    }
}

fn refusal(status: &Status, key: &ObjectKey, user: &str) -> RetentionError {
    if let Some(said) = connect::guard_message(&status.message) {
        return RetentionError::Refused(said.to_owned());
    }
    match status.code {
        403 => RetentionError::MayNotDecide {
            user: user.to_owned(),
            policy: key.clone(),
        },
        404 => RetentionError::NoSuchPolicy {
            policy: key.clone(),
            there: "it was just deleted".to_owned(),
        },
        _ => RetentionError::Invalid(status.message.clone()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use serde_json::{Value, json};

    use super::*;

    fn decision(generation: i64, until_total: i64) -> RetentionDecision {
        RetentionDecision {
            decision: RetentionDecisionType::LimitLifted,
            by: "officer".to_owned(),
            reason: "the archive was checked".to_owned(),
            generation,
            until_total,
        }
    }

    fn policy(status: &Value) -> RetentionPolicy {
        let object = json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "RetentionPolicy",
            "metadata": { "name": "build-logs", "namespace": "acme-prod", "generation": 3 },
            "spec": {}, "status": status
        });
        RetentionPolicy::read(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn what_stands_is_repeated_as_it_is_stored() {
        let odd = json!({ "type": "LimitLifted", "by": "o", "reason": "r", "generation": 1, "untilTotal": 5, "odd": 1 });
        let stored = json!({ "status": { "decisions": [odd], "matched": 4 } });
        let patch = patch(Some("7"), &stored, &decision(3, 60));
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["status"]["decisions"][0], odd);
        assert_eq!(patch["status"]["decisions"][1]["untilTotal"], 60);
        assert_eq!(patch["status"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn a_decision_that_changes_nothing_is_not_made() {
        let gone = policy(
            &json!({ "disposed": { "total": 60 }, "due": { "now": 0, "within24h": 0 }, "withheld": {
            "total": 51, "byHold": 0, "byMinimum": 0, "byGrace": 0, "byLimit": 51, "managedElsewhere": 0, "byOwner": 0, "otherwise": 0
        } }),
        );
        let said = sensible(&gone, &decision(3, 60)).unwrap_err().to_string();
        assert!(
            said.contains("to let all of them go, --until 111"),
            "{said}"
        );
        assert!(sensible(&gone, &decision(3, 61)).is_ok());
        let lifted = policy(&json!({ "decisions": [decision(2, 500), decision(3, 100)] }));
        let said = sensible(&lifted, &decision(3, 100))
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("until 100 objects went in all already (officer: "),
            "{said}"
        );
        assert!(
            sensible(&lifted, &decision(3, 101)).is_ok(),
            "an earlier generation counts for nothing"
        );
        let full = policy(&json!({ "decisions": vec![decision(1, 1); MOST] }));
        assert!(matches!(
            sensible(&full, &decision(3, 9)),
            Err(RetentionError::Full(_))
        ));
    }
}
