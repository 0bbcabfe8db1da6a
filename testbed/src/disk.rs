//! A disk that fails: full, torn, unable to sync, or gone with the process at any of its steps.
//!
//! A small library in C, built at run time, stands before the C library of one process (`LD_PRELOAD`), so that the process under
//! test is the real one. May not: touch anything outside of the directory that it is given.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// The library's source.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/disk/disk.c");

/// A disk under one directory.
#[derive(Debug)]
pub struct Disk {
    library: PathBuf,
    under: PathBuf,
    rule: PathBuf,
    steps: PathBuf,
}

/// What the disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskRule {
    /// It works.
    Works,
    /// The process ends before its step of this number, counted from its start.
    KillBefore(u64),
    /// The process ends right after it.
    KillAfter(u64),
    /// No room.
    NoSpace,
    /// Half of each write, then no room.
    Short,
    /// Syncs fail.
    SyncError,
    /// Nothing may be written.
    ReadOnly,
}

impl Disk {
    /// A disk under `under` that works, with its files in `folder`.
    ///
    /// # Errors
    /// When the library cannot be built: it needs a C compiler.
    pub fn new(folder: &Path, under: &Path) -> anyhow::Result<Self> {
        let library = folder.join("disk.so");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-D_FILE_OFFSET_BITS=32", "-o"])
            .arg(&library)
            .arg(SOURCE)
            .args(["-ldl", "-lpthread"])
            .output()
            .context("no C compiler; install one that is called cc")?;
        ensure!(
            built.status.success(),
            "the disk's library does not build: {}",
            String::from_utf8_lossy(&built.stderr)
        );
        let disk = Self {
            library,
            under: under.to_owned(),
            rule: folder.join("disk.rule"),
            steps: folder.join("disk.steps"),
        };
        disk.set(DiskRule::Works)?;
        Ok(disk)
    }

    /// What a process needs in its environment to have this disk.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let of = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
        vec![
            of("LD_PRELOAD", &self.library),
            of("DISK_UNDER", &self.under),
            of("DISK_RULE", &self.rule),
            of("DISK_STEPS", &self.steps),
        ]
    }

    /// What it does from now on.
    ///
    /// # Errors
    /// When the rule cannot be written.
    pub fn set(&self, rule: DiskRule) -> anyhow::Result<()> {
        let text = match rule {
            DiskRule::Works => "none".to_owned(),
            DiskRule::KillBefore(step) => format!("kill-before {step}"),
            DiskRule::KillAfter(step) => format!("kill-after {step}"),
            DiskRule::NoSpace => "no-space".to_owned(),
            DiskRule::Short => "short".to_owned(),
            DiskRule::SyncError => "sync-error".to_owned(),
            DiskRule::ReadOnly => "read-only".to_owned(),
        };
        // As a whole: it is read at every step.
        let beside = self.rule.with_extension("new");
        std::fs::write(&beside, text)?;
        std::fs::rename(&beside, &self.rule).context("the disk's rule cannot be set")
    }

    /// Steps so far of the process that was started last.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let text = std::fs::read_to_string(&self.steps).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }
}
