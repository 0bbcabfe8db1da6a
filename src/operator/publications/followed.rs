//! The kinds that are followed for one reason, and the lists that their streams are telling.
//!
//! May not: decide which kinds are wanted.

use std::collections::{BTreeMap, BTreeSet};

use kube::Client;
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use super::Told;
use super::stream::{watch_collecting, watch_published};
use crate::model::encryption::transit::PublishedKind;
use crate::model::telemetry::collecting::CollectingKind;
use crate::model::{Dirty, KindState, ObjectKey, ObservedPublication, World};
use crate::operator::watch::Heard;

/// A kind of others, and where the World keeps what is there of it.
pub(super) trait KindOfOthers: Copy + Ord {
    /// What of an object is kept.
    type Kept;
    fn tell(self, world: &mut World, state: KindState) -> Dirty;
    fn forget(self, world: &mut World) -> Dirty;
    fn set(self, world: &mut World, key: &ObjectKey, kept: Option<Self::Kept>) -> Dirty;
    fn keys(self, world: &World) -> Vec<ObjectKey>;
    /// Starts its stream.
    fn watch(self, client: Client, listener: Sender<Heard>) -> AbortHandle;
}

impl KindOfOthers for PublishedKind {
    type Kept = Box<ObservedPublication>;

    fn tell(self, world: &mut World, state: KindState) -> Dirty {
        world.tell_published(self, state)
    }

    fn forget(self, world: &mut World) -> Dirty {
        world.forget_published(self)
    }

    fn set(self, world: &mut World, key: &ObjectKey, kept: Option<Self::Kept>) -> Dirty {
        world.set_published(self, key, kept.map(|publication| *publication))
    }

    fn keys(self, world: &World) -> Vec<ObjectKey> {
        world.published_keys(self)
    }

    fn watch(self, client: Client, listener: Sender<Heard>) -> AbortHandle {
        tokio::spawn(watch_published(client, self, listener)).abort_handle()
    }
}

impl KindOfOthers for CollectingKind {
    /// Whether it tells an agent to collect.
    type Kept = bool;

    fn tell(self, world: &mut World, state: KindState) -> Dirty {
        world.tell_collecting(self, state)
    }

    fn forget(self, world: &mut World) -> Dirty {
        world.forget_collecting(self)
    }

    fn set(self, world: &mut World, key: &ObjectKey, kept: Option<Self::Kept>) -> Dirty {
        world.set_collecting(self, key, kept == Some(true))
    }

    fn keys(self, world: &World) -> Vec<ObjectKey> {
        world.collecting_keys(self)
    }

    fn watch(self, client: Client, listener: Sender<Heard>) -> AbortHandle {
        tokio::spawn(watch_collecting(client, self, listener)).abort_handle()
    }
}

/// The kinds that are followed for one reason.
pub(super) struct Followed<K>(BTreeMap<K, Stream>);

struct Stream {
    watch: AbortHandle,
    /// Keys of the list under way.
    list: Option<BTreeSet<ObjectKey>>,
}

impl<K: KindOfOthers> Followed<K> {
    pub const fn nothing() -> Self {
        Self(BTreeMap::new())
    }

    /// Follows these kinds and no others.
    pub fn align(
        &mut self,
        world: &mut World,
        wanted: &BTreeSet<K>,
        (client, listener): (&Client, &Sender<Heard>),
    ) -> Dirty {
        let mut dirty = Dirty::default();
        self.0.retain(|kind, stream| {
            let stays = wanted.contains(kind);
            if !stays {
                stream.watch.abort();
                dirty.0.extend(kind.forget(world).0);
            }
            stays
        });
        for kind in wanted {
            if !self.0.contains_key(kind) {
                dirty.0.extend(kind.tell(world, KindState::Syncing).0);
                let watch = kind.watch(client.clone(), listener.clone());
                self.0.insert(*kind, Stream { watch, list: None });
            }
        }
        dirty
    }

    /// Takes in what the stream of a kind says. What it said before its kind was left is ignored.
    pub fn told(&mut self, world: &mut World, kind: K, told: Told<K::Kept>) -> Dirty {
        let Some(stream) = self.0.get_mut(&kind) else {
            return Dirty::default();
        };
        match told {
            Told::State(state) => kind.tell(world, state),
            Told::ListBegins => {
                stream.list = Some(BTreeSet::new());
                Dirty::default()
            }
            Told::Listed(key, kept) => {
                let dirty = kind.set(world, &key, Some(kept));
                if let Some(list) = &mut stream.list {
                    list.insert(key);
                }
                dirty
            }
            Told::ListComplete => {
                let mut dirty = Dirty::default();
                // Only a list that this stream began says what is not there.
                let Some(list) = stream.list.take() else {
                    return dirty;
                };
                for key in kind.keys(world) {
                    if !list.contains(&key) {
                        dirty.0.extend(kind.set(world, &key, None).0);
                    }
                }
                dirty.0.extend(kind.tell(world, KindState::Synced).0);
                dirty
            }
            Told::Changed(key, kept) => kind.set(world, &key, Some(kept)),
            Told::Gone(key) => kind.set(world, &key, None),
        }
    }
}
