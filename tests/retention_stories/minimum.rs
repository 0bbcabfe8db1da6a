//! While a minimum runs nobody deletes; afterwards everybody may who may.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use testbed::eventually;
use testbed::raw::Call;

use crate::case::{applied, policy, thing};
use crate::scene::{asks, deletes, does, instant, refused, scene};
use crate::stage::PATIENCE;

const WORDS: &str = "is kept by RetentionPolicy books";

#[tokio::test(flavor = "multi_thread")]
async fn nobody_deletes_while_a_minimum_runs_the_garbage_collector_neither_and_afterwards_it_goes()
{
    let scene = scene().await;
    let acme = scene.tenant_on("kept", "default").await;
    let namespace = acme.name.as_str();
    let keep = json!({ "atLeast": "PT25S" });
    applied(
        &acme.admin,
        &policy(namespace, "books", "book", keep, "Preview"),
    )
    .await;
    applied(&acme.admin, &thing(namespace, "shelf", "shelf")).await;
    let shelf = scene.uid(namespace, "shelf").await;
    for name in ["a", "b"] {
        applied(&acme.admin, &thing(namespace, name, "book")).await;
    }
    let mut owned = thing(namespace, "owned", "book");
    owned["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "shelf", "uid": shelf }]);
    applied(&acme.admin, &owned).await;
    let over =
        scene.created(&["cm", "owned", "-n", namespace]).await + SignedDuration::from_secs(25);
    scene
        .policy_says(namespace, "books", "Enforced", "True", "BoundaryStored")
        .await;
    let boss = scene
        .cluster
        .namespace_cluster_admin(namespace)
        .await
        .unwrap();
    let gitops = scene.cluster.gitops().await.unwrap();
    let operator = scene.cluster.operator_identity().await.unwrap();
    for who in [
        &acme.admin,
        &scene.engineer,
        scene.cluster.admin(),
        &boss,
        &gitops,
        &operator,
    ] {
        refused(who, deletes(namespace, "a"), WORDS).await;
    }
    let collection = format!("/api/v1/namespaces/{namespace}/configmaps?labelSelector=app%3Dbook");
    refused(
        scene.cluster.admin(),
        Call::new("DELETE", collection),
        WORDS,
    )
    .await;
    let place = Call::new("DELETE", format!("/api/v1/namespaces/{namespace}"));
    refused(scene.cluster.admin(), place, "RetentionPolicy books").await;
    // Its owner goes; the cascade stops at what is kept.
    does(scene.cluster.admin(), deletes(namespace, "shelf")).await;
    let audit = scene.cluster.audit().unwrap();
    eventually("the garbage collector was refused", PATIENCE, || async {
        let events = audit.all().await?;
        let tried = events.iter().any(|event| {
            event.user().contains("garbage-collector")
                && event.verb == "delete"
                && event.namespace() == namespace
                && event.object_name() == "owned"
                && event.code() == 403
        });
        anyhow::ensure!(tried, "not yet");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    eventually("a is deleted by its tenant", PATIENCE, || async {
        let answer = asks(&acme.admin, deletes(namespace, "a")).await;
        anyhow::ensure!(answer.is_success(), "{answer:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    eventually("nothing is kept any more", PATIENCE, || async {
        for name in ["owned", "b"] {
            // The garbage collector may have been first.
            let answer = asks(scene.cluster.admin(), deletes(namespace, name)).await;
            anyhow::ensure!(answer.is_success() || answer.code == 404, "{answer:?}");
        }
        anyhow::Ok(())
    })
    .await
    .unwrap();
    // Not one of these deletions went through before its time.
    let gone = scene
        .deletions(namespace, "configmaps", testbed::audit::Marker::default())
        .await;
    assert_eq!(gone.len(), 4, "{gone:?}");
    for event in gone.iter().filter(|event| event.object_name() != "shelf") {
        let at: Timestamp = event.stage_timestamp.parse().unwrap();
        assert!(at >= over - SignedDuration::from_secs(5), "{event:?}");
        if event.object_name() == "owned" {
            assert!(at >= over, "{event:?}");
        }
    }
    let parameters = scene
        .get(&["guardparameters", "current", "-n", namespace])
        .await;
    let boundary = instant(&parameters["spec"]["retention"][0]["startedBefore"]);
    assert!(
        boundary <= Timestamp::now() - SignedDuration::from_secs(25),
        "{parameters}"
    );
    // The last minimum may be taken away, by who administers the tenant.
    let delete = ["delete", "retpol", "books", "-n", namespace];
    acme.admin
        .kubectl(&delete)
        .await
        .unwrap()
        .refusal()
        .unwrap();
    scene
        .engineer
        .kubectl(&delete)
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("guards keep nothing any more", PATIENCE, || async {
        let parameters = ["guardparameters", "current", "-n", namespace];
        let parameters = scene.cluster.admin().get(&parameters).await?;
        anyhow::ensure!(parameters["spec"]["retention"] == json!([]), "{parameters}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}
