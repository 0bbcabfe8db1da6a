//! Who may enrol a namespace, move it, and take it out.

use serde_json::{Value, json};
use testbed::names::{LABEL_BASELINE, LABEL_STAGE, LABEL_TENANT, VERB_ADMINISTER};
use testbed::{Identity, Output};

use crate::stage::{namespace, passes, patch, refused, stage};

const GUARD: &str = "covenant-enrolment";

async fn label(who: &Identity, name: &str, labels: Value) -> Output {
    let change = json!({ "metadata": { "labels": labels } });
    patch(who, &["namespace", name], &change).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gitops_controller_with_every_verb_cannot_enrol_a_namespace() {
    let stage = stage().await;
    for (who, name) in [
        (&stage.gitops, "enrolment-gitops"),
        (stage.admin(), "enrolment-masters"),
    ] {
        for labels in [
            [(LABEL_TENANT, "acme")],
            [(LABEL_STAGE, "observe")],
            [(LABEL_BASELINE, "strict")],
        ] {
            let made = who.apply(&namespace(name, &labels)).await.unwrap();
            refused(made, GUARD, &[name, "administer", labels[0].0, who.name()]);
        }
        passes(who.apply(&namespace(name, &[])).await.unwrap());
        refused(
            label(who, name, json!({ LABEL_TENANT: "acme" })).await,
            GUARD,
            &["acme"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_administers_one_tenant_neither_gives_to_nor_takes_from_another() {
    let stage = stage().await;
    let user = "acme-enroller";
    stage
        .cluster
        .bind_cluster_role(user, "admin")
        .await
        .unwrap();
    let rules = json!([{ "apiGroups": [""], "resources": ["namespaces"], "verbs": ["*"] }]);
    stage
        .cluster
        .give(user, "acme-enroller-namespaces", &rules)
        .await
        .unwrap();
    stage
        .cluster
        .appoint(user, VERB_ADMINISTER, &["acme"])
        .await
        .unwrap();
    let enroller = stage.cluster.identity(user).await.unwrap();

    let name = "enrolment-one-tenant";
    passes(
        enroller
            .apply(&namespace(
                name,
                &[(LABEL_TENANT, "acme"), (LABEL_STAGE, "observe")],
            ))
            .await
            .unwrap(),
    );
    passes(label(&enroller, name, json!({ LABEL_STAGE: null })).await);
    refused(
        label(&enroller, name, json!({ LABEL_TENANT: "globex" })).await,
        GUARD,
        &["acme, globex"],
    );
    passes(label(&enroller, name, json!({ LABEL_TENANT: null })).await);

    let theirs = "enrolment-of-globex";
    stage.enrolled(theirs, "globex").await;
    refused(
        label(&enroller, theirs, json!({ LABEL_TENANT: "acme" })).await,
        GUARD,
        &["globex, acme"],
    );
    refused(
        label(&enroller, theirs, json!({ LABEL_TENANT: null })).await,
        GUARD,
        &["globex"],
    );
    refused(
        label(&enroller, theirs, json!({ LABEL_STAGE: "observe" })).await,
        GUARD,
        &["globex"],
    );
    // Labels that wait for a tenant are for who administers them all.
    let waiting = "enrolment-waiting";
    stage.labelled(waiting, &[]).await;
    refused(
        label(&enroller, waiting, json!({ LABEL_STAGE: "observe" })).await,
        GUARD,
        &[waiting],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_tenant_is_refused() {
    let stage = stage().await;
    let made = stage
        .platform
        .apply(&namespace("enrolment-empty", &[(LABEL_TENANT, "")]))
        .await
        .unwrap();
    refused(made, GUARD, &["empty"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_the_verb_by_a_wildcard_in_the_authority_group_holds_nothing() {
    let stage = stage().await;
    let user = "wildcard-enroller";
    let rules = json!([
        { "apiGroups": [""], "resources": ["namespaces"], "verbs": ["*"] },
        { "apiGroups": ["authority.privacy.cloudnexus.io"], "resources": ["tenants"], "verbs": ["*"] },
    ]);
    stage
        .cluster
        .give(user, "wildcard-enroller", &rules)
        .await
        .unwrap();
    let who = stage.cluster.identity(user).await.unwrap();
    let made = who
        .apply(&namespace("enrolment-wildcard", &[(LABEL_TENANT, "acme")]))
        .await
        .unwrap();
    refused(made, GUARD, &["wildcard"]);
}
