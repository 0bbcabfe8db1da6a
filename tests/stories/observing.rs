//! The stage observe, what was there before enrolment, and squatters.

use serde_json::json;
use testbed::eventually;

use crate::stage::{PATIENCE, in_days, namespace, shared, vendor};

async fn findings(name: &str) -> Vec<(String, String)> {
    let admin = shared().await.cluster.admin();
    let posture = admin.get(&["posture", "current", "-n", name]).await;
    let posture = posture.unwrap_or_default();
    let list = posture["spec"]["findings"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text =
        |finding: &serde_json::Value, field: &str| finding[field].as_str().unwrap().to_owned();
    list.iter()
        .map(|finding| (text(finding, "reason"), text(finding, "object")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn observing_cuts_nothing_and_tells_and_what_survives_keeps_enforced_false() {
    let stage = shared().await;
    let name = "swept";
    stage
        .engineer
        .apply(&namespace(name, &json!({})).to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("the default service account is there", PATIENCE, || async {
        stage
            .cluster
            .admin()
            .get(&["serviceaccount", "default", "-n", name])
            .await
    })
    .await
    .unwrap();
    let admin = stage.cluster.tenant_admin(name).await.unwrap();
    let wide = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "old", "namespace": name },
        "spec": { "podSelector": {}, "policyTypes": ["Egress"], "egress": [{ "to": [{ "ipBlock": { "cidr": "198.51.100.0/24" } }] }] }
    });
    let host = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "host", "namespace": name },
        "spec": { "hostNetwork": true, "containers": [{ "name": "app", "image": "app" }], "tolerations": [{ "operator": "Exists" }],
            "volumes": [{ "name": "node", "hostPath": { "path": "/" } }] }
    });
    for object in [&wide, &host] {
        admin
            .apply(&object.to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
    }
    let enrol = [
        "label",
        "ns",
        name,
        "privacy.cloudnexus.io/tenant=acme",
        "privacy.cloudnexus.io/stage=observe",
    ];
    stage
        .engineer
        .kubectl(&enrol)
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually(
        "the posture lists what would be cut and what reaches further",
        PATIENCE,
        || async {
            let findings = findings(name).await;
            for (reason, object) in [
                ("WiderNetworkPolicy", "NetworkPolicy/old"),
                ("HostNetwork", "Pod/host"),
                ("NodeVolume", "Pod/host"),
                ("WouldCut", "Namespace/swept"),
            ] {
                anyhow::ensure!(
                    findings.contains(&(reason.to_owned(), object.to_owned())),
                    "{findings:?}"
                );
            }
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
    stage.enforced(name, "False", "Observing").await;
    let policies = stage.get(&["netpol", "-n", name]).await;
    assert_eq!(
        policies["items"].as_array().unwrap().len(),
        1,
        "nothing is applied while observing"
    );

    stage
        .engineer
        .kubectl(&["label", "ns", name, "privacy.cloudnexus.io/stage-"])
        .await
        .unwrap()
        .success()
        .unwrap();
    stage.enforced(name, "False", "ReachesFurther").await;
    admin
        .kubectl(&["delete", "netpol", "old", "-n", name])
        .await
        .unwrap()
        .success()
        .unwrap();
    stage.enforced(name, "False", "ReachesFurther").await;
    admin
        .kubectl(&[
            "delete",
            "pod",
            "host",
            "-n",
            name,
            "--grace-period=0",
            "--force",
        ])
        .await
        .unwrap()
        .success()
        .unwrap();
    stage.enforced(name, "True", "ReadBack").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_squatted_is_reported_and_neither_adopted_nor_removed() {
    let stage = shared().await;
    let name = "squatted";
    stage
        .engineer
        .apply(&namespace(name, &json!({})).to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    stage
        .engineer
        .apply(&vendor(name).to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let admin = stage.cluster.tenant_admin(name).await.unwrap();
    let floor = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "covenant-default-deny", "namespace": name },
        "spec": { "podSelector": { "matchLabels": { "a": "b" } } }
    });
    admin
        .apply(&floor.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let grant = crate::stage::grant(name, "metrics", name, &in_days(30));
    admin
        .apply(&grant.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    stage
        .engineer
        .kubectl(&["label", "ns", name, "privacy.cloudnexus.io/tenant=acme"])
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("the taken name is reported", PATIENCE, || async {
        let findings = findings(name).await;
        let taken = (
            "NameTaken".to_owned(),
            "NetworkPolicy/covenant-default-deny".to_owned(),
        );
        anyhow::ensure!(findings.contains(&taken), "{findings:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let kept = stage
        .get(&["netpol", "covenant-default-deny", "-n", name])
        .await;
    assert_eq!(kept["spec"]["podSelector"], floor["spec"]["podSelector"]);
    assert_eq!(kept["metadata"]["labels"], serde_json::Value::Null);
    stage.enforced(name, "False", "PolicyPending").await;
    admin
        .kubectl(&["delete", "netpol", "covenant-default-deny", "-n", name])
        .await
        .unwrap()
        .success()
        .unwrap();
    stage.enforced(name, "True", "ReadBack").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_of_the_floor_and_of_a_path_is_repaired() {
    let tenant = shared().await.tenant("drifts").await;
    tenant.grants(&tenant.grant("metrics", &in_days(30))).await;
    let grant = tenant.open("metrics").await;
    let path = grant["status"]["paths"][0]["networkPolicy"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    // Only who may enforce gets past the guard: an appointed repairer stands for whatever got past.
    tenant
        .stage
        .cluster
        .appoint("repairer", "enforce", &[])
        .await
        .unwrap();
    let rules = json!([{ "apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["get", "patch", "delete"] }]);
    tenant
        .stage
        .cluster
        .give("repairer", "repairer-policies", &rules)
        .await
        .unwrap();
    let repairer = tenant.stage.cluster.identity("repairer").await.unwrap();
    let wider = r#"{"spec":{"egress":[{}]}}"#;
    let arguments = [
        "patch",
        "netpol",
        &path,
        "-n",
        "drifts",
        "--type=merge",
        "-p",
        wider,
    ];
    repairer
        .kubectl(&arguments)
        .await
        .unwrap()
        .success()
        .unwrap();
    repairer
        .kubectl(&["delete", "netpol", "covenant-default-deny", "-n", "drifts"])
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("both are as they were made", PATIENCE, || async {
        let admin = tenant.stage.cluster.admin();
        let policy = admin.get(&["netpol", &path, "-n", "drifts"]).await?;
        let peers = &policy["spec"]["egress"][0]["to"];
        anyhow::ensure!(
            peers == &json!([{ "ipBlock": { "cidr": "203.0.113.0/24" } }]),
            "{peers}"
        );
        admin
            .get(&["netpol", "covenant-default-deny", "-n", "drifts"])
            .await
    })
    .await
    .unwrap();
    tenant.open("metrics").await;
}
