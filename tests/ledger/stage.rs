//! What the tests have in common: a key, entries, a log of some size.

use std::sync::Arc;

use covenant::ledger::{
    Cause, Entry, EntryKind, Ledger, Phase, Reader, Recovery, SigningKey, Store, Subject, Verified,
    Violation, verify_log,
};
use serde_json::json;

use crate::memory::{Files, MemoryStore};

pub const ORIGIN: &str = "ledger.example.com/cluster-1";

pub fn key() -> SigningKey {
    SigningKey::generate(ORIGIN, [7; 32]).unwrap()
}

pub fn fact(number: u64) -> Entry {
    let detail = json!({ "digest": format!("sha256:{number:064x}"), "number": number });
    Entry {
        id: format!("entry-{number}"),
        time: "2026-11-26T12:00:00Z".parse().unwrap(),
        kind: EntryKind::PathOpened,
        subject: Subject {
            api_version: "privacy.cloudnexus.io/v1alpha1".to_owned(),
            kind: "DataSharingGrant".to_owned(),
            namespace: Some("acme-prod".to_owned()),
            uid: format!("00000000-0000-0000-0000-{number:012}"),
        },
        tenant: Some("acme".to_owned()),
        phase: Phase::Fact,
        cause: Some(Cause {
            kind: "DataSharingGrant".to_owned(),
            name: "orders".to_owned(),
            uid: "11111111-1111-1111-1111-111111111111".to_owned(),
            generation: 1,
        }),
        actor: Some("system:serviceaccount:covenant-system:covenant".to_owned()),
        policy: None,
        detail: detail.as_object().unwrap().clone(),
    }
}

pub fn facts(range: std::ops::Range<u64>) -> Vec<Entry> {
    range.map(fact).collect()
}

pub fn intent(number: u64) -> Entry {
    Entry {
        id: format!("intent-{number}"),
        kind: EntryKind::Disposal,
        phase: Phase::Intent,
        ..fact(number)
    }
}

pub fn outcome(number: u64, settled: bool) -> Entry {
    Entry {
        id: format!("outcome-{number}-{settled}"),
        kind: EntryKind::Disposal,
        phase: Phase::Outcome {
            intent: format!("intent-{number}"),
            settled,
        },
        ..fact(number)
    }
}

pub fn open(store: &Arc<MemoryStore>) -> (Ledger, Recovery) {
    Ledger::open(store.clone(), key(), ORIGIN).unwrap()
}

/// A log of so many facts, and its files.
pub fn log_of(count: u64) -> (Arc<MemoryStore>, String) {
    let store = MemoryStore::new(Files::new());
    let (mut ledger, _) = open(&store);
    ledger.append(&facts(0..count)).unwrap();
    let checkpoint = ledger.head().checkpoint;
    (store, checkpoint)
}

pub fn verify(store: &Arc<MemoryStore>, from: Option<&str>) -> Result<Verified, Violation> {
    verify_log(store.as_ref(), key().verifying(), from, &mut |_| {})
}

pub fn verify_files(files: Files) -> Result<Verified, Violation> {
    verify(&MemoryStore::new(files), None)
}

/// The ids of all entries, read one after another.
pub fn ids(store: &Arc<MemoryStore>) -> Vec<String> {
    let reader = Reader::open(store.clone() as Arc<dyn Store>, key().verifying()).unwrap();
    reader
        .entries(0..u64::MAX)
        .map(|record| record.unwrap().entry.unwrap().id)
        .collect()
}
