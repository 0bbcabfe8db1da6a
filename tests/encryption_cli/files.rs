//! Reports of manifests, without a cluster.

use std::process::Output;

use serde_json::json;

use crate::{as_json, exits, fails};

const MANIFESTS: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: acme-prod, labels: {privacy.cloudnexus.io/tenant: acme}}
---
apiVersion: v1
kind: Namespace
metadata: {name: nobodys}
---
apiVersion: privacy.cloudnexus.io/v1alpha1
kind: TenantBaseline
metadata: {name: default}
spec:
  network: {sameTenant: Deny}
  grants: {maximumDuration: P90D}
  encryption:
    atRest:
      secrets: Attested
      secretsAttestation: {by: Platform, statement: aescbc by KMS, at: 2026-01-01, expires: 2199-01-01}
      storageClasses:
      - {name: local, attestation: {by: Platform, statement: LUKS, at: 2026-01-01, expires: 2199-01-01}}
";

fn report(manifests: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.yaml");
    std::fs::write(&file, manifests).unwrap();
    let file = file.display().to_string();
    let mut arguments = vec!["report", "-f", &file];
    arguments.extend(more);
    crate::covenant(&arguments)
}

#[test]
fn manifests_are_told_as_a_cluster_with_them_would_be() {
    let text = exits(1, &report(MANIFESTS, &[]));
    let first = text.lines().next().unwrap();
    let expected = "Namespace acme-prod (tenant acme, baseline default): not ";
    assert!(first.starts_with(expected), "{text}");
    assert!(text.contains("StorageClass/local"), "{text}");
    assert!(text.contains("Secrets "), "{text}");
    assert!(!text.contains("nobodys"), "{text}");
    let printed = exits(1, &report(MANIFESTS, &["-o", "json"]));
    let told = &as_json(&printed)["namespaces"];
    assert_eq!(told.as_array().unwrap().len(), 1);
    assert_eq!(told[0]["name"], "acme-prod");
    assert_ne!(told[0]["reason"], "Outdated");

    let text = exits(1, &report(MANIFESTS, &["-n", "nobodys"]));
    assert!(text.contains("NotEnrolled"), "{text}");
    let text = exits(0, &report("", &[]));
    assert!(text.starts_with("No namespace is enrolled"), "{text}");
    assert_eq!(
        as_json(&exits(0, &report("", &["-o", "json"])))["namespaces"],
        json!([])
    );
}

#[test]
fn manifests_are_not_mixed_with_a_cluster() {
    let both = report(MANIFESTS, &["--kubeconfig", "k"]);
    fails(&both, &["name manifests with -f, or a cluster"]);
    let probe = report(MANIFESTS, &["--probe"]);
    fails(&probe, &["--probe", "cannot be used with"]);
    let broken = report("kind: [", &[]);
    assert_eq!(broken.status.code(), Some(2));
}

#[test]
fn the_example_is_told_before_and_after_its_attestation_ends() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/encryption");
    let at = |instant: &str| {
        let arguments = ["report", "-f", folder, "--at", instant, "-o", "json"];
        let report = crate::as_json(&crate::exits(1, &crate::covenant(&arguments)));
        let items = report["namespaces"][0]["items"].as_array().unwrap().clone();
        items
            .into_iter()
            .map(|item| {
                let text = |field: &str| item[field].as_str().unwrap().to_owned();
                (text("item"), text("reason"))
            })
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let (before, after) = (at("2026-11-24"), at("2027-05-02"));
    assert_eq!(before["StorageClass/encrypted-gp3"], "ProvenByParameters");
    assert_eq!(before["PersistentVolumeClaim/archive"], "ClassNotListed");
    assert!(!before.contains_key("PersistentVolumeClaim/orders"));
    assert_eq!(before["EmptyDir"], "ScratchOnNode");
    assert_eq!(before["StorageClass/vault-disk"], "Attested");
    assert_eq!(after["StorageClass/vault-disk"], "AttestationLapsed");
}
