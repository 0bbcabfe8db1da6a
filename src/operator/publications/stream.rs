//! The streams by which kinds of others are followed. What of an object decides is all that is passed on.
//!
//! May not: know why a kind is followed, or keep anything.

use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, Error, discovery};
use tokio::sync::mpsc::Sender;

use super::{PublishedTold, Told};
use crate::model::encryption::transit::PublishedKind;
use crate::model::telemetry::collecting::{CollectingKind, Decides};
use crate::model::{KindState, ObjectKey, ObservedPublication};
use crate::operator::watch::{Heard, WATCH_SECONDS};

/// A kind that may not be read, or is not served yet, is tried again after this long at first, and after twice as long each time.
const SOON: Duration = Duration::from_secs(1);
/// The longest that this becomes.
const AGAIN: Duration = Duration::from_secs(30);
/// Where a whole group is not served, the API server says no more than this number.
const NOT_FOUND: u16 = 404;

/// Watches which kinds are defined, until nobody listens.
pub(super) async fn watch_definitions(client: Client, listener: Sender<Heard>) {
    let resource = ApiResource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    };
    let teller = Teller {
        listener,
        wrap: PublishedTold::Definitions,
    };
    let mut wait = SOON;
    loop {
        let api = Api::<PartialObjectMeta<DynamicObject>>::all_with(client.clone(), &resource);
        if !stream(api, &resource, &mut wait, |_| (), &teller).await {
            return;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN);
    }
}

/// Watches a kind by which tenants publish, until nobody listens.
pub(super) async fn watch_published(client: Client, kind: PublishedKind, listener: Sender<Heard>) {
    let teller = Teller {
        listener,
        wrap: move |told| PublishedTold::Of(kind, told),
    };
    let read = |object: &DynamicObject| Box::new(ObservedPublication::read(kind.reads, object));
    watch(client, (kind.group, kind.kind), read, &teller).await;
}

/// Watches a kind whose objects tell an agent to collect, until nobody listens. Where its metadata decides, that
/// is all that is asked for.
pub(super) async fn watch_collecting(
    client: Client,
    kind: CollectingKind,
    listener: Sender<Heard>,
) {
    let teller = Teller {
        listener,
        wrap: move |told| PublishedTold::Collecting(kind, told),
    };
    let named = (kind.group, kind.kind);
    match kind.decides {
        Decides::Presence => {
            let read = |_: &PartialObjectMeta<DynamicObject>| true;
            watch(client, named, read, &teller).await;
        }
        Decides::Asking(_) => {
            let read = |object: &PartialObjectMeta<DynamicObject>| kind.asks(&object.metadata);
            watch(client, named, read, &teller).await;
        }
        Decides::Sidecar => {
            let read = |object: &DynamicObject| kind.tells(object);
            watch(client, named, read, &teller).await;
        }
    }
}

/// Watches a kind by its group and name, by whichever version it is served.
async fn watch<K, T, W>(
    client: Client,
    (group, kind): (&str, &str),
    read: impl Fn(&K) -> T,
    teller: &Teller<W>,
) where
    K: kube::Resource<DynamicType = ApiResource>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
    W: Fn(Told<T>) -> PublishedTold,
{
    let mut wait = SOON;
    loop {
        let listens = match resource(&client, group, kind).await {
            Ok(resource) => {
                let api = Api::<K>::all_with(client.clone(), &resource);
                stream(api, &resource, &mut wait, &read, teller).await
            }
            Err(state) => teller.tell(Told::State(state)).await,
        };
        if !listens {
            return;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN);
    }
}

/// Tells the engine of one stream.
struct Teller<W> {
    listener: Sender<Heard>,
    wrap: W,
}

impl<W> Teller<W> {
    /// False when nobody listens.
    async fn tell<T>(&self, told: Told<T>) -> bool
    where
        W: Fn(Told<T>) -> PublishedTold,
    {
        let heard = Heard::Published((self.wrap)(told));
        self.listener.send(heard).await.is_ok()
    }
}

/// Passes on what the stream says, until it can say nothing any more. False when nobody listens.
async fn stream<K, T, W>(
    api: Api<K>,
    resource: &ApiResource,
    wait: &mut Duration,
    read: impl Fn(&K) -> T,
    teller: &Teller<W>,
) -> bool
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
    W: Fn(Told<T>) -> PublishedTold,
{
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let mut events = watcher(api, config).default_backoff().boxed();
    while let Some(event) = events.next().await {
        let told = match event {
            Ok(watcher::Event::Init) => Told::ListBegins,
            Ok(watcher::Event::InitApply(object)) => Told::Listed(key_of(&object), read(&object)),
            Ok(watcher::Event::InitDone) => {
                *wait = SOON;
                Told::ListComplete
            }
            Ok(watcher::Event::Apply(object)) => Told::Changed(key_of(&object), read(&object)),
            Ok(watcher::Event::Delete(object)) => Told::Gone(key_of(&object)),
            Err(error) => {
                tracing::warn!(kind = resource.kind, group = resource.group, %error, "a kind of others cannot be followed; it is tried again");
                let (state, is_over) = failing(&error, resource);
                let Some(state) = state else { continue };
                let listens = teller.tell(Told::State(state)).await;
                if is_over || !listens {
                    return listens;
                }
                continue;
            }
        };
        if !teller.tell(told).await {
            return false;
        }
    }
    true
}

/// How a kind stands whose stream failed, and whether the stream is over. A list that fails is tried again by the stream
/// itself; a watch that breaks off passes by itself.
fn failing(error: &watcher::Error, resource: &ApiResource) -> (Option<KindState>, bool) {
    let source = match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => source,
        _ => return (None, false),
    };
    match source {
        Error::Api(status) if status.code == NOT_FOUND => (Some(KindState::NotServed), true),
        Error::Api(status) if status.is_forbidden() => {
            let message = format!(
                "apiGroups [\"{}\"], resources [\"{}\"], verbs [list, watch]",
                resource.group, resource.plural
            );
            (Some(KindState::Forbidden { message }), true)
        }
        source if matches!(error, watcher::Error::InitialListFailed(_)) => {
            let message = source.to_string();
            (Some(KindState::Failing { message }), false)
        }
        _ => (None, false),
    }
}

/// By which version a kind is served best.
async fn resource(client: &Client, group: &str, kind: &str) -> Result<ApiResource, KindState> {
    let failing = |error: Error| match error {
        Error::Discovery(_) => KindState::NotServed,
        Error::Api(status) if status.code == NOT_FOUND => KindState::NotServed,
        error => KindState::Failing {
            message: error.to_string(),
        },
    };
    let group = discovery::group(client, group).await;
    let group = group.map_err(failing)?;
    let found = group.recommended_kind(kind);
    let (resource, _) = found.ok_or(KindState::NotServed)?;
    Ok(resource)
}

fn key_of<K: kube::Resource>(object: &K) -> ObjectKey {
    let metadata = object.meta();
    ObjectKey::new(
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}
