//! What publishes a pod past its policies, or sends a Service's traffic to somebody else.

use serde_json::{Value, json};
use testbed::{Cluster, Identity, Output};

use super::stage::{assert_refused, cluster, enrolled};

fn service(namespace: &str, name: &str, spec: &Value) -> Value {
    let mut whole = json!({ "selector": { "app": "web" }, "ports": [{ "port": 80 }] });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": namespace }, "spec": whole })
}

fn endpoints(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": { "name": name, "namespace": namespace },
        "subsets": [{ "addresses": [{ "ip": "203.0.113.7" }], "ports": [{ "port": 80 }] }],
    })
}

fn slice(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": name, "namespace": namespace, "labels": { "kubernetes.io/service-name": "web" } },
        "endpoints": [{ "addresses": ["203.0.113.7"] }], "ports": [{ "port": 80 }],
    })
}

pub fn published(namespace: &str) -> Vec<(&'static str, Value)> {
    let service = |spec: Value| service(namespace, "published", &spec);
    vec![
        (
            "externalIPs",
            service(json!({ "externalIPs": ["203.0.113.7"] })),
        ),
        ("a node port", service(json!({ "type": "NodePort" }))),
        (
            "a node port with the node's address",
            service(json!({ "type": "NodePort", "externalTrafficPolicy": "Cluster" })),
        ),
        (
            "a load balancer",
            service(json!({ "type": "LoadBalancer" })),
        ),
        (
            "a load balancer without node ports",
            service(json!({ "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false })),
        ),
        (
            "externalIPs beside Local",
            service(
                json!({ "type": "NodePort", "externalTrafficPolicy": "Local", "externalIPs": ["203.0.113.7"] }),
            ),
        ),
        ("Endpoints by hand", endpoints(namespace, "published")),
        ("an EndpointSlice by hand", slice(namespace, "published")),
    ]
}

async fn creates(who: &Identity, object: &Value, dry: bool) -> Output {
    let arguments: &[&str] = if dry {
        &["create", "--dry-run=server", "-f", "-"]
    } else {
        &["create", "-f", "-"]
    };
    who.kubectl_with(arguments, &object.to_string())
        .await
        .unwrap()
}

/// Says by hand that a load balancer has this address.
async fn balances(who: &Identity, namespace: &str, name: &str, address: &str) -> Output {
    let status = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": address }] } } });
    let status = status.to_string();
    let arguments = [
        "patch",
        "svc",
        name,
        "-n",
        namespace,
        "--subresource=status",
        "--type=merge",
        "-p",
        &status,
    ];
    who.kubectl(&arguments).await.unwrap()
}

async fn attackers(cluster: &Cluster, namespace: &str) -> Vec<Identity> {
    vec![
        cluster.tenant_admin(namespace).await.unwrap(),
        cluster.namespace_cluster_admin(namespace).await.unwrap(),
        cluster.gitops().await.unwrap(),
        cluster.admin().clone(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_platform_publishes_a_service_past_the_policies() {
    let cluster = cluster().await;
    let platform = enrolled(cluster, "publishing").await;
    let tenant = cluster.tenant_admin("publishing").await.unwrap();
    for (name, spec) in [
        ("plain", json!({})),
        ("headless", json!({ "clusterIP": "None" })),
        (
            "local",
            json!({ "type": "NodePort", "externalTrafficPolicy": "Local" }),
        ),
        (
            "balanced",
            json!({ "type": "LoadBalancer", "externalTrafficPolicy": "Local" }),
        ),
        (
            "named",
            json!({ "type": "ExternalName", "externalName": "example.com", "selector": null }),
        ),
    ] {
        let object = service("publishing", name, &spec);
        creates(&tenant, &object, false).await.success().unwrap();
    }
    for attacker in attackers(cluster, "publishing").await {
        for (what, object) in published("publishing") {
            // The built-in role `admin` writes neither Endpoints nor slices, so RBAC refuses the tenant here.
            let made = creates(&attacker, &object, true).await;
            assert_refused(&attacker, what, &made);
        }
        for (name, what, patch) in [
            (
                "plain",
                "externalIPs later",
                r#"{"spec":{"externalIPs":["203.0.113.7"]}}"#,
            ),
            (
                "plain",
                "a node port later",
                r#"{"spec":{"type":"NodePort"}}"#,
            ),
            (
                "plain",
                "a load balancer later",
                r#"{"spec":{"type":"LoadBalancer"}}"#,
            ),
            (
                "local",
                "Cluster later",
                r#"{"spec":{"externalTrafficPolicy":"Cluster"}}"#,
            ),
            (
                "balanced",
                "Cluster later",
                r#"{"spec":{"externalTrafficPolicy":null}}"#,
            ),
            (
                "local",
                "another type",
                r#"{"spec":{"type":"LoadBalancer","externalTrafficPolicy":"Cluster"}}"#,
            ),
        ] {
            let arguments = [
                "patch",
                "svc",
                name,
                "-n",
                "publishing",
                "--type=merge",
                "-p",
                patch,
            ];
            let output = attacker.kubectl(&arguments).await.unwrap();
            assert_refused(&attacker, what, &output);
        }
    }
    for attacker in [
        &tenant,
        &cluster.namespace_cluster_admin("publishing").await.unwrap(),
    ] {
        for name in ["plain", "local", "balanced"] {
            let output = balances(attacker, "publishing", name, "203.0.113.7").await;
            assert_refused(attacker, "the address of a load balancer", &output);
        }
    }
    for (what, object) in published("publishing") {
        let output = creates(&platform, &object, true).await;
        let rbac = output.stderr.contains(" cannot ");
        assert!(output.is_success() || rbac, "{what}: {output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_before_can_be_tended_and_the_controllers_go_on() {
    let cluster = cluster().await;
    let platform = enrolled(cluster, "published").await;
    let tenant = cluster.tenant_admin("published").await.unwrap();
    let object = service(
        "published",
        "old",
        &json!({ "type": "NodePort", "externalIPs": ["203.0.113.7"] }),
    );
    creates(&platform, &object, false).await.success().unwrap();
    let patched = async |who: &Identity, kind: &str, patch: &str| {
        let arguments = [
            "patch",
            kind,
            "old",
            "-n",
            "published",
            "--type=merge",
            "-p",
            patch,
        ];
        who.kubectl(&arguments).await.unwrap()
    };
    let labels = r#"{"metadata":{"labels":{"team":"x"}}}"#;
    let elsewhere = [
        r#"{"spec":{"selector":{"app":"other"}}}"#,
        r#"{"spec":{"ports":[{"port":81}]}}"#,
    ];
    patched(&tenant, "svc", labels).await.success().unwrap();
    for patch in elsewhere {
        let output = patched(&tenant, "svc", patch).await;
        assert_refused(&tenant, "aiming what was published at other pods", &output);
    }
    // Less of it is always taken, and then it is a Service like any other.
    for patch in [
        r#"{"spec":{"externalIPs":null,"externalTrafficPolicy":"Local"}}"#,
        elsewhere[0],
        elsewhere[1],
    ] {
        patched(&tenant, "svc", patch).await.success().unwrap();
    }
    let boss = cluster.namespace_cluster_admin("published").await.unwrap();
    cluster
        .give(
            platform.name(),
            "engineer-slices",
            &json!([{ "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["create"] }]),
        )
        .await
        .unwrap();
    creates(&platform, &slice("published", "old"), false)
        .await
        .success()
        .unwrap();
    patched(&boss, "endpointslice", labels)
        .await
        .success()
        .unwrap();
    for patch in [
        r#"{"ports":[{"port":81}]}"#,
        r#"{"metadata":{"labels":{"kubernetes.io/service-name":"other"}}}"#,
    ] {
        let output = patched(&boss, "endpointslice", patch).await;
        assert_refused(&boss, "aiming what was published elsewhere", &output);
    }
    // A load balancer's controller writes the status of every Service; in a namespace alone nobody does.
    let balanced = service(
        "published",
        "balanced",
        &json!({ "type": "LoadBalancer", "externalTrafficPolicy": "Local" }),
    );
    creates(&tenant, &balanced, false).await.success().unwrap();
    let verbs = json!([{ "apiGroups": [""], "resources": ["services", "services/status"], "verbs": ["get", "patch"] }]);
    cluster.give("balancer", "balancer", &verbs).await.unwrap();
    let balancer = cluster.identity("balancer").await.unwrap();
    let output = balances(&balancer, "published", "balanced", "203.0.113.7").await;
    output.success().unwrap();
    let moved = balances(&boss, "published", "balanced", "203.0.113.8").await;
    assert_refused(&boss, "another address", &moved);
    for patch in [
        r#"{"status":{"conditions":[{"type":"Tended","status":"True","reason":"R","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}"#,
        r#"{"status":{"loadBalancer":{"ingress":null}}}"#,
    ] {
        let arguments = [
            "patch",
            "svc",
            "balanced",
            "-n",
            "published",
            "--subresource=status",
            "--type=merge",
            "-p",
            patch,
        ];
        boss.kubectl(&arguments).await.unwrap().success().unwrap();
    }
    // Empty ones lead nowhere.
    let mut empty = slice("published", "empty");
    empty["endpoints"] = json!([]);
    creates(cluster.admin(), &empty, true)
        .await
        .success()
        .unwrap();
    let by = "--as=system:serviceaccount:kube-system:endpointslice-controller";
    let arguments = ["create", by, "--dry-run=server", "-f", "-"];
    let text = slice("published", "of-the-controller").to_string();
    let output = cluster.admin().kubectl_with(&arguments, &text).await;
    output.unwrap().success().unwrap();
}
