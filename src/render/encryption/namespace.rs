//! What a posture says of encryption in its namespace.
//!
//! A posture of a newer operator may say what this release does not know: it is repeated, and counts as unknown. May not: be
//! content with the condition alone, where items say otherwise or it is about an earlier posture.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::DynamicObject;
use serde::Serialize;
use serde_json::Value;

use super::probe::TlsProbe;
use crate::api::{EncryptionState, WhenText};
use crate::model::time;
use crate::render::Finding;

const CHECK: &str = "see whether the operator runs: kubectl covenant check";

/// What is encrypted in a namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceEncryption {
    /// Name.
    pub name: String,
    /// Tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// `Enforce` or `Observe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// `True`, `False` or `Unknown`, as the condition `Encrypted`.
    pub encrypted: &'static str,
    /// Why, by name.
    pub reason: String,
    /// Why, in words, and what to do.
    pub message: String,
    /// How many of the items that are listed stand how.
    pub counts: ItemCounts,
    /// The items that the posture lists.
    pub items: Vec<ItemReport>,
    /// How many there are.
    pub item_count: i64,
    /// What is published here as it was probed, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<Vec<TlsProbe>>,
}

/// One item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemReport {
    /// `AtRest` or `InTransit`.
    pub scope: String,
    /// What.
    pub item: String,
    /// How it stands.
    pub state: String,
    /// Why, by name.
    pub reason: String,
    /// What shows it.
    pub evidence: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// Items by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemCounts {
    /// Tried, and seen.
    pub verified: usize,
    /// What is written says so.
    pub proven: usize,
    /// Somebody answers for it.
    pub attested: usize,
    /// Nobody asked.
    pub not_judged: usize,
    /// It could not be found out.
    pub unknown: usize,
    /// Not encrypted, or by less than was asked for.
    pub not_encrypted: usize,
}

/// Namespaces by how they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptionSummary {
    /// Every item was shown.
    pub encrypted: usize,
    /// Something is not encrypted.
    pub not_encrypted: usize,
    /// Something is not known.
    pub unknown: usize,
    /// Servers that were probed, and found to be as they must.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes_passed: Option<usize>,
    /// Servers that were not, or could not be probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes_not_passed: Option<usize>,
}

/// Why a namespace has no posture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPosture {
    /// It is not enrolled.
    NotEnrolled,
    /// It is, and the operator wrote none yet.
    NotYet,
    /// Whether it is enrolled may not be read.
    MayNotRead,
}

impl ItemCounts {
    fn add(&mut self, state: Option<EncryptionState>) {
        let count = match state {
            Some(EncryptionState::Verified) => &mut self.verified,
            Some(EncryptionState::Proven) => &mut self.proven,
            Some(EncryptionState::Attested) => &mut self.attested,
            Some(EncryptionState::NotJudged) => &mut self.not_judged,
            Some(EncryptionState::NotEncrypted) => &mut self.not_encrypted,
            Some(EncryptionState::Unknown) | None => &mut self.unknown,
        };
        *count += 1;
    }

    const fn is_shown(&self) -> bool {
        self.not_judged == 0 && self.unknown == 0 && self.not_encrypted == 0
    }
}

impl EncryptionSummary {
    /// Counts a namespace.
    pub fn add(&mut self, namespace: &NamespaceEncryption) {
        match namespace.encrypted {
            "True" => self.encrypted += 1,
            "False" => self.not_encrypted += 1,
            _ => self.unknown += 1,
        }
        if let Some(probes) = &namespace.probes {
            let passed = probes
                .iter()
                .filter(|probe| probe.result == Finding::Passed);
            let passed = passed.count();
            *self.probes_passed.get_or_insert_default() += passed;
            *self.probes_not_passed.get_or_insert_default() += probes.len() - passed;
        }
    }

    /// Whether everything was shown.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.not_encrypted == 0 && self.unknown == 0 && self.probes_not_passed.unwrap_or(0) == 0
    }
}

impl ItemReport {
    fn read(item: &Value) -> Self {
        let text = |field: &str| item[field].as_str().map(str::to_owned);
        Self {
            scope: text("scope").unwrap_or_default(),
            item: text("item").unwrap_or_else(|| "?".to_owned()),
            state: text("state").unwrap_or_else(|| "?".to_owned()),
            reason: text("reason").unwrap_or_default(),
            evidence: text("evidence").unwrap_or_default(),
            since: text("since"),
        }
    }

    /// How it stands, where this release knows the word.
    pub(super) fn known(&self) -> Option<EncryptionState> {
        serde_json::from_value(Value::String(self.state.clone())).ok()
    }

    /// Since when, where that can be read.
    pub(super) fn since_instant(&self) -> Option<Timestamp> {
        let since = WhenText(self.since.clone()?);
        time::beginning(&since).ok()
    }
}

/// What a posture says.
#[must_use]
pub fn namespace_encryption(posture: &DynamicObject) -> NamespaceEncryption {
    let spec = &posture.data["spec"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let said = &spec["encryption"];
    let items: Vec<ItemReport> = said["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(ItemReport::read)
        .collect();
    let mut counts = ItemCounts::default();
    for item in &items {
        counts.add(item.known());
    }
    let listed = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let (encrypted, reason, message) = judged(posture, said.is_object(), &counts);
    NamespaceEncryption {
        name: posture.metadata.namespace.clone().unwrap_or_default(),
        tenant: text(&spec["tenant"]),
        stage: text(&spec["stage"]),
        baseline: text(&spec["baseline"]["name"]),
        encrypted,
        reason,
        message,
        counts,
        item_count: said["itemCount"].as_i64().unwrap_or(listed).max(listed),
        items,
        probes: None,
    }
}

/// What there is to say of a namespace without a posture.
#[must_use]
pub fn namespace_without_posture(name: &str, why: NoPosture) -> NamespaceEncryption {
    let (reason, message) = match why {
        NoPosture::NotEnrolled => (
            "NotEnrolled",
            "it is not enrolled, so nothing is promised or judged here; the platform enrols it by the label \
             privacy.cloudnexus.io/tenant"
                .to_owned(),
        ),
        NoPosture::NotYet => (
            "NoPosture",
            format!("it is enrolled and has no posture yet; {CHECK}"),
        ),
        NoPosture::MayNotRead => (
            "NoPosture",
            format!(
                "it has no posture, and you may not read whether it is enrolled (its label privacy.cloudnexus.io/tenant); if it \
                 is, {CHECK}"
            ),
        ),
    };
    NamespaceEncryption {
        name: name.to_owned(),
        tenant: None,
        stage: None,
        baseline: None,
        encrypted: "Unknown",
        reason: reason.to_owned(),
        message,
        counts: ItemCounts::default(),
        items: Vec::new(),
        item_count: 0,
        probes: None,
    }
}

/// What holds of the namespace: nothing is better than the condition, than its being about this posture, and than the items.
fn judged(
    posture: &DynamicObject,
    says: bool,
    counts: &ItemCounts,
) -> (&'static str, String, String) {
    let condition = condition(posture);
    if !says {
        let (reason, message) = match condition {
            Some(condition) if condition.status != "True" => (condition.reason, condition.message),
            _ => (
                "NothingSaid".to_owned(),
                "its posture says nothing of encryption: the operator that wrote it is of an earlier release; upgrade it"
                    .to_owned(),
            ),
        };
        return ("Unknown", reason, message);
    }
    let Some(condition) = condition else {
        let message = format!("the operator did not say yet how it stands; {CHECK}");
        return ("Unknown", "NotSaidYet".to_owned(), message);
    };
    if counts.not_encrypted > 0 && condition.status != "False" {
        let message = "the posture lists what is not encrypted, whatever its condition says";
        return ("False", "NotEncrypted".to_owned(), message.to_owned());
    }
    if condition.observed_generation != posture.metadata.generation {
        let message = format!(
            "the condition Encrypted is about an earlier posture, and said {}; ask again, and {CHECK}",
            condition.status
        );
        return ("Unknown", "Outdated".to_owned(), message);
    }
    match condition.status.as_str() {
        "True" if counts.is_shown() => ("True", condition.reason, condition.message),
        "True" => {
            let message = "the condition Encrypted is True, and items of the posture say otherwise; the items count";
            ("Unknown", "Contradictory".to_owned(), message.to_owned())
        }
        "False" => ("False", condition.reason, condition.message),
        _ => ("Unknown", condition.reason, condition.message),
    }
}

fn condition(posture: &DynamicObject) -> Option<Condition> {
    let conditions = posture.data.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|it| it["type"] == "Encrypted")?;
    serde_json::from_value(found.clone()).ok()
}
