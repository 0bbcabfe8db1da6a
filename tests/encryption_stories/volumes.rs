//! What tenants' data lies on.

use serde_json::{Value, json};
use testbed::eventually;
use testbed::raw::{Call, JSON};

use crate::case::Case;
use crate::stage::{COVENANT, PATIENCE, Stage, in_days, in_seconds, shared};

const EBS: &str = "ebs.csi.aws.com";

fn proven(class: &str) -> Value {
    json!({ "name": class, "proof": { "provisioner": EBS, "parameters": { "encrypted": "true" } } })
}

fn attested(class: &str, at: &str, expires: &str) -> Value {
    json!({ "name": class, "attestation": { "by": "storage-team", "statement": "LUKS aes-xts-plain64 512", "at": at, "expires": expires } })
}

fn at_rest(classes: &[Value]) -> Value {
    json!({ "atRest": { "storageClasses": classes } })
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_name_what_is_proven_and_the_posture_says_what_shows_it() {
    let case = Case::new(
        shared().await,
        "proven",
        at_rest(&[proven("proven-fast"), proven("proven-plain")]),
    )
    .await;
    // Listed, and not there yet.
    case.item(
        "StorageClass/proven-fast",
        Some(("Unknown", "ClassMissing")),
    )
    .await;
    case.refused(
        &case.claim("early", "proven-fast"),
        "None may be named here now",
    )
    .await;
    case.class(
        "proven-fast",
        EBS,
        json!({ "encrypted": "true", "type": "gp3" }),
    )
    .await;
    let posture = case
        .item(
            "StorageClass/proven-fast",
            Some(("Proven", "ProvenByParameters")),
        )
        .await;
    let items = posture["spec"]["encryption"]["items"].as_array().unwrap();
    let item = items
        .iter()
        .find(|item| item["item"] == "StorageClass/proven-fast")
        .unwrap();
    assert!(
        item["evidence"]
            .as_str()
            .unwrap()
            .starts_with("ebs.csi.aws.com: EBS encryption"),
        "{item}"
    );
    assert!(item["since"].is_string(), "{item}");
    case.passes(&case.claim("data", "proven-fast")).await;
    case.refused(&case.claim("other", "proven-plain"), "the volumes of the storage class proven-plain are not known to be encrypted. Name one of: proven-fast.").await;
    case.item("PersistentVolumeClaim/data", None).await;

    // Taken off the list, its claims stay and are told.
    case.says(at_rest(&[])).await;
    case.refused(
        &case.claim("more", "proven-fast"),
        "None may be named here now",
    )
    .await;
    case.item(
        "PersistentVolumeClaim/data",
        Some(("Unknown", "ClassNotListed")),
    )
    .await;
    case.encrypted("Unknown", "NotKnown").await;

    // A baseline without a word of encryption judges nothing, and says so.
    case.says(Value::Null).await;
    case.passes(&case.claim("anything", "whatever")).await;
    case.item(
        "PersistentVolumeClaims",
        Some(("NotJudged", "NotInBaseline")),
    )
    .await;
    case.encrypted("Unknown", "NotJudged").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_is_not_what_its_proof_says_is_named_by_nobody() {
    let case = Case::new(shared().await, "changed", at_rest(&[])).await;
    case.class("changed-fast", EBS, json!({ "encrypted": "true" }))
        .await;
    case.says(at_rest(&[proven("changed-fast")])).await;
    case.passes(&case.claim("data", "changed-fast")).await;
    let admin = case.stage.cluster.admin().caller().unwrap();
    let gone = Call::new(
        "DELETE",
        "/apis/storage.k8s.io/v1/storageclasses/changed-fast",
    );
    // Made anew with less, it is refused for as long as it is listed; so it is taken off first, and put back.
    assert!(admin.send(&gone).await.unwrap().is_success());
    let less = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": "changed-fast" },
        "provisioner": EBS, "parameters": { "encrypted": "false" },
    });
    let make = Call::new("POST", "/apis/storage.k8s.io/v1/storageclasses").with(JSON, less);
    let answer = admin.send(&make).await.unwrap();
    assert!(
        answer
            .message()
            .contains("encrypted must be true, written once"),
        "{answer:?}"
    );
    case.item(
        "StorageClass/changed-fast",
        Some(("Unknown", "ClassMissing")),
    )
    .await;
    case.says(at_rest(&[])).await;
    eventually("it may be made once it is not listed", PATIENCE, || async {
        let answer = admin.send(&make).await?;
        anyhow::ensure!(answer.is_success(), "{answer:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    case.says(at_rest(&[proven("changed-fast")])).await;
    case.item(
        "StorageClass/changed-fast",
        Some(("NotEncrypted", "OtherParameter")),
    )
    .await;
    case.item(
        "PersistentVolumeClaim/data",
        Some(("NotEncrypted", "OtherParameter")),
    )
    .await;
    case.encrypted("False", "NotEncrypted").await;
    case.refused(
        &case.claim("more", "changed-fast"),
        "None may be named here now",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_lapses_with_the_operator_dead() {
    let stage = Stage::new().await;
    let case = Case::new(&stage, "lapses", at_rest(&[])).await;
    case.class("vault", "vault.example.com", json!({})).await;
    let at = in_seconds(0);
    case.says(at_rest(&[attested("vault", &at, &in_days(300))]))
        .await;
    case.passes(&case.claim("data", "vault")).await;
    case.item("StorageClass/vault", Some(("Attested", "Attested")))
        .await;
    let end = in_seconds(15);
    case.says(at_rest(&[attested("vault", &at, &end)])).await;
    eventually("guards know the end", PATIENCE, || async {
        let parameters = ["guardparameters", "current", "-n", "lapses"];
        let parameters = stage.cluster.admin().get(&parameters).await?;
        let until = &parameters["spec"]["storageClasses"][0]["notAfter"];
        anyhow::ensure!(*until == json!(end), "{parameters}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    stage.operator.kill();
    case.refused(
        &case.claim("late", "vault"),
        "the attestation of the storage class vault ended at",
    )
    .await;
    // Back again, it says so, and one that is attested anew may be named.
    let operator = stage.cluster.start_operator(COVENANT).await.unwrap();
    case.item("StorageClass/vault", Some(("Unknown", "AttestationLapsed")))
        .await;
    case.item("PersistentVolumeClaim/data", None).await;
    case.says(at_rest(&[attested("vault", &at, &in_days(300))]))
        .await;
    case.passes(&case.claim("again", "vault")).await;
    drop(operator);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_enrolment_is_told_and_nothing_of_it_is_touched() {
    let stage = shared().await;
    let name = "storedbefore";
    let admin = stage.cluster.admin();
    admin
        .apply_object(&crate::stage::namespace(name, &json!({})))
        .await
        .unwrap();
    let case = Case {
        stage,
        name: name.to_owned(),
        tenant: stage.cluster.tenant_admin(name).await.unwrap(),
    };
    case.passes(&case.claim("old", "plain")).await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "scratch", "namespace": name },
        "spec": { "containers": [{ "name": "main", "image": "none" }], "volumes": [{ "name": "tmp", "emptyDir": {} }] },
    });
    admin.apply_object(&pod).await.unwrap();
    case.says(json!({ "atRest": { "storageClasses": [], "emptyDir": "Refuse" } }))
        .await;
    case.enrol().await;
    case.item(
        "PersistentVolumeClaim/old",
        Some(("Unknown", "ClassNotListed")),
    )
    .await;
    case.item("EmptyDir", Some(("Unknown", "ScratchOnNode")))
        .await;
    let path = format!("/api/v1/namespaces/{name}/pods");
    let mut another = pod.clone();
    another["metadata"]["name"] = json!("another");
    case.refused(
        &Call::new("POST", path).with(JSON, another),
        "scratch space tmp would lie on the disk of the node",
    )
    .await;
    let old = stage.get(&["pvc", "old", "-n", name]).await;
    assert_eq!(old["metadata"]["deletionTimestamp"], Value::Null);

    // Gone is gone: the posture says nothing of it any more.
    let caller = admin.caller().unwrap();
    for path in [
        format!("/api/v1/namespaces/{name}/persistentvolumeclaims/old"),
        format!("/api/v1/namespaces/{name}/pods/scratch?gracePeriodSeconds=0"),
    ] {
        assert!(
            caller
                .send(&Call::new("DELETE", path))
                .await
                .unwrap()
                .is_success()
        );
    }
    case.item("EmptyDir", None).await;
    case.item("PersistentVolumeClaim/old", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_leaves_is_bound_by_nothing_and_one_whose_baseline_is_gone_by_the_strictest()
 {
    let case = Case::new(shared().await, "leaves", at_rest(&[proven("leaves-fast")])).await;
    case.class("leaves-fast", EBS, json!({ "encrypted": "true" }))
        .await;
    case.passes(&case.claim("data", "leaves-fast")).await;
    let engineer = case.stage.engineer.caller().unwrap();
    let baseline = "/apis/privacy.cloudnexus.io/v1alpha1/tenantbaselines/leaves";
    assert!(
        engineer
            .send(&Call::new("DELETE", baseline))
            .await
            .unwrap()
            .is_success()
    );
    case.refused(
        &case.claim("more", "leaves-fast"),
        "None may be named here now",
    )
    .await;
    case.encrypted("Unknown", "BaselineUnreadable").await;
    let out = json!({ "metadata": { "labels": { "privacy.cloudnexus.io/tenant": null } } });
    let leave = Call::new("PATCH", "/api/v1/namespaces/leaves").with(testbed::raw::MERGE, out);
    assert!(engineer.send(&leave).await.unwrap().is_success());
    case.passes(&case.claim("free", "plain")).await;
    let left = ["guardparameters,posture", "-n", "leaves"];
    case.stage
        .cluster
        .admin()
        .wait_until_none(&left, PATIENCE)
        .await
        .unwrap();
}
