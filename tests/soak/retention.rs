//! Holds that come at any moment of a disposal, without end: from the moment at which a hold is proven not one object goes,
//! none ever goes without an intent in the ledger, and every intent has its outcome. A handful of rounds here; `make soak`
//! makes ten thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::audit::{AuditLog, Marker};
use testbed::eventually;
use testbed::proxy::{Fault, Rule, Seen};
use testbed::raw::{Call, Caller, JSON, MERGE};

use crate::case::{applied, entries, may_dispose, policy, thing};
use crate::stage::{PATIENCE, Stage, baseline, condition, namespace};

/// Namespaces in which rounds go on at once.
const LANES: usize = 24;
/// Objects of a round.
const OBJECTS: usize = 16;
/// Their deletes reach the API server so long after each other, so that many a hold comes between two of them.
const APART: Duration = Duration::from_millis(60);
const HOLDS: &str = "/apis/privacy.cloudnexus.io/v1alpha1/namespaces";

fn rounds() -> usize {
    let asked = std::env::var("COVENANT_SOAK_RETENTION").ok();
    asked.map_or(8, |number| {
        number
            .parse()
            .expect("COVENANT_SOAK_RETENTION is a number of rounds")
    })
}

/// One namespace with its rounds, one after the other.
struct Lane {
    name: String,
    admin: Caller,
    officer: Caller,
    /// From when to when a hold was proven and not released.
    held: Vec<(Timestamp, Timestamp)>,
    /// What was made, by name.
    made: BTreeMap<String, String>,
    /// Rounds in which the hold found some objects gone and some not.
    midway: usize,
}

/// A deletion that the API server let through.
struct Deletion {
    namespace: String,
    name: String,
    by: String,
    received: Timestamp,
}

impl Lane {
    fn objects(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.name)
    }

    async fn left(&self) -> BTreeSet<String> {
        let list = Call::new("GET", format!("{}?labelSelector=app%3Dlog", self.objects()));
        let list = self.admin.send(&list).await.unwrap().body;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let name = |item: Value| item["metadata"]["name"].as_str().unwrap().to_owned();
        items.into_iter().map(name).collect()
    }

    async fn hold_says(&self, kind: &str) {
        let get = Call::new(
            "GET",
            format!("{HOLDS}/{}/processingholds/case-1", self.name),
        );
        eventually(&format!("{kind} in {}", self.name), PATIENCE, || async {
            let hold = self.admin.send(&get).await?.body;
            anyhow::ensure!(condition(&hold, kind).0 == "True", "{hold}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }

    async fn round(&mut self, round: usize) {
        let making = (0..OBJECTS).map(|number| {
            let object = thing(&self.name, &format!("r{round}-{number}"), "log");
            let call = Call::new("POST", self.objects()).with(JSON, object);
            let admin = self.admin.clone();
            async move { admin.send(&call).await.unwrap() }
        });
        for stored in join_all(making).await {
            assert!(stored.is_success(), "{stored:?}");
            let text = |field: &str| stored.body["metadata"][field].as_str().unwrap().to_owned();
            self.made.insert(text("name"), text("uid"));
        }
        // The first go one to two seconds after they were made, and the last a second later.
        let moment = u64::try_from(700 + round * 7_919 % 2_200).unwrap();
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let hold = json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold",
            "metadata": { "name": "case-1", "namespace": self.name },
            "spec": { "matter": "CASE-1", "ground": "LegalProceeding", "reason": "letter", "effects": ["PreventDeletion"] }
        });
        let place = format!("{HOLDS}/{}/processingholds", self.name);
        let stored = self
            .officer
            .send(&Call::new("POST", &*place).with(JSON, hold))
            .await
            .unwrap();
        assert!(stored.is_success(), "{stored:?}");
        self.hold_says("Enforced").await;
        let enforced = Timestamp::now();
        let left = self.left().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(
            self.left().await,
            left,
            "something went under a hold that was proven"
        );
        self.midway += usize::from(!left.is_empty() && left.len() < OBJECTS);
        self.held.push((enforced, Timestamp::now()));
        let decision =
            json!([{ "type": "Released", "by": self.officer.name(), "reason": "settled" }]);
        let status = json!({ "status": { "decisions": decision } });
        let release = Call::new("PATCH", format!("{place}/case-1/status")).with(MERGE, status);
        let released = self.officer.send(&release).await.unwrap();
        assert!(released.is_success(), "{released:?}");
        self.hold_says("Restored").await;
        eventually("the rest of it goes", PATIENCE, || async {
            let left = self.left().await;
            anyhow::ensure!(left.is_empty(), "{left:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
        let delete = Call::new("DELETE", format!("{place}/case-1"));
        eventually("the record may go", PATIENCE, || async {
            let answer = self.officer.send(&delete).await?;
            anyhow::ensure!(answer.is_success() || answer.code == 404, "{answer:?}");
            let gone = self
                .officer
                .send(&Call::new("GET", delete.path.clone()))
                .await?;
            anyhow::ensure!(gone.code == 404, "it is still there");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}

/// Every deletion of a ConfigMap from now on, until told to stop.
async fn deletions(audit: AuditLog, stop: Arc<AtomicBool>) -> Vec<Deletion> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut marker = Marker::default();
    loop {
        let last = stop.load(Ordering::Relaxed);
        let next = audit.marker().await.unwrap();
        for event in audit.since(marker).await.unwrap() {
            let went = event.verb.starts_with("delete")
                && event.resource() == "configmaps"
                && event.code() < 300
                && !event.is_dry_run();
            if went && seen.insert(event.audit_id.clone()) {
                found.push(Deletion {
                    namespace: event.namespace().to_owned(),
                    name: event.object_name().to_owned(),
                    by: event.user().to_owned(),
                    received: event.request_received_timestamp.parse().unwrap(),
                });
            }
        }
        if last {
            return found;
        }
        marker = next;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Deletes of this number in a round come later than those before it.
fn later(number: usize) -> Rule {
    let end = format!("-{number}");
    let is = move |seen: &Seen| seen.method == "DELETE" && seen.path.ends_with(&end);
    Rule::new(Fault::Delay(APART * u32::try_from(number).unwrap()), is)
}

async fn lane(stage: &Stage, number: usize) -> Lane {
    let name = format!("soak-{number}");
    let labels =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/baseline": "wide" });
    applied(&stage.engineer, &namespace(&name, &labels)).await;
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &stage.engineer,
        &policy(&name, "logs", "log", keep, "Dispose"),
    )
    .await;
    Lane {
        name,
        admin: stage.cluster.admin().caller().unwrap(),
        officer: stage.officer.caller().unwrap(),
        held: Vec::new(),
        made: BTreeMap::new(),
        midway: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_a_hold_comes_nothing_goes_once_it_is_proven_and_every_intent_has_its_outcome() {
    let stage = Stage::new().await;
    may_dispose(&stage).await;
    let mut bounds = baseline("wide", "P90D");
    bounds["spec"]["retention"] =
        json!({ "maximumPerRun": 1_000_000, "maximumPerDay": 10_000_000, "grace": "PT0S" });
    applied(&stage.engineer, &bounds).await;
    let (proxy, _operator) = stage.behind_proxy().await;
    proxy.remember_at_most(100);
    for number in 0..OBJECTS {
        proxy.add(later(number));
    }
    let operator = stage.cluster.operator_identity().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn(deletions(stage.cluster.audit().unwrap(), Arc::clone(&stop)));
    let (rounds, begun) = (rounds(), Arc::new(AtomicUsize::new(0)));
    let mut lanes = Vec::new();
    for number in 0..LANES.min(rounds) {
        lanes.push(lane(&stage, number).await);
    }
    let running = lanes.into_iter().map(|mut lane| {
        let begun = Arc::clone(&begun);
        tokio::spawn(async move {
            loop {
                let round = begun.fetch_add(1, Ordering::Relaxed);
                if round >= rounds {
                    return lane;
                }
                lane.round(round).await;
                if (round + 1).is_multiple_of(100) {
                    println!("{} of {rounds} rounds", round + 1);
                }
            }
        })
    });
    let mut lanes = Vec::new();
    for lane in join_all(running).await {
        lanes.push(lane.unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    let went = reading.await.unwrap();

    let mut uids = BTreeSet::new();
    for lane in &lanes {
        let went: Vec<&Deletion> = went
            .iter()
            .filter(|one| one.namespace == lane.name)
            .collect();
        for one in &went {
            assert_eq!(one.by, operator.name(), "{} of {}", one.name, lane.name);
            let held = lane
                .held
                .iter()
                .find(|(from, to)| (*from..*to).contains(&one.received));
            assert!(
                held.is_none(),
                "{} went at {} under {held:?}",
                one.name,
                one.received
            );
        }
        let names: BTreeSet<&String> = went.iter().map(|one| &one.name).collect();
        assert_eq!(names.len(), went.len(), "nothing goes twice");
        assert_eq!(
            names,
            lane.made.keys().collect(),
            "all of it went, and is in the audit log"
        );
        uids.extend(lane.made.values().cloned());
    }
    let (intents, deleted) = eventually("every intent has its outcome", PATIENCE, || async {
        let told = entries(stage.operator.ledger());
        let uid = |entry: &Value| {
            let uid = entry["subject"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap();
            uids.contains(uid).then(|| uid.to_owned())
        };
        let mut open = BTreeMap::new();
        let (mut intents, mut deleted) = (0, Vec::new());
        for entry in &told {
            let Some(uid) = uid(entry) else { continue };
            if entry["phase"] == "intent" {
                intents += 1;
                open.insert(entry["id"].to_string(), uid);
            } else {
                open.remove(&entry["intent"].to_string());
                if entry["data"]["detail"]["result"] == "deleted" {
                    deleted.push(uid);
                }
            }
        }
        anyhow::ensure!(open.is_empty() && deleted.len() >= uids.len(), "{open:?}");
        anyhow::Ok((intents, deleted))
    })
    .await
    .unwrap();
    assert_eq!(deleted.len(), uids.len(), "no object has two receipts");
    assert_eq!(deleted.into_iter().collect::<BTreeSet<_>>(), uids);
    stage.ledger_verifies();
    let midway: usize = lanes.iter().map(|lane| lane.midway).sum();
    println!(
        "{rounds} holds over {} objects, {midway} of them in the midst of a disposal; {intents} intents, each with its outcome",
        uids.len()
    );
}
