//! What runs when a tenant opts out: the operator marks it, tells what has to be started anew, and takes the marks off again when
//! the tenant opts in.

use serde_json::{Value, json};
use testbed::raw::{APPLY, Call, Caller, JSON, MERGE};
use testbed::{Identity, eventually};

use crate::applied;
use crate::stage::{PATIENCE, Stage, baseline, condition};
use crate::support;

const NAMESPACE: &str = "acme-web";
const MARK: &str = "vector.dev/exclude";
const OPT_OUT: &str =
    "/apis/privacy.cloudnexus.io/v1alpha1/namespaces/acme-web/telemetryoptouts/default";

fn path(rest: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}{rest}")
}

fn pod(name: &str, metadata: &Value) -> Call {
    support::pod(NAMESPACE, name, metadata)
}

/// A workload whose pods go before new ones come, as no node tells that any is ready.
fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": NAMESPACE },
        "spec": {
            "replicas": 2, "strategy": { "type": "Recreate" }, "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "main", "image": "none" }] },
            },
        },
    })
}

async fn passes(who: &Caller, call: Call) -> Value {
    let answer = who.send(&call).await.unwrap();
    assert!(answer.is_success(), "{}", who.told(&call, &answer));
    answer.body
}

async fn refused(who: &Caller, call: Call, words: &str) {
    let answer = who.send(&call).await.unwrap();
    assert!(
        answer.code == 403 && answer.message().contains(words),
        "{}",
        who.told(&call, &answer)
    );
}

/// Waits until the opt-out says so, and returns it.
async fn said(admin: &Identity, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(what, PATIENCE, || async {
        let arguments = ["telemetryoptout", "default", "-n", NAMESPACE];
        let found = admin.get(&arguments).await?;
        anyhow::ensure!(is_so(&found), "{found}");
        anyhow::Ok(found)
    })
    .await
    .unwrap()
}

fn agent(opt_out: &Value) -> &Value {
    &opt_out["status"]["channels"][0]["agents"][0]
}

/// What agents and people read of an object, without what the API server counts.
fn read(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!([metadata["uid"], metadata["labels"], metadata["annotations"]])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_marked_and_told_and_has_what_it_had_when_the_tenant_opts_in_again() {
    let stage = Stage::new().await;
    stage.enrol(NAMESPACE, "acme").await;
    let mut registering = baseline("default", "P90D");
    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } });
    registering["spec"]["telemetry"] = json!({ "agents": [{
        "name": "vector", "channel": "PlatformTelemetry", "respects": "Vector", "readsNodes": false, "namespaceSelector": selector,
    }] });
    applied(&stage, &registering).await;
    let admin = stage.cluster.admin();
    let root = admin.caller().unwrap();
    let tenant = stage.cluster.tenant_admin(NAMESPACE).await.unwrap();
    let tenants = tenant.caller().unwrap();
    eventually("the namespace is ready for pods", PATIENCE, || async {
        let account = Call::new("GET", path("/serviceaccounts/default"));
        let answer = tenants.send(&account).await?;
        anyhow::ensure!(answer.is_success(), "{answer:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    tenant
        .apply(&deployment().to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    passes(
        &tenants,
        pod("bare", &json!({ "annotations": { "team": "web" } })),
    )
    .await;
    passes(&tenants, pod("loud", &json!({ "labels": { MARK: "no" } }))).await;
    let labelled = Call::new("GET", path("/pods?labelSelector=app=web"));
    eventually("the workload runs", PATIENCE, || async {
        let pods = tenants.send(&labelled).await?;
        anyhow::ensure!(
            pods.body["items"].as_array().unwrap().len() == 2,
            "{pods:?}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let namespace = format!("/api/v1/namespaces/{NAMESPACE}");
    let before = [
        passes(&root, Call::new("GET", namespace.clone())).await,
        passes(&root, Call::new("GET", path("/pods/bare"))).await,
    ];

    let opt_out = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TelemetryOptOut",
        "metadata": { "name": "default", "namespace": NAMESPACE }, "spec": { "channels": ["PlatformTelemetry"] },
    });
    let user = stage.cluster.operator_identity().await.unwrap();
    let audit = stage.cluster.audit().unwrap();
    let begun = audit.marker().await.unwrap();
    tenant.apply_object(&opt_out).await.unwrap();
    let told = said(
        admin,
        "what runs is marked, and who says otherwise is told",
        |found| {
            let reason = agent(found)["reason"].as_str().unwrap_or_default();
            reason.contains("pod loud says vector.dev/exclude: no")
                && agent(found)["by"] == json!(["NetworkDenied"])
        },
    )
    .await;
    assert_eq!(agent(&told)["state"], "Partly");
    let of = |object: &Value| object["metadata"]["labels"][MARK].clone();
    assert_eq!(
        of(&passes(&root, Call::new("GET", namespace.clone())).await),
        "true"
    );
    for pod in passes(&tenants, labelled.clone()).await["items"]
        .as_array()
        .unwrap()
    {
        assert_eq!(of(pod), "true");
    }
    assert_eq!(
        of(&passes(&tenants, Call::new("GET", path("/pods/loud"))).await),
        "no"
    );
    let offered = said(admin, "a restart is offered", |found| {
        condition(found, "PodsCurrent") == ("False".to_owned(), "RestartOffered".to_owned())
    })
    .await;
    let conditions = offered["status"]["conditions"].as_array().unwrap();
    let message = conditions
        .iter()
        .find(|condition| condition["type"] == "PodsCurrent");
    let message = message.unwrap()["message"].as_str().unwrap();
    let command = "kubectl rollout restart -n acme-web deployment/web";
    assert!(
        message.contains("4 pods") && message.contains(command),
        "{message}"
    );

    // Each is marked once, nobody is asked for it, and at rest there are watches alone.
    stage.at_rest().await;
    let events = audit.since(begun).await.unwrap();
    let ours = |uri: &str| {
        let ours = events.iter().filter(|event| event.user() == user.name());
        ours.filter(|event| event.verb == "patch" && event.uri.contains(uri))
            .count()
    };
    assert_eq!(ours("/pods/"), 3);
    assert_eq!(ours("/namespaces/acme-web?"), 1);
    eventually("only watches are left", PATIENCE, || async {
        let marker = audit.marker().await?;
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        let events = audit.since(marker).await?;
        let mut ours = events.iter().filter(|event| event.user() == user.name());
        anyhow::ensure!(
            ours.all(|event| event.verb == "watch"),
            "something else than watches"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();

    // An API server hears a moment later what its guards read.
    let off = json!({ "metadata": { "labels": { MARK: null } } });
    let tried = Call::new("PATCH", path("/pods/bare"))
        .with(MERGE, off.clone())
        .dry();
    eventually("guards know", PATIENCE, || async {
        let answer = tenants.send(&tried).await?;
        anyhow::ensure!(answer.code == 403, "{answer:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();

    // With every right in the namespace, and with the operator dead.
    stage.operator.kill();
    let forged =
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "bare", "labels": {} } });
    let in_our_name = path("/pods/bare?fieldManager=covenant-telemetry&force=true");
    for (call, words) in [
        (
            Call::new("PATCH", path("/pods/bare")).with(MERGE, off.clone()),
            "[MarkerRemoved]",
        ),
        (
            Call::new("PATCH", path("/pods/bare"))
                .with(MERGE, json!({ "metadata": { "labels": { MARK: "no" } } })),
            "[ContraryMarker]",
        ),
        (
            Call::new("PATCH", OPT_OUT.to_owned() + "/status")
                .with(MERGE, json!({ "status": { "channels": [] } })),
            "",
        ),
        (
            Call::new("PATCH", path("/pods/bare/status")).with(MERGE, off.clone()),
            "",
        ),
        (
            Call::new("PATCH", namespace.clone()).with(MERGE, off.clone()),
            "",
        ),
    ] {
        refused(&tenants, call, words).await;
    }
    // What is applied through the pod itself owns nothing of what Covenant applied through its status.
    passes(
        &tenants,
        Call::new("PATCH", in_our_name).with(APPLY, forged),
    )
    .await;
    assert_eq!(
        of(&passes(&tenants, Call::new("GET", path("/pods/bare"))).await),
        "true"
    );
    refused(
        &root,
        Call::new("PATCH", namespace.clone()).with(MERGE, off),
        "[MarkerRemoved]",
    )
    .await;

    let mut stage = stage;
    stage.operator.restart().unwrap();
    stage.operator.wait_ready().await.unwrap();
    let admin = stage.cluster.admin();
    // The tenant starts anew what is offered, with the marker in the template where the API server adds none.
    let marked = json!({ "spec": { "template": { "metadata": { "labels": { MARK: "true" } } } } });
    let workload = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/web");
    passes(&tenants, Call::new("PATCH", workload).with(MERGE, marked)).await;
    let restart = tenant
        .kubectl(&["rollout", "restart", "-n", NAMESPACE, "deployment/web"])
        .await
        .unwrap();
    restart.success().unwrap();
    passes(&tenants, Call::new("DELETE", path("/pods/loud"))).await;
    let told = said(admin, "the agent is excluded", |found| {
        agent(found)["by"] == json!(["NetworkDenied", "AgentExcluded"])
            && agent(found)["state"] == "Stopped"
    })
    .await;
    assert_eq!(condition(&told, "Stopped").0, "True");
    // Behind Covenant's back: without the guard somebody takes marks off.
    let binding = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/covenant-telemetry-markers";
    let bound = passes(&root, Call::new("GET", binding)).await;
    passes(&root, Call::new("DELETE", binding)).await;
    said(
        admin,
        "nothing is called excluded without the guard",
        |found| agent(found)["by"] == json!(["NetworkDenied"]),
    )
    .await;
    let off = json!({ "metadata": { "labels": { MARK: null } } });
    for marked in [namespace.clone(), path("/pods/bare")] {
        let taken_off = Call::new("PATCH", marked.clone()).with(MERGE, off.clone());
        eventually(
            "without the guard marks can be taken off",
            PATIENCE,
            || async {
                let answer = root.send(&taken_off).await?;
                anyhow::ensure!(answer.is_success(), "{answer:?}");
                anyhow::Ok(())
            },
        )
        .await
        .unwrap();
        eventually("they are put on again", PATIENCE, || async {
            let answer = root.send(&Call::new("GET", marked.clone())).await?;
            anyhow::ensure!(of(&answer.body) == "true", "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
    let again = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": "covenant-telemetry-markers", "labels": bound["metadata"]["labels"], "annotations": bound["metadata"]["annotations"] },
        "spec": bound["spec"],
    });
    let all = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
    passes(&root, Call::new("POST", all).with(JSON, again)).await;
    said(admin, "with the guard it is excluded again", |found| {
        agent(found)["by"] == json!(["NetworkDenied", "AgentExcluded"])
    })
    .await;
    let told = said(admin, "one pod of before is left", |found| {
        found["status"]["conditions"]
            .to_string()
            .contains("1 pod from before")
    })
    .await;
    assert!(!told.to_string().contains("rollout restart"), "{told}");

    passes(&tenants, Call::new("DELETE", OPT_OUT)).await;
    let after = |call: Call| {
        let root = &root;
        async move { passes(root, call).await }
    };
    eventually("what was there before is there again", PATIENCE, || async {
        let now = [
            after(Call::new("GET", namespace.clone())).await,
            after(Call::new("GET", path("/pods/bare"))).await,
        ];
        for (now, before) in now.iter().zip(&before) {
            anyhow::ensure!(read(now) == read(before), "{now}");
            let managed = now["metadata"]["managedFields"].to_string();
            anyhow::ensure!(!managed.contains(MARK), "{managed}");
        }
        anyhow::Ok(())
    })
    .await
    .unwrap();
    // What was started meanwhile with the marker in its template keeps it: that is the tenant's own.
    for pod in passes(&tenants, labelled).await["items"]
        .as_array()
        .unwrap()
    {
        assert_eq!(of(pod), "true");
    }
}
