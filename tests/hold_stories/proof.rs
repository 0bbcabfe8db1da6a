//! When a hold may be said to be enforced, and when not.

use serde_json::json;

use crate::case::{ALL, hold};
use crate::stage::shared;

#[tokio::test(flavor = "multi_thread")]
async fn enforced_is_true_once_the_api_server_refused_a_canary_in_the_holds_name() {
    let stage = shared().await;
    let tenant = stage.tenant("proof-true").await;
    stage.holds(&hold(&tenant.name, "case-1", &ALL)).await;
    let proven = stage.proven(&tenant.name, "case-1").await;
    let uid = proven["metadata"]["uid"].as_str().unwrap();
    assert_eq!(proven["metadata"]["deletionTimestamp"], json!(null));
    tenant
        .events(
            uid,
            &["HoldEnforced", "ProcessingSuspended", "SharingSuspended"],
        )
        .await;
}
