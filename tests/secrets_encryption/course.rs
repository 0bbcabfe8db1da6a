//! An API server that is started again and again, each time with another EncryptionConfiguration, under one operator.

use testbed::encryption::{Key, KmsPlugin, Provider};
use testbed::{ClusterOptions, eventually};

use crate::scene::{ask, encrypted, in_etcd, says, start_again};
use crate::stage::{PATIENCE, Stage};

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
        start_again(cluster).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn kms_v2_is_verified_with_its_key_and_another_key_is_another_answer() {
    let stage = Stage::new().await;
    let cluster = &stage.cluster;
    ask(&stage).await;
    says(cluster, "NotEncrypted", "NoEncryptionConfiguration").await;
    let first = KmsPlugin::start(cluster.folder(), "vault").await.unwrap();
    let second = KmsPlugin::start(cluster.folder(), "vault-2").await.unwrap();
    let identity = Provider::Identity;
    cluster
        .store_secrets(&[first.provider(), identity.clone()])
        .unwrap();
    start_again(cluster).await;
    let told = says(cluster, "Verified", "KmsV2").await;
    println!("{told}");
    assert_eq!(in_etcd(cluster).await, "k8s:enc:kms");
    let evidence = told["evidence"].as_str().unwrap();
    assert!(
        evidence.contains("kms v2 provider vault (AES-GCM"),
        "{evidence}"
    );
    assert!(evidence.contains(", key sha256:"), "{evidence}");
    assert!(
        evidence.ends_with("Of Secrets that were written earlier nothing is claimed"),
        "{evidence}"
    );

    cluster
        .store_secrets(&[second.provider(), first.provider(), identity])
        .unwrap();
    start_again(cluster).await;
    let other = eventually("the other key is told", PATIENCE, || async {
        let told = says(cluster, "Verified", "KmsV2").await;
        let evidence = told["evidence"].as_str().unwrap_or_default();
        anyhow::ensure!(evidence.contains("provider vault-2 "), "{evidence}");
        Ok(told.clone())
    })
    .await
    .unwrap();
    assert_ne!(other["since"], told["since"]);
}
