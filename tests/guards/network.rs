//! What a tenant may do with NetworkPolicies of its own.

use serde_json::{Value, json};
use testbed::{Identity, eventually};

use super::stage::{PATIENCE, assert_refused, cluster, enrolled, namespace, policy};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_cannot_widen_the_network_and_keeps_policies_of_its_own() {
    let cluster = cluster().await;
    enrolled(cluster, "wide").await;
    let wide = [
        (
            "egress anywhere",
            json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{}] }),
        ),
        (
            "ingress anywhere",
            json!({ "podSelector": {}, "ingress": [{}] }),
        ),
        (
            "empty peers",
            json!({ "podSelector": {}, "ingress": [{ "from": [] }] }),
        ),
        (
            "an address",
            json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{ "to": [{ "ipBlock": { "cidr": "203.0.113.0/24" } }] }] }),
        ),
        (
            "every namespace",
            json!({ "podSelector": {}, "ingress": [{ "from": [{ "namespaceSelector": {} }] }] }),
        ),
        (
            "another namespace's pods",
            json!({ "podSelector": {}, "ingress": [{ "from": [{ "namespaceSelector": { "matchLabels": { "a": "b" } }, "podSelector": {} }] }] }),
        ),
        (
            "one wide peer among narrow ones",
            json!({ "podSelector": {}, "ingress": [{ "from": [{ "podSelector": {} }, { "ipBlock": { "cidr": "198.51.100.0/24" } }] }] }),
        ),
        (
            "one wide rule among narrow ones",
            json!({ "podSelector": {}, "ingress": [{ "from": [{ "podSelector": {} }] }, { "ports": [{ "port": 80 }] }] }),
        ),
    ];
    let narrow = json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{ "from": [{ "podSelector": { "matchLabels": { "a": "b" } } }] }], "egress": [{ "to": [{ "podSelector": {} }], "ports": [{ "port": 80 }] }] });
    let tenant = cluster.tenant_admin("wide").await.unwrap();
    tenant
        .apply(&policy("wide", "own", &narrow).to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let attackers = [
        tenant.clone(),
        cluster.namespace_cluster_admin("wide").await.unwrap(),
        cluster.gitops().await.unwrap(),
        cluster.platform_engineer().await.unwrap(),
        cluster.admin().clone(),
    ];
    for attacker in &attackers {
        for (what, spec) in &wide {
            let made = attacker
                .kubectl_with(
                    &["create", "-f", "-"],
                    &policy("wide", "wide", spec).to_string(),
                )
                .await
                .unwrap();
            assert_refused(attacker, what, &made);
            let edited = attacker
                .kubectl_with(
                    &["replace", "-f", "-"],
                    &policy("wide", "own", spec).to_string(),
                )
                .await
                .unwrap();
            assert_refused(attacker, what, &edited);
        }
    }
    let deny = policy(
        "wide",
        "deny",
        &json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }),
    );
    tenant
        .apply(&deny.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant
        .kubectl(&["delete", "netpol", "own", "deny", "-n", "wide"])
        .await
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_survives_from_before_enrolment_can_be_relabelled_and_removed_but_not_widened() {
    let cluster = cluster().await;
    let engineer = cluster.platform_engineer().await.unwrap();
    engineer
        .apply(&namespace("before", "team: any"))
        .await
        .unwrap()
        .success()
        .unwrap();
    let tenant = cluster.tenant_admin("before").await.unwrap();
    let wide = policy(
        "before",
        "old",
        &json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{}] }),
    );
    tenant
        .apply(&wide.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    engineer
        .kubectl(&["label", "ns", "before", "privacy.cloudnexus.io/tenant=acme"])
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("the guard sees the namespace's label", PATIENCE, || async {
        let dry = ["create", "--dry-run=server", "-f", "-"];
        let mut other = wide.clone();
        other["metadata"]["name"] = json!("new");
        Ok::<_, anyhow::Error>(
            !tenant
                .kubectl_with(&dry, &other.to_string())
                .await?
                .is_success(),
        )
        .and_then(|refused| {
            if refused {
                Ok(())
            } else {
                Err(anyhow::anyhow!("not yet"))
            }
        })
    })
    .await
    .unwrap();
    tenant
        .kubectl(&["label", "netpol", "old", "-n", "before", "team=any"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let patch = r#"{"spec":{"ingress":[{}]}}"#;
    let output = tenant
        .kubectl(&[
            "patch",
            "netpol",
            "old",
            "-n",
            "before",
            "--type=merge",
            "-p",
            patch,
        ])
        .await
        .unwrap();
    assert_refused(&tenant, "widening what survives", &output);
    tenant
        .kubectl(&["delete", "netpol", "old", "-n", "before"])
        .await
        .unwrap()
        .success()
        .unwrap();
}

/// With no room for default deny a namespace would be open.
#[tokio::test(flavor = "multi_thread")]
async fn no_quota_keeps_the_floor_out() {
    let cluster = cluster().await;
    let quota = |namespace: &str, name: &str, key: &str| {
        json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": name, "namespace": namespace },
            "spec": { "hard": { key: "0" } },
        })
        .to_string()
    };
    let policies = "count/networkpolicies.networking.k8s.io";
    let create = ["create", "-f", "-"];
    let dry = ["create", "--dry-run=server", "-f", "-"];
    enrolled(cluster, "floor-quota").await;
    let boss = cluster
        .namespace_cluster_admin("floor-quota")
        .await
        .unwrap();
    let gitops = cluster.gitops().await.unwrap();
    for who in [&boss, &gitops, cluster.admin()] {
        let text = quota("floor-quota", "none", policies);
        let output = who.kubectl_with(&create, &text).await.unwrap();
        assert_refused(who, "a quota of policies", &output);
        let text = quota("floor-quota", "other", "count/jobs.batch");
        let output = who.kubectl_with(&dry, &text).await.unwrap();
        output.success().unwrap();
    }
    let rules =
        json!([{ "apiGroups": [""], "resources": ["resourcequotas"], "verbs": ["create"] }]);
    let engineer = cluster.platform_engineer().await.unwrap();
    cluster
        .give(engineer.name(), "engineer-quotas", &rules)
        .await
        .unwrap();
    let text = quota("floor-quota", "none", policies);
    let output = engineer.kubectl_with(&dry, &text).await.unwrap();
    output.success().unwrap();
    // In the stage observe too, since a hold's default deny must find room.
    let labels = "privacy.cloudnexus.io/tenant: acme, privacy.cloudnexus.io/stage: observe";
    let observing = namespace("floor-quota-observing", labels);
    engineer.apply(&observing).await.unwrap().success().unwrap();
    let text = quota("floor-quota-observing", "none", policies);
    let output = cluster.admin().kubectl_with(&create, &text).await.unwrap();
    assert_refused(cluster.admin(), "a quota of policies", &output);
    // What was there before can still be tended, and counted by the cluster itself.
    let before = namespace("floor-quota-before", "a: b");
    engineer.apply(&before).await.unwrap().success().unwrap();
    let text = quota("floor-quota-before", "none", policies);
    let output = cluster.admin().kubectl_with(&create, &text).await.unwrap();
    output.success().unwrap();
    let enrols = namespace("floor-quota-before", "privacy.cloudnexus.io/tenant: acme");
    engineer.apply(&enrols).await.unwrap().success().unwrap();
    let note = [
        "annotate",
        "quota",
        "none",
        "a=b",
        "-n",
        "floor-quota-before",
    ];
    cluster
        .admin()
        .kubectl(&note)
        .await
        .unwrap()
        .success()
        .unwrap();
    let counted = ["quota", "none", "-n", "floor-quota-before"];
    eventually("the cluster has counted", PATIENCE, || async {
        let quota = cluster.admin().get(&counted).await?;
        anyhow::ensure!(quota["status"]["hard"].is_object(), "{quota}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let by_status =
        async |who: &Identity, namespace: &str, name: &str, status: Value, more: &[&str]| {
            let patch = json!({ "status": status }).to_string();
            let mut arguments = vec![
                "patch",
                "quota",
                name,
                "-n",
                namespace,
                "--subresource=status",
            ];
            arguments.extend(["--type=merge", "-p", &patch]);
            arguments.extend(more);
            who.kubectl(&arguments).await.unwrap()
        };
    let used = json!({ "used": { policies: "3" } });
    let tended = by_status(cluster.admin(), "floor-quota-before", "none", used, &[]).await;
    tended.success().unwrap();
    // It is the status by which the API server counts.
    let text = quota("floor-quota", "other", "count/jobs.batch");
    boss.kubectl_with(&create, &text)
        .await
        .unwrap()
        .success()
        .unwrap();
    let forged = json!({ "hard": { policies: "0" }, "used": { policies: "0" } });
    for who in [&boss, &gitops, cluster.admin()] {
        let output = by_status(who, "floor-quota", "other", forged.clone(), &[]).await;
        assert_refused(who, "a quota of policies by its status", &output);
    }
    let mut counted = cluster
        .admin()
        .get(&["quota", "other", "-n", "floor-quota"])
        .await
        .unwrap();
    counted["status"] = forged;
    let path = "/api/v1/namespaces/floor-quota/resourcequotas/other/status";
    let controller = "--as=system:serviceaccount:kube-system:resourcequota-controller";
    let counts = [controller, "replace", "--raw", path, "-f", "-"];
    let output = cluster
        .admin()
        .kubectl_with(&counts, &counted.to_string())
        .await;
    output.unwrap().success().unwrap();
}
