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

    /// What the list lacks goes, our own writes too: one that was made after the list is told by the stream that
    /// follows, and one that was undone before it would otherwise stay for good, because nobody tells of it again.
    fn complete(&mut self, world: &mut World, kind: Kind) -> Dirty {
        self.synced = true;
        self.deleted.clear();
        let list = self.list.take().unwrap_or_default();
        self.written.retain(|key, _| list.contains(key));
        let mut dirty = Dirty::default();
        for key in world.keys(kind) {
            if !list.contains(&key) {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use serde_json::{Value, json};

    use super::*;
    use crate::model::Settings;

    const KIND: Kind = Kind::NetworkPolicy;

    /// A policy whose uid tells who made it, and whose one label tells which of its states this is.
    fn policy(name: &str, uid: &str, version: u64) -> Box<DynamicObject> {
        let object: Value = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {
                "name": name, "namespace": "acme", "uid": uid, "resourceVersion": version.to_string(),
                "labels": { "state": format!("v{version}") }
            },
            "spec": { "podSelector": {} }
        });
        Box::new(serde_json::from_value(object).unwrap())
    }

    struct Fed {
        feed: Feed,
        world: World,
    }

    impl Fed {
        /// A World whose first list of policies had these.
        fn listed(policies: &[(&str, &str, u64)]) -> Self {
            let mut fed = Self {
                feed: Feed::default(),
                world: World::new(Settings::default()),
            };
            fed.list(policies);
            fed
        }

        fn list(&mut self, policies: &[(&str, &str, u64)]) {
            self.told(Told::ListBegins);
            for (name, uid, version) in policies {
                self.told(Told::Listed(policy(name, uid, *version)));
            }
            self.told(Told::ListComplete);
        }

        fn told(&mut self, told: Told) -> Dirty {
            self.feed.told(&mut self.world, KIND, told)
        }

        fn written(&mut self, name: &str, uid: &str, version: u64) -> Dirty {
            self.feed
                .written(&mut self.world, KIND, *policy(name, uid, version))
        }

        fn deleted(&mut self, name: &str, uid: &str) -> Dirty {
            let target = Target::new(KIND, ObjectKey::new("acme", name));
            self.feed.deleted(&mut self.world, &target, uid)
        }

        /// The state of a policy as the World has it.
        fn state(&self, name: &str) -> Option<&str> {
            let policy = self.world.policy(&ObjectKey::new("acme", name))?;
            policy.labels.get("state").map(String::as_str)
        }
    }

    #[test]
    fn nothing_is_synced_before_every_kind_was_listed_to_its_end() {
        let mut fed = Fed::listed(&[]);
        for kind in Kind::ALL {
            assert!(!fed.feed.is_synced());
            fed.feed.told(&mut fed.world, kind, Told::ListBegins);
            assert!(!fed.feed.is_synced());
            fed.feed.told(&mut fed.world, kind, Told::ListComplete);
        }
        assert!(fed.feed.is_synced());
    }

    #[test]
    fn an_answer_is_seen_before_the_stream_tells_of_it() {
        let mut fed = Fed::listed(&[]);
        assert!(!fed.written("path", "ours", 10).0.is_empty());
        assert_eq!(fed.state("path"), Some("v10"));
    }

    #[test]
    fn the_streams_echo_of_an_answer_changes_nothing() {
        let mut fed = Fed::listed(&[]);
        fed.written("path", "ours", 10);
        assert!(
            fed.told(Told::Changed(policy("path", "ours", 10)))
                .0
                .is_empty()
        );
    }

    #[test]
    fn a_stream_that_lags_behind_an_answer_does_not_bring_the_past_back() {
        let mut fed = Fed::listed(&[("path", "ours", 5)]);
        fed.written("path", "ours", 10);
        fed.told(Told::Changed(policy("path", "ours", 8)));
        assert_eq!(fed.state("path"), Some("v10"));
        fed.told(Told::Changed(policy("path", "ours", 12)));
        assert_eq!(fed.state("path"), Some("v12"));
    }

    #[test]
    fn an_answer_that_comes_late_is_ignored() {
        let mut fed = Fed::listed(&[("path", "ours", 5)]);
        fed.told(Told::Changed(policy("path", "ours", 12)));
        assert!(fed.written("path", "ours", 10).0.is_empty());
        assert_eq!(fed.state("path"), Some("v12"));
    }

    #[test]
    fn an_answer_about_an_object_that_is_gone_since_does_not_bring_it_back() {
        let mut fed = Fed::listed(&[]);
        fed.told(Told::Changed(policy("path", "ours", 10)));
        fed.told(Told::Gone(policy("path", "ours", 11)));
        assert!(fed.written("path", "ours", 10).0.is_empty());
        assert_eq!(fed.state("path"), None);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let mut fed = Fed::listed(&[("path", "ours", 9)]);
        fed.written("path", "ours", 10);
        assert_eq!(fed.state("path"), Some("v10"));
    }

    #[test]
    fn what_we_deleted_is_gone_before_the_stream_tells_and_does_not_come_back_by_an_older_event() {
        let mut fed = Fed::listed(&[("path", "ours", 5)]);
        assert!(!fed.deleted("path", "ours").0.is_empty());
        fed.told(Told::Changed(policy("path", "ours", 6)));
        assert_eq!(fed.state("path"), None);
        fed.told(Told::Gone(policy("path", "ours", 7)));
        fed.told(Told::Changed(policy("path", "another", 8)));
        assert_eq!(fed.state("path"), Some("v8"));
    }

    #[test]
    fn a_delete_takes_nothing_that_was_made_anew_meanwhile() {
        let mut fed = Fed::listed(&[("path", "another", 8)]);
        assert!(fed.deleted("path", "ours").0.is_empty());
        assert_eq!(fed.state("path"), Some("v8"));
    }

    #[test]
    fn the_end_of_an_object_does_not_take_the_one_that_we_made_after_it() {
        let mut fed = Fed::listed(&[("path", "old", 5)]);
        fed.written("path", "ours", 10);
        fed.told(Told::Gone(policy("path", "old", 9)));
        assert_eq!(fed.state("path"), Some("v10"));
    }

    #[test]
    fn what_a_new_list_lacks_goes_and_what_it_has_changes_only_where_it_differs() {
        let mut fed = Fed::listed(&[("stays", "a", 5), ("goes", "b", 6)]);
        fed.told(Told::ListBegins);
        assert!(fed.told(Told::Listed(policy("stays", "a", 5))).0.is_empty());
        assert_eq!(
            fed.state("goes"),
            Some("v6"),
            "not before the list is complete"
        );
        assert!(!fed.told(Told::ListComplete).0.is_empty());
        assert_eq!((fed.state("stays"), fed.state("goes")), (Some("v5"), None));
    }

    #[test]
    fn a_list_that_broke_off_takes_nothing_away() {
        let mut fed = Fed::listed(&[("first", "a", 5), ("second", "b", 6)]);
        fed.told(Told::ListBegins);
        fed.told(Told::Listed(policy("first", "a", 5)));
        fed.list(&[("second", "b", 6), ("first", "a", 5)]);
        assert_eq!(
            (fed.state("first"), fed.state("second")),
            (Some("v5"), Some("v6"))
        );
    }

    #[test]
    fn a_write_of_ours_that_was_undone_before_a_new_list_does_not_stay() {
        let mut fed = Fed::listed(&[("old", "a", 5)]);
        fed.written("path", "ours", 10);
        // Deleted at 11 while the stream was down; the new list is of 12, and its newest object of 5.
        fed.list(&[("old", "a", 5)]);
        assert_eq!(fed.state("path"), None);
        // Had it been made after the list, the stream would tell of it now.
        fed.told(Told::Changed(policy("path", "ours", 10)));
        assert_eq!(fed.state("path"), Some("v10"));
    }
}
