//! Who lifts the limit of a disposal, and what of a policy's status nobody writes.

use serde_json::{Value, json};
use testbed::raw::{APPLY, Call, Caller};

use crate::kinds::CONFIG_MAP;
use crate::stage::{POLICY, Stage, entry, passes, policy, refused, stage};

const RULES: &str = r#"[{"apiGroups":["privacy.cloudnexus.io"],"resources":["retentionpolicies","retentionpolicies/status"],"verbs":["get","update","patch"]}]"#;

fn lifted(by: &str, generation: i64, until: i64) -> Value {
    json!({ "type": "LimitLifted", "by": by, "reason": "the backlog of a year", "generation": generation, "untilTotal": until })
}

fn decide(namespace: &str, decisions: &Value) -> Call {
    POLICY.merge_by(
        "status",
        namespace,
        "books",
        json!({ "status": { "decisions": decisions } }),
    )
}

async fn stored(stage: &Stage, namespace: &str) {
    let keep = json!({ "atMost": "P1Y" });
    let body = policy(namespace, "books", &json!([entry(&CONFIG_MAP)]), keep);
    passes(&stage.admin(), POLICY.create(namespace, body)).await;
}

/// Somebody who may write the status of policies by RBAC, with the verb `approve` for these tenants, or for none.
async fn approver(stage: &Stage, user: &str, tenants: Option<&[&str]>) -> Caller {
    let rules: Value = serde_json::from_str(RULES).unwrap();
    let role = format!("{user}-policies");
    let given = stage.cluster.give(user, &role, &rules);
    given.await.unwrap();
    if let Some(tenants) = tenants {
        let appointed = stage.cluster.appoint(user, "approve", tenants);
        appointed.await.unwrap();
    }
    let identity = stage.cluster.identity(user).await.unwrap();
    identity.caller().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_approves_for_the_tenant_lifts_a_limit_and_in_their_own_name() {
    let stage = stage().await;
    let namespace = "approved";
    stage.enrolled(namespace).await;
    stored(stage, namespace).await;
    let officer = stage.officer.caller().unwrap();
    let boss = stage.cluster.namespace_cluster_admin(namespace);
    let acme = approver(stage, "acme-approver", Some(&["acme"])).await;
    for who in [
        boss.await.unwrap().caller().unwrap(),
        stage.gitops.caller().unwrap(),
        stage.platform.caller().unwrap(),
        stage.admin(),
        stage.operator.caller().unwrap(),
        approver(stage, "globex-approver", Some(&["globex"])).await,
        approver(stage, "no-approver", None).await,
    ] {
        let call = decide(namespace, &json!([lifted(who.name(), 1, 100)]));
        let words = [
            "may not lift its limit",
            "the verb approve",
            "for tenant acme",
        ];
        refused(&who, call, &words).await;
    }
    let tenant = stage.tenant(namespace).await;
    let call = decide(namespace, &json!([lifted(tenant.name(), 1, 100)]));
    refused(&tenant, call, &["cannot patch"]).await;
    for name in ["acme-admin", "officer", "ACME-APPROVER", "acme-approver "] {
        let call = decide(namespace, &json!([lifted(name, 1, 100)]));
        refused(&acme, call, &["nobody decides in another's name"]).await;
    }
    for generation in [0, 2, -1] {
        let call = decide(
            namespace,
            &json!([lifted("acme-approver", generation, 100)]),
        );
        let words = ["about the policy as it is now", "generation must be 1"];
        refused(&acme, call, &words).await;
    }
    let mine = lifted("acme-approver", 1, 100);
    passes(&acme, decide(namespace, &json!([mine]))).await;
    let basis = json!({ "spec": { "basis": "another" } });
    passes(&stage.admin(), POLICY.merge(namespace, "books", basis)).await;
    let late = decide(namespace, &json!([mine, lifted("officer", 1, 200)]));
    refused(&officer, late, &["generation must be 2"]).await;
    let now = decide(namespace, &json!([mine, lifted("officer", 2, 200)]));
    passes(&officer, now).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifted_limit_stands_and_the_rest_of_the_status_is_not_peoples() {
    let stage = stage().await;
    let (admin, officer) = (stage.admin(), stage.officer.caller().unwrap());
    let operator = stage.operator.caller().unwrap();
    let namespace = "stands";
    stage.enrolled(namespace).await;
    stored(stage, namespace).await;
    let (first, second) = (lifted("officer", 1, 10), lifted("officer", 1, 20));
    let two = decide(namespace, &json!([first, second]));
    refused(&officer, two, &["one at a time"]).await;
    passes(&officer, decide(namespace, &json!([first]))).await;
    passes(&officer, decide(namespace, &json!([first, second]))).await;
    let mut rewritten = first.clone();
    rewritten["untilTotal"] = json!(99);
    for decisions in [
        Value::Null,
        json!([]),
        json!([first]),
        json!([second, first]),
        json!([rewritten, second]),
        json!([rewritten, second, first]),
        json!([first, first, second]),
        json!([first, second, first, second]),
    ] {
        for who in [&officer, &operator] {
            refused(who, decide(namespace, &decisions), &["stands once made"]).await;
        }
    }
    let forged = [
        json!({ "observedGeneration": 1 }),
        json!({ "since": "2020-01-01T00:00:00Z" }),
        json!({ "matched": 0 }),
        json!({ "disposed": { "total": 0 } }),
        json!({ "conditions": [{ "type": "Enforced", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" }] }),
    ];
    for status in &forged {
        let call = POLICY.merge_by("status", namespace, "books", json!({ "status": status }));
        for who in [&officer, &admin, &stage.gitops.caller().unwrap()] {
            refused(who, call.clone(), &["only decisions are written by people"]).await;
        }
        let mut both = status.clone();
        both["decisions"] = json!([first, second, first]);
        let call = POLICY.merge_by("status", namespace, "books", json!({ "status": both }));
        for who in [&officer, &operator] {
            let answer = who.send(&call).await.unwrap();
            assert!(
                matches!(answer.code, 403 | 422),
                "{} {answer:?}",
                who.name()
            );
        }
        let call = POLICY.merge_by("status", namespace, "books", json!({ "status": status }));
        passes(&operator, call).await;
    }
    // By the way the operator writes, which leaves alone what it does not name.
    let applied = json!({ "apiVersion": POLICY.api_version(), "kind": POLICY.kind, "metadata": { "name": "books" }, "status": forged[1] });
    let path = format!(
        "{}/status?fieldManager=covenant-status&force=true",
        POLICY.one(namespace, "books")
    );
    let written = passes(&operator, Call::new("PATCH", path).with(APPLY, applied)).await;
    assert_eq!(written["status"]["decisions"], json!([first, second]));
    // Bad decisions never reach the guard.
    for bad in [
        json!({ "type": "Lifted", "by": "officer", "reason": "r", "generation": 1, "untilTotal": 1 }),
        json!({ "type": "LimitLifted", "by": "officer", "reason": "", "generation": 1, "untilTotal": 1 }),
        json!({ "type": "LimitLifted", "by": "officer", "reason": "r", "untilTotal": 1 }),
        json!({ "type": "LimitLifted", "by": "officer", "reason": "r", "generation": 1, "untilTotal": 0 }),
        json!({ "type": "LimitLifted", "by": "officer", "reason": "r", "generation": 1, "untilTotal": 1.5 }),
    ] {
        let answer = officer
            .send(&decide(namespace, &json!([first, second, bad])))
            .await
            .unwrap();
        assert_eq!(answer.code, 422, "{bad} {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_enrolled_a_decision_takes_the_verb_for_all_tenants() {
    let stage = stage().await;
    let namespace = "approved-elsewhere";
    stage.labelled(namespace, json!({})).await;
    stored(stage, namespace).await;
    let one = approver(stage, "acme-approver-elsewhere", Some(&["acme"])).await;
    let call = decide(namespace, &json!([lifted(one.name(), 1, 100)]));
    refused(&one, call, &["for all tenants"]).await;
    let officer = stage.officer.caller().unwrap();
    passes(
        &officer,
        decide(namespace, &json!([lifted("officer", 1, 100)])),
    )
    .await;
}
