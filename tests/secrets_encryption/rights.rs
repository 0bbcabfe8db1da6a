//! What the operator may do, and what it says when it may not.

use serde_json::{Value, json};
use testbed::names::CANARY_SECRETS;

use crate::scene::{ask, says};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_writes_its_canaries_and_reads_no_secret() {
    let stage = crate::stage::shared().await;
    let user = stage.cluster.operator_identity().await.unwrap();
    let may = async |verb: &str, what: &str, namespace: &str| {
        let arguments = ["auth", "can-i", verb, what, "-n", namespace];
        let answer = user.kubectl(&arguments).await.unwrap();
        answer.stdout.trim() == "yes"
    };
    for name in CANARY_SECRETS {
        let canary = format!("secrets/{name}");
        assert!(may("patch", &canary, "covenant-system").await, "{name}");
        assert!(may("create", &canary, "covenant-system").await, "{name}");
        for verb in ["get", "delete", "update"] {
            assert!(!may(verb, &canary, "covenant-system").await, "{verb}");
        }
        assert!(!may("patch", &canary, "default").await, "{name}");
    }
    for verb in ["get", "list", "watch", "create", "patch", "delete"] {
        assert!(!may(verb, "secrets", "covenant-system").await, "{verb}");
        let other = "secrets/somebody-elses";
        assert!(!may(verb, other, "covenant-system").await, "{verb}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_named_and_its_return_is_noticed() {
    let stage = Stage::new().await;
    let cluster = &stage.cluster;
    let role = ["clusterrole", "covenant-operator"];
    let mut given = cluster.admin().get(&role).await.unwrap();
    let rules = given["rules"].as_array().unwrap().clone();
    let with = |given: &mut Value, rules: Vec<Value>| {
        given["metadata"]["managedFields"] = Value::Null;
        given["metadata"]["resourceVersion"] = Value::Null;
        given["rules"] = json!(rules);
    };
    let less = rules
        .iter()
        .filter(|rule| rule["nonResourceURLs"].is_null());
    with(&mut given, less.cloned().collect());
    replace(cluster, &given).await;
    ask(&stage).await;
    let told = says(cluster, "Unknown", "MetricsUnreadable").await;
    let evidence = told["evidence"].as_str().unwrap();
    assert!(
        evidence.contains("the right to get the non-resource URL /metrics"),
        "{evidence}"
    );
    with(&mut given, rules);
    replace(cluster, &given).await;
    says(cluster, "NotEncrypted", "NoEncryptionConfiguration").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_cannot_be_written_leaves_it_open() {
    let stage = Stage::new().await;
    let admin = stage.cluster.admin();
    let role = ["delete", "role", "covenant-canary", "-n", "covenant-system"];
    admin.kubectl(&role).await.unwrap().success().unwrap();
    ask(&stage).await;
    let told = says(&stage.cluster, "Unknown", "CanaryNotWritten").await;
    let evidence = told["evidence"].as_str().unwrap();
    assert!(
        evidence.contains("the right to create and patch its canary Secrets"),
        "{evidence}"
    );
}

async fn replace(cluster: &testbed::Cluster, role: &Value) {
    let patch = json!([{ "op": "replace", "path": "/rules", "value": role["rules"] }]).to_string();
    let arguments = [
        "patch",
        "clusterrole",
        "covenant-operator",
        "--type=json",
        "-p",
        &patch,
    ];
    let answer = cluster.admin().kubectl(&arguments).await;
    answer.unwrap().success().unwrap();
}
