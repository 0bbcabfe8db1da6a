//! What can be wrong with a log, a checkpoint or a proof, each with the first index that is no longer proven.
//!
//! May not: say that something is wrong with an entry when only a file that is made from entries is.

use thiserror::Error;

use super::store::StoreError;

/// Why something is not proven.
#[derive(Debug, Error)]
pub enum Violation {
    /// Nothing to verify.
    #[error(
        "there is no checkpoint; is this the directory of a ledger, and was the whole of it copied?"
    )]
    NoCheckpoint,
    /// A checkpoint that is none.
    #[error("the checkpoint is not one: {0}. Nothing that it stands for is proven")]
    MalformedCheckpoint(&'static str),
    /// A proof that is none.
    #[error("the proof is not one: {0}. Make it again with `covenant ledger get N --proof DIR`")]
    MalformedProof(&'static str),
    /// Not signed with this key.
    #[error("the checkpoint of {origin} is not signed with the key {key}")]
    BadSignature {
        /// Whose checkpoint it says it is.
        origin: String,
        /// The key that was asked about.
        key: String,
    },
    /// The log of somebody else.
    #[error("the checkpoint is of {origin}, and the key is of {expected}; this is another ledger")]
    Foreign {
        /// Whose it says it is.
        origin: String,
        /// Whose it should be.
        expected: String,
    },
    /// An entry that the proof does not lead to.
    #[error(
        "entry {index} is not in the log of {size} entries with the root {root}; what was given leads to the root {found}"
    )]
    NotIncluded {
        /// Which.
        index: u64,
        /// Entries that are signed for.
        size: u64,
        /// The signed root.
        root: String,
        /// The root that entry and proof lead to.
        found: String,
    },
    /// Nothing leads from the entry to the signed root.
    #[error(
        "nothing leads from entry {index} to the signed root {root}: a tile on the way is not the one that was signed; `covenant ledger verify` tells which"
    )]
    Unproven {
        /// Which.
        index: u64,
        /// The signed root.
        root: String,
    },
    /// An entry that is not the one that was signed.
    #[error(
        "entry {index} is not the one that was signed: its hash is {found}, signed is {signed}"
    )]
    BadEntry {
        /// The first that is not.
        index: u64,
        /// Hash of what is there.
        found: String,
        /// Hash that leads to the signed root.
        signed: String,
    },
    /// Entries were changed together with the tiles above them.
    #[error(
        "some entry from {first} to {last} is not the one that was signed: together they hash to {found}, signed is {signed}"
    )]
    BadRange {
        /// The first that may be wrong.
        first: u64,
        /// The last that may be wrong.
        last: u64,
        /// Hash of what is there.
        found: String,
        /// Hash that leads to the signed root.
        signed: String,
    },
    /// A tile that is not made from its entries. The entries are as they were signed.
    #[error(
        "{path} does not hold the hashes of what is below it, from entry {index} on; the entries are as they were signed"
    )]
    BadTile {
        /// Which.
        path: String,
        /// The first entry that it is wrong about.
        index: u64,
    },
    /// A file that should be there.
    #[error("{path} is missing; entry {index} is the first that is not proven without it")]
    MissingTile {
        /// Which.
        path: String,
        /// The first entry that it is about.
        index: u64,
    },
    /// A file that ends too early, or too late.
    #[error(
        "{path} does not hold what its name says; entry {index} is the first that is not in it as a whole"
    )]
    Truncated {
        /// Which.
        path: String,
        /// The first entry that is not whole.
        index: u64,
    },
    /// The whole is not what was signed, and no part of it can be told from another.
    #[error(
        "the entries are not those that were signed: their root is {found}, signed is {signed}; from entry {first} on nothing is proven"
    )]
    Rewritten {
        /// The first that is not proven.
        first: u64,
        /// Root of what is there.
        found: String,
        /// The signed root.
        signed: String,
    },
    /// Two signed heads that cannot be of one history.
    #[error(
        "the log is not the one of the kept checkpoint: its first {size} entries have the root {found}, kept is {kept}; from entry {first} on nothing is proven. History was rewritten, or another one is shown here"
    )]
    Inconsistent {
        /// The first that is not proven.
        first: u64,
        /// Entries that the kept checkpoint stands for.
        size: u64,
        /// Its root.
        kept: String,
        /// The root of as many entries here.
        found: String,
    },
    /// A log that lost its end.
    #[error(
        "the log was rolled back: the kept checkpoint stands for {kept_size} entries with the root {kept}, here are {size} with the root {found}; entry {size} is the first that is gone"
    )]
    RolledBack {
        /// Entries that the kept checkpoint stands for.
        kept_size: u64,
        /// Its root.
        kept: String,
        /// Entries that are signed for here.
        size: u64,
        /// The root here.
        found: String,
    },
    /// It cannot be read.
    #[error("the log cannot be read")]
    Store(#[from] StoreError),
}

/// What a violation comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is known.
    Unread,
    /// A signature is not by the key.
    BadSignature,
    /// An entry is changed, gone, or not proven.
    NotIncluded,
    /// There is more than one history.
    Inconsistent,
}

impl Violation {
    /// The first index of an entry that is not proven, where one is known.
    #[must_use]
    pub fn first_bad(&self) -> Option<u64> {
        match self {
            Self::NotIncluded { index, .. }
            | Self::Unproven { index, .. }
            | Self::BadEntry { index, .. }
            | Self::BadTile { index, .. }
            | Self::MissingTile { index, .. }
            | Self::Truncated { index, .. }
            | Self::BadRange { first: index, .. }
            | Self::Rewritten { first: index, .. }
            | Self::Inconsistent { first: index, .. }
            | Self::RolledBack { size: index, .. } => Some(*index),
            Self::NoCheckpoint
            | Self::MalformedCheckpoint(_)
            | Self::MalformedProof(_)
            | Self::BadSignature { .. }
            | Self::Foreign { .. }
            | Self::Store(_) => None,
        }
    }

    /// The root or hash that should be, and the one that is, where there are two.
    #[must_use]
    pub fn roots(&self) -> Option<(&str, &str)> {
        match self {
            Self::NotIncluded { root, found, .. } => Some((root, found)),
            Self::BadEntry { signed, found, .. }
            | Self::BadRange { signed, found, .. }
            | Self::Rewritten { signed, found, .. } => Some((signed, found)),
            Self::Inconsistent { kept, found, .. } | Self::RolledBack { kept, found, .. } => {
                Some((kept, found))
            }
            _ => None,
        }
    }

    /// What it comes to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::NoCheckpoint | Self::Store(_) => Verdict::Unread,
            Self::MalformedCheckpoint(_) | Self::BadSignature { .. } | Self::Foreign { .. } => {
                Verdict::BadSignature
            }
            Self::MalformedProof(_)
            | Self::NotIncluded { .. }
            | Self::Unproven { .. }
            | Self::BadEntry { .. }
            | Self::BadRange { .. }
            | Self::BadTile { .. }
            | Self::MissingTile { .. }
            | Self::Truncated { .. } => Verdict::NotIncluded,
            Self::Rewritten { .. } | Self::Inconsistent { .. } | Self::RolledBack { .. } => {
                Verdict::Inconsistent
            }
        }
    }
}
