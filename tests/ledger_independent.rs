//! Others verify what we write: Tessera's `fsck` a whole ledger, Torchwood's `spicy` one entry by its proof. Both are of the Go world
//! and share no code with ours.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use covenant::ledger::{
    DirectoryStore, Entry, EntryKind, Ledger, Phase, SigningKey, Store as _, Subject,
};

#[path = "ledger/random.rs"]
mod random;

fn tool(name: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/build");
    let output = Command::new(script)
        .args(["--path", name, "ledger-verify"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "tools/build ledger-verify failed; see above"
    );
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn entry(number: u64) -> Entry {
    Entry {
        id: format!("entry-{number}"),
        time: "2026-11-26T12:00:00Z".parse().unwrap(),
        kind: EntryKind::PathClosed,
        subject: Subject {
            api_version: "networking.k8s.io/v1".to_owned(),
            kind: "NetworkPolicy".to_owned(),
            namespace: Some("globex-prod".to_owned()),
            uid: format!("uid-{number}"),
        },
        tenant: Some("globex".to_owned()),
        phase: Phase::Fact,
        cause: None,
        actor: None,
        policy: None,
        detail: serde_json::Map::new(),
    }
}

/// A ledger that was written in batches of all lengths, and its public key.
fn write(folder: &Path, count: u64) -> PathBuf {
    let key = SigningKey::generate("ledger.example.com/cluster-1", random::seed()).unwrap();
    let public = folder.join("keys/cluster-1.vkey");
    let store = Arc::new(DirectoryStore::create(folder).unwrap());
    let (mut ledger, _) = Ledger::open(store, key, "ledger.example.com/cluster-1").unwrap();
    let mut next = 0;
    for length in (1..).step_by(37) {
        let end = (next + length).min(count);
        let batch: Vec<Entry> = (next..end).map(entry).collect();
        ledger.append(&batch).unwrap();
        next = end;
        if next == count {
            return public;
        }
    }
    unreachable!("the batches grow")
}

/// Whether `fsck` finds the ledger as it should be. It says so only in its log: it exits with 0 in any case.
fn fsck(folder: &Path, key: &Path) -> bool {
    let output = Command::new(tool("fsck"))
        .arg(format!("--storage_url=file://{}/", folder.display()))
        .arg(format!("--public_key={}", key.display()))
        .args(["--ui=false", "--N=4", "-v=1"])
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let failed = log.contains("fsck failed");
    assert!(
        failed || log.contains("Completed ranges"),
        "it was not run: {log}"
    );
    assert!(failed || !log.to_lowercase().contains("error"), "{log}");
    !failed
}

#[test]
fn tessera_accepts_our_ledger_and_refuses_one_flipped_bit() {
    let folder = tempfile::tempdir().unwrap();
    let key = write(folder.path(), 3000);
    assert!(fsck(folder.path(), &key));
    let current = [
        "tile/entries/000",
        "tile/entries/011.p/184",
        "tile/0/003",
        "tile/0/011.p/184",
        "tile/1/000.p/11",
        "checkpoint",
    ];
    for path in current {
        let path = folder.path().join(path);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let at = bad.len() / 2;
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert!(!fsck(folder.path(), &key), "{}", path.display());
        fs::write(&path, &good).unwrap();
    }
    assert!(fsck(folder.path(), &key), "and it is accepted again");
}

#[test]
fn tessera_accepts_ledgers_of_all_awkward_sizes() {
    for count in [1, 2, 255, 256, 257, 511, 512, 1000] {
        let folder = tempfile::tempdir().unwrap();
        let key = write(folder.path(), count);
        assert!(fsck(folder.path(), &key), "{count}");
    }
}

fn spicy(entry: &Path, key: &str) -> Output {
    Command::new(tool("spicy"))
        .args(["-verify", key])
        .arg(entry)
        .output()
        .unwrap()
}

#[test]
fn torchwood_accepts_our_proof_of_an_entry_and_refuses_another_entry() {
    let folder = tempfile::tempdir().unwrap();
    let key = write(folder.path(), 3000);
    let text = fs::read_to_string(&key).unwrap();
    let parsed = covenant::ledger::VerifyingKey::parse(&text).unwrap();
    let store = Arc::new(DirectoryStore::new(folder.path()));
    assert!(!store.list("tile").unwrap().is_empty());
    let reader = covenant::ledger::Reader::open(store, &parsed).unwrap();
    let path = folder.path().join("entry.json");
    for index in [0, 255, 256, 1234, 2815, 2816, 2999] {
        let record = reader.entry(index).unwrap().unwrap();
        fs::write(&path, &record.bytes).unwrap();
        // Its format is ours without the first line.
        let proof = reader.prove(index).unwrap();
        let (header, rest) = proof.split_once('\n').unwrap();
        assert_eq!(header, "c2sp.org/tlog-proof@v1");
        fs::write(folder.path().join("entry.json.spicy"), rest).unwrap();
        let output = spicy(&path, text.trim());
        assert!(output.status.success(), "{index}: {output:?}");
        let mut other = record.bytes;
        other[10] ^= 1;
        fs::write(&path, &other).unwrap();
        assert!(!spicy(&path, text.trim()).status.success(), "{index}");
    }
}
