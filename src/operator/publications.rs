//! Kinds of others that are followed: by which tenants publish, where a baseline asks how that stands; and whose objects tell an
//! agent to collect, where somebody opts out of it. One watch a kind that the cluster serves, and none where nobody asks. Which
//! kinds are served is told by their definitions, so a kind that comes or goes is followed or left at once.
//!
//! Of an object only what decides is kept, before it reaches the engine. May not: decide how it stands.

mod followed;
mod stream;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use super::clock;
use super::watch::Heard;
use crate::model::encryption::transit::{PublishedKind, kinds};
use crate::model::telemetry::collecting::CollectingKind;
use crate::model::{Dirty, KindState, ObjectKey, ObservedPublication, World};
use followed::Followed;
use stream::watch_definitions;

/// The first plans wait so long for the first lists, so that a restart does not write what it takes back a moment later.
const FIRST: Duration = Duration::from_secs(5);

/// What the streams tell.
#[derive(Debug)]
pub enum PublishedTold {
    /// Of definitions, by name.
    Definitions(Told<()>),
    /// Of a kind by which tenants publish.
    Of(PublishedKind, Told<Box<ObservedPublication>>),
    /// Of a kind whose objects tell an agent to collect: whether this one does.
    Collecting(CollectingKind, Told<bool>),
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
    asked: Asked,
    /// The watch of definitions, and since when; none where nobody asks.
    definitions: Option<(AbortHandle, Instant)>,
    served: BTreeSet<String>,
    list: Option<BTreeSet<String>>,
    published: Followed<PublishedKind>,
    collecting: Followed<CollectingKind>,
}

/// For what somebody asks.
#[derive(Default, PartialEq, Eq)]
struct Asked {
    /// A baseline, how what is published stands.
    transit: bool,
    /// Opt-outs, what is there of these kinds.
    collecting: BTreeSet<CollectingKind>,
}

impl Asked {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Publications {
    /// Nothing is followed yet.
    #[must_use]
    pub fn new(client: Client, listener: Sender<Heard>) -> Self {
        Self {
            client,
            listener,
            asked: Asked::default(),
            definitions: None,
            served: BTreeSet::new(),
            list: None,
            published: Followed::nothing(),
            collecting: Followed::nothing(),
        }
    }

    /// Begins with the first who asks, and ends with the last.
    pub fn follow(&mut self, world: &mut World) -> Dirty {
        let asked = Asked {
            transit: world.asks_for_transit(),
            collecting: world.asks_for_collecting(),
        };
        let mut dirty = Dirty::default();
        if asked == self.asked {
            return dirty;
        }
        self.asked = asked;
        match (self.asked.is_nothing(), self.definitions.take()) {
            (false, None) => {
                let watch = watch_definitions(self.client.clone(), self.listener.clone());
                let watch = tokio::spawn(watch).abort_handle();
                self.definitions = Some((watch, clock::started()));
            }
            (false, running) => self.definitions = running,
            (true, running) => {
                if let Some((watch, _)) = running {
                    watch.abort();
                }
                self.served.clear();
                self.list = None;
                dirty = world.tell_definitions(KindState::Syncing);
            }
        }
        dirty.0.extend(self.align(world).0);
        dirty
    }

    /// Whether the first lists are there, or were waited for long enough.
    #[must_use]
    pub fn is_settled(&self, world: &World) -> bool {
        let is_there = |state: &KindState| *state != KindState::Syncing;
        self.definitions.as_ref().is_none_or(|(_, began)| {
            began.elapsed() > FIRST
                || is_there(world.definitions_state())
                    && world.published_kinds().all(|(_, state)| is_there(state))
                    && self
                        .asked
                        .collecting
                        .iter()
                        .all(|kind| is_there(world.collecting_state(*kind)))
        })
    }

    /// Takes in what a stream says.
    pub fn told(&mut self, world: &mut World, told: PublishedTold) -> Dirty {
        match told {
            PublishedTold::Definitions(told) => self.told_of_definitions(world, told),
            PublishedTold::Of(kind, told) => self.published.told(world, kind, told),
            PublishedTold::Collecting(kind, told) => self.collecting.told(world, kind, told),
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
                let Some(list) = self.list.take() else {
                    return dirty;
                };
                self.served = list;
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

    /// Follows the kinds that are asked for and served, and no others.
    fn align(&mut self, world: &mut World) -> Dirty {
        let with = (&self.client, &self.listener);
        let is_served = |definition: String| self.served.contains(&definition);
        let published = kinds().filter(|kind| {
            self.asked.transit && (kind.is_built_in() || is_served(kind.definition()))
        });
        let mut dirty = self.published.align(world, &published.collect(), with);
        let collecting = self.asked.collecting.iter().copied();
        let collecting =
            collecting.filter(|kind| kind.is_built_in() || is_served(kind.definition()));
        let collecting = self.collecting.align(world, &collecting.collect(), with);
        dirty.0.extend(collecting.0);
        dirty
    }
}
