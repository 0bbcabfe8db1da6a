//! Intents without outcome: known at once, known after a start, counted by `verify`.

use covenant::ledger::{Ledger, SigningKey};

use crate::memory::{Files, MemoryStore};
use crate::stage::{ORIGIN, facts, intent, key, log_of, open, outcome, verify};

fn open_ids(ledger: &Ledger) -> Vec<&str> {
    ledger.unsettled().keys().map(String::as_str).collect()
}

#[test]
fn an_intent_is_open_until_an_outcome_settles_it() {
    let store = MemoryStore::new(Files::new());
    let (mut ledger, _) = open(&store);
    ledger.append(&[intent(1), intent(2)]).unwrap();
    ledger.append(&[outcome(1, false)]).unwrap();
    assert_eq!(open_ids(&ledger), ["intent-1", "intent-2"]);
    assert_eq!(ledger.unsettled()["intent-2"].index, 1);
    assert_eq!(ledger.unsettled()["intent-2"].intent, intent(2));
    ledger.append(&[outcome(1, true)]).unwrap();
    assert_eq!(open_ids(&ledger), ["intent-2"]);
    drop(ledger);
    let (ledger, _) = open(&store);
    assert_eq!(open_ids(&ledger), ["intent-2"]);
    let verified = verify(&store, None).unwrap();
    assert_eq!(
        verified.open_intents.into_iter().collect::<Vec<_>>(),
        [("intent-2".to_owned(), 1)]
    );
}

#[test]
fn an_intent_and_its_outcome_may_be_of_one_append() {
    let store = MemoryStore::new(Files::new());
    let (mut ledger, _) = open(&store);
    ledger.append(&[intent(1), outcome(1, true)]).unwrap();
    assert!(ledger.unsettled().is_empty());
    assert!(verify(&store, None).unwrap().open_intents.is_empty());
}

#[test]
fn adopted_intents_are_open() {
    let (store, checkpoint) = log_of(3);
    let (mut ledger, _) = open(&store);
    ledger.append(&[intent(3)]).unwrap();
    drop(ledger);
    store.put("checkpoint", checkpoint.as_bytes());
    let (ledger, recovery) = open(&store);
    assert_eq!(recovery.adopted, 3..4);
    assert_eq!(open_ids(&ledger), ["intent-3"]);
}

#[test]
fn the_search_for_open_intents_is_as_long_as_the_oldest_is_old() {
    let store = MemoryStore::new(Files::new());
    let (mut ledger, _) = open(&store);
    ledger.append(&facts(0..3000)).unwrap();
    ledger.append(&[intent(1)]).unwrap();
    ledger.append(&facts(3000..6000)).unwrap();
    drop(ledger);
    let (mut ledger, recovery) = open(&store);
    assert_eq!(recovery.searched_from, 3000);
    assert_eq!(open_ids(&ledger), ["intent-1"]);
    ledger.append(&[outcome(1, true)]).unwrap();
    ledger.append(&facts(6000..8000)).unwrap();
    drop(ledger);
    let (ledger, recovery) = open(&store);
    assert!(recovery.searched_from >= 8000, "{recovery:?}");
    assert!(ledger.unsettled().is_empty());
}

#[test]
fn a_hint_hides_no_intent_whoever_wrote_it() {
    // A hint that is missing, nonsense, of another key, or from a longer log of the same key.
    let longer = MemoryStore::new(Files::new());
    let (mut ledger, _) = open(&longer);
    ledger.append(&[intent(1)]).unwrap();
    let shorter = longer.files();
    ledger.append(&[outcome(1, true)]).unwrap();
    ledger.append(&facts(2..2000)).unwrap();
    drop(ledger);
    let from_longer = longer.files()["oldest-open"].clone();

    let stranger = MemoryStore::new(Files::new());
    let strange = SigningKey::generate(ORIGIN, [9; 32]).unwrap();
    let (mut ledger, _) = Ledger::open(stranger.clone(), strange, ORIGIN).unwrap();
    ledger.append(&facts(0..2000)).unwrap();
    let of_stranger = stranger.files()["oldest-open"].clone();

    for hint in [
        from_longer,
        of_stranger,
        b"nonsense".to_vec(),
        vec![0; 100_000],
    ] {
        let store = MemoryStore::new(shorter.clone());
        store.put("oldest-open", &hint);
        let (ledger, recovery) = open(&store);
        assert_eq!(recovery.searched_from, 0);
        assert_eq!(open_ids(&ledger), ["intent-1"]);
    }
    let without = MemoryStore::new(shorter);
    let (ledger, _) = Ledger::open(without, key(), ORIGIN).unwrap();
    assert_eq!(open_ids(&ledger), ["intent-1"]);
}
