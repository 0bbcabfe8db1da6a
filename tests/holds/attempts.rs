//! The ways in which somebody could delete, alter, start, publish or get into what is held.

use serde_json::{Value, json};
use testbed::raw::{APPLY, Answer, Call, Caller, JSON, MERGE};

use super::kinds::{self, CLAIM, HOLD, JOB, Kind, POD, POLICY};
use super::stage::{Stage, effect_of, passes, sign};

/// One way, tried on one kind.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub way: &'static str,
    pub kind: &'static str,
    pub call: Call,
    /// Where the hold is that must refuse it.
    pub namespace: String,
}

/// An object `kept` and an object `leaving` of each kind; the latter is terminating and has one finalizer.
pub async fn scene(stage: &Stage, namespace: &str) {
    let admin = stage.admin();
    stage.objects(namespace, "kept", &kinds::ALL).await;
    for kind in kinds::ALL {
        let mut leaving = kind.object(namespace, "leaving");
        leaving["metadata"]["finalizers"] = json!(["example.com/keep"]);
        passes(&admin, kind.create(namespace, leaving)).await;
        passes(&admin, kind.delete(namespace, "leaving")).await;
    }
}

/// Every way on every kind, in a namespace with a [`scene`] and a hold called `matter`.
pub async fn everything(admin: &Caller, namespace: &str) -> Vec<Attempt> {
    let mut all = Vec::new();
    for kind in kinds::ALL {
        all.extend(deletions(&kind, namespace, "kept"));
        all.extend(changes(admin, &kind, namespace).await);
        let strip = json!({ "metadata": { "finalizers": null } });
        all.push(attempt(
            "strip the finalizer of what is terminating",
            &kind,
            namespace,
            kind.merge(namespace, "leaving", strip),
        ));
    }
    all.extend(pods(namespace));
    all.extend(network(namespace));
    all
}

fn attempt(way: &'static str, kind: &Kind, namespace: &str, call: Call) -> Attempt {
    Attempt {
        way,
        kind: kind.kind,
        call,
        namespace: namespace.to_owned(),
    }
}

pub fn deletions(kind: &Kind, namespace: &str, name: &str) -> Vec<Attempt> {
    let policy = |policy: &str| json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy });
    let delete = || kind.delete(namespace, name);
    let collection = format!("{}?labelSelector=test%3D{name}", kind.all(namespace));
    vec![
        attempt("delete", kind, namespace, delete()),
        attempt(
            "delete in the foreground",
            kind,
            namespace,
            delete().with(JSON, policy("Foreground")),
        ),
        attempt(
            "delete and orphan",
            kind,
            namespace,
            delete().with(JSON, policy("Orphan")),
        ),
        attempt(
            "delete the collection",
            kind,
            namespace,
            Call::new("DELETE", collection),
        ),
    ]
}

async fn changes(admin: &Caller, kind: &Kind, namespace: &str) -> Vec<Attempt> {
    let mut whole = passes(admin, kind.get(namespace, "kept")).await;
    merge(&mut whole, &kind.change());
    if let Some(metadata) = whole["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        // The built-in kinds take an update without it, and their controllers may be writing.
        if !matches!(kind.group(), "example.com" | "privacy.cloudnexus.io") {
            metadata.remove("resourceVersion");
        }
    }
    let mut applied = kind.change();
    applied["apiVersion"] = json!(kind.api_version());
    applied["kind"] = json!(kind.kind);
    applied["metadata"] = json!({ "name": "kept", "namespace": namespace });
    let path = kind.one(namespace, "kept");
    let apply = format!("{path}?fieldManager=somebody&force=true");
    let mut all = vec![
        attempt(
            "replace",
            kind,
            namespace,
            Call::new("PUT", &path).with(JSON, whole),
        ),
        attempt(
            "merge patch",
            kind,
            namespace,
            kind.merge(namespace, "kept", kind.change()),
        ),
        attempt(
            "server-side apply",
            kind,
            namespace,
            Call::new("PATCH", apply).with(APPLY, applied),
        ),
    ];
    if kind.scales {
        let patch = json!({ "spec": { "replicas": 3 } });
        all.push(attempt(
            "scale",
            kind,
            namespace,
            kind.merge_by("scale", namespace, "kept", patch),
        ));
    }
    all
}

/// The label that the hold of `namespace` names is taken off.
pub fn relabelling(kind: &Kind, namespace: &str) -> Attempt {
    let patch = json!({ "metadata": { "labels": { "case": null } } });
    attempt(
        "relabel out of scope",
        kind,
        namespace,
        kind.merge(namespace, "kept", patch),
    )
}

/// A hold that somebody would rather see go or say something else.
pub fn on_the_hold(namespace: &str, name: &str) -> Vec<Attempt> {
    let mut all = deletions(&HOLD, namespace, name);
    let less = json!({ "spec": { "effects": ["FreezeAccess"] } });
    all.push(attempt(
        "merge patch",
        &HOLD,
        namespace,
        HOLD.merge(namespace, name, less),
    ));
    all
}

fn pods(namespace: &str) -> Vec<Attempt> {
    let pod = |way, call| attempt(way, &POD, namespace, call);
    let by = |subresource: &str| format!("{}/{subresource}", POD.one(namespace, "kept"));
    let evict = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "kept", "namespace": namespace } });
    let bind = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "kept", "namespace": namespace },
        "target": { "apiVersion": "v1", "kind": "Node", "name": "nowhere" },
    });
    let debugger =
        json!({ "spec": { "ephemeralContainers": [{ "name": "debugger", "image": "app" }] } });
    let mounting = |name: &str, read_only: bool| {
        let mut pod = POD.object(namespace, name);
        pod["spec"]["volumes"] = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "kept", "readOnly": read_only } }]);
        pod
    };
    let mut job = JOB.object(namespace, "new");
    job["spec"]["suspend"] = json!(false);
    let new = |body| Call::new("POST", POD.all(namespace)).with(JSON, body);
    vec![
        pod("evict", Call::new("POST", by("eviction")).with(JSON, evict)),
        pod(
            "say that it has finished",
            POD.merge_by(
                "status",
                namespace,
                "kept",
                json!({ "status": { "phase": "Failed" } }),
            ),
        ),
        pod(
            "exec",
            Call::new("POST", by("exec?command=id&container=app&stdout=true")),
        ),
        pod(
            "attach",
            Call::new("POST", by("attach?container=app&stdout=true")),
        ),
        pod(
            "port-forward",
            Call::new("POST", by("portforward?ports=80")),
        ),
        pod("proxy to the pod", Call::new("GET", by("proxy"))),
        attempt(
            "proxy to the Service",
            &kinds::SERVICE,
            namespace,
            Call::new(
                "GET",
                format!("{}/proxy", kinds::SERVICE.one(namespace, "kept")),
            ),
        ),
        pod(
            "ephemeral container",
            Call::new("PATCH", by("ephemeralcontainers")).with(MERGE, debugger),
        ),
        pod(
            "bind to a node",
            Call::new("POST", by("binding")).with(JSON, bind),
        ),
        pod("create", new(POD.object(namespace, "new"))),
        attempt(
            "create a pod that mounts it for writing",
            &CLAIM,
            namespace,
            new(mounting("writes", false)),
        ),
        attempt(
            "create a pod that mounts it for reading",
            &CLAIM,
            namespace,
            new(mounting("reads", true)),
        ),
        attempt("create", &JOB, namespace, JOB.create(namespace, job)),
    ]
}

fn network(namespace: &str) -> Vec<Attempt> {
    let mut policy = POLICY.object(namespace, "new");
    policy["spec"]["ingress"] = json!([{ "from": [{ "podSelector": {} }] }]);
    vec![attempt(
        "create one that lets pods talk",
        &POLICY,
        namespace,
        POLICY.create(namespace, policy),
    )]
}

/// What would end the namespace's holds with it, or take it out of their sight.
pub async fn on_the_namespace(admin: &Caller, namespace: &str) -> Vec<Attempt> {
    let kind = Kind {
        kind: "Namespace",
        ..kinds::CONFIG_MAP
    };
    let path = format!("/api/v1/namespaces/{namespace}");
    let mut finalized = passes(admin, Call::new("GET", &path)).await;
    finalized["spec"]["finalizers"] = json!([]);
    let labels = |labels: Value| {
        Call::new("PATCH", &path).with(MERGE, json!({ "metadata": { "labels": labels } }))
    };
    vec![
        attempt("delete", &kind, namespace, Call::new("DELETE", &path)),
        attempt(
            "finalize",
            &kind,
            namespace,
            Call::new("PUT", format!("{path}/finalize")).with(JSON, finalized),
        ),
        attempt(
            "take out of its tenant",
            &kind,
            namespace,
            labels(json!({ "privacy.cloudnexus.io/tenant": null })),
        ),
        attempt(
            "disarm",
            &kind,
            namespace,
            labels(json!({ "privacy.cloudnexus.io/holds": "disarmed" })),
        ),
    ]
}

/// Who or what refused, in a word: an effect of the hold, `RBAC`, a guard, or nobody.
pub fn cell(attempt: &Attempt, hold: &str, answer: &Answer) -> String {
    let message = answer.message();
    let hold = sign(&attempt.namespace, hold);
    if message.contains(&hold) && matches!(answer.code, 403 | 422) {
        return effect_of(message).to_owned();
    }
    if answer.code == 403 && message.contains(" cannot ") {
        return "RBAC".to_owned();
    }
    if let Some(rest) = message.split("ValidatingAdmissionPolicy '").nth(1) {
        return rest.split('\'').next().unwrap_or_default().to_owned();
    }
    if answer.code == 422 && message.contains("cannot be changed but for reviewBy") {
        return "its schema".to_owned();
    }
    // A connection that is let through ends at the kubelet that is not there.
    assert!(
        answer.is_success() || connects(attempt) && !matches!(answer.code, 403 | 422),
        "{attempt:?}: {} {message}",
        answer.code
    );
    "passes".to_owned()
}

/// Whether it opens a connection, which has no dry run.
pub fn connects(attempt: &Attempt) -> bool {
    ["exec", "attach", "port-forward"].contains(&attempt.way) || attempt.way.starts_with("proxy")
}

fn merge(target: &mut Value, patch: &Value) {
    let (Some(fields), true) = (patch.as_object(), target.is_object()) else {
        *target = patch.clone();
        return;
    };
    for (key, value) in fields {
        merge(&mut target[key], value);
    }
}
