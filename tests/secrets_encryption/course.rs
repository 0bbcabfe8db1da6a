//! An API server that is started again and again, each time with another EncryptionConfiguration, under one operator.

use testbed::ClusterOptions;
use testbed::encryption::Provider;

use crate::scene::{ask, in_etcd, says};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn each_start_of_an_api_server_is_tried_and_etcd_agrees() {
    let stage = Stage::new().await;
    let cluster = &stage.cluster;
    ask(&stage).await;
    let plain = says(cluster, "NotEncrypted", "NoEncryptionConfiguration").await;
    assert_eq!(in_etcd(cluster).await, "plain");
    assert!(
        plain["evidence"]
            .as_str()
            .unwrap()
            .contains("stored a canary as plain text"),
        "{plain}"
    );

    use Provider::{AesCbc, AesGcm, Identity, SecretBox};
    let course: [(&[Provider], _, _, _); 4] = [
        (
            &[AesCbc, Identity],
            "Unknown",
            "KeySizeNotVisible",
            "k8s:enc:aescbc",
        ),
        (&[Identity, AesCbc], "NotEncrypted", "StoredPlain", "plain"),
        (
            &[AesGcm, Identity],
            "Unknown",
            "KeySizeNotVisible",
            "k8s:enc:aesgcm",
        ),
        // The canary under the key of before cannot even be read any more.
        (
            &[SecretBox, Identity],
            "NotEncrypted",
            "NotAes256",
            "k8s:enc:secretbox",
        ),
    ];
    for (providers, state, reason, stored) in course {
        cluster.store_secrets(providers).unwrap();
        cluster.restart_api_server().await.unwrap();
        let told = says(cluster, state, reason).await;
        println!("{told}");
        assert_eq!(in_etcd(cluster).await, stored, "{told}");
    }
    assert!(stage.operator.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_evidence_names_the_configuration_that_a_server_has_loaded() {
    let options = ClusterOptions::new().encrypting(&[Provider::AesCbc, Provider::Identity]);
    let stage = Stage::with(options).await;
    ask(&stage).await;
    let told = says(&stage.cluster, "Unknown", "KeySizeNotVisible").await;
    let evidence = told["evidence"].as_str().unwrap();
    println!("{evidence}");
    assert!(evidence.contains("by aescbc"), "{evidence}");
    assert!(evidence.contains("`secrets: Attested`"), "{evidence}");
}
