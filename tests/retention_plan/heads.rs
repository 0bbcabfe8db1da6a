//! The head of the ledger in a namespace's posture.

use covenant::model::LedgerHead;

use crate::*;

fn head(size: u64) -> LedgerState {
    let head = LedgerHead {
        origin: "ledger.example.com/acme".to_owned(),
        size,
        root: "root".to_owned(),
    };
    LedgerState {
        head: Some(head),
        problem: None,
    }
}

fn posture(world: &World) -> Value {
    let planned = plan(world, &Unit::Namespace(NAMESPACE.to_owned()), now());
    serde_json::to_value(planned.namespace.unwrap().posture.unwrap().spec).unwrap()
}

fn shown(world: &mut World, posture: &Value) {
    apply(
        world,
        &json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataHandlingPosture",
            "metadata": {
                "name": "current", "namespace": NAMESPACE, "uid": "posture", "generation": 1, "creationTimestamp": "2026-11-01T00:00:00Z"
            },
            "spec": posture
        }),
    );
}

#[test]
fn a_posture_that_a_crash_left_without_a_head_gets_the_newest_and_keeps_it() {
    let mut world = ground(&[]);
    let without = posture(&world);
    assert_eq!(without["ledger"], Value::Null);
    shown(&mut world, &without);
    let dirty = world.learn_ledger(head(7));
    assert!(dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned())));
    let with = posture(&world);
    assert_eq!(with["ledger"]["size"], 7);
    shown(&mut world, &with);
    // What others have recorded since is no reason to write it anew.
    let dirty = world.learn_ledger(head(9));
    assert!(!dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned())));
    assert_eq!(posture(&world)["ledger"]["size"], 7);
    world.learn_head([NAMESPACE.to_owned()].into(), &head(9).head.unwrap());
    assert_eq!(posture(&world)["ledger"]["size"], 9);
}
