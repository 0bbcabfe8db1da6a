//! What a grant costs, counted in the API server's audit log: calls to open, calls to close, calls at rest.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "stories/stage.rs"]
#[allow(dead_code, reason = "shared with the stories, which use more of it")]
mod stage;

use std::time::Duration;

use serde_json::json;
use stage::{Stage, in_days};
use testbed::audit::Counts;

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_costs_a_handful_of_calls_and_rest_costs_watches_only() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("counted").await;
    let user = stage.cluster.operator_identity().await.unwrap();
    let audit = stage.cluster.audit().unwrap();
    stage.at_rest().await;

    let grants = 10;
    let marker = audit.marker().await.unwrap();
    for number in 0..grants {
        let name = format!("grant-{number}");
        tenant.grants(&tenant.grant(&name, &in_days(30))).await;
        tenant.open(&name).await;
    }
    stage.at_rest().await;
    let opened = audit.mutating(user.name(), marker).await.unwrap();
    println!(
        "{grants} grants opened one by one:\n{}",
        Counts::of(&opened)
    );

    let marker = audit.marker().await.unwrap();
    for number in 0..grants {
        let mut grant = tenant.grant(&format!("grant-{number}"), &in_days(30));
        grant["spec"]["revoked"] = json!({ "reason": "done" });
        tenant.grants(&grant).await;
        tenant.closed(&format!("grant-{number}"), "Revoked").await;
    }
    stage.at_rest().await;
    let closed = audit.mutating(user.name(), marker).await.unwrap();
    println!(
        "{grants} grants closed one by one:\n{}",
        Counts::of(&closed)
    );
    // A status before and after, a timer, a policy, an event; and the posture with its status, which changes with each.
    assert!(
        opened.len() <= grants * 7,
        "{} calls to open {grants} grants",
        opened.len()
    );
    assert!(
        closed.len() <= grants * 6,
        "{} calls to close {grants} grants",
        closed.len()
    );

    let minutes_five = std::env::var_os("COVENANT_LONG").is_some();
    let rest = if minutes_five {
        Duration::from_secs(300)
    } else {
        Duration::from_secs(20)
    };
    let (marker, revision) = (
        audit.marker().await.unwrap(),
        stage.cluster.etcd().unwrap().revision().await.unwrap(),
    );
    tokio::time::sleep(rest).await;
    let events = audit.since(marker).await.unwrap();
    let ours: Vec<_> = events
        .into_iter()
        .filter(|event| event.user() == user.name())
        .collect();
    println!("at rest for {} s:\n{}", rest.as_secs(), Counts::of(&ours));
    assert!(
        ours.iter().all(|event| event.verb == "watch"),
        "{}",
        Counts::of(&ours)
    );
    let history = stage
        .cluster
        .etcd()
        .unwrap()
        .history_since(revision)
        .await
        .unwrap();
    assert!(
        !history
            .iter()
            .any(|event| event.key.contains("privacy.cloudnexus.io")
                || event.key.contains("networkpolicies"))
    );
}
