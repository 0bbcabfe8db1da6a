//! Where the ledger is kept: its directory, its keys, and the copy of its head elsewhere.
//!
//! May not: make a new key for a ledger that has entries, or go on where the head that is kept elsewhere says otherwise.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use super::LedgerOptions;
use crate::ledger::{
    AppendError, DirectoryStore, Entry, EntryKind, KeyError, Ledger, OpenError, Phase, Pseudonyms,
    Recovery, SigningKey, Store as _, StoreError, Subject, Violation,
};

/// Longest file that is read as a key or a head.
const LONGEST: u64 = 64 * 1024;

/// The open ledger.
pub struct Kept {
    /// It.
    pub ledger: Ledger,
    /// Ids of entries that are in it and were never acknowledged.
    pub unacknowledged: BTreeSet<String>,
    head_copy: Option<PathBuf>,
    copied: bool,
}

/// Why there is no ledger.
#[derive(Debug, Error)]
pub enum KeepError {
    /// A file could not be read or written.
    #[error("{path} cannot be {action}", path = path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// There are entries and no key.
    #[error(
        "{ledger} has entries, and their signing key {key} is not there; put it back from where it is kept, because a new key would begin another ledger",
        ledger = ledger.display(), key = key.display()
    )]
    KeyMissing {
        /// The ledger.
        ledger: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The key's file has no key.
    #[error("{path} is not the key that it should be", path = path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The system gives no randomness.
    #[error("no randomness is to be had for a key")]
    Randomness,
    /// The directory cannot be used.
    #[error("the ledger's directory cannot be used")]
    Store(#[source] StoreError),
    /// The ledger is not as it was left.
    #[error("it cannot be opened (`covenant ledger verify` says more)")]
    Open(#[source] OpenError),
    /// It was there and is not.
    #[error(
        "the ledger in {directory} is gone; put it back where it was. No other is begun in its place while the operator runs",
        directory = directory.display()
    )]
    Missing {
        /// Where it was.
        directory: PathBuf,
    },
    /// What is there now is not what this process wrote.
    #[error(
        "the ledger in {directory} does not continue what was written there before; put that back, or start the operator anew to go on with this one",
        directory = directory.display()
    )]
    Exchanged {
        /// Where it is.
        directory: PathBuf,
        /// What is wrong.
        #[source]
        source: Violation,
    },
    /// The head that is kept elsewhere tells of another history.
    #[error(
        "the ledger does not continue the head in {path}: it was rolled back or replaced. Restore the whole ledger, or move both away to begin a new one",
        path = path.display()
    )]
    RolledBack {
        /// Where the head is kept.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Violation,
    },
}

impl Kept {
    /// Opens the ledger, or begins it. `acknowledged`: how many entries this process knows to be durable, if it had it open,
    /// and `known` the head that it knows. With one it only goes on from there: a directory that is moved away, or not
    /// mounted, would else begin a second history, and nobody would notice.
    ///
    /// # Errors
    /// When it is not as it was left, or its files cannot be read or made.
    pub fn open(
        options: &LedgerOptions,
        acknowledged: Option<u64>,
        known: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, KeepError> {
        let directory = &options.directory;
        let store = Arc::new(match known {
            Some(_) => DirectoryStore::new(directory),
            None => DirectoryStore::create(directory).map_err(KeepError::Store)?,
        });
        let begun = store
            .read("checkpoint", usize::try_from(LONGEST).unwrap_or(usize::MAX))
            .map_err(KeepError::Store)?
            .is_some();
        if known.is_some() && !begun {
            let directory = directory.clone();
            return Err(KeepError::Missing { directory });
        }
        let key = signing_key(options, begun)?;
        let (mut ledger, recovery) =
            Ledger::open(store, key, &options.origin).map_err(KeepError::Open)?;
        if let Some(known) = known {
            ledger
                .is_consistent_with(known)
                .map_err(|source| KeepError::Exchanged {
                    directory: directory.clone(),
                    source,
                })?;
        }
        if let Some(path) = &options.head_copy
            && let Some(old) = read(path)?
        {
            ledger
                .is_consistent_with(&old)
                .map_err(|source| KeepError::RolledBack {
                    path: path.clone(),
                    source,
                })?;
        }
        let acknowledged = acknowledged.unwrap_or(recovery.adopted.start);
        let unacknowledged = ids(&ledger, acknowledged..ledger.head().size);
        tell(&mut ledger, &recovery, now);
        let mut kept = Self {
            ledger,
            unacknowledged,
            head_copy: options.head_copy.clone(),
            copied: true,
        };
        kept.copy_head();
        Ok(kept)
    }

    /// Appends and copies the head.
    ///
    /// # Errors
    /// When the entries are not durable.
    pub fn append(&mut self, entries: &[Entry]) -> Result<Range<u64>, AppendError> {
        let range = self.ledger.append(entries)?;
        self.copy_head();
        Ok(range)
    }

    /// A head that cannot be copied is told once; the entries are safe where they are.
    fn copy_head(&mut self) {
        let Some(path) = &self.head_copy else { return };
        let result = replace(path, self.ledger.head().checkpoint.as_bytes(), false);
        match (&result, self.copied) {
            (Err(error), true) => {
                tracing::error!(%error, path = %path.display(), "the ledger's head cannot be copied");
            }
            (Ok(()), false) => {
                tracing::info!(path = %path.display(), "the ledger's head is copied again")
            }
            _ => {}
        }
        self.copied = result.is_ok();
    }
}

/// The key by which people become pseudonyms; made at the first start.
///
/// # Errors
/// When it can be neither read nor made.
pub fn pseudonyms(options: &LedgerOptions) -> std::io::Result<Pseudonyms> {
    let path = options.key.with_extension("pseudonyms");
    let other = |error: &dyn std::fmt::Display| {
        std::io::Error::other(format!("{}: {error}", path.display()))
    };
    match read(&path).map_err(|error| other(&error))? {
        Some(text) => Pseudonyms::parse(&text).map_err(|error| other(&error)),
        None => {
            let made = Pseudonyms::new(random().map_err(|error| other(&error))?);
            replace(&path, made.to_text().as_bytes(), true).map_err(|error| other(&error))?;
            Ok(made)
        }
    }
}

fn signing_key(options: &LedgerOptions, begun: bool) -> Result<SigningKey, KeepError> {
    let path = &options.key;
    let wrong = |source| KeepError::Key {
        path: path.clone(),
        source,
    };
    if let Some(text) = read(path)? {
        return SigningKey::parse(&text).map_err(wrong);
    }
    if begun {
        return Err(KeepError::KeyMissing {
            ledger: options.directory.clone(),
            key: path.clone(),
        });
    }
    let key = SigningKey::generate(&options.origin, random()?).map_err(wrong)?;
    replace(path, key.to_text().as_bytes(), true).map_err(|source| KeepError::File {
        action: "written",
        path: path.clone(),
        source,
    })?;
    Ok(key)
}

fn random() -> Result<[u8; 32], KeepError> {
    let mut bytes = [0; 32];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| KeepError::Randomness)?;
    Ok(bytes)
}

fn read(path: &Path) -> Result<Option<String>, KeepError> {
    use std::io::Read as _;
    let failed = |source| KeepError::File {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(LONGEST)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(Some(text))
}

/// Puts a file in the place of the one that may be there, as a whole.
fn replace(path: &Path, bytes: &[u8], secret: bool) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mode = if secret { 0o600 } else { 0o644 };
    let beside = path.with_added_extension("new");
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)?;
    file.write_all(bytes)?;
    if secret {
        file.sync_all()?;
    }
    std::fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) if secret => std::fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

fn ids(ledger: &Ledger, range: Range<u64>) -> BTreeSet<String> {
    let reader = ledger.reader();
    reader
        .entries(range)
        .flatten()
        .filter_map(|record| Some(record.entry.ok()?.id))
        .collect()
}

/// What was found at opening is an entry itself.
fn tell(ledger: &mut Ledger, recovery: &Recovery, now: Timestamp) {
    if recovery.is_clean() {
        return;
    }
    let kind = if recovery.began {
        EntryKind::LedgerBegan
    } else {
        tracing::warn!(?recovery, "the ledger was not closed in order");
        EntryKind::LedgerRecovered
    };
    let mut detail = serde_json::Map::new();
    let adopted = recovery.adopted.end - recovery.adopted.start;
    detail.insert("adoptedEntries".to_owned(), adopted.into());
    let cut: usize = recovery.cut.iter().map(|cut| cut.bytes).sum();
    detail.insert("cutBytes".to_owned(), cut.into());
    let entry = Entry {
        id: format!("open-{:x}", now.as_nanosecond()),
        time: now,
        kind,
        subject: Subject {
            api_version: "v1".to_owned(),
            kind: "Ledger".to_owned(),
            namespace: None,
            uid: ledger.head().origin.replace('/', ":"),
        },
        tenant: None,
        phase: Phase::Fact,
        cause: None,
        actor: None,
        policy: None,
        detail,
    };
    // What cannot be written now is said by the next append.
    if let Err(error) = ledger.append(&[entry]) {
        tracing::error!(%error, "the ledger was opened and cannot be written");
    }
}
