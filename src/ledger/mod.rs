//! The ledger: what was done, in an order that nobody can change without being found out.
//!
//! An append-only log in the files of c2sp.org/tlog-tiles. A leaf of the architecture: it knows entries, hashes, files and signatures,
//! and nothing of grants, holds or clusters. May not: know a clock or make randomness, or do I/O but in `directory`.

mod checkpoint;
mod directory;
mod edge;
mod entry;
mod key;
mod kind;
mod layout;
mod open_intents;
mod proof;
mod proven;
mod pseudonym;
mod read;
mod recover;
mod store;
mod verify;
mod violation;
mod write;

pub use checkpoint::Head;
pub use directory::DirectoryStore;
pub use entry::{Cause, Entry, EntryError, LONGEST_ENTRY, Phase, PolicyVersion, Subject};
pub use key::{KeyError, SigningKey, VerifyingKey};
pub use kind::EntryKind;
pub use open_intents::{OpenIntent, OpenIntents};
pub use proof::{Included, verify_entry};
pub use pseudonym::{PseudonymKeyError, Pseudonyms};
pub use read::{Entries, Reader, Record};
pub use recover::{Cut, OpenError, Recovery};
pub use store::{Store, StoreError};
pub use verify::{Verified, verify_log};
pub use violation::{Verdict, Violation};
pub use write::{AppendError, Ledger};
