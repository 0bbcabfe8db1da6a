//! Where things are in a ledger: the files of c2sp.org/tlog-tiles, and how entries stand in a bundle.
//!
//! May not: trust a length or a path that it reads.

use tlog_tiles::{HASH_SIZE, Hash};

use super::entry::LONGEST_ENTRY;

/// The signed head.
pub const CHECKPOINT: &str = "checkpoint";
/// The folder of tiles and bundles.
pub const TILES: &str = "tile";
/// Where the search for open intents may begin.
pub const HINT: &str = "oldest-open";
/// Height of a tile, in levels of the tree.
pub const HEIGHT: u8 = 8;
/// Hashes in a full tile, and entries in a full bundle.
pub const WIDTH: u64 = 256;
/// The longest checkpoint that is read.
pub const LONGEST_CHECKPOINT: usize = 65_536;
/// The longest tile.
pub const LONGEST_TILE: usize = 256 * HASH_SIZE;
/// The longest bundle.
pub const LONGEST_BUNDLE: usize = 256 * (2 + LONGEST_ENTRY);
/// More entries than anybody writes. Beyond it the arithmetic of trees would not hold.
pub const LARGEST_LOG: u64 = 1 << 48;

/// What a file of the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Entries.
    Bundle,
    /// Hashes of a level.
    Tile(u8),
}

/// One file of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece {
    /// What it holds.
    pub part: Part,
    /// Which of its kind, from the left.
    pub index: u64,
    /// How many it holds: 1 to 256.
    pub width: u64,
}

impl Piece {
    /// The file that holds the bundle of a log of this size.
    pub fn bundle(index: u64, size: u64) -> Self {
        Self {
            part: Part::Bundle,
            index,
            width: width_at(index, size),
        }
    }

    /// The file that holds the tile of a log of this size.
    pub fn tile(level: u8, index: u64, size: u64) -> Self {
        Self {
            part: Part::Tile(level),
            index,
            width: width_at(index, rows(level, size)),
        }
    }

    /// The same place, full.
    pub fn full(self) -> Self {
        Self {
            width: WIDTH,
            ..self
        }
    }

    /// Whether it is as wide as it gets.
    pub fn is_full(self) -> bool {
        self.width == WIDTH
    }

    /// The first index of an entry that it is about.
    pub fn first(self) -> u64 {
        let level = match self.part {
            Part::Bundle => 0,
            Part::Tile(level) => level,
        };
        let shift = u32::from(HEIGHT) * (u32::from(level) + 1);
        self.index.checked_shl(shift).unwrap_or(u64::MAX)
    }

    /// Its path.
    pub fn path(self) -> String {
        let place = self.place();
        if self.is_full() {
            place
        } else {
            format!("{place}.p/{}", self.width)
        }
    }

    /// The folder of its partial forms.
    pub fn partials(self) -> String {
        format!("{}.p", self.place())
    }

    fn place(self) -> String {
        let part = match self.part {
            Part::Bundle => "entries".to_owned(),
            Part::Tile(level) => level.to_string(),
        };
        let mut number = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        format!("{TILES}/{part}/{number}")
    }

    /// The piece with this path. A path that is spelled another way is none.
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("tile/")?;
        let (part, rest) = rest.split_once('/')?;
        let part = match part {
            "entries" => Part::Bundle,
            level => Part::Tile(level.parse().ok().filter(|level| *level < 64)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok()?),
            None => (rest, WIDTH),
        };
        let mut index: u64 = 0;
        for digits in number.split('/') {
            let value: u64 = digits.trim_start_matches('x').parse().ok()?;
            index = index.checked_mul(1000)?.checked_add(value)?;
        }
        let piece = Self { part, index, width };
        ((1..=WIDTH).contains(&width) && piece.path() == path).then_some(piece)
    }
}

/// Hashes at a level of tiles in a log of this size.
pub fn rows(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(HEIGHT) * u32::from(level))
        .unwrap_or(0)
}

fn width_at(index: u64, rows: u64) -> u64 {
    rows.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH)
}

/// Adds an entry to the bytes of a bundle. The entry is no longer than its length can say: encoding sees to it.
pub fn add_to_bundle(bundle: &mut Vec<u8>, entry: &[u8]) {
    let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
}

/// The entries at the start of a bundle that are whole, at most a full bundle of them, and how many bytes follow that are not.
pub fn split_bundle(bytes: &[u8]) -> (Vec<&[u8]>, usize) {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while (entries.len() as u64) < WIDTH
        && let Some((length, after)) = rest.split_first_chunk::<2>()
        && let Some((entry, after)) = after.split_at_checked(u16::from_be_bytes(*length).into())
    {
        entries.push(entry);
        rest = after;
    }
    (entries, rest.len())
}

/// The hashes of a tile.
pub fn hashes_of(tile: &[u8]) -> Vec<Hash> {
    tile.as_chunks::<HASH_SIZE>()
        .0
        .iter()
        .map(|hash| Hash(*hash))
        .collect()
}

/// The bytes of a tile.
pub fn bytes_of(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_spelled_as_the_format_asks_for_and_read_back() {
        let cases = [
            (Part::Tile(0), 0, 256, "tile/0/000"),
            (Part::Tile(1), 17, 5, "tile/1/017.p/5"),
            (Part::Bundle, 999, 255, "tile/entries/999.p/255"),
            (Part::Bundle, 1000, 256, "tile/entries/x001/000"),
            (Part::Tile(2), 1_234_067, 256, "tile/2/x001/x234/067"),
            (Part::Tile(63), 1_000_000, 1, "tile/63/x001/x000/000.p/1"),
        ];
        for (part, index, width, path) in cases {
            let piece = Piece { part, index, width };
            assert_eq!(piece.path(), path);
            assert_eq!(Piece::parse(path), Some(piece));
        }
    }

    #[test]
    fn paths_that_are_spelled_otherwise_are_none() {
        for path in [
            "tile",
            "tile/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/001/000",
            "tile/0/x000/001",
            "tile/data/000",
            "tile/8/0/000",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "checkpoint",
        ] {
            assert_eq!(Piece::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_bundle_is_split_where_its_lengths_say_and_never_beyond_its_end() {
        let mut bundle = Vec::new();
        add_to_bundle(&mut bundle, b"one");
        add_to_bundle(&mut bundle, b"");
        add_to_bundle(&mut bundle, &[7; LONGEST_ENTRY]);
        let (entries, torn) = split_bundle(&bundle);
        assert_eq!(entries, [b"one".as_slice(), b"", &[7; LONGEST_ENTRY]]);
        assert_eq!(torn, 0);
        let (entries, torn) = split_bundle(&bundle[..bundle.len() - 1]);
        assert_eq!((entries.len(), torn), (2, LONGEST_ENTRY + 1));
        assert_eq!(split_bundle(&[0]), (Vec::new(), 1));
        assert_eq!(split_bundle(&[0; 1000]).0.len(), 256);
    }
}
