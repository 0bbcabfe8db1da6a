//! The intents that nothing came of yet.
//!
//! May not: close an intent on an outcome that says that it is not complete.

use std::collections::BTreeMap;

use signed_note::Note;

use super::entry::{Entry, Phase};
use super::key::{SigningKey, VerifyingKey};

/// Intents without a settled outcome, by id.
pub type OpenIntents = BTreeMap<String, OpenIntent>;

/// An intent without a settled outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenIntent {
    /// Where it is in the ledger.
    pub index: u64,
    /// It.
    pub intent: Entry,
    /// The latest outcome, which did not settle it.
    pub so_far: Option<Entry>,
}

/// Takes an entry into account.
pub fn take(open: &mut OpenIntents, index: u64, entry: &Entry) {
    match &entry.phase {
        Phase::Intent => {
            open.entry(entry.id.clone()).or_insert_with(|| OpenIntent {
                index,
                intent: entry.clone(),
                so_far: None,
            });
        }
        Phase::Outcome {
            intent,
            settled: true,
        } => {
            open.remove(intent);
        }
        Phase::Outcome {
            intent,
            settled: false,
        } => {
            if let Some(known) = open.get_mut(intent) {
                known.so_far = Some(entry.clone());
            }
        }
        Phase::Fact => {}
    }
}

/// The index below which no intent is open in a log of this size.
pub fn oldest(open: &OpenIntents, size: u64) -> u64 {
    open.values().map(|open| open.index).min().unwrap_or(size)
}

/// What says below which index no intent is open in a log of a size: a note of two lines, signed, so that nobody hides an intent
/// with it.
pub fn hint(key: &SigningKey, index: u64, size: u64) -> Option<Vec<u8>> {
    let text = format!("{}\n{}\n", key.origin(), claim(index, size));
    let mut note = Note::new(text.as_bytes(), &[]).ok()?;
    note.add_sigs(&[key.signer()]).ok()?;
    Some(note.to_bytes())
}

/// Reads a hint for a log of this size. None, one of another key, and one of a longer log (the outcomes may be in what it is longer
/// by) are good for nothing: the search begins at the beginning.
pub fn read_hint(bytes: &[u8], key: &VerifyingKey, size: u64) -> Option<u64> {
    let note = Note::from_bytes(bytes).ok()?;
    note.verify(&key.known()).ok()?;
    let text = std::str::from_utf8(note.text()).ok()?;
    let words: Vec<&str> = text
        .strip_prefix(key.origin())?
        .split_whitespace()
        .collect();
    let [index, of] = [words.get(4)?, words.get(6)?];
    let (index, of): (u64, u64) = (index.parse().ok()?, of.parse().ok()?);
    (of <= size && index <= of && words.join(" ") == claim(index, of)).then_some(index)
}

fn claim(index: u64, size: u64) -> String {
    format!("no open intent below {index} of {size}")
}
