//! `covenant hold release` and `covenant hold narrow`: one entry more in a hold's decisions, and nothing else.
//!
//! The entry is added to exactly what was read (resourceVersion is a precondition), so that of two who decide at once one
//! reads again what the other decided. May not: repeat a decision that another one has overtaken.

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::Status;
use kube::{Client, Error};

use super::{HoldError, Place, get, holds};
use crate::api::{HeldKind, HoldDecision, HoldDecisionType, HoldEffect, PeriodText};
use crate::cli::connect;
use crate::cli::decision::{ATTEMPTS, DryRun, MANAGER, patch, reason};
use crate::cli::plan::{Instant, Output, print};
use crate::model::{Hold, ObjectKey, time};
use crate::render;

/// Most kinds that one decision leaves out.
const MOST_KINDS: usize = 16;

/// Arguments of `covenant hold release`.
#[derive(Debug, clap::Args)]
pub(super) struct ReleaseArguments {
    #[command(flatten)]
    common: Common,
    /// How long disposal and erasure still wait, such as PT1H or P30D; they do not when absent.
    #[arg(long, value_name = "PERIOD")]
    restore_after: Option<String>,
}

/// Arguments of `covenant hold narrow`.
#[derive(Debug, clap::Args)]
pub(super) struct NarrowArguments {
    #[command(flatten)]
    common: Common,
    /// An effect that ends, such as FreezeAccess. Give it as often as needed.
    #[arg(long = "lift", value_name = "EFFECT")]
    effects: Vec<String>,
    /// A kind that is left out from now on, such as Secret or apps/Deployment. Give it as often as needed.
    #[arg(long = "except", value_name = "[GROUP/]KIND")]
    kinds: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// Name of the hold.
    name: String,
    /// Why. An auditor will read it, and tenants can.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    place: Place,
    /// With `server`, everything is checked and nothing stored.
    #[arg(long, value_enum, value_name = "MODE", default_value_t)]
    dry_run: DryRun,
    /// How to print what was decided.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Releases a hold.
pub(super) async fn release(arguments: &ReleaseArguments) -> anyhow::Result<()> {
    let now = Instant::default().resolve()?;
    let restore_after = match &arguments.restore_after {
        Some(text) => {
            let period = PeriodText(text.clone());
            time::after(now, &period).context("--restore-after")?;
            Some(period)
        }
        None => None,
    };
    let decision = HoldDecision {
        decision: HoldDecisionType::Released,
        by: String::new(),
        reason: reason(&arguments.common.reason)?,
        restore_after,
        effects: Vec::new(),
        except_kinds: Vec::new(),
    };
    decide(&arguments.common, decision, now).await
}

/// Narrows a hold.
pub(super) async fn narrow(arguments: &NarrowArguments) -> anyhow::Result<()> {
    if arguments.effects.is_empty() && arguments.kinds.is_empty() {
        bail!(
            "name what the hold no longer does (--lift EFFECT) or no longer keeps (--except KIND)"
        );
    }
    if arguments.kinds.len() > MOST_KINDS {
        bail!("--except: one decision leaves out {MOST_KINDS} kinds at most; make two");
    }
    let mut effects: Vec<HoldEffect> = Vec::new();
    for name in &arguments.effects {
        let effect = effect(name)?;
        if !effects.contains(&effect) {
            effects.push(effect);
        }
    }
    let kinds: anyhow::Result<Vec<HeldKind>> =
        arguments.kinds.iter().map(|name| kind(name)).collect();
    let decision = HoldDecision {
        decision: HoldDecisionType::Narrowed,
        by: String::new(),
        reason: reason(&arguments.common.reason)?,
        restore_after: None,
        effects,
        except_kinds: kinds?,
    };
    let now = Instant::default().resolve()?;
    decide(&arguments.common, decision, now).await
}

fn effect(name: &str) -> anyhow::Result<HoldEffect> {
    let known = HoldEffect::ALL
        .into_iter()
        .find(|effect| effect.as_str() == name);
    known.with_context(|| {
        let all = HoldEffect::ALL.map(HoldEffect::as_str).join(", ");
        format!("--lift: there is no effect {name}; there are {all}")
    })
}

fn kind(name: &str) -> anyhow::Result<HeldKind> {
    let (group, kind) = match name.split_once('/') {
        Some((group, kind)) => (Some(group), kind),
        None => (None, name),
    };
    let well_formed = kind.starts_with(|first: char| first.is_ascii_uppercase())
        && kind.chars().all(|letter| letter.is_ascii_alphanumeric())
        && kind.len() <= 63;
    if !well_formed || group.is_some_and(str::is_empty) {
        bail!(
            "--except: `{name}` is no kind; write it as in a manifest, with its group where it has one: Secret, apps/Deployment"
        );
    }
    Ok(HeldKind {
        api_group: group.map(str::to_owned),
        kind: kind.to_owned(),
    })
}

async fn decide(common: &Common, mut decision: HoldDecision, now: Timestamp) -> anyhow::Result<()> {
    let (client, namespace) = common.place.open().await?;
    let key = ObjectKey::new(&namespace, &common.name);
    decision.by = connect::user(&client).await?;
    let dry_run = common.dry_run == DryRun::Server;
    let before = write(&client, &key, &decision, dry_run).await?;
    let others = others(&client, &key).await;
    let report = render::hold_decided(&before, &decision, &others, dry_run, now);
    print(common.output, &report, || {
        render::hold_decided_text(&report)
    })
}

/// Adds the decision to those that there are, and returns the hold as it was before.
async fn write(
    client: &Client,
    key: &ObjectKey,
    decision: &HoldDecision,
    dry_run: bool,
) -> anyhow::Result<Hold> {
    let parameters = PatchParams {
        dry_run,
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    for _ in 0..ATTEMPTS {
        let object = get(client, key).await?;
        let at = render::decided_at(&object);
        let version = object.metadata.resource_version.as_deref();
        let patch = patch(version, &object.data, decision);
        let hold = Hold::read(object);
        if let Some(release) = &hold.release {
            return Err(HoldError::AlreadyReleased {
                hold: key.clone(),
                by: release.by.clone(),
                at: at.map(|at| format!(" at {at}")).unwrap_or_default(),
                reason: release.reason.clone(),
            }
            .into());
        }
        sensible(&hold, decision)?;
        let api = holds(client, &key.namespace);
        match api
            .patch_status(&key.name, &parameters, &Patch::Merge(&patch))
            .await
        {
            Ok(_) => return Ok(hold),
            Err(Error::Api(status)) if status.code == 409 => {}
            Err(Error::Api(status)) => return Err(refusal(&status, key, &decision.by).into()),
            Err(error) => {
                return Err(error).context(
                    "the API server did not answer; `kubectl covenant hold explain` tells whether it was decided",
                );
            }
        }
    }
    Err(HoldError::Crowded(key.clone()).into())
}

/// Refuses to narrow what is not there: the record would tell of something that never happened.
fn sensible(hold: &Hold, decision: &HoldDecision) -> anyhow::Result<()> {
    for effect in &decision.effects {
        if !hold.has(*effect) {
            let names: Vec<&str> = hold.effects.iter().map(|effect| effect.as_str()).collect();
            let in_force = match names.as_slice() {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            bail!(
                "--lift: the effect {} of ProcessingHold {} is not in force; in force: {in_force}",
                effect.as_str(),
                hold.meta.key
            );
        }
    }
    let lifts = |effect| decision.effects.contains(&effect);
    if lifts(HoldEffect::SuspendProcessing)
        && hold.has(HoldEffect::EndProcessing)
        && !lifts(HoldEffect::EndProcessing)
    {
        bail!(
            "--lift: EndProcessing is in force too, and what it ends would start again; lift both \
             (--lift SuspendProcessing --lift EndProcessing)"
        );
    }
    Ok(())
}

fn refusal(status: &Status, key: &ObjectKey, user: &str) -> HoldError {
    if let Some(said) = connect::guard_message(&status.message) {
        return HoldError::Refused(said.to_owned());
    }
    match status.code {
        403 => HoldError::MayNotDecide {
            user: user.to_owned(),
            hold: key.clone(),
        },
        404 => HoldError::NoSuchHold(key.clone()),
        _ => HoldError::Invalid(status.message.clone()),
    }
}

/// Names of the other holds of the namespace that nobody released; none where they cannot be read.
async fn others(client: &Client, key: &ObjectKey) -> Vec<String> {
    let list = holds(client, &key.namespace)
        .list(&Default::default())
        .await;
    let holds = list.map(|list| list.items).unwrap_or_default();
    holds
        .into_iter()
        .map(Hold::read)
        .filter(|hold| hold.release.is_none() && hold.meta.key != *key)
        .map(|hold| hold.meta.key.name)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_is_repeated_as_it_is_stored() {
        let odd = json!({ "type": "Narrowed", "by": "o", "reason": "r", "effects": ["FreezeAccess"], "exceptKinds": [] });
        let stored = json!({ "status": { "decisions": [odd], "effects": [] } });
        let released = HoldDecision {
            decision: HoldDecisionType::Released,
            by: "officer".to_owned(),
            reason: "settled".to_owned(),
            restore_after: None,
            effects: Vec::new(),
            except_kinds: Vec::new(),
        };
        let patch = patch(Some("7"), &stored, &released);
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["status"]["decisions"][0], odd);
        assert_eq!(
            patch["status"]["decisions"][1],
            json!({ "type": "Released", "by": "officer", "reason": "settled" })
        );
        assert_eq!(patch["status"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn kinds_are_written_as_in_manifests() {
        let core = kind("Secret").unwrap();
        assert_eq!((core.api_group, core.kind.as_str()), (None, "Secret"));
        let named = kind("cert-manager.io/Certificate").unwrap();
        assert_eq!(named.api_group.as_deref(), Some("cert-manager.io"));
        for wrong in ["secrets", "/Secret", "apps/", "apps/v1/Deployment", ""] {
            assert!(kind(wrong).is_err(), "{wrong}");
        }
    }
}
