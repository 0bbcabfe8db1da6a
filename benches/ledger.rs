//! What the ledger costs: entries a second with everything synced, how fast a million entries are verified and with how much memory,
//! beside the raw crates, which keep everything in memory and sync nothing. Run by `make bench`, or `cargo bench --bench ledger`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark measures time, reads its arguments and fails by panicking"
)]

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use covenant::ledger::{
    DirectoryStore, Entry, EntryKind, Ledger, Phase, SigningKey, Store, StoreError, Subject,
    verify_log,
};
use tlog_tiles::{Error, Hash, HashReader, record_hash, stored_hash_index, stored_hashes};

const ORIGIN: &str = "ledger.example.com/bench";

/// Counts what is written.
#[derive(Debug)]
struct Counted {
    store: DirectoryStore,
    writes: AtomicU64,
    bytes: AtomicU64,
}

impl Counted {
    fn count(&self, bytes: &[u8]) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    fn take(&self) -> (u64, u64) {
        (
            self.writes.swap(0, Ordering::Relaxed),
            self.bytes.swap(0, Ordering::Relaxed),
        )
    }
}

impl Store for Counted {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.read(path, limit)
    }
    fn create(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.count(bytes);
        self.store.create(path, bytes)
    }
    fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.count(bytes);
        self.store.replace(path, bytes)
    }
    fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.store.remove(path)
    }
    fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        self.store.list(folder)
    }
    fn take_fence(&self) -> Result<(), StoreError> {
        self.store.take_fence()
    }
    fn check_fence(&self) -> Result<(), StoreError> {
        self.store.check_fence()
    }
    fn release_fence(&self) {
        self.store.release_fence();
    }
}

fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").unwrap();
}

fn key() -> SigningKey {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    SigningKey::generate(ORIGIN, seed).unwrap()
}

fn entry(number: u64) -> Entry {
    let phase = match number % 2 {
        0 => Phase::Intent,
        _ => Phase::Outcome {
            intent: format!("entry-{}", number - 1),
            settled: true,
        },
    };
    Entry {
        id: format!("entry-{number}"),
        time: "2026-11-26T12:00:00Z".parse().unwrap(),
        kind: EntryKind::Disposal,
        subject: Subject {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: Some("acme-prod".to_owned()),
            uid: format!("00000000-0000-0000-0000-{number:012}"),
        },
        tenant: Some("acme".to_owned()),
        phase,
        cause: None,
        actor: Some("system:serviceaccount:covenant-system:covenant".to_owned()),
        policy: None,
        detail: serde_json::Map::from_iter([(
            "digest".to_owned(),
            format!("sha256:{number:064x}").into(),
        )]),
    }
}

fn entries(first: u64, count: u64) -> Vec<Entry> {
    (first..first + count).map(entry).collect()
}

/// The raw crate: all hashes in one vector.
#[derive(Default)]
struct Raw {
    hashes: Vec<Hash>,
    size: u64,
}

impl HashReader for Raw {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let read = |index: &u64| {
            let index = usize::try_from(*index).ok()?;
            self.hashes.get(index).copied()
        };
        indexes
            .iter()
            .map(|index| read(index).ok_or(Error::IndexesNotInTree))
            .collect()
    }
}

impl Raw {
    fn append(&mut self, batch: &[Vec<u8>]) {
        for bytes in batch {
            debug_assert_eq!(self.hashes.len() as u64, stored_hash_index(0, self.size));
            let hashes = stored_hashes(self.size, bytes, self).unwrap();
            self.hashes.extend(hashes);
            self.size += 1;
        }
        black_box(tlog_tiles::tree_hash(self.size, self).unwrap());
    }
}

/// Appends in batches of each length, beside the raw crate with the same entries, in turns.
fn append(folder: &Path, lengths: &[u64], rounds: u64) {
    say("  batch   entries/s   raw crate, in memory   writes (2 syncs each) and bytes an entry");
    for length in lengths {
        let store = Arc::new(Counted {
            store: DirectoryStore::create(folder.join(format!("append-{length}"))).unwrap(),
            writes: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let (mut ledger, _) = Ledger::open(store.clone(), key(), ORIGIN).unwrap();
        store.take();
        let mut raw = Raw::default();
        let (mut ours, mut theirs) = (0.0, 0.0);
        // Enough batches to fill a bundle, so that the partial ones count with all that they cost.
        let batches = (512_u64.div_ceil(*length) * rounds).max(8);
        for batch in 0..batches {
            let batch = entries(batch * length, *length);
            let start = Instant::now();
            ledger.append(&batch).unwrap();
            ours += start.elapsed().as_secs_f64();
            let start = Instant::now();
            let encoded: Vec<_> = batch.iter().map(|it| it.encode(ORIGIN).unwrap()).collect();
            raw.append(&encoded);
            theirs += start.elapsed().as_secs_f64();
        }
        let count = (batches * length) as f64;
        let (writes, bytes) = store.take();
        say(&format!(
            "  {length:>5}   {:>9.0}   {:>20.0}   {:.3} and {:.0}",
            count / ours,
            count / theirs,
            writes as f64 / count,
            bytes as f64 / count
        ));
    }
}

/// Verifies a long log, beside hashing the same entries with the raw crate, in turns.
fn verify(folder: &Path, count: u64, rounds: usize) {
    let folder = folder.join("verify");
    let key = key();
    let store = Arc::new(DirectoryStore::create(&folder).unwrap());
    let (mut ledger, _) = Ledger::open(store.clone(), key.clone(), ORIGIN).unwrap();
    let mut next = 0;
    while next < count {
        let length = 16_384.min(count - next);
        ledger.append(&entries(next, length)).unwrap();
        next += length;
    }
    drop(ledger);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        let verified = verify_log(store.as_ref(), key.verifying(), None, &mut |_| {}).unwrap();
        assert!(verified.open_intents.len() <= 1);
        ours.push(count as f64 / start.elapsed().as_secs_f64());
        let start = Instant::now();
        theirs.push(count as f64 / hash_all(&store, count, start));
    }
    say(&format!(
        "  verify {count} entries: {} entries/s; the raw crate, reading and hashing the same: {} entries/s",
        spread(&ours),
        spread(&theirs)
    ));
    let start = Instant::now();
    let (reopened, _) = Ledger::open(store, key, ORIGIN).unwrap();
    assert_eq!(reopened.head().size, count);
    say(&format!(
        "  take it up again: {:.3} s",
        start.elapsed().as_secs_f64()
    ));
    say(&format!(
        "  peak memory of `covenant ledger verify`: {} KiB",
        peak(&folder)
    ));
}

/// Reads every bundle, hashes every entry and the tree over them; how long it took.
fn hash_all(store: &DirectoryStore, count: u64, start: Instant) -> f64 {
    let mut raw = Raw::default();
    for path in store.list("tile/entries").unwrap() {
        let bytes = store.read(&path, usize::MAX - 1).unwrap().unwrap();
        let mut rest = bytes.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (entry, after) = after.split_at(u16::from_be_bytes(*length).into());
            let hashes =
                tlog_tiles::stored_hashes_for_record_hash(raw.size, record_hash(entry), &raw);
            raw.hashes.extend(hashes.unwrap());
            raw.size += 1;
            rest = after;
        }
    }
    assert_eq!(raw.size, count);
    black_box(tlog_tiles::tree_hash(count, &raw).unwrap());
    start.elapsed().as_secs_f64()
}

fn spread(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
    format!("{:.0} ({least:.0} to {most:.0})", sorted[sorted.len() / 2])
}

/// The most that the command has held in memory, as the kernel counts.
fn peak(folder: &Path) -> u64 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_covenant"))
        .args(["ledger", "verify", "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let size = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
        peak = peak.max(size.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success());
    peak
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let quick = arguments.iter().any(|it| it == "--quick");
    // On the file system of the build, not in memory, where syncing costs nothing.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    append(
        folder.path(),
        &[1, 16, 256, 4096],
        if quick { 1 } else { 4 },
    );
    let (count, rounds) = if quick { (50_000, 1) } else { (1_000_000, 3) };
    verify(folder.path(), count, rounds);
}
