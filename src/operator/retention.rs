//! The engine's hand in retention: which kinds are followed, which runs are under way, and which deletions are not complete.
//!
//! May not: decide what goes, or wait for a request.

mod backoff;
pub mod grounds;
mod late;
mod pending;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc::Sender;

use super::dispose::settle::{self, Found};
use super::dispose::{Disposed, Disposer, Halt};
use super::inventory::{Inventory, ItemTold};
use super::metrics::Metrics;
use super::scribe::{Past, Scribe};
use super::watch::Heard;
use super::witness::{self, Pace};
use super::writer::Report;
use crate::ledger::{Entry, OpenIntent, Phase};
use crate::model::{Dirty, LastRun, ResourceKind, RunResult, Unit, World};
use crate::plan::Run;
use crate::record::{self, Draft};
use late::Late;
use pending::Pending;

/// What could not be looked at, and a clock that is doubted, are looked at again after this long.
const AGAIN: Duration = Duration::from_secs(30);
/// What could not be looked at again and again, such as a kind that was uninstalled, after this long at the latest.
const AT_THE_LATEST: Duration = Duration::from_mins(15);

/// What the engine keeps for retention.
pub struct Retention {
    client: Client,
    inventory: Inventory,
    disposer: Disposer,
    scribe: Scribe,
    metrics: Metrics,
    reports: Sender<Report>,
    runs: BTreeMap<String, Halt>,
    pending: Pending,
    settlement: Settlement,
    /// How long until what could not be looked at is looked at again.
    patience: Duration,
    /// Whether the World was told what the ledger tells of earlier processes.
    knows_past: bool,
    /// What the statuses told of when this process began.
    last: BTreeMap<String, LastRun>,
    pace: Pace,
    comparing: bool,
    doubted: bool,
}

/// How far the intents of an earlier process are settled. Before that nothing is disposed of: an object could have two
/// receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settlement {
    Due,
    Asked,
    Done,
}

impl Retention {
    /// Nothing is followed and nothing runs.
    #[must_use]
    pub fn new(
        client: Client,
        scribe: Scribe,
        metrics: Metrics,
        reports: Sender<Report>,
        listener: Sender<Heard>,
    ) -> Self {
        Self {
            inventory: Inventory::new(client.clone(), listener),
            disposer: Disposer::new(client.clone(), scribe.clone()),
            client,
            scribe,
            metrics,
            reports,
            runs: BTreeMap::new(),
            pending: Pending::default(),
            settlement: Settlement::Due,
            patience: AGAIN,
            knows_past: false,
            last: BTreeMap::new(),
            pace: Pace::new(),
            comparing: false,
            doubted: false,
        }
    }

    /// Follows the kinds that are selected now, and no others.
    pub fn follow(&mut self, world: &mut World) -> Dirty {
        self.inventory.follow(world)
    }

    /// Takes in what a kind's stream says.
    pub fn take_item(&mut self, world: &mut World, kind: &ResourceKind, told: ItemTold) -> Dirty {
        let taken = self.inventory.told(world, kind, told);
        let mut dirty = taken.dirty;
        for uid in taken.gone {
            let outcome = self.pending.gone(&uid, !self.runs.is_empty(), world);
            self.note(outcome);
            dirty.0.extend(self.count(world).0);
        }
        dirty
    }

    /// Takes in that a volume is gone: the receipt of its claim is complete.
    pub fn take_volume_gone(&mut self, world: &mut World, name: &str) -> Dirty {
        let outcome = self.pending.volume_gone(name);
        if outcome.is_none() {
            return Dirty::default();
        }
        self.note(outcome);
        self.count(world)
    }

    fn note(&self, settled: Option<(Entry, &'static str)>) {
        if let Some((intent, what)) = settled {
            self.scribe
                .note(vec![self.scribe.outcome(&intent, true, what, "")]);
        }
    }

    /// Records what happened.
    pub fn record(&self, draft: Draft) {
        self.scribe
            .note(vec![self.scribe.entry(draft, Phase::Fact)]);
    }

    fn count(&self, world: &mut World) -> Dirty {
        world.learn_incomplete(self.pending.by_policy())
    }

    /// Sets a run going. False while nothing may be disposed of.
    pub fn begin(&mut self, run: Run) -> bool {
        if self.settlement != Settlement::Done || self.runs.contains_key(&run.namespace) {
            return false;
        }
        let halt = Halt::default();
        self.runs.insert(run.namespace.clone(), halt.clone());
        let kinds: BTreeSet<&ResourceKind> = run
            .candidates
            .iter()
            .map(|candidate| &candidate.kind)
            .collect();
        let resource =
            |kind: &ResourceKind| Some((kind.clone(), self.inventory.resource(kind)?.clone()));
        let resources = kinds.into_iter().filter_map(resource).collect();
        let (disposer, reports) = (self.disposer.clone(), self.reports.clone());
        tokio::spawn(async move {
            let disposed = disposer.dispose(&run, &resources, &halt).await;
            let report = Report::Disposed {
                namespace: run.namespace,
                disposed: Box::new(disposed),
            };
            // Nobody listens only when the engine has stopped.
            let _ = reports.send(report).await;
        });
        true
    }

    /// Runs that are under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.runs.len()
    }

    /// Whether a run is under way in a namespace.
    #[must_use]
    pub fn is_running(&self, namespace: &str) -> bool {
        self.runs.contains_key(namespace)
    }

    /// Stops the run of a namespace, or all, between two deletes: its grounds changed.
    pub fn halt(&self, namespace: Option<&str>) {
        for (name, halt) in &self.runs {
            if namespace.is_none_or(|namespace| namespace == name) {
                halt.halt();
            }
        }
    }

    /// Takes in what a run came to.
    pub fn take_run(&mut self, world: &mut World, namespace: &str, disposed: Disposed) -> Dirty {
        self.runs.remove(namespace);
        let Disposed {
            mut result,
            gone,
            pending,
            unknown,
            doubt,
        } = disposed;
        self.metrics.ran(&result);
        let mut dirty = Dirty::default();
        for (kind, key, uid) in gone {
            let removed = self.inventory.deleted(world, &kind, &key, &uid);
            dirty.0.extend(removed.0);
        }
        for intent in pending {
            let outcome = self.pending.add(intent, world);
            self.note(outcome);
        }
        if self.runs.is_empty() {
            self.pending.forget_gone();
        }
        dirty.0.extend(self.count(world).0);
        backoff::extend(world, &mut result);
        dirty.0.extend(world.learn_run(result).0);
        if let Some(doubt) = doubt {
            dirty.0.extend(self.take_clock(world, Some(doubt)).0);
        }
        self.look(unknown, Duration::ZERO);
        dirty
    }

    /// The ledger was opened: intents of an earlier process may be in it.
    pub fn unsettle(&mut self, world: &World, ready: bool) {
        if self.settlement == Settlement::Done {
            self.settlement = Settlement::Due;
        }
        if ready {
            self.settle(world);
        }
    }

    /// Has the intents of an earlier process looked at, and what it disposed of counted, once. Every policy was listed before.
    pub fn settle(&mut self, world: &World) {
        if self.settlement != Settlement::Due {
            return;
        }
        self.settlement = Settlement::Asked;
        let (client, scribe, reports) = (
            self.client.clone(),
            self.scribe.clone(),
            self.reports.clone(),
        );
        let last = (!self.knows_past).then(|| world.last_runs());
        if let Some(last) = &last {
            self.last.clone_from(last);
        }
        tokio::spawn(async move {
            let (found, earlier) = match scribe.past(last).await {
                Ok(Past { unsettled, runs }) => {
                    (Some(settle::look(&client, unsettled).await), Some(runs))
                }
                Err(error) => {
                    tracing::warn!(%error, "what the ledger tells of earlier runs cannot be read; it is tried again, and nothing is disposed of until then");
                    tokio::time::sleep(AGAIN).await;
                    (None, None)
                }
            };
            // Nobody listens only when the engine has stopped.
            let _ = reports.send(Report::Settled { found, earlier }).await;
        });
    }

    fn look(&self, intents: Vec<OpenIntent>, after: Duration) {
        if intents.is_empty() {
            return;
        }
        let (client, reports) = (self.client.clone(), self.reports.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let found = Some(settle::look(&client, intents).await);
            let earlier = None;
            // Nobody listens only when the engine has stopped.
            let _ = reports.send(Report::Settled { found, earlier }).await;
        });
    }

    /// Takes in what was found of intents; none when the ledger could not be read. `earlier`: these are all intents of an
    /// earlier process, and its runs within a day.
    pub fn take_settled(
        &mut self,
        world: &mut World,
        found: Option<Vec<(OpenIntent, Found)>>,
        earlier: Option<Vec<RunResult>>,
    ) -> Dirty {
        let Some(found) = found else {
            self.settlement = Settlement::Due;
            self.settle(world);
            return Dirty::default();
        };
        let mut dirty = Dirty::default();
        if let Some(runs) = earlier {
            for run in runs {
                dirty.0.extend(world.learn_run(run).0);
            }
            self.knows_past = true;
            self.settlement = Settlement::Done;
        }
        let mut late = Late::default();
        let mut unseen = Vec::new();
        let mut outcomes = Vec::new();
        let mut settled = |intent: &Entry, what: &str, why: &str| {
            outcomes.push(self.scribe.outcome(intent, true, what, why));
        };
        for (open, found) in found {
            if matches!(found, Found::Gone | Found::Going) {
                late.take(&open, &self.last);
            }
            let intent = open.intent.clone();
            match found {
                Found::Unseen(why) => {
                    tracing::error!(
                        intent = intent.id,
                        why,
                        "an intent cannot be settled; it is tried again"
                    );
                    unseen.push(open);
                }
                Found::Going => {
                    let outcome = self.pending.add(intent, world);
                    self.note(outcome);
                }
                Found::There => settled(&intent, "not done", "found at its place afterwards"),
                Found::Gone => {
                    if let Some((intent, what)) = self.pending.found_gone(intent, world) {
                        settled(&intent, what, "found out afterwards");
                    }
                }
                Found::Opened => settled(&intent, "opened", "found out afterwards"),
                Found::NotOpened => settled(&intent, "not opened", "found out afterwards"),
            }
        }
        self.metrics.unsettled(unseen.len());
        self.scribe.note(outcomes);
        for run in late.runs() {
            self.metrics.ran(&run);
            dirty.0.extend(world.learn_run(run).0);
        }
        if unseen.is_empty() {
            self.patience = AGAIN;
        } else {
            self.look(unseen, self.patience);
            self.patience = AT_THE_LATEST.min(self.patience * 2);
        }
        dirty.0.extend(self.count(world).0);
        for namespace in world.retained_namespaces() {
            dirty.unit(Unit::Retention(namespace.clone()));
        }
        dirty
    }

    /// Has the clock compared where it jumped. The first time always.
    pub fn watch_clock(&mut self, first: bool) {
        if (self.pace.jumped() || first) && !self.comparing {
            self.compare(Duration::ZERO);
        }
    }

    fn compare(&mut self, after: Duration) {
        self.comparing = true;
        let (client, reports) = (self.client.clone(), self.reports.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let doubt = witness::doubt(&client).await;
            // Nobody listens only when the engine has stopped.
            let _ = reports.send(Report::Clock(doubt)).await;
        });
    }

    /// Takes in whether the clock is doubted.
    pub fn take_clock(&mut self, world: &mut World, doubt: Option<String>) -> Dirty {
        self.comparing = false;
        if let Some(doubt) = &doubt {
            if !self.doubted {
                self.record(record::clock(world, doubt));
            }
            tracing::error!(
                doubt,
                "the clock is doubted: nothing is disposed of and no boundary advances"
            );
            self.halt(None);
            self.compare(AGAIN);
        }
        self.doubted = doubt.is_some();
        world.learn_clock(doubt)
    }
}
