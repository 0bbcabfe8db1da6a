//! The tasks that write: a round of a unit's writes, the closing of one path, or a report. They report to the engine.
//!
//! May not: see the World, or decide what is written. Closings never share a queue with anything else.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Client;
use kube::api::DynamicObject;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;

use super::clock;
use super::dispose::Disposed;
use super::dispose::settle::Found;
use super::error::{Category, WriteError};
use super::execute::{self, Written};
use super::inquire::Learned;
use super::metrics::Metrics;
use super::patience::Lane;
use super::scribe::{LedgerNews, Scribe};
use crate::diff::{Action, Change, Urgency};
use crate::ledger::{Entry, OpenIntent, Phase};
use crate::model::{RunResult, Target, Unit};
use crate::plan::Inquiry;
use crate::record::{self, Draft};

/// A round begins no more writes after this time: what it was planned from grows old.
const ROUND_TIME: Duration = Duration::from_secs(1);
/// Requests under way at once.
const REQUESTS: usize = 32;
/// Requests for closing under way at once, beside the others.
const CLOSING_REQUESTS: usize = 16;
/// Requests of one unit under way at once.
const UNIT_REQUESTS: usize = 16;
/// What the tasks report to the engine.
#[derive(Debug)]
pub enum Report {
    /// A write was answered.
    Answered {
        /// For which unit.
        unit: Unit,
        /// What was to be written.
        change: Box<Change>,
        /// What came of it.
        answer: Answer,
    },
    /// How the ledger stands, when that is news.
    Ledger(Box<LedgerNews>),
    /// A run of disposal is over.
    Disposed {
        /// In which namespace.
        namespace: String,
        /// What became of it.
        disposed: Box<Disposed>,
    },
    /// What was found of intents whose outcome nobody knew; none when the ledger could not be read.
    Settled {
        /// By intent.
        found: Option<Vec<(OpenIntent, Found)>>,
        /// Where these were all intents of an earlier process: what the ledger tells of its runs.
        earlier: Option<Vec<RunResult>>,
    },
    /// Why the clock is doubted, if it is.
    Clock(Option<String>),
    /// An inquiry is over.
    Learned {
        /// What was asked.
        inquiry: Box<Inquiry>,
        /// What came of it.
        learned: Box<Learned>,
    },
    /// A round of a unit's writes is done.
    Done {
        /// Of which unit.
        unit: Unit,
    },
}

/// How a write was answered.
#[derive(Debug)]
pub enum Answer {
    /// It went through.
    Written(Written),
    /// It failed.
    Failed {
        /// Why.
        error: WriteError,
        /// For a name that was taken, what has it.
        holder: Option<Box<DynamicObject>>,
    },
}

/// A write, and what the ledger says of it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The write.
    pub change: Change,
    /// What the ledger says.
    pub drafts: Vec<Draft>,
}

/// What the tasks that write share.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    scribe: Scribe,
    metrics: Metrics,
    requests: Arc<Semaphore>,
    closing: Arc<Semaphore>,
    reports: Sender<Report>,
}

/// The end of a path is stored and its timer started together: neither opens anything, and the policy waits for both.
fn side_by_side(a: Urgency, b: Urgency) -> bool {
    let together = |urgency| matches!(urgency, Urgency::Record | Urgency::Prepare);
    a == b || (together(a) && together(b))
}

impl Writer {
    /// A writer that reports there.
    #[must_use]
    pub fn new(client: Client, scribe: Scribe, metrics: Metrics, reports: Sender<Report>) -> Self {
        Self {
            client,
            scribe,
            metrics,
            requests: Arc::new(Semaphore::new(REQUESTS)),
            closing: Arc::new(Semaphore::new(CLOSING_REQUESTS)),
            reports,
        }
    }

    /// Writes a round: urgency by urgency, and within one side by side.
    pub async fn round(self, unit: Unit, changes: Vec<Recorded>) {
        let begun = clock::started();
        for group in changes.chunk_by(|a, b| side_by_side(a.change.urgency, b.change.urgency)) {
            let write = |change: Recorded| async {
                // The semaphores are never closed.
                let _permit = self.requests.acquire().await;
                if begun.elapsed() < ROUND_TIME {
                    self.write(&unit, change).await;
                }
            };
            futures::stream::iter(group.iter().cloned())
                .map(write)
                .buffer_unordered(UNIT_REQUESTS)
                .collect::<()>()
                .await;
        }
        // Nobody listens only when the engine has stopped.
        let _ = self.reports.send(Report::Done { unit }).await;
    }

    /// Makes one write that waits for no other: the closing of a path, or a report.
    pub async fn alone(self, unit: Unit, change: Recorded) {
        let requests = match lane(&change.change) {
            Lane::Closing => &self.closing,
            Lane::Rest => &self.requests,
        };
        // The semaphores are never closed.
        let _permit = requests.acquire().await;
        self.write(&unit, change).await;
    }

    async fn write(&self, unit: &Unit, recorded: Recorded) {
        let Recorded { change, drafts } = recorded;
        let sent = clock::now();
        let answer = match self.recorded(&change, drafts).await {
            Ok(written) => {
                self.metrics.wrote(&change, sent);
                tell(&change);
                Answer::Written(written)
            }
            Err(error) => {
                let holder = self.holder(&change, &error).await;
                Answer::Failed { error, holder }
            }
        };
        let report = Report::Answered {
            unit: unit.clone(),
            change: Box::new(change),
            answer,
        };
        // Nobody listens only when the engine has stopped.
        let _ = self.reports.send(report).await;
    }

    /// What opens is written once its intent is durable; of the rest it is recorded that it was done.
    async fn recorded(&self, change: &Change, drafts: Vec<Draft>) -> Result<Written, WriteError> {
        if !record::waits(change) {
            let written = execute::write(&self.client, change).await?;
            let facts = drafts
                .into_iter()
                .map(|draft| self.scribe.entry(draft, Phase::Fact));
            self.scribe.note(facts.collect());
            return Ok(written);
        }
        let intents: Vec<Entry> = drafts
            .into_iter()
            .map(|draft| self.scribe.entry(draft, Phase::Intent))
            .collect();
        let committed = self.scribe.commit(intents.clone()).await;
        committed.map_err(|source| WriteError::Unrecorded {
            target: change.target.clone(),
            source,
        })?;
        let result = execute::write(&self.client, change).await;
        // An answer that was lost says nothing; the intent is settled by looking.
        let (settled, what) = match &result {
            Ok(_) => (true, "opened"),
            Err(WriteError::Refused { .. }) => (true, "not opened: refused"),
            Err(_) => (false, "not known"),
        };
        let outcomes = intents
            .iter()
            .map(|intent| self.scribe.outcome(intent, settled, what, ""));
        self.scribe.note(outcomes.collect());
        result
    }

    /// What has the name that was to be taken.
    async fn holder(&self, change: &Change, error: &WriteError) -> Option<Box<DynamicObject>> {
        let taken = matches!(change.action, Action::Create { .. })
            && error.category() == Category::NameTaken;
        if taken {
            execute::read(&self.client, &change.target)
                .await
                .map(Box::new)
        } else {
            None
        }
    }
}

/// In which lane a change is written.
#[must_use]
pub fn lane(change: &Change) -> Lane {
    match change.urgency {
        Urgency::Close => Lane::Closing,
        _ => Lane::Rest,
    }
}

fn tell(change: &Change) {
    let Target { kind, key } = &change.target;
    tracing::info!(%kind, object = %key, verb = change.action.verb(), why = change.why, "written");
}
