//! Where the guards stand back: nothing asked, observing, not enrolled, and what was there before.

use serde_json::{Value, json};
use testbed::raw::{Call, JSON, MERGE};

use crate::cases::{self, Case};
use crate::stage::{Stage, passes, refused, stage};

/// A case of each policy that is refused, and one of the same kind that is not.
const PAIRS: [(&str, &str); 6] = [
    ("http", "https"),
    ("policy-at-two", "policy"),
    ("no-tls", "covered"),
    ("option-at-two", "option"),
    ("plain", "simple"),
    ("proxy-plain", "proxy"),
];

fn pairs() -> Vec<(Case, Case)> {
    let find = |name| {
        let found = cases::all().into_iter().find(|case| case.name == name);
        found.unwrap()
    };
    let pairs = PAIRS.map(|(plain, encrypted)| (find(plain), find(encrypted)));
    pairs.into()
}

fn creation(case: &Case, namespace: &str) -> Call {
    let version = case.kind.versions[0];
    let object = case.object(version, namespace);
    Call::new("POST", case.kind.all(version, namespace)).with(JSON, object)
}

fn change(case: &Case, namespace: &str, patch: Value) -> Call {
    Call::new("PATCH", case.kind.one(namespace, case.name)).with(MERGE, patch)
}

/// Publishes the plain one of each pair in a namespace that is enrolled afterwards.
async fn plain_before(stage: &Stage, namespace: &str) {
    stage.labelled(namespace, json!({})).await;
    for (plain, _) in pairs() {
        passes(&stage.admin(), creation(&plain, namespace)).await;
    }
    stage
        .label(namespace, json!({ "privacy.cloudnexus.io/tenant": "acme" }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_can_be_tended_healed_and_deleted_and_not_made_worse() {
    let stage = stage().await;
    let namespace = "acme-before";
    plain_before(stage, namespace).await;
    stage
        .parameters(namespace, json!({ "retention": [], "minimumTLS": "1.3" }))
        .await;
    stage.until_refused(namespace).await;
    let admin = stage.admin();
    for (plain, encrypted) in pairs() {
        let fault = plain.fault.unwrap().as_str();
        let tended = json!({ "metadata": { "labels": { "tended": "yes" }, "annotations": { "tended": "yes" }, "finalizers": ["example.com/tended"] } });
        passes(&admin, change(&plain, namespace, tended)).await;
        let by_status = Call::new(
            "PATCH",
            format!("{}/status", plain.kind.one(namespace, plain.name)),
        )
        .with(MERGE, json!({ "status": { "loadBalancer": {} } }));
        passes(&admin, by_status).await;
        let other = match plain.kind.plural {
            "gateways" if plain.kind.group.contains("istio") => {
                json!({ "spec": { "selector": { "other": "yes" } } })
            }
            "gateways" => json!({ "spec": { "gatewayClassName": "other" } }),
            "clienttrafficpolicies" => json!({ "spec": { "targetRefs": [] } }),
            "ingresses" => json!({ "spec": { "ingressClassName": "other" } }),
            "tlsoptions" => json!({ "spec": { "sniStrict": true } }),
            _ => json!({ "spec": { "routes": [{}] } }),
        };
        refused(&admin, change(&plain, namespace, other), &[fault]).await;
        let healed = json!({ "spec": encrypted.spec });
        passes(&admin, change(&plain, namespace, healed).dry()).await;
        let released = json!({ "metadata": { "finalizers": null } });
        passes(&admin, change(&plain, namespace, released)).await;
        let gone = Call::new("DELETE", plain.kind.one(namespace, plain.name));
        passes(&admin, gone).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_that_is_judged_counts_as_new_and_another_does_not() {
    let stage = stage().await;
    let namespace = "acme-annotated";
    plain_before(stage, namespace).await;
    stage
        .parameters(namespace, json!({ "retention": [], "minimumTLS": "1.3" }))
        .await;
    stage.until_refused(namespace).await;
    let pairs = pairs();
    let (plain, _) = pairs
        .iter()
        .find(|(plain, _)| plain.name == "no-tls")
        .unwrap();
    for (key, is_judged) in [
        ("traefik.ingress.kubernetes.io/router.tls", true),
        ("traefik.ingress.kubernetes.io/router.tls.options", true),
        ("kubernetes.io/ingress.class", true),
        ("cert-manager.io/cluster-issuer", false),
    ] {
        let patch = json!({ "metadata": { "annotations": { key: "other" } } });
        let call = change(plain, namespace, patch).dry();
        if is_judged {
            refused(&stage.admin(), call, &["[PlainHost]"]).await;
        } else {
            passes(&stage.admin(), call).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_what_guards_read_nothing_new_is_published_and_what_is_there_can_be_let_go_of() {
    let stage = stage().await;
    let namespace = "acme-unread";
    plain_before(stage, namespace).await;
    let admin = stage.admin();
    // The label has been taken in when the first of them is refused.
    let (_, encrypted) = &pairs()[0];
    let canary = creation(encrypted, namespace).dry();
    testbed::eventually("it is refused", crate::stage::PATIENCE, || async {
        let answer = admin.send(&canary).await?;
        anyhow::ensure!(answer.code == 403 || answer.code == 422, "{answer:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    for (plain, encrypted) in pairs() {
        for case in [&plain, &encrypted] {
            let answer = admin.send(&creation(case, namespace).dry()).await.unwrap();
            assert!(
                answer.message().contains("covenant-transit-")
                    && answer.message().contains("no params found"),
                "{answer:?}"
            );
        }
        let released = json!({ "metadata": { "finalizers": null, "labels": { "tended": "yes" } } });
        passes(&admin, change(&plain, namespace, released)).await;
        passes(
            &admin,
            Call::new("DELETE", plain.kind.one(namespace, plain.name)),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_asked_nothing_is_judged() {
    let stage = stage().await;
    let asked_nothing = "acme-unasked";
    stage
        .labelled(
            asked_nothing,
            json!({ "privacy.cloudnexus.io/tenant": "acme" }),
        )
        .await;
    stage
        .parameters(asked_nothing, json!({ "retention": [] }))
        .await;
    stage.until_let_through(asked_nothing).await;
    let not_enrolled = "not-enrolled";
    stage.labelled(not_enrolled, json!({})).await;
    for namespace in [asked_nothing, not_enrolled] {
        for (plain, encrypted) in pairs() {
            for case in [&plain, &encrypted] {
                passes(&stage.admin(), creation(case, namespace).dry()).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_observes_is_warned_and_let_through() {
    let stage = stage().await;
    let namespace = "acme-observes";
    let labels =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    stage.labelled(namespace, labels).await;
    for (plain, _) in pairs() {
        passes(&stage.admin(), creation(&plain, namespace).dry()).await;
    }
    stage
        .parameters(namespace, json!({ "retention": [], "minimumTLS": "1.3" }))
        .await;
    for (plain, encrypted) in pairs() {
        let sign = format!("[{}]", plain.fault.unwrap().as_str());
        testbed::eventually("it is warned of", crate::stage::PATIENCE, || async {
            let call = creation(&plain, namespace).dry();
            let answer = stage.admin().send(&call).await?;
            anyhow::ensure!(
                answer.is_success()
                    && answer
                        .warnings
                        .iter()
                        .any(|warning| warning.contains(&sign)),
                "{answer:?}"
            );
            anyhow::Ok(())
        })
        .await
        .unwrap();
        let answer = passes(&stage.admin(), creation(&encrypted, namespace).dry()).await;
        assert!(
            !answer
                .warnings
                .iter()
                .any(|warning| warning.contains("covenant-")),
            "{answer:?}"
        );
    }
}
