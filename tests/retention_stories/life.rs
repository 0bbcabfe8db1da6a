//! From the preview to the receipt.

use serde_json::json;

use crate::case::{applied, policy, stage, thing};

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_what_would_go_and_deletes_nothing_and_a_disposal_leaves_a_receipt() {
    let stage = stage(50).await;
    let acme = stage.tenant("acme-prod").await;
    let shown = policy(
        &acme.name,
        "logs",
        "log",
        json!({ "atMost": "PT1S" }),
        "Preview",
    );
    applied(&acme.admin, &shown).await;
    for name in ["a", "b"] {
        applied(&acme.admin, &thing(&acme.name, name, "log")).await;
    }
    applied(&acme.admin, &thing(&acme.name, "other", "web")).await;

    let policy_shown = stage
        .policy_is(&acme.name, "logs", "two would go", |policy| {
            policy["status"]["due"]["now"] == 2
        })
        .await;
    assert_eq!(policy_shown["status"]["matched"], 2);
    assert_eq!(stage.things(&acme.name, "log").await, ["a", "b"]);
    let uid = stage.get(&["cm", "a", "-n", &acme.name]).await["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();

    let meant = policy(
        &acme.name,
        "logs",
        "log",
        json!({ "atMost": "PT1S" }),
        "Dispose",
    );
    applied(&acme.admin, &meant).await;
    stage.things_are(&acme.name, "log", &[]).await;
    assert_eq!(stage.things(&acme.name, "web").await, ["other"]);

    let receipts = stage.receipts(&uid).await;
    let phases: Vec<&str> = receipts
        .iter()
        .map(|entry| entry["phase"].as_str().unwrap())
        .collect();
    assert_eq!(phases, ["intent", "outcome"]);
    let intent = &receipts[0];
    assert_eq!(intent["tenant"], "acme");
    assert_eq!(intent["data"]["cause"]["name"], "logs");
    assert_eq!(intent["data"]["policy"]["version"], "2025-02-10");
    assert_eq!(
        intent["data"]["detail"]["sha256"].as_str().unwrap().len(),
        64
    );
    assert_eq!(receipts[1]["data"]["detail"]["result"], "deleted");
    let whole = receipts.iter().map(ToString::to_string).collect::<String>();
    assert!(
        !whole.contains("what a holds"),
        "a receipt holds no content"
    );
    stage
        .policy_is(&acme.name, "logs", "the status counts them", |policy| {
            policy["status"]["disposed"]["total"] == 2
        })
        .await;
    stage.ledger_verifies();
}
