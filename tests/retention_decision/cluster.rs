//! A namespace in miniature: raw objects as the API server stores them, and the World that watches them.
//!
//! What the planner wants written is written to the raw objects first, so that the oracle reads what is stored and no more.

use std::collections::BTreeMap;

use covenant::diff::{Action, Change, diff};
use covenant::model::{
    Dirty, Kind, KindState, LedgerState, ObjectKey, PolicyRun, RefusedItem, ResourceKind,
    RunResult, Unit, World,
};
use covenant::plan::{Candidate, Fate, Inquiry, Plan, Run, fate, plan};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::oracle::calendar;
use crate::oracle::raw;
use crate::oracle::retention::{Known, Namespace};
use crate::support;
use crate::worlds::{NAMESPACE, Scene};

/// More passes than any decision needs: when it was first read, the boundaries, and what tells of them.
const MOST_PASSES: usize = 24;

type Key = (String, String, String);

pub struct Cluster {
    pub objects: BTreeMap<Key, Value>,
    pub world: World,
    pub known: Known,
    entries: u64,
    /// Whether what happened since this was last asked marks the namespace.
    marked: bool,
}

pub fn unit() -> Unit {
    Unit::Retention(NAMESPACE.to_owned())
}

pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn key(object: &Value) -> Key {
    let part = |pointer: &str| text(object, pointer).to_owned();
    (
        part("/kind"),
        part("/metadata/namespace"),
        part("/metadata/name"),
    )
}

pub fn is_item(object: &Value) -> bool {
    ![
        "Namespace",
        "TenantBaseline",
        "RetentionPolicy",
        "ProcessingHold",
        "GuardParameters",
    ]
    .contains(&text(object, "/kind"))
}

/// The same object is served in every version of its kind.
fn serves(kind: &ResourceKind, object: &Value) -> bool {
    let group = text(object, "/apiVersion")
        .split_once('/')
        .map_or("", |(group, _)| group);
    kind.kind == text(object, "/kind") && kind.group == group
}

impl Cluster {
    pub fn new(scene: &Scene) -> Self {
        let mut cluster = Self {
            objects: BTreeMap::new(),
            world: support::world([]),
            known: scene.known.clone(),
            entries: 100,
            marked: false,
        };
        cluster.known.start(&scene.objects);
        for object in &scene.objects {
            cluster.put(object.clone());
        }
        cluster.tell();
        cluster
    }

    /// Tells the World what no object does.
    pub fn tell(&mut self) {
        let problem = |broken: bool| broken.then(|| "it is broken".to_owned());
        let dirty = self.world.learn_ledger(LedgerState {
            head: None,
            problem: problem(self.known.ledger_broken),
        });
        self.mark(&dirty);
        let dirty = self.world.learn_clock(problem(self.known.clock_doubted));
        self.mark(&dirty);
        for (api_version, kind) in &self.known.unread {
            let message = "it may not be read".to_owned();
            let dirty = self.world.tell_kind(
                &ResourceKind::parse(api_version, kind),
                KindState::Forbidden { message },
            );
            self.marked |= dirty.0.contains(&unit());
        }
        for (index, (namespace, at, policy, disposed)) in self.known.runs.iter().enumerate() {
            let index = u64::try_from(index).unwrap() * 10;
            let run = PolicyRun {
                disposed: *disposed,
                ledger: Some((index, index + 9)),
            };
            let dirty = self.world.learn_run(RunResult {
                namespace: namespace.clone(),
                at: Timestamp::from_second(*at).unwrap(),
                policies: BTreeMap::from([(policy.clone(), run)]),
                refused: Vec::new(),
            });
            self.marked |= dirty.0.contains(&unit());
        }
        let mut refused = Vec::new();
        for (uid, until) in &self.known.refused {
            let Some(raw) = self
                .objects
                .values()
                .find(|raw| text(raw, "/metadata/uid") == uid)
            else {
                continue;
            };
            let watched = self.world.wanted_kinds();
            for kind in watched.into_iter().filter(|kind| serves(kind, raw)) {
                refused.push(RefusedItem {
                    kind,
                    key: ObjectKey::new(NAMESPACE, text(raw, "/metadata/name")),
                    uid: uid.clone(),
                    category: "Refused".to_owned(),
                    message: "a webhook says no".to_owned(),
                    since: self.now(),
                    until: Timestamp::from_second(*until).unwrap(),
                });
            }
        }
        if !refused.is_empty() {
            let (namespace, at) = (NAMESPACE.to_owned(), self.now());
            let dirty = self.world.learn_run(RunResult {
                namespace,
                at,
                policies: BTreeMap::new(),
                refused,
            });
            self.mark(&dirty);
        }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_second(self.known.now).unwrap()
    }

    /// Stores an object and shows it.
    pub fn put(&mut self, object: Value) {
        if is_item(&object) {
            self.show(&object);
        } else {
            let dirty = support::apply(&mut self.world, &object);
            self.mark(&dirty);
        }
        self.objects.insert(key(&object), object);
        self.watch();
    }

    /// Shows an item, if anything selects its kind.
    fn show(&mut self, item: &Value) {
        for kind in self.world.wanted_kinds() {
            let is_read = !self
                .known
                .unread
                .contains(&(kind.api_version(), kind.kind.clone()));
            if is_read && serves(&kind, item) {
                let metadata: ObjectMeta =
                    serde_json::from_value(item["metadata"].clone()).unwrap();
                let dirty = self.world.apply_item(&kind, &metadata);
                self.mark(&dirty);
            }
        }
    }

    fn mark(&mut self, dirty: &Dirty) {
        self.marked |= dirty.0.contains(&unit());
    }

    pub fn is_marked(&mut self) -> bool {
        std::mem::take(&mut self.marked)
    }

    /// Reads each kind that something selects.
    fn watch(&mut self) {
        for kind in self.world.wanted_kinds() {
            if self.world.kind_state(&kind) == KindState::Synced {
                continue;
            }
            let unread = (kind.api_version(), kind.kind.clone());
            if self.known.unread.contains(&unread) {
                continue;
            }
            for item in self
                .objects
                .values()
                .filter(|object| is_item(object) && serves(&kind, object))
            {
                let metadata: ObjectMeta =
                    serde_json::from_value(item["metadata"].clone()).unwrap();
                self.world.apply_item(&kind, &metadata);
            }
            let dirty = self.world.tell_kind(&kind, KindState::Synced);
            self.mark(&dirty);
        }
    }

    pub fn plan(&self) -> Plan {
        plan(&self.world, &unit(), self.now())
    }

    /// Plans, writes and answers until nothing is left to do but to dispose.
    pub fn settle(&mut self) -> Plan {
        for _ in 0..MOST_PASSES {
            let planned = self.plan();
            let violations = covenant::check::check(&planned, &self.world, self.now());
            let told: Vec<String> = violations.iter().map(ToString::to_string).collect();
            assert!(told.is_empty(), "{told:?}");
            self.rests_on_what_is_stored(&planned);
            let changes = diff(&planned, &self.world);
            let answered = self.answer(&planned);
            if changes.is_empty() && !answered {
                return planned;
            }
            for change in changes {
                self.write(&change);
            }
        }
        panic!(
            "planning does not come to rest: {:#?}",
            diff(&self.plan(), &self.world)
        );
    }

    /// Whoever goes, goes by a generation that was stored first, past a boundary that was stored first.
    fn rests_on_what_is_stored(&self, planned: &Plan) {
        let policies = self.policies();
        let here = Namespace::new(self.objects.values(), NAMESPACE, &self.known);
        for candidate in Self::runs(planned)
            .into_iter()
            .flat_map(|run| &run.candidates)
        {
            let policy = policies[&candidate.policy.name];
            assert_eq!(
                policy["status"]["observedGeneration"], policy["metadata"]["generation"],
                "{candidate:?}"
            );
            assert!(
                policy["status"]["since"].is_string(),
                "{candidate:?} by {policy}"
            );
            let raw = self.named(&candidate.key.name).unwrap();
            assert_eq!(text(&raw, "/metadata/uid"), candidate.uid);
            assert_eq!(text(&raw, "/metadata/resourceVersion"), candidate.version);
            assert!(
                !here.is_guarded(&raw),
                "{candidate:?} past\n{}",
                self.told()
            );
        }
    }

    /// Says which of the asked-for objects have completed.
    fn answer(&mut self, planned: &Plan) -> bool {
        let mut answered = false;
        for inquiry in &planned.inquiries {
            let Inquiry::Complete { objects, .. } = inquiry else {
                continue;
            };
            for (kind, key, uid, version) in objects {
                let raw =
                    self.objects
                        .get(&(kind.kind.clone(), key.namespace.clone(), key.name.clone()));
                let completed = raw
                    .and_then(raw::completed)
                    .map(|at| Timestamp::from_second(at).unwrap());
                self.world
                    .learn_completion(kind, key, uid, version, completed);
                answered = true;
            }
        }
        answered
    }

    fn write(&mut self, change: &Change) {
        let target = &change.target;
        let at = (
            target.kind.as_str().to_owned(),
            target.key.namespace.clone(),
            target.key.name.clone(),
        );
        let stored = match &change.action {
            Action::Create { body } | Action::Apply { body } => {
                let mut object = body.clone();
                object["metadata"]["uid"] = json!("parameters");
                object["metadata"]["generation"] = json!(1);
                object["metadata"]["creationTimestamp"] = json!(calendar::text(self.known.now));
                object["metadata"]["managedFields"] =
                    json!([{ "manager": change.manager, "operation": "Apply" }]);
                object
            }
            Action::Replace { body } => {
                let mut object = self.objects[&at].clone();
                merge(&mut object["spec"], &body["spec"]);
                object
            }
            Action::ReplaceStatus { body } => {
                let mut object = self.objects[&at].clone();
                merge(&mut object["status"], &body["status"]);
                object
            }
            Action::Delete { .. } => {
                self.objects.remove(&at);
                self.world.remove(target.kind, &target.key);
                return;
            }
            other => panic!("{} {target}", other.verb()),
        };
        self.put(stored);
    }

    pub fn named(&self, name: &str) -> Option<Value> {
        self.objects
            .values()
            .find(|raw| is_item(raw) && text(raw, "/metadata/name") == name)
            .cloned()
    }

    /// Takes an item away, as somebody else's delete does.
    pub fn remove(&mut self, name: &str) {
        while let Some(raw) = self.named(name) {
            self.objects.remove(&key(&raw));
            self.hide(&raw);
        }
    }

    fn hide(&mut self, raw: &Value) {
        for kind in self.world.wanted_kinds() {
            if serves(&kind, raw) {
                let dirty = self.world.remove_item(
                    &kind,
                    &ObjectKey::new(NAMESPACE, text(raw, "/metadata/name")),
                );
                self.mark(&dirty);
            }
        }
    }

    /// What the planner explains of each item, in each version that is watched.
    pub fn fates(&self) -> Vec<(&Value, Fate)> {
        let watched = self.world.wanted_kinds();
        let items = self.objects.values().filter(|raw| is_item(raw));
        let pairs = items.flat_map(|raw| {
            watched
                .iter()
                .filter(|kind| serves(kind, raw))
                .map(move |kind| (raw, kind))
        });
        let explained = |(raw, kind)| {
            let key = ObjectKey::new(NAMESPACE, text(raw, "/metadata/name"));
            Some((raw, fate(&self.world, kind, &key, self.now())?))
        };
        pairs.filter_map(explained).collect()
    }

    pub fn drop_hold(&mut self, name: &str) {
        self.objects.remove(&(
            "ProcessingHold".to_owned(),
            NAMESPACE.to_owned(),
            name.to_owned(),
        ));
        let dirty = self
            .world
            .remove(Kind::Hold, &ObjectKey::new(NAMESPACE, name));
        self.mark(&dirty);
    }

    /// The operator starts anew: what it knows is what is stored.
    pub fn restart(&mut self) {
        self.known.runs.clear();
        self.known.refused.clear();
        let objects = self.objects.values().cloned().collect();
        let entries = self.entries;
        *self = Self::new(&Scene {
            objects,
            known: self.known.clone(),
        });
        self.entries = entries;
    }

    /// What is stored, for the reader of a failure.
    pub fn told(&self) -> String {
        self.objects
            .values()
            .map(|object| format!("{object}\n"))
            .collect()
    }

    /// The policies as they are stored, by name.
    pub fn policies(&self) -> BTreeMap<String, &Value> {
        let policies = self
            .objects
            .iter()
            .filter(|((kind, ..), _)| kind == "RetentionPolicy");
        policies
            .map(|((.., name), raw)| (name.clone(), raw))
            .collect()
    }

    pub fn runs(planned: &Plan) -> Vec<&Run> {
        planned
            .inquiries
            .iter()
            .filter_map(|inquiry| match inquiry {
                Inquiry::Dispose(run) => Some(run),
                _ => None,
            })
            .collect()
    }

    /// Carries a run out as the API server does: on this uid and this version, and where no guard keeps it. Gives the raw
    /// objects that went, and with each the policy by which it did.
    pub fn dispose(&mut self, planned: &Plan) -> Vec<(String, Value)> {
        let mut gone = Vec::new();
        let runs: Vec<Run> = Self::runs(planned).into_iter().cloned().collect();
        for run in runs {
            let mut result = RunResult {
                namespace: run.namespace.clone(),
                at: self.now(),
                policies: BTreeMap::new(),
                refused: Vec::new(),
            };
            for candidate in &run.candidates {
                let at = (
                    candidate.kind.kind.clone(),
                    candidate.key.namespace.clone(),
                    candidate.key.name.clone(),
                );
                let here = Namespace::new(self.objects.values(), NAMESPACE, &self.known);
                let is_free = |raw: &Value| {
                    !here.is_held(raw) && !here.is_guarded(raw) && !here.is_uncompiled(raw)
                };
                let found = self
                    .objects
                    .get(&at)
                    .filter(|raw| is_the_one(raw, candidate) && is_free(raw))
                    .cloned();
                let Some(raw) = found else {
                    result.refused.push(RefusedItem {
                        kind: candidate.kind.clone(),
                        key: candidate.key.clone(),
                        uid: candidate.uid.clone(),
                        category: "Refused".to_owned(),
                        message: "it is another one, or kept".to_owned(),
                        since: self.now(),
                        until: self.now(),
                    });
                    continue;
                };
                self.objects.remove(&at);
                self.hide(&raw);
                let of = result
                    .policies
                    .entry(candidate.policy.uid.clone())
                    .or_insert(PolicyRun {
                        disposed: 0,
                        ledger: None,
                    });
                of.disposed += 1;
                gone.push((candidate.policy.name.clone(), raw));
            }
            for (policy, of) in &mut result.policies {
                let from = self.entries;
                self.entries += u64::try_from(of.disposed).unwrap() * 2;
                of.ledger = Some((from, self.entries - 1));
                self.known.runs.push((
                    NAMESPACE.to_owned(),
                    self.known.now,
                    policy.clone(),
                    of.disposed,
                ));
            }
            let dirty = self.world.learn_run(result);
            self.mark(&dirty);
        }
        gone
    }
}

fn is_the_one(raw: &Value, candidate: &Candidate) -> bool {
    text(raw, "/metadata/uid") == candidate.uid
        && text(raw, "/metadata/resourceVersion") == candidate.version
}

/// JSON merge: what is null goes.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (field, value) in from {
                if value.is_null() {
                    into.remove(field);
                } else if value.is_object() {
                    merge(into.entry(field).or_insert(json!({})), value);
                } else {
                    into.insert(field.clone(), value.clone());
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}
