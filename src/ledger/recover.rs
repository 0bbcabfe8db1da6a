//! Taking up a ledger as it was left, by whatever ended the writer before.
//!
//! Whole entries beyond the signed size were about to be signed, and somebody may have seen them: they are adopted. Torn bytes after
//! them are cut. May not: repair, pass over, or sign anew what is signed and not as it was.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;
use tlog_tiles::EMPTY_HASH;

use super::checkpoint::Signed;
use super::edge::Edge;
use super::entry::{Entry, decode_strictly};
use super::key::SigningKey;
use super::layout::{
    CHECKPOINT, HINT, LONGEST_BUNDLE, LONGEST_CHECKPOINT, Part, Piece, TILES, WIDTH, add_to_bundle,
    rows, split_bundle,
};
use super::open_intents::{self, OpenIntents};
use super::read::{self, Reader};
use super::store::{Store, StoreError};
use super::verify::verify_log;
use super::violation::Violation;
use super::write::{AppendError, Ledger, beyond};

/// What was found when a ledger was taken up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// There was none, and it begins.
    pub began: bool,
    /// Entries that were stored and not signed for; they are now.
    pub adopted: Range<u64>,
    /// What was beyond the signed size and no whole entry.
    pub cut: Vec<Cut>,
    /// From which entry on open intents were looked for.
    pub searched_from: u64,
}

/// Bytes that were no whole entry, and are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// In which file.
    pub path: String,
    /// How many.
    pub bytes: usize,
}

impl Recovery {
    /// Whether the ledger was as a writer leaves it that ends in its own time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !self.began && self.adopted.is_empty() && self.cut.is_empty()
    }
}

/// Why a ledger is not taken up.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A key signs for one ledger.
    #[error(
        "the key signs for {key}, not for {origin}; give the ledger its own key, or the origin of the key"
    )]
    Origin {
        /// The ledger.
        origin: String,
        /// The origin of the key.
        key: String,
    },
    /// The key is another one.
    #[error(
        "the ledger was written with another key ({stored}); give it that one. A new key needs a new directory, and the old one is kept"
    )]
    OtherKey {
        /// The public key that is stored.
        stored: String,
    },
    /// Entries without a checkpoint.
    #[error(
        "there are entries ({path} is the first file) and no checkpoint: the ledger lost its head. Bring back the checkpoint from where heads are kept, or move the directory away"
    )]
    Headless {
        /// One of them.
        path: String,
    },
    /// What is signed is not as it was.
    #[error(
        "the ledger is not as it was signed, and is not written to; keep a copy of it, and bring the part that is named back from another copy"
    )]
    Violation(#[from] Violation),
    /// It cannot be read or written.
    #[error("the ledger cannot be taken up")]
    Store(#[from] StoreError),
    /// What was found could not be signed for.
    #[error("what was found beyond the signed size could not be signed for")]
    Append(#[from] AppendError),
    /// The first checkpoint cannot be signed.
    #[error("the checkpoint cannot be signed")]
    Signing(#[source] signed_note::NoteError),
}

impl Ledger {
    /// Takes up the ledger in a store, or begins one where there is nothing, and is its one writer until it is dropped.
    ///
    /// # Errors
    /// When there is another writer, the store does not answer, or what is signed is not as it was.
    pub fn open(
        store: Arc<dyn Store>,
        key: SigningKey,
        origin: &str,
    ) -> Result<(Self, Recovery), OpenError> {
        if key.origin() != origin {
            return Err(OpenError::Origin {
                origin: origin.to_owned(),
                key: key.origin().to_owned(),
            });
        }
        store.take_fence()?;
        let taken = take_up(store.clone(), key);
        if taken.is_err() {
            store.release_fence();
        }
        taken
    }
}

fn take_up(store: Arc<dyn Store>, key: SigningKey) -> Result<(Ledger, Recovery), OpenError> {
    let mut recovery = Recovery::default();
    let signed = match store.read(CHECKPOINT, LONGEST_CHECKPOINT)? {
        Some(bytes) => {
            let signed = Signed::open(&bytes, key.verifying())?;
            keep_public_key(store.as_ref(), &key)?;
            signed
        }
        None => {
            recovery.began = true;
            begin(store.as_ref(), &key)?
        }
    };
    let edge = proven_edge(store.as_ref(), &key, &signed)?;
    let last = last_bundle(store.as_ref(), &signed, &edge)?;
    let mut bundle = Vec::new();
    for entry in &last {
        add_to_bundle(&mut bundle, entry);
    }
    let (from, open_intents) = open_intents_of(&store, &key, &signed)?;
    recovery.searched_from = from;
    let tail = Tail::find(store.as_ref(), &signed, last, key.origin())?;
    recovery.adopted = signed.size..signed.size + tail.adopted.len() as u64;
    recovery.cut = tail.cut;
    let mut ledger = Ledger {
        store,
        key,
        signed,
        edge,
        bundle,
        open_intents,
        hint: from,
        doubt: None,
        landed: None,
    };
    ledger.take_tail(tail.adopted)?;
    ledger.write_hint();
    Ok((ledger, recovery))
}

/// The first checkpoint, of no entries: from now on whatever is stored has a signed head.
fn begin(store: &dyn Store, key: &SigningKey) -> Result<Signed, OpenError> {
    if let Some(path) = store.list(TILES)?.into_iter().next() {
        return Err(OpenError::Headless { path });
    }
    store.replace(&key.verifying().path(), public_key(key).as_bytes())?;
    let signed = Signed::sign(key, 0, EMPTY_HASH).map_err(OpenError::Signing)?;
    store.replace(CHECKPOINT, signed.text.as_bytes())?;
    Ok(signed)
}

fn public_key(key: &SigningKey) -> String {
    format!("{}\n", key.verifying().to_text())
}

fn keep_public_key(store: &dyn Store, key: &SigningKey) -> Result<(), OpenError> {
    let path = key.verifying().path();
    match store.read(&path, LONGEST_CHECKPOINT)? {
        None => Ok(store.create(&path, public_key(key).as_bytes())?),
        Some(bytes) if bytes == public_key(key).as_bytes() => Ok(()),
        Some(bytes) => Err(OpenError::OtherKey {
            stored: String::from_utf8_lossy(&bytes).trim().to_owned(),
        }),
    }
}

/// The right edge; where it does not lead to the signed root, what the whole log says about that.
fn proven_edge(store: &dyn Store, key: &SigningKey, signed: &Signed) -> Result<Edge, OpenError> {
    let refused = match read::edge(store, signed) {
        Ok(Some(edge)) => return Ok(edge),
        Ok(None) => Violation::Unproven {
            index: signed.size.saturating_sub(1),
            root: signed.root.to_string(),
        },
        Err(violation) => violation,
    };
    match verify_log(store, key.verifying(), None, &mut |_| {}) {
        Err(violation) => Err(violation.into()),
        Ok(_) => Err(refused.into()),
    }
}

/// The entries of the bundle that is not full.
fn last_bundle(store: &dyn Store, signed: &Signed, edge: &Edge) -> Result<Vec<Vec<u8>>, Violation> {
    if signed.size.is_multiple_of(WIDTH) {
        return Ok(Vec::new());
    }
    let piece = Piece::bundle(signed.size / WIDTH, signed.size);
    let entries = read::bundle(store, piece)?.entries;
    read::check_entries(&piece, &entries, edge.level(0))?;
    Ok(entries)
}

/// Where the search for open intents began, and what it found.
fn open_intents_of(
    store: &Arc<dyn Store>,
    key: &SigningKey,
    signed: &Signed,
) -> Result<(u64, OpenIntents), OpenError> {
    let hint = match store.read(HINT, LONGEST_CHECKPOINT) {
        Ok(hint) => hint,
        Err(StoreError::TooLong { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let from = hint
        .and_then(|bytes| open_intents::read_hint(&bytes, key.verifying(), signed.size))
        .unwrap_or(0);
    let reader = Reader::of(store.clone(), key.origin(), signed.clone());
    let mut open = OpenIntents::new();
    for record in reader.entries(from..signed.size) {
        let record = record?;
        if let Ok(entry) = &record.entry {
            open_intents::take(&mut open, record.index, entry);
        }
    }
    Ok((from, open))
}

/// What is stored beyond the signed size.
struct Tail {
    adopted: Vec<(Entry, Vec<u8>)>,
    cut: Vec<Cut>,
}

/// A bundle beyond the signed size.
struct Candidate {
    path: String,
    bytes: usize,
    /// Whole entries that go on where the signed ones end.
    entries: Vec<(Entry, Vec<u8>)>,
    /// Bytes of the signed entries before them.
    before: usize,
}

impl Tail {
    fn find(
        store: &dyn Store,
        signed: &Signed,
        last: Vec<Vec<u8>>,
        origin: &str,
    ) -> Result<Self, StoreError> {
        let mut bundles: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for path in beyond(store, signed.size)? {
            if let Some(piece) = Piece::parse(&path)
                && piece.part == Part::Bundle
            {
                bundles.entry(piece.index).or_default().push(path);
            }
        }
        let mut tail = Self {
            adopted: Vec::new(),
            cut: Vec::new(),
        };
        let mut before = last;
        let mut number = signed.size / WIDTH;
        while let Some(paths) = bundles.remove(&number) {
            let mut candidates = Vec::new();
            for path in paths {
                candidates.push(Candidate::read(store, path, &before, origin)?);
            }
            let best = candidates
                .iter()
                .max_by_key(|candidate| candidate.entries.len())
                .map(|candidate| candidate.entries.clone())
                .unwrap_or_default();
            tail.cut
                .extend(candidates.iter().filter_map(|it| it.cut(&best)));
            let is_full = (before.len() + best.len()) as u64 == WIDTH;
            tail.adopted.extend(best);
            before.clear();
            number += 1;
            if !is_full {
                break;
            }
        }
        for path in bundles.into_values().flatten() {
            let bytes = length(store, &path)?;
            tail.cut.push(Cut { path, bytes });
        }
        Ok(tail)
    }
}

/// The length of a bundle, as far as a bundle can be long.
fn length(store: &dyn Store, path: &str) -> Result<usize, StoreError> {
    match store.read(path, LONGEST_BUNDLE) {
        Ok(bytes) => Ok(bytes.map_or(0, |bytes| bytes.len())),
        Err(StoreError::TooLong { limit, .. }) => Ok(limit),
        Err(error) => Err(error),
    }
}

impl Candidate {
    fn read(
        store: &dyn Store,
        path: String,
        before: &[Vec<u8>],
        origin: &str,
    ) -> Result<Self, StoreError> {
        let bytes = match store.read(&path, LONGEST_BUNDLE) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(StoreError::TooLong { .. }) => vec![0; LONGEST_BUNDLE],
            Err(error) => return Err(error),
        };
        let (whole, _) = split_bundle(&bytes);
        let goes_on = whole.len() >= before.len()
            && whole
                .iter()
                .zip(before)
                .all(|(entry, signed)| entry == signed);
        let entries = if goes_on {
            whole
                .iter()
                .skip(before.len())
                .map_while(|bytes| {
                    let entry = decode_strictly(bytes, origin).ok()?;
                    Some((entry, bytes.to_vec()))
                })
                .collect()
        } else {
            Vec::new()
        };
        Ok(Self {
            path,
            bytes: bytes.len(),
            entries,
            before: if goes_on { stored(before) } else { 0 },
        })
    }

    /// What of it is neither signed nor adopted.
    fn cut(&self, adopted: &[(Entry, Vec<u8>)]) -> Option<Cut> {
        let kept = self
            .entries
            .iter()
            .zip(adopted)
            .take_while(|((_, own), (_, adopted))| own == adopted)
            .map(|((_, bytes), _)| bytes.len() + 2)
            .sum::<usize>();
        let bytes = self.bytes.saturating_sub(self.before + kept);
        (bytes > 0).then(|| Cut {
            path: self.path.clone(),
            bytes,
        })
    }
}

/// Bytes that entries take in a bundle.
fn stored(entries: &[Vec<u8>]) -> usize {
    entries.iter().map(|entry| entry.len() + 2).sum()
}

impl Ledger {
    /// Signs for what is whole beyond the signed size, and then removes what is not.
    fn take_tail(&mut self, adopted: Vec<(Entry, Vec<u8>)>) -> Result<(), OpenError> {
        let mut left = beyond(self.store.as_ref(), self.signed.size)?;
        if !adopted.is_empty() {
            let plan = self.plan(adopted)?;
            let written: Vec<String> = plan.paths().collect();
            left.retain(|path| !written.contains(path));
            self.publish(plan, true)?;
        }
        for path in left {
            self.store.remove(&path)?;
        }
        for path in self.store.list(TILES)? {
            let is_stale = Piece::parse(&path).is_some_and(|piece| {
                let level = match piece.part {
                    Part::Bundle => 0,
                    Part::Tile(level) => level,
                };
                !piece.is_full() && piece.index < rows(level, self.signed.size) / WIDTH
            });
            if is_stale {
                self.store.remove(&path)?;
            }
        }
        Ok(())
    }
}
