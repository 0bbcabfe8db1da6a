//! Checkpoints: size and root of a log, signed as a note (c2sp.org/tlog-checkpoint).
//!
//! May not: believe a checkpoint before its signature.

use signed_note::{Note, NoteError};
use tlog_tiles::{Checkpoint, Hash};

use super::key::{SigningKey, VerifyingKey};
use super::layout::LARGEST_LOG;
use super::violation::Violation;

/// A signed head of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which log.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root of their tree, in base64.
    pub root: String,
    /// The checkpoint: a signed note.
    pub checkpoint: String,
}

/// A head whose signature was verified.
#[derive(Clone, Debug)]
pub struct Signed {
    /// How many entries.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
    /// The signed note.
    pub text: String,
}

impl Signed {
    /// Signs a head.
    pub fn sign(key: &SigningKey, size: u64, root: Hash) -> Result<Self, NoteError> {
        let checkpoint =
            Checkpoint::new(key.origin(), size, root, "").map_err(|_| NoteError::MalformedNote)?;
        let mut note = Note::new(&checkpoint.to_bytes(), &[])?;
        note.add_sigs(&[key.signer()])?;
        let text = String::from_utf8(note.to_bytes()).map_err(|_| NoteError::MalformedNote)?;
        Ok(Self { size, root, text })
    }

    /// Reads a head and verifies its signature.
    pub fn open(bytes: &[u8], key: &VerifyingKey) -> Result<Self, Violation> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Violation::MalformedCheckpoint("it is no text"))?;
        let note = Note::from_bytes(bytes)
            .map_err(|_| Violation::MalformedCheckpoint("it is no signed note"))?;
        let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|_| {
            Violation::MalformedCheckpoint("its text is not an origin, a size and a root")
        })?;
        if checkpoint.origin() != key.origin() {
            return Err(Violation::Foreign {
                origin: checkpoint.origin().to_owned(),
                expected: key.origin().to_owned(),
            });
        }
        note.verify(&key.known())
            .map_err(|_| Violation::BadSignature {
                origin: checkpoint.origin().to_owned(),
                key: key.to_text().to_owned(),
            })?;
        if checkpoint.size() > LARGEST_LOG {
            return Err(Violation::MalformedCheckpoint(
                "its size is beyond that of any log",
            ));
        }
        Ok(Self {
            size: checkpoint.size(),
            root: *checkpoint.hash(),
            text: text.to_owned(),
        })
    }

    /// The head as others know it.
    pub fn head(&self, origin: &str) -> Head {
        Head {
            origin: origin.to_owned(),
            size: self.size,
            root: self.root.to_string(),
            checkpoint: self.text.clone(),
        }
    }
}
