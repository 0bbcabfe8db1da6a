//! What tenants publish: one watch a kind that the cluster serves, and none where no baseline asks how it stands. Which kinds of
//! others are served is told by their definitions, so a kind that comes or goes is followed or left at once.
//!
//! Of an object only what decides is kept, before it reaches the engine. May not: decide how it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, Error, discovery};
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use super::clock;
use super::watch::{Heard, WATCH_SECONDS};
use crate::model::encryption::transit::{PublishedKind, kinds};
use crate::model::{Dirty, KindState, ObjectKey, ObservedPublication, World};

/// A kind that may not be read, or is not served yet, is tried again after this long at first, and after twice as long each time.
const SOON: Duration = Duration::from_secs(1);
/// The longest that this becomes.
const AGAIN: Duration = Duration::from_secs(30);
/// The first plans wait so long for the first lists, so that a restart does not write what it takes back a moment later.
const FIRST: Duration = Duration::from_secs(5);
/// Where a whole group is not served, the API server says no more than this number.
const NOT_FOUND: u16 = 404;

/// What the streams tell.
#[derive(Debug)]
pub enum PublishedTold {
    /// Of definitions, by name.
    Definitions(Told<()>),
    /// Of a kind.
    Of(PublishedKind, Told<Box<ObservedPublication>>),
}

/// What a stream tells.
#[derive(Debug)]
pub enum Told<T> {
    /// It cannot be read.
    State(KindState),
    /// A new list begins.
    ListBegins,
    /// An object of the list.
    Listed(ObjectKey, T),
    /// The list is complete: what it lacks is not there.
    ListComplete,
    /// An object is new or changed.
    Changed(ObjectKey, T),
    /// An object is gone.
    Gone(ObjectKey),
}

/// The watches that run, and what is known of their lists.
pub struct Publications {
    client: Client,
    listener: Sender<Heard>,
    /// The watch of definitions, and since when; none where nobody asks.
    definitions: Option<(AbortHandle, Instant)>,
    served: BTreeSet<String>,
    list: Option<BTreeSet<String>>,
    followed: BTreeMap<PublishedKind, Followed>,
}

struct Followed {
    watch: AbortHandle,
    /// Keys of the list under way.
    list: Option<BTreeSet<ObjectKey>>,
}

impl Publications {
    /// Nothing is followed yet.
    #[must_use]
    pub fn new(client: Client, listener: Sender<Heard>) -> Self {
        Self {
            client,
            listener,
            definitions: None,
            served: BTreeSet::new(),
            list: None,
            followed: BTreeMap::new(),
        }
    }

    /// Begins when the first baseline asks, and ends with the last.
    pub fn follow(&mut self, world: &mut World) -> Dirty {
        match (world.asks_for_transit(), self.definitions.is_some()) {
            (true, false) => {
                let watch = watch_definitions(self.client.clone(), self.listener.clone());
                let watch = tokio::spawn(watch).abort_handle();
                self.definitions = Some((watch, clock::started()));
                self.align(world)
            }
            (false, true) => {
                if let Some((watch, _)) = self.definitions.take() {
                    watch.abort();
                }
                self.served.clear();
                let mut dirty = world.tell_definitions(KindState::Syncing);
                dirty.0.extend(self.align(world).0);
                dirty
            }
            _ => Dirty::default(),
        }
    }

    /// Whether the first lists are there, or were waited for long enough.
    #[must_use]
    pub fn is_settled(&self, world: &World) -> bool {
        let syncing = |state: &KindState| *state == KindState::Syncing;
        self.definitions.as_ref().is_none_or(|(_, began)| {
            began.elapsed() > FIRST
                || !syncing(world.definitions_state())
                    && !world.published_kinds().any(|(_, state)| syncing(state))
        })
    }

    /// Takes in what a stream says. What a stream said before its kind was left is ignored.
    pub fn told(&mut self, world: &mut World, told: PublishedTold) -> Dirty {
        match told {
            PublishedTold::Definitions(told) => self.told_of_definitions(world, told),
            PublishedTold::Of(kind, told) => match self.followed.get_mut(&kind) {
                Some(followed) => followed.told(world, kind, told),
                None => Dirty::default(),
            },
        }
    }

    fn told_of_definitions(&mut self, world: &mut World, told: Told<()>) -> Dirty {
        if self.definitions.is_none() {
            return Dirty::default();
        }
        let mut dirty = Dirty::default();
        match told {
            Told::State(state) => return world.tell_definitions(state),
            Told::ListBegins => {
                self.list = Some(BTreeSet::new());
                return dirty;
            }
            Told::Listed(key, ()) => {
                if let Some(list) = &mut self.list {
                    list.insert(key.name);
                }
                return dirty;
            }
            Told::ListComplete => {
                self.served = self.list.take().unwrap_or_default();
                dirty = world.tell_definitions(KindState::Synced);
            }
            Told::Changed(key, ()) => {
                self.served.insert(key.name);
            }
            Told::Gone(key) => {
                self.served.remove(&key.name);
            }
        }
        dirty.0.extend(self.align(world).0);
        dirty
    }

    /// Follows the kinds that are served, and no others.
    fn align(&mut self, world: &mut World) -> Dirty {
        let mut dirty = Dirty::default();
        for kind in kinds() {
            let is_wanted = self.definitions.is_some()
                && (kind.is_built_in() || self.served.contains(&kind.definition()));
            match (is_wanted, self.followed.contains_key(&kind)) {
                (true, false) => {
                    dirty
                        .0
                        .extend(world.tell_published(kind, KindState::Syncing).0);
                    let watch = watch(self.client.clone(), kind, self.listener.clone());
                    let watch = tokio::spawn(watch).abort_handle();
                    self.followed.insert(kind, Followed { watch, list: None });
                }
                (false, true) => {
                    if let Some(followed) = self.followed.remove(&kind) {
                        followed.watch.abort();
                    }
                    dirty.0.extend(world.forget_published(kind).0);
                }
                _ => {}
            }
        }
        dirty
    }
}

impl Followed {
    fn told(
        &mut self,
        world: &mut World,
        kind: PublishedKind,
        told: Told<Box<ObservedPublication>>,
    ) -> Dirty {
        match told {
            Told::State(state) => world.tell_published(kind, state),
            Told::ListBegins => {
                self.list = Some(BTreeSet::new());
                Dirty::default()
            }
            Told::Listed(key, publication) => {
                let dirty = world.set_published(kind, &key, Some(*publication));
                if let Some(list) = &mut self.list {
                    list.insert(key);
                }
                dirty
            }
            Told::ListComplete => {
                let list = self.list.take().unwrap_or_default();
                let mut dirty = Dirty::default();
                for key in world.published_keys(kind) {
                    if !list.contains(&key) {
                        dirty.0.extend(world.set_published(kind, &key, None).0);
                    }
                }
                let synced = world.tell_published(kind, KindState::Synced);
                dirty.0.extend(synced.0);
                dirty
            }
            Told::Changed(key, publication) => world.set_published(kind, &key, Some(*publication)),
            Told::Gone(key) => world.set_published(kind, &key, None),
        }
    }
}

/// Watches which kinds are defined, until nobody listens.
async fn watch_definitions(client: Client, listener: Sender<Heard>) {
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

/// Watches a kind until nobody listens.
async fn watch(client: Client, kind: PublishedKind, listener: Sender<Heard>) {
    let teller = Teller {
        listener,
        wrap: move |told| PublishedTold::Of(kind, told),
    };
    let read = |object: &DynamicObject| Box::new(ObservedPublication::read(kind.reads, object));
    let mut wait = SOON;
    loop {
        let listens = match resource(&client, kind).await {
            Ok(resource) => {
                let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
                stream(api, &resource, &mut wait, read, &teller).await
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
                tracing::warn!(kind = resource.kind, group = resource.group, %error, "what is published cannot be followed; it is tried again");
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
async fn resource(client: &Client, kind: PublishedKind) -> Result<ApiResource, KindState> {
    let failing = |error: Error| match error {
        Error::Discovery(_) => KindState::NotServed,
        Error::Api(status) if status.code == NOT_FOUND => KindState::NotServed,
        error => KindState::Failing {
            message: error.to_string(),
        },
    };
    let group = discovery::group(client, kind.group).await;
    let group = group.map_err(failing)?;
    let found = group.recommended_kind(kind.kind);
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
