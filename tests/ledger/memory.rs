//! A store in memory that breaks where it is told to, and tells what became of each write.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use covenant::ledger::{Store, StoreError};

/// What happens at one writing call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full; nothing is written.
    NoSpace,
    /// So many bytes arrive under the name, and an error is returned.
    Torn(usize),
    /// All is there, and an error is returned, as when a folder cannot be synced.
    Unsynced,
    /// Nothing may be written.
    ReadOnly,
}

/// What happens after the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The process is dead: nothing is done any more.
    Death,
    /// It works again.
    Health,
    /// It goes on like that until it is [healed](MemoryStore::heal).
    TheSame,
}

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<String, Vec<u8>>,
    calls: Vec<Call>,
    fault: Option<(usize, Fault, After)>,
    dead: bool,
    epoch: u64,
    mine: u64,
}

/// One writing call, as it was asked for.
#[derive(Clone, Debug)]
pub struct Call {
    pub path: String,
    pub length: usize,
    pub kind: CallKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    Create,
    Replace,
    Remove,
}

#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Inner>);

pub type Files = BTreeMap<String, Vec<u8>>;

impl MemoryStore {
    pub fn new(files: Files) -> Arc<Self> {
        let store = Self::default();
        store.0.lock().unwrap().files = files;
        Arc::new(store)
    }

    /// Breaks at this writing call, counted from now on.
    pub fn break_at(&self, call: usize, fault: Fault, after: After) {
        let mut inner = self.0.lock().unwrap();
        let at = inner.calls.len() + call;
        inner.fault = Some((at, fault, after));
    }

    pub fn heal(&self) {
        self.0.lock().unwrap().fault = None;
    }

    pub fn files(&self) -> Files {
        self.0.lock().unwrap().files.clone()
    }

    pub fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().calls.clone()
    }

    /// Another process becomes the writer, where there are no locks.
    pub fn usurp(&self) {
        self.0.lock().unwrap().epoch += 1;
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        let mut inner = self.0.lock().unwrap();
        inner.files.insert(path.to_owned(), bytes.to_vec());
    }
}

fn io_error(path: &str) -> StoreError {
    StoreError::of_system("sync", path, io::Error::other("injected"))
}

impl Inner {
    fn write(&mut self, path: &str, bytes: &[u8], kind: CallKind) -> Result<(), StoreError> {
        let number = self.calls.len();
        self.calls.push(Call {
            path: path.to_owned(),
            length: bytes.len(),
            kind,
        });
        if self.dead {
            return Err(io_error(path));
        }
        let mut effect = match kind {
            CallKind::Remove => None,
            _ => Some(bytes.to_vec()),
        };
        if kind == CallKind::Create && self.files.contains_key(path) {
            return Err(StoreError::Exists(path.to_owned()));
        }
        let mut error = None;
        if let Some((at, fault, after)) = self.fault
            && (number == at || (after == After::TheSame && number > at))
        {
            self.dead = after == After::Death;
            error = Some(match fault {
                Fault::NoSpace => {
                    StoreError::of_system("write", path, io::ErrorKind::StorageFull.into())
                }
                Fault::ReadOnly => {
                    StoreError::of_system("write", path, io::ErrorKind::ReadOnlyFilesystem.into())
                }
                Fault::Torn(_) | Fault::Unsynced => io_error(path),
            });
            match (fault, kind) {
                (Fault::Unsynced, _) => {}
                (Fault::Torn(length), CallKind::Create) => {
                    effect = effect.map(|it| it[..length.min(it.len())].to_vec());
                }
                // A full disk takes removals; a replaced file is the old one or the new one, never half of one.
                (Fault::NoSpace, CallKind::Remove) => error = None,
                _ => return Err(error.unwrap()),
            }
        }
        match effect {
            Some(bytes) => self.files.insert(path.to_owned(), bytes),
            None => self.files.remove(path),
        };
        error.map_or(Ok(()), Err)
    }
}

impl Store for MemoryStore {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let inner = self.0.lock().unwrap();
        let bytes = inner.files.get(path).cloned();
        if bytes.as_ref().is_some_and(|bytes| bytes.len() > limit) {
            return Err(StoreError::TooLong {
                path: path.to_owned(),
                limit,
            });
        }
        Ok(bytes)
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.lock().unwrap().write(path, bytes, CallKind::Create)
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.lock().unwrap().write(path, bytes, CallKind::Replace)
    }

    fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().write(path, &[], CallKind::Remove)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let inner = self.0.lock().unwrap();
        let prefix = format!("{folder}/");
        let paths = inner.files.keys();
        Ok(paths
            .filter(|it| it.starts_with(&prefix))
            .cloned()
            .collect())
    }

    fn take_fence(&self) -> Result<(), StoreError> {
        let mut inner = self.0.lock().unwrap();
        inner.epoch += 1;
        inner.mine = inner.epoch;
        Ok(())
    }

    fn check_fence(&self) -> Result<(), StoreError> {
        let inner = self.0.lock().unwrap();
        if inner.mine == inner.epoch {
            Ok(())
        } else {
            Err(StoreError::Fenced("another took over".to_owned()))
        }
    }

    fn release_fence(&self) {}
}
