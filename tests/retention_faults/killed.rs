//! Killed at any moment, and started again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use testbed::disk::{Disk, DiskRule};
use testbed::effort::is_exhaustive;
use testbed::eventually;
use testbed::operator::{Operator, OperatorOptions};
use testbed::proxy::{Fault, Moment, Proxy, Rule};

use crate::case::{applied, entries, policy, stage, thing};
use crate::stage::{COVENANT, PATIENCE, Stage};

const NAMESPACE: &str = "killed";
/// Objects of one round.
const OBJECTS: usize = 3;

/// Moments in the normal run, spread over all that there are; all of them with COVENANT_EXHAUSTIVE.
const MOMENTS: u64 = 4;

struct Lab {
    stage: Stage,
    round: usize,
}

impl Lab {
    async fn new() -> Self {
        let stage = stage(50).await;
        stage.operator.stop().await.unwrap();
        stage.enrol(NAMESPACE, "acme").await;
        let keep = json!({ "atMost": "PT1S" });
        let meant = policy(NAMESPACE, "logs", "log", keep, "Dispose");
        applied(stage.cluster.admin(), &meant).await;
        Self { stage, round: 0 }
    }

    /// New objects, all due by now.
    async fn things(&mut self) -> BTreeSet<String> {
        self.round += 1;
        let mut uids = BTreeSet::new();
        for number in 0..OBJECTS {
            let name = format!("log-{}-{number}", self.round);
            applied(self.stage.cluster.admin(), &thing(NAMESPACE, &name, "log")).await;
            let stored = self.stage.get(&["cm", &name, "-n", NAMESPACE]).await;
            uids.insert(stored["metadata"]["uid"].as_str().unwrap().to_owned());
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        uids
    }

    /// Waits until the operator is gone, or nothing is left to dispose of and everything is recorded.
    async fn until_killed_or_done(&self, operator: &Operator, uids: &BTreeSet<String>) -> bool {
        eventually("it is killed, or done", PATIENCE, || async {
            if !operator.is_running() {
                return anyhow::Ok(true);
            }
            let left = self.stage.things(NAMESPACE, "log").await;
            anyhow::ensure!(left.is_empty(), "{left:?}");
            unsettled(&entries(operator.ledger()), uids)?;
            Ok(false)
        })
        .await
        .unwrap()
    }

    /// After a fresh operator has had its time: all gone, each with intent and outcome, and the ledger verifies.
    async fn settles(&mut self, uids: &BTreeSet<String>) {
        self.stage.operator = self.stage.cluster.start_operator(COVENANT).await.unwrap();
        eventually("everything is gone and settled", PATIENCE, || async {
            let left = self.stage.things(NAMESPACE, "log").await;
            anyhow::ensure!(left.is_empty(), "{left:?}");
            unsettled(&entries(self.stage.operator.ledger()), uids)?;
            let stored = self
                .stage
                .get(&["retentionpolicy", "logs", "-n", NAMESPACE])
                .await;
            let total = &stored["status"]["disposed"]["total"];
            anyhow::ensure!(
                *total == json!(self.round * OBJECTS),
                "counted once each: {total}"
            );
            Ok(())
        })
        .await
        .unwrap();
        self.stage.operator.stop().await.unwrap();
        self.stage.ledger_verifies();
        self.no_delete_without_an_intent(uids).await;
    }

    /// Every delete that went through, by the API server's own record, has an intent in the ledger.
    async fn no_delete_without_an_intent(&self, uids: &BTreeSet<String>) {
        let user = self.stage.cluster.operator_identity().await.unwrap();
        let audit = self.stage.cluster.audit().unwrap().all().await.unwrap();
        let deletes = audit
            .iter()
            .filter(|event| event.verb == "delete" && event.resource() == "configmaps")
            .filter(|event| event.user() == user.name() && event.code() == 200)
            .count();
        // One whose caller was killed meanwhile may be without a code.
        assert!(deletes <= self.round * OBJECTS, "none twice: {deletes}");
        let intents = by_uid(&entries(self.stage.operator.ledger()), "intent");
        for uid in uids {
            assert!(intents.contains_key(uid), "{uid} went without an intent");
        }
    }
}

/// Entries of a phase by uid of their object.
fn by_uid(entries: &[Value], phase: &str) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry["phase"] == phase) {
        let subject = entry["subject"].as_str().unwrap();
        let uid = subject.rsplit('/').next().unwrap().to_owned();
        found.entry(uid).or_default().push(entry.clone());
    }
    found
}

/// Every intent about these objects has a settled outcome, and each object exactly one that says it was deleted.
fn unsettled(entries: &[Value], uids: &BTreeSet<String>) -> anyhow::Result<()> {
    let intents = by_uid(entries, "intent");
    let outcomes = by_uid(entries, "outcome");
    for uid in uids {
        let intents = intents.get(uid).cloned().unwrap_or_default();
        let outcomes = outcomes.get(uid).cloned().unwrap_or_default();
        anyhow::ensure!(!intents.is_empty(), "{uid} has no intent");
        for intent in &intents {
            let settled = outcomes
                .iter()
                .any(|outcome| outcome["intent"] == intent["id"] && outcome["settled"] == true);
            anyhow::ensure!(settled, "{intent} has no outcome: {outcomes:?}");
        }
        let gone = outcomes.iter().filter(|outcome| {
            let result = outcome["data"]["detail"]["result"].as_str();
            result.is_some_and(|result| result.starts_with("deleted"))
        });
        anyhow::ensure!(gone.count() == 1, "{uid} went once: {outcomes:?}");
    }
    Ok(())
}

fn spread(all: u64) -> Vec<u64> {
    let step = if is_exhaustive() {
        1
    } else {
        (all / MOMENTS).max(1)
    };
    (1..=all).step_by(usize::try_from(step).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_of_the_ledger_nothing_goes_unrecorded() {
    let mut lab = Lab::new().await;
    let folder = lab.stage.cluster.folder().to_owned();
    let ledger = lab.stage.operator.ledger().to_owned();
    let disk = Disk::new(&folder, &ledger).unwrap();
    let options = OperatorOptions {
        environment: disk.environment(),
        ..OperatorOptions::default()
    };
    let identity = lab.stage.cluster.operator_identity().await.unwrap();
    let start = |lab: &Lab| {
        Operator::start(
            &lab.stage.cluster,
            COVENANT.as_ref(),
            identity.kubeconfig(),
            options.clone(),
        )
        .unwrap()
    };
    let uids = lab.things().await;
    let operator = start(&lab);
    assert!(!lab.until_killed_or_done(&operator, &uids).await);
    let steps = disk.steps();
    operator.stop().await.unwrap();
    assert!(steps > 20, "the disk sees the ledger: {steps} steps");

    let mut killed = 0;
    for (number, step) in spread(steps).into_iter().enumerate() {
        let both = [DiskRule::KillBefore(step), DiskRule::KillAfter(step)];
        let rules = if is_exhaustive() {
            &both[..]
        } else {
            &both[number % 2..=number % 2]
        };
        for &rule in rules {
            let uids = lab.things().await;
            disk.set(rule).unwrap();
            let operator = start(&lab);
            killed += usize::from(lab.until_killed_or_done(&operator, &uids).await);
            operator.kill();
            disk.set(DiskRule::Works).unwrap();
            lab.settles(&uids).await;
        }
    }
    assert!(killed >= 2, "the process was killed {killed} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_to_the_api_server_nothing_goes_unrecorded() {
    let mut lab = Lab::new().await;
    let mut write = 1;
    loop {
        let mut reached = false;
        let all = [
            Moment::BeforeForwarding,
            Moment::BeforeAnswering,
            Moment::AfterAnswering,
        ];
        let moments = if is_exhaustive() {
            &all[..]
        } else {
            &all[write % 3..=write % 3]
        };
        for &moment in moments {
            let uids = lab.things().await;
            let proxy = Proxy::start(&lab.stage.cluster).await.unwrap();
            let operator = lab
                .stage
                .cluster
                .start_operator_behind(COVENANT, &proxy)
                .await
                .unwrap();
            proxy.add(Rule::at_write(
                write,
                Fault::kill(moment, operator.killer()),
            ));
            // The switch may fall while the last of what was to be done is already seen.
            reached |=
                lab.until_killed_or_done(&operator, &uids).await || proxy.write_count() >= write;
            operator.kill();
            lab.settles(&uids).await;
        }
        if !reached {
            break;
        }
        write += 1;
    }
    assert!(write > OBJECTS, "each delete is a write: {write}");
}
