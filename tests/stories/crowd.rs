//! Many grants at once.

use futures::StreamExt as _;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::ApiResource;
use serde_json::{Value, json};
use testbed::eventually;

use crate::stage::{Stage, Tenant, condition, in_days};

async fn create(tenant: &Tenant<'_>, grants: impl Iterator<Item = Value>) {
    let resource = ApiResource {
        group: "privacy.cloudnexus.io".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "privacy.cloudnexus.io/v1alpha1".to_owned(),
        kind: "DataSharingGrant".to_owned(),
        plural: "datasharinggrants".to_owned(),
    };
    let client = tenant.admin.client().unwrap();
    let api: Api<DynamicObject> = Api::namespaced_with(client, &tenant.name, &resource);
    let requests = grants.map(|grant| {
        let (api, object) = (
            api.clone(),
            serde_json::from_value::<DynamicObject>(grant).unwrap(),
        );
        async move { api.create(&PostParams::default(), &object).await.map(drop) }
    });
    let results: Vec<_> = futures::stream::iter(requests)
        .buffer_unordered(24)
        .collect()
        .await;
    for result in results {
        result.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_grants_open_and_one_that_is_revoked_among_them_does_not_wait() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("crowd").await;
    let neighbour = stage.tenant("neighbour").await;
    let first = tenant.grant("first", &in_days(30));
    tenant.grants(&first).await;
    tenant.open("first").await;
    let user = stage.cluster.operator_identity().await.unwrap();
    let audit = stage.cluster.audit().unwrap();
    let marker = audit.marker().await.unwrap();
    create(
        &tenant,
        (0..2000).map(|number| tenant.grant(&format!("grant-{number}"), &in_days(30))),
    )
    .await;

    // While they are opening: a close in the same namespace, and an opening in another.
    let mut revoked = first;
    revoked["spec"]["revoked"] = json!({ "reason": "contract ended" });
    tenant.grants(&revoked).await;
    tenant.closed("first", "Revoked").await;
    neighbour
        .grants(&neighbour.grant("metrics", &in_days(30)))
        .await;
    neighbour.open("metrics").await;

    eventually(
        "all are open",
        std::time::Duration::from_secs(900),
        || async {
            let text = stage.operator.get("/metrics").await?.text;
            anyhow::ensure!(
                text.contains("covenant_open_paths 2001\n"),
                "{}",
                line(&text, "covenant_open_paths")
            );
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
    let writes = audit.mutating(user.name(), marker).await.unwrap();
    let writes = writes
        .iter()
        .filter(|event| event.resource() != "events")
        .count();
    println!(
        "2,000 grants opened with {writes} writes, {:.2} a grant",
        writes as f64 / 2000.0
    );
    assert!(writes <= 2000 * 6, "{writes} writes for 2,000 grants");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_refused_grants_open_nothing_and_hold_nobody_up() {
    let stage = Stage::new().await;
    let count = if std::env::var_os("COVENANT_LONG").is_some() {
        10_000
    } else {
        2_000
    };
    let tenant = stage.tenant("flood").await;
    let neighbour = stage.tenant("calm").await;
    let refused = |number: usize| {
        let mut grant = tenant.grant(&format!("grant-{number}"), &in_days(30));
        grant["spec"]["purpose"] = json!("Advertising");
        grant
    };
    create(&tenant, (0..count).map(refused)).await;
    neighbour
        .grants(&neighbour.grant("metrics", &in_days(30)))
        .await;
    neighbour.open("metrics").await;
    let last = format!("grant-{}", count - 1);
    tenant
        .wait(&last, |grant| {
            condition(grant, "Open").1 == "ForbiddenPurpose"
        })
        .await;
    let opened = stage
        .get(&[
            "netpol,jobs",
            "-n",
            "flood",
            "-l",
            "privacy.cloudnexus.io/grant-uid",
        ])
        .await;
    assert_eq!(opened["items"].as_array().unwrap().len(), 0);
}

fn line<'a>(text: &'a str, prefix: &str) -> &'a str {
    text.lines()
        .find(|line| line.starts_with(prefix))
        .unwrap_or_default()
}
