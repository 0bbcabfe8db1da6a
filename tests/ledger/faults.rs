//! The writer dies, or its store fails, at every call and after every byte.

use std::sync::Arc;

use covenant::ledger::{AppendError, Entry, Ledger, OpenError, StoreError};

use crate::memory::{After, CallKind, Fault, Files, MemoryStore};
use crate::stage::{ORIGIN, facts, ids, intent, key, open, outcome, verify};

/// Batches that a scenario appends, one after another.
fn names(batches: &[Vec<Entry>]) -> Vec<String> {
    batches.iter().flatten().map(|it| it.id.clone()).collect()
}

/// Runs a scenario on a store until something fails; how many entries were acknowledged.
fn run(store: &Arc<MemoryStore>, batches: &[Vec<Entry>]) -> usize {
    let Ok((mut ledger, _)) = Ledger::open(store.clone(), key(), ORIGIN) else {
        return 0;
    };
    let mut acknowledged = 0;
    for batch in batches {
        match ledger.append(batch) {
            Ok(range) => {
                assert_eq!(range.end, ledger.head().size);
                acknowledged += batch.len();
            }
            Err(_) => break,
        }
    }
    acknowledged
}

/// The faults that make a difference at a call.
fn faults(kind: CallKind, cuts: &[usize]) -> Vec<Fault> {
    let mut faults = vec![Fault::NoSpace, Fault::Unsynced];
    if kind == CallKind::Create {
        faults.extend(cuts.iter().map(|cut| Fault::Torn(*cut)));
    }
    faults
}

/// Lets the writer die at every call of a scenario, in every way, and takes the log up again.
fn die_everywhere(batches: &[Vec<Entry>], cuts: impl Fn(usize) -> Vec<usize>) -> usize {
    let names = names(batches);
    let whole = MemoryStore::new(Files::new());
    assert_eq!(run(&whole, batches), names.len());
    let mut deaths = 0;
    for (number, call) in whole.calls().into_iter().enumerate() {
        for fault in faults(call.kind, &cuts(call.length)) {
            let what = format!("{fault:?} at call {number}, of {}", call.path);
            let store = MemoryStore::new(Files::new());
            store.break_at(number, fault, After::Death);
            let acknowledged = run(&store, batches);
            deaths += 1;

            let left = MemoryStore::new(store.files());
            let (mut ledger, recovery) = Ledger::open(left.clone(), key(), ORIGIN).expect(&what);
            let found = ids(&left);
            assert!(
                found.len() >= acknowledged,
                "{what}: an acknowledged entry is gone"
            );
            assert_eq!(found, names[..found.len()], "{what}");
            assert!(
                recovery.adopted.end == found.len() as u64,
                "{what}: {recovery:?}"
            );
            verify(&left, None).expect(&what);

            let rest: Vec<Entry> = batches
                .iter()
                .flatten()
                .skip(found.len())
                .cloned()
                .collect();
            ledger.append(&rest).expect(&what);
            assert_eq!(ids(&left), names, "{what}");
            drop(ledger);
            verify(&left, None).expect(&what);
            let (_, again) = open(&left);
            assert!(again.is_clean(), "{what}: {again:?}");
        }
    }
    deaths
}

/// As small as entries get, so that every byte has its turn in good time.
fn small(entry: Entry) -> Entry {
    Entry {
        tenant: None,
        cause: None,
        actor: None,
        detail: serde_json::Map::new(),
        ..entry
    }
}

#[test]
fn a_writer_that_dies_after_any_byte_leaves_a_log_that_goes_on() {
    let batches = [
        vec![small(intent(1))],
        vec![small(intent(2)), small(outcome(1, true))],
    ];
    let deaths = die_everywhere(&batches, |length| (0..length).collect());
    assert!(deaths > 1000, "only {deaths}");
}

#[test]
fn a_writer_that_dies_where_tiles_fill_leaves_a_log_that_goes_on() {
    let batches = [
        facts(0..254),
        facts(254..259),
        facts(259..770),
        facts(770..771),
    ];
    let cuts = |length: usize| vec![0, 1, length / 3, length.saturating_sub(1)];
    let deaths = die_everywhere(&batches, cuts);
    assert!(deaths > 60, "only {deaths}");
}

/// The store fails at a call and works again, and the same append is tried once more.
#[test]
fn after_any_failure_the_same_append_stores_each_entry_once() {
    let batches = [facts(0..2), facts(2..260), facts(260..263), facts(263..600)];
    let names = names(&batches);
    let whole = MemoryStore::new(Files::new());
    run(&whole, &batches);
    let opening = {
        let store = MemoryStore::new(Files::new());
        drop(open(&store));
        store.calls().len()
    };
    for (number, call) in whole.calls().into_iter().enumerate().skip(opening) {
        for fault in faults(
            call.kind,
            &[0, 1, call.length / 2, call.length - call.length.min(1)],
        ) {
            let what = format!("{fault:?} at call {number}, of {}", call.path);
            let store = MemoryStore::new(Files::new());
            let (mut ledger, _) = open(&store);
            store.break_at(number - opening, fault, After::Health);
            let mut failures = 0;
            let mut next = 0;
            for batch in &batches {
                let before = ledger.head();
                let range = ledger.append(batch).unwrap_or_else(|_| {
                    failures += 1;
                    assert_eq!(ledger.head(), before, "{what}: nothing is acknowledged");
                    ledger.append(batch).expect(&what)
                });
                assert_eq!(range, next..next + batch.len() as u64, "{what}");
                next = range.end;
            }
            assert!(failures <= 1, "{what}");
            assert_eq!(ids(&store), names, "{what}");
            verify(&store, None).expect(&what);
        }
    }
}

#[test]
fn an_append_that_failed_leaves_nothing_behind_when_another_follows() {
    for fault in [Fault::NoSpace, Fault::Torn(100), Fault::Unsynced] {
        for call in 0..2 {
            let store = MemoryStore::new(Files::new());
            let (mut ledger, _) = open(&store);
            ledger.append(&facts(0..3)).unwrap();
            store.break_at(call, fault, After::Health);
            ledger.append(&facts(3..9)).unwrap_err();
            assert_eq!(ledger.append(&facts(20..22)).unwrap(), 3..5);
            let expected = ["entry-0", "entry-1", "entry-2", "entry-20", "entry-21"];
            assert_eq!(ids(&store), expected, "{fault:?} at {call}");
            drop(ledger);
            let (_, recovery) = open(&store);
            assert!(recovery.is_clean(), "{fault:?} at {call}: {recovery:?}");
        }
    }
}

#[test]
fn a_checkpoint_that_was_stored_in_spite_of_an_error_is_not_signed_twice() {
    let store = MemoryStore::new(Files::new());
    let (mut ledger, _) = open(&store);
    ledger.append(&facts(0..3)).unwrap();
    // Bundle, tile, checkpoint.
    store.break_at(2, Fault::Unsynced, After::Health);
    let error = ledger.append(&[intent(3)]).unwrap_err();
    assert!(
        matches!(error, AppendError::Store(StoreError::Io { .. })),
        "{error:?}"
    );
    assert_eq!(ledger.head().size, 3, "nothing is acknowledged");
    assert!(ledger.unsettled().is_empty());
    // Others follow: what is signed stays.
    assert_eq!(ledger.append(&facts(4..5)).unwrap(), 4..5);
    assert_eq!(
        ids(&store),
        ["entry-0", "entry-1", "entry-2", "intent-3", "entry-4"]
    );
    assert!(ledger.unsettled().contains_key("intent-3"));
}

#[test]
fn a_full_disk_and_a_read_only_one_are_told_apart_and_healed_by_room() {
    for (fault, is_it) in [
        (
            Fault::NoSpace,
            (|it| matches!(it, StoreError::NoSpace { .. })) as fn(&StoreError) -> bool,
        ),
        (Fault::ReadOnly, |it| {
            matches!(it, StoreError::ReadOnly { .. })
        }),
    ] {
        let store = MemoryStore::new(Files::new());
        let (mut ledger, _) = open(&store);
        ledger.append(&facts(0..3)).unwrap();
        let before = ledger.head();
        store.break_at(0, fault, After::TheSame);
        for _ in 0..3 {
            match ledger.append(&facts(3..4)).unwrap_err() {
                AppendError::Store(error) => assert!(is_it(&error), "{error:?}"),
                error => panic!("{error:?}"),
            }
            assert_eq!(ledger.head(), before);
        }
        store.heal();
        assert_eq!(ledger.append(&facts(3..4)).unwrap(), 3..4);
        verify(&store, None).unwrap();
    }
}

#[test]
fn a_second_writer_fences_the_first_before_it_signs_anything() {
    let store = MemoryStore::new(Files::new());
    let (mut first, _) = open(&store);
    first.append(&facts(0..3)).unwrap();
    store.usurp();
    let before = store.files();
    for _ in 0..2 {
        let error = first.append(&facts(3..4)).unwrap_err();
        assert!(
            matches!(error, AppendError::Store(StoreError::Fenced(_))),
            "{error:?}"
        );
    }
    assert_eq!(store.files(), before, "it wrote nothing");
}

#[test]
fn where_nothing_fences_the_checkpoint_itself_tells_of_another_writer() {
    let store = MemoryStore::new(Files::new());
    let (mut first, _) = open(&store);
    first.append(&facts(0..3)).unwrap();
    // A copy of the log goes on elsewhere, and its checkpoint comes here.
    let other = MemoryStore::new(store.files());
    let (mut second, _) = open(&other);
    second.append(&facts(3..5)).unwrap();
    store.put("checkpoint", second.head().checkpoint.as_bytes());
    let error = first.append(&facts(7..8)).unwrap_err();
    assert!(
        matches!(error, AppendError::Store(StoreError::Fenced(_))),
        "{error:?}"
    );
    assert_eq!(
        store.files()["checkpoint"],
        second.head().checkpoint.as_bytes(),
        "the other's head stands"
    );
}

#[test]
fn a_store_that_cannot_be_written_is_not_taken_up_and_not_harmed() {
    let store = MemoryStore::new(Files::new());
    store.break_at(0, Fault::ReadOnly, After::TheSame);
    let error = Ledger::open(store.clone(), key(), ORIGIN).unwrap_err();
    assert!(
        matches!(error, OpenError::Store(StoreError::ReadOnly { .. })),
        "{error:?}"
    );
    store.heal();
    open(&store).0.append(&facts(0..1)).unwrap();
}
