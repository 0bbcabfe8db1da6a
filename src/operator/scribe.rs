//! The ledger's one writer: a thread of its own, because every write waits for a disk.
//!
//! Two ways in. `commit` returns once the entries are durable: for intents, without which nothing is opened or disposed of.
//! `note` returns at once: for what has happened, and for what closes or keeps, which a full disk must not hold up; what is
//! noted is kept until it is durable. Whatever waits goes in one commit.
//!
//! May not: decide what is recorded, or hold up a closing.

mod keeping;
mod past;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

use super::clock;
use super::metrics::Metrics;
use super::writer::Report;
use crate::ledger::{Entry, EntryKind, OpenIntent, Phase, Pseudonyms, Subject};
use crate::model::{LastRun, LedgerHead, LedgerState, RunResult};
use crate::record::Draft;
use keeping::Kept;

/// Entries in one commit.
const BATCH: usize = 2048;
/// Entries that are noted and not durable yet. Beyond it they are counted and the gap is recorded: memory is bounded, and a
/// gap that is stated can be asked about.
const BACKLOG: usize = 65_536;
/// A ledger that cannot be written is tried again after this long, at first: the writer before may just be ending.
const SOON: Duration = Duration::from_millis(250);
/// And after this long at the latest.
const AGAIN: Duration = Duration::from_secs(5);

/// Where the ledger is and who writes it.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    /// The directory.
    pub directory: PathBuf,
    /// The signing key; made at the first start where there is none.
    pub key: PathBuf,
    /// The log's name in every checkpoint.
    pub origin: String,
    /// Where each new head is copied to: a log on one disk proves nothing to its owner's enemy.
    pub head_copy: Option<PathBuf>,
}

/// Why something is not in the ledger.
#[derive(Clone, Debug, Error)]
#[error("the ledger cannot be written: {0}")]
pub struct Unrecorded(pub String);

/// What became of the ledger, for the World.
#[derive(Clone, Debug)]
pub struct LedgerNews {
    /// How it stands.
    pub state: LedgerState,
    /// Namespaces that new entries are about.
    pub namespaces: BTreeSet<String>,
    /// It was opened: there may be intents in it that nobody settled.
    pub opened: bool,
}

/// What the ledger tells of earlier processes.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Intents that nobody knows the outcome of.
    pub unsettled: Vec<OpenIntent>,
    /// What was disposed of within the last day, oldest first.
    pub runs: Vec<RunResult>,
}

enum Job {
    Commit {
        entries: Vec<Entry>,
        answer: oneshot::Sender<Result<Range<u64>, Unrecorded>>,
    },
    Note(Vec<Entry>),
    Past {
        last: Option<BTreeMap<String, LastRun>>,
        answer: oneshot::Sender<Result<Past, Unrecorded>>,
    },
    Finish(oneshot::Sender<()>),
}

/// Hands entries to the ledger's thread.
#[derive(Clone)]
pub struct Scribe {
    jobs: mpsc::Sender<Job>,
    ids: Arc<Ids>,
    pseudonyms: Arc<Pseudonyms>,
}

/// Ids of entries: the instant at which this process began, and a count.
struct Ids {
    begun: i128,
    count: AtomicU64,
}

impl Scribe {
    /// Opens the ledger in a thread of its own and tells `reports` how it stands. A ledger that cannot be opened is told
    /// too, and tried again: the operator goes on closing and holding without it.
    ///
    /// # Errors
    /// When the key for pseudonyms can be neither read nor made, or no thread can be started.
    pub fn start(
        options: LedgerOptions,
        metrics: Metrics,
        reports: Sender<Report>,
    ) -> std::io::Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        let begun = clock::now().as_nanosecond();
        let pseudonyms = Arc::new(keeping::pseudonyms(&options)?);
        let clerk = Clerk {
            options,
            kept: None,
            known: None,
            backlog: VecDeque::new(),
            missed: 0,
            told: None,
            touched: BTreeSet::new(),
            refused: BTreeSet::new(),
            opened: false,
            acknowledged: None,
            patience: SOON,
            prefix: format!("{begun:x}-"),
            metrics,
            reports,
        };
        std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || clerk.run(&inbox))?;
        Ok(Self {
            jobs,
            ids: Arc::new(Ids {
                begun,
                count: AtomicU64::new(0),
            }),
            pseudonyms,
        })
    }

    /// An entry of a draft.
    #[must_use]
    pub fn entry(&self, draft: Draft, phase: Phase) -> Entry {
        let count = self.ids.count.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:x}-{count:x}", self.ids.begun);
        let actor = draft
            .person
            .as_deref()
            .map(|person| self.pseudonyms.actor(person));
        draft.entry(id, clock::now(), phase, actor)
    }

    /// What came of an intent.
    #[must_use]
    pub fn outcome(&self, intent: &Entry, settled: bool, what: &str, why: &str) -> Entry {
        let count = self.ids.count.fetch_add(1, Ordering::Relaxed);
        let mut detail = serde_json::Map::new();
        detail.insert("result".to_owned(), what.into());
        if !why.is_empty() {
            detail.insert("why".to_owned(), why.into());
        }
        Entry {
            id: format!("{:x}-{count:x}", self.ids.begun),
            time: clock::now(),
            phase: Phase::Outcome {
                intent: intent.id.clone(),
                settled,
            },
            detail,
            ..intent.clone()
        }
    }

    /// Returns once the entries are durable, with their indices.
    ///
    /// # Errors
    /// When they are not: nothing may be done that they announce.
    pub async fn commit(&self, entries: Vec<Entry>) -> Result<Range<u64>, Unrecorded> {
        let (answer, answered) = oneshot::channel();
        let gone = || Unrecorded("its thread has ended".to_owned());
        self.jobs
            .send(Job::Commit { entries, answer })
            .map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Has the entries recorded as soon as that can be.
    pub fn note(&self, entries: Vec<Entry>) {
        if !entries.is_empty() && self.jobs.send(Job::Note(entries)).is_err() {
            tracing::error!("the ledger's thread has ended; entries are lost");
        }
    }

    /// Returns once what was noted so far is written, or cannot be. Nothing is recorded afterwards.
    pub async fn finish(&self) {
        let (answer, answered) = oneshot::channel();
        if self.jobs.send(Job::Finish(answer)).is_ok() {
            // A thread that has ended has nothing left to write.
            let _ = answered.await;
        }
    }

    /// Intents of earlier processes that nobody knows the outcome of, and, where it is said what the statuses of policies tell
    /// of, what was disposed of within a day.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn past(&self, last: Option<BTreeMap<String, LastRun>>) -> Result<Past, Unrecorded> {
        let (answer, answered) = oneshot::channel();
        let gone = || Unrecorded("its thread has ended".to_owned());
        self.jobs
            .send(Job::Past { last, answer })
            .map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Entries that somebody waits for, and whom to tell.
type Commit = (Vec<Entry>, oneshot::Sender<Result<Range<u64>, Unrecorded>>);

/// The thread's own side.
struct Clerk {
    options: LedgerOptions,
    kept: Option<Kept>,
    /// The newest checkpoint that this process signed or found.
    known: Option<String>,
    backlog: VecDeque<Entry>,
    /// Entries that found no place in the backlog.
    missed: u64,
    told: Option<LedgerState>,
    touched: BTreeSet<String>,
    /// Intents that could not be made durable, and whose acts were not done. They may be found in the ledger all the same.
    refused: BTreeSet<String>,
    opened: bool,
    /// Entries that this process knows to be durable.
    acknowledged: Option<u64>,
    /// How long until the next try.
    patience: Duration,
    /// Begins the ids of this process.
    prefix: String,
    metrics: Metrics,
    reports: Sender<Report>,
}

impl Clerk {
    fn run(mut self, inbox: &Receiver<Job>) {
        loop {
            self.ensure_open();
            let waiting = !self.backlog.is_empty() || self.kept.is_none();
            let first = if waiting {
                inbox.recv_timeout(self.patience)
            } else {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match first {
                Ok(job) => {
                    if let Some(answer) = self.work(job, inbox) {
                        self.work_off(Vec::new());
                        self.farewell();
                        let _ = answer.send(());
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.work_off(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => {
                    self.work_off(Vec::new());
                    self.farewell();
                    return;
                }
            }
        }
    }

    fn farewell(&self) {
        if !self.backlog.is_empty() {
            tracing::error!(
                entries = self.backlog.len(),
                "the operator ends with entries that the ledger does not have"
            );
        }
    }

    /// Takes what waits beside a job into the same commit. Returns whom to tell when that was the last.
    fn work(&mut self, first: Job, inbox: &Receiver<Job>) -> Option<oneshot::Sender<()>> {
        let mut commits = Vec::new();
        let mut count = self.backlog.len();
        let mut finish = None;
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Commit { entries, answer } => {
                    let encoded = |entry: &Entry| entry.encode(&self.options.origin).err();
                    if let Some(error) = entries.iter().find_map(encoded) {
                        let _ = answer.send(Err(Unrecorded(error.to_string())));
                        next = inbox.try_recv().ok();
                        continue;
                    }
                    count += entries.len();
                    commits.push((entries, answer));
                }
                Job::Note(entries) => {
                    count += entries.len();
                    self.keep(entries);
                }
                Job::Past { last, answer } => {
                    self.ensure_open();
                    let _ = answer.send(self.past(last.as_ref()));
                }
                Job::Finish(answer) => {
                    finish = Some(answer);
                    break;
                }
            }
            next = (count < BATCH).then(|| inbox.try_recv().ok()).flatten();
        }
        self.work_off(commits);
        finish
    }

    fn keep(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if let Err(error) = entry.encode(&self.options.origin) {
                // It would keep all that follow out.
                tracing::error!(%error, kind = entry.kind.as_str(), "an entry cannot be recorded");
                self.missed += 1;
                self.metrics.unrecorded(1);
            } else if self.backlog.len() < BACKLOG {
                self.backlog.push_back(entry);
            } else {
                self.missed += 1;
                self.metrics.unrecorded(1);
            }
        }
    }

    fn past(&self, last: Option<&BTreeMap<String, LastRun>>) -> Result<Past, Unrecorded> {
        let kept = self.kept.as_ref().ok_or_else(|| self.problem())?;
        let open = kept.ledger.unsettled().values();
        let earlier = open.filter(|open| !open.intent.id.starts_with(&self.prefix));
        let unsettled = earlier.cloned().collect();
        let runs = match last {
            Some(last) => {
                let (reader, size) = (kept.ledger.reader(), kept.ledger.head().size);
                past::runs(&reader, size, &self.prefix, last, clock::now())
                    .map_err(|error| Unrecorded(causes(&error)))?
            }
            None => Vec::new(),
        };
        Ok(Past { unsettled, runs })
    }

    fn problem(&self) -> Unrecorded {
        let said = self.told.as_ref().and_then(|told| told.problem.clone());
        Unrecorded(said.unwrap_or_else(|| "it is not open yet".to_owned()))
    }

    /// Writes what was noted and what waits for an answer, in the order in which it came.
    fn work_off(&mut self, commits: Vec<Commit>) {
        self.ensure_open();
        self.record_gap();
        let noted = self.backlog.len();
        let mut batch: Vec<Entry> = self.backlog.iter().cloned().collect();
        let mut ranges = Vec::new();
        for (entries, _) in &commits {
            ranges.push(batch.len()..batch.len() + entries.len());
            batch.extend(entries.iter().cloned());
        }
        if batch.is_empty() {
            return;
        }
        let written = match &mut self.kept {
            Some(kept) => kept
                .append(&batch)
                .map_err(|error| Unrecorded(causes(&error))),
            None => Err(self.problem()),
        };
        // What was tried and failed may be stored all the same: it is read anew.
        if written.is_err() && self.kept.take().is_some() {
            let intents = commits.iter().flat_map(|(entries, _)| entries);
            self.refused.extend(intents.map(|entry| entry.id.clone()));
        }
        match written {
            Ok(range) => {
                self.acknowledged = Some(range.end);
                self.backlog.drain(..noted);
                self.metrics.recorded(batch.len());
                self.touched.extend(
                    batch
                        .iter()
                        .filter_map(|entry| entry.subject.namespace.clone()),
                );
                for ((_, answer), within) in commits.into_iter().zip(ranges) {
                    let begin = range.start + count(within.start);
                    let end = range.start + count(within.end);
                    // Whoever asked may have been stopped meanwhile.
                    let _ = answer.send(Ok(begin..end));
                }
                self.tell(None);
            }
            Err(error) => {
                for (_, answer) in commits {
                    let _ = answer.send(Err(error.clone()));
                }
                self.tell(Some(error.0));
            }
        }
    }

    /// What found no place is stated, in the place where it is missing.
    fn record_gap(&mut self) {
        if self.missed == 0 || self.backlog.len() >= BACKLOG || self.kept.is_none() {
            return;
        }
        let missed = std::mem::take(&mut self.missed);
        let now = clock::now();
        let mut detail = serde_json::Map::new();
        detail.insert("entriesMissing".to_owned(), missed.into());
        self.backlog.push_back(Entry {
            id: format!("gap-{:x}", now.as_nanosecond()),
            time: now,
            kind: EntryKind::LedgerRecovered,
            subject: Subject {
                api_version: "v1".to_owned(),
                kind: "Ledger".to_owned(),
                namespace: None,
                uid: self.options.origin.replace('/', ":"),
            },
            tenant: None,
            phase: Phase::Fact,
            cause: None,
            actor: None,
            policy: None,
            detail,
        });
    }

    fn ensure_open(&mut self) {
        if self.kept.is_some() {
            return;
        }
        match Kept::open(
            &self.options,
            self.acknowledged,
            self.known.as_deref(),
            clock::now(),
        ) {
            Ok(kept) => {
                self.opened = true;
                self.patience = SOON;
                self.take_up(&kept);
                self.kept = Some(kept);
                self.tell(None);
            }
            Err(error) => {
                self.patience = AGAIN.min(self.patience * 2);
                self.tell(Some(causes(&error)));
            }
        }
    }

    /// What was not acknowledged and is in the ledger all the same: noted entries are not written twice, and intents whose
    /// acts were not done get their outcome.
    fn take_up(&mut self, kept: &Kept) {
        self.backlog
            .retain(|entry| !kept.unacknowledged.contains(&entry.id));
        let refused = std::mem::take(&mut self.refused);
        let now = clock::now();
        for (id, open) in kept.ledger.unsettled() {
            if refused.contains(id) {
                let mut detail = serde_json::Map::new();
                detail.insert(
                    "result".to_owned(),
                    "not done: it was not recorded in time".into(),
                );
                self.backlog.push_back(Entry {
                    id: format!("{id}-o"),
                    time: now,
                    phase: Phase::Outcome {
                        intent: id.clone(),
                        settled: true,
                    },
                    detail,
                    ..open.intent.clone()
                });
            }
        }
    }

    /// Tells how the ledger stands, when that is news.
    fn tell(&mut self, problem: Option<String>) {
        if let (Some(problem), None) = (
            &problem,
            self.told.as_ref().and_then(|told| told.problem.as_ref()),
        ) {
            tracing::error!(
                problem,
                "the ledger cannot be written: nothing is opened or disposed of; closing and holding go on"
            );
        }
        let known = &mut self.known;
        let head = self.kept.as_ref().map(|kept| {
            let head = kept.ledger.head();
            *known = Some(head.checkpoint);
            LedgerHead {
                origin: head.origin,
                size: head.size,
                root: head.root,
            }
        });
        self.metrics.ledger(head.as_ref(), problem.is_none());
        let state = LedgerState { head, problem };
        if self.told.as_ref() == Some(&state) {
            return;
        }
        self.told = Some(state.clone());
        let news = LedgerNews {
            state,
            namespaces: std::mem::take(&mut self.touched),
            opened: std::mem::take(&mut self.opened),
        };
        // Nobody listens only when the engine has stopped.
        let _ = self.reports.blocking_send(Report::Ledger(Box::new(news)));
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// An error with its causes, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
