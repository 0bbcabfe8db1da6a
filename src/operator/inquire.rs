//! Finds out what plans ask for, in tasks of its own: canaries on every API server, counts, the end of pods, nudges.
//!
//! May not: decide what an answer means, or write desired state.

mod canary;
pub mod completion;
mod ending;
mod nudge;
mod secrets;
mod survey;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Client, Config};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;

use super::clock;
use super::scribe::Scribe;
use super::writer::Report;
use crate::api::{LedgerRange, PolicyAnnouncement, PolicyReference};
use crate::ledger::{Entry, Phase};
use crate::model::{Ended, ObjectKey, Proof, SecretsTrial, Survey};
use crate::plan::Inquiry;
use crate::record::Draft;
use canary::Servers;
use completion::Completion;

/// Inquiries under way at once; each makes a few requests.
const INQUIRIES: usize = 8;
/// Objects in a page of a list.
const PAGE: u32 = 500;
/// Most of what a server said that is kept.
const SAID: usize = 300;
/// After a guard was written, API servers go on with the one before for about a second; a canary before that would prove
/// the past.
const GUARDS_SETTLE: Duration = Duration::from_millis(1500);
/// What could not be done is asked for again after this long.
const AGAIN: Duration = Duration::from_secs(5);

/// What an inquiry came to.
#[derive(Debug)]
pub enum Learned {
    /// What canaries showed.
    Proof(ObjectKey, String, Proof),
    /// What was counted.
    Survey(String, Survey),
    /// What became of pods.
    Ended(ObjectKey, String, Ended),
    /// The controllers were nudged.
    Nudged(ObjectKey, String),
    /// The release of a hold is in the ledger, at this index.
    Recorded(ObjectKey, String, u64),
    /// Which objects have completed.
    Completed(Vec<Completion>),
    /// A version of the written policy is announced, by key and uid of the baseline.
    Announced(ObjectKey, String, PolicyAnnouncement),
    /// What canaries showed of Secrets in etcd.
    Secrets(SecretsTrial),
    /// Nothing; it was written to the log why.
    Nothing,
}

/// What is asked, and what the ledger says of it where that is anything.
#[derive(Debug)]
pub struct Asked {
    /// The inquiry.
    pub inquiry: Inquiry,
    /// What the ledger says.
    pub drafts: Vec<Draft>,
}

/// Finds out.
#[derive(Clone)]
pub struct Inquirer {
    client: Client,
    servers: Servers,
    scribe: Scribe,
    turns: Arc<Semaphore>,
    reports: Sender<Report>,
}

impl Inquirer {
    /// An inquirer that tells `reports` what it found.
    #[must_use]
    pub fn new(client: Client, config: Config, scribe: Scribe, reports: Sender<Report>) -> Self {
        Self {
            servers: Servers::new(client.clone(), config),
            scribe,
            client,
            turns: Arc::new(Semaphore::new(INQUIRIES)),
            reports,
        }
    }

    /// Carries out one inquiry and tells what came of it. `guards_written`: when a guard was last seen to change.
    pub async fn ask(self, asked: Asked, guards_written: Option<Instant>) {
        let Asked { inquiry, drafts } = asked;
        // The semaphore is never closed.
        let permit = self.turns.acquire().await;
        let learned = match &inquiry {
            Inquiry::Prove {
                hold,
                uid,
                fingerprint,
                servers,
            } => {
                if let Some(left) =
                    guards_written.and_then(|at| GUARDS_SETTLE.checked_sub(at.elapsed()))
                {
                    tokio::time::sleep(left).await;
                }
                let answers = self.servers.prove(servers, hold, uid).await;
                let proof = Proof {
                    fingerprint: fingerprint.clone(),
                    at: clock::now(),
                    answers,
                };
                Learned::Proof(hold.clone(), uid.clone(), proof)
            }
            Inquiry::Survey {
                namespace,
                fingerprint,
                labels,
            } => {
                let survey = survey::survey(&self.client, namespace, fingerprint, labels).await;
                Learned::Survey(namespace.clone(), survey)
            }
            Inquiry::End { hold, uid, grace } => {
                // Pods end under a hold, which a full disk does not hold up; the intent is recorded first where it can be.
                let mut drafts = drafts.into_iter();
                let intent = drafts
                    .next()
                    .map(|draft| self.scribe.entry(draft, Phase::Intent));
                self.scribe.note(intent.iter().cloned().collect());
                let ended = ending::end(&self.client, hold, uid, *grace).await;
                self.scribe.note(
                    intent
                        .iter()
                        .map(|intent| self.ended(intent, &ended))
                        .collect(),
                );
                Learned::Ended(hold.clone(), uid.clone(), ended)
            }
            Inquiry::Nudge { hold, uid } => match nudge::nudge(&self.client, &hold.namespace).await
            {
                Ok(()) => Learned::Nudged(hold.clone(), uid.clone()),
                Err(error) => {
                    tracing::warn!(%hold, %error, "workloads could not be nudged; it is tried again");
                    tokio::time::sleep(AGAIN).await;
                    Learned::Nothing
                }
            },
            Inquiry::Record { hold, uid } => match self.record(hold, drafts).await {
                Some(range) => Learned::Recorded(hold.clone(), uid.clone(), range.start),
                None => Learned::Nothing,
            },
            Inquiry::Announce {
                baseline,
                uid,
                policy,
                tenants,
            } => match self.record(baseline, drafts).await {
                Some(range) => Learned::Announced(
                    baseline.clone(),
                    uid.clone(),
                    announced(policy, tenants.len(), &range),
                ),
                None => Learned::Nothing,
            },
            Inquiry::Complete { objects, .. } => {
                Learned::Completed(completion::completions(&self.client, objects).await)
            }
            Inquiry::Secrets {
                namespace,
                fingerprint,
                starts,
                servers,
            } => Learned::Secrets(SecretsTrial {
                fingerprint: fingerprint.clone(),
                starts: *starts,
                answers: self.servers.try_secrets(servers, namespace).await,
                at: clock::now(),
                failures: 0,
                repeats: 0,
            }),
            // A run has ways of its own.
            Inquiry::Dispose(_) => Learned::Nothing,
        };
        drop(permit);
        let report = Report::Learned {
            inquiry: Box::new(inquiry),
            learned: Box::new(learned),
        };
        // Nobody listens only when the engine has stopped.
        let _ = self.reports.send(report).await;
    }
}

impl Inquirer {
    /// The indices of these entries, once they are durable.
    async fn record(&self, about: &ObjectKey, drafts: Vec<Draft>) -> Option<Range<u64>> {
        let entry = |draft| self.scribe.entry(draft, Phase::Fact);
        let entries: Vec<Entry> = drafts.into_iter().map(entry).collect();
        if entries.is_empty() {
            return None;
        }
        match self.scribe.commit(entries).await {
            Ok(range) => Some(range),
            Err(error) => {
                tracing::warn!(%about, %error, "what was decided is not recorded; it is tried again");
                tokio::time::sleep(AGAIN).await;
                None
            }
        }
    }

    fn ended(&self, intent: &Entry, ended: &Ended) -> Entry {
        let result = match ended.remaining {
            Some(0) => "none left",
            Some(_) => "some left",
            None => "not known how many are left",
        };
        let why = ended.problem.as_deref().unwrap_or_default();
        self.scribe.outcome(intent, true, result, why)
    }
}

fn announced(policy: &PolicyReference, tenants: usize, range: &Range<u64>) -> PolicyAnnouncement {
    let index = |index: u64| i64::try_from(index).unwrap_or(i64::MAX);
    PolicyAnnouncement {
        policy: policy.clone(),
        tenants: i64::try_from(tenants).unwrap_or(i64::MAX),
        ledger: Some(LedgerRange {
            from: index(range.start),
            to: index(range.end.saturating_sub(1)),
        }),
    }
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

fn short(text: &str) -> String {
    text[..text.floor_char_boundary(SAID)].to_owned()
}

/// Every object of a list, page by page.
async fn all(
    api: &Api<DynamicObject>,
    mut parameters: ListParams,
) -> Result<Vec<DynamicObject>, kube::Error> {
    parameters = parameters.limit(PAGE);
    let mut objects = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(objects),
        }
    }
}
