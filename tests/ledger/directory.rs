//! A ledger in a directory of a real file system.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use covenant::ledger::{
    AppendError, DirectoryStore, Ledger, OpenError, Store, StoreError, verify_log,
};

use crate::stage::{ORIGIN, facts, key};

fn take_up(folder: &Path) -> Result<Ledger, OpenError> {
    let store = Arc::new(DirectoryStore::create(folder)?);
    Ledger::open(store, key(), ORIGIN).map(|(ledger, _)| ledger)
}

fn size(folder: &Path) -> u64 {
    let store = DirectoryStore::new(folder);
    let verified = verify_log(&store, key().verifying(), None, &mut |_| {}).unwrap();
    verified.head.size
}

#[test]
fn a_ledger_in_a_directory_goes_on_after_it_was_closed() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("a/b/ledger");
    let mut ledger = take_up(&place).unwrap();
    ledger.append(&facts(0..300)).unwrap();
    drop(ledger);
    let mut ledger = take_up(&place).unwrap();
    ledger.append(&facts(300..301)).unwrap();
    assert_eq!(size(&place), 301);
    let left: Vec<_> = fs::read_dir(place.join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(
        !place.join("tile/entries/000.p").exists(),
        "emptied folders go"
    );
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first = take_up(folder.path()).unwrap();
    let error = take_up(folder.path()).unwrap_err();
    assert!(
        matches!(error, OpenError::Store(StoreError::Fenced(_))),
        "{error:?}"
    );
    drop(first);
    take_up(folder.path()).unwrap();
}

#[test]
fn where_locks_do_not_work_the_epoch_fences_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = take_up(folder.path()).unwrap();
    first.append(&facts(0..1)).unwrap();
    // Another file with the same name: whoever locks it does not see the lock on the old one.
    fs::remove_file(folder.path().join("lock")).unwrap();
    let mut second = take_up(folder.path()).unwrap();
    let error = first.append(&facts(1..2)).unwrap_err();
    assert!(
        matches!(error, AppendError::Store(StoreError::Fenced(_))),
        "{error:?}"
    );
    second.append(&facts(1..2)).unwrap();
    drop(first);
    second.append(&facts(2..3)).unwrap();
    assert_eq!(size(folder.path()), 3);
}

#[test]
fn what_a_dead_writer_left_half_written_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    drop(take_up(folder.path()).unwrap());
    let half = folder.path().join("tmp/tile-entries-000.p-1");
    fs::write(&half, b"half").unwrap();
    let mut ledger = take_up(folder.path()).unwrap();
    assert!(!half.exists());
    ledger.append(&facts(0..1)).unwrap();
}

#[test]
fn a_file_that_is_to_be_new_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::create(folder.path()).unwrap();
    store.create("tile/0/000", b"one").unwrap();
    let error = store.create("tile/0/000", b"two").unwrap_err();
    assert!(matches!(error, StoreError::Exists(_)), "{error:?}");
    assert_eq!(store.read("tile/0/000", 10).unwrap().unwrap(), b"one");
    store.replace("tile/0/000", b"three").unwrap();
    assert_eq!(store.read("tile/0/000", 10).unwrap().unwrap(), b"three");
    let error = store.read("tile/0/000", 4).unwrap_err();
    assert!(matches!(error, StoreError::TooLong { .. }), "{error:?}");
    assert_eq!(store.read("tile/0/001", 4).unwrap(), None);
    assert_eq!(store.read("tile/0/000/x", 4).unwrap(), None);
    store.remove("tile/0/001").unwrap();
    assert_eq!(store.list("tile").unwrap(), ["tile/0/000"]);
    assert_eq!(store.list("nothing").unwrap(), [""; 0]);
}

#[test]
fn no_path_leads_out_of_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::create(folder.path().join("ledger")).unwrap();
    for path in ["../x", "a/../../x", "/etc/x", "", "a//b", "./a", "a/."] {
        let error = store.replace(path, b"x").unwrap_err();
        assert!(matches!(error, StoreError::Path(_)), "{path}: {error:?}");
        store.read(path, 10).unwrap_err();
    }
}

#[test]
fn a_place_that_is_no_directory_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"x").unwrap();
    take_up(&file).unwrap_err();
    take_up(&file.join("below")).unwrap_err();
}

#[test]
fn a_name_that_cannot_be_written_is_an_error_and_acknowledges_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = take_up(folder.path()).unwrap();
    ledger.append(&facts(0..1)).unwrap();
    // A file stands where a folder is needed.
    let blocked = folder.path().join("tile/0/000.p");
    fs::rename(&blocked, folder.path().join("aside")).unwrap();
    fs::write(&blocked, b"x").unwrap();
    let before = ledger.head();
    ledger.append(&facts(1..2)).unwrap_err();
    ledger.append(&facts(1..2)).unwrap_err();
    assert_eq!(ledger.head(), before);
    fs::remove_file(&blocked).unwrap();
    fs::rename(folder.path().join("aside"), &blocked).unwrap();
    assert_eq!(ledger.append(&facts(1..2)).unwrap(), 1..2);
    assert_eq!(size(folder.path()), 2);
}
