//! The guards as they stand, compared with those of this release.
//!
//! Whatever differs counts as altered, also what this release does not know: only the API server's own defaults are
//! allowed beside what the guards say. May not: judge whether a difference weakens a guard.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use kube::core::DynamicObject;
use serde_json::Value;

use super::identity::{Kind, Meta};
use crate::api::guards::FILES;

/// The namespace that the guards' files name as the operator's own; the chart puts the real one in its place.
const NAMESPACE_IN_FILES: &str = "covenant-system";

/// A policy or binding of ours, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedGuard {
    /// Metadata.
    pub meta: Meta,
    /// Where it differs from this release's, by path; empty when it does not.
    pub differs: Vec<String>,
}

/// The guards of this release: specs by kind and name.
static EXPECTED: LazyLock<BTreeMap<(Kind, String), Value>> = LazyLock::new(|| {
    let mut expected = BTreeMap::new();
    for (_, text) in FILES {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_default();
        for document in documents {
            let kind = match document["kind"].as_str() {
                Some("ValidatingAdmissionPolicy") => Kind::Guard,
                Some("ValidatingAdmissionPolicyBinding") => Kind::GuardBinding,
                _ => continue,
            };
            if let Some(name) = document["metadata"]["name"].as_str() {
                expected.insert((kind, name.to_owned()), document["spec"].clone());
            }
        }
    }
    expected
});

/// Kind and name of every policy and binding of this release.
pub fn expected() -> impl Iterator<Item = &'static (Kind, String)> {
    EXPECTED.keys()
}

impl ObservedGuard {
    /// Reads a policy or binding; none where it is not one of this release's names.
    #[must_use]
    pub fn read(kind: Kind, object: &DynamicObject, operator_namespace: &str) -> Option<Self> {
        let meta = Meta::of(&object.metadata);
        let expected = EXPECTED.get(&(kind, meta.key.name.clone()))?;
        let mut differs = Vec::new();
        let stands = object.data.get("spec").unwrap_or(&Value::Null);
        let fill = |text: &str| text.replace(NAMESPACE_IN_FILES, operator_namespace);
        compare(expected, stands, "spec", &fill, &mut differs);
        Some(Self { meta, differs })
    }
}

/// What the API server fills in where nothing is said.
fn is_default(field: &str, value: &Value) -> bool {
    match field {
        "matchPolicy" => value == "Equivalent",
        "scope" => value == "*",
        "namespaceSelector" | "objectSelector" => {
            value.as_object().is_some_and(serde_json::Map::is_empty)
        }
        _ => false,
    }
}

fn compare(
    expected: &Value,
    stands: &Value,
    path: &str,
    fill: &impl Fn(&str) -> String,
    differs: &mut Vec<String>,
) {
    match (expected, stands) {
        (Value::Object(expected), Value::Object(stands)) => {
            for (field, value) in expected {
                let below = format!("{path}.{field}");
                match stands.get(field) {
                    Some(stands) => compare(value, stands, &below, fill, differs),
                    None => differs.push(below),
                }
            }
            for (field, value) in stands {
                if !expected.contains_key(field) && !is_default(field, value) {
                    differs.push(format!("{path}.{field}"));
                }
            }
        }
        (Value::Array(expected), Value::Array(stands)) if expected.len() == stands.len() => {
            for (index, (expected, stands)) in expected.iter().zip(stands).enumerate() {
                compare(expected, stands, &format!("{path}[{index}]"), fill, differs);
            }
        }
        (Value::String(expected), Value::String(stands)) if fill(expected) == *stands => {}
        (expected, stands) if expected == stands => {}
        _ => differs.push(path.to_owned()),
    }
}
