//! Deletions that were accepted and are not complete: finalizers hold the object, or a claim is gone and its volume is not.
//!
//! May not: settle what nobody saw.

use std::collections::{BTreeMap, BTreeSet};

use super::super::dispose::has_volume;
use crate::ledger::Entry;
use crate::model::World;
use crate::record::{DELETED, DELETED_WITH_VOLUME};

/// By what is waited for.
#[derive(Debug, Default)]
pub struct Pending {
    by_uid: BTreeMap<String, Entry>,
    by_volume: BTreeMap<String, Entry>,
    /// Objects that a stream saw go while a run was under way, whose report may come later.
    gone: BTreeSet<String>,
}

/// An intent, and the words of its outcome.
type Outcome = Option<(Entry, &'static str)>;

impl Pending {
    /// Takes in an intent whose object is going, or whose volume is still there.
    pub fn add(&mut self, intent: Entry, world: &World) -> Outcome {
        if self.gone.remove(&intent.subject.uid) {
            return self.found_gone(intent, world);
        }
        self.by_uid.insert(intent.subject.uid.clone(), intent);
        None
    }

    /// Takes in that an object is gone.
    pub fn gone(&mut self, uid: &str, running: bool, world: &World) -> Outcome {
        match self.by_uid.remove(uid) {
            Some(intent) => self.found_gone(intent, world),
            None => {
                if running {
                    self.gone.insert(uid.to_owned());
                }
                None
            }
        }
    }

    /// Takes in that the object of an intent is gone. Of a claim it is not known whether its volume is, until it is not in the
    /// World.
    pub fn found_gone(&mut self, intent: Entry, world: &World) -> Outcome {
        if !has_volume(&intent) {
            return Some((intent, DELETED));
        }
        let name = intent.detail.get("volume").and_then(|name| name.as_str());
        let name = name.unwrap_or_default().to_owned();
        if world.volume(&name).is_none() {
            return Some((intent, DELETED_WITH_VOLUME));
        }
        self.by_volume.insert(name, intent);
        None
    }

    /// Takes in that a volume is gone.
    pub fn volume_gone(&mut self, name: &str) -> Outcome {
        self.by_volume
            .remove(name)
            .map(|intent| (intent, DELETED_WITH_VOLUME))
    }

    /// No run is under way any more whose report could come later.
    pub fn forget_gone(&mut self) {
        self.gone.clear();
    }

    /// How many there are, by uid of the policy.
    #[must_use]
    pub fn by_policy(&self) -> BTreeMap<String, i64> {
        let mut counts = BTreeMap::new();
        let open = self.by_uid.values().chain(self.by_volume.values());
        for cause in open.filter_map(|intent| intent.cause.as_ref()) {
            *counts.entry(cause.uid.clone()).or_default() += 1;
        }
        counts
    }
}
