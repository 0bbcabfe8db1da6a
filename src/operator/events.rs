//! Events for people, on transitions only, after the transition is stored. Best effort: the record is the status.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::Semaphore;

use crate::model::Target;
use crate::plan::Notice;

/// The API server refuses notes of more than 1,024 bytes.
const NOTE: usize = 1000;
/// How long one event may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Events on their way at once: a crowd of grants must not crowd out the writes that are told of.
const REQUESTS: usize = 4;
/// Events that may wait. What comes on top is in the statuses all the same.
const WAITING: usize = 1024;

/// Publishes events.
#[derive(Clone)]
pub struct Herald {
    recorder: Recorder,
    requests: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Herald {
    /// A herald that speaks as `covenant`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let reporter = Reporter {
            controller: "covenant".to_owned(),
            instance: None,
        };
        Self {
            recorder: Recorder::new(client, reporter),
            requests: Arc::new(Semaphore::new(REQUESTS)),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }

    /// Tells of a transition of an object, without making anybody wait.
    pub fn tell(&self, target: &Target, uid: Option<&str>, notice: &Notice) {
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            tracing::debug!(object = %target, reason = notice.reason, "too many events wait; this one is left out");
            return;
        };
        let reference = ObjectReference {
            api_version: Some(target.kind.api_version()),
            kind: Some(target.kind.as_str().to_owned()),
            name: Some(target.key.name.clone()),
            namespace: (!target.key.namespace.is_empty()).then(|| target.key.namespace.clone()),
            uid: uid.map(str::to_owned),
            ..ObjectReference::default()
        };
        let event = event(notice);
        let (recorder, requests) = (self.recorder.clone(), Arc::clone(&self.requests));
        tokio::spawn(async move {
            // The semaphore is never closed.
            let _permit = requests.acquire().await;
            let publishing = recorder.publish(&event, &reference);
            let problem = match tokio::time::timeout(PATIENCE, publishing).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer in time".to_owned()),
            };
            if let Some(problem) = problem {
                tracing::warn!(
                    reason = event.reason,
                    problem,
                    "event not published; the status has it"
                );
            }
            drop(place);
        });
    }
}

fn event(notice: &Notice) -> Event {
    let Notice {
        reason,
        message,
        warning,
    } = notice;
    Event {
        type_: if *warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        action: reason.clone(),
        reason: reason.clone(),
        note: Some(message[..message.floor_char_boundary(NOTE)].to_owned()),
        secondary: None,
    }
}
