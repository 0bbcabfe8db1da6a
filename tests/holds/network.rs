//! Paths under SuspendSharing, and what lets pods talk under SuspendProcessing.

use serde_json::{Value, json};
use testbed::eventually;
use testbed::raw::{Call, Caller};

use super::kinds::{JOB, POLICY};
use super::stage::{PATIENCE, held, hold, passes, stage};

fn ours(namespace: &str, name: &str, part: &str) -> Value {
    let mut policy = POLICY.object(namespace, name);
    policy["metadata"]["labels"] = json!({ "privacy.cloudnexus.io/managed-by": "covenant", "privacy.cloudnexus.io/part": part });
    policy["spec"] = json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{ "ports": [{ "port": 53 }] }] });
    policy
}

fn timer(namespace: &str, name: &str, seconds: i64) -> Value {
    let mut job = JOB.object(namespace, name);
    job["metadata"]["labels"] = json!({ "privacy.cloudnexus.io/managed-by": "covenant", "privacy.cloudnexus.io/part": "timer" });
    job["spec"]["suspend"] = json!(false);
    job["spec"]["parallelism"] = json!(0);
    job["spec"]["activeDeadlineSeconds"] = json!(seconds);
    job["spec"]["ttlSecondsAfterFinished"] = json!(0);
    job
}

async fn path_and_timer(operator: &Caller, namespace: &str, name: &str, seconds: i64) {
    let job = passes(
        operator,
        JOB.create(namespace, timer(namespace, name, seconds)),
    )
    .await;
    let mut path = ours(namespace, name, "path");
    path["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job["metadata"]["uid"],
    }]);
    passes(operator, POLICY.create(namespace, path)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_opens_while_sharing_is_suspended_and_those_there_are_can_go() {
    let stage = stage().await;
    let operator = stage.operator.caller().unwrap();
    let namespace = "sharing";
    stage.enrolled(namespace).await;
    path_and_timer(&operator, namespace, "closed-by-hand", 3600).await;
    path_and_timer(&operator, namespace, "closed-by-time", 6).await;
    path_and_timer(&operator, namespace, "widened", 3600).await;
    let effects = super::stage::FIVE;
    stage
        .holds(namespace, hold(namespace, "matter", &effects))
        .await;

    let path = POLICY.create(namespace, ours(namespace, "new", "path"));
    held(&operator, path, "sharing/matter", "SuspendSharing").await;
    let new = JOB.create(namespace, timer(namespace, "new", 3600));
    held(&operator, new, "sharing/matter", "SuspendSharing").await;
    let wider = json!({ "spec": { "egress": [{ "ports": [{ "port": 443 }] }] } });
    let call = POLICY.merge(namespace, "widened", wider);
    held(&operator, call, "sharing/matter", "SuspendSharing").await;
    // The floor is no path.
    let floor = POLICY.create(namespace, ours(namespace, "floor", "baseline"));
    passes(&operator, floor).await;
    passes(&operator, POLICY.delete(namespace, "floor")).await;

    passes(&operator, POLICY.delete(namespace, "closed-by-hand")).await;
    let background =
        json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background" });
    let delete = JOB
        .delete(namespace, "closed-by-hand")
        .with(testbed::raw::JSON, background);
    passes(&operator, delete).await;
    let gone = [JOB, POLICY].map(|kind| kind.get(namespace, "closed-by-time"));
    let admin = stage.admin();
    eventually(
        "a path closes by its timer under a hold",
        PATIENCE,
        || async {
            for call in &gone {
                let code = admin.send(call).await?.code;
                anyhow::ensure!(code == 404, "{call:?} {code}");
            }
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_policy_of_a_tenant_lets_suspended_pods_talk_whatever_part_it_claims_to_be() {
    let stage = stage().await;
    let namespace = "silent";
    stage.enrolled(namespace).await;
    let tenant = stage.cluster.tenant_admin(namespace).await.unwrap();
    let talks = |name: &str, labels: Value| {
        let mut policy = POLICY.object(namespace, name);
        policy["metadata"]["labels"] = labels;
        policy["spec"]["ingress"] = json!([{ "from": [{ "podSelector": {} }] }]);
        policy
    };
    let people = [
        tenant.caller().unwrap(),
        stage.gitops.caller().unwrap(),
        stage.admin(),
    ];
    for name in ["talks", "quiet"] {
        let mut policy = talks(name, json!({}));
        if name == "quiet" {
            policy["spec"]["ingress"] = json!([]);
        }
        passes(&people[0], POLICY.create(namespace, policy)).await;
    }
    stage
        .holds(namespace, hold(namespace, "matter", &["SuspendProcessing"]))
        .await;
    for who in &people {
        for part in [
            None,
            Some("baseline"),
            Some("path"),
            Some("timer"),
            Some("x"),
        ] {
            let labels = part.map_or(
                json!({}),
                |part| json!({ "privacy.cloudnexus.io/part": part }),
            );
            let new = POLICY.create(namespace, talks("new", labels.clone()));
            held(who, new, "silent/matter", "SuspendProcessing").await;
            let change = json!({ "metadata": { "labels": labels }, "spec": talks("quiet", json!({}))["spec"] });
            let edit = POLICY.merge(namespace, "quiet", change);
            held(who, edit, "silent/matter", "SuspendProcessing").await;
        }
    }
    // To say less is free.
    let mut silent = talks("silent", json!({}));
    silent["spec"]["ingress"] = json!([]);
    passes(&people[0], POLICY.create(namespace, silent)).await;
    let less = json!({ "spec": { "ingress": [] } });
    passes(&people[0], POLICY.merge(namespace, "talks", less)).await;
    let tended = json!({ "metadata": { "labels": { "team": "x" } } });
    passes(&people[0], POLICY.merge(namespace, "talks", tended)).await;
    passes(&people[0], POLICY.delete(namespace, "talks")).await;
    // What Covenant writes is not a tenant's, and its rules go on.
    let operator = stage.operator.caller().unwrap();
    let floor = POLICY.create(namespace, ours(namespace, "floor", "baseline"));
    passes(&operator, floor).await;
    let dns = json!({ "spec": { "egress": [{ "ports": [{ "port": 5353 }] }] } });
    passes(&operator, POLICY.merge(namespace, "floor", dns)).await;
    let list = Call::new("GET", POLICY.all(namespace));
    passes(&people[0], list).await;
}
