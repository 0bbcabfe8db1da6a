//! Retention policies, read. Each part stands alone: what cannot be read is an error and counts as the stricter case, and
//! does not undo the rest. Nothing is disposed of under a policy with an error.
//!
//! May not: decide what goes.

use jiff::Timestamp;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{LastRun, Minimum, Rule, Selection, Source, selections};
use crate::api::{
    DataCategory, DisposalMode, PeriodText, Propagation, RetentionDecision, RetentionPolicyStatus,
    RetentionStart,
};
use crate::model::error::FieldError;
use crate::model::grant::split;
use crate::model::identity::Meta;
use crate::model::time;

/// A retention policy.
#[derive(Clone, Debug, PartialEq)]
pub struct RetentionPolicy {
    /// Metadata.
    pub meta: Meta,
    /// What the objects hold, where it could be read.
    pub data_category: Option<DataCategory>,
    /// What it selects, as far as it could be read; sorted.
    pub selections: Vec<Selection>,
    /// Whether some of what it selects could not be read, so that what is stored for it stays.
    pub has_unreadable_selection: bool,
    /// From when periods count; none where that cannot be read.
    pub starts_at: Option<RetentionStart>,
    /// How long objects are kept at least.
    pub at_least: Option<Minimum>,
    /// How long objects are kept at most, where that could be read.
    pub at_most: Option<PeriodText>,
    /// Whether anything is deleted.
    pub mode: DisposalMode,
    /// What becomes of objects that a deleted one owns.
    pub propagation: Propagation,
    /// The law, contract or rule that asks for it.
    pub basis: String,
    /// What people decided, as far as it could be read.
    pub decisions: Vec<RetentionDecision>,
    /// What could not be read, or contradicts itself. Nothing is disposed of while there is any.
    pub errors: Vec<FieldError>,
    /// The stored status, without the decisions, which are officers' to write.
    pub status: RetentionPolicyStatus,
}

impl RetentionPolicy {
    /// Reads a policy.
    #[must_use]
    pub fn read(object: DynamicObject) -> Self {
        let (meta, spec, mut status) = split(object);
        let mut errors = Vec::new();
        let decisions = decisions(&status);
        // One that cannot be read must not take with it what the operator wrote beside it.
        if let Some(fields) = status.as_object_mut() {
            fields.remove("decisions");
        }
        let (selections, has_unreadable_selection) =
            selections(&mut errors, spec.get("select"), "spec.select");
        let starts_at = match spec.get("startsAt").filter(|value| !value.is_null()) {
            None => Some(RetentionStart::default()),
            Some(value) => part(
                &mut errors,
                value,
                "spec.startsAt",
                "write CreatedAt, CompletedAt or RetainedSince",
            ),
        };
        if starts_at == Some(RetentionStart::CompletedAt) {
            for selection in selections.iter().filter(|one| !one.kind.completes()) {
                errors.push(FieldError::new(
                    "spec.startsAt",
                    format!(
                        "CompletedAt is known of Jobs and Pods only, not of {}; write CreatedAt or RetainedSince",
                        selection.kind
                    ),
                ));
            }
        }
        let (at_least, at_most) = periods(&mut errors, spec.get("keep"));
        let disposal = spec.get("disposal").filter(|value| !value.is_null());
        let (mode, propagation) =
            disposal.map_or_else(Default::default, |value| disposal_of(&mut errors, value));
        let missing = Value::Null;
        let data_category = spec
            .get("dataCategory")
            .or(Some(&missing))
            .and_then(|value| {
                part(
                    &mut errors,
                    value,
                    "spec.dataCategory",
                    "write one of the categories that `kubectl explain` lists",
                )
            });
        let basis = text(spec.get("basis")).unwrap_or_default();
        if basis.is_empty() {
            let message = "is missing; name the law, contract or rule that asks for it";
            errors.push(FieldError::new("spec.basis", message));
        }
        Self {
            meta,
            data_category,
            selections,
            has_unreadable_selection,
            starts_at,
            at_least,
            at_most,
            mode,
            propagation,
            basis,
            decisions,
            errors,
            status: serde_json::from_value(status).unwrap_or_default(),
        }
    }

    /// What it asks of objects. No maximum where it cannot be read whole.
    #[must_use]
    pub fn rule(&self) -> Rule {
        Rule {
            source: Source::Policy(self.meta.key.name.clone()),
            selections: self.selections.clone(),
            starts_at: self.starts_at,
            at_least: self.at_least.clone(),
            at_most: self.at_most.clone().filter(|_| self.errors.is_empty()),
        }
    }

    /// When this generation was first read, as stored; none before that.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        let status = &self.status;
        let since = status.since.as_ref()?;
        if status.observed_generation != Some(self.meta.generation) {
            return None;
        }
        time::beginning(since).ok()
    }

    /// The last run that the status tells of.
    #[must_use]
    pub fn last_run(&self) -> Option<LastRun> {
        let disposed = self.status.disposed.as_ref()?;
        let at = time::beginning(disposed.last_run_at.as_ref()?).ok()?;
        let to = u64::try_from(disposed.ledger.as_ref()?.to).ok()?;
        Some(LastRun { at, to })
    }

    /// How many objects may be disposed of in all, past the limit, by the furthest decision about this generation.
    #[must_use]
    pub fn lifted_until(&self) -> Option<i64> {
        let of_this = self
            .decisions
            .iter()
            .filter(|decision| decision.generation == self.meta.generation);
        of_this.map(|decision| decision.until_total).max()
    }

    /// The periods in short, such as `P30D to P1Y`.
    #[must_use]
    pub fn keep_in_short(&self) -> Option<String> {
        let least = self.at_least.as_ref().map(|minimum| match minimum {
            Minimum::Period(period) => period.0.as_str(),
            Minimum::Forever(_) => "for good",
        });
        let most = self.at_most.as_ref().map(|period| period.0.as_str());
        Some(match (least, most) {
            (Some(least), Some(most)) => format!("{least} to {most}"),
            (Some(least), None) => format!("{least} or longer"),
            (None, Some(most)) => format!("at most {most}"),
            (None, None) => return None,
        })
    }
}

/// One decision that cannot be read lifts nothing.
fn decisions(status: &Value) -> Vec<RetentionDecision> {
    let listed = status.get("decisions").and_then(Value::as_array);
    let read = |value: &Value| serde_json::from_value(value.clone()).ok();
    listed.into_iter().flatten().filter_map(read).collect()
}

fn text(value: Option<&Value>) -> Option<String> {
    Some(value?.as_str()?.to_owned())
}

fn part<T: DeserializeOwned>(
    errors: &mut Vec<FieldError>,
    value: &Value,
    path: &str,
    expected: &str,
) -> Option<T> {
    serde_json::from_value(value.clone())
        .map_err(|error| errors.push(FieldError::new(path, format!("{error}; {expected}"))))
        .ok()
}

fn periods(
    errors: &mut Vec<FieldError>,
    keep: Option<&Value>,
) -> (Option<Minimum>, Option<PeriodText>) {
    let Some(fields) = keep.and_then(Value::as_object) else {
        errors.push(FieldError::new(
            "spec.keep",
            "is missing or unreadable; give atLeast, atMost or both. Until then what is selected is kept for good",
        ));
        return (Some(Minimum::Forever("unreadable".to_owned())), None);
    };
    let least = fields.get("atLeast").filter(|value| !value.is_null());
    let most = fields.get("atMost").filter(|value| !value.is_null());
    if least.is_none() && most.is_none() {
        errors.push(FieldError::new("spec.keep", "give atLeast, atMost or both"));
    }
    let least = least.map(|value| minimum(errors, value, "spec.keep.atLeast"));
    let most = most.and_then(|value| match period(value) {
        Ok(period) => Some(period),
        Err(problem) => {
            let message = format!("{problem}; until it can be read, nothing is disposed of");
            errors.push(FieldError::new("spec.keep.atMost", message));
            None
        }
    });
    if let (Some(Minimum::Period(least)), Some(most)) = (&least, &most)
        && is_always_longer(least, most)
    {
        errors.push(FieldError::new(
            "spec.keep",
            format!(
                "atLeast {} is longer than atMost {}; shorten the one or lengthen the other. Until then nothing is disposed of and the minimum binds",
                least.0, most.0
            ),
        ));
    }
    (least, most)
}

/// Reads a minimum; one that cannot be read keeps for good.
pub(in crate::model) fn minimum(
    errors: &mut Vec<FieldError>,
    value: &Value,
    path: &str,
) -> Minimum {
    match period(value) {
        Ok(period) => Minimum::Period(period),
        Err(problem) => {
            let message =
                format!("{problem}; until it can be read, what is selected is kept for good");
            errors.push(FieldError::new(path, message));
            Minimum::Forever(
                value
                    .as_str()
                    .filter(|text| !text.is_empty() && text.len() <= 32)
                    .unwrap_or("unreadable")
                    .to_owned(),
            )
        }
    }
}

fn period(value: &Value) -> Result<PeriodText, String> {
    let Some(text) = value.as_str() else {
        return Err(format!("`{value}` is no text; write a period like P90D"));
    };
    let period = PeriodText(text.to_owned());
    time::period(&period).map_err(|error| error.to_string())?;
    Ok(period)
}

/// Months differ, so P1M and P30D contradict each other only in some: what is longer from the first of every month is longer.
fn is_always_longer(least: &PeriodText, most: &PeriodText) -> bool {
    (1..=12).all(|month| {
        let first: Result<Timestamp, _> = format!("2027-{month:02}-01T00:00:00Z").parse();
        first.is_ok_and(
            |first| match (time::after(first, least), time::after(first, most)) {
                (Ok(least), Ok(most)) => least > most,
                _ => false,
            },
        )
    })
}

fn disposal_of(errors: &mut Vec<FieldError>, value: &Value) -> (DisposalMode, Propagation) {
    let Some(mode) = value.get("mode") else {
        let message = "is missing; write Preview or Dispose. Until then it counts as Preview";
        errors.push(FieldError::new("spec.disposal.mode", message));
        return Default::default();
    };
    let mode = part(
        errors,
        mode,
        "spec.disposal.mode",
        "write Preview or Dispose. Until then it counts as Preview",
    );
    let propagation = value
        .get("propagation")
        .filter(|value| !value.is_null())
        .and_then(|value| {
            part(
                errors,
                value,
                "spec.disposal.propagation",
                "write Foreground or Background",
            )
        });
    (mode.unwrap_or_default(), propagation.unwrap_or_default())
}
