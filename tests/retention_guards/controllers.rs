//! The cluster's own controllers: they try, they are refused, and what is kept is there.

use std::time::Duration;

use serde_json::json;
use testbed::{always, eventually};

use crate::kinds::{CONFIG_MAP, JOB};
use crate::stage::{FAR_AHEAD, PATIENCE, kept, over, passes, rule, stage};

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_garbage_collector_nor_a_time_to_live_takes_what_is_kept() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "collected");
    stage.enrolled(namespace).await;
    let rules = vec![rule("books", &CONFIG_MAP), rule("books", &JOB)];
    stage.keeps(namespace, rules.clone()).await;
    let marker = stage.cluster.audit().unwrap().marker().await.unwrap();
    let mut orphan = CONFIG_MAP.object(namespace, "orphan");
    let nobody = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "never-was", "uid": "00000000-0000-0000-0000-000000000000",
    }]);
    orphan["metadata"]["ownerReferences"] = nobody.clone();
    passes(&admin, CONFIG_MAP.create(namespace, orphan)).await;
    // Who owns something can be written later, too; what follows from it is refused.
    stage.objects(namespace, "adopted", &[CONFIG_MAP]).await;
    let tenant = stage.tenant(namespace).await;
    let owners = json!({ "metadata": { "ownerReferences": nobody } });
    passes(&tenant, CONFIG_MAP.merge(namespace, "adopted", owners)).await;
    let mut job = JOB.object(namespace, "finishes");
    job["spec"] = json!({
        "parallelism": 0, "activeDeadlineSeconds": 1, "ttlSecondsAfterFinished": 0, "template": job["spec"]["template"],
    });
    passes(&admin, JOB.create(namespace, job)).await;
    for (controller, resource, least) in [
        ("generic-garbage-collector", "configmaps", 2),
        ("ttl-after-finished-controller", "jobs", 1),
    ] {
        let user = format!("system:serviceaccount:kube-system:{controller}");
        let what = format!("{controller} was refused");
        eventually(&what, PATIENCE, || async {
            let events = stage.cluster.audit()?.since(marker).await?;
            let refused = events
                .iter()
                .filter(|event| {
                    event.user() == user
                        && event.namespace() == namespace
                        && event.resource() == resource
                        && event.code() == 403
                })
                .count();
            anyhow::ensure!(refused >= least, "{refused} refusals");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
    let there = [
        CONFIG_MAP.get(namespace, "orphan"),
        CONFIG_MAP.get(namespace, "adopted"),
        JOB.get(namespace, "finishes"),
    ];
    always("what is kept is there", Duration::from_secs(3), || async {
        for get in &there {
            let answer = admin.send(get).await?;
            anyhow::ensure!(
                answer.is_success() && answer.body["metadata"]["deletionTimestamp"].is_null(),
                "{answer:?}"
            );
        }
        anyhow::Ok(())
    })
    .await
    .unwrap();
    for (controller, call) in [
        (
            "generic-garbage-collector",
            CONFIG_MAP.delete(namespace, "orphan"),
        ),
        (
            "ttl-after-finished-controller",
            JOB.delete(namespace, "finishes"),
        ),
        (
            "namespace-controller",
            CONFIG_MAP.delete(namespace, "orphan"),
        ),
    ] {
        kept(&stage.controller(controller), call, namespace, "books").await;
    }
    // When it is over they go on where they were.
    let passed_by = rules.into_iter().map(|rule| over(rule, FAR_AHEAD));
    stage.keeps(namespace, passed_by.collect()).await;
    for (controller, call) in [
        (
            "generic-garbage-collector",
            CONFIG_MAP.delete(namespace, "orphan"),
        ),
        (
            "ttl-after-finished-controller",
            JOB.delete(namespace, "finishes"),
        ),
    ] {
        let answer = stage
            .controller(controller)
            .send(&call.dry())
            .await
            .unwrap();
        assert!(answer.is_success() || answer.code == 404, "{answer:?}");
    }
}
