//! The judge reads every policy and answers every question.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use serde_json::{Value, json};
use testbed::judge::{End, Judge, Traffic};

fn policy(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": name, "namespace": namespace, "uid": "00000000-0000-0000-0000-000000000000",
            "managedFields": [{ "manager": "someone", "operation": "Apply" }] },
        "spec": spec,
    })
}

#[tokio::test]
async fn the_judge_agrees_with_a_trivial_policy() {
    let policies = [
        policy(
            "acme",
            "deny",
            &json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }),
        ),
        policy(
            "acme",
            "a-name-that-is-longer-than-most-columns-of-a-table-would-like-them-to-be",
            &json!({
                "podSelector": { "matchLabels": { "app": "billing" } }, "policyTypes": ["Egress"],
                "egress": [{
                    "to": [{ "ipBlock": { "cidr": "203.0.113.7/32" } }],
                    "ports": [{ "port": 443, "endPort": 445, "protocol": "TCP" }],
                }],
            }),
        ),
    ];
    let billing = End::pod("10.8.0.2", "acme", &[], &[("app", "billing")]);
    let other = End::pod("10.8.0.3", "acme", &[], &[("app", "other")]);
    let elsewhere = End::pod("10.8.0.4", "globex", &[], &[]);
    let vendor = End::outside("203.0.113.7");
    let traffic = [
        (Traffic::tcp(billing.clone(), vendor.clone(), 443), true),
        (Traffic::tcp(billing.clone(), vendor.clone(), 445), true),
        (Traffic::tcp(billing.clone(), vendor.clone(), 446), false),
        (Traffic::udp(billing.clone(), vendor.clone(), 443), false),
        (
            Traffic::tcp(billing.clone(), End::outside("203.0.113.8"), 443),
            false,
        ),
        (Traffic::tcp(other.clone(), vendor.clone(), 443), false),
        (Traffic::tcp(elsewhere.clone(), vendor, 443), true),
        (Traffic::tcp(elsewhere, billing, 443), false),
    ];
    let questions: Vec<Traffic> = traffic
        .iter()
        .map(|(question, _)| question.clone())
        .collect();
    let expected: Vec<bool> = traffic.iter().map(|&(_, allowed)| allowed).collect();
    assert_eq!(
        Judge.evaluate(&policies, &questions).await.unwrap(),
        expected
    );
    assert_eq!(
        Judge.evaluate(&[], &questions).await.unwrap(),
        vec![true; questions.len()]
    );
}

#[tokio::test]
async fn the_judge_does_not_pass_over_what_it_cannot_read() {
    let traffic = [Traffic::tcp(
        End::outside("10.8.0.2"),
        End::outside("203.0.113.7"),
        443,
    )];
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [] });
    assert!(Judge.evaluate(&[list], &traffic).await.is_err());
    let unknown_field = policy("acme", "odd", &json!({ "podSelectors": {} }));
    assert!(Judge.evaluate(&[unknown_field], &traffic).await.is_err());
}
