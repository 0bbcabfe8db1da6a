//! A run of disposal: content digested, intents durable, deletes with preconditions, outcomes noted. In this order, chunk by
//! chunk; nothing is deleted whose intent is not in the ledger.
//!
//! May not: choose what goes. The plan did, and whoever changes the plan's grounds halts the run.

mod content;
mod deletion;
pub mod settle;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::core::ApiResource;
use serde_json::Value;

use super::clock;
use super::scribe::Scribe;
use super::witness;
use crate::ledger::{Entry, OpenIntent, Phase};
use crate::model::{ObjectKey, RefusedItem, ResourceKind, RunResult};
use crate::plan::{Candidate, Run};
use crate::record;
use content::{Contents, Unread};
use deletion::Deleted;

/// Objects whose intents are one commit.
const CHUNK: usize = 512;
/// Deletes under way at once.
const DELETES: usize = 64;
/// What was refused is proposed again after this long, the first time.
const LATER: SignedDuration = SignedDuration::from_secs(60);
/// What changed since it was planned is looked at again as soon as its stream has told of it.
const SOON: SignedDuration = SignedDuration::from_secs(1);
const CHANGED: &str = "it was changed or replaced since it was planned";
/// Most of what an API server said that is kept.
const SAID: usize = 300;
/// How long a halted run's caller waits at most for what is under way.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Stops a run between two deletes.
#[derive(Clone, Debug, Default)]
pub struct Halt(Arc<AtomicBool>);

impl Halt {
    /// No further delete is sent.
    pub fn halt(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_halted(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// What a run needs.
#[derive(Clone)]
pub struct Disposer {
    client: Client,
    scribe: Scribe,
}

/// What became of a run.
#[derive(Debug)]
pub struct Disposed {
    /// For the World.
    pub result: RunResult,
    /// Objects that are gone: the World need not wait for its streams to say so.
    pub gone: Vec<(ResourceKind, ObjectKey, String)>,
    /// Deletes that were accepted and are not complete, by their intents.
    pub pending: Vec<Entry>,
    /// Intents whose delete may have gone through, or not.
    pub unknown: Vec<OpenIntent>,
    /// Why the clock is doubted, if it is: nothing was deleted then.
    pub doubt: Option<String>,
}

/// One object, with its intent in the ledger.
struct Ready<'a> {
    candidate: &'a Candidate,
    intent: Entry,
    index: u64,
}

impl Disposer {
    /// A disposer that records with this scribe.
    #[must_use]
    pub fn new(client: Client, scribe: Scribe) -> Self {
        Self { client, scribe }
    }

    /// Carries out a run.
    pub async fn dispose(
        &self,
        run: &Run,
        resources: &BTreeMap<ResourceKind, ApiResource>,
        halt: &Halt,
    ) -> Disposed {
        let mut outcome = Tally::new(run);
        if let Some(doubt) = witness::doubt(&self.client).await {
            outcome.doubt = Some(doubt);
            return outcome.done();
        }
        let contents = Contents::of(&self.client, run, resources).await;
        let mut chunks = run.candidates.chunks(CHUNK);
        let mut prepared = match chunks.next() {
            Some(first) => Some(self.ready(run, first, &contents, halt).await),
            None => None,
        };
        while let Some((ready, refused)) = prepared {
            outcome.result.refused.extend(refused);
            let next = chunks.next();
            // The next chunk's intents become durable while this one is deleted.
            let ahead = async {
                match next {
                    Some(next) => Some(self.ready(run, next, &contents, halt).await),
                    None => None,
                }
            };
            let (deleted, ahead) = join(self.delete_all(ready, resources, halt), ahead).await;
            prepared = ahead;
            let mut outcomes = Vec::with_capacity(deleted.len());
            for (ready, deleted) in deleted {
                outcomes.push(outcome.take(&self.scribe, ready, deleted));
            }
            // Kept until it is durable, whatever becomes of this run.
            self.scribe.note(outcomes);
        }
        outcome.done()
    }

    /// The objects of a chunk that are as they were planned, each with its intent in the ledger.
    async fn ready<'a>(
        &self,
        run: &Run,
        chunk: &'a [Candidate],
        contents: &Contents,
        halt: &Halt,
    ) -> (Vec<Ready<'a>>, Vec<RefusedItem>) {
        let mut refused = Vec::new();
        let mut drafted = Vec::new();
        for candidate in chunk {
            match contents.digest(&self.client, candidate).await {
                Ok(content) => {
                    let mut draft = record::disposal(run, candidate, &content.digest);
                    if let Some(volume) = content.volume {
                        draft = draft.with("volume", volume);
                    }
                    drafted.push((candidate, self.scribe.entry(draft, Phase::Intent)));
                }
                Err(Unread::Changed) => {
                    refused.push(later(candidate, "Changed", CHANGED.to_owned(), SOON));
                }
                Err(Unread::Refused(said)) => {
                    refused.push(later(candidate, "Refused", said, LATER))
                }
                Err(Unread::Unknown(said)) => {
                    refused.push(later(candidate, "Unknown", said, LATER))
                }
            }
        }
        if drafted.is_empty() || halt.is_halted() {
            return (Vec::new(), refused);
        }
        let intents = drafted.iter().map(|(_, intent)| intent.clone()).collect();
        match self.scribe.commit(intents).await {
            Ok(range) => {
                let ready = drafted.into_iter().zip(range);
                let ready = ready.map(|((candidate, intent), index)| Ready {
                    candidate,
                    intent,
                    index,
                });
                (ready.collect(), refused)
            }
            Err(error) => {
                let unrecorded = drafted.into_iter().map(|(candidate, _)| {
                    later(candidate, "LedgerUnavailable", error.to_string(), LATER)
                });
                refused.extend(unrecorded);
                (Vec::new(), refused)
            }
        }
    }

    async fn delete_all<'a>(
        &self,
        ready: Vec<Ready<'a>>,
        resources: &BTreeMap<ResourceKind, ApiResource>,
        halt: &Halt,
    ) -> Vec<(Ready<'a>, Deleted)> {
        let mut deleted = Vec::with_capacity(ready.len());
        let mut under_way = FuturesUnordered::new();
        for one in ready {
            if under_way.len() >= DELETES {
                deleted.extend(under_way.next().await);
            }
            under_way.push(self.delete(one, resources, halt));
        }
        while let Some(one) = under_way.next().await {
            deleted.push(one);
        }
        deleted
    }

    async fn delete<'a>(
        &self,
        ready: Ready<'a>,
        resources: &BTreeMap<ResourceKind, ApiResource>,
        halt: &Halt,
    ) -> (Ready<'a>, Deleted) {
        let deleted = match resources.get(&ready.candidate.kind) {
            _ if halt.is_halted() => Deleted::NotTried,
            None => Deleted::NotTried,
            Some(resource) => deletion::delete(&self.client, resource, ready.candidate).await,
        };
        (ready, deleted)
    }
}

/// What a run comes to, object by object.
struct Tally {
    result: RunResult,
    gone: Vec<(ResourceKind, ObjectKey, String)>,
    pending: Vec<Entry>,
    unknown: Vec<OpenIntent>,
    doubt: Option<String>,
}

impl Tally {
    fn new(run: &Run) -> Self {
        Self {
            result: RunResult {
                namespace: run.namespace.clone(),
                at: clock::now(),
                policies: BTreeMap::new(),
                refused: Vec::new(),
            },
            gone: Vec::new(),
            pending: Vec::new(),
            unknown: Vec::new(),
            doubt: None,
        }
    }

    /// Counts what became of an object, and returns its outcome for the ledger.
    fn take(&mut self, scribe: &Scribe, ready: Ready<'_>, deleted: Deleted) -> Entry {
        let Ready {
            candidate,
            intent,
            index,
        } = ready;
        let (settled, result, why) = match &deleted {
            // A claim is gone when its volume is.
            Deleted::Gone if has_volume(&intent) => (false, record::DELETED_VOLUME_LEFT, ""),
            Deleted::Gone => (true, record::DELETED, ""),
            Deleted::Accepted => (false, record::ACCEPTED, ""),
            Deleted::WasGone => (true, "was gone already", ""),
            Deleted::Changed => (true, "not deleted: it was changed or replaced", ""),
            Deleted::NotTried => (true, "not deleted: the run was halted", ""),
            Deleted::Refused(said) => (true, "not deleted: refused", said.as_str()),
            // It may have gone through and the answer been lost: it is looked at again.
            Deleted::Unknown(said) => (false, "not known", said.as_str()),
        };
        let entry = scribe.outcome(&intent, settled, result, why);
        let counted = matches!(deleted, Deleted::Gone | Deleted::Accepted);
        if counted {
            let policy = self.result.policies.entry(candidate.policy.uid.clone());
            policy.or_default().count(Some(index));
        }
        match deleted {
            Deleted::Gone | Deleted::WasGone => {
                let uid = candidate.uid.clone();
                self.gone
                    .push((candidate.kind.clone(), candidate.key.clone(), uid));
            }
            Deleted::Changed => {
                self.result
                    .refused
                    .push(later(candidate, "Changed", CHANGED.to_owned(), SOON));
            }
            Deleted::Refused(said) => {
                self.result
                    .refused
                    .push(later(candidate, "Refused", said, LATER));
            }
            Deleted::Unknown(said) => {
                self.result
                    .refused
                    .push(later(candidate, "Unknown", said, LATER));
                self.unknown.push(OpenIntent {
                    index,
                    intent,
                    so_far: Some(entry.clone()),
                });
                return entry;
            }
            Deleted::Accepted | Deleted::NotTried => {}
        }
        if !settled {
            self.pending.push(intent);
        }
        entry
    }

    fn done(self) -> Disposed {
        let Self {
            mut result,
            gone,
            pending,
            unknown,
            doubt,
        } = self;
        result.at = clock::now();
        Disposed {
            result,
            gone,
            pending,
            unknown,
            doubt,
        }
    }
}

/// Whether an intent is about a claim with a volume behind it.
#[must_use]
pub fn has_volume(intent: &Entry) -> bool {
    intent.detail.get("volume").is_some_and(Value::is_string)
}

fn later(
    candidate: &Candidate,
    category: &str,
    message: String,
    wait: SignedDuration,
) -> RefusedItem {
    let since = clock::now();
    let until = since.checked_add(wait).unwrap_or(Timestamp::MAX);
    RefusedItem {
        kind: candidate.kind.clone(),
        key: candidate.key.clone(),
        uid: candidate.uid.clone(),
        category: category.to_owned(),
        message: message[..message.floor_char_boundary(SAID)].to_owned(),
        since,
        until,
    }
}
