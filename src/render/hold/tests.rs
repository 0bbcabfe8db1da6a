#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use serde_json::{Value, json};

use super::*;
use crate::api::{HeldKind, HoldDecisionType, PeriodText};

const NOW: &str = "2026-11-24T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn object(spec: Value, status: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold",
        "metadata": {
            "name": "case-42", "namespace": "acme-prod", "creationTimestamp": "2026-11-20T09:00:00Z",
            "managedFields": [
                { "manager": "kubectl-covenant", "operation": "Update", "subresource": "status", "time": "2026-11-24T11:00:00Z",
                  "fieldsType": "FieldsV1", "fieldsV1": { "f:status": { "f:decisions": {} } } },
                { "manager": "covenant-status", "operation": "Apply", "subresource": "status", "time": "2026-11-24T11:30:00Z",
                  "fieldsType": "FieldsV1", "fieldsV1": { "f:status": { "f:held": {} } } },
            ],
        },
        "spec": spec, "status": status
    }))
    .unwrap()
}

fn spec() -> Value {
    json!({
        "matter": "CASE-2026-042", "ground": "LegalProceeding", "reason": "Preservation letter of 2026-11-20",
        "effects": ["PreventDeletion", "PreventAlteration", "SuspendProcessing", "EndProcessing", "FreezeAccess"],
        "scope": { "matchLabels": { "app": "ledger" }, "exceptKinds": [{ "kind": "Secret" }] },
        "reviewBy": "2027-01-31"
    })
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-11-20T09:00:01Z", "observedGeneration": 1
    })
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn told(spec: Value, status: Value, refused: Refusals) -> String {
    plain(&hold_story_text(&hold_story(
        object(spec, status),
        refused,
        now(),
    )))
}

#[test]
fn a_hold_in_force_is_told_with_all_that_is_known() {
    let status = json!({
        "decisions": [{
            "type": "Narrowed", "by": "officer", "reason": "certificates must be renewed",
            "effects": ["FreezeAccess"], "exceptKinds": [{ "apiGroup": "cert-manager.io", "kind": "Certificate" }]
        }],
        "conditions": [
            condition("Ready", "True", "Read", "the hold was read"),
            condition("Enforced", "True", "ProvenOnAllServers", "3 of 3 API servers refused a canary in its name"),
            condition("Ended", "False", "Ending", "2 pods are left"),
        ],
        "effects": ["PreventDeletion", "PreventAlteration", "SuspendProcessing", "EndProcessing"],
        "held": { "objects": 12, "byKind": { "ConfigMap": 9, "PersistentVolumeClaim": 3 }, "notCounted": ["kinds of other groups"], "countedAt": "2026-11-24T11:59:00Z" },
        "suspended": {
            "deployments": 2, "statefulSets": 1, "daemonSets": 0, "cronJobs": 0, "runningPods": 4, "grants": 0,
            "writingPods": ["ledger-0"]
        },
        "ending": {
            "publishedAt": "2026-11-20T09:00:02Z", "endsAt": "2026-11-20T09:00:32Z", "pods": 4, "lossCount": 3,
            "losses": [{ "kind": "EmptyDir", "object": "Pod/ledger-0", "message": "its scratch volume goes with it" }]
        },
        "cannotHold": ["snapshots, backups and copies outside the cluster", "what 1 running pods write into claims that they have mounted already"]
    });
    let refused = Refusals::Read(vec![Refused {
        object: "ReplicaSet/ledger-5d4".to_owned(),
        said: "Pod acme-prod/ledger-5d4-x is under ProcessingHold acme-prod/case-42 (SuspendProcessing): it may not CREATE it".to_owned(),
        count: 7,
        last: Some("2026-11-24T11:58:00Z".parse().unwrap()),
    }]);
    insta::assert_snapshot!(told(spec(), status, refused));
}

#[test]
fn a_hold_that_nobody_looked_at_binds_and_says_so() {
    let spec = json!({
        "matter": "CASE-2026-043", "ground": "AccuracyContested", "reason": "The customer disputes the figures",
        "effects": ["PreventDeletion", "SuspendSharing"]
    });
    insta::assert_snapshot!(told(spec, json!({}), Refusals::Unreadable));
}

#[test]
fn a_released_hold_is_a_record() {
    let status = json!({
        "decisions": [{ "type": "Released", "by": "officer", "reason": "settled", "restoreAfter": "PT1H" }],
        "conditions": [
            condition("Released", "True", "Decided", "released by officer: settled"),
            condition("Restored", "False", "Grace", "processing is back; disposal and erasure wait until 2026-11-24T12:30:00Z"),
        ],
        "restoredAt": "2026-11-24T12:30:00Z"
    });
    insta::assert_snapshot!(told(spec(), status, Refusals::Read(Vec::new())));
}

#[test]
fn what_cannot_be_read_is_told_as_the_stricter_case() {
    let spec =
        json!({ "matter": "CASE-1", "ground": "Whim", "reason": "?", "effects": ["Freeze"] });
    let status = json!({ "conditions": [condition("Enforced", "False", "GuardAltered", "covenant-holds differs")] });
    let text = told(spec, status, Refusals::Read(Vec::new()));
    assert!(text.contains("cannot be read: spec.effects"), "{text}");
    assert!(
        text.contains("stored, and not enforced as it should be"),
        "{text}"
    );
    assert!(text.contains("FreezeAccess"), "{text}");
    assert!(!text.contains("EndProcessing  "), "{text}");
    assert!(text.contains("a ground that this release does not know"));
}

#[test]
fn a_story_as_json_has_a_version() {
    let story = hold_story(object(spec(), json!({})), Refusals::Unreadable, now());
    let json = serde_json::to_value(hold_stories("acme-prod", vec![story], now())).unwrap();
    assert_eq!(json["apiVersion"], "cli.privacy.cloudnexus.io/v1");
    assert_eq!(json["kind"], "HoldStoryList");
    assert_eq!(json["items"][0]["kind"], "HoldStory");
    assert_eq!(json["items"][0]["state"], "Unproven");
    assert_eq!(json["items"][0]["refused"]["events"], "unreadable");
    assert_eq!(
        json["items"][0]["release"],
        "kubectl covenant hold release case-42 -n acme-prod --reason 'WHY'"
    );
}

fn decision(decision: HoldDecisionType) -> HoldDecision {
    HoldDecision {
        decision,
        by: "officer".to_owned(),
        reason: "settled".to_owned(),
        restore_after: None,
        effects: Vec::new(),
        except_kinds: Vec::new(),
    }
}

#[test]
fn a_release_tells_what_follows() {
    let hold = Hold::read(object(spec(), json!({})));
    let released = HoldDecision {
        restore_after: Some(PeriodText("PT1H".to_owned())),
        ..decision(HoldDecisionType::Released)
    };
    let decided = hold_decided(&hold, &released, &["case-7".to_owned()], false, now());
    insta::assert_snapshot!(plain(&hold_decided_text(&decided)));
}

#[test]
fn a_narrowing_tells_what_stays() {
    let hold = Hold::read(object(spec(), json!({})));
    let narrowed = HoldDecision {
        effects: vec![HoldEffect::FreezeAccess],
        except_kinds: vec![HeldKind {
            api_group: Some("apps".to_owned()),
            kind: "Deployment".to_owned(),
        }],
        ..decision(HoldDecisionType::Narrowed)
    };
    let decided = hold_decided(&hold, &narrowed, &[], true, now());
    insta::assert_snapshot!(plain(&hold_decided_text(&decided)));
}
