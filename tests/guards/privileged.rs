//! Containers that could leave their pod.

use serde_json::{Value, json};
use testbed::raw::{Call, MERGE};

use super::stage::{assert_refused, cluster, enrolled, pod};

/// A pod whose container has this security context.
pub fn contained(namespace: &str, context: &Value) -> Value {
    pod(
        namespace,
        "contained",
        &json!({ "containers": [{ "name": "app", "image": "app", "securityContext": context }] }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_container_is_privileged_or_has_more_than_the_baselines_capabilities() {
    let cluster = cluster().await;
    enrolled(cluster, "privileged").await;
    let people = [
        cluster.tenant_admin("privileged").await.unwrap(),
        cluster.namespace_cluster_admin("privileged").await.unwrap(),
        cluster.gitops().await.unwrap(),
        cluster.platform_engineer().await.unwrap(),
        cluster.admin().clone(),
    ];
    let context = |context: Value| contained("privileged", &context);
    let in_init = |context: Value, restarts: Value| {
        let mut init = json!({ "name": "init", "image": "app", "securityContext": context });
        if restarts.is_string() {
            init["restartPolicy"] = restarts;
        }
        pod(
            "privileged",
            "contained",
            &json!({ "initContainers": [init] }),
        )
    };
    let added = |names: &[&str]| json!({ "capabilities": { "add": names } });
    let host_process = json!({ "windowsOptions": { "hostProcess": true } });
    let refused = [
        ("privileged", context(json!({ "privileged": true }))),
        (
            "privileged init",
            in_init(json!({ "privileged": true }), Value::Null),
        ),
        (
            "privileged sidecar",
            in_init(json!({ "privileged": true }), json!("Always")),
        ),
        ("host process", {
            let mut whole = context(host_process.clone());
            whole["spec"]["hostNetwork"] = json!(true);
            whole["spec"]["os"] = json!({ "name": "windows" });
            whole
        }),
        ("host process of the pod", {
            let mut whole = context(json!({}));
            whole["spec"]["securityContext"] = host_process;
            whole["spec"]["hostNetwork"] = json!(true);
            whole["spec"]["os"] = json!({ "name": "windows" });
            whole
        }),
        ("SYS_ADMIN", context(added(&["SYS_ADMIN"]))),
        ("ALL", context(added(&["ALL"]))),
        ("NET_RAW", context(added(&["NET_RAW"]))),
        (
            "one bad among good",
            context(added(&["CHOWN", "NET_ADMIN", "KILL"])),
        ),
        ("an unknown one", context(added(&["NEVER_HEARD_OF"]))),
        ("in small letters", context(added(&["sys_admin"]))),
        ("with its prefix", context(added(&["CAP_SYS_ADMIN"]))),
        (
            "of an init container",
            in_init(added(&["SYS_PTRACE"]), Value::Null),
        ),
    ];
    for who in &people {
        for (what, object) in &refused {
            let made = who
                .kubectl_with(&["create", "-f", "-"], &object.to_string())
                .await
                .unwrap();
            assert_refused(who, what, &made);
        }
    }
    let fine = [
        json!({ "privileged": false }),
        json!({ "capabilities": { "drop": ["ALL"], "add": ["NET_BIND_SERVICE", "CHOWN"] } }),
        json!({ "capabilities": { "drop": ["ALL"] }, "allowPrivilegeEscalation": false, "runAsNonRoot": true }),
        json!({ "capabilities": { "add": [] } }),
        json!({}),
    ];
    for spec in fine {
        let text = context(spec).to_string();
        let arguments = ["create", "--dry-run=server", "-f", "-"];
        let output = people[0].kubectl_with(&arguments, &text).await.unwrap();
        output.success().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ephemeral_container_is_privileged_either() {
    let cluster = cluster().await;
    enrolled(cluster, "debugged").await;
    let object = contained("debugged", &json!({}));
    let output = cluster
        .admin()
        .kubectl_with(&["create", "-f", "-"], &object.to_string())
        .await;
    output.unwrap().success().unwrap();
    let path = "/api/v1/namespaces/debugged/pods/contained/ephemeralcontainers?dryRun=All";
    let with = |context: Value| {
        let container = json!({ "name": "debugger", "image": "app", "securityContext": context });
        let patch = json!({ "spec": { "ephemeralContainers": [container] } });
        Call::new("PATCH", path).with(MERGE, patch)
    };
    for who in [cluster.admin().clone(), cluster.gitops().await.unwrap()] {
        let caller = who.caller().unwrap();
        for context in [
            json!({ "privileged": true }),
            json!({ "capabilities": { "add": ["SYS_PTRACE"] } }),
        ] {
            let answer = caller.send(&with(context)).await.unwrap();
            assert_eq!(answer.code, 403, "{answer:?}");
            assert!(answer.message().contains("'covenant-pods'"), "{answer:?}");
        }
        let answer = caller.send(&with(json!({}))).await.unwrap();
        assert!(answer.is_success(), "{answer:?}");
    }
}
