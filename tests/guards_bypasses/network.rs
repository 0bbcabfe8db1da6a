//! A tenant cannot widen its network.

use covenant::api::names::MANAGER_NETWORK;
use serde_json::{Value, json};
use testbed::names::{LABEL_MANAGED_BY, LABEL_STAGE, LABEL_TENANT, MANAGED_BY_COVENANT};

use crate::stage::{nobody_takes_its_writer_off, passes, patch, refused, stage, writes};

const SCOPE: &str = "covenant-network-scope";
const OWNERSHIP: &str = "covenant-network-ownership";
const FOREIGN: &str = "covenant-network-foreign-kinds";

fn policy(namespace: &str, name: &str, rules: &Value) -> Value {
    let mut spec = json!({ "podSelector": {} });
    spec.as_object_mut()
        .unwrap()
        .extend(rules.as_object().unwrap().clone());
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": name, "namespace": namespace }, "spec": spec,
    })
}

/// Every way to reach beyond the namespace.
fn wide() -> Vec<Value> {
    let all = json!({ "cidr": "0.0.0.0/0" });
    vec![
        json!({ "ingress": [{}] }),
        json!({ "egress": [{}] }),
        json!({ "egress": [{ "to": [], "ports": [{ "port": 443 }] }] }),
        json!({ "egress": [{ "to": [{ "ipBlock": all }] }] }),
        json!({ "ingress": [{ "from": [{ "ipBlock": all }] }] }),
        json!({ "egress": [{ "to": [{ "namespaceSelector": {} }] }] }),
        json!({ "ingress": [{ "from": [{ "podSelector": {}, "namespaceSelector": {} }] }] }),
        json!({ "egress": [{ "to": [{ "podSelector": {} }] }, { "to": [{ "podSelector": {} }, { "ipBlock": all }] }] }),
    ]
}

fn narrow() -> Vec<Value> {
    vec![
        json!({}),
        json!({ "policyTypes": ["Ingress", "Egress"] }),
        json!({ "ingress": [{ "from": [{ "podSelector": {} }], "ports": [{ "port": 80 }] }],
            "egress": [{ "to": [{ "podSelector": { "matchLabels": { "app": "b" } } }] }] }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_reaches_beyond_the_namespace_is_refused_to_everybody() {
    let stage = stage().await;
    let name = "network-wide";
    // What no stage knows counts as in force.
    stage
        .labelled(name, &[(LABEL_TENANT, "acme"), (LABEL_STAGE, "Observe")])
        .await;
    for who in stage.attackers(name).await {
        for rules in wide() {
            let made = who
                .apply(&policy(name, "mine", &rules).to_string())
                .await
                .unwrap();
            refused(made, SCOPE, &["network-wide/mine", "DataSharingGrant"]);
        }
    }
    // Nor by widening what was narrow.
    let tenant = stage.tenant(name).await;
    for (number, rules) in narrow().iter().enumerate() {
        let own = format!("narrow-{number}");
        tenant
            .apply_object(&policy(name, &own, rules))
            .await
            .unwrap();
        let widened = json!({ "spec": { "egress": [{}] } });
        refused(
            patch(&tenant, &["networkpolicy", &own, "-n", name], &widened).await,
            SCOPE,
            &[&own],
        );
        passes(
            tenant
                .kubectl(&["delete", "networkpolicy", &own, "-n", name])
                .await
                .unwrap(),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_the_operators_label() {
    let stage = stage().await;
    let name = "network-label";
    stage.enrolled(name, "acme").await;
    let mut ours = policy(
        name,
        "covenant-default-deny",
        &json!({ "policyTypes": ["Ingress", "Egress"] }),
    );
    ours["metadata"]["labels"] = json!({ LABEL_MANAGED_BY: MANAGED_BY_COVENANT });
    stage.operator.apply_object(&ours).await.unwrap();
    let mut forged = policy(name, "forged", &json!({}));
    forged["metadata"]["labels"] = json!({ LABEL_MANAGED_BY: MANAGED_BY_COVENANT });
    for who in stage.attackers(name).await {
        refused(
            who.apply(&forged.to_string()).await.unwrap(),
            OWNERSHIP,
            &["forged"],
        );
        let all = format!("/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies");
        refused(
            who.kubectl(&["delete", "--raw", &all]).await.unwrap(),
            OWNERSHIP,
            &["covenant-default-deny"],
        );
        let deny = ["networkpolicy", "covenant-default-deny", "-n", name];
        refused(
            patch(
                &who,
                &deny,
                &json!({ "spec": { "podSelector": { "matchLabels": { "app": "none" } } } }),
            )
            .await,
            OWNERSHIP,
            &["alone"],
        );
    }
    // The collector collects what had an owner; the floor has none.
    let deny = [
        "delete",
        "networkpolicy",
        "covenant-default-deny",
        "-n",
        name,
    ];
    refused(
        stage
            .controller("generic-garbage-collector", &deny, "")
            .await,
        OWNERSHIP,
        &["alone"],
    );
    // Not in the foreground, where it would wait.
    let foreground = [
        "delete",
        "--cascade=foreground",
        deny[1],
        deny[2],
        deny[3],
        deny[4],
    ];
    refused(
        stage.operator.kubectl(&foreground).await.unwrap(),
        OWNERSHIP,
        &["background"],
    );
    passes(stage.operator.kubectl(&deny).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_a_policy_of_ours_look_like_a_strangers() {
    let stage = stage().await;
    let name = "network-writer";
    stage.enrolled(name, "acme").await;
    let mut ours = policy(name, "covenant-baseline", &json!({ "egress": [{}] }));
    ours["metadata"]["labels"] = json!({ LABEL_MANAGED_BY: MANAGED_BY_COVENANT });
    writes(&stage.operator, &ours, MANAGER_NETWORK).await;
    let of = ["networkpolicy", "covenant-baseline", "-n", name];
    let path =
        format!("/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/covenant-baseline");
    nobody_takes_its_writer_off(stage, &of, &path, OWNERSHIP).await;
    // One whose writer nobody knows is kept as it is, and can be tended like any other of ours.
    ours["metadata"]["name"] = json!("covenant-default-deny");
    stage.operator.apply_object(&ours).await.unwrap();
    let of = ["networkpolicy", "covenant-default-deny", "-n", name];
    let reset = json!({ "metadata": { "managedFields": [{}] } });
    passes(patch(&stage.tenant(name).await, &of, &reset).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observed_namespace_is_warned_and_an_unenrolled_one_notices_nothing() {
    let stage = stage().await;
    stage
        .labelled(
            "network-observed",
            &[(LABEL_TENANT, "acme"), (LABEL_STAGE, "observe")],
        )
        .await;
    stage.labelled("network-unenrolled", &[]).await;
    for (name, warned) in [("network-observed", true), ("network-unenrolled", false)] {
        let tenant = stage.tenant(name).await;
        for (number, rules) in wide().iter().enumerate() {
            let made = passes(
                tenant
                    .apply(&policy(name, &format!("wide-{number}"), rules).to_string())
                    .await
                    .unwrap(),
            );
            assert_eq!(
                made.stderr.contains("reaches beyond the namespace"),
                warned,
                "{made}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_policy_kinds_are_the_operators_where_they_are_served() {
    let stage = stage().await;
    let kinds: Vec<Value> = [
        ("cilium.io", "CiliumNetworkPolicy", "ciliumnetworkpolicies"),
        ("crd.projectcalico.org", "NetworkPolicy", "networkpolicies"),
    ]
    .iter()
    .map(|(group, kind, plural)| json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": { "group": group, "scope": "Namespaced",
            "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }] },
    }))
    .collect();
    stage.cluster.apply_kinds(&kinds).await.unwrap();
    // Another part of Covenant, which writes what enforces names, say.
    let backend = stage.cluster.identity("backend").await.unwrap();
    let rules = json!([{
        "apiGroups": ["cilium.io", "crd.projectcalico.org"],
        "resources": ["ciliumnetworkpolicies", "networkpolicies"], "verbs": ["create"],
    }]);
    stage
        .cluster
        .give("backend", "backend", &rules)
        .await
        .unwrap();
    stage
        .cluster
        .appoint("backend", "enforce", &[])
        .await
        .unwrap();
    let name = "network-foreign";
    stage.labelled(name, &[]).await;
    let foreign = |group: &str, kind: &str, field: &str| {
        json!({
            "apiVersion": format!("{group}/v1"), "kind": kind,
            "metadata": { "name": "wide", "namespace": name }, field: [{ "egress": "all" }],
        })
    };
    for (group, kind, plural) in [
        (
            "cilium.io",
            "CiliumNetworkPolicy",
            "ciliumnetworkpolicies.cilium.io",
        ),
        (
            "crd.projectcalico.org",
            "NetworkPolicy",
            "networkpolicies.crd.projectcalico.org",
        ),
    ] {
        stage
            .gitops
            .apply_object(&foreign(group, kind, "specs"))
            .await
            .unwrap();
        stage.enrolled(name, "acme").await;
        for field in ["spec", "specs"] {
            let mut another = foreign(group, kind, field);
            another["metadata"]["name"] = json!("another");
            refused(
                stage.gitops.apply(&another.to_string()).await.unwrap(),
                FOREIGN,
                &["another", kind],
            );
            let dry = ["create", "--dry-run=server", "-f", "-"];
            let text = another.to_string();
            passes(backend.kubectl_with(&dry, &text).await.unwrap());
        }
        let of = [plural, "wide", "-n", name];
        refused(
            patch(
                &stage.gitops,
                &of,
                &json!({ "specs": [{ "egress": "more" }] }),
            )
            .await,
            FOREIGN,
            &["wide"],
        );
        passes(
            patch(
                &stage.gitops,
                &of,
                &json!({ "metadata": { "labels": { "team": "a" } } }),
            )
            .await,
        );
        passes(
            stage
                .gitops
                .kubectl(&["delete", plural, "wide", "-n", name])
                .await
                .unwrap(),
        );
        passes(
            patch(
                &stage.platform,
                &["namespace", name],
                &json!({ "metadata": { "labels": { LABEL_TENANT: null } } }),
            )
            .await,
        );
    }
}
