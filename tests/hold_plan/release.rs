//! What a release gives back, and when it is said to have.

use covenant::diff::diff;
use covenant::model::{Kind, ObjectKey, Target, Unit, World, WriteFailure};
use covenant::plan::{Inquiry, plan};
use serde_json::{Value, json};

use super::support::{self, apply};
use super::{NAMESPACE, case, condition, held_by, later, now, status, unit};

fn released(after: Option<&str>) -> Value {
    let mut hold = case("keeps", &["PreventDeletion"]);
    let mut decision = json!({ "type": "Released", "by": "officer", "reason": "r" });
    if let Some(after) = after {
        decision["restoreAfter"] = json!(after);
    }
    hold["status"] = json!({ "decisions": [decision] });
    hold
}

fn volume(policy: &str, held: bool) -> Value {
    let mut volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "pv", "uid": "pv" },
        "spec": { "persistentVolumeReclaimPolicy": policy, "claimRef": { "namespace": NAMESPACE, "name": "data" } },
    });
    if held {
        volume["metadata"]["labels"] = json!({ "privacy.cloudnexus.io/held": "true" });
        volume["metadata"]["annotations"] =
            json!({ "privacy.cloudnexus.io/reclaim-policy": "Delete" });
    }
    volume
}

fn keeps() -> ObjectKey {
    ObjectKey::new(NAMESPACE, "keeps")
}

fn refused(world: &mut World) {
    let target = Target::new(Kind::Volume, ObjectKey::cluster("pv"));
    let failure = WriteFailure {
        category: "Forbidden".into(),
        message: "somebody said no".into(),
    };
    world.record_failure(target, failure);
}

fn restored(world: &World) -> (String, String) {
    let held = status(&plan(world, &unit(), later(1)), "keeps");
    let (_, reason, message) = condition(&held, "Restored");
    (reason.to_owned(), message.to_owned())
}

#[test]
fn nothing_is_restored_before_its_volumes_are_given_back() {
    let mut world = held_by(&[&released(None)]);
    world.learn_nudged(&keeps(), "hold-acme-prod-keeps");
    world.learn_release(&keeps(), "hold-acme-prod-keeps", 7);
    apply(&mut world, &volume("Retain", true));
    assert_eq!(restored(&world).0, "VolumesHeld");
    refused(&mut world);
    let (reason, message) = restored(&world);
    assert_eq!(reason, "VolumesHeld");
    assert!(message.contains("pv: somebody said no"), "{message}");
    apply(&mut world, &volume("Delete", false));
    assert_eq!(restored(&world).0, "GraceOver");
}

#[test]
fn a_release_restores_nothing_before_it_is_in_the_ledger() {
    let mut world = held_by(&[&released(None)]);
    world.learn_nudged(&keeps(), "hold-acme-prod-keeps");
    assert_eq!(restored(&world).0, "NotRecorded");
    let asked = plan(&world, &unit(), later(1)).inquiries;
    let recorded = Inquiry::Record {
        hold: keeps(),
        uid: "hold-acme-prod-keeps".to_owned(),
    };
    assert!(asked.contains(&recorded), "{asked:?}");
    world.learn_release(&keeps(), "another hold of this name", 3);
    assert_eq!(restored(&world).0, "NotRecorded");
    world.learn_release(&keeps(), "hold-acme-prod-keeps", 7);
    assert_eq!(restored(&world).0, "GraceOver");
    let held = status(&plan(&world, &unit(), later(1)), "keeps");
    assert_eq!(held["recorded"], 7);
    assert!(
        !plan(&world, &unit(), later(1))
            .inquiries
            .contains(&recorded)
    );
}

#[test]
fn a_release_that_the_status_remembers_is_not_recorded_again() {
    let mut hold = released(None);
    hold["status"]["recorded"] = json!(7);
    let mut world = held_by(&[&hold]);
    world.learn_nudged(&keeps(), "hold-acme-prod-keeps");
    assert_eq!(restored(&world).0, "GraceOver");
}

#[test]
fn a_volume_is_given_back_where_hold_and_namespace_are_gone() {
    let mut world = support::world([]);
    apply(&mut world, &volume("Retain", true));
    assert!(
        world
            .units()
            .contains(&Unit::Namespace(NAMESPACE.to_owned()))
    );
    let changes = diff(&plan(&world, &unit(), now()), &world);
    let of_volume: Vec<String> = changes
        .iter()
        .map(|change| format!("{} {}", change.action.verb(), change.target.kind))
        .collect();
    assert_eq!(of_volume, ["merge PersistentVolume"]);
}

#[test]
fn a_volume_that_could_not_be_kept_is_said_by_the_hold() {
    let mut world = held_by(&[&case("keeps", &["PreventDeletion"])]);
    apply(&mut world, &volume("Delete", false));
    refused(&mut world);
    let held = status(&plan(&world, &unit(), now()), "keeps");
    let limits = held["cannotHold"].to_string();
    assert!(
        limits.contains("PersistentVolume pv") && limits.contains("somebody said no"),
        "{limits}"
    );
}

#[test]
fn a_grace_that_cannot_be_read_is_the_longest_one() {
    for (after, expected) in [
        (None, "2026-11-24T12:00:00Z"),
        (Some("PT0S"), "2026-11-24T12:00:00Z"),
        (Some("P30D"), "2026-12-24T12:00:00Z"),
        (Some("P200Y"), "2126-11-24T12:00:00Z"),
        (Some("P"), "2126-11-24T12:00:00Z"),
    ] {
        let mut world = held_by(&[&released(after)]);
        world.learn_nudged(&keeps(), "hold-acme-prod-keeps");
        let held = status(&plan(&world, &unit(), now()), "keeps");
        assert_eq!(held["restoredAt"], expected, "{after:?}");
    }
}
