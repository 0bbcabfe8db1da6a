//! An API server that is started again and again, each time with another EncryptionConfiguration, under one operator.

use testbed::ClusterOptions;
use testbed::encryption::{Key, Provider};

use crate::scene::{ask, encrypted, in_etcd, says};
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

    let key = || Key::new().unwrap();
    let (cbc, gcm) = (Provider::AesCbc(key()), Provider::AesGcm(key()));
    let (secretbox, identity) = (Provider::SecretBox(key()), Provider::Identity);
    // What was stored earlier is read by all that follow, or the server would not be ready.
    let course = [
        (
            vec![&cbc, &identity],
            "Unknown",
            "KeySizeNotVisible",
            "k8s:enc:aescbc",
        ),
        (
            vec![&identity, &cbc],
            "NotEncrypted",
            "StoredPlain",
            "plain",
        ),
        (
            vec![&gcm, &identity, &cbc],
            "Unknown",
            "KeySizeNotVisible",
            "k8s:enc:aesgcm",
        ),
        (
            vec![&secretbox, &gcm, &identity],
            "NotEncrypted",
            "NotAes256",
            "k8s:enc:secretbox",
        ),
    ];
    for (providers, state, reason, stored) in course {
        let providers: Vec<Provider> = providers.into_iter().cloned().collect();
        cluster.store_secrets(&providers).unwrap();
        cluster.restart_api_server().await.unwrap();
        let told = says(cluster, state, reason).await;
        println!("{told}");
        assert_eq!(in_etcd(cluster).await, stored, "{told}");
    }
    assert!(stage.operator.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_evidence_names_the_configuration_that_a_server_has_loaded() {
    let options = ClusterOptions::new().encrypting(&encrypted());
    let stage = Stage::with(options).await;
    ask(&stage).await;
    let told = says(&stage.cluster, "Unknown", "KeySizeNotVisible").await;
    let evidence = told["evidence"].as_str().unwrap();
    println!("{evidence}");
    assert!(evidence.contains("by aescbc"), "{evidence}");
    assert!(evidence.contains("`secrets: Attested`"), "{evidence}");
}
