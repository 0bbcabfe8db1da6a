//! What is planned of encryption: value in, value out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

#[path = "encryption_plan/claims.rs"]
mod claims;
#[path = "encryption_plan/drivers.rs"]
mod drivers;
#[path = "encryption_plan/linter.rs"]
mod linter;
#[path = "encryption_plan/reading.rs"]
mod reading;
#[allow(dead_code, reason = "each test takes of it what it needs")]
#[path = "support/world.rs"]
mod support;
#[path = "encryption_plan/time.rs"]
mod time;

use covenant::api::{EncryptionItem, EncryptionState, GuardParametersSpec};
use covenant::model::{Unit, World};
use covenant::plan::{PosturePlan, plan};
use jiff::Timestamp;
use serde_json::{Value, json};

pub const NAMESPACE: &str = "acme-prod";
/// Before every instant of these tests.
pub const MADE: &str = "2026-04-01T00:00:00Z";

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn now() -> Timestamp {
    at("2026-11-24T12:00:00Z")
}

/// A baseline that says this of encryption.
pub fn baseline(encryption: Value) -> Value {
    let mut baseline = support::baseline();
    baseline["spec"]["encryption"] = encryption;
    baseline
}

/// A baseline that says this of encryption at rest.
pub fn at_rest(terms: Value) -> Value {
    baseline(json!({ "atRest": terms }))
}

/// A rule that proves a class.
pub fn proof(name: &str, provisioner: &str, parameters: Value) -> Value {
    json!({ "name": name, "proof": { "provisioner": provisioner, "parameters": parameters } })
}

/// A rule that attests a class.
pub fn attested(name: &str, at: &str, expires: &str) -> Value {
    json!({ "name": name, "attestation": { "by": "storage-team", "statement": "LUKS", "at": at, "expires": expires } })
}

pub fn class(name: &str, provisioner: &str, parameters: Value) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": provisioner, "parameters": parameters,
        "metadata": { "name": name, "uid": format!("class-{name}"), "creationTimestamp": MADE },
    })
}

pub fn claim(name: &str, class: Option<&str>) -> Value {
    let mut claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {},
        "metadata": { "name": name, "namespace": NAMESPACE, "uid": format!("claim-{name}"), "creationTimestamp": "2026-11-01T00:00:00Z" },
    });
    if let Some(class) = class {
        claim["spec"]["storageClassName"] = json!(class);
    }
    claim
}

/// A world with the namespace enrolled, and these objects.
pub fn world(objects: &[Value]) -> World {
    let enrolled = support::enrolled(NAMESPACE, "acme");
    support::world(std::iter::once(&enrolled).chain(objects))
}

pub fn posture(world: &World, now: Timestamp) -> PosturePlan {
    let planned = plan(world, &Unit::Namespace(NAMESPACE.to_owned()), now);
    planned.namespace.unwrap().posture.unwrap()
}

/// The items of a posture.
pub fn items(world: &World, now: Timestamp) -> Vec<EncryptionItem> {
    let encryption = posture(world, now).spec.encryption;
    encryption.map(|found| found.items).unwrap_or_default()
}

/// State and reason of an item.
pub fn found(world: &World, now: Timestamp, name: &str) -> Option<(EncryptionState, String)> {
    let items = items(world, now);
    let item = items.into_iter().find(|item| item.item == name)?;
    Some((item.state, item.reason))
}

/// What guards must read.
pub fn guarded(world: &World, now: Timestamp) -> GuardParametersSpec {
    let planned = plan(world, &Unit::Retention(NAMESPACE.to_owned()), now);
    planned.parameters.unwrap().spec.unwrap()
}

/// The classes that claims may name.
pub fn allowed(world: &World, now: Timestamp) -> Vec<String> {
    let classes = guarded(world, now).storage_classes.unwrap();
    classes.into_iter().map(|class| class.name).collect()
}

/// Status and reason of the condition `Encrypted`.
pub fn encrypted(world: &World, now: Timestamp) -> (String, String) {
    let conditions = posture(world, now).status.conditions;
    let found = conditions
        .into_iter()
        .find(|found| found.type_ == "Encrypted");
    found.map(|found| (found.status, found.reason)).unwrap()
}
