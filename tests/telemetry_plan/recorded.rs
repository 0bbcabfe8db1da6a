//! The ledger tells which channels a namespace opts out of, and when it left.

use covenant::diff::diff;
use covenant::ledger::EntryKind;
use covenant::model::{Kind, World};
use covenant::record::drafts;
use serde_json::{Value, json};

use super::support::{apply, enrolled, world};
use super::{NAMESPACE, baseline, entries, opt_out, planned, prometheus};

/// The entries of opt-outs that writing the plan makes, as `channels` and `before`.
fn entries_of(world: &World) -> Vec<(Value, Value)> {
    let changes = diff(&planned(world), world);
    let drafts = changes.iter().flat_map(|change| drafts(world, change));
    drafts
        .filter(|draft| draft.kind == EntryKind::OptOutChanged)
        .map(|draft| {
            assert_eq!(draft.subject.namespace.as_deref(), Some(NAMESPACE));
            (
                draft.detail["channels"].clone(),
                draft.detail["before"].clone(),
            )
        })
        .collect()
}

/// Takes in the planned posture as stored.
fn store(world: &mut World) {
    let spec = planned(world).namespace.unwrap().posture.unwrap().spec;
    let posture = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataHandlingPosture",
        "metadata": { "name": "current", "namespace": NAMESPACE, "uid": "posture", "generation": 1 }, "spec": spec,
    });
    apply(world, &posture);
}

#[test]
fn each_change_of_channels_is_one_entry_and_leaving_is_one_too() {
    let objects = [
        enrolled(NAMESPACE, "acme"),
        baseline(entries(), json!([prometheus()])),
    ];
    let mut world = world(&objects);
    assert_eq!(entries_of(&world), []);
    store(&mut world);
    apply(
        &mut world,
        &opt_out(NAMESPACE, json!(["MarketingCommunications"])),
    );
    let marketing = json!(["MarketingCommunications"]);
    assert_eq!(entries_of(&world), [(marketing.clone(), json!([]))]);
    store(&mut world);
    assert_eq!(entries_of(&world), []);
    let both = json!(["MarketingCommunications", "PlatformTelemetry"]);
    apply(&mut world, &opt_out(NAMESPACE, both.clone()));
    assert_eq!(entries_of(&world), [(both.clone(), marketing)]);
    store(&mut world);
    let key = world.keys(Kind::OptOut).remove(0);
    world.remove(Kind::OptOut, &key);
    assert_eq!(entries_of(&world), [(json!([]), both)]);
}
