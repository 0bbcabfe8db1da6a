//! `covenant hold explain`: the stories of holds, for officers and auditors.
//!
//! May not: need more rights than reading holds. What else may not be read is said to be missing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, Error};

use super::audit::Audited;
use super::{Place, get, holds, unread};
use crate::cli::plan::{Instant, Output, print};
use crate::model::ObjectKey;
use crate::render::{self, HoldStory, Refusals, Refused};

/// Objects asked for at once.
const PAGE: u32 = 500;

/// Arguments of `covenant hold explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArguments {
    /// Name of the hold; every hold of the namespace when absent.
    name: Option<String>,
    #[command(flatten)]
    place: Place,
    /// An audit log of an API server, to tell of every refusal in it, people's too. Without it events tell, which are kept
    /// for an hour or so and know only what controllers met.
    #[arg(long, value_name = "FILE")]
    audit_log: Option<PathBuf>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Tells the stories.
pub(super) async fn run(arguments: &ExplainArguments) -> anyhow::Result<()> {
    let (client, namespace) = arguments.place.open().await?;
    let now = Instant::default().resolve()?;
    let objects = match &arguments.name {
        Some(name) => vec![get(&client, &ObjectKey::new(&namespace, name)).await?],
        None => match pages(&holds(&client, &namespace)).await {
            Ok(objects) => objects,
            Err(error) => return Err(unread(&client, &namespace, error).await),
        },
    };
    let audited = match &arguments.audit_log {
        Some(path) => Some(Audited::read(path)?),
        None => None,
    };
    let events = match &audited {
        Some(_) => None,
        None => events(&client, &namespace).await,
    };
    let stories: Vec<HoldStory> = objects
        .into_iter()
        .map(|object| {
            let refusals = match &audited {
                Some(audited) => Refusals::Audited(audited.of(&ObjectKey::of(&object))),
                None => refusals(&object, events.as_deref()),
            };
            render::hold_story(object, refusals, now)
        })
        .collect();
    match (&arguments.name, stories.as_slice()) {
        (Some(_), [story]) => print(arguments.output, story, || render::hold_story_text(story)),
        _ => {
            let list = render::hold_stories(&namespace, stories, now);
            print(arguments.output, &list, || render::hold_stories_text(&list))
        }
    }
}

async fn pages<K>(api: &Api<K>) -> Result<Vec<K>, Error>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let mut parameters = ListParams::default().limit(PAGE);
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

/// The events of the namespace; none where they cannot be read.
async fn events(client: &Client, namespace: &str) -> Option<Vec<Event>> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    pages(&api).await.ok()
}

/// What this hold refused, as controllers complained of it: every refusal ends in the name of its hold.
fn refusals(hold: &DynamicObject, events: Option<&[Event]>) -> Refusals {
    let Some(events) = events else {
        return Refusals::Unreadable;
    };
    let namespace = hold.metadata.namespace.as_deref().unwrap_or_default();
    let name = hold.metadata.name.as_deref().unwrap_or_default();
    let mark = format!("[ProcessingHold {namespace}/{name}]");
    // A controller tries again under a new name each time; the latest of its refusals tells enough.
    let mut found: BTreeMap<String, Refused> = BTreeMap::new();
    for event in events {
        let said = event.message.as_deref().unwrap_or_default();
        let Some(said) = said.strip_suffix(&mark).or_else(|| {
            let (before, _) = said.split_once(&mark)?;
            Some(before)
        }) else {
            continue;
        };
        let said = said
            .split_once("denied request: ")
            .map_or(said, |(_, it)| it);
        let object = &event.involved_object;
        let object = format!(
            "{}/{}",
            object.kind.as_deref().unwrap_or("?"),
            object.name.as_deref().unwrap_or("?")
        );
        let series = event.series.as_ref();
        let last = series
            .and_then(|series| series.last_observed_time.as_ref().map(|time| time.0))
            .or(event.last_timestamp.as_ref().map(|time| time.0))
            .or(event.event_time.as_ref().map(|time| time.0));
        let count = series
            .and_then(|series| series.count)
            .or(event.count)
            .unwrap_or(1);
        let refused = found.entry(object.clone()).or_insert_with(|| Refused {
            object,
            said: String::new(),
            count: 0,
            last: None,
        });
        refused.count += i64::from(count);
        if refused.said.is_empty() || last >= refused.last {
            refused.said = said.trim().to_owned();
            refused.last = last;
        }
    }
    Refusals::Read(found.into_values().collect())
}
