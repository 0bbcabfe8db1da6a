//! The engine: one task that owns the World. Told of changes, it plans what they touch, has the linter look, and hands the
//! writes to tasks of their own.
//!
//! May not: wait for a request. Everything that awaits the API server happens in tasks that report back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::Client;
use kube::api::DynamicObject;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{Semaphore, watch};

use super::clock;
use super::error::WriteError;
use super::events::Herald;
use super::execute::{self, Written};
use super::feed::Feed;
use super::schedule::Schedule;
use super::server::{HEARTBEAT_SECONDS, Health};
use super::watch::Told;
use crate::check::check;
use crate::diff::{Action, Change, Urgency, diff};
use crate::model::{Dirty, Kind, Settings, Target, Unit, World, WriteFailure};
use crate::plan::{Plan, plan};

/// Writes of one unit that are sent before it is planned again, so that a close never waits for thousands of openings.
const ROUND: usize = 256;
/// Requests under way at once.
const REQUESTS: usize = 32;
/// Requests for closing under way at once, beside the others.
const CLOSING_REQUESTS: usize = 16;
/// Requests of one unit under way at once.
const UNIT_REQUESTS: usize = 16;
/// Messages taken in before the engine plans: a burst becomes one plan.
const BATCH: usize = 4096;

/// What the tasks report to the engine.
#[derive(Debug)]
enum Report {
    /// A write went through.
    Written {
        change: Box<Change>,
        written: Written,
    },
    /// A write failed. For a name that was taken, what has it.
    Failed {
        change: Box<Change>,
        error: WriteError,
        holder: Option<Box<DynamicObject>>,
    },
    /// A round of a unit's writes is done.
    Done { unit: Unit },
}

/// The engine.
pub struct Engine {
    client: Client,
    herald: Herald,
    health: Health,
    world: World,
    feed: Feed,
    schedule: Schedule,
    requests: Arc<Semaphore>,
    closing: Arc<Semaphore>,
    reports: Sender<Report>,
    inbox: Receiver<Report>,
    ready: bool,
}

impl Engine {
    /// An engine with an empty World.
    #[must_use]
    pub fn new(client: Client, settings: Settings, health: Health) -> Self {
        let (reports, inbox) = mpsc::channel(BATCH);
        Self {
            herald: Herald::new(client.clone()),
            client,
            health,
            world: World::new(settings),
            feed: Feed::default(),
            schedule: Schedule::default(),
            requests: Arc::new(Semaphore::new(REQUESTS)),
            closing: Arc::new(Semaphore::new(CLOSING_REQUESTS)),
            reports,
            inbox,
            ready: false,
        }
    }

    /// Runs until told to stop, then waits for the writes that are under way.
    pub async fn run(mut self, mut told: Receiver<(Kind, Told)>, mut stop: watch::Receiver<bool>) {
        loop {
            self.health.beat();
            let nap = self.nap();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stopped| *stopped) => break,
                Some(report) = self.inbox.recv() => self.take_report(report),
                message = told.recv() => match message {
                    Some((kind, told)) => self.take_told(kind, told),
                    None => break,
                },
                () = tokio::time::sleep(nap) => {}
            }
            self.take_in(&mut told);
            if self.ready() {
                self.schedule.ring(clock::now());
                while let Some(unit) = self.schedule.next() {
                    self.plan(&unit);
                }
            }
        }
        self.finish().await;
    }

    /// Takes in what is waiting, so that a burst becomes one plan.
    fn take_in(&mut self, told: &mut Receiver<(Kind, Told)>) {
        for _ in 0..BATCH {
            if let Ok(report) = self.inbox.try_recv() {
                self.take_report(report);
            } else if let Ok((kind, told)) = told.try_recv() {
                self.take_told(kind, told);
            } else {
                return;
            }
        }
    }

    fn take_told(&mut self, kind: Kind, told: Told) {
        let counts = matches!(told, Told::ListComplete);
        let dirty = self.feed.told(&mut self.world, kind, told);
        self.mark(dirty);
        if counts {
            self.health
                .metrics
                .counted(kind, self.world.keys(kind).len());
        }
    }

    fn take_report(&mut self, report: Report) {
        match report {
            Report::Written { change, written } => self.take_written(*change, written),
            Report::Failed {
                change,
                error,
                holder,
            } => self.take_failure(&change, &error, holder),
            Report::Done { unit } => {
                self.schedule.finish(&unit);
                // What was left out of the round, and what the round itself changed.
                self.schedule.mark(unit);
            }
        }
    }

    fn take_written(&mut self, change: Change, written: Written) {
        let target = &change.target;
        self.schedule
            .release(target, change.urgency == Urgency::Close, clock::now());
        let dirty = self.world.clear_failure(target);
        self.mark(dirty);
        let mut uid = None;
        let dirty = match written {
            Written::Stored(object) => {
                uid = object.metadata.uid.clone();
                self.feed.written(&mut self.world, target.kind, *object)
            }
            Written::Gone { uid } => self.feed.deleted(&mut self.world, target, &uid),
        };
        self.mark(dirty);
        if !change.notices.is_empty() {
            self.herald.tell(target, uid.as_deref(), change.notices);
        }
    }

    fn take_failure(
        &mut self,
        change: &Change,
        error: &WriteError,
        holder: Option<Box<DynamicObject>>,
    ) {
        let (target, category) = (error.target(), error.category());
        self.health.metrics.failed(category);
        let closing = change.urgency == Urgency::Close;
        let until = self
            .schedule
            .hold(target, closing, error.retry_after(), clock::now());
        tracing::warn!(
            kind = %target.kind, object = %target.key, verb = change.action.verb(), category = category.as_str(),
            error = %error, %until, "write failed; it is tried again then"
        );
        if category.is_lasting() {
            let failure = WriteFailure {
                category: category.as_str().to_owned(),
                message: error.to_string(),
            };
            let dirty = self.world.record_failure(target.clone(), failure);
            self.mark(dirty);
        }
        if let Some(holder) = holder.filter(|holder| execute::may_enter(target.kind, holder)) {
            let dirty = self.feed.written(&mut self.world, target.kind, *holder);
            self.mark(dirty);
        }
    }

    /// Nothing is planned before every kind was listed: a half-filled World would look like an order to delete.
    fn ready(&mut self) -> bool {
        if !self.ready && self.feed.is_synced() {
            self.ready = true;
            for unit in self.world.units() {
                self.schedule.mark(unit);
            }
            self.health.metrics.synced();
            self.health.set_ready();
            tracing::info!("every kind is listed; planning begins");
        }
        self.ready
    }

    /// Plans one unit and sets its writes going.
    fn plan(&mut self, unit: &Unit) {
        let now = clock::now();
        let begun = started();
        let plan = plan(&self.world, unit, now);
        self.health
            .metrics
            .planned(&plan, begun.elapsed().as_secs_f64());
        let mut changes = diff(&plan, &self.world);
        if !changes.is_empty() {
            self.lint(&plan, &mut changes, now);
        }
        let mut wake = plan.next;
        changes.retain(
            |change| match self.schedule.held_until(&change.target, now) {
                Some(until) => {
                    wake = [wake, Some(until)].into_iter().flatten().min();
                    false
                }
                None => true,
            },
        );
        self.schedule.set_alarm(unit, wake);
        if !changes.is_empty() {
            changes.truncate(ROUND);
            self.schedule.begin(unit);
            self.send(unit.clone(), changes);
        }
    }

    /// A plan that the linter refuses may still close.
    fn lint(&self, plan: &Plan, changes: &mut Vec<Change>, now: jiff::Timestamp) {
        let violations = check(plan, &self.world, now);
        if violations.is_empty() {
            return;
        }
        self.health.metrics.violated(violations.len());
        for violation in &violations {
            tracing::error!(unit = %plan.unit, %violation, "the linter refuses this plan; only what closes is written");
        }
        changes.retain(|change| change.urgency == Urgency::Close);
    }

    /// Writes a round: urgency by urgency, and within one side by side.
    fn send(&self, unit: Unit, changes: Vec<Change>) {
        let (client, reports, metrics) = (
            self.client.clone(),
            self.reports.clone(),
            self.health.metrics.clone(),
        );
        let (requests, closing) = (Arc::clone(&self.requests), Arc::clone(&self.closing));
        tokio::spawn(async move {
            for group in changes.chunk_by(|a, b| side_by_side(a.urgency, b.urgency)) {
                let write = |change: Change| {
                    let lane = if change.urgency == Urgency::Close {
                        &closing
                    } else {
                        &requests
                    };
                    let (client, reports, metrics, lane) =
                        (&client, &reports, &metrics, Arc::clone(lane));
                    async move {
                        // The semaphores are never closed.
                        let _permit = lane.acquire_owned().await;
                        let sent = clock::now();
                        let report = match execute::write(client, &change).await {
                            Ok(written) => {
                                metrics.wrote(&change, sent);
                                tell(&change);
                                Report::Written {
                                    change: Box::new(change),
                                    written,
                                }
                            }
                            Err(error) => failed(client, change, error).await,
                        };
                        // Nobody listens only when the engine has stopped.
                        let _ = reports.send(report).await;
                    }
                };
                futures::stream::iter(group.iter().cloned())
                    .map(write)
                    .buffer_unordered(UNIT_REQUESTS)
                    .collect::<()>()
                    .await;
            }
            let _ = reports.send(Report::Done { unit }).await;
        });
    }

    fn mark(&mut self, dirty: Dirty) {
        for unit in dirty.0 {
            self.schedule.mark(unit);
        }
    }

    /// Until the next instant that a plan named. Never longer than a heartbeat: a wall clock can jump, and one long sleep
    /// would not notice.
    fn nap(&self) -> Duration {
        let heartbeat = Duration::from_secs(HEARTBEAT_SECONDS.unsigned_abs());
        let until = self
            .schedule
            .wakes_at()
            .filter(|_| self.ready)
            .map(|instant| instant.duration_since(clock::now()));
        until.map_or(heartbeat, |wait| {
            Duration::try_from(wait)
                .unwrap_or(Duration::ZERO)
                .min(heartbeat)
        })
    }

    /// Waits for the writes that are under way.
    async fn finish(mut self) {
        tracing::info!(
            units = self.schedule.busy(),
            "stopping; writes under way are finished first"
        );
        while self.schedule.busy() > 0 {
            match self.inbox.recv().await {
                Some(report) => self.take_report(report),
                None => return,
            }
        }
    }
}

/// The end of a path is stored and its timer started together: neither opens anything, and the policy waits for both.
fn side_by_side(a: Urgency, b: Urgency) -> bool {
    let together = |urgency| matches!(urgency, Urgency::Record | Urgency::Prepare);
    a == b || (together(a) && together(b))
}

async fn failed(client: &Client, change: Change, error: WriteError) -> Report {
    let taken = matches!(change.action, Action::Create { .. })
        && error.category() == super::error::Category::NameTaken;
    let holder = if taken {
        execute::read(client, &change.target).await.map(Box::new)
    } else {
        None
    };
    Report::Failed {
        change: Box::new(change),
        error,
        holder,
    }
}

fn tell(change: &Change) {
    let Target { kind, key } = &change.target;
    tracing::info!(%kind, object = %key, verb = change.action.verb(), why = change.why, "written");
}

#[expect(
    clippy::disallowed_methods,
    reason = "a duration of the shell's own work, for a metric"
)]
fn started() -> Instant {
    Instant::now()
}
