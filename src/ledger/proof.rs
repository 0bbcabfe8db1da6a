//! The proof that one entry is in a log, as a text that needs nothing else but the entry and a key (c2sp.org/tlog-proof@v1).
//!
//! May not: verify with a key that came with the proof.

use tlog_tiles::{Hash, record_hash};

use super::checkpoint::{Head, Signed};
use super::key::VerifyingKey;
use super::violation::Violation;

/// The first line of every proof.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// No tree is higher.
const MOST_HASHES: usize = 64;

/// An entry that is proven to be in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// Its index.
    pub index: u64,
    /// The head that proves it.
    pub head: Head,
}

/// The text of a proof.
pub fn text(index: u64, hashes: &[Hash], checkpoint: &str) -> String {
    let mut text = format!("{HEADER}\nindex {index}\n");
    for hash in hashes {
        text.push_str(&hash.to_string());
        text.push('\n');
    }
    text.push('\n');
    text.push_str(checkpoint);
    text
}

/// Verifies that the entry is in the log whose key this is.
///
/// # Errors
/// When the proof is none, its checkpoint is not signed with the key, or the entry is not the one that it is about.
pub fn verify_entry(entry: &[u8], proof: &str, key: &VerifyingKey) -> Result<Included, Violation> {
    let malformed = Violation::MalformedProof;
    let rest = proof
        .strip_prefix(HEADER)
        .and_then(|rest| rest.strip_prefix('\n'))
        .ok_or(malformed("its first line is not c2sp.org/tlog-proof@v1"))?;
    let (lines, checkpoint) = rest
        .split_once("\n\n")
        .ok_or(malformed("no checkpoint follows"))?;
    let mut lines = lines.split('\n').peekable();
    // What it is not authenticated, so it is not looked at.
    lines.next_if(|line| line.starts_with("extra "));
    let number = lines
        .next()
        .and_then(|line| line.strip_prefix("index "))
        .ok_or(malformed("it names no index"))?;
    let index: u64 = number
        .parse()
        .ok()
        .filter(|index: &u64| index.to_string() == number)
        .ok_or(malformed("its index is no number"))?;
    let mut hashes = Vec::new();
    for line in lines {
        if hashes.len() == MOST_HASHES {
            return Err(malformed("it has more hashes than a tree has levels"));
        }
        let hash = Hash::parse_hash(line).map_err(|_| malformed("a line is no hash"))?;
        hashes.push(hash);
    }
    let signed = Signed::open(checkpoint.as_bytes(), key)?;
    let leaf = record_hash(entry);
    match tlog_tiles::check_record(&hashes, signed.size, signed.root, index, leaf) {
        Ok(()) => Ok(Included {
            index,
            head: signed.head(key.origin()),
        }),
        Err(_) => Err(Violation::NotIncluded {
            index,
            size: signed.size,
            root: signed.root.to_string(),
            found: root_of(&hashes, signed.size, index, leaf)
                .map_or_else(|| "none".to_owned(), |root| root.to_string()),
        }),
    }
}

/// The root that an entry and its siblings lead to; nothing when there are too few or too many of them (RFC 9162, 2.1.3.2).
fn root_of(siblings: &[Hash], size: u64, index: u64, leaf: Hash) -> Option<Hash> {
    let mut last = size.checked_sub(1)?;
    let mut node = index;
    if node > last {
        return None;
    }
    let mut root = leaf;
    for sibling in siblings {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            root = tlog_tiles::node_hash(*sibling, root);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            root = tlog_tiles::node_hash(root, *sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}
