//! Somebody with the disk, and somebody with disk and key: what `verify` finds, and where.

use std::sync::Arc;

use covenant::ledger::{Entry, Reader, Store, Verdict, Violation, verify_entry, verify_log};

use crate::memory::{Files, MemoryStore};
use crate::stage::{facts, key, log_of, open, verify, verify_files};

const BUNDLE: &str = "tile/entries/000";

fn split(bundle: &[u8]) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at(u16::from_be_bytes(*length).into());
        entries.push(entry.to_vec());
        rest = after;
    }
    entries
}

fn join(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bundle = Vec::new();
    for entry in entries {
        bundle.extend(u16::try_from(entry.len()).unwrap().to_be_bytes());
        bundle.extend(entry);
    }
    bundle
}

/// The files of a log of 600 entries whose first bundle somebody changed, without the hashes.
fn changed(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Files {
    let (store, _) = log_of(600);
    let mut files = store.files();
    let mut entries = split(&files[BUNDLE]);
    change(&mut entries);
    files.insert(BUNDLE.to_owned(), join(&entries));
    files
}

/// A log of other entries, and the files of its tiles and bundles under the signed head of the first.
fn rewritten(from: u64, kept: &Files) -> Files {
    let store = MemoryStore::new(Files::new());
    let (mut ledger, _) = open(&store);
    ledger.append(&facts(0..from)).unwrap();
    ledger.append(&facts(from + 10_000..10_600)).unwrap();
    drop(ledger);
    let mut files = store.files();
    files.insert("checkpoint".to_owned(), kept["checkpoint"].clone());
    files
}

#[test]
fn a_changed_entry_is_named() {
    let violation = verify_files(changed(|entries| {
        let at = entries[37].len() / 2;
        entries[37][at] ^= 1;
    }))
    .unwrap_err();
    assert!(
        matches!(violation, Violation::BadEntry { index: 37, .. }),
        "{violation}"
    );
    assert!(violation.roots().is_some());
    assert_eq!(violation.verdict(), Verdict::NotIncluded);
}

#[test]
fn a_dropped_entry_is_named() {
    let violation = verify_files(changed(|entries| {
        entries.remove(37);
    }))
    .unwrap_err();
    assert!(
        matches!(violation, Violation::BadEntry { index: 37, .. }),
        "{violation}"
    );
    let violation = verify_files(changed(|entries| {
        entries.pop();
    }))
    .unwrap_err();
    assert!(
        matches!(violation, Violation::Truncated { index: 255, .. }),
        "{violation}"
    );
}

#[test]
fn entries_in_another_order_are_named() {
    let violation = verify_files(changed(|entries| entries.swap(37, 40))).unwrap_err();
    assert!(
        matches!(violation, Violation::BadEntry { index: 37, .. }),
        "{violation}"
    );
}

#[test]
fn an_inserted_entry_is_named() {
    let violation = verify_files(changed(|entries| {
        let twice = entries[37].clone();
        entries.insert(38, twice);
    }))
    .unwrap_err();
    assert!(
        matches!(violation, Violation::BadEntry { index: 38, .. }),
        "{violation}"
    );
    let violation = verify_files(changed(|entries| {
        let twice = entries[37].clone();
        entries.push(twice);
    }))
    .unwrap_err();
    assert!(
        matches!(violation, Violation::Truncated { index: 256, .. }),
        "{violation}"
    );
}

#[test]
fn an_entry_changed_together_with_its_tile_is_narrowed_down_to_the_tile() {
    let mut files = changed(|entries| {
        let at = entries[37].len() / 2;
        entries[37][at] ^= 1;
    });
    let hash = tlog_tiles::record_hash(&split(&files[BUNDLE])[37]);
    let tile = files.get_mut("tile/0/000").unwrap();
    tile[37 * 32..38 * 32].copy_from_slice(&hash.0);
    let violation = verify_files(files).unwrap_err();
    assert!(
        matches!(
            violation,
            Violation::BadRange {
                first: 0,
                last: 255,
                ..
            }
        ),
        "{violation}"
    );
}

#[test]
fn a_tile_that_is_wrong_about_right_entries_is_told_from_wrong_entries() {
    let (store, _) = log_of(600);
    for (path, index) in [
        ("tile/0/000", 0),
        ("tile/0/001", 256),
        ("tile/0/002.p/88", 512),
        ("tile/1/000.p/2", 0),
    ] {
        let mut files = store.files();
        files.get_mut(path).unwrap()[0] ^= 1;
        let violation = verify_files(files).unwrap_err();
        let Violation::BadTile {
            path: found,
            index: first,
        } = &violation
        else {
            panic!("{path}: {violation}");
        };
        assert_eq!((found.as_str(), *first), (path, index));
    }
}

#[test]
fn a_history_that_was_rewritten_with_all_its_tiles_is_found_and_narrowed_by_a_kept_checkpoint() {
    let (store, kept) = log_of(300);
    let (mut ledger, _) = open(&store);
    ledger.append(&facts(300..600)).unwrap();
    drop(ledger);
    let files = rewritten(400, &store.files());
    let violation = verify_files(files.clone()).unwrap_err();
    assert!(
        matches!(violation, Violation::Rewritten { first: 0, .. }),
        "{violation}"
    );
    assert!(violation.roots().is_some());
    let violation = verify(&MemoryStore::new(files), Some(&kept)).unwrap_err();
    assert!(
        matches!(violation, Violation::Rewritten { first: 300, .. }),
        "{violation}"
    );
    assert_eq!(violation.verdict(), Verdict::Inconsistent);
}

#[test]
fn a_log_that_was_rolled_back_is_found_by_a_kept_checkpoint() {
    let (store, _) = log_of(300);
    let old = store.files();
    let (mut ledger, _) = open(&store);
    ledger.append(&facts(300..310)).unwrap();
    let kept = ledger.head();
    let back = MemoryStore::new(old);
    verify(&back, None).expect("by itself it is a log like any other");
    let violation = verify(&back, Some(&kept.checkpoint)).unwrap_err();
    assert!(
        matches!(
            violation,
            Violation::RolledBack {
                kept_size: 310,
                size: 300,
                ..
            }
        ),
        "{violation}"
    );
    assert_eq!(violation.first_bad(), Some(300));
    assert_eq!(violation.verdict(), Verdict::Inconsistent);
}

#[test]
fn another_history_with_the_same_key_is_found_by_a_kept_checkpoint() {
    for kept_size in [1, 255, 256, 300, 512, 600] {
        let (_, kept) = log_of(kept_size);
        let store = MemoryStore::new(Files::new());
        let (mut ledger, _) = open(&store);
        // The same but for the last entry that is kept.
        ledger.append(&facts(0..kept_size - 1)).unwrap();
        ledger.append(&facts(5000..5700)).unwrap();
        verify(&store, None).unwrap();
        let violation = verify(&store, Some(&kept)).unwrap_err();
        let Violation::Inconsistent {
            size, kept, found, ..
        } = &violation
        else {
            panic!("{violation}");
        };
        assert_eq!(*size, kept_size);
        assert_ne!(kept, found);
        let reader = Reader::open(store.clone(), key().verifying()).unwrap();
        let (_, checkpoint) = log_of(kept_size);
        reader
            .is_consistent_with(&checkpoint, key().verifying())
            .unwrap_err();
    }
}

#[test]
fn every_kept_checkpoint_of_the_same_history_is_consistent() {
    let store = MemoryStore::new(Files::new());
    let (mut ledger, _) = open(&store);
    let mut kept = vec![ledger.head().checkpoint];
    for number in 0..130 {
        ledger.append(&facts(number * 5..number * 5 + 5)).unwrap();
        kept.push(ledger.head().checkpoint);
    }
    for checkpoint in kept {
        ledger.is_consistent_with(&checkpoint).unwrap();
        let verified = verify(&store, Some(&checkpoint)).unwrap();
        assert!(verified.consistent_with.is_some());
    }
}

#[test]
fn a_kept_checkpoint_that_somebody_else_signed_counts_for_nothing() {
    let (store, kept) = log_of(3);
    let forged = kept.replace("\n3\n", "\n2\n");
    let violation = verify(&store, Some(&forged)).unwrap_err();
    assert!(
        matches!(violation, Violation::BadSignature { .. }),
        "{violation}"
    );
}

#[test]
fn directories_that_are_foreign_truncated_or_empty_are_told() {
    let violation = verify_files(Files::new()).unwrap_err();
    assert!(matches!(violation, Violation::NoCheckpoint));
    let foreign = Files::from([("README".to_owned(), b"hello".to_vec())]);
    assert!(matches!(
        verify_files(foreign),
        Err(Violation::NoCheckpoint)
    ));
    let nonsense = Files::from([("checkpoint".to_owned(), b"hello".to_vec())]);
    assert!(matches!(
        verify_files(nonsense),
        Err(Violation::MalformedCheckpoint(_))
    ));
    let (store, _) = log_of(600);
    for (path, index) in [
        ("tile/entries/001", 256),
        ("tile/0/001", 256),
        ("tile/entries/002.p/88", 512),
        ("tile/1/000.p/2", 0),
    ] {
        let mut files = store.files();
        files.remove(path);
        let violation = verify_files(files).unwrap_err();
        let Violation::MissingTile {
            path: found,
            index: first,
        } = &violation
        else {
            panic!("{path}: {violation}");
        };
        assert_eq!((found.as_str(), *first), (path, index));
    }
}

#[test]
fn a_checkpoint_of_another_origin_is_not_this_log() {
    let (store, _) = log_of(3);
    let other = covenant::ledger::SigningKey::generate("ledger.example.com/two", [7; 32]).unwrap();
    let violation = verify_log(store.as_ref(), other.verifying(), None, &mut |_| {}).unwrap_err();
    assert!(
        matches!(violation, Violation::Foreign { .. }),
        "{violation}"
    );
    assert_eq!(violation.verdict(), Verdict::BadSignature);
}

#[test]
fn an_entry_with_its_proof_stands_alone_and_no_other_entry_stands_with_it() {
    for size in [1, 2, 255, 256, 257, 600] {
        let (store, _) = log_of(size);
        let reader = Reader::open(store as Arc<dyn Store>, key().verifying()).unwrap();
        for index in [0, size / 2, size - 1] {
            let record = reader.entry(index).unwrap().unwrap();
            let proof = reader.prove(index).unwrap();
            let included = verify_entry(&record.bytes, &proof, key().verifying()).unwrap();
            assert_eq!((included.index, included.head.size), (index, size));
            let mut other = record.bytes.clone();
            other[10] ^= 1;
            let violation = verify_entry(&other, &proof, key().verifying()).unwrap_err();
            let Violation::NotIncluded {
                index: named,
                root,
                found,
                ..
            } = &violation
            else {
                panic!("{violation}");
            };
            assert_eq!(*named, index);
            assert_ne!(root, found);
            assert_ne!(found, "none");
        }
        assert!(reader.entry(size).unwrap().is_none());
        reader.prove(size).unwrap_err();
    }
}

#[test]
fn a_proof_for_another_place_or_with_other_hashes_is_refused() {
    let (store, _) = log_of(100);
    let reader = Reader::open(store as Arc<dyn Store>, key().verifying()).unwrap();
    let entry = reader.entry(37).unwrap().unwrap().bytes;
    let proof = reader.prove(37).unwrap();
    let lines: Vec<&str> = proof.lines().collect();
    let wrong = [
        proof.replace("index 37", "index 38"),
        proof.replace("index 37", "index 037"),
        proof.replace("index 37", "index 99999999999999999999"),
        proof.replace("index 37", "index 18446744073709551615"),
        proof.replace("tlog-proof@v1", "tlog-proof@v2"),
        proof.replace(&format!("{}\n", lines[2]), ""),
        proof.replace(lines[2], &format!("{}\n{}", lines[2], lines[2])),
        proof.replace(lines[2], lines[3]),
        proof.replace("\n\n", "\n"),
        proof.replace("\n100\n", "\n101\n"),
        String::new(),
    ];
    for proof in wrong {
        verify_entry(&entry, &proof, key().verifying()).expect_err(&proof);
    }
    let extra = proof.replace("index 37", "extra aGVsbG8=\nindex 37");
    verify_entry(&entry, &extra, key().verifying()).unwrap();
}

/// A log whose entry 37 somebody changed together with the hash in the tile above it.
fn changed_with_its_tile(size: u64) -> Arc<MemoryStore> {
    let (store, _) = log_of(size);
    let mut files = store.files();
    let mut entries = split(&files[BUNDLE]);
    let at = entries[37].len() / 2;
    entries[37][at] ^= 1;
    files.insert(BUNDLE.to_owned(), join(&entries));
    let hash = tlog_tiles::record_hash(&entries[37]);
    let tile = files.get_mut("tile/0/000").unwrap();
    tile[37 * 32..38 * 32].copy_from_slice(&hash.0);
    MemoryStore::new(files)
}

#[test]
fn an_entry_changed_together_with_its_tile_is_returned_by_no_reader() {
    for size in [257, 300, 511, 600, 1000, 1023, 2047] {
        let store = changed_with_its_tile(size);
        let reader = Reader::open(store as Arc<dyn Store>, key().verifying()).unwrap();
        let violation = reader.entry(37).unwrap_err();
        assert!(
            matches!(violation, Violation::Unproven { .. }),
            "{size}: {violation}"
        );
        reader.prove(37).unwrap_err();
    }
}

/// Tiles as they are stored, for the reader of the library.
struct Tiles(Files);

impl tlog_tiles::TileReader for Tiles {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &tlog_tiles::Tile| {
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            self.0[&path].clone()
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

/// Why the reader of the library is not used. Should this fail one day, `proven` may go.
#[test]
fn the_reader_of_the_library_takes_a_changed_tile_for_a_signed_one() {
    use tlog_tiles::HashReader as _;
    let files = changed_with_its_tile(600).files();
    let entry = split(&files[BUNDLE])[37].clone();
    let (_, checkpoint) = log_of(600);
    let root = checkpoint.lines().nth(2).unwrap();
    let root = tlog_tiles::Hash::parse_hash(root).unwrap();
    let tiles = Tiles(files);
    let reader = tlog_tiles::TileHashReader::new(600, root, &tiles);
    let hashes = reader
        .read_hashes(&[tlog_tiles::stored_hash_index(0, 37)])
        .unwrap();
    assert_eq!(hashes, [tlog_tiles::record_hash(&entry)]);
}

#[test]
fn a_reader_returns_no_entry_that_is_not_proven() {
    let files = changed(|entries| {
        let at = entries[37].len() / 2;
        entries[37][at] ^= 1;
    });
    let store = MemoryStore::new(files);
    let reader = Reader::open(store as Arc<dyn Store>, key().verifying()).unwrap();
    let violation = reader.entry(0).unwrap_err();
    assert!(
        matches!(violation, Violation::BadEntry { index: 37, .. }),
        "{violation}"
    );
    let good: Vec<Entry> = reader
        .entries(256..600)
        .map(|record| record.unwrap().entry.unwrap())
        .collect();
    assert_eq!(good, facts(256..600));
    assert_eq!(reader.entries(0..600).filter(Result::is_err).count(), 1);
}
