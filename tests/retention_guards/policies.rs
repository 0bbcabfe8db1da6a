//! Who shortens a minimum, and who writes what guards read.

use serde_json::{Value, json};
use testbed::eventually;
use testbed::raw::Call;

use crate::kinds::{CONFIG_MAP, SECRET};
use crate::stage::{
    PARAMETERS, PATIENCE, POLICY, Stage, entry, parameters, passes, policy, refused, rule, stage,
};

const VERB: &str =
    "takes the verb administer on tenants.authority.privacy.cloudnexus.io for tenant acme";

async fn stored(stage: &Stage, namespace: &str, name: &str, keep: Value) {
    let select =
        json!([entry(&CONFIG_MAP), { "apiVersion": "v1", "kind": "Secret", "names": ["a"] }]);
    let mut body = policy(namespace, name, &select, keep);
    body["spec"]["startsAt"] = json!("RetainedSince");
    passes(&stage.admin(), POLICY.create(namespace, body)).await;
}

fn spec(namespace: &str, name: &str, spec: Value) -> Call {
    POLICY.merge(namespace, name, json!({ "spec": spec })).dry()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minimum_is_shortened_or_taken_away_only_by_who_administers_the_tenant() {
    let stage = stage().await;
    let namespace = "policies";
    stage.enrolled(namespace).await;
    stored(
        stage,
        namespace,
        "books",
        json!({ "atLeast": "P1Y", "atMost": "P2Y" }),
    )
    .await;
    let platform = stage.platform.caller().unwrap();
    let replaced = |entry: Value| json!({ "select": [entry, { "apiVersion": "v1", "kind": "Secret", "names": ["a"] }] });
    let mut narrower = entry(&CONFIG_MAP);
    narrower["matchLabels"]["also"] = json!("b");
    let mut everybody = stage.everybody(namespace).await;
    everybody.push(stage.controller("namespace-controller"));
    everybody.push(stage.controller("generic-garbage-collector"));
    for (change, what) in [
        (
            spec(namespace, "books", json!({ "keep": { "atLeast": "P6M" } })),
            "change or remove keep.atLeast",
        ),
        (
            spec(namespace, "books", json!({ "keep": { "atLeast": "P9Y" } })),
            "change or remove keep.atLeast",
        ),
        (
            spec(namespace, "books", json!({ "keep": { "atLeast": null } })),
            "change or remove keep.atLeast",
        ),
        (
            spec(namespace, "books", json!({ "startsAt": "CreatedAt" })),
            "change or remove startsAt",
        ),
        (
            spec(namespace, "books", json!({ "startsAt": null })),
            "change or remove startsAt",
        ),
        (
            spec(
                namespace,
                "books",
                json!({ "select": [entry(&CONFIG_MAP)] }),
            ),
            "an entry of select",
        ),
        (
            spec(namespace, "books", replaced(narrower)),
            "an entry of select",
        ),
        (
            spec(namespace, "books", replaced(entry(&SECRET))),
            "an entry of select",
        ),
        (POLICY.delete(namespace, "books").dry(), "delete the policy"),
        (
            Call::new("DELETE", POLICY.all(namespace)).dry(),
            "delete the policy",
        ),
    ] {
        for who in &everybody {
            let answer = who.send(&change).await.unwrap();
            // Deletions of collections are not the tenant's by RBAC.
            let by_rbac = answer.message().contains(" cannot ");
            let said = [what, VERB, "RetentionPolicy policies/books keeps"]
                .iter()
                .all(|words| answer.message().contains(words));
            assert!(
                answer.code == 403 && (by_rbac || said),
                "{} {change:?} {answer:?}",
                who.name()
            );
            assert!(
                !by_rbac || who.name().contains("controller") || change.method == "DELETE",
                "{} {answer:?}",
                who.name()
            );
        }
        if !change.path.contains("retentionpolicies?") {
            passes(&platform, change).await;
        }
    }
    for who in &everybody[..4] {
        for change in [
            json!({ "keep": { "atMost": "P3Y" } }),
            json!({ "keep": { "atMost": null } }),
            json!({ "disposal": { "mode": "Dispose" } }),
            json!({ "basis": "another", "dataCategory": "ComplianceAudit" }),
            json!({ "select": [{ "apiVersion": "v1", "kind": "Secret", "names": ["a"] }, entry(&SECRET), entry(&CONFIG_MAP)] }),
        ] {
            passes(who, spec(namespace, "books", change)).await;
        }
        let note = json!({ "metadata": { "labels": { "a": "b" } } });
        passes(who, POLICY.merge(namespace, "books", note)).await;
    }
    // One who administers another tenant.
    stage
        .cluster
        .bind_cluster_role("globex-steward", "edit")
        .await
        .unwrap();
    stage
        .cluster
        .appoint("globex-steward", "administer", &["globex"])
        .await
        .unwrap();
    let foreign = stage
        .cluster
        .identity("globex-steward")
        .await
        .unwrap()
        .caller()
        .unwrap();
    refused(&foreign, POLICY.delete(namespace, "books"), &[VERB]).await;
    passes(&platform, POLICY.delete(namespace, "books")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_policies_adds_a_minimum_and_what_has_none_is_theirs() {
    let stage = stage().await;
    let namespace = "additions";
    stage.enrolled(namespace).await;
    for (number, who) in stage.everybody(namespace).await.iter().enumerate() {
        let name = format!("policy-{number}");
        let keep = json!({ "atMost": "P2Y" });
        passes(
            who,
            POLICY.create(
                namespace,
                policy(namespace, &name, &json!([entry(&CONFIG_MAP)]), keep),
            ),
        )
        .await;
        for change in [
            json!({ "keep": { "atMost": "P1Y" } }),
            json!({ "select": [entry(&SECRET)], "startsAt": "RetainedSince" }),
            json!({ "startsAt": "CreatedAt" }),
        ] {
            passes(
                who,
                POLICY.merge(namespace, &name, json!({ "spec": change })),
            )
            .await;
        }
        passes(who, POLICY.delete(namespace, &name).dry()).await;
        passes(
            who,
            POLICY.merge(
                namespace,
                &name,
                json!({ "spec": { "keep": { "atLeast": "P1M" } } }),
            ),
        )
        .await;
        // What is not said is said by its default.
        passes(
            who,
            POLICY.merge(namespace, &name, json!({ "spec": { "startsAt": null } })),
        )
        .await;
        passes(
            who,
            POLICY.merge(
                namespace,
                &name,
                json!({ "spec": { "startsAt": "CreatedAt" } }),
            ),
        )
        .await;
        refused(who, POLICY.delete(namespace, &name), &[VERB]).await;
    }
    // Where nothing is enrolled, a policy keeps nothing and is anybody's.
    let namespace = "additions-elsewhere";
    stage.labelled(namespace, json!({})).await;
    stored(stage, namespace, "books", json!({ "atLeast": "P1Y" })).await;
    let tenant = stage.tenant(namespace).await;
    passes(
        &tenant,
        POLICY.merge(
            namespace,
            "books",
            json!({ "spec": { "keep": { "atLeast": "P1D" } } }),
        ),
    )
    .await;
    passes(&tenant, POLICY.delete(namespace, "books")).await;
}

async fn written_by_nobody_else(stage: &Stage, namespace: &str, writes: bool) {
    let mut everybody = stage.everybody(namespace).await;
    everybody.push(stage.platform.caller().unwrap());
    everybody.push(stage.officer.caller().unwrap());
    everybody.push(stage.controller("namespace-controller"));
    everybody.push(stage.controller("generic-garbage-collector"));
    let free = json!({ "spec": { "retention": [] } });
    let mut calls = vec![
        parameters(namespace, vec![rule("books", &CONFIG_MAP)]),
        parameters(namespace, vec![]),
    ];
    if writes {
        calls.push(PARAMETERS.delete(namespace, "current"));
        calls.push(Call::new("DELETE", PARAMETERS.all(namespace)));
        calls.push(PARAMETERS.merge(namespace, "current", free));
        calls.push(PARAMETERS.merge(
            namespace,
            "current",
            json!({ "metadata": { "labels": { "a": "b" } } }),
        ));
    }
    for who in &everybody {
        for call in &calls {
            let answer = who.send(call).await.unwrap();
            assert!(
                answer.code == 403
                    && (answer.message().contains("is written by Covenant alone")
                        || answer.message().contains(" cannot ")),
                "{} {call:?} {answer:?}",
                who.name()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_guards_read_is_the_operators_word_everywhere() {
    let stage = stage().await;
    let operator = stage.operator.caller().unwrap();
    for (namespace, labels) in [
        ("word", json!({ "privacy.cloudnexus.io/tenant": "acme" })),
        ("word-elsewhere", json!({})),
    ] {
        stage.labelled(namespace, labels).await;
        written_by_nobody_else(stage, namespace, false).await;
        passes(
            &operator,
            parameters(namespace, vec![rule("books", &CONFIG_MAP)]),
        )
        .await;
        written_by_nobody_else(stage, namespace, true).await;
        passes(&operator, parameters(namespace, vec![])).await;
        passes(&operator, PARAMETERS.delete(namespace, "current")).await;
    }
    let mut misnamed = json!({
        "apiVersion": PARAMETERS.api_version(), "kind": PARAMETERS.kind,
        "metadata": { "name": "other", "namespace": "word" }, "spec": {},
    });
    refused(
        &operator,
        PARAMETERS.create("word", misnamed.clone()),
        &["named current"],
    )
    .await;
    misnamed["metadata"]["name"] = json!("current");
    passes(&operator, PARAMETERS.create("word", misnamed)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_goes_takes_what_guards_read_with_it_where_nothing_is_kept() {
    let stage = stage().await;
    let (admin, operator) = (stage.admin(), stage.operator.caller().unwrap());
    let observing =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    for (namespace, labels, rules) in [
        (
            "goes",
            json!({ "privacy.cloudnexus.io/tenant": "acme" }),
            vec![],
        ),
        (
            "goes-elsewhere",
            json!({}),
            vec![rule("books", &CONFIG_MAP)],
        ),
        (
            "goes-observing",
            observing,
            vec![rule("books", &CONFIG_MAP)],
        ),
    ] {
        stage.labelled(namespace, labels).await;
        passes(&operator, parameters(namespace, rules)).await;
        // That they hold nothing, the guards read off what they know.
        let delete = Call::new("DELETE", format!("/api/v1/namespaces/{namespace}"));
        stage.until_let_through(&delete.clone().dry()).await;
        passes(&admin, delete).await;
        let get = Call::new("GET", format!("/api/v1/namespaces/{namespace}"));
        eventually("the namespace is gone", PATIENCE, || async {
            let answer = admin.send(&get).await?;
            anyhow::ensure!(answer.code == 404, "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}
