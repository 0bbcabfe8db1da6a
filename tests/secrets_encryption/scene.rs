//! What these stories share: a baseline that asks, what it is told, and what lies in etcd.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::encryption::{Key, Provider};
use testbed::names::CANARY_SECRETS;
use testbed::{Cluster, eventually};

use crate::stage::{PATIENCE, Stage};

/// The default baseline, asking that Secrets be verified.
pub fn asking() -> Value {
    let mut baseline = crate::stage::baseline("default", "P90D");
    baseline["spec"]["encryption"] =
        json!({ "atRest": { "storageClasses": [], "secrets": "Verify" } });
    baseline
}

/// Providers of which the first encrypts, with a key of its own.
pub fn encrypted() -> [Provider; 2] {
    [Provider::AesCbc(Key::new().unwrap()), Provider::Identity]
}

/// Asks, and enrols a namespace.
pub async fn ask(stage: &Stage) {
    stage.enrol("acme-shop", "acme").await;
    let applied = stage.engineer.apply(&asking().to_string()).await;
    applied.unwrap().success().unwrap();
}

/// Has an API server away for so long that its Lease tells. One that is back sooner may renew it in step, on a Kubernetes that
/// keeps its holder, and is tried a day later.
pub async fn start_again(cluster: &Cluster) {
    cluster.kill_api_server().unwrap();
    tokio::time::sleep(Duration::from_secs(13)).await;
    cluster.start_api_server().await.unwrap();
}

/// Waits until the baseline's status says so of Secrets, and then the posture; returns what the status says.
pub async fn says(cluster: &Cluster, state: &str, reason: &str) -> Value {
    let what = format!("Secrets are {state} ({reason})");
    let secrets = eventually(&what, PATIENCE, || async {
        let baseline = cluster.admin().get(&["tenantbaseline", "default"]).await?;
        let secrets = baseline["status"]["secrets"].clone();
        anyhow::ensure!(
            secrets["state"] == state && secrets["reason"] == reason,
            "{}",
            baseline["status"]
        );
        Ok(secrets)
    })
    .await
    .unwrap();
    eventually("the posture says the same", PATIENCE, || async {
        let posture = ["posture", "current", "-n", "acme-shop"];
        let posture = cluster.admin().get(&posture).await?;
        let items = posture["spec"]["encryption"]["items"].as_array();
        let items = items.into_iter().flatten();
        let told: Vec<&Value> = items.filter(|item| item["item"] == "Secrets").collect();
        let same = |field: &str| told[0][field] == secrets[field];
        anyhow::ensure!(
            told.len() == 1
                && ["state", "reason", "evidence", "since"]
                    .into_iter()
                    .all(same),
            "{told:?} is not {secrets}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    secrets
}

/// How the newest canary lies in etcd: the prefix before a ciphertext, or `plain`.
pub async fn in_etcd(cluster: &Cluster) -> String {
    stored(cluster, &CANARY_SECRETS).await
}

/// How the newest of these canaries lies in etcd.
pub async fn stored(cluster: &Cluster, names: &[&str]) -> String {
    let written = cluster.etcd().unwrap().history().await.unwrap();
    let keys: Vec<String> = names
        .iter()
        .map(|name| format!("/registry/secrets/covenant-system/{name}"))
        .collect();
    let newest = written.iter().rev().find(|event| keys.contains(&event.key));
    let stored = newest.and_then(|event| event.object()).expect("a canary");
    match stored {
        Value::String(text) => {
            let parts: Vec<&str> = text.splitn(4, ':').collect();
            assert!(!text.contains("It is no secret"), "{text}");
            parts[..3].join(":")
        }
        object => {
            assert_eq!(object["kind"], "Secret", "{object}");
            assert!(object["data"]["canary"].is_string(), "{object}");
            "plain".to_owned()
        }
    }
}
