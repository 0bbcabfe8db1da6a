//! The engine: one task that owns the World. Told of changes, it plans what they touch, has the linter look, and hands the
//! writes to tasks of their own.
//!
//! May not: wait for a request. Everything that awaits the API server happens in tasks that report back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::{Client, Config};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::watch;

use super::clock;
use super::error::{Category, WriteError};
use super::events::Herald;
use super::execute::{self, Written};
use super::feed::Feed;
use super::inquire::completion::Completion;
use super::inquire::{Asked, Inquirer, Learned};
use super::inventory::ItemTold;
use super::patience::{Cause, Lane, Patience};
use super::publications::Publications;
use super::retention::{Retention, grounds};
use super::schedule::Schedule;
use super::scribe::{LedgerNews, Scribe};
use super::server::{HEARTBEAT_SECONDS, Health};
use super::watch::{Heard, Told};
use super::writer::{Answer, Recorded, Report, Writer, lane};
use crate::check::check;
use crate::diff::{Change, Urgency, diff};
use crate::model::{Dirty, Hold, Kind, ObjectKey, ResourceKind, Unit, World, WriteFailure};
use crate::plan::{Inquiry, Plan, deviations, plan};
use crate::record::{self, Draft};

/// Writes of one unit that are sent before it is planned again.
const ROUND: usize = 256;
/// Messages taken in before the engine plans: a burst becomes one plan.
const BATCH: usize = 4096;
/// Seconds between two counts of the World's objects.
const COUNT_SECONDS: u64 = 10;
/// Time to plan before the engine takes in again what happened.
const TURN: Duration = Duration::from_millis(50);

/// The engine.
pub struct Engine {
    herald: Herald,
    health: Health,
    world: World,
    feed: Feed,
    schedule: Schedule,
    patience: Patience,
    writer: Writer,
    inquirer: Inquirer,
    /// What was asked and is not answered yet.
    asked: BTreeSet<(&'static str, ObjectKey)>,
    /// Guards that were not as they were released, when they were last counted.
    deviations: Option<Vec<String>>,
    /// When a guard was last seen to change.
    guards_written: Option<Instant>,
    retention: Retention,
    publications: Publications,
    /// Whether it may have changed who asks how kinds of others stand.
    asks: bool,
    /// Whether other kinds may be selected than those that are followed.
    follow: bool,
    inbox: Receiver<Report>,
    ready: bool,
    /// Kinds whose number of objects may have changed since it was told last, at this instant.
    to_count: BTreeSet<Kind>,
    counted: Instant,
}

impl Engine {
    /// An engine with this World, which is empty, and what others tell it by.
    #[must_use]
    pub fn new(
        client: Client,
        config: Config,
        mut world: World,
        health: Health,
        scribe: Scribe,
        listener: Sender<Heard>,
        (reports, inbox): (Sender<Report>, Receiver<Report>),
    ) -> Self {
        // Nothing was compared yet.
        world.learn_clock(Some(
            "it is being compared with the API server's".to_owned(),
        ));
        let metrics = health.metrics.clone();
        Self {
            retention: Retention::new(
                client.clone(),
                scribe.clone(),
                metrics.clone(),
                reports.clone(),
                listener.clone(),
            ),
            publications: Publications::new(client.clone(), listener),
            herald: Herald::new(client.clone()),
            inquirer: Inquirer::new(client.clone(), config, scribe.clone(), reports.clone()),
            asked: BTreeSet::new(),
            deviations: None,
            guards_written: None,
            writer: Writer::new(client, scribe, metrics, reports),
            health,
            world,
            feed: Feed::default(),
            schedule: Schedule::default(),
            patience: Patience::default(),
            inbox,
            asks: true,
            follow: true,
            ready: false,
            to_count: BTreeSet::new(),
            counted: clock::started(),
        }
    }

    /// Runs until told to stop, then waits for the writes that are under way.
    pub async fn run(mut self, mut told: Receiver<Heard>, mut stop: watch::Receiver<bool>) {
        loop {
            self.health.beat();
            let nap = self.nap();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stopped| *stopped) => break,
                Some(report) = self.inbox.recv() => self.take_report(report),
                message = told.recv() => match message {
                    Some(heard) => self.hear(heard),
                    None => break,
                },
                () = tokio::time::sleep(nap) => {}
            }
            self.take_in(&mut told);
            self.count();
            if self.ready() {
                self.follow();
                self.retention.watch_clock(false);
                self.plan_ready();
            }
        }
        self.finish().await;
    }

    /// Plans what is ready, for one turn: what happens meanwhile may be more urgent than what is left.
    fn plan_ready(&mut self) {
        let begun = clock::started();
        self.schedule.ring(clock::now());
        while let Some(unit) = self.schedule.next() {
            self.plan(&unit);
            if begun.elapsed() > TURN {
                return;
            }
        }
    }

    /// Takes in what is waiting, so that a burst becomes one plan.
    fn take_in(&mut self, told: &mut Receiver<Heard>) {
        for _ in 0..BATCH {
            if let Ok(report) = self.inbox.try_recv() {
                self.take_report(report);
            } else if let Ok(heard) = told.try_recv() {
                self.hear(heard);
            } else {
                return;
            }
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Kind(kind, told) => self.take_told(kind, told),
            Heard::Item(kind, told) => self.take_item(&kind, told),
            Heard::BrokenOff => {
                let dirty = self.world.suspect_start();
                self.mark(dirty);
            }
            Heard::Published(told) => {
                let dirty = self.publications.told(&mut self.world, told);
                self.mark(dirty);
            }
        }
    }

    fn take_item(&mut self, kind: &ResourceKind, told: ItemTold) {
        let dirty = self.retention.take_item(&mut self.world, kind, told);
        self.mark(dirty);
    }

    fn take_told(&mut self, kind: Kind, told: Told) {
        self.to_count.insert(kind);
        self.asks |= matches!(kind, Kind::Namespace | Kind::Baseline | Kind::OptOut);
        let gone = match (kind, &told) {
            (Kind::Volume, Told::Gone(object)) => object.metadata.name.clone(),
            _ => None,
        };
        let about = told.key();
        let before = about
            .as_ref()
            .map(|key| grounds::of(&self.world, kind, key));
        if matches!(kind, Kind::Guard | Kind::GuardBinding)
            && matches!(told, Told::Changed(_) | Told::Gone(_))
        {
            self.guards_written = Some(clock::started());
        }
        let dirty = self.feed.told(&mut self.world, kind, told);
        self.mark(dirty);
        if let Some(key) = about
            && before.as_ref() != Some(&grounds::of(&self.world, kind, &key))
        {
            let namespace = grounds::namespace(kind, &key);
            self.retention.halt(namespace);
            let dirty = self.world.forget_refusals(namespace);
            self.mark(dirty);
            self.follow = true;
        }
        if let Some(name) = gone {
            let dirty = self.retention.take_volume_gone(&mut self.world, &name);
            self.mark(dirty);
        }
    }

    fn take_report(&mut self, report: Report) {
        match report {
            Report::Answered {
                unit,
                change,
                answer,
            } => {
                match answer {
                    Answer::Written(written) => self.take_written(&change, written),
                    Answer::Failed { error, holder } => {
                        self.take_failure(&change, &error, holder);
                        // It keeps the alarms, for its grants too.
                        if let Some(namespace) = unit.namespace() {
                            self.schedule.mark(Unit::Namespace(namespace.to_owned()));
                        }
                    }
                }
                match change.urgency {
                    Urgency::Close => self.schedule.finish_closing(&unit, &change.target),
                    Urgency::Report => self.schedule.finish_report(&unit),
                    _ => self.schedule.finish_write(&unit, &change.target),
                }
            }
            Report::Learned { inquiry, learned } => self.take_learned(&inquiry, *learned),
            Report::Ledger(news) => self.take_ledger(*news),
            Report::Disposed {
                namespace,
                disposed,
            } => {
                self.asked.remove(&Inquiry::dispose_key(&namespace));
                let dirty = self
                    .retention
                    .take_run(&mut self.world, &namespace, *disposed);
                self.mark(dirty);
                self.schedule.mark(Unit::Retention(namespace));
            }
            Report::Settled { found, earlier } => {
                let world = &mut self.world;
                let dirty = self.retention.take_settled(world, found, earlier);
                self.mark(dirty);
            }
            Report::Clock(doubt) => {
                let dirty = self.retention.take_clock(&mut self.world, doubt);
                self.mark(dirty);
            }
            Report::Done { unit } => self.schedule.finish_round(&unit),
        }
    }

    fn take_ledger(&mut self, news: LedgerNews) {
        let LedgerNews {
            state,
            namespaces,
            opened,
        } = news;
        if opened {
            self.retention.unsettle(&self.world, self.ready);
        }
        if let Some(head) = &state.head {
            let dirty = self.world.learn_head(namespaces, head);
            // A posture is not written for each entry: its next writing takes the head along.
            if self.ready {
                for unit in &dirty.0 {
                    self.schedule.mark_later(unit, clock::now());
                }
            }
        }
        let dirty = self.world.learn_ledger(state);
        self.mark(dirty);
    }

    /// Follows the kinds that policies select now, and what tenants publish.
    fn follow(&mut self) {
        if std::mem::take(&mut self.asks) {
            let dirty = self.publications.follow(&mut self.world);
            self.mark(dirty);
        }
        if std::mem::take(&mut self.follow) {
            let dirty = self.retention.follow(&mut self.world);
            self.mark(dirty);
        }
    }

    fn take_learned(&mut self, inquiry: &Inquiry, learned: Learned) {
        let about = inquiry.key();
        let namespace = about.1.namespace.clone();
        self.asked.remove(&about);
        let dirty = match learned {
            Learned::Proof(hold, uid, proof) => self.world.learn_proof(&hold, &uid, proof),
            Learned::Survey(namespace, survey) => self.world.learn_survey(&namespace, survey),
            Learned::Ended(hold, uid, ended) => self.world.learn_ended(&hold, &uid, ended),
            Learned::Nudged(hold, uid) => self.world.learn_nudged(&hold, &uid),
            Learned::Recorded(hold, uid, index) => self.world.learn_release(&hold, &uid, index),
            Learned::Completed(completions) => self.take_completions(completions),
            Learned::Announced(baseline, uid, announced) => {
                self.world.learn_announced(&baseline, &uid, announced)
            }
            Learned::Secrets(trial) => self.world.learn_secrets(trial),
            Learned::Nothing => Dirty::default(),
        };
        self.mark(dirty);
        // It may have to be asked again.
        match inquiry {
            // Who wants to know was marked with what was learned.
            Inquiry::Secrets { .. } => {}
            Inquiry::Announce { baseline, .. } => {
                self.schedule.mark(Unit::Baseline(baseline.name.clone()));
            }
            Inquiry::Complete { .. } => self.schedule.mark(Unit::Retention(namespace)),
            _ => self.schedule.mark(Unit::Namespace(namespace)),
        }
    }

    /// Asks what a plan needs to know, each thing once at a time.
    fn ask(&mut self, inquiries: Vec<Inquiry>) {
        for inquiry in inquiries {
            let about = inquiry.key();
            if self.asked.contains(&about) {
                continue;
            }
            let begun = match inquiry {
                Inquiry::Dispose(run) => self.retention.begin(run),
                inquiry => {
                    let asked = Asked {
                        drafts: self.drafts(&inquiry),
                        inquiry,
                    };
                    tokio::spawn(self.inquirer.clone().ask(asked, self.guards_written));
                    true
                }
            };
            if begun {
                self.asked.insert(about);
            }
        }
    }

    fn take_completions(&mut self, completions: Vec<Completion>) -> Dirty {
        let mut dirty = Dirty::default();
        for read in completions {
            let learned = self.world.learn_completion(
                &read.kind,
                &read.key,
                &read.uid,
                &read.version,
                read.completed,
            );
            dirty.0.extend(learned.0);
        }
        dirty
    }

    /// What the ledger says of what is asked to be done.
    fn drafts(&self, inquiry: &Inquiry) -> Vec<Draft> {
        let world = &self.world;
        let of_hold = |hold: &ObjectKey, draft: fn(&World, &Hold) -> Option<Draft>| {
            let hold = world.hold(hold);
            hold.and_then(|hold| draft(world, hold))
                .into_iter()
                .collect()
        };
        match inquiry {
            Inquiry::Record { hold, .. } => of_hold(hold, record::release),
            Inquiry::End { hold, .. } => {
                of_hold(hold, |world, hold| Some(record::ending(world, hold)))
            }
            Inquiry::Announce {
                baseline,
                policy,
                tenants,
                ..
            } => world
                .baseline(&baseline.name)
                .map_or_else(Vec::new, |known| {
                    record::announcements(world, known, policy, tenants)
                }),
            _ => Vec::new(),
        }
    }

    fn take_written(&mut self, change: &Change, written: Written) {
        let target = &change.target;
        self.to_count.insert(target.kind);
        self.patience.wrote(target, lane(change), clock::now());
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
        for notice in &change.notices {
            self.herald.tell(target, uid.as_deref(), notice);
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
        // A ledger that can be written again waits for nobody.
        let passes = category == Category::LedgerUnavailable;
        let cause = if category.is_lasting() && !passes {
            Cause::Lasting
        } else {
            Cause::Passing
        };
        let until = self.patience.hold(
            target,
            lane(change),
            cause,
            error.retry_after(),
            clock::now(),
        );
        tracing::warn!(
            kind = %target.kind, object = %target.key, verb = change.action.verb(), category = category.as_str(),
            error = %error, %until, "write failed; it is tried again then"
        );
        // What has the name is in the World then, and the plan says what it thinks of it. It may be ours, when only the
        // answer to an earlier try was lost.
        if let Some(holder) = holder.filter(|holder| execute::may_enter(target.kind, holder)) {
            let dirty = self.feed.written(&mut self.world, target.kind, *holder);
            self.mark(dirty);
        } else if category.is_lasting() {
            let failure = WriteFailure {
                category: category.as_str().to_owned(),
                message: error.to_string(),
            };
            let dirty = self.world.record_failure(target.clone(), failure);
            self.mark(dirty);
        }
    }

    /// Nothing is planned before every kind was listed: a half-filled World would look like an order to delete.
    fn ready(&mut self) -> bool {
        if !self.ready && self.feed.is_synced() && self.has_looked() {
            self.ready = true;
            for unit in self.world.units() {
                self.schedule.mark(unit);
            }
            self.retention.watch_clock(true);
            self.retention.settle(&self.world);
            self.health.metrics.synced();
            self.health.set_ready();
            tracing::info!("every kind is listed; planning begins");
        }
        self.ready
    }

    /// Whether what tenants publish was listed once, as far as anybody asks.
    fn has_looked(&mut self) -> bool {
        // Everything is planned once this is so.
        let _ = self.publications.follow(&mut self.world);
        self.publications.is_settled(&self.world)
    }

    /// Plans one unit and sets its writes going.
    fn plan(&mut self, unit: &Unit) {
        let now = clock::now();
        let begun = clock::started();
        let mut plan = plan(&self.world, unit, now);
        self.health
            .metrics
            .planned(&plan, begun.elapsed().as_secs_f64());
        let mut changes = diff(&plan, &self.world);
        let disposes = |inquiry: &Inquiry| matches!(inquiry, Inquiry::Dispose(_));
        if !changes.is_empty() || plan.inquiries.iter().any(disposes) {
            let sound = self.lint(&plan, &mut changes, now);
            plan.inquiries.retain(|inquiry| sound || !disposes(inquiry));
        }
        self.ask(plan.inquiries);
        let mut wake = plan.next;
        changes.retain(|change| {
            let held = self.patience.held_until(&change.target, lane(change), now);
            wake = [wake, held].into_iter().flatten().min();
            held.is_none()
        });
        // A grant's instants are its namespace's too.
        if !matches!(unit, Unit::Grant(_)) {
            self.schedule.set_alarm(unit, wake);
        }
        self.send(unit, changes, now);
        self.schedule.planned(unit, now, begun.elapsed());
    }

    /// Sends what closes, or else a round of the rest, or else the report. The rest waits for its turn; closing waits for
    /// nothing, and nothing waits for a report.
    fn send(&mut self, unit: &Unit, changes: Vec<Change>, now: Timestamp) {
        let (closings, rest): (Vec<Change>, Vec<Change>) = changes
            .into_iter()
            .partition(|change| change.urgency == Urgency::Close);
        for change in &closings {
            if self.schedule.begin_closing(unit, &change.target) {
                let recorded = self.recorded(change.clone());
                tokio::spawn(self.writer.clone().alone(unit.clone(), recorded));
            }
        }
        if !closings.is_empty() {
            return;
        }
        let (reports, mut rest): (Vec<Change>, Vec<Change>) = rest
            .into_iter()
            .partition(|change| change.urgency == Urgency::Report);
        match reports.into_iter().next() {
            Some(report) if self.schedule.begin_report(unit, !rest.is_empty(), now) => {
                let recorded = self.recorded(report);
                tokio::spawn(self.writer.clone().alone(unit.clone(), recorded));
            }
            Some(_) => {}
            None => self.schedule.is_reported(unit),
        }
        rest.retain(|change| !self.schedule.is_writing(&change.target));
        rest.truncate(ROUND);
        let targets = rest.iter().map(|change| &change.target);
        if !rest.is_empty() && self.schedule.begin_round(unit, targets) {
            let rest = rest
                .into_iter()
                .map(|change| self.recorded(change))
                .collect();
            tokio::spawn(self.writer.clone().round(unit.clone(), rest));
        }
    }

    /// A write with what the ledger says of it, which the World knows now and perhaps not afterwards.
    fn recorded(&self, change: Change) -> Recorded {
        Recorded {
            drafts: record::drafts(&self.world, &change),
            change,
        }
    }

    /// A plan that the linter refuses may still close, and disposes of nothing.
    fn lint(&self, plan: &Plan, changes: &mut Vec<Change>, now: Timestamp) -> bool {
        let violations = check(plan, &self.world, now);
        if violations.is_empty() {
            return true;
        }
        self.health.metrics.violated(violations.len());
        for violation in &violations {
            tracing::error!(unit = %plan.unit, %violation, "the linter refuses this plan; only what closes is written");
        }
        changes.retain(|change| lane(change) == Lane::Closing);
        false
    }

    /// Tells how many objects there are, now and then.
    fn count(&mut self) {
        if self.counted.elapsed().as_secs() >= COUNT_SECONDS {
            self.counted = clock::started();
            if self.to_count.contains(&Kind::Guard) || self.to_count.contains(&Kind::GuardBinding) {
                self.count_guards();
            }
            for kind in std::mem::take(&mut self.to_count) {
                let objects = self.world.keys(kind).len();
                self.health.metrics.counted(kind, objects);
            }
        }
    }

    /// Tells how many guards are not as they were released, and records it when that is news.
    fn count_guards(&mut self) {
        let deviations = deviations(&self.world);
        self.health.metrics.deviating(deviations.len());
        if self.ready && self.deviations.as_ref() != Some(&deviations) {
            self.retention
                .record(record::guards(&self.world, &deviations));
            self.deviations = Some(deviations);
        }
    }

    /// Where it is a grant that changed, that grant is planned at once and the rest of its namespace soon.
    fn mark(&mut self, dirty: Dirty) {
        // Everything is planned once every kind is listed.
        if !self.ready {
            return;
        }
        let now = clock::now();
        let of_grants: BTreeSet<String> = dirty
            .0
            .iter()
            .filter(|unit| matches!(unit, Unit::Grant(_)))
            .filter_map(|unit| unit.namespace().map(str::to_owned))
            .collect();
        for unit in dirty.0 {
            match &unit {
                Unit::Namespace(name) if of_grants.contains(name) => {
                    self.schedule.mark_soon(unit, now);
                }
                // A run takes objects away by the thousand, and is planned anew when it is over. What it rests on halts it.
                Unit::Retention(name) if self.retention.is_running(name) => {}
                Unit::Retention(_) => self.schedule.mark_soon(unit, now),
                _ => self.schedule.mark(unit),
            }
        }
    }

    /// Until the next instant that a plan named. Never longer than a heartbeat: a wall clock can jump, and one long sleep
    /// would not notice.
    fn nap(&self) -> Duration {
        if self.ready && self.schedule.has_ready() {
            return Duration::ZERO;
        }
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
        self.retention.halt(None);
        while self.schedule.busy() > 0 || self.retention.running() > 0 {
            match self.inbox.recv().await {
                Some(report) => self.take_report(report),
                None => return,
            }
        }
    }
}
