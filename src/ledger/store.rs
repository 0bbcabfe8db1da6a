//! What a ledger asks of the place that keeps it. A directory is one; an object store can be another.
//!
//! May not: know what is stored.

use std::fmt::Debug;
use std::io;

use thiserror::Error;

/// A place for files. What was written is durable when the call returns `Ok`: it is there after a power cut.
///
/// Paths are relative, with slashes.
pub trait Store: Debug + Send + Sync {
    /// The bytes of a file; nothing when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is longer than the limit.
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes a file that is never written again. It appears as a whole or not at all.
    ///
    /// # Errors
    /// When it is there already, or cannot be made durable. After an error it may be there or not.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Writes a file in the place of the one that may be there. Readers see the old one or the new one.
    ///
    /// # Errors
    /// When it cannot be made durable. After an error either may be there.
    fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Removes a file, if it is there. This alone need not be durable: what comes back is found again.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&self, path: &str) -> Result<(), StoreError>;

    /// Every file under a folder, in order.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list(&self, folder: &str) -> Result<Vec<String>, StoreError>;

    /// Becomes the one writer, until [`Store::release_fence`].
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when there is another.
    fn take_fence(&self) -> Result<(), StoreError>;

    /// Whether this is still the one writer.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another came since.
    fn check_fence(&self) -> Result<(), StoreError>;

    /// Is the writer no more.
    fn release_fence(&self);
}

/// Why a store did not do what it was asked for.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No room.
    #[error(
        "no space is left to write {path}; make room where the ledger is kept, and it goes on by itself"
    )]
    NoSpace {
        /// Which file.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Nobody may write there.
    #[error(
        "{path} cannot be written: the place of the ledger is read-only, or belongs to another user; give the operator's user the right to write it"
    )]
    ReadOnly {
        /// Which file.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is another writer.
    #[error("{0}; a ledger has one writer. Stop the other, or let it write")]
    Fenced(String),
    /// It was to be new.
    #[error(
        "{0} is there already and was to be written for the first time; somebody else writes here"
    )]
    Exists(String),
    /// Longer than anything that belongs there.
    #[error("{path} is longer than {limit} bytes; it is not part of a ledger")]
    TooLong {
        /// Which file.
        path: String,
        /// What it may have.
        limit: usize,
    },
    /// No path of a ledger.
    #[error("`{0}` is no path within a ledger")]
    Path(String),
    /// Anything else.
    #[error(
        "cannot {action} {path}; after such an error what is stored is unknown until it is read again"
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// The error that a failure of the system comes to.
    #[must_use]
    pub fn of_system(action: &'static str, path: &str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::NoSpace { path, source },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { path, source }
            }
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}
