//! The life of a hold: paths close and open again, the floor shrinks and grows, volumes stay, counts are told.

use serde_json::{Value, json};
use testbed::{always, eventually};

use crate::case::{ALL, hold, made};
use crate::stage::{PATIENCE, Stage, condition, in_days, shared};

#[tokio::test(flavor = "multi_thread")]
async fn sharing_stops_under_a_hold_and_what_is_still_permitted_opens_at_release_with_its_old_end()
{
    let stage = shared().await;
    let tenant = stage.tenant("life-sharing").await;
    tenant.grants(&tenant.grant("stays", &in_days(30))).await;
    tenant.grants(&tenant.grant("revoked", &in_days(20))).await;
    let before = tenant.open("stays").await;
    tenant.open("revoked").await;
    stage
        .holds(&hold(&tenant.name, "case-1", &["SuspendSharing"]))
        .await;
    tenant.closed("stays", "Held").await;
    tenant.closed("revoked", "Held").await;
    let held = stage
        .hold_is(
            &tenant.name,
            "case-1",
            "SharingSuspended",
            "True",
            "PathsClosed",
        )
        .await;
    eventually("two grants are counted", PATIENCE, || async {
        let held = stage.get(&["phold", "case-1", "-n", &tenant.name]).await;
        anyhow::ensure!(held["status"]["suspended"]["grants"] == 2, "{held}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    assert_eq!(held["spec"]["effects"], json!(["SuspendSharing"]));
    // A grant that comes under a hold does not open either.
    tenant.grants(&tenant.grant("late", &in_days(10))).await;
    tenant.closed("late", "Held").await;
    let revoke = r#"{"spec":{"revoked":{"reason":"no longer wanted"}}}"#;
    tenant
        .admin
        .kubectl(&[
            "patch",
            "dsg",
            "revoked",
            "-n",
            &tenant.name,
            "--type=merge",
            "-p",
            revoke,
        ])
        .await
        .unwrap()
        .success()
        .unwrap();
    stage.releases(&tenant.name, "case-1").await;
    let after = tenant.open("stays").await;
    assert_eq!(before["status"]["closesAt"], after["status"]["closesAt"]);
    tenant.open("late").await;
    tenant.closed("revoked", "Revoked").await;
    stage
        .hold_is(&tenant.name, "case-1", "Restored", "True", "GraceOver")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_holds_counts_and_the_last_release_frees() {
    let stage = shared().await;
    let tenant = stage.tenant("life-several").await;
    tenant.grants(&tenant.grant("metrics", &in_days(30))).await;
    tenant.open("metrics").await;
    stage
        .holds(&hold(&tenant.name, "first", &["SuspendSharing"]))
        .await;
    let mut second = hold(&tenant.name, "second", &["SuspendProcessing"]);
    second["spec"]["slot"] = json!(9);
    stage.holds(&second).await;
    let closed = tenant.closed("metrics", "Held").await;
    assert_eq!(
        crate::stage::refusals(&closed),
        ["Held", "Held"],
        "{closed}"
    );
    stage.releases(&tenant.name, "first").await;
    let still = || async {
        let grant = stage
            .cluster
            .admin()
            .get(&["dsg", "metrics", "-n", &tenant.name])
            .await?;
        anyhow::ensure!(condition(&grant, "Open").0 == "False", "{grant}");
        anyhow::Ok(())
    };
    always(
        "the path stays closed",
        std::time::Duration::from_secs(5),
        still,
    )
    .await
    .unwrap();
    stage.releases(&tenant.name, "second").await;
    tenant.open("metrics").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_pods_are_denied_both_ways_in_either_stage_and_siblings_lose_them_too() {
    let stage = shared().await;
    for (name, labels, policies) in [
        (
            "life-cut",
            json!({ "privacy.cloudnexus.io/tenant": "acme" }),
            2,
        ),
        (
            "life-cut-observing",
            json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" }),
            0,
        ),
    ] {
        made(&stage.engineer, &crate::stage::namespace(name, &labels)).await;
        let ours = || policy_names(name);
        eventually("the floor stands", PATIENCE, || async {
            anyhow::ensure!(ours().await.len() == policies, "{:?}", ours().await);
            anyhow::Ok(())
        })
        .await
        .unwrap();
        stage
            .holds(&hold(name, "case-1", &["SuspendProcessing"]))
            .await;
        stage
            .hold_is(name, "case-1", "Suspended", "True", "CutOff")
            .await;
        assert_eq!(ours().await, ["covenant-default-deny"]);
        stage.releases(name, "case-1").await;
        eventually("the floor is as it was", PATIENCE, || async {
            anyhow::ensure!(ours().await.len() == policies, "{:?}", ours().await);
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}

async fn policy_names(namespace: &str) -> Vec<String> {
    let list = shared().await.get(&["netpol", "-n", namespace]).await;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> = items
        .iter()
        .map(|policy| policy["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_behind_held_claims_are_retained_and_given_back_as_they_were() {
    let stage = shared().await;
    let tenant = stage.tenant("life-volumes").await;
    let admin = stage.cluster.admin();
    let volume = |name: &str, policy: &str| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": name },
            "spec": {
                "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand",
                "persistentVolumeReclaimPolicy": policy, "csi": { "driver": "example.com", "volumeHandle": name },
                "claimRef": { "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": tenant.name, "name": name }
            }
        })
    };
    made(admin, &volume("life-deleted", "Delete")).await;
    made(admin, &volume("life-retained", "Retain")).await;
    stage.holds(&hold(&tenant.name, "case-1", &ALL)).await;
    let policy_of = |name: &'static str| async move {
        let volume = shared().await.get(&["pv", name]).await;
        let label = volume["metadata"]["labels"]["privacy.cloudnexus.io/held"].clone();
        (
            volume["spec"]["persistentVolumeReclaimPolicy"]
                .as_str()
                .unwrap()
                .to_owned(),
            label,
        )
    };
    eventually("both are retained", PATIENCE, || async {
        for name in ["life-deleted", "life-retained"] {
            let is = policy_of(name).await;
            anyhow::ensure!(is == ("Retain".to_owned(), json!("true")), "{name} {is:?}");
        }
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let back = r#"{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}"#;
    let careless = admin
        .kubectl(&["patch", "pv", "life-deleted", "-p", back])
        .await
        .unwrap();
    assert!(
        !careless.is_success() && careless.stderr.contains("ProcessingHold"),
        "{careless}"
    );
    stage.releases(&tenant.name, "case-1").await;
    eventually("both are as they were", PATIENCE, || async {
        for (name, policy) in [("life-deleted", "Delete"), ("life-retained", "Retain")] {
            let is = policy_of(name).await;
            anyhow::ensure!(is == (policy.to_owned(), Value::Null), "{name} {is:?}");
        }
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_tells_what_it_covers_and_says_so_when_it_covers_nothing() {
    let stage = shared().await;
    let tenant = stage.tenant("life-counts").await;
    for number in 0..3 {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("ledger-{number}"), "namespace": tenant.name, "labels": { "kind": "ledger" } }
        });
        made(&tenant.admin, &object).await;
    }
    let mut by_labels = hold(&tenant.name, "ledgers", &["PreventDeletion"]);
    by_labels["spec"]["scope"] = json!({ "matchLabels": { "kind": "ledger" }, "kinds": [{ "apiGroup": "", "kind": "ConfigMap" }] });
    stage.holds(&by_labels).await;
    let mut nothing = hold(&tenant.name, "typing-error", &["PreventDeletion"]);
    nothing["spec"]["scope"] = json!({ "kinds": [{ "apiGroup": "", "kind": "Deployment" }] });
    nothing["spec"]["slot"] = json!(2);
    stage.holds(&nothing).await;
    let held = eventually("three are counted", PATIENCE, || async {
        let held = stage.get(&["phold", "ledgers", "-n", &tenant.name]).await;
        anyhow::ensure!(held["status"]["held"]["objects"] == 3, "{held}");
        anyhow::Ok(held)
    })
    .await
    .unwrap();
    assert_eq!(held["status"]["held"]["byKind"], json!({ "ConfigMap": 3 }));
    stage
        .hold_is(
            &tenant.name,
            "typing-error",
            "Ready",
            "True",
            "CoversNothing",
        )
        .await;
    stage.proven(&tenant.name, "ledgers").await;
    stage.at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_held_objects_are_counted_in_one_request_a_kind_and_none_of_them_goes() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("life-crowd").await;
    let client = stage.cluster.admin().client().unwrap();
    let api: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::namespaced(client, &tenant.name);
    let create = |number: usize| {
        let api = api.clone();
        async move {
            let object = json!({ "metadata": { "name": format!("ledger-{number}") } });
            let object = serde_json::from_value(object).unwrap();
            api.create(&kube::api::PostParams::default(), &object)
                .await
                .unwrap();
        }
    };
    futures::StreamExt::collect::<()>(futures::StreamExt::buffer_unordered(
        futures::stream::iter((0..10_000).map(create)),
        32,
    ))
    .await;
    let audit = stage.cluster.audit().unwrap();
    let marker = audit.marker().await.unwrap();
    stage.holds(&hold(&tenant.name, "case-1", &ALL)).await;
    stage.proven(&tenant.name, "case-1").await;
    let held = eventually("they are counted", PATIENCE, || async {
        let held = stage.get(&["phold", "case-1", "-n", &tenant.name]).await;
        anyhow::ensure!(
            held["status"]["held"]["byKind"]["ConfigMap"] == 10_001,
            "{}",
            held["status"]
        );
        Ok(held)
    })
    .await
    .unwrap();
    assert!(
        held.to_string().len() < 8_000,
        "a status does not grow with what is held"
    );
    let operator = stage.cluster.operator_identity().await.unwrap();
    let lists = audit.since(marker).await.unwrap();
    let lists = lists.iter().filter(|event| {
        event.user() == operator.name() && event.verb == "list" && event.resource() == "configmaps"
    });
    assert_eq!(lists.count(), 1);
    let collection = format!("/api/v1/namespaces/{}/configmaps", tenant.name);
    let request = http::Request::delete(collection).body(Vec::new()).unwrap();
    let refused = stage
        .cluster
        .admin()
        .client()
        .unwrap()
        .request_text(request)
        .await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("[ProcessingHold life-crowd/case-1]")
    );
    let left = api
        .list_metadata(&kube::api::ListParams::default().limit(1))
        .await
        .unwrap();
    assert_eq!(left.metadata.remaining_item_count, Some(10_000));
}
