//! The kinds whose objects have a retention: one watch a kind, however many policies select it, and none where none does.
//! Only metadata is asked for and kept.
//!
//! May not: read what an object holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind, PartialObjectMeta};
use kube::discovery::{Scope, pinned_kind};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, Error};
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use super::watch::{Heard, WATCH_SECONDS};
use crate::model::{Dirty, KindState, ObjectKey, ResourceKind, World};

/// A kind that is not served, or may not be read, is tried again after this long. It costs one request a kind, and only
/// while a policy selects it.
const AGAIN: Duration = Duration::from_secs(30);

/// Where a whole group is not served, the API server says no more than this number.
const NOT_FOUND: u16 = 404;

/// What a stream says about a kind with a retention.
#[derive(Debug)]
pub enum ItemTold {
    /// How the kind stands.
    State(KindState),
    /// By which resource its objects are reached.
    Resource(Box<ApiResource>),
    /// A new list begins.
    ListBegins,
    /// An object of the list.
    Listed(Box<ObjectMeta>),
    /// The list is complete: what it lacks is not there.
    ListComplete,
    /// An object is new or changed.
    Changed(Box<ObjectMeta>),
    /// An object is gone.
    Gone(Box<ObjectMeta>),
}

/// The watches that run, and what is known of their lists.
pub struct Inventory {
    client: Client,
    listener: Sender<Heard>,
    followed: BTreeMap<ResourceKind, Followed>,
}

struct Followed {
    watch: AbortHandle,
    resource: Option<ApiResource>,
    /// Keys of the list under way.
    list: Option<BTreeSet<ObjectKey>>,
    /// Objects that our own deletes took, by uid, until the stream says so.
    deleted: BTreeMap<ObjectKey, String>,
}

/// What was heard came to.
#[derive(Default)]
pub struct Taken {
    /// Units that it concerns.
    pub dirty: Dirty,
    /// Uids of the objects that are gone.
    pub gone: Vec<String>,
}

impl Inventory {
    /// Nothing is followed yet.
    #[must_use]
    pub fn new(client: Client, listener: Sender<Heard>) -> Self {
        Self {
            client,
            listener,
            followed: BTreeMap::new(),
        }
    }

    /// Follows these kinds and no others.
    pub fn follow(&mut self, world: &mut World) -> Dirty {
        let wanted = world.wanted_kinds();
        let mut dirty = Dirty::default();
        let left: Vec<ResourceKind> = self
            .followed
            .keys()
            .filter(|kind| !wanted.contains(*kind))
            .cloned()
            .collect();
        for kind in left {
            if let Some(followed) = self.followed.remove(&kind) {
                followed.watch.abort();
                dirty.0.extend(world.forget_kind(&kind).0);
            }
        }
        for kind in wanted {
            if self.followed.contains_key(&kind) {
                continue;
            }
            dirty.0.extend(world.tell_kind(&kind, KindState::Syncing).0);
            let watch = watch(self.client.clone(), kind.clone(), self.listener.clone());
            let followed = Followed {
                watch: tokio::spawn(watch).abort_handle(),
                resource: None,
                list: None,
                deleted: BTreeMap::new(),
            };
            self.followed.insert(kind, followed);
        }
        dirty
    }

    /// By which resource objects of a kind are reached.
    #[must_use]
    pub fn resource(&self, kind: &ResourceKind) -> Option<&ApiResource> {
        self.followed.get(kind)?.resource.as_ref()
    }

    /// Takes in that an object is gone by our own doing, until the stream has caught up.
    pub fn deleted(
        &mut self,
        world: &mut World,
        kind: &ResourceKind,
        key: &ObjectKey,
        uid: &str,
    ) -> Dirty {
        if world.item_uid(kind, key) != Some(uid) {
            return Dirty::default();
        }
        if let Some(followed) = self.followed.get_mut(kind) {
            followed.deleted.insert(key.clone(), uid.to_owned());
        }
        world.remove_item(kind, key)
    }

    /// Takes in what a stream says. What a stream said before its kind was left is ignored.
    pub fn told(&mut self, world: &mut World, kind: &ResourceKind, told: ItemTold) -> Taken {
        let Some(followed) = self.followed.get_mut(kind) else {
            return Taken::default();
        };
        match told {
            ItemTold::State(state) => world.tell_kind(kind, state).into(),
            ItemTold::Resource(resource) => {
                followed.resource = Some(*resource);
                Taken::default()
            }
            ItemTold::ListBegins => {
                followed.list = Some(BTreeSet::new());
                Taken::default()
            }
            ItemTold::Listed(metadata) => {
                if let Some(list) = &mut followed.list {
                    list.insert(key_of(&metadata));
                }
                followed.changed(world, kind, &metadata).into()
            }
            ItemTold::ListComplete => followed.complete(world, kind),
            ItemTold::Changed(metadata) => followed.changed(world, kind, &metadata).into(),
            ItemTold::Gone(metadata) => followed.gone(world, kind, &metadata),
        }
    }
}

impl Followed {
    fn changed(&mut self, world: &mut World, kind: &ResourceKind, metadata: &ObjectMeta) -> Dirty {
        let key = key_of(metadata);
        if let Some(uid) = self.deleted.get(&key) {
            // An older word of what we deleted since.
            if metadata.uid.as_deref() == Some(uid) {
                return Dirty::default();
            }
            self.deleted.remove(&key);
        }
        world.apply_item(kind, metadata)
    }

    fn gone(&mut self, world: &mut World, kind: &ResourceKind, metadata: &ObjectMeta) -> Taken {
        let key = key_of(metadata);
        self.deleted.remove(&key);
        let uid = metadata.uid.clone().unwrap_or_default();
        let dirty = if world.item_uid(kind, &key) == Some(&uid) {
            world.remove_item(kind, &key)
        } else {
            Dirty::default()
        };
        Taken {
            dirty,
            gone: vec![uid],
        }
    }

    fn complete(&mut self, world: &mut World, kind: &ResourceKind) -> Taken {
        self.deleted.clear();
        let list = self.list.take().unwrap_or_default();
        let mut taken = Taken::default();
        for key in world.item_keys(kind) {
            if !list.contains(&key) {
                taken
                    .gone
                    .extend(world.item_uid(kind, &key).map(str::to_owned));
                taken.dirty.0.extend(world.remove_item(kind, &key).0);
            }
        }
        let synced = world.tell_kind(kind, KindState::Synced);
        taken.dirty.0.extend(synced.0);
        taken
    }
}

impl From<Dirty> for Taken {
    fn from(dirty: Dirty) -> Self {
        Self {
            dirty,
            gone: Vec::new(),
        }
    }
}

/// Namespace and name.
fn key_of(metadata: &ObjectMeta) -> ObjectKey {
    ObjectKey::new(
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

/// Tells the engine of one kind.
struct Teller {
    kind: ResourceKind,
    listener: Sender<Heard>,
}

impl Teller {
    /// False when nobody listens.
    async fn tell(&self, told: ItemTold) -> bool {
        let heard = Heard::Item(self.kind.clone(), told);
        self.listener.send(heard).await.is_ok()
    }
}

/// Watches a kind until nobody listens.
async fn watch(client: Client, kind: ResourceKind, listener: Sender<Heard>) {
    let told = Teller { kind, listener };
    loop {
        match resource(&client, &told.kind).await {
            Ok(resource) => {
                if !told
                    .tell(ItemTold::Resource(Box::new(resource.clone())))
                    .await
                {
                    return;
                }
                if !stream(&client, &resource, &told).await {
                    return;
                }
            }
            Err(state) => {
                if !told.tell(ItemTold::State(state)).await {
                    return;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Passes on what the stream says, until it can say nothing any more. False when nobody listens.
async fn stream(client: &Client, resource: &ApiResource, listener: &Teller) -> bool {
    let api = Api::<PartialObjectMeta<DynamicObject>>::all_with(client.clone(), resource);
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let mut events = watcher(api, config).default_backoff().boxed();
    while let Some(event) = events.next().await {
        let told = match event {
            Ok(watcher::Event::Init) => ItemTold::ListBegins,
            Ok(watcher::Event::InitApply(object)) => ItemTold::Listed(Box::new(object.metadata)),
            Ok(watcher::Event::InitDone) => ItemTold::ListComplete,
            Ok(watcher::Event::Apply(object)) => ItemTold::Changed(Box::new(object.metadata)),
            Ok(watcher::Event::Delete(object)) => ItemTold::Gone(Box::new(object.metadata)),
            Err(error) => {
                tracing::warn!(kind = resource.kind, %error, "the objects of a kind cannot be followed; it is tried again");
                match failing(&error, resource) {
                    Some(state) => return listener.tell(ItemTold::State(state)).await,
                    None => continue,
                }
            }
        };
        if !listener.tell(told).await {
            return false;
        }
    }
    true
}

/// How a kind stands whose stream failed; nothing where it passes by itself.
fn failing(error: &watcher::Error, resource: &ApiResource) -> Option<KindState> {
    let (watcher::Error::InitialListFailed(source)
    | watcher::Error::WatchStartFailed(source)
    | watcher::Error::WatchFailed(source)) = error
    else {
        return None;
    };
    match source {
        Error::Api(status) if status.code == NOT_FOUND => Some(KindState::NotServed),
        Error::Api(status) if status.is_forbidden() => Some(KindState::Forbidden {
            message: rule(resource),
        }),
        _ => None,
    }
}

/// The resource of a kind.
async fn resource(client: &Client, kind: &ResourceKind) -> Result<ApiResource, KindState> {
    let wanted = GroupVersionKind::gvk(&kind.group, &kind.version, &kind.kind);
    match pinned_kind(client, &wanted).await {
        Ok((resource, capabilities)) if capabilities.scope == Scope::Namespaced => Ok(resource),
        Ok(_) => Err(KindState::NotNamespaced),
        Err(Error::Discovery(_)) => Err(KindState::NotServed),
        Err(Error::Api(status)) if status.code == NOT_FOUND => Err(KindState::NotServed),
        Err(error) => Err(KindState::Failing {
            message: error.to_string(),
        }),
    }
}

/// The right that is missing, as somebody would write it.
fn rule(resource: &ApiResource) -> String {
    format!(
        "apiGroups [\"{}\"], resources [\"{}\"], verbs [get, list, watch, delete]",
        resource.group, resource.plural
    )
}
