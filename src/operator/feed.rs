//! How the World is fed from two sides without going back in time: the watch streams, and the answers to our own writes.
//!
//! An answer is newer than the stream until the stream has caught up with it; an answer that comes late is older than the
//! stream and is ignored. Versions of one kind are compared as numbers, as etcd counts them (KEP-5504).

use std::collections::{BTreeMap, BTreeSet};

use kube::api::DynamicObject;

use super::watch::Told;
use crate::model::{Dirty, Kind, ObjectKey, Target, World};

/// Feeds the World.
#[derive(Debug, Default)]
pub struct Feed {
    streams: BTreeMap<Kind, Stream>,
}

/// What is known of one kind's stream.
#[derive(Debug, Default)]
struct Stream {
    /// The newest version that the stream delivered.
    newest: u64,
    /// Keys of the list under way.
    list: Option<BTreeSet<ObjectKey>>,
    /// Whether a list was ever completed.
    synced: bool,
    /// Objects that our own writes brought, by version, until the stream has them.
    written: BTreeMap<ObjectKey, u64>,
    /// Objects that our own deletes took, by uid, until the stream says so.
    deleted: BTreeMap<ObjectKey, String>,
}

impl Feed {
    /// Whether every kind was listed once. Before that nothing may be planned.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        Kind::ALL
            .iter()
            .all(|kind| self.streams.get(kind).is_some_and(|stream| stream.synced))
    }

    /// Takes in what a stream says.
    pub fn told(&mut self, world: &mut World, kind: Kind, told: Told) -> Dirty {
        let stream = self.streams.entry(kind).or_default();
        match told {
            Told::ListBegins => {
                stream.list = Some(BTreeSet::new());
                Dirty::default()
            }
            Told::Listed(object) => {
                let key = ObjectKey::of(&object);
                if let Some(list) = &mut stream.list {
                    list.insert(key);
                }
                stream.changed(world, kind, *object)
            }
            Told::ListComplete => stream.complete(world, kind),
            Told::Changed(object) => stream.changed(world, kind, *object),
            Told::Gone(object) => stream.gone(world, kind, &object),
        }
    }

    /// Takes in the answer to a write of ours.
    pub fn written(&mut self, world: &mut World, kind: Kind, object: DynamicObject) -> Dirty {
        let stream = self.streams.entry(kind).or_default();
        let version = version(&object);
        if version <= stream.newest {
            return Dirty::default();
        }
        let key = ObjectKey::of(&object);
        stream.deleted.remove(&key);
        stream.written.insert(key, version);
        world.apply(kind, object)
    }

    /// Takes in that a delete of ours went through.
    pub fn deleted(&mut self, world: &mut World, target: &Target, uid: &str) -> Dirty {
        if uid_in(world, target) != Some(uid) {
            return Dirty::default();
        }
        let stream = self.streams.entry(target.kind).or_default();
        stream.written.remove(&target.key);
        stream.deleted.insert(target.key.clone(), uid.to_owned());
        world.remove(target.kind, &target.key)
    }
}

impl Stream {
    fn changed(&mut self, world: &mut World, kind: Kind, object: DynamicObject) -> Dirty {
        let version = version(&object);
        self.newest = self.newest.max(version);
        let key = ObjectKey::of(&object);
        if self
            .written
            .get(&key)
            .is_some_and(|&written| written > version)
        {
            return Dirty::default();
        }
        self.written.remove(&key);
        if let Some(uid) = self.deleted.get(&key) {
            if object.metadata.uid.as_deref() == Some(uid) {
                return Dirty::default();
            }
            self.deleted.remove(&key);
        }
        world.apply(kind, object)
    }

    fn gone(&mut self, world: &mut World, kind: Kind, object: &DynamicObject) -> Dirty {
        let version = version(object);
        self.newest = self.newest.max(version);
        let key = ObjectKey::of(object);
        self.deleted.remove(&key);
        // An object that we wrote later under the same name is another one.
        if self
            .written
            .get(&key)
            .is_some_and(|&written| written > version)
        {
            return Dirty::default();
        }
        self.written.remove(&key);
        world.remove(kind, &key)
    }

    fn complete(&mut self, world: &mut World, kind: Kind) -> Dirty {
        self.synced = true;
        self.deleted.clear();
        let list = self.list.take().unwrap_or_default();
        let mut dirty = Dirty::default();
        for key in world.keys(kind) {
            // What we wrote after the list was made is told by the stream that follows it.
            let later = self
                .written
                .get(&key)
                .is_some_and(|&written| written > self.newest);
            if !list.contains(&key) && !later {
                self.written.remove(&key);
                dirty.0.extend(world.remove(kind, &key).0);
            }
        }
        dirty
    }
}

fn version(object: &DynamicObject) -> u64 {
    object
        .metadata
        .resource_version
        .as_deref()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

fn uid_in<'a>(world: &'a World, target: &Target) -> Option<&'a str> {
    let meta = match target.kind {
        Kind::NetworkPolicy => world.policy(&target.key).map(|policy| &policy.meta),
        Kind::Job => world.timer(&target.key).map(|timer| &timer.meta),
        Kind::Posture => world.posture(&target.key).map(|posture| &posture.meta),
        _ => None,
    };
    meta.map(|meta| meta.uid.as_str())
}
