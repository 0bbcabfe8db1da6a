//! The whole log against its signed head, and against a head that was kept from before.
//!
//! Every hash is made anew from the entries and compared with what is stored; what is stored is believed only as far as it leads to
//! the signed root. May not: hold more than one bundle and the right edge of the tree in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use tlog_tiles::{Hash, record_hash};

use super::checkpoint::{Head, Signed};
use super::edge::{Edge, tile_hash};
use super::key::VerifyingKey;
use super::layout::{HEIGHT, Part, Piece, WIDTH, rows};
use super::proven::Proven;
use super::read::{bundle, check_size, signed_head, tile_hashes};
use super::store::Store;
use super::violation::Violation;

/// A log that is as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The head.
    pub head: Head,
    /// Entries of the kept checkpoint of which this log is a continuation, where one was given.
    pub consistent_with: Option<u64>,
    /// Intents without a settled outcome: their ids, and where they are.
    pub open_intents: BTreeMap<String, u64>,
    /// Entries that are proven, and that this version cannot read.
    pub unreadable: u64,
}

/// A tile that is not as its entries make it.
struct Mismatch {
    level: u8,
    tile: u64,
    /// Which of its hashes is the first that is not.
    place: u64,
    row: Vec<Hash>,
}

enum Found {
    Mismatch(Mismatch),
    Violation(Violation),
}

impl From<Violation> for Found {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// What verifying needs to know of an entry.
#[derive(Deserialize)]
struct Glance<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    phase: Cow<'a, str>,
    #[serde(borrow, default)]
    intent: Option<Cow<'a, str>>,
    #[serde(default)]
    settled: Option<bool>,
}

/// Verifies a whole log: that its entries are those that were signed, that the tiles are made from them, and that it is a continuation
/// of the log that a kept checkpoint stands for. Tells how many entries are done from time to time.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_log(
    store: &dyn Store,
    key: &VerifyingKey,
    from: Option<&str>,
    progress: &mut dyn FnMut(u64),
) -> Result<Verified, Violation> {
    let signed = signed_head(store, key)?;
    let kept = from
        .map(|text| Signed::open(text.as_bytes(), key))
        .transpose()?;
    if let Some(kept) = &kept {
        check_size(kept, &signed)?;
    }
    let mut walk = Walk {
        store,
        signed: &signed,
        kept: kept.as_ref(),
        edge: Edge::default(),
        another_history: None,
        open_intents: BTreeMap::new(),
        unreadable: 0,
    };
    match walk.run(progress) {
        Ok(()) => Ok(Verified {
            head: signed.head(key.origin()),
            consistent_with: kept.as_ref().map(|kept| kept.size),
            open_intents: walk.open_intents,
            unreadable: walk.unreadable,
        }),
        Err(Found::Violation(violation)) => Err(violation),
        Err(Found::Mismatch(mismatch)) => Err(walk.explain(&mismatch)),
    }
}

struct Walk<'a> {
    store: &'a dyn Store,
    signed: &'a Signed,
    kept: Option<&'a Signed>,
    edge: Edge,
    another_history: Option<Violation>,
    open_intents: BTreeMap<String, u64>,
    unreadable: u64,
}

impl Walk<'_> {
    fn run(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), Found> {
        self.compare_with_kept();
        let size = self.signed.size;
        for number in 0..size.div_ceil(WIDTH) {
            let piece = Piece::bundle(number, size);
            let bundle = bundle(self.store, piece)?;
            for entry in &bundle.entries {
                self.take(entry)?;
            }
            let count = bundle.entries.len() as u64;
            if count < piece.width || bundle.is_longer {
                self.compare_row(0, number)?;
                return Err(Found::Violation(Violation::Truncated {
                    path: piece.path(),
                    index: piece.first() + count,
                }));
            }
            progress(self.edge.size());
        }
        self.compare_end()?;
        self.another_history
            .take()
            .map_or(Ok(()), |violation| Err(violation.into()))
    }

    fn take(&mut self, entry: &[u8]) -> Result<(), Found> {
        let index = self.edge.size();
        match serde_json::from_slice::<Glance<'_>>(entry) {
            Ok(glance) => match (glance.phase.as_ref(), glance.intent) {
                ("intent", _) => {
                    self.open_intents
                        .entry(glance.id.into_owned())
                        .or_insert(index);
                }
                ("outcome", Some(intent)) if glance.settled.unwrap_or(true) => {
                    self.open_intents.remove(intent.as_ref());
                }
                _ => {}
            },
            Err(_) => self.unreadable += 1,
        }
        let store = self.store;
        self.edge.push(record_hash(entry), |level, tile, row| {
            compare(store, level, tile, WIDTH, row)
        })?;
        self.compare_with_kept();
        Ok(())
    }

    /// Compares the root with that of the kept checkpoint, at its size. What is found waits until the log is known to be whole: entries
    /// that are damaged also lead to another root.
    fn compare_with_kept(&mut self) {
        let Some(kept) = self.kept.filter(|kept| kept.size == self.edge.size()) else {
            return;
        };
        let found = self.edge.root().ok();
        if found != Some(kept.root) {
            self.another_history = Some(Violation::Inconsistent {
                first: 0,
                size: kept.size,
                kept: kept.root.to_string(),
                found: found.map_or_else(|| "none".to_owned(), |root| root.to_string()),
            });
        }
    }

    /// What is in memory of a tile against what is stored of it.
    fn compare_row(&self, level: u8, tile: u64) -> Result<(), Found> {
        let row = self.edge.level(level);
        let width = rows(level, self.signed.size)
            .saturating_sub(tile * WIDTH)
            .min(WIDTH);
        if row.is_empty() {
            return Ok(());
        }
        compare(self.store, level, tile, width, row)
    }

    fn compare_end(&mut self) -> Result<(), Found> {
        let levels: Vec<u8> = self.edge.levels().map(|(level, _)| level).collect();
        for level in levels {
            self.compare_row(level, rows(level, self.signed.size) / WIDTH)?;
        }
        let found = self.edge.root().ok();
        if found != Some(self.signed.root) {
            return Err(self.rewritten(found).into());
        }
        Ok(())
    }

    fn rewritten(&self, found: Option<Hash>) -> Violation {
        Violation::Rewritten {
            first: self.proven_by_kept(),
            found: found.map_or_else(|| "none".to_owned(), |root| root.to_string()),
            signed: self.signed.root.to_string(),
        }
    }

    /// Entries that are proven by the kept checkpoint, if it was reached and agreed.
    fn proven_by_kept(&self) -> u64 {
        match self.kept {
            Some(kept) if self.another_history.is_none() && kept.size <= self.edge.size() => {
                kept.size
            }
            _ => 0,
        }
    }

    /// Tells which of a tile and the entries below it is not as it was signed: what leads to the signed root is right.
    fn explain(&self, mismatch: &Mismatch) -> Violation {
        let Mismatch {
            level,
            tile,
            place,
            row,
        } = mismatch;
        let shift = u32::from(HEIGHT) * u32::from(*level);
        let number = tile * WIDTH + place;
        let first = number << shift;
        let found = usize::try_from(*place)
            .ok()
            .and_then(|place| row.get(place));
        let found = found.map_or_else(|| "none".to_owned(), Hash::to_string);
        if let Some(signed) = self.signed_hash(*level, number) {
            let signed = signed.to_string();
            return match level {
                0 => Violation::BadEntry {
                    index: first,
                    found,
                    signed,
                },
                _ => Violation::BadRange {
                    first,
                    last: first + (1 << shift) - 1,
                    found,
                    signed,
                },
            };
        }
        let bad_tile = Violation::BadTile {
            path: Piece::tile(*level, *tile, self.signed.size).path(),
            index: first,
        };
        if row.len() as u64 == WIDTH {
            let found = tile_hash(row);
            if let Some(signed) = self.signed_hash(level + 1, *tile) {
                if signed == found {
                    return bad_tile;
                }
                let first = (tile * WIDTH) << shift;
                return Violation::BadRange {
                    first,
                    last: first + (WIDTH << shift) - 1,
                    found: found.to_string(),
                    signed: signed.to_string(),
                };
            }
        }
        // Only the whole can tell: are the entries those that were signed?
        match self.root_of_entries() {
            Err(violation) => violation,
            Ok(found) if found == self.signed.root => bad_tile,
            Ok(found) => self.rewritten(Some(found)),
        }
    }

    /// The root of the entries, whatever the tiles say.
    fn root_of_entries(&self) -> Result<Hash, Violation> {
        let mut edge = Edge::default();
        let size = self.signed.size;
        for number in 0..size.div_ceil(WIDTH) {
            let piece = Piece::bundle(number, size);
            let entries = bundle(self.store, piece)?.entries;
            for entry in &entries {
                let pushed: Result<(), Violation> = edge.push(record_hash(entry), |_, _, _| Ok(()));
                pushed?;
            }
            if (entries.len() as u64) < piece.width {
                return Err(Violation::Truncated {
                    path: piece.path(),
                    index: edge.size(),
                });
            }
        }
        edge.root().map_err(|_| self.rewritten(None))
    }

    /// A hash of a level that leads to the signed root; nothing when what is stored does not lead there.
    fn signed_hash(&self, level: u8, number: u64) -> Option<Hash> {
        if number >= rows(level, self.signed.size) {
            return None;
        }
        let row = Proven::new(self.store, self.signed)
            .and_then(|proven| proven.row(level, number / WIDTH))
            .ok()?;
        let place = usize::try_from(number % WIDTH).ok()?;
        row.get(place).copied()
    }
}

/// Compares a tile as it is stored with what its entries make it.
fn compare(store: &dyn Store, level: u8, tile: u64, width: u64, row: &[Hash]) -> Result<(), Found> {
    let piece = Piece {
        part: Part::Tile(level),
        index: tile,
        width,
    };
    let stored = tile_hashes(store, piece)?;
    let place = row
        .iter()
        .zip(&stored)
        .position(|(made, stored)| made != stored);
    match place {
        None => Ok(()),
        Some(place) => Err(Found::Mismatch(Mismatch {
            level,
            tile,
            place: place as u64,
            row: row.to_vec(),
        })),
    }
}
