//! Who writes Covenant's own kinds.

use serde_json::{Value, json};
use testbed::names::VERB_REVOKE;
use testbed::{Cluster, Identity};

use crate::stage::{PATIENCE, gone, passes, patch, refused, stage};

const WORD: &str = "covenant-operators-word";
const PROHIBITIONS: &str = "covenant-prohibitions";
const DEFINITIONS: &str = "covenant-definitions";
const GROUP: &str = "privacy.cloudnexus.io/v1alpha1";

fn prohibition(name: &str, tenants: &[&str]) -> Value {
    json!({
        "apiVersion": GROUP, "kind": "SharingProhibition", "metadata": { "name": name },
        "spec": { "tenants": tenants, "reason": "breach notice" },
    })
}

/// An officer of one tenant.
async fn officer_of(cluster: &Cluster, tenant: &str) -> Identity {
    let user = format!("officer-of-{tenant}");
    let rules = json!([{ "apiGroups": ["privacy.cloudnexus.io"], "resources": ["sharingprohibitions"], "verbs": ["*"] }]);
    cluster
        .give(&user, &format!("{user}-kinds"), &rules)
        .await
        .unwrap();
    cluster
        .appoint(&user, VERB_REVOKE, &[tenant])
        .await
        .unwrap();
    cluster.identity(&user).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_posture_is_the_operators_word() {
    let stage = stage().await;
    let name = "kinds-posture";
    stage.enrolled(name, "acme").await;
    // The definition decides what else it must say; the guard asks before.
    let posture = json!({ "apiVersion": GROUP, "kind": "DataHandlingPosture", "metadata": { "name": "current", "namespace": name },
        "spec": { "tenant": "acme", "stage": "Enforced", "baseline": { "name": "default" }, "findingCount": 0, "openPathCount": 0 } });
    let made = stage
        .operator
        .kubectl_with(&["create", "-f", "-"], &posture.to_string())
        .await
        .unwrap();
    passes(made);
    let of = ["datahandlingposture", "current", "-n", name];
    for who in [
        stage.gitops.clone(),
        stage.admin().clone(),
        stage.cluster.namespace_cluster_admin(name).await.unwrap(),
    ] {
        let change = json!({ "spec": { "tenant": "globex" } });
        refused(
            patch(&who, &of, &change).await,
            WORD,
            &["kinds-posture/current", who.name()],
        );
        refused(
            who.kubectl(&["delete", of[0], of[1], of[2], of[3]])
                .await
                .unwrap(),
            WORD,
            &["alone"],
        );
        let mut other = posture.clone();
        other["metadata"]["name"] = json!("other");
        let made = who
            .kubectl_with(&["create", "-f", "-"], &other.to_string())
            .await
            .unwrap();
        if !made.stderr.contains("is invalid") {
            refused(made, WORD, &["alone"]);
        }
    }
    let stolen = ["delete", of[0], of[1], of[2], of[3]];
    refused(
        stage.controller("namespace-controller", &stolen, "").await,
        WORD,
        &["alone"],
    );
    passes(
        stage
            .admin()
            .kubectl(&["delete", "namespace", name, "--wait=false"])
            .await
            .unwrap(),
    );
    gone(stage.admin(), &["namespace", name], PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_officer_of_one_tenant_binds_and_frees_that_tenant_alone() {
    let stage = stage().await;
    let acme = officer_of(&stage.cluster, "acme").await;
    let globex = officer_of(&stage.cluster, "globex").await;
    acme.apply_object(&prohibition("acme-only", &["acme"]))
        .await
        .unwrap();
    for (name, tenants) in [
        ("wide-none", vec![]),
        ("wide-two", vec!["acme", "globex"]),
        ("wide-other", vec!["globex"]),
    ] {
        refused(
            acme.apply(&prohibition(name, &tenants).to_string())
                .await
                .unwrap(),
            PROHIBITIONS,
            &[name, "one prohibition a tenant"],
        );
    }
    let of = ["sharingprohibition", "acme-only"];
    // Neither taken over nor handed over.
    refused(
        patch(&globex, &of, &json!({ "spec": { "tenants": ["globex"] } })).await,
        PROHIBITIONS,
        &["acme and globex"],
    );
    refused(
        patch(&acme, &of, &json!({ "spec": { "tenants": ["globex"] } })).await,
        PROHIBITIONS,
        &["acme and globex"],
    );
    refused(
        patch(&acme, &of, &json!({ "spec": { "tenants": null } })).await,
        PROHIBITIONS,
        &["all tenants"],
    );
    refused(
        globex.kubectl(&["delete", of[0], of[1]]).await.unwrap(),
        PROHIBITIONS,
        &["acme"],
    );
    passes(acme.kubectl(&["delete", of[0], of[1]]).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_changed_and_deleted_by_who_is_appointed() {
    let stage = stage().await;
    let crd = ["crd", "sharingprohibitions.privacy.cloudnexus.io"];
    let columns = json!([{ "op": "remove", "path": "/spec/versions/0/subresources" }]).to_string();
    for who in [&stage.gitops, stage.admin()] {
        refused(
            who.kubectl(&["delete", crd[0], crd[1]]).await.unwrap(),
            DEFINITIONS,
            &[crd[1], "appointed"],
        );
        let answer = who
            .kubectl(&["patch", crd[0], crd[1], "--type=json", "-p", &columns])
            .await
            .unwrap();
        refused(answer, DEFINITIONS, &[crd[1]]);
        passes(
            patch(
                who,
                &crd,
                &json!({ "metadata": { "labels": { "team": "a" } } }),
            )
            .await,
        );
    }
    // A kind that is said to be terminating takes no new object: no hold, no prohibition.
    let terminating = json!({ "status": { "conditions": [
        { "type": "Terminating", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" },
    ] } });
    for definition in [crd[1], "processingholds.privacy.cloudnexus.io"] {
        for who in [&stage.gitops, stage.admin()] {
            let text = terminating.to_string();
            let arguments = [
                "patch",
                "crd",
                definition,
                "--subresource=status",
                "--type=merge",
                "-p",
                &text,
            ];
            let answer = who.kubectl(&arguments).await.unwrap();
            refused(answer, DEFINITIONS, &[definition, "appointed"]);
        }
    }
    let rules = json!([{ "apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["*"] }]);
    stage
        .cluster
        .give(stage.platform.name(), "platform-definitions", &rules)
        .await
        .unwrap();
    let dry = [
        "patch",
        crd[0],
        crd[1],
        "--dry-run=server",
        "--type=json",
        "-p",
        &columns,
    ];
    passes(stage.platform.kubectl(&dry).await.unwrap());
    passes(
        stage
            .platform
            .kubectl(&["delete", "--dry-run=server", crd[0], crd[1]])
            .await
            .unwrap(),
    );
    // The chart is applied again, unchanged, by anybody who may.
    stage.cluster.try_chart_again().await.unwrap();
}
