//! The one image of a node, made from the machine's busybox: pods run its shell, and every pod's sandbox its `sleep`.
//!
//! May not: fetch anything. No registry is asked, so a test needs none.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Layout;
use super::machine::Machine;

/// What a pod calls the image. It is on the node already and comes from nowhere: `imagePullPolicy: Never`.
pub const IMAGE: &str = "localhost/testbed:1";

/// The commands that a container finds.
const COMMANDS: [&str; 8] = ["sh", "sleep", "echo", "cat", "date", "wc", "ls", "kill"];

/// Writes the image as an archive that can be imported, and returns its path.
pub(super) fn build(layout: &Layout, machine: &Machine) -> anyhow::Result<PathBuf> {
    let busybox = fs::read(&machine.busybox).context("busybox cannot be read")?;
    ensure!(
        !asks_for_a_linker(&busybox),
        "{} needs libraries, which the image has not: apt-get install busybox-static",
        machine.busybox.display()
    );
    let image = layout.file("image");
    let root = image.join("root");
    fs::create_dir_all(root.join("bin"))?;
    fs::create_dir_all(root.join("tmp"))?;
    let program = root.join("bin/busybox");
    fs::write(&program, busybox)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    for command in COMMANDS {
        symlink("busybox", root.join("bin").join(command))?;
    }
    pack(machine, &root, &["bin", "tmp"], &image.join("layer.tar"))?;
    let layer = fs::read(image.join("layer.tar"))?;
    let config = json!({
        "architecture": architecture(), "os": "linux",
        // A sandbox runs this until it is killed; a container of a pod brings a command of its own.
        "config": { "Entrypoint": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(&layer)))] }
    });
    let manifest =
        json!([{ "Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]);
    fs::write(image.join("config.json"), config.to_string())?;
    fs::write(image.join("manifest.json"), manifest.to_string())?;
    let archive = layout.file("image.tar");
    let parts = ["manifest.json", "config.json", "layer.tar"];
    pack(machine, &image, &parts, &archive)?;
    fs::remove_dir_all(&image)?;
    Ok(archive)
}

fn pack(machine: &Machine, folder: &Path, parts: &[&str], archive: &Path) -> anyhow::Result<()> {
    let output = Command::new(&machine.tar)
        .arg("-cf")
        .arg(archive)
        .arg("-C")
        .arg(folder)
        .args(parts)
        .output()
        .context("tar cannot be run")?;
    if !output.status.success() {
        bail!("tar: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// As images call it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Whether a 64-bit ELF file has a program header of the type `PT_INTERP`, that is, names a dynamic linker.
fn asks_for_a_linker(program: &[u8]) -> bool {
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let field = program.get(at..at + bytes)?;
        Some(
            field
                .iter()
                .rev()
                .fold(0, |sum, &byte| (sum << 8) | usize::from(byte)),
        )
    };
    let (Some(table), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2))
    else {
        return false;
    };
    (0..count).any(|entry| number(table + entry * size, 4) == Some(3))
}
