//! A ledger's directory on a local disk.
//!
//! The only place of this module that does I/O. May not: acknowledge what is not durable, or follow a path out of its directory.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::store::{Store, StoreError};

/// Where files are written before they get their names.
const SCRATCH: &str = "tmp";
/// The file that the writer locks.
const LOCK: &str = "lock";
/// The folder with a file for the last start of a writer. It fences where locks do not work.
const EPOCHS: &str = "epoch";

/// A directory. Every write is synced: file, name, and folder.
#[derive(Debug)]
pub struct DirectoryStore {
    root: PathBuf,
    fence: Mutex<Option<Fence>>,
}

#[derive(Debug)]
struct Fence {
    epoch: u64,
    /// Holds the lock for as long as it is open.
    _lock: File,
}

impl DirectoryStore {
    /// The ledger in this directory, which is there.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            fence: Mutex::new(None),
        }
    }

    /// The ledger in this directory, which is made if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self::new(root);
        fs::create_dir_all(&store.root).map_err(|error| {
            StoreError::of_system("make", &store.root.display().to_string(), error)
        })?;
        Ok(store)
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn place(&self, path: &str) -> Result<PathBuf, StoreError> {
        let is_part = |part: &str| {
            !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0'])
        };
        if path.split('/').all(is_part) {
            Ok(self.root.join(path))
        } else {
            Err(StoreError::Path(path.to_owned()))
        }
    }

    /// Makes the folder of a file, and every name on the way durable.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() || folder == self.root {
            return Ok(());
        }
        let Some(parent) = folder.parent() else {
            return Ok(());
        };
        self.make_folder(parent)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => sync_folder(parent),
        }
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let target = self.place(path)?;
        let scratch = self.root.join(SCRATCH).join(path.replace('/', "-"));
        let written = self.write_file(&scratch, &target, bytes);
        if written.is_err() {
            // What stays is removed by the next writer.
            let _ = fs::remove_file(&scratch);
        }
        written.map_err(|error| StoreError::of_system("write", path, error))
    }

    fn write_file(&self, scratch: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
        self.make_folder(&self.root.join(SCRATCH))?;
        let folder = target.parent().unwrap_or(&self.root);
        self.make_folder(folder)?;
        let mut file = File::create(scratch)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(scratch, target)?;
        sync_folder(folder)
    }

    fn epochs(&self) -> Result<Vec<u64>, StoreError> {
        let files = self.list(EPOCHS)?;
        let number = |path: String| path.rsplit('/').next()?.parse().ok();
        Ok(files.into_iter().filter_map(number).collect())
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Fence>> {
        self.fence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(());
        }
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("{prefix}/{name}");
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

impl Store for DirectoryStore {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let failed = |error| StoreError::of_system("read", path, error);
        let file = match File::open(self.place(path)?) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            file => file.map_err(failed)?,
        };
        let mut bytes = Vec::new();
        let longest = u64::try_from(limit).unwrap_or(u64::MAX);
        file.take(longest.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() > limit {
            return Err(StoreError::TooLong {
                path: path.to_owned(),
                limit,
            });
        }
        Ok(Some(bytes))
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let target = self.place(path)?;
        match fs::symlink_metadata(&target) {
            Ok(_) => Err(StoreError::Exists(path.to_owned())),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                self.write(path, bytes)
            }
            Err(error) => Err(StoreError::of_system("write", path, error)),
        }
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(path, bytes)
    }

    fn remove(&self, path: &str) -> Result<(), StoreError> {
        let target = self.place(path)?;
        match fs::remove_file(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => {
                removed.map_err(|error| StoreError::of_system("remove", path, error))?;
            }
        }
        if let Some(folder) = target.parent()
            && folder.extension().is_some_and(|it| it == "p")
        {
            // The last partial file takes its folder along; as long as there are others it stays.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        walk(&self.place(folder)?, folder, &mut found)
            .map_err(|error| StoreError::of_system("list", folder, error))?;
        found.sort();
        Ok(found)
    }

    fn take_fence(&self) -> Result<(), StoreError> {
        let mut held = self.held();
        if held.is_some() {
            return Err(StoreError::Fenced(
                "this process writes this ledger already".to_owned(),
            ));
        }
        let failed = |error| StoreError::of_system("lock", LOCK, error);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.root.join(LOCK))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Fenced(
                    "another process has the ledger's lock".to_owned(),
                ));
            }
            // Where there are no locks, the epoch fences.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let before = self.epochs()?;
        let epoch = before.iter().max().map_or(1, |last| last + 1);
        let path = format!("{EPOCHS}/{epoch:020}");
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                StoreError::Fenced("another process took up the ledger at this moment".to_owned())
            }
            _ => StoreError::of_system("write", &path, error),
        };
        let folder = self.root.join(EPOCHS);
        self.make_folder(&folder).map_err(failed)?;
        File::create_new(self.root.join(&path))
            .and_then(|file| file.sync_all())
            .and_then(|()| sync_folder(&folder))
            .map_err(failed)?;
        for old in before {
            self.remove(&format!("{EPOCHS}/{old:020}"))?;
        }
        for left in self.list(SCRATCH)? {
            self.remove(&left)?;
        }
        *held = Some(Fence { epoch, _lock: lock });
        Ok(())
    }

    fn check_fence(&self) -> Result<(), StoreError> {
        let held = self.held();
        let Some(fence) = held.as_ref() else {
            return Err(StoreError::Fenced(
                "this process does not write this ledger".to_owned(),
            ));
        };
        match self.epochs()?.into_iter().max() {
            Some(last) if last == fence.epoch => Ok(()),
            Some(last) => Err(StoreError::Fenced(format!(
                "another process took up the ledger (epoch {last}, ours is {})",
                fence.epoch
            ))),
            None => Err(StoreError::Fenced(
                "the mark of this writer is gone from the ledger's directory".to_owned(),
            )),
        }
    }

    fn release_fence(&self) {
        *self.held() = None;
    }
}
