//! Breaks the decision on purpose, one mutant at a time, in a copy of the tree, and says which test caught it. All that are
//! listed, or those that are named, of which no table is written.
//!
//! May not: touch the tree that it was started in, but for docs/mutants.md.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

#[derive(Deserialize)]
struct Mutant {
    name: String,
    file: String,
    breaks: String,
    before: String,
    after: String,
}

/// The tests that see mutants, by what their names have in common with the files that they are about.
const TESTS: [(&str, &str); 8] = [
    ("", "decision"),
    ("", "timers"),
    ("", "laws"),
    ("retention", "retention_plan"),
    ("retention", "retention_decision"),
    ("encryption", "encryption_plan"),
    ("ledger", "ledger"),
    ("telemetry", "telemetry_plan"),
];

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let list = fs::read_to_string(root.join("tests/mutants/mutants.yaml"))
        .context("the list cannot be read")?;
    let mutants: Vec<Mutant> = serde_saphyr::from_str(&list).context("the list is not YAML")?;
    let named: Vec<String> = std::env::args().skip(1).collect();
    let unknown = named
        .iter()
        .find(|name| mutants.iter().all(|mutant| mutant.name != **name));
    ensure!(unknown.is_none(), "no mutant is called {unknown:?}");
    let mutants: Vec<Mutant> = mutants
        .into_iter()
        .filter(|mutant| named.is_empty() || named.contains(&mutant.name))
        .collect();
    let copy = tempfile::tempdir().context("no folder for the copy")?;
    copy_tree(&root, copy.path())?;
    let cache = cache_folder()?.join("mutants-target");
    let mut table = String::from(
        "# Mutants\n\nThe decision broken on purpose, one way at a time, and the test that caught it. `make mutants` writes this \
         table.\n\n| mutant | what it breaks | caught by |\n|---|---|---|\n",
    );
    say("building the tests without a mutant first")?;
    ensure!(
        first_failure(copy.path(), &cache, "")?.is_none(),
        "the tests fail without any mutant; mend that first"
    );
    let mut survived = 0;
    for (index, mutant) in mutants.iter().enumerate() {
        let file = copy.path().join(&mutant.file);
        let original =
            fs::read_to_string(&file).with_context(|| format!("{} cannot be read", mutant.file))?;
        ensure!(
            original.matches(&mutant.before).count() == 1,
            "{} does not fit exactly one place",
            mutant.name
        );
        fs::write(&file, original.replacen(&mutant.before, &mutant.after, 1))
            .context("the mutant cannot be written")?;
        let caught = first_failure(copy.path(), &cache, &mutant.file)?;
        fs::write(&file, original).context("the original cannot be written back")?;
        survived += usize::from(caught.is_none());
        let caught = caught.unwrap_or_else(|| "SURVIVED".to_owned());
        say(&format!(
            "{:>3}/{} {}: {caught}",
            index + 1,
            mutants.len(),
            mutant.name
        ))?;
        writeln!(table, "| {} | {} | {caught} |", mutant.name, mutant.breaks)
            .context("the table cannot be written")?;
    }
    writeln!(
        table,
        "\n{} mutants, {} caught.",
        mutants.len(),
        mutants.len() - survived
    )
    .context("the table cannot be written")?;
    if named.is_empty() {
        fs::write(root.join("docs/mutants.md"), table)
            .context("docs/mutants.md cannot be written")?;
    }
    ensure!(survived == 0, "{survived} mutants survived");
    Ok(())
}

fn cache_folder() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("COVENANT_CACHE") {
        return Ok(folder.into());
    }
    let user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    Ok(user
        .or_else(home)
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("covenant"))
}

/// The first test that fails, or none; those that are about the mutant's file are tried first. A mutant that does not compile
/// is caught by the compiler.
fn first_failure(tree: &Path, target: &Path, file: &str) -> anyhow::Result<Option<String>> {
    let mut tests = TESTS;
    let is_about = |subject: &str| !subject.is_empty() && file.contains(subject);
    tests.sort_by_key(|(subject, _)| !is_about(subject));
    for (_, test) in tests {
        let output = Command::new("cargo")
            .args([
                "test",
                "--quiet",
                "--locked",
                "--no-default-features",
                "--test",
                test,
            ])
            .current_dir(tree)
            .env("CARGO_TARGET_DIR", target)
            .env("RUST_BACKTRACE", "0")
            // Nobody reads the counterexamples.
            .env("PROPTEST_MAX_SHRINK_ITERS", "0")
            .output()
            .context("cargo cannot be run")?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let failed = text.lines().find_map(|line| {
                line.strip_prefix("---- ")?
                    .split_once(' ')
                    .map(|(name, _)| name.to_owned())
            });
            let compiler = || "the compiler".to_owned();
            return Ok(Some(
                failed.map_or_else(compiler, |name| format!("`{test}::{name}`")),
            ));
        }
    }
    Ok(None)
}

fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(from)
        .output();
    let listed = listed.context("git cannot be run")?.stdout;
    for name in String::from_utf8_lossy(&listed)
        .split('\0')
        .filter(|name| !name.is_empty())
    {
        let source = from.join(name);
        if !source.is_file() {
            continue;
        }
        let target = to.join(name);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).context("a folder cannot be made")?;
        }
        fs::copy(&source, &target).with_context(|| format!("{name} cannot be copied"))?;
    }
    Ok(())
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr(), "{text}").context("nobody listens")
}
