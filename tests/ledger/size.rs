//! Long logs: the arithmetic of tiles, and memory that does not grow with them.

use covenant::ledger::Reader;

use crate::memory::{Files, MemoryStore};
use crate::stage::{facts, key, log_of, open, verify};

#[test]
fn twenty_thousand_entries_are_appended_verified_and_taken_up() {
    let store = MemoryStore::new(Files::new());
    let (mut ledger, _) = open(&store);
    let mut kept = None;
    for batch in 0..40 {
        ledger
            .append(&facts(batch * 500..batch * 500 + 500))
            .unwrap();
        if batch == 20 {
            kept = Some(ledger.head().checkpoint);
        }
    }
    drop(ledger);
    let verified = verify(&store, kept.as_deref()).unwrap();
    assert_eq!(verified.head.size, 20_000);
    assert_eq!(verified.consistent_with, Some(10_500));
    let (ledger, recovery) = open(&store);
    assert!(recovery.is_clean());
    assert_eq!(ledger.head(), verified.head);
    let full = store
        .files()
        .into_keys()
        .filter(|path| !path.contains(".p/"));
    assert_eq!(
        full.filter(|path| path.starts_with("tile/entries/"))
            .count(),
        78
    );
}

#[test]
fn the_files_of_a_log_are_those_that_the_format_asks_for() {
    let (store, _) = log_of(700);
    let paths: Vec<String> = store.files().into_keys().collect();
    assert_eq!(
        paths,
        [
            "checkpoint",
            "keys/cluster-1.vkey",
            "tile/0/000",
            "tile/0/001",
            "tile/0/002.p/188",
            "tile/1/000.p/2",
            "tile/entries/000",
            "tile/entries/001",
            "tile/entries/002.p/188",
        ]
    );
}

#[test]
fn the_way_in_which_entries_are_batched_leaves_no_trace() {
    let (one, _) = log_of(1100);
    let many = MemoryStore::new(Files::new());
    let (mut ledger, _) = open(&many);
    let mut next = 0;
    for length in (1..).take_while(|length| length * (length + 1) / 2 <= 1100) {
        ledger.append(&facts(next..next + length)).unwrap();
        next += length;
    }
    ledger.append(&facts(next..1100)).unwrap();
    drop(ledger);
    let last = |files: Files| -> Files {
        let current = |path: &String| {
            !path.contains(".p/") || path.contains(".p/76") || path.contains("1/000.p/4")
        };
        files
            .into_iter()
            .filter(|(path, _)| current(path) && path != "oldest-open")
            .collect()
    };
    assert_eq!(last(many.files()), last(one.files()));
}

#[test]
fn verifying_tells_how_far_it_is_and_reads_each_file_once() {
    let (store, _) = log_of(1000);
    let mut told = Vec::new();
    covenant::ledger::verify_log(store.as_ref(), key().verifying(), None, &mut |done| {
        told.push(done);
    })
    .unwrap();
    assert_eq!(told, [256, 512, 768, 1000]);
    let reader = Reader::open(store, key().verifying()).unwrap();
    assert_eq!(reader.size(), 1000);
    assert_eq!(reader.entries(990..2000).count(), 10);
}
