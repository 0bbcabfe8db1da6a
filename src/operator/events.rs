//! Events for people, on transitions only, after the transition is stored. Best effort: the record is the status.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::model::Target;
use crate::plan::Notice;

/// The API server refuses longer notes.
const NOTE: usize = 1000;

/// Publishes events.
#[derive(Clone)]
pub struct Herald {
    recorder: Recorder,
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
        }
    }

    /// Tells of the transitions of one object, without making anybody wait.
    pub fn tell(&self, target: &Target, uid: Option<&str>, notices: Vec<Notice>) {
        let reference = ObjectReference {
            api_version: Some(target.kind.api_version()),
            kind: Some(target.kind.as_str().to_owned()),
            name: Some(target.key.name.clone()),
            namespace: (!target.key.namespace.is_empty()).then(|| target.key.namespace.clone()),
            uid: uid.map(str::to_owned),
            ..ObjectReference::default()
        };
        for Notice {
            reason,
            message,
            warning,
        } in notices
        {
            let event = Event {
                type_: if warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                action: reason.clone(),
                reason,
                note: Some(message.chars().take(NOTE).collect()),
                secondary: None,
            };
            let (recorder, reference) = (self.recorder.clone(), reference.clone());
            tokio::spawn(async move {
                if let Err(error) = recorder.publish(&event, &reference).await {
                    tracing::warn!(reason = event.reason, error = %error, "event not published; the status has it");
                }
            });
        }
    }
}
