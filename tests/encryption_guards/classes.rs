//! A listed class is not made anew as something else.

use serde_json::{Value, json};
use testbed::raw::{Call, JSON};

use crate::stage::{passes, refused, stage};

fn class(name: &str, provisioner: &str, parameters: &Value) -> Call {
    let body = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": name },
        "provisioner": provisioner, "parameters": parameters,
    });
    Call::new("POST", "/apis/storage.k8s.io/v1/storageclasses").with(JSON, body)
}

fn proof(name: &str) -> Value {
    json!([{ "name": name, "proof": { "provisioner": "ebs.csi.aws.com", "parameters": { "encrypted": "true" } } }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_is_listed_with_a_proof_is_made_as_the_proof_says_or_not_at_all() {
    let stage = stage().await;
    stage.baseline("proven", proof("fast")).await;
    let admin = stage.admin();
    let driver = "ebs.csi.aws.com";
    let words = "StorageClass fast: TenantBaseline proven lists it with other parameters: encrypted must be true";
    stage
        .until(&class("fast", driver, &json!({})).dry(), words)
        .await;
    // Not even by who writes the baseline.
    for who in [&admin, &stage.platform.caller().unwrap()] {
        let others = [
            json!({}),
            json!({ "encrypted": "false" }),
            json!({ "encrypted": "True" }),
            json!({ "Encrypted": "true" }),
            json!({ "encrypted": "true", "ENCRYPTED": "false" }),
        ];
        for other in others {
            refused(who, class("fast", driver, &other), &[words]).await;
        }
        let elsewhere = class(
            "fast",
            "disk.csi.azure.com",
            &json!({ "encrypted": "true" }),
        );
        refused(
            who,
            elsewhere,
            &["lists it with the provisioner ebs.csi.aws.com, and this one has disk.csi.azure.com"],
        )
        .await;
    }
    passes(
        &admin,
        class(
            "fast",
            driver,
            &json!({ "encrypted": "true", "type": "gp3" }),
        ),
    )
    .await;
    // Away and back again under its name.
    passes(
        &admin,
        Call::new("DELETE", "/apis/storage.k8s.io/v1/storageclasses/fast"),
    )
    .await;
    refused(
        &admin,
        class("fast", driver, &json!({ "type": "gp3" })),
        &[words],
    )
    .await;
    passes(&admin, class("unlisted", driver, &json!({}))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attested_class_is_made_anew_only_by_who_writes_baselines() {
    let stage = stage().await;
    let attested = json!([{ "name": "vault", "attestation": {
        "by": "storage-team", "statement": "LUKS aes-xts-plain64 512", "at": "2026-05-01T00:00:00Z", "expires": "2199-05-01",
    } }]);
    stage.baseline("attested", attested).await;
    let make = || class("vault", "example.com/vault", &json!({}));
    let words =
        "TenantBaseline attested lists it by an attestation, which is about the class as it was";
    stage.until(&make().dry(), words).await;
    let platform = stage.platform.caller().unwrap();
    refused(&stage.admin(), make(), &[words, "a wildcard carries none"]).await;
    passes(&platform, make()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_baseline_lists_a_class_once_and_with_one_ground() {
    let stage = stage().await;
    let platform = stage.platform.caller().unwrap();
    let one = proof("once")[0].clone();
    let attestation =
        json!({ "by": "team", "statement": "LUKS", "at": "2026-05-01", "expires": "2027-05-01" });
    let mut both = one.clone();
    both["attestation"] = attestation.clone();
    let tries = [
        (
            json!({ "storageClasses": [one, one] }),
            "a class is listed once",
        ),
        (
            json!({ "storageClasses": [both] }),
            "either proven or attested",
        ),
        (
            json!({ "storageClasses": [{ "name": "none" }] }),
            "either proven or attested",
        ),
        (
            json!({ "storageClasses": [], "secrets": "Attested" }),
            "it needs one",
        ),
        (
            json!({ "storageClasses": [], "secrets": "Verify", "secretsAttestation": attestation }),
            "belongs to `secrets: Attested`",
        ),
    ];
    for (at_rest, words) in tries {
        let body = json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TenantBaseline", "metadata": { "name": "wrong" },
            "spec": { "network": { "sameTenant": "Allow" }, "grants": { "maximumDuration": "P90D" }, "encryption": { "atRest": at_rest } },
        });
        let path = "/apis/privacy.cloudnexus.io/v1alpha1/tenantbaselines";
        let call = Call::new("POST", path).with(JSON, body);
        let answer = platform.send(&call).await.unwrap();
        let is_refused = answer.code == 422 && answer.message().contains(words);
        assert!(is_refused, "{words}: {}", platform.told(&call, &answer));
    }
}
