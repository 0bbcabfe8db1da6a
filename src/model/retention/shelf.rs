//! The objects of one namespace, filed under the rules that select them, in the order in which their time comes.
//!
//! Kept up to date object by object, so that to ask what is due costs what is due, however many objects there are.
//! May not: know the time, or decide what goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Completion, Item, Keep, ResourceKind, Rule, Terms};

/// An object's place on the shelf.
type Slot = u32;
type ByInstant = BTreeSet<(Timestamp, Slot)>;

/// The objects of one namespace.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    rules: Vec<Rule>,
    files: Vec<File>,
    /// Objects of which it must be known whether they completed, by when.
    to_ask: ByInstant,
    names: BTreeMap<ResourceKind, BTreeMap<Arc<str>, Slot>>,
    slots: Vec<Option<Box<Held>>>,
    empty: Vec<Slot>,
}

/// An object with what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its kind.
    pub kind: Arc<ResourceKind>,
    /// Its name.
    pub name: Arc<str>,
    /// What is known of it.
    pub item: Item,
}

/// What one rule has of the objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct File {
    matched: usize,
    /// By the instant from which the rule's maximum takes effect: what may go then, as far as periods say.
    free: ByInstant,
    /// By the rule's maximum: what something else than time keeps then.
    kept: ByInstant,
    /// By start: what the rule's minimum is about.
    starts: ByInstant,
}

impl Shelf {
    /// The rules, in the order in which they are counted.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How many objects a rule selects.
    #[must_use]
    pub fn matched(&self, rule: usize) -> usize {
        self.files.get(rule).map_or(0, |file| file.matched)
    }

    /// Objects that a rule's maximum takes effect on after `after` and at or before `until`, in order.
    pub fn free(
        &self,
        rule: usize,
        after: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> impl Iterator<Item = (Timestamp, &Held)> {
        self.files
            .get(rule)
            .into_iter()
            .flat_map(move |file| within(&file.free, after, until))
            .filter_map(|(at, slot)| Some((at, self.held(slot)?)))
    }

    /// Objects that something else than time keeps, whose maximum under a rule is after `after` and at or before `until`.
    pub fn kept(
        &self,
        rule: usize,
        after: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> impl Iterator<Item = (Timestamp, &Held)> {
        self.files
            .get(rule)
            .into_iter()
            .flat_map(move |file| within(&file.kept, after, until))
            .filter_map(|(at, slot)| Some((at, self.held(slot)?)))
    }

    /// The latest start of an object under a rule's minimum that is at or before an instant.
    #[must_use]
    pub fn last_start(&self, rule: usize, until: Timestamp) -> Option<Timestamp> {
        let starts = &self.files.get(rule)?.starts;
        starts
            .range(..=(until, Slot::MAX))
            .next_back()
            .map(|(start, _)| *start)
    }

    /// The first start of an object under a rule's minimum that is after an instant.
    #[must_use]
    pub fn next_start(&self, rule: usize, after: Timestamp) -> Option<Timestamp> {
        let starts = &self.files.get(rule)?.starts;
        within(starts, Some(after), None)
            .next()
            .map(|(start, _)| start)
    }

    /// Objects of which it must be known by then whether they completed, in order.
    pub fn to_ask(&self, until: Timestamp) -> impl Iterator<Item = &Held> {
        within(&self.to_ask, None, Some(until)).filter_map(|(_, slot)| self.held(slot))
    }

    /// When the next object must be asked about.
    #[must_use]
    pub fn asks_after(&self, now: Timestamp) -> Option<Timestamp> {
        within(&self.to_ask, Some(now), None)
            .next()
            .map(|(at, _)| at)
    }

    /// An object.
    #[must_use]
    pub fn get(&self, kind: &ResourceKind, name: &str) -> Option<&Held> {
        let slot = self.names.get(kind)?.get(name)?;
        self.held(*slot)
    }

    /// The names of all objects of a kind.
    pub fn names(&self, kind: &ResourceKind) -> impl Iterator<Item = &str> {
        let names = self.names.get(kind);
        names
            .into_iter()
            .flat_map(BTreeMap::keys)
            .map(AsRef::as_ref)
    }

    /// What the rules say of an object.
    #[must_use]
    pub fn terms(&self, held: &Held) -> Terms {
        Terms::of(&self.rules, &held.kind, &held.name, &held.item)
    }

    /// Whether there is neither an object nor a rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.rules.is_empty()
    }

    fn held(&self, slot: Slot) -> Option<&Held> {
        self.slots.get(slot as usize)?.as_deref()
    }
}

/// Changing it.
impl Shelf {
    /// Takes an object in, or out. Says whether that can change an answer: the rules that select it file it otherwise than
    /// before, or what a deletion would name has changed.
    pub(in crate::model) fn set(
        &mut self,
        kind: &Arc<ResourceKind>,
        name: &str,
        item: Option<Item>,
    ) -> bool {
        let known = self
            .names
            .get(kind.as_ref())
            .and_then(|names| names.get(name));
        let slot = known.copied();
        let old = slot.and_then(|slot| self.slots.get_mut(slot as usize)?.take());
        if let (Some(slot), Some(old)) = (slot, &old) {
            if item.as_ref() == Some(&old.item) {
                self.slots[slot as usize] = Some(old.clone());
                return false;
            }
            self.file(slot, old, false);
        }
        let before = old.as_ref().map(|old| self.terms(old));
        let Some(item) = item else {
            if let Some(slot) = slot {
                self.empty.push(slot);
                if let Some(names) = self.names.get_mut(kind.as_ref()) {
                    names.remove(name);
                    if names.is_empty() {
                        self.names.remove(kind.as_ref());
                    }
                }
            }
            return before.is_some_and(|before| !before.touches.is_empty());
        };
        let (slot, name) = match (slot, &old) {
            (Some(slot), Some(old)) => (slot, Arc::clone(&old.name)),
            _ => self.take_slot(kind, name),
        };
        let new = Box::new(Held {
            kind: Arc::clone(kind),
            name,
            item,
        });
        let after = self.terms(&new);
        let changed = match (&old, &before) {
            (Some(old), Some(before)) => {
                let only_version = Item {
                    version: old.item.version.clone(),
                    ..new.item.clone()
                } == old.item;
                let selected = !before.touches.is_empty() || !after.touches.is_empty();
                let names_version = after.touches.iter().any(|touch| touch.maximum.is_some())
                    || new.item.completion == Completion::Unknown;
                selected && (!only_version || names_version)
            }
            _ => !after.touches.is_empty(),
        };
        self.file(slot, &new, true);
        self.slots[slot as usize] = Some(new);
        changed
    }

    fn take_slot(&mut self, kind: &ResourceKind, name: &str) -> (Slot, Arc<str>) {
        let slot = self.empty.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // A namespace with four thousand million objects is none that etcd could hold.
            Slot::try_from(self.slots.len() - 1).unwrap_or(Slot::MAX)
        });
        let name: Arc<str> = name.into();
        let names = self.names.entry(kind.clone()).or_default();
        names.insert(Arc::clone(&name), slot);
        (slot, name)
    }

    /// Takes other rules in. Says whether they are others.
    pub(in crate::model) fn set_rules(&mut self, rules: Vec<Rule>) -> bool {
        if rules == self.rules {
            return false;
        }
        self.rules = rules;
        self.files = vec![File::default(); self.rules.len()];
        self.to_ask.clear();
        let slots = std::mem::take(&mut self.slots);
        for (slot, held) in slots.iter().enumerate() {
            if let (Some(held), Ok(slot)) = (held, Slot::try_from(slot)) {
                self.file(slot, held, true);
            }
        }
        self.slots = slots;
        true
    }

    /// Files an object, or takes it out of the files that it is in.
    fn file(&mut self, slot: Slot, held: &Held, in_or_out: bool) {
        let terms = self.terms(held);
        let item = &held.item;
        let put = |set: &mut ByInstant, at: Option<Timestamp>| {
            if let Some(at) = at {
                let entry = (at, slot);
                if in_or_out {
                    set.insert(entry);
                } else {
                    set.remove(&entry);
                }
            }
        };
        let asks = terms
            .touches
            .iter()
            .filter_map(|touch| self.rules.get(touch.rule)?.asks_at(item))
            .min();
        put(&mut self.to_ask, asks);
        for touch in &terms.touches {
            let Some(file) = self.files.get_mut(touch.rule) else {
                continue;
            };
            file.matched = if in_or_out {
                file.matched.saturating_add(1)
            } else {
                file.matched.saturating_sub(1)
            };
            if touch.minimum.is_some_and(|keep| keep != Keep::Forever) {
                put(&mut file.starts, touch.start);
            }
            // What is on its way out, or is ours, is nobody's to dispose of.
            let Some(maximum) = touch.maximum.filter(|_| !item.deleting && !item.ours) else {
                continue;
            };
            let eligible = terms.eligible(maximum);
            let goes_by_time = item.tracker.is_none() && !item.controlled;
            put(&mut file.free, eligible.filter(|_| goes_by_time));
            let kept = !goes_by_time || eligible != Some(maximum);
            put(&mut file.kept, kept.then_some(maximum));
        }
    }
}

fn within(
    set: &ByInstant,
    after: Option<Timestamp>,
    until: Option<Timestamp>,
) -> impl Iterator<Item = (Timestamp, Slot)> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let is_empty = matches!((after, until), (Some(after), Some(until)) if after >= until);
    let from = after.map_or(Unbounded, |after| Excluded((after, Slot::MAX)));
    let to = until.map_or(Unbounded, |until| Included((until, Slot::MAX)));
    let range = (!is_empty).then(|| set.range((from, to)));
    range.into_iter().flatten().copied()
}
