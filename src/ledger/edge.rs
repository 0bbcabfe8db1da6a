//! The right edge of the tree: all that a log needs in memory to grow, and to know its root.
//!
//! May not: read what is stored. Who loads an edge checks that its root is the signed one.

use tlog_tiles::{Error, Hash, HashReader, Tile};

use super::layout::{HEIGHT, WIDTH, bytes_of, rows};

/// The hashes of every tile that is not full.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of a log with these partial tiles, from the lowest level up.
    pub fn new(size: u64, levels: Vec<Vec<Hash>>) -> Self {
        Self { size, levels }
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The partial tile of a level.
    pub fn level(&self, level: u8) -> &[Hash] {
        self.levels
            .get(usize::from(level))
            .map_or(&[], Vec::as_slice)
    }

    /// The levels, from the lowest up.
    pub fn levels(&self) -> impl Iterator<Item = (u8, &[Hash])> {
        (0..).zip(self.levels.iter().map(Vec::as_slice))
    }

    /// Adds the hash of an entry, and tells each tile that it fills: level, index, hashes.
    pub fn push<E>(
        &mut self,
        leaf: Hash,
        mut filled: impl FnMut(u8, u64, &[Hash]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.size += 1;
        let size = self.size;
        let mut carried = leaf;
        let mut level = 0;
        loop {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(usize::from(level)) else {
                return Ok(());
            };
            row.push(carried);
            if (row.len() as u64) < WIDTH {
                return Ok(());
            }
            let row = std::mem::take(row);
            carried = tile_hash(&row);
            filled(level, rows(level + 1, size) - 1, &row)?;
            level += 1;
        }
    }

    /// The root of the tree.
    ///
    /// # Errors
    /// When the edge is not one of a log of this size.
    pub fn root(&self) -> Result<Hash, Error> {
        tlog_tiles::tree_hash(self.size, self)
    }
}

/// The hash that stands for a full tile in the tile above it.
pub fn tile_hash(row: &[Hash]) -> Hash {
    Tile::subtree_hash(&bytes_of(row))
}

impl HashReader for Edge {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let read = |index: &u64| {
            let tile = Tile::from_index(HEIGHT, *index);
            if tile.level_index() != rows(tile.level(), self.size) / WIDTH {
                return Err(Error::IndexesNotInTree);
            }
            tile.hash_at_index(&bytes_of(self.level(tile.level())), *index)
        };
        indexes.iter().map(read).collect()
    }
}
