//! Hashes of a stored log, each proven by the signed root.
//!
//! The library has such a reader. It is not used: where several subtrees of the right edge are of one tile, it leaves as many other
//! tiles unproven. May not: return a hash of a tile that does not lead to the signed root.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tlog_tiles::{Error, Hash, HashReader, Tile};

use super::checkpoint::Signed;
use super::edge::{Edge, tile_hash};
use super::layout::{HEIGHT, Part, Piece, WIDTH, bytes_of, rows};
use super::read::{edge, tile_hashes};
use super::store::Store;
use super::violation::Violation;

/// Reads hashes from below the signed root. Holds one tile of each level.
#[derive(Debug)]
pub struct Proven<'a> {
    store: &'a dyn Store,
    signed: &'a Signed,
    edge: Edge,
    held: RefCell<BTreeMap<u8, Held>>,
    failure: RefCell<Option<Violation>>,
}

/// Index of a tile, and its hashes.
type Held = (u64, Rc<[Hash]>);

impl<'a> Proven<'a> {
    /// Reads the right edge, which must lead to the signed root.
    pub fn new(store: &'a dyn Store, signed: &'a Signed) -> Result<Self, Violation> {
        let edge = edge(store, signed)?.ok_or_else(|| Violation::Unproven {
            index: signed.size.saturating_sub(1),
            root: signed.root.to_string(),
        })?;
        Ok(Self {
            store,
            signed,
            edge,
            held: RefCell::default(),
            failure: RefCell::default(),
        })
    }

    /// The hashes of a tile.
    pub fn row(&self, level: u8, index: u64) -> Result<Rc<[Hash]>, Violation> {
        if let Some((held, row)) = self.held.borrow().get(&level)
            && *held == index
        {
            return Ok(row.clone());
        }
        let row: Rc<[Hash]> = if index == rows(level, self.signed.size) / WIDTH {
            self.edge.level(level).into()
        } else {
            let piece = Piece {
                part: Part::Tile(level),
                index,
                width: WIDTH,
            };
            let unproven = || Violation::Unproven {
                index: piece.first(),
                root: self.signed.root.to_string(),
            };
            if index > rows(level, self.signed.size) / WIDTH {
                return Err(unproven());
            }
            let row = tile_hashes(self.store, piece)?;
            let above = self.row(level + 1, index / WIDTH)?;
            let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
            if above.get(place) != Some(&tile_hash(&row)) {
                return Err(unproven());
            }
            row.into()
        };
        self.held.borrow_mut().insert(level, (index, row.clone()));
        Ok(row)
    }

    /// Runs what the library computes from hashes.
    pub fn run<T>(
        &self,
        index: u64,
        compute: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Violation> {
        compute(self).map_err(|_| {
            let failure = self.failure.borrow_mut().take();
            failure.unwrap_or_else(|| Violation::Unproven {
                index,
                root: self.signed.root.to_string(),
            })
        })
    }
}

impl HashReader for Proven<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let read = |index: &u64| {
            let tile = Tile::from_index(HEIGHT, *index);
            let row = self
                .row(tile.level(), tile.level_index())
                .map_err(|violation| {
                    *self.failure.borrow_mut() = Some(violation);
                    Error::InvalidTile
                })?;
            tile.hash_at_index(&bytes_of(&row), *index)
        };
        indexes.iter().map(read).collect()
    }
}
