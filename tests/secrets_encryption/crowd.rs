//! Somebody else writes Secrets all the time, and the answer is right all the same; and at rest nobody is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use testbed::audit::Counts;
use testbed::encryption::Provider;
use testbed::raw::{Call, JSON};
use testbed::{ClusterOptions, eventually};

use crate::scene::{ask, encrypted, in_etcd, says};
use crate::stage::{PATIENCE, Stage, in_days};

/// Writes Secrets and ConfigMaps as fast as it can, until it is told to stop.
fn crowd(stage: &Stage) -> (Arc<AtomicBool>, Arc<AtomicU64>) {
    let (stop, written) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    for writer in 0..4 {
        let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
        let caller = stage.cluster.admin().caller().unwrap();
        tokio::spawn(async move {
            let mut number = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                for (kind, plural) in [("Secret", "secrets"), ("ConfigMap", "configmaps")] {
                    let body = json!({
                        "apiVersion": "v1", "kind": kind,
                        "metadata": { "name": format!("crowd-{writer}-{number}") },
                    });
                    let path = format!("/api/v1/namespaces/default/{plural}");
                    let answer = caller.send(&Call::new("POST", path).with(JSON, body)).await;
                    if answer.is_ok_and(|answer| answer.is_success()) && kind == "Secret" {
                        written.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
    }
    (stop, written)
}

async fn in_a_crowd(providers: &[Provider], state: &str, reason: &str, stored: &str) {
    let stage = Stage::with(ClusterOptions::new().encrypting(providers)).await;
    let (stop, written) = crowd(&stage);
    eventually("the crowd writes", PATIENCE, || async {
        (written.load(Ordering::Relaxed) > 50).then_some(())
    })
    .await
    .unwrap();
    let before = written.load(Ordering::Relaxed);
    ask(&stage).await;
    says(&stage.cluster, state, reason).await;
    let others = written.load(Ordering::Relaxed) - before;
    stop.store(true, Ordering::Relaxed);
    println!("{others} Secrets of others meanwhile");
    assert!(others > 0);
    assert_eq!(in_etcd(&stage.cluster).await, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_that_write_secrets_all_the_time_do_not_make_plain_text_look_encrypted() {
    let [cbc, identity] = encrypted();
    in_a_crowd(&[identity, cbc], "NotEncrypted", "StoredPlain", "plain").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_do_they_make_ciphertext_look_plain() {
    in_a_crowd(
        &encrypted(),
        "Unknown",
        "KeySizeNotVisible",
        "k8s:enc:aescbc",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_is_three_canaries_and_at_rest_nobody_is_asked() {
    let stage = Stage::with(ClusterOptions::new().encrypting(&encrypted())).await;
    let tenant = stage.tenant("counted").await;
    let user = stage.cluster.operator_identity().await.unwrap();
    let audit = stage.cluster.audit().unwrap();
    stage.at_rest().await;
    let marker = audit.marker().await.unwrap();
    ask(&stage).await;
    let told = says(&stage.cluster, "Unknown", "KeySizeNotVisible").await;
    // What changes in a namespace, or in the baseline, is no reason to try again.
    tenant.grants(&tenant.grant("one", &in_days(30))).await;
    tenant.open("one").await;
    let mut other = crate::scene::asking();
    other["spec"]["grants"]["maximumDuration"] = json!("P80D");
    let applied = stage.engineer.apply(&other.to_string()).await;
    applied.unwrap().success().unwrap();
    stage.at_rest().await;
    let events = audit.since(marker).await.unwrap();
    let ours = events
        .into_iter()
        .filter(|event| event.user() == user.name());
    let ours: Vec<_> = ours.collect();
    let of = |wanted: &str| {
        let uris = ours.iter().filter(|event| event.uri.contains(wanted));
        uris.count()
    };
    println!("{}", Counts::of(&ours));
    // A slow machine may renew a Lease out of step, for which it is tried once more.
    let trials = of("/secrets/") / 3;
    assert!(matches!(trials, 1..=3), "{}", Counts::of(&ours));
    assert_eq!(of("/secrets/"), 3 * trials, "{}", Counts::of(&ours));
    assert_eq!(of("/metrics"), 4 * trials, "{}", Counts::of(&ours));

    eventually("it rests", PATIENCE, || async {
        let marker = audit.marker().await?;
        tokio::time::sleep(Duration::from_secs(20)).await;
        let events = audit.since(marker).await?;
        let ours = events
            .into_iter()
            .filter(|event| event.user() == user.name());
        let ours: Vec<_> = ours.collect();
        anyhow::ensure!(
            ours.iter().all(|event| event.verb == "watch"),
            "{}",
            Counts::of(&ours)
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let again = says(&stage.cluster, "Unknown", "KeySizeNotVisible").await;
    assert_eq!(again, told);
}
