//! The one writer.
//!
//! Order on disk: bundles, tiles, checkpoint; each durable before the next, so that whatever is signed is there. May not: acknowledge
//! what is not durable, or go on after an error as if it knew what is stored.

use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;
use tlog_tiles::record_hash;

use super::checkpoint::{Head, Signed};
use super::edge::Edge;
use super::entry::{Entry, EntryError};
use super::key::SigningKey;
use super::layout::{
    CHECKPOINT, HINT, LARGEST_LOG, LONGEST_CHECKPOINT, Part, Piece, TILES, WIDTH, add_to_bundle,
    bytes_of, rows,
};
use super::open_intents::{self, OpenIntents};
use super::read::{self, Reader};
use super::store::{Store, StoreError};
use super::violation::Violation;

/// After so many entries the place where the search for open intents begins is written anew.
const HINT_EVERY: u64 = 1024;

/// Why nothing was appended. What was to be appended is not acknowledged; the same call may be made again.
#[derive(Debug, Error)]
pub enum AppendError {
    /// An entry cannot be one. Nothing was written.
    #[error("entry {position} of those to append is refused")]
    Entry {
        /// Which of those that were given.
        position: usize,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// It could not be made durable.
    #[error("the entries could not be made durable; nothing of what they announce may be done")]
    Store(#[from] StoreError),
    /// What is stored is not what this writer left.
    #[error(
        "the ledger is not as this writer left it; nothing is appended until it is looked at with `covenant ledger verify`"
    )]
    Violation(#[from] Violation),
    /// No more entries can be counted.
    #[error("the ledger is full: it holds as many entries as can be counted")]
    Full,
    /// The checkpoint cannot be signed.
    #[error("the checkpoint cannot be signed")]
    Signing(#[source] signed_note::NoteError),
    /// The tree in memory has no root.
    #[error("the tree has no root")]
    Tree(#[source] tlog_tiles::Error),
}

/// A ledger, and the right to write to it.
#[derive(Debug)]
pub struct Ledger {
    pub(super) store: Arc<dyn Store>,
    pub(super) key: SigningKey,
    pub(super) signed: Signed,
    pub(super) edge: Edge,
    /// Bytes of the bundle that is not full.
    pub(super) bundle: Vec<u8>,
    pub(super) open_intents: OpenIntents,
    /// Below it no intent is open, and the store knows.
    pub(super) hint: u64,
    /// What was being published when something failed: it may be stored or not.
    pub(super) doubt: Option<Box<Plan>>,
    /// Entries that turned out to be stored after an error had been returned for them, and where they are.
    pub(super) landed: Option<(u64, Vec<Vec<u8>>)>,
}

/// What the log will be.
#[derive(Debug)]
pub(super) struct Plan {
    signed: Signed,
    edge: Edge,
    bundle: Vec<u8>,
    entries: Vec<(Entry, Vec<u8>)>,
    bundles: Vec<(Piece, Vec<u8>)>,
    tiles: Vec<(Piece, Vec<u8>)>,
}

impl Plan {
    pub(super) fn paths(&self) -> impl Iterator<Item = String> {
        let files = self.bundles.iter().chain(&self.tiles);
        files.map(|(piece, _)| piece.path())
    }
}

impl Ledger {
    /// Appends entries, all of them or none. They are durable and signed for when this returns their indexes.
    ///
    /// After an error nothing is acknowledged, and the next call finds out what is stored before it goes on. Entries that turn out to
    /// be stored after all are not stored twice when the same ones are given again.
    ///
    /// # Errors
    /// When an entry is refused, the entries cannot be made durable, or somebody else wrote.
    pub fn append(&mut self, entries: &[Entry]) -> Result<Range<u64>, AppendError> {
        let mut encoded = Vec::with_capacity(entries.len());
        for (position, entry) in entries.iter().enumerate() {
            match entry.encode(self.key.origin()) {
                Ok(bytes) => encoded.push((entry.clone(), bytes)),
                Err(source) => return Err(AppendError::Entry { position, source }),
            }
        }
        self.settle_doubt()?;
        let mut first = self.signed.size;
        if let Some((index, landed)) = self.landed.take() {
            let again = encoded.iter().map(|(_, bytes)| bytes).take(landed.len());
            if again.eq(&landed) {
                first = index;
                encoded.drain(..landed.len());
            }
        }
        if !encoded.is_empty() {
            let plan = self.plan(encoded)?;
            self.publish(plan, false)?;
        }
        Ok(first..self.signed.size)
    }

    /// The signed head.
    #[must_use]
    pub fn head(&self) -> Head {
        self.signed.head(self.key.origin())
    }

    /// Intents without a settled outcome, by id, each with its index.
    #[must_use]
    pub fn unsettled(&self) -> &OpenIntents {
        &self.open_intents
    }

    /// Whether this log is a continuation of the one that a checkpoint stands for which was kept elsewhere.
    ///
    /// # Errors
    /// When it is not, or the checkpoint is not signed with this ledger's key.
    pub fn is_consistent_with(&self, old_checkpoint: &str) -> Result<(), Violation> {
        self.reader()
            .is_consistent_with(old_checkpoint, self.key.verifying())
    }

    /// Reads what this writer has written.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::of(self.store.clone(), self.key.origin(), self.signed.clone())
    }

    pub(super) fn plan(&self, entries: Vec<(Entry, Vec<u8>)>) -> Result<Plan, AppendError> {
        let before = self.signed.size;
        let mut edge = self.edge.clone();
        let mut bundle = self.bundle.clone();
        let mut bundles = Vec::new();
        let mut tiles = Vec::new();
        for (_, bytes) in &entries {
            add_to_bundle(&mut bundle, bytes);
            let pushed: Result<(), AppendError> =
                edge.push(record_hash(bytes), |level, index, row| {
                    let piece = Piece {
                        part: Part::Tile(level),
                        index,
                        width: WIDTH,
                    };
                    tiles.push((piece, bytes_of(row)));
                    Ok(())
                });
            pushed?;
            if edge.size().is_multiple_of(WIDTH) {
                let piece = Piece::bundle(edge.size() / WIDTH - 1, edge.size());
                bundles.push((piece, std::mem::take(&mut bundle)));
            }
        }
        let size = edge.size();
        if size > LARGEST_LOG {
            return Err(AppendError::Full);
        }
        if !bundle.is_empty() {
            bundles.push((Piece::bundle(size / WIDTH, size), bundle.clone()));
        }
        for (level, row) in edge.levels() {
            if !row.is_empty() && rows(level, before) != rows(level, size) {
                let piece = Piece::tile(level, rows(level, size) / WIDTH, size);
                tiles.push((piece, bytes_of(row)));
            }
        }
        let root = edge.root().map_err(AppendError::Tree)?;
        let signed = Signed::sign(&self.key, size, root).map_err(AppendError::Signing)?;
        Ok(Plan {
            signed,
            edge,
            bundle,
            entries,
            bundles,
            tiles,
        })
    }

    /// Writes what was planned. Files may be there already only where a log is recovered.
    pub(super) fn publish(&mut self, plan: Plan, over: bool) -> Result<(), AppendError> {
        if let Err(error) = self.write(&plan, over) {
            self.doubt = Some(Box::new(plan));
            return Err(error);
        }
        self.adopt(plan);
        Ok(())
    }

    fn write(&self, plan: &Plan, over: bool) -> Result<(), AppendError> {
        self.store.check_fence()?;
        for (piece, bytes) in plan.bundles.iter().chain(&plan.tiles) {
            if over {
                self.store.replace(&piece.path(), bytes)?;
            } else {
                self.store.create(&piece.path(), bytes)?;
            }
        }
        self.store.check_fence()?;
        // Where neither locks nor epochs fence, the checkpoint itself tells of another writer.
        let stored = self.store.read(CHECKPOINT, LONGEST_CHECKPOINT)?;
        if stored.as_deref() != Some(self.signed.text.as_bytes()) {
            return Err(StoreError::Fenced(
                "the checkpoint is not the one that this writer left".to_owned(),
            )
            .into());
        }
        self.store
            .replace(CHECKPOINT, plan.signed.text.as_bytes())?;
        Ok(())
    }

    /// Takes over what is stored now.
    fn adopt(&mut self, plan: Plan) {
        let before = self.signed.size;
        for (index, (entry, _)) in (before..).zip(&plan.entries) {
            open_intents::take(&mut self.open_intents, index, entry);
        }
        let filled = plan.bundles.iter().chain(&plan.tiles);
        let filled: Vec<Piece> = filled
            .map(|(piece, _)| *piece)
            .filter(|piece| piece.is_full())
            .collect();
        self.signed = plan.signed;
        self.edge = plan.edge;
        self.bundle = plan.bundle;
        for piece in filled {
            self.remove_partials(piece, before);
        }
        if before / HINT_EVERY != self.signed.size / HINT_EVERY {
            self.write_hint();
        }
    }

    /// Removes the partial forms of a piece that is full now. What cannot be removed is removed at the next start.
    fn remove_partials(&self, piece: Piece, before: u64) {
        let level = match piece.part {
            Part::Bundle => 0,
            Part::Tile(level) => level,
        };
        let was_partial = rows(level, before) / WIDTH == piece.index
            && !rows(level, before).is_multiple_of(WIDTH);
        if !was_partial {
            return;
        }
        let Ok(partials) = self.store.list(&piece.partials()) else {
            return;
        };
        for path in partials {
            let _ = self.store.remove(&path);
        }
    }

    /// Writes where the search for open intents may begin. An old place is as good, only slower.
    pub(super) fn write_hint(&mut self) {
        let size = self.signed.size;
        let oldest = open_intents::oldest(&self.open_intents, size);
        if oldest == self.hint {
            return;
        }
        if let Some(bytes) = open_intents::hint(&self.key, oldest, size)
            && self.store.replace(HINT, &bytes).is_ok()
        {
            self.hint = oldest;
        }
    }

    /// Finds out what became of what was being published when something failed.
    fn settle_doubt(&mut self) -> Result<(), AppendError> {
        let Some(plan) = self.doubt.take() else {
            return Ok(());
        };
        match self.what_became_of(&plan) {
            Err(error) => {
                self.doubt = Some(plan);
                Err(error)
            }
            Ok(false) => Ok(()),
            Ok(true) => {
                let landed = plan.entries.iter().map(|(_, bytes)| bytes.clone());
                self.landed = Some((self.signed.size, landed.collect()));
                self.adopt(*plan);
                Ok(())
            }
        }
    }

    /// Whether the plan is stored. If not, what there is of it is removed: nobody was told of it.
    fn what_became_of(&self, plan: &Plan) -> Result<bool, AppendError> {
        self.store.check_fence()?;
        let stored = read::signed_head(self.store.as_ref(), self.key.verifying())?;
        if stored.text == plan.signed.text {
            // It is there, and whether it stays there is what the error left open.
            self.store.replace(CHECKPOINT, stored.text.as_bytes())?;
            return Ok(true);
        }
        if stored.text != self.signed.text {
            return Err(StoreError::Fenced(
                "the checkpoint is not one that this writer left".to_owned(),
            )
            .into());
        }
        if read::edge(self.store.as_ref(), &stored)?.is_none() {
            return Err(Violation::Unproven {
                index: stored.size.saturating_sub(1),
                root: stored.root.to_string(),
            }
            .into());
        }
        for path in beyond(self.store.as_ref(), stored.size)? {
            self.store.remove(&path)?;
        }
        Ok(false)
    }
}

/// The files of tiles and bundles that hold more than is signed.
pub(super) fn beyond(store: &dyn Store, size: u64) -> Result<Vec<String>, StoreError> {
    let mut paths = store.list(TILES)?;
    paths.retain(|path| Piece::parse(path).is_some_and(|piece| is_beyond(piece, size)));
    Ok(paths)
}

/// Whether a file holds more than is signed.
pub(super) fn is_beyond(piece: Piece, size: u64) -> bool {
    let level = match piece.part {
        Part::Bundle => 0,
        Part::Tile(level) => level,
    };
    let end = piece
        .index
        .saturating_mul(WIDTH)
        .saturating_add(piece.width);
    end > rows(level, size)
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.store.release_fence();
    }
}
