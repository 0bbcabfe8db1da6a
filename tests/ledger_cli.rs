//! `covenant ledger` from the outside: what it prints, and what it exits with.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "ledger/memory.rs"]
#[expect(dead_code, reason = "here only its type is needed")]
mod memory;
#[path = "ledger/stage.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod stage;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use covenant::ledger::{DirectoryStore, Entry, Ledger, SigningKey};
use stage::{ORIGIN, facts, intent, key, outcome};
use tempfile::TempDir;

struct Copy {
    folder: TempDir,
    /// The public key, as it was handed over.
    key: PathBuf,
    /// The checkpoint of the first four entries.
    kept: PathBuf,
}

/// A ledger of 8 entries, two of them intents, of which one has no outcome.
fn ledger() -> Copy {
    of(&[
        facts(0..4),
        vec![intent(4), outcome(4, true)],
        vec![intent(6), outcome(6, false)],
    ])
}

fn of(batches: &[Vec<Entry>]) -> Copy {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(DirectoryStore::create(folder.path().join("ledger")).unwrap());
    let (mut ledger, _) = Ledger::open(store, key(), ORIGIN).unwrap();
    let kept = folder.path().join("kept");
    for (number, batch) in batches.iter().enumerate() {
        ledger.append(batch).unwrap();
        if number == 0 {
            fs::write(&kept, ledger.head().checkpoint).unwrap();
        }
    }
    let public = folder.path().join("ledger.vkey");
    fs::write(&public, key().verifying().to_text()).unwrap();
    Copy {
        folder,
        key: public,
        kept,
    }
}

impl Copy {
    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_covenant"))
            .arg("ledger")
            .args(arguments)
            .current_dir(self.folder.path())
            .env("COVENANT_LEDGER", self.path("ledger"))
            .env_remove("CLICOLOR_FORCE")
            .output()
            .unwrap();
        assert!(!errors(&output).contains("panicked"), "{}", errors(&output));
        output
    }

    /// What is printed with an exit code, without the folder's name.
    #[track_caller]
    fn prints(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = out(&output);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{text}{}",
            errors(&output)
        );
        text
    }

    fn verify(&self, code: i32, more: &[&str]) -> String {
        let key = self.key.to_str().unwrap();
        self.prints(code, &[&["verify", "--key", key], more].concat())
    }

    fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.path("ledger").join(path);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn flip(bytes: &mut [u8], at: usize) {
    bytes[at] ^= 1;
}

#[test]
fn the_head_is_shown() {
    let copy = ledger();
    insta::assert_snapshot!("head", copy.prints(0, &["head"]));
    insta::assert_snapshot!("head_json", copy.prints(0, &["head", "-o", "json"]));
}

#[test]
fn entries_are_listed_by_index_tenant_and_type() {
    let copy = ledger();
    insta::assert_snapshot!("list", copy.prints(0, &["list"]));
    insta::assert_snapshot!(
        "list_json",
        copy.prints(0, &["list", "--from", "7", "-o", "json"])
    );
    let some = copy.prints(0, &["list", "--type", "disposal", "--to", "5"]);
    assert_eq!(some.lines().count(), 3, "{some}");
    let long = [
        "list",
        "--type",
        "io.cloudnexus.privacy.disposal.v1",
        "--to",
        "5",
    ];
    assert_eq!(copy.prints(0, &long), some);
    let none = copy.prints(0, &["list", "--tenant", "globex"]);
    assert_eq!(
        none.lines().count(),
        1,
        "only the names of the columns: {none}"
    );
    assert_eq!(copy.prints(0, &["list", "--from", "8"]).lines().count(), 1);
    assert_eq!(
        copy.prints(0, &["list", "--tenant", "acme"])
            .lines()
            .count(),
        9
    );
}

#[test]
fn an_entry_is_shown_and_handed_over_with_its_proof() {
    let copy = ledger();
    insta::assert_snapshot!("get", copy.prints(0, &["get", "4"]));
    copy.prints(0, &["get", "4", "--proof", "out", "-o", "json"]);
    let key = copy.key.to_str().unwrap();
    insta::assert_snapshot!(
        "verify_entry",
        copy.prints(0, &["verify", "out", "--key", key])
    );
    insta::assert_snapshot!(
        "verify_entry_json",
        copy.prints(0, &["verify", "out", "--key", key, "-o", "json"])
    );
    // Without a key from outside a proof proves nothing.
    let output = copy.run(&["verify", "out"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("--key"), "{}", errors(&output));

    let entry = copy.path("out/entry.json");
    let mut changed = fs::read(&entry).unwrap();
    flip(&mut changed, 40);
    fs::write(&entry, &changed).unwrap();
    insta::assert_snapshot!(
        "verify_changed_entry",
        copy.prints(4, &["verify", "out", "--key", key])
    );
    fs::write(copy.path("out/entry.tlog-proof"), [0xff]).unwrap();
    copy.prints(4, &["verify", "out", "--key", key]);
    fs::remove_file(copy.path("out/entry.tlog-proof")).unwrap();
    copy.prints(1, &["verify", "out", "--key", key]);
    assert!(errors(&copy.run(&["get", "8"])).contains("there is no entry 8; the ledger has 8"));
    copy.prints(4, &["get", "8"]);
    copy.prints(2, &["get", "four"]);
}

#[test]
fn a_valid_ledger_is_verified() {
    let copy = ledger();
    insta::assert_snapshot!("verify", copy.verify(0, &[]));
    let from = copy.kept.to_str().unwrap();
    insta::assert_snapshot!("verify_from", copy.verify(0, &["--from", from]));
    insta::assert_snapshot!(
        "verify_json",
        copy.verify(0, &["--from", from, "-o", "json"])
    );
}

#[test]
fn intents_without_outcome_are_an_error_only_when_outcomes_are_required() {
    let copy = ledger();
    copy.verify(0, &[]);
    let text = copy.verify(6, &["--require-outcomes"]);
    assert!(text.contains("entry 6: intent-6"), "{text}");
    let settled = of(&[vec![intent(1)], vec![outcome(1, true)]]);
    settled.verify(0, &["--require-outcomes"]);
}

#[test]
fn a_key_that_came_with_the_ledger_is_called_what_it_is() {
    let copy = ledger();
    let output = copy.run(&["verify"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(errors(&output).contains("warning: the key is the one that lies in the directory"));
    let with = copy.run(&["verify", "--key", copy.key.to_str().unwrap()]);
    assert_eq!(errors(&with), "", "and in a pipe there is no progress");
}

#[test]
fn what_is_wrong_is_told_by_exit_code_first_bad_index_and_both_roots() {
    let changed = ledger();
    changed.change("tile/entries/000.p/8", |bytes| flip(bytes, 2000));
    insta::assert_snapshot!("verify_bad_entry", changed.verify(4, &[]));
    insta::assert_snapshot!("verify_bad_entry_json", changed.verify(4, &["-o", "json"]));
    changed.prints(4, &["list"]);

    let missing = ledger();
    fs::remove_file(missing.path("ledger/tile/0/000.p/8")).unwrap();
    insta::assert_snapshot!("verify_missing", missing.verify(4, &[]));

    let signature = ledger();
    signature.change("checkpoint", |bytes| {
        let text = String::from_utf8(bytes.clone())
            .unwrap()
            .replace("\n8\n", "\n7\n");
        *bytes = text.into_bytes();
    });
    insta::assert_snapshot!("verify_bad_signature", signature.verify(3, &[]));
    signature.prints(3, &["head"]);

    let rolled_back = of(&[facts(0..2)]);
    fs::write(&rolled_back.kept, of(&[facts(0..4)]).checkpoint()).unwrap();
    let kept = rolled_back.kept.to_str().unwrap();
    insta::assert_snapshot!(
        "verify_rolled_back",
        rolled_back.verify(5, &["--from", kept])
    );

    let fork = of(&[facts(10..20)]);
    fs::write(&fork.kept, of(&[facts(0..4)]).checkpoint()).unwrap();
    let kept = fork.kept.to_str().unwrap();
    insta::assert_snapshot!("verify_fork", fork.verify(5, &["--from", kept]));
}

impl Copy {
    fn checkpoint(&self) -> Vec<u8> {
        fs::read(self.path("ledger/checkpoint")).unwrap()
    }
}

#[test]
fn what_cannot_be_read_is_told_from_what_is_wrong() {
    let copy = ledger();
    for arguments in [
        ["verify", "--dir", "nowhere"],
        ["verify", "--key", "nowhere"],
        ["verify", "--from", "nowhere"],
        ["verify", "--key", "kept"],
    ] {
        copy.prints(1, &arguments);
    }
    fs::create_dir(copy.path("empty")).unwrap();
    let output = copy.run(&["head", "--dir", "empty"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("no keys lie in the directory; name one with --key"));
    let key = copy.key.to_str().unwrap();
    let text = copy.prints(1, &["verify", "--dir", "empty", "--key", key]);
    assert!(text.contains("there is no checkpoint"), "{text}");
    let without = Command::new(env!("CARGO_BIN_EXE_covenant"))
        .args(["ledger", "head"])
        .env_remove("COVENANT_LEDGER")
        .output()
        .unwrap();
    assert_eq!(without.status.code(), Some(1));
    assert!(errors(&without).contains("--dir"));
}

#[test]
fn the_exit_codes_are_in_the_help_of_every_command_that_has_them() {
    let copy = ledger();
    for command in ["head", "list", "get", "verify"] {
        let help = copy.prints(0, &[command, "--help"]);
        for code in [
            "0 valid",
            "3 bad signature",
            "4 an entry",
            "5 inconsistent",
            "6 an intent",
        ] {
            assert!(help.contains(code), "{command}: {help}");
        }
    }
}

#[test]
fn a_key_is_made_for_its_owner_only_and_never_written_over() {
    let copy = ledger();
    let public = copy.prints(0, &["keygen", "--origin", ORIGIN, "--out", "new.key"]);
    let path = copy.path("new.key");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = fs::read_to_string(&path).unwrap();
    let made = SigningKey::parse(&text).unwrap();
    assert_eq!(made.verifying().to_text(), public.trim());
    assert_ne!(made.verifying(), key().verifying());
    copy.prints(1, &["keygen", "--origin", ORIGIN, "--out", "new.key"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    copy.prints(1, &["keygen", "--origin", "a b", "--out", "other.key"]);
    assert!(!Path::new(&copy.path("other.key")).exists());
}

#[test]
fn what_an_entry_holds_reaches_no_terminal_as_a_command() {
    let mut entry = facts(0..1).remove(0);
    entry.detail = serde_json::Map::from_iter([("a".to_owned(), "\u{1b}[2J".into())]);
    let copy = of(&[vec![entry]]);
    for arguments in [["list", "-o", "text"], ["get", "0", "-o=text"]] {
        assert!(!copy.prints(0, &arguments).contains('\u{1b}'));
    }
}
