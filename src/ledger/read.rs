//! Reading a log, every byte against the signed root.
//!
//! May not: write, hold more than a bundle and the tiles above it in memory, or return an entry that is not proven.

use std::ops::Range;
use std::sync::Arc;

use tlog_tiles::{HASH_SIZE, Hash, record_hash};

use super::checkpoint::{Head, Signed};
use super::edge::Edge;
use super::entry::{Entry, EntryError};
use super::key::VerifyingKey;
use super::layout::{
    CHECKPOINT, HEIGHT, LONGEST_BUNDLE, LONGEST_CHECKPOINT, LONGEST_TILE, Part, Piece, WIDTH,
    hashes_of, rows, split_bundle,
};
use super::proof;
use super::proven::Proven;
use super::store::Store;
use super::violation::Violation;

/// Reads a log that somebody may be writing.
#[derive(Debug)]
pub struct Reader {
    store: Arc<dyn Store>,
    origin: String,
    signed: Signed,
}

/// An entry that is proven to be in the log.
#[derive(Debug)]
pub struct Record {
    /// Its index.
    pub index: u64,
    /// Its bytes, as they were signed.
    pub bytes: Vec<u8>,
    /// What they say. Not known for what a program of another sort or time wrote.
    pub entry: Result<Entry, EntryError>,
}

/// Reads the checkpoint and verifies its signature.
pub(super) fn signed_head(store: &dyn Store, key: &VerifyingKey) -> Result<Signed, Violation> {
    let bytes = store
        .read(CHECKPOINT, LONGEST_CHECKPOINT)?
        .ok_or(Violation::NoCheckpoint)?;
    Signed::open(&bytes, key)
}

/// The bytes of a piece, and whether they are its own. A partial one that is gone may be the beginning of a full one by now.
fn piece_bytes(store: &dyn Store, piece: Piece) -> Result<(Vec<u8>, bool), Violation> {
    let limit = match piece.part {
        Part::Bundle => LONGEST_BUNDLE,
        Part::Tile(_) => LONGEST_TILE,
    };
    if let Some(bytes) = store.read(&piece.path(), limit)? {
        return Ok((bytes, true));
    }
    if !piece.is_full()
        && let Some(bytes) = store.read(&piece.full().path(), limit)?
    {
        return Ok((bytes, false));
    }
    Err(Violation::MissingTile {
        path: piece.path(),
        index: piece.first(),
    })
}

/// The hashes of a tile, as many as its name says.
pub(super) fn tile_hashes(store: &dyn Store, piece: Piece) -> Result<Vec<Hash>, Violation> {
    let (bytes, own) = piece_bytes(store, piece)?;
    let whole = hashes_of(&bytes);
    let width = usize::try_from(piece.width).unwrap_or(usize::MAX);
    let is_longer = own && bytes.len() > width.saturating_mul(HASH_SIZE);
    match whole.get(..width) {
        Some(hashes) if !is_longer => Ok(hashes.to_vec()),
        found => {
            let level = match piece.part {
                Part::Tile(level) => u32::from(level),
                Part::Bundle => 0,
            };
            let there = found.map_or(whole.len(), <[Hash]>::len) as u64;
            let below = there << (u32::from(HEIGHT) * level);
            Err(Violation::Truncated {
                path: piece.path(),
                index: piece.first().saturating_add(below),
            })
        }
    }
}

/// What a bundle holds.
pub(super) struct Bundle {
    /// The entries that are whole, up to as many as its name says.
    pub entries: Vec<Vec<u8>>,
    /// Whether there is more than its name says.
    pub is_longer: bool,
}

/// Reads a bundle.
pub(super) fn bundle(store: &dyn Store, piece: Piece) -> Result<Bundle, Violation> {
    let (bytes, own) = piece_bytes(store, piece)?;
    let (entries, torn) = split_bundle(&bytes);
    let width = usize::try_from(piece.width).unwrap_or(usize::MAX);
    Ok(Bundle {
        is_longer: own && entries.len() >= width && (torn > 0 || entries.len() > width),
        entries: entries
            .into_iter()
            .take(width)
            .map(<[u8]>::to_vec)
            .collect(),
    })
}

/// The right edge of a log, with the signed root.
pub(super) fn edge(store: &dyn Store, signed: &Signed) -> Result<Option<Edge>, Violation> {
    let mut levels = Vec::new();
    let mut level = 0;
    while rows(level, signed.size) > 0 {
        let count = rows(level, signed.size);
        let row = if count.is_multiple_of(WIDTH) {
            Vec::new()
        } else {
            tile_hashes(store, Piece::tile(level, count / WIDTH, signed.size))?
        };
        levels.push(row);
        level += 1;
    }
    let edge = Edge::new(signed.size, levels);
    Ok(edge
        .root()
        .ok()
        .filter(|root| *root == signed.root)
        .map(|_| edge))
}

/// The entries of a bundle of a log, each proven.
fn proven_bundle(
    store: &dyn Store,
    proven: &Proven<'_>,
    piece: Piece,
) -> Result<Vec<Vec<u8>>, Violation> {
    let row = proven.row(0, piece.index)?;
    let entries = bundle(store, piece)?.entries;
    check_entries(&piece, &entries, &row)?;
    Ok(entries)
}

/// Compares the entries of a bundle with the hashes that were signed.
pub(super) fn check_entries(
    piece: &Piece,
    entries: &[Vec<u8>],
    signed: &[Hash],
) -> Result<(), Violation> {
    for (index, (entry, signed)) in (piece.first()..).zip(entries.iter().zip(signed)) {
        let found = record_hash(entry);
        if found != *signed {
            return Err(Violation::BadEntry {
                index,
                found: found.to_string(),
                signed: signed.to_string(),
            });
        }
    }
    if entries.len() < signed.len() {
        return Err(Violation::Truncated {
            path: piece.path(),
            index: piece.first() + entries.len() as u64,
        });
    }
    Ok(())
}

impl Reader {
    /// Reads the head of a log and verifies its signature.
    ///
    /// # Errors
    /// When there is none, or it is not signed with this key.
    pub fn open(store: Arc<dyn Store>, key: &VerifyingKey) -> Result<Self, Violation> {
        let signed = signed_head(store.as_ref(), key)?;
        Ok(Self {
            store,
            origin: key.origin().to_owned(),
            signed,
        })
    }

    pub(super) fn of(store: Arc<dyn Store>, origin: &str, signed: Signed) -> Self {
        Self {
            store,
            origin: origin.to_owned(),
            signed,
        }
    }

    /// The head against which everything is read.
    #[must_use]
    pub fn head(&self) -> Head {
        self.signed.head(&self.origin)
    }

    /// How many entries there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.signed.size
    }

    /// One entry; nothing when there are not so many.
    ///
    /// # Errors
    /// When it is not the one that was signed.
    pub fn entry(&self, index: u64) -> Result<Option<Record>, Violation> {
        self.entries(index..index.saturating_add(1))
            .next()
            .transpose()
    }

    /// The entries of a range, as far as there are any. Holds one bundle in memory.
    #[must_use]
    pub fn entries(&self, range: Range<u64>) -> Entries<'_> {
        Entries {
            reader: self,
            next: range.start,
            end: range.end.min(self.signed.size),
            proven: None,
            bundle: None,
        }
    }

    fn proven(&self) -> Result<Proven<'_>, Violation> {
        Proven::new(self.store.as_ref(), &self.signed)
    }

    /// The proof that an entry is in the log, as the text of a `.tlog-proof` file.
    ///
    /// # Errors
    /// When there is no such entry, or the tiles do not lead to the signed root.
    pub fn prove(&self, index: u64) -> Result<String, Violation> {
        if index >= self.signed.size {
            return Err(Violation::Unproven {
                index,
                root: self.signed.root.to_string(),
            });
        }
        let hashes = self.proven()?.run(index, |hashes| {
            tlog_tiles::prove_record(self.signed.size, index, hashes)
        })?;
        Ok(proof::text(index, &hashes, &self.signed.text))
    }

    /// Whether the log is a continuation of the one that a kept checkpoint stands for.
    ///
    /// # Errors
    /// When it is not, or the kept checkpoint is not signed with this key.
    pub fn is_consistent_with(&self, kept: &str, key: &VerifyingKey) -> Result<(), Violation> {
        let kept = Signed::open(kept.as_bytes(), key)?;
        check_size(&kept, &self.signed)?;
        let found = if kept.size == 0 {
            tlog_tiles::EMPTY_HASH
        } else if kept.size == self.signed.size {
            self.signed.root
        } else {
            self.proven()?
                .run(0, |hashes| tlog_tiles::tree_hash(kept.size, hashes))?
        };
        if found == kept.root {
            Ok(())
        } else {
            Err(Violation::Inconsistent {
                first: 0,
                size: kept.size,
                kept: kept.root.to_string(),
                found: found.to_string(),
            })
        }
    }
}

/// Whether a log can be a continuation of the kept one by its length.
pub(super) fn check_size(kept: &Signed, signed: &Signed) -> Result<(), Violation> {
    if kept.size > signed.size {
        return Err(Violation::RolledBack {
            kept_size: kept.size,
            kept: kept.root.to_string(),
            size: signed.size,
            found: signed.root.to_string(),
        });
    }
    Ok(())
}

/// Entries one after another.
#[derive(Debug)]
pub struct Entries<'a> {
    reader: &'a Reader,
    next: u64,
    end: u64,
    proven: Option<Proven<'a>>,
    bundle: Option<(u64, std::vec::IntoIter<Vec<u8>>)>,
}

impl Entries<'_> {
    /// Reads the bundle of the next entry, from that entry on.
    fn read_bundle(&mut self, number: u64) -> Result<(), Violation> {
        let proven = match self.proven.take() {
            Some(proven) => proven,
            None => self.reader.proven()?,
        };
        let piece = Piece::bundle(number, self.reader.signed.size);
        let entries = proven_bundle(self.reader.store.as_ref(), &proven, piece)?;
        self.proven = Some(proven);
        let mut entries = entries.into_iter();
        for _ in 0..self.next % WIDTH {
            entries.next();
        }
        self.bundle = Some((number, entries));
        Ok(())
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Record, Violation>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let number = self.next / WIDTH;
        if self.bundle.as_ref().is_none_or(|(held, _)| *held != number)
            && let Err(violation) = self.read_bundle(number)
        {
            self.end = self.next;
            return Some(Err(violation));
        }
        let bytes = self
            .bundle
            .as_mut()
            .and_then(|(_, entries)| entries.next())?;
        let record = Record {
            index: self.next,
            entry: Entry::decode(&bytes),
            bytes,
        };
        self.next += 1;
        Some(Ok(record))
    }
}
