//! What a ledger is taken up from, what is adopted, what is cut, and what is refused.

use std::sync::Arc;

use covenant::ledger::{Cut, Ledger, OpenError, SigningKey, Violation};

use crate::memory::{Files, MemoryStore};
use crate::stage::{ORIGIN, facts, ids, intent, key, log_of, open, verify};

/// The files of a log of `signed` entries with those of `stored` entries beyond it.
fn unsigned(signed: u64, stored: u64) -> Files {
    let (store, checkpoint) = log_of(signed);
    let (mut ledger, _) = open(&store);
    ledger.append(&facts(signed..stored)).unwrap();
    drop(ledger);
    let mut files = store.files();
    files.insert("checkpoint".to_owned(), checkpoint.into_bytes());
    files
}

fn refused(files: Files) -> OpenError {
    Ledger::open(MemoryStore::new(files), key(), ORIGIN).unwrap_err()
}

#[test]
fn an_empty_place_begins_a_ledger_that_is_signed_from_its_first_moment() {
    let store = MemoryStore::new(Files::new());
    let (ledger, recovery) = open(&store);
    assert!(recovery.began);
    assert_eq!(ledger.head().size, 0);
    assert_eq!(
        ledger.head().root,
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "the root of nothing, as RFC 6962 has it"
    );
    drop(ledger);
    assert_eq!(verify(&store, None).unwrap().head.size, 0);
    let (_, again) = open(&store);
    assert!(again.is_clean());
}

#[test]
fn whole_entries_beyond_the_signed_size_are_adopted() {
    for (signed, stored) in [
        (0, 1),
        (3, 4),
        (3, 260),
        (256, 300),
        (255, 256),
        (100, 1000),
    ] {
        let mut files = unsigned(signed, stored);
        files.remove("oldest-open");
        let store = MemoryStore::new(files);
        let (mut ledger, recovery) = open(&store);
        assert_eq!(recovery.adopted, signed..stored, "{signed} {stored}");
        assert_eq!(recovery.cut, []);
        assert_eq!(ids(&store).len() as u64, stored);
        ledger.append(&[intent(stored)]).unwrap();
        verify(&store, None).unwrap();
    }
}

#[test]
fn a_torn_tail_is_cut_only_where_nothing_valid_is_lost() {
    let mut files = unsigned(3, 6);
    let bundle = files["tile/entries/000.p/6"].clone();
    files.insert(
        "tile/entries/000.p/6".to_owned(),
        bundle[..bundle.len() - 10].to_vec(),
    );
    let store = MemoryStore::new(files);
    let (_ledger, recovery) = open(&store);
    assert_eq!(recovery.adopted, 3..5, "two of the three are whole");
    let length = bundle.len() / 6 - 10;
    assert_eq!(
        recovery.cut,
        [Cut {
            path: "tile/entries/000.p/6".to_owned(),
            bytes: length
        }]
    );
    assert_eq!(ids(&store).len(), 5);
    assert!(!store.files().contains_key("tile/entries/000.p/6"));
    verify(&store, None).unwrap();
}

#[test]
fn what_goes_on_from_another_history_is_cut_and_reported() {
    let mut files = unsigned(3, 6);
    let bundle = files.get_mut("tile/entries/000.p/6").unwrap();
    // Within the second entry, which is signed.
    let length = bundle.len();
    bundle[length / 6 + 30] ^= 1;
    let store = MemoryStore::new(files);
    let (_ledger, recovery) = open(&store);
    assert!(recovery.adopted.is_empty());
    assert_eq!(recovery.cut.len(), 1);
    assert_eq!(recovery.cut[0].bytes, length);
    assert_eq!(ids(&store), ["entry-0", "entry-1", "entry-2"]);
}

#[test]
fn what_is_no_entry_of_this_ledger_is_never_adopted() {
    let length = |entry: &[u8]| u16::try_from(entry.len()).unwrap().to_be_bytes();
    let foreign = facts(3..4)[0]
        .encode("ledger.example.com/cluster-2")
        .unwrap();
    let own = facts(3..4)[0].encode(ORIGIN).unwrap();
    let loose = [b" ".as_slice(), own.as_slice()].concat();
    for planted in [foreign.as_slice(), b"{}", b"", b"nonsense", &loose] {
        let (store, _) = log_of(3);
        let mut bundle = store.files()["tile/entries/000.p/3"].clone();
        bundle.extend(length(planted));
        bundle.extend(planted);
        store.put("tile/entries/000.p/4", &bundle);
        let (_ledger, recovery) = open(&store);
        assert!(recovery.adopted.is_empty(), "{planted:?}");
        assert_eq!(recovery.cut.len(), 1, "{planted:?}");
        assert_eq!(ids(&store).len(), 3);
    }
}

#[test]
fn bundles_after_a_gap_are_cut() {
    let mut files = unsigned(3, 600);
    files.remove("tile/entries/001");
    let store = MemoryStore::new(files);
    let (_ledger, recovery) = open(&store);
    assert_eq!(recovery.adopted, 3..256);
    assert_eq!(recovery.cut.len(), 1);
    assert_eq!(recovery.cut[0].path, "tile/entries/002.p/88");
    verify(&store, None).unwrap();
}

/// Every file of the right edge, changed, shortened and gone.
#[test]
fn a_right_edge_that_is_not_as_it_was_signed_is_named_and_never_repaired() {
    let (store, _) = log_of(66_000);
    for path in [
        "tile/0/257.p/208",
        "tile/1/001.p/1",
        "tile/2/000.p/1",
        "tile/entries/257.p/208",
    ] {
        let files = store.files();
        for change in 0..3 {
            let mut changed = files.clone();
            match change {
                0 => {
                    changed.remove(path);
                }
                1 => {
                    changed.get_mut(path).unwrap()[5] ^= 1;
                }
                _ => {
                    let bytes = changed.get_mut(path).unwrap();
                    bytes.truncate(bytes.len() - 1);
                }
            }
            let before = changed.clone();
            let broken = MemoryStore::new(changed);
            let error = Ledger::open(broken.clone(), key(), ORIGIN).unwrap_err();
            let OpenError::Violation(violation) = error else {
                panic!("{path} {change}: {error:?}");
            };
            assert!(
                violation.first_bad().is_some(),
                "{path} {change}: {violation}"
            );
            assert_eq!(
                broken.files(),
                before,
                "{path} {change}: it is left as it is"
            );
        }
    }
}

#[test]
fn a_ledger_without_its_head_is_refused() {
    let (store, _) = log_of(3);
    let mut files = store.files();
    files.remove("checkpoint");
    let error = refused(files);
    assert!(matches!(error, OpenError::Headless { .. }), "{error:?}");
}

#[test]
fn a_ledger_of_another_key_or_origin_is_refused() {
    let (store, _) = log_of(3);
    let same_origin = SigningKey::generate(ORIGIN, [8; 32]).unwrap();
    let error = Ledger::open(store.clone(), same_origin, ORIGIN).unwrap_err();
    assert!(
        matches!(error, OpenError::Violation(Violation::BadSignature { .. })),
        "{error:?}"
    );
    let elsewhere = SigningKey::generate("ledger.example.com/two", [7; 32]).unwrap();
    let error = Ledger::open(store.clone(), elsewhere.clone(), "ledger.example.com/two");
    assert!(matches!(
        error.unwrap_err(),
        OpenError::Violation(Violation::Foreign { .. })
    ));
    let error = Ledger::open(store, elsewhere, ORIGIN).unwrap_err();
    assert!(matches!(error, OpenError::Origin { .. }), "{error:?}");
}

#[test]
fn a_head_that_was_kept_elsewhere_is_a_beginning_of_this_log_or_is_not() {
    let (store, old) = log_of(300);
    let (mut ledger, _) = open(&store);
    ledger.append(&facts(300..700)).unwrap();
    ledger.is_consistent_with(&old).unwrap();
    ledger
        .is_consistent_with(&ledger.head().checkpoint)
        .unwrap();

    let other = MemoryStore::new(Files::new());
    let (mut fork, _) = open(&other);
    fork.is_consistent_with(&old).unwrap_err();
    fork.append(&facts(1000..1500)).unwrap();
    let violation = ledger
        .is_consistent_with(&fork.head().checkpoint)
        .unwrap_err();
    assert!(
        matches!(violation, Violation::Inconsistent { .. }),
        "{violation}"
    );
    fork.append(&facts(1500..2000)).unwrap();
    let violation = ledger
        .is_consistent_with(&fork.head().checkpoint)
        .unwrap_err();
    assert!(
        matches!(
            violation,
            Violation::RolledBack {
                size: 700,
                kept_size: 1000,
                ..
            }
        ),
        "{violation}"
    );
}

#[test]
fn partial_files_stay_until_the_full_one_is_signed_and_then_go() {
    let store = MemoryStore::new(Files::new());
    let (mut ledger, _) = open(&store);
    for number in 0..255 {
        ledger.append(&facts(number..number + 1)).unwrap();
    }
    let partial = |store: &Arc<MemoryStore>| {
        let files = store.files();
        files.keys().filter(|path| path.contains(".p/")).count()
    };
    assert_eq!(partial(&store), 2 * 255);
    ledger.append(&facts(255..256)).unwrap();
    assert_eq!(partial(&store), 1, "the tile above");
    // A copy of the head from before still reads its entries out of the full bundle.
    verify(&store, None).unwrap();
}

#[test]
fn a_reader_with_an_older_head_reads_from_full_files() {
    let (store, old) = log_of(250);
    let (mut ledger, _) = open(&store);
    ledger.append(&facts(250..300)).unwrap();
    drop(ledger);
    let mut files = store.files();
    files.insert("checkpoint".to_owned(), old.into_bytes());
    let copy = MemoryStore::new(files);
    assert_eq!(verify(&copy, None).unwrap().head.size, 250);
    assert_eq!(ids(&copy).len(), 250);
}
