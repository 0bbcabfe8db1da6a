//! Claims and scratch space that were there before, or came past the guards.

use covenant::api::EncryptionState::{Attested, NotEncrypted, NotJudged, Unknown};
use covenant::diff::{Action, diff};
use covenant::model::{Dirty, Kind, ObjectKey, Unit, World};
use covenant::plan::plan;
use covenant::record::drafts;
use serde_json::{Value, json};

use crate::support::apply;
use crate::{
    NAMESPACE, allowed, at_rest, attested, claim, class, encrypted, found, guarded, items, now,
    proof, world,
};

const EBS: &str = "ebs.csi.aws.com";

fn fast() -> [Value; 2] {
    let rule = proof("fast", EBS, json!({ "encrypted": "true" }));
    [
        at_rest(json!({ "storageClasses": [rule] })),
        class("fast", EBS, json!({ "encrypted": "true" })),
    ]
}

fn fast_world() -> World {
    world(&fast())
}

fn volume(name: &str, claim: &str, source: Value) -> Value {
    let mut spec = json!({ "claimRef": { "namespace": NAMESPACE, "name": claim }, "persistentVolumeReclaimPolicy": "Delete" });
    for (key, value) in source.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": name, "uid": name }, "spec": spec })
}

fn pod(name: &str, volume: Value, phase: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": NAMESPACE, "uid": name },
        "spec": { "containers": [{ "name": "main" }], "volumes": [volume] }, "status": { "phase": phase },
    })
}

#[test]
fn a_claim_of_a_proven_class_is_not_told_and_others_are_with_what_to_do() {
    let [baseline, fast] = fast();
    let mut old = claim("older", Some("fast"));
    old["metadata"]["creationTimestamp"] = json!("2026-03-31T00:00:00Z");
    let mut hidden = claim("hidden", Some("fast"));
    hidden["metadata"]["annotations"] =
        json!({ "volume.beta.kubernetes.io/storage-class": "plain" });
    let world = world(&[
        baseline,
        fast,
        claim("fine", Some("fast")),
        claim("none", None),
        claim("empty", Some("")),
        claim("plain", Some("plain")),
        old,
        hidden,
    ]);
    let of = |name: &str| found(&world, now(), &format!("PersistentVolumeClaim/{name}"));
    assert_eq!(of("fine"), None);
    for (name, reason) in [
        ("none", "NoClass"),
        ("empty", "NoClass"),
        ("plain", "ClassNotListed"),
        ("hidden", "ClassNotListed"),
        ("older", "ClaimOlderThanClass"),
    ] {
        assert_eq!(of(name), Some((Unknown, reason.to_owned())), "{name}");
    }
    for item in items(&world, now()) {
        if item.item.starts_with("PersistentVolumeClaim/") {
            assert!(
                item.evidence
                    .contains("copy its data to a claim of a listed class"),
                "{item:?}"
            );
        }
    }
    assert_eq!(
        encrypted(&world, now()),
        ("Unknown".to_owned(), "NotKnown".to_owned())
    );
}

#[test]
fn a_volume_that_its_class_did_not_make_is_told() {
    let [baseline, fast] = fast();
    let mut bound = claim("bound", Some("fast"));
    bound["spec"]["volumeName"] = json!("pv");
    for (source, is_told) in [
        (json!({ "csi": { "driver": EBS } }), false),
        (json!({ "csi": { "driver": "nfs.csi.k8s.io" } }), true),
        (json!({ "hostPath": { "path": "/data" } }), true),
    ] {
        let world = world(&[
            baseline.clone(),
            fast.clone(),
            bound.clone(),
            volume("pv", "bound", source.clone()),
        ]);
        let told = found(&world, now(), "PersistentVolumeClaim/bound");
        let expected = is_told.then(|| (Unknown, "VolumeNotOfItsClass".to_owned()));
        assert_eq!(told, expected, "{source}");
    }
}

#[test]
fn scratch_space_is_told_once_for_all_pods_and_by_what_is_known_of_the_disk() {
    let on_disk = json!({ "name": "tmp", "emptyDir": {} });
    let of = |terms: Value, pods: &[Value]| {
        let mut objects = vec![at_rest(terms)];
        objects.extend_from_slice(pods);
        found(&world(&objects), now(), "EmptyDir")
    };
    let pods = [
        pod("one", on_disk.clone(), "Running"),
        pod("two", on_disk.clone(), "Pending"),
    ];
    let reported = Some((Unknown, "ScratchOnNode".to_owned()));
    assert_eq!(of(json!({ "storageClasses": [] }), &pods), reported);
    assert_eq!(
        of(json!({ "storageClasses": [], "emptyDir": "Refuse" }), &pods),
        reported
    );
    let disks = json!({ "by": "node-team", "statement": "LUKS", "at": "2026-05-01", "expires": "2027-05-01" });
    let attested = json!({ "storageClasses": [], "nodeDisks": disks });
    assert_eq!(
        of(attested, &pods),
        Some((Attested, "NodeDisksAttested".to_owned()))
    );
    for none in [
        pod(
            "memory",
            json!({ "name": "tmp", "emptyDir": { "medium": "Memory" } }),
            "Running",
        ),
        pod(
            "pages",
            json!({ "name": "tmp", "emptyDir": { "medium": "HugePages-2Mi" } }),
            "Running",
        ),
        pod("over", on_disk, "Succeeded"),
        pod(
            "config",
            json!({ "name": "tmp", "configMap": { "name": "settings" } }),
            "Running",
        ),
    ] {
        assert_eq!(of(json!({ "storageClasses": [] }), &[none]), None);
    }
}

#[test]
fn only_the_first_and_the_last_pod_with_scratch_space_touch_the_plan() {
    let mut world = world(&[at_rest(json!({ "storageClasses": [] }))]);
    let on_disk = json!({ "name": "tmp", "emptyDir": {} });
    let told = |dirty: Dirty| dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned()));
    assert!(told(apply(
        &mut world,
        &pod("one", on_disk.clone(), "Running")
    )));
    assert!(!told(apply(
        &mut world,
        &pod("two", on_disk.clone(), "Running")
    )));
    assert!(!told(apply(&mut world, &pod("one", on_disk, "Failed"))));
    assert_eq!(world.keys(Kind::Pod), [ObjectKey::new(NAMESPACE, "two")]);
    assert!(told(
        world.remove(Kind::Pod, &ObjectKey::new(NAMESPACE, "two"))
    ));
}

#[test]
fn a_class_that_is_made_anew_with_less_is_named_by_nobody_from_then_on() {
    let [baseline, fast] = fast();
    let mut world = world(&[baseline, fast]);
    assert_eq!(allowed(&world, now()), ["fast"]);
    let dirty = world.remove(Kind::Class, &ObjectKey::cluster("fast"));
    assert!(dirty.0.contains(&Unit::Retention(NAMESPACE.to_owned())));
    assert!(dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned())));
    assert!(allowed(&world, now()).is_empty());
    let gone = Some((Unknown, "ClassMissing".to_owned()));
    assert_eq!(found(&world, now(), "StorageClass/fast"), gone);
    apply(
        &mut world,
        &class("fast", EBS, json!({ "encrypted": "false" })),
    );
    assert!(allowed(&world, now()).is_empty());
    let less = Some((NotEncrypted, "OtherParameter".to_owned()));
    assert_eq!(found(&world, now(), "StorageClass/fast"), less);
    assert_eq!(encrypted(&world, now()).0, "False");
    // One that no baseline lists concerns nobody.
    assert!(
        apply(&mut world, &class("slow", EBS, json!({})))
            .0
            .is_empty()
    );
}

#[test]
fn a_class_that_is_made_anew_is_attested_anew() {
    let listed = at_rest(
        json!({ "storageClasses": [attested("vault", "2026-05-01T00:00:00Z", "2027-05-01T00:00:00Z")] }),
    );
    let mut made = class("vault", "vault.example.com", json!({}));
    let mut world = world(&[listed, made.clone()]);
    assert_eq!(allowed(&world, now()), ["vault"]);
    made["metadata"]["creationTimestamp"] = json!("2026-05-01T00:00:01Z");
    apply(&mut world, &made);
    assert!(allowed(&world, now()).is_empty());
    let older = Some((Unknown, "AttestationOlderThanClass".to_owned()));
    assert_eq!(found(&world, now(), "StorageClass/vault"), older);
}

#[test]
fn without_a_baseline_that_can_be_read_no_claim_is_let_in_and_without_encryption_in_it_none_is_judged()
 {
    let mut unreadable = at_rest(json!({ "storageClasses": [] }));
    unreadable["spec"]["encryption"]["atRest"]["storageClasses"] = json!("all of them");
    for none in [world(&[]), world(&[unreadable])] {
        assert_eq!(guarded(&none, now()).storage_classes, Some(Vec::new()));
        assert_eq!(
            encrypted(&none, now()),
            ("Unknown".to_owned(), "BaselineUnreadable".to_owned())
        );
    }
    let silent = world(&[crate::support::baseline()]);
    assert_eq!(guarded(&silent, now()).storage_classes, None);
    for item in ["PersistentVolumeClaims", "Secrets", "Gateways"] {
        let expected = Some((NotJudged, "NotInBaseline".to_owned()));
        assert_eq!(found(&silent, now(), item), expected, "{item}");
    }
    assert_eq!(
        encrypted(&silent, now()),
        ("Unknown".to_owned(), "NotJudged".to_owned())
    );
}

#[test]
fn what_is_not_wanted_any_more_is_taken_away_by_name_and_no_ledger_hears_of_it() {
    let converged = covenant::simulate::converge(fast_world(), now());
    let mut world = converged.unwrap().world;
    let told = guarded(&world, now());
    assert_eq!(told.storage_classes.map(|classes| classes.len()), Some(1));
    apply(&mut world, &crate::support::baseline());
    for unit in [
        Unit::Namespace(NAMESPACE.to_owned()),
        Unit::Retention(NAMESPACE.to_owned()),
    ] {
        let changes = diff(&plan(&world, &unit, now()), &world);
        let replaced = changes.iter().find_map(|change| match &change.action {
            Action::Replace { body } => Some((change, body)),
            _ => None,
        });
        let (change, body) = replaced.unwrap();
        match change.target.kind {
            Kind::GuardParameters => {
                let spec = body["spec"].as_object().unwrap();
                for gone in ["storageClasses", "emptyDir"] {
                    assert_eq!(spec.get(gone), Some(&Value::Null), "{body}");
                }
                // Nothing was kept, and nothing is.
                assert!(drafts(&world, change).is_empty());
            }
            _ => assert_eq!(body["spec"]["encryption"]["itemCount"], 3, "{body}"),
        }
    }
}

#[test]
fn a_status_of_a_baseline_touches_the_baseline_alone_unless_postures_show_it() {
    let mut world = fast_world();
    let of = |status: Value| {
        let mut baseline = fast()[0].clone();
        baseline["status"] = status;
        baseline
    };
    let alone = [Unit::Baseline("default".to_owned())];
    let dirty = apply(&mut world, &of(json!({ "namespaces": 1 })));
    assert_eq!(dirty.0.into_iter().collect::<Vec<_>>(), alone);
    let secrets = json!({
        "state": "Verified", "reason": "KmsV2", "evidence": "it was", "since": "2026-11-24T00:00:00Z", "triedAt": "2026-11-24T00:00:00Z",
    });
    let dirty = apply(
        &mut world,
        &of(json!({ "namespaces": 1, "secrets": secrets })),
    );
    assert!(dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned())));
}

#[test]
fn what_people_wrote_reaches_a_posture_without_what_terminals_obey() {
    let mut rule = crate::attested("vault", "2026-05-01", "2027-05-01");
    rule["attestation"]["statement"] = json!("LUKS\u{1b}[2J\u{9b}31m");
    let world = world(&[
        at_rest(json!({ "storageClasses": [rule] })),
        class("vault", "vault.example.com", json!({})),
    ]);
    let item = &items(&world, now())[1];
    assert_eq!(item.item, "StorageClass/vault");
    assert!(item.evidence.ends_with("LUKS [2J 31m"), "{item:?}");
}
