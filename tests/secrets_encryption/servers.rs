//! Several API servers on one etcd: the weakest answer counts, and names its server.

use serde_json::json;
use testbed::names::CANARY_SECRETS;
use testbed::operator::{Operator, OperatorOptions};
use testbed::{Cluster, ClusterOptions, Identity};

use crate::scene::{asking, encrypted, says, start_again, stored};
use crate::stage::COVENANT;

fn address(identity: &Identity) -> String {
    let url = &identity.config().cluster_url;
    url.authority().unwrap().to_string()
}

async fn operator_at(cluster: &Cluster, servers: &[String]) -> Operator {
    let identity = cluster.operator_identity().await.unwrap();
    let arguments = servers
        .iter()
        .flat_map(|server| ["--api-server".to_owned(), server.clone()]);
    let options = OperatorOptions {
        arguments: arguments.collect(),
        ..OperatorOptions::default()
    };
    let kubeconfig = identity.kubeconfig();
    let operator = Operator::start(cluster, COVENANT.as_ref(), kubeconfig, options).unwrap();
    operator.wait_ready().await.unwrap();
    operator
}

/// A cluster on which the baseline asks, and nobody tries.
async fn asked(options: ClusterOptions) -> Cluster {
    let cluster = Cluster::start(options).await.unwrap();
    cluster.install_chart().await.unwrap();
    let engineer = cluster.platform_engineer().await.unwrap();
    let labels = json!({ "privacy.cloudnexus.io/tenant": "acme" });
    let namespace = crate::stage::namespace("acme-shop", &labels);
    for object in [asking(), namespace] {
        let applied = engineer.apply(&object.to_string()).await;
        applied.unwrap().success().unwrap();
    }
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_that_stores_plain_text_is_named_among_those_that_encrypt() {
    let cluster = asked(ClusterOptions::new()).await;
    // Only the second one is started with it.
    cluster.store_secrets(&encrypted()).unwrap();
    let second = cluster.another_api_server().await.unwrap();
    let servers = [address(cluster.admin()), address(second.admin())];
    let _operator = operator_at(&cluster, &servers).await;
    let told = says(&cluster, "NotEncrypted", "NoEncryptionConfiguration").await;
    let evidence = told["evidence"].as_str().unwrap();
    let expected = format!(
        "{} (1 of 2 API servers) stored a canary as plain text",
        servers[0]
    );
    assert!(evidence.starts_with(&expected), "{evidence}");

    start_again(&cluster).await;
    let told = says(&cluster, "Unknown", "KeySizeNotVisible").await;
    let evidence = told["evidence"].as_str().unwrap();
    assert!(evidence.contains("(2 of 2 API servers)"), "{evidence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_read_the_canary_of_another_is_tried_with_one_of_its_own() {
    let cluster = asked(ClusterOptions::new().encrypting(&encrypted())).await;
    cluster.store_secrets(&encrypted()).unwrap();
    let second = cluster.another_api_server().await.unwrap();
    let servers = [address(cluster.admin()), address(second.admin())];
    let _operator = operator_at(&cluster, &servers).await;
    let told = says(&cluster, "Unknown", "KeySizeNotVisible").await;
    let evidence = told["evidence"].as_str().unwrap();
    // Two configurations, which only a newer server tells of.
    let apart = evidence.matches("(1 of 2 API servers)").count() == 2;
    let together = evidence.contains("(2 of 2 API servers)");
    assert!(apart || together, "{evidence}");
    for name in &CANARY_SECRETS[..2] {
        assert_eq!(stored(&cluster, &[name]).await, "k8s:enc:aescbc", "{name}");
    }
}
