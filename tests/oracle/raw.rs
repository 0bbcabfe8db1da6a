//! Raw objects, read as the oracle of retention reads them: what selects them, when their time began, who else keeps them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::calendar;

const ANNOTATION: &str = "privacy.cloudnexus.io/retained-since";

pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

pub fn list<'a>(value: &'a Value, pointer: &str) -> Vec<&'a Value> {
    let items = value.pointer(pointer).and_then(Value::as_array);
    items
        .map(|items| items.iter().collect())
        .unwrap_or_default()
}

pub fn is(object: &Value, kind: &str, namespace: &str) -> bool {
    text(object, "/kind") == kind && text(object, "/metadata/namespace") == namespace
}

pub fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Texts by name, or none where it is something else.
pub fn texts(value: Option<&Value>) -> Option<BTreeMap<&str, &str>> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Some(BTreeMap::new());
    };
    let pairs = value.as_object()?.iter();
    pairs
        .map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .collect()
}

/// An entry of `select`, if it can be read.
pub fn readable(entry: &Value) -> bool {
    let fields = ["apiVersion", "kind", "matchLabels", "names", "namePrefix"];
    let known = |object: &serde_json::Map<String, Value>| {
        object.keys().all(|key| fields.contains(&key.as_str()))
    };
    let (api_version, kind) = (text(entry, "/apiVersion"), text(entry, "/kind"));
    let labels = texts(entry.get("matchLabels"));
    let names = list(entry, "/names");
    let by_name = names.iter().all(|name| name.is_string())
        && (entry.get("names").is_none() || entry["names"].is_array());
    let narrowed = labels.as_ref().is_some_and(|labels| !labels.is_empty())
        || !names.is_empty()
        || !text(entry, "/namePrefix").is_empty();
    let of_the_cluster = [
        "Namespace",
        "Event",
        "Lease",
        "Endpoints",
        "EndpointSlice",
        "ControllerRevision",
    ];
    let group = group(api_version);
    let never = of_the_cluster.contains(&kind)
        || group == "rbac.authorization.k8s.io"
        || group.ends_with("privacy.cloudnexus.io");
    entry.as_object().is_some_and(known)
        && !api_version.is_empty()
        && kind.starts_with(|letter: char| letter.is_ascii_uppercase())
        && labels.is_some()
        && by_name
        && narrowed
        && !never
}

/// Whether an entry of `select`, or a rule, has an object.
pub fn has(entry: &Value, object: &Value) -> bool {
    let labels = texts(entry.get("matchLabels")).unwrap_or_default();
    let name = text(object, "/metadata/name");
    let names = list(entry, "/names");
    let carries = |(label, value): (&&str, &&str)| {
        object["metadata"]["labels"]
            .get(*label)
            .and_then(Value::as_str)
            == Some(*value)
    };
    labels.iter().all(carries)
        && (names.is_empty() || names.iter().any(|one| one.as_str() == Some(name)))
        && name.starts_with(text(entry, "/namePrefix"))
}

pub fn selects(entry: &Value, object: &Value) -> bool {
    readable(entry)
        && group(text(entry, "/apiVersion")) == group(text(object, "/apiVersion"))
        && text(entry, "/kind") == text(object, "/kind")
        && has(entry, object)
}

/// When an object's time began; none while it cannot be said.
pub fn start(object: &Value, starts_at: &str) -> Option<i64> {
    let created = calendar::instant(text(object, "/metadata/creationTimestamp"));
    match starts_at {
        "RetainedSince" => match object["metadata"]["annotations"].get(ANNOTATION) {
            Some(since) => calendar::instant(since.as_str()?),
            None => created,
        },
        "CompletedAt" => completed(object),
        _ => created,
    }
}

/// When a Job or a Pod has ended.
pub fn completed(object: &Value) -> Option<i64> {
    match text(object, "/kind") {
        "Job" => {
            let over = |condition: &&Value| {
                ["Complete", "Failed"].contains(&text(condition, "/type"))
                    && text(condition, "/status") == "True"
            };
            let conditions = list(object, "/status/conditions");
            calendar::instant(text(
                conditions.into_iter().find(over)?,
                "/lastTransitionTime",
            ))
        }
        "Pod" => {
            if !["Succeeded", "Failed"].contains(&text(object, "/status/phase")) {
                return None;
            }
            let ends = list(object, "/status/containerStatuses").into_iter();
            ends.map(|one| calendar::instant(text(one, "/state/terminated/finishedAt")))
                .max()?
        }
        _ => None,
    }
}

pub fn starts_at(value: Option<&Value>) -> Option<&str> {
    match value {
        None => Some("CreatedAt"),
        Some(value) => ["CreatedAt", "CompletedAt", "RetainedSince"]
            .into_iter()
            .find(|known| value.as_str() == Some(known)),
    }
}

/// Whether a rule that guards read is about an object.
pub fn is_of_rule(rule: &Value, object: &Value) -> bool {
    let of_kind = group(text(object, "/apiVersion")) == text(rule, "/apiGroup")
        && text(object, "/kind") == text(rule, "/kind");
    (text(rule, "/kind") == "*" || of_kind) && has(rule, object)
}

/// Argo CD, Flux and Helm mark what they keep as it is.
pub fn is_tracked(metadata: &Value) -> bool {
    let label = |name: &str| metadata["labels"].get(name).is_some();
    let annotation = |name: &str| metadata["annotations"].get(name).is_some();
    let by_argo = metadata["annotations"]
        .as_object()
        .is_some_and(|all| all.keys().any(|key| key.starts_with("argocd.argoproj.io/")));
    annotation("argocd.argoproj.io/tracking-id")
        || label("argocd.argoproj.io/instance")
        || (by_argo && label("app.kubernetes.io/instance"))
        || label("kustomize.toolkit.fluxcd.io/name")
        || label("helm.toolkit.fluxcd.io/name")
        || annotation("meta.helm.sh/release-name")
        || metadata["labels"]["app.kubernetes.io/managed-by"] == "Helm"
}

pub fn is_decision(decision: &Value) -> bool {
    ["Released", "Narrowed"].contains(&text(decision, "/type"))
        && decision["by"].is_string()
        && decision["reason"].is_string()
}

/// Whether the scope of a hold has an object. A scope that cannot be read has everything.
pub fn covers(spec: &Value, narrowed: &[&Value], object: &Value) -> bool {
    let scope = &spec["scope"];
    let kinds = |field: &str| -> Option<Vec<&Value>> {
        let Some(value) = scope.get(field).filter(|value| !value.is_null()) else {
            return Some(Vec::new());
        };
        let kinds: Vec<&Value> = value.as_array()?.iter().collect();
        kinds
            .iter()
            .all(|held| held["kind"].is_string())
            .then_some(kinds)
    };
    let parts = (
        texts(scope.get("matchLabels")),
        kinds("kinds"),
        kinds("exceptKinds"),
    );
    let (Some(labels), Some(named), Some(excepted), true) = (
        parts.0,
        parts.1,
        parts.2,
        scope.is_null() || scope.is_object(),
    ) else {
        return !narrowed.iter().any(|held| is_of(held, object, ""));
    };
    let carries = |(label, value): (&&str, &&str)| {
        object["metadata"]["labels"]
            .get(*label)
            .and_then(Value::as_str)
            == Some(*value)
    };
    let own = group(text(object, "/apiVersion"));
    labels.iter().all(carries)
        && (named.is_empty() || named.iter().any(|held| is_of(held, object, own)))
        && !excepted
            .iter()
            .chain(narrowed)
            .any(|held| is_of(held, object, ""))
}

/// Whether a hold's kind is an object's. Where no group is written, the given one is meant.
pub fn is_of(held: &Value, object: &Value, unwritten: &str) -> bool {
    let written = held
        .get("apiGroup")
        .and_then(Value::as_str)
        .unwrap_or(unwritten);
    text(held, "/kind") == text(object, "/kind") && written == group(text(object, "/apiVersion"))
}
